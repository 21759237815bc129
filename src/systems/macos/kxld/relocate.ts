/** Relocations of kexts for x86_64 and i386 as kxld applies them (libkern/kxld/kxld_reloc.c). */
import { GENERIC_RELOC, INDIRECT_SYMBOL, S, X86_64_RELOC } from '../../../formats/macho/layout.ts';
import type { MachoFile } from '../../../formats/macho/read.ts';
import type { MachoRelocation } from '../../../formats/macho/relocations.ts';
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
  const { external, local } = image.relocations;
  for (const list of [local, external]) {
    if (image.word === 8) relocateWide(image, list, addressOf);
    else relocateGeneric(image, list, addressOf);
  }
  symbolPointers(image, addressOf);
}

function relocateWide(image: LinkImage, list: readonly MachoRelocation[], addressOf: SymbolAddress): void {
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

/**
 * generic_process_reloc, for i386. The image moves as a whole, so a local entry counts how far it has moved; what is
 * relative to its own place, and the difference of two places, stay as they are.
 */
function relocateGeneric(image: LinkImage, list: readonly MachoRelocation[], addressOf: SymbolAddress): void {
  for (let i = 0; i < list.length; i++) {
    const entry = list[i];
    if (entry.bytes !== 4) throw new LinkFailure(MALFORMED);
    const difference = entry.type === GENERIC_RELOC.SECTDIFF || entry.type === GENERIC_RELOC.LOCAL_SECTDIFF;
    if (difference) {
      if (list[++i]?.type !== GENERIC_RELOC.PAIR) throw new LinkFailure(MALFORMED);
      continue;
    }
    if (entry.type !== GENERIC_RELOC.VANILLA) throw new LinkFailure(MALFORMED);
    // R_ABS, as above.
    if (!entry.external && entry.scattered === undefined && entry.symbol === 0) continue;
    const target = targetOf(image, entry, addressOf) - (entry.pcRelative ? image.slide : 0);
    addTo(image, image.offsetOf(entry.address, 4), target);
  }
}

/** Adds to a word of the machine's size. */
function addTo(image: LinkImage, offset: number, value: number): void {
  const { view, word } = image;
  if (word === 8)
    view.setBigInt64(offset, BigInt.asIntN(64, view.getBigInt64(offset, true) + BigInt(value)), true);
  else view.setUint32(offset, (view.getUint32(offset, true) + value) >>> 0, true);
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
    addTo(image, image.offsetOf(entry.address, 8), target);
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
    addTo(image, offset, difference);
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
  const { external, local } = image.relocations;
  for (const { address } of [...external, ...local]) relocated.add(address);
  for (const section of file.sections) {
    // Other sections of that type have relocation entries, and kxld looks for this one by name.
    if (section.type !== S.NON_LAZY_SYMBOL_POINTERS || section.name !== '__nl_symbol_ptr') continue;
    const count = Math.floor(section.size / image.word);
    if (section.reserved1 + count > dynamic.nindirectsyms) throw new LinkFailure(MALFORMED);
    for (let i = 0; i < count; i++) {
      const address = section.address + i * image.word;
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
  addTo(image, image.offsetOf(address, image.word), localOnly ? image.slide : addressOf(symbol));
}
