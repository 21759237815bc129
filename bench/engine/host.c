/* The workloads as a program: workloads WHICH BYTES FILE prints the result and the seconds of processor and clock. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

unsigned long bench_entry(unsigned long which, unsigned char *buffer, unsigned long n, unsigned char *scratch);

static double now(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

int main(int argc, char **argv) {
  if (argc != 4) return 1;
  unsigned long which = strtoul(argv[1], 0, 10), n = strtoul(argv[2], 0, 10);
  unsigned char *buffer = malloc(n), *scratch = malloc(2 * n + 65536);
  FILE *input = fopen(argv[3], "rb");
  if (!buffer || !scratch || !input || fread(buffer, 1, n, input) != n) return 1;
  memset(scratch, 1, 2 * n + 65536);
  double own = now(CLOCK_PROCESS_CPUTIME_ID), wall = now(CLOCK_MONOTONIC);
  unsigned long result = bench_entry(which, buffer, n, scratch);
  own = now(CLOCK_PROCESS_CPUTIME_ID) - own;
  wall = now(CLOCK_MONOTONIC) - wall;
  printf("%lu %.9f %.9f\n", result, own, wall);
  return 0;
}
