/** The index files that are made of .modinfo alone: they need no dependencies, so that another thread can make them. */
import { ByteSink } from '../../../bytes/sink.ts';
import { latin } from '../../../systems/linux/tree/elf-facts.ts';
import { appendAlias } from '../../../systems/linux/tree/names.ts';
import { NotAscii, TrieBuilder } from '../../../systems/linux/tree/trie-builder.ts';

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
  const made = [makeFile('modules.alias', true, () => aliasText(input))];
  if (!input.textOnly) made.push(makeFile('modules.alias.bin', false, (said) => aliasTrie(input, said)));
  made.push(
    makeFile('modules.softdep', true, () =>
      dependencyText(input, '# Soft dependencies extracted from modules themselves.\n', 'softdep'),
    ),
    makeFile('modules.weakdep', true, () =>
      dependencyText(input, '# Weak dependencies extracted from modules themselves.\n', 'weakdep'),
    ),
    makeFile('modules.devname', true, (said) => deviceNames(input, said)),
  );
  return made;
}

type Visit = (module: number, pool: Uint8Array, from: number, to: number) => void;

/** Calls for the value of every string with that tag. */
function forEach(input: AliasInput, tag: string, visit: Visit): void {
  const first = tag.charCodeAt(0);
  // `alias`, `softdep` and `weakdep` differ in their first byte.
  const skip = tag.length + 1;
  for (let module = 0; module < input.poolOf.length; module++) {
    const pool = input.pools[input.poolOf[module]];
    const end = input.ends[module];
    for (let at = input.starts[module]; at < end; ) {
      const start = at;
      while (pool[at] !== 0) at++;
      if (pool[start] === first) visit(module, pool, start + skip, at);
      at++;
    }
  }
}

/** Where each name begins, and where the one after the last would. */
function nameStarts({ names, poolOf }: AliasInput): Int32Array {
  const starts = new Int32Array(poolOf.length + 1);
  for (let at = 0, module = 0; at < names.length; at++) if (names[at] === 0) starts[++module] = at + 1;
  return starts;
}

function aliasText(input: AliasInput): Uint8Array {
  const out = new ByteSink(1 << 18);
  const { names } = input;
  const starts = nameStarts(input);
  out.text('# Aliases extracted from modules themselves.\n');
  forEach(input, 'alias', (module, pool, from, to) => {
    out.text('alias ');
    out.copy(pool, from, to);
    out.u8(0x20);
    out.copy(names, starts[module], starts[module + 1] - 1);
    out.u8(0x0a);
  });
  return out.view();
}

function aliasTrie(input: AliasInput, messages: Message[]): Uint8Array {
  const { names, warnDuplicates } = input;
  const trie = new TrieBuilder();
  const starts = nameStarts(input);
  for (let module = 0; module < input.poolOf.length; module++)
    trie.valueBytes(names, starts[module], starts[module + 1] - 1);
  const key = new ByteSink();
  const seen = warnDuplicates ? new Duplicates() : undefined;
  forEach(input, 'alias', (module, pool, from, to) => {
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

function dependencyText(input: AliasInput, head: string, tag: string): Uint8Array {
  const out = new ByteSink();
  const { names } = input;
  const starts = nameStarts(input);
  out.text(head);
  forEach(input, tag, (module, pool, from, to) => {
    out.text(`${tag} `);
    out.copy(names, starts[module], starts[module + 1] - 1);
    out.u8(0x20);
    out.copy(pool, from, to);
    out.u8(0x0a);
  });
  return out.view();
}

/** modules.devname: device nodes whose use loads a module. */
function deviceNames(input: AliasInput, messages: Message[]): Uint8Array {
  const out = new ByteSink();
  const starts = nameStarts(input);
  const aliases = new Map<number, string[]>();
  forEach(input, 'alias', (module, pool, from, to) => {
    if (!isAboutNodes(pool, from)) return;
    const list = aliases.get(module);
    if (list === undefined) aliases.set(module, [latin(pool, from, to)]);
    else list.push(latin(pool, from, to));
  });
  for (const [module, list] of aliases) {
    const node = deviceNode(list);
    if (node === undefined) continue;
    const name = latin(input.names, starts[module], starts[module + 1] - 1);
    if (node.type === undefined) {
      const text = `Module '${name}' has devname (${node.path}) but lacks major and minor information. Ignoring.\n`;
      messages.push({ level: 'error', text });
      continue;
    }
    if (out.length === 0) out.text('# Device nodes to trigger on-demand module loading.\n');
    out.text(`${name} ${node.path} ${node.type}\n`);
  }
  return out.view();
}

/** `devname:`, `char-major-`, `block-major-`: few aliases are about device nodes, and there are tens of thousands. */
function isAboutNodes(pool: Uint8Array, at: number): boolean {
  const [first, second] = [pool[at], pool[at + 1]];
  return (
    (first === 0x64 && second === 0x65) ||
    (first === 0x63 && second === 0x68) ||
    (first === 0x62 && second === 0x6c)
  );
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
