/** Bytes -> CoffFile, bounded and checked once. */

import { cstring } from '../../bytes/cstring.ts';
import { BadMagic, Invalid, Truncated } from '../../bytes/errors.ts';
import { ByteView } from '../../bytes/view.ts';
import { COFF_MACHINES, FILE_HEADER, RELOCATION_SIZE, SECTION_HEADER, STYP, SYMBOL_SIZE } from './layout.ts';

export interface CoffSection {
  /** Counted from 1, as symbols name them. */
  readonly index: number;
  readonly name: string;
  readonly address: number;
  readonly size: number;
  readonly flags: number;
  readonly data: Uint8Array;
  readonly relocationsAt: number;
  readonly relocationCount: number;
}

export interface CoffSymbol {
  /** Position in the table, auxiliary entries counted. */
  readonly index: number;
  readonly name: string;
  readonly value: number;
  readonly section: number;
  readonly type: number;
  readonly storageClass: number;
}

export interface CoffRelocation {
  readonly address: number;
  readonly symbol: number;
  readonly type: number;
}

export interface CoffFile {
  readonly bytes: Uint8Array;
  readonly view: ByteView;
  readonly machine: (typeof COFF_MACHINES)[number];
  readonly flags: number;
  /** In file order, from number 1 on. */
  readonly sections: readonly CoffSection[];
  /** Without auxiliary entries. */
  readonly symbols: readonly CoffSymbol[];
  /** Entries of the table, auxiliary ones counted. */
  readonly symbolEntries: number;
}

function machineOf(bytes: Uint8Array): CoffFile['machine'] | undefined {
  if (bytes.length < FILE_HEADER.size) return undefined;
  return COFF_MACHINES.find(({ magic, littleEndian }) => {
    const word = littleEndian ? bytes[0] | (bytes[1] << 8) : (bytes[0] << 8) | bytes[1];
    return word === magic;
  });
}

/** Does the file begin as a COFF object of a known machine, with a section table that fits? */
export function isCoff(bytes: Uint8Array): boolean {
  const machine = machineOf(bytes);
  if (machine === undefined) return false;
  const view = new ByteView(bytes, machine.littleEndian);
  const sections = view.u16(FILE_HEADER.sections);
  const optional = view.u16(FILE_HEADER.optionalSize);
  const end = FILE_HEADER.size + optional + sections * SECTION_HEADER.size;
  return (
    sections > 0 && sections < 1000 && end <= bytes.length && view.u32(FILE_HEADER.symbols) <= bytes.length
  );
}

/** @throws BadMagic, Truncated, Invalid */
export function readCoff(bytes: Uint8Array): CoffFile {
  const machine = machineOf(bytes);
  if (machine === undefined)
    throw new BadMagic('f_magic', 'not a COFF object of a known machine', { offset: 0 });
  const view = new ByteView(bytes, machine.littleEndian);
  const entries = view.u32(FILE_HEADER.symbolCount);
  const symbolsAt = view.u32(FILE_HEADER.symbols);
  if (entries > 0) view.need(symbolsAt, entries * SYMBOL_SIZE, `symbol table of ${entries} entries`);
  const strings = symbolsAt + entries * SYMBOL_SIZE;
  const sections = readSections(view, view.u16(FILE_HEADER.sections), view.u16(FILE_HEADER.optionalSize));
  return {
    bytes,
    view,
    machine,
    flags: view.u16(FILE_HEADER.flags),
    sections,
    symbols: readSymbols(view, symbolsAt, entries, strings, sections.length),
    symbolEntries: entries,
  };
}

function readSections(view: ByteView, count: number, optional: number): CoffSection[] {
  const sections: CoffSection[] = [];
  for (let i = 0; i < count; i++) {
    const at = FILE_HEADER.size + optional + i * SECTION_HEADER.size;
    view.need(at, SECTION_HEADER.size, `section header ${i + 1}`);
    const field = (name: keyof typeof SECTION_HEADER) => view.u32(at + SECTION_HEADER[name]);
    const name = cstring(view.bytes, at, at + 8);
    const [size, flags, dataAt] = [field('bytes'), field('flags'), field('data')];
    const stored = (flags & STYP.BSS) === 0 && dataAt !== 0;
    const relocationsAt = field('relocations');
    const relocationCount = view.u16(at + SECTION_HEADER.relocationCount);
    view.need(
      relocationCount === 0 ? 0 : relocationsAt,
      relocationCount * RELOCATION_SIZE,
      `relocations of ${name}`,
    );
    if (size > 0x20000000) throw new Invalid(`section ${name}`, 'is larger than any module', { value: size });
    sections.push({
      index: i + 1,
      name,
      address: field('virtual'),
      size,
      flags,
      data: stored ? view.slice(dataAt, size, `section ${name}`) : new Uint8Array(0),
      relocationsAt,
      relocationCount,
    });
  }
  return sections;
}

function readSymbols(
  view: ByteView,
  at: number,
  entries: number,
  strings: number,
  sections: number,
): CoffSymbol[] {
  const symbols: CoffSymbol[] = [];
  // Names may share bytes of the string table, but an honest table does not repeat them all.
  let budget = view.length * 4 + 1024;
  for (let index = 0; index < entries; ) {
    const here = at + index * SYMBOL_SIZE;
    const name = symbolName(view, here, strings);
    budget -= name.length;
    if (budget < 0) throw new Invalid('symbol table', 'names repeat too many bytes');
    const section = (view.u16(here + 12) << 16) >> 16;
    if (section > sections) {
      throw new Invalid(`symbol ${index}`, `there are ${sections} sections`, {
        offset: here + 12,
        value: section,
      });
    }
    symbols.push({
      index,
      name,
      value: view.u32(here + 8),
      section,
      type: view.u16(here + 14),
      storageClass: view.u8(here + 16),
    });
    index += 1 + view.u8(here + 17);
  }
  return symbols;
}

/** Eight bytes, or four zeros and an offset into the string table. */
function symbolName(view: ByteView, at: number, strings: number): string {
  if (view.u32(at) !== 0) return cstring(view.bytes, at, at + 8);
  const offset = view.u32(at + 4);
  if (offset < 4 || strings + offset >= view.length) {
    throw new Truncated('symbol name', 'is outside the string table', { offset: at + 4 });
  }
  return cstring(view.bytes, strings + offset);
}

/** @throws Invalid when a relocation names a symbol that is not there */
export function readRelocations(file: CoffFile, section: CoffSection): CoffRelocation[] {
  return Array.from({ length: section.relocationCount }, (_, i) => {
    const at = section.relocationsAt + i * RELOCATION_SIZE;
    const symbol = file.view.u32(at + 4);
    if (symbol >= file.symbolEntries) {
      const problem = `there are ${file.symbolEntries} symbols`;
      throw new Invalid(`relocation ${i} of ${section.name}`, problem, { offset: at, value: symbol });
    }
    return { address: file.view.u32(at), symbol, type: file.view.u16(at + 8) };
  });
}
