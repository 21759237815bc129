/** modprobe(8): modules with what they need, by name or alias; and what it would do, and what it knows. */
import { ElfFacts, type ModuleSymbol, NotAModule } from '../../../systems/linux/tree/elf-facts.ts';
import { reason } from './bytes-path.ts';
import { configFolders } from './config-files.ts';
import { type KmodContext, openContext, type TreeModule, treeFolder } from './context.ts';
import { type ModprobeOptions, moduleOptions, readModprobeOptions } from './modprobe-options.ts';
import { readWhole, SourceError, withModule } from './module-source.ts';
import { Level, ToolExit, type ToolOutput } from './output.ts';
import { MASKED, Probe } from './probe.ts';
import { Removal } from './removal.ts';
import { SystemLog } from './syslog.ts';
import { type KernelTarget, targetOf } from './target.ts';
import type { ToolCall } from './tool.ts';

export function modprobe(call: ToolCall): number {
  return new Modprobe(call).run();
}

/** What a word of the command line stands for. */
type Found = { readonly modules: readonly TreeModule[] } | { readonly error: string };

class Modprobe {
  private readonly output: ToolOutput;
  private readonly options: ModprobeOptions;
  private readonly args: readonly string[];
  private readonly context: KmodContext;
  private readonly target: KernelTarget;

  constructor(call: ToolCall) {
    const { options, args } = readModprobeOptions(call);
    this.target = targetOf(call, readWhole);
    this.options = options;
    this.args = args;
    this.output = call.output;
    if (options.syslog) this.output.log = new SystemLog(this.output.tool);
    if (!options.showConfig && args.length === 0) {
      this.output.error('missing parameters. See -h.\n');
      throw new ToolExit(1);
    }
    this.context = openContext(call, {
      tree: treeFolder(call, options.root, options.release),
      configs:
        options.configs.length > 0
          ? options.configs
          : configFolders('modprobe.d', call.own.reroot ? (options.root ?? '') : ''),
    });
    this.output.takeOver(options.verbose);
    this.context.loadIndexes();
  }

  run(): number {
    const { options, args } = this;
    if (options.showConfig) return this.showConfig();
    if (options.showModversions) return this.showSymbols(args[0], 'modversions');
    if (options.showExports) return this.showSymbols(args[0], 'symbols');
    if (options.remove) return this.each(args, (word) => this.remove(word));
    if (options.all) return this.each(args, (word) => this.insert(word, ''));
    return this.insert(args[0], moduleOptions(args.slice(1))) ? 0 : 1;
  }

  private each(words: readonly string[], act: (word: string) => boolean): number {
    let code = 0;
    for (const word of words) if (!act(word)) code = 1;
    return code;
  }

  /** An error with -a, where the other words are still tried; the end of the tool without. */
  private complain(text: string): false {
    if (this.options.all) this.output.warn(text);
    // With -q it says nothing and goes on with the next word.
    else this.output.say(Level.FATAL, text);
    return false;
  }

  private find(word: string): Found {
    if (word.startsWith('/') || word.startsWith('./')) {
      try {
        return { modules: [this.context.fromPath(word)] };
      } catch (error) {
        return { error: `Failed to get module from path ${word}: ${reason(error)}\n` };
      }
    }
    const modules = this.context.lookUp(word) ?? [];
    return modules.length > 0
      ? { modules }
      : { error: `Module ${word} not found in directory ${this.context.tree}\n` };
  }

  // -- inserting --------------------------------------------------------------------------------------------

  private insert(word: string, extra: string): boolean {
    const found = this.find(word);
    if ('error' in found) return this.complain(found.error);
    let good = true;
    // The last of several decides, as in the tool.
    for (const module of found.modules) good = this.insertOne(module, extra);
    return good;
  }

  private insertOne(module: TreeModule, extra: string): boolean {
    const { options, output } = this;
    if (options.lookUpOnly) {
      output.note('modules', () => module.name);
      output.print(`${module.name}\n`);
      return true;
    }
    const shows = options.show || options.verbose > Level.WARNING;
    const probe = new Probe(this.context, this.target, output, {
      flags: {
        forceModversion: options.force || options.forceModversion,
        forceVermagic: options.force || options.forceVermagic,
      },
      ignoreCommand: options.ignoreCommands,
      ignoreLoaded: options.ignoreLoaded,
      dryRun: options.dryRun,
      useBlacklist: options.useBlacklist,
      firstTime: options.firstTime,
      environment: options.environment,
      show: (...step) => this.showStep(shows, ...step),
    });
    const error = probe.insert(module, extra);
    if (error !== undefined && error !== MASKED)
      output.error(`could not insert '${module.name}': ${insertError(error)}\n`);
    return error === undefined;
  }

  private showStep(shows: boolean, module: TreeModule, install: string | undefined, options: string): void {
    const { output, context } = this;
    output.note('steps', () => stepOf(context, module, install, options));
    if (!shows) return;
    if (install !== undefined) {
      output.print(`install ${install} ${options}\n`);
      return;
    }
    const path = context.pathOf(module);
    if (path !== undefined) output.print(`insmod ${path} ${options}\n`);
    else if (context.isBuiltin(module)) output.print(`builtin ${module.name}\n`);
  }

  private remove(word: string): boolean {
    const modules = this.context.lookUp(word);
    if (modules === undefined) return false;
    if (modules.length === 0) return this.complain(`Module ${word} not found.\n`);
    const removal = new Removal(this.context, this.target, this.output, this.options, (text) =>
      this.complain(text),
    );
    return modules.every((module) =>
      removal.remove(module, { holders: this.options.removeHolders, top: true }),
    );
  }

  // -- showing ----------------------------------------------------------------------------------------------

  private showConfig(): number {
    const { config } = this.context;
    for (const [list, entries] of Object.entries(config)) this.output.record(list, () => entries);
    const lines = [
      ...config.blacklist.map((module) => `blacklist ${module}`),
      ...config.install.map(({ module, command }) => `install ${module} ${command}`),
      ...config.remove.map(({ module, command }) => `remove ${module} ${command}`),
      ...config.aliases.map(({ alias, module }) => `alias ${alias} ${module}`),
      ...config.options.map(({ module, options }) => `options ${module} ${options}`),
      ...config.softdeps.map((soft) => `softdep ${soft.module} ${soft.text}`),
      ...config.weakdeps.map(({ module, weak }) => `weakdep ${module} ${weak.join(' ')}`),
    ];
    const end = '\n# End of configuration files. Dumping indexes now:\n\n';
    this.output.print(lines.map((line) => `${line}\n`).join('') + end);
    this.dump('modules.alias', 'alias ');
    this.dump('modules.symbols', 'alias ');
    return 0;
  }

  private dump(index: string, prefix: string): void {
    let text = '';
    for (const { key, values } of this.context.trie(index)?.entries() ?? [])
      for (const { value } of values) {
        this.output.note(index, () => ({ pattern: key, module: value }));
        text += `${prefix}${key} ${value}\n`;
      }
    this.output.print(text);
  }

  private showSymbols(word: string, what: 'modversions' | 'symbols'): number {
    const found = this.find(word);
    if ('error' in found) return this.complain(found.error) ? 0 : 1;
    let good = true;
    for (const module of found.modules) good = this.showSymbolsOf(module, what);
    return good ? 0 : 1;
  }

  private showSymbolsOf(module: TreeModule, what: 'modversions' | 'symbols'): boolean {
    const path = this.context.pathOf(module);
    let symbols: readonly ModuleSymbol[];
    try {
      if (path === undefined) throw new SourceError('ENOENT');
      symbols = withModule(path, (source) => {
        const elf = new ElfFacts(source);
        return what === 'symbols' ? elf.exports() : versionsOf(elf);
      });
    } catch (error) {
      if (!(error instanceof SourceError) && !(error instanceof NotAModule)) throw error;
      if (error instanceof SourceError && error.said !== undefined)
        this.output.libraryError(error.where, `${error.said}\n`);
      const code = error instanceof SourceError ? error.code : error.errno;
      return this.complain(`could not get ${what} of ${module.name}: ${reason({ code })}\n`);
    }
    for (const { name, crc } of symbols) {
      // A version that the file does not have is all ones.
      const hex = crc >= 2 ** 64 ? 'f'.repeat(16) : crc.toString(16);
      this.output.note('symbols', () => ({ module: module.name, name, crc: `0x${hex.padStart(8, '0')}` }));
      this.output.print(`0x${hex.padStart(8, '0')}\t${name}\n`);
    }
    return true;
  }
}

/** For --json: what modprobe does, or would do, with one module. */
function stepOf(context: KmodContext, module: TreeModule, install: string | undefined, options: string) {
  const { name } = module;
  const parameters = options.trim();
  if (install !== undefined) return { action: 'install', module: name, command: install, parameters };
  const path = context.pathOf(module);
  if (path !== undefined) return { action: 'insmod', module: name, path, parameters };
  return { action: context.isBuiltin(module) ? 'builtin' : 'nothing', module: name };
}

function versionsOf(elf: ElfFacts): readonly ModuleSymbol[] {
  const versions = elf.versions();
  if (versions === undefined)
    throw new NotAModule(elf.versionCount > 0 ? 'EINVAL' : 'ENODATA', 'no versions');
  return versions.map(({ name, crc }) => ({ name: name.startsWith('.') ? name.slice(1) : name, crc }));
}

function insertError(code: string): string {
  if (code === 'EEXIST') return 'Module already in kernel';
  if (code === 'ENOENT') return 'Unknown symbol in module, or unknown parameter (see dmesg)';
  return reason({ code });
}
