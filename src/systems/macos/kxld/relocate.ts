/** Relocations of an x86_64 kext bundle as kxld applies them (libkern/kxld/kxld_reloc.c). */
import { INDIRECT_SYMBOL, S, X86_64_RELOC } from '../../../formats/macho/layout.ts';
import type { MachoFile } from '../../../formats/macho/read.ts';
import { linkedRelocations, type MachoRelocation } from '../../../formats/macho/relocations.ts';
import type { Address } from '../../../memory/address.ts';
import { LinkFailure, type LinkImage } from './image.ts';

/** The linked address of a symbol by its index. */
export type SymbolAddress = (index: number) => Address;

const OVERFLOW =
  "A relocation entry has overflowed. The kext may be too far from one of its dependencies. Check your kext's load address.";
const MALFORMED = 'The Mach-O file is malformed: A relocation entry is malformed.';
const TWO_32 = 4294967296;

/** Bytes between the place and the end of its instruction, beyond the four of the place itself. */
const TRAILING: ReadonlyMap<number, number> = new Map<number, number>([
  [X86_64_RELOC.SIGNED, 0],
  [X86_64_RELOC.SIGNED_1, 1],
  [X86_64_RELOC.SIGNED_2, 2],
  [X86_64_RELOC.SIGNED_4, 4],
]);

/** Applies every relocation and fills the pointers of symbol pointer sections. @throws LinkFailure */
export function relocateImage(image: LinkImage, addressOf: SymbolAddress): void {
  const { external, local } = linkedRelocations(image.file);
  for (const list of [local, external]) {
    for (let i = 0; i < list.length; i++) {
      const entry = list[i];
      if (entry.type !== X86_64_RELOC.SUBTRACTOR) {
        relocateOne(image, entry, addressOf);
        continue;
      }
      const pair = list[++i];
      if (pair === undefined || pair.type !== X86_64_RELOC.UNSIGNED) throw new LinkFailure(MALFORMED);
      subtract(image, entry, pair, addressOf);
    }
  }
  symbolPointers(image, addressOf);
}

/** The target: an external symbol's address, or how far the section of a local entry has moved. */
function targetOf(image: LinkImage, entry: MachoRelocation, addressOf: SymbolAddress): number {
  return entry.external ? addressOf(entry.symbol) : image.slide;
}

function relocateOne(image: LinkImage, entry: MachoRelocation, addressOf: SymbolAddress): void {
  // R_ABS: a local entry that belongs to no section.
  if (!entry.external && entry.symbol === 0) return;
  const target = targetOf(image, entry, addressOf);
  if (entry.bytes === 8) {
    if (entry.type !== X86_64_RELOC.UNSIGNED || entry.pcRelative) throw new LinkFailure(MALFORMED);
    const offset = image.offsetOf(entry.address, 8);
    const old = image.view.getBigInt64(offset, true);
    image.view.setBigInt64(offset, BigInt.asIntN(64, old + BigInt(target)), true);
    return;
  }
  if (entry.bytes !== 4 || !entry.pcRelative) throw new LinkFailure(MALFORMED);
  relative(image, entry, target);
}

function relative(image: LinkImage, entry: MachoRelocation, target: number): void {
  const trailing = entry.type === X86_64_RELOC.BRANCH ? 0 : TRAILING.get(entry.type);
  if (trailing === undefined) throw new LinkFailure(`${MALFORMED.slice(0, -1)} (type ${entry.type}).`);
  const offset = image.offsetOf(entry.address, 4);
  const old = image.view.getInt32(offset, true);
  const adjustment = entry.external ? 4 + entry.address + image.slide : trailing + image.slide;
  const value = old + target - adjustment;
  if (Math.abs(value) >= TWO_32 / 2) throw new LinkFailure(OVERFLOW);
  image.view.setInt32(offset, value, true);
}

function subtract(
  image: LinkImage,
  from: MachoRelocation,
  to: MachoRelocation,
  addressOf: SymbolAddress,
): void {
  if (from.bytes !== to.bytes || from.address !== to.address) throw new LinkFailure(MALFORMED);
  const difference = targetOf(image, to, addressOf) - targetOf(image, from, addressOf);
  const offset = image.offsetOf(from.address, from.bytes);
  if (from.bytes === 8) {
    const old = image.view.getBigInt64(offset, true);
    image.view.setBigInt64(offset, BigInt.asIntN(64, old + BigInt(difference)), true);
    return;
  }
  const value = image.view.getInt32(offset, true) + difference;
  if (from.bytes !== 4 || Math.abs(value) >= TWO_32 / 2) throw new LinkFailure(OVERFLOW);
  image.view.setInt32(offset, value, true);
}

/** Sections of symbol pointers: each names its symbol through the indirect symbol table. */
function symbolPointers(image: LinkImage, addressOf: SymbolAddress): void {
  const { file } = image;
  const { dynamic } = file;
  if (dynamic === undefined) return;
  const relocated = new Set<number>();
  const { external, local } = linkedRelocations(file);
  for (const { address } of [...external, ...local]) relocated.add(address);
  for (const section of file.sections) {
    // Other sections of that type have relocation entries, and kxld looks for this one by name.
    if (section.type !== S.NON_LAZY_SYMBOL_POINTERS || section.name !== '__nl_symbol_ptr') continue;
    const count = Math.floor(section.size / 8);
    if (section.reserved1 + count > dynamic.nindirectsyms) throw new LinkFailure(MALFORMED);
    for (let i = 0; i < count; i++) {
      const address = section.address + i * 8;
      if (relocated.has(address)) continue;
      pointer(image, address, indirectSymbol(file, dynamic.indirectsymoff, section.reserved1 + i), addressOf);
    }
  }
}

const indirectSymbol = (file: MachoFile, table: number, index: number): number =>
  file.view.u32(table + index * 4);

function pointer(image: LinkImage, address: number, symbol: number, addressOf: SymbolAddress): void {
  const localOnly = (symbol & INDIRECT_SYMBOL.LOCAL) !== 0;
  if (localOnly && (symbol & INDIRECT_SYMBOL.ABS) !== 0) return;
  const offset = image.offsetOf(address, 8);
  const add = localOnly ? image.slide : addressOf(symbol);
  const old = image.view.getBigInt64(offset, true);
  image.view.setBigInt64(offset, BigInt.asIntN(64, old + BigInt(add)), true);
}
