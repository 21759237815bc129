import { CTypeError } from './error.ts';

/** One token of a declaration. Numbers carry their value, everything else its text. */
export interface Token {
  readonly kind: 'name' | 'number' | 'text' | 'punctuation' | 'pragma' | 'end';
  readonly text: string;
  readonly value: bigint;
  /** Character position in the text. */
  readonly at: number;
}

/** Longest text that is taken: the largest header set in use has 200 kB; a limit keeps bad input bounded. */
const MAX_TEXT = 8 << 20;

const TOKEN = new RegExp(
  [
    '(?<space>(?:\\s|\\\\\\n)+|//[^\\n]*|/\\*[^]*?\\*/)',
    '(?<line>#[^\\n]*)',
    '(?<name>[A-Za-z_$][\\w$]*)',
    '(?<number>0[xX][0-9a-fA-F]+[uUlL]*|0[bB][01]+[uUlL]*|\\d+[uUlL]*)',
    "(?<character>L?'(?:[^'\\\\\\n]|\\\\[^\\n]){1,4}')",
    '(?<string>"(?:[^"\\\\\\n]|\\\\[^\\n])*")',
    '(?<punctuation>\\.\\.\\.|<<|>>|<=|>=|==|!=|&&|\\|\\||[-+*/%&|^~!<>=?:;,.(){}\\[\\]])',
  ].join('|'),
  'y',
);

const ESCAPES: Readonly<Record<string, number>> = { n: 10, t: 9, r: 13, '0': 0, a: 7, b: 8, f: 12, v: 11 };

/** Splits C text into tokens. `#define` and `#pragma pack` lines come as one token. Throws CTypeError (Syntax). */
export function tokenize(text: string): Token[] {
  if (text.length > MAX_TEXT) {
    throw new CTypeError(
      'Syntax',
      `${text.length} characters of declarations, at most ${MAX_TEXT} are taken`,
    );
  }
  const tokens: Token[] = [];
  let at = 0;
  while (at < text.length) {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text);
    if (match === null) throw syntaxError(text, at, `unexpected character ${JSON.stringify(text[at])}`);
    const token = tokenOf(match, at, text);
    if (token !== undefined) tokens.push(token);
    at = TOKEN.lastIndex;
  }
  tokens.push({ kind: 'end', text: '', value: 0n, at });
  return tokens;
}

function tokenOf(match: RegExpExecArray, at: number, source: string): Token | undefined {
  const text = match[0];
  const { space, line, name, number, character, string } = match.groups!;
  if (space !== undefined) return undefined;
  if (name !== undefined) return { kind: 'name', text, value: 0n, at };
  if (number !== undefined) return { kind: 'number', text, value: numberValue(number), at };
  if (character !== undefined) return { kind: 'number', text, value: characterValue(character), at };
  if (string !== undefined) return { kind: 'text', text, value: 0n, at };
  if (line === undefined) return { kind: 'punctuation', text, value: 0n, at };
  if (/^#\s*(define\s+\w+\s|pragma\s+pack\b)/.test(line)) return { kind: 'pragma', text, value: 0n, at };
  if (/^#\s*(include|ifndef|ifdef|endif|undef|pragma\s+once|define\s+\w+\s*$)/.test(line)) return undefined;
  throw syntaxError(source, at, `preprocessor line '${line.trim()}' is not understood here`);
}

function numberValue(text: string): bigint {
  const digits = text.replace(/[uUlL]+$/, '');
  return /^0\d/.test(digits) ? BigInt(`0o${digits.slice(1)}`) : BigInt(digits);
}

/** `'a'`, `'\n'`, and the several-character constants that file formats like ('LKMK'): first character highest. */
function characterValue(text: string): bigint {
  const body = text.replace(/^L?'/, '').slice(0, -1);
  let value = 0n;
  for (const [, escaped, plain] of body.matchAll(/\\(.)|([^\\])/g)) {
    const code = escaped === undefined ? plain!.charCodeAt(0) : (ESCAPES[escaped] ?? escaped.charCodeAt(0));
    value = (value << 8n) | BigInt(code);
  }
  return value;
}

/** An error with line and column, and the line itself. */
export function syntaxError(source: string, at: number, problem: string): CTypeError {
  const before = source.slice(0, at);
  const line = before.split('\n').length;
  const start = before.lastIndexOf('\n') + 1;
  const end = source.indexOf('\n', at);
  const shown = source
    .slice(start, end < 0 ? undefined : end)
    .trim()
    .slice(0, 120);
  return new CTypeError(
    'Syntax',
    `C declaration, line ${line}, column ${at - start + 1}: ${problem}, in '${shown}'`,
  );
}
