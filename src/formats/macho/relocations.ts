/** Relocation entries (mach-o/reloc.h): plain and scattered, of sections (MH_OBJECT) and of whole files (LC_DYSYMTAB). */
import type { ByteView } from '../../bytes/view.ts';
import { R_SCATTERED, RELOCATION_NAMES } from './layout.ts';
import type { MachoFile, MachoSection } from './read.ts';

export interface MachoRelocation {
  /** Offset in the section (MH_OBJECT) or address as linked. */
  readonly address: number;
  /** Symbol index when external, 1-based section ordinal otherwise; 0 in scattered entries. */
  readonly symbol: number;
  readonly external: boolean;
  readonly pcRelative: boolean;
  /** Bytes: 1, 2, 4 or 8. */
  readonly bytes: number;
  readonly type: number;
  /** The address a scattered entry refers to. */
  readonly scattered: number | undefined;
}

const ENTRY_BYTES = 8;

/** Reads `count` entries at `offset`; the caller's bounds are checked. @throws Truncated */
export function readRelocations(
  view: ByteView,
  offset: number,
  count: number,
  littleEndian: boolean,
): MachoRelocation[] {
  view.need(offset, count * ENTRY_BYTES, 'relocations');
  return Array.from({ length: count }, (_, i) => readEntry(view, offset + i * ENTRY_BYTES, littleEndian));
}

function readEntry(view: ByteView, at: number, littleEndian: boolean): MachoRelocation {
  const first = view.u32(at);
  const second = view.u32(at + 4);
  if ((first & R_SCATTERED) !== 0) {
    return {
      address: first & 0x00ffffff,
      symbol: 0,
      external: false,
      pcRelative: ((first >>> 30) & 1) === 1,
      bytes: 1 << ((first >>> 28) & 3),
      type: (first >>> 24) & 15,
      scattered: second,
    };
  }
  // The bit fields of the second word are laid out from the other end in big-endian files.
  const [symbol, rest] = littleEndian
    ? [second & 0xffffff, second >>> 24]
    : [second >>> 8, mirror(second & 0xff)];
  return {
    address: first,
    symbol,
    external: ((rest >>> 3) & 1) === 1,
    pcRelative: (rest & 1) === 1,
    bytes: 1 << ((rest >>> 1) & 3),
    type: rest >>> 4,
    scattered: undefined,
  };
}

/** pcrel:1 length:2 extern:1 type:4 from the high end, put into the little-endian order. */
function mirror(byte: number): number {
  return (byte >>> 7) | (((byte >>> 5) & 3) << 1) | (((byte >>> 4) & 1) << 3) | ((byte & 15) << 4);
}

/** Entries of one section's own list (MH_OBJECT). */
export function sectionRelocations(file: MachoFile, section: MachoSection): MachoRelocation[] {
  return readRelocations(file.view, section.reloff, section.nreloc, file.header.littleEndian);
}

/** Entries of a linked file: external ones, then local ones. */
export function linkedRelocations(file: MachoFile): {
  external: MachoRelocation[];
  local: MachoRelocation[];
} {
  const { dynamic, view, header } = file;
  if (dynamic === undefined) return { external: [], local: [] };
  return {
    external: readRelocations(view, dynamic.extreloff, dynamic.nextrel, header.littleEndian),
    local: readRelocations(view, dynamic.locreloff, dynamic.nlocrel, header.littleEndian),
  };
}

export function relocationName(cputype: number, type: number): string {
  return RELOCATION_NAMES.get(cputype)?.[type] ?? `type ${type}`;
}
