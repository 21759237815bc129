/**
 * C's printf (ISO C 7.21.6.1) for systems whose kernels have no conversions of their own. `long double` and wide
 * characters are left out: their conversions stand for themselves.
 */
import type { VarArgs } from '../../abi/convention.ts';
import type { Address } from '../../memory/address.ts';
import type { Kernel } from '../kernel.ts';
import { type FloatKind, putFloat } from './floating.ts';
import { bytesOf, Sink, textOf } from './sink.ts';
import { type Conversion, decodeSpec, putNumber, putString } from './spec.ts';

/** A format or string longer than this is a pointer to something else. */
const MAX_TEXT = 65536;
/** Instructions that one byte of text is worth. */
const BYTE_COST = 8;

export interface PrintfOptions {
  /** Bytes that are kept; all are counted. No limit by default. */
  readonly limit?: number;
  /** What `%s` shows for a null pointer: `(null)` unless the system says otherwise. */
  readonly nullText?: string;
  /** What `%p` puts before the hexadecimal digits. */
  readonly pointerPrefix?: string;
}

/** Formats as C does; gives a string whose characters are bytes. */
export function formatC(k: Kernel, formatAt: Address, args: VarArgs, options: PrintfOptions = {}): Sink {
  return formatCText(k, guestText(k, formatAt), args, options);
}

/** As formatC, with the format at hand. */
export function formatCText(k: Kernel, text: string, args: VarArgs, options: PrintfOptions = {}): Sink {
  const out = new Sink(options.limit ?? MAX_TEXT * 16);
  let at = 0;
  while (at < text.length) {
    const percent = text.indexOf('%', at);
    if (percent < 0) break;
    out.put(text.slice(at, percent));
    const conversion = decodeSpec(text, percent + 1, args);
    at = conversion.next;
    convert(k, out, conversion, args, options);
  }
  out.put(text.slice(at));
  return out;
}

function convert(
  k: Kernel,
  out: Sink,
  { spec, qualifier, kind }: Conversion,
  args: VarArgs,
  options: PrintfOptions,
): void {
  switch (kind) {
    case 'c':
      putString(out, String.fromCharCode(args.i32() & 0xff), { ...spec, precision: -1 });
      return;
    case 's': {
      const at = args.pointer();
      const most = spec.precision >= 0 ? spec.precision : MAX_TEXT;
      putString(out, at === 0 ? (options.nullText ?? '(null)') : guestText(k, at, most), spec);
      return;
    }
    case 'p': {
      const value = BigInt.asUintN(k.types.model.pointer * 8, BigInt(args.pointer()));
      putString(out, (options.pointerPrefix ?? '0x') + value.toString(16), spec);
      return;
    }
    case 'd':
    case 'i':
    case 'u':
    case 'o':
    case 'x':
    case 'X': {
      const value = integer(k, args, qualifier, spec.signed);
      // A precision switches zero padding off, and no digits are written for a zero of precision zero.
      if (spec.precision >= 0) spec.zero = false;
      if (value === 0n && spec.precision === 0) out.pad(' ', spec.width);
      else putNumber(out, value, spec);
      return;
    }
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
    case 'a':
    case 'A': {
      const lower = kind.toLowerCase() as FloatKind;
      putFloat(out, args.f64(), spec, lower, kind !== lower);
      return;
    }
    default:
      // `%%`, and what is no conversion at all, stand for themselves.
      out.put(kind);
  }
}

function integer(k: Kernel, args: VarArgs, qualifier: string, signed: boolean): bigint {
  const { long, pointer } = k.types.model;
  const bytes = { L: 8, l: long, z: pointer, t: pointer, H: 1, h: 2 }[qualifier] ?? 4;
  const raw = bytes === 8 ? args.u64() : BigInt(args.u32());
  return signed ? BigInt.asIntN(bytes * 8, raw) : BigInt.asUintN(bytes * 8, raw);
}

/** The bytes at `at` up to a NUL or `max`, as a string of bytes. A string may end where mapped memory ends. */
export function guestText(k: Kernel, at: Address, max = MAX_TEXT): string {
  const parts: string[] = [];
  for (let done = 0; done < max; ) {
    const here = at + done;
    const chunk = Math.min(max - done, 4096 - (((here % 4096) + 4096) % 4096));
    const bytes = k.memory.bytes(here, chunk);
    const end = bytes.indexOf(0);
    const part = end < 0 ? bytes : bytes.subarray(0, end);
    k.scheduler.charge(part.length * BYTE_COST);
    parts.push(textOf(part));
    if (end >= 0) break;
    done += chunk;
  }
  return parts.join('');
}

/** Writes a string of bytes and its NUL. */
export function writeGuestText(k: Kernel, at: Address, text: string): void {
  k.memory.write(at, bytesOf(`${text}\0`));
}
