/**
 * /etc/system (system(4)): read once at boot. Commands are in lower or in upper case; `*` and `#` begin a comment. What
 * cannot be read is told on the console and left out, as the kernel does (common/os/modsysfile.c).
 */
import type { Assignment } from '../configuration.ts';

export interface SystemError {
  /** As the kernel's source has it, for the message id. */
  readonly format: string;
  readonly text: string;
  readonly line: number;
}

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
  /** `set boot_policy=` and `set module_policy=` of x86 machines. */
  readonly errors: readonly SystemError[];
}

const COMMANDS = [
  'moddir',
  'exclude',
  'include',
  'forceload',
  'rootdev',
  'rootfs',
  'swapdev',
  'swapfs',
] as const;
const SETS = ['set', 'set32', 'set64'] as const;
/** A longer file is cut off: no machine has one. */
const MAX_BYTES = 1 << 20;
/** Longest line that is looked at (MAXLINESIZE is 1024 in the kernel, which complains about more). */
const MAX_LINE = 1024;

/** @param path is named in the errors */
export function parseSystemFile(text: string, path = '/etc/system'): SystemFile {
  return new SystemParser(path).parse(text.slice(0, MAX_BYTES));
}

class SystemParser {
  private readonly path: string;
  private readonly errors: SystemError[] = [];
  private moddir: string[] | undefined;
  private readonly lists = { exclude: [] as string[], forceload: [] as string[], include: [] as string[] };
  private readonly devices = new Map<string, string>();
  private readonly assignments: (Assignment & { only: 32 | 64 | undefined })[] = [];

  constructor(path: string) {
    this.path = path;
  }

  parse(text: string): SystemFile {
    for (const [i, line] of text.split('\n').entries()) this.line(line, i + 1);
    const { moddir, lists, devices, assignments, errors } = this;
    return { moddir, ...lists, devices, assignments, errors };
  }

  private fail(format: string, text: string, line: number): void {
    this.errors.push({
      format: `${format} on line %d of %s`,
      text: `${text} on line ${line} of ${this.path}`,
      line,
    });
  }

  private line(raw: string, number: number): void {
    const line = raw.replace(/^\s+/, '');
    if (line === '' || line[0] === '*' || line[0] === '#') return;
    if (line.length > MAX_LINE) {
      this.fail('value too long', 'value too long', number);
      return;
    }
    const match = /^([A-Za-z_]\w*)\s*(:?)([\s\S]*)$/.exec(line);
    if (match === null) {
      const token = /^\S+/.exec(line)?.[0] ?? line;
      this.fail("Unexpected token '%s'", `Unexpected token '${token.slice(0, 32)}'`, number);
      return;
    }
    const [, word, colon, rest] = match;
    const name = word === word.toUpperCase() ? word.toLowerCase() : word;
    if (SETS.some((one) => one === name)) this.set(name, colon + rest, number);
    else if (COMMANDS.some((one) => one === name)) this.command(name, colon, rest, number);
    else this.fail("unknown command '%s'", `unknown command '${word}'`, number);
  }

  private command(name: string, colon: string, rest: string, line: number): void {
    if (colon === '') {
      const format = "A colon (:) must follow the '%s' command";
      this.fail(format, format.replace('%s', name), line);
      return;
    }
    const words = rest
      .trim()
      .split(/[\s:]+/)
      .filter((word) => word !== '');
    const value = rest.trim().split(/\s+/)[0] ?? '';
    if (name !== 'moddir' && value === '') {
      this.fail('value expected', 'value expected', line);
      return;
    }
    if (name === 'moddir') this.moddir = words;
    else if (name === 'exclude' || name === 'forceload' || name === 'include') this.lists[name].push(value);
    else this.devices.set(name, value);
    const extra = name === 'moddir' ? '' : rest.trim().slice(value.length).trim();
    if (extra !== '' && !/^[*#]/.test(extra)) this.extraneous(extra, line);
  }

  private extraneous(text: string, line: number): void {
    const start = /^\S+/.exec(text)?.[0] ?? text;
    this.fail(
      "extraneous input ignored starting at '%s'",
      `extraneous input ignored starting at '${start}'`,
      line,
    );
  }

  /** `[module:]symbol = value`, `&` and `|` for numbers. */
  private set(name: string, text: string, line: number): void {
    const match = /^\s*(?:([\w.-]+)\s*:\s*)?([A-Za-z_][\w.]*)\s*([^\s\w"'~-]*)\s*([\s\S]*)$/.exec(text);
    if (match === null) {
      const token = text.trim().split(/\s+/)[0] ?? '';
      this.fail("Unexpected token '%s'", `Unexpected token '${token}'`, line);
      return;
    }
    const [, module = '', symbol, operator, rest] = match;
    if (operator !== '=' && operator !== '&' && operator !== '|') {
      this.fail('unsupported operator %s', `unsupported operator ${operator}`, line);
      return;
    }
    const value = this.value(rest, operator, line);
    if (value === undefined) return;
    const only = name === 'set32' ? 32 : name === 'set64' ? 64 : undefined;
    this.assignments.push({ module, symbol, operator, value, line, only });
  }

  private value(text: string, operator: string, line: number): bigint | string | undefined {
    const rest = text.trim();
    if (rest === '') return this.none('value expected', 'value expected', line);
    if (rest[0] === '"') return this.string(rest, operator, line);
    const match = /^(~?)\s*(-?)\s*(\S+)([\s\S]*)$/.exec(rest);
    if (match === null) return this.none("bad rvalue '%s'", `bad rvalue '${rest}'`, line);
    const [, invert, minus, word, more] = match;
    const number = parseNumber(word);
    if (number === undefined) {
      const wrong = /^[0-9]/.test(word) ? 'invalid number' : 'bad rvalue';
      return this.none(`${wrong} '%s'`, `${wrong} '${word}'`, line);
    }
    if (more.trim() !== '' && !/^\s*[*#]/.test(more)) this.extraneous(more.trim(), line);
    const signed = minus === '-' ? -number : number;
    return BigInt.asUintN(64, invert === '~' ? ~signed : signed);
  }

  private string(rest: string, operator: string, line: number): string | undefined {
    const end = rest.indexOf('"', 1);
    if (end < 0) return this.none('Missing "', 'Missing "', line);
    if (operator !== '=') {
      const format = "illegal operator '%s' used on a string";
      return this.none(format, format.replace('%s', operator), line);
    }
    const more = rest.slice(end + 1).trim();
    if (more !== '' && !/^[*#]/.test(more)) this.extraneous(more, line);
    return rest.slice(1, end);
  }

  private none(format: string, text: string, line: number): undefined {
    this.fail(format, text, line);
    return undefined;
  }
}

/** C's forms: 0x1f, 017, 15, and 'c'. */
function parseNumber(word: string): bigint | undefined {
  const character = /^'(\\?.)'$/.exec(word);
  if (character !== null) return BigInt(character[1].charCodeAt(character[1].length - 1));
  if (/^0[xX][0-9a-fA-F]{1,16}$/.test(word)) return BigInt(word);
  if (/^0[0-7]{0,22}$/.test(word)) return BigInt(`0o${word.slice(1) || '0'}`);
  return /^[1-9]\d{0,19}$/.test(word) ? BigInt(word) : undefined;
}

/** Directories of modules: blanks or colons between them. */
export const parseModulePath = (text: string): string[] => text.split(/[\s:]+/).filter((word) => word !== '');
