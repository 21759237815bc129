/**
 * Whether a text is well-formed XML with no more in it than a property list has, and no less. Asked before the parser sees it:
 * that one writes to the console about everything it does not like, goes on after some of it, its stack is the host's, and of
 * integers it reads what a floating-point number holds, in decimal digits.
 */
import { Invalid, Unsupported } from '../../bytes/errors.ts';

/** Open elements at once; honest lists have fewer than ten. */
const MAX_DEPTH = 200;
/** What one step reads: a comment, CDATA, instruction or document type; a tag (closing, name, empty); text. */
const TOKEN =
  /<!--[\s\S]*?-->|(<!\[CDATA\[[\s\S]*?\]\]>)|<\?[\w-]+(?:\s[^<>]*?)?\?>|(<!DOCTYPE\s[^<>[\]]*>)|<(\/?)([a-zA-Z]+)(?:\s+[a-z:]+\s*=\s*(?:"[^"<&]*"|'[^'<&]*'))*\s*(\/?)>|([^<]+)/y;
const REFERENCE = /&(?!(?:lt|gt|amp|quot|apos|#\d{1,7}|#x[\da-fA-F]{1,6});)[^;\s<]{0,20};?/;
const CONTAINERS: ReadonlySet<string> = new Set(['plist', 'dict', 'array']);
const VALUES: ReadonlySet<string> = new Set([
  ...['dict', 'array', 'string', 'integer', 'real', 'date', 'data', 'true', 'false'],
]);
const INTEGER = /^\s*([+-]?)(0x[\da-f]+|\d+)\s*$/i;
const REAL = /^\s*[+-]?(?:\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?|nan|inf(?:inity)?)\s*$/i;
const DATE = /^\s*\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\s*$/;
/** Integers have 128 bits at most. */
const MAX_DIGITS = 40;

/** Stands before the digits of an integer that no floating-point number holds; its element is written as a string. */
export const BIG_INTEGER = '\uE0F1big integer ';

const shown = (chars: string): string => chars.trim().slice(0, 20);

interface Open {
  readonly name: string;
  /** Elements directly inside so far. */
  children: number;
  /** An integer has its digits. */
  digits?: true;
  /** What closes it in the text for the parser, when that is another element. */
  end?: string;
}

/**
 * The root element and what follows, integers in decimal digits: declaration and document type tell nothing, and are left out.
 * @throws Invalid, Unsupported for what is not well-formed, declares entities, or nests too deep
 */
export function rootOfPlistXml(text: string, what: string): string {
  if (/<!ENTITY/i.test(text)) throw new Unsupported(what, 'declares entities');
  if (text.includes(BIG_INTEGER)) throw new Unsupported(what, 'has a text that means something else here');
  return new Scanner(text, what).root();
}

class Scanner {
  private readonly text: string;
  private readonly what: string;
  private readonly open: Open[] = [];
  private readonly out: string[] = [];
  private started = false;
  private at = 0;

  constructor(text: string, what: string) {
    this.text = text;
    this.what = what;
  }

  root(): string {
    const { text } = this;
    while (this.at < text.length) {
      TOKEN.lastIndex = this.at;
      const match =
        TOKEN.exec(text) ?? this.wrong(`no markup: ${text.slice(this.at, this.at + 12).split('\n')[0]}`);
      const [whole, cdata, doctype, closing, name, empty, chars] = match;
      if (name !== undefined) this.tag(whole, name, closing === '/', empty === '/');
      else if (doctype !== undefined) {
        if (this.started) this.wrong('a document type behind its start');
      } else if (chars !== undefined || cdata !== undefined) this.chars(cdata ?? chars, cdata !== undefined);
      this.at += whole.length;
    }
    const last = this.open.at(-1);
    if (last !== undefined) this.wrong(`<${last.name}> is not closed`);
    if (!this.started) this.wrong('there is no element in it');
    return this.out.join('');
  }

  private tag(whole: string, name: string, closing: boolean, empty: boolean): void {
    const inside = this.open.at(-1);
    if (closing) {
      if (inside?.name !== name) throw this.error(`</${name}> closes what is not open`);
      this.open.pop();
      this.ended(inside);
      this.out.push(inside.end ?? whole);
      return;
    }
    this.begun(name, inside);
    if (empty) this.ended({ name, children: 0 });
    else this.open.push({ name, children: 0 });
    if (this.open.length > MAX_DEPTH)
      throw new Unsupported(this.what, `is nested deeper than ${MAX_DEPTH} levels`);
    this.out.push(whole);
  }

  private begun(name: string, inside: Open | undefined): void {
    if (inside === undefined && this.started) this.wrong(`<${name}> behind its end`);
    this.started = true;
    if (inside === undefined) {
      if (!CONTAINERS.has(name)) this.wrong(`<${name}> is no root`);
      return;
    }
    const key = inside.name === 'dict' && inside.children % 2 === 0;
    inside.children++;
    if (!CONTAINERS.has(inside.name)) this.wrong(`<${name}> in <${inside.name}>`);
    if (key ? name !== 'key' : !VALUES.has(name))
      this.wrong(key ? `<${name}> where a key belongs` : `<${name}> where a value belongs`);
  }

  private ended({ name, children, digits }: Open): void {
    if (name === 'dict' && children % 2 === 1) this.wrong('a key without a value');
    if (name === 'plist' && children !== 1) this.wrong(`${children} values in <plist>`);
    if (name === 'integer' && digits !== true) this.wrong('an integer without digits');
  }

  private chars(chars: string, cdata: boolean): void {
    const inside = this.open.at(-1);
    if (inside === undefined || CONTAINERS.has(inside.name)) {
      if (chars.trim() !== '') this.wrong('text outside of a value');
      if (inside !== undefined) this.out.push(chars);
      return;
    }
    const reference = cdata ? null : REFERENCE.exec(chars);
    if (reference !== null) this.wrong(`${reference[0]} is no reference of XML`);
    if (inside.name === 'real' && !REAL.test(chars)) this.wrong(`${shown(chars)} is no number`);
    if (inside.name === 'date' && !DATE.test(chars)) this.wrong(`${shown(chars)} is no date`);
    if (inside.name === 'integer') this.integer(chars, inside);
    else this.out.push(chars);
  }

  /** Decimal digits for the parser; a number that it would round goes as the text of a string. */
  private integer(chars: string, element: Open): void {
    const match = INTEGER.exec(chars);
    if (match === null || match[2].length > MAX_DIGITS || element.digits === true)
      throw this.error(`${shown(chars)} is no integer`);
    element.digits = true;
    const value = BigInt(match[2]) * (match[1] === '-' ? -1n : 1n);
    if (Number.isSafeInteger(Number(value))) {
      this.out.push(String(value));
      return;
    }
    this.out.splice(-1, 1, '<string>', `${BIG_INTEGER}${value}`);
    element.end = '</string>';
  }

  private wrong(problem: string): never {
    throw this.error(problem);
  }

  private error(problem: string): Invalid {
    return new Invalid(this.what, `is no property list: ${problem}`, { offset: this.at });
  }
}
