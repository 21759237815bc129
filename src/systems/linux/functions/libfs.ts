/** Library routines for simple filesystems and device files (fs/libfs.c, fs/read_write.c, fs/open.c). */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno, isError } from '../errno.ts';
import type { DataInitialiser, Linux } from '../linux.ts';
import { copyFromUser, copyToUser } from '../user.ts';
import {
  allocateDentry,
  children,
  dentryName,
  getDentry,
  getInode,
  instantiate,
  newInode,
  putDentry,
} from '../vfs/dentry.ts';
import { seekWithin } from '../vfs/file.ts';
import { S_IFDIR, S_IFMT } from '../vfs/node.ts';
import { holdMount, kernelMount, putMount } from '../vfs/super.ts';
import { kernelFunctions } from './define.ts';

/** NAME_MAX */
const NAME_MAX = 255;
const DT_SHIFT = 12;

const inodeOf = (k: Linux, dentry: Address): Address => k.read('dentry.d_inode', dentry);
const positive = (k: Linux, dentry: Address): boolean => inodeOf(k, dentry) !== 0;

/** Hands one entry to the reader's actor; false = it has no room. */
function* emit(k: Linux, context: Address, name: string, inode: number, type: number): Steps<boolean> {
  const bytes = new TextEncoder().encode(name + '\0');
  const at = k.heap.allocate(Math.max(8, bytes.length));
  k.memory.write(at, bytes);
  const position = k.read('dir_context.pos', context);
  const actor = k.read('dir_context.actor', context);
  const more = yield* k.callInt(actor, context, at, bytes.length - 1, position, inode, type);
  k.heap.free(at);
  return (more & 0xff) !== 0;
}

/** dcache_readdir: `.` and `..`, then the children that have an inode, newest first. */
function* readDirectory(k: Linux, file: Address, context: Address): Steps<number> {
  const dentry = k.read('file.f_path.dentry', file);
  const advance = () => k.write('dir_context.pos', context, k.read('dir_context.pos', context) + 1);
  const number = (of: Address) => k.read('inode.i_ino', inodeOf(k, of));
  for (const [at, name, of] of [
    [0, '.', dentry],
    [1, '..', k.read('dentry.d_parent', dentry)],
  ] as const) {
    if (k.read('dir_context.pos', context) !== at) continue;
    if (!(yield* emit(k, context, name, number(of), S_IFDIR >> DT_SHIFT))) return 0;
    advance();
  }
  const entries = [...children(k, dentry)].filter((child) => positive(k, child));
  for (const child of entries.slice(k.read('dir_context.pos', context) - 2)) {
    const type = (k.read('inode.i_mode', inodeOf(k, child)) & S_IFMT) >> DT_SHIFT;
    if (!(yield* emit(k, context, dentryName(k, child), number(child), type))) return 0;
    advance();
  }
  return 0;
}

function isEmpty(k: Linux, dentry: Address): boolean {
  for (const child of children(k, dentry)) if (positive(k, child)) return false;
  return true;
}

function* unlink(k: Linux, _directory: Address, dentry: Address): Steps<number> {
  const inode = inodeOf(k, dentry);
  k.write('inode.__i_nlink', inode, k.read('inode.__i_nlink', inode) - 1);
  yield* putDentry(k, dentry);
  return 0;
}

/** RENAME_NOREPLACE, RENAME_EXCHANGE: the second is not for simple filesystems' callers here. */
const RENAME_NOREPLACE = 1;

/** simple_rename: a replaced file goes; the entry itself is moved by the caller. */
function* rename(
  k: Linux,
  _namespace: Address,
  oldDirectory: Address,
  old: Address,
  newDirectory: Address,
  target: Address,
  flags: number,
): Steps<number> {
  if ((flags & ~RENAME_NOREPLACE) !== 0) return -Errno.EINVAL;
  if (!isEmpty(k, target)) return -Errno.ENOTEMPTY;
  const isDirectory = (k.read('inode.i_mode', inodeOf(k, old)) & S_IFMT) === S_IFDIR;
  const links = (inode: Address, by: number) =>
    k.write('inode.__i_nlink', inode, k.read('inode.__i_nlink', inode) + by);
  if (positive(k, target)) {
    yield* unlink(k, newDirectory, target);
    if (isDirectory) links(oldDirectory, -1);
  } else if (isDirectory) {
    links(oldDirectory, -1);
    links(newDirectory, 1);
  }
  return 0;
}

function* fillSuper(k: Linux, sb: Address, magic: number, files: Address): Steps<number> {
  k.write('super_block.s_blocksize', sb, 4096);
  k.write('super_block.s_blocksize_bits', sb, 12);
  k.write('super_block.s_magic', sb, magic);
  k.write('super_block.s_op', sb, k.state(superTable).at(k));
  k.write('super_block.s_time_gran', sb, 1);
  const root = yield* newInode(k, sb);
  k.write('inode.i_ino', root, 1);
  k.write('inode.i_mode', root, S_IFDIR | 0o755);
  k.write('inode.i_op', root, k.addressOf('simple_dir_inode_operations'));
  k.write('inode.i_fop', root, k.addressOf('simple_dir_operations'));
  k.write('inode.__i_nlink', root, 2);
  const dentry = allocateDentry(k, 0, '/', sb);
  instantiate(k, dentry, root);
  const size = k.sizeof('tree_descr');
  for (
    let i = 0, at = files;
    k.memory.ptr(at) === 0 || k.memory.u8(k.memory.ptr(at)) !== 0;
    i++, at += size
  ) {
    if (k.memory.ptr(at) === 0) continue;
    const child = allocateDentry(k, dentry, k.readString('tree_descr.name', at), sb);
    const inode = yield* newInode(k, sb);
    k.write('inode.i_mode', inode, 0o100000 | k.read('tree_descr.mode', at));
    k.write('inode.i_fop', inode, k.read('tree_descr.ops', at));
    k.write('inode.i_ino', inode, i);
    instantiate(k, child, inode);
  }
  k.write('super_block.s_root', sb, dentry);
  return 0;
}

/** super_operations of simple_fill_super, which the kernel does not export: made when first needed. */
export const superTable = {
  id: Symbol('simple super operations'),
  make: () => {
    let at = 0;
    return {
      at: (k: Linux): Address => {
        if (at === 0) {
          at = k.heap.allocateZeroed(k.sizeof('super_operations'));
          k.write('super_operations.statfs', at, k.addressOf('simple_statfs'));
        }
        return at;
      },
    };
  },
};

/** simple_read_from_buffer: copies what fits to user space and advances the position. */
function readFromBuffer(
  k: Linux,
  to: Address,
  count: number,
  position: Address,
  from: Address,
  available: number,
): number {
  const at = k.memory.ptr(position);
  if (at < 0) return -Errno.EINVAL;
  if (at >= available || count === 0) return 0;
  const wanted = Math.min(count, available - at);
  const left = copyToUser(k, to, from + at, wanted);
  if (left === wanted) return -Errno.EFAULT;
  k.memory.setPtr(position, at + wanted - left);
  return wanted - left;
}

function writeToBuffer(
  k: Linux,
  to: Address,
  available: number,
  position: Address,
  from: Address,
  count: number,
): number {
  const at = k.memory.ptr(position);
  if (at < 0) return -Errno.EINVAL;
  if (at >= available || count === 0) return 0;
  const wanted = Math.min(count, available - at);
  const left = copyFromUser(k, to + at, from, wanted);
  if (left === wanted) return -Errno.EFAULT;
  k.memory.setPtr(position, at + wanted - left);
  return wanted - left;
}

export const libfsFunctions = kernelFunctions({
  'int simple_statfs(struct dentry *dentry, struct kstatfs *buf)': (k, dentry, buffer) => {
    k.write('kstatfs.f_type', buffer, k.read('super_block.s_magic', k.read('dentry.d_sb', dentry)));
    k.write('kstatfs.f_bsize', buffer, 4096);
    k.write('kstatfs.f_namelen', buffer, NAME_MAX);
    return 0;
  },
  'struct dentry *simple_lookup(struct inode *dir, struct dentry *dentry, unsigned int flags)': (
    k,
    _dir,
    dentry,
  ) => {
    if (k.read('dentry.d_name.len', dentry) > NAME_MAX) return -Errno.ENAMETOOLONG;
    instantiate(k, dentry, 0);
    return 0;
  },
  'int simple_open(struct inode *inode, struct file *file)': (k, inode, file) => {
    const data = k.read('inode.i_private', inode);
    if (data !== 0) k.write('file.private_data', file, data);
    return 0;
  },
  'int dcache_dir_open(struct inode *inode, struct file *file)': () => 0,
  'int dcache_dir_close(struct inode *inode, struct file *file)': () => 0,
  'loff_t dcache_dir_lseek(struct file *file, loff_t offset, int whence)': (k, file, offset, whence) =>
    seekWithin(k, file, offset, whence, 0),
  'int dcache_readdir(struct file *file, struct dir_context *ctx)': readDirectory,
  'ssize_t generic_read_dir(struct file *filp, char *buf, size_t siz, loff_t *ppos)': () => -Errno.EISDIR,
  'int noop_fsync(struct file *file, loff_t start, loff_t end, int datasync)': () => 0,
  'int simple_empty(struct dentry *dentry)': (k, dentry) => isEmpty(k, dentry),
  'int simple_link(struct dentry *old_dentry, struct inode *dir, struct dentry *dentry)': (
    k,
    old,
    _dir,
    dentry,
  ) => {
    const inode = inodeOf(k, old);
    k.write('inode.__i_nlink', inode, k.read('inode.__i_nlink', inode) + 1);
    getInode(k, inode);
    getDentry(k, dentry);
    instantiate(k, dentry, inode);
    return 0;
  },
  'int simple_rename(struct user_namespace *mnt_userns, struct inode *old_dir, struct dentry *old_dentry, struct inode *new_dir, struct dentry *new_dentry, unsigned int flags)':
    rename,
  'int simple_unlink(struct inode *dir, struct dentry *dentry)': unlink,
  'int simple_rmdir(struct inode *dir, struct dentry *dentry)': function* (k, directory, dentry) {
    if (!isEmpty(k, dentry)) return -Errno.ENOTEMPTY;
    const inode = inodeOf(k, dentry);
    k.write('inode.__i_nlink', inode, k.read('inode.__i_nlink', inode) - 1);
    yield* unlink(k, directory, dentry);
    k.write('inode.__i_nlink', directory, k.read('inode.__i_nlink', directory) - 1);
    return 0;
  },
  'int simple_getattr(struct user_namespace *mnt_userns, const struct path *path, struct kstat *stat, u32 request_mask, unsigned int query_flags)':
    (k, _namespace, path, status) => {
      const inode = inodeOf(k, k.read('path.dentry', path));
      k.write('kstat.mode', status, k.read('inode.i_mode', inode));
      k.write('kstat.size', status, k.read('inode.i_size', inode));
      k.write('kstat.ino', status, k.read('inode.i_ino', inode));
      k.write('kstat.nlink', status, k.read('inode.__i_nlink', inode));
      return 0;
    },
  'int simple_setattr(struct user_namespace *mnt_userns, struct dentry *dentry, struct iattr *iattr)': (
    k,
    _namespace,
    dentry,
    attributes,
  ) => {
    const inode = inodeOf(k, dentry);
    const valid = k.read('iattr.ia_valid', attributes);
    if ((valid & 1) !== 0) k.write('inode.i_mode', inode, k.read('iattr.ia_mode', attributes));
    if ((valid & 8) !== 0) k.write('inode.i_size', inode, k.read('iattr.ia_size', attributes));
    return 0;
  },
  'int simple_pin_fs(struct file_system_type *type, struct vfsmount **mount, int *count)': function* (
    k,
    type,
    to,
    count,
  ) {
    if (k.memory.ptr(to) === 0) {
      const made = yield* kernelMount(k, type);
      if (isError(made)) return made;
      k.memory.setPtr(to, made);
    } else holdMount(k, k.memory.ptr(to));
    k.memory.set32(count, k.memory.i32(count) + 1);
    return 0;
  },
  'void simple_release_fs(struct vfsmount **mount, int *count)': function* (k, at, count) {
    const mount = k.memory.ptr(at);
    k.memory.set32(count, k.memory.i32(count) - 1);
    if (k.memory.i32(count) === 0) k.memory.setPtr(at, 0);
    yield* putMount(k, mount);
  },
  'struct vfsmount *kern_mount(struct file_system_type *type)': kernelMount,
  'void kern_unmount(struct vfsmount *mnt)': function* (k, mount) {
    if (!isError(mount)) yield* putMount(k, mount);
  },
  'struct vfsmount *mntget(struct vfsmount *mnt)': holdMount,
  'void mntput(struct vfsmount *mnt)': putMount,
  'int simple_fill_super(struct super_block *s, unsigned long magic, const struct tree_descr *files)':
    fillSuper,
  'ssize_t simple_read_from_buffer(void *to, size_t count, loff_t *ppos, const void *from, size_t available)':
    readFromBuffer,
  'ssize_t simple_write_to_buffer(void *to, size_t available, loff_t *ppos, const void *from, size_t count)':
    writeToBuffer,
  'ssize_t memory_read_from_buffer(void *to, size_t count, loff_t *ppos, const void *from, size_t available)':
    (k, to, count, position, from, available) => {
      const at = k.memory.ptr(position);
      if (at < 0) return -Errno.EINVAL;
      if (at >= available) return 0;
      const wanted = Math.min(count, available - at);
      k.memory.copy(to, from + at, wanted);
      k.memory.setPtr(position, at + wanted);
      return wanted;
    },
  'loff_t default_llseek(struct file *file, loff_t offset, int whence)': (k, file, offset, whence) =>
    seekWithin(k, file, offset, whence, k.read('inode.i_size', k.read('file.f_inode', file))),
  'loff_t generic_file_llseek(struct file *file, loff_t offset, int whence)': (k, file, offset, whence) =>
    seekWithin(k, file, offset, whence, k.read('inode.i_size', k.read('file.f_inode', file))),
  'loff_t no_llseek(struct file *file, loff_t offset, int whence)': () => -Errno.ESPIPE,
  'loff_t noop_llseek(struct file *file, loff_t offset, int whence)': (k, file) => k.read('file.f_pos', file),
  'loff_t fixed_size_llseek(struct file *file, loff_t offset, int whence, loff_t size)': (
    k,
    file,
    offset,
    whence,
    size,
  ) => {
    const before = k.read('file.f_pos', file);
    const at = seekWithin(k, file, offset, whence, size);
    if (at <= size) return at;
    k.write('file.f_pos', file, before);
    return -Errno.EINVAL;
  },
  'int nonseekable_open(struct inode *inode, struct file *filp)': (k, _inode, file) => {
    // FMODE_LSEEK, FMODE_PREAD and FMODE_PWRITE go.
    k.write('file.f_mode', file, k.read('file.f_mode', file) & ~0x1c);
    return 0;
  },
  'int stream_open(struct inode *inode, struct file *filp)': (k, _inode, file) => {
    k.write('file.f_mode', file, k.read('file.f_mode', file) & ~0x1c);
    return 0;
  },
});

type Members = Record<string, string>;

/** Fills an exported operations table with the addresses of kernel functions. */
function table(symbol: string, struct: string, members: Members): DataInitialiser {
  return {
    symbol,
    when: 'import',
    fill: (k, at) => {
      for (const [member, name] of Object.entries(members)) {
        k.poke(`${struct}.${member}`, at, k.addressOf(name));
      }
    },
  };
}

export const libfsData: readonly DataInitialiser[] = [
  table('simple_dir_operations', 'file_operations', {
    open: 'dcache_dir_open',
    release: 'dcache_dir_close',
    llseek: 'dcache_dir_lseek',
    read: 'generic_read_dir',
    iterate_shared: 'dcache_readdir',
    fsync: 'noop_fsync',
  }),
  table('simple_dir_inode_operations', 'inode_operations', { lookup: 'simple_lookup' }),
  table('page_symlink_inode_operations', 'inode_operations', { get_link: 'page_get_link' }),
  // Its members are reached only through the page cache, which knows this table by its address.
  table('ram_aops', 'address_space_operations', {}),
];
