/** A tree of files with owners and modes, in memory: a bundle, or the root file system of a machine. */

export interface TreeNode {
  readonly kind: 'file' | 'folder' | 'link';
  readonly uid: number;
  readonly gid: number;
  /** Permission bits. */
  readonly mode: number;
  /** Of a file. */
  readonly bytes?: Uint8Array;
  /** Of a symbolic link. */
  readonly target?: string;
}

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

export const ROOT_WHEEL: Owner = { uid: 0, gid: 0 };

/** `/a/./b/../c/` to `/a/c`. */
export function normalPath(path: string): string {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return `/${parts.join('/')}`;
}

export function joinPath(...parts: readonly string[]): string {
  return normalPath(parts.join('/'));
}

export const baseName = (path: string): string => normalPath(path).split('/').at(-1) ?? '';
export const folderOf = (path: string): string => normalPath(path).split('/').slice(0, -1).join('/') || '/';

const MAX_LINKS = 16;

export class FileTree {
  private readonly nodes = new Map<string, TreeNode>();
  private readonly children = new Map<string, Set<string>>();

  constructor() {
    this.nodes.set('/', { kind: 'folder', ...ROOT_WHEEL, mode: 0o755 });
    this.children.set('/', new Set());
  }

  /** The node itself, links not followed. */
  lookUp(path: string): TreeNode | undefined {
    return this.nodes.get(normalPath(path));
  }

  /** Where a path leads after symbolic links; undefined when it leads nowhere or in circles. */
  resolve(path: string): string | undefined {
    let left = MAX_LINKS;
    let done = '/';
    const parts = normalPath(path)
      .split('/')
      .filter((part) => part !== '');
    while (parts.length > 0) {
      const next = joinPath(done, parts.shift() ?? '');
      const node = this.nodes.get(next);
      if (node === undefined) return undefined;
      if (node.kind !== 'link') done = next;
      else {
        if (--left < 0) return undefined;
        const target = node.target ?? '';
        const whole = target.startsWith('/') ? target : joinPath(done, target);
        parts.unshift(
          ...normalPath(whole)
            .split('/')
            .filter((part) => part !== ''),
        );
        done = '/';
      }
    }
    return done;
  }

  get(path: string): TreeNode | undefined {
    const real = this.resolve(path);
    return real === undefined ? undefined : this.nodes.get(real);
  }

  read(path: string): Uint8Array | undefined {
    return this.get(path)?.bytes;
  }

  isFolder(path: string): boolean {
    return this.get(path)?.kind === 'folder';
  }

  /** Names in a folder, sorted; empty when there is no such folder. */
  list(path: string): string[] {
    const real = this.resolve(path);
    return [...(this.children.get(real ?? '') ?? [])].sort();
  }

  /** Every path at and below this one, parents first. */
  *walk(path: string): Generator<string> {
    const start = normalPath(path);
    if (!this.nodes.has(start)) return;
    yield start;
    for (const name of [...(this.children.get(start) ?? [])].sort()) yield* this.walk(joinPath(start, name));
  }

  put(path: string, node: TreeNode): void {
    const at = normalPath(path);
    if (at === '/') return;
    const parent = folderOf(at);
    if (!this.nodes.has(parent))
      this.put(parent, { kind: 'folder', uid: node.uid, gid: node.gid, mode: 0o755 });
    this.nodes.set(at, node);
    this.children.get(parent)?.add(baseName(at));
    if (node.kind === 'folder' && !this.children.has(at)) this.children.set(at, new Set());
  }

  writeFile(path: string, bytes: Uint8Array, owner: Owner = ROOT_WHEEL, mode = 0o644): void {
    this.put(path, { kind: 'file', ...owner, mode, bytes });
  }

  makeFolder(path: string, owner: Owner = ROOT_WHEEL, mode = 0o755): void {
    if (this.lookUp(path) === undefined) this.put(path, { kind: 'folder', ...owner, mode });
  }

  /** Takes a node and everything below it away. */
  remove(path: string): void {
    const at = normalPath(path);
    for (const below of [...this.walk(at)].reverse()) {
      this.nodes.delete(below);
      this.children.delete(below);
    }
    this.children.get(folderOf(at))?.delete(baseName(at));
  }

  /** Changes owner or mode of one node. */
  change(path: string, to: Partial<Owner> & { readonly mode?: number }): void {
    const node = this.lookUp(path);
    if (node !== undefined) this.nodes.set(normalPath(path), { ...node, ...to });
  }

  /** Copies a tree of files; what arrives belongs to `owner` when one is given. */
  copy(from: FileTree, source: string, target: string, owner?: Owner): void {
    const start = normalPath(source);
    for (const path of from.walk(start)) {
      const node = from.lookUp(path);
      if (node !== undefined) this.put(joinPath(target, path.slice(start.length)), { ...node, ...owner });
    }
  }
}
