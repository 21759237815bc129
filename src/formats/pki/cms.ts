/**
 * A CMS SignedData (RFC 5652) as module signatures have it: one signer, contents that stay outside, no attributes and no
 * certificates. The bytes are those that OpenSSL writes for the kernel's sign-file.
 */
import { Invalid } from '../../bytes/errors.ts';
import { context, encodeDer, encodeOid, Tag } from '../der.ts';
import type { Certificate } from './certificate.ts';
import type { HashAlgorithm } from './hashes.ts';

const SIGNED_DATA = '1.2.840.113549.1.7.2';
const DATA = '1.2.840.113549.1.7.1';
const RSA = '1.2.840.113549.1.1.1';
const NULL = Uint8Array.of(5, 0);
/** `[0]`, primitive: a subject key identifier. */
const KEY_ID = 0x80;

/** Signature algorithms of elliptic curves by the hash, which they name. */
const EC_WITH: Readonly<Record<string, string>> = {
  sha1: '1.2.840.10045.4.1',
  sha224: '1.2.840.10045.4.3.1',
  sha256: '1.2.840.10045.4.3.2',
  sha384: '1.2.840.10045.4.3.3',
  sha512: '1.2.840.10045.4.3.4',
  'sha3-256': '2.16.840.1.101.3.4.3.10',
  'sha3-384': '2.16.840.1.101.3.4.3.11',
  'sha3-512': '2.16.840.1.101.3.4.3.12',
};

export interface SignedDataParts {
  readonly certificate: Certificate;
  readonly hash: HashAlgorithm;
  readonly keyKind: 'rsa' | 'ec';
  readonly signature: Uint8Array;
  /** Name the key by its identifier instead of issuer and serial number. */
  readonly byKeyId: boolean;
}

/** @throws Invalid when the certificate or the hash does not allow what is asked */
export function writeSignedData({
  certificate,
  hash,
  keyKind,
  signature,
  byKeyId,
}: SignedDataParts): Uint8Array {
  const version = encodeDer(Tag.INTEGER, Uint8Array.of(byKeyId ? 3 : 1));
  // OpenSSL leaves the parameters out but for hashes older than SHA.
  const parameters = hash.name === 'md5' ? [NULL] : [];
  const digest = encodeDer(Tag.SEQUENCE, encodeOid(hash.oid), ...parameters);
  const signer = encodeDer(
    Tag.SEQUENCE,
    version,
    byKeyId ? keyIdentifier(certificate) : issuerAndSerial(certificate),
    digest,
    signatureAlgorithm(keyKind, hash),
    encodeDer(Tag.OCTET_STRING, signature),
  );
  const data = encodeDer(
    Tag.SEQUENCE,
    version,
    encodeDer(Tag.SET, digest),
    encodeDer(Tag.SEQUENCE, encodeOid(DATA)),
    encodeDer(Tag.SET, signer),
  );
  return encodeDer(Tag.SEQUENCE, encodeOid(SIGNED_DATA), encodeDer(context(0), data));
}

const issuerAndSerial = ({ issuer, serial }: Certificate): Uint8Array =>
  encodeDer(Tag.SEQUENCE, issuer, encodeDer(Tag.INTEGER, serial));

function keyIdentifier({ keyId }: Certificate): Uint8Array {
  if (keyId === undefined)
    throw new Invalid('certificate', 'has no subject key identifier to name the key by');
  return encodeDer(KEY_ID, keyId);
}

function signatureAlgorithm(kind: 'rsa' | 'ec', { name }: HashAlgorithm): Uint8Array {
  if (kind === 'rsa') return encodeDer(Tag.SEQUENCE, encodeOid(RSA), NULL);
  const oid = EC_WITH[name];
  if (oid === undefined)
    throw new Invalid('signature', `no signature with elliptic curves is defined for ${name}`);
  return encodeDer(Tag.SEQUENCE, encodeOid(oid));
}
