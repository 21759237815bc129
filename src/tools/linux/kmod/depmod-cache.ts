/**
 * What `depmod --incremental` keeps between runs: the facts of every module with the stamps of its file, and what was said.
 * A file counts as unchanged when its path, size, inode, and the times of its content and of its entry are the same, and
 * older than the clock's step when they were read: a change within one step cannot be seen by its time.
 */
import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { deserialize, serialize } from 'node:v8';
import { type Facts, FactTable, startOf } from '../../../systems/linux/tree/facts.ts';
import type { NameTable } from '../../../systems/linux/tree/name-table.ts';
import type { Message } from './alias-index.ts';
import { onDisk } from './bytes-path.ts';
import type { FactSet } from './depmod-module.ts';

export const CACHE_NAME = '.modules.incremental';
/** Of another layout nothing is believed. */
const LAYOUT = 'lkm depmod cache 1';
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
  const stat = statSync(onDisk(path), { throwIfNoEntry: false });
  return stat === undefined ? undefined : [stat.size, stat.ino, stat.mtimeMs, stat.ctimeMs];
}

export const sameStamp = (a: Stamp, b: Stamp): boolean => a.every((value, i) => value === b[i]);

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

export function removeCache(folder: string): void {
  rmSync(onDisk(`${folder}/${CACHE_NAME}`), { force: true });
}

/** FNV over words: finds a file that was cut or overwritten, which is all that can happen to it. */
function sumOf(bytes: Buffer): number {
  const words = new Int32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + (bytes.length & ~3)));
  let sum = 0x811c9dc5 | 0;
  for (let i = 0; i < words.length; i++) sum = Math.imul(sum ^ words[i], 0x01000193);
  return sum >>> 0;
}

/** Stamps of files before they are read; `now` is before that, too. */
export function stampsOf(paths: readonly string[], now: number): Float64Array {
  const stamps = new Float64Array(4 * paths.length);
  paths.forEach((path, i) => {
    const stamp = stampOf(path);
    if (stamp === undefined || !isSettled(stamp, now)) stamps[4 * i] = -1;
    else stamps.set(stamp, 4 * i);
  });
  return stamps;
}

/** Which files have to be read: those that are not in the cache as they are now. */
export function changedFiles(cached: Cached, paths: readonly string[], stamps: Float64Array): number[] {
  const known = new Map(cached.paths.map((path, i) => [path, i]));
  const changed: number[] = [];
  paths.forEach((path, file) => {
    const before = known.get(path);
    const same =
      before !== undefined &&
      stamps[4 * file] >= 0 &&
      [0, 1, 2, 3].every((i) => stamps[4 * file + i] === cached.stamps[4 * before + i]);
    if (!same) changed.push(file);
  });
  return changed;
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

/** Which of needs, exports and .modinfo are others than they were: names are compared as text. */
export function difference(
  before: Facts,
  after: Facts,
): { readonly needs: boolean; readonly exports: boolean; readonly info: boolean } {
  const same = (a: ArrayLike<number>, b: ArrayLike<number>): boolean => {
    if (a.length !== b.length) return false;
    for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
    return true;
  };
  const [old, now] = [nameStarts(before.names), nameStarts(after.names)];
  const sameNames = (a: Int32Array, b: Int32Array, shift: number): boolean => {
    if (a.length !== b.length) return false;
    const known = new Map<number, number>();
    for (let i = 0; i < a.length; i++) {
      if ((a[i] & shift) !== (b[i] & shift)) return false;
      const [x, y] = [a[i] >> shift, b[i] >> shift];
      const seen = known.get(x);
      if (seen === undefined) {
        if (!sameText(before.names, old[x], after.names, now[y])) return false;
        known.set(x, y);
      } else if (seen !== y) return false;
    }
    return true;
  };
  return {
    needs: !same(before.needEnds, after.needEnds) || !sameNames(before.needs, after.needs, 1),
    exports: !same(before.exportEnds, after.exportEnds) || !sameNames(before.exports, after.exports, 0),
    info: !same(before.infoEnds, after.infoEnds) || !same(before.info, after.info),
  };
}

function nameStarts(names: Uint8Array): number[] {
  const starts = [0];
  for (let at = 0; at < names.length; at++) if (names[at] === 0) starts.push(at + 1);
  return starts;
}

function sameText(a: Uint8Array, i: number, b: Uint8Array, j: number): boolean {
  while (a[i] === b[j] && a[i] !== 0) {
    i++;
    j++;
  }
  return a[i] === b[j];
}
