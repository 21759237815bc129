/** struct uio (9S): where the data of a read or write comes from or goes to. */
import type { Address } from '../../memory/space.ts';
import type { Solaris } from './solaris.ts';
import { copyUser } from './user.ts';

export const UIO = { READ: 0, WRITE: 1 } as const;
/** uio_segflg */
export const SEG = { USER: 0, SYSTEM: 1 } as const;

export interface Uio {
  readonly address: Address;
  /** Bytes still to be moved. */
  left(): number;
  offset(): number;
  free(): void;
}

/** A uio over one buffer. */
export function makeUio(
  k: Solaris,
  buffer: Address,
  bytes: number,
  offset: number,
  options: { segment: number; fmode: number },
): Uio {
  const at = k.heap.take(k.sizeof('uio') + k.sizeof('iovec'));
  const vector = at + k.sizeof('uio');
  k.write('iovec.iov_base', vector, buffer);
  k.write('iovec.iov_len', vector, bytes);
  k.write('uio.uio_iov', at, vector);
  k.write('uio.uio_iovcnt', at, 1);
  k.memory.setU64(at + k.offset('uio.uio_loffset'), BigInt(offset));
  k.write('uio.uio_segflg', at, options.segment);
  k.write('uio.uio_fmode', at, options.fmode);
  k.memory.setU64(at + k.offset('uio.uio_limit'), 0x7fffffffffffffffn);
  k.write('uio.uio_resid', at, bytes);
  return {
    address: at,
    left: () => k.read('uio.uio_resid', at),
    offset: () => Number(BigInt.asIntN(64, k.memory.u64(at + k.offset('uio.uio_loffset')))),
    free: () => k.heap.free(at),
  };
}

/** uiomove(9F): moves up to `bytes` and advances the uio; false when the user's side cannot be reached. */
export function moveUio(k: Solaris, address: Address, bytes: number, rw: number, uio: Address): boolean {
  let left = Math.min(bytes, k.read('uio.uio_resid', uio));
  let at = address;
  while (left > 0) {
    const vector = k.read('uio.uio_iov', uio);
    const size = Math.min(left, k.read('iovec.iov_len', vector));
    if (size <= 0) {
      const count = k.read('uio.uio_iovcnt', uio);
      if (count <= 1) return true;
      k.write('uio.uio_iov', uio, vector + k.sizeof('iovec'));
      k.write('uio.uio_iovcnt', uio, count - 1);
      continue;
    }
    if (!movePart(k, at, k.read('iovec.iov_base', vector), size, rw, k.read('uio.uio_segflg', uio)))
      return false;
    advance(k, uio, vector, size);
    at += size;
    left -= size;
  }
  return true;
}

function movePart(
  k: Solaris,
  kernel: Address,
  other: Address,
  bytes: number,
  rw: number,
  segment: number,
): boolean {
  const [to, from] = rw === UIO.READ ? [other, kernel] : [kernel, other];
  if (segment !== SEG.SYSTEM) return copyUser(k, to, from, bytes, rw === UIO.READ ? 'to' : 'from');
  k.memory.write(to, k.memory.bytes(from, bytes));
  return true;
}

/** So many bytes were moved to or from the first vector. */
export function advance(k: Solaris, uio: Address, vector: Address, bytes: number): void {
  k.write('iovec.iov_base', vector, k.read('iovec.iov_base', vector) + bytes);
  k.write('iovec.iov_len', vector, k.read('iovec.iov_len', vector) - bytes);
  k.write('uio.uio_resid', uio, k.read('uio.uio_resid', uio) - bytes);
  const offset = uio + k.offset('uio.uio_loffset');
  k.memory.setU64(offset, BigInt.asUintN(64, k.memory.u64(offset) + BigInt(bytes)));
}
