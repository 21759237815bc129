/** Text to numbers: kstrto*, simple_strto*, memparse, option lists, match_token (lib/kstrtox.c, lib/cmdline.c, lib/parser.c). */
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { basePrefix, parseBoolean, parseSized, readDigits } from '../number-text.ts';
import { copyFromUser } from '../user.ts';
import { kernelFunctions } from './define.ts';
import { byteString, writeText } from './format/printf.ts';

/** More digits than any base needs for 64 bits, with room for zeros in front. */
const MAX_NUMBER = 4096;

type Write = (k: Linux, at: Address, value: bigint) => void;

const store: Record<number, Write> = {
  8: (k, at, value) => k.memory.set8(at, Number(BigInt.asUintN(8, value))),
  16: (k, at, value) => k.memory.set16(at, Number(BigInt.asUintN(16, value))),
  32: (k, at, value) => k.memory.set32(at, Number(BigInt.asIntN(32, value))),
  64: (k, at, value) => k.memory.setU64(at, BigInt.asUintN(64, value)),
};

/** Parses, checks the range, stores; 0 or a negative errno. */
function convert(k: Linux, text: string, base: number, bits: number, signed: boolean, out: Address): number {
  const value = parseSized(text, base, bits, signed);
  if (typeof value === 'number') return value;
  store[bits](k, out, value);
  return 0;
}

function fromKernel(k: Linux, s: Address, base: number, bits: number, signed: boolean, out: Address): number {
  return convert(k, byteString(k, s, MAX_NUMBER), base, bits, signed, out);
}

/** The kstrto*_from_user functions look at as many bytes as the longest number of that width has. */
function fromUser(
  k: Linux,
  s: Address,
  count: number,
  base: number,
  bits: number,
  signed: boolean,
  out: Address,
): number {
  const text = userText(k, s, Math.min(count, bits + 3));
  return typeof text === 'number' ? text : convert(k, text, base, bits, signed, out);
}

function userText(k: Linux, at: Address, count: number): string | number {
  const buffer = k.heap.allocate(Math.max(1, count));
  if (buffer === 0) return -Errno.ENOMEM;
  try {
    return copyFromUser(k, buffer, at, count) === 0 ? byteString(k, buffer, count) : -Errno.EFAULT;
  } finally {
    k.heap.free(buffer);
  }
}

export const kstrto = kernelFunctions({
  'int kstrtoull(const char *s, unsigned int base, unsigned long long *res)': (k, s, base, res) =>
    fromKernel(k, s, base, 64, false, res),
  'int kstrtoll(const char *s, unsigned int base, long long *res)': (k, s, base, res) =>
    fromKernel(k, s, base, 64, true, res),
  'int _kstrtoul(const char *s, unsigned int base, unsigned long *res)': (k, s, base, res) =>
    fromKernel(k, s, base, 8 * k.word, false, res),
  'int _kstrtol(const char *s, unsigned int base, long *res)': (k, s, base, res) =>
    fromKernel(k, s, base, 8 * k.word, true, res),
  'int kstrtouint(const char *s, unsigned int base, unsigned int *res)': (k, s, base, res) =>
    fromKernel(k, s, base, 32, false, res),
  'int kstrtoint(const char *s, unsigned int base, int *res)': (k, s, base, res) =>
    fromKernel(k, s, base, 32, true, res),
  'int kstrtou16(const char *s, unsigned int base, u16 *res)': (k, s, base, res) =>
    fromKernel(k, s, base, 16, false, res),
  'int kstrtos16(const char *s, unsigned int base, s16 *res)': (k, s, base, res) =>
    fromKernel(k, s, base, 16, true, res),
  'int kstrtou8(const char *s, unsigned int base, u8 *res)': (k, s, base, res) =>
    fromKernel(k, s, base, 8, false, res),
  'int kstrtos8(const char *s, unsigned int base, s8 *res)': (k, s, base, res) =>
    fromKernel(k, s, base, 8, true, res),
  'int kstrtobool(const char *s, bool *res)': (k, s, res) =>
    s === 0 ? -Errno.EINVAL : storeBoolean(k, byteString(k, s, 8), res),
  'int kstrtobool_from_user(const char *s, size_t count, bool *res)': (k, s, count, res) => {
    const text = userText(k, s, Math.min(count, 3));
    return typeof text === 'number' ? text : storeBoolean(k, text, res);
  },
  'int kstrtoull_from_user(const char *s, size_t count, unsigned int base, unsigned long long *res)': (
    k,
    s,
    n,
    base,
    res,
  ) => fromUser(k, s, n, base, 64, false, res),
  'int kstrtoll_from_user(const char *s, size_t count, unsigned int base, long long *res)': (
    k,
    s,
    n,
    base,
    res,
  ) => fromUser(k, s, n, base, 64, true, res),
  'int kstrtoul_from_user(const char *s, size_t count, unsigned int base, unsigned long *res)': (
    k,
    s,
    n,
    base,
    res,
  ) => fromUser(k, s, n, base, 8 * k.word, false, res),
  'int kstrtol_from_user(const char *s, size_t count, unsigned int base, long *res)': (k, s, n, base, res) =>
    fromUser(k, s, n, base, 8 * k.word, true, res),
  'int kstrtouint_from_user(const char *s, size_t count, unsigned int base, unsigned int *res)': (
    k,
    s,
    n,
    base,
    res,
  ) => fromUser(k, s, n, base, 32, false, res),
  'int kstrtoint_from_user(const char *s, size_t count, unsigned int base, int *res)': (k, s, n, base, res) =>
    fromUser(k, s, n, base, 32, true, res),
  'int kstrtou16_from_user(const char *s, size_t count, unsigned int base, u16 *res)': (k, s, n, base, res) =>
    fromUser(k, s, n, base, 16, false, res),
  'int kstrtos16_from_user(const char *s, size_t count, unsigned int base, s16 *res)': (k, s, n, base, res) =>
    fromUser(k, s, n, base, 16, true, res),
  'int kstrtou8_from_user(const char *s, size_t count, unsigned int base, u8 *res)': (k, s, n, base, res) =>
    fromUser(k, s, n, base, 8, false, res),
  'int kstrtos8_from_user(const char *s, size_t count, unsigned int base, s8 *res)': (k, s, n, base, res) =>
    fromUser(k, s, n, base, 8, true, res),
});

function storeBoolean(k: Linux, text: string, res: Address): number {
  const value = parseBoolean(text);
  if (value < 0) return value;
  k.memory.set8(res, value);
  return 0;
}

/** simple_strtoull: as many digits as there are, whatever follows, wrapping silently. */
function simple(k: Linux, at: Address, end: Address, base: number, signed: boolean): bigint {
  const text = byteString(k, at, MAX_NUMBER);
  const negative = signed && text[0] === '-';
  const body = negative ? text.slice(1) : text;
  const [actual, prefix] = basePrefix(body, base);
  const digits = readDigits(body.slice(prefix), actual);
  if (end !== 0) k.memory.setPtr(end, at + (negative ? 1 : 0) + prefix + digits.length);
  return negative ? -digits.value : digits.value;
}

/** Suffixes of memparse: each is 1024 times the one before. */
const SIZES = 'kmgtpe';

/** A number with an optional size letter: 64k, 1G. */
export function parseSize(text: string): { value: bigint; length: number } {
  const [base, prefix] = basePrefix(text, 0);
  const digits = readDigits(text.slice(prefix), base);
  const length = prefix + digits.length;
  const unit = SIZES.indexOf((text[length] ?? ' ').toLowerCase());
  if (unit < 0) return { value: digits.value, length };
  return { value: BigInt.asUintN(64, digits.value << BigInt(10 * (unit + 1))), length: length + 1 };
}

/** One integer of a list: 0 none, 1 an int, 2 an int and a comma, 3 an int and a hyphen (a range follows). */
function option(k: Linux, strAt: Address, out: Address): number {
  const cursor = k.memory.ptr(strAt);
  if (cursor === 0) return 0;
  const text = byteString(k, cursor, MAX_NUMBER);
  if (text === '') return 0;
  const negative = text[0] === '-';
  const body = negative ? text.slice(1) : text;
  const [base, prefix] = basePrefix(body, 0);
  const digits = readDigits(body.slice(prefix), base);
  const length = (negative ? 1 : 0) + prefix + digits.length;
  if (digits.length === 0) return 0;
  if (out !== 0) k.memory.set32(out, Number(BigInt.asIntN(32, negative ? -digits.value : digits.value)));
  const next = text[length];
  k.memory.setPtr(strAt, cursor + length + (next === ',' ? 1 : 0));
  return next === ',' ? 2 : next === '-' ? 3 : 1;
}

export const simpleNumbers = kernelFunctions({
  'unsigned long long simple_strtoull(const char *cp, char **endp, unsigned int base)': (k, s, end, base) =>
    simple(k, s, end, base, false),
  'unsigned long simple_strtoul(const char *cp, char **endp, unsigned int base)': (k, s, end, base) =>
    simple(k, s, end, base, false),
  'long simple_strtol(const char *cp, char **endp, unsigned int base)': (k, s, end, base) =>
    simple(k, s, end, base, true),
  'long long simple_strtoll(const char *cp, char **endp, unsigned int base)': (k, s, end, base) =>
    simple(k, s, end, base, true),
  'unsigned long long memparse(const char *ptr, char **retptr)': (k, s, end) => {
    const { value, length } = parseSize(byteString(k, s, MAX_NUMBER));
    if (end !== 0) k.memory.setPtr(end, s + length);
    return value;
  },
  'int get_option(char **str, int *pint)': (k, str, out) => option(k, str, out),
  'char *get_options(const char *str, int nints, int *ints)': (k, str, room, ints) =>
    options(k, str, room, ints),
  'char **argv_split(gfp_t gfp, const char *str, int *argcp)': (k, _gfp, str, count) =>
    splitArguments(k, str, count),
  'void argv_free(char **argv)': (k, argv) => {
    // The words and the vector are two allocations; the words' address lies in front of the vector.
    k.heap.free(k.memory.ptr(argv - k.word));
    k.heap.free(argv - k.word);
  },
});

/** ints[0] becomes the count; ranges a-b are written out. */
function options(k: Linux, str: Address, room: number, ints: Address): Address {
  const cursor = k.heap.allocate(8);
  k.memory.setPtr(cursor, str);
  try {
    let i = 1;
    while (i < room) {
      const kind = option(k, cursor, ints + i * 4);
      if (kind === 0) break;
      if (kind === 3) {
        const filled = range(k, cursor, ints + i * 4, room - i);
        if (filled < 0) break;
        i += filled - 1;
      }
      i++;
      if (kind === 1) break;
    }
    k.memory.set32(ints, i - 1);
    return k.memory.ptr(cursor);
  } finally {
    k.heap.free(cursor);
  }
}

/** Writes out a range whose first number is stored and whose hyphen the cursor points at; how many, or -1. */
function range(k: Linux, cursor: Address, at: Address, room: number): number {
  k.memory.setPtr(cursor, k.memory.ptr(cursor) + 1);
  const first = k.memory.i32(at);
  const { value, length } = parseSize(byteString(k, k.memory.ptr(cursor), MAX_NUMBER));
  const count = Number(BigInt.asIntN(32, value)) - first + 1;
  k.memory.setPtr(cursor, k.memory.ptr(cursor) + length);
  if (count < 1) return -1;
  const written = Math.min(count, room);
  for (let i = 0; i < written; i++) k.memory.set32(at + i * 4, first + i);
  if (k.memory.u8(k.memory.ptr(cursor)) === 0x2c) k.memory.setPtr(cursor, k.memory.ptr(cursor) + 1);
  return written;
}

function splitArguments(k: Linux, str: Address, countAt: Address): Address {
  const text = byteString(k, str);
  const words = text.split(/[\t\n\v\f\r ]+/).filter((word) => word !== '');
  const copy = k.heap.allocate(text.length + 1);
  const block = k.heap.allocate((words.length + 2) * k.word);
  if (copy === 0 || block === 0) return 0;
  k.memory.setPtr(block, copy);
  let at = copy;
  words.forEach((word, i) => {
    writeText(k, at, word);
    k.memory.setPtr(block + k.word + i * k.word, at);
    at += word.length + 1;
  });
  k.memory.setPtr(block + k.word + words.length * k.word, 0);
  if (countAt !== 0) k.memory.set32(countAt, words.length);
  return block + k.word;
}

/** Most arguments a match_token pattern may have (include/linux/parser.h). */
const MAX_OPT_ARGS = 3;
const SUBSTRING_WORDS = 2;

/** Matches one pattern; the substrings its conversions stand for, or undefined. */
function matchPattern(text: string, pattern: string): [number, number][] | undefined {
  const found: [number, number][] = [];
  let at = 0;
  let p = 0;
  for (;;) {
    const percent = pattern.indexOf('%', p);
    const literal = percent < 0 ? pattern.slice(p) : pattern.slice(p, percent);
    if (!text.startsWith(literal, at)) return undefined;
    at += literal.length;
    if (percent < 0) return at === text.length ? found : undefined;
    p = percent + 1;
    const width = /^\d*/.exec(pattern.slice(p))?.[0] ?? '';
    p += width.length;
    const kind = pattern[p++];
    if (kind === '%' && text[at] === '%') {
      at++;
      continue;
    }
    if (found.length >= MAX_OPT_ARGS) return undefined;
    const length = conversionLength(text.slice(at), kind, width === '' ? -1 : Number(width));
    if (length < 0) return undefined;
    found.push([at, at + length]);
    at += length;
  }
}

function conversionLength(text: string, kind: string, width: number): number {
  if (kind === 's') {
    if (text === '') return -1;
    return width < 0 ? text.length : Math.min(width, text.length);
  }
  const base = { d: 0, u: 0, o: 8, x: 16 }[kind];
  if (base === undefined) return -1;
  const sign = kind === 'd' && text[0] === '-' ? 1 : 0;
  const [actual, prefix] = basePrefix(text.slice(sign), base);
  const digits = readDigits(text.slice(sign + prefix), actual);
  return digits.length === 0 ? -1 : sign + prefix + digits.length;
}

function matchNumber(k: Linux, s: Address, out: Address, base: number): number {
  const from = k.memory.ptr(s);
  const text = byteString(k, from, k.memory.ptr(s + k.word) - from);
  const negative = text[0] === '-';
  const body = negative ? text.slice(1) : text;
  const [actual, prefix] = basePrefix(body, base);
  const digits = readDigits(body.slice(prefix), actual);
  if (prefix + digits.length !== body.length || digits.length === 0) return -Errno.EINVAL;
  const value = negative ? -digits.value : digits.value;
  if (value < -(1n << 31n) || value >= 1n << 31n) return -Errno.ERANGE;
  k.memory.set32(out, Number(value));
  return 0;
}

function substring(k: Linux, s: Address): string {
  const from = k.memory.ptr(s);
  return byteString(k, from, Math.max(0, k.memory.ptr(s + k.word) - from));
}

export const parser = kernelFunctions({
  'int match_token(char *s, const match_table_t table, substring_t args[])': (k, s, table, args) => {
    const text = byteString(k, s);
    for (let row = table; ; row += 2 * k.word) {
      const pattern = k.memory.ptr(row + k.word);
      const found = pattern === 0 ? [] : matchPattern(text, byteString(k, pattern));
      if (found === undefined) continue;
      found.forEach(([from, to], i) => {
        k.memory.setPtr(args + i * SUBSTRING_WORDS * k.word, s + from);
        k.memory.setPtr(args + i * SUBSTRING_WORDS * k.word + k.word, s + to);
      });
      return k.memory.i32(row);
    }
  },
  'int match_int(substring_t *s, int *result)': (k, s, out) => matchNumber(k, s, out, 0),
  'int match_octal(substring_t *s, int *result)': (k, s, out) => matchNumber(k, s, out, 8),
  'int match_hex(substring_t *s, int *result)': (k, s, out) => matchNumber(k, s, out, 16),
  'int match_uint(substring_t *s, unsigned int *result)': (k, s, out) =>
    convert(k, substring(k, s), 10, 32, false, out),
  'int match_u64(substring_t *s, u64 *result)': (k, s, out) => convert(k, substring(k, s), 0, 64, false, out),
  'size_t match_strlcpy(char *dest, const substring_t *src, size_t size)': (k, dest, src, size) => {
    const text = substring(k, src);
    if (size > 0) writeText(k, dest, text.slice(0, size - 1));
    return text.length;
  },
  'char *match_strdup(const substring_t *s)': (k, s) => {
    const text = substring(k, s);
    const at = k.heap.allocate(text.length + 1);
    if (at !== 0) writeText(k, at, text);
    return at;
  },
  'bool match_wildcard(const char *pattern, const char *str)': (k, pattern, str) =>
    wildcard(byteString(k, pattern), byteString(k, str)),
});

/** Stars and question marks only. */
function wildcard(pattern: string, text: string): boolean {
  let p = 0;
  let i = 0;
  let star = -1;
  let mark = 0;
  while (i < text.length) {
    if (pattern[p] === '*') {
      star = p++;
      mark = i;
    } else if (p < pattern.length && (pattern[p] === '?' || pattern[p] === text[i])) {
      p++;
      i++;
    } else if (star >= 0) {
      p = star + 1;
      i = ++mark;
    } else return false;
  }
  while (pattern[p] === '*') p++;
  return p === pattern.length;
}
