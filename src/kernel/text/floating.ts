/** C's conversions of floating point (ISO C 7.21.6.1: e, f, g and a), exact to the last digit asked for. */
import type { Sink } from './sink.ts';
import type { Spec } from './spec.ts';

export type FloatKind = 'e' | 'f' | 'g' | 'a';

/** C's default. */
const PRECISION = 6;
/** A double of 53 bits has no more digits behind the point than this; zeros follow. */
const MOST_DIGITS = 1100;

/** Writes a double as `%e`, `%f`, `%g` or `%a` does; `upper` for the conversions in capitals. */
export function putFloat(out: Sink, value: number, spec: Spec, kind: FloatKind, upper: boolean): void {
  const negative = value < 0 || Object.is(value, -0);
  const sign = negative ? '-' : spec.plus ? '+' : spec.space ? ' ' : '';
  const finite = Number.isFinite(value);
  const text = finite ? digitsOf(Math.abs(value), spec, kind) : Number.isNaN(value) ? 'nan' : 'inf';
  const shown = upper ? text.toUpperCase() : text;
  const prefix = shown.startsWith('0x') || shown.startsWith('0X') ? 2 : 0;
  const room = spec.width - sign.length - shown.length;
  // Zeros stand behind the sign and the 0x; infinities are not padded with them.
  const zero = spec.zero && !spec.left && finite;
  if (!zero && !spec.left) out.pad(' ', room);
  out.put(sign + shown.slice(0, prefix));
  if (zero) out.pad('0', room);
  out.put(shown.slice(prefix));
  if (spec.left) out.pad(' ', room);
}

function digitsOf(value: number, spec: Spec, kind: FloatKind): string {
  const precision = spec.precision < 0 ? PRECISION : spec.precision;
  if (kind === 'a') return hexadecimal(value, spec.precision, spec.special);
  if (kind === 'f') return fixed(value, precision, spec.special);
  if (kind === 'e') return exponential(value, precision, spec.special);
  return general(value, Math.max(1, precision), spec.special);
}

/** value * 10^power, exact, as a fraction. */
function fraction(value: number, power: number): [numerator: bigint, denominator: bigint] {
  const [mantissa, exponent] = parts(value);
  let numerator = mantissa;
  let denominator = 1n;
  if (exponent >= 0) numerator <<= BigInt(exponent);
  else denominator <<= BigInt(-exponent);
  if (power >= 0) numerator *= 10n ** BigInt(power);
  else denominator *= 10n ** BigInt(-power);
  return [numerator, denominator];
}

/** value * 10^power as the nearest integer, ties to even; exact, for a finite value that is not negative. */
function scaled(value: number, power: number): bigint {
  const [numerator, denominator] = fraction(value, power);
  const whole = numerator / denominator;
  const twice = (numerator % denominator) * 2n;
  const up = twice > denominator || (twice === denominator && (whole & 1n) === 1n);
  return up ? whole + 1n : whole;
}

/** value = mantissa * 2^exponent. */
function parts(value: number): [mantissa: bigint, exponent: number] {
  const bits = new BigUint64Array(Float64Array.of(value).buffer)[0];
  const field = Number((bits >> 52n) & 0x7ffn);
  const fraction = bits & ((1n << 52n) - 1n);
  return field === 0 ? [fraction, -1074] : [fraction | (1n << 52n), field - 1075];
}

function fixed(value: number, precision: number, point: boolean): string {
  const exact = Math.min(precision, MOST_DIGITS);
  const digits = scaled(value, exact)
    .toString()
    .padStart(exact + 1, '0');
  const behind = digits.slice(digits.length - exact) + '0'.repeat(precision - exact);
  return joined(digits.slice(0, digits.length - exact), exact === 0 ? '' : behind, point);
}

/** The digits (one before the point, `precision` behind it) and the exponent of ten. */
function rounded(value: number, precision: number): [digits: string, exponent: number] {
  if (value === 0) return ['0'.repeat(precision + 1), 0];
  const exact = Math.min(precision, MOST_DIGITS);
  // The shortest text may have been rounded up to the next power of ten.
  let exponent = Number(value.toExponential().split('e')[1]);
  const [numerator, denominator] = fraction(value, -exponent);
  if (numerator < denominator) exponent--;
  let digits = scaled(value, exact - exponent).toString();
  if (digits.length > exact + 1) {
    exponent++;
    digits = digits.slice(0, -1);
  }
  return [digits + '0'.repeat(precision - exact), exponent];
}

function exponential(value: number, precision: number, point: boolean): string {
  const [digits, exponent] = rounded(value, precision);
  return joined(digits[0], digits.slice(1), point) + exponentText(exponent);
}

const exponentText = (exponent: number): string =>
  `e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;

/** The shorter of the two, without zeros at the end unless `#` was given. */
function general(value: number, precision: number, special: boolean): string {
  const [digits, exponent] = rounded(value, precision - 1);
  const kept = special ? digits : digits.replace(/0+$/, '') || '0';
  if (exponent < -4 || exponent >= precision)
    return joined(kept[0], kept.slice(1), special) + exponentText(exponent);
  if (exponent < 0) return joined('0', '0'.repeat(-exponent - 1) + kept, special);
  const padded = kept.padEnd(exponent + 1, '0');
  return joined(padded.slice(0, exponent + 1), padded.slice(exponent + 1), special);
}

function hexadecimal(value: number, precision: number, point: boolean): string {
  let [mantissa, exponent] = parts(value);
  if (value === 0) return `${joined('0x0', '0'.repeat(Math.max(0, precision)), point)}p+0`;
  // A subnormal keeps a leading zero, as in C libraries that show the bits as they are.
  exponent += 52;
  let digits = 13;
  if (precision >= 0 && precision < digits) {
    const cut = BigInt(4 * (digits - precision));
    const rest = mantissa & ((1n << cut) - 1n);
    const half = 1n << (cut - 1n);
    mantissa >>= cut;
    if (rest > half || (rest === half && (mantissa & 1n) === 1n)) mantissa++;
    digits = precision;
  }
  const lead = mantissa >> BigInt(4 * digits);
  let behind =
    digits === 0 ? '' : (mantissa & ((1n << BigInt(4 * digits)) - 1n)).toString(16).padStart(digits, '0');
  behind = precision < 0 ? behind.replace(/0+$/, '') : behind.padEnd(precision, '0');
  return `${joined(`0x${lead.toString(16)}`, behind, point)}p${exponent < 0 ? '-' : '+'}${Math.abs(exponent)}`;
}

const joined = (before: string, behind: string, point: boolean): string =>
  behind === '' && !point ? before : `${before}.${behind}`;
