/** Conversion specifications of the printf family as kernels take them: no floating point, no `%n`. */
import type { VarArgs } from '../../abi/convention.ts';
import type { Sink } from './sink.ts';

export interface Spec {
  left: boolean;
  plus: boolean;
  space: boolean;
  special: boolean;
  zero: boolean;
  small: boolean;
  signed: boolean;
  base: number;
  /** -1: none was given. */
  width: number;
  precision: number;
}

/** The kernel clamps both: a width fits 24 bits, a precision 16. */
const MAX_WIDTH = 0x7fffff;
const MAX_PRECISION = 0x7fff;

export function plainSpec(over: Partial<Spec> = {}): Spec {
  return {
    left: false,
    plus: false,
    space: false,
    special: false,
    zero: false,
    small: false,
    signed: false,
    base: 10,
    width: -1,
    precision: -1,
    ...over,
  };
}

export interface Conversion {
  readonly spec: Spec;
  /** h, H (hh), l, L (ll), z, t or empty. */
  readonly qualifier: string;
  /** The conversion character; empty at the end of the format. */
  readonly kind: string;
  /** Index behind the conversion character. */
  readonly next: number;
}

/** Reads the specification behind a '%' at `at - 1`; takes `*` arguments from `args`. */
export function decodeSpec(format: string, at: number, args: VarArgs): Conversion {
  const spec = plainSpec();
  at = readFlags(format, at, spec);
  at = readWidth(format, at, spec, args);
  if (format[at] === '.') at = readPrecision(format, at + 1, spec, args);
  let qualifier = '';
  if (/[hlLzt]/.test(format[at] ?? '')) {
    qualifier = format[at++];
    if (format[at] === qualifier && (qualifier === 'h' || qualifier === 'l')) {
      qualifier = qualifier === 'h' ? 'H' : 'L';
      at++;
    }
  }
  const kind = format[at] ?? '';
  if (kind === 'x') spec.small = true;
  if (kind === 'x' || kind === 'X') spec.base = 16;
  if (kind === 'o') spec.base = 8;
  if (kind === 'd' || kind === 'i') spec.signed = true;
  return { spec, qualifier, kind, next: at + 1 };
}

function readFlags(format: string, at: number, spec: Spec): number {
  for (; ; at++) {
    const flag = format[at];
    if (flag === '-') spec.left = true;
    else if (flag === '+') spec.plus = true;
    else if (flag === ' ') spec.space = true;
    else if (flag === '#') spec.special = true;
    else if (flag === '0') spec.zero = true;
    else return at;
  }
}

function readNumber(format: string, at: number): [number, number] {
  let value = 0;
  for (; isDigit(format[at]); at++) value = value * 10 + Number(format[at]);
  return [value, at];
}

function isDigit(c: string | undefined): boolean {
  return c !== undefined && c >= '0' && c <= '9';
}

function readWidth(format: string, at: number, spec: Spec, args: VarArgs): number {
  let width: number;
  if (isDigit(format[at])) [width, at] = readNumber(format, at);
  else if (format[at] === '*') {
    width = args.i32();
    at++;
    if (width < 0) {
      spec.left = true;
      width = -width;
    }
  } else return at;
  spec.width = Math.min(width, MAX_WIDTH);
  return at;
}

function readPrecision(format: string, at: number, spec: Spec, args: VarArgs): number {
  if (isDigit(format[at])) {
    [spec.precision, at] = readNumber(format, at);
    spec.precision = Math.min(spec.precision, MAX_PRECISION);
  } else if (format[at] === '*') {
    spec.precision = Math.max(-1, Math.min(args.i32(), MAX_PRECISION));
    at++;
  }
  return at;
}

/** A number by the rules of the kernel's printf, which differ from C's where both '0' and a precision are given. */
export function putNumber(out: Sink, value: bigint, spec: Spec): void {
  let { width } = spec;
  let sign = '';
  if (spec.signed) {
    if (value < 0n) sign = '-';
    else if (spec.plus) sign = '+';
    else if (spec.space) sign = ' ';
    if (value < 0n) value = -value;
  }
  const prefixed = spec.special && spec.base !== 10;
  let prefix = '';
  if (prefixed && spec.base === 16) prefix = spec.small ? '0x' : '0X';
  else if (prefixed && value !== 0n) prefix = '0';
  const digits = value.toString(spec.base);
  const shown = spec.small ? digits : digits.toUpperCase();
  const precision = Math.max(spec.precision, digits.length);
  width -= sign.length + prefix.length + precision;
  const zero = spec.zero && !spec.left;
  if (!zero && !spec.left) out.pad(' ', width);
  out.put(sign + prefix);
  if (zero) out.pad('0', width);
  out.pad('0', precision - digits.length);
  out.put(shown);
  if (spec.left) out.pad(' ', width);
}

/** A string with width and precision. */
export function putString(out: Sink, text: string, spec: Spec): void {
  const shown = spec.precision >= 0 ? text.slice(0, spec.precision) : text;
  const room = spec.width - shown.length;
  if (!spec.left) out.pad(' ', room);
  out.put(shown);
  if (spec.left) out.pad(' ', room);
}

/** A value of `bytes` bytes as 0x and all its hexadecimal digits. */
export function putSpecialHex(out: Sink, value: bigint, bytes: number): void {
  putNumber(
    out,
    value,
    plainSpec({ special: true, small: true, zero: true, base: 16, width: 2 + 2 * bytes }),
  );
}
