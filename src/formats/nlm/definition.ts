/**
 * The definition file of an NLM linker: what the object files do not say (name, type, procedures, imports, exports).
 * Keywords are those of Novell's linker as GNU nlmconv documents them; case does not matter, `#` begins a comment.
 */

import type { NlmVersion } from './file.ts';
import { MODULE_TYPES, NLM_FLAGS } from './layout.ts';

export interface NlmDefinition {
  readonly output: string;
  readonly inputs: readonly string[];
  readonly type: number;
  readonly flags: number;
  readonly description: string;
  readonly copyright: string | undefined;
  readonly version: NlmVersion | undefined;
  readonly stackSize: number;
  readonly screenName: string;
  readonly threadName: string;
  readonly start: string;
  readonly exit: string;
  readonly check: string | undefined;
  readonly imports: readonly string[];
  readonly exports: readonly string[];
  readonly modules: readonly string[];
  readonly debug: boolean;
  /** Names of files with messages, help and custom data; who reads files hands their bytes to the linker. */
  readonly messages: string | undefined;
  readonly help: string | undefined;
  readonly custom: string | undefined;
}

export class DefinitionError extends Error {
  readonly line: number;
  constructor(line: number, problem: string) {
    super(`line ${line}: ${problem}`);
    this.name = 'DefinitionError';
    this.line = line;
  }
}

interface Word {
  readonly text: string;
  readonly line: number;
  readonly quoted: boolean;
}

type Writable = { -readonly [K in keyof NlmDefinition]: NlmDefinition[K] } & {
  inputs: string[];
  imports: string[];
  exports: string[];
  modules: string[];
};

/** Keywords that take one text. */
const TEXTS: ReadonlyMap<
  string,
  | 'output'
  | 'description'
  | 'copyright'
  | 'screenName'
  | 'threadName'
  | 'start'
  | 'exit'
  | 'check'
  | 'messages'
  | 'help'
  | 'custom'
> = new Map([
  ['OUTPUT', 'output'],
  ['DESCRIPTION', 'description'],
  ['COPYRIGHT', 'copyright'],
  ['SCREENNAME', 'screenName'],
  ['THREADNAME', 'threadName'],
  ['START', 'start'],
  ['CODESTART', 'start'],
  ['EXIT', 'exit'],
  ['CHECK', 'check'],
  ['MESSAGES', 'messages'],
  ['HELP', 'help'],
  ['CUSTOM', 'custom'],
  ['XDCDATA', 'custom'],
]);

/** Keywords that set a bit. */
const FLAGS: ReadonlyMap<string, number> = new Map(Object.entries(NLM_FLAGS));

/** Keywords that take names until the next keyword. */
const LISTS: ReadonlyMap<string, 'inputs' | 'imports' | 'exports' | 'modules'> = new Map([
  ['INPUT', 'inputs'],
  ['IMPORT', 'imports'],
  ['EXPORT', 'exports'],
  ['MODULE', 'modules'],
]);

const OTHERS = ['TYPE', 'VERSION', 'STACK', 'STACKSIZE', 'DEBUG', 'DATE', 'FLAG_ON', 'FLAG_OFF'];

function isKeyword({ text, quoted }: Word): boolean {
  const upper = text.toUpperCase();
  if (quoted || upper !== text) return false;
  return TEXTS.has(upper) || FLAGS.has(upper) || LISTS.has(upper) || OTHERS.includes(upper);
}

/** Reads a definition. Keywords are in upper case, so that symbols may be called what they like. @throws DefinitionError */
export function parseDefinition(text: string): NlmDefinition {
  const words = wordsOf(text);
  const definition: Writable = {
    output: '',
    inputs: [],
    type: 0,
    flags: 0,
    description: '',
    copyright: undefined,
    version: undefined,
    stackSize: 8192,
    screenName: '',
    threadName: '',
    // What CLIB's own start-up code calls them.
    start: '_Prelude',
    exit: '_Stop',
    check: undefined,
    imports: [],
    exports: [],
    modules: [],
    debug: false,
    messages: undefined,
    help: undefined,
    custom: undefined,
  };
  for (let at = 0; at < words.length; ) {
    if (!isKeyword(words[at])) throw new DefinitionError(words[at].line, `unknown keyword ${words[at].text}`);
    at = takeStatement(definition, words, at);
  }
  return definition;
}

/** Takes the keyword at `at` and what belongs to it; gives where the next one begins. */
function takeStatement(definition: Writable, words: readonly Word[], at: number): number {
  const { line, text: keyword } = words[at];
  let end = at + 1;
  while (end < words.length && !isKeyword(words[end])) end++;
  const values = words.slice(at + 1, end).map((word) => word.text);
  const one = () => {
    if (values.length !== 1) throw new DefinitionError(line, `${keyword} takes one value`);
    return values[0];
  };
  const flag = FLAGS.get(keyword);
  const list = LISTS.get(keyword);
  const field = TEXTS.get(keyword);
  if (flag !== undefined) definition.flags |= flag;
  else if (list !== undefined)
    definition[list].push(...values.flatMap((value) => value.split(',')).filter(Boolean));
  else if (field !== undefined) definition[field] = one();
  else if (keyword === 'TYPE') definition.type = number(one(), line);
  else if (keyword.startsWith('STACK')) definition.stackSize = number(one(), line);
  else if (keyword === 'DEBUG') definition.debug = true;
  else if (keyword === 'FLAG_ON') definition.flags |= number(one(), line);
  else if (keyword === 'FLAG_OFF') definition.flags &= ~number(one(), line);
  else if (keyword === 'VERSION') definition.version = version(values, definition.version, line);
  else definition.version = date(values, definition.version, line);
  if (keyword === 'TYPE' && !MODULE_TYPES.has(definition.type))
    throw new DefinitionError(line, `no module type has the number ${definition.type}`);
  return end;
}

const NO_VERSION: NlmVersion = { major: 0, minor: 0, revision: 0, year: 1980, month: 1, day: 1 };

function version(values: readonly string[], known: NlmVersion | undefined, line: number): NlmVersion {
  const parts = values.flatMap((value) => value.split(/[.,]/)).filter(Boolean);
  const [major, minor, revision = 0] = parts.map((part) => number(part, line));
  if (parts.length < 2 || parts.length > 3)
    throw new DefinitionError(line, 'VERSION takes major, minor and revision');
  return { ...(known ?? NO_VERSION), major, minor, revision };
}

function date(values: readonly string[], known: NlmVersion | undefined, line: number): NlmVersion {
  if (values.length !== 3) throw new DefinitionError(line, 'DATE takes month, day and year');
  const [month, day, year] = values.map((value) => number(value, line));
  return { ...(known ?? NO_VERSION), month, day, year };
}

function number(text: string, line: number): number {
  const value = Number(text);
  if (text === '' || !Number.isInteger(value) || value < 0 || value > 0xffffffff)
    throw new DefinitionError(line, `${text} is no number`);
  return value;
}

function wordsOf(text: string): Word[] {
  const words: Word[] = [];
  for (const [i, content] of text.split('\n').entries()) {
    // A quoted text, a comment to the end of the line, or a word.
    for (const match of content.matchAll(/"([^"]*)"|#.*$|[^\s"]+/g)) {
      if (match[0].startsWith('#')) continue;
      words.push({ text: match[1] ?? match[0], line: i + 1, quoted: match[1] !== undefined });
    }
  }
  return words;
}
