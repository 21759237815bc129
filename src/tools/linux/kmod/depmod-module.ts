/** The modules of a depmod run: what each offers and needs, and how they hang together. */
import { addNeed, closure, type GraphNode } from '../../../catalog/graph.ts';
import { bucketOrder } from '../../../systems/linux/tree/buckets.ts';
import { ElfFacts, NotAModule } from '../../../systems/linux/tree/elf-facts.ts';
import { NameTable } from '../../../systems/linux/tree/name-table.ts';
import { baseName } from '../../../systems/linux/tree/names.ts';
import { type ScannedModule, scanModule } from '../../../systems/linux/tree/scan-module.ts';
import { reason } from './bytes-path.ts';
import { SourceError, withModule } from './module-source.ts';
import type { ToolOutput } from './output.ts';

/** What was read of one file. */
export interface ModuleRecord extends ScannedModule {
  /** What is said about the file, in order, each with its line feed. */
  readonly errors: readonly string[];
}

export class DepmodModule implements GraphNode<DepmodModule> {
  readonly name: string;
  readonly path: string;
  /** As the indexes name it: below the tree when it lies there. */
  readonly shown: string;
  /** `kernel/…/name.ko`, whatever its compression: how modules.order names it; undefined outside the tree. */
  readonly uncompressed: string | undefined;
  /** Position by modules.order: those that it names are negative. */
  sort = 1;
  index = 0;
  users = 0;
  /** Users have a lower rank. */
  rank = 0;
  readonly needs: DepmodModule[] = [];
  record: ModuleRecord = NOTHING;
  #all: readonly DepmodModule[] | undefined;
  #line: string | undefined;

  constructor(name: string, path: string, tree: string) {
    this.name = name;
    this.path = path;
    const inside = path.startsWith(`${tree}/`);
    this.shown = inside ? path.slice(tree.length + 1) : path;
    const folder = this.shown.slice(0, this.shown.length - baseName(path).length);
    this.uncompressed = inside ? `${folder}${baseName(path).slice(0, name.length)}.ko` : undefined;
  }

  /** Everything it needs, directly or not: what stands nearer to it first. */
  get allNeeds(): readonly DepmodModule[] {
    this.#all ??= closure<DepmodModule>(this).sort((a, b) => a.rank - b.rank);
    return this.#all;
  }

  /** Its line of modules.dep, without the line feed. */
  get line(): string {
    if (this.#line === undefined) {
      this.#line = `${this.shown}:`;
      for (const { shown } of this.allNeeds) this.#line += ` ${shown}`;
    }
    return this.#line;
  }
}

const NOTHING: ModuleRecord = {
  exports: [],
  exportCrcs: [],
  needs: [],
  weak: [],
  needCrcs: [],
  aliases: [],
  softdeps: [],
  weakdeps: [],
  failed: undefined,
  errors: [],
};

/** Reads one module file; what is wrong with it becomes messages in the record. */
export function readModule(path: string, names: NameTable, withVersions: boolean): ModuleRecord {
  try {
    return withModule(path, (source) => {
      const scanned = scanModule(new ElfFacts(source), names, withVersions);
      const errors =
        scanned.failed === undefined
          ? []
          : [`failed to load symbols from ${path}: ${reason({ code: scanned.failed })}\n`];
      return { ...scanned, errors };
    });
  } catch (error) {
    return { ...NOTHING, errors: openErrors(path, error) };
  }
}

/** A file that cannot be opened is tried for its symbols, its .modinfo and its needs: the library complains each time. */
function openErrors(path: string, error: unknown): string[] {
  if (!(error instanceof SourceError) && !(error instanceof NotAModule)) throw error;
  const code = error instanceof SourceError ? error.code : error.errno;
  const said = error instanceof SourceError && error.said !== undefined ? [`${error.said}\n`] : [];
  return [...said, `failed to load symbols from ${path}: ${reason({ code })}\n`, ...said, ...said];
}

/** The modules in the order in which they are written: by modules.order, then by the tool's table of names. */
export function sortedModules(
  paths: ReadonlyMap<string, string>,
  tree: string,
  order: string | undefined,
  output: ToolOutput,
): DepmodModule[] {
  const modules = bucketOrder(paths.keys(), 512).map(
    (name) => new DepmodModule(name, paths.get(name) as string, tree),
  );
  if (order !== undefined) rankByOrder(modules, tree, order, output);
  modules.sort((a, b) => a.sort - b.sort);
  modules.forEach((module, index) => {
    module.index = index;
  });
  return modules;
}

function rankByOrder(
  modules: readonly DepmodModule[],
  tree: string,
  order: string,
  output: ToolOutput,
): void {
  const byPath = new Map(modules.map((module) => [module.uncompressed, module]));
  let rank = -modules.length;
  const lines = order.split('\n');
  const last = lines.pop();
  for (const line of lines) {
    const module = byPath.get(line);
    if (module !== undefined && module.sort > 0) module.sort = rank++;
  }
  if (last === undefined || last === '') return;
  output.error(`${tree}/modules.order:${lines.length + 1} corrupted line misses '\\n'\n`);
  // The tool gives up here: nothing is sorted.
  for (const module of modules) module.sort = 1;
}

/** A symbol that some module, or the kernel, has. */
export interface DepmodSymbol {
  /** undefined: the kernel. */
  readonly owner: DepmodModule | undefined;
  readonly crc: number;
}

export interface LinkOptions {
  /** -P: a character that symbols may begin with. */
  readonly prefix: string;
  /** -e: tell about symbols that nobody has. */
  readonly unknown: boolean;
  /** -E: compare versions. */
  readonly versions: boolean;
}

/** `.`: PowerPC's `.function` is the code of `function`. */
const DOT = 0x2e;

/** Joins needs to exports. */
export class SymbolTable {
  readonly names = new NameTable();
  /** By number of the name. */
  private readonly symbols: (DepmodSymbol | undefined)[] = [];
  readonly options: LinkOptions;

  constructor(options: LinkOptions) {
    this.options = options;
  }

  /** A symbol of the kernel's. The last one of a name counts. */
  addKernel(name: string, crc: number, prefixed = true): void {
    const { prefix } = this.options;
    const plain = prefixed && prefix !== '' && name.startsWith(prefix) ? name.slice(1) : name;
    this.symbols[this.names.numberOfText(plain)] = { owner: undefined, crc };
  }

  addExports(owner: DepmodModule): void {
    const { exports, exportCrcs } = owner.record;
    exports.forEach((number, i) => {
      this.symbols[this.withoutPrefix(number)] = { owner, crc: exportCrcs[i] ?? 0 };
    });
  }

  private withoutPrefix(number: number): number {
    const { prefix } = this.options;
    if (prefix === '' || this.names.firstByte(number) !== prefix.charCodeAt(0)) return number;
    return this.names.numberOfText(this.names.name(number).slice(1));
  }

  private find(number: number): DepmodSymbol | undefined {
    const plain =
      this.names.firstByte(number) === DOT
        ? this.names.numberOfText(this.names.name(number).slice(1))
        : number;
    return this.symbols[this.withoutPrefix(plain)];
  }

  /** What the kernel's loader brings by itself. */
  addLoaderSymbols(): void {
    this.addKernel('__this_module', 0, false);
    this.addKernel('_GLOBAL_OFFSET_TABLE_', 0, false);
    if (this.find(this.names.numberOfText('TOC.')) === undefined) this.addKernel('TOC.', 0, false);
  }

  /** Every symbol of a module, in no order. */
  *owned(): Generator<readonly [name: string, owner: DepmodModule]> {
    for (let number = 0; number < this.symbols.length; number++) {
      const owner = this.symbols[number]?.owner;
      if (owner !== undefined) yield [this.names.name(number), owner];
    }
  }

  /** Finds what each module needs; `verbose` tells of needs that were met. */
  link(modules: readonly DepmodModule[], output: ToolOutput, verbose: boolean): void {
    for (const module of modules) {
      const { needs } = module.record;
      for (let i = 0; i < needs.length; i++) this.linkOne(module, i, output, verbose);
    }
  }

  private linkOne(module: DepmodModule, i: number, output: ToolOutput, verbose: boolean): void {
    const { needs, weak, needCrcs } = module.record;
    const number = needs[i];
    const symbol = this.find(number);
    const tells = this.options.unknown && weak[i] === 0;
    if (symbol === undefined) {
      if (tells) output.warn(`${module.path} needs unknown symbol ${this.names.name(number)}\n`);
      return;
    }
    if (tells && this.options.versions && symbol.crc !== needCrcs[i])
      output.warn(`${module.path} disagrees about version of symbol ${this.names.name(number)}\n`);
    const { owner } = symbol;
    if (owner === undefined || !addNeed<DepmodModule>(module, owner)) return;
    if (verbose) output.print(`${module.path} needs "${this.names.name(number)}": ${owner.path}\n`);
  }
}
