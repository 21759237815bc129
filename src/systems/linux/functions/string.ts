/** String and memory functions of lib/string.c and lib/string_helpers.c, byte for byte on guest memory. */

import { bytesOf } from '../../../kernel/text/sink.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { DataInitialiser, Linux } from '../linux.ts';
import { kernelBug } from './caller.ts';
import { kernelFunctions } from './define.ts';
import { escapeBytes } from './format/escape.ts';
import { byteString, writeText } from './format/printf.ts';

/** A string without NUL within this many bytes is none. */
const MAX_STRING = 1 << 24;

/** Length of the string at `at`, at most `max`. */
function lengthOf(k: Linux, at: Address, max = MAX_STRING): number {
  return k.memory.scan(at, 0, max);
}

function text(k: Linux, at: Address, max = MAX_STRING): string {
  return byteString(k, at, max);
}

function lower(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte + 32 : byte;
}

/** Compares up to `count` bytes: -1, 0 or 1, as the kernel's strcmp gives. */
function compare(k: Linux, a: Address, b: Address, count: number): number {
  for (let i = 0; i < count; i++) {
    const x = k.memory.u8(a + i);
    const y = k.memory.u8(b + i);
    if (x !== y) return x < y ? -1 : 1;
    if (x === 0) return 0;
  }
  return 0;
}

function compareIgnoringCase(k: Linux, a: Address, b: Address, count: number): number {
  for (let i = 0; i < count; i++) {
    const x = lower(k.memory.u8(a + i));
    const y = lower(k.memory.u8(b + i));
    if (x !== y || x === 0) return x - y;
  }
  return 0;
}

/** strscpy: length copied, or -E2BIG when it was cut. */
function boundedCopy(k: Linux, dest: Address, src: Address, count: number, pad = false): number {
  if (count === 0 || count > 0x7fffffff || count < 0) return -Errno.E2BIG;
  const source = text(k, src, count);
  const cut = source.length === count;
  const kept = cut ? source.slice(0, count - 1) : source;
  writeText(k, dest, kept);
  if (pad) k.memory.fill(dest + kept.length + 1, Math.max(0, count - kept.length - 1), 0);
  return cut ? -Errno.E2BIG : kept.length;
}

function find(k: Linux, at: Address, wanted: number, count = MAX_STRING): Address {
  for (let i = 0; i < count; i++) {
    const byte = k.memory.u8(at + i);
    if (byte === wanted) return at + i;
    if (byte === 0) return 0;
  }
  return 0;
}

const isSpace = (byte: number): boolean => (byte >= 9 && byte <= 13) || byte === 0x20 || byte === 0xa0;

export const stringFunctions = kernelFunctions({
  'size_t strlen(const char *s)': (k, s) => lengthOf(k, s),
  'size_t strnlen(const char *s, size_t count)': (k, s, count) =>
    lengthOf(k, s, count < 0 ? MAX_STRING : Math.min(count, MAX_STRING)),
  'int strcmp(const char *cs, const char *ct)': (k, a, b) => compare(k, a, b, MAX_STRING),
  'int strncmp(const char *cs, const char *ct, size_t count)': (k, a, b, count) => compare(k, a, b, count),
  'int strcasecmp(const char *s1, const char *s2)': (k, a, b) => compareIgnoringCase(k, a, b, MAX_STRING),
  'int strncasecmp(const char *s1, const char *s2, size_t len)': (k, a, b, count) =>
    compareIgnoringCase(k, a, b, count),
  'char *strcpy(char *dest, const char *src)': (k, dest, src) => {
    writeText(k, dest, text(k, src));
    return dest;
  },
  'char *strncpy(char *dest, const char *src, size_t count)': (k, dest, src, count) => {
    const bytes = bytesOf(text(k, src, count));
    k.memory.write(dest, bytes);
    k.memory.fill(dest + bytes.length, count - bytes.length, 0);
    return dest;
  },
  'size_t strlcpy(char *dest, const char *src, size_t size)': (k, dest, src, size) => {
    const source = text(k, src);
    if (size > 0) writeText(k, dest, source.slice(0, size - 1));
    return source.length;
  },
  'ssize_t strscpy(char *dest, const char *src, size_t count)': (k, dest, src, count) =>
    boundedCopy(k, dest, src, count),
  'ssize_t strscpy_pad(char *dest, const char *src, size_t count)': (k, dest, src, count) =>
    boundedCopy(k, dest, src, count, true),
  'char *strcat(char *dest, const char *src)': (k, dest, src) => {
    writeText(k, dest + lengthOf(k, dest), text(k, src));
    return dest;
  },
  'char *strncat(char *dest, const char *src, size_t count)': (k, dest, src, count) => {
    writeText(k, dest + lengthOf(k, dest), text(k, src, count));
    return dest;
  },
  'size_t strlcat(char *dest, const char *src, size_t count)': (k, dest, src, count) => {
    const have = lengthOf(k, dest);
    const source = text(k, src);
    if (have >= count) kernelBug(k, 'lib/string.c:337');
    writeText(k, dest + have, source.slice(0, count - have - 1));
    return have + source.length;
  },
  'char *strchr(const char *s, int c)': (k, s, c) =>
    (c & 0xff) === 0 ? s + lengthOf(k, s) : find(k, s, c & 0xff),
  'char *strchrnul(const char *s, int c)': (k, s, c) => find(k, s, c & 0xff) || s + lengthOf(k, s),
  'char *strnchr(const char *s, size_t count, int c)': (k, s, count, c) => find(k, s, c & 0xff, count),
  'char *strrchr(const char *s, int c)': (k, s, c) => {
    for (let i = lengthOf(k, s); i >= 0; i--) if (k.memory.u8(s + i) === (c & 0xff)) return s + i;
    return 0;
  },
  'char *strstr(const char *s1, const char *s2)': (k, s1, s2) => {
    const at = text(k, s1).indexOf(text(k, s2));
    return at < 0 ? 0 : s1 + at;
  },
  'char *strnstr(const char *s1, const char *s2, size_t len)': (k, s1, s2, length) => {
    const at = text(k, s1, length).indexOf(text(k, s2));
    return at < 0 ? 0 : s1 + at;
  },
  'size_t strspn(const char *s, const char *accept)': (k, s, accept) =>
    spanOf(text(k, s), text(k, accept), true),
  'size_t strcspn(const char *s, const char *reject)': (k, s, reject) =>
    spanOf(text(k, s), text(k, reject), false),
  'char *strpbrk(const char *cs, const char *ct)': (k, s, accept) => {
    const source = text(k, s);
    const at = spanOf(source, text(k, accept), false);
    return at === source.length ? 0 : s + at;
  },
  'char *strsep(char **s, const char *ct)': (k, s, delimiters) => {
    const start = k.memory.ptr(s);
    if (start === 0) return 0;
    const source = text(k, start);
    const at = spanOf(source, text(k, delimiters), false);
    if (at < source.length) k.memory.set8(start + at, 0);
    k.memory.setPtr(s, at < source.length ? start + at + 1 : 0);
    return start;
  },
  'char *skip_spaces(const char *str)': (k, s) => {
    while (isSpace(k.memory.u8(s))) s++;
    return s;
  },
  'char *strim(char *s)': (k, s) => {
    let end = s + lengthOf(k, s);
    if (end === s) return s;
    while (end > s && isSpace(k.memory.u8(end - 1))) end--;
    k.memory.set8(end, 0);
    while (isSpace(k.memory.u8(s))) s++;
    return s;
  },
  'char *strreplace(char *s, char old, char new)': (k, s, before, after) => {
    for (; k.memory.u8(s) !== 0; s++) if (k.memory.u8(s) === (before & 0xff)) k.memory.set8(s, after & 0xff);
    return s;
  },
  'bool sysfs_streq(const char *s1, const char *s2)': (k, a, b) =>
    text(k, a).replace(/\n$/, '') === text(k, b).replace(/\n$/, ''),
});

/** Length of the head of `source` whose characters are (or are not) in `set`. */
function spanOf(source: string, set: string, inside: boolean): number {
  let n = 0;
  while (n < source.length && set.includes(source[n]) === inside) n++;
  return n;
}

export const memoryFunctions = kernelFunctions({
  'void *memmove(void *dest, const void *src, size_t count)': (k, dest, src, count) => {
    k.memory.copy(dest, src, count);
    return dest;
  },
  'void *__memmove(void *dest, const void *src, size_t count)': (k, dest, src, count) => {
    k.memory.copy(dest, src, count);
    return dest;
  },
  'int memcmp(const void *cs, const void *ct, size_t count)': (k, a, b, count) => {
    const at = k.memory.mismatch(a, b, count);
    return at < count ? k.memory.u8(a + at) - k.memory.u8(b + at) : 0;
  },
  'void *memchr(const void *s, int c, size_t n)': (k, s, c, n) => {
    const at = k.memory.scan(s, c & 0xff, n);
    return at < n ? s + at : 0;
  },
  'void *memchr_inv(const void *start, int c, size_t bytes)': (k, s, c, n) => {
    for (let i = 0; i < n; i++) if (k.memory.u8(s + i) !== (c & 0xff)) return s + i;
    return 0;
  },
  'void *memscan(void *addr, int c, size_t size)': (k, s, c, n) => {
    return s + k.memory.scan(s, c & 0xff, n);
  },
  'size_t memweight(const void *ptr, size_t bytes)': (k, s, n) => {
    let weight = 0;
    for (const byte of k.memory.bytes(s, n)) for (let rest = byte; rest !== 0; rest &= rest - 1) weight++;
    return weight;
  },
  'void memcpy_and_pad(void *dest, size_t dest_len, const void *src, size_t count, int pad)': (
    k,
    dest,
    room,
    src,
    count,
    pad,
  ) => {
    k.memory.copy(dest, src, Math.min(room, count));
    if (room > count) k.memory.fill(dest + count, room - count, pad & 0xff);
  },
  'void memcpy_fromio(void *to, const volatile void *from, size_t n)': (k, to, from, n) =>
    k.memory.copy(to, from, n),
  'void memcpy_toio(volatile void *to, const void *from, size_t n)': (k, to, from, n) =>
    k.memory.copy(to, from, n),
  'void memset_io(volatile void *a, int b, size_t c)': (k, at, value, n) =>
    k.memory.fill(at, n, value & 0xff),
  'void __memcpy_flushcache(void *_dst, const void *_src, size_t size)': (k, to, from, n) =>
    k.memory.copy(to, from, n),
  'unsigned long __crypto_memneq(const void *a, const void *b, size_t size)': (k, a, b, size) =>
    k.memory.mismatch(a, b, size) < size ? 1 : 0,
});

export const stringHelpers = kernelFunctions({
  'int match_string(const char * const *array, size_t n, const char *string)': (k, array, n, wanted) =>
    lookUp(k, array, n, (item) => item === text(k, wanted)),
  'int __sysfs_match_string(const char * const *array, size_t n, const char *str)': (k, array, n, wanted) => {
    const name = text(k, wanted).replace(/\n$/, '');
    return lookUp(k, array, n, (item) => item.replace(/\n$/, '') === name);
  },
  'int string_escape_mem(const char *src, size_t isz, char *dst, size_t osz, unsigned int flags, const char *only)':
    (k, src, size, dst, room, flags, only) => {
      const escaped = escapeBytes(rawText(k, src, size), flags, only === 0 ? '' : text(k, only));
      k.memory.write(dst, bytesOf(escaped.slice(0, Math.max(0, room))));
      return escaped.length;
    },
  'char *kstrdup_quotable(const char *src, gfp_t gfp)': (k, src) => {
    if (src === 0) return 0;
    // ESCAPE_HEX of everything that could be mistaken: \f \n \r \t \v \a \e \\ and the quotation mark.
    const quoted = escapeBytes(text(k, src), 32, '\f\n\r\t\v\x07\x1b\\"');
    const at = k.heap.allocate(quoted.length + 1);
    if (at !== 0) writeText(k, at, quoted);
    return at;
  },
  'void string_get_size(u64 size, u64 blk_size, const enum string_size_units units, char *buf, int len)': (
    k,
    size,
    block,
    units,
    buf,
    length,
  ) => {
    const shown = sizeText(size * block, units === 0);
    if (length > 0) writeText(k, buf, shown.slice(0, length - 1));
  },
  'bool glob_match(const char *pat, const char *str)': (k, pattern, s) =>
    globMatch(text(k, pattern), text(k, s)),
});

function rawText(k: Linux, at: Address, size: number): string {
  return Array.from(k.memory.bytes(at, size), (byte) => String.fromCharCode(byte)).join('');
}

function lookUp(k: Linux, array: Address, n: number, fits: (item: string) => boolean): number {
  for (let i = 0; i < (n < 0 ? MAX_STRING : n); i++) {
    const item = k.memory.ptr(array + i * k.word);
    if (item === 0) break;
    if (fits(text(k, item))) return i;
  }
  return -Errno.EINVAL;
}

/** Three significant digits and a unit: 1.50 GiB (units of 1024) or 1.61 GB (of 1000). */
export function sizeText(bytes: bigint, decimal: boolean): string {
  const base = decimal ? 1000n : 1024n;
  const units = decimal
    ? ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB', 'ZB', 'YB']
    : ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB', 'ZiB', 'YiB'];
  let unit = 0;
  let whole = bytes;
  let rest = 0n;
  while (whole >= base && unit < units.length - 1) {
    rest = whole % base;
    whole /= base;
    unit++;
  }
  if (unit === 0) return `${whole} B`;
  const digits = whole < 10n ? 2n : whole < 100n ? 1n : 0n;
  const scale = 10n ** digits;
  let fraction = (rest * scale * 2n + base) / (2n * base);
  if (fraction >= scale) {
    fraction -= scale;
    whole += 1n;
  }
  const shown = digits === 0n ? '' : `.${fraction.toString().padStart(Number(digits), '0')}`;
  return `${whole}${shown} ${units[unit]}`;
}

/** Shell patterns: * ? [set] [!set] and backslash. Linear in pattern and text but for one backtrack of the last star. */
export function globMatch(pattern: string, s: string): boolean {
  let p = 0;
  let i = 0;
  let starP = -1;
  let starI = 0;
  while (i < s.length) {
    if (pattern[p] === '*') {
      starP = ++p;
      starI = i;
      continue;
    }
    const next = matchOne(pattern, p, s[i]);
    if (next > 0) {
      p = next;
      i++;
    } else if (starP >= 0) {
      p = starP;
      i = ++starI;
    } else return false;
  }
  while (pattern[p] === '*') p++;
  return p === pattern.length;
}

/** Index behind the pattern element at `p` when it fits the character, 0 when it does not. */
function matchOne(pattern: string, p: number, c: string): number {
  if (p >= pattern.length) return 0;
  if (pattern[p] === '?') return p + 1;
  if (pattern[p] === '[') {
    const set = matchSet(pattern, p, c);
    if (set !== undefined) return set;
  }
  if (pattern[p] === '\\' && p + 1 < pattern.length) p++;
  return pattern[p] === c ? p + 1 : 0;
}

/** Undefined when the bracket is never closed: then it is a plain character. */
function matchSet(pattern: string, p: number, c: string): number | undefined {
  let at = p + 1;
  const inverted = pattern[at] === '!';
  if (inverted) at++;
  let found = false;
  for (let first = true; ; first = false) {
    const low = pattern[at];
    if (low === undefined) return undefined;
    if (low === ']' && !first) break;
    let high = low;
    at++;
    if (pattern[at] === '-' && pattern[at + 1] !== ']' && pattern[at + 1] !== undefined) {
      high = pattern[at + 1];
      at += 2;
    }
    if (c >= low && c <= high) found = true;
  }
  return found !== inverted ? at + 1 : 0;
}

/** Character classes of lib/ctype.c: Latin-1, bits as include/linux/ctype.h numbers them. */
const CLASS = { U: 1, L: 2, D: 4, C: 8, P: 16, S: 32, X: 64, SP: 128 } as const;

export function characterClass(code: number): number {
  if (code < 0x20 || code === 0x7f) return CLASS.C | (code >= 9 && code <= 13 ? CLASS.S : 0);
  if (code === 0x20) return CLASS.S | CLASS.SP;
  if (code >= 0x30 && code <= 0x39) return CLASS.D;
  if (code >= 0x41 && code <= 0x5a) return CLASS.U | (code <= 0x46 ? CLASS.X : 0);
  if (code >= 0x61 && code <= 0x7a) return CLASS.L | (code <= 0x66 ? CLASS.X : 0);
  if (code < 0x7f) return CLASS.P;
  if (code < 0xa0) return 0;
  if (code === 0xa0) return CLASS.S | CLASS.SP;
  if (code < 0xc0) return CLASS.P;
  if (code === 0xd7 || code === 0xf7) return CLASS.P;
  return code < 0xdf ? CLASS.U : CLASS.L;
}

export const stringData: readonly DataInitialiser[] = [
  {
    symbol: '_ctype',
    when: 'import',
    fill: (k, at) =>
      k.memory.poke(
        at,
        Uint8Array.from({ length: 256 }, (_, code) => characterClass(code)),
      ),
  },
];
