/**
 * Embedded code signatures (LC_CODE_SIGNATURE): a SuperBlob of blobs, all big-endian (xnu osfmk/kern/cs_blobs.h). Read
 * and checked for bounds here; hashes are compared in verify.ts.
 */
import { cstring } from '../../../bytes/cstring.ts';
import { Invalid, Truncated } from '../../../bytes/errors.ts';
import { ByteView } from '../../../bytes/view.ts';
import { LC } from '../layout.ts';
import type { MachoFile } from '../read.ts';

export const CSMAGIC = {
  REQUIREMENT: 0xfade0c00,
  REQUIREMENTS: 0xfade0c01,
  CODEDIRECTORY: 0xfade0c02,
  EMBEDDED_SIGNATURE: 0xfade0cc0,
  EMBEDDED_ENTITLEMENTS: 0xfade7171,
  EMBEDDED_DER_ENTITLEMENTS: 0xfade7172,
  BLOBWRAPPER: 0xfade0b01,
} as const;

/** Slots of a SuperBlob. */
export const SLOT = {
  CODEDIRECTORY: 0,
  INFO: 1,
  REQUIREMENTS: 2,
  RESOURCES: 3,
  APPLICATION: 4,
  ENTITLEMENTS: 5,
  DER_ENTITLEMENTS: 7,
  ALTERNATE: 0x1000,
  ALTERNATE_END: 0x1005,
  SIGNATURE: 0x10000,
} as const;

export const HASH_NAMES: Readonly<Record<number, string>> = {
  1: 'sha1',
  2: 'sha256',
  3: 'sha256 truncated',
  4: 'sha384',
};

export interface CodeDirectory {
  /** `0x20400` */
  readonly version: number;
  readonly flags: number;
  readonly identifier: string;
  /** Since version 0x20200. */
  readonly team: string | undefined;
  readonly hashType: number;
  readonly hashSize: number;
  /** Bytes of a page; 0 = one page for all. */
  readonly pageSize: number;
  /** Bytes of the file that the hashes cover. */
  readonly codeLimit: number;
  /** Hashes of the special slots, by their positive number: 1 = Info.plist, 3 = resources... */
  readonly special: ReadonlyMap<number, Uint8Array>;
  readonly code: readonly Uint8Array[];
  /** The whole blob: what the signature signs. */
  readonly bytes: Uint8Array;
}

export interface Blob {
  readonly slot: number;
  readonly magic: number;
  readonly bytes: Uint8Array;
}

export interface CodeSignature {
  readonly blobs: readonly Blob[];
  /** The first is the one that old systems look at. */
  readonly directories: readonly CodeDirectory[];
  /** DER of the CMS signature; undefined when the code is signed ad hoc. */
  readonly cms: Uint8Array | undefined;
  /** XML of the entitlements. */
  readonly entitlements: Uint8Array | undefined;
}

const VERSION_SCATTER = 0x20100;
const VERSION_TEAM = 0x20200;
const VERSION_LIMIT64 = 0x20300;
const LEAST_DIRECTORY = 44;

/** The signature of a thin file; undefined when it has none. @throws Truncated, Invalid */
export function readCodeSignature(file: MachoFile): CodeSignature | undefined {
  const place = file.linkedit(LC.CODE_SIGNATURE);
  if (place === undefined) return undefined;
  const view = new ByteView(file.bytes.subarray(place.offset, place.offset + place.size), false);
  const magic = view.u32(0, 'code signature');
  if (magic !== CSMAGIC.EMBEDDED_SIGNATURE)
    throw new Invalid('code signature', 'magic is wrong', { value: magic });
  const count = view.u32(8, 'code signature');
  view.need(12, count * 8, 'index of the code signature');
  const blobs = Array.from({ length: count }, (_, i) =>
    readBlob(view, view.u32(12 + i * 8), view.u32(16 + i * 8)),
  );
  const isDirectory = ({ slot, magic: kind }: Blob): boolean =>
    kind === CSMAGIC.CODEDIRECTORY &&
    (slot === SLOT.CODEDIRECTORY || (slot >= SLOT.ALTERNATE && slot < SLOT.ALTERNATE_END));
  const directories = blobs.filter(isDirectory).map(({ bytes }) => readDirectory(bytes));
  const content = (slot: number): Uint8Array | undefined =>
    blobs.find((blob) => blob.slot === slot)?.bytes.subarray(8);
  const cms = content(SLOT.SIGNATURE);
  return {
    blobs,
    directories,
    cms: cms === undefined || cms.length === 0 ? undefined : cms,
    entitlements: content(SLOT.ENTITLEMENTS),
  };
}

function readBlob(view: ByteView, slot: number, offset: number): Blob {
  const magic = view.u32(offset, 'blob of the code signature');
  const length = view.u32(offset + 4, 'blob of the code signature');
  if (length < 8)
    throw new Invalid(`blob of slot ${slot}`, 'is shorter than its head', { offset, value: length });
  return { slot, magic, bytes: view.slice(offset, length, `blob of slot ${slot}`) };
}

function readDirectory(bytes: Uint8Array): CodeDirectory {
  const view = new ByteView(bytes, false);
  view.need(0, LEAST_DIRECTORY, 'CodeDirectory');
  const version = view.u32(8);
  const [hashOffset, identOffset, special, slots] = [16, 20, 24, 28].map((at) => view.u32(at));
  const hashSize = view.u8(36);
  const limit64 = version >= VERSION_LIMIT64 ? view.n64(56, 'codeLimit64') : 0;
  const teamOffset = version >= VERSION_TEAM ? view.u32(48, 'teamOffset') : 0;
  if (version >= VERSION_SCATTER && view.u32(44, 'scatterOffset') !== 0) {
    throw new Invalid('CodeDirectory', 'scattered code is signed in no kext', { value: view.u32(44) });
  }
  if (hashSize === 0) throw new Invalid('CodeDirectory', 'hashes have no bytes', { offset: 36 });
  const first = hashOffset - special * hashSize;
  if (first < 0)
    throw new Truncated('CodeDirectory', 'special hashes begin before the blob', { value: special });
  view.need(first, (special + slots) * hashSize, 'hashes of the CodeDirectory');
  const hash = (index: number): Uint8Array => view.slice(hashOffset + index * hashSize, hashSize);
  const shift = view.u8(39);
  if (shift > 24) throw new Invalid('CodeDirectory', 'page size is a power of two', { value: shift });
  return {
    version,
    flags: view.u32(12),
    identifier: cstring(bytes, identOffset, Math.min(bytes.length, identOffset + 1024)),
    team: teamOffset === 0 ? undefined : cstring(bytes, teamOffset, Math.min(bytes.length, teamOffset + 256)),
    hashType: view.u8(37),
    hashSize,
    pageSize: shift === 0 ? 0 : 2 ** shift,
    codeLimit: limit64 > 0 ? limit64 : view.u32(32),
    special: new Map(Array.from({ length: special }, (_, i) => [i + 1, hash(-(i + 1))] as const)),
    code: Array.from({ length: slots }, (_, i) => hash(i)),
    bytes,
  };
}
