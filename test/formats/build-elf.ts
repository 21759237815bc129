/** Writes small ELF files of any class and byte order, for tests of the reader. Fields can be overridden one by one. */

export interface SectionSpec {
  readonly name: string;
  readonly type: number;
  readonly flags?: number;
  readonly address?: number;
  readonly link?: number;
  readonly info?: number;
  readonly alignment?: number;
  readonly entrySize?: number;
  readonly data?: Uint8Array;
  /** sh_size where it is not the length of the data. */
  readonly size?: number;
}

export interface SymbolSpec {
  readonly name: string;
  readonly value?: number | bigint;
  readonly size?: number;
  readonly info?: number;
  readonly other?: number;
  readonly section?: number;
}

export class ElfBuilder {
  readonly bits: 32 | 64;
  readonly littleEndian: boolean;
  machine = 62;
  type = 1;
  /** Store e_shnum, e_shstrndx and e_phnum in section 0 (extended numbering). */
  extended = false;
  readonly segments: { type: number; offset: number; fileSize: number }[] = [];
  readonly sections: SectionSpec[] = [{ name: '', type: 0 }];

  constructor(bits: 32 | 64, littleEndian: boolean) {
    this.bits = bits;
    this.littleEndian = littleEndian;
  }

  /** Adds a section and returns its index. */
  add(section: SectionSpec): number {
    this.sections.push(section);
    return this.sections.length - 1;
  }

  /** A word of 16, 32 or 64 bits. */
  word(value: number | bigint, bytes: 2 | 4 | 8): Uint8Array {
    const out = new DataView(new ArrayBuffer(bytes));
    if (bytes === 2) out.setUint16(0, Number(value), this.littleEndian);
    else if (bytes === 4) out.setUint32(0, Number(BigInt.asUintN(32, BigInt(value))), this.littleEndian);
    else out.setBigUint64(0, BigInt.asUintN(64, BigInt(value)), this.littleEndian);
    return new Uint8Array(out.buffer);
  }

  /** An address-sized word of this class. */
  long(value: number | bigint): Uint8Array {
    return this.word(value, this.bits === 64 ? 8 : 4);
  }

  /** A string table and the offset of each string. */
  strings(names: readonly string[]): { data: Uint8Array; offsets: number[] } {
    const parts = [new Uint8Array(1)];
    const offsets: number[] = [];
    let at = 1;
    for (const name of names) {
      const bytes = new TextEncoder().encode(`${name}\0`);
      offsets.push(name === '' ? 0 : at);
      parts.push(bytes);
      at += bytes.length;
    }
    return { data: concat(parts), offsets };
  }

  /** Adds .strtab and .symtab; the null symbol is put in front. Returns the index of .symtab. */
  addSymbols(specs: readonly SymbolSpec[], firstGlobal = 1): number {
    const { data, offsets } = this.strings(specs.map((spec) => spec.name));
    const link = this.add({ name: '.strtab', type: 3, data });
    const entries = [{ name: '' }, ...specs].map((spec: SymbolSpec, i) => {
      const name = this.word(i === 0 ? 0 : offsets[i - 1], 4);
      const tail = [Uint8Array.of(spec.info ?? 0, spec.other ?? 0), this.word(spec.section ?? 0, 2)];
      const numbers = [this.long(spec.value ?? 0), this.long(spec.size ?? 0)];
      return concat(this.bits === 64 ? [name, ...tail, ...numbers] : [name, ...numbers, ...tail]);
    });
    const entrySize = this.bits === 64 ? 24 : 16;
    return this.add({
      name: '.symtab',
      type: 2,
      link,
      info: firstGlobal,
      entrySize,
      data: concat(entries),
      alignment: 8,
    });
  }

  build(): Uint8Array {
    const all = [...this.sections, { name: '.shstrtab', type: 3 } as SectionSpec];
    const names = this.strings(all.map((section) => section.name));
    all[all.length - 1] = { name: '.shstrtab', type: 3, data: names.data };
    const wide = this.bits === 64;
    const [headerSize, segmentSize, sectionSize] = wide ? [64, 56, 64] : [52, 32, 40];
    let at = headerSize + this.segments.length * segmentSize;
    const offsets = all.map((section) => {
      const here = at;
      at += section.type === 8 ? 0 : Math.ceil((section.data?.length ?? 0) / 8) * 8;
      return here;
    });
    const header = this.#header(headerSize, at, segmentSize, sectionSize, all.length);
    const headers = all.map((section, i) =>
      this.#sectionHeader(section, names.offsets[i], offsets[i], i, all.length),
    );
    const out = new Uint8Array(at + all.length * sectionSize);
    out.set(header, 0);
    this.segments.forEach((segment, i) => {
      out.set(this.#segmentHeader(segment), headerSize + i * segmentSize);
    });
    all.forEach((section, i) => {
      if (section.data && section.type !== 8) out.set(section.data, offsets[i]);
      out.set(headers[i], at + i * sectionSize);
    });
    return out;
  }

  #header(size: number, shoff: number, segmentSize: number, sectionSize: number, count: number): Uint8Array {
    const ident = new Uint8Array(16);
    ident.set([0x7f, 0x45, 0x4c, 0x46, this.bits === 64 ? 2 : 1, this.littleEndian ? 1 : 2, 1]);
    const half = (value: number): Uint8Array => this.word(value, 2);
    return concat([
      ident,
      half(this.type),
      half(this.machine),
      this.word(1, 4),
      this.long(0),
      this.long(this.segments.length > 0 ? size : 0),
      this.long(shoff),
      this.word(0, 4),
      half(size),
      half(this.segments.length > 0 ? segmentSize : 0),
      half(this.extended && this.segments.length > 0 ? 0xffff : this.segments.length),
      half(sectionSize),
      half(this.extended ? 0 : count),
      half(this.extended ? 0xffff : count - 1),
    ]);
  }

  #sectionHeader(
    section: SectionSpec,
    name: number,
    offset: number,
    index: number,
    count: number,
  ): Uint8Array {
    const first = this.extended && index === 0;
    return concat([
      this.word(name, 4),
      this.word(section.type, 4),
      this.long(section.flags ?? 0),
      this.long(section.address ?? 0),
      this.long(index === 0 ? 0 : offset),
      this.long(first ? count : (section.size ?? section.data?.length ?? 0)),
      this.word(first ? count - 1 : (section.link ?? 0), 4),
      this.word(first ? this.segments.length : (section.info ?? 0), 4),
      this.long(section.alignment ?? 1),
      this.long(section.entrySize ?? 0),
    ]);
  }

  #segmentHeader(segment: { type: number; offset: number; fileSize: number }): Uint8Array {
    const { long } = { long: (value: number) => this.long(value) };
    const numbers = [long(segment.offset), long(0), long(0), long(segment.fileSize), long(segment.fileSize)];
    const flags = this.word(5, 4);
    const type = this.word(segment.type, 4);
    return this.bits === 64
      ? concat([type, flags, ...numbers, long(4)])
      : concat([type, ...numbers, flags, long(4)]);
  }
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
