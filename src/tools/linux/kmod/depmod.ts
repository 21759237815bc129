/** depmod(8): makes the indexes of a module tree. */
import { existsSync, opendirSync, statSync } from 'node:fs';
import { TreeError } from '../../../catalog/file-tree.ts';
import { dependencyOrder, findCycles } from '../../../catalog/graph.ts';
import {
  type DepmodConfig,
  emptyDepmodConfig,
  finishDepmodConfig,
  readDepmodConfig,
} from '../../../systems/linux/tree/depmod-config.ts';
import { startOf } from '../../../systems/linux/tree/facts.ts';
import { NameTable } from '../../../systems/linux/tree/name-table.ts';
import { isModuleFile, nameOfPath, PATH_MAX } from '../../../systems/linux/tree/names.ts';
import { isOldRelease, OLD_ENDING } from '../../../systems/linux/tree/old-module.ts';
import { scanAnyModule } from '../../../systems/linux/tree/scan-module.ts';
import { makeFolder } from '../../../targets/make-folder.ts';
import { Getopt, type LongOption, WRONG } from '../../getopt.ts';
import { statIfAny } from '../../stat-if-any.ts';
import { type AliasInput, type MadeFile, type Message, makeAliasIndexes } from './alias-index.ts';
import { absolute, onDisk, reason } from './bytes-path.ts';
import { configFiles, configFolders, configText } from './config-files.ts';
import { KmodContext } from './context.ts';
import { CACHE_NAME, LastRun, removeCache } from './depmod-cache.ts';
import { changedSince, findsTheSame, type Searched, watchSearch } from './depmod-folders.ts';
import {
  type IndexInput,
  makeBuiltinIndexes,
  makeDependencyIndexes,
  makeSymbolIndexes,
} from './depmod-index.ts';
import { type DepmodModule, FactSet, SymbolTable, sortedModules } from './depmod-module.ts';
import { ENOUGH, Helper, type Scanned, scanAlone } from './depmod-scan.ts';
import { type Found, Update } from './depmod-update.ts';
import { readAt, statAt, statError } from './disk.ts';
import { addSymvers, addSystemMap } from './kernel-symbols.ts';
import { Level, ToolExit, type ToolOutput } from './output.ts';
import { TreeScan } from './scan.ts';
import { MODULE_DIRECTORY, printHelp, printVersion, type ToolCall } from './tool.ts';
import { writeIndexes } from './write-indexes.ts';

const LONG: readonly LongOption[] = [
  { name: 'all', value: 'none', as: 'a' },
  { name: 'quick', value: 'none', as: 'A' },
  { name: 'basedir', value: 'required', as: 'b' },
  { name: 'moduledir', value: 'required', as: 'm' },
  { name: 'outdir', value: 'required', as: 'o' },
  { name: 'config', value: 'required', as: 'C' },
  { name: 'symvers', value: 'required', as: 'E' },
  { name: 'filesyms', value: 'required', as: 'F' },
  { name: 'errsyms', value: 'none', as: 'e' },
  { name: 'verbose', value: 'none', as: 'v' },
  { name: 'show', value: 'none', as: 'n' },
  { name: 'dry-run', value: 'none', as: 'n' },
  { name: 'symbol-prefix', value: 'required', as: 'P' },
  { name: 'warn', value: 'none', as: 'w' },
  { name: 'version', value: 'none', as: 'V' },
  { name: 'help', value: 'none', as: 'h' },
];

interface Options {
  all: boolean;
  quick: boolean;
  root: string;
  moduleDirectory: string;
  outRoot: string | undefined;
  configs: string[];
  symvers: string | undefined;
  systemMap: string | undefined;
  unknown: boolean;
  verbose: number;
  show: boolean;
  prefix: string;
  warn: boolean;
  incremental: boolean;
}

export function depmod(call: ToolCall): number {
  const run = new Depmod(call);
  try {
    return run.run();
  } catch (error) {
    // A run that ends before there are modules leaves the library's context as it is.
    if (error instanceof ToolExit && !run.begun) throw error;
    if (error instanceof ToolExit) return error.code;
    if (!(error instanceof TreeError)) throw error;
    call.output.error(`${error.message}\n`);
    return 1;
  } finally {
    run.end();
  }
}

class Depmod {
  private readonly call: ToolCall;
  private readonly output: ToolOutput;
  private readonly options: Options = {
    all: false,
    quick: false,
    root: '',
    moduleDirectory: MODULE_DIRECTORY,
    outRoot: undefined,
    configs: [],
    symvers: undefined,
    systemMap: undefined,
    unknown: false,
    verbose: Level.WARNING,
    show: false,
    prefix: '',
    warn: false,
    incremental: false,
  };
  private release = '';
  private tree = '';
  private helper: Helper | undefined;
  /** All module files that were found, in that order. */
  private readonly files: string[] = [];
  private scanned: Scanned | undefined;
  private readonly started = Date.now();
  /** Of an incremental run: what the last one left, and how this one found its files. */
  private last: LastRun | undefined;
  private searched: Searched | undefined;
  private alone = false;
  /** Where the files were found. */
  private folders: readonly string[] = [];
  /** The symbols that are given are read. */
  begun = false;

  constructor(call: ToolCall) {
    this.call = call;
    this.output = call.output;
  }

  run(): number {
    const rest = this.readOptions();
    const files = this.readVersion(rest);
    const { options, output } = this;
    const below = `${options.moduleDirectory.replace(/^\/+/, '')}/${this.release}`;
    this.tree = `${options.root}/${below}`;
    const out = `${options.outRoot ?? options.root}/${below}`;
    for (const [root, path] of [
      [options.root, this.tree],
      [options.outRoot ?? options.root, out],
    ]) {
      if (path.length < PATH_MAX) continue;
      this.output.error(`Bad directory ${root}/${below}: path too long\n`);
      return 1;
    }
    if (files.length === 0) options.all = true;
    if (options.quick) {
      if (options.show || this.upToDate()) return 0;
      options.all = true;
    }
    if (this.inArchive !== undefined && !options.show && options.outRoot === undefined)
      output.fatal(
        `${this.inArchive} is an archive, which is only read: give a place for the indexes (-o DIR), or -n\n`,
      );
    this.readTreeConfig();
    output.takeOver(options.verbose);
    const symbols = this.kernelSymbols();
    this.begun = true;
    if (options.all) this.startHelper(symbols, out);
    if (this.keeps) this.last = new LastRun(out, this.started);
    const paths = this.paths(files, symbols);
    const order = this.givenTreeFile('modules.order');
    if (this.last !== undefined) return this.incremental(this.last, paths, order, symbols, out);
    const modules = sortedModules(paths, this.tree, order, output);
    const set = this.load(modules, symbols);
    this.tellChanges();
    const input = aliasInput(modules, set, options.warn, options.show);
    const aliases = this.scanned?.helper?.makeAliases(input) ?? (() => makeAliasIndexes(input));
    symbols.link(modules, set, output, options.verbose > Level.WARNING);
    if (!this.order(modules)) return 1;
    return this.write(this.makeAll(modules, symbols, aliases, out), out);
  }

  /** Modules from before 2.6 are object files, which the tool passes over. */
  private get old(): boolean {
    return isOldRelease(this.release) && !this.call.own.compat;
  }

  private readonly isModule = (name: string): boolean =>
    isModuleFile(name) || (this.old && OLD_ENDING.test(`/${name}`));

  /** The archive that the tree is in. */
  private get inArchive(): string | undefined {
    return this.call.archives?.find(this.tree)?.archive;
  }

  /** Is this a run that can use what the last one found, and leave something to the next? */
  private get keeps(): boolean {
    const { incremental, all, show, warn, unknown, prefix, verbose, symvers, systemMap } = this.options;
    const plain = prefix === '' && symvers === undefined && systemMap === undefined;
    return (
      incremental &&
      !this.old &&
      this.inArchive === undefined &&
      all &&
      plain &&
      !show &&
      !warn &&
      !unknown &&
      verbose === Level.WARNING
    );
  }

  // -- --incremental ----------------------------------------------------------------------------------------

  private incremental(
    last: LastRun,
    paths: ReadonlyMap<string, string>,
    order: string | undefined,
    symbols: SymbolTable,
    out: string,
  ): number {
    const { output } = this;
    const found: Found = {
      paths,
      sorted: () => sortedModules(paths, this.tree, order, output),
      // An order that is damaged is told each time, which sorting by it does.
      ordered: order === undefined || order.endsWith('\n'),
      inputs: this.inputs(),
      tree: this.tree,
      searched: this.searched,
    };
    const update = new Update(found, symbols.names, out, last);
    const set = update.set() ?? this.load(update.modules, symbols, false);
    for (const message of set.errors()) output.error(message);
    const { stale } = update;
    if (stale.dependencies || stale.symbols) {
      symbols.link(update.modules, set, output, false);
      if (!this.order(update.modules)) return 1;
    }
    this.makeFolder(out);
    const made = new Map<string, MadeFile>();
    const add = (files: Iterable<MadeFile>): void => {
      for (const file of files) made.set(file.name, file);
    };
    const input = (): IndexInput => this.indexInput(update.modules, symbols);
    if (stale.dependencies) add(makeDependencyIndexes(input()));
    if (stale.symbols) add(makeSymbolIndexes(input()));
    if (stale.builtin) add(makeBuiltinIndexes(input()));
    if (stale.aliases) add(makeAliasIndexes(aliasInput(update.modules, set, false, false)));
    const code = this.write(update.inOrder(made), out);
    update.keep(set, made);
    return code;
  }

  /** Everything but the modules themselves that the indexes are made of. */
  private inputs(): string {
    const files = ['modules.order', 'modules.builtin', 'modules.builtin.modinfo'];
    const texts = files.map((name) => this.treeFile(name, []) ?? null);
    return JSON.stringify([this.tree, this.release, ...texts]);
  }

  /** No thread outlives the run. */
  end(): void {
    this.helper?.leave();
  }

  private readOptions(): readonly string[] {
    const getopt = new Getopt('depmod', 'aAb:m:o:C:E:F:evnP:wVh', LONG);
    // Ours, and the whole word only: the tool's own words may be cut short.
    const words = this.call.argv.filter((word) => word !== '--incremental');
    this.options.incremental = words.length < this.call.argv.length;
    const { options: given, rest, messages } = getopt.parse(words);
    let message = 0;
    for (const { option, value } of given) {
      if (option === WRONG) {
        this.output.printError(messages[message++]);
        throw new ToolExit(1);
      }
      this.take(option, value);
    }
    return rest;
  }

  private take(option: string, value: string): void {
    const { options, output, call } = this;
    switch (option) {
      case 'a':
        options.all = true;
        break;
      case 'A':
        options.quick = true;
        break;
      case 'b':
        options.root = absolute(value, call.folder);
        break;
      case 'm':
        options.moduleDirectory = value;
        break;
      case 'o':
        options.outRoot = absolute(value, call.folder);
        break;
      case 'C':
        options.configs.push(value);
        break;
      case 'E':
        options.symvers = value;
        break;
      case 'F':
        options.systemMap = value;
        break;
      case 'e':
        options.unknown = true;
        break;
      case 'v':
        options.verbose++;
        break;
      case 'n':
        options.show = true;
        break;
      case 'P':
        if (value.length !== 1) output.fatal('-P only takes a single char\n');
        options.prefix = value;
        break;
      case 'w':
        options.warn = true;
        break;
      case 'h':
        printHelp(call, HELP);
        throw new ToolExit(0);
      case 'V':
        printVersion(output);
        throw new ToolExit(0);
    }
  }

  /** The release, and the files named after it. */
  private readVersion(rest: readonly string[]): readonly string[] {
    if (rest.length > 0) {
      if (!/^\s*[-+]?\d+\.\s*[-+]?\d+/.test(rest[0])) {
        this.output.error(`Bad version passed ${rest[0]}\n`);
        throw new ToolExit(1);
      }
      this.release = rest[0];
      return rest.slice(1);
    }
    if (this.call.release === undefined) {
      this.output.fatal(
        'no kernel runs here whose modules could be meant: give its release (depmod RELEASE)\n',
      );
    }
    this.release = this.call.release;
    return [];
  }

  /** The tool's library reads what it would load modules by, and tells what is wrong with it; nothing else comes of it. */
  private readTreeConfig(): void {
    new KmodContext(this.call, { tree: this.tree, configs: [] });
  }

  // -- what goes in -----------------------------------------------------------------------------------------

  private kernelSymbols(): SymbolTable {
    const { options, output } = this;
    const { symvers, systemMap, prefix } = options;
    if (symvers === undefined && systemMap === undefined && options.unknown) {
      output.warn('-e needs -E or -F\n');
      options.unknown = false;
    }
    const symbols = new SymbolTable(new NameTable(), {
      prefix,
      unknown: options.unknown,
      versions: symvers !== undefined,
    });
    if (symvers !== undefined) addSymvers(symbols, symvers, this.given(symvers), output);
    else if (systemMap !== undefined) addSystemMap(symbols, systemMap, this.given(systemMap), prefix, output);
    return symbols;
  }

  private given(path: string): string {
    try {
      return readAt(absolute(path, this.call.folder), this.call.archives).toString('latin1');
    } catch (error) {
      return this.output.fatal(`could not load ${path}: ${reason(error)}\n`);
    }
  }

  private config(): DepmodConfig {
    const { options, output } = this;
    const config = emptyDepmodConfig();
    const places =
      options.configs.length > 0
        ? options.configs
        : configFolders('depmod.d', this.call.own.reroot ? (options.root ?? '') : '');
    for (const file of configFiles(places, output)) {
      const text = configText(file, output);
      if (text === undefined) continue;
      for (const message of readDepmodConfig(config, file.path, text, this.release))
        output.say(message.level === 'error' ? Level.ERROR : Level.INFO, `${message.text}\n`);
    }
    finishDepmodConfig(config);
    return config;
  }

  /** The tree's own list of modules tells early whether there is enough to do for two threads. */
  private startHelper(symbols: SymbolTable, out: string): void {
    // The first run reads everything, the others what has changed.
    if (this.inArchive !== undefined || this.old) {
      this.alone = true;
      return;
    }
    this.alone = this.keeps && existsSync(onDisk(`${out}/${CACHE_NAME}`));
    if (this.alone) return;
    const list = statIfAny(onDisk(`${this.tree}/modules.order`));
    if (list === undefined || list.size < ENOUGH * PATH_LENGTH) return;
    this.helper = Helper.start(this.call.scanProgram, symbols.options.unknown);
  }

  /** Every file is offered for reading at once, also one that another takes the place of later. */
  private found(path: string, symbols: SymbolTable): void {
    this.files.push(path);
    if (this.helper !== undefined) this.helper.announce(path);
    else if (this.files.length === ENOUGH && !this.alone) {
      this.helper = Helper.start(this.call.scanProgram, symbols.options.unknown);
      for (const one of this.files) this.helper?.announce(one);
    }
  }

  /** Module files by name. */
  private paths(files: readonly string[], symbols: SymbolTable): ReadonlyMap<string, string> {
    const { output } = this;
    if (this.options.all) {
      const config = this.config();
      const known = this.lastFound(config);
      if (known !== undefined) return known;
      const scan = new TreeScan(
        this.tree,
        config,
        output,
        (path) => this.found(path, symbols),
        this.call.archives,
        this.isModule,
      );
      const searched = this.last && watchSearch(scan, this.tree, config, this.started);
      const failed = scan.all();
      this.searched = searched?.();
      if (failed !== undefined) output.fatal(`could not search modules: ${reason(failed.error)}\n`);
      this.folders = scan.folders;
      const { found, strange } = scan;
      // Beyond the tool, which writes empty indexes here, and a system that does not start.
      if (found.size === 0 && strange.length > 0 && !this.call.own.compat)
        output.fatal(
          `${strange.length} modules (${strange[0]}, ...) are packed in a way that is not known: the indexes would be empty, and are left as they are\n`,
        );
      return found;
    }
    const found = new Map<string, string>();
    for (const path of files) {
      if (!path.startsWith('/')) output.fatal(`${path}: not absolute path.\n`);
      this.addNamed(found, path);
    }
    return found;
  }

  /** Beyond the tool: a file that was moved meanwhile is in no index, and nothing else would tell. */
  private tellChanges(): void {
    if (this.inArchive !== undefined || this.call.own.compat) return;
    const changed = changedSince(this.folders, this.tree, this.started);
    if (changed.length === 0) return;
    const more = changed.length === 1 ? '' : ` and ${changed.length - 1} more`;
    this.output.warn(
      `${changed[0]}${more} changed while the modules were read: run depmod again, as some may be missing from the indexes\n`,
    );
  }

  /** The files of the last run, where a search would find the same. */
  private lastFound(config: DepmodConfig): ReadonlyMap<string, string> | undefined {
    const cached = this.last?.cached;
    if (cached?.searched === undefined) return undefined;
    if (!findsTheSame(cached.searched, this.tree, config, this.started)) return undefined;
    this.searched = cached.searched;
    for (const path of cached.paths) this.files.push(path);
    return new Map(cached.modules.map((name, i) => [name, cached.paths[i]]));
  }

  private addNamed(found: Map<string, string>, path: string): void {
    const { output } = this;
    const create = (error: unknown) => output.fatal(`could not create module ${path}: ${reason(error)}\n`);
    try {
      if (statAt(path, this.call.archives) === undefined) throw statError(path);
    } catch (error) {
      create(error);
    }
    const name = nameOfPath(path);
    const known = found.get(name);
    if (known !== undefined && known !== path) {
      output.error(
        `kmod_module '${name}' already exists with different path: new-path='${path}' old-path='${known}'\n`,
      );
      create({ code: 'EEXIST' });
    }
    if (known !== undefined) {
      output.error(`hash_add_unique ${name}: File exists\n`);
      output.fatal(`could not add module ${path}: File exists\n`);
    }
    found.set(name, path);
    this.files.push(path);
  }

  private givenTreeFile(name: string): string | undefined {
    const messages: Message[] = [];
    const text = this.treeFile(name, messages);
    this.say(messages);
    return text;
  }

  private say(messages: readonly Message[]): void {
    for (const { level, text } of messages)
      this.output.say(level === 'error' ? Level.ERROR : Level.WARNING, text);
  }

  /** A file beside the modules; what cannot be read is warned about. */
  private treeFile(name: string, messages: Message[]): string | undefined {
    const { tree } = this;
    const warn = (text: string) => messages.push({ level: 'warning', text });
    try {
      if (this.inArchive === undefined) opendirSync(onDisk(tree)).closeSync();
    } catch (error) {
      warn(`could not open directory ${tree}: ${reason(error)}\n`);
      return undefined;
    }
    try {
      return readAt(`${tree}/${name}`, this.call.archives).toString('latin1');
    } catch (error) {
      warn(`could not open ${name} at ${tree}: ${reason(error)}\n`);
      return undefined;
    }
  }

  // -- what is made of it -----------------------------------------------------------------------------------

  private load(modules: readonly DepmodModule[], symbols: SymbolTable, tell = true): FactSet {
    const { names, options } = symbols;
    this.scanned =
      this.helper?.scan(this.files, names) ??
      scanAlone(this.files, options.unknown, names, this.call.archives, this.old ? scanAnyModule : undefined);
    const set = FactSet.ofFiles(this.scanned.parts, this.files, modules, 1);
    if (tell) for (const message of set.errors()) this.output.error(message);
    return set;
  }

  private order(modules: readonly DepmodModule[]): boolean {
    const { ranks, unordered } = dependencyOrder(modules);
    if (unordered.length === 0) {
      for (const module of modules) module.rank = ranks[module.index];
      return true;
    }
    const inCycles = new Set<DepmodModule>();
    for (const cycle of findCycles(modules, unordered)) {
      this.output.error(`Cycle detected: ${cycle.map(({ name }) => name).join(' -> ')}\n`);
      // A module that is its own whole path is reported, and not counted (tools/depmod.c, depmod_report_one_cycle).
      for (const module of cycle.slice(0, -1)) inCycles.add(module);
    }
    this.output.error(`Found ${inCycles.size} modules in dependency cycles!\n`);
    return false;
  }

  private indexInput(modules: readonly DepmodModule[], symbols: SymbolTable): IndexInput {
    const { warn, show } = this.options;
    const treeFile = (name: string, messages: Message[]) => this.treeFile(name, messages);
    return { modules, symbols, treeFile, warnDuplicates: warn, textOnly: show };
  }

  private makeAll(
    modules: readonly DepmodModule[],
    symbols: SymbolTable,
    makeAliases: () => readonly MadeFile[],
    folder: string,
  ): readonly MadeFile[] {
    const input = this.indexInput(modules, symbols);
    if (!this.options.show) this.makeFolder(folder);
    const dependencies = [...makeDependencyIndexes(input)];
    const others = [...makeSymbolIndexes(input), ...makeBuiltinIndexes(input)];
    const aliases = makeAliases();
    // As the tool writes them: modules.devname is the last.
    return [...dependencies, ...aliases.slice(0, -1), ...others, ...aliases.slice(-1)];
  }

  /** Says what is to be said of each file, and writes those that are there (`bytes`). */
  private write(files: readonly MadeFile[], folder: string): number {
    const { options, output } = this;
    for (const { text, bytes, messages, fatal } of files) {
      this.say(messages);
      if (fatal !== undefined) output.fatal(fatal);
      if (options.show && text) output.printBytes(bytes);
    }
    if (options.show) return 0;
    const written = files.filter(({ kept }) => kept !== true);
    if (written.length === 0) return 0;
    try {
      writeIndexes(folder, written);
    } catch (error) {
      output.fatal(`could not write the indexes in ${folder}: ${reason(error)}\n`);
    }
    // What was kept for the next incremental run is of other files now.
    if (!this.keeps) removeCache(folder);
    return 0;
  }

  private makeFolder(folder: string): void {
    try {
      makeFolder(onDisk(folder), 0o755);
    } catch (error) {
      this.output.fatal(`could not create directory ${folder}: ${reason(error)}\n`);
    }
  }

  // -- -A ---------------------------------------------------------------------------------------------------

  /** Is no module file newer than modules.dep? What cannot be told counts as no. */
  private upToDate(): boolean {
    let made: number;
    try {
      opendirSync(onDisk(this.tree)).closeSync();
    } catch (error) {
      this.output.error(`could not open directory ${this.tree}: ${reason(error)}\n`);
      return false;
    }
    try {
      made = microseconds(`${this.tree}/modules.dep`);
    } catch (error) {
      this.output.error(`could not fstatat(${this.tree}, modules.dep): ${reason(error)}\n`);
      return false;
    }
    const scan = new TreeScan(
      this.tree,
      emptyDepmodConfig(),
      this.output,
      undefined,
      undefined,
      this.isModule,
    );
    return !scan.some((path) => this.isModule(path) && microseconds(path) > made);
  }
}

function aliasInput(
  modules: readonly DepmodModule[],
  { parts, partOf, rowOf }: FactSet,
  warnDuplicates: boolean,
  textOnly: boolean,
): AliasInput {
  const starts = new Int32Array(modules.length);
  const ends = new Int32Array(modules.length);
  for (let index = 0; index < modules.length; index++) {
    const { infoEnds } = parts[partOf[index]];
    starts[index] = startOf(infoEnds, rowOf[index]);
    ends[index] = infoEnds[rowOf[index]];
  }
  const names = Buffer.from(modules.map(({ name }) => `${name}\0`).join(''), 'latin1');
  return {
    names,
    pools: parts.map(({ info }) => info),
    poolOf: partOf,
    starts,
    ends,
    warnDuplicates,
    textOnly,
  };
}

/** Shortest usual line of modules.order. */
const PATH_LENGTH = 30;

/** When it was last changed, in whole microseconds: what the tool compares. */
const microseconds = (path: string): number =>
  Number(statSync(onDisk(path), { bigint: true }).mtimeNs / 1000n);

const HELP = `Usage:
	depmod -[aA] [options] [forced_version]

If no arguments (except options) are given, "depmod -a" is assumed

depmod will output a dependency list suitable for the modprobe utility.

Options:
	-a, --all            Probe all modules
	-A, --quick          Only does the work if there's a new module
	-e, --errsyms        Report not supplied symbols
	-n, --show           Write the dependency file on stdout only
	-P, --symbol-prefix  Architecture symbol prefix
	-C, --config PATH    Read configuration from PATH
	-v, --verbose        Enable verbose mode
	-w, --warn           Warn on duplicates
	-V, --version        show version
	-h, --help           show this help

The following options are useful for people managing distributions:
	-b, --basedir DIR    Root path (default: /).
	-m, --moduledir DIR  Module directory (default: /lib/modules).
	-o, --outdir DIR     Output root path (default: same as <basedir>).
	-F, --filesyms FILE  Use the file instead of the
	                     current kernel symbols.
	-E, --symvers FILE   Use Module.symvers file to check
	                     symbol versions.
`;
