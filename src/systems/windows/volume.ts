/**
 * The sandbox's own disk: one volume in memory, C:, with the folders of an installation. What sessions and drivers write
 * stays here; nothing reaches the machine. Driver files that the session has named can be read under their paths.
 */
import { upcase } from './strings.ts';

export interface FileNode {
  name: string;
  parent: FileNode | undefined;
  /** Undefined: a folder. */
  data: Uint8Array | undefined;
  readonly entries: Map<string, FileNode>;
  /** 100 ns since 1601. */
  created: bigint;
  written: bigint;
  attributes: number;
  /** Marked by FileDispositionInformation: gone with the last handle. */
  doomed: boolean;
  handles: number;
}

export const FileAttribute = {
  READONLY: 1,
  HIDDEN: 2,
  SYSTEM: 4,
  DIRECTORY: 0x10,
  ARCHIVE: 0x20,
  NORMAL: 0x80,
} as const;
/** More than that no run writes; it keeps a driver from filling the host's memory. */
const MAX_BYTES = 64 << 20;

const FOLDERS = [
  'Windows\\System32\\drivers',
  'Windows\\System32\\config',
  'Windows\\Temp',
  'Users\\Public',
  'Program Files',
];

export class Volume {
  readonly root: FileNode;
  private used = 0;
  private readonly now: () => bigint;
  /** Bytes of a file that is not on the volume but that the session can read: a driver image. */
  outside: ((ntPath: string) => Uint8Array | undefined) | undefined;

  constructor(now: () => bigint) {
    this.now = now;
    this.root = this.node('', undefined, undefined);
    for (const path of FOLDERS) this.makeFolders(path.split('\\'));
  }

  private node(name: string, parent: FileNode | undefined, data: Uint8Array | undefined): FileNode {
    const time = this.now();
    const node: FileNode = {
      name,
      parent,
      data,
      entries: new Map(),
      created: time,
      written: time,
      attributes: data === undefined ? FileAttribute.DIRECTORY : FileAttribute.ARCHIVE,
      doomed: false,
      handles: 0,
    };
    parent?.entries.set(upcase(name), node);
    return node;
  }

  private makeFolders(names: readonly string[]): FileNode {
    let at = this.root;
    for (const name of names) at = at.entries.get(upcase(name)) ?? this.node(name, at, undefined);
    return at;
  }

  /** The node of a path below the root; a driver file of the session is taken in when it is first looked for. */
  find(path: string): FileNode | undefined {
    let at: FileNode | undefined = this.root;
    for (const name of parts(path)) {
      at = at?.entries.get(upcase(name));
      if (at === undefined) return this.adopt(path);
    }
    return at;
  }

  /** The folder that a path's last part is in, or would be. */
  folderOf(path: string): FileNode | undefined {
    let at: FileNode | undefined = this.root;
    for (const name of parts(path).slice(0, -1)) at = at?.entries.get(upcase(name));
    return at?.data === undefined ? at : undefined;
  }

  private adopt(path: string): FileNode | undefined {
    const bytes = this.outside?.(`\\??\\C:\\${parts(path).join('\\')}`);
    if (bytes === undefined) return undefined;
    const names = parts(path);
    return this.node(names[names.length - 1], this.makeFolders(names.slice(0, -1)), bytes.slice());
  }

  create(folder: FileNode, name: string, directory: boolean): FileNode {
    return this.node(name, folder, directory ? undefined : new Uint8Array(0));
  }

  /** False when the disk is full. */
  resize(node: FileNode, bytes: number): boolean {
    if (node.data === undefined) return false;
    if (!(bytes >= 0) || this.used + bytes - node.data.length > MAX_BYTES) return false;
    this.used += bytes - node.data.length;
    const data = new Uint8Array(bytes);
    data.set(node.data.subarray(0, bytes));
    node.data = data;
    node.written = this.now();
    return true;
  }

  write(node: FileNode, at: number, bytes: Uint8Array): boolean {
    if (node.data === undefined) return false;
    const end = at + bytes.length;
    if (end > node.data.length && !this.resize(node, end)) return false;
    node.data.set(bytes, at);
    node.written = this.now();
    return true;
  }

  remove(node: FileNode): void {
    if (node.data !== undefined) this.used -= node.data.length;
    node.parent?.entries.delete(upcase(node.name));
  }

  /** False when the target's folder is not there or its name is taken. */
  rename(node: FileNode, path: string, replace: boolean): boolean {
    const folder = this.folderOf(path);
    const name = parts(path).at(-1);
    if (folder === undefined || name === undefined) return false;
    const old = folder.entries.get(upcase(name));
    if (old !== undefined && old !== node && !replace) return false;
    node.parent?.entries.delete(upcase(node.name));
    node.name = name;
    node.parent = folder;
    folder.entries.set(upcase(name), node);
    return true;
  }
}

const parts = (path: string): string[] => path.split('\\').filter((part) => part !== '');

/**
 * What a path of the object namespace is called on the volume: `\??\C:\x`, `\SystemRoot\x`, `\Device\HarddiskVolume1\x`.
 * Undefined: not on the volume.
 */
export function volumePath(path: string): string | undefined {
  const rest = /^\\(?:\?\?|DosDevices|GLOBAL\?\?)\\(?:GLOBALROOT\\\?\?\\)?C:(\\.*)?$/i.exec(path);
  if (rest !== null) return rest[1] ?? '\\';
  const device = /^\\Device\\HarddiskVolume1(\\.*)?$/i.exec(path);
  if (device !== null) return device[1] ?? '\\';
  const root = /^\\SystemRoot(\\.*)?$/i.exec(path);
  return root === null ? undefined : `\\Windows${root[1] ?? ''}`;
}
