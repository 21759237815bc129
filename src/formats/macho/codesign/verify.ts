/** The hashes of a code signature against what they cover: pages of the file, Info.plist, resources, other blobs. */
import { sha1 } from '@noble/hashes/legacy';
import { sha256, sha384, sha512 } from '@noble/hashes/sha2';
import { sameBytes } from '../../../bytes/same.ts';
import type { CodeDirectory } from './directory.ts';
import { HASH_NAMES, SLOT, SPECIAL_NAMES } from './layout.ts';
import type { CodeSignature } from './read.ts';

export interface HashFault {
  readonly what: string;
  /** Byte offset of a page. */
  readonly offset?: number;
}

/** The digest of a hash type, cut to its size; undefined for a type nobody knows. */
export function digest(type: number, bytes: Uint8Array): Uint8Array | undefined {
  switch (type) {
    case 1:
      return sha1(bytes);
    case 2:
      return sha256(bytes);
    case 3:
      return sha256(bytes).subarray(0, 20);
    case 4:
      return sha384(bytes);
    case 5:
      return sha512(bytes);
    default:
      return undefined;
  }
}

/** Hash types from the one that is trusted most. */
const BEST: readonly number[] = [5, 4, 2, 3, 1];
const CDHASH_BYTES = 20;

/** The directory that counts where there are several: that of the best hash. */
export function bestDirectory({ directories }: CodeSignature): CodeDirectory | undefined {
  const rank = ({ hashType }: CodeDirectory): number => BEST.indexOf(hashType) + 1 || BEST.length + 1;
  return [...directories].sort((a, b) => rank(a) - rank(b))[0];
}

/** The name of the code: the hash of its directory, and its first 20 bytes. */
export function directoryHash({ hashType, bytes }: CodeDirectory): { full: Uint8Array; short: Uint8Array } {
  const full = digest(hashType === 3 ? 2 : hashType, bytes) ?? new Uint8Array();
  return { full, short: full.subarray(0, CDHASH_BYTES) };
}

/** What a bundle has for the special slots; a part that is undefined is not there. */
export interface SignedParts {
  readonly infoPlist?: Uint8Array | undefined;
  readonly resources?: Uint8Array | undefined;
}

/** Everything that does not have the hash that it was signed with. `code` is what the pages are cut from. */
export function checkHashes(signature: CodeSignature, code: Uint8Array, parts: SignedParts): HashFault[] {
  if (signature.directories.length === 0) return [{ what: 'there is no CodeDirectory' }];
  const faults = signature.directories.flatMap((directory) => [
    ...checkPages(directory, code),
    ...checkSpecial(directory, signature, parts),
  ]);
  // Each directory tells of the same damage.
  return faults.filter(({ what }, i) => faults.findIndex((other) => other.what === what) === i);
}

function checkPages(directory: CodeDirectory, code: Uint8Array): HashFault[] {
  const { codeLimit, pageSize, hashType } = directory;
  const name = HASH_NAMES[hashType];
  if (name === undefined) return [{ what: `hash type ${hashType} is unknown` }];
  if (codeLimit > code.length) return [{ what: `it covers ${codeLimit} bytes, the file has ${code.length}` }];
  const step = pageSize === 0 ? Math.max(1, codeLimit) : pageSize;
  const pages = directory.scatter.reduce((sum, { count }) => sum + count, 0) || Math.ceil(codeLimit / step);
  if (pages !== directory.code.length)
    return [{ what: `it has ${directory.code.length} page hashes for ${pages} pages` }];
  return directory.code.flatMap((hash, i) => {
    const offset = pageOffset(directory, i, step);
    const page = code.subarray(offset, Math.min(codeLimit, offset + step));
    const own = digest(hashType, page);
    return own !== undefined && sameBytes(own, hash) ? [] : [{ what: `page ${i} (${name})`, offset }];
  });
}

/** Where a page lies: one after the other, unless the directory scatters them. */
function pageOffset({ scatter }: CodeDirectory, index: number, step: number): number {
  const run = scatter.find(({ base, count }) => index >= base && index < base + count);
  return run === undefined ? index * step : run.offset + (index - run.base) * step;
}

function checkSpecial(directory: CodeDirectory, signature: CodeSignature, parts: SignedParts): HashFault[] {
  const faults: HashFault[] = [];
  for (const [slot, hash] of directory.special) {
    // All zero: there is nothing in that slot.
    if (!hash.some((byte) => byte !== 0)) continue;
    const name = SPECIAL_NAMES.get(slot) ?? `special slot ${slot}`;
    const own = partOf(slot, signature, parts);
    if (own === 'unseen') continue;
    const hashed = own === undefined ? undefined : digest(directory.hashType, own);
    if (own === undefined) faults.push({ what: `${name}, which is no longer there,` });
    else if (hashed === undefined || !sameBytes(hashed, hash)) faults.push({ what: name });
  }
  for (const { slot } of signature.blobs) {
    const signed = signature.directories.some((one) => hasHash(one, slot));
    if (SPECIAL_NAMES.has(slot) && !signed)
      faults.push({ what: `${SPECIAL_NAMES.get(slot)}, which nobody signed,` });
  }
  return faults;
}

const hasHash = ({ special }: CodeDirectory, slot: number): boolean =>
  special.get(slot)?.some((byte) => byte !== 0) === true;

/** The bytes behind a special slot; `unseen`: nobody was given them to look at. */
function partOf(
  slot: number,
  signature: CodeSignature,
  parts: SignedParts,
): Uint8Array | 'unseen' | undefined {
  if (slot === SLOT.INFO) return 'infoPlist' in parts ? parts.infoPlist : 'unseen';
  if (slot === SLOT.RESOURCES) return 'resources' in parts ? parts.resources : 'unseen';
  // What a program's own kind puts there is not part of the signature.
  if (slot === SLOT.APPLICATION || slot === SLOT.REP_SPECIFIC) return 'unseen';
  return signature.blobs.find((blob) => blob.slot === slot)?.bytes;
}
