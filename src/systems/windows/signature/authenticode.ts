/**
 * Authenticode ("Windows Authenticode Portable Executable Signature Format", Microsoft's published description): the
 * PKCS#7 in the file, the hash of the image, who signed, and where the chain of certificates ends.
 */
import { sha1 } from '@noble/hashes/legacy';
import { sha256 } from '@noble/hashes/sha2';
import { FormatError, Invalid } from '../../../bytes/errors.ts';
import { children, context, type DerNode, oid, readDer, sameBytes, Tag } from '../../../formats/der.ts';
import type { PeFile } from '../../../formats/pe/read.ts';
import { hashedRanges, readCertificates } from '../../../formats/pe/security.ts';
import {
  type Certificate,
  readCertificate,
  signedBy,
  verifySignature,
} from '../../../formats/pki/certificate.ts';
import { hashOf } from '../../../formats/pki/hashes.ts';
import type { SignatureFacts } from '../rules/verdict.ts';

const SIGNED_DATA = '1.2.840.113549.1.7.2';
const MESSAGE_DIGEST = '1.2.840.113549.1.9.4';
const NESTED_SIGNATURE = '1.3.6.1.4.1.311.2.4.1';
const PKCS7 = 2;
const MAX_CHAIN = 16;

export interface SignedFile {
  /** The hash the signer stated for the image, and its algorithm. */
  readonly algorithm: string;
  readonly digest: Uint8Array;
  readonly content: Uint8Array;
  readonly certificates: readonly Certificate[];
  readonly signer: SignerInfo;
  readonly nested: readonly Uint8Array[];
}

interface SignerInfo {
  readonly issuer: Uint8Array;
  readonly serial: Uint8Array;
  readonly hash: string;
  /** As signed: a SET OF. */
  readonly attributes: Uint8Array | undefined;
  readonly messageDigest: Uint8Array | undefined;
  readonly signature: Uint8Array;
}

function need(node: DerNode | undefined, what: string): DerNode {
  if (node === undefined) throw new Invalid('PKCS#7', `has no ${what}`);
  return node;
}

/** @throws FormatError */
export function readSignedFile(der: Uint8Array): SignedFile {
  const [type, wrapped] = children(readDer(der, 'PKCS#7'), 'PKCS#7');
  if (oid(need(type, 'content type')) !== SIGNED_DATA) throw new Invalid('PKCS#7', 'is not signed data');
  const fields = children(readDer(need(wrapped, 'content').body, 'SignedData'), 'SignedData');
  const [, , encapsulated, ...rest] = fields;
  const inner = children(need(encapsulated, 'contents'), 'contents')[1];
  const content = readDer(need(inner, 'contents').body, 'contents');
  const digestInfo = children(need(children(content, 'contents')[1], 'digest'), 'digest');
  const algorithm = need(children(need(digestInfo[0], 'digest'), 'digest')[0], 'digest algorithm');
  const certificates = rest.find(({ tag }) => tag === context(0));
  const signers = rest.find(({ tag }) => tag === Tag.SET);
  const { info, nested } = readSigner(need(signers && children(signers, 'signers')[0], 'signer'));
  return {
    algorithm: oid(algorithm),
    digest: need(digestInfo[1], 'digest').body,
    content: content.body,
    certificates:
      certificates === undefined
        ? []
        : children(certificates, 'certificates').map(({ whole }) => readCertificate(whole)),
    signer: info,
    nested,
  };
}

function readSigner(node: DerNode): { info: SignerInfo; nested: Uint8Array[] } {
  const [, who, hash, ...rest] = children(node, 'signer');
  const [issuer, serial] = children(need(who, 'issuer'), 'issuer');
  const signedAttributes = rest.find(({ tag }) => tag === context(0));
  const unsignedAttributes = rest.find(({ tag }) => tag === context(1));
  const attribute = (set: DerNode | undefined, wanted: string): DerNode[] => {
    for (const pair of set === undefined ? [] : children(set, 'attributes')) {
      const [type, values] = children(pair, 'attribute');
      if (type !== undefined && values !== undefined && oid(type) === wanted)
        return children(values, 'attribute');
    }
    return [];
  };
  let attributes: Uint8Array | undefined;
  if (signedAttributes !== undefined) {
    attributes = signedAttributes.whole.slice();
    attributes[0] = Tag.SET;
  }
  const info = {
    issuer: need(issuer, 'issuer').whole,
    serial: need(serial, 'serial number').body,
    hash: oid(need(children(need(hash, 'digest algorithm'), 'digest algorithm')[0], 'digest algorithm')),
    attributes,
    messageDigest: attribute(signedAttributes, MESSAGE_DIGEST)[0]?.body,
    signature: need(
      rest.find(({ tag }) => tag === Tag.OCTET_STRING),
      'signature',
    ).body,
  };
  return { info, nested: attribute(unsignedAttributes, NESTED_SIGNATURE).map(({ whole }) => whole) };
}

export function imageHash(pe: PeFile, hash: (bytes: Uint8Array) => Uint8Array): Uint8Array {
  const ranges = hashedRanges(pe);
  const total = ranges.reduce((sum, range) => sum + range.length, 0);
  const bytes = new Uint8Array(total);
  let at = 0;
  for (const range of ranges) {
    bytes.set(range, at);
    at += range.length;
  }
  return hash(bytes);
}

const hex = (bytes: Uint8Array): string =>
  [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');

/** Judges the signature that a file carries. @param roots DER of certificates that are trusted */
export function examineSignature(pe: PeFile, roots: readonly Uint8Array[]): SignatureFacts {
  const none: SignatureFacts = {
    state: 'none',
    hashes: [],
    signer: undefined,
    trusted: false,
    detail: 'no signature',
  };
  try {
    const hashes = [hex(imageHash(pe, sha1)), hex(imageHash(pe, sha256))];
    const found = readCertificates(pe).find(({ type }) => type === PKCS7);
    if (found === undefined) return { ...none, hashes };
    return { ...judge(pe, readSignedFile(found.data), roots), hashes };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return { ...none, state: 'malformed', detail: error.message };
  }
}

function judge(pe: PeFile, file: SignedFile, roots: readonly Uint8Array[]): Omit<SignatureFacts, 'hashes'> {
  const signer = file.certificates.find(
    (one) => sameBytes(one.issuer, file.signer.issuer) && sameBytes(one.serial, file.signer.serial),
  );
  const facts = { signer: signer?.name, trusted: false };
  const hash = hashOf(file.algorithm)?.hash;
  const own = hashOf(file.signer.hash)?.hash;
  if (hash === undefined || own === undefined)
    return {
      ...facts,
      state: 'cannot tell',
      detail: `the hash algorithm ${file.algorithm} is not written here`,
    };
  if (!sameBytes(imageHash(pe, hash), file.digest))
    return { ...facts, state: 'bad hash', detail: 'the hash of the file is not the one that was signed' };
  if (signer === undefined)
    return { ...facts, state: 'malformed', detail: "the signer's certificate is not in the file" };
  const { attributes, messageDigest, signature } = file.signer;
  if (
    attributes !== undefined &&
    (messageDigest === undefined || !sameBytes(messageDigest, own(file.content)))
  )
    return { ...facts, state: 'bad hash', detail: 'the signed attributes belong to other contents' };
  const holds = verifySignature(signer.key, file.signer.hash, attributes ?? file.content, signature);
  if (holds === undefined)
    return {
      ...facts,
      state: 'cannot tell',
      detail: `the key of ${signer.name} is neither RSA nor of a curve that is written here`,
    };
  if (!holds) return { ...facts, state: 'bad hash', detail: `the signature is not one of ${signer.name}` };
  const chain = chainOf(signer, file.certificates, roots);
  const trusted = chain.trusted;
  const end = chain.names.length > 1 ? `, issued by ${chain.names.slice(1).join(', ')}` : '';
  return { ...facts, trusted, state: 'valid', detail: `signed by ${signer.name}${end}` };
}

/** Up from the signer: each certificate must be signed by the next; trusted when one is among the roots or signed by one. */
function chainOf(
  signer: Certificate,
  others: readonly Certificate[],
  roots: readonly Uint8Array[],
): { names: string[]; trusted: boolean } {
  const anchors = roots.map(readCertificate);
  const names = [signer.name];
  let current = signer;
  for (let n = 0; n < MAX_CHAIN; n++) {
    const here = current;
    if (anchors.some(({ der }) => sameBytes(der, here.der))) return { names, trusted: true };
    const issuer = [...anchors, ...others].find(
      (one) => one !== here && sameBytes(one.subject, here.issuer) && signedBy(here, one) === true,
    );
    if (issuer === undefined) break;
    names.push(issuer.name);
    current = issuer;
  }
  return { names, trusted: false };
}
