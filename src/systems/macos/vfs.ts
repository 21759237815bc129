/**
 * Mounted file systems: vfsops and vectors of operations of kexts are called as mount(2), open(2), read(2), getdirentries(2)
 * and unmount(2) do it (bsd/vfs/vfs_syscalls.c, vfs_lookup.c, vfs_subr.c). struct mount and struct vnode are opaque to kexts.
 */
import { perKernel } from '../../kernel/kernel.ts';
import type { Steps } from '../../kernel/steps.ts';
import { writeGuestText } from '../../kernel/text/printf.ts';
import type { Address } from '../../memory/space.ts';
import { ERRNO } from './errno.ts';
import {
  authorizeVnode,
  FILE_OPERATION,
  MODIFIED,
  tellFileOperation,
  VNODE_ACTION,
} from './functions/bsd/security.ts';
import { fileSystemNamed, operationAt } from './functions/bsd/vfs.ts';
import { withUio } from './functions/uio.ts';
import type { Macos } from './macos.ts';
import { userBuffers } from './user.ts';

/** bsd/sys/vnode.h, enum vtype, and bits of our struct vnode. */
export const VTYPE = { REG: 1, DIR: 2, LNK: 5 } as const;
export const VNODE = { ROOT: 1, RECYCLE: 2 } as const;
/** bsd/sys/mount.h */
export const MNT = { RDONLY: 1, FORCE: 0x80000 } as const;
const ISLASTCN = 0x8000;
const FREAD = 1;
const FWRITE = 2;
/** Attributes that ls asks for, as bits of va_active. */
const ATTRIBUTES = { nlink: 1, data_size: 4, uid: 7, gid: 8, mode: 9 } as const;
const MAX_PATH = 1023;
const MAX_READ = 1 << 20;
const CHUNK = 4096;

class Mounts {
  /** struct mount by the path that it covers. */
  readonly all = new Map<string, Address>();
  readonly vnodes = new Set<Address>();
  ids = 0;
}

export const mounts = perKernel<Mounts, Macos>(() => new Mounts());
const context = (k: Macos): Address => k.object('_lkm_vfs_context');

export interface MountFacts {
  readonly from: string;
  readonly on: string;
  readonly type: string;
  readonly readOnly: boolean;
}

export function mountFacts(k: Macos, mount: Address): MountFacts {
  const stat = mount + k.offset('mount.mnt_vfsstat');
  const text = (field: string): string =>
    k.memory.cstring(stat + k.offset(`vfsstatfs.${field}`), MAX_PATH + 1);
  return {
    from: text('f_mntfromname'),
    on: text('f_mntonname'),
    type: text('f_fstypename'),
    readOnly: (k.read('mount.mnt_flag', mount) & MNT.RDONLY) !== 0,
  };
}

function* vfsCall(k: Macos, mount: Address, name: string, ...args: (number | bigint)[]): Steps<number> {
  const routine = k.read(`vfsops.vfs_${name}`, k.read('mount.mnt_op', mount));
  return routine === 0 ? ERRNO.ENOTSUP : yield* k.callInt(routine, mount, ...args);
}

/** mount(2): 0, or an error. */
export function* mountFileSystem(
  k: Macos,
  { type, from, on, flags }: { type: string; from: string; on: string; flags: number },
): Steps<number> {
  if (k.process.uid !== 0) return ERRNO.EPERM;
  const one = fileSystemNamed(k, type);
  if (one === undefined) return ERRNO.ENODEV;
  const state = k.state(mounts);
  if (state.all.has(on)) return ERRNO.EBUSY;
  if (from.length > MAX_PATH || on.length > MAX_PATH) return ERRNO.ENAMETOOLONG;
  const mount = k.heap.allocate(k.sizeof('struct mount'), 'mount');
  k.write('mount.mnt_op', mount, one.system.operations);
  k.write('mount.mnt_vtable', mount, one.handle);
  k.write('mount.mnt_flag', mount, flags);
  const stat = mount + k.offset('mount.mnt_vfsstat');
  k.write('vfsstatfs.f_owner', stat, k.process.uid);
  writeGuestText(k, stat + k.offset('vfsstatfs.f_fstypename'), type);
  writeGuestText(k, stat + k.offset('vfsstatfs.f_mntonname'), on);
  writeGuestText(k, stat + k.offset('vfsstatfs.f_mntfromname'), from);
  // No device, and no arguments of the file system's own: user_addr_t is 64 bits wide on either machine.
  const error = yield* vfsCall(k, mount, 'mount', 0, 0n, context(k));
  if (error !== 0) {
    k.heap.free(mount);
    return error;
  }
  one.system.mounted++;
  state.all.set(on, mount);
  yield* vfsCall(k, mount, 'start', 0, context(k));
  return 0;
}

/** unmount(2): everything that is still cached is given up first. */
export function* unmountFileSystem(k: Macos, on: string, flags: number): Steps<number> {
  if (k.process.uid !== 0) return ERRNO.EPERM;
  const state = k.state(mounts);
  const mount = state.all.get(on);
  if (mount === undefined) return ERRNO.EINVAL;
  const force = (flags & MNT.FORCE) !== 0;
  const busy = yield* flush(k, mount, { keep: (vnode) => isRoot(k, vnode), force });
  if (busy !== 0) return busy;
  const error = yield* vfsCall(k, mount, 'unmount', flags, context(k));
  if (error !== 0) return error;
  yield* flush(k, mount, { keep: () => false, force: true });
  state.all.delete(on);
  const one = fileSystemNamed(k, mountFacts(k, mount).type);
  if (one !== undefined) one.system.mounted--;
  k.heap.free(mount);
  return 0;
}

// -- vnodes -------------------------------------------------------------------------------------------------------

/** One operation of a vnode: its arguments follow the description, a word each (struct vnop_..._args). */
function* operate(k: Macos, vnode: Address, name: string, ...args: readonly Address[]): Steps<number> {
  const { index, description } = operationAt(k, name);
  const routine = k.memory.ptr(k.read('vnode.v_op', vnode) + index * k.word);
  const block = k.heap.allocate((args.length + 2) * k.word, 'vnop');
  for (const [i, value] of [description, ...args, context(k)].entries())
    k.memory.setPtr(block + i * k.word, value);
  const error = yield* k.callInt(routine, block);
  k.heap.free(block);
  return error;
}

/** Gives up a vnode: the file system takes its own data away (vclean). */
export function* reclaim(k: Macos, vnode: Address): Steps<void> {
  if (!k.state(mounts).vnodes.delete(vnode)) return;
  yield* operate(k, vnode, 'inactive', vnode);
  yield* operate(k, vnode, 'reclaim', vnode);
  k.heap.free(vnode);
}

/** Drops a count; a vnode that is to be recycled goes with the last. */
export function* put(
  k: Macos,
  vnode: Address,
  field: 'v_iocount' | 'v_usecount' = 'v_iocount',
): Steps<number> {
  const left = k.read(`vnode.${field}`, vnode) - 1;
  if (left < 0)
    throw k.panic(
      `panic(cpu 0): "vnode_${field === 'v_iocount' ? 'put' : 'rele'}: ${vnode} has no references"`,
    );
  k.write(`vnode.${field}`, vnode, left);
  const free = k.read('vnode.v_iocount', vnode) + k.read('vnode.v_usecount', vnode) === 0;
  if (free && (k.read('vnode.v_flag', vnode) & VNODE.RECYCLE) !== 0) yield* reclaim(k, vnode);
  return 0;
}

const isRoot = (k: Macos, vnode: Address): boolean => (k.read('vnode.v_flag', vnode) & VNODE.ROOT) !== 0;

export interface Flush {
  /** Vnodes that stay. */
  readonly keep: (vnode: Address) => boolean;
  /** Those that are in use, too. */
  readonly force: boolean;
}

/** vflush: gives up the vnodes of a mount; EBUSY when one is in use and nothing is forced. */
export function* flush(k: Macos, mount: Address, { keep, force }: Flush): Steps<number> {
  let busy = 0;
  for (const vnode of [...k.state(mounts).vnodes]) {
    if (k.read('vnode.v_mount', vnode) !== mount || keep(vnode)) continue;
    const used = k.read('vnode.v_iocount', vnode) + k.read('vnode.v_usecount', vnode) > 0;
    if (used && !force) busy = ERRNO.EBUSY;
    else yield* reclaim(k, vnode);
  }
  return busy;
}

/** What was found: an error, or a vnode that the caller puts. */
interface Found {
  readonly error: number;
  readonly vnode: Address;
}

/** The mount that covers a path, and the names below it. */
export function mountOf(k: Macos, path: string): { mount: Address; names: string[] } | undefined {
  for (const [on, mount] of k.state(mounts).all)
    if (path === on || path.startsWith(`${on}/`))
      return {
        mount,
        names: path
          .slice(on.length)
          .split('/')
          .filter((name) => name !== ''),
      };
  return undefined;
}

function* named(k: Macos, mount: Address, names: readonly string[]): Steps<Found> {
  const place = k.heap.allocate(16, 'namei');
  try {
    let error = yield* vfsCall(k, mount, 'root', place, context(k));
    let vnode = error === 0 ? k.memory.ptr(place) : 0;
    for (const [i, name] of names.entries()) {
      if (error !== 0) break;
      k.memory.setPtr(place, 0);
      error =
        k.read('vnode.v_type', vnode) === VTYPE.DIR
          ? yield* lookUp(k, vnode, name, i === names.length - 1, place)
          : ERRNO.ENOTDIR;
      yield* put(k, vnode);
      vnode = error === 0 ? k.memory.ptr(place) : 0;
    }
    return { error, vnode };
  } finally {
    k.heap.free(place);
  }
}

function* lookUp(k: Macos, folder: Address, name: string, last: boolean, place: Address): Steps<number> {
  const bytes = new TextEncoder().encode(name).length;
  if (bytes > 255) return ERRNO.ENAMETOOLONG;
  const component = k.heap.allocate(k.sizeof('struct componentname'), 'namei');
  const text = k.heap.allocate(bytes + 1, 'namei');
  writeGuestText(k, text, name);
  k.write('componentname.cn_flags', component, last ? ISLASTCN : 0);
  for (const field of ['cn_pnbuf', 'cn_nameptr']) k.write(`componentname.${field}`, component, text);
  for (const field of ['cn_pnlen', 'cn_namelen']) k.write(`componentname.${field}`, component, bytes);
  const error = yield* operate(k, folder, 'lookup', folder, place, component);
  k.heap.free(text);
  k.heap.free(component);
  return error;
}

/** Finds a file and does something with it. */
function* using<T>(k: Macos, path: string, use: (vnode: Address) => Steps<T>): Steps<T | number> {
  const found = mountOf(k, path);
  if (found === undefined) return ERRNO.ENOENT;
  const { error, vnode } = yield* named(k, found.mount, found.names);
  if (error !== 0) return error;
  const result = yield* use(vnode);
  yield* put(k, vnode);
  return result;
}

/** One transfer over a buffer of the process. */
function* transfer(
  k: Macos,
  operation: (uio: Address) => Steps<number>,
  bytes: Uint8Array | number,
  offset: number,
): Steps<{ error: number; bytes: Uint8Array; next: number }> {
  const room = typeof bytes === 'number' ? bytes : bytes.length;
  return yield* k.state(userBuffers).with(Math.max(1, room), function* (base) {
    if (typeof bytes !== 'number') k.memory.write(base, bytes);
    let next = offset;
    const uio = { base, bytes: room, offset, write: typeof bytes !== 'number' };
    const { result, moved } = yield* withUio(k, uio, function* (at) {
      const error = yield* operation(at);
      next = k.read('uio.uio_offset', at);
      return error;
    });
    return { error: result, bytes: k.memory.bytes(base, Math.max(0, moved)).slice(), next };
  });
}

/** vn_open and vn_close: listeners may deny the one, and hear of both. */
function* open(k: Macos, vnode: Address, path: string, mode: number): Steps<number> {
  const action = mode === FWRITE ? VNODE_ACTION.WRITE : VNODE_ACTION.READ;
  const denied = yield* authorizeVnode(k, context(k), vnode, action);
  if (denied !== 0) return denied;
  const error = yield* operate(k, vnode, 'open', vnode, mode);
  if (error === 0) yield* told(k, FILE_OPERATION.OPEN, vnode, path, 0);
  return error;
}

function* close(k: Macos, vnode: Address, path: string, mode: number): Steps<void> {
  yield* operate(k, vnode, 'close', vnode, mode);
  yield* told(k, FILE_OPERATION.CLOSE, vnode, path, mode === FWRITE ? MODIFIED : 0);
}

function* told(k: Macos, action: number, vnode: Address, path: string, flags: number): Steps<void> {
  const text = k.heap.allocate(MAX_PATH, 'namei');
  writeGuestText(k, text, path.slice(0, MAX_PATH / 4));
  yield* tellFileOperation(k, action, vnode, text, flags);
  k.heap.free(text);
}

/** The bytes of a file, or an error. */
export function* readFile(k: Macos, path: string): Steps<Uint8Array | number> {
  return yield* using(k, path, function* (vnode): Steps<Uint8Array | number> {
    if (k.read('vnode.v_type', vnode) === VTYPE.DIR) return ERRNO.EISDIR;
    const error = yield* open(k, vnode, path, FREAD);
    if (error !== 0) return error;
    const parts: number[] = [];
    let failed = 0;
    while (parts.length < MAX_READ) {
      const got = yield* transfer(k, (uio) => operate(k, vnode, 'read', vnode, uio, 0), CHUNK, parts.length);
      failed = got.error;
      if (failed !== 0 || got.bytes.length === 0) break;
      parts.push(...got.bytes);
    }
    yield* close(k, vnode, path, FREAD);
    return failed === 0 ? Uint8Array.from(parts) : failed;
  });
}

/** Writes at the start of a file that is there, or behind its end. */
export function* writeMounted(k: Macos, path: string, bytes: Uint8Array, append: boolean): Steps<number> {
  const mount = mountOf(k, path)?.mount ?? 0;
  if (mount !== 0 && mountFacts(k, mount).readOnly) return ERRNO.EROFS;
  return yield* using(k, path, function* (vnode): Steps<number> {
    if (k.read('vnode.v_type', vnode) === VTYPE.DIR) return ERRNO.EISDIR;
    const attributes = append ? yield* attributesOf(k, vnode) : undefined;
    const at = typeof attributes === 'object' ? attributes.size : 0;
    const error = yield* open(k, vnode, path, FWRITE);
    if (error !== 0) return error;
    const done = yield* transfer(k, (uio) => operate(k, vnode, 'write', vnode, uio, 0), bytes, at);
    yield* close(k, vnode, path, FWRITE);
    return done.error;
  });
}

export interface Attributes {
  readonly folder: boolean;
  readonly links: number;
  readonly size: number;
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
}

function* attributesOf(k: Macos, vnode: Address): Steps<Attributes | number> {
  const at = k.heap.allocate(k.sizeof('struct vnode_attr'), 'vnode_attr');
  try {
    const wanted = Object.values(ATTRIBUTES).reduce((mask, bit) => mask | (1 << bit), 0);
    k.write('vnode_attr.va_active', at, wanted);
    const error = yield* operate(k, vnode, 'getattr', vnode, at);
    if (error !== 0) return error;
    const supported = k.read('vnode_attr.va_supported', at);
    const value = (name: keyof typeof ATTRIBUTES, without: number): number =>
      (supported & (1 << ATTRIBUTES[name])) === 0 ? without : k.read(`vnode_attr.va_${name}`, at);
    const folder = k.read('vnode.v_type', vnode) === VTYPE.DIR;
    return {
      folder,
      links: value('nlink', 1),
      size: value('data_size', 0),
      uid: value('uid', 0),
      gid: value('gid', 0),
      mode: value('mode', folder ? 0o755 : 0o644) & 0o7777,
    };
  } finally {
    k.heap.free(at);
  }
}

export function* statFile(k: Macos, path: string): Steps<Attributes | number> {
  return yield* using(k, path, (vnode) => attributesOf(k, vnode));
}

/** Names in a folder, `.` and `..` left out; an error when it is none. */
export function* listFolder(k: Macos, path: string): Steps<string[] | number> {
  return yield* using(k, path, function* (vnode): Steps<string[] | number> {
    if (k.read('vnode.v_type', vnode) !== VTYPE.DIR) return ERRNO.ENOTDIR;
    const ends = k.heap.allocate(16, 'readdir');
    const names: string[] = [];
    let offset = 0;
    let error = 0;
    for (let left = MAX_READ / CHUNK; left > 0; left--) {
      k.memory.set32(ends, 0);
      const got = yield* transfer(
        k,
        (uio) => operate(k, vnode, 'readdir', vnode, uio, 0, ends, ends + 8),
        CHUNK,
        offset,
      );
      error = got.error;
      if (error !== 0 || got.bytes.length === 0) break;
      names.push(...entryNames(got.bytes));
      offset = got.next;
      if (k.memory.i32(ends) !== 0) break;
    }
    k.heap.free(ends);
    return error === 0 ? names.filter((name) => name !== '.' && name !== '..') : error;
  });
}

/** struct dirent with a 32-bit number (bsd/sys/dirent.h): d_ino, d_reclen, d_type, d_namlen, d_name. */
function entryNames(bytes: Uint8Array): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const names: string[] = [];
  for (let at = 0; at + 8 <= bytes.length; ) {
    const length = view.getUint16(at + 4, true);
    if (length < 8 || at + length > bytes.length) break;
    const end = Math.min(at + 8 + bytes[at + 7], at + length);
    if (view.getUint32(at, true) !== 0) names.push(new TextDecoder().decode(bytes.subarray(at + 8, end)));
    at += length;
  }
  return names;
}
