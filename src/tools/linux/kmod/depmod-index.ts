/** The index files of depmod that dependencies, symbols and the kernel image go into: each file's bytes. */
import { ByteSink } from '../../../bytes/sink.ts';
import { closureFinder } from '../../../catalog/graph.ts';
import { baseName, normalizeAlias, normalizeName, PATH_MAX } from '../../../systems/linux/tree/names.ts';
import { TrieBuilder } from '../../../systems/linux/tree/trie-builder.ts';
import { putSpans, type Spans, Workshop, writeTrie } from '../../../systems/linux/tree/workshop.ts';
import { Duplicates, type MadeFile, type Message, makeFile } from './alias-index.ts';
import { type DepmodModule, NameList, type SymbolTable } from './depmod-module.ts';

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
    return (warnDuplicates ? undefined : this.plainTrie()) ?? this.anyTrie(warnDuplicates, messages);
  }

  /** Without anything to be said; undefined where something is no ASCII. */
  private plainTrie(): Uint8Array | undefined {
    const { out, ends, modules } = this;
    const names = new NameList(modules);
    const shop = new Workshop(2 * out.length + 4 * names.bytes.length);
    const { wasm } = shop;
    const [text, keys] = [shop.put(out.view()), shop.put(names.bytes)];
    if (!wasm.isAscii(text, text + out.length) || !wasm.isAscii(keys, keys + names.bytes.length))
      return undefined;
    const numbers = shop.putWords(Int32Array.from(modules.keys()));
    wasm.setEntries(keys, shop.putWords(names.starts), numbers, numbers, modules.length);
    const starts = ends.map((_, i) => (i === 0 ? 0 : ends[i - 1]));
    // Without the line feed.
    const spans = putSpans(
      shop,
      text,
      starts,
      ends.map((end) => end - 1),
    );
    return writeTrie(shop, modules.length, spans.starts, spans.ends);
  }

  private anyTrie(warnDuplicates: boolean, messages: Message[]): Uint8Array {
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
export function* makeSymbolIndexes({
  symbols,
  modules,
  warnDuplicates,
  textOnly,
}: IndexInput): Generator<MadeFile> {
  const { shop } = symbols.names;
  const { mark } = shop;
  const owned = new OwnedSymbols(symbols, modules);
  yield makeFile('modules.symbols', true, () => owned.text());
  if (!textOnly) yield makeFile('modules.symbols.bin', false, (said) => owned.trie(warnDuplicates, said));
  shop.release(mark);
}

/** Bytes that finding the order takes, beside eight a name. */
const ORDER_SCRATCH = 1 << 15;

/** Symbols of modules, in the order of the tool's table: by bucket, then by name. */
class OwnedSymbols {
  private readonly symbols: SymbolTable;
  private readonly modules: readonly DepmodModule[];
  private readonly shop: Workshop;
  /** Addresses: owners by name, and the names' numbers in order. */
  private readonly owners: number;
  private readonly order: number;
  private readonly count: number;
  private readonly names: Spans;
  private ascii = false;

  constructor(symbols: SymbolTable, modules: readonly DepmodModule[]) {
    this.symbols = symbols;
    this.modules = modules;
    const { size, shop } = symbols.names;
    this.shop = shop;
    this.owners = shop.putWords(symbols.ownersOf(size));
    this.order = shop.room(4 * size);
    const scratch = shop.room(8 * size + ORDER_SCRATCH);
    this.count = shop.wasm.ownedSymbols(this.owners, size, this.order, scratch);
    const names = new NameList(modules);
    this.names = putSpans(shop, shop.put(names.bytes), names.starts, names.ends);
  }

  text(): Uint8Array {
    const { shop, order, owners, count, names } = this;
    const title = Buffer.from('# Aliases for symbols, used by symbol_request().\n');
    const [titleAt, head] = [shop.put(title), shop.put(Buffer.from('alias symbol:'))];
    const text = shop.written(() => {
      shop.wasm.put(titleAt, title.length);
      shop.wasm.symbolLines(order, count, owners, names.starts, names.ends, head);
      this.ascii = shop.wasm.isAscii(shop.mark, shop.wasm.outEnd()) !== 0;
    });
    return text;
  }

  trie(warnDuplicates: boolean, messages: Message[]): Uint8Array {
    if (warnDuplicates || !this.ascii) return this.anyTrie(warnDuplicates, messages);
    const { shop, order, owners, count, names, symbols } = this;
    const keys = shop.room(symbols.names.text.length + 16 * count);
    shop.wasm.startEntries(keys, shop.room(4 * count), shop.room(4 * count), shop.room(4 * count));
    shop.wasm.symbolKeys(order, count, owners);
    return writeTrie(shop, count, names.starts, names.ends);
  }

  private anyTrie(warnDuplicates: boolean, messages: Message[]): Uint8Array {
    const trie = new TrieBuilder();
    const { names } = this.symbols;
    const seen = warnDuplicates ? new Duplicates() : undefined;
    for (const number of this.shop.words(this.order, this.count)) {
      const { name, index } = this.modules[this.symbols.ownerOf(number)];
      const alias = `symbol:${names.name(number)}`;
      trie.add(alias, name, index);
      if (seen?.known(alias, name))
        messages.push({ level: 'warning', text: `duplicate module syms:\n${alias} ${name}\n` });
    }
    return trie.write();
  }
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
