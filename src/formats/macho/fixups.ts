/**
 * Chained fixups (mach-o/fixup-chains.h, LC_DYLD_CHAINED_FIXUPS): what arm64 kexts and kernel collections carry in place
 * of relocation entries. Every pointer to be fixed holds the distance to the next one of its page.
 */
import { cstring } from '../../bytes/cstring.ts';
import { Invalid, Unsupported } from '../../bytes/errors.ts';
import { ByteView } from '../../bytes/view.ts';
import { LC } from './layout.ts';
import type { MachoFile } from './read.ts';

export interface ChainedImport {
  readonly name: string;
  readonly weak: boolean;
  readonly libraryOrdinal: number;
  readonly addend: number;
}

export interface ChainedFixup {
  /** Address of the pointer as linked. */
  readonly address: number;
  readonly kind: 'rebase' | 'bind';
  /** Target address (rebase; relative to the image's base where the format says so) or index into the imports (bind). */
  readonly target: number;
  readonly addend: number;
  /** Pointer authentication: key, diversity. */
  readonly authenticated:
    | { readonly key: number; readonly diversity: number; readonly address: boolean }
    | undefined;
}

export interface ChainedFixups {
  readonly imports: readonly ChainedImport[];
  readonly fixups: readonly ChainedFixup[];
  /** DYLD_CHAINED_PTR_* by segment index. */
  readonly formats: ReadonlyMap<number, number>;
}

const PTR = {
  ARM64E: 1,
  PTR_64: 2,
  PTR_32: 3,
  PTR_64_OFFSET: 6,
  ARM64E_KERNEL: 7,
  PTR_64_KERNEL_CACHE: 8,
  ARM64E_USERLAND: 9,
  X86_64_KERNEL_CACHE: 11,
  ARM64E_USERLAND24: 12,
} as const;

const NO_CHAIN = 0xffff;
const MULTIPLE = 0x8000;
/** DYLD_CHAINED_IMPORT, _ADDEND, _ADDEND64: bytes of an entry. */
const IMPORT_BYTES: ReadonlyMap<number, number> = new Map([
  [1, 4],
  [2, 8],
  [3, 16],
]);

/** Reads LC_DYLD_CHAINED_FIXUPS; undefined when the file has none. @throws Truncated, Invalid, Unsupported */
export function readChainedFixups(file: MachoFile): ChainedFixups | undefined {
  const place = file.linkedit(LC.DYLD_CHAINED_FIXUPS);
  if (place === undefined) return undefined;
  const view = new ByteView(file.bytes.subarray(place.offset, place.offset + place.size), true);
  const [version, starts, importsAt, symbolsAt, count, format, symbolsFormat] = Array.from(
    { length: 7 },
    (_, i) => view.u32(i * 4, 'dyld_chained_fixups_header'),
  );
  if (version !== 0)
    throw new Unsupported('fixups_version', 'is not 0', { offset: place.offset, value: version });
  if (symbolsFormat !== 0 && count > 0) {
    throw new Unsupported('symbols_format', 'compressed symbol names', { value: symbolsFormat });
  }
  const imports = readImports(view, importsAt, symbolsAt, count, format);
  const formats = new Map<number, number>();
  const fixups: ChainedFixup[] = [];
  const segments = view.u32(starts, 'dyld_chained_starts_in_image');
  if (segments > file.segments.length) {
    throw new Invalid('seg_count', `there are ${file.segments.length} segments`, { value: segments });
  }
  for (let i = 0; i < segments; i++) {
    const offset = view.u32(starts + 4 + i * 4);
    if (offset !== 0) walkSegment(file, view, starts + offset, i, fixups, formats);
  }
  return { imports, fixups, formats };
}

function readImports(
  view: ByteView,
  at: number,
  symbols: number,
  count: number,
  format: number,
): ChainedImport[] {
  const bytes = IMPORT_BYTES.get(format);
  if (bytes === undefined && count > 0)
    throw new Unsupported('imports_format', 'is unknown', { value: format });
  view.need(at, count * (bytes ?? 0), 'chained imports');
  let budget = Math.max(1 << 16, view.length * 16);
  return Array.from({ length: count }, (_, i) => {
    const entry = at + i * (bytes ?? 0);
    const wide = format === 3;
    const first = view.u32(entry);
    const nameOffset = wide ? view.u32(entry + 4) : first >>> 9;
    if (symbols + nameOffset >= view.length)
      throw new Invalid(`import ${i}`, 'name is outside', { value: nameOffset });
    const name = cstring(view.bytes, symbols + nameOffset);
    budget -= name.length;
    if (budget < 0) throw new Unsupported('import names', 'repeat more bytes than any honest file does');
    return {
      name,
      weak: ((wide ? first >>> 16 : first >>> 8) & 1) === 1,
      libraryOrdinal: wide ? (first << 16) >> 16 : (first << 24) >> 24,
      addend: format === 2 ? view.i32(entry + 4) : wide ? view.s64(entry + 8) : 0,
    };
  });
}

/** struct dyld_chained_starts_in_segment: size, page_size, pointer_format, segment_offset, max_valid_pointer, page_count. */
function walkSegment(
  file: MachoFile,
  view: ByteView,
  at: number,
  index: number,
  fixups: ChainedFixup[],
  formats: Map<number, number>,
): void {
  const pageSize = view.u16(at + 4);
  const format = view.u16(at + 6);
  const pages = view.u16(at + 20);
  formats.set(index, format);
  const segment = file.segments[index];
  const step = STRIDE.get(format);
  if (step === undefined) throw new Unsupported('pointer_format', 'is unknown', { value: format });
  for (let page = 0; page < pages; page++) {
    const start = view.u16(at + 22 + page * 2);
    if (start === NO_CHAIN) continue;
    if ((start & MULTIPLE) !== 0)
      throw new Unsupported('page_start', 'several chains in a page', { value: start });
    let offset = page * pageSize + start;
    for (;;) {
      if (offset + 8 > segment.filesize) {
        throw new Invalid(`chain in ${segment.name}`, 'leaves the segment', {
          offset: segment.fileoff + offset,
        });
      }
      const raw = file.view.u64(segment.fileoff + offset);
      const { fixup, next } = decodePointer(raw, format, segment.vmaddr + offset);
      fixups.push(fixup);
      if (next === 0) break;
      offset += next * step;
    }
  }
}

/** Bytes that `next` counts in. */
const STRIDE: ReadonlyMap<number, number> = new Map([
  [PTR.ARM64E, 8],
  [PTR.PTR_64, 4],
  [PTR.PTR_64_OFFSET, 4],
  [PTR.ARM64E_KERNEL, 4],
  [PTR.PTR_64_KERNEL_CACHE, 4],
  [PTR.X86_64_KERNEL_CACHE, 1],
  [PTR.ARM64E_USERLAND, 8],
  [PTR.ARM64E_USERLAND24, 8],
]);

const bits = (raw: bigint, from: number, count: number): number =>
  Number((raw >> BigInt(from)) & ((1n << BigInt(count)) - 1n));

function decodePointer(raw: bigint, format: number, address: number): { fixup: ChainedFixup; next: number } {
  if (format === PTR.PTR_64_KERNEL_CACHE || format === PTR.X86_64_KERNEL_CACHE) {
    const authenticated =
      bits(raw, 63, 1) === 1
        ? { key: bits(raw, 49, 2), diversity: bits(raw, 32, 16), address: bits(raw, 48, 1) === 1 }
        : undefined;
    return {
      fixup: { address, kind: 'rebase', target: bits(raw, 0, 30), addend: 0, authenticated },
      next: bits(raw, 51, 12),
    };
  }
  if (format === PTR.PTR_64 || format === PTR.PTR_64_OFFSET) {
    const bind = bits(raw, 63, 1) === 1;
    const target = bind ? bits(raw, 0, 24) : bits(raw, 0, 36);
    const addend = bind ? bits(raw, 24, 8) : 0;
    const kind = bind ? 'bind' : 'rebase';
    return { fixup: { address, kind, target, addend, authenticated: undefined }, next: bits(raw, 51, 12) };
  }
  return decodeArm64e(raw, format, address);
}

function decodeArm64e(raw: bigint, format: number, address: number): { fixup: ChainedFixup; next: number } {
  const bind = bits(raw, 62, 1) === 1;
  const signed = bits(raw, 63, 1) === 1;
  const ordinalBits = format === PTR.ARM64E_USERLAND24 ? 24 : 16;
  const kind = bind ? 'bind' : 'rebase';
  const authenticated = signed
    ? { key: bits(raw, 49, 2), diversity: bits(raw, 32, 16), address: bits(raw, 48, 1) === 1 }
    : undefined;
  const target = bind ? bits(raw, 0, ordinalBits) : signed ? bits(raw, 0, 32) : bits(raw, 0, 43);
  const addend = bind && !signed ? (bits(raw, 32, 19) << 13) >> 13 : 0;
  return { fixup: { address, kind, target, addend, authenticated }, next: bits(raw, 51, 11) };
}
