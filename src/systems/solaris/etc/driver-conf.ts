/**
 * driver.conf(4): nodes and properties of a driver. `name="echo" parent="pseudo" instance=0 loud=1;` is a node;
 * an entry without name and parent gives properties to all nodes.
 */
export type PropertyValue = readonly string[] | readonly number[] | true;

export interface ConfNode {
  readonly name: string;
  /** A full path or, as for `pseudo`, the name of a nexus; empty with a class. */
  readonly parent: string;
  readonly class: string;
  readonly instance: number | undefined;
  readonly unitAddress: string | undefined;
  readonly properties: ReadonlyMap<string, PropertyValue>;
  readonly line: number;
}

export interface ConfError {
  /** As the kernel's source has it, for the message id. */
  readonly format: string;
  readonly text: string;
  readonly line: number;
}

export interface DriverConf {
  readonly nodes: readonly ConfNode[];
  /** Properties that stand outside of any node. */
  readonly globals: ReadonlyMap<string, PropertyValue>;
  readonly errors: readonly ConfError[];
}

interface Token {
  readonly kind: 'name' | 'string' | 'number' | '=' | ',' | ';' | 'bad' | 'end';
  readonly text: string;
  readonly line: number;
}

/** A file longer than this is no configuration; ends inputs that were made up. */
const MAX_CONF = 1 << 20;

function* tokens(text: string): Generator<Token> {
  const pattern =
    /(#[^\n]*)|(\s+)|"((?:\\.|[^"\\\n])*)"|(-?0[xX][0-9a-fA-F]+|-?\d+)|([A-Za-z_][\w.,+@#-]*?(?=\s*[=,;]|\s|$))|([=,;])|([\s\S])/gy;
  let line = 1;
  for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) {
    const [whole, , , string, number, name, mark, bad] = match;
    if (string !== undefined) yield { kind: 'string', text: unescaped(string), line };
    else if (number !== undefined) yield { kind: 'number', text: number, line };
    else if (name !== undefined) yield { kind: 'name', text: name, line };
    else if (mark !== undefined) yield { kind: mark as '=' | ',' | ';', text: mark, line };
    else if (bad !== undefined) yield { kind: 'bad', text: bad, line };
    for (const character of whole) if (character === '\n') line++;
  }
  yield { kind: 'end', text: '', line };
}

const unescaped = (text: string): string =>
  text.replace(/\\(n|t|"|\\|[0-7]{1,3})/g, (_, code: string) => {
    if (code === 'n') return '\n';
    if (code === 't') return '\t';
    return /^[0-7]/.test(code) ? String.fromCharCode(Number.parseInt(code, 8) & 0xff) : code;
  });

/** `file` is named in the errors. Never throws: an entry that makes no sense is left out and told. */
export function parseDriverConf(text: string, file: string): DriverConf {
  return new ConfParser(text.slice(0, MAX_CONF), file).parse();
}

class ConfParser {
  private readonly list: Token[];
  private readonly file: string;
  private readonly nodes: ConfNode[] = [];
  private readonly globals = new Map<string, PropertyValue>();
  private readonly errors: ConfError[] = [];
  private at = 0;

  constructor(text: string, file: string) {
    this.list = [...tokens(text)];
    this.file = file;
  }

  parse(): DriverConf {
    while (this.peek().kind !== 'end') this.entry();
    return { nodes: this.nodes, globals: this.globals, errors: this.errors };
  }

  private peek(): Token {
    return this.list[Math.min(this.at, this.list.length - 1)];
  }

  private take(): Token {
    const token = this.peek();
    this.at++;
    return token;
  }

  private fail(what: string, { line }: Token): void {
    const text = `${this.file} line # ${line}: ${what}`;
    this.errors.push({ format: '%s line # %d: %s', text, line });
  }

  /** On to what follows the next semicolon. */
  private skip(): void {
    for (let token = this.take(); token.kind !== ';' && token.kind !== 'end'; token = this.take());
  }

  private entry(): void {
    const first = this.peek();
    if (first.kind === ';') {
      this.take();
      return;
    }
    const properties = new Map<string, PropertyValue>();
    for (let token = this.take(); token.kind !== ';'; token = this.take()) {
      if (token.kind !== 'name') {
        this.fail(token.kind === 'end' ? 'missing semicolon' : `unexpected '${token.text}'`, token);
        if (token.kind !== 'end') this.skip();
        return;
      }
      const value = this.value(token);
      if (value === undefined) return;
      properties.set(token.text, value);
    }
    this.keep(properties, first.line);
  }

  /** The value behind a name; a name alone is a boolean. */
  private value(name: Token): PropertyValue | undefined {
    if (this.peek().kind !== '=') return true;
    this.take();
    const strings: string[] = [];
    const numbers: number[] = [];
    do {
      if (this.peek().kind === ',') this.take();
      const token = this.take();
      if (token.kind === 'string') strings.push(token.text);
      else if (token.kind === 'number')
        numbers.push(Number(token.text.replace(/^-/, '')) * (token.text[0] === '-' ? -1 : 1));
      else {
        this.fail(`${name.text}: a value is expected, not '${token.text}'`, token);
        if (token.kind !== ';' && token.kind !== 'end') this.skip();
        return undefined;
      }
    } while (this.peek().kind === ',');
    if (strings.length === 0) return numbers;
    if (numbers.length === 0) return strings;
    this.fail(`${name.text}: numbers and strings are mixed`, name);
    this.skip();
    return undefined;
  }

  private keep(properties: Map<string, PropertyValue>, line: number): void {
    const string = (name: string): string => {
      const value = properties.get(name);
      return value !== undefined && value !== true && typeof value[0] === 'string' ? value[0] : '';
    };
    const instance = properties.get('instance');
    const name = string('name');
    if (name === '' && string('parent') === '' && string('class') === '') {
      for (const [key, value] of properties) this.globals.set(key, value);
      return;
    }
    const number = instance !== undefined && instance !== true ? instance[0] : undefined;
    this.nodes.push({
      name,
      parent: string('parent'),
      class: string('class'),
      instance: typeof number === 'number' && number >= 0 && number < 2 ** 31 ? number : undefined,
      unitAddress: string('unit-address') || undefined,
      properties: new Map([...properties].filter(([key]) => !OWN.has(key))),
      line,
    });
  }
}

const OWN = new Set(['name', 'parent', 'class', 'instance', 'unit-address']);
