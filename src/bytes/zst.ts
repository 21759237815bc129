/**
 * The Zstandard container (RFC 8878): frames, skippable frames, content sizes and checksums. The blocks are decoded by
 * fzstd, which checks none of these itself.
 */
import { decompress as decodeFrame } from 'fzstd';
import { Codec } from './codec.ts';
import { BadMagic, FormatError, Invalid, Truncated, Unsupported } from './errors.ts';
import { ByteView } from './view.ts';

export interface ZstOptions {
  readonly maxOutput: number;
  readonly trailing: 'refuse' | 'ignore';
}

const MAGIC = 0xfd2fb528;
const SKIPPABLE = 0x184d2a50;
/** RFC 8878 section 3.1.1.1.2 recommends refusing windows above 8 MiB; zstd -19 to -22 and kernels use up to 128 MiB. */
const MAX_WINDOW = 2 ** 27;
const MAX_BLOCK = 131072;

interface Frame {
  /** Offset behind the frame. */
  readonly end: number;
  /** What the frame says it unpacks to, when it says so. */
  readonly size: number | undefined;
  /** An upper bound of its size from the block headers. */
  readonly bound: number;
  /** Offset of the checksum, when there is one. */
  readonly checksum: number | undefined;
}

export function isZst(bytes: Uint8Array): boolean {
  if (bytes.length < 4) return false;
  const magic = new ByteView(bytes, true).u32(0);
  return magic === MAGIC || (magic & 0xfffffff0) >>> 0 === SKIPPABLE;
}

/**
 * Unpacks a .zst file of any number of frames.
 * @throws BadMagic, Truncated, Invalid (also when a checksum does not match), Unsupported (dictionaries, huge windows)
 */
export function unpackZst(bytes: Uint8Array, options: ZstOptions): Uint8Array {
  const view = new ByteView(bytes, true);
  if (!isZst(bytes)) throw new BadMagic('zstd', 'must begin with 28 b5 2f fd', { offset: 0 });
  const parts: Uint8Array[] = [];
  let size = 0;
  for (let at = 0; at < bytes.length; ) {
    const magic = view.u32(at, 'zstd frame magic');
    if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE) {
      const skipped = view.u32(at + 4, 'zstd skippable frame') + 8;
      view.need(at, skipped, 'zstd skippable frame');
      at += skipped;
      continue;
    }
    if (magic !== MAGIC) throw new BadMagic('zstd frame', 'must begin with 28 b5 2f fd', { offset: at });
    const frame = frameAt(view, at);
    const part = unpackFrame(view, at, frame, options.maxOutput - size);
    size += part.length;
    parts.push(part);
    at = frame.end;
    if (options.trailing === 'ignore') break;
  }
  return parts.length === 1 ? parts[0] : join(parts, size);
}

/** Section 3.1.1.1: the header, then block headers until the last. */
function frameAt(view: ByteView, start: number): Frame {
  const descriptor = view.u8(start + 4, 'zstd frame header');
  const single = (descriptor & 0x20) !== 0;
  if ((descriptor & 8) !== 0)
    throw new Unsupported('zstd frame header', 'reserved bit is set', { offset: start + 4 });
  if ((descriptor & 3) !== 0)
    throw new Unsupported('zstd frame', 'needs a dictionary', { offset: start + 4 });
  let at = start + 5;
  let window = 0;
  if (!single) {
    const byte = view.u8(at++, 'zstd window descriptor');
    window = 2 ** (10 + (byte >> 3)) * (1 + (byte & 7) / 8);
  }
  const fieldSize = [single ? 1 : 0, 2, 4, 8][descriptor >> 6];
  const size = contentSize(view, at, fieldSize);
  at += fieldSize;
  if (single) window = size ?? 0;
  if (window > MAX_WINDOW)
    throw new Unsupported('zstd window', 'is larger than 128 MiB', { offset: start, value: window });
  let bound = 0;
  for (let last = false; !last; ) {
    const header = view.u16(at, 'zstd block header') | (view.u8(at + 2, 'zstd block header') << 16);
    last = (header & 1) !== 0;
    const type = (header >> 1) & 3;
    const length = header >> 3;
    if (type === 3 || length > MAX_BLOCK)
      throw new Invalid('zstd block', 'type or size is not allowed', { offset: at });
    at += 3;
    view.need(at, type === 1 ? 1 : length, 'zstd block');
    at += type === 1 ? 1 : length;
    bound += type === 2 ? Math.min(MAX_BLOCK, Math.max(window, 1024)) : length;
  }
  const checksum = (descriptor & 4) !== 0 ? at : undefined;
  return { end: checksum === undefined ? at : at + 4, size, bound, checksum };
}

function contentSize(view: ByteView, at: number, fieldSize: number): number | undefined {
  if (fieldSize === 0) return undefined;
  if (fieldSize === 1) return view.u8(at);
  if (fieldSize === 2) return view.u16(at) + 256;
  return fieldSize === 4 ? view.u32(at) : view.n64(at);
}

function unpackFrame(view: ByteView, start: number, frame: Frame, room: number): Uint8Array {
  if ((frame.size ?? 0) > frame.bound) {
    const problem = 'promises more than its blocks can hold';
    throw new Invalid('zstd frame', problem, { offset: start, value: frame.size });
  }
  if ((frame.size ?? frame.bound) > room) {
    throw new Unsupported('zstd', 'unpacks to more than the limit', {
      offset: start,
      value: frame.size ?? frame.bound,
    });
  }
  let out: Uint8Array;
  try {
    out = decodeFrame(view.bytes.subarray(start, frame.end));
  } catch (error) {
    throw typed(error, start);
  }
  if (frame.size !== undefined && out.length !== frame.size) {
    throw new Invalid('zstd frame', `unpacks to ${out.length} bytes`, { offset: start, value: frame.size });
  }
  if (frame.checksum !== undefined) {
    const stored = view.u32(frame.checksum, 'zstd checksum');
    const codec = new Codec('zstd', out, 0, 0);
    const hash = Number(BigInt.asUintN(32, codec.wasm.xxh64(codec.input, out.length)));
    if (hash !== stored)
      throw new Invalid('zstd frame', 'checksum does not match', { offset: frame.checksum });
  }
  return out;
}

/** fzstd's errors carry a code; 5 is the unexpected end. Engines throw RangeError where its arrays cannot be made. */
function typed(error: unknown, offset: number): FormatError {
  if (error instanceof FormatError) return error;
  if ((error as { code?: number }).code === 5)
    return new Truncated('zstd', 'the input ends inside a block', { offset });
  return new Invalid('zstd', error instanceof Error ? error.message : 'the data is damaged', { offset });
}

function join(parts: readonly Uint8Array[], size: number): Uint8Array {
  const whole = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
