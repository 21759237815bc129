/**
 * The kernel's printf (lib/vsprintf.c as documented in Documentation/core-api/printk-formats.rst). It has no floating point and no
 * `%n`, and `%p` takes a letter that says what it points to (pointer.ts).
 */
import type { VarArgs } from '../../../../abi/convention.ts';
import { bytesOf, Sink, textOf } from '../../../../kernel/text/sink.ts';
import {
  type Conversion,
  decodeSpec,
  putNumber,
  putString,
  type Spec,
} from '../../../../kernel/text/spec.ts';
import type { Address } from '../../../../memory/space.ts';
import type { Linux } from '../../linux.ts';
import { badPointer, putPointer } from './pointer.ts';

/** A format longer than this is not a format: the kernel's own log lines end at 1 kB. */
const MAX_FORMAT = 65536;
/** %pV formats inside formats. */
const MAX_NESTING = 8;

/** Formats into at most `limit` kept bytes; all are counted. */
export function format(k: Linux, formatAt: Address, args: VarArgs, limit: number): Sink {
  return formatText(k, byteString(k, formatAt, MAX_FORMAT), args, limit);
}

/** As `format`, with the format itself at hand (a string of bytes). */
export function formatText(k: Linux, text: string, args: VarArgs, limit: number, depth = 0): Sink {
  const out = new Sink(limit);
  let at = 0;
  while (at < text.length) {
    const percent = text.indexOf('%', at);
    if (percent < 0) break;
    out.put(text.slice(at, percent));
    const conversion = decodeSpec(text, percent + 1, args);
    at = conversion.next;
    if (conversion.kind === 'p') {
      const letters = /^[A-Za-z0-9]*/.exec(text.slice(at))?.[0] ?? '';
      at += letters.length;
      const nested = (inner: string, from: VarArgs) =>
        depth < MAX_NESTING ? formatText(k, inner, from, limit, depth + 1).text : '';
      putPointer(k, out, takeWord(k, args), letters, conversion.spec, nested);
    } else if (!convert(k, out, conversion, args)) return out;
  }
  out.put(text.slice(at));
  return out;
}

/** False for a conversion that does not exist: the kernel then stops formatting. */
function convert(k: Linux, out: Sink, { spec, qualifier, kind }: Conversion, args: VarArgs): boolean {
  switch (kind) {
    case '%':
      out.put('%');
      return true;
    case 'c':
      putString(out, String.fromCharCode(args.i32() & 0xff), { ...spec, precision: -1 });
      return true;
    case 's':
      putGuestString(k, out, args.pointer(), spec);
      return true;
    case 'd':
    case 'i':
    case 'u':
    case 'o':
    case 'x':
    case 'X':
      putNumber(out, takeInteger(k, args, qualifier, spec.signed), spec);
      return true;
    default:
      k.printk(4, `Please remove unsupported %${kind} in format string`);
      return false;
  }
}

/** A word as wide as a pointer. */
const takeWord = (k: Linux, args: VarArgs): bigint => (k.word === 8 ? args.u64() : BigInt(args.u32()));

function takeInteger(k: Linux, args: VarArgs, qualifier: string, signed: boolean): bigint {
  const long = k.word * 8;
  const bits = { L: 64, l: long, z: long, t: long, H: 8, h: 16 }[qualifier] ?? 32;
  const raw = bits === 64 ? args.u64() : takeWord(k, args);
  return signed ? BigInt.asIntN(bits, raw) : BigInt.asUintN(bits, raw);
}

function putGuestString(k: Linux, out: Sink, at: Address, spec: Spec): void {
  const bad = badPointer(at);
  if (bad !== undefined) putString(out, bad, spec.precision === -1 ? { ...spec, precision: 16 } : spec);
  else putString(out, byteString(k, at, spec.precision >= 0 ? spec.precision : MAX_FORMAT), spec);
}

/** Instructions that making text of one byte is worth. */
const BYTE_COST = 8;

/** The bytes at `at` up to a NUL or `max`, as a string of bytes. */
export function byteString(k: Linux, at: Address, max = MAX_FORMAT): string {
  const parts: string[] = [];
  for (let done = 0; done < max; ) {
    // Byte by byte to the end of the page, so that a string at the end of mapped memory does not fault.
    const chunk = Math.min(max - done, 4096 - ((at + done) & 4095));
    const bytes = k.memory.bytes(at + done, chunk);
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
export function writeText(k: Linux, at: Address, text: string): void {
  k.memory.write(at, bytesOf(`${text}\0`));
}
