/** Files that a module opens by itself (fs/open.c, fs/read_write.c): filp_open, kernel_read, kernel_write. */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { userSpace } from '../user.ts';
import { close, open } from '../vfs/calls.ts';
import { FMODE_READ, FMODE_WRITE, type OpenFile, openFiles, positionOf } from '../vfs/file.ts';
import { kernelFunctions } from './define.ts';

/** PATH_MAX */
const PATH_BYTES = 4096;
/** MAX_RW_COUNT would be 2 GiB less a page; one piece is what the user buffers hold, and callers take short counts. */
const PIECE_BYTES = 1 << 20;

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

export const kernelFiles = kernelFunctions({
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
