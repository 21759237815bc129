/**
 * Whether a tree still has the files that the last incremental run found, told by the times of its folders: listing each
 * takes three times as long. A folder's time changes with its entries on the usual file systems of Linux, and only these
 * are trusted. The tree's own folder, where the indexes are written, is listed each time.
 */
import { statfsSync } from 'node:fs';
import type { DepmodConfig } from '../../../systems/linux/tree/depmod-config.ts';
import { isModuleFile } from '../../../systems/linux/tree/names.ts';
import { statIfAny } from '../../stat-if-any.ts';
import { onDisk } from './bytes-path.ts';
import { isSettled } from './depmod-cache.ts';
import { listAt } from './disk.ts';
import type { TreeScan } from './scan.ts';

/** f_type: ext2 to ext4, XFS, Btrfs, tmpfs, overlayfs, ZFS, F2FS, bcachefs (statfs(2)). */
const TRUSTED: readonly number[] = [
  0xef53, 0x58465342, 0x9123683e, 0x01021994, 0x794c7630, 0x2fc12fc1, 0xf2f52010, 0xca451a4e,
];

/** What a search went by. */
export interface Searched {
  /** The configuration, and the entries of the tree's own folder. */
  readonly by: string;
  readonly folders: readonly string[];
  /** Four numbers a folder: device, inode, both times; a device of -1 for one that proves nothing. */
  readonly stamps: Float64Array;
}

const WORDS = 4;

function stampTo(stamps: Float64Array, at: number, path: string, started: number): void {
  const stat = statIfAny(onDisk(path));
  if (stat === undefined || !isSettled(stat.mtimeMs, stat.ctimeMs, started)) {
    stamps[at] = -1;
    return;
  }
  stamps[at] = stat.dev;
  stamps[at + 1] = stat.ino;
  stamps[at + 2] = stat.mtimeMs;
  stamps[at + 3] = stat.ctimeMs;
}

/** Watches a search that begins now; the function returned tells what it went by, undefined when that proves nothing. */
export function watchSearch(
  scan: TreeScan,
  tree: string,
  config: DepmodConfig,
  started: number,
): () => Searched | undefined {
  if (!isTrusted(tree)) return () => undefined;
  const by = searchedBy(tree, config);
  const seen = new Map<string, Float64Array>();
  scan.onFolder = (path) => {
    const stamp = new Float64Array(WORDS);
    stampTo(stamp, 0, path, started);
    seen.set(path, stamp);
  };
  return () => {
    if (!scan.isPlain || by === undefined) return undefined;
    const stamps = new Float64Array(WORDS * scan.folders.length);
    scan.folders.forEach((path, i) => {
      stamps.set(seen.get(path) ?? [-1], WORDS * i);
    });
    return { by, folders: scan.folders, stamps };
  };
}

/** Would a search find the same files? */
export function findsTheSame(
  { by, folders, stamps }: Searched,
  tree: string,
  config: DepmodConfig,
  started: number,
): boolean {
  if (!isTrusted(tree) || searchedBy(tree, config) !== by) return false;
  const device = statIfAny(onDisk(tree))?.dev;
  const now = new Float64Array(WORDS);
  return folders.every((path, i) => {
    const at = WORDS * i;
    stampTo(now, 0, path, started);
    return (
      now[0] === device &&
      stamps[at] === now[0] &&
      stamps[at + 1] === now[1] &&
      stamps[at + 2] === now[2] &&
      stamps[at + 3] === now[3]
    );
  });
}

/**
 * Folders whose entries came or went after `started` (whole milliseconds): the files read may not be those that are there.
 * The clock of a file system is behind the program's, if anything; of the two times one can be set at will. The tree's own
 * folder is left out, as others keep files of theirs there.
 */
export function changedSince(folders: readonly string[], tree: string, started: number): string[] {
  if (!isTrusted(tree)) return [];
  return folders.filter((path) => {
    if (path === tree) return false;
    const stat = statIfAny(onDisk(path));
    return stat === undefined || Math.min(stat.mtimeMs, stat.ctimeMs) >= started + 1;
  });
}

function isTrusted(tree: string): boolean {
  if (process.platform !== 'linux') return false;
  try {
    return TRUSTED.includes(statfsSync(onDisk(tree)).type);
  } catch {
    return false;
  }
}

function searchedBy(tree: string, config: DepmodConfig): string | undefined {
  try {
    const entries = listAt(tree, undefined)
      .filter((entry) => !entry.isFile() || isModuleFile(entry.name))
      .map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name));
    return JSON.stringify([config, entries]);
  } catch {
    return undefined;
  }
}
