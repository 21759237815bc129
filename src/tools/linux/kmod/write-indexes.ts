/**
 * Writes a set of index files so that no reader meets half of one: all are written beside their places first, then
 * renamed in one go. modules.dep comes first, as every other index leads to it; a run that is killed in between leaves
 * older lists of aliases beside a newer list of modules, which name at worst a module that is not there any more.
 */
import { closeSync, openSync, readdirSync, renameSync, rmSync, writeSync } from 'node:fs';
import { onDisk } from './bytes-path.ts';

/** Names of unfinished files: hidden, so that no tool takes them for an index. */
const PARTIAL = /^\.modules\.[a-z.]+\.\d+\.partial$/;

export interface FileContent {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** `folder` is there. @throws the error of the system call, with nothing changed, or with the whole set in place */
export function writeIndexes(folder: string, files: readonly FileContent[]): void {
  removePartial(folder);
  const partial = files.map(({ name }) => `${folder}/.${name}.${process.pid}.partial`);
  try {
    files.forEach(({ bytes }, i) => {
      writeWhole(partial[i], bytes);
    });
  } catch (error) {
    for (const path of partial) rmSync(onDisk(path), { force: true });
    throw error;
  }
  files.forEach(({ name }, i) => {
    renameSync(onDisk(partial[i]), onDisk(`${folder}/${name}`));
  });
}

function writeWhole(path: string, bytes: Uint8Array): void {
  const fd = openSync(onDisk(path), 'w', 0o644);
  try {
    for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
  } finally {
    closeSync(fd);
  }
}

/** What a killed run left. */
function removePartial(folder: string): void {
  for (const name of readdirSync(onDisk(folder), { encoding: 'latin1' }))
    if (PARTIAL.test(name)) rmSync(onDisk(`${folder}/${name}`), { force: true });
}
