/**
 * Bytes -> ElfFile: the header, the section and program headers, and lazily the symbols and relocations.
 *
 * The headers are validated here, once: after readElf every section's bytes are inside the file, its name is a string, and
 * every count is bounded by the size of the file. Nothing is said about whether some kernel would accept the file; a system
 * that re-does its kernel's own checks reads the unchecked structs with readElfHeader and readSectionHeader.
 */
import { Invalid, Truncated, Unsupported } from '../../bytes/errors.ts';
import { ByteView } from '../../bytes/view.ts';
import {
  type ElfHeader,
  type ElfSection,
  type ElfSegment,
  readElfHeader,
  readSectionHeader,
  readSegment,
  type SectionHeader,
} from './headers.ts';
import { EHDR, ET, EV_CURRENT, PHDR, PN_XNUM, SHDR, SHN, SHT } from './layout.ts';
import { boundedName, nameBudget } from './names.ts';
import { ElfRelocations } from './relocations.ts';
import { ElfSymbols } from './symbols.ts';

const EMPTY = new Uint8Array(0);

/** A validated ELF file. Get one from readElf. */
export class ElfFile {
  readonly bytes: Uint8Array;
  readonly view: ByteView;
  readonly header: ElfHeader;
  /** By index; entry 0 is the null section. Empty when the file has no section table. */
  readonly sections: readonly ElfSection[];
  readonly segments: readonly ElfSegment[];
  /** The section of section names, after extended numbering; 0 = none. */
  readonly nameSection: number;
  readonly #symbols = new Map<number, ElfSymbols>();
  readonly #relocations = new Map<number, ElfRelocations>();
  /** Bytes of symbol and relocation tables still to be parsed: honest tables do not overlap. */
  #tableBudget: number;
  /** Tables that have been begun: one that is damaged is so again when it is asked for again. */
  readonly #spent = new Set<number>();
  #byName: Map<string, ElfSection> | undefined;

  constructor(
    view: ByteView,
    header: ElfHeader,
    sections: readonly ElfSection[],
    segments: readonly ElfSegment[],
    nameSection: number,
  ) {
    this.bytes = view.bytes;
    this.#tableBudget = view.length;
    this.view = view;
    this.header = header;
    this.sections = sections;
    this.segments = segments;
    this.nameSection = nameSection;
  }

  get bits(): 32 | 64 {
    return this.header.bits;
  }

  get littleEndian(): boolean {
    return this.header.littleEndian;
  }

  get relocatable(): boolean {
    return this.header.type === ET.REL;
  }

  /** The first section of that name. */
  section(name: string): ElfSection | undefined {
    if (this.#byName === undefined) {
      this.#byName = new Map();
      for (const section of this.sections) {
        if (!this.#byName.has(section.name)) this.#byName.set(section.name, section);
      }
    }
    return this.#byName.get(name);
  }

  sectionOfType(type: number): ElfSection | undefined {
    return this.sections.find((section) => section.type === type);
  }

  /** The section's bytes in the file, a view; empty for NOBITS and the null section. */
  data(section: ElfSection): Uint8Array {
    if (!hasBytes(section)) return EMPTY;
    return this.bytes.subarray(section.offset, section.offset + section.size);
  }

  /** The segment's bytes in the file, a view. */
  segmentData(segment: ElfSegment): Uint8Array {
    return this.bytes.subarray(segment.offset, segment.offset + segment.fileSize);
  }

  /** A string of a string table section; `what` names the asker in errors. @throws Invalid */
  string(table: ElfSection, offset: number, what: string): string {
    const data = this.data(table);
    if (offset >= data.length && !(offset === 0 && data.length === 0)) {
      throw new Invalid(what, `name is outside string table ${table.name} of ${data.length} bytes`, {
        value: offset,
      });
    }
    return boundedName(data, offset, what);
  }

  /**
   * Symbols of a SHT_SYMTAB or SHT_DYNSYM section; without an argument, of the only SHT_SYMTAB, or undefined when the
   * file has none (stripped). Parsed and checked on the first call.
   */
  symbols(section?: ElfSection): ElfSymbols | undefined {
    const table = section ?? this.sectionOfType(SHT.SYMTAB);
    if (table === undefined) return undefined;
    let symbols = this.#symbols.get(table.index);
    if (symbols === undefined) {
      symbols = this.#readSymbols(table);
      this.#symbols.set(table.index, symbols);
    }
    return symbols;
  }

  /** Entries of a SHT_REL or SHT_RELA section. Parsed and checked on the first call. */
  relocations(section: ElfSection): ElfRelocations {
    let relocations = this.#relocations.get(section.index);
    if (relocations === undefined) {
      relocations = this.#readRelocations(section);
      this.#relocations.set(section.index, relocations);
    }
    return relocations;
  }

  /** Keeps a file whose many tables all lie on the same bytes from taking more memory than its size warrants. */
  #spend(section: ElfSection): void {
    if (this.#spent.has(section.index)) return;
    this.#spent.add(section.index);
    this.#tableBudget -= section.size;
    if (this.#tableBudget < 0) {
      throw new Invalid(`section ${section.name}`, 'overlaps other tables', { offset: section.offset });
    }
  }

  #readSymbols(table: ElfSection): ElfSymbols {
    this.#spend(table);
    const strings = this.sections[table.link];
    if (strings === undefined || strings.type !== SHT.STRTAB) {
      throw new Invalid(`symbol table ${table.name}`, 'sh_link names no string table', { value: table.link });
    }
    const extended = this.sections.find(
      (section) => section.type === SHT.SYMTAB_SHNDX && section.link === table.index,
    );
    return new ElfSymbols({
      view: this.view,
      bits: this.bits,
      table,
      strings: this.data(strings),
      extended,
      sectionCount: this.sections.length,
    });
  }

  #readRelocations(section: ElfSection): ElfRelocations {
    this.#spend(section);
    const symbolTable = section.link === 0 ? undefined : this.sections[section.link];
    if (symbolTable !== undefined && symbolTable.type !== SHT.SYMTAB && symbolTable.type !== SHT.DYNSYM) {
      throw new Invalid(`relocations ${section.name}`, 'sh_link names no symbol table', {
        value: section.link,
      });
    }
    return new ElfRelocations({
      view: this.view,
      bits: this.bits,
      machine: this.header.machine,
      section,
      symbolCount: symbolTable === undefined ? 1 : this.symbols(symbolTable)!.count,
      sectionCount: this.sections.length,
      relocatable: this.relocatable,
    });
  }
}

/**
 * Reads an ELF file of any class, byte order and type.
 * @throws BadMagic, Truncated, Invalid, Unsupported, with the offset and the name of the field
 */
export function readElf(bytes: Uint8Array): ElfFile {
  const header = readElfHeader(bytes);
  if (header.version !== EV_CURRENT) {
    throw new Unsupported('e_version', 'is not 1', { offset: 20, value: header.version });
  }
  const view = new ByteView(bytes, header.littleEndian);
  const first = firstSection(view, header);
  const headers = readSectionTable(view, header, first);
  const nameSection = header.shstrndx === SHN.XINDEX && first !== undefined ? first.link : header.shstrndx;
  const sections = nameSections(bytes, headers, nameSection);
  const segments = readSegmentTable(view, header, first);
  return new ElfFile(view, header, sections, segments, nameSection);
}

/** Section header 0, which carries the counts that do not fit the ELF header (gABI, "Extended section numbering"). */
function firstSection(view: ByteView, header: ElfHeader): SectionHeader | undefined {
  if (header.shoff === 0) return undefined;
  const size = SHDR[header.bits].size;
  if (header.shentsize !== size) {
    const offset = EHDR[header.bits].shentsize;
    throw new Invalid('e_shentsize', `must be ${size} in this class`, { offset, value: header.shentsize });
  }
  if (header.shoff > view.length - size) {
    const problem = `the section table starts beyond the end of the file of ${view.length} bytes`;
    throw new Truncated('e_shoff', problem, { offset: EHDR[header.bits].shoff, value: header.shoff });
  }
  return readSectionHeader(view, header.shoff, header.bits);
}

function readSectionTable(
  view: ByteView,
  header: ElfHeader,
  first: SectionHeader | undefined,
): SectionHeader[] {
  if (first === undefined) {
    if (header.shnum === 0) return [];
    const offset = EHDR[header.bits].shnum;
    throw new Invalid('e_shnum', 'promises sections, but e_shoff is 0', { offset, value: header.shnum });
  }
  const count = header.shnum === 0 ? first.size : header.shnum;
  const entry = SHDR[header.bits].size;
  if (count * entry > view.length - header.shoff) {
    const problem = `section table of ${count} entries runs past the end of the file of ${view.length} bytes`;
    throw new Truncated('e_shnum', problem, { offset: header.shoff, value: count });
  }
  const headers: SectionHeader[] = [];
  for (let i = 0; i < count; i++) {
    const section = i === 0 ? first : readSectionHeader(view, header.shoff + i * entry, header.bits);
    headers.push(section);
    if (i > 0 && hasBytes(section)) checkExtent(view, section.offset, section.size, `section ${i}`);
  }
  return headers;
}

function hasBytes(section: SectionHeader): boolean {
  return section.type !== SHT.NOBITS && section.type !== SHT.NULL;
}

function checkExtent(view: ByteView, offset: number, size: number, what: string): void {
  if (size === 0 || (offset <= view.length && size <= view.length - offset)) return;
  const problem = `${size} bytes run past the end of the file of ${view.length} bytes`;
  throw new Truncated(what, problem, { offset });
}

function nameSections(
  bytes: Uint8Array,
  headers: readonly SectionHeader[],
  nameSection: number,
): ElfSection[] {
  if (headers.length === 0) return [];
  if (nameSection >= headers.length) {
    throw new Invalid('e_shstrndx', `there are ${headers.length} sections`, { value: nameSection });
  }
  const table = headers[nameSection];
  if (nameSection !== 0 && table.type !== SHT.STRTAB) {
    throw new Invalid('e_shstrndx', `section ${nameSection} is no string table`, { value: table.type });
  }
  const names = hasBytes(table) ? bytes.subarray(table.offset, table.offset + table.size) : EMPTY;
  let budget = nameBudget(bytes.length);
  return headers.map((header, index) => {
    if (header.nameOffset >= names.length && header.nameOffset !== 0) {
      const problem = `name is outside the section name table of ${names.length} bytes`;
      throw new Invalid(`section ${index}`, problem, { value: header.nameOffset });
    }
    const name = boundedName(names, header.nameOffset, `section ${index}`);
    budget -= name.length;
    if (budget < 0) throw new Unsupported('section names', 'repeat more bytes than any honest file does');
    return { index, name, ...header };
  });
}

function readSegmentTable(view: ByteView, header: ElfHeader, first: SectionHeader | undefined): ElfSegment[] {
  const count = header.phnum === PN_XNUM && first !== undefined ? first.info : header.phnum;
  if (count === 0) return [];
  const { size } = PHDR[header.bits];
  if (header.phentsize !== size) {
    const offset = EHDR[header.bits].phentsize;
    throw new Invalid('e_phentsize', `must be ${size} in this class`, { offset, value: header.phentsize });
  }
  checkExtent(view, header.phoff, count * size, `program header table of ${count} entries`);
  const segments: ElfSegment[] = [];
  for (let i = 0; i < count; i++) {
    const segment = readSegment(view, header.phoff + i * size, i, header.bits);
    checkExtent(view, segment.offset, segment.fileSize, `segment ${i}`);
    segments.push(segment);
  }
  return segments;
}
