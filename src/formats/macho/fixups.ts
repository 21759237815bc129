/**
 * Chained fixups (mach-o/fixup-chains.h, LC_DYLD_CHAINED_FIXUPS): what arm64 kexts and kernel collections carry in place
 * of relocation entries. Every pointer to be fixed holds the distance to the next one of its page.
 */
import { cstring } from '../../bytes/cstring.ts';
import { Invalid, Unsupported } from '../../bytes/errors.ts';
import { ByteView } from '../../bytes/view.ts';
import { LC } from './layout.ts';
import type { MachoFile, MachoSegment } from './read.ts';

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
  /** Of a rebase: the byte that goes on top of the pointer. */
  readonly high8: number;
  /** Of a rebase in a kernel collection: which collection the target lies in (0 = boot, 1 = system, 3 = auxiliary). */
  readonly cacheLevel: number;
  readonly authenticated: PointerAuthentication | undefined;
}

export interface PointerAuthentication {
  readonly key: 'IA' | 'IB' | 'DA' | 'DB';
  readonly diversity: number;
  /** Is the pointer's own address mixed in? */
  readonly address: boolean;
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
  PTR_32_CACHE: 4,
  PTR_32_FIRMWARE: 5,
  PTR_64_OFFSET: 6,
  ARM64E_KERNEL: 7,
  PTR_64_KERNEL_CACHE: 8,
  ARM64E_USERLAND: 9,
  ARM64E_FIRMWARE: 10,
  X86_64_KERNEL_CACHE: 11,
  ARM64E_USERLAND24: 12,
} as const;

/** DYLD_CHAINED_PTR_*, by number. */
export const FIXUP_FORMAT_NAMES: readonly string[] = [
  '',
  'ARM64E',
  '64',
  '32',
  '32_CACHE',
  '32_FIRMWARE',
  '64_OFFSET',
  'ARM64E_KERNEL',
  '64_KERNEL_CACHE',
  'ARM64E_USERLAND',
  'ARM64E_FIRMWARE',
  'X86_64_KERNEL_CACHE',
  'ARM64E_USERLAND24',
];

const KEYS = ['IA', 'IB', 'DA', 'DB'] as const;

const NO_CHAIN = 0xffff;
/** In page_start: the rest is an index of further starts; there: the last one of its page. */
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
  if (pageSize === 0) throw new Invalid('page_size', 'is 0');
  const chain = { file, segment: file.segments[index], format, pageSize };
  for (let page = 0; page < pages; page++)
    for (const start of pageStarts(view, at + 22, page)) walkChain(chain, page, start, fixups);
}

/** Where the chains of a page begin: one as a rule; on 32 bits, where a link reaches less far, several. */
function* pageStarts(view: ByteView, table: number, page: number): Generator<number> {
  const start = view.u16(table + page * 2);
  if (start === NO_CHAIN) return;
  if ((start & MULTIPLE) === 0) {
    yield start;
    return;
  }
  for (let i = start & ~MULTIPLE; ; i++) {
    const one = view.u16(table + i * 2, 'chain starts of a page');
    yield one & ~MULTIPLE;
    if ((one & MULTIPLE) !== 0) return;
  }
}

interface Chain {
  readonly file: MachoFile;
  readonly segment: MachoSegment;
  readonly format: number;
  readonly pageSize: number;
}

function walkChain(
  { file, segment, format, pageSize }: Chain,
  page: number,
  start: number,
  fixups: ChainedFixup[],
): void {
  const step = STRIDE.get(format);
  if (step === undefined) throw new Unsupported('pointer_format', 'is unknown', { value: format });
  const narrow = NARROW.has(format);
  const size = narrow ? 4 : 8;
  for (let offset = page * pageSize + start; ; ) {
    const place = segment.fileoff + offset;
    if (offset + size > segment.filesize || offset >= (page + 1) * pageSize)
      throw new Invalid(`chain in ${segment.name}`, 'leaves its page', { offset: place });
    // No pointer is fixed twice; a file that says so is not worth the memory.
    if (fixups.length > file.bytes.length / 4)
      throw new Unsupported('chained fixups', 'there are more than pointers in the file');
    const address = segment.vmaddr + offset;
    const { fixup, next } = narrow
      ? decodeNarrow(file.view.u32(place), format, address)
      : decodePointer(file.view.u64(place), format, address);
    fixups.push(fixup);
    if (next === 0) return;
    offset += next * step;
  }
}

const NARROW: ReadonlySet<number> = new Set([PTR.PTR_32, PTR.PTR_32_CACHE, PTR.PTR_32_FIRMWARE]);

/** Bytes that `next` counts in. */
const STRIDE: ReadonlyMap<number, number> = new Map([
  [PTR.ARM64E, 8],
  [PTR.PTR_32, 4],
  [PTR.PTR_32_CACHE, 4],
  [PTR.PTR_32_FIRMWARE, 4],
  [PTR.PTR_64, 4],
  [PTR.PTR_64_OFFSET, 4],
  [PTR.ARM64E_KERNEL, 4],
  [PTR.PTR_64_KERNEL_CACHE, 4],
  [PTR.X86_64_KERNEL_CACHE, 1],
  [PTR.ARM64E_USERLAND, 8],
  [PTR.ARM64E_FIRMWARE, 4],
  [PTR.ARM64E_USERLAND24, 8],
]);

const bits = (raw: bigint, from: number, count: number): number =>
  Number((raw >> BigInt(from)) & ((1n << BigInt(count)) - 1n));

interface Decoded {
  readonly fixup: ChainedFixup;
  /** Distance to the next pointer of the chain, in strides. */
  readonly next: number;
}

const authentication = (raw: bigint): PointerAuthentication => ({
  key: KEYS[bits(raw, 49, 2)],
  diversity: bits(raw, 32, 16),
  address: bits(raw, 48, 1) === 1,
});

/** What most pointers are: a plain rebase. */
const PLAIN = { kind: 'rebase', addend: 0, high8: 0, cacheLevel: 0, authenticated: undefined } as const;

function decodePointer(raw: bigint, format: number, address: number): Decoded {
  if (format === PTR.PTR_64_KERNEL_CACHE || format === PTR.X86_64_KERNEL_CACHE) {
    const authenticated = bits(raw, 63, 1) === 1 ? authentication(raw) : undefined;
    const fixup = {
      ...PLAIN,
      address,
      target: bits(raw, 0, 30),
      cacheLevel: bits(raw, 30, 2),
      authenticated,
    };
    return { fixup, next: bits(raw, 51, 12) };
  }
  if (format !== PTR.PTR_64 && format !== PTR.PTR_64_OFFSET) return decodeArm64e(raw, format, address);
  const next = bits(raw, 51, 12);
  if (bits(raw, 63, 1) === 1) {
    const fixup: ChainedFixup = {
      ...PLAIN,
      address,
      kind: 'bind',
      target: bits(raw, 0, 24),
      addend: bits(raw, 24, 8),
    };
    return { fixup, next };
  }
  return { fixup: { ...PLAIN, address, target: bits(raw, 0, 36), high8: bits(raw, 36, 8) }, next };
}

function decodeArm64e(raw: bigint, format: number, address: number): Decoded {
  const signed = bits(raw, 63, 1) === 1;
  const authenticated = signed ? authentication(raw) : undefined;
  const next = bits(raw, 51, 11);
  if (bits(raw, 62, 1) === 1) {
    const target = bits(raw, 0, format === PTR.ARM64E_USERLAND24 ? 24 : 16);
    const addend = signed ? 0 : (bits(raw, 32, 19) << 13) >> 13;
    return { fixup: { ...PLAIN, address, kind: 'bind', target, addend, authenticated }, next };
  }
  const target = bits(raw, 0, signed ? 32 : 43);
  return { fixup: { ...PLAIN, address, target, high8: signed ? 0 : bits(raw, 43, 8), authenticated }, next };
}

function decodeNarrow(raw: number, format: number, address: number): Decoded {
  if (format === PTR.PTR_32_CACHE)
    return { fixup: { ...PLAIN, address, target: raw & 0x3fffffff }, next: raw >>> 30 };
  if (format === PTR.PTR_32_FIRMWARE)
    return { fixup: { ...PLAIN, address, target: raw & 0x3ffffff }, next: raw >>> 26 };
  const next = (raw >>> 26) & 31;
  if (raw >>> 31 === 0) return { fixup: { ...PLAIN, address, target: raw & 0x3ffffff }, next };
  const fixup: ChainedFixup = {
    ...PLAIN,
    address,
    kind: 'bind',
    target: raw & 0xfffff,
    addend: (raw >>> 20) & 63,
  };
  return { fixup, next };
}
