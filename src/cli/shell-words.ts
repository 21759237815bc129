/**
 * The small shell language of `lkm linux` and `--do`: words with the quoting of POSIX sh (XCU 2.2), comments, `;`,
 * `&`, `&&`, `||`, `$?`, and output redirection with `>` and `>>`. What a real shell would do beyond that (pipes, variables,
 * substitution, patterns, input redirection) is refused by name, never taken for plain text.
 */
import { Failure } from './failure.ts';

export interface ShellStep {
  /** When to run it: always, or by the code of the step before. */
  readonly when: 'always' | 'succeeded' | 'failed';
  readonly words: readonly string[];
  readonly redirect: Redirect | undefined;
  /** Ended by `&`: started, not waited for. */
  readonly background: boolean;
}

export interface Redirect {
  readonly path: string;
  readonly append: boolean;
}

/** Longest line, in UTF-16 units: far beyond what a person types, far below what would take noticeable time. */
const LONGEST_LINE = 1 << 16;

/** Splits a line into steps. `lastCode` is what `$?` stands for. Throws a Failure (exit code 2) for what it cannot read. */
export function parseLine(line: string, lastCode: number): readonly ShellStep[] {
  if (line.length > LONGEST_LINE) throw syntax(`a line is at most ${LONGEST_LINE} characters long`);
  return new LineParser(tokenize(line, lastCode)).parse();
}

/** A word as the user would have to type it: quoted when it needs to be. */
export function quoteWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replace(/'/g, "'\\''")}'`;
}

/** XCU 2.7: digits right before > are a file descriptor, which is rarely what `echo 1>file` was meant to say. */
const DESCRIPTOR = 'file descriptors do not exist here: put a blank between the number and >';

type Token = { readonly word: string } | { readonly operator: string };

function syntax(message: string): Failure {
  return new Failure(message, { exitCode: 2 });
}

const REFUSED: Readonly<Record<string, string>> = {
  '|': 'pipes do not exist here',
  '<': 'input cannot be redirected here',
  '`': 'command substitution does not exist here: quote the ` to mean it',
  '(': 'subshells do not exist here: quote the ( to mean it',
  ')': 'subshells do not exist here: quote the ) to mean it',
};

function tokenize(line: string, lastCode: number): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < line.length) {
    const char = line[at];
    if (/\s/.test(char)) {
      at++;
    } else if (char === '#') {
      break;
    } else if (/[;&|<>]/.test(char)) {
      const operator = /^(&&|\|\||>>|.)/.exec(line.slice(at))?.[0] ?? char;
      if (char === '>' && /(^|[\s;&|])\d+$/.test(line.slice(0, at))) throw syntax(DESCRIPTOR);
      tokens.push({ operator });
      at += operator.length;
    } else {
      const read = readWord(line, at, lastCode);
      tokens.push({ word: read.word });
      at = read.end;
    }
  }
  return tokens;
}

/** One word from `start` to the next unquoted blank or operator. */
function readWord(line: string, start: number, lastCode: number): { word: string; end: number } {
  let word = '';
  let at = start;
  while (at < line.length && !/[\s;&|<>]/.test(line[at])) {
    const char = line[at];
    if (char === "'") {
      const close = line.indexOf("'", at + 1);
      if (close < 0) throw syntax("a ' is not closed");
      word += line.slice(at + 1, close);
      at = close + 1;
    } else if (char === '"') {
      const read = readDoubleQuoted(line, at + 1, lastCode);
      word += read.word;
      at = read.end;
    } else if (char === '\\') {
      if (at + 1 === line.length) throw syntax('a line cannot be continued here');
      word += line[at + 1];
      at += 2;
    } else {
      const read = readPlain(line, at, lastCode);
      word += read.word;
      at = read.end;
    }
  }
  return { word, end: at };
}

/** XCU 2.2.3: inside double quotes a backslash quotes only $ ` " \ . */
function readDoubleQuoted(line: string, start: number, lastCode: number): { word: string; end: number } {
  let word = '';
  let at = start;
  while (at < line.length && line[at] !== '"') {
    if (line[at] === '\\' && /[$`"\\]/.test(line[at + 1] ?? '')) {
      word += line[at + 1];
      at += 2;
    } else if (line[at] === '$' || line[at] === '`') {
      const read = readPlain(line, at, lastCode);
      word += read.word;
      at = read.end;
    } else {
      word += line[at++];
    }
  }
  if (at >= line.length) throw syntax('a " is not closed');
  return { word, end: at + 1 };
}

function readPlain(line: string, at: number, lastCode: number): { word: string; end: number } {
  const char = line[at];
  if (REFUSED[char]) throw syntax(REFUSED[char]);
  if (char !== '$') return { word: char, end: at + 1 };
  const next = line[at + 1] ?? '';
  if (next === '?') return { word: String(lastCode), end: at + 2 };
  if (/[\w({@*#$!-]/.test(next)) throw syntax('variables do not exist here, only $?: quote the $ to mean it');
  return { word: '$', end: at + 1 };
}

class LineParser {
  #at = 0;

  constructor(readonly tokens: readonly Token[]) {}

  parse(): readonly ShellStep[] {
    const steps: ShellStep[] = [];
    let when: ShellStep['when'] = 'always';
    while (this.#at < this.tokens.length) {
      steps.push(this.#step(when));
      const operator = this.#operator();
      if (operator === '&') steps[steps.length - 1] = { ...steps[steps.length - 1], background: true };
      if (operator === undefined) break;
      when = operator === '&&' ? 'succeeded' : operator === '||' ? 'failed' : 'always';
      const last = this.#at === this.tokens.length;
      if (last && operator !== ';' && operator !== '&')
        throw syntax(`a command is missing behind ${operator}`);
    }
    return steps;
  }

  #operator(): string | undefined {
    const token = this.tokens[this.#at++];
    if (token === undefined || 'word' in token) return undefined;
    if (/^(;|&|&&|\|\|)$/.test(token.operator)) return token.operator;
    throw syntax(REFUSED[token.operator] ?? `'${token.operator}' is not expected here`);
  }

  #step(when: ShellStep['when']): ShellStep {
    const words: string[] = [];
    let redirect: ShellStep['redirect'];
    for (let token = this.tokens[this.#at]; token !== undefined; token = this.tokens[++this.#at]) {
      if ('word' in token) {
        words.push(token.word);
      } else if (token.operator === '>' || token.operator === '>>') {
        const target = this.tokens[++this.#at];
        if (target === undefined || !('word' in target))
          throw syntax(`a file is missing behind ${token.operator}`);
        redirect = { path: target.word, append: token.operator === '>>' };
      } else {
        break;
      }
    }
    if (words.length === 0) throw syntax('a command is missing');
    return { when, words, redirect, background: false };
  }
}
