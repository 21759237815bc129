/** What a Solaris kernel module says of itself, read from the file alone. */
import { cstring } from '../../bytes/cstring.ts';
import { FormatError } from '../../bytes/errors.ts';
import { EM, SHT } from '../../formats/elf/layout.ts';
import { elfObject } from '../../formats/elf/object.ts';
import type { ElfFile } from '../../formats/elf/read.ts';
import type { ObjectFile, ObjectRelocation, ObjectSymbol } from '../../formats/object.ts';
import { type Dependencies, tryDependencies } from './depends.ts';
import { type LinkageKind, linkageKinds } from './linkage.ts';
import { readSignatures, SIGNATURE_SECTION, type Signature } from './signature.ts';

/** The name of the directory that files of this machine lie in, below that of their class; '' for i386. */
export type Isa = 'amd64' | 'i386' | 'sparcv9' | 'sparc' | 'unknown';

export interface LinkageDescription {
  readonly kind: LinkageKind;
  /** The text that modinfo(1M) shows in brackets. */
  readonly text: string;
  /** What it registers under: the name of a file system or STREAMS module; '' where the kind has none of its own. */
  readonly registers: string;
}

export interface SolarisDescription {
  readonly isa: Isa;
  readonly linkages: readonly LinkageDescription[];
  readonly dependencies: Dependencies;
  /** Why the dependencies could not be read. */
  readonly damage: string | undefined;
  readonly signatures: readonly Signature[];
  /** Why the signature section could not be read. */
  readonly signatureDamage: string | undefined;
  readonly init: boolean;
  readonly fini: boolean;
  readonly info: boolean;
  readonly imports: readonly { readonly name: string; readonly weak: boolean }[];
  readonly exports: readonly { readonly name: string; readonly size: number }[];
  /** Bytes as krtld sums them up: with alignment; constants count as text. */
  readonly memory: { readonly text: number; readonly data: number; readonly common: number };
  /** Where it belongs: drv, fs, sys, strmod ... */
  readonly directory: string;
}

const ISAS: ReadonlyMap<number, readonly [narrow: Isa, wide: Isa]> = new Map([
  [EM.X86_64, ['unknown', 'amd64']],
  [EM[386], ['i386', 'unknown']],
  [EM.SPARCV9, ['unknown', 'sparcv9']],
  [EM.SPARC, ['sparc', 'unknown']],
  [EM.SPARC32PLUS, ['sparc', 'unknown']],
]);

export function isaOf(elf: ElfFile): Isa {
  return ISAS.get(elf.header.machine)?.[elf.bits === 64 ? 1 : 0] ?? 'unknown';
}

/** EI_OSABI of files that Solaris's own tools write. */
const OSABI_SOLARIS = 6;

/** 0 = no module of Solaris, 1 = certain: a relocatable file that calls mod_install, or has its entry points. */
export function recogniseSolaris(elf: ElfFile): number {
  if (!elf.relocatable || isaOf(elf) === 'unknown') return 0;
  if (elf.section(SIGNATURE_SECTION) !== undefined) return 1;
  const names = new Map(
    elf
      .symbols()
      ?.all()
      .map((symbol) => [symbol.name, symbol.place]),
  );
  const calls = names.get('mod_install') === 'undefined';
  const entries = ['_init', '_info', '_fini'].filter((name) => names.get(name) === 'section').length;
  if (calls && entries > 0) return 1;
  if (calls || entries === 3) return 0.9;
  return elf.header.osAbi === OSABI_SOLARIS ? 0.6 : 0;
}

/** @throws FormatError when the tables of the file cannot be read at all */
export function describeSolaris(elf: ElfFile): SolarisDescription {
  const object = elfObject(elf);
  const { symbols } = object;
  const has = (name: string) => symbols.some((symbol) => symbol.name === name && symbol.place === 'section');
  const dependencies = tryDependencies(elf);
  const signatures = trySignatures(elf);
  const linkages = linkagesOf(object);
  return {
    isa: isaOf(elf),
    linkages,
    dependencies:
      dependencies instanceof FormatError
        ? { names: [], deprecated: false, noSymbols: false, ignoreMultiple: false }
        : dependencies,
    damage: dependencies instanceof FormatError ? dependencies.message : undefined,
    signatures: signatures instanceof FormatError ? [] : signatures,
    signatureDamage: signatures instanceof FormatError ? signatures.message : undefined,
    init: has('_init'),
    fini: has('_fini'),
    info: has('_info'),
    imports: symbols
      .filter(({ place, name }) => place === 'undefined' && name !== '')
      .map(({ name, binding }) => ({ name, weak: binding === 'weak' })),
    exports: symbols.filter(isExport).map(({ name, size }) => ({ name, size })),
    memory: memoryOf(elf, object),
    directory: directoryOf(linkages),
  };
}

function trySignatures(elf: ElfFile): Signature[] | FormatError {
  try {
    return readSignatures(elf);
  } catch (error) {
    if (error instanceof FormatError) return error;
    throw error;
  }
}

const ENTRIES = new Set(['_init', '_fini', '_info', '_depends_on']);

function isExport({ binding, place, name, type }: ObjectSymbol): boolean {
  return (
    binding !== 'local' &&
    (place === 'section' || place === 'common') &&
    type !== 'file' &&
    !ENTRIES.has(name)
  );
}

/** get_progbits_size (krtld/kobj.c): sizes with their alignment, and the segment's own alignment on top. */
export function segmentBytes(sections: readonly { size: number; alignment: number }[]): {
  size: number;
  alignment: number;
} {
  let size = 0;
  let alignment = 0;
  for (const section of sections) {
    const align = Math.max(1, section.alignment);
    alignment = Math.max(alignment, align);
    size = Math.ceil(size / align) * align;
    size += Math.ceil(section.size / 8) * 8;
  }
  return { size: size + alignment, alignment };
}

function memoryOf(elf: ElfFile, { sections, symbols }: ObjectFile): SolarisDescription['memory'] {
  const loaded = sections.filter(
    (section) => section.allocated && elf.sections[section.index].type !== SHT.DYNAMIC,
  );
  const commons = symbols.filter(({ place }) => place === 'common');
  return {
    text: segmentBytes(loaded.filter((section) => !section.writable)).size,
    data: segmentBytes(loaded.filter((section) => section.writable)).size,
    common: commons.reduce((sum, { size }) => sum + size, 0),
  };
}

const DIRECTORIES: Readonly<Record<string, string>> = {
  driver: 'drv',
  'file system': 'fs',
  'system call': 'sys',
  'STREAMS module': 'strmod',
  'scheduling class': 'sched',
  'exec format': 'exec',
  cryptography: 'crypto',
  dacf: 'dacf',
  pcbe: 'pcbe',
  brand: 'brand',
  ipp: 'ipp',
  sockets: 'socketmod',
  kiconv: 'kiconv',
  cpu: 'cpu',
};

/**
 * Of a module with several linkages the driver says where its file is: IP's modules are drivers that bring STREAMS modules
 * and sockets with them.
 */
function directoryOf(linkages: readonly LinkageDescription[]): string {
  const first = linkages.find(({ kind }) => kind === 'driver') ?? linkages[0];
  return (first && DIRECTORIES[first.kind]) ?? 'misc';
}

/**
 * The linkages a module hands to mod_install are data whose first pointer is relocated against one of the kernel's
 * mod_ops; the second is the text, the third the structure of the kind.
 */
function linkagesOf(file: ObjectFile): LinkageDescription[] {
  const kinds = new Map(linkageKinds.map((kind) => [kind.ops, kind]));
  const found: LinkageDescription[] = [];
  for (const section of file.sections) {
    if (!section.allocated) continue;
    const relocations = file.relocations(section.index);
    const byOffset = new Map(relocations.map((relocation) => [relocation.offset, relocation]));
    for (const relocation of relocations) {
      const kind = kinds.get(file.symbols[relocation.symbol]?.name ?? '');
      if (kind === undefined || section.executable) continue;
      const word = file.bits / 8;
      const text = pointed(file, byOffset.get(relocation.offset + word));
      const data = pointed(file, byOffset.get(relocation.offset + 2 * word));
      found.push({ kind: kind.kind, text: stringAt(text), registers: registered(file, kind.kind, data) });
    }
  }
  return found;
}

interface Place {
  readonly section: number;
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** What a relocated pointer points to, inside the file. */
function pointed(file: ObjectFile, relocation: ObjectRelocation | undefined): Place | undefined {
  if (relocation === undefined) return undefined;
  const symbol = file.symbols[relocation.symbol];
  if (symbol?.place !== 'section') return undefined;
  const section = file.sections[symbol.section];
  const offset = symbol.value + (relocation.addend ?? inPlace(file, relocation));
  if (section === undefined || !(offset >= 0 && offset < section.data.length)) return undefined;
  return { section: section.index, offset, bytes: section.data };
}

/** REL relocations have their addend in the place. */
function inPlace(file: ObjectFile, { section, offset }: ObjectRelocation): number {
  const { data } = file.sections[section];
  if (offset + 4 > data.length) return 0;
  return new DataView(data.buffer, data.byteOffset).getInt32(offset, file.littleEndian);
}

const stringAt = (place: Place | undefined): string =>
  place === undefined
    ? ''
    : cstring(place.bytes, place.offset, Math.min(place.bytes.length, place.offset + 256));

/** fmodsw begins with the name itself; the second word of vfsdef points to it. */
function registered(file: ObjectFile, kind: LinkageKind, data: Place | undefined): string {
  if (data === undefined) return '';
  if (kind === 'STREAMS module')
    return cstring(data.bytes, data.offset, Math.min(data.bytes.length, data.offset + 9));
  if (kind !== 'file system') return '';
  const at = data.offset + file.bits / 8;
  return stringAt(
    pointed(
      file,
      file.relocations(data.section).find(({ offset }) => offset === at),
    ),
  );
}
