/** Files that a module opens by itself (fs/open.c, fs/read_write.c): filp_open, kernel_read, kernel_write. */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { userSpace } from '../user.ts';
import { close, open } from '../vfs/calls.ts';
import { getDentry, putDentry } from '../vfs/dentry.ts';
import {
  descriptors,
  FMODE_READ,
  FMODE_WRITE,
  holdFile,
  type OpenFile,
  openFiles,
  positionOf,
  putFile,
} from '../vfs/file.ts';
import { operation } from '../vfs/guestfile.ts';
import { kernelFunctions } from './define.ts';

/** PATH_MAX */
const PATH_BYTES = 4096;
/** MAX_RW_COUNT would be 2 GiB less a page; one piece is what the user buffers hold, and callers take short counts. */
const PIECE_BYTES = 1 << 20;
/** LLONG_MAX: to the end of the file, however long. */
const LAST_BYTE = 2 ** 63 - 1024;

/** The file, when kernel_read or kernel_write may use it: files with read or write of the old kind are refused. */
function usable(k: Linux, file: Address, mode: number, old: 'read' | 'write'): OpenFile | number {
  const opened = k.state(openFiles).get(file);
  if (opened === undefined || (k.read('file.f_mode', file) & mode) === 0) return -Errno.EBADF;
  const operations = k.read('file.f_op', file);
  if (operations !== 0 && k.read(`file_operations.${old}`, operations) !== 0) return -Errno.EINVAL;
  return opened;
}

function* kernelRead(k: Linux, file: Address, to: Address, count: number, at: Address): Steps<number> {
  const opened = usable(k, file, FMODE_READ, 'read');
  if (typeof opened === 'number') return opened;
  if (opened.methods.read === undefined) return -Errno.EINVAL;
  const user = k.state(userSpace);
  const mark = user.mark();
  const bytes = Math.min(count, PIECE_BYTES);
  const buffer = user.allocate(bytes);
  const position = at === 0 ? positionOf(k, file) : at;
  const got = yield* opened.methods.read(k, file, buffer, bytes, position);
  if (got > 0) k.memory.copy(to, buffer, got);
  user.release(mark);
  return got;
}

function* kernelWrite(k: Linux, file: Address, from: Address, count: number, at: Address): Steps<number> {
  const opened = usable(k, file, FMODE_WRITE, 'write');
  if (typeof opened === 'number') return opened;
  if (opened.methods.write === undefined) return -Errno.EINVAL;
  const user = k.state(userSpace);
  const mark = user.mark();
  const buffer = user.put(k.memory.bytes(from, Math.min(count, PIECE_BYTES)));
  const position = at === 0 ? positionOf(k, file) : at;
  const done = yield* opened.methods.write(k, file, buffer, Math.min(count, PIECE_BYTES), position);
  user.release(mark);
  return done;
}

/** vfs_iter_read and vfs_iter_write: through the file's own method for iterators, at a place of the caller's. */
function* iterate(
  k: Linux,
  file: Address,
  iterator: Address,
  at: Address,
  mode: number,
  member: 'read_iter' | 'write_iter',
): Steps<number> {
  const method = operation(k, file, member);
  if (method === 0) return -Errno.EINVAL;
  if ((k.read('file.f_mode', file) & mode) === 0) return -Errno.EBADF;
  if (k.read('iov_iter.count', iterator) === 0) return 0;
  const request = k.heap.allocateZeroed(k.sizeof('kiocb'));
  k.write('kiocb.ki_filp', request, file);
  k.write('kiocb.ki_pos', request, k.memory.ptr(at));
  const done = yield* k.call(method, request, iterator);
  if (done > 0) k.memory.setPtr(at, k.read('kiocb.ki_pos', request));
  k.heap.free(request);
  return done;
}

/** d_path of an open file, at the end of the buffer, as the kernel makes it. */
function filePath(k: Linux, file: Address, buffer: Address, room: number): Address {
  const path = new TextEncoder().encode(`${k.state(openFiles).get(file)?.path ?? ''}\0`);
  if (path.length > room) return -Errno.ENAMETOOLONG;
  k.memory.write(buffer + room - path.length, path);
  return buffer + room - path.length;
}

/** vfs_getattr of what filesystems here have: the fields of the inode. */
function fillStatus(k: Linux, path: Address, status: Address): number {
  const inode = k.read('dentry.d_inode', k.read('path.dentry', path));
  const sb = k.read('inode.i_sb', inode);
  k.memory.fill(status, k.sizeof('kstat'), 0);
  k.write('kstat.result_mask', status, STATX_BASIC);
  k.write('kstat.mode', status, k.read('inode.i_mode', inode));
  k.write('kstat.nlink', status, k.read('inode.i_nlink', inode));
  k.write('kstat.uid.val', status, k.read('inode.i_uid.val', inode));
  k.write('kstat.gid.val', status, k.read('inode.i_gid.val', inode));
  k.write('kstat.ino', status, k.read('inode.i_ino', inode));
  k.write('kstat.dev', status, sb === 0 ? 0 : k.read('super_block.s_dev', sb));
  k.write('kstat.rdev', status, k.read('inode.i_rdev', inode));
  k.write('kstat.size', status, k.read('inode.i_size', inode));
  k.write('kstat.blksize', status, 2 ** k.read('inode.i_blkbits', inode));
  k.write('kstat.blocks', status, k.read('inode.i_blocks', inode));
  return 0;
}

/** STATX_BASIC_STATS */
const STATX_BASIC = 0x7ff;

export const kernelFiles = kernelFunctions({
  'struct file *fget(unsigned int fd)': (k, number) => {
    const opened = k.state(descriptors).get(number);
    if (opened === undefined) return 0;
    holdFile(k, opened.file);
    return opened.file;
  },
  'void fput(struct file *file)': function* (k, file) {
    const opened = k.state(openFiles).get(file);
    if (opened !== undefined) yield* putFile(k, opened);
  },
  'ssize_t vfs_iter_read(struct file *file, struct iov_iter *iter, loff_t *ppos, int flags)': (
    k,
    file,
    iterator,
    at,
  ) => iterate(k, file, iterator, at, FMODE_READ, 'read_iter'),
  'ssize_t vfs_iter_write(struct file *file, struct iov_iter *iter, loff_t *ppos, int flags)': (
    k,
    file,
    iterator,
    at,
  ) => iterate(k, file, iterator, at, FMODE_WRITE, 'write_iter'),
  'int vfs_fsync(struct file *file, int datasync)': function* (k, file, dataOnly) {
    const method = operation(k, file, 'fsync');
    return method === 0 ? -Errno.EINVAL : yield* k.callInt(method, file, 0, LAST_BYTE, dataOnly);
  },
  'int vfs_getattr(const struct path *path, struct kstat *stat, u32 request_mask, unsigned int query_flags)':
    fillStatus,
  'void path_get(const struct path *path)': (k, path) => {
    getDentry(k, k.read('path.dentry', path));
  },
  'void path_put(const struct path *path)': (k, path) => putDentry(k, k.read('path.dentry', path)),
  'char *file_path(struct file *filp, char *buf, int buflen)': filePath,
  'struct file *filp_open(const char *filename, int flags, umode_t mode)': function* (k, name, flags, mode) {
    const opened = yield* open(k, k.memory.cstring(name, PATH_BYTES), flags, mode & 0o7777);
    return typeof opened === 'number' ? opened : opened.file;
  },
  'int filp_close(struct file *filp, fl_owner_t id)': function* (k, file) {
    const opened = k.state(openFiles).get(file);
    if (opened !== undefined) return yield* close(k, opened);
    k.printk(3, 'VFS: Close: file count is 0');
    return 0;
  },
  'ssize_t kernel_read(struct file *file, void *buf, size_t count, loff_t *pos)': (k, file, to, count, at) =>
    kernelRead(k, file, to, count, at),
  'ssize_t kernel_write(struct file *file, const void *buf, size_t count, loff_t *pos)': (
    k,
    file,
    from,
    count,
    at,
  ) => kernelWrite(k, file, from, count, at),
});
