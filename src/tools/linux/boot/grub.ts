/** grub.cfg as far as it says what Linux is started with: its commands are followed, entries are kept until one is chosen. */
import { blsEntries } from './bls.ts';
import { parseScript, type Statement, type Word } from './grub-script.ts';

export interface GrubEntry {
  /** As --entry takes it: `0`, `1>2`. */
  readonly number: string;
  readonly title: string;
  /** What `--id` names it; empty without. */
  readonly id: string;
  /** Path of the kernel as the file has it, without the device. */
  readonly kernel: string;
  readonly commandLine: string;
  readonly initrds: readonly string[];
}

/** An entry or a submenu in its place. */
interface Place {
  readonly number: string;
  readonly title: string;
  readonly id: string;
  /** Undefined for a submenu, and for an entry that starts something else. */
  readonly entry: GrubEntry | undefined;
  readonly below: readonly Place[];
}

export interface GrubConfig {
  readonly entries: readonly GrubEntry[];
  /** What the `default` is set to: a number, a title, an id, or a path of these. */
  readonly chosen: string;
  readonly menu: readonly Place[];
}

/** Files beside grub.cfg, by their path without device; undefined when there is no such file or folder. */
export interface GrubFiles {
  /** The folder that grub.cfg lies in. */
  readonly prefix: string;
  /** Is it known whether there is such a file? */
  knows(path: string): boolean;
  read(path: string): string | undefined;
  list(path: string): readonly string[] | undefined;
}

const NO_FILES: GrubFiles = {
  prefix: '',
  knows: () => false,
  read: () => undefined,
  list: () => undefined,
};

/** More than any configuration does; calls may go round. */
const MAX_COMMANDS = 100_000;
const MAX_CALLS = 32;

/** Variables that GRUB 2 itself sets; what depends on the machine stays empty. */
const BUILT_IN: readonly (readonly [string, string])[] = [
  ...['menuentry_id', 'menuentry_options', 'default_font_path', 'platform_search_hint', 'timeout_style'].map(
    (name) => [`feature_${name}`, 'y'] as const,
  ),
  ['feature_all_video_module', 'y'],
  ['feature_200_final', 'y'],
  ['menuentry_id_option', '--id'],
];

/** Conditions on variables are decided; of those that ask the machine both branches count, and the last `set` of a variable. */
export function readGrub(text: string, files: GrubFiles = NO_FILES): GrubConfig {
  const machine = new Machine(files);
  machine.run(parseScript(text));
  const chosen = machine.variable('default') || '0';
  const menu = machine.menu();
  return { entries: menu.flatMap(entriesOf), chosen, menu };
}

const entriesOf = ({ entry, below }: Place): GrubEntry[] => [
  ...(entry === undefined ? [] : [entry]),
  ...below.flatMap(entriesOf),
];

/** An entry as it was defined: its commands run when it is chosen, with the variables of then. */
interface Defined {
  readonly title: string;
  readonly id: string;
  readonly submenu: boolean;
  readonly body: readonly Statement[];
  readonly args: readonly string[];
}

/** What an entry's commands come to. */
interface Started {
  kernel: string;
  commandLine: string;
  readonly initrds: string[];
}

class Machine {
  readonly #files: GrubFiles;
  #variables = new Map<string, string>(BUILT_IN);
  readonly #functions = new Map<string, readonly Statement[]>();
  #defined: Defined[] = [];
  #started: Started = { kernel: '', commandLine: '', initrds: [] };
  #args: readonly string[] = [];
  #commands = 0;
  #calls = 0;

  constructor(files: GrubFiles) {
    this.#files = files;
    for (const name of ['prefix', 'config_directory']) this.#variables.set(name, files.prefix);
  }

  variable(name: string): string {
    if (/^\d$/.test(name)) return this.#args[Number(name) - 1] ?? '';
    if (name === '#') return `${this.#args.length}`;
    if (name === '@' || name === '*') return this.#args.join(' ');
    return this.#variables.get(name) ?? '';
  }

  /** The entries, each with what it starts. */
  menu(above = ''): Place[] {
    const defined = this.#defined;
    return defined.map(({ title, id, submenu, body, args }, i) => {
      const number = `${above}${i}`;
      this.#defined = [];
      this.#started = { kernel: '', commandLine: '', initrds: [] };
      // What one entry sets is gone when another is chosen.
      const before = new Map(this.#variables);
      this.#call(body, args);
      const { kernel, commandLine, initrds } = this.#started;
      const below = submenu ? this.menu(`${number}>`) : [];
      this.#variables = before;
      if (submenu) return { number, title, id, entry: undefined, below };
      const entry = kernel === '' ? undefined : { number, title, id, kernel, commandLine, initrds };
      return { number, title, id, entry, below: [] };
    });
  }

  /** Undefined: nobody knows how it would end. */
  run(statements: readonly Statement[]): boolean | undefined {
    let last: boolean | undefined = true;
    for (const statement of statements) {
      if (++this.#commands > MAX_COMMANDS) return undefined;
      last = this.#statement(statement);
    }
    return last;
  }

  #statement(statement: Statement): boolean | undefined {
    switch (statement.kind) {
      case 'command':
        return this.#command(this.#expand(statement.words), statement.block);
      case 'function':
        this.#functions.set(statement.name, statement.body);
        return true;
      case 'for':
        for (const word of this.#expand(statement.words)) {
          this.#variables.set(statement.variable, word);
          this.run(statement.body);
        }
        return true;
      case 'while':
        // How often depends on the machine: what is set and defined in it counts once.
        this.run(statement.body);
        return undefined;
      case 'if':
        this.#if(statement);
        return true;
    }
  }

  #if({ branches, otherwise }: Extract<Statement, { kind: 'if' }>): void {
    for (const { condition, body } of branches) {
      const answer = this.run(condition);
      if (answer !== false) this.run(body);
      if (answer === true) return;
    }
    this.run(otherwise);
  }

  /** Words with their variables put in. */
  #expand(words: readonly Word[]): string[] {
    return words.flatMap((word) => this.#expandWord(word));
  }

  #expandWord(word: Word): string[] {
    const out: string[] = [];
    let open: string | undefined;
    for (const { text, variable = '', quoted } of word) {
      const value = text ?? this.variable(variable);
      if (text !== undefined || quoted) {
        open = (open ?? '') + value;
        continue;
      }
      // Blanks in a value that is not quoted end a word.
      for (const [i, part] of value.split(/\s+/).entries()) {
        if (i > 0 && open !== undefined) {
          out.push(open);
          open = undefined;
        }
        if (part !== '') open = (open ?? '') + part;
      }
    }
    if (open !== undefined) out.push(open);
    return out;
  }

  #call(body: readonly Statement[], args: readonly string[]): boolean | undefined {
    if (this.#calls >= MAX_CALLS) return undefined;
    const before = this.#args;
    this.#args = args;
    this.#calls++;
    const answer = this.run(body);
    this.#calls--;
    this.#args = before;
    return answer;
  }

  #command(words: readonly string[], block: readonly Statement[] | undefined): boolean | undefined {
    const [name = '', ...rest] = words;
    const body = this.#functions.get(name);
    if (body !== undefined) return this.#call(body, rest);
    if (/^[A-Za-z_]\w*=/.test(name)) return this.#set([name]);
    if (/^(linux|linux16|linuxefi)$/.test(name)) return this.#linux(rest);
    if (/^(initrd|initrd16|initrdefi)$/.test(name)) return this.#initrd(rest);
    switch (name) {
      case '!': {
        const answer = this.#command(rest, block);
        return answer === undefined ? undefined : !answer;
      }
      case 'set':
        return this.#set(rest);
      case 'unset':
        for (const one of rest) this.#variables.delete(one);
        return true;
      case 'true':
      case 'export':
      case 'save_env':
      case 'insmod':
        return true;
      case 'false':
        return false;
      case '[':
        return this.#test(rest.at(-1) === ']' ? rest.slice(0, -1) : rest);
      case 'test':
        return this.#test(rest);
      case 'menuentry':
      case 'submenu':
        return this.#define(rest, name === 'submenu', block ?? []);
      case 'source':
      case '.':
      case 'configfile':
        return this.#source(rest[0]);
      case 'load_env':
        return this.#loadEnvironment(rest);
      case 'blscfg':
        return this.#blscfg();
      default:
        if (block !== undefined) this.run(block);
        return undefined;
    }
  }

  #set(rest: readonly string[]): boolean {
    for (const one of rest) {
      const equals = one.indexOf('=');
      if (equals > 0) this.#variables.set(one.slice(0, equals), one.slice(equals + 1));
    }
    return true;
  }

  #linux([kernel = '', ...args]: readonly string[]): boolean {
    this.#started.kernel = withoutDevice(kernel);
    // grub_create_loader_cmdline: what has blanks inside is quoted for the kernel.
    this.#started.commandLine = args.map((one) => (/\s/.test(one) ? `"${one}"` : one)).join(' ');
    return true;
  }

  #initrd(paths: readonly string[]): boolean {
    this.#started.initrds.push(...paths.filter((path) => !path.startsWith('newc:')).map(withoutDevice));
    return true;
  }

  #define(words: readonly string[], submenu: boolean, body: readonly Statement[]): boolean {
    let id = '';
    const plain: string[] = [];
    for (let i = 0; i < words.length; i++) {
      const [option, value] = words[i].split(/=(.*)/s, 2);
      if (option === '--id') id = value ?? words[++i] ?? '';
      else if (/^--(class|users|hotkey|source)$/.test(option)) i += value === undefined ? 1 : 0;
      else if (option !== '--unrestricted') plain.push(words[i]);
    }
    const [title = '', ...args] = plain;
    this.#defined.push({ title, id, submenu, body, args });
    return true;
  }

  #source(path = ''): boolean | undefined {
    const text = this.#files.read(withoutDevice(path));
    if (text === undefined || this.#calls >= MAX_CALLS) return undefined;
    this.#calls++;
    this.run(parseScript(text));
    this.#calls--;
    return true;
  }

  /** An environment block: a line for each variable, and #s up to 1024 bytes. */
  #loadEnvironment(rest: readonly string[]): boolean | undefined {
    const at = rest.findIndex((word) => word === '-f' || word === '--file');
    const given = rest.find((word) => word.startsWith('--file='))?.slice('--file='.length);
    const path = given ?? (at < 0 ? undefined : rest[at + 1]);
    const block = this.#files.read(withoutDevice(path ?? `${this.#files.prefix}/grubenv`));
    if (block === undefined) return undefined;
    const wanted = new Set(rest.filter((word, i) => !word.startsWith('-') && (at < 0 || i !== at + 1)));
    for (const line of block.split('\n')) {
      const [name, value] = line.split(/=(.*)/s, 2);
      if (line.startsWith('#') || value === undefined || (wanted.size > 0 && !wanted.has(name))) continue;
      this.#variables.set(name, value.replace(/\\(.)/g, '$1'));
    }
    return true;
  }

  #blscfg(): boolean | undefined {
    const given = this.variable('blsdir') || '/loader/entries';
    const folder = [given, `/boot${given}`].find((path) => this.#files.list(path) !== undefined);
    if (folder === undefined) return undefined;
    const texts = new Map<string, string>();
    for (const name of this.#files.list(folder) ?? []) {
      const text = name.endsWith('.conf') ? this.#files.read(`${folder}/${name}`) : undefined;
      if (text !== undefined) texts.set(name, text);
    }
    for (const { title, id, kernel, initrds, options } of blsEntries(texts)) {
      // Values have variables, such as $kernelopts, but no quotes of the script's.
      const values = options === '' ? '$default_kernelopts' : options.replaceAll(/[;'{}]/g, '\\$&');
      const body = parseScript(`linux ${kernel} ${values}\ninitrd ${initrds.join(' ')}`);
      this.#defined.push({ title, id, submenu: false, body, args: [] });
    }
    return true;
  }

  /** `test`: undefined where it asks for files that nobody has shown. */
  #test(words: readonly string[]): boolean | undefined {
    const or = words.indexOf('-o');
    if (or > 0) return either(this.#test(words.slice(0, or)), this.#test(words.slice(or + 1)));
    const and = words.indexOf('-a');
    if (and > 0) return both(this.#test(words.slice(0, and)), this.#test(words.slice(and + 1)));
    const [first = '', operator = '', second = ''] = words;
    if (first === '!' && words.length > 1) {
      const answer = this.#test(words.slice(1));
      return answer === undefined ? undefined : !answer;
    }
    if (words.length === 2) return this.#ask(first, operator);
    if (words.length === 3) return compare(first, operator, second);
    return words.length > 3 ? undefined : words.length === 1 && first !== '';
  }

  #ask(question: string, about: string): boolean | undefined {
    if (question === '-n') return about !== '';
    if (question === '-z') return about === '';
    if (!/^-[defs]$/.test(question)) return undefined;
    const path = withoutDevice(about);
    if (!this.#files.knows(path)) return undefined;
    const file = question !== '-d' && this.#files.read(path) !== undefined;
    return file || (/[de]/.test(question) && this.#files.list(path) !== undefined);
  }
}

function compare(first: string, operator: string, second: string): boolean | undefined {
  const difference = Number(first) - Number(second);
  const answers: Readonly<Record<string, boolean>> = {
    '=': first === second,
    '==': first === second,
    '!=': first !== second,
    '<': first < second,
    '>': first > second,
    '-eq': difference === 0,
    '-ne': difference !== 0,
    '-lt': difference < 0,
    '-le': difference <= 0,
    '-gt': difference > 0,
    '-ge': difference >= 0,
  };
  return answers[operator];
}

const both = (a: boolean | undefined, b: boolean | undefined): boolean | undefined =>
  a === false || b === false ? false : a === undefined || b === undefined ? undefined : true;

const either = (a: boolean | undefined, b: boolean | undefined): boolean | undefined =>
  a === true || b === true ? true : a === undefined || b === undefined ? undefined : false;

/** `(hd0,1)/vmlinuz` is a path on that device. */
const withoutDevice = (path: string): string => path.replace(/^\([^)]*\)/, '');

/** The entry of that number, title or id, or of a path of these (`Advanced options>1`); undefined when there is none. */
export function chooseEntry({ entries, chosen, menu }: GrubConfig, wanted = chosen): GrubEntry | undefined {
  return (
    follow(menu, wanted) ??
    entries.find(({ number, title, id }) => [number, title, id].includes(wanted) && wanted !== '')
  );
}

/** In a path a title's own > is doubled. A submenu by itself stands for its first entry. */
function follow(menu: readonly Place[], path: string): GrubEntry | undefined {
  const [, step = '', rest] = /^((?:[^>]|>>)*)(?:>(.*))?$/s.exec(path) ?? [];
  const name = step.replaceAll('>>', '>');
  const found =
    (/^\d+$/.test(name) ? menu[Number(name)] : undefined) ??
    menu.find(({ title, id }) => title === name || (id !== '' && id === name));
  if (found === undefined || found.below.length === 0) return rest === undefined ? found?.entry : undefined;
  return follow(found.below, rest ?? '0');
}
