/**
 * The symbol table of a module in its own memory (add_kallsyms, kernel/module/kallsyms.c), and its entry in the base
 * kernel's index of names.
 */
import type { ElfSection } from '../../formats/elf/headers.ts';
import { SHF, SHN, SHT, STB, STT } from '../../formats/elf/layout.ts';
import type { ElfSymbols } from '../../formats/elf/symbols.ts';
import type { StagedArea } from '../../link/place.ts';
import type { Address } from '../../memory/space.ts';
import { type KallsymsPlan, symbolBytes } from './layout.ts';
import type { ModuleFile } from './module-file.ts';

export interface NamedAddress {
  readonly name: string;
  readonly address: Address;
}

export interface KallsymsImage {
  readonly file: ModuleFile;
  readonly plan: KallsymsPlan;
  readonly core: StagedArea;
  readonly init: StagedArea;
  /** By symbol index, resolved. */
  readonly values: Float64Array;
}

/** Writes both tables into the staged areas. */
export function stageKallsyms(image: KallsymsImage): void {
  const { file, plan, init, values } = image;
  const { elf, symbolTable } = file;
  const symbols = elf.symbols(symbolTable);
  if (symbols === undefined) return;
  const strings = elf.data(elf.sections[symbolTable.link]);
  const source = elf.data(symbolTable);
  init.bytes.set(source, plan.init.symbols);
  init.bytes.set(strings, plan.init.strings);
  const view = new DataView(init.bytes.buffer, init.bytes.byteOffset + plan.init.symbols, source.length);
  for (let index = 1; index < symbols.count; index++) setValue(view, index, values[index], elf.bits);
  const letters = file.elf.sections.map((section) => codeOf(sectionLetter(file, section)));
  for (let index = 0; index < symbols.count; index++)
    init.bytes[plan.init.types + index] = symbolLetter(symbols, index, letters);
  stageKept(image, strings);
  // struct mod_kallsyms: symtab, num_symtab, strtab, typetab.
  const struct = new DataView(init.bytes.buffer, init.bytes.byteOffset + plan.init.struct, 32);
  const at = [
    init.base + plan.init.symbols,
    symbols.count,
    init.base + plan.init.strings,
    init.base + plan.init.types,
  ];
  for (const [i, value] of at.entries()) setWord(struct, i * (elf.bits / 8), value, elf.bits);
}

/** st_value follows the name, and in the wide form what is at the end of the narrow one. */
function setValue(view: DataView, index: number, value: number, bits: 32 | 64): void {
  setWord(view, index * symbolBytes(bits) + (bits === 64 ? 8 : 4), value, bits);
}

function setWord(view: DataView, at: number, value: number, bits: 32 | 64): void {
  view.setInt32(at, value | 0, true);
  if (bits === 64) view.setInt32(at + 4, Math.floor(value / 4294967296) | 0, true);
}

/** The cut-down table that stays when init memory is given back. */
function stageKept({ file, plan, core, init }: KallsymsImage, strings: Uint8Array): void {
  const size = symbolBytes(file.elf.bits);
  const view = new DataView(core.bytes.buffer, core.bytes.byteOffset);
  let text = plan.core.strings;
  plan.kept.forEach((index, position) => {
    const from = plan.init.symbols + index * size;
    const to = plan.core.symbols + position * size;
    for (let i = 0; i < size; i++) core.bytes[to + i] = init.bytes[from + i];
    let name = view.getUint32(to, true);
    view.setUint32(to, text - plan.core.strings, true);
    for (; name < strings.length && strings[name] !== 0; name++) core.bytes[text++] = strings[name];
    text++;
    core.bytes[plan.core.types + position] = init.bytes[plan.init.types + index];
  });
}

const codeOf = (letter: string): number => letter.charCodeAt(0);
const [WEAK_OBJECT, WEAK, UNDEFINED, ABSOLUTE, UNKNOWN] = [...'vwUa?'].map(codeOf);

/** elf_type: the letter that nm and /proc/kallsyms show. `letters` are those of the sections. */
function symbolLetter(symbols: ElfSymbols, index: number, letters: readonly number[]): number {
  const info = symbols.info(index);
  if (info >> 4 === STB.WEAK) return (info & 15) === STT.OBJECT ? WEAK_OBJECT : WEAK;
  const shndx = symbols.rawSection(index);
  if (shndx === SHN.UNDEF) return UNDEFINED;
  if (shndx === SHN.ABS) return ABSOLUTE;
  return shndx >= SHN.LORESERVE ? UNKNOWN : (letters[shndx] ?? UNKNOWN);
}

function sectionLetter(file: ModuleFile, section: ElfSection): string {
  if (section.index === file.perCpu?.index) return 'a';
  if ((section.flags & SHF.EXECINSTR) !== 0) return 't';
  if ((section.flags & SHF.ALLOC) !== 0) {
    if (section.type === SHT.NOBITS) return 'b';
    return (section.flags & SHF.WRITE) !== 0 ? 'd' : 'r';
  }
  return section.name.startsWith('.debug') ? 'n' : '?';
}

/**
 * Symbols of the module's own sections for reports and backtraces. Of several at one address the kernel names the first in
 * the table, and an index by address finds the last: hence the reversed order. Sizes are left out because the kernel takes
 * the next symbol for the end (find_kallsyms_symbol).
 */
export function namedAddresses(
  file: ModuleFile,
  values: Float64Array,
  loaded: ReadonlySet<number>,
): NamedAddress[] {
  const named: NamedAddress[] = [];
  const columns = file.object.symbolColumns;
  for (let index = columns.count - 1; index >= 0; index--) {
    if (columns.place(index) !== 'section' || !loaded.has(columns.section(index))) continue;
    const { name, type } = columns.symbol(index);
    if (name === '' || type === 'section' || name.startsWith('$')) continue;
    named.push({ name, address: values[index] });
  }
  return named;
}
