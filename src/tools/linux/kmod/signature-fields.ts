/** What modinfo shows of an appended signature (include/linux/module_signature.h; CMS: RFC 5652). */
import { hexOf } from '../../../bytes/hex.ts';
import { type ByteSource, latin } from '../../../systems/linux/tree/elf-facts.ts';
import { type DerTree, readDerTree } from './der-tree.ts';

export type Field = readonly [key: string, value: string | Uint8Array];

const MARKER = '~Module signature appended~\n';
const INFO_BYTES = 12;
const TYPES = ['PGP', 'X509', 'PKCS#7'];
const PKCS7 = 2;
/** enum pkey_hash_algo, for signatures older than PKCS#7. */
const OLD_HASHES = ['md4', 'md5', 'sha1', 'rmd160', 'sha256', 'sha384', 'sha512', 'sha224', 'sm3'];
const KEY_ALGORITHMS = 3;
const NO_BYTES = new Uint8Array();

/** Reads signatures of one file after the other. */
export class SignatureReader {
  private last: Known | undefined;

  /** sig_id, signer, sig_key, sig_hashalgo, signature; nothing for an unsigned file. Only the end of the file is read. */
  fields(source: ByteSource): readonly Field[] {
    const info = source.size - MARKER.length - INFO_BYTES;
    if (info < 0) return [];
    const trailer = source.read(info, INFO_BYTES + MARKER.length);
    if (!endsWithMarker(trailer)) return [];
    const [algorithm, hash, type, signerLength, keyLength] = trailer;
    if (algorithm >= KEY_ALGORITHMS || hash >= OLD_HASHES.length || type >= TYPES.length) return [];
    const length = new DataView(trailer.buffer, trailer.byteOffset).getUint32(8);
    if (length === 0 || info < length + signerLength + keyLength) return [];
    const before = signerLength + keyLength;
    const bytes = source.read(info - length - before, before + length);
    const signature = bytes.subarray(before);
    if (type === PKCS7) return this.ofMessage(signature);
    return fields(TYPES[type], {
      signer: latin(bytes, 0, signerLength),
      key: bytes.subarray(signerLength, before),
      hash: OLD_HASHES[hash],
      signature,
    });
  }

  /** All modules of a build have the same message but for the signature itself, with which it ends (measured). */
  private ofMessage(bytes: Uint8Array): readonly Field[] {
    const { last } = this;
    if (last !== undefined && bytes.length === last.length && startsWith(bytes, last.start))
      return [...last.fields, ['signature', bytes.subarray(last.start.length)]];
    const found = cmsOf(bytes);
    const all = fields(TYPES[PKCS7], found ?? UNKNOWN);
    const { signature } = found ?? UNKNOWN;
    const start = bytes.length - signature.length;
    if (found !== undefined && signature.byteOffset === bytes.byteOffset + start)
      this.last = { length: bytes.length, start: bytes.slice(0, start), fields: all.slice(0, -1).map(kept) };
    return all;
  }
}

interface Known {
  readonly length: number;
  /** All before the signature. */
  readonly start: Uint8Array;
  readonly fields: readonly Field[];
}

/** Bytes of a file are good as long as it is open. */
const kept = ([key, value]: Field): Field => [key, typeof value === 'string' ? value : value.slice()];

const startsWith = (bytes: Uint8Array, start: Uint8Array): boolean => {
  for (let i = 0; i < start.length; i++) if (bytes[i] !== start[i]) return false;
  return true;
};

function endsWithMarker(trailer: Uint8Array): boolean {
  for (let i = 0; i < MARKER.length; i++) if (trailer[INFO_BYTES + i] !== MARKER.charCodeAt(i)) return false;
  return true;
}

interface Signature {
  readonly signer: string;
  readonly key: Uint8Array;
  readonly hash: string;
  readonly signature: Uint8Array;
}

const UNKNOWN: Signature = { signer: '', key: NO_BYTES, hash: 'unknown', signature: NO_BYTES };

function fields(type: string, { signer, key, hash, signature }: Signature): Field[] {
  return [
    ['sig_id', type],
    ['signer', signer],
    ['sig_key', key],
    ['sig_hashalgo', hash],
    ['signature', signature],
  ];
}

const TAG = {
  INTEGER: 0x02,
  OCTETS: 0x04,
  OID: 0x06,
  SEQUENCE: 0x30,
  SET: 0x31,
  CONTENT: 0xa0,
  SECOND: 0xa1,
} as const;
const OID_COMMON_NAME = '550403';
/** Names as OpenSSL prints them. */
const DIGESTS: Readonly<Record<string, string>> = {
  '2b0e03021a': 'sha1',
  '608648016503040204': 'sha224',
  '608648016503040201': 'sha256',
  '608648016503040202': 'sha384',
  '608648016503040203': 'sha512',
  '2a864886f70d0205': 'md5',
  '608648016503040208': 'sha3-256',
  '608648016503040209': 'sha3-384',
  '60864801650304020a': 'sha3-512',
};

/** The first signer of a SignedData; undefined when it is none, or names its key in another way than by issuer and serial. */
function cmsOf(bytes: Uint8Array): Signature | undefined {
  const signed = readDerTree(bytes)?.children.find(({ tag }) => tag === TAG.CONTENT)?.children[0];
  const signer = signed?.children.findLast(({ tag }) => tag === TAG.SET)?.children[0];
  const [, identity, digest, ...rest] = signer?.children ?? [];
  const signature = rest.find(({ tag }) => tag === TAG.OCTETS);
  if (identity?.tag !== TAG.SEQUENCE || digest === undefined || signature === undefined) return undefined;
  const [issuer, serial] = identity.children;
  if (signed === undefined || signer === undefined || serial === undefined) return undefined;
  if (!isSignedData(signed) || !isSigner(signer) || !isName(issuer)) return undefined;
  const oid = hexOf(digest.children[0]?.content ?? NO_BYTES);
  return {
    signer: commonName(issuer),
    key: withoutZeros(serial.content),
    hash: DIGESTS[oid] ?? dotted(digest.children[0]?.content ?? NO_BYTES),
    signature: signature.content,
  };
}

/** Tags in order; one that may be missing is in `optional`. */
function hasShape({ children }: DerTree, tags: readonly number[], optional: readonly number[]): boolean {
  let at = 0;
  for (const tag of tags)
    if (children[at]?.tag === tag) at++;
    else if (!optional.includes(tag)) return false;
  return at === children.length;
}

const isAlgorithm = (node: DerTree): boolean =>
  node.tag === TAG.SEQUENCE && node.children[0]?.tag === TAG.OID;

/** RFC 2315, 9.1: the library that the tool reads it with takes nothing else. */
const isSignedData = (node: DerTree): boolean =>
  hasShape(
    node,
    [TAG.INTEGER, TAG.SET, TAG.SEQUENCE, TAG.CONTENT, TAG.SECOND, TAG.SET],
    [TAG.CONTENT, TAG.SECOND],
  ) && node.children[1].children.every(isAlgorithm);

/** RFC 2315, 9.2 */
const isSigner = (node: DerTree): boolean =>
  hasShape(
    node,
    [TAG.INTEGER, TAG.SEQUENCE, TAG.SEQUENCE, TAG.CONTENT, TAG.SEQUENCE, TAG.OCTETS, TAG.SECOND],
    [TAG.CONTENT, TAG.SECOND],
  ) && isAlgorithm(node.children[2]);

/** A Name of X.501: sets of pairs of an attribute and its value. */
const isName = (node: DerTree): boolean =>
  node.tag === TAG.SEQUENCE &&
  node.children.every(
    (set) =>
      set.tag === TAG.SET && set.children.every((pair) => isAlgorithm(pair) && pair.children.length === 2),
  );

/** The common name; without one the last part of the name, as the tool takes it. */
function commonName(issuer: DerTree): string {
  const parts = issuer.children.flatMap((set) => set.children);
  const found =
    parts.find((part) => hexOf(part.children[0]?.content ?? NO_BYTES) === OID_COMMON_NAME) ?? parts.at(-1);
  const text = found?.children[1]?.content ?? NO_BYTES;
  return latin(text, 0, text.length);
}

function withoutZeros(bytes: Uint8Array): Uint8Array {
  const first = bytes.findIndex((byte) => byte !== 0);
  return first < 0 ? NO_BYTES : bytes.subarray(first);
}

/** An object identifier nobody named, in its numbers (X.690, 8.19). */
function dotted(bytes: Uint8Array): string {
  const numbers: number[] = [];
  let value = 0;
  for (const byte of bytes) {
    value = value * 128 + (byte & 0x7f);
    if (byte >= 0x80) continue;
    if (numbers.length === 0)
      numbers.push(Math.min(2, Math.floor(value / 40)), value - 40 * Math.min(2, Math.floor(value / 40)));
    else numbers.push(value);
    value = 0;
  }
  return numbers.join('.');
}
