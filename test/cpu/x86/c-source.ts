/**
 * Random C functions without undefined behaviour, for differential tests. A function is a list of statements of which any
 * may be left out, so that a failure can be made small.
 */
import { Random } from './random.ts';

export const BUFFER_BYTES = 1024;

/** What every program begins with. */
const PRELUDE = `
typedef unsigned char u8; typedef unsigned short u16; typedef unsigned int u32; typedef unsigned long long u64;
typedef signed char s8; typedef short s16; typedef int s32; typedef long long s64;
struct mixed { u8 a; u16 b; u32 c; u64 d; s8 e; s16 f; };
__attribute__((used)) void *memcpy(void *to, const void *from, __SIZE_TYPE__ n) {
  void *r = to; __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory"); return r; }
__attribute__((used)) void *memset(void *to, int byte, __SIZE_TYPE__ n) {
  void *r = to; __asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(byte) : "memory"); return r; }
static __attribute__((noinline)) u32 mix(u32 x, u64 y) { return (x ^ (u32)(y >> 7)) * 2654435761u + (u32)y; }
static __attribute__((noinline)) u64 wide(u64 x, s32 y) { return (x << (y & 31)) | (x >> (64 - (y & 31) - 1) >> 1); }
static __attribute__((noinline)) u32 deep(u32 n, u32 x) { return n == 0 ? x : deep(n - 1, x * 3 + n) ^ (x >> 3); }
static s32 less(u32 x, u32 y) { return (s32)(x & 0xffff) - (s32)(y & 0xffff); }
static s32 more(u32 x, u32 y) { return (s32)((x >> 16) * 3) + (s32)(y & 0xff); }
static s32 same(u32 x, u32 y) { return x == y ? -1 : (s32)(x ^ y) >> 1; }
static s32 (*const table[4])(u32, u32) = { less, more, same, less };
#define U16(p) (*(__attribute__((aligned(1), may_alias)) u16 *)(p))
#define U32(p) (*(__attribute__((aligned(1), may_alias)) u32 *)(p))
#define U64(p) (*(__attribute__((aligned(1), may_alias)) u64 *)(p))
`;

const VARIABLES: readonly (readonly [type: string, name: string])[] = [
  ['u64', 'a'],
  ['u64', 'b'],
  ['u32', 'c'],
  ['u32', 'd'],
  ['s32', 'e'],
  ['u16', 'g'],
  ['s8', 'h'],
  ['s64', 'i'],
  ['u8', 'j'],
];
const FIELDS = ['m.a', 'm.b', 'm.c', 'm.d', 'm.e', 'm.f'];

/** The statements of one function. */
export function statements(seed: number, count: number): string[] {
  const random = new Random(seed);
  return Array.from({ length: count }, () => statement(random, 3));
}

/** A C file of functions `f0`, `f1`...: each takes the buffer and a seed and gives a 64-bit number. */
export function programSource(functions: readonly (readonly string[])[]): string {
  const bodies = functions.map(
    (lines, n) => `
__attribute__((noinline, used)) u64 f${n}(u8 *p, u64 seed) {
  u64 a = seed, b = seed * 6364136223846793005ull + 1;
  u32 c = (u32)(seed >> 32), d = (u32)seed ^ 0x9e3779b9u;
  s32 e = (s32)c - 7; u16 g = (u16)(a >> 11); s8 h = (s8)a; s64 i = (s64)(b ^ a); u8 j = (u8)(b >> 56);
  u32 w[16]; for (u32 n = 0; n < 16; n++) w[n] = d * (n + 1);
  struct mixed m = { j, g, c, b, h, (s16)e };
  u32 k;
${lines.map((line) => `  ${line}`).join('\n')}
  for (k = 0; k < 16; k++) a = a * 31 + w[k];
  return a ^ b * 3 ^ c ^ (u64)d << 9 ^ (u64)e ^ g ^ (u64)h ^ (u64)i ^ j ^ m.a ^ m.b ^ m.c ^ m.d ^ (u64)m.e ^ (u64)m.f;
}`,
  );
  return PRELUDE + bodies.join('\n');
}

/** A program that runs `count` functions, each on a fresh buffer, and prints `n result hash` lines. */
export function mainSource(count: number): string {
  const names = Array.from({ length: count }, (_, n) => `f${n}`);
  return `
#include <stdio.h>
#include <stdlib.h>
typedef unsigned long long u64; typedef unsigned char u8;
${names.map((name) => `u64 ${name}(u8 *, u64);`).join('\n')}
static u64 (*const all[])(u8 *, u64) = { ${names.join(', ')} };
int main(int argc, char **argv) {
  u64 seed = strtoull(argv[1], 0, 10);
  static u8 p[${BUFFER_BYTES} + 64];
  for (int n = 0; n < ${count}; n++) {
    u64 x = seed + n, h = 0xcbf29ce484222325ull;
    for (int k = 0; k < ${BUFFER_BYTES}; k++) { x = x * 6364136223846793005ull + 1442695040888963407ull; p[k] = x >> 56; }
    u64 r = all[n](p, x);
    for (int k = 0; k < ${BUFFER_BYTES}; k++) h = (h ^ p[k]) * 0x100000001b3ull;
    printf("%d %016llx %016llx\\n", n, r, h);
    fflush(stdout);
  }
  return 0;
}`;
}

function statement(random: Random, depth: number): string {
  const inner = (n: number) =>
    Array.from({ length: 1 + random.below(n) }, () => statement(random, depth - 1)).join(' ');
  const x = () => expression(random, 3);
  const place = () => target(random);
  switch (random.below(depth > 0 ? 14 : 7)) {
    case 0:
    case 1:
      return `${place()} = ${x()};`;
    case 2:
      return `${place()} ${random.pick(['+=', '-=', '^=', '|=', '&=', '*='])} ${x()};`;
    case 3:
      return `${place()} ${random.pick(['<<=', '>>='])} (${x()}) & 7;`;
    case 4:
      return `${random.pick(['U16', 'U32', 'U64'])}(p + ((u32)(${x()}) & 1015)) ${random.pick(['=', '^=', '+='])} ${x()};`;
    case 5:
      return `${place()} ${random.pick(['/=', '%='])} ((${x()}) & 0x7f) + 1;`;
    case 6:
      return random.oneIn(2)
        ? `__builtin_memcpy(p + ((u32)(${x()}) & 255), p + 512 + ((u32)(${x()}) & 255), 1 + ((u32)(${x()}) & 63));`
        : `__builtin_memset(p + ((u32)(${x()}) & 511), (int)(${x()}), (u32)(${x()}) & 127);`;
    case 7:
    case 8:
      return `if (${x()}) { ${inner(3)} }`;
    case 9:
      return `if (${x()}) { ${inner(2)} } else { ${inner(2)} }`;
    case 10:
    case 11: {
      const n = `n${depth}`;
      return `for (u32 ${n} = 0; ${n} < ((u32)(${x()}) & 15); ${n}++) { w[${n}] += ${x()}; ${inner(2)} }`;
    }
    case 12: {
      const cases = Array.from(
        { length: 5 },
        (_, n) => `case ${n}: ${inner(1)}${random.oneIn(4) ? '' : ' break;'}`,
      );
      if (depth < 3 || random.oneIn(2))
        return `switch ((u32)(${x()}) % 7) { ${cases.join(' ')} default: ${inner(1)} }`;
      // Hot enough to be translated while further cases are yet to come.
      const steps = Array.from({ length: 12 }, (_, n) => `case ${n}: a = a * ${n + 3} + ${x()}; break;`);
      return `for (u32 s = 0, q = d; s < 3000; s++, q = q * 1664525u + 1013904223u)
    switch ((q >> 20) % (s < 1500 ? 7 : 14)) { ${steps.join(' ')} case 12: ${inner(1)} if (q & 64) continue; default: c ^= q; }`;
    }
    default: {
      const n = `v${depth}`;
      return `{ u32 ${n} = ((u32)(${x()}) & 31) + 1; do { ${inner(2)} if (${x()}) continue; } while (--${n} != 0); }`;
    }
  }
}

function target(random: Random): string {
  const kind = random.below(8);
  if (kind < 5) return random.pick(VARIABLES)[1];
  if (kind === 5) return random.pick(FIELDS);
  if (kind === 6) return `w[(u32)(${expression(random, 1)}) & 15]`;
  return `p[(u32)(${expression(random, 1)}) & 1023]`;
}

const TYPES = ['u8', 'u16', 'u32', 'u64', 's8', 's16', 's32', 's64'];

function expression(random: Random, depth: number): string {
  if (depth === 0 || random.oneIn(5)) return leaf(random);
  const x = () => expression(random, depth - 1);
  switch (random.below(14)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return `(${x()} ${random.pick(['+', '-', '*', '&', '|', '^'])} ${x()})`;
    case 4:
      return `((${random.pick(TYPES)})(${x()}) ${random.pick(['<<', '>>'])} ((u32)(${x()}) & 7))`;
    case 5:
      return `((u64)(${x()}) ${random.pick(['<<', '>>'])} ((u32)(${x()}) & 63))`;
    case 6:
      return `(${x()} ${random.pick(['<', '>', '<=', '>=', '==', '!='])} ${x()})`;
    case 7:
      return `((${random.pick(TYPES)})(${x()}))`;
    case 8:
      return `(${random.pick(['~', '-', '!'])}(${x()}))`;
    case 9:
      return `(${x()} ? ${x()} : ${x()})`;
    case 10:
      return `((${random.pick(['u32', 'u64', 'u16', 's32', 's64'])})(${x()}) ${random.pick(['/', '%'])} (${random.pick(['s32', 'u64', 'u32'])})(((${x()}) & 0xfff) + 1))`;
    case 11:
      return random.pick([
        `mix((u32)(${x()}), (u64)(${x()}))`,
        `wide((u64)(${x()}), (s32)(${x()}))`,
        `deep((u32)(${x()}) & 15, (u32)(${x()}))`,
        `table[(u32)(${x()}) & 3]((u32)(${x()}), (u32)(${x()}))`,
      ]);
    case 12:
      return random.pick([
        `__builtin_bswap32((u32)(${x()}))`,
        `__builtin_bswap64((u64)(${x()}))`,
        `__builtin_clz((u32)(${x()}) | 1)`,
        `__builtin_ctz((u32)(${x()}) | 0x80000000u)`,
        `__builtin_parity((u32)(${x()}))`,
      ]);
    default:
      return `(${x()} ${random.pick(['&&', '||'])} ${x()})`;
  }
}

function leaf(random: Random): string {
  switch (random.below(7)) {
    case 0:
      return `${random.word64()}ull`;
    case 1:
      return String(random.below(256));
    case 2:
      return random.pick(FIELDS);
    case 3:
      return `${random.pick(['U16', 'U32', 'U64'])}(p + ${random.below(1000)})`;
    case 4:
      return `w[${random.below(16)}]`;
    default:
      return random.pick(VARIABLES)[1];
  }
}
