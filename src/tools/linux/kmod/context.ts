/** A module tree as modprobe and modinfo see it: the indexes, the configuration, and modules by name and alias. */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { type GlobPart, matchesGlob, parseGlob } from '../../../systems/linux/glob.ts';
import { mergeConfigFiles } from '../../../systems/linux/tree/lines.ts';
import {
  emptyModprobeConfig,
  type Mask,
  type ModprobeConfig,
  readCommandLine,
  readModprobeConfig,
} from '../../../systems/linux/tree/modprobe-config.ts';
import { baseName, nameOfPath, normalizeAlias, normalizeName } from '../../../systems/linux/tree/names.ts';
import { TrieReader } from '../../../systems/linux/tree/trie.ts';
import { absolute, onDisk } from './bytes-path.ts';
import { configFiles, configText } from './config-files.ts';
import { readAt, statAt, statError } from './disk.ts';
import { reportCompression } from './kernel-compression.ts';
import { NO_POINTER, type ToolOutput } from './output.ts';
import { MODULE_DIRECTORY, type ToolCall } from './tool.ts';

/** One module, or one alias of it: modprobe treats each alias as a module of its own. */
export interface TreeModule {
  readonly name: string;
  /** The alias that led here; options for it count, too. */
  readonly alias: string | undefined;
  path: string | undefined;
  /** What it needs, in the order of the index, nearest last; undefined = not looked up. */
  needs: readonly TreeModule[] | undefined;
  builtin: boolean | undefined;
  /** Marks of the walk that lists what to load. */
  visited: boolean;
  required: boolean;
  ignoreCommand: boolean;
}

export interface ContextOptions {
  /** Where a file that modules.dep names is, when it is elsewhere than it says. */
  readonly place?: (path: string) => string;
  /** The folder of the tree. */
  readonly tree: string;
  /** Folders and files of configuration; undefined = none at all, not even the tree's own. */
  readonly configs: readonly string[];
}

/** `ROOT/lib/modules/RELEASE`. */
export function treeFolder(call: ToolCall, root: string | undefined, release: string | undefined): string {
  const chosen = release ?? call.release;
  if (chosen === undefined)
    return call.output.fatal('no kernel runs here whose modules could be meant: give its release (-S, -k)\n');
  return absolute(`${root ?? ''}${MODULE_DIRECTORY}/${chosen}`, call.folder);
}

/** In the order in which modprobe opens them. */
const INDEXES = [
  'modules.dep',
  'modules.alias',
  'modules.symbols',
  'modules.builtin.alias',
  'modules.builtin',
];
/** Newer than the others: trees without it are usual. */
const OPTIONAL_INDEX = 'modules.builtin.alias';

/** The beginning of a file; undefined when it cannot be opened. */
function headOf(path: string): Uint8Array | undefined {
  let fd: number;
  try {
    fd = openSync(onDisk(path), 'r');
  } catch {
    return undefined;
  }
  try {
    const head = new Uint8Array(INDEX_HEADER);
    return head.subarray(0, readSync(fd, head));
  } catch {
    return new Uint8Array(0);
  } finally {
    closeSync(fd);
  }
}

/** What the tool's library says of an index that it does not take; empty for one it passes over in silence. */
function indexProblem(bytes: Uint8Array): string | undefined {
  if (bytes.length < INDEX_HEADER) return '';
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const magic = view.getUint32(0);
  if (magic !== INDEX_MAGIC)
    return `magic check fail: ${magic.toString(16)} instead of ${INDEX_MAGIC.toString(16)}`;
  const version = view.getUint16(4);
  return version === 2 ? undefined : `major version check fail: ${version} instead of 2`;
}

const INDEX_MAGIC = 0xb007f457;
const INDEX_HEADER = 12;

/** For tools that read no configuration but the tree's; undefined where no release is known. */
export function ownContext(call: ToolCall): KmodContext | undefined {
  if (call.release === undefined) return undefined;
  return openContext(call, { tree: treeFolder(call, undefined, undefined), configs: [] });
}

/** The tree and its configuration; command lines of one batch share them. */
export function openContext(call: ToolCall, options: ContextOptions): KmodContext {
  const key = [options.tree, ...options.configs].join('\0');
  let context = call.contexts.get(key);
  if (context === undefined) {
    context = new KmodContext(call, options);
    call.contexts.set(key, context);
  }
  context.forgetModules();
  return context;
}

export class KmodContext {
  readonly tree: string;
  readonly config: ModprobeConfig = emptyModprobeConfig();
  private readonly output: ToolOutput;
  private readonly call: ToolCall;
  private readonly place: ContextOptions['place'];
  private readonly pool = new Map<string, TreeModule>();
  private readonly tries = new Map<string, TrieReader | undefined>();
  private readonly globs = new Map<string, readonly GlobPart[]>();

  constructor(call: ToolCall, { tree, configs, place }: ContextOptions) {
    this.call = call;
    this.place = place;
    this.output = call.output;
    this.tree = tree;
    reportCompression(call);
    this.readConfig(configs);
  }

  /** As in a new process: what one command line found out about modules is nothing to the next. */
  forgetModules(): void {
    this.pool.clear();
  }

  /**
   * Looks at all indexes beforehand, as modprobe does: it tells what is wrong with the first that cannot be used. What is
   * sound in them is found all the same.
   */
  loadIndexes(): void {
    for (const name of INDEXES) {
      const head = headOf(`${this.tree}/${name}.bin`);
      if (head === undefined) {
        if (name === OPTIONAL_INDEX) continue;
        return;
      }
      const problem = indexProblem(head);
      if (problem === undefined) continue;
      if (problem !== '') this.output.libraryError('index_mm_open', `${problem}\n`);
      if (name !== OPTIONAL_INDEX) return;
    }
  }

  private readConfig(places: readonly string[]): void {
    const { output, config, tree } = this;
    const own = ['modules.softdep', 'modules.weakdep'].map((name) => ({ path: `${tree}/${name}`, name }));
    for (const file of mergeConfigFiles([own, configFiles(places, output, 'library')])) {
      if (statAt(file.path, this.call.archives) === undefined) continue;
      const text = configText(file, output, 'library');
      if (text === undefined) continue;
      const source = { path: file.path, ofTree: own.includes(file), compat: this.call.own.compat };
      for (const message of readModprobeConfig(config, source, text))
        output.libraryError('kmod_config_parse', `${message}\n`);
    }
    for (const message of readCommandLine(config, this.commandLine()))
      output.libraryError('kcmdline_parse_result', `${message}\n`);
  }

  private commandLine(): string {
    // That of this machine says nothing about another root.
    if (this.call.own.reroot) return '';
    try {
      return readFileSync(`${this.call.proc}/cmdline`, 'latin1');
    } catch {
      // Not every machine has one, and the tool goes on without.
      return '';
    }
  }

  // -- indexes ----------------------------------------------------------------------------------------------

  /** The index of that name; undefined when it is absent or unreadable. */
  trie(name: string): TrieReader | undefined {
    if (!this.tries.has(name)) this.tries.set(name, this.openTrie(name));
    return this.tries.get(name);
  }

  private openTrie(name: string): TrieReader | undefined {
    try {
      return new TrieReader(readAt(`${this.tree}/${name}.bin`, this.call.archives), { lenient: true });
    } catch {
      // Absent and damaged indexes are the same to the tool: nothing is found in them.
      return undefined;
    }
  }

  // -- modules ----------------------------------------------------------------------------------------------

  private module(name: string, alias?: string): TreeModule {
    const key = alias === undefined ? name : `${name}\\${alias}`;
    let module = this.pool.get(key);
    if (module === undefined) {
      module = {
        name,
        alias,
        path: undefined,
        needs: undefined,
        builtin: undefined,
        visited: false,
        required: false,
        ignoreCommand: false,
      };
      this.pool.set(key, module);
    }
    return module;
  }

  get modules(): Iterable<TreeModule> {
    return this.pool.values();
  }

  /** The module in a file. @throws the error of stat(2), or one with the code EEXIST for a second file of one name */
  fromPath(path: string): TreeModule {
    const full = absolute(path, this.call.folder);
    if (statAt(full, this.call.archives) === undefined) throw statError(full);
    const name = nameOfPath(path);
    // A path that ends in a slash names no module.
    if (baseName(path) === '') throw Object.assign(new Error(full), { code: 'ENOENT' });
    const module = this.module(name);
    if (module.path !== undefined && module.path !== full) {
      this.output.libraryError(
        'kmod_module_new_from_path',
        `kmod_module '${name}' already exists with different path: new-path='${full}' old-path='${module.path}'\n`,
      );
      throw Object.assign(new Error(full), { code: 'EEXIST' });
    }
    module.path = full;
    module.builtin = false;
    return module;
  }

  /**
   * Modules that a name or an alias stands for, in the tool's order of places; undefined for an alias whose brackets do
   * not match.
   */
  lookUp(word: string): TreeModule[] | undefined {
    const alias = normalizeAlias(word);
    if (alias === undefined) return undefined;
    const places = [
      () => this.fromConfig(alias),
      () => this.fromDependencies(alias),
      () => (alias.startsWith('symbol:') ? this.fromTrie('modules.symbols', alias) : []),
      () => this.fromCommands(alias),
      () => this.fromTrie('modules.alias', alias),
      () => this.fromBuiltin(alias),
      () => this.fromTrie('modules.builtin.alias', alias).map(marked),
    ];
    for (const place of places) {
      const found = place();
      if (found.length > 0) return found;
    }
    return [];
  }

  /** As lookUp, for a word that is a module's name and nothing else. */
  lookUpName(word: string): TreeModule | undefined {
    const name = normalizeName(word);
    for (const place of [
      () => this.fromDependencies(name),
      () => this.fromBuiltin(name),
      () => this.fromTrie('modules.builtin.alias', name).map(marked),
    ]) {
      const [found] = place();
      if (found !== undefined) return found;
    }
    return undefined;
  }

  private fromConfig(alias: string): TreeModule[] {
    return this.config.aliases
      .filter((one) => this.matches(one.alias, alias))
      .map((one) => this.module(one.module, one.alias));
  }

  /** fnmatch(3) without flags. */
  matches(pattern: string, text: string): boolean {
    let glob = this.globs.get(pattern);
    if (glob === undefined) {
      glob = parseGlob(pattern, { sets: true });
      this.globs.set(pattern, glob);
    }
    return matchesGlob(glob, text);
  }

  private fromDependencies(name: string): TreeModule[] {
    if (name.includes(':')) return [];
    const line = this.trie('modules.dep')?.find(name);
    if (line === undefined) return [];
    const module = this.module(name);
    this.readDependencyLine(module, line);
    return [module];
  }

  /** `PATH: NEEDED NEEDED`. */
  private readDependencyLine(module: TreeModule, line: string): void {
    if (module.needs !== undefined) return;
    module.needs = [];
    const colon = line.indexOf(':');
    if (colon < 0) return;
    module.path ??= this.below(line.slice(0, colon));
    const needs: TreeModule[] = [];
    for (const path of line.slice(colon + 1).split(/[ \t]+/)) {
      if (path === '') continue;
      try {
        needs.unshift(this.fromPath(this.below(path)));
      } catch (error) {
        const reason =
          (error as NodeJS.ErrnoException).code === 'EEXIST' ? 'File exists' : 'No such file or directory';
        this.output.libraryError(
          'kmod_module_parse_depline',
          `ctx=${NO_POINTER} path=${this.below(path)} error=${reason}\n`,
        );
        // Undone as a whole: the next one who asks tries again.
        module.needs = undefined;
        return;
      }
    }
    module.needs = needs;
  }

  private below(path: string): string {
    const full = path.startsWith('/') ? path : `${this.tree}/${path}`;
    return this.place?.(full) ?? full;
  }

  private fromTrie(index: string, alias: string): TreeModule[] {
    const found = this.trie(index)?.matching(alias) ?? [];
    // The pool's name is the alias here, and the module's name its alias: that is how the tool keys them.
    return found.map((name) => this.module(name, alias));
  }

  private fromCommands(name: string): TreeModule[] {
    const { install, remove } = this.config;
    const known = [...install, ...remove].some((one) => one.module === name);
    // The module is named as one, up to a dot.
    return known ? [this.module(normalizeName(name))] : [];
  }

  private fromBuiltin(name: string): TreeModule[] {
    if (this.trie('modules.builtin')?.find(name) === undefined) return [];
    return [marked(this.module(normalizeName(name)))];
  }

  isBuiltin(module: TreeModule): boolean {
    module.builtin ??= this.isBuiltinName(module.name);
    return module.builtin;
  }

  isBuiltinName(name: string): boolean {
    return this.trie('modules.builtin')?.find(name) !== undefined;
  }

  /** What it needs: what must be loaded first stands first. */
  needsOf(module: TreeModule): readonly TreeModule[] {
    this.lookUpLine(module);
    return module.needs ?? [];
  }

  pathOf(module: TreeModule): string | undefined {
    if (module.path === undefined) this.lookUpLine(module);
    return module.path;
  }

  private lookUpLine(module: TreeModule): void {
    if (module.needs !== undefined) return;
    const line = this.trie('modules.dep')?.find(module.name);
    if (line !== undefined) this.readDependencyLine(module, line);
  }

  // -- what the configuration says of a module --------------------------------------------------------------

  optionsOf({ name, alias }: TreeModule): string {
    return this.config.options
      .filter(({ module, options }) => (module === name || module === alias) && options !== '')
      .map(({ options }) => options)
      .join(' ');
  }

  installOf({ name }: TreeModule): string | undefined {
    return this.config.install.find(({ module }) => this.matches(module, name))?.command;
  }

  removeOf({ name }: TreeModule): string | undefined {
    return this.config.remove.find(({ module }) => this.matches(module, name))?.command;
  }

  isBlacklisted({ name }: TreeModule): boolean {
    return this.config.blacklist.includes(name);
  }

  /**
   * The first line for a module counts, as with kmod; unless the user's own files name it: then all their lines count, and
   * those of the tree do not, whatever the files are called.
   */
  softDependenciesOf({ name }: TreeModule): { pre: TreeModule[]; post: TreeModule[] } {
    const lines = this.config.softdeps.filter(({ module }) => this.matches(module, name));
    const users = this.call.own.compat ? [] : lines.filter(({ ofTree }) => !ofTree);
    const chosen = users.length > 0 ? users : lines.slice(0, 1);
    const names = (side: 'pre' | 'post') => [...new Set(chosen.flatMap((line) => line[side]))];
    return { pre: this.allOf(names('pre')), post: this.allOf(names('post')) };
  }

  /** The line that says this module is never to be loaded. */
  maskOf({ name }: TreeModule): Mask | undefined {
    return this.config.masks.find(({ module }) => this.matches(module, name));
  }

  private allOf(names: readonly string[]): TreeModule[] {
    return names.flatMap((name) => {
      const found = this.lookUp(name);
      if (found === undefined)
        this.output.libraryError('lookup_dep', `failed to lookup dependency '${name}', continuing anyway.\n`);
      return found ?? [];
    });
  }
}

function marked(module: TreeModule): TreeModule {
  module.builtin = true;
  return module;
}
