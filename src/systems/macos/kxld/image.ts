/**
 * A kext's Mach-O image laid out for linking: its segments at their distances, symbols with their final addresses. The
 * whole image moves rigidly, so one slide says where everything is (xnu libkern/kxld).
 */
import { roundUp } from '../../../bytes/align.ts';
import { Unsupported } from '../../../bytes/errors.ts';
import { CPU, HEADER, LC, MH, VM_PROT } from '../../../formats/macho/layout.ts';
import type { MachoFile, MachoSegment } from '../../../formats/macho/read.ts';
import {
  linkedRelocations,
  type MachoRelocation,
  sectionRelocations,
} from '../../../formats/macho/relocations.ts';
import { type Address, PAGE_SIZE, Perm } from '../../../memory/space.ts';

export interface ImageSegment {
  readonly name: string;
  /** Bytes from the start of the image; a multiple of the page size. */
  readonly offset: number;
  readonly bytes: number;
  readonly perm: number;
  /** Undefined for the page of the header in front of an object file's sections. */
  readonly segment: MachoSegment | undefined;
}

/** Larger than any kext; ends a file whose sizes are made up. */
const MAX_IMAGE = 256 * 1024 * 1024;

/** Load commands that a kext bundle may have (kxld_object.c, validate_and_set_... for MH_KEXT_BUNDLE). */
const KEXT_COMMANDS: ReadonlySet<number> = new Set([
  LC.SEGMENT,
  LC.SEGMENT_64,
  LC.SYMTAB,
  LC.DYSYMTAB,
  LC.UUID,
  LC.VERSION_MIN_MACOSX,
  LC.VERSION_MIN_IPHONEOS,
  LC.VERSION_MIN_TVOS,
  LC.VERSION_MIN_WATCHOS,
  LC.BUILD_VERSION,
  LC.SOURCE_VERSION,
  LC.SEGMENT_SPLIT_INFO,
  LC.NOTE,
  LC.CODE_SIGNATURE,
  LC.DYLD_INFO,
  LC.DYLD_INFO_ONLY,
  LC.FUNCTION_STARTS,
  LC.DATA_IN_CODE,
  LC.DYLIB_CODE_SIGN_DRS,
]);

/** kxld refused the file: the text is its own. */
export class LinkFailure extends Error {
  /** In our words: what to do. */
  readonly note: string | undefined;

  constructor(message: string, note?: string) {
    super(message);
    this.name = 'LinkFailure';
    this.note = note;
  }
}

/** Those of a kext that is an object file (init_from_object). */
const OBJECT_COMMANDS: ReadonlySet<number> = new Set([
  LC.SEGMENT,
  LC.SEGMENT_64,
  LC.SYMTAB,
  LC.UUID,
  LC.UNIXTHREAD,
]);

/** Kexts for i386 are object files up to 10.7: one segment without a name, and entries of relocations for each section. */
export const isObjectKext = ({ header }: MachoFile): boolean =>
  header.filetype === MH.OBJECT && header.cputype === CPU.X86;

/** Checks the shape that kxld takes. @throws LinkFailure */
export function checkShape(file: MachoFile): void {
  const object = isObjectKext(file);
  if (file.header.filetype !== MH.KEXT_BUNDLE && !object) {
    throw new LinkFailure(
      'The Mach-O file is malformed: Invalid file type or file type/architecture combination.',
      'a 64-bit kext is linked with ld -kext, which gives file type MH_KEXT_BUNDLE',
    );
  }
  const odd = file.commands.find(({ cmd }) => !(object ? OBJECT_COMMANDS : KEXT_COMMANDS).has(cmd));
  if (odd !== undefined) {
    const text = object ? 'Invalid segment type in MH_OBJECT' : 'Invalid load command type in MH_KEXT_BUNDLE';
    throw new LinkFailure(
      `The Mach-O file is malformed: ${text} kext: ${odd.cmd}.`,
      `${odd.name} does not belong into a kext`,
    );
  }
  if (object && file.segments.filter(({ vmsize }) => vmsize > 0).length > 1)
    throw new LinkFailure('The Mach-O file is malformed: Multiple segments in an MH_OBJECT kext.');
}

/** The segments that stay in memory: __LINKEDIT is given back after the link, empty ones are never taken. */
export function imageSegments(file: MachoFile): ImageSegment[] {
  return layoutOf(file).segments;
}

interface Layout {
  readonly segments: ImageSegment[];
  /** Lowest linked address of the image's own bytes, and where it lies in the image. */
  readonly linked: number;
  readonly offset: number;
  /** Linked addresses that common symbols are given, by the symbol's index. */
  readonly commons: ReadonlyMap<number, number>;
}

const NO_COMMONS: ReadonlyMap<number, number> = new Map();

function layoutOf(file: MachoFile): Layout {
  const kept = file.segments.filter(({ name, vmsize }) => name !== '__LINKEDIT' && vmsize > 0);
  const linked = Math.min(...kept.map(({ vmaddr }) => vmaddr));
  const { commons, end } = isObjectKext(file) ? placeCommons(file, kept) : { commons: NO_COMMONS, end: 0 };
  const offset = isObjectKext(file) ? roundUp(HEADER.size[32] + file.header.sizeofcmds, PAGE_SIZE) : 0;
  const segments = kept.map((segment) => ({
    name: segment.name,
    offset: offset + segment.vmaddr - linked,
    bytes: roundUp(Math.max(segment.vmsize, end - linked), PAGE_SIZE),
    // The one segment of an object file holds code and data.
    perm: isObjectKext(file) ? Perm.R | Perm.W | Perm.X : permissions(segment.initprot),
    segment,
  }));
  for (const one of segments) checkSegment(one);
  if (offset === 0 || segments.length === 0) return { segments, linked, offset, commons };
  const header = { name: '', offset: 0, bytes: offset, perm: Perm.R | Perm.W, segment: undefined };
  return { segments: [header, ...segments], linked, offset, commons };
}

function checkSegment({ name, offset, bytes, segment }: ImageSegment & { segment: MachoSegment }): void {
  if (offset % PAGE_SIZE === 0 && offset + bytes <= MAX_IMAGE && segment.filesize <= bytes) return;
  throw new Unsupported(`segment ${name}`, 'cannot be placed: its address or size is odd', {
    value: segment.vmaddr,
  });
}

/** GET_COMM_ALIGN; what says nothing of its own is aligned to eight bytes. */
const commonAlignment = (desc: number): number => 1 << ((desc >>> 8) & 15 || 3);

/** Common symbols find room behind the sections (resolve_common_symbols): 32-bit kexts may have them. */
function placeCommons(
  file: MachoFile,
  kept: readonly MachoSegment[],
): { commons: Map<number, number>; end: number } {
  const commons = new Map<number, number>();
  let end = Math.max(0, ...kept.map(({ vmaddr, vmsize }) => vmaddr + vmsize));
  for (const { index, kind, desc, value } of file.symbols()?.all ?? []) {
    if (kind !== 'common') continue;
    const at = roundUp(end, commonAlignment(desc));
    commons.set(index, at);
    end = at + value;
    if (end > MAX_IMAGE)
      throw new Unsupported('common symbols', 'need more room than a kext may have', { value: end });
  }
  return { commons, end };
}

export function imageBytes(segments: readonly ImageSegment[]): number {
  return segments.reduce((most, { offset, bytes }) => Math.max(most, offset + bytes), 0);
}

/** Bytes of the header's pages in front of an object file's sections: kmod_info.hdr_size. */
export const headerBytes = ({ segments }: { readonly segments: readonly ImageSegment[] }): number =>
  segments.find(({ segment }) => segment === undefined)?.bytes ?? 0;

function permissions(prot: number): number {
  const read = prot & VM_PROT.READ ? Perm.R : 0;
  const write = prot & VM_PROT.WRITE ? Perm.W : 0;
  return read | write | (prot & VM_PROT.EXECUTE ? Perm.X : 0);
}

/** The image outside of guest memory while it is put together. */
export class LinkImage {
  readonly file: MachoFile;
  readonly segments: readonly ImageSegment[];
  readonly base: Address;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Final address minus linked address. */
  readonly slide: number;
  /** Final addresses of common symbols, by index. */
  readonly commons: ReadonlyMap<number, Address>;
  /** What is to be relocated, by linked addresses: external entries, then local ones. */
  readonly relocations: Readonly<Record<'external' | 'local', readonly MachoRelocation[]>>;
  /** Linked address of the first byte. */
  private readonly start: number;

  constructor(file: MachoFile, base: Address) {
    const { segments, linked, offset, commons } = layoutOf(file);
    this.file = file;
    this.segments = segments;
    this.base = base;
    this.start = linked - offset;
    this.slide = base - this.start;
    this.bytes = new Uint8Array(imageBytes(segments));
    this.view = new DataView(this.bytes.buffer);
    this.commons = new Map([...commons].map(([index, at]) => [index, at + this.slide]));
    this.relocations = isObjectKext(file) ? objectRelocations(file) : linkedRelocations(file);
    for (const { segment, offset: at } of segments) {
      if (segment !== undefined) this.bytes.set(file.segmentData(segment), at);
      else this.bytes.set(file.bytes.subarray(0, HEADER.size[32] + file.header.sizeofcmds), at);
    }
  }

  /** Bytes of a pointer. */
  get word(): 4 | 8 {
    return this.file.bits === 64 ? 8 : 4;
  }

  /** Does the image hold these bytes? */
  holds(address: number, size: number): boolean {
    const offset = address - this.start;
    return offset >= 0 && offset + size <= this.bytes.length;
  }

  /** Offset in `bytes` of a linked address. @throws LinkFailure when it is outside */
  offsetOf(address: number, size: number): number {
    if (this.holds(address, size)) return address - this.start;
    throw new LinkFailure('The Mach-O file is malformed: A relocation entry is outside of its section.');
  }
}

/** Entries of every section's own list, with addresses as those of a linked file. */
function objectRelocations(file: MachoFile): { external: MachoRelocation[]; local: MachoRelocation[] } {
  const all = file.sections.flatMap((section) =>
    sectionRelocations(file, section).map((entry) => ({
      ...entry,
      address: entry.address + section.address,
    })),
  );
  return { external: all.filter((one) => one.external), local: all.filter((one) => !one.external) };
}
