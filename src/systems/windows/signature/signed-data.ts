/** PKCS #7 SignedData with a signer's attributes and its certificates (RFC 2315, RFC 5652), read and verified. */
import { FormatError, Invalid } from '../../../bytes/errors.ts';
import { sameBytes } from '../../../bytes/same.ts';
import { children, context, type DerNode, oid, readDer, Tag } from '../../../formats/der.ts';
import {
  type Certificate,
  readCertificate,
  readTime,
  signedBy,
  verifySignature,
} from '../../../formats/pki/certificate.ts';
import { hashOf } from '../../../formats/pki/hashes.ts';

const SIGNED_DATA = '1.2.840.113549.1.7.2';
export const Attribute = {
  MESSAGE_DIGEST: '1.2.840.113549.1.9.4',
  SIGNING_TIME: '1.2.840.113549.1.9.5',
  COUNTER_SIGNATURE: '1.2.840.113549.1.9.6',
  NESTED_SIGNATURE: '1.3.6.1.4.1.311.2.4.1',
  RFC3161: '1.3.6.1.4.1.311.3.3.1',
} as const;
const MAX_CHAIN = 16;

export interface SignerInfo {
  readonly issuer: Uint8Array;
  readonly serial: Uint8Array;
  /** Object identifier of the hash. */
  readonly hash: string;
  /** As signed: a SET OF. */
  readonly attributes: Uint8Array | undefined;
  readonly messageDigest: Uint8Array | undefined;
  readonly signingTime: number | undefined;
  readonly signature: Uint8Array;
  readonly unsigned: DerNode | undefined;
}

export interface SignedData {
  /** Object identifier of what was signed. */
  readonly contentType: string;
  readonly content: DerNode;
  readonly certificates: readonly Certificate[];
  readonly signer: SignerInfo;
}

export function need(node: DerNode | undefined, what: string): DerNode {
  if (node === undefined) throw new Invalid('PKCS#7', `has no ${what}`);
  return node;
}

/** @throws FormatError */
export function readSignedData(der: Uint8Array): SignedData {
  const [type, wrapped] = children(readDer(der, 'PKCS#7'), 'PKCS#7');
  if (oid(need(type, 'content type')) !== SIGNED_DATA) throw new Invalid('PKCS#7', 'is not signed data');
  const [, , encapsulated, ...rest] = children(
    readDer(need(wrapped, 'content').body, 'SignedData'),
    'SignedData',
  );
  const [contentType, inner] = children(need(encapsulated, 'contents'), 'contents');
  const certificates = rest.find(({ tag }) => tag === context(0));
  const signers = rest.find(({ tag }) => tag === Tag.SET);
  return {
    contentType: oid(need(contentType, 'content type')),
    content: readDer(need(inner, 'contents').body, 'contents'),
    certificates:
      certificates === undefined ? [] : children(certificates, 'certificates').flatMap(certificate),
    signer: readSignerInfo(need(signers && children(signers, 'signers')[0], 'signer')),
  };
}

/** A certificate that cannot be read is nobody's issuer; the rest of the set may still hold. */
function certificate({ whole }: DerNode): Certificate[] {
  try {
    return [readCertificate(whole)];
  } catch (error) {
    if (error instanceof FormatError) return [];
    throw error;
  }
}

export function readSignerInfo(node: DerNode): SignerInfo {
  const [, who, hash, ...rest] = children(node, 'signer');
  const [issuer, serial] = children(need(who, 'issuer'), 'issuer');
  const signedAttributes = rest.find(({ tag }) => tag === context(0));
  // They are signed as a SET, and stored with the tag of their place.
  const attributes = signedAttributes === undefined ? undefined : Uint8Array.from(signedAttributes.whole);
  if (attributes !== undefined) attributes[0] = Tag.SET;
  const time = attributeValues(signedAttributes, Attribute.SIGNING_TIME)[0];
  return {
    issuer: need(issuer, 'issuer').whole,
    serial: need(serial, 'serial number').body,
    hash: oid(need(children(need(hash, 'digest algorithm'), 'digest algorithm')[0], 'digest algorithm')),
    attributes,
    messageDigest: attributeValues(signedAttributes, Attribute.MESSAGE_DIGEST)[0]?.body,
    signingTime: time === undefined ? undefined : readTime(time),
    signature: need(
      rest.find(({ tag }) => tag === Tag.OCTET_STRING),
      'signature',
    ).body,
    unsigned: rest.find(({ tag }) => tag === context(1)),
  };
}

/** The values of an attribute, as nodes. */
export function attributeValues(set: DerNode | undefined, type: string): DerNode[] {
  if (set === undefined) return [];
  for (const attribute of children(set, 'attributes')) {
    const [name, values] = children(attribute, 'attribute');
    if (name !== undefined && values !== undefined && oid(name) === type)
      return children(values, 'attribute');
  }
  return [];
}

export type SignerVerdict =
  | { readonly holds: true; readonly certificate: Certificate }
  | {
      readonly holds: false;
      readonly kind: 'malformed' | 'bad hash' | 'cannot tell';
      readonly certificate: Certificate | undefined;
      readonly why: string;
    };

/** Is the signature the named signer's, over these contents? @param bare as for verifyRsa: time stamp services of old */
export function verifySigner(
  signer: SignerInfo,
  certificates: readonly Certificate[],
  content: Uint8Array,
  bare = false,
): SignerVerdict {
  const found = certificates.find(
    (one) => sameBytes(one.issuer, signer.issuer) && sameBytes(one.serial, signer.serial),
  );
  const fail = (kind: 'malformed' | 'bad hash' | 'cannot tell', why: string): SignerVerdict => ({
    holds: false,
    kind,
    certificate: found,
    why,
  });
  if (found === undefined) return fail('malformed', "the signer's certificate is not in the file");
  const hash = hashOf(signer.hash);
  if (hash === undefined) return fail('cannot tell', `the hash algorithm ${signer.hash} is not written here`);
  const { attributes, messageDigest } = signer;
  if (
    attributes !== undefined &&
    (messageDigest === undefined || !sameBytes(messageDigest, hash.hash(content)))
  )
    return fail('bad hash', 'the signed attributes belong to other contents');
  const holds = verifySignature(found.key, signer.hash, attributes ?? content, signer.signature, bare);
  if (holds === undefined)
    return fail('cannot tell', `the key of ${found.name} is of a kind that is not written here`);
  return holds
    ? { holds: true, certificate: found }
    : fail('bad hash', `the signature is not one of ${found.name}`);
}

export interface Chain {
  /** From the signer upwards. */
  readonly certificates: readonly Certificate[];
  /** One of them is among the anchors, or signed by one. */
  readonly trusted: boolean;
}

/** Up from the signer: each certificate must be signed by the next. */
export function chainOf(
  signer: Certificate,
  others: readonly Certificate[],
  anchors: readonly Certificate[],
): Chain {
  const certificates = [signer];
  for (let n = 0; n < MAX_CHAIN; n++) {
    const here = certificates[certificates.length - 1];
    if (anchors.some(({ der }) => sameBytes(der, here.der))) return { certificates, trusted: true };
    const issuer = [...anchors, ...others].find(
      (one) =>
        !certificates.includes(one) && sameBytes(one.subject, here.issuer) && signedBy(here, one) === true,
    );
    if (issuer === undefined) break;
    certificates.push(issuer);
  }
  return { certificates, trusted: false };
}
