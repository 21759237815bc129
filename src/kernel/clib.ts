/**
 * The C library that every kernel has under the same names: memory, strings, characters, numbers, sorting. Semantics
 * are ISO C's (7.22, 7.24, 7.4); what differs on a system stands in that system's own table, which is joined instead.
 */
import type { Address } from '../memory/address.ts';
import { definer, type FunctionTable } from './functions.ts';
import { type Kernel, perKernel } from './kernel.ts';
import type { Steps } from './steps.ts';
import { formatC, guestText, writeGuestText } from './text/printf.ts';
import { bytesOf } from './text/sink.ts';

const functions = definer<Kernel>();

export const memoryFunctions: FunctionTable<Kernel> = functions({
  'void *memcpy(void *to, const void *from, size_t bytes)': copy,
  'void *memmove(void *to, const void *from, size_t bytes)': copy,
  'void *memset(void *at, int value, size_t bytes)': (k, at, value, bytes) => {
    k.memory.fill(at, bytes, value & 0xff);
    return at;
  },
  'int memcmp(const void *a, const void *b, size_t bytes)': (k, a, b, bytes) =>
    compareBytes(k.memory.bytes(a, bytes), k.memory.bytes(b, bytes)),
  'void *memchr(const void *at, int value, size_t bytes)': (k, at, value, bytes) => {
    const found = k.memory.bytes(at, bytes).indexOf(value & 0xff);
    return found < 0 ? 0 : at + found;
  },
  'void bzero(void *at, size_t bytes)': (k, at, bytes) => k.memory.fill(at, bytes, 0),
  'void bcopy(const void *from, void *to, size_t bytes)': (k, from, to, bytes) => {
    copy(k, to, from, bytes);
  },
  'int bcmp(const void *a, const void *b, size_t bytes)': (k, a, b, bytes) =>
    compareBytes(k.memory.bytes(a, bytes), k.memory.bytes(b, bytes)),
});

export const stringFunctions: FunctionTable<Kernel> = functions({
  'size_t strlen(const char *text)': (k, text) => guestText(k, text).length,
  'size_t strnlen(const char *text, size_t most)': (k, text, most) => guestText(k, text, most).length,
  'char *strcpy(char *to, const char *from)': (k, to, from) => {
    writeGuestText(k, to, guestText(k, from));
    return to;
  },
  'char *strncpy(char *to, const char *from, size_t bytes)': (k, to, from, bytes) => {
    const text = bytesOf(guestText(k, from, bytes));
    k.memory.write(to, text);
    k.memory.fill(to + text.length, bytes - text.length, 0);
    return to;
  },
  'char *strcat(char *to, const char *from)': (k, to, from) => {
    writeGuestText(k, to + guestText(k, to).length, guestText(k, from));
    return to;
  },
  'char *strncat(char *to, const char *from, size_t most)': (k, to, from, most) => {
    writeGuestText(k, to + guestText(k, to).length, guestText(k, from, most));
    return to;
  },
  'int strcmp(const char *a, const char *b)': (k, a, b) => compareText(guestText(k, a), guestText(k, b)),
  'int strncmp(const char *a, const char *b, size_t most)': (k, a, b, most) =>
    compareText(guestText(k, a, most), guestText(k, b, most)),
  'int strcasecmp(const char *a, const char *b)': (k, a, b) =>
    compareText(lower(guestText(k, a)), lower(guestText(k, b))),
  'int strncasecmp(const char *a, const char *b, size_t most)': (k, a, b, most) =>
    compareText(lower(guestText(k, a, most)), lower(guestText(k, b, most))),
  'char *strchr(const char *text, int c)': (k, text, c) => index(text, find(k, text, c, 'first')),
  'char *strrchr(const char *text, int c)': (k, text, c) => index(text, find(k, text, c, 'last')),
  'char *strstr(const char *text, const char *part)': (k, text, part) =>
    index(text, guestText(k, text).indexOf(guestText(k, part))),
  'size_t strspn(const char *text, const char *set)': (k, text, set) =>
    span(guestText(k, text), guestText(k, set), true),
  'size_t strcspn(const char *text, const char *set)': (k, text, set) =>
    span(guestText(k, text), guestText(k, set), false),
  'char *strpbrk(const char *text, const char *set)': (k, text, set) => {
    const all = guestText(k, text);
    const at = span(all, guestText(k, set), false);
    return at === all.length ? 0 : text + at;
  },
});

export const characterFunctions: FunctionTable<Kernel> = functions({
  'int isalpha(int c)': (_, c) => matches(c, /[A-Za-z]/),
  'int isdigit(int c)': (_, c) => matches(c, /[0-9]/),
  'int isalnum(int c)': (_, c) => matches(c, /[A-Za-z0-9]/),
  'int isspace(int c)': (_, c) => matches(c, /[ \t-\r]/),
  'int isupper(int c)': (_, c) => matches(c, /[A-Z]/),
  'int islower(int c)': (_, c) => matches(c, /[a-z]/),
  'int isprint(int c)': (_, c) => matches(c, /[ -~]/),
  'int ispunct(int c)': (_, c) => matches(c, /[!-/:-@[-`{-~]/),
  'int isxdigit(int c)': (_, c) => matches(c, /[0-9A-Fa-f]/),
  'int toupper(int c)': (_, c) => (c >= 0x61 && c <= 0x7a ? c - 32 : c),
  'int tolower(int c)': (_, c) => (c >= 0x41 && c <= 0x5a ? c + 32 : c),
});

export const numberFunctions: FunctionTable<Kernel> = functions({
  'int abs(int value)': (_, value) => Math.abs(value),
  'long labs(long value)': (_, value) => Math.abs(value),
  'int atoi(const char *text)': (k, text) =>
    Number(BigInt.asIntN(32, parseNumber(guestText(k, text), 10).value)),
  'long atol(const char *text)': (k, text) => longOf(k, parseNumber(guestText(k, text), 10).value),
  'long strtol(const char *text, char **end, int base)': (k, text, end, base) => strtol(k, text, end, base),
  'unsigned long strtoul(const char *text, char **end, int base)': (k, text, end, base) =>
    strtol(k, text, end, base),
});

export const printFunctions: FunctionTable<Kernel> = functions({
  'int sprintf(char *to, const char *format, ...)': (k, to, format, args) => {
    const out = formatC(k, format, args);
    writeGuestText(k, to, out.text);
    return out.length;
  },
  'int vsprintf(char *to, const char *format, va_list args)': (k, to, format, args) => {
    const out = formatC(k, format, args);
    writeGuestText(k, to, out.text);
    return out.length;
  },
  'int snprintf(char *to, size_t size, const char *format, ...)': (k, to, size, format, args) => {
    const out = formatC(k, format, args, { limit: Math.max(0, size - 1) });
    if (size > 0) writeGuestText(k, to, out.text);
    return out.length;
  },
  'int vsnprintf(char *to, size_t size, const char *format, va_list args)': (k, to, size, format, args) => {
    const out = formatC(k, format, args, { limit: Math.max(0, size - 1) });
    if (size > 0) writeGuestText(k, to, out.text);
    return out.length;
  },
});

export const sortFunctions: FunctionTable<Kernel> = functions({
  'void qsort(void *base, size_t count, size_t size, int (*compare)(const void *, const void *))': heapSort,
  'void *bsearch(const void *key, const void *base, size_t count, size_t size, int (*compare)(const void *, const void *))':
    binarySearch,
});

interface Kept {
  seed: number;
  /** Where strtok goes on; of the last string it was given. */
  token: Address;
}

const kept = perKernel((): Kept => ({ seed: 1, token: 0 }));

/** Functions that remember something between calls. */
export const rememberingFunctions: FunctionTable<Kernel> = functions({
  // The generator that ISO C shows as an example (7.20.2.2).
  'int rand(void)': (k) => {
    const own = k.state(kept);
    own.seed = (Math.imul(own.seed, 1103515245) + 12345) >>> 0;
    return Math.floor(own.seed / 65536) % 32768;
  },
  'void srand(unsigned int seed)': (k, seed) => {
    k.state(kept).seed = seed;
  },
  'char *strtok(char *text, const char *separators)': (k, text, separators) => {
    const own = k.state(kept);
    const { token, rest } = nextToken(k, text === 0 ? own.token : text, separators);
    own.token = rest;
    return token;
  },
  'char *strtok_r(char *text, const char *separators, char **rest)': (k, text, separators, at) => {
    const { token, rest } = nextToken(k, text === 0 ? k.memory.ptr(at) : text, separators);
    k.memory.setPtr(at, rest);
    return token;
  },
});

/** Every table that all such kernels have: join those that the system has. */
export const cLibrary: readonly FunctionTable<Kernel>[] = [
  memoryFunctions,
  stringFunctions,
  characterFunctions,
  numberFunctions,
  printFunctions,
  sortFunctions,
];

function copy(k: Kernel, to: Address, from: Address, bytes: number): Address {
  if (bytes > 0) k.memory.copy(to, from, bytes);
  return to;
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i] - b[i];
  return 0;
}

/** Strings of bytes: the character codes are the bytes, and a shorter string ends in a NUL. */
function compareText(a: string, b: string): number {
  const length = Math.max(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = (a.charCodeAt(i) || 0) - (b.charCodeAt(i) || 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function lower(text: string): string {
  return text.replace(/[A-Z]/g, (c) => c.toLowerCase());
}

/** Where the byte is, counting the NUL as a part of the string. */
function find(k: Kernel, text: Address, c: number, which: 'first' | 'last'): number {
  const all = `${guestText(k, text)}\0`;
  const one = String.fromCharCode(c & 0xff);
  return which === 'first' ? all.indexOf(one) : all.lastIndexOf(one);
}

function index(text: Address, at: number): Address {
  return at < 0 ? 0 : text + at;
}

function span(text: string, set: string, inside: boolean): number {
  let at = 0;
  while (at < text.length && set.includes(text[at]) === inside) at++;
  return at;
}

function matches(c: number, set: RegExp): number {
  return c >= 0 && c < 128 && set.test(String.fromCharCode(c)) ? 1 : 0;
}

/** Digits in `base` (0 = as C writes them), with blanks and a sign before; `next` is the index behind them. */
export function parseNumber(text: string, base: number): { value: bigint; next: number } {
  const lead = /^[ \t-\r]*([+-]?)/.exec(text);
  let at = lead?.[0].length ?? 0;
  const hex = /^0[xX][0-9a-fA-F]/.test(text.slice(at));
  const radix = base !== 0 ? base : hex ? 16 : text[at] === '0' ? 8 : 10;
  if (radix === 16 && hex) at += 2;
  const first = at;
  let value = 0n;
  for (; at < text.length; at++) {
    const digit = Number.parseInt(text[at], 36);
    if (!(digit < radix)) break;
    value = value * BigInt(radix) + BigInt(digit);
  }
  if (at === first) return { value: 0n, next: 0 };
  return { value: lead?.[1] === '-' ? -value : value, next: at };
}

function longOf(k: Kernel, value: bigint): number {
  return Number(BigInt.asIntN(k.types.model.long * 8, value));
}

function strtol(k: Kernel, text: Address, end: Address, base: number): number {
  const { value, next } = parseNumber(guestText(k, text), base);
  if (end !== 0) k.memory.setPtr(end, text + next);
  return longOf(k, value);
}

/** The token at or behind an address, ended in place; 0 when there is none. */
function nextToken(k: Kernel, from: Address, separators: Address): { token: Address; rest: Address } {
  if (from === 0) return { token: 0, rest: 0 };
  const [text, set] = [guestText(k, from), guestText(k, separators)];
  let start = 0;
  while (start < text.length && set.includes(text[start])) start++;
  if (start === text.length) return { token: 0, rest: 0 };
  let end = start;
  while (end < text.length && !set.includes(text[end])) end++;
  if (end === text.length) return { token: from + start, rest: 0 };
  k.memory.set8(from + end, 0);
  return { token: from + start, rest: from + end + 1 };
}

/** In place and without recursion: what a kernel's own sort does is not to be seen, only its order is. */
function* heapSort(
  k: Kernel,
  base: Address,
  count: number,
  size: number,
  compare: Address,
): Steps<undefined> {
  const at = (i: number) => base + i * size;
  const less = function* (i: number, j: number): Steps<boolean> {
    return (yield* k.callInt(compare, at(i), at(j))) < 0;
  };
  const swap = (i: number, j: number) => {
    const [a, b] = [k.memory.bytes(at(i), size).slice(), k.memory.bytes(at(j), size).slice()];
    k.memory.write(at(i), b);
    k.memory.write(at(j), a);
  };
  const sift = function* (root: number, end: number): Steps<void> {
    for (let child = root * 2 + 1; child < end; child = root * 2 + 1) {
      if (child + 1 < end && (yield* less(child, child + 1))) child++;
      if (!(yield* less(root, child))) return;
      swap(root, child);
      root = child;
    }
  };
  for (let root = Math.floor(count / 2) - 1; root >= 0; root--) yield* sift(root, count);
  for (let end = count - 1; end > 0; end--) {
    swap(0, end);
    yield* sift(0, end);
  }
  return undefined;
}

function* binarySearch(
  k: Kernel,
  key: Address,
  base: Address,
  count: number,
  size: number,
  compare: Address,
): Steps<Address> {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const order = yield* k.callInt(compare, key, base + middle * size);
    if (order === 0) return base + middle * size;
    if (order < 0) high = middle;
    else low = middle + 1;
  }
  return 0;
}
