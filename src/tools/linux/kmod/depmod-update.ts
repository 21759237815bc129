/** One run of `depmod --incremental`: what of the last run still holds, and what has to be made again. */
import { type Facts, FactTable, startOf } from '../../../systems/linux/tree/facts.ts';
import type { NameTable } from '../../../systems/linux/tree/name-table.ts';
import type { MadeFile } from './alias-index.ts';
import {
  type Cached,
  cachedFacts,
  changedFiles,
  keepIndex,
  type LastRun,
  mergedFacts,
  placeOf,
  secondName,
  stampOf,
  writeCache,
} from './depmod-cache.ts';
import type { Searched } from './depmod-folders.ts';
import { DepmodModule, FactSet } from './depmod-module.ts';
import { ENOUGH, readInto } from './depmod-scan.ts';
import { ModuleReader } from './module-source.ts';

/** Which files are to be made again. */
export interface Stale {
  readonly dependencies: boolean;
  readonly symbols: boolean;
  readonly builtin: boolean;
  readonly aliases: boolean;
}

/** In the order in which they are written, with what they depend on. */
const FILES: readonly (readonly [name: string, text: boolean, group: keyof Stale])[] = [
  ['modules.dep', true, 'dependencies'],
  ['modules.dep.bin', false, 'dependencies'],
  ['modules.alias', true, 'aliases'],
  ['modules.alias.bin', false, 'aliases'],
  ['modules.softdep', true, 'aliases'],
  ['modules.weakdep', true, 'aliases'],
  ['modules.symbols', true, 'symbols'],
  ['modules.symbols.bin', false, 'symbols'],
  ['modules.builtin.bin', false, 'builtin'],
  ['modules.builtin.alias.bin', false, 'builtin'],
  ['modules.devname', true, 'aliases'],
];

const NO_BYTES = new Uint8Array();

/** What a run finds in the tree. */
export interface Found {
  /** Paths by module name. */
  readonly paths: ReadonlyMap<string, string>;
  /** All modules in the order in which they are written. */
  readonly sorted: () => readonly DepmodModule[];
  /** The order is known to be that of the last run when it was found in the same files. */
  readonly ordered: boolean;
  /** Everything else that the indexes are made of. */
  readonly inputs: string;
  readonly tree: string;
  /** How the paths were found. */
  readonly searched: Searched | undefined;
}

export class Update {
  private readonly names: NameTable;
  private readonly found: Found;
  private readonly folder: string;
  private readonly cached: Cached | undefined;
  /** The last run found the same files, and all else as it is: its rows are this run's modules. */
  private readonly same: boolean;
  private readonly paths: readonly string[];
  private readonly stamps: Float64Array;
  private readonly changed: readonly number[] | undefined;
  private sortedModules: readonly DepmodModule[] | undefined;
  private difference: Difference | undefined;

  constructor(found: Found, names: NameTable, folder: string, last: LastRun) {
    this.found = found;
    this.names = names;
    this.folder = folder;
    const { cached } = last;
    this.cached = cached;
    this.same =
      cached !== undefined &&
      found.ordered &&
      cached.inputs === found.inputs &&
      cached.paths.length === found.paths.size &&
      cached.paths.every((path, i) => found.paths.get(cached.modules[i]) === path);
    this.paths = this.same && cached !== undefined ? cached.paths : this.modules.map(({ path }) => path);
    this.stamps = last.stamps(this.paths);
    this.changed = cached && changedFiles(cached, this.paths, this.stamps, this.same);
  }

  get modules(): readonly DepmodModule[] {
    const { cached, found } = this;
    this.sortedModules ??=
      this.same && cached !== undefined
        ? cached.modules.map((name, i) => new DepmodModule(name, cached.paths[i], found.tree, i))
        : found.sorted();
    return this.sortedModules;
  }

  /** The facts, of which only those of changed files are read; undefined when so much changed that all should be. */
  set(): FactSet | undefined {
    const { cached, changed, paths, names, same } = this;
    if (cached === undefined || changed === undefined || changed.length > ENOUGH) return undefined;
    // The last run's numbers are this one's, too: its names are the first.
    if (names.size > 0) throw new Error('names before those of the last run');
    names.adopt(cached.facts.names);
    const table = new FactTable(names);
    const reader = new ModuleReader(undefined, false, names);
    for (const file of changed) readInto(table, reader, file, paths[file], false);
    const fresh = table.facts();
    if (!same) return FactSet.ofFiles([fresh, cachedFacts(cached, paths, changed)], paths, this.modules, 2);
    const partOf = new Uint8Array(paths.length).fill(1);
    const rowOf = Int32Array.from(paths.keys());
    changed.forEach((module, row) => {
      partOf[module] = 0;
      rowOf[module] = row;
    });
    this.difference = rowDifference(cached.facts, fresh);
    return new FactSet([fresh, cached.facts], partOf, rowOf, 2);
  }

  /** What of the last run's files does not hold any more. */
  get stale(): Stale {
    const { cached, difference } = this;
    if (cached === undefined || difference === undefined)
      return { dependencies: true, symbols: true, builtin: true, aliases: true };
    const { needs, exports, info } = difference;
    const gone = (group: keyof Stale): boolean =>
      FILES.some(([name, , of]) => of === group && placeOf(cached, this.folder, name) === 'gone');
    return {
      dependencies: needs || exports || gone('dependencies'),
      symbols: exports || gone('symbols'),
      builtin: gone('builtin'),
      aliases: info || gone('aliases'),
    };
  }

  /** All files in the order in which they are written; those that were not made again are kept, or put back. */
  inOrder(made: ReadonlyMap<string, MadeFile>): readonly MadeFile[] {
    const { cached, folder } = this;
    return FILES.flatMap(
      (file) => made.get(file[0]) ?? (cached === undefined ? [] : oldFile(file, cached, folder)),
    );
  }

  /** Leaves to the next run what this one found. */
  keep(set: FactSet, made: ReadonlyMap<string, MadeFile>): void {
    const { cached, difference, found } = this;
    if (made.size === 0 && this.changed?.length === 0) return;
    const outputs: Record<string, Cached['outputs'][string]> = {};
    for (const { name, messages } of this.inOrder(made)) {
      if (made.has(name)) keepIndex(this.folder, name);
      const stamp = stampOf(`${this.folder}/${name}`);
      if (stamp !== undefined) outputs[name] = { stamp, messages };
    }
    const unchanged = cached !== undefined && difference !== undefined && !isAny(difference);
    const facts = unchanged ? cached.facts : mergedFacts(set, this.names);
    const modules = this.same && cached !== undefined ? cached.modules : this.modules.map(({ name }) => name);
    const { paths, stamps } = this;
    const { inputs, searched } = found;
    writeCache(this.folder, { inputs, modules, paths, stamps, facts, searched, outputs });
  }
}

/** An index of the last run, which still holds. */
function oldFile([name, text]: (typeof FILES)[number], cached: Cached, folder: string): MadeFile {
  const messages = cached.outputs[name]?.messages ?? [];
  const there = placeOf(cached, folder, name) !== 'kept';
  return {
    name,
    text,
    bytes: NO_BYTES,
    messages,
    ...(there ? { kept: true } : { from: secondName(folder, name) }),
  };
}

/** What became others in the modules that were read again, whose numbers of names are those of before. */
function rowDifference(before: Facts, after: Facts): Difference {
  const found: Difference = { needs: false, exports: false, info: false, errors: false };
  const said = [new Map(before.errors), new Map(after.errors)];
  for (let row = 0; row < after.modules.length; row++) {
    const old = after.modules[row];
    found.needs ||= !sameItems(before.needs, before.needEnds, old, after.needs, after.needEnds, row);
    found.exports ||= !sameItems(
      before.exports,
      before.exportEnds,
      old,
      after.exports,
      after.exportEnds,
      row,
    );
    found.info ||= !sameItems(before.info, before.infoEnds, old, after.info, after.infoEnds, row);
    found.errors ||= (said[0].get(old) ?? []).join('') !== (said[1].get(row) ?? []).join('');
  }
  return found;
}

const isAny = ({ needs, exports, info, errors }: Difference): boolean => needs || exports || info || errors;

/** Are two rows' parts the same? */
function sameItems(
  a: Int32Array | Uint8Array,
  aEnds: Int32Array,
  aRow: number,
  b: Int32Array | Uint8Array,
  bEnds: Int32Array,
  bRow: number,
): boolean {
  const [from, start] = [startOf(aEnds, aRow), startOf(bEnds, bRow)];
  const length = aEnds[aRow] - from;
  if (bEnds[bRow] - start !== length) return false;
  for (let i = 0; i < length; i++) if (a[from + i] !== b[start + i]) return false;
  return true;
}

/** Which parts of what is known of modules are others than they were. */
interface Difference {
  needs: boolean;
  exports: boolean;
  info: boolean;
  errors: boolean;
}
