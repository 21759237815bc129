/** Directory entries, inodes and superblocks as filesystems use them (fs/dcache.c, fs/inode.c, fs/super.c). */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { fileCredential } from '../cred.ts';
import { isError } from '../errno.ts';
import type { Linux } from '../linux.ts';
import {
  allocateDentry,
  children,
  dropDentry,
  findChild,
  getDentry,
  getInode,
  I_NEW,
  instantiate,
  newInode,
  putDentry,
  putInode,
  unlinkInode,
} from '../vfs/dentry.ts';
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFMT } from '../vfs/node.ts';
import {
  activate,
  allocateSuper,
  deactivate,
  existingSuper,
  filesystemTypes,
  shutdownSuper,
} from '../vfs/super.ts';
import { kernelFunctions } from './define.ts';

/** An error pointer or the value. */
const errorPointer = (error: number): Address => error;

function* makeRoot(k: Linux, inode: Address): Steps<Address> {
  if (inode === 0) return 0;
  const root = allocateDentry(k, 0, '/', k.read('inode.i_sb', inode));
  instantiate(k, root, inode);
  return root;
}

/** qstr: length in the upper half of hash_len, name pointer behind it. */
function quickString(k: Linux, name: Address): string {
  return k.memory.cstring(k.read('qstr.name', name), k.read('qstr.len', name));
}

/** The fill_super callback, then the active flag, or the shutdown of a superblock that could not be filled. */
function* fill(k: Linux, sb: Address, call: () => Steps<number>): Steps<number> {
  const error = yield* call();
  if (error !== 0) yield* deactivate(k, sb);
  return error;
}

export function* contextTree(k: Linux, context: Address, fillSuper: Address, single: boolean): Steps<number> {
  const type = k.read('fs_context.fs_type', context);
  const old = single ? existingSuper(k, type) : 0;
  let sb = old;
  if (old === 0) {
    sb = allocateSuper(k, type, k.read('fs_context.sb_flags', context));
    k.write('super_block.s_fs_info', sb, k.read('fs_context.s_fs_info', context));
    k.write('fs_context.s_fs_info', context, 0);
    const error = yield* fill(k, sb, () => k.callInt(fillSuper, sb, context));
    if (error !== 0) return error;
  } else activate(k, sb);
  k.write('fs_context.root', context, getDentry(k, k.read('super_block.s_root', sb)));
  return 0;
}

function* legacyMount(
  k: Linux,
  type: Address,
  flags: number,
  data: Address,
  fillSuper: Address,
  single: boolean,
): Steps<Address> {
  let sb = single ? existingSuper(k, type) : 0;
  if (sb === 0) {
    sb = allocateSuper(k, type, flags);
    const made = sb;
    // SB_SILENT decides the last argument of fill_super (fs/super.c).
    const error = yield* fill(k, sb, () => k.callInt(fillSuper, made, data, (flags & 0x8000) !== 0 ? 1 : 0));
    if (error !== 0) return errorPointer(error);
  } else activate(k, sb);
  return getDentry(k, k.read('super_block.s_root', sb));
}

/** Cached inodes by number, as iget_locked finds them: a walk of the superblock's own list. */
function findInode(k: Linux, sb: Address, number: number): Address {
  const head = sb + k.offset('super_block.s_inodes');
  const link = k.offset('inode.i_sb_list');
  for (let at = k.memory.ptr(head); at !== head; at = k.memory.ptr(at)) {
    if (k.read('inode.i_ino', at - link) === number) return at - link;
  }
  return 0;
}

const nlink = (k: Linux, inode: Address, change: number): void => {
  k.write('inode.__i_nlink', inode, k.read('inode.__i_nlink', inode) + change);
};

function specialInode(k: Linux, inode: Address, mode: number, device: number): void {
  k.write('inode.i_mode', inode, mode);
  const type = mode & S_IFMT;
  if (type === S_IFCHR || type === S_IFBLK) k.write('inode.i_rdev', inode, device);
}

/** Wall-clock ns: virtual time since a fixed boot date, so that runs repeat. 2024-01-01T00:00:00Z. */
const BOOT_SECONDS = 1_704_067_200;
/** Nanoseconds since 1970. */
export const realTime = (k: Linux): number => BOOT_SECONDS * 1e9 + k.time.now();

const inodeCounter = { id: Symbol('get_next_ino'), make: () => ({ last: 0 }) };

export const dcacheFunctions = kernelFunctions({
  'struct dentry *d_make_root(struct inode *root_inode)': makeRoot,
  'void free_inode_nonrcu(struct inode *inode)': (k, inode) => k.heap.free(inode),
  'struct dentry *d_alloc(struct dentry *parent, const struct qstr *name)': (k, parent, name) =>
    allocateDentry(k, parent, quickString(k, name), k.read('dentry.d_sb', parent)),
  'struct dentry *d_alloc_name(struct dentry *parent, const char *name)': (k, parent, name) =>
    allocateDentry(k, parent, k.memory.cstring(name), k.read('dentry.d_sb', parent)),
  'void d_add(struct dentry *entry, struct inode *inode)': instantiate,
  'void d_instantiate(struct dentry *entry, struct inode *inode)': instantiate,
  'void d_instantiate_new(struct dentry *entry, struct inode *inode)': (k, entry, inode) => {
    k.write('inode.i_state', inode, k.read('inode.i_state', inode) & ~I_NEW);
    instantiate(k, entry, inode);
  },
  'struct dentry *d_splice_alias(struct inode *inode, struct dentry *dentry)': (k, inode, dentry) => {
    if (isError(inode)) return inode;
    instantiate(k, dentry, inode);
    return 0;
  },
  'void d_drop(struct dentry *dentry)': dropDentry,
  'void d_delete(struct dentry *dentry)': function* (k, dentry) {
    dropDentry(k, dentry);
    if (k.read('dentry.d_lockref.count', dentry) <= 1) yield* unlinkInode(k, dentry);
  },
  'void d_rehash(struct dentry *entry)': () => undefined,
  'void d_set_d_op(struct dentry *dentry, const struct dentry_operations *op)': (k, dentry, operations) => {
    k.write('dentry.d_op', dentry, operations);
  },
  'struct dentry *d_lookup(const struct dentry *parent, const struct qstr *name)': (k, parent, name) => {
    const found = findChild(k, parent, quickString(k, name));
    return found === 0 ? 0 : getDentry(k, found);
  },
  'struct dentry *d_find_alias(struct inode *inode)': (k, inode) => {
    const root = k.read('super_block.s_root', k.read('inode.i_sb', inode));
    const found = root === 0 ? 0 : findAlias(k, root, inode);
    return found === 0 ? 0 : getDentry(k, found);
  },
  'void lockref_get(struct lockref *lockref)': (k, lockref) => {
    k.write('lockref.count', lockref, k.read('lockref.count', lockref) + 1);
  },
  'void dput(struct dentry *dentry)': putDentry,
  'struct dentry *dget_parent(struct dentry *dentry)': (k, dentry) =>
    getDentry(k, k.read('dentry.d_parent', dentry)),
  'struct inode *new_inode(struct super_block *sb)': newInode,
  'void inode_init_once(struct inode *inode)': (k, inode) => {
    k.memory.fill(inode, k.sizeof('inode'), 0);
  },
  'void iput(struct inode *inode)': putInode,
  'void ihold(struct inode *inode)': getInode,
  'struct inode *igrab(struct inode *inode)': (k, inode) => {
    getInode(k, inode);
    return inode;
  },
  'void clear_inode(struct inode *inode)': (k, inode) => {
    // I_FREEING | I_CLEAR
    k.write('inode.i_state', inode, (1 << 5) | (1 << 6));
  },
  'struct inode *iget_locked(struct super_block *sb, unsigned long ino)': function* (k, sb, number) {
    const found = findInode(k, sb, number);
    if (found !== 0) {
      getInode(k, found);
      return found;
    }
    const inode = yield* newInode(k, sb);
    k.write('inode.i_ino', inode, number);
    k.write('inode.i_state', inode, I_NEW);
    return inode;
  },
  'void unlock_new_inode(struct inode *inode)': (k, inode) => {
    k.write('inode.i_state', inode, k.read('inode.i_state', inode) & ~I_NEW);
  },
  'void iget_failed(struct inode *inode)': putInode,
  'unsigned int get_next_ino(void)': (k) => ++k.state(inodeCounter).last,
  'int generic_delete_inode(struct inode *inode)': () => 1,
  'void inode_init_owner(struct user_namespace *mnt_userns, struct inode *inode, const struct inode *dir, umode_t mode)':
    (k, _namespace, inode, directory, mode) => {
      const { uid, gid } = fileCredential(k, k.current);
      k.write('inode.i_uid.val', inode, uid);
      // A set-group-ID directory hands its group on, and the bit to new directories.
      const inherits = directory !== 0 && (k.read('inode.i_mode', directory) & 0o2000) !== 0;
      k.write('inode.i_gid.val', inode, inherits ? k.read('inode.i_gid.val', directory) : gid);
      k.write('inode.i_mode', inode, inherits && (mode & S_IFMT) === S_IFDIR ? mode | 0o2000 : mode);
    },
  'void init_special_inode(struct inode *inode, umode_t mode, dev_t rdev)': specialInode,
  'void set_nlink(struct inode *inode, unsigned int nlink)': (k, inode, count) => {
    k.write('inode.__i_nlink', inode, count);
  },
  'void inc_nlink(struct inode *inode)': (k, inode) => nlink(k, inode, 1),
  'void drop_nlink(struct inode *inode)': (k, inode) => nlink(k, inode, -1),
  'void clear_nlink(struct inode *inode)': (k, inode) => {
    k.write('inode.__i_nlink', inode, 0);
  },
  'void __mark_inode_dirty(struct inode *inode, int flags)': (k, inode, flags) => {
    k.write('inode.i_state', inode, k.read('inode.i_state', inode) | flags);
  },
  'bool is_bad_inode(struct inode *inode)': () => false,
  'int register_filesystem(struct file_system_type *fs)': (k, type) => k.state(filesystemTypes).add(k, type),
  'int unregister_filesystem(struct file_system_type *fs)': (k, type) =>
    k.state(filesystemTypes).remove(k, type),
  'int get_tree_nodev(struct fs_context *fc, int (*fill_super)(struct super_block *sb, struct fs_context *fc))':
    (k, context, fillSuper) => contextTree(k, context, fillSuper, false),
  'int get_tree_single(struct fs_context *fc, int (*fill_super)(struct super_block *sb, struct fs_context *fc))':
    (k, context, fillSuper) => contextTree(k, context, fillSuper, true),
  'struct dentry *mount_nodev(struct file_system_type *fs_type, int flags, void *data, int (*fill_super)(struct super_block *, void *, int))':
    (k, type, flags, data, fillSuper) => legacyMount(k, type, flags, data, fillSuper, false),
  'struct dentry *mount_single(struct file_system_type *fs_type, int flags, void *data, int (*fill_super)(struct super_block *, void *, int))':
    (k, type, flags, data, fillSuper) => legacyMount(k, type, flags, data, fillSuper, true),
  'void kill_anon_super(struct super_block *sb)': shutdownSuper,
  'void kill_litter_super(struct super_block *sb)': shutdownSuper,
  'void generic_shutdown_super(struct super_block *sb)': shutdownSuper,
  'int set_anon_super(struct super_block *s, void *data)': (k, sb) => {
    k.write('super_block.s_dev', sb, 40 + ++k.state(inodeCounter).last);
    return 0;
  },
  'void deactivate_super(struct super_block *s)': deactivate,
  'struct timespec64 current_time(struct inode *inode)': (k) => {
    const now = realTime(k);
    return [BigInt(Math.floor(now / 1e9)), BigInt(Math.floor(now % 1e9))];
  },
});

/** The entry of an inode, found by walking the tree from the root. */
function findAlias(k: Linux, dentry: Address, inode: Address): Address {
  if (k.read('dentry.d_inode', dentry) === inode) return dentry;
  for (const child of children(k, dentry)) {
    const found = findAlias(k, child, inode);
    if (found !== 0) return found;
  }
  return 0;
}
