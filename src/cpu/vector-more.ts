/**
 * Vector instructions that go across lanes or take a mask: horizontal sums, dot products, rounding, blends by a register,
 * string comparisons (Intel SDM volume 2 by mnemonic, 4.1 for PCMPxSTRx).
 */
import * as F from './vector-float.ts';
import type { LaneOperation } from './vector-lanes.ts';

const BYTES = 16;
const bytesOf = (v: DataView): Uint8Array => new Uint8Array(v.buffer, v.byteOffset, BYTES);
const copyOf = (v: DataView): DataView => new DataView(v.buffer.slice(v.byteOffset, v.byteOffset + BYTES));
const put = (d: DataView, s: DataView): void => bytesOf(d).set(bytesOf(s));

/** Even and odd lanes of a size: first those of d, then those of s. */
function separate(d: DataView, s: DataView, size: number): [even: DataView, odd: DataView] {
  const [even, odd] = [new Uint8Array(BYTES), new Uint8Array(BYTES)];
  const both = [...bytesOf(d), ...bytesOf(s)];
  for (let n = 0; n < BYTES; n++) {
    const lane = Math.floor(n / size) * 2;
    even[n] = both[lane * size + (n % size)];
    odd[n] = both[(lane + 1) * size + (n % size)];
  }
  return [new DataView(even.buffer), new DataView(odd.buffer)];
}

/** One operation of neighbours instead of lanes. */
export const across =
  (size: number, operation: LaneOperation): LaneOperation =>
  (d, s, imm) => {
    const [even, odd] = separate(d, s, size);
    operation(even, odd, imm);
    put(d, even);
  };

/** Subtracts in even lanes, adds in odd ones. */
const alternate =
  (size: number, less: LaneOperation, more: LaneOperation): LaneOperation =>
  (d, s, imm) => {
    const [low, high] = [copyOf(d), copyOf(d)];
    less(low, s, imm);
    more(high, s, imm);
    for (let n = 0; n < BYTES; n++) bytesOf(d)[n] = bytesOf(Math.floor(n / size) & 1 ? high : low)[n];
  };

const add = { ps: F.arithmetic('ps', (a, b) => a + b), pd: F.arithmetic('pd', (a, b) => a + b) };
const subtract = { ps: F.arithmetic('ps', (a, b) => a - b), pd: F.arithmetic('pd', (a, b) => a - b) };
const multiply = { ps: F.arithmetic('ps', (a, b) => a * b), pd: F.arithmetic('pd', (a, b) => a * b) };

/** Products of the lanes that the upper bits of the immediate name; their sum to those that the lower ones name. */
export const dotProduct =
  (times: LaneOperation, plus: LaneOperation, size: number): LaneOperation =>
  (d, s, imm) => {
    const products = copyOf(d);
    times(products, s, 0);
    for (let n = 0; n < BYTES; n++)
      if (((imm >> (4 + Math.floor(n / size))) & 1) === 0) products.setUint8(n, 0);
    // Neighbours first, then (for singles) the two sums.
    for (let left = BYTES / size; left > 1; left /= 2) {
      const [even, odd] = separate(products, products, size);
      plus(even, odd, 0);
      put(products, even);
    }
    for (let n = 0; n < BYTES; n++) {
      d.setUint8(n, (imm >> Math.floor(n / size)) & 1 ? products.getUint8(n % size) : 0);
    }
  };

const clamp16 = (value: number): number => Math.min(32767, Math.max(-32768, value));

function unsignedTimesSigned(d: DataView, s: DataView): void {
  for (let at = 0; at < BYTES; at += 2) {
    const sum = d.getUint8(at) * s.getInt8(at) + d.getUint8(at + 1) * s.getInt8(at + 1);
    d.setInt16(at, clamp16(sum), true);
  }
}

const words =
  (f: (a: number, b: number) => number): LaneOperation =>
  (d, s) => {
    for (let at = 0; at < BYTES; at += 2) d.setInt16(at, f(d.getInt16(at, true), s.getInt16(at, true)), true);
  };
const longs =
  (f: (a: number, b: number) => number): LaneOperation =>
  (d, s) => {
    for (let at = 0; at < BYTES; at += 4) d.setInt32(at, f(d.getInt32(at, true), s.getInt32(at, true)), true);
  };

/** Sums of four absolute differences at eight places of d, with four bytes of s. */
function sumsOfDifferences(d: DataView, s: DataView, imm: number): void {
  const [x, y] = [copyOf(d), copyOf(s)];
  const from = imm & 4;
  const to = (imm & 3) * 4;
  for (let n = 0; n < 8; n++) {
    let sum = 0;
    for (let i = 0; i < 4; i++) sum += Math.abs(x.getUint8(from + n + i) - y.getUint8(to + i));
    d.setUint16(n * 2, sum, true);
  }
}

function leastWord(d: DataView, s: DataView): void {
  let [least, at] = [0x10000, 0];
  for (let n = 0; n < 8; n++) {
    const word = s.getUint16(n * 2, true);
    if (word < least) [least, at] = [word, n];
  }
  bytesOf(d).fill(0);
  d.setUint16(0, least, true);
  d.setUint16(2, at, true);
}

function insertSingle(d: DataView, s: DataView, imm: number): void {
  const value = s.getInt32((imm >> 6) * 4, true);
  d.setInt32(((imm >> 4) & 3) * 4, value, true);
  for (let n = 0; n < 4; n++) if ((imm >> n) & 1) d.setInt32(n * 4, 0, true);
}

export const moreLanes: Readonly<Record<string, LaneOperation>> = {
  haddps: across(4, add.ps),
  haddpd: across(8, add.pd),
  hsubps: across(4, subtract.ps),
  hsubpd: across(8, subtract.pd),
  addsubps: alternate(4, subtract.ps, add.ps),
  addsubpd: alternate(8, subtract.pd, add.pd),
  phaddw: across(
    2,
    words((a, b) => a + b),
  ),
  phaddsw: across(
    2,
    words((a, b) => clamp16(a + b)),
  ),
  phsubw: across(
    2,
    words((a, b) => a - b),
  ),
  phsubsw: across(
    2,
    words((a, b) => clamp16(a - b)),
  ),
  phaddd: across(
    4,
    longs((a, b) => a + b),
  ),
  phsubd: across(
    4,
    longs((a, b) => a - b),
  ),
  pmaddubsw: unsignedTimesSigned,
  mpsadbw: sumsOfDifferences,
  phminposuw: leastWord,
  insertps: insertSingle,
  dpps: dotProduct(multiply.ps, add.ps, 4),
  dppd: dotProduct(multiply.pd, add.pd, 8),
  roundps: F.round('ps'),
  roundpd: F.round('pd'),
  roundss: F.round('ss'),
  roundsd: F.round('sd'),
  rcpps: F.estimate('ps', (x) => 1 / x),
  rcpss: F.estimate('ss', (x) => 1 / x),
  rsqrtps: F.estimate('ps', (x) => 1 / Math.sqrt(x)),
  rsqrtss: F.estimate('ss', (x) => 1 / Math.sqrt(x)),
};

/** What a string comparison yields (SDM volume 2, 4.1). */
export interface StringComparison {
  /** IntRes2. */
  readonly bits: number;
  readonly count: number;
  /** Both texts' ends are in sight: ZF and SF. */
  readonly endOfSecond: boolean;
  readonly endOfFirst: boolean;
}

/** Lanes of a text before its end: by the length given, or up to a zero. */
function lengthOf(v: DataView, size: 1 | 2, count: number, given: bigint | undefined): number {
  if (given !== undefined) {
    const length = given < 0n ? -given : given;
    return length > BigInt(count) ? count : Number(length);
  }
  for (let n = 0; n < count; n++) if (lane(v, n, size, false) === 0) return n;
  return count;
}

function lane(v: DataView, n: number, size: 1 | 2, signed: boolean): number {
  if (size === 1) return signed ? v.getInt8(n) : v.getUint8(n);
  return signed ? v.getInt16(n * 2, true) : v.getUint16(n * 2, true);
}

/** @param lengths of the first and the second, where they are explicit */
export function compareStrings(
  first: DataView,
  second: DataView,
  imm: number,
  lengths: readonly [bigint, bigint] | undefined,
): StringComparison {
  const size = imm & 1 ? 2 : 1;
  const count = BYTES / size;
  const signed = (imm & 2) !== 0;
  const [l1, l2] = [lengthOf(first, size, count, lengths?.[0]), lengthOf(second, size, count, lengths?.[1])];
  const x = (n: number): number => lane(first, n, size, signed);
  const y = (n: number): number => lane(second, n, size, signed);
  const holds = [
    // Any of a set.
    (j: number) => j < l2 && range(l1).some((i) => x(i) === y(j)),
    // In one of the ranges.
    (j: number) => j < l2 && range(l1 >> 1).some((i) => y(j) >= x(2 * i) && y(j) <= x(2 * i + 1)),
    // Lane by lane; two lanes behind both ends are equal.
    (j: number) => (j < l1 && j < l2 ? x(j) === y(j) : j >= l1 && j >= l2),
    // The first begins here in the second, as far as that can be seen.
    (j: number) => range(l1).every((i) => j + i >= count || (j + i < l2 && x(i) === y(j + i))),
  ][(imm >> 2) & 3];
  let bits = 0;
  for (let j = 0; j < count; j++) if (holds(j)) bits |= 1 << j;
  const polarity = (imm >> 4) & 3;
  if (polarity === 1) bits ^= (1 << count) - 1;
  else if (polarity === 3) bits ^= (1 << l2) - 1;
  return { bits, count, endOfSecond: l2 < count, endOfFirst: l1 < count };
}

const range = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

/** The lowest or highest set bit, or one behind the last. */
export function indexOf({ bits, count }: StringComparison, highest: boolean): number {
  if (bits === 0) return count;
  return highest ? 31 - Math.clz32(bits) : 31 - Math.clz32(bits & -bits);
}

/** As bits in the low part, or spread over the lanes. */
export function maskOf({ bits, count }: StringComparison, spread: boolean, out: DataView): void {
  bytesOf(out).fill(0);
  if (!spread) out.setUint16(0, bits, true);
  else {
    const size = BYTES / count;
    for (let n = 0; n < BYTES; n++) if ((bits >> Math.floor(n / size)) & 1) out.setUint8(n, 255);
  }
}
