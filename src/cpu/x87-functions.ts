/**
 * Transcendental functions, remainders and their like of the x87 coprocessor (SDM volume 1, 8.3.6 to 8.3.10). Series are
 * summed with some 250 bits more than a register has and rounded once: results are those that are nearest. Processors
 * promise an error below one unit in the last place, and each has its own. What all of them share is the pi by which they
 * reduce an angle: it has 66 bits (SDM volume 1, 8.3.8), so a sine far from 0 is that of a slightly different angle.
 */
import * as F from './x87-float.ts';
import { type Environment, type Extended, X87 } from './x87-float.ts';

/** Bits behind the point of numbers below. */
const P = 320;
const UNIT = 1n << BigInt(P);
/** The longest argument has 63 bits before the point. */
const LONG = 512;

const scaled = (a: bigint, b: bigint): bigint => (a * b) >> BigInt(P);

/** atan(1 / n) in so many bits. */
function arctangentOfInverse(n: bigint, bits: number): bigint {
  let power = (1n << BigInt(bits)) / n;
  let sum = 0n;
  for (let k = 1n; power !== 0n; k += 2n, power /= n * n) sum += k % 4n === 1n ? power / k : -(power / k);
  return sum;
}

/** Half of the pi that angles are reduced by, in LONG bits. */
const REDUCTION = 0xc90fdaa22168c234cn << BigInt(LONG - 67);

interface Constants {
  /** Half of pi in LONG bits. */
  readonly halfPi: bigint;
  readonly ln2: bigint;
}

let made: Constants | undefined;

/** Worked out at the first use: few processes want them. */
function constants(): Constants {
  const bits = LONG + 16;
  // Machin: pi/4 = 4 atan(1/5) - atan(1/239).
  const quarter = 4n * arctangentOfInverse(5n, bits) - arctangentOfInverse(239n, bits);
  made ??= { halfPi: (quarter * 2n) >> 16n, ln2: logarithm(UNIT * 2n) };
  return made;
}

/** ln of a number between 1/2 and 4: 2 atanh((m - 1) / (m + 1)). */
function logarithm(m: bigint): bigint {
  const z = ((m - UNIT) << BigInt(P)) / (m + UNIT);
  return 2n * scaled(z, inverseTangentSeries(scaled(z, z), 1n));
}

/** 1 + s z/3 + z^2/5 + ..., with alternating signs for s = -1. */
function inverseTangentSeries(square: bigint, sign: 1n | -1n): bigint {
  let power = UNIT;
  let sum = 0n;
  for (let k = 1n; power !== 0n && power !== -1n; k += 2n) {
    sum += power / k;
    power = sign * scaled(power, square);
  }
  return sum;
}

/** sin and cos of a number between 0 and pi/2. */
function circular(x: bigint): { sin: bigint; cos: bigint } {
  const square = scaled(x, x);
  const series = (first: bigint, from: bigint): bigint => {
    let term = first;
    let sum = 0n;
    for (let k = from; term !== 0n && term !== -1n; k += 2n) {
      sum += term;
      term = -scaled(term, square) / (k * (k + 1n));
    }
    return sum;
  };
  return { sin: series(x, 2n), cos: series(UNIT, 1n) };
}

const low = (a: Extended): number => Math.max(a.exponent, 1) - 16383 - 63;
const length = (value: bigint): number => (value === 0n ? 0 : value.toString(2).length);
const shifted = (value: bigint, by: number): bigint => (by >= 0 ? value << BigInt(by) : value >> BigInt(-by));

/** A result that is not exact: one more bit below says so. */
const inexact = (env: Environment, sign: 0 | 1, value: bigint, lowest: number): Extended =>
  F.packed(env, sign, (value << 1n) | 1n, lowest - 1);

/** Arguments from 2^63 on are left alone, and C2 says so. */
export const tooLarge = (a: Extended): boolean => a.exponent >= 16383 + 63 && a.exponent !== 0x7fff;

export type Circular = 'sin' | 'cos' | 'tan';

/** Of an argument below 2^63. */
export function trigonometric(env: Environment, a: Extended, which: Circular): Extended {
  const other = F.unary(env, a);
  if (other !== undefined) return other;
  if (F.kindOf(a) === 'infinity') return F.invalid(env);
  if (F.kindOf(a) === 'zero') return which === 'cos' ? F.ONE : a;
  // So small an argument is its own sine, but for something below.
  if (a.exponent < 16383 - 70) {
    if (which === 'cos') return inexact(env, 0, (1n << 100n) - 1n, -100);
    const nearly = which === 'sin' ? (a.mantissa << 100n) - 1n : (a.mantissa << 100n) + 1n;
    return inexact(env, a.sign, nearly, low(a) - 100);
  }
  const magnitude = shifted(a.mantissa, low(a) + LONG);
  const quadrant = Number((magnitude / REDUCTION) & 3n);
  const rest = (magnitude % REDUCTION) >> BigInt(LONG - P);
  const { sin, cos } = circular(rest);
  const [s, c] = quadrant & 1 ? [cos, -sin] : [sin, cos];
  const [sine, cosine] = quadrant & 2 ? [-s, -c] : [s, c];
  const value =
    which === 'sin' ? sine : which === 'cos' ? cosine : (sine << BigInt(P)) / (cosine === 0n ? 1n : cosine);
  const negative = value < 0n !== (a.sign === 1 && which !== 'cos');
  return inexact(env, negative ? 1 : 0, value < 0n ? -value : value, -P);
}

/** 2^x - 1 for x between -1 and 1, where it is defined. */
export function powerLessOne(env: Environment, a: Extended): Extended {
  const other = F.unary(env, a);
  if (other !== undefined) return other;
  const kind = F.kindOf(a);
  if (kind === 'zero') return a;
  if (kind === 'infinity') return a.sign === 0 ? a : { ...F.ONE, sign: 1 };
  // Beyond the range results are not defined: the argument stays.
  if (a.exponent > 16383 || (a.exponent === 16383 && a.mantissa !== 1n << 63n)) return a;
  if (a.exponent === 16383) return a.sign === 0 ? F.ONE : { ...F.ONE, sign: 1, exponent: 16382 };
  const { ln2 } = constants();
  const x = shifted(a.mantissa, low(a) + P);
  const t = scaled(a.sign === 0 ? x : -x, ln2);
  // x ln2 (1 + t/2 + t^2/6 + ...): what is small keeps all its bits.
  let term = UNIT;
  let sum = 0n;
  for (let n = 2n; term !== 0n && term !== -1n; n++) {
    sum += term;
    term = scaled(term, t) / n;
  }
  return inexact(env, a.sign, a.mantissa * scaled(ln2, sum), low(a) - P);
}

const signOf = (a: Extended, b: Extended): 0 | 1 => (a.sign === b.sign ? 0 : 1);

/** y times a logarithm, which is not zero. */
function times(env: Environment, y: Extended, sign: 0 | 1, value: bigint, lowest: number): Extended {
  if (F.kindOf(y) === 'infinity') return { ...y, sign };
  return inexact(env, sign, y.mantissa * value, low(y) + lowest);
}

/** y log2(x). */
export function logarithmTimes(env: Environment, x: Extended, y: Extended): Extended {
  const other = F.special(env, x, y);
  if (other !== undefined) return other;
  const [kx, ky] = [F.kindOf(x), F.kindOf(y)];
  if (kx === 'zero') {
    if (ky === 'zero') return F.invalid(env);
    if (ky !== 'infinity') env.flags |= X87.ZE;
    return F.infinity(y.sign === 0 ? 1 : 0);
  }
  if (x.sign === 1) return F.invalid(env);
  if (kx === 'infinity') return ky === 'zero' ? F.invalid(env) : F.infinity(y.sign);
  const bits = length(x.mantissa);
  let exponent = low(x) + bits - 1;
  let m = shifted(x.mantissa, P - bits + 1);
  if (m === UNIT && exponent === 0) return ky === 'infinity' ? F.invalid(env) : F.zero(y.sign);
  // Between 2/3 and 4/3 the logarithm of what is near 1 loses nothing.
  if (m * 3n > UNIT * 4n) {
    m >>= 1n;
    exponent++;
  }
  const exact = m === UNIT;
  const value =
    (BigInt(exponent) << BigInt(P)) + (exact ? 0n : (logarithm(m) << BigInt(P)) / constants().ln2);
  const sign = (value < 0n ? 1 : 0) === y.sign ? 0 : 1;
  const magnitude = value < 0n ? -value : value;
  if (ky === 'zero') return F.zero(sign);
  if (exact && ky !== 'infinity') return F.packed(env, sign, y.mantissa * BigInt(Math.abs(exponent)), low(y));
  return times(env, y, sign, magnitude, -P);
}

/** y log2(1 + x), for x so near to 0 that the sum would lose it. */
export function logarithmOfSumTimes(env: Environment, x: Extended, y: Extended): Extended {
  const other = F.special(env, x, y);
  if (other !== undefined) return other;
  const [kx, ky] = [F.kindOf(x), F.kindOf(y)];
  const sign = signOf(x, y);
  if (kx === 'infinity') return x.sign === 1 || ky === 'zero' ? F.invalid(env) : F.infinity(y.sign);
  if (kx === 'zero') return ky === 'infinity' ? F.invalid(env) : F.zero(sign);
  if (ky === 'zero') return F.zero(sign);
  const magnitude = shifted(x.mantissa, low(x) + P);
  const signed = x.sign === 0 ? magnitude : -magnitude;
  // Below -1 there is no logarithm, and results are not defined.
  if (signed <= -UNIT) return x;
  const z = (signed << BigInt(P)) / (2n * UNIT + signed);
  const series = inverseTangentSeries(scaled(z, z), 1n);
  const perX = (2n * series * UNIT) / (2n * UNIT + signed);
  const value = (perX << BigInt(P)) / constants().ln2;
  return times(env, y, sign, x.mantissa * value, low(x) - P);
}

/** atan of a number between 0 and 1: three times halved, then the series. */
function arctangent(r: bigint): bigint {
  let x = r;
  for (let n = 0; n < 3; n++)
    x = (x << BigInt(P)) / (UNIT + F.integerRoot((UNIT + scaled(x, x)) << BigInt(P)));
  return scaled(x, inverseTangentSeries(scaled(x, x), -1n)) << 3n;
}

/** The angle of the point (x, y). */
export function angle(env: Environment, x: Extended, y: Extended): Extended {
  const other = F.special(env, x, y);
  if (other !== undefined) return other;
  const [kx, ky] = [F.kindOf(x), F.kindOf(y)];
  const pi = constants().halfPi >> BigInt(LONG - P - 1);
  const part = (quarters: bigint): Extended => inexact(env, y.sign, (pi * quarters) >> 2n, -P);
  if (ky === 'infinity') return part(kx === 'infinity' ? (x.sign === 0 ? 1n : 3n) : 2n);
  if (kx === 'infinity' || ky === 'zero') return x.sign === 0 ? F.zero(y.sign) : part(4n);
  if (kx === 'zero') return part(2n);
  const distance = low(y) + length(y.mantissa) - low(x) - length(x.mantissa);
  const below = distance <= 0;
  const [small, large] = below ? [y, x] : [x, y];
  const quotient = (small.mantissa << BigInt(P)) / large.mantissa;
  const scale = low(small) - low(large);
  if (scale < -100) {
    // The ratio itself, a little less; or a right angle or two, a little less or more.
    if (below && x.sign === 0) return inexact(env, y.sign, (quotient << 100n) - 1n, scale - P - 100);
    return part(below ? 4n : 2n);
  }
  const ratio = shifted(quotient, scale);
  const first = ratio <= UNIT ? arctangent(ratio) : pi / 2n - arctangent((UNIT * UNIT) / ratio);
  const acute = below ? first : pi / 2n - first;
  return inexact(env, y.sign, x.sign === 0 ? acute : pi - acute, -P);
}

/** What fprem and fprem1 give: the remainder, the low bits of the quotient, and whether there is more to do. */
export interface Remainder {
  readonly value: Extended;
  /** Undefined where there is none: of NaNs, of infinities, by zero. */
  readonly quotient: number | undefined;
  readonly partial: boolean;
}

/** @param nearest the quotient is rounded to nearest even, else towards zero */
export function remainder(env: Environment, a: Extended, b: Extended, nearest: boolean): Remainder {
  const whole = (value: Extended, quotient?: number): Remainder => ({ value, quotient, partial: false });
  const other = F.special(env, a, b);
  if (other !== undefined) return whole(other);
  if (F.kindOf(a) === 'infinity' || F.kindOf(b) === 'zero') {
    // What is invalid comes before what is denormal.
    env.flags &= ~X87.DE;
    return whole(F.invalid(env));
  }
  if (F.kindOf(b) === 'infinity' || F.kindOf(a) === 'zero') return whole(a, 0);
  const exponentOf = (value: Extended): number => low(value) + length(value.mantissa);
  const distance = exponentOf(a) - exponentOf(b);
  const base = Math.min(low(a), low(b));
  let [x, y] = [a.mantissa << BigInt(low(a) - base), b.mantissa << BigInt(low(b) - base)];
  if (distance >= 64) {
    // As many bits of the quotient as 32 and what is over the next multiple of that.
    y <<= BigInt(distance - (32 + (distance % 32)));
    x %= y;
    return { value: exactly(env, a.sign, x, base), quotient: 0, partial: true };
  }
  let quotient = x / y;
  let rest = x - quotient * y;
  let { sign } = a;
  if (nearest && (rest * 2n > y || (rest * 2n === y && (quotient & 1n) === 1n))) {
    rest = y - rest;
    quotient += 1n;
    sign = sign === 0 ? 1 : 0;
  }
  return {
    value: exactly(env, rest === 0n ? a.sign : sign, rest, base),
    quotient: Number(quotient & 7n),
    partial: false,
  };
}

const exactly = (env: Environment, sign: 0 | 1, value: bigint, lowest: number): Extended =>
  value === 0n ? F.zero(sign) : F.packed(env, sign, value, lowest);

/** The exponent as a number, and the significand between 1 and 2. */
export function extract(env: Environment, a: Extended): { exponent: Extended; significand: Extended } {
  const other = F.unary(env, a);
  if (other !== undefined) return { exponent: other, significand: other };
  const kind = F.kindOf(a);
  if (kind === 'infinity') return { exponent: F.infinity(0), significand: a };
  if (kind === 'zero') {
    env.flags |= X87.ZE;
    return { exponent: F.infinity(1), significand: a };
  }
  const bits = length(a.mantissa);
  const significand = { sign: a.sign, exponent: 16383, mantissa: a.mantissa << BigInt(64 - bits) };
  return { exponent: F.fromInteger(BigInt(low(a) + bits - 1)), significand };
}

/** a times two to the whole part of b. */
export function scale(env: Environment, a: Extended, b: Extended): Extended {
  const other = F.special(env, a, b);
  if (other !== undefined) return other;
  const [ka, kb] = [F.kindOf(a), F.kindOf(b)];
  if (kb === 'infinity') {
    if (b.sign === 0) return ka === 'zero' ? F.invalid(env) : F.infinity(a.sign);
    return ka === 'infinity' ? F.invalid(env) : F.zero(a.sign);
  }
  if (ka === 'infinity' || ka === 'zero' || kb === 'zero') return a;
  const magnitude = Number(shifted(b.mantissa, Math.max(-80, Math.min(low(b), 20))));
  const by = Math.min(magnitude, 0x10000) * (b.sign === 0 ? 1 : -1);
  return F.packed(env, a.sign, a.mantissa, low(a) + by);
}

const DIGITS = 18;

/** Eighteen packed digits and a sign. */
export function fromDecimal(bytes: Uint8Array): Extended {
  let value = 0n;
  for (let n = DIGITS / 2 - 1; n >= 0; n--)
    value = value * 100n + BigInt((bytes[n] >> 4) * 10 + (bytes[n] & 15));
  return { ...F.fromInteger(value), sign: bytes[9] & 0x80 ? 1 : 0 };
}

/** What does not fit is the pattern that means "none". */
export function toDecimal(env: Environment, a: Extended): Uint8Array {
  const bytes = new Uint8Array(10);
  const value = F.storeInteger(env, a, 80, false);
  let rest = value < 0n ? -value : value;
  if (rest >= 10n ** BigInt(DIGITS)) {
    env.flags = (env.flags & ~X87.PE) | X87.IE;
    env.up = false;
    return Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff);
  }
  for (let n = 0; n < DIGITS / 2; n++, rest /= 100n)
    bytes[n] = Number((((rest / 10n) % 10n) << 4n) | (rest % 10n));
  bytes[9] = a.sign === 1 ? 0x80 : 0;
  return bytes;
}
