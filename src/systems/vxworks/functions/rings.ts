/** rngLib: rings of bytes between one writer and one reader. Everything is in guest memory, where macros of rngLib.h look. */
import { definer } from '../../../kernel/functions.ts';
import { ERRNO } from '../errno.ts';
import { noneFor } from '../tasks.ts';
import type { VxWorks } from '../vxworks.ts';

const functions = definer<VxWorks>();

export const ringFunctions = functions({
  'RING *rngCreate(int bytes)': (k, bytes) => {
    const head = k.sizeof('RING');
    const at = bytes < 0 ? 0 : k.allocate(head + bytes + 1, k.caller);
    if (at === 0) return noneFor(k, ERRNO.S_memLib_NOT_ENOUGH_MEMORY);
    k.write('RING.pToBuf', at, 0);
    k.write('RING.pFromBuf', at, 0);
    // One more than fits: a ring whose places are equal is empty.
    k.write('RING.bufSize', at, bytes + 1);
    k.write('RING.buf', at, at + head);
    return at;
  },
  'void rngDelete(RING *ring)': (k, ring) => {
    k.pool.free(ring);
  },
  'void rngFlush(RING *ring)': (k, ring) => {
    k.write('RING.pToBuf', ring, 0);
    k.write('RING.pFromBuf', ring, 0);
  },
  'int rngBufGet(RING *ring, char *buffer, int most)': (k, ring, buffer, most) => {
    const bytes = Math.min(Math.max(0, most), used(k, ring));
    move(k, ring, 'pFromBuf', bytes, (at, done, part) => k.memory.copy(buffer + done, at, part));
    return bytes;
  },
  'int rngBufPut(RING *ring, char *buffer, int most)': (k, ring, buffer, most) => {
    const bytes = Math.min(Math.max(0, most), room(k, ring));
    move(k, ring, 'pToBuf', bytes, (at, done, part) => k.memory.copy(at, buffer + done, part));
    return bytes;
  },
  'BOOL rngIsEmpty(RING *ring)': (k, ring) => (used(k, ring) === 0 ? 1 : 0),
  'BOOL rngIsFull(RING *ring)': (k, ring) => (room(k, ring) === 0 ? 1 : 0),
  'int rngFreeBytes(RING *ring)': room,
  'int rngNBytes(RING *ring)': used,
  'void rngPutAhead(RING *ring, char byte, int offset)': (k, ring, byte, offset) => {
    const place = (k.read('RING.pToBuf', ring) + offset) % k.read('RING.bufSize', ring);
    k.memory.set8(k.read('RING.buf', ring) + place, byte & 0xff);
  },
  'void rngMoveAhead(RING *ring, int bytes)': (k, ring, bytes) =>
    k.write('RING.pToBuf', ring, (k.read('RING.pToBuf', ring) + bytes) % k.read('RING.bufSize', ring)),
});

function used(k: VxWorks, ring: number): number {
  const bytes = k.read('RING.pToBuf', ring) - k.read('RING.pFromBuf', ring);
  return bytes < 0 ? bytes + k.read('RING.bufSize', ring) : bytes;
}

function room(k: VxWorks, ring: number): number {
  return k.read('RING.bufSize', ring) - 1 - used(k, ring);
}

/** Goes through so many bytes from one of the two places on, in the one or two pieces that they are, and moves the place. */
function move(
  k: VxWorks,
  ring: number,
  place: 'pToBuf' | 'pFromBuf',
  bytes: number,
  piece: (at: number, done: number, part: number) => void,
): void {
  const size = k.read('RING.bufSize', ring);
  let at = k.read(`RING.${place}`, ring);
  for (let done = 0; done < bytes; ) {
    const part = Math.min(bytes - done, size - at);
    piece(k.read('RING.buf', ring) + at, done, part);
    done += part;
    at = (at + part) % size;
  }
  k.write(`RING.${place}`, ring, at);
}
