/**
 * Floating-point lanes of vector registers, to the bit of what SSE gives: which NaN comes out, which zero wins in
 * min and max, what a conversion out of range yields (SDM vol. 1, 4.8.3.5 and 11.5; vol. 2 by mnemonic).
 *
 * Rounding is to nearest even, as a kernel has it; what MXCSR may ask for besides is in vector-exact.ts.
 */
import type { LaneOperation } from './vector-lanes.ts';

/** A float format in a register lane. */
interface Format {
  readonly size: 4 | 8;
  read(view: DataView, at: number): number;
  write(view: DataView, at: number, value: number): void;
  isNaN(view: DataView, at: number): boolean;
  /** Copies a NaN, made quiet. */
  quiet(to: DataView, toAt: number, from: DataView, fromAt: number): void;
  /** The NaN of an invalid operation: negative and quiet. */
  invalid(view: DataView, at: number): void;
}

const single: Format = {
  size: 4,
  read: (view, at) => view.getFloat32(at, true),
  write: (view, at, value) => view.setFloat32(at, value, true),
  isNaN: (view, at) => (view.getUint32(at, true) & 0x7fffffff) > 0x7f800000,
  quiet: (to, toAt, from, fromAt) => to.setUint32(toAt, from.getUint32(fromAt, true) | 0x400000, true),
  invalid: (view, at) => view.setUint32(at, 0xffc00000, true),
};

const QUIET_64 = 1n << 51n;
const double: Format = {
  size: 8,
  read: (view, at) => view.getFloat64(at, true),
  write: (view, at, value) => view.setFloat64(at, value, true),
  isNaN: (view, at) => (view.getBigUint64(at, true) & 0x7fffffffffffffffn) > 0x7ff0000000000000n,
  quiet: (to, toAt, from, fromAt) => {
    to.setBigUint64(toAt, from.getBigUint64(fromAt, true) | QUIET_64, true);
  },
  invalid: (view, at) => view.setBigUint64(at, 0xfff8000000000000n, true),
};

/** Suffix of a mnemonic: scalar or packed, single or double. */
export type FloatSuffix = 'ss' | 'sd' | 'ps' | 'pd';
export const FLOAT_SUFFIXES: readonly FloatSuffix[] = ['ss', 'sd', 'ps', 'pd'];

const formatOf = (suffix: FloatSuffix): Format => (suffix[1] === 's' ? single : double);
const lanesOf = (suffix: FloatSuffix): number => (suffix[0] === 's' ? 1 : 16 / formatOf(suffix).size);

function lanes(
  suffix: FloatSuffix,
  lane: (f: Format, d: DataView, s: DataView, at: number, imm: number) => void,
) {
  const format = formatOf(suffix);
  const count = lanesOf(suffix);
  const operation: LaneOperation = (d, s, imm) => {
    for (let n = 0; n < count; n++) lane(format, d, s, n * format.size, imm);
  };
  return operation;
}

/** add, sub, mul, div. A float32 result rounded from float64 is exact for these four. */
export function arithmetic(suffix: FloatSuffix, f: (a: number, b: number) => number): LaneOperation {
  return lanes(suffix, (format, d, s, at) => {
    if (format.isNaN(d, at)) format.quiet(d, at, d, at);
    else if (format.isNaN(s, at)) format.quiet(d, at, s, at);
    else {
      const result = f(format.read(d, at), format.read(s, at));
      if (Number.isNaN(result)) format.invalid(d, at);
      else format.write(d, at, result);
    }
  });
}

export function squareRoot(suffix: FloatSuffix): LaneOperation {
  return lanes(suffix, (format, d, s, at) => {
    if (format.isNaN(s, at)) format.quiet(d, at, s, at);
    else {
      const value = format.read(s, at);
      if (value < 0) format.invalid(d, at);
      else format.write(d, at, Math.sqrt(value));
    }
  });
}

/** Rounding to a whole number by the immediate: to nearest even, down, up, towards zero; bit 2 asks for MXCSR's, which is to nearest here. */
const ROUNDINGS: readonly ((value: number) => number)[] = [roundEven, Math.floor, Math.ceil, Math.trunc];

export function round(suffix: FloatSuffix): LaneOperation {
  return lanes(suffix, (format, d, s, at, imm) => {
    if (format.isNaN(s, at)) format.quiet(d, at, s, at);
    else {
      const value = format.read(s, at);
      const whole = ROUNDINGS[imm & 4 ? 0 : imm & 3](value);
      // What rounds to zero keeps its sign.
      format.write(d, at, whole === 0 && (value < 0 || Object.is(value, -0)) ? -0 : whole);
    }
  });
}

/** Estimates of 12 bits on a processor; here the nearest number there is, which is within the same bound. */
export function estimate(suffix: 'ss' | 'ps', f: (value: number) => number): LaneOperation {
  return lanes(suffix, (format, d, s, at) => {
    if (format.isNaN(s, at)) format.quiet(d, at, s, at);
    else {
      const value = format.read(s, at);
      // Denormal operands count as zero.
      const flushed = Math.abs(value) < 2 ** -126 ? value * 0 : value;
      const result = f(flushed);
      if (Number.isNaN(result)) format.invalid(d, at);
      else format.write(d, at, result);
    }
  });
}

/** min and max: the source wins when either is a NaN and when they are equal. */
export function extreme(suffix: FloatSuffix, better: (a: number, b: number) => boolean): LaneOperation {
  return lanes(suffix, (format, d, s, at) => {
    const kept =
      !format.isNaN(d, at) && !format.isNaN(s, at) && better(format.read(d, at), format.read(s, at));
    if (!kept) copyLane(d, s, at, format.size);
  });
}

function copyLane(d: DataView, s: DataView, at: number, size: 4 | 8): void {
  d.setInt32(at, s.getInt32(at, true), true);
  if (size === 8) d.setInt32(at + 4, s.getInt32(at + 4, true), true);
}

const PREDICATES: readonly ((a: number, b: number) => boolean)[] = [
  (a, b) => a === b,
  (a, b) => a < b,
  (a, b) => a <= b,
  (a, b) => Number.isNaN(a) || Number.isNaN(b),
];

/** cmpss and its kin: all ones or all zeros by the predicate in the immediate. */
export function compare(suffix: FloatSuffix): LaneOperation {
  return lanes(suffix, (format, d, s, at, imm) => {
    const holds = PREDICATES[imm & 3](format.read(d, at), format.read(s, at));
    const mask = holds !== ((imm & 4) !== 0) ? -1 : 0;
    d.setInt32(at, mask, true);
    if (format.size === 8) d.setInt32(at + 4, mask, true);
  });
}

/** Status flags of comis and ucomis: ZF, PF, CF. */
export function orderFlags(d: DataView, s: DataView, isDouble: boolean): number {
  const format = isDouble ? double : single;
  const a = format.read(d, 0);
  const b = format.read(s, 0);
  if (Number.isNaN(a) || Number.isNaN(b)) return 0x45;
  return a > b ? 0 : a < b ? 1 : 0x40;
}

function roundEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest < 0.5) return floor;
  if (rest > 0.5) return floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

/** Float lane to integer of 4 or 8 bytes; what does not fit gives the most negative one. */
export function toInteger(
  s: DataView,
  at: number,
  isDouble: boolean,
  truncate: boolean,
  size: 4 | 8,
): bigint {
  const value = isDouble ? s.getFloat64(at, true) : s.getFloat32(at, true);
  const limit = size === 8 ? 2 ** 63 : 2 ** 31;
  const whole = truncate ? Math.trunc(value) : roundEven(value);
  if (!(whole >= -limit && whole < limit)) return size === 8 ? -(1n << 63n) : -0x80000000n;
  return BigInt(whole);
}

/** Integer to single precision in one rounding: bits that cannot matter are folded into a sticky one. */
function toSingle(value: bigint): number {
  const magnitude = value < 0n ? -value : value;
  if (magnitude < 1n << 53n) return Math.fround(Number(value));
  const shift = 16n;
  const sticky = (magnitude & ((1n << shift) - 1n)) !== 0n ? 1n : 0n;
  const result = Math.fround(Number((magnitude >> shift) | sticky)) * 65536;
  return value < 0n ? -result : result;
}

/** cvtsi2ss and cvtsi2sd: only the low lane of d changes. */
export function fromInteger(d: DataView, value: bigint, isDouble: boolean): void {
  if (isDouble) d.setFloat64(0, Number(value), true);
  else d.setFloat32(0, toSingle(value), true);
}

function widenLane(d: DataView, to: number, s: DataView, from: number): void {
  if (!single.isNaN(s, from)) {
    d.setFloat64(to, s.getFloat32(from, true), true);
    return;
  }
  const bits = BigInt(s.getUint32(from, true) | 0x400000);
  const sign = (bits >> 31n) & 1n;
  d.setBigUint64(to, (sign << 63n) | (0x7ffn << 52n) | ((bits & 0x7fffffn) << 29n), true);
}

function narrowLane(d: DataView, to: number, s: DataView, from: number): void {
  if (!double.isNaN(s, from)) {
    d.setFloat32(to, s.getFloat64(from, true), true);
    return;
  }
  const bits = s.getBigUint64(from, true) | QUIET_64;
  const sign = Number(bits >> 63n);
  d.setUint32(to, ((sign << 31) | 0x7f800000 | Number((bits >> 29n) & 0x7fffffn)) >>> 0, true);
}

const copyOf = (s: DataView): DataView => new DataView(s.buffer.slice(s.byteOffset, s.byteOffset + 16));

/** Conversions between vector registers. */
export const conversions: Readonly<Record<string, LaneOperation>> = {
  cvtss2sd: (d, s) => widenLane(d, 0, s, 0),
  cvtsd2ss: (d, s) => narrowLane(d, 0, s, 0),
  cvtps2pd: (d, s) => {
    const copy = copyOf(s);
    widenLane(d, 0, copy, 0);
    widenLane(d, 8, copy, 4);
  },
  cvtpd2ps: (d, s) => {
    const copy = copyOf(s);
    narrowLane(d, 0, copy, 0);
    narrowLane(d, 4, copy, 8);
    d.setBigUint64(8, 0n, true);
  },
  cvtdq2ps: (d, s) => {
    for (let at = 0; at < 16; at += 4) d.setFloat32(at, s.getInt32(at, true), true);
  },
  cvtdq2pd: (d, s) => {
    const [low, high] = [s.getInt32(0, true), s.getInt32(4, true)];
    d.setFloat64(0, low, true);
    d.setFloat64(8, high, true);
  },
  cvtps2dq: (d, s) => packedToInteger(d, s, 4, false),
  cvttps2dq: (d, s) => packedToInteger(d, s, 4, true),
  cvtpd2dq: (d, s) => packedToInteger(d, s, 8, false),
  cvttpd2dq: (d, s) => packedToInteger(d, s, 8, true),
};

function packedToInteger(d: DataView, s: DataView, size: 4 | 8, truncate: boolean): void {
  const copy = copyOf(s);
  d.setBigUint64(8, 0n, true);
  for (let n = 0; n < 16 / size; n++) {
    d.setInt32(n * 4, Number(toInteger(copy, n * size, size === 8, truncate, 4)), true);
  }
}
