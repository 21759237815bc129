/**
 * What `depmod --incremental` keeps between runs: the facts of every module with the stamps of its file, and what was said.
 * A file counts as unchanged when its path, size, inode, and the times of its content and of its entry are the same, and
 * older than the clock's step when they were read: a change within one step cannot be seen by its time.
 */
import { existsSync, linkSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { deserialize, serialize } from 'node:v8';
import { type Facts, FactTable, startOf } from '../../../systems/linux/tree/facts.ts';
import type { NameTable } from '../../../systems/linux/tree/name-table.ts';
import { statIfAny } from '../../stat-if-any.ts';
import type { Message } from './alias-index.ts';
import { onDisk } from './bytes-path.ts';
import type { FactSet } from './depmod-module.ts';

export const CACHE_NAME = '.modules.incremental';
/** Of another layout nothing is believed. */
const LAYOUT = 'lkm depmod cache 2';
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
function isSettled([, , changed, moved]: Stamp, now: number): boolean {
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
  private readonly started: number;
  private readonly known = new Map<string, Stamp | undefined>();

  /** `started`: when this run began, in milliseconds; what was touched since may have been read before or after. */
  constructor(folder: string, started: number) {
    this.cached = readCache(folder);
    this.started = started;
  }

  /** Stamps of files before they are read. */
  stamps(paths: readonly string[]): Float64Array {
    const stamps = new Float64Array(4 * paths.length);
    paths.forEach((path, i) => {
      const stamp = this.stamp(path);
      if (stamp === undefined) stamps[4 * i] = -1;
      else for (let n = 0; n < 4; n++) stamps[4 * i + n] = stamp[n];
    });
    return stamps;
  }

  /** undefined for a file that must be read again whatever it looks like. */
  private stamp(path: string): Stamp | undefined {
    if (this.known.has(path)) return this.known.get(path);
    const found = stampOf(path);
    const stamp = found !== undefined && isSettled(found, this.started) ? found : undefined;
    this.known.set(path, stamp);
    return stamp;
  }
}

/** Which files have to be read: those that are not in the cache as they are now. */
export function changedFiles(cached: Cached, paths: readonly string[], stamps: Float64Array): number[] {
  const known = new Map(cached.paths.map((path, i) => [path, i]));
  const changed: number[] = [];
  paths.forEach((path, file) => {
    const before = known.get(path);
    if (before === undefined || !isAsBefore(cached, before, stamps, file)) changed.push(file);
  });
  return changed;
}

/** Is the file with these stamps the one that was read? */
export function isAsBefore(cached: Cached, before: number, stamps: Float64Array, file: number): boolean {
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
export function mergedFacts({ parts, partOf, rowOf }: FactSet, names: NameTable): Facts {
  const table = new FactTable(names);
  const numbers = parts.map((part, n) => (n === 0 ? undefined : names.adopt(part.names)));
  const said = parts.map((part) => new Map(part.errors));
  for (let index = 0; index < partOf.length; index++) {
    const [n, row] = [partOf[index], rowOf[index]];
    const part = parts[n];
    const own = numbers[n];
    for (let at = startOf(part.needEnds, row); at < part.needEnds[row]; at++) {
      const need = part.needs[at];
      table.needs.push(own === undefined ? need : own[need >> 1] * 2 + (need & 1));
    }
    for (let at = startOf(part.exportEnds, row); at < part.exportEnds[row]; at++)
      table.exports.push(own === undefined ? part.exports[at] : own[part.exports[at]]);
    table.info.copy(part.info, startOf(part.infoEnds, row), part.infoEnds[row]);
    table.end(index, said[n].get(row) ?? []);
  }
  return table.facts();
}

/** Which parts of what is known of modules are others than they were. */
export interface Difference {
  needs: boolean;
  exports: boolean;
  info: boolean;
}

/** Compares rows of facts: names as text. */
export class RowComparison {
  readonly found: Difference = { needs: false, exports: false, info: false };
  private readonly before: Facts;
  private readonly after: Facts;
  private readonly old: readonly number[];
  private readonly now: readonly number[];

  constructor(before: Facts, after: Facts) {
    this.before = before;
    this.after = after;
    this.old = nameStarts(before.names);
    this.now = nameStarts(after.names);
  }

  /** What differs between that row before and the one after is added to `found`. */
  add(row: number, newRow: number): void {
    const { before, after, found } = this;
    found.needs ||= !this.sameNames(part(before, 'need', row), part(after, 'need', newRow), 1);
    found.exports ||= !this.sameNames(part(before, 'export', row), part(after, 'export', newRow), 0);
    const info = before.info.subarray(startOf(before.infoEnds, row), before.infoEnds[row]);
    const newInfo = after.info.subarray(startOf(after.infoEnds, newRow), after.infoEnds[newRow]);
    found.info ||= info.length !== newInfo.length || info.some((byte, i) => byte !== newInfo[i]);
  }

  /** `flags`: bits below the number of a name, which have to be the same. */
  private sameNames(a: Int32Array, b: Int32Array, flags: number): boolean {
    const { before, after, old, now } = this;
    return (
      a.length === b.length &&
      a.every(
        (value, i) =>
          (value & flags) === (b[i] & flags) &&
          sameText(before.names, old[value >> flags], after.names, now[b[i] >> flags]),
      )
    );
  }
}

const part = (facts: Facts, what: 'need' | 'export', row: number): Int32Array => {
  const [values, ends] = what === 'need' ? [facts.needs, facts.needEnds] : [facts.exports, facts.exportEnds];
  return values.subarray(startOf(ends, row), ends[row]);
};

function nameStarts(names: Uint8Array): number[] {
  const starts = [0];
  for (let nul = names.indexOf(0); nul >= 0; nul = names.indexOf(0, nul + 1)) starts.push(nul + 1);
  return starts;
}

function sameText(a: Uint8Array, i: number, b: Uint8Array, j: number): boolean {
  while (a[i] === b[j] && a[i] !== 0) {
    i++;
    j++;
  }
  return a[i] === b[j];
}
