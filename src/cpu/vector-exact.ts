/**
 * Floating-point lanes of vector registers as MXCSR asks for them: rounding, denormals taken for zeros, tiny results flushed to
 * zero, and the exceptions of each operation (SDM volume 1, 4.9, 10.2.3 and 11.5). Only what asks for any of that comes here;
 * with the usual control WebAssembly's own arithmetic gives the same (ops/simd-float.ts, vector-float.ts).
 */
import { FLAG } from './state.ts';
import type { LaneOperation } from './vector-lanes.ts';
import { across, dotProduct } from './vector-more.ts';
import * as X from './x87-float.ts';
import { type Environment, type Extended, X87 } from './x87-float.ts';

/** MXCSR while one instruction runs. */
export interface Control {
  /** 0 to nearest, 1 down, 2 up, 3 towards zero. */
  readonly rounding: number;
  readonly denormalsAreZero: boolean;
  readonly flushToZero: boolean;
  /** Exceptions that are reported in flags alone. */
  readonly masked: number;
  /** What has been met so far, as in the lower bits of MXCSR. */
  flags: number;
}

const DAZ = 0x40;
const FTZ = 0x8000;
const MASKS = 7;
const ROUNDING = 13;
const EXCEPTIONS = 63;
/** Known before a result is worked out: they keep the others from being found. */
const EARLY = X87.IE | X87.DE | X87.ZE;

export function controlOf(mxcsr: number): Control {
  const masked = (mxcsr >> MASKS) & EXCEPTIONS;
  return {
    rounding: (mxcsr >> ROUNDING) & 3,
    denormalsAreZero: (mxcsr & DAZ) !== 0,
    flushToZero: (mxcsr & FTZ) !== 0 && (masked & X87.UE) !== 0,
    masked,
    flags: 0,
  };
}

/** The flags that an instruction leaves set, and whether it ends with an exception instead of a result. */
export function raised({ flags, masked }: Control): { flags: number; faults: boolean } {
  const early = flags & EARLY;
  if (early & ~masked) return { flags: early, faults: true };
  return { flags, faults: (flags & ~masked) !== 0 };
}

type Size = 4 | 8;
const FRACTION = { 4: 23n, 8: 52n } as const;
const quietBit = (size: Size): bigint => 1n << (FRACTION[size] - 1n);
const signBit = (size: Size): bigint => 1n << BigInt(size * 8 - 1);
const invalidResult = (size: Size): bigint => (size === 4 ? 0xffc00000n : 0xfff8000000000000n);
const isDenormal = (bits: bigint, size: Size): boolean => {
  const magnitude = bits & ~signBit(size);
  return magnitude !== 0n && magnitude >> FRACTION[size] === 0n;
};

const read = (view: DataView, at: number, size: Size): bigint =>
  size === 4 ? BigInt(view.getUint32(at, true)) : view.getBigUint64(at, true);

function write(view: DataView, at: number, size: Size, bits: bigint): void {
  if (size === 4) view.setUint32(at, Number(bits), true);
  else view.setBigUint64(at, bits, true);
}

interface Operand {
  /** After denormals have become zeros, if they do. */
  readonly bits: bigint;
  readonly value: Extended;
  readonly isNaN: boolean;
  readonly signals: boolean;
  readonly denormal: boolean;
}

const environment = (rounding: number): Environment => ({ precision: 64, rounding, flags: 0, up: false });

function operand(c: Control, bits: bigint, size: Size): Operand {
  const denormal = isDenormal(bits, size);
  const kept = denormal && c.denormalsAreZero ? bits & signBit(size) : bits;
  const value = X.fromBits(environment(0), kept, size, false);
  const kind = X.kindOf(value);
  return {
    bits: kept,
    value,
    isNaN: X.isNaNKind(kind),
    signals: kind === 'signalling',
    denormal: denormal && !c.denormalsAreZero,
  };
}

/** The one rounding of an exact result, or of one whose lowest bit says that something lies below. */
function rounded(c: Control, value: Extended, size: Size): bigint {
  const env = environment(c.rounding);
  const bits = X.toBits(env, value, size);
  const tiny = (env.flags & X87.UE) !== 0 || isDenormal(bits, size);
  if (tiny && c.flushToZero) {
    c.flags |= X87.UE | X87.PE;
    return bits & signBit(size);
  }
  // An unmasked underflow is met by exact results, too.
  if (tiny && (c.masked & X87.UE) === 0) env.flags |= X87.UE;
  c.flags |= env.flags;
  return bits;
}

type Exact = (env: Environment, a: Extended, b: Extended) => Extended;

/** As many bits as there are, and one for all that are not. */
function exactly(c: Control, f: Exact, a: Operand, b: Operand, size: Size): bigint {
  const env = environment(3);
  const result = f(env, a.value, b.value);
  if (env.flags & X87.IE) {
    c.flags |= X87.IE;
    return invalidResult(size);
  }
  c.flags |= env.flags & X87.ZE;
  if ((a.denormal || b.denormal) && (env.flags & X87.ZE) === 0) c.flags |= X87.DE;
  const sticky = env.flags & X87.PE ? 1n : 0n;
  return rounded(c, { ...result, mantissa: result.mantissa | sticky }, size);
}

type Lane = (c: Control, a: bigint, b: bigint, size: Size, imm: number) => bigint;

/** The first NaN of the operands, made quiet; undefined when there is none. */
function notANumber(c: Control, a: Operand, b: Operand, size: Size): bigint | undefined {
  if (!a.isNaN && !b.isNaN) return undefined;
  if (a.signals || b.signals) c.flags |= X87.IE;
  return (a.isNaN ? a.bits : b.bits) | quietBit(size);
}

const arithmetic =
  (f: Exact): Lane =>
  (c, a, b, size) => {
    const [x, y] = [operand(c, a, size), operand(c, b, size)];
    return notANumber(c, x, y, size) ?? exactly(c, f, x, y, size);
  };

/** A sum of 0 from numbers of opposite signs is negative where rounding is down, unless it was flushed to zero. */
const sum =
  (f: Exact, negates: boolean): Lane =>
  (c, a, b, size) => {
    const alone = { ...c, flags: 0 };
    const bits = arithmetic(f)(alone, a, b, size, 0);
    c.flags |= alone.flags;
    const differ = (((a ^ b) & signBit(size)) !== 0n) !== negates;
    const flushed = (alone.flags & X87.UE) !== 0;
    return bits === 0n && differ && c.rounding === 1 && !flushed ? signBit(size) : bits;
  };

const squareRoot: Lane = (c, _, b, size) => {
  const x = operand(c, b, size);
  return notANumber(c, x, x, size) ?? exactly(c, (env, value) => X.squareRoot(env, value), x, x, size);
};

/** -1, 0, 1, or undefined where one is a NaN. `quietIsInvalid`: of either kind. */
function order(c: Control, x: Operand, y: Operand, quietIsInvalid: boolean): number | undefined {
  if (x.isNaN || y.isNaN) {
    if (quietIsInvalid || x.signals || y.signals) c.flags |= X87.IE;
    return undefined;
  }
  if (x.denormal || y.denormal) c.flags |= X87.DE;
  return X.compare(environment(0), x.value, y.value, false);
}

const extreme =
  (wanted: number): Lane =>
  (c, a, b, size) => {
    const [x, y] = [operand(c, a, size), operand(c, b, size)];
    return order(c, x, y, true) === wanted ? x.bits : y.bits;
  };

/** Equal, less, less or equal, unordered, and their opposites; those of less are invalid for any NaN. */
const compare: Lane = (c, a, b, size, imm) => {
  const found = order(c, operand(c, a, size), operand(c, b, size), (imm & 3) === 1 || (imm & 3) === 2);
  const less = found === -1;
  const holds = [found === 0, less, less || found === 0, found === undefined][imm & 3];
  return holds !== ((imm & 4) !== 0) ? signBit(size) * 2n - 1n : 0n;
};

const whole: Lane = (c, _, b, size, imm) => {
  const x = operand(c, b, size);
  const nan = notANumber(c, x, x, size);
  if (nan !== undefined) return nan;
  const env = environment(imm & 4 ? c.rounding : imm & 3);
  const result = X.roundToInteger(env, x.value);
  if ((imm & 8) === 0) c.flags |= env.flags & X87.PE;
  return X.toBits(environment(0), result, size);
};

/** Between the two formats; a NaN keeps what it can of its payload. */
function converted(c: Control, bits: bigint, from: Size, to: Size): bigint {
  const x = operand(c, bits, from);
  if (x.signals) c.flags |= X87.IE;
  if (x.isNaN) return X.toBits(environment(0), x.value, to);
  if (x.denormal) c.flags |= X87.DE;
  return rounded(c, x.value, to);
}

function toInteger(c: Control, bits: bigint, size: Size, truncates: boolean, width: Size): bigint {
  const env = environment(c.rounding);
  const value = X.storeInteger(env, operand(c, bits, size).value, width * 8, truncates);
  c.flags |= env.flags & (X87.IE | X87.PE);
  return value;
}

/** What an instruction sees besides its vectors. */
export interface Beside {
  /** Of a general register, zero-extended. */
  readonly value: bigint;
  readonly size: Size;
  /** Set to write the general register. */
  result?: bigint;
  /** Set to change the status flags. */
  flags?: number;
}

export type ExactOperation = (c: Control, d: DataView, s: DataView, imm: number, beside: Beside) => void;

const LANES: Readonly<Record<string, Lane>> = {
  add: sum(X.add, false),
  sub: sum(X.subtract, true),
  mul: arithmetic(X.multiply),
  div: arithmetic(X.divide),
  sqrt: squareRoot,
  min: extreme(-1),
  max: extreme(1),
  cmp: compare,
  round: whole,
};

const SUFFIXES = { ss: [4, 1], sd: [8, 1], ps: [4, 4], pd: [8, 2] } as const;

/** One operation of so many lanes. */
const lanes =
  (c: Control, lane: Lane, size: Size, count: number): LaneOperation =>
  (d, s, imm) => {
    for (let at = 0; at < size * count; at += size)
      write(d, at, size, lane(c, read(d, at, size), read(s, at, size), size, imm));
  };

const operations: Record<string, ExactOperation> = {};
for (const [suffix, [size, count]] of Object.entries(SUFFIXES)) {
  for (const [name, lane] of Object.entries(LANES))
    operations[name + suffix] = (c, d, s, imm) => lanes(c, lane, size, count)(d, s, imm);
}

for (const [suffix, size] of [
  ['ps', 4],
  ['pd', 8],
] as const) {
  const of = (c: Control, name: string): LaneOperation => lanes(c, LANES[name], size, 16 / size);
  operations[`hadd${suffix}`] = (c, d, s, imm) => across(size, of(c, 'add'))(d, s, imm);
  operations[`hsub${suffix}`] = (c, d, s, imm) => across(size, of(c, 'sub'))(d, s, imm);
  operations[`addsub${suffix}`] = (c, d, s, imm) => {
    for (let at = 0; at < 16; at += size) {
      const lane = LANES[(at / size) & 1 ? 'add' : 'sub'];
      write(d, at, size, lane(c, read(d, at, size), read(s, at, size), size, imm));
    }
  };
  operations[`dp${suffix}`] = (c, d, s, imm) => dotProduct(of(c, 'mul'), of(c, 'add'), size)(d, s, imm);
}

/** Lanes of one size to as many of another, all read before any is written; the rest of the register becomes 0. */
const converts =
  (count: number, from: Size, to: Size, f: (c: Control, bits: bigint) => bigint): ExactOperation =>
  (c, d, s) => {
    const results = Array.from({ length: count }, (_, n) => f(c, read(s, n * from, from)));
    for (let n = 0; n < 16 / to; n++) write(d, n * to, to, BigInt.asUintN(to * 8, results[n] ?? 0n));
  };
const fromInteger = (c: Control, value: bigint, size: Size): bigint => rounded(c, X.fromInteger(value), size);

Object.assign(operations, {
  cvtss2sd: (c, d, s) => write(d, 0, 8, converted(c, read(s, 0, 4), 4, 8)),
  cvtsd2ss: (c, d, s) => write(d, 0, 4, converted(c, read(s, 0, 8), 8, 4)),
  cvtps2pd: converts(2, 4, 8, (c, bits) => converted(c, bits, 4, 8)),
  cvtpd2ps: converts(2, 8, 4, (c, bits) => converted(c, bits, 8, 4)),
  cvtdq2ps: converts(4, 4, 4, (c, bits) => fromInteger(c, BigInt.asIntN(32, bits), 4)),
  cvtps2dq: converts(4, 4, 4, (c, bits) => toInteger(c, bits, 4, false, 4)),
  cvttps2dq: converts(4, 4, 4, (c, bits) => toInteger(c, bits, 4, true, 4)),
  cvtpd2dq: converts(2, 8, 4, (c, bits) => toInteger(c, bits, 8, false, 4)),
  cvttpd2dq: converts(2, 8, 4, (c, bits) => toInteger(c, bits, 8, true, 4)),
} satisfies Record<string, ExactOperation>);

for (const [suffix, size] of [
  ['ss', 4],
  ['sd', 8],
] as const) {
  operations[`cvtsi2${suffix}`] = (c, d, _s, _imm, beside) =>
    write(d, 0, size, fromInteger(c, BigInt.asIntN(beside.size * 8, beside.value), size));
  for (const truncates of [false, true]) {
    operations[`cvt${truncates ? 't' : ''}${suffix}2si`] = (c, _d, s, _imm, beside) => {
      beside.result = toInteger(c, read(s, 0, size), size, truncates, beside.size);
    };
  }
  for (const quietIsInvalid of [false, true]) {
    operations[`${quietIsInvalid ? '' : 'u'}comi${suffix}`] = (c, d, s, _imm, beside) => {
      const found = order(
        c,
        operand(c, read(d, 0, size), size),
        operand(c, read(s, 0, size), size),
        quietIsInvalid,
      );
      const unordered = FLAG.ZF | FLAG.PF | FLAG.CF;
      beside.flags = found === undefined ? unordered : found < 0 ? FLAG.CF : found === 0 ? FLAG.ZF : 0;
    };
  }
}

/** The floating-point operation of a name; undefined for those that MXCSR says nothing to. */
export const exactOperation = (name: string): ExactOperation | undefined => operations[name];
