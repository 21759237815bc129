/**
 * The symbol table of a module in its own memory (add_kallsyms, kernel/module/kallsyms.c), and its entry in the base
 * kernel's index of names.
 */
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
  for (let index = 0; index < symbols.count; index++) {
    init.bytes[plan.init.types + index] = symbolLetter(file, symbols, index).charCodeAt(0);
  }
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
    const entry = init.bytes.subarray(from, from + size);
    const to = plan.core.symbols + position * size;
    core.bytes.set(entry, to);
    const start = new DataView(entry.buffer, entry.byteOffset).getUint32(0, true);
    const nul = strings.indexOf(0, start);
    const end = nul < 0 ? strings.length : nul;
    view.setUint32(to, text - plan.core.strings, true);
    core.bytes.set(strings.subarray(start, end), text);
    text += end - start + 1;
    core.bytes[plan.core.types + position] = init.bytes[plan.init.types + index];
  });
}

/** elf_type: the letter that nm and /proc/kallsyms show. */
function symbolLetter(file: ModuleFile, symbols: ElfSymbols, index: number): string {
  const info = symbols.info(index);
  const shndx = symbols.rawSection(index);
  if (info >> 4 === STB.WEAK) return (info & 15) === STT.OBJECT ? 'v' : 'w';
  if (shndx === SHN.UNDEF) return 'U';
  if (shndx === SHN.ABS || shndx === file.perCpu?.index) return 'a';
  const section = file.elf.sections[shndx];
  if (shndx >= SHN.LORESERVE || section === undefined) return '?';
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
  loaded: (section: number) => boolean,
): NamedAddress[] {
  const named: NamedAddress[] = [];
  for (const symbol of file.object.symbols) {
    if (symbol.place !== 'section' || symbol.name === '' || symbol.type === 'section') continue;
    if (!loaded(symbol.section) || symbol.name.startsWith('$')) continue;
    named.push({ name: symbol.name, address: values[symbol.index] });
  }
  return named.reverse();
}
