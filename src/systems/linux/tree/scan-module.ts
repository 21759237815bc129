/** What depmod reads of one module, into a table: see elf-facts.ts for the same in full. */
import { type ElfFacts, NotAModule } from './elf-facts.ts';
import type { FactTable } from './facts.ts';
import { readOldModule } from './old-module.ts';

/**
 * Adds a module to the table's unfinished row. Versions are looked up only for who compares them (`withVersions`).
 * Returns how reading the exports failed, where the tool says so.
 */
export function scanModule(
  elf: ElfFacts,
  table: FactTable,
  withVersions: boolean,
): NotAModule['errno'] | undefined {
  scanInfo(elf, table);
  if (!withVersions) {
    const scanned = fastScan(elf, table);
    if (scanned !== UNUSUAL) return scanned;
    table.dropSymbols();
  }
  return fullScan(elf, table, withVersions);
}

/** The same in a tree from before 2.6, whose kernel may have been given newer modules beside its own. */
export function scanAnyModule(
  elf: ElfFacts,
  table: FactTable,
  withVersions: boolean,
): NotAModule['errno'] | undefined {
  const module = readOldModule(elf);
  if (module === undefined) return scanModule(elf, table, withVersions);
  for (const { name, crc } of module.exports) {
    table.exports.push(table.names.numberOfText(name));
    if (withVersions) table.exportCrcs.push(crc ?? 0);
  }
  for (const { name, crc, weak } of module.needs) {
    table.needs.push(table.names.numberOfText(name) * 2 + (weak ? 1 : 0));
    if (withVersions) table.needCrcs.push(crc ?? 0);
  }
  return undefined;
}

const UNUSUAL = Symbol('unusual');
type Errno = NotAModule['errno'] | undefined;

function fullScan(elf: ElfFacts, table: FactTable, withVersions: boolean): Errno {
  let failed: Errno;
  const exports = attempt(
    () => elf.exports(),
    (errno) => {
      failed = errno;
    },
  );
  for (const { name, crc } of exports) {
    table.exports.push(table.names.numberOfText(name));
    if (withVersions) table.exportCrcs.push(crc);
  }
  for (const { name, crc, weak } of attempt(() => elf.needs())) {
    table.needs.push(table.names.numberOfText(name) * 2 + (weak ? 1 : 0));
    if (withVersions) table.needCrcs.push(crc);
  }
  return failed;
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

const SPARC_MACHINES: readonly number[] = [2, 43];

/**
 * One walk through a little-endian 64-bit symbol table, in words. UNUSUAL: the full reader is to decide, and what was
 * added is of no use.
 */
function fastScan(elf: ElfFacts, table: FactTable): Errno | typeof UNUSUAL {
  if (elf.bits !== 64 || !elf.littleEndian || SPARC_MACHINES.includes(elf.machine)) return UNUSUAL;
  const tables = elf.symbolTables();
  if (tables === undefined) return UNUSUAL;
  const [needs, exports] = [table.needs.length, table.exports.length];
  if (!table.names.walk(tables.symbols, tables.strings, table.needs, table.exports)) return UNUSUAL;
  // module_layout is in every list of versions and in no symbol table; any other surplus is looked at name by name.
  const surplus = elf.versionCount - (table.needs.length - needs);
  if (elf.versionCount !== 0 && surplus !== 1) return UNUSUAL;
  return table.exports.length > exports || !elf.namesExports ? undefined : namedExports(elf, table);
}

/** Modules of a kernel without versions name their exports in a section of strings. */
function namedExports(elf: ElfFacts, table: FactTable): Errno {
  let failed: Errno;
  const exports = attempt(
    () => elf.namedExports(),
    (errno) => {
      failed = errno;
    },
  );
  for (const { name } of exports) table.exports.push(table.names.numberOfText(name));
  return failed;
}

const TAGS = ['alias=', 'softdep=', 'weakdep='].map((tag) => [...tag].map((char) => char.charCodeAt(0)));

function scanInfo(elf: ElfFacts, { info }: FactTable): void {
  const bytes = modinfoBytes(elf);
  for (let at = 0; at < bytes.length; ) {
    const first = bytes[at];
    const wanted = (first === 0x61 || first === 0x73 || first === 0x77) && isTagged(bytes, at);
    const start = at;
    while (at < bytes.length && bytes[at] !== 0) at++;
    if (wanted) {
      info.copy(bytes, start, at);
      info.u8(0);
    }
    at++;
  }
}

function modinfoBytes(elf: ElfFacts): Uint8Array {
  try {
    return elf.modinfoBytes();
  } catch (error) {
    if (error instanceof NotAModule) return new Uint8Array();
    throw error;
  }
}

function isTagged(bytes: Uint8Array, at: number): boolean {
  for (const tag of TAGS) {
    let i = 0;
    while (i < tag.length && bytes[at + i] === tag[i]) i++;
    if (i === tag.length) return true;
  }
  return false;
}
