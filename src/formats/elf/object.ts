/** ElfFile -> the neutral ObjectFile that the linker, the catalogue and the systems work on. */
import { Invalid, Unsupported } from '../../bytes/errors.ts';
import type {
  ColumnarFile,
  Machine,
  ObjectFile,
  ObjectRelocation,
  ObjectSection,
  ObjectSymbol,
  RelocationColumns,
  SymbolBinding,
  SymbolColumns,
  SymbolPlace,
} from '../object.ts';
import type { ElfSection } from './headers.ts';
import { EM, ET, SHF, SHN, SHT, STB, STT } from './layout.ts';
import type { ElfFile } from './read.ts';
import { readElf } from './read.ts';
import { type ElfRelocations, relativeRelocations } from './relocations.ts';
import type { ElfSymbols } from './symbols.ts';

/** Machines whose name depends on the class come as [32 bit, 64 bit]. */
const MACHINES: ReadonlyMap<number, readonly [Machine, Machine]> = new Map([
  [EM.X86_64, ['x86-64', 'x86-64']],
  [EM[386], ['i386', 'i386']],
  [EM.AARCH64, ['aarch64', 'aarch64']],
  [EM.ARM, ['arm', 'arm']],
  [EM.PPC, ['ppc', 'ppc']],
  [EM.PPC64, ['ppc64', 'ppc64']],
  [EM.S390, ['s390', 's390x']],
  [EM.S390_OLD, ['s390', 's390x']],
  [EM.MIPS, ['mips', 'mips64']],
  [EM.MIPS_RS3_LE, ['mips', 'mips64']],
  [EM.RISCV, ['riscv', 'riscv']],
  [EM.SPARC, ['sparc', 'sparc']],
  [EM.SPARC32PLUS, ['sparc', 'sparc']],
  [EM.SPARCV9, ['sparc64', 'sparc64']],
  [EM.IA_64, ['ia64', 'ia64']],
  [EM.ALPHA, ['alpha', 'alpha']],
  [EM.PARISC, ['hppa', 'hppa']],
  [EM['68K'], ['m68k', 'm68k']],
  [EM.SH, ['sh', 'sh']],
  [EM.LOONGARCH, ['loongarch', 'loongarch']],
]);

/** The neutral name of an e_machine; the class decides between s390 and s390x, mips and mips64. */
export function elfMachine(machine: number, bits: 32 | 64): Machine {
  return MACHINES.get(machine)?.[bits === 64 ? 1 : 0] ?? 'unknown';
}

const BINDINGS: ReadonlyMap<number, SymbolBinding> = new Map<number, SymbolBinding>([
  [STB.LOCAL, 'local'],
  [STB.GLOBAL, 'global'],
  [STB.WEAK, 'weak'],
  [STB.GNU_UNIQUE, 'unique'],
]);

const TYPES: ReadonlyMap<number, ObjectSymbol['type']> = new Map<number, ObjectSymbol['type']>([
  [STT.NOTYPE, 'none'],
  [STT.OBJECT, 'object'],
  [STT.FUNC, 'function'],
  [STT.SECTION, 'section'],
  [STT.FILE, 'file'],
  [STT.COMMON, 'common'],
  [STT.TLS, 'tls'],
  [STT.GNU_IFUNC, 'ifunc'],
]);

/** st_shndx of the common blocks that processors add: x86-64 LCOMMON, MIPS SCOMMON, PA-RISC ANSI and HUGE COMMON. */
const OWN_COMMON: ReadonlyMap<number, readonly number[]> = new Map([
  [EM.X86_64, [0xff02]],
  [EM.MIPS, [0xff03]],
  [EM.PARISC, [0xff00, 0xff01]],
]);

/**
 * Reads an ELF file as a neutral object file. Symbols and relocations are read when first asked for, so their errors come
 * then. Symbols are those of SHT_SYMTAB in relocatable files, of SHT_DYNSYM (which relocations name) in linked ones.
 * @throws BadMagic, Truncated, Invalid, Unsupported
 */
export function readElfObject(bytes: Uint8Array): ObjectFile {
  return elfObject(readElf(bytes));
}

/** Made once for each file. */
const objects = new WeakMap<ElfFile, ElfObject>();

/** The neutral form of an ELF file that was read already. */
export function elfObject(elf: ElfFile): ColumnarFile {
  let object = objects.get(elf);
  if (object === undefined) {
    object = new ElfObject(elf);
    objects.set(elf, object);
  }
  return object;
}

class ElfObject implements ColumnarFile {
  readonly format = 'elf';
  readonly machine: Machine;
  readonly bits: 32 | 64;
  readonly littleEndian: boolean;
  readonly kind: ObjectFile['kind'];
  readonly sections: readonly ObjectSection[];
  readonly bytes: Uint8Array;
  readonly #elf: ElfFile;
  #symbols: readonly ObjectSymbol[] | undefined;
  #columns: SymbolColumns | undefined;
  #relocations: ReadonlyMap<number, readonly ElfSection[]> | undefined;
  #linked: ReadonlyMap<number, readonly ObjectRelocation[]> | undefined;

  constructor(elf: ElfFile) {
    this.#elf = elf;
    this.bits = elf.bits;
    this.littleEndian = elf.littleEndian;
    this.bytes = elf.bytes;
    this.machine = elfMachine(elf.header.machine, elf.bits);
    this.kind = kindOf(elf.header.type);
    this.sections = elf.sections.map((section) => objectSection(elf, section));
  }

  get symbols(): readonly ObjectSymbol[] {
    this.#symbols ??= objectSymbols(this.#elf);
    return this.#symbols;
  }

  get symbolColumns(): SymbolColumns {
    this.#columns ??= new ElfColumns(this.#elf);
    return this.#columns;
  }

  relocationColumns(section: number): readonly RelocationColumns[] {
    if (!this.#elf.relocatable) return [columnsOf(this.relocations(section))];
    return this.#tables(section).map((from) => {
      const { count, offsets, types, symbols, addends, explicitAddends } = this.#elf.relocations(from);
      return { count, offsets, types, symbols, addends: explicitAddends ? addends : undefined };
    });
  }

  /** The relocation sections that change a section, in a relocatable file. */
  #tables(section: number): readonly ElfSection[] {
    this.#relocations ??= relocationSections(this.#elf);
    return this.#relocations.get(section) ?? [];
  }

  relocations(section: number): readonly ObjectRelocation[] {
    if (!this.#elf.relocatable) {
      this.#linked ??= linkedRelocations(this.#elf, this.sections);
      return this.#linked.get(section) ?? [];
    }
    const lists = this.#tables(section).map((from) =>
      objectRelocations(this.#elf.relocations(from), section),
    );
    return lists.length === 1 ? lists[0] : lists.flat();
  }
}

function kindOf(type: number): ObjectFile['kind'] {
  if (type === ET.REL) return 'relocatable';
  if (type === ET.DYN) return 'shared';
  return type === ET.EXEC ? 'executable' : 'other';
}

function objectSection(elf: ElfFile, section: ElfSection): ObjectSection {
  const { index, name, flags, address, size, type } = section;
  const alignment = Math.max(1, section.alignment);
  if (2 ** Math.round(Math.log2(alignment)) !== alignment && type !== SHT.NULL) {
    throw new Invalid(`section ${index} ${name}`, 'alignment is no power of two', { value: alignment });
  }
  return {
    index,
    name,
    allocated: (flags & SHF.ALLOC) !== 0,
    writable: (flags & SHF.WRITE) !== 0,
    executable: (flags & SHF.EXECINSTR) !== 0,
    zeroFill: type === SHT.NOBITS,
    address,
    size: type === SHT.NULL ? 0 : size,
    alignment,
    data: elf.data(section),
  };
}

/** The table that relocations index: the static one of a relocatable file, the dynamic one of a linked file. */
function symbolTable(elf: ElfFile): ElfSymbols | undefined {
  const dynamic = elf.relocatable ? undefined : elf.sectionOfType(SHT.DYNSYM);
  return elf.symbols(dynamic);
}

function objectSymbols(elf: ElfFile): ObjectSymbol[] {
  const columns = new ElfColumns(elf);
  return Array.from({ length: columns.count }, (_, index) => columns.symbol(index));
}

class ElfColumns implements SymbolColumns {
  readonly count: number;
  readonly #table: ElfSymbols | undefined;
  readonly #commons: readonly number[];
  /** Those that were asked for: a file that is loaded again is linked against the same names. */
  readonly #made: (ObjectSymbol | undefined)[];

  /** @throws Unsupported for a symbol in a place of an unknown kind, and for names that are too long or repeat too much */
  constructor(elf: ElfFile) {
    const table = symbolTable(elf);
    this.#table = table;
    this.count = table?.count ?? 0;
    this.#made = new Array(this.count);
    this.#commons = OWN_COMMON.get(elf.header.machine) ?? [];
    table?.checkNames();
    for (let index = 0; index < this.count; index++) this.place(index);
  }

  place(index: number): SymbolPlace {
    const table = this.#of(index);
    const place = table.place(index);
    if (place !== 'reserved') return place;
    if (this.#commons.includes(table.rawSection(index))) return 'common';
    const what = `symbol ${table.name(index)}`;
    throw new Unsupported(what, 'is in a reserved section of an unknown kind', {
      value: table.rawSection(index),
    });
  }

  section(index: number): number {
    const table = this.#of(index);
    return table.place(index) === 'section' ? table.section(index) : SHN.UNDEF;
  }

  value(index: number): number {
    return this.#of(index).value(index);
  }

  symbol(index: number): ObjectSymbol {
    let made = this.#made[index];
    if (made === undefined) {
      made = this.#make(index);
      this.#made[index] = made;
    }
    return made;
  }

  #make(index: number): ObjectSymbol {
    const table = this.#of(index);
    const info = table.info(index);
    return {
      index,
      name: table.name(index),
      binding: BINDINGS.get(info >> 4) ?? 'global',
      type: TYPES.get(info & 15) ?? 'other',
      place: this.place(index),
      section: this.section(index),
      value: table.value(index),
      size: table.size(index),
    };
  }

  #of(index: number): ElfSymbols {
    if (this.#table === undefined) throw new Invalid('symbol table', 'is not there', { value: index });
    return this.#table;
  }
}

/** Relocation sections of a relocatable file by the section they change (sh_info), in file order. */
function relocationSections(elf: ElfFile): Map<number, ElfSection[]> {
  const byTarget = new Map<number, ElfSection[]>();
  for (const section of elf.sections) {
    if (section.type !== SHT.RELA && section.type !== SHT.REL) continue;
    const list = byTarget.get(section.info);
    if (list === undefined) byTarget.set(section.info, [section]);
    else list.push(section);
  }
  return byTarget;
}

function objectRelocations(from: ElfRelocations, section: number): ObjectRelocation[] {
  return Array.from({ length: from.count }, (_, i) => ({
    section,
    offset: from.offsets[i],
    type: from.types[i],
    symbol: from.symbols[i],
    addend: from.explicitAddends ? from.addends[i] : undefined,
  }));
}

function columnsOf(list: readonly ObjectRelocation[]): RelocationColumns {
  return {
    count: list.length,
    offsets: list.map(({ offset }) => offset),
    types: list.map(({ type }) => type),
    symbols: list.map(({ symbol }) => symbol),
    addends: list.map(({ addend }) => addend),
  };
}

/** R_*_RELATIVE, which is what an entry of SHT_RELR means. */
const RELATIVE: ReadonlyMap<number, number> = new Map([
  [EM[386], 8],
  [EM.X86_64, 8],
  [EM.AARCH64, 1027],
  [EM.ARM, 23],
  [EM.PPC, 22],
  [EM.PPC64, 22],
  [EM.S390, 12],
  [EM.RISCV, 3],
  [EM.LOONGARCH, 3],
]);

/**
 * A linked file has one list for all: its offsets are addresses, sorted here into the sections that hold them. Only
 * relocation sections that are loaded count (--emit-relocs leaves others).
 */
function linkedRelocations(
  elf: ElfFile,
  sections: readonly ObjectSection[],
): Map<number, ObjectRelocation[]> {
  const byTarget = new Map<number, ObjectRelocation[]>();
  const loaded = sections.filter((section) => section.allocated && section.size > 0);
  loaded.sort((a, b) => a.address - b.address);
  for (const section of elf.sections) {
    if ((section.flags & SHF.ALLOC) === 0) continue;
    for (const relocation of entriesOf(elf, section)) {
      const target = sectionAt(loaded, relocation.offset);
      // Type 0 is R_*_NONE on every machine; linkers leave such entries, at address 0, where they needed fewer.
      if (target === undefined && relocation.type === 0) continue;
      if (target === undefined) {
        const what = `relocation of ${section.name}`;
        throw new Invalid(what, 'address is in no loaded section', { value: relocation.offset });
      }
      const list = byTarget.get(target.index);
      const placed = { ...relocation, section: target.index };
      if (list === undefined) byTarget.set(target.index, [placed]);
      else list.push(placed);
    }
  }
  return byTarget;
}

/** The entries of a relocation section of any form; none of any other section. */
function entriesOf(elf: ElfFile, section: ElfSection): ObjectRelocation[] {
  if (section.type === SHT.RELA || section.type === SHT.REL)
    return objectRelocations(elf.relocations(section), 0);
  if (section.type !== SHT.RELR) return [];
  const type = RELATIVE.get(elf.header.machine);
  if (type === undefined) {
    const problem = 'SHT_RELR is not known on this machine';
    throw new Unsupported(`section ${section.name}`, problem, { value: elf.header.machine });
  }
  const entries: ObjectRelocation[] = [];
  // Each word of the file is relocated once at most; a bitmap of damaged bytes could ask for 63 times its size.
  const most = (elf.bytes.length * 8) / elf.bits;
  for (const offset of relativeRelocations(elf.view, section, elf.bits)) {
    entries.push({ section: 0, offset, type, symbol: 0, addend: undefined });
    if (entries.length > most)
      throw new Invalid(`section ${section.name}`, 'has more entries than the file has words');
  }
  return entries;
}

function sectionAt(sorted: readonly ObjectSection[], address: number): ObjectSection | undefined {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle].address <= address) low = middle + 1;
    else high = middle;
  }
  // Zero-fill thread-local sections share addresses with what follows them: step back until one really holds it.
  for (let i = low - 1; i >= 0; i--) {
    const { address: start, size } = sorted[i];
    if (address < start + size) return sorted[i];
    if (i < low - 8) break;
  }
  return undefined;
}
