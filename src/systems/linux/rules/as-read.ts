/**
 * A module as the kernel reads it. The loader goes by few fields of the file and never looks at others (class and byte
 * order, types of string tables, sizes that are no multiple); those are set here to what a reader of ELF expects, in a copy,
 * so that a file which the kernel takes is not refused by us.
 */
import { ByteView } from '../../../bytes/view.ts';
import { readSectionHeader, type SectionHeader } from '../../../formats/elf/headers.ts';
import { EHDR, EI, ELFCLASS, ELFDATA, SHDR, SHF, SHN, SHT } from '../../../formats/elf/layout.ts';
import type { KernelFile } from '../kernelfile/kernelfile.ts';
import type { ModuleFile } from '../module-file.ts';

/** Elf64_Sym and Elf32_Sym: size, and where st_shndx is. */
const SYMBOL = { 64: { bytes: 24, section: 6 }, 32: { bytes: 16, section: 14 } } as const;
const SHN_LIVEPATCH = 0xff20;
/** Section sizes are summed up in 32 bits (struct module_layout, module_memory). */
const WRAP = 2 ** 32;

type Shape = Pick<KernelFile, 'bits' | 'littleEndian'>;

export interface Table {
  readonly view: ByteView;
  readonly start: number;
  readonly sections: readonly SectionHeader[];
  readonly names: number;
}

/** The section table, where the rules have found it to lie in the file; undefined elsewhere. */
export function readTable(bytes: Uint8Array, { bits, littleEndian }: Shape): Table | undefined {
  const at = EHDR[bits];
  if (bytes.length < at.size) return undefined;
  const view = new ByteView(bytes, littleEndian);
  const start = bits === 64 ? view.n64(at.shoff) : view.u32(at.shoff);
  const count = view.u16(at.shnum);
  if (start + count * SHDR[bits].size > bytes.length) return undefined;
  const sections = Array.from({ length: count }, (_, i) =>
    readSectionHeader(view, start + i * SHDR[bits].size, bits),
  );
  return { view, start, sections, names: view.u16(at.shstrndx) };
}

/** Writes into a copy that is made at the first change. */
class Copy {
  bytes: Uint8Array;
  private readonly original: Uint8Array;
  private readonly shape: Shape;
  private readonly start: number;

  constructor(original: Uint8Array, shape: Shape, start: number) {
    this.original = original;
    this.bytes = original;
    this.shape = shape;
    this.start = start;
  }

  set(at: number, width: 1 | 2 | 4 | 8, value: number): void {
    if (this.bytes === this.original) this.bytes = this.original.slice();
    const view = new DataView(this.bytes.buffer, this.bytes.byteOffset);
    const { littleEndian } = this.shape;
    if (width === 1) view.setUint8(at, value);
    else if (width === 2) view.setUint16(at, value, littleEndian);
    else if (width === 4) view.setUint32(at, value, littleEndian);
    else view.setBigUint64(at, BigInt(value), littleEndian);
  }

  section(index: number, field: 'type' | 'link' | 'bytes' | 'addralign' | 'entsize', value: number): void {
    const { bits } = this.shape;
    const layout = SHDR[bits];
    const at = this.start + index * layout.size;
    if (field === 'type') this.set(at + 4, 4, value);
    else if (field === 'link') this.set(at + layout.link, 4, value);
    else this.set(at + layout[field], bits === 64 ? 8 : 4, value);
  }
}

/** The same bytes where nothing has to be changed. The rules on header and sections must have passed. */
export function asKernelReads(bytes: Uint8Array, shape: Shape): Uint8Array {
  const table = readTable(bytes, shape);
  if (table === undefined) return bytes;
  const copy = new Copy(bytes, shape, table.start);
  mendHeader(copy, table, shape);
  const symbols = table.sections.findIndex(({ type }, index) => index > 0 && type === SHT.SYMTAB);
  table.sections.forEach((section, index) => {
    if (index > 0) mendSection(copy, table, section, index, symbols, shape);
  });
  if (symbols > 0) mendSymbols(copy, table, symbols, shape);
  return copy.bytes;
}

function mendHeader(copy: Copy, { view, sections, names }: Table, { bits, littleEndian }: Shape): void {
  const at = EHDR[bits];
  const wanted = [
    [EI.CLASS, ELFCLASS[bits]],
    [EI.DATA, littleEndian ? ELFDATA.LSB : ELFDATA.MSB],
  ] as const;
  for (const [where, value] of wanted) if (view.u8(where) !== value) copy.set(where, 1, value);
  if (view.u32(20) !== 1) copy.set(20, 4, 1);
  if (view.u16(at.phnum) !== 0) copy.set(at.phnum, 2, 0);
  if (sections[names] !== undefined && sections[names].type !== SHT.STRTAB)
    copy.section(names, 'type', SHT.STRTAB);
}

const isPowerOfTwo = (value: number): boolean => 2 ** Math.round(Math.log2(value)) === value;

function mendSection(
  copy: Copy,
  { view, sections, names }: Table,
  section: SectionHeader,
  index: number,
  symbols: number,
  { bits }: Shape,
): void {
  const { type, flags, size, offset, alignment } = section;
  const allocated = (flags & SHF.ALLOC) !== 0;
  if (index === names) return;
  // Alignments count by their lower 32 bits.
  if (alignment >= WRAP) copy.section(index, 'addralign', alignment % WRAP || 1);
  else if (alignment > 1 && !isPowerOfTwo(alignment))
    copy.section(index, 'addralign', 2 ** Math.ceil(Math.log2(alignment)));
  // Without a type it is copied like any other; whether its bytes are there nobody asks.
  if (type === SHT.NULL && allocated && offset + size <= view.length && index !== names)
    copy.section(index, 'type', SHT.PROGBITS);
  if (type === SHT.NOBITS && allocated && size >= WRAP) copy.section(index, 'bytes', size % WRAP);
  if (type !== SHT.RELA && type !== SHT.REL) return;
  const target = sections[section.info];
  if (target === undefined || (target.flags & SHF.ALLOC) === 0) {
    copy.section(index, 'type', SHT.PROGBITS);
    return;
  }
  // A kernel that takes only the other kind says so, whatever the table holds.
  if (isOtherKind(type, bits)) {
    copy.section(index, 'type', SHT.PROGBITS);
    return;
  }
  const entry = type === SHT.RELA ? (bits === 64 ? 24 : 12) : bits === 64 ? 16 : 8;
  if (size % entry !== 0) copy.section(index, 'bytes', size - (size % entry));
  if (section.entrySize !== entry) copy.section(index, 'entsize', entry);
  if (symbols > 0 && section.link !== symbols) copy.section(index, 'link', symbols);
}

/** x86-64 has relocations with addends only, i386 only without. */
const isOtherKind = (type: number, bits: 32 | 64): boolean => type === (bits === 64 ? SHT.REL : SHT.RELA);

function mendSymbols(copy: Copy, { view, sections }: Table, index: number, { bits }: Shape): void {
  const { bytes: entry, section: at } = SYMBOL[bits];
  const { offset, size, entrySize, link } = sections[index];
  if (size % entry !== 0) copy.section(index, 'bytes', size - (size % entry));
  if (entrySize !== entry) copy.section(index, 'entsize', entry);
  const strings = sections[link];
  if (strings === undefined) return;
  if (strings.type !== SHT.STRTAB) copy.section(link, 'type', SHT.STRTAB);
  // The first symbol is never looked at.
  for (let at = offset; at < offset + Math.min(entry, size); at++) if (view.u8(at) !== 0) copy.set(at, 1, 0);
  let longest = 0;
  for (let i = 1; (i + 1) * entry <= size; i++) {
    const symbol = offset + i * entry;
    longest = Math.max(longest, view.u32(symbol));
    const where = view.u16(symbol + at);
    if (where >= sections.length && where !== SHN.ABS && where !== SHN.COMMON)
      copy.set(symbol + at, 2, SHN.ABS);
  }
  // Names are read on beyond the table, to the next zero byte.
  const rest = view.length - strings.offset;
  const last = strings.offset + strings.size - 1;
  const open = strings.size > 0 && last < view.length && view.u8(last) !== 0;
  if (strings.size < rest && (open || (longest >= strings.size && longest < rest)))
    copy.section(link, 'bytes', rest);
}

/** Does a symbol's name begin beyond so many bytes? */
export function namesBeyond(
  { view }: Table,
  { offset, size }: SectionHeader,
  most: number,
  bits: 32 | 64,
): boolean {
  const { bytes: entry } = SYMBOL[bits];
  for (let at = offset; at + entry <= offset + size; at += entry) if (view.u32(at) >= most) return true;
  return false;
}

export interface OddSymbol {
  readonly name: string;
  /** st_shndx */
  readonly section: number;
  /** The highest index that there is. */
  readonly most: number;
}

/** Symbols in sections that the file does not have, in the order of their table. */
export function oddSymbols(file: ModuleFile): OddSymbol[] {
  const { elf, whole, symbolTable } = file;
  const { bytes: entry, section: at } = SYMBOL[elf.bits];
  const view = new ByteView(whole, elf.littleEndian);
  const count = elf.sections.length;
  const found: OddSymbol[] = [];
  const names = elf.symbols(symbolTable);
  for (let i = 1; (i + 1) * entry <= symbolTable.size; i++) {
    const section = view.u16(symbolTable.offset + i * entry + at);
    if (section < count || section === SHN.ABS || section === SHN.COMMON || section === SHN_LIVEPATCH)
      continue;
    found.push({ name: names?.name(i) ?? '', section, most: count - 1 });
  }
  return found;
}

/** Does a section that is loaded have relocations of the kind that the machine does not use? */
export function hasOtherRelocations({ elf, whole }: ModuleFile): boolean {
  const { bits, littleEndian } = elf;
  const table = readTable(whole, { bits, littleEndian });
  return (table?.sections ?? []).some(
    ({ type, info }) => isOtherKind(type, bits) && ((table?.sections[info]?.flags ?? 0) & SHF.ALLOC) !== 0,
  );
}
