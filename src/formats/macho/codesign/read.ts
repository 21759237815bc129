/**
 * Code signatures: a SuperBlob of blobs in the file (LC_CODE_SIGNATURE), or the same blobs as files of `_CodeSignature` where
 * the program cannot hold them (a kext with an MH_OBJECT among its architectures). All big-endian (xnu cs_blobs.h). Read and
 * checked for bounds here; hashes are compared in verify.ts.
 */
import { Invalid } from '../../../bytes/errors.ts';
import { ByteView } from '../../../bytes/view.ts';
import { LC } from '../layout.ts';
import type { MachoFile } from '../read.ts';
import { type CodeDirectory, readDirectory } from './directory.ts';
import { CSMAGIC, DETACHED_NAMES, SLOT } from './layout.ts';

export interface Blob {
  readonly slot: number;
  readonly magic: number;
  readonly bytes: Uint8Array;
}

export interface CodeSignature {
  /** Bytes of the SuperBlob as the load command says; undefined for a signature in files of its own. */
  readonly size: number | undefined;
  readonly blobs: readonly Blob[];
  /** The first is the one that old systems look at, and that the CMS signature signs. */
  readonly directories: readonly CodeDirectory[];
  /** DER of the CMS signature; undefined when the code is signed ad hoc. */
  readonly cms: Uint8Array | undefined;
  /** XML of the entitlements. */
  readonly entitlements: Uint8Array | undefined;
  readonly derEntitlements: Uint8Array | undefined;
}

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
  return fromBlobs(blobs, place.size);
}

/** A signature in files: what `read` gives for the names in `_CodeSignature`. @throws Truncated, Invalid */
export function readDetachedSignature(
  read: (name: string) => Uint8Array | undefined,
): CodeSignature | undefined {
  const blobs: Blob[] = [];
  for (const [name, slot] of DETACHED_NAMES) {
    const bytes = read(name);
    if (bytes === undefined) continue;
    // The CMS signature stands there without the head of a blob.
    if (slot === SLOT.SIGNATURE) blobs.push({ slot, magic: CSMAGIC.BLOBWRAPPER, bytes });
    else blobs.push({ ...readBlob(new ByteView(bytes, false), slot, 0) });
  }
  if (!blobs.some(({ slot }) => slot === SLOT.CODEDIRECTORY)) return undefined;
  return fromBlobs(blobs, undefined);
}

function fromBlobs(blobs: readonly Blob[], size: number | undefined): CodeSignature {
  const directories = blobs
    .filter(
      ({ slot, magic }) =>
        magic === CSMAGIC.CODEDIRECTORY &&
        (slot === SLOT.CODEDIRECTORY || (slot >= SLOT.ALTERNATE && slot < SLOT.ALTERNATE_END)),
    )
    .sort((a, b) => a.slot - b.slot)
    .map(({ bytes }) => readDirectory(bytes));
  const content = (slot: number): Uint8Array | undefined => {
    const blob = blobs.find((one) => one.slot === slot);
    const bare = size === undefined && slot === SLOT.SIGNATURE;
    return bare ? blob?.bytes : blob?.bytes.subarray(8);
  };
  const cms = content(SLOT.SIGNATURE);
  return {
    size,
    blobs,
    directories,
    cms: cms === undefined || cms.length === 0 ? undefined : cms,
    entitlements: content(SLOT.ENTITLEMENTS),
    derEntitlements: content(SLOT.DER_ENTITLEMENTS),
  };
}

function readBlob(view: ByteView, slot: number, offset: number): Blob {
  const magic = view.u32(offset, 'blob of the code signature');
  const length = view.u32(offset + 4, 'blob of the code signature');
  if (length < 8)
    throw new Invalid(`blob of slot ${slot}`, 'is shorter than its head', { offset, value: length });
  return { slot, magic, bytes: view.slice(offset, length, `blob of slot ${slot}`) };
}
