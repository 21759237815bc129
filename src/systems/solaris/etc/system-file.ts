/**
 * /etc/system (system(4)): read once at boot. Commands are in lower or in upper case; `*` and `#` begin a comment. What
 * cannot be read is told on the console and left out, in the words and the order of the kernel (common/os/modsysfile.c).
 */
import type { Assignment } from '../configuration.ts';
import { type FileError, Lexer, numberOf, type Token } from './lexer.ts';

export interface SystemFile {
  /** `moddir:`; undefined when there is none. */
  readonly moddir: readonly string[] | undefined;
  readonly exclude: readonly string[];
  readonly forceload: readonly string[];
  /** `include:`, which does nothing. */
  readonly include: readonly string[];
  /** rootdev, rootfs, swapdev, swapfs. */
  readonly devices: ReadonlyMap<string, string>;
  /** `set`, `set32`, `set64`, in order. */
  readonly assignments: readonly (Assignment & { readonly only: 32 | 64 | undefined })[];
  /** Commands in the order of the file, for what is said of those that come twice. */
  readonly commands: readonly { readonly name: string; readonly value: string }[];
  readonly errors: readonly FileError[];
}

const LISTS = ['exclude', 'include', 'forceload'] as const;
const FILE_SYSTEMS = ['rootfs', 'swapfs'] as const;
const DEVICES = ['rootdev', 'swapdev'] as const;
const SETS = ['set', 'set32', 'set64'] as const;

const among = <T extends string>(names: readonly T[], name: string): T | undefined =>
  names.find((one) => one === name);

/** Buffers of the kernel: a line's first word, a path or value, the variable behind a module's name. */
const LINE = 80;
const PATH = 257;
const SYMBOL = 64;

/** @param path is named in the errors */
export function parseSystemFile(text: string, path = '/etc/system'): SystemFile {
  return new SystemParser(text, path).parse();
}

class SystemParser {
  private readonly lexer: Lexer;
  private moddir: string[] | undefined;
  private readonly lists = { exclude: [] as string[], forceload: [] as string[], include: [] as string[] };
  private readonly devices = new Map<string, string>();
  private readonly assignments: (Assignment & { only: 32 | 64 | undefined })[] = [];
  private readonly commands: { name: string; value: string }[] = [];

  constructor(text: string, path: string) {
    this.lexer = new Lexer(text, path);
  }

  parse(): SystemFile {
    const { lexer } = this;
    let fresh = true;
    for (let token = lexer.next(LINE); token.kind !== 'end'; token = lexer.next(LINE)) {
      if (token.kind === '*' || token.kind === '#') lexer.skipLine();
      else if (token.kind === 'newline') {
        lexer.line++;
        fresh = true;
      } else if (token.kind === 'name') {
        if (fresh) this.command(token.text);
        else this.refuse(`extraneous input ignored starting at '${token.text}'`);
        fresh = false;
      } else this.refuse(`Unexpected token '${token.text}'`);
    }
    const { moddir, lists, devices, assignments, commands } = this;
    return { moddir, ...lists, devices, assignments, commands, errors: lexer.errors };
  }

  private refuse(text: string): void {
    this.lexer.fail(text);
    this.lexer.skipLine();
  }

  /** In lower or in upper case, but not mixed. */
  private command(word: string): void {
    const name = word === word.toUpperCase() ? word.toLowerCase() : word;
    const list = among(LISTS, name);
    const fileSystem = among(FILE_SYSTEMS, name);
    const device = among(DEVICES, name);
    const set = among(SETS, name);
    if (set !== undefined) this.set(set);
    else if (list !== undefined) this.named(word, (value) => this.lists[list].push(value), name);
    else if (fileSystem !== undefined) this.named(word, (value) => this.devices.set(fileSystem, value), name);
    else if (device !== undefined) this.device(word, device);
    else if (name === 'moddir') this.directories(word);
    else this.refuse(`unknown command '${word}'`);
  }

  private noColon(word: string): void {
    this.lexer.fail(`A colon (:) must follow the '${word}' command`);
  }

  /** A name and what is written right behind it. The kernel misses the colon aloud, and takes the name all the same. */
  private named(word: string, keep: (value: string) => void, name: string): void {
    const { lexer } = this;
    let token = lexer.next(PATH);
    if (token.kind === ':') token = lexer.next(PATH);
    else this.noColon(word);
    if (token.kind !== 'name') {
      this.refuse('value expected');
      return;
    }
    const rest = lexer.rest(PATH - 1 - token.text.length);
    if (rest === undefined) {
      this.refuse('value too long');
      return;
    }
    keep(token.text + rest);
    if (name !== 'include') this.commands.push({ name, value: token.text + rest });
  }

  private device(word: string, name: string): void {
    const { lexer } = this;
    if (lexer.next(PATH).kind !== ':') {
      this.noColon(word);
      lexer.skipLine();
      return;
    }
    lexer.skipWhite();
    const value = lexer.rest(PATH - 1);
    if (value === undefined) {
      this.refuse('value too long');
      return;
    }
    this.devices.set(name, value);
    this.commands.push({ name, value });
  }

  /** Directories up to the end of the line, blanks or colons between them. */
  private directories(word: string): void {
    const { lexer } = this;
    if (lexer.next(PATH).kind !== ':') {
      this.noColon(word);
      lexer.skipLine();
      return;
    }
    let text = '';
    for (;;) {
      const token = lexer.next(PATH - text.length);
      if (token.kind === 'newline' || token.kind === 'end') break;
      const rest = token.kind === 'unexpected' ? undefined : lexer.rest(PATH - 1 - text.length, ':');
      if (rest === undefined) {
        this.refuse('value too long');
        return;
      }
      text += `${token.text}${rest} `;
    }
    lexer.back();
    this.moddir = parseModulePath(text);
    this.commands.push({ name: 'moddir', value: text.trim() });
  }

  /** `[module:]symbol = value`, `&` and `|` for numbers. */
  private set(name: (typeof SETS)[number]): void {
    const { lexer } = this;
    const { line } = lexer;
    const first = lexer.next(PATH);
    if (first.kind !== 'name') {
      this.refuse('value expected');
      return;
    }
    let operator = lexer.next(SYMBOL);
    // The kernel shows what it read second: of `module:variable ?` the variable.
    let shown = operator;
    let module = '';
    let symbol = first.text;
    if (operator.kind === ':') {
      shown = lexer.next(SYMBOL);
      if (shown.kind !== 'name') {
        this.refuse('value expected');
        return;
      }
      module = first.text;
      symbol = shown.text;
      operator = lexer.next(PATH);
    }
    const { kind } = operator;
    if (kind !== '=' && kind !== '&' && kind !== '|') {
      this.refuse(`unsupported operator ${shown.text}`);
      return;
    }
    const token = lexer.next(PATH);
    const value = this.value(token, kind);
    if (value === undefined) return;
    const only = name === 'set32' ? 32 : name === 'set64' ? 64 : undefined;
    const hexadecimal = token.kind === 'hexadecimal';
    this.assignments.push({ module, symbol, operator: kind, value, hexadecimal, line, only });
  }

  private value({ kind, text }: Token, operator: string): bigint | string | undefined {
    if (kind === 'string') {
      if (operator === '=') return escapes(text);
      this.refuse(`illegal operator '${text}' used on a string`);
      return undefined;
    }
    if (kind !== 'hexadecimal' && kind !== 'decimal') {
      this.refuse(`bad rvalue '${text}'`);
      return undefined;
    }
    const number = numberOf(text);
    if (number === undefined) this.refuse(`invalid number '${text}'`);
    return number;
  }
}

const ESCAPES: Readonly<Record<string, string>> = { t: '\t', n: '\n', b: '\b' };

/** What is left of an escape when a string was cut out: `"\\n"` in the file. */
const escapes = (text: string): string => text.replace(/\\([tnb])/g, (_, letter: string) => ESCAPES[letter]);

/** Directories of modules: blanks or colons between them. */
export const parseModulePath = (text: string): string[] => text.split(/[\s:]+/).filter((word) => word !== '');
