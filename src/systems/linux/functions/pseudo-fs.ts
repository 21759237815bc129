/** File systems that nobody mounts (fs/libfs.c, init_pseudo): inodes of a subsystem's own below an empty root. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { allocateDentry, defaultOperations, instantiate, newInode } from '../vfs/dentry.ts';
import { S_IFDIR } from '../vfs/node.ts';
import { contextTree } from './dcache.ts';
import { kernelFunctions } from './define.ts';
import { superTable } from './libfs.ts';

/** SB_NOUSER (include/linux/fs.h). */
const NO_USER = 2 ** 31;
/** MAX_LFS_FILESIZE of 64-bit machines; 32-bit ones stop at 16 TiB. */
const MAX_BYTES = { 8: 2n ** 63n - 1n, 4: 2n ** 44n - 1n } as const;

/** fs_context_operations of such a file system: one table for all. */
const operations = perKernel<Address, Linux>((k) => {
  const at = k.heap.allocateZeroed(k.sizeof('fs_context_operations'));
  k.write('fs_context_operations.free', at, k.addressOf('pseudo_fs_free'));
  k.write('fs_context_operations.get_tree', at, k.addressOf('pseudo_fs_get_tree'));
  return at;
});

function initialise(k: Linux, context: Address, magic: number): Address {
  const own = k.heap.allocateZeroed(k.sizeof('pseudo_fs_context'));
  if (own === 0) return 0;
  k.write('pseudo_fs_context.magic', own, magic);
  k.write('fs_context.fs_private', context, own);
  k.write('fs_context.ops', context, k.state(operations));
  k.write('fs_context.sb_flags', context, (k.read('fs_context.sb_flags', context) | NO_USER) >>> 0);
  k.write('fs_context.global', context, 1);
  return own;
}

function* fill(k: Linux, sb: Address, context: Address): Steps<number> {
  const own = k.read('fs_context.fs_private', context);
  k.memory.setU64(sb + k.offset('super_block.s_maxbytes'), MAX_BYTES[k.word === 8 ? 8 : 4]);
  k.write('super_block.s_blocksize', sb, 4096);
  k.write('super_block.s_blocksize_bits', sb, 12);
  k.write('super_block.s_magic', sb, k.read('pseudo_fs_context.magic', own));
  k.write('super_block.s_op', sb, k.read('pseudo_fs_context.ops', own) || k.state(superTable).at(k));
  k.write('super_block.s_xattr', sb, k.read('pseudo_fs_context.xattr', own));
  k.write('super_block.s_time_gran', sb, 1);
  const root = yield* newInode(k, sb);
  k.write('inode.i_ino', root, 1);
  k.write('inode.i_mode', root, S_IFDIR | 0o600);
  const dentry = allocateDentry(k, 0, '/', sb);
  instantiate(k, dentry, root);
  k.write('super_block.s_root', sb, dentry);
  k.write(defaultOperations(k), sb, k.read('pseudo_fs_context.dops', own));
  return 0;
}

/** S_PRIVATE: nothing of security looks at such an inode. */
const PRIVATE = 0x200;

/** An inode without a name, only its owner's. */
function* anonymous(k: Linux, sb: Address): Steps<Address> {
  const inode = yield* newInode(k, sb);
  if (inode === 0) return -Errno.ENOMEM;
  k.write('inode.i_mode', inode, 0o600);
  k.write('inode.i_flags', inode, k.read('inode.i_flags', inode) | PRIVATE);
  return inode;
}

export const pseudoFileSystems = kernelFunctions({
  'struct pseudo_fs_context *init_pseudo(struct fs_context *fc, unsigned long magic)': initialise,
  'struct inode *alloc_anon_inode(struct super_block *s)': anonymous,
  'int pseudo_fs_get_tree(struct fs_context *fc)': (k, context) =>
    contextTree(k, context, k.addressOf('pseudo_fs_fill_super'), false),
  'int pseudo_fs_fill_super(struct super_block *s, struct fs_context *fc)': fill,
  'void pseudo_fs_free(struct fs_context *fc)': (k, context) =>
    k.heap.free(k.read('fs_context.fs_private', context)),
});
