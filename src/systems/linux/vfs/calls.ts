/** File system calls as a process would make them: paths in, counts or negative errnos out. */
import { joinBytes } from '../../../bytes/join.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { blockMethods } from '../block/file.ts';
import { CAPABILITY, type Credential, currentMay, fileCredential } from '../cred.ts';
import { Errno, isError } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { userSpace } from '../user.ts';
import { characterMethods } from './chrdev.ts';
import { dropDentry, entryFor, putDentry } from './dentry.ts';
import * as F from './file.ts';
import { guestMethods, takeOperations } from './guestfile.ts';
import { memoryDevice } from './memdev.ts';
import { leave, namespace, type Place } from './namespace.ts';
import {
  type FileMethods,
  type Node,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFMT,
  S_IFREG,
  Node as TreeNode,
} from './node.ts';
import { listDirectory } from './readdir.ts';
import { temporaryFile } from './tmpfile.ts';

/** What a shell's umask takes away. */
const UMASK = 0o022;

/** Permission bits asked for. */
const MAY_EXEC = 1;
const MAY_WRITE = 2;
const MAY_READ = 4;

/** open(2). Returns the open file or a negative errno. */
export function* open(k: Linux, path: string, flags: number, mode = 0o666): Steps<F.OpenFile | number> {
  let place = yield* k.state(namespace).walk(k, path);
  if (place === -Errno.ENOENT && (flags & F.O_CREAT) !== 0) place = yield* create(k, path, mode);
  else if (typeof place !== 'number' && (flags & (F.O_CREAT | F.O_EXCL)) === (F.O_CREAT | F.O_EXCL)) {
    yield* leave(k, place);
    return -Errno.EEXIST;
  }
  if (typeof place === 'number') return place;
  const refused = mayOpen(k, place, flags);
  if (refused !== 0) {
    yield* leave(k, place);
    return refused;
  }
  if (place.kind === 'node') return yield* F.openNode(k, withDeviceMethods(place.node), flags);
  return yield* openDentry(k, place, flags);
}

function mayOpen(k: Linux, place: Place, flags: number): number {
  const mode = modeOf(k, place);
  const writing = (flags & F.O_ACCMODE) !== 0;
  if ((mode & S_IFMT) === S_IFDIR && writing) return -Errno.EISDIR;
  if ((mode & S_IFMT) !== S_IFDIR && (flags & F.O_DIRECTORY) !== 0) return -Errno.ENOTDIR;
  const access = flags & F.O_ACCMODE;
  const wanted = access === F.O_RDWR ? MAY_READ | MAY_WRITE : access === F.O_WRONLY ? MAY_WRITE : MAY_READ;
  return permitted(k, place, wanted) ? 0 : -Errno.EACCES;
}

function modeOf(k: Linux, place: Place): number {
  if (place.kind === 'node') return place.node.mode;
  return k.read('inode.i_mode', k.read('dentry.d_inode', place.dentry));
}

function ownerOf(k: Linux, place: Place): Credential {
  if (place.kind === 'node') return place.node;
  const inode = k.read('dentry.d_inode', place.dentry);
  return { uid: k.read('inode.i_uid.val', inode), gid: k.read('inode.i_gid.val', inode) };
}

/** generic_permission without ACLs: root may do all but execute what nobody may. */
export function permitted(k: Linux, place: Place, wanted: number): boolean {
  const who = fileCredential(k, k.current);
  const mode = modeOf(k, place);
  if (currentMay(k, CAPABILITY.DAC_OVERRIDE))
    return wanted !== MAY_EXEC || (mode & 0o111) !== 0 || (mode & S_IFMT) === S_IFDIR;
  const owner = ownerOf(k, place);
  const bits = who.uid === owner.uid ? mode >> 6 : who.gid === owner.gid ? mode >> 3 : mode;
  return (bits & wanted) === wanted;
}

/** What serves a device file of that mode and number; undefined for other files. */
function deviceMethods(mode: number, device: number): FileMethods | undefined {
  if ((mode & S_IFMT) === S_IFBLK) return blockMethods;
  return (mode & S_IFMT) === S_IFCHR ? (memoryDevice(device) ?? characterMethods) : undefined;
}

function withDeviceMethods(node: Node): Node {
  if (node.methods.open === undefined) node.methods = deviceMethods(node.mode, node.rdev) ?? node.methods;
  return node;
}

function* openDentry(k: Linux, place: Place & { kind: 'dentry' }, flags: number): Steps<F.OpenFile | number> {
  const { dentry, mount } = place;
  const inode = k.read('dentry.d_inode', dentry);
  const operations = k.read('inode.i_fop', inode);
  const mode = k.read('inode.i_mode', inode);
  const file = F.makeFile(k, { flags, inode, dentry, mount: mount.vfsmount, operations });
  const methods = deviceMethods(mode, k.read('inode.i_rdev', inode)) ?? guestMethods;
  const opened = { file, methods, path: '', node: undefined, dentry, directory: F.isDirectory(mode) };
  k.state(F.openFiles).set(file, opened);
  if (methods === guestMethods && !takeOperations(k, operations))
    return yield* refuse(k, opened, place, -Errno.ENXIO);
  const error = yield* methods.open?.(k, file) ?? zero();
  if (error !== 0) return yield* refuse(k, opened, place, error);
  if ((flags & F.O_TRUNC) !== 0 && F.isRegular(mode)) yield* truncate(k, dentry, inode);
  return opened;
}

function* zero(): Steps<number> {
  return 0;
}

function* refuse(k: Linux, opened: F.OpenFile, place: Place, error: number): Steps<number> {
  F.discard(k, opened);
  yield* leave(k, place);
  return error;
}

/** O_TRUNC through the filesystem's setattr, as do_truncate; simple filesystems just get the size. */
function* truncate(k: Linux, dentry: Address, inode: Address): Steps<void> {
  const operations = k.read('inode.i_op', inode);
  const setattr = operations === 0 ? 0 : k.read('inode_operations.setattr', operations);
  if (setattr === 0) {
    k.write('inode.i_size', inode, 0);
    return;
  }
  const attributes = k.heap.allocateZeroed(k.sizeof('iattr'));
  // ATTR_SIZE | ATTR_OPEN (include/linux/fs.h)
  k.write('iattr.ia_valid', attributes, 8 | 32768);
  yield* k.callInt(setattr, k.addressOf('init_user_ns'), dentry, attributes);
  k.heap.free(attributes);
}

export function* close(k: Linux, opened: F.OpenFile): Steps<number> {
  const result = yield* F.closeFile(k, opened);
  if (opened.dentry !== 0 && !k.state(F.openFiles).has(opened.file)) yield* putDentry(k, opened.dentry);
  return result;
}

/** Whoever the call woke runs before its caller goes on, as at the return to user mode (exit_to_user_mode_loop). */
function* backToUser(): Steps<void> {
  yield { kind: 'yield' };
}

/** read(2) into a fresh user buffer; the bytes, or a negative errno. */
export function* read(k: Linux, opened: F.OpenFile, count: number): Steps<Uint8Array | number> {
  const user = k.state(userSpace);
  const mark = user.mark();
  const buffer = user.allocate(count);
  const got = yield* F.readFile(k, opened, buffer, count);
  const bytes = got >= 0 ? k.memory.bytes(buffer, Math.min(got, count)) : got;
  user.release(mark);
  yield* backToUser();
  return bytes;
}

/** write(2) from a fresh user buffer. */
export function* write(k: Linux, opened: F.OpenFile, bytes: Uint8Array): Steps<number> {
  const user = k.state(userSpace);
  const mark = user.mark();
  const result = yield* F.writeFile(k, opened, user.put(bytes), bytes.length);
  user.release(mark);
  yield* backToUser();
  return result;
}

/** Everything a file gives until its end, as cat reads it. */
export function* readAll(k: Linux, path: string, limit = 1 << 24): Steps<Uint8Array | number> {
  const opened = yield* open(k, path, 0);
  if (typeof opened === 'number') return opened;
  const parts: Uint8Array[] = [];
  let total = 0;
  for (;;) {
    const part = yield* read(k, opened, 65536);
    if (typeof part === 'number') {
      yield* close(k, opened);
      return part;
    }
    if (part.length === 0 || total > limit) break;
    parts.push(part);
    total += part.length;
  }
  yield* close(k, opened);
  return joinBytes(parts);
}

/** Names in a directory, or the path itself for another file; sorted as ls sorts them. */
export function* list(k: Linux, path: string): Steps<string[] | number> {
  const place = yield* k.state(namespace).walk(k, path);
  if (typeof place === 'number') return place;
  const names =
    place.kind === 'node'
      ? place.node.isDirectory
        ? place.node.list().map((node) => node.name)
        : [path]
      : yield* listDirectory(k, place, path);
  yield* leave(k, place);
  return typeof names === 'number' ? names : names.sort();
}

export interface Status {
  readonly mode: number;
  readonly size: number;
  readonly rdev: number;
  readonly uid: number;
  readonly gid: number;
}

export function* stat(k: Linux, path: string, follow = true): Steps<Status | number> {
  const place = yield* k.state(namespace).walk(k, path, follow);
  if (typeof place === 'number') return place;
  const { uid, gid } = ownerOf(k, place);
  const mode = modeOf(k, place);
  if (place.kind === 'node') return { mode, size: place.node.size, rdev: place.node.rdev, uid, gid };
  const inode = k.read('dentry.d_inode', place.dentry);
  const status = { mode, size: k.read('inode.i_size', inode), rdev: k.read('inode.i_rdev', inode), uid, gid };
  yield* leave(k, place);
  return status;
}

/** A new regular file, for open with O_CREAT. */
function* create(k: Linux, path: string, mode: number): Steps<Place | number> {
  const parent = yield* k.state(namespace).parent(k, path);
  if (typeof parent === 'number') return parent;
  const { place, name } = parent;
  if (place.kind === 'node') {
    // Only /tmp takes files: the other directories show what the kernel itself has.
    if (place.node.path !== '/tmp') return -Errno.EACCES;
    return { kind: 'node', node: place.node.add(temporaryFile(name, mode & ~UMASK)) };
  }
  const result = yield* inDirectory(k, place, name, 'create', (method, dir, dentry) =>
    k.callInt(method, k.addressOf('init_user_ns'), dir, dentry, S_IFREG | mode, 1),
  );
  yield* leave(k, place);
  return result < 0 ? result : yield* k.state(namespace).walk(k, path);
}

export function* makeDirectory(k: Linux, path: string, mode = 0o755): Steps<number> {
  const parent = yield* k.state(namespace).parent(k, path);
  if (typeof parent === 'number') return parent;
  const { place, name } = parent;
  if (place.kind === 'node') {
    if (place.node.child(name) !== undefined) return -Errno.EEXIST;
    if (place.node !== k.state(namespace).root && place.node.path !== '/tmp') return -Errno.EPERM;
    place.node.add(new TreeNode(name, S_IFDIR | mode));
    return 0;
  }
  const result = yield* inDirectory(k, place, name, 'mkdir', (method, dir, dentry) =>
    k.callInt(method, k.addressOf('init_user_ns'), dir, dentry, S_IFDIR | mode),
  );
  yield* leave(k, place);
  return result;
}

/** unlink(2) and rmdir(2). */
export function* remove(k: Linux, path: string, directory: boolean): Steps<number> {
  const parent = yield* k.state(namespace).parent(k, path);
  if (typeof parent === 'number') return parent;
  const { place, name } = parent;
  if (place.kind === 'node') {
    const node = place.node.child(name);
    if (node === undefined) return -Errno.ENOENT;
    if (!node.isDevice && place.node.path !== '/tmp') return -Errno.EPERM;
    place.node.remove(name);
    return 0;
  }
  const child = yield* entryFor(k, place.dentry, name);
  if (isError(child)) return child;
  const inode = k.read('dentry.d_inode', child);
  let result: number = -Errno.ENOENT;
  if (inode !== 0) result = yield* removeEntry(k, place.dentry, child, directory);
  yield* putDentry(k, child);
  yield* leave(k, place);
  return result;
}

function* removeEntry(k: Linux, parent: Address, child: Address, directory: boolean): Steps<number> {
  const dir = k.read('dentry.d_inode', parent);
  const isDir = F.isDirectory(k.read('inode.i_mode', k.read('dentry.d_inode', child)));
  if (directory && !isDir) return -Errno.ENOTDIR;
  if (!directory && isDir) return -Errno.EISDIR;
  const operations = k.read('inode.i_op', dir);
  const method = k.read(`inode_operations.${directory ? 'rmdir' : 'unlink'}`, operations);
  if (method === 0) return -Errno.EPERM;
  const result = yield* k.callInt(method, dir, child);
  if (result === 0) dropDentry(k, child);
  return result;
}

type Make = (method: Address, dir: Address, dentry: Address) => Steps<number>;

/** Calls an inode operation that makes `name` in a directory; EEXIST when it is there, EPERM without the method. */
function* inDirectory(
  k: Linux,
  place: Place & { kind: 'dentry' },
  name: string,
  operation: string,
  make: Make,
): Steps<number> {
  if (!permitted(k, place, MAY_WRITE | MAY_EXEC)) return -Errno.EACCES;
  const dentry = yield* entryFor(k, place.dentry, name);
  if (isError(dentry)) return dentry;
  const dir = k.read('dentry.d_inode', place.dentry);
  let result: number;
  if (k.read('dentry.d_inode', dentry) !== 0) result = -Errno.EEXIST;
  else {
    const operations = k.read('inode.i_op', dir);
    const method = operations === 0 ? 0 : k.read(`inode_operations.${operation}`, operations);
    result =
      method === 0
        ? operation === 'create'
          ? -Errno.EACCES
          : -Errno.EPERM
        : yield* make(method, dir, dentry);
  }
  yield* putDentry(k, dentry);
  return result;
}

/** mknod(2) in the base kernel's own tree (/dev, /tmp). */
export function* makeNode(k: Linux, path: string, mode: number, device: number): Steps<number> {
  if (!currentMay(k, CAPABILITY.MKNOD)) return -Errno.EPERM;
  const parent = yield* k.state(namespace).parent(k, path);
  if (typeof parent === 'number') return parent;
  const { place, name } = parent;
  if (place.kind === 'dentry') {
    const result = yield* inDirectory(k, place, name, 'mknod', (method, dir, dentry) =>
      k.callInt(method, k.addressOf('init_user_ns'), dir, dentry, mode, device),
    );
    yield* leave(k, place);
    return result;
  }
  if (place.node.child(name) !== undefined) return -Errno.EEXIST;
  const node = new TreeNode(name, mode);
  node.rdev = device;
  node.lasting = true;
  place.node.add(node);
  return 0;
}
