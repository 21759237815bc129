/** What `lkm inspect` knows of a file: plain data, read from bytes, the source of both the screen and the JSON. */
import { cstring } from '../bytes/cstring.ts';
import { type Compression, compressionOf, decompress } from '../bytes/decompress.ts';
import { ByteView } from '../bytes/view.ts';
import { SHF, SHT } from '../formats/elf/layout.ts';
import { elfMachine } from '../formats/elf/object.ts';
import { type ElfFile, readElf } from '../formats/elf/read.ts';
import type { ElfSymbol } from '../formats/elf/symbols.ts';
import { ModInfo } from '../systems/linux/module-file.ts';

export interface ImportFact {
  readonly name: string;
  readonly weak: boolean;
  /** The version the module was built against (`__versions`). */
  readonly crc: number | undefined;
}

export interface ExportFact {
  readonly name: string;
  readonly gplOnly: boolean;
  readonly namespace: string | undefined;
  readonly crc: number | undefined;
}

export interface ParameterFact {
  readonly name: string;
  readonly type: string | undefined;
  readonly description: string | undefined;
}

export interface SectionFact {
  readonly name: string;
  readonly size: number;
  /** `R`, `W`, `X` of what is in memory; empty for what stays in the file. */
  readonly permissions: string;
  /** Given back once the module has started. */
  readonly init: boolean;
}

/** Bytes in memory by kind, before the loader's padding to pages. */
export interface SizeFacts {
  readonly code: number;
  readonly readOnly: number;
  readonly data: number;
  readonly init: number;
}

export interface ModuleFacts {
  readonly compression: Compression | undefined;
  /** Bytes of the file as given, and of what it unpacks to. */
  readonly fileBytes: number;
  readonly bytes: number;
  readonly bits: 32 | 64;
  readonly littleEndian: boolean;
  readonly machine: string;
  readonly kind: 'relocatable' | 'executable' | 'shared' | 'other';
  /** undefined: this ELF file is no Linux module. */
  readonly modinfo: ModInfo | undefined;
  readonly parameters: readonly ParameterFact[];
  /** Without a symbol table nothing can be linked. */
  readonly stripped: boolean;
  readonly imports: readonly ImportFact[];
  readonly exports: readonly ExportFact[];
  readonly sections: readonly SectionFact[];
  readonly sizes: SizeFacts;
  /** Bytes of the appended signature; 0 when there is none. */
  readonly signatureBytes: number;
}

/** @throws FormatError */
export function moduleFacts(given: Uint8Array): ModuleFacts {
  const compression = compressionOf(given);
  const bytes = decompress(given);
  const elf = readElf(bytes);
  const info = elf.section('.modinfo');
  const symbols = elf.symbols()?.all() ?? [];
  const modinfo = info === undefined ? undefined : new ModInfo(elf.data(info));
  const sections = sectionFacts(elf);
  return {
    compression,
    fileBytes: given.length,
    bytes: bytes.length,
    bits: elf.bits,
    littleEndian: elf.littleEndian,
    machine: elfMachine(elf.header.machine, elf.bits),
    kind: (['other', 'relocatable', 'executable', 'shared'] as const)[elf.header.type] ?? 'other',
    modinfo,
    parameters: modinfo === undefined ? [] : parameterFacts(modinfo),
    stripped: elf.sectionOfType(SHT.SYMTAB) === undefined,
    imports: importFacts(elf, symbols),
    exports: exportFacts(elf, symbols),
    sections,
    sizes: sizeFacts(sections),
    signatureBytes: signatureBytes(bytes),
  };
}

function parameterFacts(modinfo: ModInfo): ParameterFact[] {
  const split = (text: string): readonly [string, string] => {
    const colon = text.indexOf(':');
    return colon < 0 ? [text, ''] : [text.slice(0, colon), text.slice(colon + 1)];
  };
  const types = new Map(modinfo.all('parmtype').map(split));
  const descriptions = new Map(modinfo.all('parm').map(split));
  const names = new Set([...types.keys(), ...descriptions.keys()]);
  return [...names].map((name) => ({ name, type: types.get(name), description: descriptions.get(name) }));
}

function importFacts(elf: ElfFile, symbols: readonly ElfSymbol[]): ImportFact[] {
  const versions = readVersions(elf);
  const undefinedOnes = symbols.filter(({ place, name }) => place === 'undefined' && name !== '');
  return undefinedOnes
    .map(({ name, binding }) => ({ name, weak: binding === WEAK, crc: versions.get(name) }))
    .sort(byName);
}

/** STB_WEAK */
const WEAK = 2;

/** `struct modversion_info`: an unsigned long and a name, 64 bytes together (include/linux/module.h). */
const VERSION_BYTES = 64;

function readVersions(elf: ElfFile): Map<string, number> {
  const section = elf.section('__versions');
  const versions = new Map<string, number>();
  if (section === undefined) return versions;
  const data = elf.data(section);
  const view = new ByteView(data, elf.littleEndian);
  const long = elf.bits / 8;
  for (let at = 0; at + VERSION_BYTES <= data.length; at += VERSION_BYTES) {
    const low = elf.littleEndian ? at : at + long - 4;
    versions.set(cstring(data, at + long, at + VERSION_BYTES), view.u32(low));
  }
  return versions;
}

/** EXPORT_SYMBOL leaves a local `__ksymtab_NAME` in the table that says who may use it. */
function exportFacts(elf: ElfFile, symbols: readonly ElfSymbol[]): ExportFact[] {
  const find = (prefix: string) => {
    const found = symbols.filter(({ name, place }) => name.startsWith(prefix) && place !== 'undefined');
    return new Map(found.map((symbol) => [symbol.name.slice(prefix.length), symbol]));
  };
  const crcs = find('__crc_');
  const namespaces = find('__kstrtabns_');
  return [...find('__ksymtab_')]
    .filter(([, { place, section }]) => place === 'section' && isExportTable(elf, section))
    .map(([name, { section }]) => ({
      name,
      gplOnly: elf.sections[section].name.includes('gpl'),
      namespace: stringAt(elf, namespaces.get(name)),
      crc: crcAt(elf, crcs.get(name)),
    }))
    .sort(byName);
}

function isExportTable(elf: ElfFile, section: number): boolean {
  return /^_{2,3}ksymtab(_gpl)?(_future)?([+].*)?$/.test(elf.sections[section].name);
}

function stringAt(elf: ElfFile, symbol: ElfSymbol | undefined): string | undefined {
  if (symbol?.place !== 'section') return undefined;
  const data = elf.data(elf.sections[symbol.section]);
  // A damaged value can be far outside, where counting up one by one does not even reach the next number.
  if (symbol.value < 0 || symbol.value >= data.length) return undefined;
  return cstring(data, symbol.value) || undefined;
}

/** Newer modules keep the CRC in a table (`__kcrctab`); older ones as the symbol's own value. */
function crcAt(elf: ElfFile, symbol: ElfSymbol | undefined): number | undefined {
  if (symbol?.place === 'absolute') return symbol.value >>> 0;
  if (symbol?.place !== 'section') return undefined;
  const data = elf.data(elf.sections[symbol.section]);
  if (symbol.value < 0 || symbol.value + 4 > data.length) return undefined;
  return new ByteView(data, elf.littleEndian).u32(symbol.value);
}

function sectionFacts(elf: ElfFile): SectionFact[] {
  return elf.sections.slice(1).map(({ name, size, flags }) => {
    const loaded = (flags & SHF.ALLOC) !== 0;
    const permissions = `R${flags & SHF.WRITE ? 'W' : ''}${flags & SHF.EXECINSTR ? 'X' : ''}`;
    return { name, size, permissions: loaded ? permissions : '', init: loaded && name.startsWith('.init') };
  });
}

/** The loader keeps `.modinfo` and `__versions` out of memory, though they are marked as loaded. */
const DROPPED = new Set(['.modinfo', '__versions']);

function sizeFacts(sections: readonly SectionFact[]): SizeFacts {
  const loaded = sections.filter(({ name, permissions }) => permissions !== '' && !DROPPED.has(name));
  const sum = (wanted: (section: SectionFact) => boolean) =>
    loaded.filter(wanted).reduce((total, { size }) => total + size, 0);
  return {
    code: sum(({ init, permissions }) => !init && permissions.includes('X')),
    readOnly: sum(({ init, permissions }) => !init && permissions === 'R'),
    data: sum(({ init, permissions }) => !init && permissions === 'RW'),
    init: sum(({ init }) => init),
  };
}

/** What scripts/sign-file of the kernel appends last. */
const MARKER = '~Module signature appended~\n';
/** `struct module_signature` before the marker: its last word is the length of the signature, big-endian. */
const TRAILER_BYTES = 12;

function signatureBytes(bytes: Uint8Array): number {
  const end = bytes.length - MARKER.length;
  if (end < TRAILER_BYTES || cstring(bytes, end) !== MARKER) return 0;
  const length = new ByteView(bytes, false).u32(end - 4);
  return length <= end - TRAILER_BYTES ? length : 0;
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}
