/**
 * Plain files of the base kernel's own tree, below /tmp, as tmpfs keeps them: their content is pages of guest memory, and
 * what modules reach through an open one (inode, superblock, mapping, operations) is there.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import { readPages, truncatePages, writePages } from '../functions/pagecache.ts';
import type { Linux } from '../linux.ts';
import { copyFromUser, copyToUser } from '../user.ts';
import { type FileMethods, type Node, regular } from './node.ts';

/** A file larger than this is refused (EFBIG), so that a loop of writes stays bounded. */
const MAX_BYTES = 16 << 20;
/** TMPFS_MAGIC; and the locks of struct sb_writers, by level. */
const MAGIC = 0x01021994;
const FREEZE_LEVELS = 3;
const BLOCK_BITS = 12;

/** The superblock of all of them: what files without a device have. */
const ownSuper = perKernel<Address, Linux>((k) => {
  const sb = k.heap.allocateZeroed(k.sizeof('super_block'));
  k.write('super_block.s_blocksize', sb, 1 << BLOCK_BITS);
  k.write('super_block.s_blocksize_bits', sb, BLOCK_BITS);
  k.write('super_block.s_maxbytes', sb, MAX_BYTES);
  k.write('super_block.s_magic', sb, MAGIC);
  k.memory.write(sb + k.offset('super_block.s_id'), new TextEncoder().encode('tmpfs'));
  for (let level = 0; level < FREEZE_LEVELS; level++) {
    const lock = sb + k.offset('super_block.s_writers.rw_sem') + level * k.sizeof('percpu_rw_semaphore');
    k.write('percpu_rw_semaphore.read_count', lock, k.percpu.allocate(4));
  }
  return sb;
});

const operations = perKernel<Address, Linux>((k) => {
  const table = k.heap.allocateZeroed(k.sizeof('file_operations'));
  k.write('file_operations.read_iter', table, k.addressOf('generic_file_read_iter'));
  k.write('file_operations.write_iter', table, k.addressOf('generic_file_write_iter'));
  k.write('file_operations.fsync', table, k.addressOf('noop_fsync'));
  return table;
});

/** The inode as code of the kernel's own finds it. */
function prepare(k: Linux, inode: Address): void {
  const mapping = inode + k.offset('inode.i_data');
  k.write('inode.i_sb', inode, k.state(ownSuper));
  k.write('inode.i_blkbits', inode, BLOCK_BITS);
  k.write('inode.i_nlink', inode, 1);
  k.write('address_space.host', mapping, inode);
  k.write('address_space.a_ops', mapping, k.addressOf('ram_aops'));
}

const inodeOf = (k: Linux, file: Address): Address => k.read('file.f_inode', file);

const methods = (node: Node): FileMethods => ({
  *open(k, file) {
    const inode = inodeOf(k, file);
    prepare(k, inode);
    k.write('file.f_op', file, k.state(operations));
    if ((k.read('file.f_flags', file) & O_TRUNC) === 0) return 0;
    k.write('inode.i_size', inode, 0);
    truncatePages(k, k.read('inode.i_mapping', inode), 0);
    node.size = 0;
    return 0;
  },
  *read(k, file, buffer, count, position) {
    const from = k.memory.ptr(position);
    let to = buffer;
    const done = readPages(k, inodeOf(k, file), from, count, (at, bytes) => {
      const moved = bytes - copyToUser(k, to, at, bytes);
      to += moved;
      return moved;
    });
    k.memory.setPtr(position, from + done);
    return done;
  },
  *write(k, file, buffer, count, position) {
    const inode = inodeOf(k, file);
    const appending = (k.read('file.f_flags', file) & O_APPEND) !== 0;
    const start = appending ? k.read('inode.i_size', inode) : k.memory.ptr(position);
    if (start + count > MAX_BYTES) return -Errno.EFBIG;
    let from = buffer;
    const done = writePages(k, inode, start, count, (at, bytes) => {
      const moved = bytes - copyFromUser(k, at, from, bytes);
      from += moved;
      return moved;
    });
    node.size = k.read('inode.i_size', inode);
    k.memory.setPtr(position, start + done);
    return done === 0 && count > 0 ? -Errno.EFAULT : done;
  },
});

export function temporaryFile(name: string, permissions: number): Node {
  const node = regular(name, permissions, {});
  node.methods = methods(node);
  return node;
}

/** include/uapi/asm-generic/fcntl.h */
const O_TRUNC = 0o1000;
const O_APPEND = 0o2000;
