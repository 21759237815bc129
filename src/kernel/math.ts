/**
 * The mathematical part of ISO C's library (7.12), and its conversions of text to double, for kernels that have it: those of
 * real-time systems, whose tasks compute. Of last bits the standard promises nothing; these are JavaScript's.
 */
import { definer, type FunctionTable } from './functions.ts';
import type { Kernel } from './kernel.ts';
import { guestText } from './text/printf.ts';

const functions = definer<Kernel>();

export const mathFunctions: FunctionTable<Kernel> = functions({
  'double acos(double x)': (_, x) => Math.acos(x),
  'double asin(double x)': (_, x) => Math.asin(x),
  'double atan(double x)': (_, x) => Math.atan(x),
  'double atan2(double y, double x)': (_, y, x) => Math.atan2(y, x),
  'double ceil(double x)': (_, x) => Math.ceil(x),
  'double cos(double x)': (_, x) => Math.cos(x),
  'double cosh(double x)': (_, x) => Math.cosh(x),
  'double exp(double x)': (_, x) => Math.exp(x),
  'double fabs(double x)': (_, x) => Math.abs(x),
  'double floor(double x)': (_, x) => Math.floor(x),
  // The sign is that of x, as with the remainder of JavaScript.
  'double fmod(double x, double y)': (_, x, y) => x % y,
  'double frexp(double x, int *exponent)': (k, x, at) => {
    const { mantissa, exponent } = split(x);
    k.memory.set32(at, exponent);
    return mantissa;
  },
  'double ldexp(double x, int exponent)': (_, x, exponent) => scale(x, exponent),
  'double log(double x)': (_, x) => Math.log(x),
  'double log2(double x)': (_, x) => Math.log2(x),
  'double log10(double x)': (_, x) => Math.log10(x),
  'double modf(double x, double *whole)': (k, x, at) => {
    const whole = Math.trunc(x);
    setDouble(k, at, whole);
    return Number.isFinite(x) ? x - whole : Number.isNaN(x) ? x : 0;
  },
  'double pow(double x, double y)': (_, x, y) => (x === 1 ? 1 : x ** y),
  'double rint(double x)': (_, x) => toEven(x),
  'double round(double x)': (_, x) => Math.sign(x) * Math.floor(Math.abs(x) + 0.5),
  'double sin(double x)': (_, x) => Math.sin(x),
  'double sinh(double x)': (_, x) => Math.sinh(x),
  'double sqrt(double x)': (_, x) => Math.sqrt(x),
  'double tan(double x)': (_, x) => Math.tan(x),
  'double tanh(double x)': (_, x) => Math.tanh(x),
  'double trunc(double x)': (_, x) => Math.trunc(x),
  'float floorf(float x)': (_, x) => Math.floor(x),
  'float ceilf(float x)': (_, x) => Math.ceil(x),
  'float fabsf(float x)': (_, x) => Math.abs(x),
  'float sqrtf(float x)': (_, x) => Math.fround(Math.sqrt(x)),
  'float sinf(float x)': (_, x) => Math.fround(Math.sin(x)),
  'float cosf(float x)': (_, x) => Math.fround(Math.cos(x)),
  'float powf(float x, float y)': (_, x, y) => Math.fround(x ** y),
  'double atof(const char *text)': (k, text) => parseReal(guestText(k, text)).value,
  'double strtod(const char *text, char **end)': (k, text, end) => {
    const { value, next } = parseReal(guestText(k, text));
    if (end !== 0) k.memory.setPtr(end, text + next);
    return value;
  },
});

/** Writes a double where the guest wants it. */
function setDouble(k: Kernel, at: number, value: number): void {
  k.memory.setU64(at, new BigUint64Array(Float64Array.of(value).buffer)[0]);
}

const REAL = /^[ \t-\r]*([+-]?(?:inf(?:inity)?|nan|\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?))/i;

/** The number that a text begins with, blanks before it allowed (7.20.1.3); `next` is the index behind it, 0 for none. */
export function parseReal(text: string): { value: number; next: number } {
  const found = REAL.exec(text);
  if (found === null) return { value: 0, next: 0 };
  const word = found[1].toLowerCase();
  const sign = word.startsWith('-') ? -1 : 1;
  const special = word.includes('inf')
    ? Number.POSITIVE_INFINITY
    : word.includes('nan')
      ? Number.NaN
      : undefined;
  return { value: special === undefined ? Number(word) : sign * special, next: found[0].length };
}

function split(x: number): { mantissa: number; exponent: number } {
  if (x === 0 || !Number.isFinite(x)) return { mantissa: x, exponent: 0 };
  let exponent = Math.floor(Math.log2(Math.abs(x))) + 1;
  let mantissa = scale(x, -exponent);
  // The logarithm may be one off beside a power of two.
  if (Math.abs(mantissa) >= 1) {
    mantissa /= 2;
    exponent++;
  } else if (Math.abs(mantissa) < 0.5) {
    mantissa *= 2;
    exponent--;
  }
  return { mantissa, exponent };
}

/** x * 2^exponent in steps that neither overflow nor lose bits before the last. */
function scale(x: number, exponent: number): number {
  let value = x;
  let left = Math.max(-5000, Math.min(5000, exponent));
  while (left > 1000) {
    value *= 2 ** 1000;
    left -= 1000;
  }
  while (left < -1000) {
    value *= 2 ** -1000;
    left += 1000;
  }
  return value * 2 ** left;
}

/** To the nearest integer, halves to the even one: the rounding a processor starts with. */
function toEven(x: number): number {
  const low = Math.floor(x);
  const rest = x - low;
  if (rest !== 0.5) return Math.round(x);
  return low % 2 === 0 ? low : low + 1;
}
