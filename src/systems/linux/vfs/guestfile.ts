/**
 * Files whose file_operations are a module's: each method is looked up in guest memory when it is called, as
 * the kernel does, so that a module that changes its table sees the change.
 */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { modulePut, tryModuleGet } from '../refcount.ts';
import type { FileMethods } from './node.ts';

/** A member of the file's operations table; 0 when the table or the member is missing. */
export function operation(k: Linux, file: Address, member: string): Address {
  const table = k.read('file.f_op', file);
  return table === 0 ? 0 : k.read(`file_operations.${member}`, table);
}

export const guestMethods: FileMethods = {
  *open(k, file) {
    const open = operation(k, file, 'open');
    return open === 0 ? 0 : yield* k.callInt(open, k.read('file.f_inode', file), file);
  },
  *read(k, file, buffer, count, position) {
    const read = operation(k, file, 'read');
    if (read !== 0) return yield* k.call(read, file, buffer, count, position);
    const iterate = operation(k, file, 'read_iter');
    if (iterate === 0) return -Errno.EINVAL;
    return yield* syncIterate(k, iterate, file, buffer, count, position, false);
  },
  *write(k, file, buffer, count, position) {
    const write = operation(k, file, 'write');
    if (write !== 0) return yield* k.call(write, file, buffer, count, position);
    const iterate = operation(k, file, 'write_iter');
    if (iterate === 0) return -Errno.EINVAL;
    return yield* syncIterate(k, iterate, file, buffer, count, position, true);
  },
  *seek(k, file, offset, whence) {
    const seek = operation(k, file, 'llseek');
    // Since 6.0 a file whose table has no llseek cannot be positioned (vfs_llseek tests FMODE_LSEEK).
    if (seek === 0) return -Errno.ESPIPE;
    return yield* k.call(seek, file, offset, whence);
  },
  *ioctl(k, file, command, argument) {
    const ioctl = operation(k, file, 'unlocked_ioctl');
    return ioctl === 0 ? -Errno.ENOTTY : yield* k.call(ioctl, file, command, argument);
  },
  *poll(k, file) {
    const poll = operation(k, file, 'poll');
    // EPOLLIN | EPOLLOUT | EPOLLRDNORM | EPOLLWRNORM when a file has no poll (include/linux/poll.h).
    return poll === 0 ? 0x145 : yield* k.callInt(poll, file, 0);
  },
  *flush(k, file) {
    const flush = operation(k, file, 'flush');
    return flush === 0 ? 0 : yield* k.callInt(flush, file, 0);
  },
  release: releaseGuestFile,
};

/** The file's own release, then fops_put. */
export function* releaseGuestFile(k: Linux, file: Address): Steps<void> {
  const release = operation(k, file, 'release');
  if (release !== 0) yield* k.callInt(release, k.read('file.f_inode', file), file);
  const table = k.read('file.f_op', file);
  if (table !== 0) modulePut(k, k.read('file_operations.owner', table));
}

/** fops_get: takes a reference on the table's module. False when the module is going. */
export function takeOperations(k: Linux, table: Address): boolean {
  return table !== 0 && tryModuleGet(k, k.read('file_operations.owner', table));
}

/** new_sync_read and new_sync_write: one user buffer as an iterator. */
function* syncIterate(
  k: Linux,
  method: Address,
  file: Address,
  buffer: Address,
  count: number,
  position: Address,
  writing: boolean,
): Steps<number> {
  const request = k.heap.allocateZeroed(k.sizeof('kiocb'));
  const iterator = k.heap.allocateZeroed(k.sizeof('iov_iter'));
  try {
    k.write('kiocb.ki_filp', request, file);
    k.write('kiocb.ki_pos', request, k.memory.ptr(position));
    k.write('iov_iter.iter_type', iterator, k.types.enumerator('ITER_UBUF'));
    if (k.types.has('iov_iter.user_backed')) k.write('iov_iter.user_backed', iterator, 1);
    k.write('iov_iter.data_source', iterator, writing ? 1 : 0);
    k.write('iov_iter.ubuf', iterator, buffer);
    k.write('iov_iter.count', iterator, count);
    const result = yield* k.call(method, request, iterator);
    if (result > 0) k.memory.setPtr(position, k.read('kiocb.ki_pos', request));
    return result;
  } finally {
    k.heap.free(iterator);
    k.heap.free(request);
  }
}
