/** Paths: the base kernel's own tree, mounted filesystems grafted into it, and the walk through both. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno, isError } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { getDentry, lookupChild, putDentry } from './dentry.ts';
import { directory, type Node, S_IFDIR, S_IFLNK, S_IFMT, symlink } from './node.ts';

/** A mounted filesystem. */
export interface Mount {
  /** Directory of our tree it is mounted on. */
  readonly at: Node;
  readonly source: string;
  readonly type: string;
  readonly options: string;
  readonly superBlock: Address;
  /** Root entry, with a reference. */
  readonly root: Address;
  /** struct vfsmount. */
  readonly vfsmount: Address;
}

/** Where a path leads. A dentry carries a reference that the walker's caller drops. */
export type Place =
  | { readonly kind: 'node'; readonly node: Node }
  | { readonly kind: 'dentry'; readonly dentry: Address; readonly mount: Mount };

/** MAXSYMLINKS (include/linux/namei.h). */
const MAX_LINKS = 40;
/** PATH_MAX (include/uapi/linux/limits.h). */
const MAX_PATH = 4096;

export class Namespace {
  readonly root: Node = directory('');
  readonly dev: Node;
  readonly proc: Node;
  readonly sys: Node;
  readonly mounts: Mount[] = [];

  constructor() {
    for (const name of ['dev', 'proc', 'sys', 'mnt', 'tmp', 'etc', 'run']) this.root.add(directory(name));
    const [dev, proc, sys] = ['dev', 'proc', 'sys'].map((name) => this.root.child(name));
    if (dev === undefined || proc === undefined || sys === undefined) throw new Error('no root directories');
    this.dev = dev;
    this.proc = proc;
    this.sys = sys;
    this.proc.add(symlink('mounts', 'self/mounts'));
  }

  mountedOn(node: Node): Mount | undefined {
    return this.mounts.findLast((mount) => mount.at === node);
  }

  /** Follows a path to its end; `followLast` = false stops at a final symbolic link. */
  *walk(k: Linux, path: string, followLast = true): Steps<Place | number> {
    if (path.length >= MAX_PATH) return -Errno.ENAMETOOLONG;
    if (path === '') return -Errno.ENOENT;
    let links = 0;
    let rest = components(path);
    let at: Place = this.cross({ kind: 'node', node: this.root });
    while (rest.length > 0) {
      const [name, ...after] = rest;
      rest = after;
      const next: Place | number = yield* this.step(k, at, name);
      if (typeof next === 'number') return next;
      const target: string | undefined =
        rest.length > 0 || followLast ? yield* linkTarget(k, next) : undefined;
      if (target === undefined) {
        yield* leave(k, at);
        at = next;
        continue;
      }
      yield* leave(k, next);
      if (++links > MAX_LINKS) {
        yield* leave(k, at);
        return -Errno.ELOOP;
      }
      if (target.startsWith('/')) {
        yield* leave(k, at);
        at = this.cross({ kind: 'node', node: this.root });
      }
      rest = [...components(target), ...rest];
    }
    return at;
  }

  /** Walks to the directory that holds the last component. */
  *parent(k: Linux, path: string): Steps<{ place: Place; name: string } | number> {
    const parts = components(path);
    const name = parts.pop();
    if (name === undefined) return -Errno.EEXIST;
    const place = yield* this.walk(k, '/' + parts.join('/'));
    return typeof place === 'number' ? place : { place, name };
  }

  private *step(k: Linux, at: Place, name: string): Steps<Place | number> {
    if (name === '..') return yield* this.up(k, at);
    if (at.kind === 'node') {
      if (!at.node.isDirectory) return -Errno.ENOTDIR;
      const child = at.node.child(name);
      return child === undefined ? -Errno.ENOENT : this.cross({ kind: 'node', node: child });
    }
    const inode = k.read('dentry.d_inode', at.dentry);
    if ((k.read('inode.i_mode', inode) & S_IFMT) !== S_IFDIR) return -Errno.ENOTDIR;
    const dentry = yield* lookupChild(k, at.dentry, name);
    if (isError(dentry)) return dentry;
    if (dentry === 0) return -Errno.ENOENT;
    if (k.read('dentry.d_inode', dentry) === 0) {
      yield* putDentry(k, dentry);
      return -Errno.ENOENT;
    }
    return { kind: 'dentry', dentry, mount: at.mount };
  }

  private *up(k: Linux, at: Place): Steps<Place> {
    if (at.kind === 'node') return this.cross({ kind: 'node', node: at.node.parent ?? at.node });
    if (at.dentry === at.mount.root) return { kind: 'node', node: at.mount.at.parent ?? at.mount.at };
    const parent = k.read('dentry.d_parent', at.dentry);
    return { kind: 'dentry', dentry: getDentry(k, parent), mount: at.mount };
  }

  /** Onto the filesystem that is mounted on a directory of ours, if any. */
  private cross(place: Place): Place {
    if (place.kind === 'dentry') return place;
    const mount = this.mountedOn(place.node);
    return mount === undefined ? place : { kind: 'dentry', dentry: mount.root, mount };
  }
}

export const namespace = perKernel<Namespace, Linux>(() => new Namespace());

function components(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.');
}

/** What a symbolic link says; undefined for anything else. */
export function* linkTarget(k: Linux, place: Place): Steps<string | undefined> {
  if (place.kind === 'node') return place.node.isLink ? place.node.target : undefined;
  const inode = k.read('dentry.d_inode', place.dentry);
  if ((k.read('inode.i_mode', inode) & S_IFMT) !== S_IFLNK) return undefined;
  const stored = k.read('inode.i_link', inode);
  if (stored !== 0) return k.memory.cstring(stored);
  const operations = k.read('inode.i_op', inode);
  const getLink = operations === 0 ? 0 : k.read('inode_operations.get_link', operations);
  if (getLink === 0) return undefined;
  // struct delayed_call: a function and its argument, to be called when the text is no longer needed.
  const delayed = k.heap.allocateZeroed(2 * k.word);
  const text = yield* k.call(getLink, place.dentry, inode, delayed);
  const target = isError(text) || text === 0 ? undefined : k.memory.cstring(text);
  const done = k.memory.ptr(delayed);
  if (done !== 0) yield* k.call(done, k.memory.ptr(delayed + k.word));
  k.heap.free(delayed);
  return target;
}

/** Drops what a walk held. The root of a mount is held by the mount itself. */
export function* leave(k: Linux, place: Place): Steps<void> {
  if (place.kind === 'dentry' && place.dentry !== place.mount.root) yield* putDentry(k, place.dentry);
}
