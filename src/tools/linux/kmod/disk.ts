/** Files by path, on the machine's disks or in an archive that the path goes into. Errors are those of system calls. */
import { type Dirent, readdirSync, readFileSync, type Stats, statSync } from 'node:fs';
import type { Archives, InArchive } from '../../files.ts';
import { onDisk } from './bytes-path.ts';

/** What a folder holds, as node:fs tells it of folders of its own. */
export type Entry = Pick<Dirent, 'name' | 'isFile' | 'isDirectory'>;
export type Facts = Pick<Stats, 'isFile' | 'isDirectory' | 'mode' | 'size'>;

/** What a path leads to, links followed; undefined: nothing. */
export function statAt(path: string, archives: Archives | undefined): Facts | undefined {
  try {
    return statSync(onDisk(path));
  } catch {
    // Whoever wants to know why asks `statError`.
  }
  const inside = archives?.find(path);
  const found = inside?.tree.stat(inside.path);
  if (found === undefined) return undefined;
  const [isFile, isFolder] = [found.kind === 'file', found.kind === 'folder'];
  const mode = isFile ? 0o100444 : isFolder ? 0o040555 : 0;
  return { isFile: () => isFile, isDirectory: () => isFolder, mode, size: found.size };
}

/** No list and no index of a tree has so many bytes. */
const MOST_BYTES = 2 ** 26;

/** A file that is small, as those beside the modules are. @throws the error of a system call, or one like it */
export function readAt(path: string, archives: Archives | undefined): Buffer {
  try {
    const { size } = statSync(onDisk(path));
    if (size > MOST_BYTES) throw Object.assign(new Error(path), { code: 'EFBIG' });
    return readFileSync(onDisk(path));
  } catch (error) {
    const inside = insteadOf(error, path, archives);
    const bytes = inside.tree.read(inside.path);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  }
}

/** @throws the error of a system call, or one like it */
export function listAt(path: string, archives: Archives | undefined): readonly Entry[] {
  try {
    return readdirSync(onDisk(path), { encoding: 'latin1', withFileTypes: true });
  } catch (error) {
    const inside = insteadOf(error, path, archives);
    return inside.tree.list(inside.path).map(({ name, kind }) => ({
      name,
      isFile: () => kind === 'file',
      isDirectory: () => kind === 'folder',
    }));
  }
}

/** Where a path leads that goes through a file, which the machine refuses. @throws `error` when it is no archive */
export function insteadOf(error: unknown, path: string, archives: Archives | undefined): InArchive {
  const { code } = error as NodeJS.ErrnoException;
  // Windows says ENOENT.
  const inside = code === 'ENOTDIR' || code === 'ENOENT' ? archives?.find(path) : undefined;
  if (inside === undefined) throw error;
  return inside;
}

/** The error that stat(2) ends with for a path that leads nowhere. */
export function statError(path: string): unknown {
  try {
    statSync(onDisk(path));
  } catch (error) {
    return error;
  }
  // It came into being in between.
  return Object.assign(new Error(path), { code: 'ENOENT' });
}
