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

/** iov_iter_advance. */
export function advance(k: Linux, iterator: Address, bytes: number): void {
  k.write('iov_iter.count', iterator, k.read('iov_iter.count', iterator) - bytes);
  if (k.read('iov_iter.iter_type', iterator) === k.types.enumerator('ITER_UBUF')) {
    k.write('iov_iter.iov_offset', iterator, k.read('iov_iter.iov_offset', iterator) + bytes);
    return;
  }
  let offset = k.read('iov_iter.iov_offset', iterator) + bytes;
  let vector = k.read(vectorField(k), iterator);
  let segments = k.read('iov_iter.nr_segs', iterator);
  while (segments > 0 && offset >= k.memory.ptr(vector + k.word)) {
    offset -= k.memory.ptr(vector + k.word);
    vector += 2 * k.word;
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
