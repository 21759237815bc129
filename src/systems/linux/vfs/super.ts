/** Superblocks and mounts: what mounting a module's filesystem type does (fs/super.c, fs/namespace.c, fs/fs_context.c). */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno, isError } from '../errno.ts';
import { moduleRequest } from '../functions/request-module.ts';
import type { Linux } from '../linux.ts';
import { addToHlist, initList, removeFromHlist, removeInit } from '../lists.ts';
import { modulePut, tryModuleGet } from '../refcount.ts';
import { children, killDentry, putDentry, putInode } from './dentry.ts';
import { openFiles } from './file.ts';
import { leave, type Mount, namespace } from './namespace.ts';

/** SB_ACTIVE, SB_BORN (include/linux/fs.h). */
const SB_ACTIVE = 1 << 30;
const SB_BORN = 1 << 29;
/** SB_KERNMOUNT: not one that a person asked for. */
const SB_KERNMOUNT = 1 << 22;
/** FS_REQUIRES_DEV */
const FS_REQUIRES_DEV = 1;
/** FS_CONTEXT_FOR_MOUNT (enum fs_context_purpose). */
const FOR_MOUNT = 0;

/** Where a type is linked to others in later kernels. */
const linkOf = (k: Linux, type: Address): Address =>
  type + (k.types.has('file_system_type.list') ? k.offset('file_system_type.list') : 0);

/** Registered filesystem types: the guest's file_system_type structures, linked by their `next`, oldest first. */
export class FilesystemTypes {
  readonly list: Address[] = [];

  find(k: Linux, name: string): Address {
    return this.list.find((type) => k.readString('file_system_type.name', type) === name) ?? 0;
  }

  add(k: Linux, type: Address): number {
    const before = k.types.has('file_system_type.next');
    const taken = before
      ? k.read('file_system_type.next', type) !== 0
      : k.memory.ptr(linkOf(k, type) + k.word) !== 0;
    if (taken || this.find(k, k.readString('file_system_type.name', type)) !== 0) return -Errno.EBUSY;
    const last = this.list.at(-1);
    if (!before) addToHlist(k, linkOf(k, type), this.headOf(k));
    else if (last !== undefined) k.write('file_system_type.next', last, type);
    this.list.push(type);
    return 0;
  }

  remove(k: Linux, type: Address): number {
    const at = this.list.indexOf(type);
    if (at < 0) return -Errno.EINVAL;
    this.list.splice(at, 1);
    if (!k.types.has('file_system_type.next')) {
      removeFromHlist(k, linkOf(k, type));
      return 0;
    }
    if (at > 0) k.write('file_system_type.next', this.list[at - 1], this.list[at] ?? 0);
    k.write('file_system_type.next', type, 0);
    return 0;
  }

  /** Later kernels keep the types in an hlist. */
  private headOf(k: Linux): Address {
    this.head ||= k.heap.allocateZeroed(k.word);
    return this.head;
  }
  private head: Address = 0;

  /** /proc/filesystems. */
  text(k: Linux): string {
    return this.list
      .map((type) => {
        const device = (k.read('file_system_type.fs_flags', type) & FS_REQUIRES_DEV) !== 0;
        return `${device ? '' : 'nodev'}\t${k.readString('file_system_type.name', type)}\n`;
      })
      .join('');
  }
}

export const filesystemTypes = perKernel<FilesystemTypes, Linux>(() => new FilesystemTypes());

/** sget: an empty superblock of that type with one active reference. */
export function allocateSuper(k: Linux, type: Address, flags: number): Address {
  const sb = k.heap.allocateZeroed(k.sizeof('super_block'));
  k.write('super_block.s_type', sb, type);
  k.write('super_block.s_flags', sb, flags);
  k.write('super_block.s_active.counter', sb, 1);
  // A refcount_t in later kernels.
  const count = k.types.has('super_block.s_count') ? 's_count' : 's_passive.refs.counter';
  k.write(`super_block.${count}`, sb, 1);
  k.write('super_block.s_maxbytes', sb, 0x7fffffff);
  k.write('super_block.s_blocksize', sb, 4096);
  k.write('super_block.s_blocksize_bits', sb, 12);
  k.write('super_block.s_time_gran', sb, 1_000_000_000);
  const id = k.readString('file_system_type.name', type).slice(0, k.field('super_block.s_id').size - 1);
  k.memory.write(sb + k.offset('super_block.s_id'), new TextEncoder().encode(id));
  for (const list of ['super_block.s_inodes', 'super_block.s_list', 'super_block.s_mounts']) {
    initList(k, sb + k.offset(list));
  }
  tryModuleGet(k, k.read('file_system_type.owner', type));
  const instances = type + k.offset('file_system_type.fs_supers');
  k.memory.setPtr(sb + k.offset('super_block.s_instances'), k.memory.ptr(instances));
  k.memory.setPtr(instances, sb + k.offset('super_block.s_instances'));
  return sb;
}

/** An instance of a type that is already there, for mount_single and get_tree_single. */
export function existingSuper(k: Linux, type: Address): Address {
  const first = k.memory.ptr(type + k.offset('file_system_type.fs_supers'));
  return first === 0 ? 0 : first - k.offset('super_block.s_instances');
}

export function activate(k: Linux, sb: Address): void {
  k.write('super_block.s_active.counter', sb, k.read('super_block.s_active.counter', sb) + 1);
}

/** deactivate_super: the last active reference shuts the filesystem down through its kill_sb. */
export function* deactivate(k: Linux, sb: Address): Steps<void> {
  const count = k.read('super_block.s_active.counter', sb) - 1;
  k.write('super_block.s_active.counter', sb, count);
  if (count > 0) return;
  const type = k.read('super_block.s_type', sb);
  const kill = k.read('file_system_type.kill_sb', type);
  if (kill !== 0) yield* k.call(kill, sb);
  k.memory.setPtr(type + k.offset('file_system_type.fs_supers'), 0);
  modulePut(k, k.read('file_system_type.owner', type));
  k.heap.free(sb);
}

/** generic_shutdown_super: every entry and inode goes, then put_super. */
export function* shutdownSuper(k: Linux, sb: Address): Steps<void> {
  const root = k.read('super_block.s_root', sb);
  if (root === 0) return;
  k.write('super_block.s_root', sb, 0);
  yield* dropTree(k, root);
  k.write('super_block.s_flags', sb, k.read('super_block.s_flags', sb) & ~SB_ACTIVE);
  yield* dropInodes(k, sb);
  const operations = k.read('super_block.s_op', sb);
  const put = operations === 0 ? 0 : k.read('super_operations.put_super', operations);
  if (put !== 0) yield* k.call(put, sb);
}

function* dropTree(k: Linux, dentry: Address): Steps<void> {
  for (const child of [...children(k, dentry)]) yield* dropTree(k, child);
  const parent = k.read('dentry.d_parent', dentry);
  // The parent goes right after its children: a reference dropped on it here must not free it twice.
  if (parent !== dentry)
    k.write('dentry.d_lockref.count', parent, k.read('dentry.d_lockref.count', parent) + 1);
  yield* killDentry(k, dentry);
}

/** Inodes that no entry holds any more but that somebody kept: evicted, as evict_inodes does. */
function* dropInodes(k: Linux, sb: Address): Steps<void> {
  const head = sb + k.offset('super_block.s_inodes');
  const link = k.offset('inode.i_sb_list');
  for (let at = k.memory.ptr(head); at !== head; at = k.memory.ptr(head)) {
    const inode = at - link;
    k.write('inode.i_count.counter', inode, 1);
    yield* putInode(k, inode);
    if (k.memory.ptr(head) === at) removeInit(k, at);
  }
}

export interface MountRequest {
  readonly source: string;
  readonly target: string;
  readonly type: string;
  readonly flags: number;
  /** Comma-separated, as after -o. */
  readonly options: string;
}

/** What a tree is made from, wherever it will stand. */
type TreeRequest = Pick<MountRequest, 'source' | 'flags' | 'options'>;

/** mount(2) for a new filesystem on a directory of the base kernel's own tree. */
export function* mountFilesystem(k: Linux, request: MountRequest): Steps<number> {
  const spaces = k.state(namespace);
  const place = yield* spaces.walk(k, request.target);
  if (typeof place === 'number') return place;
  if (place.kind !== 'node' || !place.node.isDirectory) {
    yield* leave(k, place);
    return place.kind === 'node' ? -Errno.ENOTDIR : -Errno.EBUSY;
  }
  const type = yield* filesystemType(k, request.type);
  if (type === 0) return -Errno.ENODEV;
  const vfsmount = yield* newMount(k, type, request);
  if (isError(vfsmount)) return vfsmount;
  const [root, superBlock] = [k.read('vfsmount.mnt_root', vfsmount), k.read('vfsmount.mnt_sb', vfsmount)];
  const { source, options } = request;
  spaces.mounts.push({ at: place.node, source, type: request.type, options, superBlock, root, vfsmount });
  return 0;
}

/** vfs_kern_mount: a mount that stands nowhere yet, with one reference; or a negative errno. */
function* newMount(k: Linux, type: Address, request: TreeRequest): Steps<Address> {
  const owner = k.read('file_system_type.owner', type);
  if (!tryModuleGet(k, owner)) return -Errno.ENODEV;
  const root = yield* getTree(k, type, request);
  modulePut(k, owner);
  if (isError(root) || root === 0) return root === 0 ? -Errno.ENOENT : root;
  const sb = k.read('dentry.d_sb', root);
  k.write('super_block.s_flags', sb, k.read('super_block.s_flags', sb) | SB_ACTIVE | SB_BORN);
  const mount = k.heap.allocateZeroed(k.sizeof('mount'));
  const count = k.percpu.allocate(k.sizeof('mnt_pcp'));
  k.write('mount.mnt_pcp', mount, count);
  const vfsmount = mount + k.offset('mount.mnt');
  k.memory.set32(countOf(k, vfsmount), 1);
  k.write('vfsmount.mnt_root', vfsmount, root);
  k.write('vfsmount.mnt_sb', vfsmount, sb);
  return vfsmount;
}

/** A mount for the kernel's own use, as simple_pin_fs and kern_mount make them. */
export function kernelMount(k: Linux, type: Address): Steps<Address> {
  const source = k.readString('file_system_type.name', type);
  return newMount(k, type, { source, flags: SB_KERNMOUNT, options: '' });
}

/** Where the only processor counts the references of a mount; taken and given are two words in later kernels. */
function countOf(k: Linux, vfsmount: Address): Address {
  const pcp = k.read('mount.mnt_pcp', vfsmount - k.offset('mount.mnt'));
  const field = k.types.has('mnt_pcp.mnt_count') ? 'mnt_pcp.mnt_count' : 'mnt_pcp.mnt_gets';
  return k.percpu.addressOf(pcp) + k.offset(field);
}

/** mntget */
export function holdMount(k: Linux, vfsmount: Address): Address {
  if (vfsmount !== 0) {
    const count = countOf(k, vfsmount);
    k.memory.set32(count, k.memory.i32(count) + 1);
  }
  return vfsmount;
}

/** mntput: the last reference takes the mount apart. */
export function* putMount(k: Linux, vfsmount: Address): Steps<void> {
  if (vfsmount === 0) return;
  const count = countOf(k, vfsmount);
  k.memory.set32(count, k.memory.i32(count) - 1);
  if (k.memory.i32(count) !== 0) return;
  const [root, sb] = [k.read('vfsmount.mnt_root', vfsmount), k.read('vfsmount.mnt_sb', vfsmount)];
  freeMount(k, vfsmount);
  yield* putDentry(k, root);
  yield* deactivate(k, sb);
}

function freeMount(k: Linux, vfsmount: Address): void {
  const mount = vfsmount - k.offset('mount.mnt');
  k.percpu.free(k.read('mount.mnt_pcp', mount));
  k.heap.free(mount);
}

/** get_fs_type: one that is not registered is asked for by the alias that filesystem modules have. */
function* filesystemType(k: Linux, name: string): Steps<Address> {
  const types = k.state(filesystemTypes);
  const known = types.find(k, name);
  if (known !== 0) return known;
  if ((yield* k.state(moduleRequest).load(k, `fs-${name}`, true)) !== 0) return 0;
  return types.find(k, name);
}

/** The root entry of a new tree, through fs_context or through the older ->mount. */
function* getTree(k: Linux, type: Address, request: TreeRequest): Steps<Address> {
  const init = k.read('file_system_type.init_fs_context', type);
  if (init !== 0) return yield* contextTree(k, type, init, request);
  const mount = k.read('file_system_type.mount', type);
  if (mount === 0) return -Errno.EINVAL;
  const name = yield* kernelString(k, request.source);
  const options = request.options === '' ? 0 : yield* kernelString(k, request.options);
  const root = yield* k.call(mount, type, request.flags, name, options);
  k.heap.free(name);
  if (options !== 0) k.heap.free(options);
  return root;
}

function* kernelString(k: Linux, text: string): Steps<Address> {
  const bytes = new TextEncoder().encode(text + '\0');
  const at = k.heap.allocate(Math.max(bytes.length, 8));
  k.memory.write(at, bytes);
  return at;
}

function* contextTree(k: Linux, type: Address, init: Address, request: TreeRequest): Steps<Address> {
  const context = k.heap.allocateZeroed(k.sizeof('fs_context'));
  k.write('fs_context.fs_type', context, type);
  k.write('fs_context.purpose', context, FOR_MOUNT);
  k.write('fs_context.sb_flags', context, request.flags);
  k.write('fs_context.sb_flags_mask', context, 0);
  k.write('fs_context.cred', context, k.read('task_struct.cred', k.current));
  const source = yield* kernelString(k, request.source);
  k.write('fs_context.source', context, source);
  let result = yield* k.callInt(init, context);
  const operations = k.read('fs_context.ops', context);
  const member = (name: string) =>
    operations === 0 ? 0 : k.read(`fs_context_operations.${name}`, operations);
  if (result === 0) result = yield* passOptions(k, context, member('parse_param'), request.options);
  if (result === 0) result = yield* k.callInt(member('get_tree'), context);
  const root = result === 0 ? k.read('fs_context.root', context) : result;
  const free = member('free');
  if (free !== 0) yield* k.call(free, context);
  k.heap.free(source);
  k.heap.free(context);
  return root;
}

/** fs_parameter types (enum fs_value_type). */
const VALUE_IS_FLAG = 1;
const VALUE_IS_STRING = 2;

/** Hands `a=b,c` to ->parse_param one by one; without that method any option is refused (vfs_parse_fs_param). */
function* passOptions(k: Linux, context: Address, parse: Address, options: string): Steps<number> {
  for (const option of options.split(',')) {
    if (option === '') continue;
    if (parse === 0) return -Errno.EINVAL;
    const [key, ...rest] = option.split('=');
    const value = rest.length > 0 ? rest.join('=') : undefined;
    const parameter = k.heap.allocateZeroed(k.sizeof('fs_parameter'));
    const keyAt = yield* kernelString(k, key);
    const valueAt = value === undefined ? 0 : yield* kernelString(k, value);
    k.write('fs_parameter.key', parameter, keyAt);
    k.write('fs_parameter.type', parameter, value === undefined ? VALUE_IS_FLAG : VALUE_IS_STRING);
    k.write('fs_parameter.string', parameter, valueAt);
    k.write('fs_parameter.size', parameter, value?.length ?? 0);
    const result = yield* k.callInt(parse, context, parameter);
    k.heap.free(keyAt);
    if (k.read('fs_parameter.string', parameter) !== 0) k.heap.free(valueAt);
    k.heap.free(parameter);
    if (result < 0) {
      if (result === -Errno.EINVAL) k.printk(3, `${request(k, context)}: Unknown parameter '${key}'`);
      return result;
    }
  }
  return 0;
}

function request(k: Linux, context: Address): string {
  return k.readString('file_system_type.name', k.read('fs_context.fs_type', context));
}

/** umount(2): EINVAL where nothing is mounted, EBUSY while files are open. */
export function* unmountFilesystem(k: Linux, target: string): Steps<number> {
  const spaces = k.state(namespace);
  const place = yield* spaces.walk(k, target);
  if (typeof place === 'number') return place;
  if (place.kind === 'node') return -Errno.EINVAL;
  yield* leave(k, place);
  const { mount } = place;
  if (place.dentry !== mount.root) return -Errno.EINVAL;
  if (isBusy(k, mount)) return -Errno.EBUSY;
  spaces.mounts.splice(spaces.mounts.indexOf(mount), 1);
  freeMount(k, mount.vfsmount);
  yield* deactivate(k, mount.superBlock);
  return 0;
}

function isBusy(k: Linux, mount: Mount): boolean {
  for (const open of k.state(openFiles).values()) {
    if (open.dentry !== 0 && k.read('dentry.d_sb', open.dentry) === mount.superBlock) return true;
  }
  return false;
}
