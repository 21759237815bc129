/** The index files of depmod that dependencies, symbols and the kernel image go into: each file's bytes. */
import { ByteSink, IntSink } from '../../../bytes/sink.ts';
import { closureFinder } from '../../../catalog/graph.ts';
import { superFastHash } from '../../../systems/linux/tree/buckets.ts';
import type { NameTable } from '../../../systems/linux/tree/name-table.ts';
import { baseName, normalizeAlias, normalizeName, PATH_MAX } from '../../../systems/linux/tree/names.ts';
import { TrieBuilder } from '../../../systems/linux/tree/trie-builder.ts';
import { Duplicates, type MadeFile, type Message, makeFile } from './alias-index.ts';
import type { DepmodModule, SymbolTable } from './depmod-module.ts';

export interface IndexInput {
  readonly modules: readonly DepmodModule[];
  readonly symbols: SymbolTable;
  /** A file of the tree as a string of bytes; undefined, with the reason among the messages, when it cannot be read. */
  readonly treeFile: (name: string, messages: Message[]) => string | undefined;
  /** -w */
  readonly warnDuplicates: boolean;
  /** -n: text files only. */
  readonly textOnly: boolean;
}

/** modules.dep and its index. */
export function* makeDependencyIndexes({
  modules,
  warnDuplicates,
  textOnly,
}: IndexInput): Generator<MadeFile> {
  const lines = new DependencyLines(modules);
  yield makeFile('modules.dep', true, () => lines.text);
  if (!textOnly) yield makeFile('modules.dep.bin', false, (said) => lines.trie(warnDuplicates, said));
}

class DependencyLines {
  private readonly modules: readonly DepmodModule[];
  private readonly out = new ByteSink(1 << 16);
  private readonly ends: number[] = [];

  constructor(modules: readonly DepmodModule[]) {
    this.modules = modules;
    const { out } = this;
    const closure = closureFinder(modules);
    for (const module of modules) {
      out.text(module.shown);
      out.u8(0x3a);
      // What stands nearer to it first.
      const needs = module.needs.length === 0 ? [] : closure(module).sort((a, b) => a.rank - b.rank);
      for (const { shown } of needs) {
        out.u8(0x20);
        out.text(shown);
      }
      out.u8(0x0a);
      this.ends.push(out.length);
    }
  }

  get text(): Uint8Array {
    return this.out.view();
  }

  trie(warnDuplicates: boolean, messages: Message[]): Uint8Array {
    const trie = new TrieBuilder();
    const seen = warnDuplicates ? new Duplicates() : undefined;
    this.modules.forEach(({ name, index }) => {
      const [from, to] = [index === 0 ? 0 : this.ends[index - 1], this.ends[index] - 1];
      const value = trie.valueBytes(this.out.bytes, from, to);
      trie.addBytes(Buffer.from(name, 'latin1'), value, index);
      if (seen === undefined) return;
      const line = Buffer.from(this.out.bytes.buffer, from, to - from).toString('latin1');
      if (seen.known(name, line))
        messages.push({ level: 'warning', text: `duplicate module deps:\n${line}\n` });
    });
    return trie.write();
  }
}

/** modules.symbols and its index. */
export function* makeSymbolIndexes(input: IndexInput): Generator<MadeFile> {
  const owned = ownedSymbols(input.symbols);
  yield makeFile('modules.symbols', true, () => symbolText(input, owned));
  if (!input.textOnly) yield makeFile('modules.symbols.bin', false, (said) => symbolTrie(input, owned, said));
}

/** The tool's table of symbols has this many buckets. */
const SYMBOL_BUCKETS = 2048;

/** Numbers of the names of modules' symbols, in the order of the tool's table: by bucket, then by name. */
function ownedSymbols(symbols: SymbolTable): Int32Array {
  const { names } = symbols;
  const pool = names.text;
  const numbers = new IntSink(1 << 12);
  const hashes = new IntSink(1 << 12);
  const bucketEnds = new Int32Array(SYMBOL_BUCKETS + 1);
  for (let number = 0; number < names.size; number++) {
    if (symbols.ownerOf(number) < 0) continue;
    const start = names.startOf(number);
    const bucket = superFastHash(pool, start, start + names.lengthOf(number)) & (SYMBOL_BUCKETS - 1);
    numbers.push(number);
    hashes.push(bucket);
    bucketEnds[bucket + 1]++;
  }
  for (let bucket = 0; bucket < SYMBOL_BUCKETS; bucket++) bucketEnds[bucket + 1] += bucketEnds[bucket];
  // From here on bucketEnds[b] is where the next one of bucket b goes.
  const order = new Int32Array(numbers.length);
  const starts = bucketEnds.slice();
  for (let i = 0; i < numbers.length; i++) {
    const bucket = hashes.values[i];
    let at = bucketEnds[bucket]++;
    const number = numbers.values[i];
    for (; at > starts[bucket] && isBefore(names, pool, number, order[at - 1]); at--)
      order[at] = order[at - 1];
    order[at] = number;
  }
  return order;
}

/** strcmp: a NUL stands after each name. */
function isBefore(names: NameTable, pool: Uint8Array, a: number, b: number): boolean {
  let [i, j] = [names.startOf(a), names.startOf(b)];
  while (pool[i] === pool[j] && pool[i] !== 0) {
    i++;
    j++;
  }
  return pool[i] < pool[j];
}

function symbolText({ symbols, modules }: IndexInput, owned: Int32Array): Uint8Array {
  const out = new ByteSink(1 << 18);
  const { names } = symbols;
  const pool = names.text;
  out.text('# Aliases for symbols, used by symbol_request().\n');
  for (const number of owned) {
    const start = names.startOf(number);
    out.text('alias symbol:');
    out.copy(pool, start, start + names.lengthOf(number));
    out.u8(0x20);
    out.text(modules[symbols.ownerOf(number)].name);
    out.u8(0x0a);
  }
  return out.view();
}

function symbolTrie(
  { symbols, modules, warnDuplicates }: IndexInput,
  owned: Int32Array,
  messages: Message[],
): Uint8Array {
  const trie = new TrieBuilder();
  const values = new Map<number, number>();
  const { names } = symbols;
  const pool = names.text;
  const key = new ByteSink();
  key.text('symbol:');
  const head = key.length;
  const seen = warnDuplicates ? new Duplicates() : undefined;
  for (const number of owned) {
    const { name, index } = modules[symbols.ownerOf(number)];
    let value = values.get(index);
    if (value === undefined) values.set(index, (value = trie.value(name)));
    key.length = head;
    const start = names.startOf(number);
    key.copy(pool, start, start + names.lengthOf(number));
    trie.addBytes(key.bytes, value, index, 0, key.length);
    const alias = `symbol:${seen === undefined ? '' : names.name(number)}`;
    if (seen?.known(alias, name))
      messages.push({ level: 'warning', text: `duplicate module syms:\n${alias} ${name}\n` });
  }
  return trie.write();
}

const NO_INDEX = new Uint8Array();

/** The indexes of what is part of the kernel image. */
export function* makeBuiltinIndexes(input: IndexInput): Generator<MadeFile> {
  if (input.textOnly) return;
  yield makeFile('modules.builtin.bin', false, (said) => builtinTrie(input, said));
  yield makeFile('modules.builtin.alias.bin', false, (said) => builtinAliasTrie(input, said));
}

/** modules.builtin: paths of modules. */
function builtinTrie({ treeFile }: IndexInput, messages: Message[]): Uint8Array {
  const text = treeFile('modules.builtin', messages);
  if (text === undefined) return NO_INDEX;
  const trie = new TrieBuilder();
  for (const line of text.match(/[^\n]*\n|[^\n]+$/g) ?? []) {
    if (!/^[A-Za-z]/.test(line))
      messages.push({ level: 'error', text: `Invalid modules.builtin line: ${line}\n` });
    else trie.add(normalizeName(baseName(line)), '', 0);
  }
  return trie.write();
}

/** modules.builtin.modinfo: `MODULE.tag=value` strings with a NUL after each. */
function builtinAliasTrie({ treeFile }: IndexInput, messages: Message[]): Uint8Array {
  const text = treeFile('modules.builtin.modinfo', messages);
  if (text === undefined) return NO_INDEX;
  const trie = new TrieBuilder();
  for (const { module, value } of builtinAliases(text, messages)) {
    const alias = normalizeAlias(value);
    if (alias === undefined) messages.push({ level: 'warning', text: `Unmatched bracket in ${value}\n` });
    else trie.add(alias, module, 0);
  }
  return trie.write();
}

/**
 * As the tool goes through the file: each part up to its mark, a dot, an equals sign or a NUL. A string that lacks the
 * second one takes the string behind it along, and one without its NUL at the end of the file is none.
 */
function* builtinAliases(text: string, messages: Message[]): Generator<{ module: string; value: string }> {
  let at = 0;
  const part = (mark: string): string => {
    const start = at;
    while (at < text.length && text[at] !== mark && text[at] !== '\0' && at - start < PATH_MAX) at++;
    const full = at - start === PATH_MAX;
    if (full) {
      const shown = text.slice(start, at);
      messages.push({ level: 'warning', text: `Could not flush stream: 28. Partial content: ${shown}\n` });
    }
    const found = text[at++] === mark;
    return found ? text.slice(start, at - 1 - (full ? 1 : 0)) : '';
  };
  while (at < text.length) {
    const module = part('.');
    if (module === '') continue;
    if (part('=') !== 'alias') {
      while (at < text.length && text[at] !== '\0') at++;
      at++;
      continue;
    }
    const value = part('\0');
    if (value !== '') yield { module, value };
  }
}
