/** Open files: a struct file in guest memory for each, and the methods that serve it. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { credOf, getCred, putCred } from '../cred.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { dropPages } from './dentry.ts';
import type { FileMethods, Node } from './node.ts';
import { S_IFDIR, S_IFMT, S_IFREG } from './node.ts';

/** Open flags (include/uapi/asm-generic/fcntl.h). */
export const O_ACCMODE = 3;
export const O_WRONLY = 1;
export const O_RDWR = 2;
export const O_CREAT = 0o100;
export const O_EXCL = 0o200;
export const O_TRUNC = 0o1000;
export const O_APPEND = 0o2000;
export const O_NONBLOCK = 0o4000;
export const O_DIRECTORY = 0o200000;

/** include/linux/fs.h */
export const FMODE_READ = 0x1;
export const FMODE_WRITE = 0x2;
const FMODE_LSEEK = 0x4;
const FMODE_PREAD = 0x8;
const FMODE_PWRITE = 0x10;
const FMODE_CAN_READ = 0x20000;
const FMODE_CAN_WRITE = 0x40000;
const FMODE_OPENED = 0x80000;

/** An open file as the caller holds it. */
export interface OpenFile {
  /** struct file. */
  readonly file: Address;
  methods: FileMethods;
  readonly path: string;
  /** Set for files of the base kernel's own tree. */
  readonly node: Node | undefined;
  /** Directory entry in guest memory, for files of a mounted filesystem. */
  readonly dentry: Address;
  readonly directory: boolean;
}

/** Open files by struct file: an index, the state itself is in the structure. */
export const openFiles = perKernel(() => new Map<Address, OpenFile>());

/** Open files of the process whose files have numbers: the console's. */
export const descriptors = perKernel(() => new Map<number, OpenFile>());

export function accessMode(flags: number): number {
  const access = flags & O_ACCMODE;
  const base = FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE | FMODE_OPENED;
  if (access === O_WRONLY) return base | FMODE_WRITE | FMODE_CAN_WRITE;
  if (access === O_RDWR) return base | FMODE_READ | FMODE_WRITE | FMODE_CAN_READ | FMODE_CAN_WRITE;
  return base | FMODE_READ | FMODE_CAN_READ;
}

export interface FileParts {
  readonly flags: number;
  readonly inode: Address;
  readonly dentry: Address;
  readonly mount: Address;
  readonly operations: Address;
}

/** References to an open file: from 6.13 on one less than there are (file_ref_t). */
const referenceField = (k: Linux): string =>
  k.types.has('file.f_count') ? 'file.f_count.counter' : 'file.f_ref.refcnt.counter';

/** alloc_file: a struct file with one reference. */
export function makeFile(k: Linux, parts: FileParts): Address {
  const file = k.heap.allocateZeroed(k.sizeof('file'));
  k.write('file.f_flags', file, parts.flags);
  k.write('file.f_mode', file, accessMode(parts.flags));
  k.write('file.f_inode', file, parts.inode);
  k.write('file.f_path.dentry', file, parts.dentry);
  k.write('file.f_path.mnt', file, parts.mount);
  k.write('file.f_op', file, parts.operations);
  k.write(referenceField(k), file, k.types.has('file.f_count') ? 1 : 0);
  k.write('file.f_cred', file, getCred(k, credOf(k, k.current)));
  if (parts.inode !== 0) k.write('file.f_mapping', file, k.read('inode.i_mapping', parts.inode));
  return file;
}

/** The inode of a node of ours: made once, so that what a module stores in it is there for the next open. */
export function inodeOf(k: Linux, node: Node): Address {
  if (node.inode !== 0) return node.inode;
  const inode = k.heap.allocateZeroed(k.sizeof('inode'));
  const counter = k.state(inodeNumbers);
  k.write('inode.i_mode', inode, node.mode);
  k.write('inode.i_rdev', inode, node.rdev);
  k.write('inode.i_ino', inode, ++counter.last);
  k.write('inode.i_count.counter', inode, 1);
  k.write('inode.i_private', inode, node.data);
  k.write('inode.i_size', inode, node.size);
  k.write('inode.i_mapping', inode, inode + k.offset('inode.i_data'));
  node.inode = inode;
  return inode;
}

const inodeNumbers = perKernel(() => ({ last: 1000 }));

/** A dentry whose only use is its name and inode: what modules read through file->f_path.dentry. */
function dentryOf(k: Linux, node: Node, inode: Address): Address {
  const dentry = k.heap.allocateZeroed(k.sizeof('dentry') + node.name.length + 1);
  const name = dentry + k.sizeof('dentry');
  k.memory.write(name, new TextEncoder().encode(node.name + '\0'));
  k.write('dentry.d_name.name', dentry, name);
  k.write('dentry.d_name.len', dentry, node.name.length);
  k.write('dentry.d_inode', dentry, inode);
  k.write('dentry.d_parent', dentry, dentry);
  k.write('dentry.d_lockref.count', dentry, 1);
  return dentry;
}

/** Opens a node of the base kernel's tree. Returns a negative errno when its open method refuses. */
export function* openNode(k: Linux, node: Node, flags: number): Steps<OpenFile | number> {
  const inode = inodeOf(k, node);
  const dentry = dentryOf(k, node, inode);
  const file = makeFile(k, { flags, inode, dentry, mount: 0, operations: 0 });
  const open: OpenFile = {
    file,
    methods: node.methods,
    path: node.path,
    node,
    dentry: 0,
    directory: node.isDirectory,
  };
  k.state(openFiles).set(file, open);
  const error = open.methods.open === undefined ? 0 : yield* open.methods.open(k, file);
  if (error < 0) {
    discard(k, open);
    return error;
  }
  return open;
}

/** Frees the structures of a file that nobody holds any more. */
export function discard(k: Linux, open: OpenFile): void {
  k.state(openFiles).delete(open.file);
  if (open.node !== undefined) {
    k.heap.free(k.read('file.f_path.dentry', open.file));
    forgetInode(k, open.node);
  }
  putCred(k, k.read('file.f_cred', open.file));
  k.heap.free(open.file);
}

/** Frees the inode of a node that was removed, once no file is open on it. */
export function forgetInode(k: Linux, node: Node): void {
  if (node.parent !== undefined || node.inode === 0) return;
  for (const other of k.state(openFiles).values()) if (other.node === node) return;
  dropPages(k, k.read('inode.i_mapping', node.inode));
  k.heap.free(node.inode);
  node.inode = 0;
}

export function* closeFile(k: Linux, open: OpenFile): Steps<number> {
  const { methods, file } = open;
  const result = methods.flush === undefined ? 0 : yield* methods.flush(k, file);
  yield* putFile(k, open);
  return result;
}

/** get_file: another reference. */
export function holdFile(k: Linux, file: Address): void {
  k.write(referenceField(k), file, k.read(referenceField(k), file) + 1);
}

/** fput: the last reference closes it. */
export function* putFile(k: Linux, open: OpenFile): Steps<void> {
  const { methods, file } = open;
  const count = k.read(referenceField(k), file) - 1;
  k.write(referenceField(k), file, count);
  if (count >= (k.types.has('file.f_count') ? 1 : 0)) return;
  if (methods.release !== undefined) yield* methods.release(k, file);
  discard(k, open);
}

/** vfs_read without the rlimit and fsnotify parts: mode, then the method. */
export function* readFile(k: Linux, open: OpenFile, buffer: Address, count: number): Steps<number> {
  const mode = k.read('file.f_mode', open.file);
  if ((mode & FMODE_READ) === 0) return -Errno.EBADF;
  if (open.directory) return -Errno.EISDIR;
  if (open.methods.read === undefined) return -Errno.EINVAL;
  return yield* open.methods.read(k, open.file, buffer, count, positionOf(k, open.file));
}

export function* writeFile(k: Linux, open: OpenFile, buffer: Address, count: number): Steps<number> {
  const mode = k.read('file.f_mode', open.file);
  if ((mode & FMODE_WRITE) === 0) return -Errno.EBADF;
  if (open.methods.write === undefined) return -Errno.EINVAL;
  if ((k.read('file.f_flags', open.file) & O_APPEND) !== 0 && open.node === undefined) {
    const size = k.read('inode.i_size', k.read('file.f_inode', open.file));
    k.memory.setPtr(positionOf(k, open.file), size);
  }
  return yield* open.methods.write(k, open.file, buffer, count, positionOf(k, open.file));
}

export function* seekFile(k: Linux, open: OpenFile, offset: number, whence: number): Steps<number> {
  if (open.methods.seek !== undefined) return yield* open.methods.seek(k, open.file, offset, whence);
  return seekWithin(k, open.file, offset, whence, k.read('inode.i_size', k.read('file.f_inode', open.file)));
}

/** generic_file_llseek_size for SEEK_SET, SEEK_CUR and SEEK_END. */
export function seekWithin(k: Linux, file: Address, offset: number, whence: number, size: number): number {
  const from = [0, k.read('file.f_pos', file), size][whence];
  if (from === undefined) return -Errno.EINVAL;
  const to = from + offset;
  if (to < 0) return -Errno.EINVAL;
  k.write('file.f_pos', file, to);
  return to;
}

export function* ioctlFile(k: Linux, open: OpenFile, command: number, argument: number): Steps<number> {
  if (open.methods.ioctl === undefined) return -Errno.ENOTTY;
  const result = yield* open.methods.ioctl(k, open.file, command, argument);
  return result === -Errno.ENOIOCTLCMD ? -Errno.ENOTTY : result;
}

/** DEFAULT_POLLMASK: EPOLLIN | EPOLLOUT | EPOLLRDNORM | EPOLLWRNORM. */
const DEFAULT_POLL = 0x145;

export function* pollFile(k: Linux, open: OpenFile): Steps<number> {
  return open.methods.poll === undefined ? DEFAULT_POLL : yield* open.methods.poll(k, open.file);
}

/** Address of a file's own position, which read and write methods advance. */
export function positionOf(k: Linux, file: Address): Address {
  return file + k.offset('file.f_pos');
}

export function isRegular(mode: number): boolean {
  return (mode & S_IFMT) === S_IFREG;
}

export function isDirectory(mode: number): boolean {
  return (mode & S_IFMT) === S_IFDIR;
}
