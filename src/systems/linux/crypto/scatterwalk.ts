/** Going through the bytes of a scatter list piece by piece (crypto/scatterwalk.c): struct scatter_walk is the place. */
import { type Address, PAGE_SIZE } from '../../../memory/space.ts';
import { bytesAt, chainFrom, next } from '../functions/scatterlist.ts';
import type { Linux } from '../linux.ts';

/** scatterwalk_start */
export function startWalk(k: Linux, walk: Address, sg: Address): void {
  k.write('scatter_walk.sg', walk, sg);
  k.write('scatter_walk.offset', walk, k.read('scatterlist.offset', sg));
}

const endOf = (k: Linux, sg: Address): number =>
  k.read('scatterlist.offset', sg) + k.read('scatterlist.length', sg);

/** Moves on from entries that are used up, as long as there is a further one. */
function settle(k: Linux, walk: Address): void {
  for (;;) {
    const sg = k.read('scatter_walk.sg', walk);
    if (k.read('scatter_walk.offset', walk) < endOf(k, sg)) return;
    const following = next(k, sg);
    if (following === 0) return;
    startWalk(k, walk, following);
  }
}

/** scatterwalk_clamp: how many of `bytes` lie in the page and the entry where the walk stands. */
export function clampWalk(k: Linux, walk: Address, bytes: number): number {
  settle(k, walk);
  const offset = k.read('scatter_walk.offset', walk);
  const left = endOf(k, k.read('scatter_walk.sg', walk)) - offset;
  return Math.max(0, Math.min(bytes, left, PAGE_SIZE - (offset & (PAGE_SIZE - 1))));
}

/** Where the walk stands, in the direct map. */
export function walkAddress(k: Linux, walk: Address): Address {
  const sg = k.read('scatter_walk.sg', walk);
  return bytesAt(k, sg) - k.read('scatterlist.offset', sg) + k.read('scatter_walk.offset', walk);
}

export function advanceWalk(k: Linux, walk: Address, bytes: number): void {
  k.write('scatter_walk.offset', walk, k.read('scatter_walk.offset', walk) + bytes);
  settle(k, walk);
}

/** What scatterwalk_copychunks does with the bytes it passes. */
export type Direction = 'from list' | 'to list' | 'skip';

/** scatterwalk_copychunks; stops where the list ends. */
export function copyChunks(
  k: Linux,
  buffer: Address,
  walk: Address,
  bytes: number,
  direction: Direction,
): void {
  for (let done = 0; done < bytes; ) {
    const part = clampWalk(k, walk, bytes - done);
    if (part === 0) return;
    if (direction === 'from list') k.memory.copy(buffer + done, walkAddress(k, walk), part);
    else if (direction === 'to list') k.memory.copy(walkAddress(k, walk), buffer + done, part);
    advanceWalk(k, walk, part);
    done += part;
  }
}

/** scatterwalk_ffwd: the list from its byte `skip` on; two entries at `room` are used when that is inside of one. */
export function forward(k: Linux, room: Address, list: Address, skip: number): Address {
  let left = skip;
  for (let sg = list; sg !== 0; sg = next(k, sg)) {
    if (left === 0) return sg;
    const length = k.read('scatterlist.length', sg);
    if (length > left) {
      chainFrom(k, room, sg, left);
      return room;
    }
    left -= length;
  }
  return 0;
}

/** The pieces of a list in the direct map, `length` bytes from its byte `start` on. */
export function* pieces(
  k: Linux,
  list: Address,
  start: number,
  length: number,
): Generator<{ at: Address; bytes: number }> {
  let skip = start;
  let left = length;
  for (let sg = list; sg !== 0 && left > 0; sg = next(k, sg)) {
    const size = k.read('scatterlist.length', sg);
    if (skip >= size) {
      skip -= size;
      continue;
    }
    const bytes = Math.min(size - skip, left);
    yield { at: bytesAt(k, sg) + skip, bytes };
    left -= bytes;
    skip = 0;
  }
}

/** scatterwalk_map_and_copy */
export function mapAndCopy(
  k: Linux,
  buffer: Address,
  list: Address,
  start: number,
  length: number,
  toList: boolean,
): void {
  let done = 0;
  for (const { at, bytes } of pieces(k, list, start, length)) {
    if (toList) k.memory.copy(at, buffer + done, bytes);
    else k.memory.copy(buffer + done, at, bytes);
    done += bytes;
  }
}

/** memcpy_sglist */
export function copyLists(k: Linux, to: Address, from: Address, length: number): void {
  let done = 0;
  for (const piece of [...pieces(k, from, 0, length)]) {
    let at = piece.at;
    for (const target of [...pieces(k, to, done, piece.bytes)]) {
      if (at !== target.at) k.memory.copy(target.at, at, target.bytes);
      at += target.bytes;
      done += target.bytes;
    }
  }
}
