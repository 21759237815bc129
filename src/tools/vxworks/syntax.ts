/**
 * The C interpreter's input: expressions of C, and calls without parentheses (`sp hello, 1, "two"`). Text -> tree; what
 * names mean is decided when the tree is evaluated.
 */

export class SyntaxFault extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'SyntaxFault';
  }
}

export type Expression =
  | { readonly kind: 'number'; readonly value: bigint }
  | { readonly kind: 'string'; readonly text: string }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'unary'; readonly operator: string; readonly operand: Expression }
  | {
      readonly kind: 'binary';
      readonly operator: string;
      readonly left: Expression;
      readonly right: Expression;
    }
  | {
      readonly kind: 'assign';
      readonly operator: string;
      readonly target: Expression;
      readonly value: Expression;
    }
  | { readonly kind: 'call'; readonly callee: Expression; readonly args: readonly Expression[] };

export interface Statement {
  readonly expression: Expression;
  /** `ld < file`. */
  readonly input: string | undefined;
}

interface Token {
  readonly kind: 'number' | 'string' | 'name' | 'operator' | 'end';
  readonly text: string;
  readonly value: bigint;
  /** Blanks stand before and behind it. */
  readonly before: boolean;
  readonly after: boolean;
}

const OPERATORS = [
  '<<=',
  '>>=',
  '&&',
  '||',
  '<<',
  '>>',
  '<=',
  '>=',
  '==',
  '!=',
  '+=',
  '-=',
  '*=',
  '/=',
  '%=',
  '&=',
  '|=',
  '^=',
  '++',
  '--',
  '+',
  '-',
  '*',
  '/',
  '%',
  '&',
  '|',
  '^',
  '~',
  '!',
  '<',
  '>',
  '=',
  '(',
  ')',
  ',',
  ';',
];

/** From the weakest to the strongest (ISO C, 6.5). */
const LEVELS: readonly (readonly string[])[] = [
  ['||'],
  ['&&'],
  ['|'],
  ['^'],
  ['&'],
  ['==', '!='],
  ['<', '>', '<=', '>='],
  ['<<', '>>'],
  ['+', '-'],
  ['*', '/', '%'],
];

const ASSIGNMENTS = ['=', '+=', '-=', '*=', '/=', '%=', '&=', '|=', '^=', '<<=', '>>='];
const UNARY = ['-', '+', '!', '~', '*', '&'];
/** Deeper nesting is no input of a person's. */
const MAX_DEPTH = 200;

/** Statements of one line, separated by semicolons; a comment ends it. @throws SyntaxFault */
export function parseStatements(line: string): Statement[] {
  return new Parser(tokensOf(line)).statements();
}

function tokensOf(line: string): Token[] {
  const tokens: Token[] = [];
  const pattern = /\s+|\/\*.*?(?:\*\/|$)|\/\/.*$|#.*$/y;
  for (let at = 0; at < line.length; ) {
    pattern.lastIndex = at;
    const blank = pattern.exec(line);
    if (blank !== null) {
      at += blank[0].length;
      continue;
    }
    const input = inputFile(line, at, tokens);
    if (input !== undefined) {
      tokens.push({ kind: 'operator', text: '<', value: 0n, before: true, after: true });
      tokens.push({ kind: 'string', text: input.path, value: 0n, before: true, after: true });
      at = input.next;
      continue;
    }
    const { token, next } = tokenAt(line, at);
    const before = at === 0 || /\s/.test(line[at - 1]);
    tokens.push({ ...token, before, after: next >= line.length || /\s/.test(line[next]) });
    at = next;
  }
  tokens.push({ kind: 'end', text: 'the end of the line', value: 0n, before: true, after: true });
  return tokens;
}

/** `name < file`: the name of a file ends at a blank, and may hold what means something else elsewhere. */
function inputFile(
  line: string,
  at: number,
  tokens: readonly Token[],
): { path: string; next: number } | undefined {
  const [before, name] = [tokens.at(-2), tokens.at(-1)];
  if (name?.kind !== 'name' || (before !== undefined && before.text !== ';')) return undefined;
  const found = /^<\s*(?:"([^"]*)"|([A-Za-z./~_][^\s;]*))(?=\s*(?:;|$))/.exec(line.slice(at));
  if (found === null) return undefined;
  return { path: found[1] ?? found[2], next: at + found[0].length };
}

function tokenAt(line: string, at: number): { token: Omit<Token, 'before' | 'after'>; next: number } {
  const rest = line.slice(at);
  const number = /^(0[xX][0-9a-fA-F]+|\d+)/.exec(rest);
  if (number !== null) {
    const [text] = number;
    const octal = /^0[0-7]+$/.test(text);
    return {
      token: { kind: 'number', text, value: BigInt(octal ? `0o${text.slice(1)}` : text) },
      next: at + text.length,
    };
  }
  const name = /^[A-Za-z_$][\w$.]*/.exec(rest);
  if (name !== null) return { token: { kind: 'name', text: name[0], value: 0n }, next: at + name[0].length };
  if (rest[0] === '"' || rest[0] === "'") {
    const { text, length } = quoted(rest);
    const character = rest[0] === "'";
    const value = character ? BigInt(text.charCodeAt(0) || 0) : 0n;
    return { token: { kind: character ? 'number' : 'string', text, value }, next: at + length };
  }
  const operator = OPERATORS.find((one) => rest.startsWith(one));
  if (operator === undefined) throw new SyntaxFault(`'${rest[0]}' means nothing here`);
  return { token: { kind: 'operator', text: operator, value: 0n }, next: at + operator.length };
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', '0': '\0', b: '\b', f: '\f' };

function quoted(rest: string): { text: string; length: number } {
  let text = '';
  for (let i = 1; i < rest.length; i++) {
    if (rest[i] === rest[0]) return { text, length: i + 1 };
    if (rest[i] === '\\') {
      i++;
      text += ESCAPES[rest[i]] ?? rest[i] ?? '';
    } else text += rest[i];
  }
  throw new SyntaxFault(`${rest[0]} is not closed`);
}

class Parser {
  private readonly tokens: readonly Token[];
  private at = 0;
  private depth = 0;

  constructor(tokens: readonly Token[]) {
    this.tokens = tokens;
  }

  statements(): Statement[] {
    const all: Statement[] = [];
    while (!this.ended) {
      if (this.take(';')) continue;
      all.push(this.statement());
      if (!this.ended && !this.take(';')) this.unexpected();
    }
    return all;
  }

  /** `name arg, arg` and `name < file` are known by what follows the first word. */
  private statement(): Statement {
    const first = this.peek;
    if (
      first.kind === 'name' &&
      this.tokens[this.at + 1].text === '<' &&
      this.tokens[this.at + 1].kind === 'operator'
    ) {
      const from = this.at;
      this.at += 2;
      if (this.peek.kind === 'string') {
        const input = this.next().text;
        return { expression: call({ kind: 'name', name: first.text }, []), input };
      }
      this.at = from;
    }
    return { expression: this.expression(true), input: undefined };
  }

  private expression(statement = false): Expression {
    if (++this.depth > MAX_DEPTH) throw new SyntaxFault('nested too deeply');
    const left = this.binary(0, statement);
    let result = left;
    const operator = this.peek;
    if (operator.kind === 'operator' && ASSIGNMENTS.includes(operator.text)) {
      this.next();
      result = { kind: 'assign', operator: operator.text, target: left, value: this.expression(true) };
    }
    this.depth--;
    return result;
  }

  private binary(level: number, statement: boolean): Expression {
    if (level === LEVELS.length) return this.unary(statement);
    let left = this.binary(level + 1, statement);
    while (this.peek.kind === 'operator' && LEVELS[level].includes(this.peek.text)) {
      const operator = this.next().text;
      left = { kind: 'binary', operator, left, right: this.binary(level + 1, false) };
    }
    return left;
  }

  private unary(statement: boolean): Expression {
    const token = this.peek;
    if (token.kind === 'operator' && UNARY.includes(token.text)) {
      if (++this.depth > MAX_DEPTH) throw new SyntaxFault('nested too deeply');
      this.next();
      const operand = this.unary(false);
      this.depth--;
      return { kind: 'unary', operator: token.text, operand };
    }
    if (token.kind === 'operator' && (token.text === '++' || token.text === '--')) {
      this.next();
      const one: Expression = { kind: 'number', value: 1n };
      return { kind: 'assign', operator: `${token.text[0]}=`, target: this.unary(false), value: one };
    }
    return this.primary(statement);
  }

  private primary(statement: boolean): Expression {
    const token = this.next();
    if (token.kind === 'number') return { kind: 'number', value: token.value };
    if (token.kind === 'string') return { kind: 'string', text: token.text };
    if (token.kind === 'operator' && token.text === '(') {
      const inner = this.expression();
      if (!this.take(')')) this.unexpected();
      return this.isOperator('(') ? call(inner, this.parenthesised()) : inner;
    }
    if (token.kind !== 'name') {
      if (token.kind !== 'end') this.at--;
      this.unexpected();
    }
    const callee: Expression = { kind: 'name', name: token.text };
    if (this.isOperator('(')) return call(callee, this.parenthesised());
    if (statement && this.startsArgument()) return call(callee, this.list());
    return callee;
  }

  /** Does the next token begin an argument of a call without parentheses? `f -1` does, `x - 1` does not. */
  private startsArgument(): boolean {
    const { kind, text, before, after } = this.peek;
    if (kind === 'number' || kind === 'string' || kind === 'name') return true;
    return kind === 'operator' && UNARY.includes(text) && before && !after;
  }

  private parenthesised(): Expression[] {
    this.next();
    const args = this.isOperator(')') ? [] : this.list();
    if (!this.take(')')) this.unexpected();
    return args;
  }

  private list(): Expression[] {
    const args = [this.expression()];
    while (this.take(',')) args.push(this.expression());
    return args;
  }

  private get ended(): boolean {
    return this.peek.kind === 'end';
  }

  private get peek(): Token {
    return this.tokens[this.at];
  }

  private next(): Token {
    const token = this.tokens[this.at];
    if (token.kind !== 'end') this.at++;
    return token;
  }

  private isOperator(text: string): boolean {
    return this.peek.kind === 'operator' && this.peek.text === text;
  }

  private take(text: string): boolean {
    if (!this.isOperator(text)) return false;
    this.next();
    return true;
  }

  private unexpected(): never {
    throw new SyntaxFault(`unexpected ${this.peek.kind === 'end' ? this.peek.text : `'${this.peek.text}'`}`);
  }
}

function call(callee: Expression, args: readonly Expression[]): Expression {
  return { kind: 'call', callee, args };
}
