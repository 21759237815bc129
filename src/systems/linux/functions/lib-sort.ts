/** Sorting and searching with comparison functions in the guest, arithmetic helpers, checksums with tables. */
import { crcRight, reflectedTables } from '../../../bytes/crc.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import type { DataInitialiser, Linux } from '../linux.ts';
import { entries, initList } from '../lists.ts';
import { kernelFunctions } from './define.ts';

/** More elements than guest memory could hold of any size. */
const MAX_ELEMENTS = 1 << 24;

type Compare = (a: Address, b: Address) => Steps<number>;
type Swap = (a: Address, b: Address) => Steps<void>;

/** Heap sort in place, as lib/sort.c: comparison and swap functions see addresses inside the array. */
function* heapSort(base: Address, count: number, size: number, compare: Compare, swap: Swap): Steps<void> {
  if (count > MAX_ELEMENTS) return;
  const at = (i: number) => base + i * size;
  for (let i = (count >> 1) - 1; i >= 0; i--) yield* sift(i, count, at, compare, swap);
  for (let end = count - 1; end > 0; end--) {
    yield* swap(at(0), at(end));
    yield* sift(0, end, at, compare, swap);
  }
}

function* sift(
  root: number,
  end: number,
  at: (i: number) => Address,
  compare: Compare,
  swap: Swap,
): Steps<void> {
  for (let child = 2 * root + 1; child < end; child = 2 * root + 1) {
    if (child + 1 < end && (yield* compare(at(child), at(child + 1))) < 0) child++;
    if ((yield* compare(at(root), at(child))) >= 0) return;
    yield* swap(at(root), at(child));
    root = child;
  }
}

/** The caller's swap function, or an exchange of bytes when there is none. */
function swapper(k: Linux, size: number, func: Address, priv?: Address): Swap {
  return function* (a, b) {
    if (func !== 0) {
      yield* priv === undefined ? k.call(func, a, b, size) : k.call(func, a, b, size, priv);
      return;
    }
    const bytes = k.memory.bytes(a, size);
    k.memory.copy(a, b, size);
    k.memory.write(b, bytes);
  };
}

/** Stable merge sort of a linked list (list_sort): the order is reckoned first, then the links are set. */
function* sortList(k: Linux, priv: Address, head: Address, compare: Address): Steps<void> {
  const sorted = yield* mergeSort(k, [...entries(k, head)], priv, compare);
  initList(k, head);
  let previous = head;
  for (const entry of sorted) {
    k.memory.setPtr(previous, entry);
    k.memory.setPtr(entry + k.word, previous);
    previous = entry;
  }
  k.memory.setPtr(previous, head);
  k.memory.setPtr(head + k.word, previous);
}

function* mergeSort(k: Linux, list: Address[], priv: Address, compare: Address): Steps<Address[]> {
  if (list.length < 2) return list;
  const middle = list.length >> 1;
  const left = yield* mergeSort(k, list.slice(0, middle), priv, compare);
  const right = yield* mergeSort(k, list.slice(middle), priv, compare);
  const merged: Address[] = [];
  let [i, j] = [0, 0];
  while (i < left.length && j < right.length) {
    const order = yield* k.callInt(compare, priv, left[i], right[j]);
    merged.push(order <= 0 ? left[i++] : right[j++]);
  }
  return [...merged, ...left.slice(i), ...right.slice(j)];
}

export const sorting = kernelFunctions({
  'void sort(void *base, size_t num, size_t size, cmp_func_t cmp_func, swap_func_t swap_func)': (
    k,
    base,
    count,
    size,
    compare,
    swap,
  ) => heapSort(base, count, size, (a, b) => k.callInt(compare, a, b), swapper(k, size, swap)),
  'void sort_r(void *base, size_t num, size_t size, cmp_r_func_t cmp_func, swap_r_func_t swap_func, const void *priv)':
    (k, base, count, size, compare, swap, priv) =>
      heapSort(base, count, size, (a, b) => k.callInt(compare, a, b, priv), swapper(k, size, swap, priv)),
  'void list_sort(void *priv, struct list_head *head, list_cmp_func_t cmp)': (k, priv, head, compare) =>
    sortList(k, priv, head, compare),
  'void *bsearch(const void *key, const void *base, size_t num, size_t size, cmp_func_t cmp)': function* (
    k,
    key,
    base,
    count,
    size,
    compare,
  ) {
    let low = base;
    for (let left = count; left > 0; left = Math.floor(left / 2)) {
      const middle = low + Math.floor(left / 2) * size;
      const order = yield* k.callInt(compare, key, middle);
      if (order === 0) return middle;
      if (order > 0) {
        low = middle + size;
        left--;
      }
    }
    return 0;
  },
});

// -- arithmetic -------------------------------------------------------------------------------------------------

const unsigned = (value: number): bigint => BigInt.asUintN(64, BigInt(value));

function gcd(a: bigint, b: bigint): bigint {
  while (b !== 0n) [a, b] = [b, a % b];
  return a;
}

function lcm(a: bigint, b: bigint): bigint {
  return a === 0n || b === 0n ? 0n : BigInt.asUintN(64, (a / gcd(a, b)) * b);
}

function squareRoot(x: bigint): bigint {
  if (x < 2n) return x;
  let root = BigInt(Math.floor(Math.sqrt(Number(x))));
  while (root * root > x) root--;
  while ((root + 1n) * (root + 1n) <= x) root++;
  return root;
}

/** The best approximation n/d within bounds, by continued fractions with semiconvergents (lib/math/rational.c). */
function bestRational(num: bigint, den: bigint, maxNum: bigint, maxDen: bigint): [bigint, bigint] {
  let [n, d] = [num, den];
  let [n0, d0, n1, d1] = [0n, 1n, 1n, 0n];
  while (d !== 0n) {
    const previous = d;
    const a = n / d;
    [n, d] = [previous, n % d];
    const [n2, d2] = [n0 + a * n1, d0 + a * d1];
    if (n2 > maxNum || d2 > maxDen) {
      let t = d1 === 0n ? (1n << 64n) - 1n : (maxDen - d0) / d1;
      if (n1 !== 0n) t = t < (maxNum - n0) / n1 ? t : (maxNum - n0) / n1;
      const better = d1 === 0n || 2n * t > a || (2n * t === a && d0 * previous > d1 * d);
      if (better) [n1, d1] = [n0 + t * n1, d0 + t * d1];
      break;
    }
    [n0, n1, d0, d1] = [n1, n2, d1, d2];
  }
  return [n1, d1];
}

export const arithmetic = kernelFunctions({
  // Division by multiplication (Granlund and Montgomery 1994): a factor and two shifts, in one register.
  'struct reciprocal_value reciprocal_value(u32 d)': (_k, divisor) => {
    const bits = 32 - Math.clz32(divisor - 1);
    const factor = ((1n << 32n) * ((1n << BigInt(bits)) - BigInt(divisor))) / BigInt(divisor) + 1n;
    const [before, after] = [Math.min(bits, 1), Math.max(bits - 1, 0)];
    return [BigInt.asUintN(32, factor) | (BigInt(before) << 32n) | (BigInt(after) << 40n), 0n];
  },
  'unsigned long gcd(unsigned long a, unsigned long b)': (_k, a, b) => gcd(unsigned(a), unsigned(b)),
  'unsigned long lcm(unsigned long a, unsigned long b)': (_k, a, b) => lcm(unsigned(a), unsigned(b)),
  'unsigned long lcm_not_zero(unsigned long a, unsigned long b)': (_k, a, b) => {
    const value = lcm(unsigned(a), unsigned(b));
    return value !== 0n ? value : a !== 0 ? a : b;
  },
  'unsigned long int_sqrt(unsigned long x)': (_k, x) => squareRoot(unsigned(x)),
  'u64 int_pow(u64 base, unsigned int exp)': (_k, base, exponent) => {
    let result = 1n;
    for (let e = exponent; e > 0; e >>>= 1) {
      if ((e & 1) === 1) result = BigInt.asUintN(64, result * base);
      base = BigInt.asUintN(64, base * base);
    }
    return result;
  },
  'u32 iter_div_u64_rem(u64 dividend, u32 divisor, u64 *remainder)': (k, dividend, divisor, remainder) => {
    k.memory.setU64(remainder, dividend % BigInt(divisor));
    return Number(BigInt.asUintN(32, dividend / BigInt(divisor)));
  },
  'void rational_best_approximation(unsigned long given_numerator, unsigned long given_denominator, unsigned long max_numerator, unsigned long max_denominator, unsigned long *best_numerator, unsigned long *best_denominator)':
    (k, num, den, maxNum, maxDen, numAt, denAt) => {
      const [n, d] = bestRational(unsigned(num), unsigned(den), unsigned(maxNum), unsigned(maxDen));
      k.memory.setUlong(numAt, n);
      k.memory.setUlong(denAt, d);
    },
});

// -- hexadecimal ------------------------------------------------------------------------------------------------

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const letter = code | 0x20;
  return code < 0x80 && letter >= 0x61 && letter <= 0x66 ? letter - 0x61 + 10 : -1;
}

export const hexFunctions = kernelFunctions({
  'int hex_to_bin(unsigned char ch)': (_k, ch) => hexDigit(ch),
  'int hex2bin(u8 *dst, const char *src, size_t count)': (k, dst, src, count) => {
    for (let i = 0; i < count; i++) {
      const high = hexDigit(k.memory.u8(src + 2 * i));
      const low = high < 0 ? -1 : hexDigit(k.memory.u8(src + 2 * i + 1));
      if (low < 0) return -22;
      k.memory.set8(dst + i, (high << 4) | low);
    }
    return 0;
  },
  'char *bin2hex(char *dst, const void *src, size_t count)': (k, dst, src, count) => {
    const digits = '0123456789abcdef';
    const out = new Uint8Array(count * 2);
    k.memory.bytes(src, count).forEach((byte, i) => {
      out[2 * i] = digits.charCodeAt(byte >> 4);
      out[2 * i + 1] = digits.charCodeAt(byte & 15);
    });
    k.memory.write(dst, out);
    return dst + count * 2;
  },
  'unsigned int _bcd2bin(unsigned char val)': (_k, value) => (value & 15) + (value >> 4) * 10,
  'unsigned char _bin2bcd(unsigned int val)': (_k, value) =>
    ((Math.floor(value / 10) << 4) + (value % 10)) & 0xff,
});

// -- checksums --------------------------------------------------------------------------------------------------

/** Table of a CRC of `bits` bits that shifts left. */
export function forwardTable(polynomial: number, bits: number): Uint32Array {
  const top = 2 ** (bits - 1);
  const mask = 2 ** bits - 1;
  return Uint32Array.from({ length: 256 }, (_, n) => {
    let crc = (n * 2 ** (bits - 8)) >>> 0;
    for (let bit = 0; bit < 8; bit++) {
      crc = ((crc & top) !== 0 ? (crc << 1) ^ polynomial : crc << 1) & mask;
    }
    return crc >>> 0;
  });
}

/** A constant table, made at its first use: most kernels never compute that CRC. */
function lazily(make: () => Uint32Array): () => Uint32Array {
  let table: Uint32Array | undefined;
  return () => (table ??= make());
}

const crc32 = lazily(() => reflectedTables(0xedb88320));
const crc32Forward = lazily(() => forwardTable(0x04c11db7, 32));
const crc32c = lazily(() => reflectedTables(0x82f63b78));
const ccitt = lazily(() => reflectedTables(0x8408));
const ccittFalse = lazily(() => forwardTable(0x1021, 16));

/** Multiplies a CRC by x^(8 * length): what that many zero bytes do to it. */
function shiftCrc(table: Uint32Array, crc: number, length: number): number {
  // A matrix over GF(2), squared for every bit of the length (as zlib's crc32_combine).
  let operator = Array.from({ length: 32 }, (_, bit) => crcRight(table, 2 ** bit, Uint8Array.of(0)));
  const times = (matrix: number[], vector: number) => {
    let sum = 0;
    for (let bit = 0; bit < 32; bit++) if ((vector >>> bit) & 1) sum ^= matrix[bit];
    return sum >>> 0;
  };
  for (let left = length; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) crc = times(operator, crc);
    const square = operator;
    operator = square.map((column) => times(square, column));
  }
  return crc;
}

const pokeTable16 = (symbol: string, table: () => Uint32Array): DataInitialiser => ({
  symbol,
  when: 'import',
  fill: (k, at) => k.memory.poke(at, new Uint8Array(Uint16Array.from(table().subarray(0, 256)).buffer)),
});

export const checksums = kernelFunctions({
  'u32 crc32_le(u32 crc, const unsigned char *p, size_t len)': (k, crc, p, length) =>
    crcRight(crc32(), crc, k.memory.bytes(p, length)),
  'u32 __crc32c_le(u32 crc, const unsigned char *p, size_t len)': (k, crc, p, length) =>
    crcRight(crc32c(), crc, k.memory.bytes(p, length)),
  'u32 crc32_be(u32 crc, const unsigned char *p, size_t len)': (k, crc, p, length) => {
    const table = crc32Forward();
    let value = crc >>> 0;
    for (const byte of k.memory.bytes(p, length)) {
      value = (table[(value >>> 24) ^ byte] ^ (value << 8)) >>> 0;
    }
    return value;
  },
  'u32 crc32_le_shift(u32 crc, size_t len)': (_k, crc, length) => shiftCrc(crc32(), crc, length),
  'u32 __crc32c_le_shift(u32 crc, size_t len)': (_k, crc, length) => shiftCrc(crc32c(), crc, length),
  'u16 crc_ccitt(u16 crc, const u8 *buffer, size_t len)': (k, crc, p, length) =>
    crcRight(ccitt(), crc, k.memory.bytes(p, length)),
  'u16 crc_ccitt_false(u16 crc, const u8 *buffer, size_t len)': (k, crc, p, length) => {
    const table = ccittFalse();
    let value = crc;
    for (const byte of k.memory.bytes(p, length))
      value = (table[(value >> 8) ^ byte] ^ (value << 8)) & 0xffff;
    return value;
  },
});

/** Bytes with their bits in reverse order. */
const REVERSED = Uint8Array.from({ length: 256 }, (_, byte) => {
  let reversed = 0;
  for (let bit = 0; bit < 8; bit++) if ((byte >> bit) & 1) reversed |= 0x80 >> bit;
  return reversed;
});

export const libraryData: readonly DataInitialiser[] = [
  { symbol: 'byte_rev_table', when: 'import', fill: (k, at) => k.memory.poke(at, REVERSED) },
  pokeTable16('crc_ccitt_table', ccitt),
  pokeTable16('crc_ccitt_false_table', ccittFalse),
];
