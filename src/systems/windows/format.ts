/** Microsoft's printf in the kernel: %wZ, %ws, %I64x and the rest ("Format specification syntax: printf and wprintf functions"). */
import type { VarArgs } from '../../abi/convention.ts';
import type { Address } from '../../memory/space.ts';
import { ansiString, unicodeString, wideText } from './strings.ts';
import type { Windows } from './windows.ts';

const SPEC = /%([-+ #0]*)(\*|\d+)?(?:\.(\*|\d+)?)?(I64|I32|ll|hh|[hlLwIztj])?([%a-zA-Z])|%/g;
/** More than any caller prints: a hostile width must not cost memory. */
const MAX_WIDTH = 4096;
const NO_PRECISION = -1;

interface Spec {
  readonly flags: string;
  readonly width: number;
  readonly precision: number;
  readonly size: string;
  readonly conversion: string;
}

/** @param wide whether the format itself is of 16-bit units, which turns %s and %S around */
export function format(k: Windows, text: string, args: VarArgs, wide = false): string {
  return text.replace(SPEC, (whole, flags: string, width, precision, size, conversion) => {
    if (conversion === undefined) return whole;
    if (conversion === '%') return '%';
    const number = (value: string | undefined, otherwise: number) =>
      value === '*' ? args.i32() : value === undefined ? otherwise : Number(value);
    const spec: Spec = {
      flags: flags ?? '',
      width: Math.min(MAX_WIDTH, number(width, 0)),
      precision: whole.includes('.') ? Math.min(MAX_WIDTH, number(precision, 0)) : NO_PRECISION,
      size: size ?? '',
      conversion,
    };
    return pad(convert(k, spec, args, wide), spec);
  });
}

function convert(k: Windows, spec: Spec, args: VarArgs, wide: boolean): string {
  switch (spec.conversion) {
    case 'd':
    case 'i':
    case 'u':
    case 'x':
    case 'X':
    case 'o':
      return integer(k, spec, args);
    case 'p':
      return hexPointer(k, args.pointer());
    case 'c':
    case 'C':
      return String.fromCharCode(args.i32() & 0xffff);
    case 's':
      return cut(text(k, args.pointer(), isWide(spec.size, wide)), spec);
    case 'S':
      return cut(text(k, args.pointer(), !wide), spec);
    case 'Z': {
      const at = args.pointer();
      if (at === 0) return '(null)';
      return cut(isWide(spec.size, wide) ? unicodeString(k, at) : ansiString(k, at), spec);
    }
    default:
      return `%${spec.conversion}`;
  }
}

const isWide = (size: string, wide: boolean): boolean => {
  if (size === 'w' || size === 'l') return true;
  if (size === 'h') return false;
  return wide;
};

function text(k: Windows, at: Address, wide: boolean): string {
  if (at === 0) return '(null)';
  return wide ? wideText(k, at) : k.memory.cstring(at);
}

const cut = (value: string, { precision }: Spec): string =>
  precision >= 0 ? value.slice(0, precision) : value;

function hexPointer(k: Windows, at: Address): string {
  return BigInt.asUintN(k.word * 8, BigInt(at))
    .toString(16)
    .toUpperCase()
    .padStart(k.word * 2, '0');
}

function integer(k: Windows, spec: Spec, args: VarArgs): string {
  const { size, conversion, flags, precision } = spec;
  const signedKind = conversion === 'd' || conversion === 'i';
  const big =
    size === 'I64' ||
    size === 'll' ||
    (k.word === 8 && (size === 'I' || size === 'z' || size === 't' || size === 'j'));
  let value: bigint;
  if (big) value = signedKind ? args.i64() : args.u64();
  else value = BigInt(signedKind ? args.i32() : args.u32());
  if (size === 'h') value = signedKind ? BigInt.asIntN(16, value) : BigInt.asUintN(16, value);
  if (size === 'hh') value = signedKind ? BigInt.asIntN(8, value) : BigInt.asUintN(8, value);
  const negative = value < 0n;
  const base = conversion === 'x' || conversion === 'X' ? 16 : conversion === 'o' ? 8 : 10;
  let digits = (negative ? -value : value).toString(base);
  if (conversion === 'X') digits = digits.toUpperCase();
  digits = digits.padStart(precision, '0');
  const prefix = flags.includes('#') && base === 16 && value !== 0n ? `0${conversion}` : '';
  const sign = negative ? '-' : flags.includes('+') && signedKind ? '+' : '';
  if (flags.includes('0') && !flags.includes('-') && precision < 0)
    digits = digits.padStart(spec.width - prefix.length - sign.length, '0');
  return sign + prefix + digits;
}

function pad(value: string, { width, flags }: Spec): string {
  if (width < 0) return value.padEnd(-width);
  return flags.includes('-') ? value.padEnd(width) : value.padStart(width);
}
