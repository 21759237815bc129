/**
 * A module file as data: following the pointers in its initialised data without loading it. In a relocatable file a
 * pointer is what its relocation says; in a linked one, what the relocation or the place itself holds.
 */
import { ByteView } from '../../bytes/view.ts';
import type { ObjectFile, ObjectRelocation, ObjectSection, ObjectSymbol } from '../../formats/object.ts';

/** A place in the initialised data of the file. */
export interface Place {
  readonly section: ObjectSection;
  readonly offset: number;
}

/** What a pointer points to: a place in the file, a symbol of somebody else, or nothing. */
export type Target = Place | { readonly external: string } | undefined;

/** Longest string that is read; no name or description in a kernel is longer. */
const MAX_STRING = 4096;

export class StaticImage {
  readonly file: ObjectFile;
  /** Bytes of a pointer. */
  readonly word: number;
  private readonly views = new Map<number, ByteView>();
  private readonly byOffset = new Map<number, Map<number, ObjectRelocation>>();
  private sorted: readonly ObjectSection[] | undefined;

  constructor(file: ObjectFile) {
    this.file = file;
    this.word = file.bits / 8;
  }

  /** A 32-bit field; 0 where the section has no bytes in the file (a structure of zeros goes to .bss). */
  u32(place: Place): number {
    const { section, offset } = place;
    if (section.zeroFill && offset >= 0 && offset + 4 <= section.size) return 0;
    return this.view(place.section).u32(place.offset, `field in ${place.section.name}`);
  }

  i32(place: Place): number {
    return this.u32(place) | 0;
  }

  /** Bytes at a place; zeros behind the end of what the file holds of a zero-filled section. */
  bytes(place: Place, length: number): Uint8Array {
    const { section, offset } = place;
    if (section.zeroFill) return new Uint8Array(Math.min(length, section.size));
    return this.view(section).slice(offset, length, `bytes in ${section.name}`);
  }

  /** The text at a place, up to its NUL. @throws Truncated when there is none */
  string(target: Target): string | undefined {
    if (target === undefined || 'external' in target) return undefined;
    const { data, name } = target.section;
    const start = target.offset;
    const end = data.indexOf(0, start);
    if (start < 0 || start > data.length) this.view(target.section).u8(start, `string in ${name}`);
    const stop = Math.min(end < 0 ? data.length : end, start + MAX_STRING);
    return latin1(data.subarray(start, stop));
  }

  at(place: Place, bytes: number): Place {
    return { section: place.section, offset: place.offset + bytes };
  }

  /** Follows the pointer at a place. */
  pointer(place: Place): Target {
    const relocation = this.relocations(place.section).get(place.offset);
    if (relocation === undefined) {
      return this.file.kind === 'relocatable' ? undefined : this.placeOf(this.wordAt(place));
    }
    const symbol = this.file.symbols[relocation.symbol];
    const addend = relocation.addend ?? this.wordAt(place);
    if (symbol === undefined || relocation.symbol === 0) return this.placeOf(addend);
    if (symbol.place === 'undefined') return { external: symbol.name };
    return this.shift(this.placeOfSymbol(symbol), addend);
  }

  placeOfSymbol(symbol: ObjectSymbol): Place | undefined {
    if (this.file.kind !== 'relocatable') return this.placeOf(symbol.value);
    const section = symbol.place === 'section' ? this.file.sections[symbol.section] : undefined;
    return section === undefined ? undefined : { section, offset: symbol.value };
  }

  /** The place that an address of a linked file lies at; 0 is nothing. */
  placeOf(address: number): Place | undefined {
    if (address === 0 || this.file.kind === 'relocatable') return undefined;
    this.sorted ??= this.file.sections.filter(({ allocated, size }) => allocated && size > 0);
    const section = this.sorted.find((one) => address >= one.address && address < one.address + one.size);
    return section === undefined ? undefined : { section, offset: address - section.address };
  }

  private shift(place: Place | undefined, bytes: number): Place | undefined {
    return place === undefined ? undefined : this.at(place, bytes);
  }

  private wordAt(place: Place): number {
    if (place.section.zeroFill) return 0;
    const view = this.view(place.section);
    return this.word === 8 ? view.s64(place.offset, 'pointer') : view.u32(place.offset, 'pointer');
  }

  private view(section: ObjectSection): ByteView {
    let view = this.views.get(section.index);
    if (view === undefined) {
      view = new ByteView(section.data, this.file.littleEndian);
      this.views.set(section.index, view);
    }
    return view;
  }

  /** Relocations of a section by offset in it, whatever kind of file it is. */
  private relocations(section: ObjectSection): Map<number, ObjectRelocation> {
    let map = this.byOffset.get(section.index);
    if (map === undefined) {
      const base = this.file.kind === 'relocatable' ? 0 : section.address;
      map = new Map(this.file.relocations(section.index).map((one) => [one.offset - base, one]));
      this.byOffset.set(section.index, map);
    }
    return map;
  }
}

/** One byte, one character: names in these files are ASCII, and a damaged one must not change its length. */
function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}
