/**
 * Universal ("fat") files: several Mach-O files for different processors in one (mach-o/fat.h). The headers are big-endian
 * whatever is inside.
 */
import { BadMagic, Invalid, Truncated } from '../../bytes/errors.ts';
import { ByteView } from '../../bytes/view.ts';
import { CPU, CPU_SUBTYPE, CPU_SUBTYPE_MASK, MAGIC } from './layout.ts';

/** One architecture of a universal file, or the only one of a thin file. */
export interface FatSlice {
  readonly cputype: number;
  readonly cpusubtype: number;
  /** Byte offset in the file. */
  readonly offset: number;
  readonly size: number;
  /** Power of two that the offset is a multiple of. */
  readonly alignment: number;
  /** The slice's bytes, a view. */
  readonly bytes: Uint8Array;
}

const HEADER_BYTES = 8;
const ENTRY_BYTES = { 32: 20, 64: 32 } as const;
/** Java class files share the magic; theirs is followed by a version, which is 45 or more. */
const MAX_ARCHITECTURES = 44;

const HOST_NAMES: ReadonlyMap<number, string> = new Map([
  [CPU.X86, 'i386'],
  [CPU.X86_64, 'x86_64'],
  [CPU.ARM, 'arm'],
  [CPU.ARM64, 'arm64'],
  [CPU.ARM64_32, 'arm64_32'],
  [CPU.PPC, 'ppc'],
  [CPU.PPC64, 'ppc64'],
]);

/** The name that Apple's tools give an architecture: `x86_64`, `arm64e`. */
export function architectureName(cputype: number, cpusubtype: number): string {
  const subtype = cpusubtype & CPU_SUBTYPE_MASK;
  if (cputype === CPU.ARM64 && subtype === CPU_SUBTYPE.ARM64E) return 'arm64e';
  if (cputype === CPU.X86_64 && subtype === CPU_SUBTYPE.X86_64_H) return 'x86_64h';
  return HOST_NAMES.get(cputype) ?? `cputype (${cputype | 0}) cpusubtype (${subtype})`;
}

/** Is this a universal file, or a thin one of either width and byte order? */
export function isMachO(bytes: Uint8Array): boolean {
  if (bytes.length < HEADER_BYTES) return false;
  const view = new ByteView(bytes, false);
  const magic = view.u32(0);
  if (magic === MAGIC.FAT || magic === MAGIC.FAT_64) return view.u32(4) <= MAX_ARCHITECTURES;
  return thinByteOrder(bytes) !== undefined;
}

/** Byte order of a thin file; undefined when it is none. */
export function thinByteOrder(bytes: Uint8Array): 'little' | 'big' | undefined {
  if (bytes.length < 4) return undefined;
  for (const order of ['little', 'big'] as const) {
    const magic = new ByteView(bytes, order === 'little').u32(0);
    if (magic === MAGIC.MH || magic === MAGIC.MH_64) return order;
  }
  return undefined;
}

/** The Mach-O files in a universal file, in its order; a thin file is its own only slice. @throws BadMagic, Truncated, Invalid */
export function readSlices(bytes: Uint8Array): FatSlice[] {
  const order = thinByteOrder(bytes);
  if (order !== undefined) {
    const view = new ByteView(bytes, order === 'little');
    view.need(0, 12, 'mach_header');
    return [
      { cputype: view.u32(4), cpusubtype: view.u32(8), offset: 0, size: bytes.length, alignment: 1, bytes },
    ];
  }
  const view = new ByteView(bytes, false);
  if (bytes.length < HEADER_BYTES) throw new BadMagic('Mach-O', 'the file is too short for a header');
  const magic = view.u32(0);
  if (magic !== MAGIC.FAT && magic !== MAGIC.FAT_64) {
    throw new BadMagic('Mach-O', 'neither a Mach-O header nor a universal header', {
      offset: 0,
      value: magic,
    });
  }
  return readFat(view, magic === MAGIC.FAT ? 32 : 64);
}

function readFat(view: ByteView, bits: 32 | 64): FatSlice[] {
  const count = view.u32(4, 'nfat_arch');
  if (count > MAX_ARCHITECTURES) {
    throw new Invalid('nfat_arch', 'more architectures than there are (a Java class file?)', {
      offset: 4,
      value: count,
    });
  }
  const slices: FatSlice[] = [];
  for (let i = 0; i < count; i++) {
    const slice = readEntry(view, HEADER_BYTES + i * ENTRY_BYTES[bits], bits, i);
    const twin = slices.find(
      (other) => other.cputype === slice.cputype && sameSubtype(other.cpusubtype, slice.cpusubtype),
    );
    if (twin !== undefined) {
      const name = architectureName(slice.cputype, slice.cpusubtype);
      throw new Invalid(`fat_arch ${i}`, `a second file for ${name}`, {
        offset: HEADER_BYTES + i * ENTRY_BYTES[bits],
      });
    }
    slices.push(slice);
  }
  return slices;
}

const sameSubtype = (a: number, b: number): boolean => (a & CPU_SUBTYPE_MASK) === (b & CPU_SUBTYPE_MASK);

function readEntry(view: ByteView, at: number, bits: 32 | 64, index: number): FatSlice {
  view.need(at, ENTRY_BYTES[bits], `fat_arch ${index}`);
  const offset = bits === 32 ? view.u32(at + 8) : view.n64(at + 8);
  const size = bits === 32 ? view.u32(at + 12) : view.n64(at + 16);
  const align = view.u32(at + (bits === 32 ? 16 : 24));
  if (align > 31)
    throw new Invalid(`fat_arch ${index}`, 'align is a power of two', { offset: at + 16, value: align });
  if (offset + size > view.length) {
    const problem = `${size} bytes run past the end of the file of ${view.length} bytes`;
    throw new Truncated(`fat_arch ${index}`, problem, { offset: at + 8, value: offset });
  }
  return {
    cputype: view.u32(at),
    cpusubtype: view.u32(at + 4),
    offset,
    size,
    alignment: 2 ** align,
    bytes: view.bytes.subarray(offset, offset + size),
  };
}
