/**
 * driver.conf(4): nodes and properties of a driver. `name="echo" parent="pseudo" instance=0 loud=1;` is a node; an entry
 * without a name gives properties to all nodes. Complaints have the kernel's words (common/os/modsysfile.c).
 */
import { type FileError, Lexer, numberOf, type Token } from './lexer.ts';

export type PropertyValue = readonly string[] | readonly number[];

export interface ConfNode {
  readonly name: string;
  /** A full path or, as for `pseudo`, the name of a nexus; empty with a class. */
  readonly parent: string;
  readonly class: string;
  readonly instance: number | undefined;
  readonly unitAddress: string | undefined;
  readonly properties: ReadonlyMap<string, PropertyValue>;
}

export interface DriverConf {
  readonly nodes: readonly ConfNode[];
  /** Properties that stand outside of any node. */
  readonly globals: ReadonlyMap<string, PropertyValue>;
  readonly errors: readonly FileError[];
}

/** MAX_HWC_LINESIZE (sys/hwconf.h). */
const LINE = 1024;

/** `file` is named in the errors. Never throws: an entry that makes no sense is left out and told. */
export function parseDriverConf(text: string, file: string): DriverConf {
  const lexer = new Lexer(text, file);
  const nodes: ConfNode[] = [];
  const globals = new Map<string, PropertyValue>();
  for (let token = lexer.next(LINE); token.kind !== 'end'; token = lexer.next(LINE)) {
    if (token.kind === '#') lexer.skipLine();
    else if (token.kind === 'newline') lexer.line++;
    else if (token.kind !== 'name') lexer.fail(`Unexpected token '${token.text}'`);
    else {
      const spec = new Spec(lexer);
      if (spec.read(token)) keep(lexer, spec, nodes, globals);
    }
  }
  return { nodes, globals, errors: lexer.errors };
}

function keep(lexer: Lexer, spec: Spec, nodes: ConfNode[], globals: Map<string, PropertyValue>): void {
  const { name, parent, properties } = spec;
  const kind = spec.class;
  if (name === undefined) {
    if (parent !== undefined || kind !== undefined) lexer.fail('missing name attribute');
    else for (const [key, value] of properties) globals.set(key, value);
    return;
  }
  if (parent === undefined && kind === undefined) {
    lexer.fail('missing parent or class attribute');
    return;
  }
  const instance = properties.get('instance')?.[0];
  const address = properties.get('unit-address')?.[0];
  nodes.push({
    name,
    parent: parent ?? '',
    class: kind ?? '',
    instance: typeof instance === 'number' && instance >= 0 ? instance : undefined,
    unitAddress: typeof address === 'string' && address !== '' ? address : undefined,
    properties: new Map([...properties].filter(([key]) => !PLACES.has(key))),
  });
}

/** Properties that say where the node is. */
const PLACES = new Set(['class', 'instance', 'unit-address']);

type Attribute = 'parent' | 'name' | 'class';
type State = 'begin' | 'word' | 'equals' | 'value' | 'comma';

const OMITTED = "(the ';' may have been omitted on previous spec!)";

/** One entry, up to its semicolon. */
class Spec {
  name: string | undefined;
  parent: string | undefined;
  class: string | undefined;
  readonly properties = new Map<string, PropertyValue>();
  private readonly lexer: Lexer;
  private state: State = 'begin';
  /** What stands left of the `=`: an attribute of the node, or a property. */
  private attribute: Attribute | undefined;
  private property: string | undefined;
  private strings: string[] = [];
  private numbers: number[] = [];

  constructor(lexer: Lexer) {
    this.lexer = lexer;
  }

  /** False when the entry is given up: the file goes on behind the word that was read last. */
  read(first: Token): boolean {
    for (let token = first; token.kind !== ';'; token = this.lexer.next(LINE))
      if (!this.take(token)) return false;
    if (this.state === 'value' || (this.state === 'word' && this.attribute === undefined)) this.endProperty();
    else if (this.state !== 'begin') this.lexer.fail('Unexpected end of line');
    return true;
  }

  private take(token: Token): boolean {
    const { lexer } = this;
    if (token.kind === 'newline') lexer.line++;
    else if (token.kind === '#') lexer.skipLine();
    else if (token.kind === 'name') this.word(token);
    else if (token.kind === '=') this.expect('word', 'equals', token);
    else if (token.kind === ',') this.expect('value', 'comma', token);
    else if (token.kind === 'string') return this.string(token);
    else if (token.kind === 'hexadecimal' || token.kind === 'decimal') this.number(token);
    else {
      lexer.fail(token.kind === 'end' ? 'Unexpected EOF' : `Unexpected token '${token.text}'`);
      return false;
    }
    return true;
  }

  private unexpected({ text }: Token): void {
    this.lexer.fail(`Unexpected token '${text}'`);
  }

  private expect(now: State, then: State, token: Token): void {
    if (this.state === now) this.state = then;
    else this.unexpected(token);
  }

  private word(token: Token): void {
    const between = this.state === 'value' || (this.state === 'word' && this.attribute === undefined);
    if (this.state !== 'begin' && !between) {
      this.unexpected(token);
      return;
    }
    if (between) this.endProperty();
    const lower = token.text === token.text.toUpperCase() ? token.text.toLowerCase() : token.text;
    this.attribute = lower === 'parent' || lower === 'name' || lower === 'class' ? lower : undefined;
    this.property = this.attribute === undefined || this.attribute === 'class' ? token.text : undefined;
    this.state = 'word';
  }

  private string(token: Token): boolean {
    const { text } = token;
    const { attribute } = this;
    if (this.state === 'equals' && attribute !== undefined) {
      if (this[attribute] !== undefined) {
        const said = `'${attribute}' property already specified`;
        this.lexer.fail(attribute === 'class' ? said : `${said} ${OMITTED}`);
        return false;
      }
      this[attribute] = text;
      if (attribute !== 'class') {
        this.state = 'begin';
        return true;
      }
    } else if (!(this.state === 'equals' || (this.state === 'comma' && this.numbers.length === 0))) {
      this.unexpected(token);
      return true;
    }
    this.strings.push(text);
    this.state = 'value';
    return true;
  }

  private number(token: Token): void {
    const fits =
      this.attribute === undefined &&
      (this.state === 'equals' || (this.state === 'comma' && this.strings.length === 0));
    if (!fits) {
      this.unexpected(token);
      return;
    }
    // A number that is none is not told of; what it becomes in the kernel is by chance.
    this.numbers.push(Number(BigInt.asIntN(32, numberOf(token.text) ?? 0n)));
    this.state = 'value';
  }

  /** A property without a value is an integer of 0, whose being there counts. */
  private endProperty(): void {
    const { property, strings, numbers } = this;
    this.strings = [];
    this.numbers = [];
    if (property === undefined) return;
    this.properties.set(property, strings.length > 0 ? strings : numbers.length > 0 ? numbers : [0]);
    this.property = undefined;
    this.attribute = undefined;
  }
}
