/** Lists of who wants SIGIO from a file (fs/fcntl.c). */
import type { Address } from '../../../memory/space.ts';
import type { Linux } from '../linux.ts';
import { kernelFunctions } from './define.ts';

/** FASYNC (O_ASYNC) */
const FASYNC = 0o20000;
/** FASYNC_MAGIC */
const MAGIC = 0x4601;

/** Where the pointer to the entry of a file is; where a new one would be linked when it has none. */
function find(k: Linux, list: Address, file: Address): Address | undefined {
  for (let link = list; k.memory.ptr(link) !== 0; ) {
    const entry = k.memory.ptr(link);
    if (k.read('fasync_struct.fa_file', entry) === file) return link;
    link = entry + k.offset('fasync_struct.fa_next');
  }
  return undefined;
}

function setFlag(k: Linux, file: Address, on: boolean): void {
  const flags = k.read('file.f_flags', file);
  k.write('file.f_flags', file, on ? flags | FASYNC : flags & ~FASYNC);
}

/** Positive when the list changed, 0 when it did not. */
function change(k: Linux, fd: number, file: Address, on: boolean, list: Address): number {
  const link = find(k, list, file);
  if (!on) {
    if (link === undefined) return 0;
    const entry = k.memory.ptr(link);
    k.memory.setPtr(link, k.read('fasync_struct.fa_next', entry));
    k.heap.free(entry);
    setFlag(k, file, false);
    return 1;
  }
  if (link !== undefined) {
    k.write('fasync_struct.fa_fd', k.memory.ptr(link), fd);
    return 0;
  }
  const entry = k.heap.allocateZeroed(k.sizeof('fasync_struct'));
  k.write('fasync_struct.magic', entry, MAGIC);
  k.write('fasync_struct.fa_file', entry, file);
  k.write('fasync_struct.fa_fd', entry, fd);
  k.write('fasync_struct.fa_next', entry, k.memory.ptr(list));
  k.memory.setPtr(list, entry);
  setFlag(k, file, true);
  return 1;
}

export const fasyncFunctions = kernelFunctions({
  'int fasync_helper(int fd, struct file *filp, int on, struct fasync_struct **fapp)': (
    k,
    fd,
    file,
    on,
    list,
  ) => change(k, fd, file, on !== 0, list),
  // No process here sets an owner with F_SETOWN, and a file without one signals nobody.
  'void kill_fasync(struct fasync_struct **fp, int sig, int band)': () => undefined,
});
