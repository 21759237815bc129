import { Invalid, Truncated } from '../../../bytes/errors.ts';
import { ByteView } from '../../../bytes/view.ts';

/** What a block of the legacy frame unpacks to at most (LZ4 frame format, "Legacy frame"). */
const BLOCK = 8 << 20;
const MIN_MATCH = 4;

/**
 * Unpacks the legacy LZ4 frame, in which kernels are packed: the magic number, then blocks of a 32-bit length and
 * data, each unpacking to 8 MiB but the last. Throws Truncated or Invalid.
 */
export function unpackLz4(bytes: Uint8Array, maxOutput: number): Uint8Array {
  const view = new ByteView(bytes, true);
  const blocks: Uint8Array[] = [];
  let total = 0;
  for (let at = 4; at + 4 <= bytes.length; ) {
    const length = view.u32(at);
    if (length === 0x184c2102) {
      at += 4; // frames may follow each other
      continue;
    }
    if (length === 0) break;
    const room = Math.min(BLOCK, maxOutput - total);
    const block = unpackBlock(view.slice(at + 4, length, 'lz4 block'), room, at + 4);
    blocks.push(block);
    total += block.length;
    at += 4 + length;
  }
  const out = new Uint8Array(total);
  let to = 0;
  for (const block of blocks) {
    out.set(block, to);
    to += block.length;
  }
  return out;
}

/** LZ4 block format: sequences of literals and a match behind them. */
function unpackBlock(bytes: Uint8Array, room: number, offset: number): Uint8Array {
  const out = new Uint8Array(room);
  let at = 0;
  let to = 0;
  const lengthFrom = (nibble: number): number => {
    let length = nibble;
    if (nibble !== 15) return length;
    for (;;) {
      if (at >= bytes.length)
        throw new Truncated('lz4 block', 'ends inside a length', { offset: offset + at });
      const more = bytes[at++]!;
      length += more;
      if (more !== 255) return length;
    }
  };
  while (at < bytes.length) {
    const token = bytes[at++]!;
    const literals = lengthFrom(token >> 4);
    if (at + literals > bytes.length)
      throw new Truncated('lz4 block', 'ends inside literals', { offset: offset + at });
    if (to + literals > room)
      throw new Invalid('lz4 block', `unpacks to more than ${room} bytes`, { offset });
    out.set(bytes.subarray(at, at + literals), to);
    at += literals;
    to += literals;
    if (at === bytes.length) break; // the last sequence is literals alone
    if (at + 2 > bytes.length)
      throw new Truncated('lz4 block', 'ends inside a match', { offset: offset + at });
    const distance = bytes[at]! | (bytes[at + 1]! << 8);
    at += 2;
    const length = lengthFrom(token & 15) + MIN_MATCH;
    if (distance === 0 || distance > to) {
      throw new Invalid('lz4 block', 'match reaches before the block', {
        offset: offset + at,
        value: distance,
      });
    }
    if (to + length > room) throw new Invalid('lz4 block', `unpacks to more than ${room} bytes`, { offset });
    // Byte by byte where the match overlaps what it writes.
    if (distance >= length) out.copyWithin(to, to - distance, to - distance + length);
    else for (let i = 0; i < length; i++) out[to + i] = out[to - distance + i]!;
    to += length;
  }
  return out.subarray(0, to);
}
