/** The CodeDirectory of a code signature, every version of it: what is signed, page by page (xnu cs_blobs.h). */
import { cstring } from '../../../bytes/cstring.ts';
import { Invalid, Truncated } from '../../../bytes/errors.ts';
import { ByteView } from '../../../bytes/view.ts';
import { DIRECTORY, FLAG_NAMES, SCATTER_BYTES, VERSION } from './layout.ts';

/** A run of pages that lies elsewhere than the ones before it (version 0x20100). */
export interface ScatterRun {
  /** Pages in the run. */
  readonly count: number;
  /** Index of its first page among the code slots. */
  readonly base: number;
  /** Byte offset of that page. */
  readonly offset: number;
}

export interface ExecSegment {
  readonly base: number;
  readonly limit: number;
  /** 1 = the segment of a main executable. */
  readonly flags: number;
}

export interface Linkage {
  readonly hashType: number;
  readonly applicationType: number;
  readonly applicationSubType: number;
  readonly data: Uint8Array;
}

export interface CodeDirectory {
  /** `0x20400` */
  readonly version: number;
  readonly flags: number;
  readonly identifier: string;
  /** Since version 0x20200. */
  readonly team: string | undefined;
  readonly hashType: number;
  readonly hashSize: number;
  /** 0 unless the code is part of the system. */
  readonly platform: number;
  /** Bytes of a page; 0 = one page for all. */
  readonly pageSize: number;
  /** Bytes of the file that the hashes cover. */
  readonly codeLimit: number;
  readonly scatter: readonly ScatterRun[];
  readonly execSegment: ExecSegment | undefined;
  /** Version of the hardened runtime, packed as xx.yy.zz; 0 = none. */
  readonly runtime: number;
  /** Hashes of pages before they were encrypted, when there are any. */
  readonly preEncrypt: readonly Uint8Array[];
  readonly linkage: Linkage | undefined;
  /** Hashes of the special slots, by their positive number: 1 = Info.plist, 3 = resources... */
  readonly special: ReadonlyMap<number, Uint8Array>;
  readonly code: readonly Uint8Array[];
  /** The whole blob: what the signature signs. */
  readonly bytes: Uint8Array;
}

/** More than a page of pages: nobody scatters code like that. */
const MAX_RUNS = 4096;
const MAX_SHIFT = 24;

/** Reads one blob with CSMAGIC_CODEDIRECTORY. @throws Truncated, Invalid */
export function readDirectory(bytes: Uint8Array): CodeDirectory {
  const view = new ByteView(bytes, false);
  view.need(0, DIRECTORY.least, 'CodeDirectory');
  const version = view.u32(DIRECTORY.version);
  const hashOffset = view.u32(DIRECTORY.hashOffset);
  const special = view.u32(DIRECTORY.nSpecialSlots);
  const slots = view.u32(DIRECTORY.nCodeSlots);
  const hashSize = view.u8(DIRECTORY.hashSize);
  if (hashSize === 0)
    throw new Invalid('CodeDirectory', 'hashes have no bytes', { offset: DIRECTORY.hashSize });
  const first = hashOffset - special * hashSize;
  if (first < 0)
    throw new Truncated('CodeDirectory', 'special hashes begin before the blob', { value: special });
  view.need(first, (special + slots) * hashSize, 'hashes of the CodeDirectory');
  const hashes = (from: number, count: number): Uint8Array[] =>
    Array.from({ length: count }, (_, i) => view.slice(from + i * hashSize, hashSize));
  const shift = view.u8(DIRECTORY.pageSize);
  if (shift > MAX_SHIFT) throw new Invalid('CodeDirectory', 'page size is a power of two', { value: shift });
  const preEncrypt =
    version >= VERSION.RUNTIME ? view.u32(DIRECTORY.preEncryptOffset, 'preEncryptOffset') : 0;
  if (preEncrypt !== 0) view.need(preEncrypt, slots * hashSize, 'hashes before encryption');
  const limit64 = version >= VERSION.LIMIT64 ? view.n64(DIRECTORY.codeLimit64, 'codeLimit64') : 0;
  return {
    version,
    flags: view.u32(DIRECTORY.flags),
    identifier: text(view, view.u32(DIRECTORY.identOffset)) ?? '',
    team: version >= VERSION.TEAM ? text(view, view.u32(DIRECTORY.teamOffset, 'teamOffset')) : undefined,
    hashType: view.u8(DIRECTORY.hashType),
    hashSize,
    platform: view.u8(DIRECTORY.platform),
    pageSize: shift === 0 ? 0 : 2 ** shift,
    codeLimit: limit64 > 0 ? limit64 : view.u32(DIRECTORY.codeLimit),
    scatter: version >= VERSION.SCATTER ? scatterRuns(view) : [],
    execSegment: version >= VERSION.EXEC_SEGMENT ? execSegment(view) : undefined,
    runtime: version >= VERSION.RUNTIME ? view.u32(DIRECTORY.runtime) : 0,
    preEncrypt: preEncrypt === 0 ? [] : hashes(preEncrypt, slots),
    linkage: version >= VERSION.LINKAGE ? linkage(view) : undefined,
    special: new Map(
      hashes(first, special)
        .reverse()
        .map((hash, i) => [i + 1, hash] as const),
    ),
    code: hashes(hashOffset, slots),
    bytes,
  };
}

/** The flags as codesign prints them: `0x10000(runtime)`. */
export function flagsText(flags: number): string {
  const names = FLAG_NAMES.filter(([bit]) => (flags & bit) !== 0).map(([, name]) => name);
  return `0x${flags.toString(16)}(${names.length === 0 ? 'none' : names.join(',')})`;
}

const MAX_TEXT = 1024;

function text({ bytes }: ByteView, offset: number): string | undefined {
  if (offset === 0) return undefined;
  if (offset >= bytes.length)
    throw new Truncated('CodeDirectory', 'a name lies behind its end', { value: offset });
  return cstring(bytes, offset, Math.min(bytes.length, offset + MAX_TEXT));
}

/** The vector ends with a run of no pages. */
function scatterRuns(view: ByteView): ScatterRun[] {
  const at = view.u32(DIRECTORY.scatterOffset, 'scatterOffset');
  const runs: ScatterRun[] = [];
  if (at === 0) return runs;
  for (let i = 0; ; i++) {
    const entry = at + i * SCATTER_BYTES;
    view.need(entry, SCATTER_BYTES, 'scatter vector');
    const count = view.u32(entry);
    if (count === 0) return runs;
    if (i >= MAX_RUNS) throw new Invalid('scatter vector', 'has no end', { offset: entry });
    runs.push({ count, base: view.u32(entry + 4), offset: view.n64(entry + 8) });
  }
}

function execSegment(view: ByteView): ExecSegment {
  return {
    base: view.n64(DIRECTORY.execSegBase, 'execSegBase'),
    limit: view.n64(DIRECTORY.execSegLimit, 'execSegLimit'),
    flags: view.n64(DIRECTORY.execSegFlags, 'execSegFlags'),
  };
}

function linkage(view: ByteView): Linkage | undefined {
  const offset = view.u32(DIRECTORY.linkageOffset, 'linkageOffset');
  const size = view.u32(DIRECTORY.linkageSize, 'linkageSize');
  if (offset === 0) return undefined;
  return {
    hashType: view.u8(DIRECTORY.linkageHashType),
    applicationType: view.u8(DIRECTORY.linkageApplicationType),
    applicationSubType: view.u16(DIRECTORY.linkageApplicationSubType),
    data: view.slice(offset, size, 'linkage of the CodeDirectory'),
  };
}
