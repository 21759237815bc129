/**
 * Writes a set of index files so that a reader meets the old set or the new one: all are written beside their places
 * first, then renamed in one go. The old files keep a second name meanwhile, so that a rename frees nothing and takes
 * microseconds (measured: a tenth of a millisecond for all), and so that they come back when one cannot be put in place.
 *
 * A run that is killed between two of these renames leaves some files new and some old. modules.dep.bin, which every
 * lookup leads to, is the first to be new: a module that an older index names and that is gone is then not found, as its
 * file is not there either; nothing is loaded that was not asked for.
 */
import { closeSync, linkSync, openSync, readdirSync, renameSync, rmSync, writeSync } from 'node:fs';
import { onDisk } from './bytes-path.ts';

/** Names of unfinished and of replaced files: hidden, so that no tool takes them for an index. */
const PARTIAL = /^\.modules\.[a-z.]+\.(\d+)\.(partial|old)$/;

export interface FileContent {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Instead of bytes: a file in the same folder that has them. */
  readonly from?: string;
}

/** `folder` is there. @throws the error of the system call, with nothing changed, or with the whole set in place */
export function writeIndexes(folder: string, files: readonly FileContent[]): void {
  removePartial(folder);
  const named = (kind: string) => (name: string) => `${folder}/.${name}.${process.pid}.${kind}`;
  const [partial, old] = [named('partial'), named('old')];
  const names = inOrder(files.map(({ name }) => name));
  const remove = (): void => {
    for (const name of names)
      for (const path of [partial(name), old(name)]) rmSync(onDisk(path), { force: true });
  };
  const replaced: string[] = [];
  try {
    for (const { name, bytes, from } of files) {
      if (from === undefined) writeWhole(partial(name), bytes);
      else linkSync(onDisk(from), onDisk(partial(name)));
    }
    const kept = names.filter((name) => keepOld(`${folder}/${name}`, old(name)));
    try {
      for (const name of names) {
        renameSync(onDisk(partial(name)), onDisk(`${folder}/${name}`));
        replaced.push(name);
      }
    } catch (error) {
      for (const name of replaced)
        if (kept.includes(name)) renameSync(onDisk(old(name)), onDisk(`${folder}/${name}`));
      throw error;
    }
  } finally {
    remove();
  }
}

const FIRST: readonly string[] = [
  'modules.dep.bin',
  'modules.dep',
  'modules.builtin.bin',
  'modules.symbols.bin',
  'modules.alias.bin',
];

/** The order in which files are put in place: those that lookups begin with come first. */
export function inOrder(names: readonly string[]): readonly string[] {
  return [...FIRST.filter((name) => names.includes(name)), ...names.filter((name) => !FIRST.includes(name))];
}

/** A second name for a file; false when there is no file, or no such thing on this file system. */
function keepOld(path: string, old: string): boolean {
  try {
    linkSync(onDisk(path), onDisk(old));
    return true;
  } catch {
    return false;
  }
}

function writeWhole(path: string, bytes: Uint8Array): void {
  const fd = openSync(onDisk(path), 'w', 0o644);
  try {
    for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
  } finally {
    closeSync(fd);
  }
}

/** What a killed run left. Those of a run that goes on are its own. */
function removePartial(folder: string): void {
  for (const name of readdirSync(onDisk(folder), { encoding: 'latin1' })) {
    const pid = PARTIAL.exec(name)?.[1];
    if (pid !== undefined && !runs(Number(pid))) rmSync(onDisk(`${folder}/${name}`), { force: true });
  }
}

function runs(pid: number): boolean {
  if (pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
