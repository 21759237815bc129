/**
 * The PKCS#7 message behind a module, read as crypto/asymmetric_keys/pkcs7_parser.c reads it: what it does not take, it
 * refuses with the same error numbers.
 */
import { FormatError } from '../../../bytes/errors.ts';
import { children, context, type DerNode, oid, readDer, Tag } from '../../../formats/der.ts';
import { type Certificate, nameText, readCertificate } from '../../../formats/pki/certificate.ts';
import { type HashAlgorithm, hashOf } from '../../../formats/pki/hashes.ts';
import { Errno } from '../errno.ts';

const SIGNED_DATA = '1.2.840.113549.1.7.2';
const DATA = '1.2.840.113549.1.7.1';
const AUTHENTICODE_DATA = '1.3.6.1.4.1.311.2.1.4';
const CONTENT_TYPE = '1.2.840.113549.1.9.3';
const MESSAGE_DIGEST = '1.2.840.113549.1.9.4';
const RSA = '1.2.840.113549.1.1.1';
const ECDSA = /^1\.2\.840\.10045\.4\.(1|3\.[1-4])$|^2\.16\.840\.1\.101\.3\.4\.3\.1[0-2]$/;
const SKID = 0x80;
/** More signatures, certificates and nesting than any real message has. */
const MAX_SIGNERS = 16;
const MAX_CERTIFICATES = 64;

export interface Signer {
  /** What the key is looked for by: issuer and serial number, or the subject key identifier alone. */
  readonly issuer: Uint8Array | undefined;
  readonly serial: Uint8Array;
  /** Common name of the issuer; empty where the key is named by its identifier. */
  readonly name: string;
  readonly hash: HashAlgorithm;
  readonly keyKind: 'rsa' | 'ec';
  /** Signed attributes as they are hashed (a SET), and the digest of the contents among them. */
  readonly attributes: Uint8Array | undefined;
  readonly messageDigest: Uint8Array | undefined;
  readonly signature: Uint8Array;
}

export interface Pkcs7Message {
  /** The message is about plain data, not about a Windows program. */
  readonly isData: boolean;
  /** The message brings what it signs along. */
  readonly attached: boolean;
  readonly certificates: readonly Certificate[];
  readonly signers: readonly Signer[];
}

/** The kernel does not take the message. */
export class Pkcs7Refusal extends Error {
  /** Positive. */
  readonly errno: number;
  /** An algorithm that the kernel names by its number: the kind, and its object identifier. */
  readonly unsupported: { readonly what: 'digest' | 'pkey'; readonly oid: string } | undefined;
  /** What the kernel prints about it, as a warning. */
  readonly line: string | undefined;

  constructor(
    errno: number,
    why: string,
    details: { unsupported?: { what: 'digest' | 'pkey'; oid: string }; line?: string } = {},
  ) {
    super(why);
    this.errno = errno;
    this.unsupported = details.unsupported;
    this.line = details.line;
  }
}

export interface ParserTraits {
  /** Does this kernel's parser know the hash? */
  takesHash(algorithm: HashAlgorithm): boolean;
  /** An object identifier that its parser comes across, at this place of the message. */
  note(oid: string, offset: number): void;
}

const bad = (why: string): never => {
  throw new Pkcs7Refusal(Errno.EBADMSG, why);
};
const odd = (why: string, line?: string): never => {
  throw new Pkcs7Refusal(Errno.EINVAL, why, { line: line === undefined ? undefined : `PKCS7: ${line}` });
};

/** @throws Pkcs7Refusal */
export function parsePkcs7(bytes: Uint8Array, traits: ParserTraits): Pkcs7Message {
  try {
    return parseMessage(bytes, traits);
  } catch (error) {
    if (error instanceof FormatError) return bad(error.message);
    throw error;
  }
}

function need(node: DerNode | undefined, what: string, tag?: number): DerNode {
  if (node === undefined || (tag !== undefined && node.tag !== tag))
    return bad(`has no ${what} where one must stand`);
  return node;
}

/** An object identifier, told to the kernel as its parser goes on. */
type Names = (node: DerNode) => string;

function parseMessage(bytes: Uint8Array, traits: ParserTraits): Pkcs7Message {
  const named: Names = (node) => {
    const text = oid(node);
    traits.note(text, node.body.byteOffset - bytes.byteOffset);
    return text;
  };
  const [type, wrapped] = children(need(readDer(bytes, 'PKCS#7'), 'sequence', Tag.SEQUENCE), 'PKCS#7');
  if (named(need(type, 'content type', Tag.OID)) !== SIGNED_DATA)
    odd('the message is not signed data', 'Only support pkcs7_signedData type');
  const inner = readDer(need(wrapped, 'content', context(0)).body, 'SignedData');
  const [version, digests, content, ...rest] = children(
    need(inner, 'signed data', Tag.SEQUENCE),
    'SignedData',
  );
  const number = smallInteger(need(version, 'version', Tag.INTEGER));
  if (number !== 1 && number !== 3) odd(`version ${number} of signed data`, 'Unsupported SignedData version');
  if (need(digests, 'digest algorithms').tag !== Tag.SET) need(digests, 'digest algorithms', Tag.SEQUENCE);
  for (const digest of children(digests, 'digest algorithms'))
    named(need(children(digest, 'digest algorithm')[0], 'digest algorithm', Tag.OID));
  const contents = readContents(need(content, 'content', Tag.SEQUENCE), named);
  const certificates = readCertificates(rest.find(({ tag }) => tag === context(0) || tag === context(2)));
  const list = rest.at(-1);
  if (list === undefined || (list.tag !== Tag.SET && list.tag !== Tag.SEQUENCE)) return bad('has no signers');
  const nodes = children(list, 'signers').slice(0, MAX_SIGNERS);
  const signers = nodes.map((node) => readSigner(node, number, { ...traits, named }));
  const signed = signers.filter(({ attributes }) => attributes !== undefined).length;
  if (signers.length === 0 || (signed > 0 && signed < signers.length))
    odd('signers differ in signed attributes', 'Inconsistently supplied authAttrs');
  return { ...contents, certificates, signers };
}

function smallInteger({ body }: DerNode): number {
  return body.length === 1 ? body[0] : Number.NaN;
}

function readContents(node: DerNode, named: Names): { isData: boolean; attached: boolean } {
  const [type, data] = children(node, 'content');
  const kind = named(need(type, 'content type', Tag.OID));
  if (kind !== DATA && kind !== AUTHENTICODE_DATA) odd(`contents of the kind ${kind}`);
  return { isData: kind === DATA, attached: data !== undefined };
}

function readCertificates(node: DerNode | undefined): Certificate[] {
  if (node === undefined) return [];
  return children(node, 'certificates')
    .slice(0, MAX_CERTIFICATES)
    .map(({ tag, whole }) => (tag === Tag.SEQUENCE ? readCertificate(whole) : bad('a certificate is none')));
}

function readSigner(node: DerNode, message: number, traits: ParserTraits & { named: Names }): Signer {
  const [version, who, digest, ...rest] = children(need(node, 'signer', Tag.SEQUENCE), 'signer');
  const number = smallInteger(need(version, 'version of the signer', Tag.INTEGER));
  if (number !== 1 && number !== 3) odd(`version ${number} of a signer`, 'Unsupported SignerInfo version');
  if (number !== message) {
    const line = 'PKCS7: SignedData-SignerInfo version mismatch';
    throw new Pkcs7Refusal(Errno.EBADMSG, 'message and signer have different versions', { line });
  }
  const identity = readIdentity(need(who, 'name of the signer'), number);
  const hash = readHash(need(digest, 'digest algorithm', Tag.SEQUENCE), traits);
  const attributes = rest[0]?.tag === context(0) || rest[0]?.tag === context(2) ? rest.shift() : undefined;
  const signedAttributes = attributes === undefined ? undefined : readAttributes(attributes, traits.named);
  const [kind, signature] = rest;
  const keyKind = readKeyKind(need(kind, 'signature algorithm', Tag.SEQUENCE), traits.named);
  return {
    ...identity,
    hash,
    keyKind,
    attributes: signedAttributes?.bytes,
    messageDigest: signedAttributes?.digest,
    signature: need(signature, 'signature', Tag.OCTET_STRING).body,
  };
}

function readIdentity(who: DerNode, version: number): Pick<Signer, 'issuer' | 'serial' | 'name'> {
  if (who.tag === SKID) {
    if (version !== 3) odd('a key identifier in a message of version 1');
    return { issuer: undefined, serial: who.body, name: '' };
  }
  if (version !== 1) odd('issuer and serial number in a message of version 3');
  const [issuer, serial] = children(need(who, 'issuer', Tag.SEQUENCE), 'issuer');
  return {
    issuer: need(issuer, 'issuer', Tag.SEQUENCE).body,
    serial: need(serial, 'serial number', Tag.INTEGER).body,
    name: nameText(issuer),
  };
}

function readHash(node: DerNode, traits: ParserTraits & { named: Names }): HashAlgorithm {
  const id = traits.named(need(children(node, 'digest algorithm')[0], 'digest algorithm', Tag.OID));
  const found = hashOf(id);
  if (found !== undefined && found.oid === id && traits.takesHash(found)) return found;
  const why = `its hash is ${found?.name ?? id}, which this kernel does not take for signatures`;
  throw new Pkcs7Refusal(Errno.ENOPKG, why, { unsupported: { what: 'digest', oid: id } });
}

function readKeyKind(node: DerNode, named: Names): 'rsa' | 'ec' {
  const id = named(need(children(node, 'signature algorithm')[0], 'signature algorithm', Tag.OID));
  if (id === RSA) return 'rsa';
  if (ECDSA.test(id)) return 'ec';
  const why = `its signature algorithm is ${id}, which this kernel does not take`;
  throw new Pkcs7Refusal(Errno.ENOPKG, why, { unsupported: { what: 'pkey', oid: id } });
}

const SMIME_CAPABILITIES = '1.2.840.113549.1.9.15';
/** Attributes that only signatures of Windows programs may have. */
const AUTHENTICODE_ONLY = new Set([SMIME_CAPABILITIES, '1.3.6.1.4.1.311.2.1.11', '1.3.6.1.4.1.311.2.1.12']);

function refuseAttribute(kind: string): never {
  const what = kind === SMIME_CAPABILITIES ? 'S/MIME Caps' : 'Authenticode AuthAttrs';
  const line = `PKCS7: ${what} only allowed with Authenticode`;
  throw new Pkcs7Refusal(Errno.EKEYREJECTED, 'it has attributes that modules must not have', { line });
}

function readAttributes(node: DerNode, named: Names): { bytes: Uint8Array; digest: Uint8Array | undefined } {
  const values = new Map<string, DerNode>();
  for (const attribute of children(node, 'attributes')) {
    const [type, set] = children(attribute, 'attribute');
    const value = set === undefined ? undefined : children(set, 'attribute')[0];
    if (type === undefined || value === undefined) continue;
    const kind = named(type);
    if (AUTHENTICODE_ONLY.has(kind)) refuseAttribute(kind);
    values.set(kind, value);
  }
  if (!values.has(CONTENT_TYPE) || !values.has(MESSAGE_DIGEST)) {
    const line = 'PKCS7: Missing required AuthAttr';
    throw new Pkcs7Refusal(Errno.EBADMSG, 'signed attributes lack what they must have', { line });
  }
  const bytes = node.whole.slice();
  bytes[0] = Tag.SET;
  return { bytes, digest: values.get(MESSAGE_DIGEST)?.body };
}
