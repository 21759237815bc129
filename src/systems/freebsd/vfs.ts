/**
 * Filesystems of modules: mount, look up, list, read, unmount, through their own vfsops and vop_vector (sys/mount.h,
 * sys/vnode.h, sys/kern/vnode_if.src). The layouts used are those of releases 10 and 11; others are refused.
 */
import { perKernel } from '../../kernel/kernel.ts';
import type { Steps } from '../../kernel/steps.ts';
import type { Address } from '../../memory/space.ts';
import { Errno, KernelErrno } from './errno.ts';
import type { FreeBsd } from './freebsd.ts';
import { registered } from './functions/registrations.ts';
import { userSpace } from './user.ts';
import { majorOf } from './version.ts';

export interface Mount {
  readonly address: Address;
  readonly conf: Address;
  readonly type: string;
  readonly from: string;
  readonly path: string;
}

/** A vnode in guest memory: tag, operations, data, mount are its first words. */
export interface Vnode {
  readonly address: Address;
  readonly mount: Address;
  uses: number;
}

export const mounts = perKernel(() => new Map<string, Mount>());
export const vnodes = perKernel(() => new Map<Address, Vnode>());

/** Larger than struct mount and struct vnode of these releases. */
const MOUNT_BYTES = 4096;
/** Places in struct vfsops and struct vop_vector, in words. */
const VFS = { mount: 0, unmount: 2, root: 3 } as const;
const VOP = { lookup: 3, read: 15, readdir: 28, reclaim: 31 } as const;
const LK_EXCLUSIVE = 0x080000;
const MAX_DEPTH = 8;

function* filesystemCall(
  k: FreeBsd,
  { conf }: { conf: Address },
  index: number,
  args: number[],
): Steps<number> {
  const fn = k.memory.ptr(k.read('vfsconf.vfc_vfsops', conf) + index * k.word);
  return fn === 0 ? 0 : yield* k.callInt(fn, ...args);
}

/** Calls a vnode operation: the filesystem's own, or that of the vector it names as its default. */
export function* vnodeCall(
  k: FreeBsd,
  vnode: Address,
  index: number,
  args: number[],
  absent: number,
): Steps<number> {
  let vector = k.memory.ptr(vnode + k.word);
  for (let depth = 0; vector !== 0 && depth < MAX_DEPTH; depth++) {
    const fn = k.memory.ptr(vector + index * k.word);
    if (fn !== 0) {
      const block = k.heap.allocate((args.length + 1) * k.word);
      for (const [i, value] of args.entries()) k.memory.setPtr(block + (i + 1) * k.word, value);
      const error = yield* k.callInt(fn, block);
      k.heap.free(block);
      return error;
    }
    vector = k.memory.ptr(vector);
  }
  return absent;
}

export function* mountFilesystem(k: FreeBsd, type: string, from: string, path: string): Steps<void> {
  const major = majorOf(k.version);
  if (major < 10 || major > 11) {
    const why = `The layouts of vnodes and mounts of FreeBSD ${major} are not known here; those of 10 and 11 are.`;
    throw new KernelErrno(Errno.EOPNOTSUPP, why);
  }
  const conf = [...k.state(registered)].find(
    ([, one]) => one.what === 'filesystem' && one.name === type,
  )?.[0];
  if (conf === undefined)
    throw new KernelErrno(Errno.ENODEV, `No filesystem ${type} is there.`, `Load it: kldload ${type}`);
  if (k.state(mounts).has(path))
    throw new KernelErrno(Errno.EBUSY, `Something is mounted on ${path} already.`);
  const address = k.heap.allocate(MOUNT_BYTES);
  const mount = { address, conf, type, from, path };
  const error = yield* filesystemCall(k, mount, VFS.mount, [address]);
  if (error !== 0) {
    k.heap.free(address);
    throw new KernelErrno(error, `The mount operation of ${type} returned ${error}.`);
  }
  k.write('vfsconf.vfc_refcount', conf, k.read('vfsconf.vfc_refcount', conf) + 1);
  k.state(mounts).set(path, mount);
}

export function* unmountFilesystem(k: FreeBsd, path: string): Steps<void> {
  const mount = k.state(mounts).get(path);
  if (mount === undefined) throw new KernelErrno(Errno.EINVAL, `Nothing is mounted on ${path}.`);
  const error = yield* filesystemCall(k, mount, VFS.unmount, [mount.address, 0]);
  if (error !== 0) throw new KernelErrno(error, `The unmount operation of ${mount.type} returned ${error}.`);
  k.state(mounts).delete(path);
  k.write('vfsconf.vfc_refcount', mount.conf, k.read('vfsconf.vfc_refcount', mount.conf) - 1);
  k.heap.free(mount.address);
}

/** The mounted filesystem that a path lies in, and the rest of the path. */
export function mountOf(k: FreeBsd, path: string): { mount: Mount; rest: string[] } | undefined {
  const inside = [...k.state(mounts).values()].filter(
    (one) => path === one.path || path.startsWith(`${one.path}/`),
  );
  const mount = inside.sort((a, b) => b.path.length - a.path.length)[0];
  if (mount === undefined) return undefined;
  return {
    mount,
    rest: path
      .slice(mount.path.length)
      .split('/')
      .filter((part) => part !== ''),
  };
}

/** Finds a path's vnode and does something with it; every vnode on the way is let go of afterwards. */
function* withVnode<T>(k: FreeBsd, path: string, use: (vnode: Address) => Steps<T>): Steps<T> {
  const found = mountOf(k, path);
  if (found === undefined) throw new KernelErrno(Errno.ENOENT);
  const result = k.heap.allocate(k.word);
  const held: Address[] = [];
  try {
    let error = yield* filesystemCall(k, found.mount, VFS.root, [found.mount.address, LK_EXCLUSIVE, result]);
    for (const name of found.rest) {
      if (error !== 0) break;
      held.push(k.memory.ptr(result));
      error = yield* lookUp(k, k.memory.ptr(result), name, result);
    }
    if (error !== 0) throw new KernelErrno(error);
    held.push(k.memory.ptr(result));
    return yield* use(k.memory.ptr(result));
  } finally {
    k.heap.free(result);
    for (const vnode of held.reverse()) yield* releaseVnode(k, vnode);
  }
}

/** struct componentname: operation, flags, thread, credentials, lock flags, buffer, name, length. */
function* lookUp(k: FreeBsd, directory: Address, name: string, result: Address): Steps<number> {
  const component = k.heap.allocate(8 * k.word + 16);
  const text = k.heap.string(name);
  k.memory.setPtr(component + 2 * k.word, k.curthread);
  k.memory.setPtr(component + 5 * k.word, text);
  k.memory.setPtr(component + 6 * k.word, text);
  k.memory.setPtr(component + 7 * k.word, name.length);
  const error = yield* vnodeCall(k, directory, VOP.lookup, [directory, result, component], Errno.ENOTDIR);
  k.heap.free(text);
  k.heap.free(component);
  return error;
}

/** vrele: with the last use the vnode is reclaimed. */
export function* releaseVnode(k: FreeBsd, address: Address): Steps<void> {
  const vnode = k.state(vnodes).get(address);
  if (vnode === undefined) return;
  vnode.uses--;
  if (vnode.uses > 0) return;
  yield* vnodeCall(k, address, VOP.reclaim, [address], 0);
  k.state(vnodes).delete(address);
  k.heap.free(address);
}

const PIECE = 4096;
const MOST = 1 << 20;

/** Reads with vop_read or vop_readdir until nothing more comes. */
function* readAll(k: FreeBsd, vnode: Address, index: number): Steps<number[]> {
  const space = k.state(userSpace);
  const mark = space.mark();
  const at = space.allocate(PIECE);
  const [uio, vector] = [k.heap.allocate(k.sizeof('uio')), k.heap.allocate(k.sizeof('iovec'))];
  const bytes: number[] = [];
  let error = 0;
  while (error === 0 && bytes.length < MOST) {
    k.write('iovec.iov_base', vector, at);
    k.write('iovec.iov_len', vector, PIECE);
    k.write('uio.uio_iov', uio, vector);
    k.write('uio.uio_iovcnt', uio, 1);
    k.memory.setI64(uio + k.offset('uio.uio_offset'), bytes.length);
    k.write('uio.uio_resid', uio, PIECE);
    error = yield* vnodeCall(k, vnode, index, [vnode, uio, 0, 0, 0, 0], Errno.EOPNOTSUPP);
    const moved = PIECE - k.read('uio.uio_resid', uio);
    if (moved <= 0) break;
    bytes.push(...k.memory.bytes(at, moved));
  }
  k.heap.free(uio);
  k.heap.free(vector);
  space.release(mark);
  if (error !== 0 && bytes.length === 0) throw new KernelErrno(error);
  return bytes;
}

export function* readFile(k: FreeBsd, path: string): Steps<Uint8Array> {
  return Uint8Array.from(yield* withVnode(k, path, (vnode) => readAll(k, vnode, VOP.read)));
}

/** Names in a directory: struct dirent of releases up to 11 has the length of the record at 4, of the name at 7, then it. */
export function* listFolder(k: FreeBsd, path: string): Steps<string[]> {
  const bytes = yield* withVnode(k, path, (vnode) => readAll(k, vnode, VOP.readdir));
  const names: string[] = [];
  for (let at = 0; at + 8 <= bytes.length; ) {
    const length = bytes[at + 4] | (bytes[at + 5] << 8);
    if (length < 8) break;
    names.push(String.fromCharCode(...bytes.slice(at + 8, at + 8 + bytes[at + 7])));
    at += length;
  }
  return names;
}
