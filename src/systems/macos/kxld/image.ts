/**
 * A kext's Mach-O image laid out for linking: its segments at their distances, symbols with their final addresses. The
 * whole image moves rigidly, so one slide says where everything is (xnu libkern/kxld).
 */
import { roundUp } from '../../../bytes/align.ts';
import { Unsupported } from '../../../bytes/errors.ts';
import { LC, MH, VM_PROT } from '../../../formats/macho/layout.ts';
import type { MachoFile, MachoSegment } from '../../../formats/macho/read.ts';
import { type Address, PAGE_SIZE, Perm } from '../../../memory/space.ts';

export interface ImageSegment {
  readonly name: string;
  /** Bytes from the start of the image; a multiple of the page size. */
  readonly offset: number;
  readonly bytes: number;
  readonly perm: number;
  readonly segment: MachoSegment;
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

/** Checks the shape that kxld takes. @throws LinkFailure */
export function checkShape(file: MachoFile): void {
  if (file.header.filetype !== MH.KEXT_BUNDLE) {
    throw new LinkFailure(
      'The Mach-O file is malformed: Invalid file type or file type/architecture combination.',
      'a 64-bit kext is linked with ld -kext, which gives file type MH_KEXT_BUNDLE',
    );
  }
  const odd = file.commands.find(({ cmd }) => !KEXT_COMMANDS.has(cmd));
  if (odd !== undefined) {
    throw new LinkFailure(
      `The Mach-O file is malformed: Invalid load command type in MH_KEXT_BUNDLE kext: ${odd.cmd}.`,
      `${odd.name} does not belong into a kext`,
    );
  }
}

/** The segments that stay in memory: __LINKEDIT is given back after the link, empty ones are never taken. */
export function imageSegments(file: MachoFile): ImageSegment[] {
  const kept = file.segments.filter(({ name, vmsize }) => name !== '__LINKEDIT' && vmsize > 0);
  const base = Math.min(...kept.map(({ vmaddr }) => vmaddr));
  const segments = kept.map((segment) => ({
    name: segment.name,
    offset: segment.vmaddr - base,
    bytes: roundUp(segment.vmsize, PAGE_SIZE),
    perm: permissions(segment.initprot),
    segment,
  }));
  for (const { name, offset, bytes, segment } of segments) {
    if (offset % PAGE_SIZE !== 0 || offset + bytes > MAX_IMAGE || segment.filesize > bytes) {
      throw new Unsupported(`segment ${name}`, 'cannot be placed: its address or size is odd', {
        value: segment.vmaddr,
      });
    }
  }
  return segments;
}

/** Lowest linked address of the image: what the slide is counted from. */
export function imageBase(file: MachoFile): number {
  const [first] = imageSegments(file);
  return first === undefined ? 0 : first.segment.vmaddr - first.offset;
}

export function imageBytes(segments: readonly ImageSegment[]): number {
  return segments.reduce((most, { offset, bytes }) => Math.max(most, offset + bytes), 0);
}

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
  private readonly linkedBase: number;

  constructor(file: MachoFile, base: Address) {
    this.file = file;
    this.segments = imageSegments(file);
    this.base = base;
    this.linkedBase = imageBase(file);
    this.slide = base - this.linkedBase;
    this.bytes = new Uint8Array(imageBytes(this.segments));
    this.view = new DataView(this.bytes.buffer);
    for (const { segment, offset } of this.segments) this.bytes.set(file.segmentData(segment), offset);
  }

  /** Bytes of a pointer. */
  get word(): 4 | 8 {
    return this.file.bits === 64 ? 8 : 4;
  }

  /** Does the image hold these bytes? */
  holds(address: number, size: number): boolean {
    const offset = address - this.linkedBase;
    return offset >= 0 && offset + size <= this.bytes.length;
  }

  /** Offset in `bytes` of a linked address. @throws LinkFailure when it is outside */
  offsetOf(address: number, size: number): number {
    const offset = address - this.linkedBase;
    if (offset >= 0 && offset + size <= this.bytes.length) return offset;
    throw new LinkFailure('The Mach-O file is malformed: A relocation entry is outside of its section.');
  }
}
