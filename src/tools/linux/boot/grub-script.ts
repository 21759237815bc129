/** The language of grub.cfg (GRUB manual, "Writing full configuration files directly"): text to commands. What is damaged is read as far as it goes. */

/** A piece of a word: text, or the value of a variable; unquoted values fall apart at blanks. */
export interface Piece {
  readonly text?: string;
  readonly variable?: string;
  readonly quoted: boolean;
}

export type Word = readonly Piece[];

export type Statement =
  | {
      readonly kind: 'command';
      readonly words: readonly Word[];
      readonly block: readonly Statement[] | undefined;
    }
  | { readonly kind: 'function'; readonly name: string; readonly body: readonly Statement[] }
  | {
      readonly kind: 'for';
      readonly variable: string;
      readonly words: readonly Word[];
      readonly body: readonly Statement[];
    }
  | {
      readonly kind: 'if';
      readonly branches: readonly {
        readonly condition: readonly Statement[];
        readonly body: readonly Statement[];
      }[];
      readonly otherwise: readonly Statement[];
    }
  | { readonly kind: 'while'; readonly body: readonly Statement[] };

type Token = { readonly word: Word; readonly plain: string | undefined } | { readonly end: true };

/** More nesting than any menu has. */
const MAX_DEPTH = 64;
const VARIABLE = /\$(?:\{([A-Za-z_]\w*|[\d@*#?])\}|([A-Za-z_]\w*|[\d@*#?]))/y;

/** One word from `at` on; gives where it ends. */
function readWord(text: string, start: number): { token: Token; at: number } {
  const word: Piece[] = [];
  let bare = true;
  let at = start;
  const literal = (piece: string, quoted: boolean) => {
    const last = word.at(-1);
    if (last?.text !== undefined && last.quoted === quoted)
      word[word.length - 1] = { text: last.text + piece, quoted };
    else word.push({ text: piece, quoted });
  };
  const variable = (quoted: boolean): boolean => {
    VARIABLE.lastIndex = at;
    const found = VARIABLE.exec(text);
    if (found === null) return false;
    word.push({ variable: found[1] ?? found[2], quoted });
    at = VARIABLE.lastIndex;
    bare = false;
    return true;
  };
  while (at < text.length && !/[\s;]/.test(text[at])) {
    const one = text[at];
    if (one === "'") {
      const end = text.indexOf("'", at + 1);
      literal(text.slice(at + 1, end < 0 ? text.length : end), true);
      at = end < 0 ? text.length : end + 1;
      bare = false;
    } else if (one === '"') {
      bare = false;
      literal('', true);
      for (at++; at < text.length && text[at] !== '"'; ) {
        if (text[at] === '\\' && /[$"\\]/.test(text[at + 1] ?? '')) literal(text[++at], true);
        else if (text[at] === '$' && variable(true)) continue;
        else literal(text[at], true);
        at++;
      }
      at++;
    } else if (one === '\\') {
      if (text[at + 1] !== '\n') literal(text[at + 1] ?? '', true);
      at += 2;
      bare = false;
    } else if (one !== '$' || !variable(false)) {
      literal(one, false);
      at++;
    }
  }
  const plain = bare ? word.map((piece) => piece.text ?? '').join('') : undefined;
  return { token: { word, plain }, at };
}

function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  for (let at = 0; at < text.length; ) {
    const one = text[at];
    if (one === '\n' || one === ';') {
      tokens.push({ end: true });
      at++;
    } else if (one === '\\' && text[at + 1] === '\n') at += 2;
    else if (/\s/.test(one)) at++;
    else if (one === '#') {
      const end = text.indexOf('\n', at);
      at = end < 0 ? text.length : end;
    } else {
      const read = readWord(text, at);
      tokens.push(read.token);
      at = read.at;
    }
  }
  return tokens;
}

class ScriptParser {
  readonly #tokens: readonly Token[];
  #at = 0;
  #depth = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  get done(): boolean {
    return this.#at >= this.#tokens.length;
  }

  /** Up to one of the words, which is left, or the end. */
  statements(until: readonly string[]): Statement[] {
    const list: Statement[] = [];
    this.#depth++;
    while (!this.done) {
      const plain = this.#plain();
      if (plain !== undefined && until.includes(plain)) break;
      const statement = this.#statement();
      if (statement !== undefined) list.push(statement);
    }
    this.#depth--;
    return list;
  }

  #plain(): string | undefined {
    const token = this.#tokens[this.#at];
    return token !== undefined && 'plain' in token ? token.plain : undefined;
  }

  /** Skips the word if it is there. */
  #take(word: string): boolean {
    while (!this.done && 'end' in this.#tokens[this.#at]) this.#at++;
    if (this.#plain() !== word) return false;
    this.#at++;
    return true;
  }

  #statement(): Statement | undefined {
    const plain = this.#plain();
    if (this.#depth > MAX_DEPTH || plain === undefined) return this.#command();
    if (plain === 'if') return this.#if();
    if (plain === 'for') return this.#for();
    if (plain === 'while' || plain === 'until') return this.#while();
    if (plain === 'function') return this.#function();
    return this.#command();
  }

  #if(): Statement {
    const branches: { condition: Statement[]; body: Statement[] }[] = [];
    let otherwise: Statement[] = [];
    while (this.#take('if') || this.#take('elif')) {
      const condition = this.statements(['then', 'fi']);
      this.#take('then');
      branches.push({ condition, body: this.statements(['elif', 'else', 'fi']) });
    }
    if (this.#take('else')) otherwise = this.statements(['fi']);
    this.#take('fi');
    return { kind: 'if', branches, otherwise };
  }

  #for(): Statement {
    this.#at++;
    const variable = this.#plain() ?? '';
    this.#at++;
    this.#take('in');
    const words = this.#words([]);
    return { kind: 'for', variable, words, body: this.#loop() };
  }

  #while(): Statement {
    this.#at++;
    this.statements(['do', 'done']);
    return { kind: 'while', body: this.#loop() };
  }

  #loop(): Statement[] {
    this.#take('do');
    const body = this.statements(['done']);
    this.#take('done');
    return body;
  }

  #function(): Statement {
    this.#at++;
    const name = this.#plain() ?? '';
    this.#at++;
    return { kind: 'function', name, body: this.#take('{') ? this.#block() : [] };
  }

  #block(): Statement[] {
    const body = this.statements(['}']);
    this.#take('}');
    return body;
  }

  #words(until: readonly string[]): Word[] {
    const words: Word[] = [];
    for (; !this.done; this.#at++) {
      const token = this.#tokens[this.#at];
      if ('end' in token || (token.plain !== undefined && until.includes(token.plain))) break;
      words.push(token.word);
    }
    return words;
  }

  #command(): Statement | undefined {
    const words = this.#words(['{', '}']);
    const next = this.#plain();
    if (next === '{' && this.#depth <= MAX_DEPTH) {
      this.#at++;
      return { kind: 'command', words, block: this.#block() };
    }
    // An end of line, or a brace that nothing opened.
    if (next === undefined || words.length === 0) this.#at++;
    return words.length === 0 ? undefined : { kind: 'command', words, block: undefined };
  }
}

export function parseScript(text: string): Statement[] {
  const parser = new ScriptParser(tokensOf(text));
  const list: Statement[] = [];
  while (!parser.done) list.push(...parser.statements([]));
  return list;
}
