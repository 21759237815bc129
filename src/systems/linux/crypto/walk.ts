/**
 * struct skcipher_walk (crypto/skcipher.c): a cipher's code sees a request as stretches of mapped bytes. Where a stretch is
 * shorter than the cipher's step or not aligned as it wants, it works on a copy. All of it lies in the guest's struct.
 */
import { type Address, PAGE_SIZE } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { Request } from './flags.ts';
import { advanceWalk, clampWalk, copyChunks, startWalk, walkAddress } from './scatterwalk.ts';

/** Bits of skcipher_walk.flags; nobody but this file looks at them. */
const SLOW = 2;
const COPY = 4;
const SLEEP = 16;

/** What the walk has to know about the algorithm. */
export interface WalkSizes {
  readonly blocksize: number;
  readonly stride: number;
  readonly ivsize: number;
  readonly alignmask: number;
}

/** One request as ciphers and AEADs have it. */
export interface WalkRequest {
  readonly total: number;
  readonly iv: Address;
  readonly src: Address;
  readonly dst: Address;
  readonly flags: number;
  /** Bytes before the text, which are left out. */
  readonly skip: number;
}

const inOf = (k: Linux, walk: Address): Address => walk + k.offset('skcipher_walk.in');
const outOf = (k: Linux, walk: Address): Address => walk + k.offset('skcipher_walk.out');
const alignUp = (at: Address, mask: number): Address => at + ((mask + 1 - (at & mask)) & mask);

/** skcipher_walk_virt and skcipher_walk_aead_*: the first stretch; 0 or a negative errno. */
export function beginWalk(k: Linux, walk: Address, request: WalkRequest, sizes: WalkSizes): number {
  k.write('skcipher_walk.total', walk, request.total);
  k.write('skcipher_walk.nbytes', walk, 0);
  k.write('skcipher_walk.iv', walk, request.iv);
  k.write('skcipher_walk.oiv', walk, request.iv);
  if (request.total === 0) return 0;
  k.write('skcipher_walk.flags', walk, (request.flags & Request.MAY_SLEEP) !== 0 ? SLEEP : 0);
  for (const [place, list] of [
    [inOf(k, walk), request.src],
    [outOf(k, walk), request.dst],
  ]) {
    startWalk(k, place, list);
    copyChunks(k, 0, place, request.skip, 'skip');
  }
  for (const [name, value] of Object.entries(sizes)) k.write(`skcipher_walk.${name}`, walk, value);
  k.write('skcipher_walk.buffer', walk, 0);
  k.write('skcipher_walk.page', walk, 0);
  if ((request.iv & sizes.alignmask) !== 0) copyVector(k, walk, request.iv, sizes);
  return nextStretch(k, walk);
}

/** skcipher_copy_iv: the vector goes to an aligned place; room for one step lies before it. */
function copyVector(k: Linux, walk: Address, iv: Address, { stride, ivsize, alignmask }: WalkSizes): void {
  const buffer = k.heap.allocate(2 * (alignmask + 1) + 2 * stride + ivsize);
  k.write('skcipher_walk.buffer', walk, buffer);
  const aligned = spot(alignUp(buffer, alignmask), stride) + alignUp(stride, alignmask);
  k.memory.copy(aligned, iv, ivsize);
  k.write('skcipher_walk.iv', walk, aligned);
}

/** skcipher_get_spot: `length` bytes that do not lie across a page's end. */
function spot(start: Address, length: number): Address {
  const last = start + length - 1;
  return Math.max(start, last - (last & (PAGE_SIZE - 1)));
}

/** skcipher_walk_next */
function nextStretch(k: Linux, walk: Address): number {
  k.write('skcipher_walk.flags', walk, k.read('skcipher_walk.flags', walk) & ~(SLOW | COPY));
  const total = k.read('skcipher_walk.total', walk);
  const step = Math.min(
    k.read('skcipher_walk.stride', walk),
    Math.max(total, k.read('skcipher_walk.blocksize', walk)),
  );
  const length = clampWalk(k, outOf(k, walk), clampWalk(k, inOf(k, walk), total));
  if (length < step) {
    // Too few bytes for one block: the rest of the request is no text for this cipher.
    if (total < k.read('skcipher_walk.blocksize', walk)) return walkDone(k, walk, -Errno.EINVAL);
    return slowStretch(k, walk, step);
  }
  const from = walkAddress(k, inOf(k, walk));
  const to = walkAddress(k, outOf(k, walk));
  if (((from | to) & k.read('skcipher_walk.alignmask', walk)) !== 0)
    return copiedStretch(k, walk, from, length);
  k.write('skcipher_walk.nbytes', walk, length);
  k.write('skcipher_walk.src.virt.addr', walk, from);
  k.write('skcipher_walk.dst.virt.addr', walk, to);
  return 0;
}

/** skcipher_next_slow: one step, gathered from several entries. */
function slowStretch(k: Linux, walk: Address, step: number): number {
  const mask = k.read('skcipher_walk.alignmask', walk);
  let buffer = k.read('skcipher_walk.buffer', walk) || k.read('skcipher_walk.page', walk);
  if (buffer === 0) buffer = k.heap.allocate(2 * step + 2 * (mask + 1));
  k.write('skcipher_walk.buffer', walk, buffer);
  const at = slowBuffer(k, walk, step);
  copyChunks(k, at, inOf(k, walk), step, 'from list');
  k.write('skcipher_walk.src.virt.addr', walk, at);
  k.write('skcipher_walk.dst.virt.addr', walk, at);
  k.write('skcipher_walk.nbytes', walk, step);
  k.write('skcipher_walk.flags', walk, k.read('skcipher_walk.flags', walk) | SLOW);
  return 0;
}

/** Where in the buffer one step lies. */
const slowBuffer = (k: Linux, walk: Address, step: number): Address =>
  spot(alignUp(k.read('skcipher_walk.buffer', walk), k.read('skcipher_walk.alignmask', walk)), step);

/** skcipher_next_copy: a stretch that is not aligned as the cipher wants it. */
function copiedStretch(k: Linux, walk: Address, from: Address, length: number): number {
  const page = k.read('skcipher_walk.page', walk) || k.heap.allocate(PAGE_SIZE);
  k.write('skcipher_walk.page', walk, page);
  const bytes = Math.min(length, PAGE_SIZE);
  k.memory.copy(page, from, bytes);
  k.write('skcipher_walk.src.virt.addr', walk, page);
  k.write('skcipher_walk.dst.virt.addr', walk, page);
  k.write('skcipher_walk.nbytes', walk, bytes);
  k.write('skcipher_walk.flags', walk, k.read('skcipher_walk.flags', walk) | COPY);
  return 0;
}

/** skcipher_walk_done: `left` bytes of the stretch were not worked on, or a negative errno ends the walk. */
export function walkDone(k: Linux, walk: Address, left: number): number {
  let bytes = k.read('skcipher_walk.nbytes', walk);
  if (bytes === 0) return finish(k, walk, left);
  let result = left;
  let rest = 0;
  if (left >= 0) {
    bytes -= left;
    rest = k.read('skcipher_walk.total', walk) - bytes;
  }
  const flags = k.read('skcipher_walk.flags', walk);
  if ((flags & SLOW) !== 0) {
    // A step is worked on whole or not at all.
    if (left > 0) {
      result = -Errno.EINVAL;
      rest = 0;
    } else copyChunks(k, slowBuffer(k, walk, bytes), outOf(k, walk), bytes, 'to list');
  } else {
    if ((flags & COPY) !== 0)
      k.memory.copy(walkAddress(k, outOf(k, walk)), k.read('skcipher_walk.page', walk), bytes);
    advanceWalk(k, inOf(k, walk), bytes);
    advanceWalk(k, outOf(k, walk), bytes);
  }
  k.write('skcipher_walk.total', walk, rest);
  k.write('skcipher_walk.nbytes', walk, 0);
  return rest > 0 ? nextStretch(k, walk) : finish(k, walk, Math.min(result, 0));
}

/** Gives the vector back and the copies' memory. */
function finish(k: Linux, walk: Address, result: number): number {
  const buffer = k.read('skcipher_walk.buffer', walk);
  const page = k.read('skcipher_walk.page', walk);
  k.write('skcipher_walk.nbytes', walk, 0);
  if (buffer === 0 && page === 0) return result;
  const iv = k.read('skcipher_walk.iv', walk);
  const original = k.read('skcipher_walk.oiv', walk);
  if (iv !== original) k.memory.copy(original, iv, k.read('skcipher_walk.ivsize', walk));
  if (buffer !== 0 && buffer !== page) k.heap.free(buffer);
  if (page !== 0) k.heap.free(page);
  k.write('skcipher_walk.buffer', walk, 0);
  k.write('skcipher_walk.page', walk, 0);
  return result;
}
