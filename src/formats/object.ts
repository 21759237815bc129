/**
 * The neutral object file: what every format's reader hands to the linker, the catalogue and the systems.
 * Addresses, sizes and values are signed JavaScript numbers (see memory/space.ts); exact for canonical addresses.
 */

export type Machine =
  | 'x86-64'
  | 'i386'
  | 'aarch64'
  | 'arm'
  | 'ppc'
  | 'ppc64'
  | 's390'
  | 's390x'
  | 'mips'
  | 'mips64'
  | 'riscv'
  | 'sparc'
  | 'sparc64'
  | 'ia64'
  | 'alpha'
  | 'hppa'
  | 'm68k'
  | 'sh'
  | 'loongarch'
  | 'unknown';

export interface ObjectSection {
  /** Index in the file's own numbering (ELF section index, PE section number...). */
  readonly index: number;
  readonly name: string;
  /** Occupies memory when loaded. */
  readonly allocated: boolean;
  readonly writable: boolean;
  readonly executable: boolean;
  /** No bytes in the file (ELF NOBITS, PE uninitialised data). */
  readonly zeroFill: boolean;
  /** Link-time address; 0 in relocatable files. */
  readonly address: number;
  /** Bytes in memory. */
  readonly size: number;
  /** Power of two, at least 1. */
  readonly alignment: number;
  /** Bytes in the file; empty when zeroFill. A view, never a copy. */
  readonly data: Uint8Array;
}

export type SymbolBinding = 'local' | 'global' | 'weak' | 'unique';
export type SymbolPlace = 'undefined' | 'absolute' | 'common' | 'section';

export interface ObjectSymbol {
  readonly index: number;
  readonly name: string;
  readonly binding: SymbolBinding;
  readonly type: 'none' | 'object' | 'function' | 'section' | 'file' | 'common' | 'tls' | 'ifunc' | 'other';
  readonly place: SymbolPlace;
  /** Section index when place is 'section'. */
  readonly section: number;
  /** Offset in the section (relocatable), address (linked), or the value of an absolute; alignment of a common. */
  readonly value: number;
  readonly size: number;
}

export interface ObjectRelocation {
  /** Section whose bytes are changed. */
  readonly section: number;
  /** Offset in that section (relocatable files) or address (linked files). */
  readonly offset: number;
  /** The format's own type number; names are in formats/FORMAT/layout.ts. */
  readonly type: number;
  /** Index into symbols; 0 = none in ELF. */
  readonly symbol: number;
  /** Signed; undefined when it stands in the section's bytes (ELF REL). */
  readonly addend: number | undefined;
}

/** Relocations of one section as columns: what a linker's inner loop goes through. */
export interface RelocationColumns {
  readonly count: number;
  readonly offsets: ArrayLike<number>;
  readonly types: ArrayLike<number>;
  readonly symbols: ArrayLike<number>;
  /** Undefined, or absent altogether, where they stand in the section's bytes. */
  readonly addends: ArrayLike<number | undefined> | undefined;
}

/** What a linker asks of every symbol of a table. */
export interface SymbolColumns {
  /** Including entry 0. */
  readonly count: number;
  place(index: number): SymbolPlace;
  section(index: number): number;
  value(index: number): number;
  /** All of it. */
  symbol(index: number): ObjectSymbol;
}

export interface ObjectFile {
  readonly format: 'elf' | 'coff' | 'pe' | 'macho' | 'xcoff' | 'nlm' | 'som';
  readonly machine: Machine;
  readonly bits: 32 | 64;
  readonly littleEndian: boolean;
  readonly kind: 'relocatable' | 'shared' | 'executable' | 'other';
  readonly sections: readonly ObjectSection[];
  readonly symbols: readonly ObjectSymbol[];
  /** All relocations of one section, in file order. Lazily read. */
  relocations(section: number): readonly ObjectRelocation[];
  readonly bytes: Uint8Array;
}

/** A file of a format whose tables are columns already: a large one is linked without an object for each entry. */
export interface ColumnarFile extends ObjectFile {
  readonly symbolColumns: SymbolColumns;
  /** A set for each table of the section. */
  relocationColumns(section: number): readonly RelocationColumns[];
}
