/**
 * What `depmod --incremental` keeps between runs: the facts of every module with the stamps of its file, and what was said.
 * A file counts as unchanged when its path, size, inode, and the times of its content and of its entry are the same, and
 * older than the clock's step when they were read: a change within one step cannot be seen by its time.
 */
import { existsSync, linkSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { deserialize, serialize } from 'node:v8';
import { type Facts, FactTable } from '../../../systems/linux/tree/facts.ts';
import type { NameTable } from '../../../systems/linux/tree/name-table.ts';
import { statIfAny } from '../../stat-if-any.ts';
import type { Message } from './alias-index.ts';
import { onDisk } from './bytes-path.ts';
import type { Searched } from './depmod-folders.ts';
import type { FactSet } from './depmod-module.ts';

export const CACHE_NAME = '.modules.incremental';
/** Of another layout nothing is believed. */
const LAYOUT = 'lkm depmod cache 3';
/**
 * Every index has a second name, so that it is still there when another tool has put its own in its place: then the old one
 * is put back, where it would be made of the same facts again.
 */
const SECOND = /^\.modules\.[a-z.]+\.kept$/;
export const secondName = (folder: string, name: string): string => `${folder}/.${name}.kept`;
/** Times closer than this to the moment of reading prove nothing: the coarsest clock of the usual file systems. */
const CLOCK_STEP = 20;
/** File systems that keep whole seconds (or two, as FAT does) are known by their times. */
const WHOLE_SECONDS = 2000;

/** Size, inode, and both times in milliseconds: exact to a quarter of a microsecond. */
export type Stamp = readonly [size: number, inode: number, changed: number, moved: number];

export interface Cached {
  readonly layout: string;
  /** Everything else that goes into the indexes, as one string. */
  readonly inputs: string;
  /** Names of modules in order, and the files that were taken for them. */
  readonly modules: readonly string[];
  readonly paths: readonly string[];
  /** Four numbers a path; a size of -1 for a file that is to be read again. */
  readonly stamps: Float64Array;
  readonly facts: Facts;
  /** How the files were found, where that proves something. */
  readonly searched: Searched | undefined;
  /** By index file: what it was like on disk, and what is said when it is made. */
  readonly outputs: Readonly<
    Record<string, { readonly stamp: Stamp; readonly messages: readonly Message[] }>
  >;
}

export function stampOf(path: string): Stamp | undefined {
  const stat = statIfAny(onDisk(path));
  return stat === undefined ? undefined : [stat.size, stat.ino, stat.mtimeMs, stat.ctimeMs];
}

/** The same contents: a second name changes the time of the entry. */
const sameContents = (a: Stamp, b: Stamp): boolean => a[0] === b[0] && a[1] === b[1] && a[2] === b[2];

/** Is a file of these times, read at `now`, known not to have changed since? */
export function isSettled(changed: number, moved: number, now: number): boolean {
  const step = changed % 1000 === 0 && moved % 1000 === 0 ? WHOLE_SECONDS : CLOCK_STEP;
  return Math.max(changed, moved) + step < now;
}

/** undefined when there is none that can be believed. */
export function readCache(folder: string): Cached | undefined {
  try {
    const bytes = readFileSync(onDisk(`${folder}/${CACHE_NAME}`));
    const body = bytes.subarray(8);
    if (bytes.readUInt32LE(0) !== body.length || bytes.readUInt32LE(4) !== sumOf(body)) return undefined;
    const cached = deserialize(body) as Cached;
    return cached.layout === LAYOUT ? cached : undefined;
  } catch {
    // Absent, cut short or of another version of the program: everything is read anew.
    return undefined;
  }
}

/** Keeps what a run found. It is a help for the next one only: that it cannot be written is no error. */
export function writeCache(folder: string, cached: Omit<Cached, 'layout'>): void {
  const body = serialize({ layout: LAYOUT, ...cached });
  const head = Buffer.alloc(8);
  head.writeUInt32LE(body.length, 0);
  head.writeUInt32LE(sumOf(body), 4);
  const partial = `${folder}/${CACHE_NAME}.${process.pid}`;
  try {
    writeFileSync(onDisk(partial), Buffer.concat([head, body]));
    renameSync(onDisk(partial), onDisk(`${folder}/${CACHE_NAME}`));
  } catch {
    rmSync(onDisk(partial), { force: true });
  }
}

/** With all second names. */
export function removeCache(folder: string): void {
  if (!existsSync(onDisk(`${folder}/${CACHE_NAME}`))) return;
  rmSync(onDisk(`${folder}/${CACHE_NAME}`), { force: true });
  for (const name of readdirSync(onDisk(folder), { encoding: 'latin1' }))
    if (SECOND.test(name)) rmSync(onDisk(`${folder}/${name}`), { force: true });
}

/** Gives an index its second name; without links on the file system it has none. */
export function keepIndex(folder: string, name: string): void {
  const second = onDisk(secondName(folder, name));
  rmSync(second, { force: true });
  try {
    linkSync(onDisk(`${folder}/${name}`), second);
  } catch {
    // It will be made again where it would have been put back.
  }
}

/** Bytes between those that are summed up: much less than what a file system loses at once. */
const STRIDE = 61;

/** FNV over some of the bytes: finds a file that was cut or overwritten, which is all that can happen to it. */
function sumOf(bytes: Buffer): number {
  let sum = 0x811c9dc5 | 0;
  for (let i = 0; i < bytes.length; i += STRIDE) sum = Math.imul(sum ^ bytes[i], 0x01000193);
  return sum >>> 0;
}

/** What the last run left, and what the files are like now. */
export class LastRun {
  readonly cached: Cached | undefined;
  readonly started: number;
  /** `started`: when this run began, in milliseconds; what was touched since may have been read before or after. */
  constructor(folder: string, started: number) {
    this.cached = readCache(folder);
    this.started = started;
  }

  /** Stamps of files before they are read; of one that must be read again whatever it looks like the size is -1. */
  stamps(paths: readonly string[]): Float64Array {
    const stamps = new Float64Array(4 * paths.length);
    for (let i = 0; i < paths.length; i++) {
      const stat = statIfAny(onDisk(paths[i]));
      const at = 4 * i;
      if (stat === undefined || !isSettled(stat.mtimeMs, stat.ctimeMs, this.started)) stamps[at] = -1;
      else {
        stamps[at] = stat.size;
        stamps[at + 1] = stat.ino;
        stamps[at + 2] = stat.mtimeMs;
        stamps[at + 3] = stat.ctimeMs;
      }
    }
    return stamps;
  }
}

/** Which files have to be read: those that are not in the cache as they are now. `same`: it has these files, in this order. */
export function changedFiles(
  cached: Cached,
  paths: readonly string[],
  stamps: Float64Array,
  same: boolean,
): number[] {
  const known = same ? undefined : new Map(cached.paths.map((path, i) => [path, i]));
  const changed: number[] = [];
  for (let file = 0; file < paths.length; file++) {
    const before = known === undefined ? file : known.get(paths[file]);
    if (before === undefined || !isAsBefore(cached, before, stamps, file)) changed.push(file);
  }
  return changed;
}

/** Is the file with these stamps the one that was read? */
function isAsBefore(cached: Cached, before: number, stamps: Float64Array, file: number): boolean {
  if (stamps[4 * file] < 0) return false;
  for (let i = 0; i < 4; i++) if (stamps[4 * file + i] !== cached.stamps[4 * before + i]) return false;
  return true;
}

/** Where the index that was written is: in its place, under its second name alone, or nowhere. */
export function placeOf({ outputs }: Cached, folder: string, name: string): 'there' | 'kept' | 'gone' {
  if (!Object.hasOwn(outputs, name)) return 'gone';
  const isIt = (path: string): boolean => {
    const now = stampOf(path);
    return now !== undefined && sameContents(now, outputs[name].stamp);
  };
  if (isIt(`${folder}/${name}`)) return 'there';
  return isIt(secondName(folder, name)) ? 'kept' : 'gone';
}

/** The cached facts with the numbers that files have now; those that are to be read again have none. */
export function cachedFacts(cached: Cached, paths: readonly string[], changed: readonly number[]): Facts {
  const numbers = new Map(paths.map((path, file) => [path, file]));
  for (const file of changed) numbers.delete(paths[file]);
  const modules = cached.facts.modules.map((file) => numbers.get(cached.paths[file]) ?? -1);
  return { ...cached.facts, modules };
}

/** What the parts hold of each module, as one; `modules` of the result are positions in the order of the modules. */
export function mergedFacts(set: FactSet, names: NameTable): Facts {
  const { parts, partOf, rowOf } = set;
  const table = new FactTable(names);
  const numbers = set.numbers(names);
  const said = parts.map((part) => new Map(part.errors));
  for (let index = 0, next = 0; index < partOf.length; index = next) {
    const [n, row] = [partOf[index], rowOf[index]];
    // Rows that follow each other are taken at once: of most runs nearly all do.
    for (next = index + 1; next < partOf.length; next++)
      if (partOf[next] !== n || rowOf[next] !== row + next - index || said[n].has(rowOf[next])) break;
    table.copyRows(parts[n], row, row + next - index, index, numbers[n]);
    const errors = said[n].get(row);
    if (errors !== undefined) table.say(index, errors);
  }
  return table.facts();
}
