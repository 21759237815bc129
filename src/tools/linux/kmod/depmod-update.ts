/** One run of `depmod --incremental`: what of the last run still holds, and what has to be made again. */
import type { Facts } from '../../../systems/linux/tree/facts.ts';
import { FactTable } from '../../../systems/linux/tree/facts.ts';
import type { NameTable } from '../../../systems/linux/tree/name-table.ts';
import type { MadeFile } from './alias-index.ts';
import {
  type Cached,
  cachedFacts,
  changedFiles,
  difference,
  mergedFacts,
  readCache,
  sameStamp,
  stampOf,
  stampsOf,
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
  private merged: Facts | undefined;

  /** `started`: when the run began; what was touched since may have been read before or after. */
  constructor(
    modules: readonly DepmodModule[],
    names: NameTable,
    inputs: string,
    folder: string,
    started: number,
  ) {
    this.modules = modules;
    this.paths = modules.map(({ path }) => path);
    this.names = names;
    this.inputs = inputs;
    this.folder = folder;
    this.cached = readCache(folder);
    this.stamps = stampsOf(this.paths, started);
    this.changed = this.cached && changedFiles(this.cached, this.paths, this.stamps);
  }

  /** The facts, of which only those of changed files are read; undefined when so much changed that all should be. */
  set(): FactSet | undefined {
    const { cached, changed, paths, names, modules } = this;
    if (cached === undefined || changed === undefined || changed.length > ENOUGH) return undefined;
    const table = new FactTable(names);
    const reader = new ModuleReader();
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
    if (changed?.length !== 0) this.merged = mergedFacts(set, this.names);
    const { needs, exports, info } =
      this.merged === undefined
        ? { needs: false, exports: false, info: false }
        : difference(cached.facts, this.merged);
    const gone = (group: keyof Stale): boolean =>
      FILES.some(([name, , of]) => of === group && !this.holds(cached, name));
    return {
      dependencies: needs || exports || gone('dependencies'),
      symbols: exports || gone('symbols'),
      builtin: gone('builtin'),
      aliases: info || gone('aliases'),
    };
  }

  /** Is the file on disk the one that was written? */
  private holds({ outputs }: Cached, name: string): boolean {
    const now = stampOf(`${this.folder}/${name}`);
    return now !== undefined && name in outputs && sameStamp(now, outputs[name].stamp);
  }

  /** All files in the order in which they are written; those that were not made again are kept. */
  inOrder(made: ReadonlyMap<string, MadeFile>): readonly MadeFile[] {
    return FILES.map(([name, text]) => {
      const messages = this.cached?.outputs[name]?.messages ?? [];
      return made.get(name) ?? { name, text, bytes: NO_BYTES, messages, kept: true };
    });
  }

  /** Leaves to the next run what this one found. */
  keep(set: FactSet, made: ReadonlyMap<string, MadeFile>): void {
    if (made.size === 0 && this.changed?.length === 0) return;
    const outputs: Record<string, Cached['outputs'][string]> = {};
    for (const { name, messages } of this.inOrder(made)) {
      const stamp = stampOf(`${this.folder}/${name}`);
      if (stamp !== undefined) outputs[name] = { stamp, messages };
    }
    const facts = this.merged ?? mergedFacts(set, this.names);
    const modules = this.modules.map(({ name }) => name);
    const { inputs, paths, stamps } = this;
    writeCache(this.folder, { inputs, modules, paths, stamps, facts, outputs });
  }
}
