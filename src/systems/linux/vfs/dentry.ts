/**
 * Directory entries and inodes of mounted filesystems, in guest memory only: a child is found by walking its
 * parent's d_subdirs list, which modules walk too.
 */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { isError } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { addHead, addToHlist, initList, removeFromHlist, removeInit } from '../lists.ts';
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from './node.ts';

/** Entry types in d_flags (include/linux/dcache.h). */
const DCACHE_ENTRY_TYPE = 0x00700000;
const DCACHE_DIRECTORY_TYPE = 0x00200000;
const DCACHE_REGULAR_TYPE = 0x00400000;
const DCACHE_SPECIAL_TYPE = 0x00500000;
const DCACHE_SYMLINK_TYPE = 0x00600000;

/** Since 6.8 the children are an hlist (d_children, d_sib), before a list (d_subdirs, d_child). */
function hashed(k: Linux): boolean {
  return k.types.has('dentry.d_children');
}

/** Offset of the head of an entry's children. */
function headOf(k: Linux): number {
  return k.offset(hashed(k) ? 'dentry.d_children' : 'dentry.d_subdirs');
}

/** Offset of an entry's link in the list of its parent. */
function linkOf(k: Linux): number {
  return k.offset(hashed(k) ? 'dentry.d_sib' : 'dentry.d_child');
}

/** The room for short names inside an entry, which newer kernels made a member of a union. */
function inlineName(k: Linux): string {
  return k.types.has('dentry.d_iname') ? 'dentry.d_iname' : 'dentry.d_shortname.string';
}

function joinParent(k: Linux, dentry: Address, parent: Address): void {
  const join = hashed(k) ? addToHlist : addHead;
  join(k, dentry + linkOf(k), parent + headOf(k));
}

function leaveParent(k: Linux, dentry: Address): void {
  const leave = hashed(k) ? removeFromHlist : removeInit;
  leave(k, dentry + linkOf(k));
}

/** d_alloc: an entry with one reference, in its parent's list; no inode yet. */
export function allocateDentry(k: Linux, parent: Address, name: string, sb: Address): Address {
  const dentry = k.heap.allocateZeroed(k.sizeof('dentry'));
  const text = new TextEncoder().encode(name);
  const inline = k.field(inlineName(k));
  // Names that do not fit the entry itself get room of their own, as in __d_alloc.
  const at = text.length < inline.size ? dentry + inline.offset : k.heap.allocate(text.length + 1);
  k.memory.write(at, text);
  k.memory.set8(at + text.length, 0);
  k.write('dentry.d_name.name', dentry, at);
  k.write('dentry.d_name.len', dentry, text.length);
  k.write('dentry.d_lockref.count', dentry, 1);
  k.write('dentry.d_sb', dentry, sb);
  if (!hashed(k)) {
    initList(k, dentry + headOf(k));
    initList(k, dentry + linkOf(k));
  }
  initList(k, dentry + k.offset('dentry.d_lru'));
  k.write('dentry.d_op', dentry, sb === 0 ? 0 : k.read(defaultOperations(k), sb));
  if (parent === 0) k.write('dentry.d_parent', dentry, dentry);
  else attach(k, dentry, parent);
  return dentry;
}

/** The field of a super block with what its dentries begin with; file systems no longer write it since 6.17. */
export const defaultOperations = (k: Linux): string =>
  k.types.has('super_block.__s_d_op') ? 'super_block.__s_d_op' : 'super_block.s_d_op';

function attach(k: Linux, dentry: Address, parent: Address): void {
  k.write('dentry.d_parent', dentry, parent);
  k.write('dentry.d_lockref.count', parent, k.read('dentry.d_lockref.count', parent) + 1);
  joinParent(k, dentry, parent);
}

/** d_instantiate: gives the entry its inode (whose reference moves over) and the type flags that follow from it. */
export function instantiate(k: Linux, dentry: Address, inode: Address): void {
  k.write('dentry.d_inode', dentry, inode);
  const flags = k.read('dentry.d_flags', dentry) & ~DCACHE_ENTRY_TYPE;
  k.write('dentry.d_flags', dentry, inode === 0 ? flags : flags | entryType(k.read('inode.i_mode', inode)));
}

function entryType(mode: number): number {
  const type = mode & S_IFMT;
  if (type === S_IFDIR) return DCACHE_DIRECTORY_TYPE;
  if (type === S_IFLNK) return DCACHE_SYMLINK_TYPE;
  return type === S_IFREG ? DCACHE_REGULAR_TYPE : DCACHE_SPECIAL_TYPE;
}

export function dentryName(k: Linux, dentry: Address): string {
  return k.memory.cstring(k.read('dentry.d_name.name', dentry), k.read('dentry.d_name.len', dentry));
}

/** The children of an entry, newest first, as the list has them. */
export function* children(k: Linux, parent: Address): Generator<Address> {
  const link = linkOf(k);
  // A list ends at its head, an hlist with NULL.
  const head = hashed(k) ? 0 : parent + headOf(k);
  let at = k.memory.ptr(parent + headOf(k));
  // More entries than memory can hold: a list that a module broke must not hang the walk.
  for (let left = 1_000_000; at !== head && left > 0; left--) {
    const next = k.memory.ptr(at);
    yield at - link;
    at = next;
  }
}

export function findChild(k: Linux, parent: Address, name: string): Address {
  for (const child of children(k, parent)) {
    if (dentryName(k, child) === name) return child;
  }
  return 0;
}

/**
 * A component of a path below a mounted directory: the cached entry, or what the filesystem's lookup gives.
 * Returns 0 when there is no such file, a negative errno when lookup failed. A found entry carries one more
 * reference.
 */
export function* lookupChild(k: Linux, parent: Address, name: string): Steps<Address> {
  const known = findChild(k, parent, name);
  if (known !== 0) return getDentry(k, known);
  const directory = k.read('dentry.d_inode', parent);
  const operations = k.read('inode.i_op', directory);
  const lookup = operations === 0 ? 0 : k.read('inode_operations.lookup', operations);
  if (lookup === 0) return 0;
  const dentry = allocateDentry(k, parent, name, k.read('dentry.d_sb', parent));
  const result = yield* k.call(lookup, directory, dentry, 0);
  if (isError(result)) {
    yield* putDentry(k, dentry);
    return result;
  }
  if (result !== 0) {
    yield* putDentry(k, dentry);
    return result;
  }
  return dentry;
}

/** An entry for `name` that exists (negative or not), for create and mkdir; with one reference. */
export function* entryFor(k: Linux, parent: Address, name: string): Steps<Address> {
  const found = yield* lookupChild(k, parent, name);
  if (found !== 0) return found;
  return allocateDentry(k, parent, name, k.read('dentry.d_sb', parent));
}

export function getDentry(k: Linux, dentry: Address): Address {
  k.write('dentry.d_lockref.count', dentry, k.read('dentry.d_lockref.count', dentry) + 1);
  return dentry;
}

/**
 * dput: drops a reference. An entry that nobody holds is freed at once when it has no inode, or when the
 * filesystem does not want unused entries kept; others stay cached.
 */
export function* putDentry(k: Linux, dentry: Address): Steps<void> {
  if (dentry === 0) return;
  const count = k.read('dentry.d_lockref.count', dentry) - 1;
  k.write('dentry.d_lockref.count', dentry, count);
  if (count > 0) return;
  if (k.read('dentry.d_inode', dentry) === 0 || isUnhashed(k, dentry)) yield* killDentry(k, dentry);
}

function isUnhashed(k: Linux, dentry: Address): boolean {
  const parent = k.read('dentry.d_parent', dentry);
  if (parent === dentry) return true;
  const link = dentry + linkOf(k);
  return hashed(k) ? k.memory.ptr(link + k.word) === 0 : k.memory.ptr(link) === link;
}

/** d_move: `dentry` takes the name of `target` below `parent`; the target's own name moves over and is not kept. */
export function moveDentry(k: Linux, dentry: Address, target: Address, parent: Address): void {
  const text = new TextEncoder().encode(dentryName(k, target));
  const inline = k.field(inlineName(k));
  const old = k.read('dentry.d_name.name', dentry);
  const at = text.length < inline.size ? dentry + inline.offset : k.heap.allocate(text.length + 1);
  k.memory.write(at, text);
  k.memory.set8(at + text.length, 0);
  k.write('dentry.d_name.name', dentry, at);
  k.write('dentry.d_name.len', dentry, text.length);
  if (old !== dentry + inline.offset && old !== at) k.heap.free(old);
  const before = k.read('dentry.d_parent', dentry);
  leaveParent(k, dentry);
  k.write('dentry.d_lockref.count', before, k.read('dentry.d_lockref.count', before) - 1);
  attach(k, dentry, parent);
}

/** Takes an entry off its parent's list: it can no longer be found by name. */
export function dropDentry(k: Linux, dentry: Address): void {
  leaveParent(k, dentry);
}

/** Frees an entry and gives back its inode and its hold on the parent. */
export function* killDentry(k: Linux, dentry: Address): Steps<void> {
  const parent = k.read('dentry.d_parent', dentry);
  const operations = k.read('dentry.d_op', dentry);
  const release = operations === 0 ? 0 : k.read('dentry_operations.d_release', operations);
  leaveParent(k, dentry);
  yield* unlinkInode(k, dentry);
  if (release !== 0) yield* k.call(release, dentry);
  freeDentry(k, dentry);
  if (parent !== dentry) yield* putDentry(k, parent);
}

/** dentry_unlink_inode: the entry has no file any more; its filesystem may want to know. */
export function* unlinkInode(k: Linux, dentry: Address): Steps<void> {
  const inode = k.read('dentry.d_inode', dentry);
  if (inode === 0) return;
  instantiate(k, dentry, 0);
  const operations = k.read('dentry.d_op', dentry);
  const own = operations === 0 ? 0 : k.read('dentry_operations.d_iput', operations);
  if (own !== 0) yield* k.call(own, dentry, inode);
  else yield* putInode(k, inode);
}

/** The entry's memory, and that of a name which did not fit it. */
export function freeDentry(k: Linux, dentry: Address): void {
  const name = k.read('dentry.d_name.name', dentry);
  if (name !== dentry + k.offset(inlineName(k))) k.heap.free(name);
  k.heap.free(dentry);
}

/** I_NEW and I_FREEING (include/linux/fs.h). */
export const I_NEW = 1 << 3;
const I_FREEING = 1 << 5;

/** new_inode: from the filesystem's own allocator when it has one, with the defaults of inode_init_always. */
export function* newInode(k: Linux, sb: Address): Steps<Address> {
  const operations = k.read('super_block.s_op', sb);
  const allocate = operations === 0 ? 0 : k.read('super_operations.alloc_inode', operations);
  const inode = allocate === 0 ? k.heap.allocateZeroed(k.sizeof('inode')) : yield* k.call(allocate, sb);
  if (inode === 0) return 0;
  initialiseInode(k, sb, inode);
  addHead(k, inode + k.offset('inode.i_sb_list'), sb + k.offset('super_block.s_inodes'));
  return inode;
}

function initialiseInode(k: Linux, sb: Address, inode: Address): void {
  const data = inode + k.offset('inode.i_data');
  k.write('inode.i_sb', inode, sb);
  k.write('inode.i_blkbits', inode, k.read('super_block.s_blocksize_bits', sb));
  k.write('inode.i_flags', inode, 0);
  k.write('inode.i_count.counter', inode, 1);
  k.write('inode.i_op', inode, k.state(emptyTables).inode(k));
  k.write('inode.i_fop', inode, k.state(emptyTables).file(k));
  k.write('inode.i_nlink', inode, 1);
  for (const field of [
    'inode.i_uid.val',
    'inode.i_gid.val',
    'inode.i_size',
    'inode.i_rdev',
    'inode.i_private',
  ]) {
    k.write(field, inode, 0);
  }
  k.write('inode.i_mapping', inode, data);
  k.write('address_space.host', data, inode);
  k.write('address_space.a_ops', data, k.state(emptyTables).mapping(k));
  for (const list of ['inode.i_io_list', 'inode.i_lru', 'inode.i_sb_list', 'inode.i_wb_list']) {
    initList(k, inode + k.offset(list));
  }
}

/** The empty operation tables that a fresh inode points to, so that no pointer in it is NULL. */
const emptyTables = {
  id: Symbol('empty operations'),
  make: () => {
    const made = new Map<string, Address>();
    const table = (k: Linux, name: string) => {
      const at = made.get(name) ?? k.heap.lasting(() => k.heap.allocateZeroed(k.sizeof(name)));
      made.set(name, at);
      return at;
    };
    return {
      inode: (k: Linux) => table(k, 'inode_operations'),
      file: (k: Linux) => table(k, 'file_operations'),
      mapping: (k: Linux) => table(k, 'address_space_operations'),
    };
  },
};

export function getInode(k: Linux, inode: Address): void {
  k.write('inode.i_count.counter', inode, k.read('inode.i_count.counter', inode) + 1);
}

/** iput: the last reference evicts the inode when it has no links left or the filesystem says so. */
export function* putInode(k: Linux, inode: Address): Steps<void> {
  if (inode === 0) return;
  const count = k.read('inode.i_count.counter', inode) - 1;
  k.write('inode.i_count.counter', inode, count);
  if (count === 0) yield* evictInode(k, inode);
}

function* evictInode(k: Linux, inode: Address): Steps<void> {
  const sb = k.read('inode.i_sb', inode);
  const operations = k.read('super_block.s_op', sb);
  const member = (name: string) => (operations === 0 ? 0 : k.read(`super_operations.${name}`, operations));
  k.write('inode.i_state', inode, k.read('inode.i_state', inode) | I_FREEING);
  removeInit(k, inode + k.offset('inode.i_sb_list'));
  const evict = member('evict_inode');
  if (evict !== 0) yield* k.call(evict, inode);
  dropPages(k, k.read('inode.i_mapping', inode));
  const destroy = member('destroy_inode');
  if (destroy !== 0) yield* k.call(destroy, inode);
  const free = member('free_inode');
  if (free !== 0) yield* k.call(free, inode);
  else if (destroy === 0) k.heap.free(inode);
}

/** The contents of a file that is kept in memory go. */
export function dropPages(k: Linux, mapping: Address): void {
  for (const page of k.state(pageCaches).get(mapping)?.values() ?? []) k.heap.free(page);
  k.state(pageCaches).delete(mapping);
}

/** Cached file contents by address_space and page index; the pages are guest memory. */
export const pageCaches = {
  id: Symbol('page caches'),
  make: () => new Map<Address, Map<number, Address>>(),
};
