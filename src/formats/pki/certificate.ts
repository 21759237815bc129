/** X.509 certificates as far as signatures and chains of them need them (RFC 5280). */
import { Invalid } from '../../bytes/errors.ts';
import { children, context, type DerNode, oid, readDer, Tag, unsigned } from '../der.ts';
import { curveNamed, type EcKey, verifyEcdsa } from './ecdsa.ts';
import { hashOf, keyKindOf } from './hashes.ts';
import { type RsaKey, verifyRsa } from './rsa.ts';

const RSA = '1.2.840.113549.1.1.1';
const EC = '1.2.840.10045.2.1';
const COMMON_NAME = '2.5.4.3';
const ORGANISATION = '2.5.4.10';
const SUBJECT_KEY_ID = '2.5.29.14';
const EXTENDED_KEY_USAGE = '2.5.29.37';

export type PublicKey = RsaKey | EcKey;

export interface Certificate {
  readonly der: Uint8Array;
  /** What its issuer signed. */
  readonly signed: Uint8Array;
  readonly serial: Uint8Array;
  /** Names are whole DER values. */
  readonly issuer: Uint8Array;
  readonly subject: Uint8Array;
  /** The subject's common name, else its organisation. */
  readonly name: string;
  /** Object identifier of the algorithm it is signed with. */
  readonly algorithm: string;
  readonly signature: Uint8Array;
  /** Undefined for a kind or a size of key that is not written here. */
  readonly key: PublicKey | undefined;
  /** The subject key identifier, where the certificate has one. */
  readonly keyId: Uint8Array | undefined;
  /** Object identifiers of its extended key usage; none: it has none. */
  readonly purposes: readonly string[];
  /** Milliseconds since 1970; undefined where a time is no time. */
  readonly notBefore: number | undefined;
  readonly notAfter: number | undefined;
}

/** More than any certificate has; a hostile one must not buy hours of arithmetic. */
const MAX_MODULUS = 1024;
const MAX_EXPONENT = 8;

/** @throws FormatError */
export function readCertificate(der: Uint8Array): Certificate {
  const root = readDer(der, 'certificate');
  const [signed, algorithm, signature] = children(root, 'certificate');
  if (signed === undefined || algorithm === undefined || signature === undefined)
    throw new Invalid('certificate', 'has fewer than three parts');
  const fields = children(signed, 'certificate');
  const at = fields[0]?.tag === context(0) ? 1 : 0;
  const [serial, , issuer, validity, subject, keyInfo, ...rest] = fields.slice(at);
  if (keyInfo === undefined) throw new Invalid('certificate', 'has no public key');
  const extensions = rest.find(({ tag }) => tag === context(3));
  return {
    der: root.whole,
    signed: signed.whole,
    serial: serial.body,
    issuer: issuer.whole,
    subject: subject.whole,
    name: nameText(subject),
    algorithm: oid(children(algorithm, 'signature algorithm')[0] ?? algorithm),
    signature: signature.body.subarray(1),
    key: publicKey(keyInfo),
    keyId: extensionOf(extensions, SUBJECT_KEY_ID)?.body,
    purposes: purposesOf(extensionOf(extensions, EXTENDED_KEY_USAGE)),
    ...validityOf(validity),
  };
}

function validityOf(validity: DerNode): Pick<Certificate, 'notBefore' | 'notAfter'> {
  const [from, to] = children(validity, 'validity');
  return { notBefore: from && readTime(from), notAfter: to && readTime(to) };
}

const UTC_TIME = 0x17;

/** UTCTime or GeneralizedTime in milliseconds since 1970; undefined when it is neither (RFC 5280, section 4.1.2.5). */
export function readTime({ tag, body }: DerNode): number | undefined {
  const text = new TextDecoder('latin1').decode(body);
  const match = /^(\d{2}|\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})?(?:\.\d+)?Z$/.exec(text);
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second = '0'] = match;
  const full = tag === UTC_TIME ? Number(year) + (Number(year) < 50 ? 2000 : 1900) : Number(year);
  const time = Date.UTC(full, Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second));
  return Number.isNaN(time) ? undefined : time;
}

/** The common name of a distinguished name, else its organisation, else nothing. */
export function nameText(name: DerNode): string {
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

function publicKey(info: DerNode): PublicKey | undefined {
  const [algorithm, bits] = children(info, 'public key');
  if (algorithm === undefined || bits === undefined) return undefined;
  const [kind, parameters] = children(algorithm, 'public key');
  if (kind === undefined) return undefined;
  const bytes = bits.body.subarray(1);
  if (oid(kind) === RSA) return rsaKey(bytes);
  if (oid(kind) !== EC || parameters?.tag !== Tag.OID) return undefined;
  const curve = curveNamed(oid(parameters));
  return curve === undefined ? undefined : { kind: 'ec', curve, point: bytes };
}

function rsaKey(bytes: Uint8Array): RsaKey | undefined {
  const [modulus, exponent] = children(readDer(bytes, 'RSA key'), 'RSA key');
  if (modulus?.tag !== Tag.INTEGER || exponent?.tag !== Tag.INTEGER) return undefined;
  const digits = modulus.body[0] === 0 ? modulus.body.subarray(1) : modulus.body;
  if (digits.length > MAX_MODULUS || exponent.body.length > MAX_EXPONENT || digits.length === 0)
    return undefined;
  return {
    kind: 'rsa',
    modulus: unsigned(digits),
    exponent: unsigned(exponent.body),
    bytes: digits.length,
  };
}

/** What an extension wraps, where the certificate has it. */
function extensionOf(wrapped: DerNode | undefined, wanted: string): DerNode | undefined {
  if (wrapped === undefined) return undefined;
  const list = children(wrapped, 'extensions')[0];
  for (const extension of list === undefined ? [] : children(list, 'extensions')) {
    const parts = children(extension, 'extension');
    const value = parts.at(-1);
    if (parts.length < 2 || value === undefined || oid(parts[0]) !== wanted) continue;
    return readDer(value.body, `extension ${wanted}`);
  }
  return undefined;
}

function purposesOf(usage: DerNode | undefined): string[] {
  return usage === undefined ? [] : children(usage, 'extended key usage').map((one) => oid(one));
}

/**
 * Does the signature hold for the message? Undefined when the algorithm or the key is of a kind that is not written here.
 * @param algorithm object identifier of a hash, or of a signature algorithm that names one
 * @param bare as for {@link verifyRsa}
 */
export function verifySignature(
  key: PublicKey | undefined,
  algorithm: string,
  message: Uint8Array,
  signature: Uint8Array,
  bare = false,
): boolean | undefined {
  const hash = hashOf(algorithm);
  if (key === undefined || hash === undefined) return undefined;
  if ((keyKindOf(algorithm) ?? key.kind) !== key.kind) return false;
  const digest = hash.hash(message);
  return key.kind === 'rsa'
    ? verifyRsa(key, hash, digest, signature, bare)
    : verifyEcdsa(key, digest, signature);
}

export const signedBy = (subject: Certificate, issuer: Certificate): boolean | undefined =>
  verifySignature(issuer.key, subject.algorithm, subject.signed, subject.signature);
