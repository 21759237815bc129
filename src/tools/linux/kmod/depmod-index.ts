/** The index files of depmod, from its modules: each file's bytes. */
import { bucketOrder } from '../../../systems/linux/tree/buckets.ts';
import { baseName, normalizeAlias, normalizeName } from '../../../systems/linux/tree/names.ts';
import { NotAscii, TrieBuilder } from '../../../systems/linux/tree/trie.ts';
import type { DepmodModule, SymbolTable } from './depmod-module.ts';
import type { ToolOutput } from './output.ts';

export interface IndexInput {
  readonly modules: readonly DepmodModule[];
  readonly symbols: SymbolTable;
  /** A file of the tree as a string of bytes; undefined, with a warning written, when it cannot be read. */
  readonly treeFile: (name: string) => string | undefined;
  /** -w */
  readonly warnDuplicates: boolean;
  readonly output: ToolOutput;
}

export interface IndexFile {
  readonly name: string;
  /** Made for a person to read; only these are shown by -n. */
  readonly text: boolean;
  readonly make: (input: IndexInput) => string | Uint8Array;
}

/** In the order in which they are written. */
export const INDEX_FILES: readonly IndexFile[] = [
  { name: 'modules.dep', text: true, make: dependencies },
  { name: 'modules.dep.bin', text: false, make: dependencyTrie },
  { name: 'modules.alias', text: true, make: aliases },
  { name: 'modules.alias.bin', text: false, make: aliasTrie },
  { name: 'modules.softdep', text: true, make: softDependencies },
  { name: 'modules.weakdep', text: true, make: weakDependencies },
  { name: 'modules.symbols', text: true, make: symbolAliases },
  { name: 'modules.symbols.bin', text: false, make: symbolTrie },
  { name: 'modules.builtin.bin', text: false, make: builtinTrie },
  { name: 'modules.builtin.alias.bin', text: false, make: builtinAliasTrie },
  { name: 'modules.devname', text: true, make: deviceNames },
];

function dependencies({ modules }: IndexInput): string {
  let text = '';
  for (const { line } of modules) text += `${line}\n`;
  return text;
}

/** Adds to a trie; bytes that no index holds end the tool, in its own words. */
function insert(
  { output }: IndexInput,
  trie: TrieBuilder,
  key: string,
  value: string,
  priority: number,
): boolean {
  try {
    return trie.add(key, value, priority);
  } catch (error) {
    if (!(error instanceof NotAscii)) throw error;
    const { byte, text } = error;
    return output.fatal(
      `Module index: bad character '${String.fromCharCode(byte)}'=0x${byte.toString(16)} - only 7-bit ASCII is supported:\n${text}\n`,
    );
  }
}

function dependencyTrie(input: IndexInput): Uint8Array {
  const trie = new TrieBuilder();
  for (const module of input.modules) {
    const { line, name, index } = module;
    if (insert(input, trie, name, line, index) && input.warnDuplicates)
      input.output.warn(`duplicate module deps:\n${line}\n`);
  }
  return trie.write();
}

function aliases({ modules }: IndexInput): string {
  let text = '# Aliases extracted from modules themselves.\n';
  for (const { record, name } of modules)
    for (const alias of record.aliases) text += `alias ${alias} ${name}\n`;
  return text;
}

function aliasTrie(input: IndexInput): Uint8Array {
  const { modules, output, warnDuplicates } = input;
  const trie = new TrieBuilder();
  for (const { record, name, index } of modules) {
    for (const value of record.aliases) {
      const alias = normalizeAlias(value);
      if (alias === undefined) output.warn(`Unmatched bracket in ${value}\n`);
      else if (insert(input, trie, alias, name, index) && warnDuplicates)
        output.warn(`duplicate module alias:\n${alias} ${name}\n`);
    }
  }
  return trie.write();
}

function softDependencies({ modules }: IndexInput): string {
  let text = '# Soft dependencies extracted from modules themselves.\n';
  for (const { record, name } of modules)
    for (const soft of record.softdeps) text += `softdep ${name} ${soft}\n`;
  return text;
}

function weakDependencies({ modules }: IndexInput): string {
  let text = '# Weak dependencies extracted from modules themselves.\n';
  for (const { record, name } of modules)
    for (const weak of record.weakdeps) text += `weakdep ${name} ${weak}\n`;
  return text;
}

/** The tool's table of symbols has this many buckets. */
const SYMBOL_BUCKETS = 2048;

/** In the order of the tool's table. */
function ownedSymbols({ symbols }: IndexInput): (readonly [name: string, owner: DepmodModule])[] {
  const owners = new Map(symbols.owned());
  return bucketOrder(owners.keys(), SYMBOL_BUCKETS).map((name) => [name, owners.get(name) as DepmodModule]);
}

function symbolAliases(input: IndexInput): string {
  let text = '# Aliases for symbols, used by symbol_request().\n';
  for (const [name, owner] of ownedSymbols(input)) text += `alias symbol:${name} ${owner.name}\n`;
  return text;
}

function symbolTrie(input: IndexInput): Uint8Array {
  const trie = new TrieBuilder();
  for (const [name, owner] of ownedSymbols(input)) {
    const key = `symbol:${name}`;
    if (insert(input, trie, key, owner.name, owner.index) && input.warnDuplicates)
      input.output.warn(`duplicate module syms:\n${key} ${owner.name}\n`);
  }
  return trie.write();
}

const NO_INDEX = new Uint8Array();

/** modules.builtin: paths of what is part of the kernel image. */
function builtinTrie(input: IndexInput): Uint8Array {
  const text = input.treeFile('modules.builtin');
  if (text === undefined) return NO_INDEX;
  const trie = new TrieBuilder();
  for (const line of text.match(/[^\n]*\n|[^\n]+$/g) ?? []) {
    if (!/^[A-Za-z]/.test(line)) input.output.error(`Invalid modules.builtin line: ${line}\n`);
    else insert(input, trie, normalizeName(baseName(line)), '', 0);
  }
  return trie.write();
}

/** modules.builtin.modinfo: `MODULE.tag=value` strings with a NUL after each. */
function builtinAliasTrie(input: IndexInput): Uint8Array {
  const text = input.treeFile('modules.builtin.modinfo');
  if (text === undefined) return NO_INDEX;
  const trie = new TrieBuilder();
  for (const record of text.split('\0')) {
    const dot = record.indexOf('.');
    const equals = record.indexOf('=', dot + 1);
    if (dot <= 0 || equals < 0 || record.slice(dot + 1, equals) !== 'alias') continue;
    const value = record.slice(equals + 1);
    if (value === '') continue;
    const alias = normalizeAlias(value);
    if (alias === undefined) input.output.warn(`Unmatched bracket in ${value}\n`);
    else insert(input, trie, alias, record.slice(0, dot), 0);
  }
  return trie.write();
}

/** modules.devname: device nodes whose use loads a module. */
function deviceNames({ modules, output }: IndexInput): string {
  let text = '';
  for (const { record, name } of modules) {
    const node = deviceNode(record.aliases);
    if (node === undefined) continue;
    if (node.type === undefined) {
      output.error(
        `Module '${name}' has devname (${node.path}) but lacks major and minor information. Ignoring.\n`,
      );
      continue;
    }
    if (text === '') text = '# Device nodes to trigger on-demand module loading.\n';
    text += `${name} ${node.path} ${node.type}\n`;
  }
  return text;
}

const MAJOR = /^(char|block)-major-\s*\+?(\d+)-\s*\+?(\d+)/;

/** `devname:PATH` and `char-major-M-N`, whichever order they come in; the tool stops at the first pair. */
function deviceNode(list: readonly string[]): { path: string; type: string | undefined } | undefined {
  let path: string | undefined;
  let type: string | undefined;
  for (const alias of list) {
    // Few aliases are about device nodes, and there are tens of thousands.
    const numbers = alias.startsWith('char-') || alias.startsWith('block-') ? MAJOR.exec(alias) : null;
    if (alias.startsWith('devname:')) path = alias.slice('devname:'.length);
    else if (numbers !== null)
      type = `${numbers[1][0]}${BigInt.asUintN(32, BigInt(numbers[2]))}:${BigInt.asUintN(32, BigInt(numbers[3]))}`;
    if (path !== undefined && type !== undefined) break;
  }
  return path === undefined ? undefined : { path, type };
}
