/** vfssw and the operations of file systems: what a module registers, and mounting and reading through it. */
import { perKernel } from '../../kernel/kernel.ts';
import type { Steps } from '../../kernel/steps.ts';
import type { Address } from '../../memory/space.ts';
import { Errno } from './errno.ts';
import type { Solaris } from './solaris.ts';
import { autoload } from './syscalls.ts';
import { makeUio, SEG } from './uio.ts';
import { isUser, userSpace } from './user.ts';

/** Places in vfssw; 0 is never used. */
export const FS_SLOTS = 48;
const VSW_INSTALLED = 0x8000;
/** Names that are there from the start. */
const BUILT_IN = ['BADVFS', 'specfs'];

const switchTable = perKernel<Address, Solaris>((k) => {
  const at = k.data.take(FS_SLOTS * k.sizeof('vfssw'));
  for (const [i, name] of BUILT_IN.entries())
    k.write('vfssw.vsw_name', at + i * k.sizeof('vfssw'), k.heap.takeString(name));
  return at;
});

export interface FsSlot {
  readonly index: number;
  readonly at: Address;
}

export const fsSlot = (k: Solaris, index: number): Address =>
  k.state(switchTable) + index * k.sizeof('vfssw');

export function findFsType(k: Solaris, name: string): FsSlot | undefined {
  for (let index = 1; index < FS_SLOTS; index++) {
    const at = fsSlot(k, index);
    if (k.read('vfssw.vsw_name', at) !== 0 && k.readString('vfssw.vsw_name', at) === name)
      return { index, at };
  }
  return undefined;
}

/** Takes a free place for the name; undefined when there is none. */
export function freeFsSlot(k: Solaris, name: string): FsSlot | undefined {
  for (let index = 1; index < FS_SLOTS; index++) {
    const at = fsSlot(k, index);
    if (k.read('vfssw.vsw_name', at) !== 0) continue;
    k.write('vfssw.vsw_name', at, k.heap.takeString(name));
    return { index, at };
  }
  return undefined;
}

/** Calls the init routine of a vfsdef; the place is given back when it fails. */
export function* initialiseFs(k: Solaris, { index, at }: FsSlot, definition: Address): Steps<number> {
  k.write('vfssw.vsw_flag', at, k.read('vfsdef.flags', definition));
  k.write('vfssw.vsw_count', at, 1);
  const name = k.read('vfssw.vsw_name', at);
  const status = yield* k.callInt(k.read('vfsdef.init', definition), index, name);
  if (status === 0) {
    k.write('vfssw.vsw_flag', at, k.read('vfssw.vsw_flag', at) | VSW_INSTALLED);
    return 0;
  }
  k.heap.free(name);
  k.memory.fill(at, k.sizeof('vfssw'), 0);
  return status;
}

/** Operations by name, in the order of the kernel's tables (sys/vfs.h, sys/vnode.h). */
export const VFS_OPERATIONS = [
  ...['mount', 'unmount', 'root', 'statvfs', 'sync', 'vget', 'mountroot', 'freevfs', 'vnstate'],
] as const;
export const VNODE_OPERATIONS = [
  ...['open', 'close', 'read', 'write', 'ioctl', 'setfl', 'getattr', 'setattr', 'access', 'lookup', 'create'],
  ...[
    'remove',
    'link',
    'rename',
    'mkdir',
    'rmdir',
    'readdir',
    'symlink',
    'readlink',
    'fsync',
    'inactive',
    'fid',
  ],
  ...[
    'rwlock',
    'rwunlock',
    'seek',
    'cmp',
    'frlock',
    'space',
    'realvp',
    'getpage',
    'putpage',
    'map',
    'addmap',
  ],
  ...[
    'delmap',
    'poll',
    'dump',
    'pathconf',
    'pageio',
    'dumpctl',
    'dispose',
    'getsecattr',
    'setsecattr',
    'shrlock',
  ],
  ...['vnevent', 'reqzcbuf', 'retzcbuf'],
] as const;

/** Fills a table of operations from a template that ends in a null name; undefined when it names one that is unknown. */
export function fillOperations(k: Solaris, template: Address, names: readonly string[]): Address | undefined {
  const table = k.heap.take(names.length * k.word);
  for (let at = template; k.memory.ptr(at) !== 0; at += k.sizeof('fs_operation_def')) {
    const index = names.indexOf(k.memory.cstring(k.memory.ptr(at)));
    if (index < 0 || at - template > 128 * k.sizeof('fs_operation_def')) {
      k.heap.free(table);
      return undefined;
    }
    k.memory.setPtr(table + index * k.word, k.memory.ptr(at + k.word));
  }
  return table;
}

const vfsOperation = (k: Solaris, vfs: Address, name: (typeof VFS_OPERATIONS)[number]): Address => {
  const ops = k.read('vfs.vfs_op', vfs);
  return ops === 0 ? 0 : k.memory.ptr(ops + VFS_OPERATIONS.indexOf(name) * k.word);
};

const vnodeOperation = (k: Solaris, vnode: Address, name: string): Address => {
  const ops = k.read('vnode.v_op', vnode);
  const index = (VNODE_OPERATIONS as readonly string[]).indexOf(name);
  return ops === 0 ? 0 : k.memory.ptr(ops + index * k.word);
};

/** Calls a vnode operation; ENOSYS when the file system has none. */
export function* vop(k: Solaris, vnode: Address, name: string, ...args: (number | bigint)[]): Steps<number> {
  const at = vnodeOperation(k, vnode, name);
  return at === 0 ? Errno.ENOSYS : yield* k.callInt(at, ...args);
}

/** vn_rele: the last one makes the vnode inactive. */
export function* releaseVnode(k: Solaris, vnode: Address): Steps<void> {
  const count = k.read('vnode.v_count', vnode);
  if (count > 1) {
    k.write('vnode.v_count', vnode, count - 1);
    return;
  }
  const at = vnodeOperation(k, vnode, 'inactive');
  if (at !== 0) yield* k.call(at, vnode, k.threads.currentCredential, 0);
}

interface Mount {
  readonly vfs: Address;
  readonly slot: FsSlot;
  readonly directory: string;
  readonly special: string;
  readonly covered: Address;
}

const mounts = perKernel(() => [] as Mount[]);

export const mountTable = (k: Solaris): readonly { directory: string; special: string; type: string }[] =>
  k.state(mounts).map(({ directory, special, slot }) => ({
    directory,
    special,
    type: k.readString('vfssw.vsw_name', slot.at),
  }));

/** VDIR, VROOT */
const VDIR = 2;

/** mount(2) with MS_DATA: gives an errno. The module of the type is loaded when nobody has registered it. */
export function* mount(k: Solaris, type: string, special: string, directory: string): Steps<number> {
  let slot = findFsType(k, type);
  if (slot === undefined && (yield* autoload(k, `fs/${type}`))) slot = findFsType(k, type);
  if (slot === undefined || k.read('vfssw.vsw_vfsops', slot.at) === 0) return Errno.EINVAL;
  if (k.state(mounts).some((one) => one.directory === directory)) return Errno.EBUSY;
  const vfs = k.heap.take(k.sizeof('vfs'));
  const covered = k.heap.take(k.sizeof('vnode'));
  k.write('vnode.v_type', covered, VDIR);
  k.write('vnode.v_count', covered, 1);
  k.write('vfs.vfs_op', vfs, k.read('vfssw.vsw_vfsops', slot.at));
  k.write('vfs.vfs_vnodecovered', vfs, covered);
  k.write('vfs.vfs_fstype', vfs, slot.index);
  k.write('vfs.vfs_count', vfs, 1);
  const status = yield* callMount(k, vfs, covered, { type, special, directory });
  if (status !== 0) {
    k.heap.free(vfs);
    k.heap.free(covered);
    return status;
  }
  k.write('vfssw.vsw_count', slot.at, k.read('vfssw.vsw_count', slot.at) + 1);
  k.state(mounts).push({ vfs, slot, directory, special, covered });
  return 0;
}

function* callMount(
  k: Solaris,
  vfs: Address,
  covered: Address,
  { type, special, directory }: { type: string; special: string; directory: string },
): Steps<number> {
  const user = k.state(userSpace);
  const mark = user.mark();
  const arguments_ = k.heap.take(k.sizeof('mounta'));
  for (const [field, text] of [
    ['spec', special],
    ['dir', directory],
    ['fstype', type],
  ] as const)
    k.write(`mounta.${field}`, arguments_, user.putString(text));
  const at = vfsOperation(k, vfs, 'mount');
  const status =
    at === 0 ? Errno.ENOSYS : yield* k.callInt(at, vfs, covered, arguments_, k.threads.currentCredential);
  k.heap.free(arguments_);
  user.release(mark);
  return status;
}

/** umount(2): gives an errno. */
export function* unmount(k: Solaris, directory: string): Steps<number> {
  const all = k.state(mounts);
  const index = all.findIndex((one) => one.directory === directory);
  if (index < 0) return Errno.EINVAL;
  const { vfs, slot, covered } = all[index];
  const at = vfsOperation(k, vfs, 'unmount');
  const status = at === 0 ? Errno.ENOSYS : yield* k.callInt(at, vfs, 0, k.threads.currentCredential);
  if (status !== 0) return status;
  all.splice(index, 1);
  k.write('vfssw.vsw_count', slot.at, k.read('vfssw.vsw_count', slot.at) - 1);
  const free = vfsOperation(k, vfs, 'freevfs');
  if (free !== 0) yield* k.call(free, vfs);
  k.heap.free(vfs);
  k.heap.free(covered);
  return 0;
}

export type Found = { readonly vnode: Address } | { readonly errno: number };

/** The mount that a path lies in, and what follows its directory. */
export function mountOf(k: Solaris, path: string): { vfs: Address; rest: string[] } | undefined {
  const fits = k
    .state(mounts)
    .filter(({ directory }) => path === directory || path.startsWith(`${directory.replace(/\/$/, '')}/`))
    .sort((a, b) => b.directory.length - a.directory.length);
  const [best] = fits;
  if (best === undefined) return undefined;
  const rest = path
    .slice(best.directory.length)
    .split('/')
    .filter((word) => word !== '');
  return { vfs: best.vfs, rest };
}

/** Looks a path of a mounted file system up; the vnode is held. */
export function* lookUpPath(k: Solaris, vfs: Address, rest: readonly string[]): Steps<Found> {
  const out = k.heap.take(k.word);
  try {
    const root = vfsOperation(k, vfs, 'root');
    const status = root === 0 ? Errno.ENOSYS : yield* k.callInt(root, vfs, out);
    if (status !== 0) return { errno: status };
    let vnode = k.memory.ptr(out);
    for (const name of rest) {
      if (k.read('vnode.v_type', vnode) !== VDIR) {
        yield* releaseVnode(k, vnode);
        return { errno: Errno.ENOTDIR };
      }
      const at = k.heap.takeString(name);
      const credential = k.threads.currentCredential;
      const failed = yield* vop(k, vnode, 'lookup', vnode, at, out, 0, 0, 0, credential, 0, 0, 0);
      k.heap.free(at);
      yield* releaseVnode(k, vnode);
      if (failed !== 0) return { errno: failed };
      vnode = k.memory.ptr(out);
    }
    return { vnode };
  } finally {
    k.heap.free(out);
  }
}

/** FREAD */
const FREAD = 1;
const MAX_FILE = 1 << 20;
const CHUNK = 8192;

export type Contents = { readonly bytes: Uint8Array } | { readonly errno: number };

/** open, read to the end, close. */
export function* readWhole(k: Solaris, path: string): Steps<Contents> {
  const at = mountOf(k, path);
  if (at === undefined) return { errno: Errno.ENOENT };
  const found = yield* lookUpPath(k, at.vfs, at.rest);
  if ('errno' in found) return found;
  const { vnode } = found;
  const credential = k.threads.currentCredential;
  const holder = k.heap.take(k.word);
  k.memory.setPtr(holder, vnode);
  const opened = yield* vop(k, vnode, 'open', holder, FREAD, credential, 0);
  k.heap.free(holder);
  if (opened !== 0 && opened !== Errno.ENOSYS) {
    yield* releaseVnode(k, vnode);
    return { errno: opened };
  }
  const result = yield* readParts(k, vnode, credential);
  yield* vop(k, vnode, 'close', vnode, FREAD, 1, 0n, credential, 0);
  yield* releaseVnode(k, vnode);
  return result;
}

function* readParts(k: Solaris, vnode: Address, credential: Address): Steps<Contents> {
  const user = k.state(userSpace);
  const parts: number[] = [];
  for (let offset = 0; offset < MAX_FILE; ) {
    const mark = user.mark();
    const buffer = user.allocate(CHUNK);
    const uio = makeUio(k, buffer, CHUNK, offset, { segment: SEG.USER, fmode: FREAD });
    const status = yield* vop(k, vnode, 'read', vnode, uio.address, 0, credential, 0);
    const count = CHUNK - uio.left();
    if (status === 0 && count > 0 && isUser(k, buffer, count)) parts.push(...k.memory.bytes(buffer, count));
    uio.free();
    user.release(mark);
    if (status !== 0) return { errno: status };
    if (!(count > 0)) break;
    offset += count;
  }
  return { bytes: Uint8Array.from(parts) };
}

export type Names = { readonly names: string[] } | { readonly errno: number };

/** getdents(2) until the end of a directory. */
export function* readNames(k: Solaris, path: string): Steps<Names> {
  const at = mountOf(k, path);
  if (at === undefined) return { errno: Errno.ENOENT };
  const found = yield* lookUpPath(k, at.vfs, at.rest);
  if ('errno' in found) return found;
  const { vnode } = found;
  if (k.read('vnode.v_type', vnode) !== VDIR) {
    yield* releaseVnode(k, vnode);
    return { names: [path.slice(path.lastIndexOf('/') + 1)] };
  }
  const names: string[] = [];
  const user = k.state(userSpace);
  const eof = k.heap.take(4);
  let errno = 0;
  for (let offset = 0, rounds = 0; errno === 0 && rounds < 1000 && k.memory.u32(eof) === 0; rounds++) {
    const mark = user.mark();
    const buffer = user.allocate(CHUNK);
    const uio = makeUio(k, buffer, CHUNK, offset, { segment: SEG.USER, fmode: FREAD });
    errno = yield* vop(k, vnode, 'readdir', vnode, uio.address, k.threads.currentCredential, eof, 0, 0);
    const count = CHUNK - uio.left();
    if (errno === 0) names.push(...entriesIn(k.memory.bytes(buffer, Math.max(0, Math.min(CHUNK, count)))));
    offset = uio.offset();
    uio.free();
    user.release(mark);
    if (!(count > 0)) break;
  }
  k.heap.free(eof);
  yield* releaseVnode(k, vnode);
  return errno === 0 ? { names } : { errno };
}

/** struct dirent64: inode, offset, length, name. */
const DIRENT_NAME = 18;

function entriesIn(bytes: Uint8Array): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const names: string[] = [];
  for (let at = 0; at + DIRENT_NAME < bytes.length; ) {
    const length = view.getUint16(at + 16, true);
    if (length < DIRENT_NAME || at + length > bytes.length) break;
    const name = bytes.subarray(at + DIRENT_NAME, at + length);
    const end = name.indexOf(0);
    names.push(new TextDecoder().decode(end < 0 ? name : name.subarray(0, end)));
    at += length;
  }
  return names;
}
