/** C values as a person reads them: strings, symbols, names of enumerations, and what the system itself has words for. */
import type { VarArgs } from '../../abi/convention.ts';
import { type CType, type EnumType, resolve } from '../../ctypes/type.ts';
import type { Address } from '../../memory/space.ts';
import type { Kernel } from '../kernel.ts';

/** Bytes of a string that are shown. */
const SHOWN_BYTES = 80;
/** Numbers from here on are likelier bits than an amount. */
const DECIMAL_LIMIT = 1 << 20;
/** Conversions that are shown of one format. */
const SHOWN_CONVERSIONS = 16;

/** One value of a C type. `string` says that a pointer to char may be followed. */
export function valueText(k: Kernel, type: CType, value: unknown, string = false): string {
  if (typeof value !== 'number' && typeof value !== 'bigint' && typeof value !== 'boolean') return '...';
  const own = k.describeValue(type, value);
  if (own !== undefined) return own;
  const real = resolve(type);
  switch (real.kind) {
    case 'pointer':
    case 'array':
    case 'function':
      return string && isCharPointer(type) ? stringText(k, Number(value)) : pointerText(k, Number(value));
    case 'enum':
      return enumText(real, BigInt(value));
    case 'integer':
      if (real.encoding === 'bool') return value === 0 || value === false ? 'false' : 'true';
      return numberText(BigInt(value), real.size, real.signed);
    case 'struct':
    case 'union':
      return '{...}';
    default:
      return numberText(BigInt(value), 8, true);
  }
}

export function isCharPointer(type: CType): boolean {
  const real = resolve(type);
  if (real.kind !== 'pointer') return false;
  const target = resolve(real.target);
  return target.kind === 'integer' && target.size === 1 && target.encoding === 'char';
}

/** `NULL`, `symbol+0x10`, or the address. */
export function pointerText(k: Kernel, address: Address): string {
  if (address === 0) return 'NULL';
  const near = k.nearest(address);
  if (near === undefined) return hex(BigInt(address), k.types.model.pointer);
  const offset = address - near.address;
  const module = near.module === undefined ? '' : ` [${near.module}]`;
  return `${near.name}${offset === 0 ? '' : `+0x${offset.toString(16)}`}${module}`;
}

/** The string in quotes, with escapes, cut after {@link SHOWN_BYTES}; the address where none can be read. */
export function stringText(k: Kernel, address: Address): string {
  if (address === 0) return 'NULL';
  const bytes = k.memory.peek(address, SHOWN_BYTES + 1);
  if (bytes.length === 0) return pointerText(k, address);
  const end = bytes.indexOf(0);
  const shown = bytes.subarray(0, end < 0 ? SHOWN_BYTES : end);
  return `"${Array.from(shown, escaped).join('')}"${end < 0 ? '...' : ''}`;
}

const ESCAPES: Readonly<Record<number, string>> = {
  9: '\\t',
  10: '\\n',
  13: '\\r',
  34: '\\"',
  92: '\\\\',
};

function escaped(byte: number): string {
  const known = ESCAPES[byte];
  if (known !== undefined) return known;
  return byte < 32 || byte > 126 ? `\\x${byte.toString(16).padStart(2, '0')}` : String.fromCharCode(byte);
}

function enumText(type: EnumType, value: bigint): string {
  const exact = type.values.find((one) => BigInt(one.value) === value);
  if (exact !== undefined) return exact.name;
  return (
    flagsText(
      value,
      type.values.map(({ name, value: bits }) => [name, BigInt(bits)]),
    ) ?? value.toString()
  );
}

/** `A|B|0x8`, when every name given stands for bits and one of them is set. */
export function flagsText(value: bigint, names: readonly (readonly [string, bigint])[]): string | undefined {
  const parts: string[] = [];
  let rest = value;
  // The widest masks first: a name for several bits says more than theirs.
  for (const [name, bits] of [...names].sort((a, b) => ones(b[1]) - ones(a[1]))) {
    if (bits <= 0n || (rest & bits) !== bits) continue;
    parts.push(name);
    rest &= ~bits;
  }
  if (parts.length === 0) return undefined;
  if (rest !== 0n) parts.push(`0x${rest.toString(16)}`);
  return parts.join('|');
}

function ones(value: bigint): number {
  return value <= 0n ? 0 : value.toString(2).replaceAll('0', '').length;
}

function numberText(value: bigint, size: number, signed: boolean): string {
  const exact = signed ? BigInt.asIntN(size * 8, value) : BigInt.asUintN(size * 8, value);
  return exact > -DECIMAL_LIMIT && exact < DECIMAL_LIMIT ? exact.toString() : hex(exact, size);
}

function hex(value: bigint, size: number): string {
  return `0x${BigInt.asUintN(size * 8, value).toString(16)}`;
}

/** What a printf-like format takes from its arguments, as C values; C's conversions alone are known (C17 7.21.6.1). */
export function formatArguments(k: Kernel, format: Address, from: VarArgs): string[] {
  const text = new TextDecoder('latin1').decode(k.memory.peek(format, 512)).split('\0', 1)[0];
  const args = from.copy();
  const shown: string[] = [];
  for (const match of text.matchAll(/%[-+ #0]*(\*|\d*)(?:\.(\*|\d*))?(hh|h|ll|l|z|t|j|L)?([%a-zA-Z])/g)) {
    const [, width, precision, length = '', conversion] = match;
    if (conversion === '%') continue;
    if (shown.length >= SHOWN_CONVERSIONS) return [...shown, '...'];
    for (const star of [width, precision]) if (star === '*') shown.push(String(args.i32()));
    shown.push(conversionText(k, conversion, length, args));
  }
  return shown;
}

function conversionText(k: Kernel, conversion: string, length: string, args: VarArgs): string {
  const wide = /^(ll|j|l|z|t)$/.test(length);
  const long = length === 'l' || length === 'z' || length === 't';
  switch (conversion) {
    case 's':
      return stringText(k, args.pointer());
    case 'p':
      return pointerText(k, args.pointer());
    case 'd':
    case 'i':
      return numberText(long ? BigInt(args.long()) : wide ? args.i64() : BigInt(args.i32()), 8, true);
    case 'u':
    case 'x':
    case 'X':
    case 'o':
      if (long) return numberText(BigInt(args.long()), k.types.model.long, false);
      return numberText(wide ? args.u64() : BigInt(args.u32()), 8, false);
    case 'c':
      return `'${escaped(args.i32() & 255)}'`;
    default:
      return '...';
  }
}
