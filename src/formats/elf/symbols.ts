/** One symbol table (SHT_SYMTAB or SHT_DYNSYM), gABI "Symbol Table". */
import { nulAt } from '../../bytes/cstring.ts';
import { Invalid, Truncated, Unsupported } from '../../bytes/errors.ts';
import type { ByteView } from '../../bytes/view.ts';
import type { ElfSection } from './headers.ts';
import { SHN, SHT, STT, SYM } from './layout.ts';
import { boundedName, MAX_NAME, nameBudget } from './names.ts';

/** Where a symbol is; 'reserved' is a processor's or system's own st_shndx, such as SHN_MIPS_SCOMMON. */
export type SymbolIn = 'undefined' | 'absolute' | 'common' | 'section' | 'reserved';

export interface ElfSymbol {
  readonly index: number;
  readonly name: string;
  /** Signed in 64-bit files, unsigned in 32-bit ones; exact within +-2^53 (ElfSymbols.exactValue has all bits). */
  readonly value: number;
  readonly size: number;
  /** STB_* */
  readonly binding: number;
  /** STT_* */
  readonly type: number;
  /** st_other, all of it; the low two bits are the visibility (STV_*). */
  readonly other: number;
  readonly place: SymbolIn;
  /** Section index when place is 'section' (extended numbering resolved), otherwise st_shndx as it stands. */
  readonly section: number;
}

export interface SymbolSource {
  readonly view: ByteView;
  readonly bits: 32 | 64;
  readonly table: ElfSection;
  readonly strings: Uint8Array;
  /** The SHT_SYMTAB_SHNDX section that belongs to the table. */
  readonly extended: ElfSection | undefined;
  readonly sectionCount: number;
}

/** The symbols of one table. Fields are read from the file when asked for; names are made then, too. */
export class ElfSymbols {
  readonly table: ElfSection;
  /** Including entry 0, the undefined symbol. */
  readonly count: number;
  readonly #source: SymbolSource;
  readonly #entry: number;
  #all: readonly ElfSymbol[] | undefined;

  /** @throws Invalid, Truncated when a name or a section index of any symbol is out of range */
  constructor(source: SymbolSource) {
    const { table, bits } = source;
    this.#source = source;
    this.table = table;
    this.#entry = SYM[bits].size;
    if (table.entrySize !== this.#entry && table.size > 0) {
      throw new Invalid(`symbol table ${table.name}`, `sh_entsize must be ${this.#entry}`, {
        value: table.entrySize,
      });
    }
    if (table.size % this.#entry !== 0) {
      throw new Invalid(`symbol table ${table.name}`, `size is no multiple of ${this.#entry}`, {
        value: table.size,
      });
    }
    this.count = table.size / this.#entry;
    this.#check();
  }

  /** sh_info: index of the first symbol that is not local. */
  get firstGlobal(): number {
    return this.table.info;
  }

  nameOffset(index: number): number {
    return this.#source.view.u32(this.#at(index));
  }

  name(index: number): string {
    return boundedName(this.#source.strings, this.nameOffset(index), `symbol ${index} of ${this.table.name}`);
  }

  value(index: number): number {
    const { view, bits } = this.#source;
    const at = this.#at(index) + SYM[bits].value;
    return bits === 64 ? view.s64(at) : view.u32(at);
  }

  /** All bits of st_value, unsigned. */
  exactValue(index: number): bigint {
    const { view, bits } = this.#source;
    const at = this.#at(index) + SYM[bits].value;
    return bits === 64 ? view.u64(at) : BigInt(view.u32(at));
  }

  size(index: number): number {
    const { view, bits } = this.#source;
    const at = this.#at(index) + SYM[bits].bytes;
    return bits === 64 ? view.n64(at) : view.u32(at);
  }

  /** st_info: binding << 4 | type. */
  info(index: number): number {
    return this.#source.view.u8(this.#at(index) + SYM[this.#source.bits].info);
  }

  other(index: number): number {
    return this.#source.view.u8(this.#at(index) + SYM[this.#source.bits].other);
  }

  /** st_shndx as it stands. */
  rawSection(index: number): number {
    return this.#source.view.u16(this.#at(index) + SYM[this.#source.bits].shndx);
  }

  place(index: number): SymbolIn {
    const raw = this.rawSection(index);
    if (raw === SHN.UNDEF) return 'undefined';
    if (this.#isLostSection(index)) return 'absolute';
    if (raw < SHN.LORESERVE || raw === SHN.XINDEX) return 'section';
    if (raw === SHN.ABS) return 'absolute';
    return raw === SHN.COMMON ? 'common' : 'reserved';
  }

  /** Section index with SHN_XINDEX resolved; reserved numbers as they stand. */
  section(index: number): number {
    const raw = this.rawSection(index);
    const { extended, view } = this.#source;
    if (raw !== SHN.XINDEX || extended === undefined) return raw;
    return view.u32(extended.offset + index * 4);
  }

  get(index: number): ElfSymbol {
    const info = this.info(index);
    return {
      index,
      name: this.name(index),
      value: this.value(index),
      size: this.size(index),
      binding: info >> 4,
      type: info & 15,
      other: this.other(index),
      place: this.place(index),
      section: this.section(index),
    };
  }

  /** All symbols as objects, made once. @throws Unsupported when their names are too long or repeat too much */
  all(): readonly ElfSymbol[] {
    if (this.#all !== undefined) return this.#all;
    this.checkNames();
    this.#all = Array.from({ length: this.count }, (_, index) => this.get(index));
    return this.#all;
  }

  /** Before names of all symbols are made. @throws Unsupported when they are too long or repeat too much */
  checkNames(): void {
    const { strings, view } = this.#source;
    let budget = nameBudget(view.length);
    for (let index = 0; index < this.count; index++) {
      const start = this.nameOffset(index);
      const most = Math.min(strings.length, start + MAX_NAME);
      const nul = nulAt(strings, start, most);
      // One that is too long is told by whoever reads it.
      if (nul < 0 && most < strings.length) this.name(index);
      budget -= (nul < 0 ? most : nul) - start;
      if (budget < 0) throw new Unsupported(`symbol table ${this.table.name}`, 'names repeat too many bytes');
    }
  }

  /**
   * strip removes sections of linked files but leaves their section symbols in .dynsym, which nothing refers to (FreeBSD
   * 8 modules have them): they are of no section.
   */
  #isLostSection(index: number): boolean {
    const { sectionCount } = this.#source;
    const raw = this.rawSection(index);
    if (this.table.type !== SHT.DYNSYM || raw < sectionCount || raw >= SHN.LORESERVE) return false;
    return (this.info(index) & 15) === STT.SECTION;
  }

  #at(index: number): number {
    if (!(index >= 0 && index < this.count)) {
      throw new Invalid(`symbol table ${this.table.name}`, `has ${this.count} symbols`, { value: index });
    }
    return this.table.offset + index * this.#entry;
  }

  #check(): void {
    const { extended, strings, sectionCount, view } = this.#source;
    if (extended !== undefined && extended.size < this.count * 4) {
      const problem = `section ${extended.name} has fewer entries than the ${this.count} symbols`;
      throw new Truncated(`symbol table ${this.table.name}`, problem, { offset: extended.offset });
    }
    for (let index = 0; index < this.count; index++) {
      const name = this.nameOffset(index);
      if (name >= strings.length && name !== 0) {
        const problem = `name is outside the string table of ${strings.length} bytes`;
        throw new Invalid(`symbol ${index} of ${this.table.name}`, problem, {
          offset: this.#at(index),
          value: name,
        });
      }
      const raw = this.rawSection(index);
      if (raw === SHN.XINDEX && extended === undefined) {
        const problem = 'SHN_XINDEX without a SHT_SYMTAB_SHNDX section';
        throw new Invalid(`symbol ${index} of ${this.table.name}`, problem, { offset: this.#at(index) });
      }
      const section = raw === SHN.XINDEX && extended ? view.u32(extended.offset + index * 4) : raw;
      if (this.#isLostSection(index)) continue;
      if (section >= sectionCount && (raw < SHN.LORESERVE || raw === SHN.XINDEX)) {
        const problem = `there are ${sectionCount} sections`;
        throw new Invalid(`symbol ${index} of ${this.table.name}`, problem, {
          offset: this.#at(index),
          value: section,
        });
      }
    }
  }
}
