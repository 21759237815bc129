/**
 * sysfs: the directory of a kobject, its attributes and links. The kobject itself is the guest's structure;
 * the tree of names is ours, found by the kobject's address (in the kernel: kobj->sd).
 */
import { perKernel } from '../../kernel/kernel.ts';
import type { Steps } from '../../kernel/steps.ts';
import type { Address } from '../../memory/space.ts';
import { Errno } from './errno.ts';
import type { Linux } from './linux.ts';
import { forgetInode, seekWithin } from './vfs/file.ts';
import { namespace } from './vfs/namespace.ts';
import { directory, type FileMethods, type Node, regular, symlink } from './vfs/node.ts';

const PAGE = 4096;

/** Directories by kobject. */
class Sysfs {
  private readonly nodes = new Map<Address, Node>();
  private readonly k: Linux;

  constructor(k: Linux) {
    this.k = k;
    const root = k.state(namespace).sys;
    for (const name of [
      'block',
      'bus',
      'class',
      'dev',
      'devices',
      'firmware',
      'fs',
      'kernel',
      'module',
      'power',
    ]) {
      root.add(directory(name));
    }
    root.child('class')?.add(directory('block'));
  }

  directoryOf(kobject: Address): Node | undefined {
    return this.nodes.get(kobject);
  }

  bind(kobject: Address, node: Node): void {
    this.nodes.set(kobject, node);
  }

  /** A link in one kobject's directory to another's; no effect when either has no directory. */
  link(from: Address, target: Address, name: string): void {
    const to = this.nodes.get(target);
    if (to !== undefined) this.nodes.get(from)?.add(symlink(name, to.path));
  }

  /** A directory without a kobject of its own inside a kobject's, made where it is missing. */
  subdirectory(kobject: Address, name: string): Node | undefined {
    const node = this.nodes.get(kobject);
    return node?.child(name) ?? node?.add(directory(name));
  }

  unbind(kobject: Address): void {
    const node = this.nodes.get(kobject);
    this.nodes.delete(kobject);
    for (const each of node?.descendants() ?? []) {
      each.parent?.remove(each.name);
      forgetInode(this.k, each);
    }
  }
}

export const sysfs = perKernel<Sysfs, Linux>((k) => new Sysfs(k));

/** A directory below /sys that the kernel itself made: `kernel`, `class`, `devices/virtual`... */
export function sysDirectory(k: Linux, path: string): Node {
  k.state(sysfs);
  let node = k.state(namespace).sys;
  for (const part of path.split('/')) node = node.child(part) ?? node.add(directory(part));
  return node;
}

/** What is below a directory of /sys now is the kernel's own, whoever made it make that. */
export function keepAll(k: Linux, path: string): void {
  for (const node of sysDirectory(k, path).descendants()) node.lasting = true;
}

/** A kobject that stands for a directory which the kernel made by itself: `bus`, `devices`, `devices/virtual/misc`... */
const ownDirectories = perKernel<Map<Node, Address>, Linux>(() => new Map());

export function kernelDirectory(k: Linux, path: string): Address {
  const node = sysDirectory(k, path);
  const known = k.state(ownDirectories).get(node);
  if (known !== undefined) return known;
  const kobject = k.heap.lasting(() => k.heap.allocateZeroed(k.sizeof('kobject')));
  k.write('kobject.kref.refcount.refs.counter', kobject, 1);
  k.state(ownDirectories).set(node, kobject);
  k.state(sysfs).bind(kobject, node);
  return kobject;
}

/** What an attribute does when it is read and written, with a page-sized buffer in kernel memory. */
export interface AttributeMethods {
  show?(k: Linux, buffer: Address): Steps<number>;
  store?(k: Linux, buffer: Address, count: number): Steps<number>;
}

/**
 * Methods of an attribute file. One read makes the text, later reads continue in it; each write is one store
 * (Documentation/filesystems/sysfs.rst).
 */
export function attributeMethods(attribute: AttributeMethods): FileMethods {
  const texts = new Map<Address, Uint8Array>();
  return {
    *read(k, file, buffer, count, position) {
      if (attribute.show === undefined) return -Errno.EIO;
      const at = k.memory.ptr(position);
      let text = texts.get(file);
      if (text === undefined || at === 0) {
        const page = k.heap.allocateZeroed(PAGE);
        const length = yield* attribute.show(k, page);
        text = length > 0 ? k.memory.bytes(page, Math.min(length, PAGE)) : undefined;
        k.heap.free(page);
        if (text === undefined) return length;
        texts.set(file, text);
      }
      const part = text.subarray(at, at + count);
      k.memory.write(buffer, part);
      k.memory.setPtr(position, at + part.length);
      return part.length;
    },
    *write(k, _file, buffer, count, position) {
      if (attribute.store === undefined) return -Errno.EIO;
      const length = Math.min(count, PAGE - 1);
      const page = k.heap.allocateZeroed(PAGE);
      k.memory.write(page, k.memory.bytes(buffer, length));
      const result = yield* attribute.store(k, page, length);
      k.heap.free(page);
      if (result > 0) k.memory.setPtr(position, k.memory.ptr(position) + result);
      return result;
    },
    *seek(k, file, offset, whence) {
      return seekWithin(k, file, offset, whence, PAGE);
    },
    *release(_k, file) {
      texts.delete(file);
    },
  };
}

/** An attribute through its kobject's type: ktype->sysfs_ops->show and ->store. */
export function kobjectAttribute(k: Linux, kobject: Address, attribute: Address): Node {
  const type = k.read('kobject.ktype', kobject);
  const operations = type === 0 ? 0 : k.read('kobj_type.sysfs_ops', type);
  const show = operations === 0 ? 0 : k.read('sysfs_ops.show', operations);
  const store = operations === 0 ? 0 : k.read('sysfs_ops.store', operations);
  const methods = attributeMethods({
    show: show === 0 ? undefined : (kernel, page) => kernel.call(show, kobject, attribute, page),
    store:
      store === 0 ? undefined : (kernel, page, count) => kernel.call(store, kobject, attribute, page, count),
  });
  return regular(
    k.readString('attribute.name', attribute),
    k.read('attribute.mode', attribute) & 0o7777,
    methods,
  );
}

/** Makes the kobject's own directory below its parent's, or below the set's, or at the top of /sys. */
export function addDirectory(k: Linux, kobject: Address, name: string): number {
  const tree = k.state(sysfs);
  const parent = k.read('kobject.parent', kobject);
  const above = parent === 0 ? k.state(namespace).sys : tree.directoryOf(parent);
  if (above === undefined) return -Errno.ENOENT;
  if (above.child(name) !== undefined) {
    k.printk(4, `sysfs: cannot create duplicate filename '${above.path.replace(/^\/sys/, '')}/${name}'`);
    return -Errno.EEXIST;
  }
  tree.bind(kobject, above.add(directory(name)));
  return 0;
}

export function addLink(k: Linux, from: Address, target: Address, name: string): number {
  const at = from === 0 ? k.state(namespace).sys : k.state(sysfs).directoryOf(from);
  const to = k.state(sysfs).directoryOf(target);
  if (at === undefined || to === undefined) return -Errno.ENOENT;
  if (at.child(name) !== undefined) return -Errno.EEXIST;
  at.add(symlink(name, to.path));
  return 0;
}

/** Adds one attribute; 0 or -EEXIST. */
export function addAttribute(k: Linux, kobject: Address, node: Node, group?: string): number {
  const base = k.state(sysfs).directoryOf(kobject);
  const at = group === undefined ? base : base?.child(group);
  if (at === undefined) return -Errno.EINVAL;
  if (at.children.has(node.name)) {
    k.printk(4, `sysfs: cannot create duplicate filename '${at.path.replace(/^\/sys/, '')}/${node.name}'`);
    return -Errno.EEXIST;
  }
  at.add(node);
  return 0;
}
