/** modinfo(8): what module files say about themselves. */
import { type ByteSource, ElfFacts, NotAModule } from '../../../systems/linux/tree/elf-facts.ts';
import { isModuleFile } from '../../../systems/linux/tree/names.ts';
import { OLD_ENDING, type OldModule, readOldModule } from '../../../systems/linux/tree/old-module.ts';
import { Getopt, type LongOption, WRONG } from '../../getopt.ts';
import { absolute, reason } from './bytes-path.ts';
import { type KmodContext, openContext, type TreeModule, treeFolder } from './context.ts';
import { readAt, statAt } from './disk.ts';
import { type Entry, entriesOf, factsOf, writeRows } from './modinfo-facts.ts';
import { ModuleReader, SourceError } from './module-source.ts';
import { ToolExit, type ToolOutput } from './output.ts';
import { Parameters } from './parameters.ts';
import { SignatureReader } from './signature-fields.ts';
import { printHelp, printVersion, type ToolCall } from './tool.ts';

const LONG: readonly LongOption[] = [
  { name: 'author', value: 'none', as: 'a' },
  { name: 'description', value: 'none', as: 'd' },
  { name: 'license', value: 'none', as: 'l' },
  { name: 'parameters', value: 'none', as: 'p' },
  { name: 'filename', value: 'none', as: 'n' },
  { name: 'null', value: 'none', as: '0' },
  { name: 'modname', value: 'none', as: 'm' },
  { name: 'field', value: 'required', as: 'F' },
  { name: 'set-version', value: 'required', as: 'k' },
  { name: 'basedir', value: 'required', as: 'b' },
  { name: 'version', value: 'none', as: 'V' },
  { name: 'help', value: 'none', as: 'h' },
];

const FIELDS: Readonly<Record<string, string>> = {
  a: 'author',
  d: 'description',
  l: 'license',
  p: 'parm',
  n: 'filename',
};

const LABEL = 16;

interface ModuleFile {
  readonly name: string;
  /** null: built in. */
  readonly filename: string | null;
}

export function modinfoTool(call: ToolCall): number {
  return new Modinfo(call).run();
}

class Modinfo {
  private readonly call: ToolCall;
  private readonly reader: ModuleReader;
  private readonly output: ToolOutput;
  private readonly signatures = new SignatureReader();
  private field: string | undefined;
  private separator = '\n';
  private byName = false;
  private root: string | undefined;
  private release: string | undefined;
  private context: KmodContext | undefined;
  private failed = false;

  constructor(call: ToolCall) {
    this.call = call;
    this.reader = new ModuleReader(call.archives);
    this.output = call.output;
  }

  run(): number {
    const names = this.readOptions();
    if (names.length === 0) {
      this.output.error('missing module or filename.\n');
      return 1;
    }
    if (this.release !== undefined || this.call.release !== undefined) this.tree();
    for (const name of names) this.one(name);
    return this.failed ? 1 : 0;
  }

  private readonly noColon = (key: string, value: string): void =>
    this.output.error(`Found invalid "${key}=${value}": missing ':'\n`);

  private readOptions(): readonly string[] {
    const { options, rest, messages } = new Getopt('modinfo', 'adlpn0mF:k:b:Vh', LONG).parse(this.call.argv);
    for (const { option, value } of options) {
      if (option === WRONG) {
        this.output.printError(messages[0]);
        throw new ToolExit(1);
      }
      this.take(option, value);
    }
    return rest;
  }

  private take(option: string, value: string): void {
    switch (option) {
      case '0':
        this.separator = '\0';
        break;
      case 'm':
        this.byName = true;
        break;
      case 'F':
        this.field = value;
        break;
      case 'k':
        this.release = value;
        break;
      case 'b':
        this.root = value;
        break;
      case 'h':
        printHelp(this.call, HELP);
        throw new ToolExit(0);
      case 'V':
        printVersion(this.output);
        throw new ToolExit(0);
      default:
        this.field = FIELDS[option];
    }
  }

  private tree(): KmodContext {
    this.context ??= openContext(this.call, {
      tree: treeFolder(this.call, this.root, this.release),
      configs: [],
    });
    return this.context;
  }

  private one(word: string): void {
    if (this.byName) {
      const module = this.tree().lookUpName(word);
      if (module === undefined) this.fail(`Module name ${word} not found.\n`);
      else this.show(module);
    } else if (!isModuleFile(word)) {
      if (!this.showOld(word)) this.oneAlias(word);
    } else if (this.showElf(absolute(word, this.call.folder))) return;
    else if (this.isFile(word)) this.showFile(absolute(word, this.call.folder));
    else this.oneAlias(word);
  }

  /** A module from before 2.6, which kmod does not know; false: it is none. */
  private showOld(word: string): boolean {
    if (this.call.own.compat || !OLD_ENDING.test(`/${word}`) || !this.isFile(word)) return false;
    const path = absolute(word, this.call.folder);
    let module: OldModule | undefined;
    try {
      module = this.reader.with(path, (source) => readOldModule(new ElfFacts(source)));
    } catch (error) {
      if (!(error instanceof SourceError) && !(error instanceof NotAModule)) throw error;
    }
    if (module === undefined) return false;
    if (this.fileName(path)) this.entries(oldEntries(module), { name: moduleNameOf(path), filename: path });
    return true;
  }

  private oneAlias(word: string): void {
    const found = this.tree().lookUp(word);
    if (found === undefined) this.fail(`Module alias ${word} not found.\n`);
    else if (found.length === 0) this.fail(`Module ${word} not found.\n`);
    else for (const module of found) this.show(module);
  }

  private fail(text: string): void {
    this.output.error(text);
    this.failed = true;
  }

  private isFile(word: string): boolean {
    return statAt(absolute(word, this.call.folder), this.call.archives)?.isFile() === true;
  }

  // -- one module -------------------------------------------------------------------------------------------

  private show(module: TreeModule): void {
    const path = this.tree().pathOf(module);
    if (path === undefined) this.showBuiltin(module);
    else if (this.tree().isBuiltin(module)) this.showBoth(path, module.name);
    else this.showFile(path, module.name);
  }

  private showBuiltin(module: TreeModule): void {
    const { name } = module;
    if (this.field === undefined) this.row('name', name);
    else if (this.field === 'name') this.value(name);
    if (!this.fileName('(builtin)')) return;
    // One that an index names and no file has is taken for built in, too, and nothing is known of it.
    const entries = this.tree().isBuiltin(module) ? this.builtinEntries(name) : undefined;
    if (entries !== undefined) this.entries(entries, { name, filename: null });
  }

  /** A file that has the name of something built in: its path is shown, and what the kernel's own list says. */
  private showBoth(path: string, name: string): void {
    if (!this.fileName(path)) return;
    const entries = this.builtinEntries(name);
    if (entries !== undefined && entries.length > 0) this.entries(entries, { name, filename: path });
    else this.fail(`could not get modinfo from '${name}': ${reason({ code: 'ENOENT' })}\n`);
  }

  /** undefined for kernels that keep no such file. */
  private builtinEntries(name: string): Entry[] | undefined {
    let text: string;
    try {
      text = readAt(`${this.tree().tree}/modules.builtin.modinfo`, this.call.archives).toString('latin1');
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOENT') this.fail(`could not get modinfo from '${name}': ${reason(error)}\n`);
      return undefined;
    }
    const entries: Entry[] = [];
    const lines = text.split('\0');
    if (lines[lines.length - 1] === '') lines.pop();
    for (const line of lines) {
      if (!line.includes('.')) {
        this.output.libraryError('get_strings', 'get_strings: unexpected string without modname prefix\n');
        this.fail(`could not get modinfo from '${name}': ${reason({ code: 'EINVAL' })}\n`);
        return undefined;
      }
      // One module's strings stand together.
      if (line.startsWith(`${name}.`)) entries.push(entryOf(line.slice(line.indexOf('.') + 1)));
      else if (entries.length > 0) break;
    }
    return entries;
  }

  /** false: the path leads to no plain module file, and nothing was shown. */
  private showElf(path: string): boolean {
    if (this.field === 'filename') return false;
    const module = { name: moduleNameOf(path), filename: path };
    try {
      return this.reader.elf(path, (source) => {
        this.fileName(path);
        this.showSource(source, module);
      });
    } catch (error) {
      this.cannotShow(error, module.name);
      return true;
    }
  }

  private showFile(path: string, name?: string): void {
    if (!this.fileName(path)) return;
    const module = { name: name ?? moduleNameOf(path), filename: path };
    try {
      this.reader.with(path, (source) => this.showSource(source, module));
    } catch (error) {
      this.cannotShow(error, module.name);
    }
  }

  private showSource(source: ByteSource, module: ModuleFile): void {
    const facts = factsOf(source, this.signatures);
    if (this.field !== undefined || this.separator !== '\n' || this.output.takesFacts) {
      this.entries(entriesOf(facts), module);
      return;
    }
    const parameters = new Parameters(this.noColon);
    this.output.printWith((text) => writeRows(text, facts, (key, value) => parameters.add(key, value)));
    for (const text of parameters.lines(false)) this.row('parm', text);
  }

  private cannotShow(error: unknown, name: string): void {
    if (!(error instanceof SourceError) && !(error instanceof NotAModule)) throw error;
    if (error instanceof SourceError && error.said !== undefined)
      this.output.libraryError(error.where, `${error.said}\n`);
    const code = error instanceof SourceError ? error.code : error.errno;
    this.fail(`could not get modinfo from '${name}': ${reason({ code })}\n`);
  }

  /** The row `filename`; false when nothing else was asked for. */
  private fileName(path: string): boolean {
    if (this.field === undefined) this.row('filename', path);
    if (this.field !== 'filename') return true;
    this.output.note('modules', () => ({ filename: path }));
    this.value(path);
    return false;
  }

  private value(text: string): void {
    this.output.print(text + this.separator);
  }

  private row(label: string, text: string): void {
    this.value(`${label}:`.padEnd(LABEL) + text);
  }

  private entries(entries: readonly Entry[], module: ModuleFile): void {
    const parameters = new Parameters(this.noColon);
    for (const [key, value] of entries) {
      const isParameter = key === 'parm' || key === 'parmtype';
      if (isParameter && (this.field === undefined || this.field === 'parm')) parameters.add(key, value);
      else if (this.field !== undefined) {
        if (this.field === key) this.value(value);
      } else if (this.separator === '\0') this.value(`${key}=${value}`);
      else this.value(`${key}:${''.padEnd(15 - Math.min(key.length, 15))}${value}`);
    }
    const { field } = this;
    this.output.note('modules', () => ({
      ...module,
      fields: fieldsOf(entries, field),
      parameters: field === undefined || field === 'parm' ? parameters.facts() : [],
    }));
    if (this.field === undefined) for (const text of parameters.lines(false)) this.row('parm', text);
    else if (this.field === 'parm') for (const text of parameters.lines(true)) this.value(text);
  }
}

/** Parameters as later modules have them. */
const oldEntries = ({ info, parameters }: OldModule): Entry[] => [
  ...info,
  ...parameters.flatMap(({ name, type, description }): Entry[] => [
    ...(description === '' ? [] : [['parm', `${name}:${description}`] as const]),
    ...(type === '' ? [] : [['parmtype', `${name}:${type}`] as const]),
  ]),
];

/** All values under each key, parameters apart; only one key when one was asked for. */
function fieldsOf(entries: readonly Entry[], field: string | undefined): Record<string, string[]> {
  const fields: Record<string, string[]> = {};
  for (const [key, value] of entries) {
    if (field === undefined ? key === 'parm' || key === 'parmtype' : key !== field) continue;
    if (!Object.hasOwn(fields, key)) fields[key] = [];
    fields[key].push(value);
  }
  return fields;
}

const moduleNameOf = (path: string): string =>
  path
    .slice(path.lastIndexOf('/') + 1)
    .replace(/\..*$/, '')
    .replaceAll('-', '_');

/** A string without '=' is its own value. */
function entryOf(text: string): Entry {
  const equals = text.indexOf('=');
  return equals < 0 ? [text, ''] : [text.slice(0, equals), text.slice(equals + 1)];
}

const HELP = `Usage:
	modinfo [options] <modulename|filename> [args]
Options:
	-a, --author                Print only 'author'
	-d, --description           Print only 'description'
	-l, --license               Print only 'license'
	-p, --parameters            Print only 'parm'
	-n, --filename              Print only 'filename'
	-0, --null                  Use \\0 instead of \\n
	-m, --modname               Handle argument as module name instead of alias or filename
	-F, --field FIELD           Print only provided FIELD
	-k, --set-version VERSION   Use VERSION instead of $(uname -r)
	-b, --basedir DIR           Use DIR as filesystem root for /lib/modules
	-V, --version               Show version
	-h, --help                  Show this help
`;
