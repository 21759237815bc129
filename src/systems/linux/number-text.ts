/** Text to numbers as lib/kstrtox.c reads them. */
import { Errno } from './errno.ts';

interface Digits {
  readonly value: bigint;
  /** Characters of digits. */
  readonly length: number;
  /** The value does not fit 64 bits. */
  readonly overflow: boolean;
}

/** The base and the characters its prefix takes: base 0 looks for 0x and 0. */
export function basePrefix(text: string, base: number): [number, number] {
  if (base === 0) {
    if (text[0] !== '0') return [10, 0];
    return /^0[xX][0-9a-fA-F]/.test(text) ? [16, 2] : [8, 0];
  }
  return base === 16 && /^0[xX]/.test(text) ? [16, 2] : [base, 0];
}

export function readDigits(text: string, base: number): Digits {
  let value = 0n;
  let length = 0;
  let overflow = false;
  const wide = BigInt(base);
  for (; length < text.length; length++) {
    const digit = digitOf(text.charCodeAt(length));
    if (digit >= base) break;
    value = value * wide + BigInt(digit);
    if (value >> 64n !== 0n) {
      overflow = true;
      value &= 0xffffffffffffffffn;
    }
  }
  return { value, length, overflow };
}

function digitOf(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const letter = code | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x61 + 10 : 99;
}

/** kstrtoull's rules: one optional plus, all of the text, one optional newline at the end. Negative errno or the value. */
export function parseUnsigned(text: string, base: number): bigint | number {
  const body = text[0] === '+' ? text.slice(1) : text;
  const [actual, prefix] = basePrefix(body, base);
  const digits = readDigits(body.slice(prefix), actual);
  if (digits.overflow) return -Errno.ERANGE;
  if (digits.length === 0) return -Errno.EINVAL;
  const rest = body.slice(prefix + digits.length);
  return rest === '' || rest === '\n' ? digits.value : -Errno.EINVAL;
}

/** kstrtoll's rules. */
export function parseSigned(text: string, base: number): bigint | number {
  if (text[0] === '-') {
    // A second sign is no digit: what follows the minus must not begin with a plus.
    const magnitude = text[1] === '+' ? -Errno.EINVAL : parseUnsigned(text.slice(1), base);
    if (typeof magnitude === 'number') return magnitude;
    return magnitude > 1n << 63n ? -Errno.ERANGE : -magnitude;
  }
  const value = parseUnsigned(text, base);
  if (typeof value === 'number') return value;
  return value >= 1n << 63n ? -Errno.ERANGE : value;
}

/** kstrto* of a type with so many bits. */
export function parseSized(text: string, base: number, bits: number, signed: boolean): bigint | number {
  const value = signed ? parseSigned(text, base) : parseUnsigned(text, base);
  if (typeof value === 'number') return value;
  const fits = signed ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value);
  return fits === value ? value : -Errno.ERANGE;
}

/** y, t, 1, n, f, 0, on, off by their first characters (kstrtobool; t and f since 5.19). */
export function parseBoolean(text: string): number {
  const first = text[0]?.toLowerCase();
  if (first === 'y' || first === 't' || first === '1') return 1;
  if (first === 'n' || first === 'f' || first === '0') return 0;
  if (first === 'o' && text[1]?.toLowerCase() === 'n') return 1;
  if (first === 'o' && text[1]?.toLowerCase() === 'f') return 0;
  return -Errno.EINVAL;
}
