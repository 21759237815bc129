/**
 * Arithmetic of the x87 coprocessor, exact to the last bit: 80-bit numbers, the rounding and precision that the control
 * word asks for, and the exceptions of each operation (SDM volume 1, chapters 4 and 8). Numbers are worked out exactly with
 * integers and rounded once.
 */

/** A number as its ten bytes have it. */
export interface Extended {
  readonly sign: 0 | 1;
  /** Biased by 16383; 0x7fff for infinities and NaNs. */
  readonly exponent: number;
  /** With its leading bit. */
  readonly mantissa: bigint;
}

/** Exception flags, as they are in the status word. */
export const X87 = { IE: 1, DE: 2, ZE: 4, OE: 8, UE: 16, PE: 32, SF: 64 } as const;

/** What the control word says, and what operations report. */
export interface Environment {
  readonly precision: 24 | 53 | 64;
  /** 0 to nearest, 1 down, 2 up, 3 towards zero. */
  readonly rounding: number;
  flags: number;
  /** The last rounding went away from zero: C1. */
  up: boolean;
}

/** A format by its precision and its range of exponents. */
interface Format {
  readonly bits: number;
  readonly least: number;
  readonly most: number;
}

const SINGLE: Format = { bits: 24, least: -126, most: 127 };
const DOUBLE: Format = { bits: 53, least: -1022, most: 1023 };
const extendedFormat = (bits: number): Format => ({ bits, least: -16382, most: 16383 });

const BIAS = 16383;
const TOP = 0x7fff;
const INTEGER_BIT = 1n << 63n;
const QUIET_BIT = 1n << 62n;

export const DEFAULT_NAN: Extended = { sign: 1, exponent: TOP, mantissa: INTEGER_BIT | QUIET_BIT };
export const zero = (sign: 0 | 1): Extended => ({ sign, exponent: 0, mantissa: 0n });
export const infinity = (sign: 0 | 1): Extended => ({ sign, exponent: TOP, mantissa: INTEGER_BIT });
export const ONE: Extended = { sign: 0, exponent: BIAS, mantissa: INTEGER_BIT };

/** What a bit pattern is. Unsupported: a leading bit that contradicts the exponent; operations take it for invalid. */
export type Kind = 'zero' | 'denormal' | 'normal' | 'infinity' | 'quiet' | 'signalling' | 'unsupported';

export function kindOf({ exponent, mantissa }: Extended): Kind {
  if (exponent === 0) return mantissa === 0n ? 'zero' : 'denormal';
  if ((mantissa & INTEGER_BIT) === 0n) return 'unsupported';
  if (exponent !== TOP) return 'normal';
  if (mantissa === INTEGER_BIT) return 'infinity';
  return (mantissa & QUIET_BIT) !== 0n ? 'quiet' : 'signalling';
}

export const isNaNKind = (kind: Kind): boolean => kind === 'quiet' || kind === 'signalling';

/** Neither a NaN nor a pattern that means nothing. */
export const isNumber = (value: Extended): boolean => {
  const kind = kindOf(value);
  return !isNaNKind(kind) && kind !== 'unsupported';
};

const bitLength = (value: bigint): number => (value === 0n ? 0 : value.toString(2).length);

/** Power of two that the lowest bit of the mantissa stands for. */
const lowest = (value: Extended): number => Math.max(value.exponent, 1) - BIAS - 63;

/** Does a discarded rest make the kept part one larger? */
function roundsUp(rounding: number, sign: number, odd: boolean, rest: bigint, half: bigint): boolean {
  if (rest === 0n || rounding === 3) return false;
  if (rounding === 0) return rest > half || (rest === half && odd);
  return (rounding === 2) === (sign === 0);
}

function dropBits(
  value: bigint,
  bits: number,
  sign: number,
  rounding: number,
): { kept: bigint; up: boolean; exact: boolean } {
  if (bits <= 0) return { kept: value << BigInt(-bits), up: false, exact: true };
  const kept = value >> BigInt(bits);
  const rest = value - (kept << BigInt(bits));
  const up = roundsUp(rounding, sign, (kept & 1n) === 1n, rest, 1n << BigInt(bits - 1));
  return { kept: up ? kept + 1n : kept, up, exact: rest === 0n };
}

/** A rounded number: kept * 2^low, or what overflowed. */
interface Rounded {
  readonly kept: bigint;
  readonly low: number;
  readonly overflow?: 'infinity' | 'largest';
}

function round(env: Environment, format: Format, sign: 0 | 1, value: bigint, low: number): Rounded {
  const exponent = low + bitLength(value) - 1;
  const below = exponent < format.least;
  const target = (below ? format.least : exponent) - (format.bits - 1);
  const { kept, up, exact } = dropBits(value, target - low, sign, env.rounding);
  env.up = up;
  if (!exact) env.flags |= X87.PE;
  if (below && !exact && isTiny(env, format, sign, value, low, exponent)) env.flags |= X87.UE;
  if (target + bitLength(kept) - 1 <= format.most) return { kept, low: target };
  env.flags |= X87.OE | X87.PE;
  const away = env.rounding === 0 || (env.rounding === 2) === (sign === 0);
  env.up = away && env.rounding !== 3;
  return { kept, low: target, overflow: env.up ? 'infinity' : 'largest' };
}

/** Tiny is judged after rounding with an exponent without bound (SDM volume 1, 4.9.1.5). */
function isTiny(
  env: Environment,
  format: Format,
  sign: 0 | 1,
  value: bigint,
  low: number,
  exponent: number,
): boolean {
  const target = exponent - (format.bits - 1);
  const { kept } = dropBits(value, target - low, sign, env.rounding);
  return target + bitLength(kept) - 1 < format.least;
}

/** An exact result to a register. A zero result's sign is the caller's. */
function pack(
  env: Environment,
  sign: 0 | 1,
  value: bigint,
  low: number,
  bits: number = env.precision,
): Extended {
  if (value === 0n) return zero(sign);
  const format = extendedFormat(bits);
  const rounded = round(env, format, sign, value, low);
  if (rounded.overflow === 'infinity') return infinity(sign);
  if (rounded.overflow === 'largest') {
    const mantissa = ((1n << BigInt(bits)) - 1n) << BigInt(64 - bits);
    return { sign, exponent: TOP - 1, mantissa };
  }
  const least = 1 - BIAS - 63;
  const length = bitLength(rounded.kept);
  if (rounded.low + length - 1 < format.least) {
    return { sign, exponent: 0, mantissa: rounded.kept << BigInt(rounded.low - least) };
  }
  const mantissa = rounded.kept << BigInt(64 - length);
  return { sign, exponent: rounded.low + length - 1 + BIAS, mantissa };
}

/** An exact number to a register, to all of its bits: precision control is for the four operations and roots alone. */
export const packed = (env: Environment, sign: 0 | 1, value: bigint, low: number): Extended =>
  pack(env, sign, value, low, 64);

const quieted = (value: Extended): Extended => ({ ...value, mantissa: value.mantissa | QUIET_BIT });

/** The result when an operand is no number (SDM volume 1, table 4-7); undefined when both are. */
export function special(env: Environment, a: Extended, b: Extended): Extended | undefined {
  const kinds = [kindOf(a), kindOf(b)];
  if (kinds.includes('unsupported')) {
    env.flags |= X87.IE;
    return DEFAULT_NAN;
  }
  if (!kinds.some(isNaNKind)) {
    if (kinds.includes('denormal')) env.flags |= X87.DE;
    return undefined;
  }
  if (kinds.includes('signalling')) env.flags |= X87.IE;
  if (!isNaNKind(kinds[0])) return quieted(b);
  if (!isNaNKind(kinds[1])) return quieted(a);
  // A quiet one is preferred to one that signalled; else the larger significand, and of equal ones the positive.
  if (kinds[0] !== kinds[1]) return kinds[0] === 'quiet' ? a : b;
  if (a.mantissa !== b.mantissa) return quieted(a.mantissa > b.mantissa ? a : b);
  return quieted(a.sign === 0 ? a : b);
}

export function invalid(env: Environment): Extended {
  env.flags |= X87.IE;
  return DEFAULT_NAN;
}

/** As {@link special} for one operand. */
export const unary = (env: Environment, a: Extended): Extended | undefined => special(env, a, ONE);

const negate = (value: Extended): Extended => ({ ...value, sign: value.sign === 0 ? 1 : 0 });
const isInfinite = (value: Extended): boolean => kindOf(value) === 'infinity';

/** More than any rounding looks at: a smaller operand below that is only "something". */
const FAR = 200;

export function add(env: Environment, a: Extended, b: Extended): Extended {
  const other = special(env, a, b);
  if (other !== undefined) return other;
  if (isInfinite(a)) return isInfinite(b) && a.sign !== b.sign ? invalid(env) : a;
  if (isInfinite(b)) return b;
  const [large, small] = lowest(a) >= lowest(b) ? [a, b] : [b, a];
  const distance = lowest(large) - lowest(small);
  const signed = (value: Extended): bigint => (value.sign === 0 ? value.mantissa : -value.mantissa);
  // What is far below counts as one bit far below, and only where there is something above it.
  const far = distance > FAR && large.mantissa !== 0n;
  const shift = far ? FAR : distance;
  const rest = far ? BigInt(small.mantissa === 0n ? 0 : small.sign === 0 ? 1 : -1) : signed(small);
  const sum = (signed(large) << BigInt(shift)) + rest;
  const low = lowest(large) - shift;
  if (sum === 0n) {
    const same = a.sign === b.sign;
    return zero(same ? a.sign : env.rounding === 1 ? 1 : 0);
  }
  return sum < 0n ? pack(env, 1, -sum, low) : pack(env, 0, sum, low);
}

export function subtract(env: Environment, a: Extended, b: Extended): Extended {
  // The sign of a NaN stays.
  return add(env, a, isNaNKind(kindOf(b)) ? b : negate(b));
}

const signOf = (a: Extended, b: Extended): 0 | 1 => (a.sign === b.sign ? 0 : 1);
const isZero = (value: Extended): boolean => kindOf(value) === 'zero';

export function multiply(env: Environment, a: Extended, b: Extended): Extended {
  const other = special(env, a, b);
  if (other !== undefined) return other;
  const sign = signOf(a, b);
  if (isInfinite(a) || isInfinite(b)) return isZero(a) || isZero(b) ? invalid(env) : infinity(sign);
  return pack(env, sign, a.mantissa * b.mantissa, lowest(a) + lowest(b));
}

/** Enough quotient bits for any rounding, whatever the leading zeros of denormal operands. */
const QUOTIENT_BITS = 200n;

export function divide(env: Environment, a: Extended, b: Extended): Extended {
  const other = special(env, a, b);
  if (other !== undefined) return other;
  const sign = signOf(a, b);
  if (isInfinite(a)) return isInfinite(b) ? invalid(env) : infinity(sign);
  if (isInfinite(b)) return zero(sign);
  if (isZero(b)) {
    if (isZero(a)) return invalid(env);
    env.flags |= X87.ZE;
    return infinity(sign);
  }
  const dividend = a.mantissa << QUOTIENT_BITS;
  const quotient = dividend / b.mantissa;
  // One more bit says that something was left over.
  const rest = quotient * b.mantissa === dividend ? 0n : 1n;
  return pack(env, sign, (quotient << 1n) | rest, lowest(a) - lowest(b) - Number(QUOTIENT_BITS) - 1);
}

export function integerRoot(value: bigint): bigint {
  let root = 1n << BigInt((bitLength(value) + 1) >> 1);
  for (;;) {
    const next = (root + value / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}

export function squareRoot(env: Environment, a: Extended): Extended {
  const other = special(env, a, ONE);
  if (other !== undefined) return other;
  if (isZero(a)) return a;
  if (a.sign === 1) return invalid(env);
  if (isInfinite(a)) return a;
  const odd = Math.abs(lowest(a)) % 2;
  const value = a.mantissa << BigInt(260 + odd);
  const root = integerRoot(value);
  const rest = root * root === value ? 0n : 1n;
  return pack(env, 0, (root << 1n) | rest, (lowest(a) - 260 - odd) / 2 - 1);
}

/** The nearest integer in the direction of rounding, as a number of its own. */
export function roundToInteger(env: Environment, a: Extended): Extended {
  const kind = kindOf(a);
  if (kind === 'unsupported') return invalid(env);
  if (kind === 'signalling') env.flags |= X87.IE;
  if (isNaNKind(kind)) return quieted(a);
  if (kind === 'infinity' || kind === 'zero') return a;
  if (kind === 'denormal') env.flags |= X87.DE;
  if (lowest(a) >= 0) return a;
  const { value, exact, up } = toInteger(a, env.rounding);
  if (!exact) env.flags |= X87.PE;
  env.up = up;
  return pack({ ...env }, a.sign, value, 0, 64);
}

function toInteger(a: Extended, rounding: number): { value: bigint; exact: boolean; up: boolean } {
  const low = lowest(a);
  if (low >= 0) return { value: a.mantissa << BigInt(Math.min(low, 128)), exact: true, up: false };
  const { kept, exact, up } = dropBits(a.mantissa, Math.min(-low, FAR), a.sign, rounding);
  return { value: kept, exact, up };
}

/** fist, fistp, fisttp: a signed integer of so many bits; the most negative one stands for what does not fit. */
export function storeInteger(env: Environment, a: Extended, bits: number, truncating: boolean): bigint {
  const kind = kindOf(a);
  const none = -(1n << BigInt(bits - 1));
  const number = kind === 'zero' || kind === 'denormal' || kind === 'normal';
  const { value, exact, up } = number
    ? toInteger(a, truncating ? 3 : env.rounding)
    : { value: 0n, exact: true, up: false };
  const signed = a.sign === 0 ? value : -value;
  if (!number || BigInt.asIntN(bits, signed) !== signed) {
    env.flags |= X87.IE;
    env.up = false;
    return none;
  }
  if (!exact) env.flags |= X87.PE;
  env.up = up;
  return signed;
}

export function fromInteger(value: bigint): Extended {
  const sign = value < 0n ? 1 : 0;
  const magnitude = value < 0n ? -value : value;
  if (magnitude === 0n) return zero(0);
  const length = bitLength(magnitude);
  return { sign, exponent: BIAS + length - 1, mantissa: magnitude << BigInt(64 - length) };
}

/** A 32- or 64-bit number. A load makes a signalling NaN quiet, and says so; an operation sees it as it is. */
export function fromBits(env: Environment, bits: bigint, size: 4 | 8, loads: boolean): Extended {
  const [fraction, width, bias] = size === 4 ? [23, 8, 127] : [52, 11, 1023];
  const sign = Number(bits >> BigInt(fraction + width)) as 0 | 1;
  const exponent = Number((bits >> BigInt(fraction)) & ((1n << BigInt(width)) - 1n));
  const part = bits & ((1n << BigInt(fraction)) - 1n);
  const aligned = part << BigInt(63 - fraction);
  if (exponent === (1 << width) - 1) {
    if (part === 0n) return infinity(sign);
    const value = { sign, exponent: TOP, mantissa: INTEGER_BIT | aligned };
    if (!loads) return value;
    if (kindOf(value) === 'signalling') env.flags |= X87.IE;
    return quieted(value);
  }
  if (exponent !== 0) return { sign, exponent: exponent - bias + BIAS, mantissa: INTEGER_BIT | aligned };
  if (part === 0n) return zero(sign);
  env.flags |= X87.DE;
  const length = bitLength(part);
  const mantissa = part << BigInt(64 - length);
  return { sign, exponent: 1 - bias - fraction + length - 1 + BIAS, mantissa };
}

/** Rounds to 32 or 64 bits. */
export function toBits(env: Environment, a: Extended, size: 4 | 8): bigint {
  const format = size === 4 ? SINGLE : DOUBLE;
  const fraction = format.bits - 1;
  const kind = kindOf(a);
  const top = ((1n << BigInt(size * 8 - 1 - fraction)) - 1n) << BigInt(fraction);
  const value = kind === 'unsupported' ? invalid(env) : a;
  const signBit = BigInt(value.sign) << BigInt(size * 8 - 1);
  env.up = false;
  if (kind === 'signalling') env.flags |= X87.IE;
  if (isNaNKind(kindOf(value))) {
    return (
      signBit | top | ((quieted(value).mantissa >> BigInt(63 - fraction)) & ((1n << BigInt(fraction)) - 1n))
    );
  }
  if (kind === 'infinity') return signBit | top;
  if (kind === 'zero') return signBit;
  const rounded = round(env, format, value.sign, value.mantissa, lowest(value));
  if (rounded.overflow !== undefined) return signBit | (rounded.overflow === 'infinity' ? top : top - 1n);
  const length = bitLength(rounded.kept);
  const exponent = rounded.low + length - 1;
  if (rounded.kept === 0n || exponent < format.least) return signBit | rounded.kept;
  const field = BigInt(exponent + format.most) << BigInt(fraction);
  const kept = rounded.kept >> BigInt(Math.max(0, length - format.bits));
  return signBit | field | (kept & ((1n << BigInt(fraction)) - 1n));
}

/** -1, 0, 1, or undefined when the two cannot be compared. A quiet NaN is invalid only where the instruction says so. */
export function compare(
  env: Environment,
  a: Extended,
  b: Extended,
  quietIsInvalid: boolean,
): number | undefined {
  const kinds = [kindOf(a), kindOf(b)];
  const unordered = kinds.some((kind) => isNaNKind(kind) || kind === 'unsupported');
  if (unordered) {
    const bad = kinds.includes('signalling') || kinds.includes('unsupported') || quietIsInvalid;
    if (bad) env.flags |= X87.IE;
    return undefined;
  }
  if (kinds.includes('denormal')) env.flags |= X87.DE;
  const order = (value: Extended): bigint => {
    const magnitude = (BigInt(Math.max(value.exponent, 1)) << 64n) | value.mantissa;
    return value.mantissa === 0n ? 0n : value.sign === 0 ? magnitude : -magnitude;
  };
  const [x, y] = [order(a), order(b)];
  return x < y ? -1 : x > y ? 1 : 0;
}
