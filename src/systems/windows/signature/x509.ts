/** X.509 certificates as far as a chain of signatures needs them (RFC 5280), and RSA signatures (RFC 8017, section 8.2). */
import { md5, sha1 } from '@noble/hashes/legacy';
import { sha256, sha384, sha512 } from '@noble/hashes/sha2';
import { Invalid } from '../../../bytes/errors.ts';
import {
  children,
  context,
  type DerNode,
  oid,
  readDer,
  sameBytes,
  Tag,
  unsigned,
} from '../../../formats/der.ts';

type Hash = (bytes: Uint8Array) => Uint8Array;

/** By OID: plain hashes, and signature algorithms that name one. */
const HASHES: Readonly<Record<string, Hash>> = {
  '1.2.840.113549.2.5': md5,
  '1.3.14.3.2.26': sha1,
  '2.16.840.1.101.3.4.2.1': sha256,
  '2.16.840.1.101.3.4.2.2': sha384,
  '2.16.840.1.101.3.4.2.3': sha512,
  '1.2.840.113549.1.1.4': md5,
  '1.2.840.113549.1.1.5': sha1,
  '1.3.14.3.2.29': sha1,
  '1.2.840.113549.1.1.11': sha256,
  '1.2.840.113549.1.1.12': sha384,
  '1.2.840.113549.1.1.13': sha512,
};
const COMMON_NAME = '2.5.4.3';
const ORGANISATION = '2.5.4.10';

export const hashOf = (algorithm: string): Hash | undefined => HASHES[algorithm];

export interface Certificate {
  readonly der: Uint8Array;
  /** What its issuer signed. */
  readonly signed: Uint8Array;
  readonly serial: Uint8Array;
  readonly issuer: Uint8Array;
  readonly subject: Uint8Array;
  readonly name: string;
  readonly algorithm: string;
  readonly signature: Uint8Array;
  /** Undefined for keys that are not RSA. */
  readonly key: RsaKey | undefined;
}

export interface RsaKey {
  readonly modulus: bigint;
  readonly exponent: bigint;
  readonly bytes: number;
}

/** More than any certificate has; a hostile one must not buy hours of arithmetic. */
const MAX_MODULUS = 1024;
const MAX_EXPONENT = 8;

export function readCertificate(der: Uint8Array): Certificate {
  const root = readDer(der, 'certificate');
  const [signed, algorithm, signature] = children(root, 'certificate');
  if (signed === undefined || algorithm === undefined || signature === undefined)
    throw new Invalid('certificate', 'has fewer than three parts');
  const fields = children(signed, 'certificate');
  const at = fields[0]?.tag === context(0) ? 1 : 0;
  const [serial, , issuer, , subject, keyInfo] = fields.slice(at);
  if (keyInfo === undefined) throw new Invalid('certificate', 'has no public key');
  return {
    der: root.whole,
    signed: signed.whole,
    serial: serial.body,
    issuer: issuer.whole,
    subject: subject.whole,
    name: nameText(subject),
    algorithm: oid(children(algorithm, 'signature algorithm')[0] ?? algorithm),
    signature: signature.body.subarray(1),
    key: rsaKey(keyInfo),
  };
}

function nameText(name: DerNode): string {
  let best = '';
  for (const set of children(name, 'name')) {
    for (const pair of children(set, 'name')) {
      const [type, value] = children(pair, 'name');
      if (type === undefined || value === undefined) continue;
      const kind = oid(type);
      const text = new TextDecoder().decode(value.body);
      if (kind === COMMON_NAME) return text;
      if (kind === ORGANISATION) best = text;
    }
  }
  return best;
}

function rsaKey(info: DerNode): RsaKey | undefined {
  const [algorithm, bits] = children(info, 'public key');
  if (algorithm === undefined || bits === undefined) return undefined;
  const kind = children(algorithm, 'public key')[0];
  if (kind === undefined || oid(kind) !== '1.2.840.113549.1.1.1') return undefined;
  const [modulus, exponent] = children(readDer(bits.body.subarray(1), 'RSA key'), 'RSA key');
  if (modulus?.tag !== Tag.INTEGER || exponent?.tag !== Tag.INTEGER) return undefined;
  const digits = modulus.body[0] === 0 ? modulus.body.subarray(1) : modulus.body;
  if (digits.length > MAX_MODULUS || exponent.body.length > MAX_EXPONENT || digits.length === 0)
    return undefined;
  return { modulus: unsigned(digits), exponent: unsigned(exponent.body), bytes: digits.length };
}

function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  if (modulus === 0n) return 0n;
  let result = 1n;
  let square = base % modulus;
  for (let left = exponent; left > 0n; left >>= 1n) {
    if ((left & 1n) === 1n) result = (result * square) % modulus;
    square = (square * square) % modulus;
  }
  return result;
}

/** Does the signature hold for the message? Undefined when the algorithm or the key is of a kind that is not written here. */
export function verifyRsa(
  key: RsaKey | undefined,
  algorithm: string,
  message: Uint8Array,
  signature: Uint8Array,
): boolean | undefined {
  const hash = hashOf(algorithm);
  if (key === undefined || hash === undefined) return undefined;
  const opened = power(unsigned(signature), key.exponent, key.modulus);
  const bytes = new Uint8Array(key.bytes);
  let rest = opened;
  for (let i = bytes.length - 1; i >= 0; i--) {
    bytes[i] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  // 00 01 FF.. 00 DigestInfo
  if (bytes[0] !== 0 || bytes[1] !== 1) return false;
  let at = 2;
  while (bytes[at] === 0xff) at++;
  if (at < 10 || bytes[at] !== 0) return false;
  const info = children(readDer(bytes.subarray(at + 1), 'DigestInfo'), 'DigestInfo');
  return info[1] !== undefined && sameBytes(info[1].body, hash(message));
}

export const signedBy = (subject: Certificate, issuer: Certificate): boolean | undefined =>
  verifyRsa(issuer.key, subject.algorithm, subject.signed, subject.signature);
