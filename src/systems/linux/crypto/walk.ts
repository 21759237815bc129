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

const get = (k: Linux, walk: Address, name: string): number => k.read(`skcipher_walk.${name}`, walk);
const put = (k: Linux, walk: Address, name: string, value: number): void =>
  k.write(`skcipher_walk.${name}`, walk, value);
const inOf = (k: Linux, walk: Address): Address => walk + k.offset('skcipher_walk.in');
const outOf = (k: Linux, walk: Address): Address => walk + k.offset('skcipher_walk.out');
const alignUp = (at: Address, mask: number): Address => at + ((mask + 1 - (at & mask)) & mask);

/** skcipher_walk_virt and skcipher_walk_aead_*: the first stretch; 0 or a negative errno. */
export function beginWalk(k: Linux, walk: Address, request: WalkRequest, sizes: WalkSizes): number {
  put(k, walk, 'total', request.total);
  put(k, walk, 'nbytes', 0);
  put(k, walk, 'iv', request.iv);
  put(k, walk, 'oiv', request.iv);
  if (request.total === 0) return 0;
  put(k, walk, 'flags', (request.flags & Request.MAY_SLEEP) !== 0 ? SLEEP : 0);
  for (const [place, list] of [
    [inOf(k, walk), request.src],
    [outOf(k, walk), request.dst],
  ]) {
    startWalk(k, place, list);
    copyChunks(k, 0, place, request.skip, 'skip');
  }
  for (const [name, value] of Object.entries(sizes)) put(k, walk, name, value);
  put(k, walk, 'buffer', 0);
  put(k, walk, 'page', 0);
  if ((request.iv & sizes.alignmask) !== 0) copyVector(k, walk, request.iv, sizes);
  return nextStretch(k, walk);
}

/** skcipher_copy_iv: the vector goes to an aligned place; room for one step lies before it. */
function copyVector(k: Linux, walk: Address, iv: Address, { stride, ivsize, alignmask }: WalkSizes): void {
  const buffer = k.heap.allocate(2 * (alignmask + 1) + 2 * stride + ivsize);
  put(k, walk, 'buffer', buffer);
  const aligned = spot(alignUp(buffer, alignmask), stride) + alignUp(stride, alignmask);
  k.memory.copy(aligned, iv, ivsize);
  put(k, walk, 'iv', aligned);
}

/** skcipher_get_spot: `length` bytes that do not lie across a page's end. */
function spot(start: Address, length: number): Address {
  const last = start + length - 1;
  return Math.max(start, last - (last & (PAGE_SIZE - 1)));
}

/** skcipher_walk_next */
function nextStretch(k: Linux, walk: Address): number {
  put(k, walk, 'flags', get(k, walk, 'flags') & ~(SLOW | COPY));
  const total = get(k, walk, 'total');
  const step = Math.min(get(k, walk, 'stride'), Math.max(total, get(k, walk, 'blocksize')));
  const length = clampWalk(k, outOf(k, walk), clampWalk(k, inOf(k, walk), total));
  if (length < step) {
    // Too few bytes for one block: the rest of the request is no text for this cipher.
    if (total < get(k, walk, 'blocksize')) return walkDone(k, walk, -Errno.EINVAL);
    return slowStretch(k, walk, step);
  }
  const from = walkAddress(k, inOf(k, walk));
  const to = walkAddress(k, outOf(k, walk));
  if (((from | to) & get(k, walk, 'alignmask')) !== 0) return copiedStretch(k, walk, from, length);
  put(k, walk, 'nbytes', length);
  put(k, walk, 'src.virt.addr', from);
  put(k, walk, 'dst.virt.addr', to);
  return 0;
}

/** skcipher_next_slow: one step, gathered from several entries. */
function slowStretch(k: Linux, walk: Address, step: number): number {
  const mask = get(k, walk, 'alignmask');
  let buffer = get(k, walk, 'buffer') || get(k, walk, 'page');
  if (buffer === 0) buffer = k.heap.allocate(2 * step + 2 * (mask + 1));
  put(k, walk, 'buffer', buffer);
  const at = slowBuffer(k, walk, step);
  copyChunks(k, at, inOf(k, walk), step, 'from list');
  put(k, walk, 'src.virt.addr', at);
  put(k, walk, 'dst.virt.addr', at);
  put(k, walk, 'nbytes', step);
  put(k, walk, 'flags', get(k, walk, 'flags') | SLOW);
  return 0;
}

/** Where in the buffer one step lies. */
const slowBuffer = (k: Linux, walk: Address, step: number): Address =>
  spot(alignUp(get(k, walk, 'buffer'), get(k, walk, 'alignmask')), step);

/** skcipher_next_copy: a stretch that is not aligned as the cipher wants it. */
function copiedStretch(k: Linux, walk: Address, from: Address, length: number): number {
  const page = get(k, walk, 'page') || k.heap.allocate(PAGE_SIZE);
  put(k, walk, 'page', page);
  const bytes = Math.min(length, PAGE_SIZE);
  k.memory.copy(page, from, bytes);
  put(k, walk, 'src.virt.addr', page);
  put(k, walk, 'dst.virt.addr', page);
  put(k, walk, 'nbytes', bytes);
  put(k, walk, 'flags', get(k, walk, 'flags') | COPY);
  return 0;
}

/** skcipher_walk_done: `left` bytes of the stretch were not worked on, or a negative errno ends the walk. */
export function walkDone(k: Linux, walk: Address, left: number): number {
  let bytes = get(k, walk, 'nbytes');
  if (bytes === 0) return finish(k, walk, left);
  let result = left;
  let rest = 0;
  if (left >= 0) {
    bytes -= left;
    rest = get(k, walk, 'total') - bytes;
  }
  const flags = get(k, walk, 'flags');
  if ((flags & SLOW) !== 0) {
    // A step is worked on whole or not at all.
    if (left > 0) {
      result = -Errno.EINVAL;
      rest = 0;
    } else copyChunks(k, slowBuffer(k, walk, bytes), outOf(k, walk), bytes, 'to list');
  } else {
    if ((flags & COPY) !== 0) k.memory.copy(walkAddress(k, outOf(k, walk)), get(k, walk, 'page'), bytes);
    advanceWalk(k, inOf(k, walk), bytes);
    advanceWalk(k, outOf(k, walk), bytes);
  }
  put(k, walk, 'total', rest);
  put(k, walk, 'nbytes', 0);
  return rest > 0 ? nextStretch(k, walk) : finish(k, walk, Math.min(result, 0));
}

/** Gives the vector back and the copies' memory. */
function finish(k: Linux, walk: Address, result: number): number {
  const buffer = get(k, walk, 'buffer');
  const page = get(k, walk, 'page');
  put(k, walk, 'nbytes', 0);
  if (buffer === 0 && page === 0) return result;
  const iv = get(k, walk, 'iv');
  const original = get(k, walk, 'oiv');
  if (iv !== original) k.memory.copy(original, iv, get(k, walk, 'ivsize'));
  if (buffer !== 0 && buffer !== page) k.heap.free(buffer);
  if (page !== 0) k.heap.free(page);
  put(k, walk, 'buffer', 0);
  put(k, walk, 'page', 0);
  return result;
}
