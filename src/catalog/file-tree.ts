/**
 * A read-only tree of files: a folder of the machine, or an archive read in place. Paths are relative to its root, which
 * is ''; they and names are strings of bytes (one character a byte).
 */
import type { ArchiveEntry } from '../formats/archive/entry.ts';

export interface TreeEntry {
  readonly name: string;
  readonly kind: 'file' | 'folder' | 'link' | 'other';
}

export interface TreeStat {
  readonly kind: 'file' | 'folder' | 'other';
  readonly size: number;
  /** Nanoseconds since 1970. */
  readonly modified: bigint;
}

export type TreeErrorCode = 'ENOENT' | 'ENOTDIR' | 'EISDIR' | 'ELOOP' | 'EACCES' | 'EIO';

/** Why a path could not be read: an errno by name. */
export class TreeError extends Error {
  readonly code: TreeErrorCode;
  readonly path: string;

  constructor(code: TreeErrorCode, path: string, why: string = code) {
    super(`${path}: ${why}`);
    this.name = 'TreeError';
    this.code = code;
    this.path = path;
  }
}

export interface FileTree {
  /** How messages name it. */
  readonly name: string;
  /** What a folder holds, in its own order. @throws an error with `code` (TreeError, or that of a system call) */
  list(folder: string): readonly TreeEntry[];
  /** What a path leads to, links followed; undefined when that is nothing. */
  stat(path: string): TreeStat | undefined;
  /** A file's bytes. @throws as list; FormatError where an archive is damaged */
  read(path: string): Uint8Array;
}

/** As many links are followed as Linux follows. */
const MOST_LINKS = 40;

interface Node {
  readonly entry: ArchiveEntry | undefined;
  /** undefined: no folder. */
  readonly children: Map<string, Node> | undefined;
}

const folderNode = (entry?: ArchiveEntry): Node => ({ entry, children: new Map() });

/** The entries of an archive as a tree. Of two entries with one path the later counts. */
export class ArchiveTree implements FileTree {
  readonly name: string;
  private readonly root: Node = folderNode();

  constructor(name: string, entries: Iterable<ArchiveEntry>) {
    this.name = name;
    for (const entry of entries) this.add(entry);
  }

  private add(entry: ArchiveEntry): void {
    const parts = entry.path.split('/');
    const last = parts.pop() ?? '';
    // What would lead out of the archive is nowhere in it.
    if (last === '' || parts.includes('..') || last === '..') return;
    let folder = this.root;
    for (const part of parts) {
      let next = folder.children?.get(part);
      if (next === undefined || (next.children === undefined && next.entry?.kind !== 'link')) {
        next = folderNode();
        folder.children?.set(part, next);
      }
      if (next.children === undefined) {
        // A folder that an earlier entry made a link: its files go where the link leads.
        const led = this.find(parts.slice(0, parts.indexOf(part) + 1).join('/'));
        if (led?.children === undefined) return;
        next = led;
      }
      folder = next;
    }
    const known = folder.children?.get(last);
    if (entry.kind === 'folder' && known?.children !== undefined) return;
    folder.children?.set(last, entry.kind === 'folder' ? folderNode(entry) : { entry, children: undefined });
  }

  /** Links followed, also in the last part unless `keepLast`. @throws TreeError ELOOP, ENOTDIR */
  private find(path: string): Node | undefined {
    let left = MOST_LINKS;
    const way: Node[] = [this.root];
    const parts = path.split('/').reverse();
    for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
      if (part === '' || part === '.') continue;
      if (part === '..') {
        if (way.length > 1) way.pop();
        continue;
      }
      const here = way[way.length - 1];
      if (here.children === undefined) throw new TreeError('ENOTDIR', path);
      const next = here.children.get(part);
      if (next === undefined) return undefined;
      if (next.entry?.kind !== 'link') {
        way.push(next);
        continue;
      }
      if (left-- === 0) throw new TreeError('ELOOP', path);
      const target = next.entry.target ?? '';
      if (target.startsWith('/')) way.length = 1;
      parts.push(...target.split('/').reverse());
    }
    return way[way.length - 1];
  }

  private need(path: string): Node {
    const found = this.find(path);
    if (found === undefined) throw new TreeError('ENOENT', path);
    return found;
  }

  list(folder: string): readonly TreeEntry[] {
    const { children } = this.need(folder);
    if (children === undefined) throw new TreeError('ENOTDIR', folder);
    return [...children].map(([name, node]) => ({
      name,
      kind: node.children === undefined ? (node.entry?.kind ?? 'other') : 'folder',
    }));
  }

  stat(path: string): TreeStat | undefined {
    let found: Node | undefined;
    try {
      found = this.find(path);
    } catch (error) {
      if (error instanceof TreeError) return undefined;
      throw error;
    }
    if (found === undefined) return undefined;
    const { entry, children } = found;
    const modified = BigInt(Math.floor(entry?.modified ?? 0)) * 1_000_000_000n;
    if (children !== undefined) return { kind: 'folder', size: 0, modified };
    return { kind: entry?.kind === 'file' ? 'file' : 'other', size: entry?.size ?? 0, modified };
  }

  read(path: string): Uint8Array {
    const { entry, children } = this.need(path);
    if (children !== undefined) throw new TreeError('EISDIR', path);
    if (entry === undefined || entry.kind !== 'file') throw new TreeError('EIO', path);
    return entry.bytes();
  }
}

/** A folder of a tree as a tree of its own. */
export class SubTree implements FileTree {
  readonly name: string;
  private readonly tree: FileTree;
  private readonly folder: string;

  constructor(name: string, tree: FileTree, folder: string) {
    this.name = name;
    this.tree = tree;
    this.folder = folder;
  }

  list(folder: string): readonly TreeEntry[] {
    return this.tree.list(`${this.folder}/${folder}`);
  }

  stat(path: string): TreeStat | undefined {
    return this.tree.stat(`${this.folder}/${path}`);
  }

  read(path: string): Uint8Array {
    return this.tree.read(`${this.folder}/${path}`);
  }
}
