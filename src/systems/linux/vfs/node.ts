/**
 * The tree of files that the base kernel itself serves: /, /dev, /proc, /sys. Filesystems that modules bring
 * live in guest memory (dentry.ts, inode.ts) and are grafted in where they are mounted.
 */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import type { Linux } from '../linux.ts';

/** File types of st_mode (include/uapi/linux/stat.h). */
export const S_IFMT = 0o170000;
export const S_IFREG = 0o100000;
export const S_IFDIR = 0o040000;
export const S_IFCHR = 0o020000;
export const S_IFBLK = 0o060000;
export const S_IFLNK = 0o120000;

/**
 * What an open file can do. `file` is the guest's struct file; results are counts or negative errnos. Buffers
 * are guest addresses in user space.
 */
export interface FileMethods {
  open?(k: Linux, file: Address): Steps<number>;
  read?(k: Linux, file: Address, buffer: Address, count: number, position: Address): Steps<number>;
  write?(k: Linux, file: Address, buffer: Address, count: number, position: Address): Steps<number>;
  seek?(k: Linux, file: Address, offset: number, whence: number): Steps<number>;
  ioctl?(k: Linux, file: Address, command: number, argument: number): Steps<number>;
  /** EPOLL mask bits. */
  poll?(k: Linux, file: Address): Steps<number>;
  flush?(k: Linux, file: Address): Steps<number>;
  release?(k: Linux, file: Address): Steps<void>;
}

export class Node {
  readonly name: string;
  readonly mode: number;
  parent: Node | undefined;
  readonly children = new Map<string, Node>();
  /** Device number (MKDEV) of device files. */
  rdev = 0;
  uid = 0;
  gid = 0;
  size = 0;
  /** No module's: made by a program (mknod), or by the kernel for itself when it was first wanted. */
  lasting = false;
  /** Target of a symbolic link. */
  target = '';
  methods: FileMethods = {};
  /** i_private and PDE_DATA: whatever the creator attached. */
  data: Address = 0;
  /** The inode that open files of this node share; made at first open. */
  inode: Address = 0;
  /** Called before children are looked up or listed: directories whose content is computed. */
  refresh: (() => void) | undefined;

  constructor(name: string, mode: number) {
    this.name = name;
    this.mode = mode;
  }

  get isDirectory(): boolean {
    return (this.mode & S_IFMT) === S_IFDIR;
  }

  get isLink(): boolean {
    return (this.mode & S_IFMT) === S_IFLNK;
  }

  get isDevice(): boolean {
    const type = this.mode & S_IFMT;
    return type === S_IFCHR || type === S_IFBLK;
  }

  add(child: Node): Node {
    child.parent = this;
    this.children.set(child.name, child);
    return child;
  }

  remove(name: string): Node | undefined {
    const child = this.children.get(name);
    if (child !== undefined) {
      this.children.delete(name);
      child.parent = undefined;
    }
    return child;
  }

  child(name: string): Node | undefined {
    this.refresh?.();
    return this.children.get(name);
  }

  list(): Node[] {
    this.refresh?.();
    return [...this.children.values()];
  }

  get path(): string {
    if (this.parent === undefined) return '/';
    const above = this.parent.path;
    return above === '/' ? `/${this.name}` : `${above}/${this.name}`;
  }

  /** Every node below, depth first, this one last: the order in which a tree is taken down. */
  *descendants(): Generator<Node> {
    for (const child of [...this.children.values()]) yield* child.descendants();
    yield this;
  }
}

export function directory(name: string, permissions = 0o755): Node {
  return new Node(name, S_IFDIR | permissions);
}

export function regular(name: string, permissions: number, methods: FileMethods): Node {
  const node = new Node(name, S_IFREG | permissions);
  node.methods = methods;
  return node;
}

export function symlink(name: string, target: string): Node {
  const node = new Node(name, S_IFLNK | 0o777);
  node.target = target;
  return node;
}

/** The directory at `path` below `from`, made where it is missing. */
export function makePath(from: Node, path: string): Node {
  let node = from;
  for (const part of path.split('/')) {
    if (part === '') continue;
    node = node.child(part) ?? node.add(directory(part));
  }
  return node;
}

/** A read-only file whose whole text is made when it is read from the start, as seq_file's single_open does. */
export function textFile(
  name: string,
  permissions: number,
  text: (k: Linux) => string | Steps<string>,
): Node {
  const contents = new WeakMap<object, Map<Address, Uint8Array>>();
  const bytesOf = function* (k: Linux, file: Address, fresh: boolean): Steps<Uint8Array> {
    const files = contents.get(k) ?? new Map<Address, Uint8Array>();
    contents.set(k, files);
    let bytes = files.get(file);
    if (bytes === undefined || fresh) {
      const made = text(k);
      bytes = new TextEncoder().encode(typeof made === 'string' ? made : yield* made);
      files.set(file, bytes);
    }
    return bytes;
  };
  return regular(name, permissions, {
    *read(k, file, buffer, count, position) {
      const at = k.memory.ptr(position);
      const bytes = yield* bytesOf(k, file, at === 0);
      const part = bytes.subarray(at, at + count);
      k.memory.write(buffer, part);
      k.memory.setPtr(position, at + part.length);
      return part.length;
    },
    *release(k, file) {
      contents.get(k)?.delete(file);
    },
  });
}
