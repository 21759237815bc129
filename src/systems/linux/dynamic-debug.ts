/**
 * The `dyndbg=` parameter (lib/dynamic_debug.c, Documentation/admin-guide/dynamic-debug-howto.rst): every pr_debug of a
 * module has a descriptor in its section __dyndbg, whose flags and static key a query changes.
 */
import type { Address } from '../../memory/space.ts';
import { matchesGlob, parseGlob } from './glob.ts';
import { setStaticKey, staticKeyEnabled } from './jump-labels.ts';
import type { Linux } from './linux.ts';
import type { LinuxModule } from './module.ts';

/** Letters of the flags and their bits (include/linux/dynamic_debug.h). */
const FLAGS: Readonly<Record<string, number>> = { p: 1, m: 2, f: 4, l: 8, t: 16, _: 0 };
const PRINT = 1;
const KEYWORDS = ['func', 'file', 'module', 'format', 'line'] as const;
type Keyword = (typeof KEYWORDS)[number];
/** KERN_ERR */
const ERR = 3;

interface Change {
  readonly clear: number;
  readonly set: number;
}

/** Carries out the queries of one parameter; a bad one is reported, and the load goes on. */
export function debugQueries(k: Linux, module: LinuxModule, queries: string): void {
  for (const query of queries.split(/[;\n]/).map((text) => text.trim())) {
    if (query === '' || query.startsWith('#')) continue;
    const words = [...query.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(([, a, b, c]) => a ?? b ?? c);
    runQuery(k, module, words);
  }
}

function runQuery(k: Linux, module: LinuxModule, words: readonly string[]): void {
  const change = parseFlags(k, words.at(-1) ?? '');
  if (change === undefined) {
    k.printk(ERR, 'dyndbg: flags parse failed');
    return;
  }
  const terms = parseTerms(k, words.slice(0, -1));
  if (terms === undefined) {
    k.printk(ERR, 'dyndbg: query parse failed');
    return;
  }
  for (const descriptor of descriptors(k, module)) {
    if ([...terms].every(([keyword, value]) => fits(k, descriptor, keyword, value, module.name)))
      apply(k, descriptor, change);
  }
}

function parseFlags(k: Linux, text: string): Change | undefined {
  const [operator, ...letters] = text;
  if (operator === undefined || !'+-='.includes(operator)) {
    k.printk(ERR, `dyndbg: bad flag-op ${operator ?? ''}, at start of ${text}`);
    return undefined;
  }
  let bits = 0;
  for (const letter of letters) {
    const bit = FLAGS[letter];
    if (bit === undefined) {
      k.printk(ERR, `dyndbg: unknown flag '${letter}'`);
      return undefined;
    }
    bits |= bit;
  }
  if (operator === '+') return { clear: 0, set: bits };
  return operator === '-' ? { clear: bits, set: 0 } : { clear: 0xff, set: bits };
}

function isKeyword(word: string): word is Keyword {
  return (KEYWORDS as readonly string[]).includes(word);
}

/** Pairs of a keyword and what it must be. */
function parseTerms(k: Linux, words: readonly string[]): Map<Keyword, string> | undefined {
  const terms = new Map<Keyword, string>();
  if (words.length % 2 !== 0) {
    k.printk(ERR, 'dyndbg: expecting pairs of match-spec <value>');
    return undefined;
  }
  for (let i = 0; i < words.length; i += 2) {
    const word = words[i];
    if (!isKeyword(word)) {
      k.printk(ERR, `dyndbg: unknown keyword "${word}"`);
      return undefined;
    }
    terms.set(word, words[i + 1]);
  }
  return terms;
}

/** The module's descriptors, in the order of its code. */
function* descriptors(k: Linux, module: LinuxModule): Generator<Address> {
  const section = module.sections.find(({ name }) => name === '__dyndbg');
  if (section === undefined) return;
  const size = k.sizeof('_ddebug');
  for (let at = 0; at + size <= section.size; at += size) yield section.address + at;
}

const wildcard = (pattern: string, text: string): boolean => matchesGlob(parseGlob(pattern), text);

function fits(k: Linux, descriptor: Address, keyword: Keyword, value: string, module: string): boolean {
  const text = (field: string) => k.readString(`_ddebug.${field}`, descriptor);
  switch (keyword) {
    case 'module':
      return wildcard(value, module);
    case 'func':
      return wildcard(value, text('function'));
    case 'file':
      return [text('filename'), text('filename').replace(/^.*\//, '')].some((name) => wildcard(value, name));
    case 'format':
      return value.startsWith('^')
        ? text('format').startsWith(value.slice(1))
        : text('format').includes(value);
    case 'line':
      return inRange(value, k.read('_ddebug.lineno', descriptor));
  }
}

/** `7`, `7-9`, `-9` or `7-`. */
function inRange(range: string, line: number): boolean {
  const [first, last] = range.includes('-') ? range.split('-', 2) : [range, range];
  return line >= Number(first || 0) && line <= (last === '' ? Number.POSITIVE_INFINITY : Number(last));
}

/** The printing bit is also the descriptor's static key: without it the call is jumped over. */
function apply(k: Linux, descriptor: Address, { clear, set }: Change): void {
  const flags = (k.read('_ddebug.flags', descriptor) & ~clear) | set;
  k.write('_ddebug.flags', descriptor, flags);
  if (!k.types.has('_ddebug.key')) return;
  const key = descriptor + k.offset('_ddebug.key');
  const on = (flags & PRINT) !== 0;
  if (staticKeyEnabled(k, key) !== on) setStaticKey(k, key, on ? 1 : 0);
}
