/* Guest code for the interpreter's speed: built flat for the guest, and with main() for the host and QEMU. */
typedef unsigned long u64;
typedef unsigned int u32;
typedef unsigned char u8;

#ifndef NATIVE
__asm__(".globl _start\n_start: jmp bench_entry\n");
#endif

/* A tight loop with a data dependency. */
__attribute__((noinline)) static u64 fnv(const u8 *p, u64 n) {
  u64 h = 0xcbf29ce484222325UL;
  for (u64 i = 0; i < n; i++) {
    h ^= p[i];
    h *= 0x100000001b3UL;
  }
  return h;
}

/* Loads whose addresses depend on loads. */
__attribute__((noinline)) static u64 crc(const u8 *p, u64 n, const u32 *table) {
  u32 c = ~0u;
  for (u64 i = 0; i < n; i++) c = table[(c ^ p[i]) & 255] ^ (c >> 8);
  return ~c;
}

/* Calls and returns. */
__attribute__((noinline)) static u64 leaf(u64 x) { return (x >> 3) ^ (x * 5); }
__attribute__((noinline)) static u64 calls(u64 n) {
  u64 a = 1;
  for (u64 i = 0; i < n; i++) a += leaf(a ^ i);
  return a;
}

/* Stores, swaps and unpredictable branches. */
__attribute__((noinline)) static u64 sort(u32 *a, u64 n) {
  for (u64 i = 0; i < n; i++) a[i] = (u32)(i * 2654435761u) >> 8;
  for (u64 i = 1; i < n; i++) {
    u32 v = a[i];
    u64 j = i;
    while (j > 0 && a[j - 1] > v) {
      a[j] = a[j - 1];
      j--;
    }
    a[j] = v;
  }
  return a[n / 2];
}

/* Thousands of blocks, each run a few times in no order that a predictor could learn. */
#include "wide.h"

u64 bench_entry(u64 which, u8 *buffer, u64 n) {
  switch (which) {
    case 0: return fnv(buffer, n);
    case 1: return crc(buffer, n, (const u32 *)(buffer + n));
    case 2: return calls(n);
    case 3: return sort((u32 *)buffer, n);
    default: return wide(n, (u64 *)buffer);
  }
}

#ifdef NATIVE
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
int main(int argc, char **argv) {
  static u8 buffer[(4 << 20) + 1024];
  for (u64 which = 0; which < 5; which++) {
    u64 n = strtoul(argv[which + 1], 0, 10), sum = 0;
    double best = 1e9;
    for (int round = 0; round < 5; round++) {
      for (u64 i = 0; i < sizeof buffer; i++) buffer[i] = (u8)(i * 7 + (i >> 8));
      struct timespec a, b;
      clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
      sum = bench_entry(which, buffer, n);
      clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
      double seconds = (b.tv_sec - a.tv_sec) + (b.tv_nsec - a.tv_nsec) * 1e-9;
      if (seconds < best) best = seconds;
    }
    printf("%lu %.9f\n", sum, best);
  }
  return 0;
}
#endif
