/** struct iov_iter: where a transfer's bytes are, one or several ranges of user or kernel memory (lib/iov_iter.c). */
import type { Address } from '../../memory/space.ts';
import type { Linux } from './linux.ts';
import { copyFromUser, copyToUser } from './user.ts';

interface Piece {
  readonly at: Address;
  readonly bytes: number;
  readonly user: boolean;
}

/** The member that points at the ranges: renamed in 6.4, when a single user buffer became a kind of its own. */
const vectorField = (k: Linux): string => (k.types.has('iov_iter.iov') ? 'iov_iter.iov' : 'iov_iter.__iov');

/** The next bytes of an iterator, without moving it. */
function* pieces(k: Linux, iterator: Address, wanted: number): Generator<Piece> {
  const type = k.read('iov_iter.iter_type', iterator);
  let offset = k.read('iov_iter.iov_offset', iterator);
  let left = Math.min(wanted, k.read('iov_iter.count', iterator));
  if (type === k.types.enumerator('ITER_UBUF')) {
    yield { at: k.read('iov_iter.ubuf', iterator) + offset, bytes: left, user: true };
    return;
  }
  if (type === k.types.enumerator('ITER_BVEC')) {
    yield* pagePieces(k, iterator, left);
    return;
  }
  const user = type === k.types.enumerator('ITER_IOVEC');
  if (!user && type !== k.types.enumerator('ITER_KVEC')) {
    throw new RangeError(`an iov_iter of type ${type} (pages or pipes) is not served`);
  }
  for (let vector = k.read(vectorField(k), iterator); left > 0; vector += 2 * k.word, offset = 0) {
    const bytes = Math.min(left, k.memory.ptr(vector + k.word) - offset);
    if (bytes > 0) yield { at: k.memory.ptr(vector) + offset, bytes, user };
    left -= Math.max(0, bytes);
  }
}

/** Pieces of pages: struct bio_vec, whose length may be more than one page. */
function* pagePieces(k: Linux, iterator: Address, wanted: number): Generator<Piece> {
  let skip = k.read('iov_iter.iov_offset', iterator);
  let left = wanted;
  for (let vector = k.read('iov_iter.bvec', iterator); left > 0; vector += k.sizeof('bio_vec')) {
    const length = k.read('bio_vec.bv_len', vector);
    const bytes = Math.min(left, length - skip);
    const start =
      k.heap.pages.addressOf(k.read('bio_vec.bv_page', vector)) + k.read('bio_vec.bv_offset', vector);
    if (bytes > 0) yield { at: start + skip, bytes, user: false };
    left -= Math.max(0, bytes);
    skip = 0;
  }
}

/** Sets up an iterator over pieces of pages (iov_iter_bvec). `direction`: 1 when its bytes are the source of a write. */
export function overPages(
  k: Linux,
  iterator: Address,
  direction: number,
  vectors: Address,
  segments: number,
  count: number,
): void {
  k.memory.fill(iterator, k.sizeof('iov_iter'), 0);
  k.write('iov_iter.iter_type', iterator, k.types.enumerator('ITER_BVEC'));
  k.write('iov_iter.data_source', iterator, direction);
  k.write('iov_iter.bvec', iterator, vectors);
  k.write('iov_iter.nr_segs', iterator, segments);
  k.write('iov_iter.count', iterator, count);
}

/** iov_iter_advance. */
export function advance(k: Linux, iterator: Address, bytes: number): void {
  k.write('iov_iter.count', iterator, k.read('iov_iter.count', iterator) - bytes);
  if (k.read('iov_iter.iter_type', iterator) === k.types.enumerator('ITER_UBUF')) {
    k.write('iov_iter.iov_offset', iterator, k.read('iov_iter.iov_offset', iterator) + bytes);
    return;
  }
  const pages = k.read('iov_iter.iter_type', iterator) === k.types.enumerator('ITER_BVEC');
  const lengthOf = (at: Address) => (pages ? k.read('bio_vec.bv_len', at) : k.memory.ptr(at + k.word));
  let offset = k.read('iov_iter.iov_offset', iterator) + bytes;
  let vector = k.read(vectorField(k), iterator);
  let segments = k.read('iov_iter.nr_segs', iterator);
  while (segments > 0 && offset >= lengthOf(vector)) {
    offset -= lengthOf(vector);
    vector += pages ? k.sizeof('bio_vec') : 2 * k.word;
    segments--;
  }
  k.write(vectorField(k), iterator, vector);
  k.write('iov_iter.nr_segs', iterator, segments);
  k.write('iov_iter.iov_offset', iterator, offset);
}

type Copy = (k: Linux, to: Address, from: Address, bytes: number) => number;

/** Moves bytes between kernel memory and the iterator and advances it; returns how many were moved. */
function transfer(k: Linux, iterator: Address, kernel: Address, bytes: number, toIterator: boolean): number {
  let done = 0;
  for (const piece of [...pieces(k, iterator, bytes)]) {
    const [to, from] = toIterator ? [piece.at, kernel + done] : [kernel + done, piece.at];
    const userCopy: Copy = toIterator ? copyToUser : copyFromUser;
    let left = 0;
    if (piece.user) left = userCopy(k, to, from, piece.bytes);
    else k.memory.copy(to, from, piece.bytes);
    done += piece.bytes - left;
    if (left > 0) break;
  }
  advance(k, iterator, done);
  return done;
}

export function copyToIterator(k: Linux, iterator: Address, from: Address, bytes: number): number {
  return transfer(k, iterator, from, bytes, true);
}

export function copyFromIterator(k: Linux, iterator: Address, to: Address, bytes: number): number {
  return transfer(k, iterator, to, bytes, false);
}
