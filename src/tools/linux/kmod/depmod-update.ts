/** One run of `depmod --incremental`: what of the last run still holds, and what has to be made again. */
import { type Facts, FactTable } from '../../../systems/linux/tree/facts.ts';
import { NameTable } from '../../../systems/linux/tree/name-table.ts';
import type { MadeFile } from './alias-index.ts';
import {
  type Cached,
  cachedFacts,
  changedFiles,
  type Difference,
  isAsBefore,
  keepIndex,
  type LastRun,
  mergedFacts,
  placeOf,
  RowComparison,
  secondName,
  stampOf,
  writeCache,
} from './depmod-cache.ts';
import { type DepmodModule, FactSet } from './depmod-module.ts';
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

export class Update {
  private readonly modules: readonly DepmodModule[];
  private readonly paths: readonly string[];
  private readonly names: NameTable;
  private readonly inputs: string;
  private readonly folder: string;
  private readonly cached: Cached | undefined;
  private readonly stamps: Float64Array;
  private readonly changed: readonly number[] | undefined;

  constructor(
    modules: readonly DepmodModule[],
    names: NameTable,
    inputs: string,
    folder: string,
    last: LastRun,
  ) {
    this.modules = modules;
    this.paths = modules.map(({ path }) => path);
    this.names = names;
    this.inputs = inputs;
    this.folder = folder;
    this.cached = last.cached;
    this.stamps = last.stamps(this.paths);
    this.changed = this.cached && changedFiles(this.cached, this.paths, this.stamps);
  }

  /** The facts, of which only those of changed files are read; undefined when so much changed that all should be. */
  set(): FactSet | undefined {
    const { cached, changed, paths, names, modules } = this;
    if (cached === undefined || changed === undefined || changed.length > ENOUGH) return undefined;
    const table = new FactTable(names);
    const reader = new ModuleReader(undefined, false, table.names);
    for (const file of changed) readInto(table, reader, file, paths[file], false);
    return new FactSet([table.facts(), cachedFacts(cached, paths, changed)], paths, modules);
  }

  /** What of the last run's files does not hold any more. */
  stale(set: FactSet): Stale {
    const { cached, changed } = this;
    const same =
      cached !== undefined &&
      cached.inputs === this.inputs &&
      cached.paths.length === this.paths.length &&
      this.modules.every(({ name, path }, i) => cached.modules[i] === name && cached.paths[i] === path);
    if (!same) return { dependencies: true, symbols: true, builtin: true, aliases: true };
    const { needs, exports, info } = rowDifference(cached, set, changed ?? []);
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
    if (made.size === 0 && this.changed?.length === 0) return;
    const outputs: Record<string, Cached['outputs'][string]> = {};
    for (const { name, messages } of this.inOrder(made)) {
      if (made.has(name)) keepIndex(this.folder, name);
      const stamp = stampOf(`${this.folder}/${name}`);
      if (stamp !== undefined) outputs[name] = { stamp, messages };
    }
    const facts = mergedFacts(set, this.names);
    const modules = this.modules.map(({ name }) => name);
    const { inputs, paths, stamps } = this;
    writeCache(this.folder, { inputs, modules, paths, stamps, facts, outputs });
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

/** The modules are the same: what became others in the files that changed. Rows of the last run are modules. */
function rowDifference(cached: Cached, set: FactSet, changed: readonly number[]): Difference {
  const parts = set.parts.map((part) => new RowComparison(cached.facts, part));
  for (const module of changed) parts[set.partOf[module]].add(module, set.rowOf[module]);
  const any = (what: keyof Difference): boolean => parts.some(({ found }) => found[what]);
  return { needs: any('needs'), exports: any('exports'), info: any('info') };
}

/**
 * Finds everything as the last run left it, or with other times and the same contents: gives what is said then and the files
 * that still hold, and leaves the new times to the next run. undefined: something is to be made again.
 */
export function asLastTime(
  last: LastRun,
  found: ReadonlyMap<string, string>,
  inputs: string,
  folder: string,
): { readonly errors: readonly string[]; readonly files: readonly MadeFile[] } | undefined {
  const { cached } = last;
  if (cached === undefined || cached.inputs !== inputs || cached.paths.length !== found.size)
    return undefined;
  const { paths, modules, facts } = cached;
  if (!paths.every((path, i) => found.get(modules[i]) === path)) return undefined;
  if (FILES.some(([name]) => placeOf(cached, folder, name) === 'gone')) return undefined;
  const stamps = last.stamps(paths);
  const changed: number[] = [];
  for (let i = 0; i < paths.length; i++) if (!isAsBefore(cached, i, stamps, i)) changed.push(i);
  if (changed.length > ENOUGH) return undefined;
  const now = readAgain(paths, changed);
  const rows = new RowComparison(facts, now);
  changed.forEach((module, row) => {
    rows.add(module, row);
  });
  if (rows.found.needs || rows.found.exports || rows.found.info || !sameErrors(facts, now)) return undefined;
  const { layout: _, ...rest } = cached;
  if (changed.length > 0) writeCache(folder, { ...rest, stamps });
  return {
    errors: facts.errors.flatMap(([, texts]) => texts),
    files: FILES.map((file) => oldFile(file, cached, folder)),
  };
}

function readAgain(paths: readonly string[], changed: readonly number[]): Facts {
  const table = new FactTable(new NameTable());
  const reader = new ModuleReader(undefined, false, table.names);
  for (const module of changed) readInto(table, reader, module, paths[module], false);
  return table.facts();
}

/** Does each file that was read again have the same said about it? */
function sameErrors(before: Facts, now: Facts): boolean {
  const [old, own] = [new Map(before.errors), new Map(now.errors)];
  return [...now.modules].every(
    (module, row) => (old.get(module) ?? []).join('') === (own.get(row) ?? []).join(''),
  );
}
