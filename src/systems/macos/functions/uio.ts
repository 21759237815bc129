/** Descriptions of a transfer (bsd/kern/kern_subr.c). The structure is opaque to kexts and lies in kernel memory. */
import type { Steps } from '../../../kernel/steps.ts';
import { type Address, GuestFault } from '../../../memory/space.ts';
import { ERRNO } from '../errno.ts';
import type { Macos } from '../macos.ts';
import { kernelFunctions } from './define.ts';

export const UIO_READ = 0;
export const UIO_WRITE = 1;
const USER_SPACE = 8;

/** Runs `use` with a uio over one buffer of the process; gives the bytes that were moved. */
export function* withUio<T>(
  k: Macos,
  transfer: {
    readonly base: Address;
    readonly bytes: number;
    readonly offset: number;
    readonly write: boolean;
  },
  use: (uio: Address) => Steps<T>,
): Steps<{ result: T; moved: number }> {
  const uio = k.heap.allocate(k.sizeof('struct uio'), 'uio');
  try {
    const vector = uio + k.offset('uio.first');
    k.write('uio.uio_iovs', uio, vector);
    k.write('uio.uio_iovcnt', uio, 1);
    k.write('uio.uio_max_iovs', uio, 1);
    k.write('uio.uio_offset', uio, transfer.offset);
    k.write('uio.uio_segflg', uio, USER_SPACE);
    k.write('uio.uio_rw', uio, transfer.write ? UIO_WRITE : UIO_READ);
    k.write('uio.uio_resid_64', uio, transfer.bytes);
    k.write('user_iovec.iov_base', vector, transfer.base);
    k.write('user_iovec.iov_len', vector, transfer.bytes);
    const result = yield* use(uio);
    return { result, moved: transfer.bytes - k.read('uio.uio_resid_64', uio) };
  } finally {
    k.heap.free(uio);
  }
}

function move(k: Macos, kernel: Address, bytes: number, uio: Address): number {
  const vector = k.read('uio.uio_iovs', uio);
  const left = k.read('uio.uio_resid_64', uio);
  const count = Math.max(0, Math.min(bytes, left));
  const base = k.read('user_iovec.iov_base', vector);
  const [to, from] = k.read('uio.uio_rw', uio) === UIO_READ ? [base, kernel] : [kernel, base];
  try {
    k.memory.copy(to, from, count);
  } catch (error) {
    if (error instanceof GuestFault) return ERRNO.EFAULT;
    throw error;
  }
  advance(k, uio, count);
  return 0;
}

function advance(k: Macos, uio: Address, count: number): void {
  const vector = k.read('uio.uio_iovs', uio);
  k.write('user_iovec.iov_base', vector, k.read('user_iovec.iov_base', vector) + count);
  k.write('user_iovec.iov_len', vector, k.read('user_iovec.iov_len', vector) - count);
  k.write('uio.uio_resid_64', uio, k.read('uio.uio_resid_64', uio) - count);
  k.write('uio.uio_offset', uio, k.read('uio.uio_offset', uio) + count);
}

export const transfers = kernelFunctions({
  'int uiomove(const char *at, int bytes, struct uio *uio)': move,
  'int uiomove64(uint64_t at, int bytes, struct uio *uio)': (k, at, bytes, uio) =>
    move(k, Number(BigInt.asIntN(64, at)), bytes, uio),
  'user_ssize_t uio_resid(struct uio *uio)': (k, uio) => k.read('uio.uio_resid_64', uio),
  'void uio_setresid(struct uio *uio, user_ssize_t value)': (k, uio, value) =>
    k.write('uio.uio_resid_64', uio, value),
  'off_t uio_offset(struct uio *uio)': (k, uio) => k.read('uio.uio_offset', uio),
  'void uio_setoffset(struct uio *uio, off_t value)': (k, uio, value) =>
    k.write('uio.uio_offset', uio, value),
  'int uio_rw(struct uio *uio)': (k, uio) => k.read('uio.uio_rw', uio),
  'int uio_iovcnt(struct uio *uio)': (k, uio) => k.read('uio.uio_iovcnt', uio),
  'int uio_isuserspace(struct uio *uio)': (k, uio) => (k.read('uio.uio_segflg', uio) === USER_SPACE ? 1 : 0),
  'void uio_update(struct uio *uio, user_size_t count)': (k, uio, count) => advance(k, uio, count),
  'user_addr_t uio_curriovbase(struct uio *uio)': (k, uio) =>
    k.read('user_iovec.iov_base', k.read('uio.uio_iovs', uio)),
  'user_size_t uio_curriovlen(struct uio *uio)': (k, uio) =>
    k.read('user_iovec.iov_len', k.read('uio.uio_iovs', uio)),
});
