import { type Token, tokenize } from './lex.ts';

/** Binary operators by how tightly they bind (C11 6.5); all but the last group compute on 64-bit integers. */
const PRECEDENCE: Readonly<Record<string, number>> = {
  '*': 10,
  '/': 10,
  '%': 10,
  '+': 9,
  '-': 9,
  '<<': 8,
  '>>': 8,
  '<': 7,
  '>': 7,
  '<=': 7,
  '>=': 7,
  '==': 6,
  '!=': 6,
  '&': 5,
  '^': 4,
  '|': 3,
  '&&': 2,
  '||': 1,
};

const MAX_DEPTH = 64;

type Lookup = (name: string) => bigint | undefined;

/**
 * Value of an integer constant expression, or undefined when it has a name that is not known, a string, a cast or a
 * division by zero. `sizeOf` is given the text between the parentheses of sizeof.
 */
export function foldConstant(
  text: string,
  lookup: Lookup,
  sizeOf: Lookup = () => undefined,
): bigint | undefined {
  try {
    return new Folder(text, lookup, sizeOf).whole();
  } catch (error) {
    if (error instanceof Unknown) return undefined;
    throw error;
  }
}

/** The expression is no constant: ends the folding from any depth. */
class Unknown extends Error {}

class Folder {
  readonly #text: string;
  readonly #tokens: readonly Token[];
  readonly #lookup: Lookup;
  readonly #sizeOf: Lookup;
  #at = 0;
  #depth = 0;

  constructor(text: string, lookup: Lookup, sizeOf: Lookup) {
    this.#text = text;
    this.#tokens = tokenize(text);
    this.#lookup = lookup;
    this.#sizeOf = sizeOf;
  }

  whole(): bigint {
    const value = this.#conditional();
    if (this.#tokens[this.#at]!.kind !== 'end') throw new Unknown();
    return value;
  }

  #conditional(): bigint {
    if (++this.#depth > MAX_DEPTH) throw new Unknown();
    const condition = this.#binary(1);
    let value = condition;
    if (this.#accept('?')) {
      const yes = this.#conditional();
      if (!this.#accept(':')) throw new Unknown();
      const no = this.#conditional();
      value = condition !== 0n ? yes : no;
    }
    this.#depth--;
    return value;
  }

  #binary(least: number): bigint {
    let left = this.#unary();
    for (;;) {
      const operator = this.#tokens[this.#at]!.text;
      const precedence = PRECEDENCE[operator];
      if (precedence === undefined || precedence < least) return left;
      this.#at++;
      left = BigInt.asIntN(64, apply(operator, left, this.#binary(precedence + 1)));
    }
  }

  #unary(): bigint {
    const token = this.#tokens[this.#at++]!;
    if (token.kind === 'number') return token.value;
    if (token.text === 'sizeof') return this.#sizeof();
    if (token.kind === 'name') {
      const value = this.#lookup(token.text);
      if (value === undefined) throw new Unknown();
      return value;
    }
    if (++this.#depth > MAX_DEPTH) throw new Unknown();
    const value = this.#prefixed(token.text);
    this.#depth--;
    return value;
  }

  #prefixed(operator: string): bigint {
    switch (operator) {
      case '(': {
        const value = this.#conditional();
        if (!this.#accept(')')) throw new Unknown();
        return value;
      }
      case '-':
        return -this.#unary();
      case '+':
        return this.#unary();
      case '~':
        return ~this.#unary();
      case '!':
        return this.#unary() === 0n ? 1n : 0n;
      default:
        throw new Unknown();
    }
  }

  #sizeof(): bigint {
    if (!this.#accept('(')) throw new Unknown();
    const from = this.#tokens[this.#at]!.at;
    for (let depth = 1; depth > 0; this.#at++) {
      const { text, kind } = this.#tokens[this.#at]!;
      if (kind === 'end') throw new Unknown();
      if (text === '(') depth++;
      if (text === ')') depth--;
    }
    const size = this.#sizeOf(this.#text.slice(from, this.#tokens[this.#at - 1]!.at));
    if (size === undefined) throw new Unknown();
    return size;
  }

  #accept(text: string): boolean {
    if (this.#tokens[this.#at]!.text !== text) return false;
    this.#at++;
    return true;
  }
}

function apply(operator: string, a: bigint, b: bigint): bigint {
  switch (operator) {
    case '*':
      return a * b;
    case '/':
    case '%':
      if (b === 0n) throw new Unknown();
      return operator === '/' ? a / b : a % b;
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '<<':
    case '>>':
      // More than the width is undefined in C, and would let a constant take all memory here.
      if (b < 0n || b > 63n) throw new Unknown();
      return operator === '<<' ? a << b : a >> b;
    case '&':
      return a & b;
    case '^':
      return a ^ b;
    case '|':
      return a | b;
    case '&&':
      return a !== 0n && b !== 0n ? 1n : 0n;
    case '||':
      return a !== 0n || b !== 0n ? 1n : 0n;
    default:
      return compare(operator, a, b) ? 1n : 0n;
  }
}

function compare(operator: string, a: bigint, b: bigint): boolean {
  switch (operator) {
    case '<':
      return a < b;
    case '>':
      return a > b;
    case '<=':
      return a <= b;
    case '>=':
      return a >= b;
    case '==':
      return a === b;
    default:
      return a !== b;
  }
}
