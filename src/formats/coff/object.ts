/**
 * CoffFile -> the neutral ObjectFile. i386 places hold more than an addend: the assembler puts the symbol's own value
 * there as well (for a common block, its size), which is taken off here, so that `S + A` holds as it does everywhere.
 */
import type { ObjectFile, ObjectRelocation, ObjectSection, ObjectSymbol } from '../object.ts';
import { C, F_EXEC, N, PE_FLAGS, R_I386_COFF, STYP } from './layout.ts';
import {
  type CoffFile,
  type CoffRelocation,
  type CoffSection,
  type CoffSymbol,
  readCoff,
  readRelocations,
} from './read.ts';

/** i386 relocation types of ELF, which the linker knows: `S + A` and `S + A - P` in 32 bits. */
const ELF_386 = { 32: 1, PC32: 2 } as const;
/** Types that ELF has no counterpart of are numbered from here on, as COFF numbers them. */
export const FOREIGN_TYPE = 0x10000;

/** @throws BadMagic, Truncated, Invalid, Unsupported */
export function readCoffObject(bytes: Uint8Array): ObjectFile {
  return new CoffObject(readCoff(bytes));
}

class CoffObject implements ObjectFile {
  readonly format = 'coff';
  readonly machine: ObjectFile['machine'];
  readonly bits = 32;
  readonly littleEndian: boolean;
  readonly kind: ObjectFile['kind'];
  readonly sections: readonly ObjectSection[];
  readonly symbols: readonly ObjectSymbol[];
  readonly bytes: Uint8Array;
  readonly #coff: CoffFile;
  readonly #microsoft: boolean;

  constructor(coff: CoffFile) {
    this.#coff = coff;
    this.bytes = coff.bytes;
    this.machine = coff.machine.machine;
    this.littleEndian = coff.machine.littleEndian;
    this.kind = (coff.flags & F_EXEC) !== 0 ? 'executable' : 'relocatable';
    this.#microsoft = coff.sections.some(({ flags }) => (flags & PE_FLAGS.READ) !== 0);
    this.sections = [nothing, ...coff.sections.map(this.#microsoft ? peSection : objectSection)];
    this.symbols = objectSymbols(coff, this.#microsoft);
  }

  relocations(section: number): readonly ObjectRelocation[] {
    const coff = this.#coff.sections[section - 1];
    if (coff === undefined) return [];
    const bySymbol = new Map(this.#coff.symbols.map((symbol) => [symbol.index, symbol]));
    return readRelocations(this.#coff, coff).map((one) =>
      this.#relocation(coff, one, bySymbol.get(one.symbol)),
    );
  }

  #relocation(section: CoffSection, one: CoffRelocation, symbol: CoffSymbol | undefined): ObjectRelocation {
    const offset = one.address - section.address;
    const plain = { section: section.index, offset, symbol: one.symbol };
    if (this.machine !== 'i386') return { ...plain, type: one.type, addend: undefined };
    const relative = one.type === R_I386_COFF.PCRLONG;
    // Debug information has types of its own. In what is loaded they are refused, under a number that ELF has not.
    if (!relative && one.type !== R_I386_COFF.DIR32)
      return { ...plain, type: FOREIGN_TYPE + one.type, addend: undefined };
    const view = new DataView(section.data.buffer, section.data.byteOffset, section.data.byteLength);
    const held = offset >= 0 && offset + 4 <= section.data.length ? view.getInt32(offset, true) : 0;
    const own = symbol === undefined || this.#microsoft ? 0 : symbol.value;
    // Microsoft's places hold the addend alone, and a relative one counts from behind itself (PE format, REL32).
    if (relative && this.#microsoft) return { ...plain, type: ELF_386.PC32, addend: held - 4 };
    // A relative place counts from where the assembler thought it was: the address in the file.
    const addend = relative ? held - own + one.address : held - own;
    return { ...plain, type: relative ? ELF_386.PC32 : ELF_386[32], addend };
  }
}

const nothing: ObjectSection = {
  index: 0,
  name: '',
  allocated: false,
  writable: false,
  executable: false,
  zeroFill: false,
  address: 0,
  size: 0,
  alignment: 1,
  data: new Uint8Array(0),
};

function objectSection({ index, name, size, flags, data }: CoffSection): ObjectSection {
  const executable = (flags & STYP.TEXT) !== 0;
  const zeroFill = (flags & STYP.BSS) !== 0;
  const loaded = executable || zeroFill || (flags & STYP.DATA) !== 0;
  return {
    index,
    name,
    allocated: loaded && (flags & STYP.INFO) === 0,
    writable: !executable,
    executable,
    zeroFill,
    address: 0,
    size,
    alignment: 16,
    data,
  };
}

function peSection(section: CoffSection): ObjectSection {
  const { flags } = section;
  const dropped = (flags & (PE_FLAGS.REMOVE | PE_FLAGS.DISCARDABLE)) !== 0;
  const plain = objectSection(section);
  return {
    ...plain,
    allocated: plain.allocated && !dropped,
    executable: (flags & PE_FLAGS.EXECUTE) !== 0,
    writable: (flags & PE_FLAGS.WRITE) !== 0,
    // Bits 20 to 23: a power of two, counted from one.
    alignment: 2 ** Math.max(0, ((flags >>> 20) & 15) - 1),
  };
}

/** By index in the file's own numbering: auxiliary entries stay as empty symbols, so that relocations need no map. */
function objectSymbols(coff: CoffFile, microsoft: boolean): ObjectSymbol[] {
  const symbols: ObjectSymbol[] = Array.from({ length: coff.symbolEntries }, (_, index) => ({
    index,
    name: '',
    binding: 'local',
    type: 'none',
    place: 'absolute',
    section: 0,
    value: 0,
    size: 0,
  }));
  for (const symbol of coff.symbols) symbols[symbol.index] = objectSymbol(coff, symbol, microsoft);
  return symbols;
}

/**
 * Microsoft's kind counts values from the section, also where `ld -r` gave the section an address (PE format, 5.4.2: the
 * simulator's tools of Tornado write that kind); the older kind counts from address 0 of the file.
 */
function objectSymbol(coff: CoffFile, symbol: CoffSymbol, microsoft: boolean): ObjectSymbol {
  const { index, name, storageClass, type } = symbol;
  const global = storageClass === C.EXT || storageClass === C.WEAKEXT;
  const weak = storageClass === C.WEAKEXT;
  const place = placeOf(symbol, global);
  const section = place === 'section' ? symbol.section : 0;
  const isSection =
    storageClass === C.STAT && coff.sections.some((one) => one.name === name && one.index === section);
  // The derived type of a function is 2 (n_type, bits 4 and 5).
  const isFunction = (type & 0x30) === 0x20;
  return {
    index,
    name,
    binding: weak ? 'weak' : global ? 'global' : 'local',
    type: isSection ? 'section' : storageClass === C.FILE ? 'file' : isFunction ? 'function' : 'none',
    place,
    section,
    value:
      place === 'section'
        ? symbol.value - (microsoft ? 0 : coff.sections[section - 1].address)
        : place === 'common'
          ? 4
          : symbol.value,
    size: place === 'common' ? symbol.value : 0,
  };
}

/** An external symbol in no section is a common block when it has a value: its size. */
function placeOf({ section, value }: CoffSymbol, global: boolean): ObjectSymbol['place'] {
  if (section > 0) return 'section';
  if (section === N.UNDEF) return global && value > 0 ? 'common' : 'undefined';
  return 'absolute';
}
