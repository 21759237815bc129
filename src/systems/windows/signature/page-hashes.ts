/**
 * Page hashes: an optional part of the signed contents that lists the hash of every page as it is on disk, filled up with
 * zeros, so that the kernel can check pages as they come in.
 */
import { joinBytes } from '../../../bytes/join.ts';
import { sameBytes } from '../../../bytes/same.ts';
import { children, type DerNode, oid, readDer, Tag } from '../../../formats/der.ts';
import { DIRECTORY } from '../../../formats/pe/layout.ts';
import type { PeFile } from '../../../formats/pe/read.ts';
import { type HashAlgorithm, hashNamed } from '../../../formats/pki/hashes.ts';

const VERSIONS: Readonly<Record<string, string>> = {
  '1.3.6.1.4.1.311.2.3.1': 'sha1',
  '1.3.6.1.4.1.311.2.3.2': 'sha256',
};
/** The class that says that a serialized object is a list of page hashes. */
const CLASS = [
  0xa6, 0xb5, 0x86, 0xd5, 0xb4, 0xa1, 0x24, 0x66, 0xae, 0x05, 0xa2, 0x17, 0xda, 0x8e, 0x60, 0xd6,
];

export interface PageHashes {
  readonly algorithm: string;
  readonly holds: boolean;
  /** File offset of the first page whose hash is another. */
  readonly badOffset?: number;
}

/** Undefined when the signed contents have none. @throws FormatError */
export function examinePageHashes(pe: PeFile, content: DerNode): PageHashes | undefined {
  const found = findSerialized(content, 0);
  if (found === undefined) return undefined;
  const [attribute] = children(readDer(found.body, 'page hashes'), 'page hashes');
  if (attribute === undefined) return undefined;
  const [type, values] = children(attribute, 'page hashes');
  const hash = type === undefined ? undefined : hashNamed(VERSIONS[oid(type)] ?? '');
  const stated = values === undefined ? undefined : children(values, 'page hashes')[0];
  if (hash === undefined || stated === undefined) return undefined;
  const computed = computePageHashes(pe, hash);
  if (sameBytes(stated.body, computed)) return { algorithm: hash.name, holds: true };
  return { algorithm: hash.name, holds: false, badOffset: firstDifference(stated.body, computed, hash) };
}

const MAX_DEPTH = 8;

/** The octet string behind the class identifier, wherever in the image data it is. */
function findSerialized(node: DerNode, depth: number): DerNode | undefined {
  if (depth > MAX_DEPTH || (node.tag & 0x20) === 0) return undefined;
  const parts = children(node, 'signed contents');
  const at = parts.findIndex(
    ({ tag, body }) =>
      tag === Tag.OCTET_STRING && body.length === CLASS.length && CLASS.every((b, i) => b === body[i]),
  );
  if (at >= 0) return parts[at + 1];
  for (const part of parts) {
    const found = findSerialized(part, depth + 1);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Entries of file offset and hash: headers, each page of each section, and the end with a hash of zeros. */
export function computePageHashes(pe: PeFile, hash: HashAlgorithm): Uint8Array {
  const page = Math.max(1, pe.header.sectionAlignment);
  const length = hash.hash(new Uint8Array(0)).length;
  const entries: Uint8Array[] = [];
  const add = (offset: number, digest: Uint8Array) => {
    const entry = new Uint8Array(4 + length);
    new DataView(entry.buffer).setUint32(0, offset, true);
    entry.set(digest, 4);
    entries.push(entry);
  };
  add(0, hash.hash(headerPage(pe, page)));
  let end = 0;
  for (const { rawOffset, rawSize } of pe.sections) {
    if (rawSize === 0) continue;
    for (let at = 0; at < rawSize; at += page) {
      const bytes = new Uint8Array(page);
      bytes.set(pe.bytes.subarray(rawOffset + at, rawOffset + Math.min(at + page, rawSize)));
      add(rawOffset + at, hash.hash(bytes));
    }
    end = rawOffset + rawSize;
  }
  add(end, new Uint8Array(length));
  const out = new Uint8Array(entries.length * (4 + length));
  entries.forEach((entry, i) => {
    out.set(entry, i * (4 + length));
  });
  return out;
}

/** The headers without checksum and security directory, filled up behind with as many zeros as a page lacks. */
function headerPage(pe: PeFile, page: number): Uint8Array {
  const { sizeOfHeaders, checksumOffset, directoryOffset } = pe.header;
  const entry = directoryOffset + DIRECTORY.SECURITY * 8;
  const parts = [
    pe.bytes.subarray(0, checksumOffset),
    pe.bytes.subarray(checksumOffset + 4, entry),
    pe.bytes.subarray(entry + 8, sizeOfHeaders),
  ];
  return joinBytes([...parts, new Uint8Array(Math.max(0, page - sizeOfHeaders))]);
}

function firstDifference(stated: Uint8Array, computed: Uint8Array, hash: HashAlgorithm): number | undefined {
  const step = 4 + hash.hash(new Uint8Array(0)).length;
  for (let at = 0; at + step <= computed.length; at += step) {
    if (!sameBytes(stated.subarray(at, at + step), computed.subarray(at, at + step)))
      return new DataView(computed.buffer, computed.byteOffset).getUint32(at, true);
  }
  return undefined;
}
