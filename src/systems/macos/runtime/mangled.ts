/**
 * Mangled names of C++ functions (Itanium C++ ABI, section 5.1) without the width of their integers: `int` and `long` have the
 * same size on i386, where UInt32 is `unsigned long`, so the same function of the kernel is `...Em` there and `...Ej` on
 * x86_64. Functions are written once, under the name of x86_64.
 */

/** Letters of built-in types that differ between the machines: the one that stands for both. */
const WORDS: Readonly<Record<string, string>> = { m: 'j', l: 'i' };
/** Types by name in the older headers, and what stands for them in those for 64 bits. */
const NAMED: Readonly<Record<string, string>> = { IODirection: 'j', UnsignedWide: 'y' };
/** Longest name that is taken apart. */
const MAX_NAME = 1024;

class Reader {
  private at = 0;
  private readonly text: string;
  /** What substitutions refer to, in full. */
  private readonly parts: string[] = [];

  constructor(text: string) {
    this.text = text;
  }

  /** Name and parameters, or undefined for anything that does not occur in the kernel's classes. */
  function(): string | undefined {
    if (!this.take('_Z')) return undefined;
    const name = this.take('N') ? this.nested() : this.identifier();
    if (name === undefined) return undefined;
    let text = name;
    while (this.at < this.text.length) {
      const type = this.type();
      if (type === undefined) return undefined;
      text += ` ${type}`;
    }
    return text;
  }

  private take(word: string): boolean {
    if (!this.text.startsWith(word, this.at)) return false;
    this.at += word.length;
    return true;
  }

  private identifier(): string | undefined {
    const digits = /^\d+/.exec(this.text.slice(this.at, this.at + 4))?.[0];
    if (digits === undefined) return undefined;
    const start = this.at + digits.length;
    this.at = start + Number(digits);
    return this.at <= this.text.length ? this.text.slice(start, this.at) : undefined;
  }

  private nested(): string | undefined {
    let text = this.take('K') ? 'const ' : '';
    for (let first = true; !this.take('E'); first = false) {
      const special = /^(?:[CD][0-3]|n[wa]|d[la])/.exec(this.text.slice(this.at, this.at + 2))?.[0];
      const one = this.text[this.at] === 'S' && first ? this.substitution() : this.piece(special);
      if (one === undefined) return undefined;
      text += first ? one : `::${one}`;
      // Every prefix of the name can be referred to; the name as a whole cannot.
      if (this.text[this.at] !== 'E' && !(first && this.text[this.at - 1] === '_'))
        this.parts.push(text.replace(/^const /, ''));
    }
    return text;
  }

  private piece(special: string | undefined): string | undefined {
    if (special === undefined) return this.identifier();
    this.at += special.length;
    return special;
  }

  private substitution(): string | undefined {
    const match = /^S(\d|[A-Z])?_/.exec(this.text.slice(this.at, this.at + 3));
    if (match === null) return undefined;
    this.at += match[0].length;
    return this.parts[match[1] === undefined ? 0 : Number.parseInt(match[1], 36) + 1];
  }

  private type(): string | undefined {
    const letter = this.text[this.at];
    if (letter === 'S') return this.substitution();
    if (letter === 'P' || letter === 'R' || letter === 'K' || letter === 'V') {
      this.at++;
      return this.keep(letter, this.type());
    }
    if (letter === 'F') return this.keep('', this.functionType());
    if (letter === 'M') {
      this.at++;
      const owner = this.type();
      const member = this.type();
      return owner === undefined ? undefined : this.keep(`${owner}::*`, member);
    }
    if (letter === 'N') {
      this.at++;
      return this.keep('', this.nested());
    }
    if (letter >= '0' && letter <= '9') return this.keep('', this.named());
    if (letter === undefined || !/[a-z]/.test(letter)) return undefined;
    this.at++;
    return WORDS[letter] ?? letter;
  }

  private named(): string | undefined {
    const name = this.identifier();
    return name !== undefined && Object.hasOwn(NAMED, name) ? NAMED[name] : name;
  }

  private functionType(): string | undefined {
    this.at++;
    let text = 'F';
    while (!this.take('E')) {
      const one = this.at < this.text.length ? this.type() : undefined;
      if (one === undefined) return undefined;
      text += ` ${one}`;
    }
    return `${text})`;
  }

  /** A type that a later substitution may mean. */
  private keep(before: string, type: string | undefined): string | undefined {
    if (type === undefined) return undefined;
    const text = before + type;
    this.parts.push(text);
    return text;
  }
}

/** What two names of the same function on i386 and x86_64 have in common; the name itself when it is no such function. */
export function withoutWidths(name: string): string {
  if (!name.startsWith('_Z') || name.length > MAX_NAME) return name;
  return new Reader(name).function() ?? name;
}
