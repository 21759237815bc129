/** The modules of a depmod run: what each offers and needs, and how they hang together. */
import type { GraphNode } from '../../../catalog/graph.ts';
import { bucketOrder } from '../../../systems/linux/tree/buckets.ts';
import { type Facts, startOf } from '../../../systems/linux/tree/facts.ts';
import type { NameTable } from '../../../systems/linux/tree/name-table.ts';
import { baseName } from '../../../systems/linux/tree/names.ts';
import type { ToolOutput } from './output.ts';

export class DepmodModule implements GraphNode<DepmodModule> {
  readonly name: string;
  readonly path: string;
  /** As the indexes name it: below the tree when it lies there. */
  readonly shown: string;
  /** Position by modules.order: those that it names are negative. */
  sort = 1;
  index: number;
  users = 0;
  /** Users have a lower rank. */
  rank = 0;
  readonly needs: DepmodModule[] = [];

  constructor(name: string, path: string, tree: string, index = 0) {
    this.name = name;
    this.path = path;
    this.index = index;
    this.shown = path.startsWith(tree) && path[tree.length] === '/' ? path.slice(tree.length + 1) : path;
  }

  /**
   * `kernel/…/name.ko`, whatever its compression: how modules.order names it; undefined outside the tree. The tool cuts the
   * path three bytes behind the module's name.
   */
  get uncompressed(): string | undefined {
    const { path, shown, name } = this;
    if (shown === path) return undefined;
    const base = baseName(shown);
    return `${shown.slice(0, shown.length - base.length)}${base.slice(0, name.length + 3)}`;
  }
}

/** The modules' names in order as bytes, a NUL after each, and where each begins and ends. */
export class NameList {
  readonly bytes: Uint8Array;
  readonly starts: Int32Array;
  readonly ends: Int32Array;

  constructor(modules: readonly DepmodModule[]) {
    this.bytes = Buffer.from(modules.map(({ name }) => `${name}\0`).join(''), 'latin1');
    this.starts = new Int32Array(modules.length);
    this.ends = new Int32Array(modules.length);
    let at = 0;
    modules.forEach(({ name }, i) => {
      this.starts[i] = at;
      this.ends[i] = at + name.length;
      at += name.length + 1;
    });
  }
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

/** What was read of the modules, by module: which of the parts has it, and in which row. */
export class FactSet {
  readonly parts: readonly Facts[];
  readonly partOf: Uint8Array;
  readonly rowOf: Int32Array;

  /** Of how many parts, from the first on, the names are those of the table that they are joined in. */
  private readonly own: number;

  constructor(parts: readonly Facts[], partOf: Uint8Array, rowOf: Int32Array, own: number) {
    this.parts = parts;
    this.partOf = partOf;
    this.rowOf = rowOf;
    this.own = own;
  }

  /** `files`: what the readers' numbers mean; those that are no module's are left out. */
  static ofFiles(
    parts: readonly Facts[],
    files: readonly string[],
    modules: readonly DepmodModule[],
    own: number,
  ): FactSet {
    const partOf = new Uint8Array(modules.length);
    const rowOf = new Int32Array(modules.length);
    const indexes = new Map(modules.map(({ path, index }) => [path, index]));
    parts.forEach((part, n) => {
      part.modules.forEach((file, row) => {
        const index = indexes.get(files[file]);
        if (index === undefined) return;
        partOf[index] = n;
        rowOf[index] = row;
      });
    });
    return new FactSet(parts, partOf, rowOf, own);
  }

  /** By part: the numbers that its names have in that table; undefined where they are the same. */
  numbers(names: NameTable): readonly (Int32Array | undefined)[] {
    return this.parts.map((part, n) => (n < this.own ? undefined : names.adopt(part.names)));
  }

  /** What is said about the files, in the order of the modules. */
  *errors(): Generator<string> {
    const said = this.parts.map((part) => new Map(part.errors));
    if (said.every((one) => one.size === 0)) return;
    for (let index = 0; index < this.rowOf.length; index++)
      yield* said[this.partOf[index]].get(this.rowOf[index]) ?? [];
  }
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
/** The kernel as an owner; modules have their index, nobody has 0. */
const KERNEL = -1;

/** Joins needs to exports. */
export class SymbolTable {
  readonly names: NameTable;
  readonly options: LinkOptions;
  /** By number of the name: index of the owner + 1. */
  private owners = new Int32Array(1 << 15);
  /** By number of the name, where versions are compared. */
  private readonly crcs: number[] = [];

  constructor(names: NameTable, options: LinkOptions) {
    this.names = names;
    this.options = options;
  }

  private set(number: number, owner: number, crc: number): void {
    if (number >= this.owners.length) {
      const larger = new Int32Array(Math.max(this.owners.length * 2, number + 1));
      larger.set(this.owners);
      this.owners = larger;
    }
    this.owners[number] = owner;
    if (this.options.versions) this.crcs[number] = crc;
  }

  /** A symbol of the kernel's. The last one of a name counts. */
  addKernel(name: string, crc: number, prefixed = true): void {
    const { prefix } = this.options;
    const plain = prefixed && prefix !== '' && name.startsWith(prefix) ? name.slice(1) : name;
    this.set(this.names.numberOfText(plain), KERNEL, crc);
  }

  /** `numbers`: names of that part here. */
  private addExports(index: number, part: Facts, row: number, numbers: Int32Array | undefined): void {
    const { exports, exportEnds, exportCrcs } = part;
    for (let at = startOf(exportEnds, row); at < exportEnds[row]; at++) {
      const number = numbers === undefined ? exports[at] : numbers[exports[at]];
      this.set(this.withoutPrefix(number), index + 1, exportCrcs[at] ?? 0);
    }
  }

  private withoutPrefix(number: number): number {
    const { prefix } = this.options;
    if (prefix === '' || this.names.firstByte(number) !== prefix.charCodeAt(0)) return number;
    return this.names.numberOfText(this.names.name(number).slice(1));
  }

  /** The number under which a needed name is looked up. */
  private lookedUp(number: number): number {
    const plain =
      this.names.firstByte(number) === DOT
        ? this.names.numberOfText(this.names.name(number).slice(1))
        : number;
    return this.withoutPrefix(plain);
  }

  /** What the kernel's loader brings by itself. */
  addLoaderSymbols(): void {
    this.addKernel('__this_module', 0, false);
    this.addKernel('_GLOBAL_OFFSET_TABLE_', 0, false);
    if ((this.owners[this.lookedUp(this.names.numberOfText('TOC.'))] ?? 0) === 0)
      this.addKernel('TOC.', 0, false);
  }

  /** By number of the name, of so many names: index of the owner + 1; nobody has 0, the kernel a negative number. */
  ownersOf(count: number): Int32Array {
    const owners = new Int32Array(count);
    owners.set(this.owners.subarray(0, count));
    return owners;
  }

  /** Names of symbols that modules have, by number, in no order; -1 and 0 in `ownerOf` mean no module. */
  ownerOf(number: number): number {
    return (this.owners[number] ?? 0) - 1;
  }

  /**
   * Finds what each module needs; `verbose` tells of needs that were met.
   */
  link(modules: readonly DepmodModule[], set: FactSet, output: ToolOutput, verbose: boolean): void {
    const numbers = set.numbers(this.names);
    for (let index = 0; index < modules.length; index++) {
      const n = set.partOf[index];
      this.addExports(index, set.parts[n], set.rowOf[index], numbers[n]);
    }
    const linked = new Int32Array(modules.length).fill(-1);
    const plain = this.options.prefix === '' && !this.options.unknown && !verbose;
    for (let index = 0; index < modules.length; index++) {
      const n = set.partOf[index];
      const part = set.parts[n];
      const row = set.rowOf[index];
      for (let at = startOf(part.needEnds, row); at < part.needEnds[row]; at++) {
        const need = part.needs[at];
        const number = numbers[n]?.[need >> 1] ?? need >> 1;
        const found = this.lookedUp(number);
        const owner = this.owners[found] ?? 0;
        if (!plain) this.tell(modules[index], number, found, (need & 1) === 1, part.needCrcs[at], output);
        if (owner <= 0 || linked[owner - 1] === index) continue;
        linked[owner - 1] = index;
        const used = modules[owner - 1];
        modules[index].needs.push(used);
        used.users++;
        if (verbose)
          output.print(`${modules[index].path} needs "${this.names.name(number)}": ${used.path}\n`);
      }
    }
  }

  /** -e: symbols that nobody has; -E: those with another version. Weak references may stay open. */
  private tell(
    module: DepmodModule,
    number: number,
    found: number,
    weak: boolean,
    crc: number,
    output: ToolOutput,
  ): void {
    if (!this.options.unknown || weak) return;
    const name = this.names.name(number);
    if ((this.owners[found] ?? 0) === 0) output.warn(`${module.path} needs unknown symbol ${name}\n`);
    else if (this.options.versions && this.crcs[found] !== crc)
      output.warn(`${module.path} disagrees about version of symbol ${name}\n`);
  }
}
