/** Files of the machine, in folders and in archives. An archive counts as a folder: its path may go on inside it. */

import { randomUUID } from 'node:crypto';
import {
  type BigIntStats,
  closeSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  type Stats,
  statSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { FormatError } from '../bytes/errors.ts';
import {
  ArchiveTree,
  type FileTree,
  SubTree,
  type TreeEntry,
  TreeError,
  type TreeStat,
} from '../catalog/file-tree.ts';
import { mayBeArchive, readArchive } from '../formats/archive/read.ts';
import { type ByteStore, NoRoom, type Spill } from '../formats/archive/store.ts';

/** Enough of a file to recognise an archive. */
const HEAD = 512;
/** An archive larger than this does not fit into the memory of one process with what it unpacks to. */
const MOST_BYTES = 2 ** 30;

/** A string of bytes as node:fs takes it. */
const onDisk = (path: string): string | Buffer =>
  /[^\x00-\x7f]/.test(path) ? Buffer.from(path, 'latin1') : path;

/** A folder of the machine. */
class FolderTree implements FileTree {
  readonly name: string;
  private readonly root: string;

  constructor(root: string) {
    this.name = root;
    this.root = root;
  }

  private at(path: string): string {
    return path === '' ? this.root : `${this.root}/${path}`;
  }

  list(folder: string): readonly TreeEntry[] {
    return readdirSync(onDisk(this.at(folder)), { encoding: 'latin1', withFileTypes: true }).map((entry) => ({
      name: entry.name,
      kind: entry.isFile()
        ? 'file'
        : entry.isDirectory()
          ? 'folder'
          : entry.isSymbolicLink()
            ? 'link'
            : 'other',
    }));
  }

  stat(path: string): TreeStat | undefined {
    return statOf(this.at(path));
  }

  read(path: string): Uint8Array {
    return readFileSync(onDisk(this.at(path)));
  }
}

function statOf(path: string): TreeStat | undefined {
  let stat: BigIntStats;
  try {
    stat = statSync(onDisk(path), { bigint: true });
  } catch {
    // Absent, behind a file, in a ring of links: it is not there.
    return undefined;
  }
  const kind = stat.isFile() ? 'file' : stat.isDirectory() ? 'folder' : 'other';
  return { kind, size: Number(stat.size), modified: stat.mtimeNs };
}

/**
 * A folder or an archive by its path, which may go on inside an archive.
 * @throws the error of a system call, FormatError for a damaged archive, TreeError ENOTDIR for a file that is none
 */
export function openTree(path: string): FileTree {
  let stat: Stats;
  try {
    stat = statSync(onDisk(path));
  } catch (error) {
    return folderInside(path, error);
  }
  if (stat.isDirectory()) return new FolderTree(path);
  const tree = archiveTree(path);
  if (tree === undefined) throw new TreeError('ENOTDIR', path);
  return tree;
}

/** A folder in an archive. @throws `error` where the path leads into none */
function folderInside(path: string, error: unknown): FileTree {
  const inside = new Archives().find(resolve(path));
  const kind = inside?.tree.stat(inside.path)?.kind;
  if (inside === undefined || kind === undefined) throw error;
  if (kind !== 'folder') throw new TreeError('ENOTDIR', path);
  return new SubTree(path, inside.tree, inside.path);
}

function archiveTree(path: string): FileTree | undefined {
  if (statSync(onDisk(path)).size > MOST_BYTES || !mayBeArchive(headOf(path))) return undefined;
  const archive = readArchive(readFileSync(onDisk(path)), () => new TemporaryFile());
  return archive === undefined ? undefined : new ArchiveTree(path, archive.entries);
}

/** A file without a name, which is gone when the process is. */
class TemporaryFile implements Spill {
  private readonly fd: number;
  private size = 0;

  constructor() {
    const path = join(tmpdir(), `lkm-${process.pid}-${randomUUID()}.unpacked`);
    try {
      this.fd = openSync(path, 'wx+', 0o600);
    } catch (error) {
      throw new NoRoom(error);
    }
    try {
      rmSync(path);
    } catch {
      // Where a file that is open keeps its name, it loses it at the end.
      process.on('exit', () => rmSync(path, { force: true }));
    }
  }

  add(piece: Uint8Array): void {
    try {
      for (let done = 0; done < piece.length; ) done += writeSync(this.fd, piece, done);
    } catch (error) {
      throw new NoRoom(error);
    }
    this.size += piece.length;
  }

  drop(): void {
    closeSync(this.fd);
  }

  done(): ByteStore {
    const { fd, size } = this;
    return {
      size,
      slice: (from, to) => {
        const bytes = Buffer.allocUnsafeSlow(Math.max(0, Math.min(to, size) - from));
        for (let done = 0; done < bytes.length; ) {
          const count = readSync(fd, bytes, done, bytes.length - done, from + done);
          if (count === 0) throw new TreeError('EIO', 'a temporary file', 'it was cut short');
          done += count;
        }
        return bytes;
      },
    };
  }
}

function opened(path: string): FileTree | undefined {
  try {
    return archiveTree(path);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new TreeError('EIO', path, error.message);
  }
}

function headOf(path: string): Uint8Array {
  const fd = openSync(onDisk(path), 'r');
  try {
    const head = new Uint8Array(HEAD);
    return head.subarray(0, readSync(fd, head, 0, HEAD, 0));
  } finally {
    closeSync(fd);
  }
}

/** Where a path leads that goes into an archive. */
export interface InArchive {
  readonly tree: FileTree;
  readonly archive: string;
  readonly path: string;
}

/** The archives that paths lead into, each opened once. */
export class Archives {
  private readonly open = new Map<string, FileTree | undefined>();

  /**
   * The archive that an absolute path goes through, for a path that the machine itself does not find; undefined when there
   * is none. @throws TreeError EIO for a damaged archive
   */
  find(path: string): InArchive | undefined {
    for (let slash = path.length; slash > 0; slash = path.lastIndexOf('/', slash - 1)) {
      const above = path.slice(0, slash);
      const known = this.open.get(above);
      if (known !== undefined) return { tree: known, archive: above, path: path.slice(slash + 1) };
      const stat = statOf(above);
      if (stat === undefined) continue;
      if (stat.kind !== 'file') return undefined;
      const tree = opened(above);
      if (tree === undefined) return undefined;
      this.open.set(above, tree);
      return { tree, archive: above, path: path.slice(slash + 1) };
    }
    return undefined;
  }
}
