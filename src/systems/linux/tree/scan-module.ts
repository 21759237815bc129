/** What depmod reads of one module, with names as numbers of a table: see elf-facts.ts for the same in full. */
import { type ElfFacts, latin, NotAModule, type Tables } from './elf-facts.ts';
import type { NameTable } from './name-table.ts';

/** A version that is not looked up: only `depmod -E` compares versions. */
export interface ScannedModule {
  readonly exports: readonly number[];
  /** Versions of the exports, in their order; empty unless they are asked for. */
  readonly exportCrcs: readonly number[];
  readonly needs: readonly number[];
  /** By position in `needs`: 1 for a weak reference. */
  readonly weak: readonly number[];
  readonly needCrcs: readonly number[];
  /** `tag=value` strings of .modinfo that the indexes hold. */
  readonly aliases: readonly string[];
  readonly softdeps: readonly string[];
  readonly weakdeps: readonly string[];
  /** How reading the exports failed, where the tool says so. */
  readonly failed: NotAModule['errno'] | undefined;
}

/** `with versions`: -E and -e compare and tell about versions too. */
export function scanModule(elf: ElfFacts, names: NameTable, withVersions: boolean): ScannedModule {
  const info = modinfoOf(elf);
  const fast = withVersions ? undefined : fastScan(elf, names);
  return { ...(fast ?? fullScan(elf, names)), ...info };
}

type Symbols = Pick<ScannedModule, 'exports' | 'exportCrcs' | 'needs' | 'weak' | 'needCrcs' | 'failed'>;

function fullScan(elf: ElfFacts, names: NameTable): Symbols {
  let failed: NotAModule['errno'] | undefined;
  const exports = attempt(
    () => elf.exports(),
    (errno) => {
      failed = errno;
    },
  );
  const needs = attempt(() => elf.needs());
  return {
    exports: exports.map(({ name }) => names.numberOfText(name)),
    exportCrcs: exports.map(({ crc }) => crc),
    needs: needs.map(({ name }) => names.numberOfText(name)),
    weak: needs.map(({ weak }) => (weak ? 1 : 0)),
    needCrcs: needs.map(({ crc }) => crc),
    failed,
  };
}

/** A part that is absent or damaged is no part; the tool goes on with the others. */
function attempt<T>(read: () => T[], told?: (errno: NotAModule['errno']) => void): T[] {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof NotAModule)) throw error;
    if (error.errno !== 'ENODATA') told?.(error.errno);
    return [];
  }
}

const STB_WEAK = 2;
const SPARC_MACHINES: readonly number[] = [2, 43];

/**
 * One walk through a little-endian 64-bit symbol table, in words. undefined where anything is unusual: then the full
 * reader decides.
 */
function fastScan(elf: ElfFacts, names: NameTable): Symbols | undefined {
  if (elf.bits !== 64 || !elf.littleEndian || SPARC_MACHINES.includes(elf.machine)) return undefined;
  const tables = elf.symbolTables();
  if (tables === undefined || tables.symbols.byteOffset % 4 !== 0) return undefined;
  const found = walk(tables, names);
  // module_layout is in every list of versions and in no symbol table; any other surplus is looked at name by name.
  if (found === undefined) return undefined;
  const surplus = elf.versionCount - found.needs.length;
  if (elf.versionCount !== 0 && surplus !== 1) return undefined;
  return found.exports.length > 0 || !elf.namesExports ? found : { ...found, ...namedExports(elf, names) };
}

/** Modules of a kernel without versions name their exports in a section of strings. */
function namedExports(elf: ElfFacts, names: NameTable): Pick<Symbols, 'exports' | 'failed'> {
  let failed: NotAModule['errno'] | undefined;
  const exports = attempt(
    () => elf.namedExports(),
    (errno) => {
      failed = errno;
    },
  );
  return { exports: exports.map(({ name }) => names.numberOfText(name)), failed };
}

function walk({ symbols, strings }: Tables, names: NameTable): Symbols | undefined {
  const words = new Uint32Array(symbols.buffer, symbols.byteOffset, symbols.length >> 2);
  const [exports, needs, weak]: [number[], number[], number[]] = [[], [], []];
  const limit = strings.length;
  // st_name; st_info, st_other and st_shndx in one word; value and size: six words a symbol.
  for (let at = 6; at + 6 <= words.length; at += 6) {
    const name = words[at];
    if (name >= limit) return undefined;
    if (words[at + 1] >>> 16 === 0) {
      if (strings[name] === 0) continue;
      needs.push(names.numberOf(strings, name));
      weak.push((words[at + 1] & 0xff) >> 4 === STB_WEAK ? 1 : 0);
    }
    if (
      strings[name] === 0x5f &&
      strings[name + 1] === 0x5f &&
      strings[name + 2] === 0x63 &&
      strings[name + 3] === 0x72 &&
      strings[name + 4] === 0x63 &&
      strings[name + 5] === 0x5f
    )
      exports.push(names.numberOf(strings, name + 6));
  }
  return { exports, exportCrcs: [], needs, weak, needCrcs: [], failed: undefined };
}

const TAGS = ['alias=', 'softdep=', 'weakdep='].map((tag) => [...tag].map((char) => char.charCodeAt(0)));

function modinfoOf(elf: ElfFacts): Pick<ScannedModule, 'aliases' | 'softdeps' | 'weakdeps'> {
  const found: [string[], string[], string[]] = [[], [], []];
  const bytes = modinfoBytes(elf);
  for (let at = 0; at < bytes.length; ) {
    const nul = bytes.indexOf(0, at);
    const end = nul < 0 ? bytes.length : nul;
    const tag = bytes[at] === 0x61 || bytes[at] === 0x73 || bytes[at] === 0x77 ? tagAt(bytes, at) : -1;
    if (tag >= 0) found[tag].push(latin(bytes, at + TAGS[tag].length, end));
    at = end + 1;
  }
  return { aliases: found[0], softdeps: found[1], weakdeps: found[2] };
}

function modinfoBytes(elf: ElfFacts): Uint8Array {
  try {
    return elf.modinfoBytes();
  } catch (error) {
    if (error instanceof NotAModule) return new Uint8Array();
    throw error;
  }
}

function tagAt(bytes: Uint8Array, at: number): number {
  return TAGS.findIndex((tag) => tag.every((byte, i) => bytes[at + i] === byte));
}
