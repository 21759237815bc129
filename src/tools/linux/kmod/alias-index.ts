/** The index files that are made of .modinfo alone: they need no dependencies, so that another thread can make them. */
import { ByteSink } from '../../../bytes/sink.ts';
import { latin } from '../../../systems/linux/tree/elf-facts.ts';
import { appendAlias } from '../../../systems/linux/tree/names.ts';
import { NotAscii, TrieBuilder } from '../../../systems/linux/tree/trie-builder.ts';
import { putSpans, type Spans, Workshop, writeTrie } from '../../../systems/linux/tree/workshop.ts';

export interface AliasInput {
  /** Names of the modules in the order in which they are written, a NUL after each. */
  readonly names: Uint8Array;
  /** `alias=`, `softdep=` and `weakdep=` strings, a NUL after each; every module's stand together in one of these. */
  readonly pools: readonly Uint8Array[];
  /** By module: which pool, and from where to where. */
  readonly poolOf: Uint8Array;
  readonly starts: Int32Array;
  readonly ends: Int32Array;
  /** -w */
  readonly warnDuplicates: boolean;
  /** -n: text files only. */
  readonly textOnly: boolean;
}

/** An index file, and what is to be said when it is written. */
export interface MadeFile {
  readonly name: string;
  /** Made for a person to read; only these are shown by -n. */
  readonly text: boolean;
  readonly bytes: Uint8Array;
  readonly messages: readonly Message[];
  /** The file could not be made: the message that ends the tool. */
  readonly fatal?: string | undefined;
  /** The file on disk is as it should be: only what is said of it is said again. */
  readonly kept?: boolean;
  /** It stands whole under this path, as a file that the index is to be another name of. */
  readonly from?: string;
}

export interface Message {
  readonly level: 'error' | 'warning';
  readonly text: string;
}

/** Makes one file; bytes that no index holds end the tool, in its own words. */
export function makeFile(name: string, text: boolean, make: (messages: Message[]) => Uint8Array): MadeFile {
  const messages: Message[] = [];
  try {
    return { name, text, bytes: make(messages), messages };
  } catch (error) {
    if (!(error instanceof NotAscii)) throw error;
    const { byte, text: bad } = error;
    const fatal = `Module index: bad character '${String.fromCharCode(byte)}'=0x${byte.toString(16)} - only 7-bit ASCII is supported:\n${bad}\n`;
    return { name, text, bytes: NOTHING, messages, fatal };
  }
}

const NOTHING = new Uint8Array();

/** modules.alias, its index, modules.softdep, modules.weakdep and modules.devname. */
export function makeAliasIndexes(input: AliasInput): readonly MadeFile[] {
  const index = new AliasIndex(input);
  const made = [makeFile('modules.alias', true, () => index.text())];
  if (!input.textOnly)
    made.push(makeFile('modules.alias.bin', false, (said) => index.trie() ?? aliasTrie(input, said)));
  const others = index.others();
  made.push(
    makeFile('modules.softdep', true, () => dependencyText(others, SOFT_HEAD, 'softdep')),
    makeFile('modules.weakdep', true, () => dependencyText(others, WEAK_HEAD, 'weakdep')),
    makeFile('modules.devname', true, (said) => deviceNames(others, said)),
  );
  return made;
}

const SOFT_HEAD = '# Soft dependencies extracted from modules themselves.\n';
const WEAK_HEAD = '# Weak dependencies extracted from modules themselves.\n';

/** A module's name, and one of its strings: `tag=value`. */
type ModuleString = readonly [name: string, text: string];

type Visit = (module: number, pool: Uint8Array, from: number, to: number) => void;

/** Calls for the value of every alias. */
function forEachAlias(input: AliasInput, visit: Visit): void {
  for (let module = 0; module < input.poolOf.length; module++) {
    const pool = input.pools[input.poolOf[module]];
    const end = input.ends[module];
    for (let at = input.starts[module]; at < end; ) {
      const start = at;
      while (pool[at] !== 0) at++;
      // `alias`, `softdep` and `weakdep` differ in their first byte.
      if (pool[start] === ALIAS[0]) visit(module, pool, start + ALIAS.length, at);
      at++;
    }
  }
}

const ALIAS = /* @__PURE__ */ Buffer.from('alias=');

/** Where each name begins, and where the one after the last would. */
function nameStarts({ names, poolOf }: AliasInput): Int32Array {
  const starts = new Int32Array(poolOf.length + 1);
  for (let at = 0, module = 0; at < names.length; at++) if (names[at] === 0) starts[++module] = at + 1;
  return starts;
}

/** The aliases in memory of its own, a hundred thousand in a large tree. */
class AliasIndex {
  private readonly input: AliasInput;
  private readonly shop: Workshop;
  private readonly names: Spans;
  private readonly nameBytes: readonly [from: number, to: number];
  private readonly strings: Spans;
  /** Bytes of all strings. */
  private readonly size: number;

  constructor(input: AliasInput) {
    this.input = input;
    const { names, pools, poolOf, starts, ends } = input;
    this.size = pools.reduce((sum, pool) => sum + pool.length, 0);
    this.shop = new Workshop(6 * this.size + names.length);
    const { shop } = this;
    const begins = nameStarts(input);
    const at = shop.put(names);
    this.nameBytes = [at, at + names.length];
    this.names = putSpans(
      shop,
      at,
      begins.subarray(0, poolOf.length),
      begins.subarray(1).map((next) => next - 1),
    );
    const places = pools.map((pool) => shop.put(pool));
    const inMemory = (offset: number, i: number): number => places[poolOf[i]] + offset;
    this.strings = putSpans(shop, 0, starts.map(inMemory), ends.map(inMemory));
  }

  text(): Uint8Array {
    const { shop, strings, names, input } = this;
    const title = Buffer.from('# Aliases extracted from modules themselves.\n');
    const at = shop.put(title);
    return shop.written(() => {
      shop.wasm.put(at, title.length);
      shop.wasm.aliasLines(input.poolOf.length, strings.starts, strings.ends, names.starts, names.ends);
    });
  }

  /** Strings that are in other files than aliases are, or may be. */
  others(): readonly ModuleString[] {
    const { shop, strings, names, input } = this;
    const written = shop.written(() =>
      shop.wasm.otherStrings(input.poolOf.length, strings.starts, strings.ends),
    );
    const words = new Int32Array(written.buffer);
    const { bytes } = shop;
    const found: ModuleString[] = [];
    const [begins, ends] = [names.starts, names.ends].map((at) => shop.words(at, input.poolOf.length));
    for (let i = 0; i < words.length; i += 3) {
      const module = words[i];
      const name = latin(bytes, begins[module], ends[module]);
      found.push([name, latin(bytes, words[i + 1], words[i + 2])]);
    }
    return found;
  }

  /** undefined where there is something to be said on the way. */
  trie(): Uint8Array | undefined {
    const { shop, strings, names, nameBytes, input, size } = this;
    const { wasm } = shop;
    if (input.warnDuplicates || !wasm.isAscii(...nameBytes)) return undefined;
    const most = Math.ceil(size / SHORTEST);
    wasm.startEntries(shop.room(size), shop.room(4 * most), shop.room(4 * most), shop.room(4 * most));
    const count = wasm.aliasKeys(input.poolOf.length, strings.starts, strings.ends);
    return count < 0 ? undefined : writeTrie(shop, count, names.starts, names.ends);
  }
}

/** `alias=` and a NUL. */
const SHORTEST = 7;

function aliasTrie(input: AliasInput, messages: Message[]): Uint8Array {
  const { names, warnDuplicates } = input;
  const trie = new TrieBuilder();
  const starts = nameStarts(input);
  for (let module = 0; module < input.poolOf.length; module++)
    trie.valueBytes(names, starts[module], starts[module + 1] - 1);
  const key = new ByteSink();
  const seen = warnDuplicates ? new Duplicates() : undefined;
  forEachAlias(input, (module, pool, from, to) => {
    key.length = 0;
    if (!appendAlias(key, pool, from, to)) {
      messages.push({ level: 'warning', text: `Unmatched bracket in ${latin(pool, from, to)}\n` });
      return;
    }
    trie.addBytes(key.bytes, module, module, 0, key.length);
    if (seen === undefined) return;
    const alias = latin(key.bytes, 0, key.length);
    const name = latin(names, starts[module], starts[module + 1] - 1);
    if (seen.known(alias, name))
      messages.push({ level: 'warning', text: `duplicate module alias:\n${alias} ${name}\n` });
  });
  return trie.write();
}

/** Pairs of key and value that came before: what -w tells about. */
export class Duplicates {
  private readonly pairs = new Set<string>();

  known(key: string, value: string): boolean {
    const pair = `${key}\0${value}`;
    if (this.pairs.has(pair)) return true;
    this.pairs.add(pair);
    return false;
  }
}

function dependencyText(strings: readonly ModuleString[], head: string, tag: string): Uint8Array {
  const lines = strings
    .filter(([, text]) => text.startsWith(`${tag}=`))
    .map(([name, text]) => `${tag} ${name} ${text.slice(tag.length + 1)}\n`);
  return Buffer.from(head + lines.join(''), 'latin1');
}

/** modules.devname: device nodes whose use loads a module. */
function deviceNames(strings: readonly ModuleString[], messages: Message[]): Uint8Array {
  const aliases = new Map<string, string[]>();
  for (const [name, text] of strings) {
    if (text[0] !== 'a') continue;
    const list = aliases.get(name);
    if (list === undefined) aliases.set(name, [text.slice(ALIAS.length)]);
    else list.push(text.slice(ALIAS.length));
  }
  let out = '';
  for (const [name, list] of aliases) {
    const node = deviceNode(list);
    if (node === undefined) continue;
    if (node.type === undefined) {
      const text = `Module '${name}' has devname (${node.path}) but lacks major and minor information. Ignoring.\n`;
      messages.push({ level: 'error', text });
      continue;
    }
    if (out === '') out = '# Device nodes to trigger on-demand module loading.\n';
    out += `${name} ${node.path} ${node.type}\n`;
  }
  return Buffer.from(out, 'latin1');
}

const MAJOR = /^(char|block)-major-\s*\+?(\d+)-\s*\+?(\d+)/;

/** `devname:PATH` and `char-major-M-N`, whichever order they come in; the tool stops at the first pair. */
function deviceNode(list: readonly string[]): { path: string; type: string | undefined } | undefined {
  let path: string | undefined;
  let type: string | undefined;
  for (const alias of list) {
    const numbers = MAJOR.exec(alias);
    if (alias.startsWith('devname:')) path = alias.slice('devname:'.length);
    else if (numbers !== null)
      type = `${numbers[1][0]}${BigInt.asUintN(32, BigInt(numbers[2]))}:${BigInt.asUintN(32, BigInt(numbers[3]))}`;
    if (path !== undefined && type !== undefined) break;
  }
  return path === undefined ? undefined : { path, type };
}
