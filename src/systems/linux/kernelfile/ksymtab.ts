import { Invalid } from '../../../bytes/errors.ts';
import type { ElfSection } from '../../../formats/elf/headers.ts';
import { SHDR } from '../../../formats/elf/layout.ts';
import type { ElfFile } from '../../../formats/elf/read.ts';
import { type ExportKind, ExportTable, type KernelExport } from './exports.ts';

/**
 * Shapes of `struct kernel_symbol` over the years (include/linux/export.h): relative 32-bit references or
 * pointers, with and without the namespace that came in 5.4. Which one an image has is not written anywhere,
 * so each is tried: all names of a table must lie in the string section.
 */
interface EntryShape {
  readonly bytes: number;
  readonly relative: boolean;
  readonly namespaced: boolean;
}

const RELATIVE_SHAPES: readonly EntryShape[] = [
  { bytes: 12, relative: true, namespaced: true },
  { bytes: 8, relative: true, namespaced: false },
];

const pointerShapes = (word: number): readonly EntryShape[] => [
  { bytes: 3 * word, relative: false, namespaced: true },
  { bytes: 2 * word, relative: false, namespaced: false },
];

/** Bit of `__kflagstab` (include/linux/module_symbol.h). */
export const KSYM_FLAG_GPL_ONLY = 1;

/** Exports of a kernel image, both tables. Empty when the kernel was built without modules. Throws Invalid. */
export function readExports(elf: ElfFile, kindOf: (address: number) => ExportKind): ExportTable {
  const strings = elf.section('__ksymtab_strings');
  if (strings === undefined) return ExportTable.from([]);
  const reader = new KsymtabReader(elf, strings, kindOf);
  return ExportTable.from([...reader.table('', false), ...reader.table('_gpl', true)]);
}

class KsymtabReader {
  readonly #elf: ElfFile;
  readonly #strings: ElfSection;
  readonly #stringBytes: Uint8Array;
  readonly #kindOf: (address: number) => ExportKind;

  constructor(elf: ElfFile, strings: ElfSection, kindOf: (address: number) => ExportKind) {
    this.#elf = elf;
    this.#strings = strings;
    this.#stringBytes = elf.data(strings);
    this.#kindOf = kindOf;
  }

  table(suffix: string, gplOnly: boolean): Omit<KernelExport, 'isFunction'>[] {
    const section = this.#elf.section(`__ksymtab${suffix}`);
    if (section === undefined || section.size === 0) return [];
    const shape = this.#shapeOf(section);
    const count = section.size / shape.bytes;
    const crcs = this.#crcs(`__kcrctab${suffix}`, count);
    const flags = suffix === '' ? this.#flags(count) : undefined;
    const rows: Omit<KernelExport, 'isFunction'>[] = [];
    for (let i = 0; i < section.size / shape.bytes; i++) {
      const address = this.#reference(section, shape, i, 0);
      const namespace = shape.namespaced ? this.#text(this.#place(section, shape, i, 2)) : '';
      rows.push({
        name: this.#text(this.#place(section, shape, i, 1)),
        address,
        crc: crcs?.[i],
        gplOnly: gplOnly || ((flags?.[i] ?? 0) & KSYM_FLAG_GPL_ONLY) !== 0,
        namespace,
        kind: this.#kindOf(address),
      });
    }
    return rows;
  }

  /** One table for all exports, and a byte of flags for each, in place of a table of its own for GPL-only ones. */
  #flags(count: number): Uint8Array | undefined {
    const section = this.#elf.section('__kflagstab');
    if (section === undefined || section.size === 0) return undefined;
    if (section.size !== count) {
      throw new Invalid('__kflagstab', `${section.size} bytes for ${count} exports`, {
        offset: section.offset,
      });
    }
    return this.#elf.data(section);
  }

  #shapeOf(section: ElfSection): EntryShape {
    for (const shape of [...RELATIVE_SHAPES, ...pointerShapes(this.#elf.bits / 8)]) {
      if (section.size % shape.bytes === 0 && this.#allNamed(section, shape)) return shape;
    }
    throw new Invalid(section.name, 'no known shape of struct kernel_symbol makes every name a string', {
      offset: section.offset,
      value: section.size,
    });
  }

  #allNamed(section: ElfSection, shape: EntryShape): boolean {
    const { size } = this.#strings;
    for (let i = 0; i < section.size / shape.bytes; i++) {
      const name = this.#place(section, shape, i, 1);
      if (name === undefined || !(name >= 0 && name < size)) return false;
      // A name begins a string, or is the tail of a longer one (the section is suffix-merged), never empty.
      if (this.#stringBytes[name] === 0) return false;
    }
    return true;
  }

  /**
   * Offset in the strings that field number `field` of entry `i` refers to; undefined where it refers to nothing. Exact also
   * where addresses are too large for a number (ppc64).
   */
  #place(section: ElfSection, shape: EntryShape, i: number, field: number): number | undefined {
    const width = shape.bytes / (shape.namespaced ? 3 : 2);
    const at = i * shape.bytes + field * width;
    const { view } = this.#elf;
    const start = this.#exact(this.#strings);
    if (shape.relative) {
      const distance = view.i32(section.offset + at);
      return distance === 0 ? undefined : Number(this.#exact(section) - start) + at + distance;
    }
    const address = width === 8 ? view.i64(section.offset + at) : BigInt(view.u32(section.offset + at));
    return address === 0n ? undefined : Number(address - start);
  }

  /** sh_addr */
  #exact({ index, address }: ElfSection): bigint {
    const { bits, header, view } = this.#elf;
    return bits === 64 ? view.i64(header.shoff + index * SHDR[64].size + 16) : BigInt(address);
  }

  /** Address that field number `field` of entry `i` refers to; 0 stands for no namespace. */
  #reference(section: ElfSection, shape: EntryShape, i: number, field: number): number {
    const width = shape.bytes / (shape.namespaced ? 3 : 2);
    const at = i * shape.bytes + field * width;
    const { view } = this.#elf;
    if (!shape.relative) {
      return width === 8 ? view.s64(section.offset + at) : view.u32(section.offset + at);
    }
    const distance = view.i32(section.offset + at);
    // A zero distance is the absent namespace: nothing refers to itself.
    return distance === 0 ? 0 : section.address + at + distance;
  }

  #crcs(name: string, count: number): Uint32Array | undefined {
    const section = this.#elf.section(name);
    if (section === undefined || section.size === 0) return undefined;
    // Before 5.x a CRC was stored as an address-sized absolute value.
    const width = section.size / count;
    if (width !== 4 && width !== 8) {
      throw new Invalid(name, `${section.size} bytes for ${count} exports`, { offset: section.offset });
    }
    const { view, littleEndian } = this.#elf;
    const low = width === 8 && !littleEndian ? 4 : 0;
    return Uint32Array.from({ length: count }, (_, i) => view.u32(section.offset + i * width + low));
  }

  #text(from: number | undefined): string {
    if (from === undefined || !(from >= 0 && from < this.#strings.size)) return '';
    const end = this.#stringBytes.indexOf(0, from);
    let text = '';
    for (let i = from; i < (end < 0 ? this.#stringBytes.length : end); i++) {
      text += String.fromCharCode(this.#stringBytes[i]!);
    }
    return text;
  }
}
