/** LZ4: single blocks (LZ4 block format description), and the legacy frame that Linux kernels are packed in. */

import { Invalid, Truncated, Unsupported } from './errors.ts';
import { joinBytes } from './join.ts';
import { ByteView } from './view.ts';
import { xxh32 } from './xxh32.ts';

/** What a block of the legacy frame unpacks to at most (LZ4 frame format, "Legacy frame"). */
const BLOCK = 8 << 20;
/** The magic number of the legacy frame; it may come again between blocks, where frames were joined. */
const LEGACY_MAGIC = 0x184c2102;
const MIN_MATCH = 4;
/** No byte of a block makes more than this many bytes of output: the length bytes of a match. */
const MAX_RATIO = 255;

/** Where a block stopped: bytes made, or the place in the input that is wrong and what is wrong there. */
export type Lz4Result =
  | { readonly made: number }
  | { readonly badAt: number; readonly why: 'truncated' | 'room' | 'distance' };

/**
 * Expands one block into `out` from `start` on, before which matches may reach; never throws. With `partial` it is fine to
 * stop when `out` is full.
 */
export function expandLz4(input: Uint8Array, out: Uint8Array, partial = false, start = 0): Lz4Result {
  let at = 0;
  let to = start;
  const longer = (nibble: number): number => {
    let length = nibble;
    for (let more = nibble === 15 ? 255 : 0; more === 255; length += more) more = input[at++] ?? Number.NaN;
    return length;
  };
  while (at < input.length) {
    const token = input[at++];
    let literals = longer(token >> 4);
    if (!(at + literals <= input.length)) return { badAt: at, why: 'truncated' };
    if (to + literals > out.length) {
      if (!partial) return { badAt: at, why: 'room' };
      literals = out.length - to;
    }
    out.set(input.subarray(at, at + literals), to);
    at += literals;
    to += literals;
    if (at === input.length || (partial && to === out.length)) return { made: to };
    const distance = input[at] | (input[at + 1] << 8);
    at += 2;
    let length = longer(token & 15) + MIN_MATCH;
    if (at > input.length || Number.isNaN(length)) return { badAt: at, why: 'truncated' };
    if (distance === 0 || distance > to) return { badAt: at, why: 'distance' };
    if (to + length > out.length) {
      if (!partial) return { badAt: at, why: 'room' };
      length = out.length - to;
    }
    copyMatch(out, to, distance, length);
    to += length;
    if (partial && to === out.length) return { made: to };
  }
  // A block ends in literals; an empty input is no block.
  return { badAt: at, why: 'truncated' };
}

/** A match may overlap what it writes: then it repeats itself. */
function copyMatch(out: Uint8Array, to: number, distance: number, length: number): void {
  if (distance >= length) out.copyWithin(to, to - distance, to - distance + length);
  else for (let i = 0; i < length; i++) out[to + i] = out[to - distance + i];
}

/**
 * Unpacks the legacy frame: the magic number, then blocks of a 32-bit length and data, each unpacking to 8 MiB but
 * the last. Throws Truncated or Invalid, with the offset in `bytes`.
 */
export function unpackLz4(bytes: Uint8Array, maxOutput: number): Uint8Array {
  const view = new ByteView(bytes, true);
  const blocks: Uint8Array[] = [];
  let total = 0;
  for (let at = 4; at + 4 <= bytes.length; ) {
    const length = view.u32(at);
    at += 4;
    if (length === LEGACY_MAGIC) continue;
    if (length === 0) break;
    const input = view.slice(at, length, 'lz4 block');
    const block = unpackBlock(input, Math.min(BLOCK, maxOutput - total), at);
    blocks.push(block);
    total += block.length;
    at += length;
  }
  return joinBytes(blocks);
}

/** One block of a frame. Takes memory in proportion to the input, whatever `room` would allow. */
function unpackBlock(input: Uint8Array, room: number, offset: number): Uint8Array {
  const out = new Uint8Array(Math.min(room, input.length * MAX_RATIO));
  const result = expandLz4(input, out);
  if ('made' in result) return out.slice(0, result.made);
  const place = { offset: offset + result.badAt };
  if (result.why === 'truncated') throw new Truncated('lz4 block', 'ends inside a sequence', place);
  if (result.why === 'distance') throw new Invalid('lz4 block', 'match reaches before the block', place);
  throw new Invalid('lz4 block', `unpacks to more than ${room} bytes`, place);
}

const FRAME_MAGIC = 0x184d2204;
/** Bits of the frame's flags (LZ4 frame format, "FLG byte"). */
const FLAG = { DICTIONARY: 1, CONTENT_SUM: 4, CONTENT_SIZE: 8, BLOCK_SUM: 16, INDEPENDENT: 32 } as const;
const STORED = 0x80000000;
const VERSION = 1;

/** A frame as the lz4 program writes it, or the legacy one. */
export function isLz4(bytes: Uint8Array): boolean {
  if (bytes.length < 8) return false;
  const magic = new ByteView(bytes, true).u32(0);
  return magic === FRAME_MAGIC || magic === LEGACY_MAGIC;
}

/**
 * Unpacks frames of either kind, one behind the other.
 * @throws Truncated, Invalid (also when a checksum does not match), Unsupported (dictionaries, more than `maxOutput`)
 */
export function unpackLz4Frames(bytes: Uint8Array, maxOutput: number): Uint8Array {
  const view = new ByteView(bytes, true);
  if (view.u32(0) === LEGACY_MAGIC) return unpackLz4(bytes, maxOutput);
  const out = new Growing(maxOutput);
  for (let at = 0; at < bytes.length; ) {
    if (view.u32(at, 'lz4 frame') !== FRAME_MAGIC)
      throw new Invalid('lz4', 'something that is no frame follows', { offset: at });
    at = readFrame(view, at + 4, out);
  }
  return out.bytes.subarray(0, out.length);
}

class Growing {
  bytes: Uint8Array;
  length = 0;
  private readonly most: number;

  constructor(most: number) {
    this.bytes = new Uint8Array(Math.min(most, 1 << 16));
    this.most = most;
  }

  room(size: number): void {
    const wanted = this.length + size;
    if (wanted <= this.bytes.length) return;
    if (this.length >= this.most)
      throw new Unsupported('lz4', `unpacks to more than the limit of ${this.most} bytes`);
    const larger = new Uint8Array(Math.min(this.most, Math.max(wanted, this.bytes.length * 2)));
    larger.set(this.bytes.subarray(0, this.length));
    this.bytes = larger;
  }
}

/** Returns where the frame ends. */
function readFrame(view: ByteView, start: number, out: Growing): number {
  const flags = view.u8(start, 'lz4 frame flags');
  if (flags >> 6 !== VERSION) throw new Unsupported('lz4 frame', 'has another version', { offset: start });
  if ((flags & FLAG.DICTIONARY) !== 0) throw new Unsupported('lz4 frame', 'needs a dictionary');
  const most = blockSize(view.u8(start + 1, 'lz4 block size'), start + 1);
  const first = out.length;
  let at = start + 2 + ((flags & FLAG.CONTENT_SIZE) !== 0 ? 8 : 0);
  const header = view.slice(start, at - start, 'lz4 frame header');
  if (view.u8(at, 'lz4 frame header') !== ((xxh32(header) >>> 8) & 0xff))
    throw new Invalid('lz4 frame header', 'checksum does not match', { offset: at });
  at++;
  for (;;) {
    const word = view.u32(at, 'lz4 block size');
    at += 4;
    if (word === 0) break;
    const size = word % STORED;
    if (size > most) throw new Invalid('lz4 block', 'is larger than its frame says', { offset: at });
    const input = view.slice(at, size, 'lz4 block');
    out.room(word >= STORED ? size : most);
    if (word >= STORED) {
      if (out.length + size > out.bytes.length)
        throw new Unsupported('lz4', 'unpacks to more than the limit', { offset: at });
      out.bytes.set(input, out.length);
      out.length += size;
    } else expandInto(input, out, (flags & FLAG.INDEPENDENT) !== 0 ? out.length : first, at);
    at += size;
    if ((flags & FLAG.BLOCK_SUM) !== 0) at = compareSum(view, at, input, 'lz4 block');
  }
  if ((flags & FLAG.CONTENT_SUM) === 0) return at;
  return compareSum(view, at, out.bytes.subarray(first, out.length), 'lz4 frame');
}

/** Returns where the checksum ends. @throws Invalid */
function compareSum(view: ByteView, at: number, covered: Uint8Array, what: string): number {
  if (view.u32(at, `${what} checksum`) !== xxh32(covered))
    throw new Invalid(what, 'checksum does not match: the file is damaged', { offset: at });
  return at + 4;
}

function blockSize(byte: number, offset: number): number {
  const code = (byte >> 4) & 7;
  if (code < 4)
    throw new Invalid('lz4 frame', 'has a block size that is not defined', { offset, value: code });
  return 2 ** (8 + 2 * code);
}

/** A block whose matches may reach back to `from`: what was made before is a part of the room that it is expanded into. */
function expandInto(input: Uint8Array, out: Growing, from: number, offset: number): void {
  const result = expandLz4(input, out.bytes.subarray(from), false, out.length - from);
  if ('made' in result) {
    out.length = from + result.made;
    return;
  }
  const place = { offset: offset + result.badAt };
  if (result.why === 'truncated') throw new Truncated('lz4 block', 'ends inside a sequence', place);
  if (result.why === 'distance') throw new Invalid('lz4 block', 'match reaches before the block', place);
  throw new Unsupported('lz4', 'unpacks to more than the limit, or than its block', place);
}
