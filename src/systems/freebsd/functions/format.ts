/** printf(9): the kernel's own conversions beside C's, `%b` (bits with names), `%D` (bytes), `%r`, `%y`, `%z`, `%n`. */
import type { VarArgs } from '../../../abi/convention.ts';
import type { Kernel } from '../../../kernel/kernel.ts';
import type { Address } from '../../../memory/space.ts';

interface Spec {
  width: number;
  precision: number;
  left: boolean;
  zero: boolean;
  sharp: boolean;
  sign: string;
  bytes: number;
}

/** A result longer than this is cut: a format that asks for more is damaged. */
const MAX_OUTPUT = 65536;

/** Formats as kvprintf does (sys/kern/subr_prf.c); `radix` is what `%r` prints in. */
export function format(k: Kernel, text: string, args: VarArgs, radix = 10): string {
  let out = '';
  let at = 0;
  while (at < text.length && out.length < MAX_OUTPUT) {
    const percent = text.indexOf('%', at);
    if (percent < 0) return out + text.slice(at);
    out += text.slice(at, percent);
    const parsed = parseSpec(k, text, percent + 1, args);
    at = parsed.next;
    const piece = convert(k, parsed.letter, parsed.spec, args, radix);
    // An unknown conversion ends the formatting: the rest is printed as it is.
    if (piece === undefined) return out + text.slice(percent);
    out += piece;
  }
  return out;
}

const SIZES: Readonly<Record<string, (k: Kernel) => number>> = {
  l: (k) => k.types.model.long,
  q: () => 8,
  j: () => 8,
  z: (k) => k.types.model.pointer,
  t: (k) => k.types.model.pointer,
  h: () => 2,
};

function parseSpec(
  k: Kernel,
  text: string,
  start: number,
  args: VarArgs,
): { spec: Spec; letter: string; next: number } {
  const spec: Spec = { width: 0, precision: -1, left: false, zero: false, sharp: false, sign: '', bytes: 4 };
  let at = start;
  for (; ' #-+0'.includes(text[at] ?? 'x'); at++) {
    if (text[at] === '-') spec.left = true;
    else if (text[at] === '0') spec.zero = true;
    else if (text[at] === '#') spec.sharp = true;
    else if (text[at] === '+') spec.sign = '+';
  }
  const number = (): number => {
    if (text[at] === '*') {
      at++;
      return args.i32();
    }
    const digits = /^\d*/.exec(text.slice(at, at + 9))?.[0] ?? '';
    at += digits.length;
    return Number(digits);
  };
  spec.width = number();
  if (spec.width < 0) {
    spec.left = true;
    spec.width = -spec.width;
  }
  if (text[at] === '.') {
    at++;
    spec.precision = number();
  }
  for (; text[at] in SIZES; at++) {
    if (text[at] === 'h') spec.bytes = spec.bytes === 2 ? 1 : 2;
    else spec.bytes = text[at] === 'l' && spec.bytes === 8 ? 8 : SIZES[text[at]](k);
    // ll is 64 bits everywhere.
    if (text[at] === 'l' && text[at + 1] === 'l') {
      spec.bytes = 8;
      at++;
    }
  }
  return { spec, letter: text[at] ?? '', next: at + 1 };
}

function convert(k: Kernel, letter: string, spec: Spec, args: VarArgs, radix: number): string | undefined {
  switch (letter) {
    case '%':
      return '%';
    case 'c':
      return pad(String.fromCharCode(args.i32() & 0xff), { ...spec, zero: false });
    case 's':
      return pad(stringArgument(k, args.pointer(), spec.precision), { ...spec, zero: false });
    case 'd':
    case 'i':
      return number(signed(args, spec.bytes), 10, spec);
    case 'u':
      return number(unsigned(args, spec.bytes), 10, spec);
    case 'x':
      return number(unsigned(args, spec.bytes), 16, spec);
    case 'X':
      return number(unsigned(args, spec.bytes), 16, spec).toUpperCase();
    case 'o':
      return number(unsigned(args, spec.bytes), 8, spec);
    case 'r':
      return number(unsigned(args, spec.bytes), radix, spec);
    case 'y':
      return number(signed(args, spec.bytes), 16, spec);
    case 'p': {
      // As %#x with the width of a pointer; a null pointer has no prefix.
      const value = BigInt.asUintN(k.types.model.pointer * 8, BigInt(args.pointer()));
      return number(value, 16, { ...spec, sharp: true });
    }
    case 'b':
      return bits(k, unsigned(args, spec.bytes), args.pointer());
    case 'D':
      return dump(k, args.pointer(), args.pointer(), spec.width === 0 ? 16 : spec.width);
    case 'n':
      args.pointer();
      return '';
    default:
      return undefined;
  }
}

function stringArgument(k: Kernel, at: Address, precision: number): string {
  if (at === 0) return '(null)';
  return precision >= 0 ? k.memory.cstring(at, precision) : k.memory.cstring(at);
}

function unsigned(args: VarArgs, bytes: number): bigint {
  return bytes === 8 ? args.u64() : BigInt.asUintN(bytes * 8, BigInt(args.u32()));
}

function signed(args: VarArgs, bytes: number): bigint {
  return bytes === 8 ? args.i64() : BigInt.asIntN(bytes * 8, BigInt(args.i32()));
}

function number(value: bigint, radix: number, spec: Spec): string {
  const magnitude = value < 0n ? -value : value;
  let digits = magnitude.toString(Math.min(36, Math.max(2, radix)));
  if (spec.precision > digits.length) digits = digits.padStart(Math.min(spec.precision, MAX_OUTPUT), '0');
  const prefix = spec.sharp && value !== 0n ? (radix === 16 ? '0x' : radix === 8 ? '0' : '') : '';
  const sign = value < 0n ? '-' : spec.sign;
  const lead = sign + prefix;
  if (spec.zero && !spec.left && spec.precision < 0) {
    digits = digits.padStart(Math.min(spec.width, MAX_OUTPUT) - lead.length, '0');
  }
  return pad(lead + digits, { ...spec, zero: false });
}

function pad(text: string, { width, left }: Spec): string {
  const columns = Math.min(width, MAX_OUTPUT);
  return left ? text.padEnd(columns) : text.padStart(columns);
}

/** `%b`: the first character of the second argument is the radix, then bit numbers each followed by its name. */
function bits(k: Kernel, value: bigint, names: Address): string {
  const text = k.memory.cstring(names);
  const radix = text.charCodeAt(0) || 10;
  let out = value.toString(Math.min(36, Math.max(2, radix)));
  if (value === 0n) return out;
  const found: string[] = [];
  for (const [, bit, name] of text.slice(1).matchAll(/([\x01-\x20])([^\x01-\x20]*)/g)) {
    if ((value >> BigInt(bit.charCodeAt(0) - 1)) & 1n) found.push(name);
  }
  if (found.length > 0) out += `<${found.join(',')}>`;
  return out;
}

/** `%D`: bytes in hexadecimal with a separator. */
function dump(k: Kernel, at: Address, separator: Address, count: number): string {
  const between = separator === 0 ? ' ' : k.memory.cstring(separator);
  return [...k.memory.bytes(at, Math.min(count, 4096))]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join(between);
}
