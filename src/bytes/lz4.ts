/** LZ4: single blocks (LZ4 block format description), and the legacy frame that Linux kernels are packed in. */
import { Invalid, Truncated } from './errors.ts';
import { ByteView } from './view.ts';

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

/** Expands one block into `out`; never throws. With `partial` it is fine to stop when `out` is full. */
export function expandLz4(input: Uint8Array, out: Uint8Array, partial = false): Lz4Result {
  let at = 0;
  let to = 0;
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
  const out = new Uint8Array(total);
  let to = 0;
  for (const block of blocks) {
    out.set(block, to);
    to += block.length;
  }
  return out;
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
