/** The hashes of a code signature against what they cover: pages of the file, Info.plist, resources, other blobs. */
import { sha1 } from '@noble/hashes/sha1.js';
import { sha256, sha384 } from '@noble/hashes/sha2.js';
import { type CodeDirectory, type CodeSignature, HASH_NAMES, SLOT } from './read.ts';

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
    default:
      return undefined;
  }
}

const same = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, i) => byte === b[i]);

/** What a bundle has for the special slots; what is not given is not looked at. */
export interface SignedParts {
  readonly infoPlist?: Uint8Array;
  readonly resources?: Uint8Array;
}

/** Everything that does not have the hash that it was signed with. `code` is the thin file. */
export function checkHashes(signature: CodeSignature, code: Uint8Array, parts: SignedParts): HashFault[] {
  if (signature.directories.length === 0) return [{ what: 'there is no CodeDirectory' }];
  return signature.directories.flatMap((directory) => [
    ...checkPages(directory, code),
    ...checkSpecial(directory, signature, parts),
  ]);
}

function checkPages(directory: CodeDirectory, code: Uint8Array): HashFault[] {
  const { codeLimit, pageSize, hashType } = directory;
  const name = HASH_NAMES[hashType];
  if (name === undefined) return [{ what: `hash type ${hashType} is unknown` }];
  if (codeLimit > code.length) return [{ what: `it covers ${codeLimit} bytes, the file has ${code.length}` }];
  const step = pageSize === 0 ? Math.max(1, codeLimit) : pageSize;
  const pages = Math.ceil(codeLimit / step);
  if (pages !== directory.code.length)
    return [{ what: `it has ${directory.code.length} page hashes for ${pages} pages` }];
  return directory.code.flatMap((hash, i) => {
    const page = code.subarray(i * step, Math.min(codeLimit, (i + 1) * step));
    const own = digest(hashType, page);
    return own !== undefined && same(own, hash) ? [] : [{ what: `page ${i} (${name})`, offset: i * step }];
  });
}

const SPECIAL_NAMES: ReadonlyMap<number, string> = new Map([
  [SLOT.INFO, 'Info.plist'],
  [SLOT.REQUIREMENTS, 'requirements'],
  [SLOT.RESOURCES, 'CodeResources'],
  [SLOT.ENTITLEMENTS, 'entitlements'],
  [SLOT.DER_ENTITLEMENTS, 'DER entitlements'],
]);

function checkSpecial(directory: CodeDirectory, signature: CodeSignature, parts: SignedParts): HashFault[] {
  const faults: HashFault[] = [];
  for (const [slot, name] of SPECIAL_NAMES) {
    const hash = directory.special.get(slot);
    const expected = hash?.some((byte) => byte !== 0) === true ? hash : undefined;
    const own = partOf(slot, signature, parts);
    if (expected === undefined || own === undefined) continue;
    const hashed = digest(directory.hashType, own);
    if (hashed === undefined || !same(hashed, expected)) faults.push({ what: name });
  }
  return faults;
}

function partOf(slot: number, signature: CodeSignature, parts: SignedParts): Uint8Array | undefined {
  if (slot === SLOT.INFO) return parts.infoPlist;
  if (slot === SLOT.RESOURCES) return parts.resources;
  return signature.blobs.find((blob) => blob.slot === slot)?.bytes;
}
