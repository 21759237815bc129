/** One relocation section (SHT_REL, SHT_RELA or SHT_RELR), gABI "Relocation". */
import { Invalid } from '../../bytes/errors.ts';
import type { ByteView } from '../../bytes/view.ts';
import type { ElfSection } from './headers.ts';
import { EM, REL_SIZE, RELA_SIZE, SHT } from './layout.ts';

const TWO_32 = 4294967296;

export interface RelocationSource {
  readonly view: ByteView;
  readonly bits: 32 | 64;
  readonly machine: number;
  readonly section: ElfSection;
  /** Entries of the symbol table named by sh_link; 1 when there is none (only symbol 0 may be named). */
  readonly symbolCount: number;
  readonly sectionCount: number;
  /** ET_REL: sh_info must name the section that is changed. */
  readonly relocatable: boolean;
}

/**
 * The entries of one SHT_REL or SHT_RELA section as columns, for a loader's inner loop.
 * Types of 64-bit MIPS carry up to three operations: r_type in bits 0-7, r_type2 in 8-15, r_type3 in 16-23, r_ssym in
 * 24-31. The data that 64-bit SPARC keeps in the upper 24 bits of R_SPARC_OLO10's type is in `extra`.
 */
export class ElfRelocations {
  readonly section: ElfSection;
  readonly count: number;
  /** SHT_RELA: addends are in `addends`. SHT_REL: they are in the bytes to be changed. */
  readonly explicitAddends: boolean;
  /** Offset in section sh_info (ET_REL) or address. Signed in 64-bit files. */
  readonly offsets: Float64Array;
  readonly types: Uint32Array;
  readonly symbols: Uint32Array;
  /** Signed, exact within +-2^53; exactAddend has all bits. Zeros when explicitAddends is false. */
  readonly addends: Float64Array;
  readonly #source: RelocationSource;
  readonly #entry: number;

  /** @throws Invalid when the size, the target section or the symbol of an entry is out of range */
  constructor(source: RelocationSource) {
    const { section, bits, relocatable, sectionCount } = source;
    this.#source = source;
    this.section = section;
    this.explicitAddends = section.type === SHT.RELA;
    if (!this.explicitAddends && section.type !== SHT.REL) {
      throw new Invalid(`section ${section.name}`, 'is no SHT_REL or SHT_RELA section', {
        value: section.type,
      });
    }
    this.#entry = (this.explicitAddends ? RELA_SIZE : REL_SIZE)[bits];
    if (section.size % this.#entry !== 0) {
      throw new Invalid(`relocations ${section.name}`, `size is no multiple of ${this.#entry}`, {
        value: section.size,
      });
    }
    if (relocatable && section.info >= sectionCount) {
      const problem = `sh_info names the section to change, there are ${sectionCount}`;
      throw new Invalid(`relocations ${section.name}`, problem, { value: section.info });
    }
    this.count = section.size / this.#entry;
    this.offsets = new Float64Array(this.count);
    this.types = new Uint32Array(this.count);
    this.symbols = new Uint32Array(this.count);
    this.addends = new Float64Array(this.explicitAddends ? this.count : 0);
    if (bits === 64) this.#read64();
    else this.#read32();
    this.#check();
  }

  /** All bits of r_addend, signed. */
  exactAddend(index: number): bigint {
    const { view, section, bits } = this.#source;
    const at = section.offset + index * this.#entry;
    if (!this.explicitAddends) return 0n;
    return bits === 64 ? view.i64(at + 16) : BigInt(view.i32(at + 8));
  }

  /** The secondary data of a SPARC V9 type (gABI supplement, ELF64_R_TYPE_DATA), signed; 0 elsewhere. */
  extra(index: number): number {
    const { view, section, bits, machine } = this.#source;
    if (bits !== 64 || machine !== EM.SPARCV9) return 0;
    const at = section.offset + index * this.#entry + 8;
    return view.i32(at + (view.littleEndian ? 0 : 4)) >> 8;
  }

  #read32(): void {
    const { view, section } = this.#source;
    for (let i = 0; i < this.count; i++) {
      const at = section.offset + i * this.#entry;
      const info = view.u32(at + 4);
      this.offsets[i] = view.u32(at);
      this.types[i] = info & 0xff;
      this.symbols[i] = info >>> 8;
      if (this.explicitAddends) this.addends[i] = view.i32(at + 8);
    }
  }

  #read64(): void {
    const { view, section, machine } = this.#source;
    if (view.littleEndian && machine === EM.X86_64) {
      this.#readPlain();
      return;
    }
    const low = view.littleEndian ? 8 : 12;
    const typeMask = machine === EM.SPARCV9 ? 0xff : 0xffffffff;
    for (let i = 0; i < this.count; i++) {
      const at = section.offset + i * this.#entry;
      this.offsets[i] = view.s64(at);
      if (machine === EM.MIPS || machine === EM.MIPS_RS3_LE) {
        // r_sym, r_ssym, r_type3, r_type2, r_type: the same order of fields in both byte orders (MIPS64 ELF ABI, 2.9).
        this.symbols[i] = view.u32(at + 8);
        const [ssym, third, second, first] = [
          view.u8(at + 12),
          view.u8(at + 13),
          view.u8(at + 14),
          view.u8(at + 15),
        ];
        this.types[i] = first | (second << 8) | (third << 16) | (ssym << 24);
      } else {
        this.types[i] = view.u32(at + low) & typeMask;
        this.symbols[i] = view.u32(at + 20 - low);
      }
      if (this.explicitAddends) this.addends[i] = view.s64(at + 16);
    }
  }

  /** What almost every file is: entries of whole words in the order of most machines. */
  #readPlain(): void {
    const { view, section } = this.#source;
    const { byteOffset, buffer } = view.slice(section.offset, section.size, `relocations ${section.name}`);
    const words = new DataView(buffer, byteOffset, section.size);
    const { offsets, types, symbols, addends, explicitAddends, count } = this;
    for (let i = 0, at = 0; i < count; i++, at += this.#entry) {
      offsets[i] = words.getInt32(at + 4, true) * TWO_32 + words.getUint32(at, true);
      types[i] = words.getInt32(at + 8, true);
      symbols[i] = words.getInt32(at + 12, true);
      if (explicitAddends)
        addends[i] = words.getInt32(at + 20, true) * TWO_32 + words.getUint32(at + 16, true);
    }
  }

  #check(): void {
    const { section, symbolCount } = this.#source;
    for (let i = 0; i < this.count; i++) {
      if (this.symbols[i] < symbolCount || this.symbols[i] === 0) continue;
      const offset = section.offset + i * this.#entry;
      const problem = `symbol is not in the table of ${symbolCount}`;
      throw new Invalid(`relocation ${i} of ${section.name}`, problem, { offset, value: this.symbols[i] });
    }
  }
}

/**
 * The addresses that a SHT_RELR section asks to be relocated by the load bias (gABI, "Relative Relocation Table"): an even
 * word is an address, an odd one a bitmap of the words behind it.
 * @throws Invalid when a bitmap comes before any address
 */
export function* relativeRelocations(view: ByteView, section: ElfSection, bits: 32 | 64): Generator<number> {
  const word = bits / 8;
  let next: number | undefined;
  for (let at = section.offset; at + word <= section.offset + section.size; at += word) {
    const low = view.u32(at + (bits === 64 && !view.littleEndian ? 4 : 0));
    const high = bits === 64 ? view.u32(at + (view.littleEndian ? 4 : 0)) : 0;
    if ((low & 1) === 0) {
      const address = bits === 64 ? view.s64(at) : low;
      yield address;
      next = address + word;
      continue;
    }
    if (next === undefined)
      throw new Invalid(`section ${section.name}`, 'begins with a bitmap', { offset: at });
    for (let bit = 1; bit < bits; bit++) {
      const set = bit < 32 ? (low >>> bit) & 1 : (high >>> (bit - 32)) & 1;
      if (set === 1) yield next + (bit - 1) * word;
    }
    next += (bits - 1) * word;
  }
}
