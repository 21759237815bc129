/**
 * Words of the files that the kernel itself reads, /etc/system and driver.conf (common/os/modsysfile.c): both are cut
 * into words by the same rules, and what is odd about them (an escape in a string gives the letter itself, a name ends
 * at a slash or a point) holds for both.
 */

export type TokenKind =
  | '='
  | '&'
  | '|'
  | '*'
  | '#'
  | ':'
  | ';'
  | ','
  | '/'
  | 'space'
  | 'newline'
  | 'string'
  | 'hexadecimal'
  | 'decimal'
  | 'name'
  | 'end'
  | 'unexpected';

export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
}

/** What the kernel says of a line. */
export interface FileError {
  /** As the kernel's source has it, for the message id. */
  readonly format: string;
  readonly text: string;
  readonly line: number;
}

/** kobj_file_err() hands text and place to cmn_err as two strings. */
const FORMAT = '%s%s';
/** FE_BUFLEN, with the NUL: a longer text is cut off. */
const MAX_ERROR = 255;

/** A file longer than this is no configuration; ends inputs that were made up. */
const MAX_BYTES = 1 << 20;

const SINGLE = new Set<string>(['=', '&', '|', '*', '#', ':', ';', ',', '/']);
const isSingle = (character: string): character is TokenKind => SINGLE.has(character);
const NEWLINES = new Set(['\n', '\r', '\f']);
const isWhite = (character: string): boolean => character === ' ' || character === '\t';
const isDigit = (character: string): boolean =>
  character >= '0' && character <= '9' && character.length === 1;
const isLetter = (character: string): boolean => /^[A-Za-z]$/.test(character);
const isNamePart = (character: string): boolean => /^[A-Za-z0-9_-]$/.test(character);

/** The longest beginning of characters that a test takes, as one string. */
class Taken {
  text = '';
  private readonly limit: number;

  constructor(limit: number) {
    this.limit = limit;
  }

  /** False when there is no room for it. */
  add(character: string): boolean {
    if (this.text.length >= this.limit) return false;
    this.text += character;
    return true;
  }
}

export class Lexer {
  readonly errors: FileError[] = [];
  /** Counted where the reader says so, as the kernel does: a newline inside of a command is not. */
  line = 1;
  private readonly text: string;
  private readonly path: string;
  private at = 0;

  constructor(text: string, path: string) {
    this.text = text.slice(0, MAX_BYTES);
    this.path = path;
  }

  fail(what: string): void {
    const text = `${what.slice(0, MAX_ERROR)} on line ${this.line} of ${this.path}`;
    this.errors.push({ format: FORMAT, text, line: this.line });
  }

  /** The next character; '' at the end. */
  character(): string {
    const character = this.text.charAt(this.at);
    this.at++;
    return character;
  }

  back(): void {
    this.at--;
  }

  /** On to the end of the line, which comes next. */
  skipLine(): void {
    while (this.at < this.text.length && !NEWLINES.has(this.text[this.at])) this.at++;
  }

  /** Characters up to white space or the end of a line; undefined when there are more than `room`. */
  rest(room: number, ends = ''): string | undefined {
    let taken = '';
    for (;;) {
      const character = this.character();
      if (character === '' || isWhite(character) || NEWLINES.has(character) || ends.includes(character)) {
        this.back();
        return taken;
      }
      if (taken.length >= room) return undefined;
      taken += character;
    }
  }

  skipWhite(): void {
    while (this.at < this.text.length && isWhite(this.text[this.at])) this.at++;
  }

  /** The next word. `size` is that of the kernel's buffer: a longer word is unexpected, whatever it is. */
  next(size: number): Token {
    this.skipWhite();
    const first = this.character();
    if (first === '') return { kind: 'end', text: '' };
    if (isSingle(first)) return { kind: first, text: first };
    if (first === '\n' || first === '\r') return { kind: 'newline', text: first };
    const taken = new Taken(size - 1);
    if (first === '"') return this.string(taken);
    if (first === '\f') {
      while (isWhite(this.peek()) || this.peek() === '\f') this.at++;
      return { kind: 'space', text: first };
    }
    return this.word(first, taken);
  }

  private peek(): string {
    return this.text.charAt(this.at);
  }

  private string(taken: Taken): Token {
    for (let character = this.character(); character !== '"'; character = this.character()) {
      if (character === '' || character === '\n') {
        this.fail('Missing "');
        this.back();
        return { kind: 'string', text: '\n' };
      }
      const meant = character === '\\' ? this.escaped() : character;
      if (!taken.add(meant)) return { kind: 'unexpected', text: taken.text };
    }
    return { kind: 'string', text: taken.text };
  }

  /** Behind a backslash: octal digits are a character, another character is itself. */
  private escaped(): string {
    const first = this.character();
    if (!isDigit(first)) return first;
    this.back();
    const digits = /^[0-7]*/.exec(this.text.slice(this.at, this.at + 8))?.[0] ?? '';
    this.at += digits.length;
    const code = Number.parseInt(digits || '0', 8);
    const text = 'Character overflow detected.';
    if (code > 127) this.errors.push({ format: text, text, line: this.line });
    return String.fromCharCode(code & 0xff);
  }

  private word(first: string, taken: Taken): Token {
    taken.add(first);
    let character = first;
    if (first === '-' || first === '~') {
      character = this.character();
      if (first === '-' && (isWhite(character) || character === '\n' || character === '')) {
        this.back();
        return { kind: 'name', text: first };
      }
      if (!taken.add(character)) return { kind: 'unexpected', text: taken.text };
    }
    if (isDigit(character)) return this.number(character, taken);
    if (isLetter(character) || character === '_' || character === '\\') return this.name(character, taken);
    return { kind: 'unexpected', text: taken.text };
  }

  private number(first: string, taken: Taken): Token {
    const hexadecimal = first === '0' && this.peek() === 'x';
    if (hexadecimal && !taken.add(this.character())) return { kind: 'unexpected', text: taken.text };
    const digit = hexadecimal ? (c: string) => /^[0-9A-Fa-f]$/.test(c) : isDigit;
    while (digit(this.peek()))
      if (!taken.add(this.character())) return { kind: 'unexpected', text: taken.text };
    return { kind: hexadecimal ? 'hexadecimal' : 'decimal', text: taken.text };
  }

  private name(first: string, taken: Taken): Token {
    if (first === '\\') {
      taken.text = taken.text.slice(0, -1);
      this.back();
    }
    while (isNamePart(this.peek()) || this.peek() === '\\') {
      if (this.peek() === '\\') this.at++;
      if (!taken.add(this.character())) return { kind: 'unexpected', text: taken.text };
    }
    return { kind: 'name', text: taken.text };
  }
}

/**
 * A number in C's forms with `~` or `-` before it, in 64 bits (kobj_getvalue); undefined when a digit does not belong to
 * its base. Numbers that do not fit lose their upper bits, as in the kernel.
 */
export function numberOf(text: string): bigint | undefined {
  const [, sign, digits] = /^([~-]?)(.*)$/s.exec(text) ?? ['', '', ''];
  const value = unsigned(digits);
  if (value === undefined) return undefined;
  return BigInt.asUintN(64, sign === '~' ? ~value : sign === '-' ? -value : value);
}

function unsigned(digits: string): bigint | undefined {
  if (/^0[xX][0-9a-fA-F]*$/.test(digits)) return BigInt(digits.length === 2 ? 0 : digits);
  if (/^0[0-7]*$/.test(digits)) return BigInt(`0o${digits}`);
  return /^[1-9][0-9]*$/.test(digits) ? BigInt(digits) : undefined;
}
