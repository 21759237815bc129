/**
 * pkcs7_verify and pkcs7_validate_trust (crypto/asymmetric_keys): is the signature one over these contents, and made with a
 * key that the kernel trusts? The answers are the kernel's error numbers.
 */
import { hexOf } from '../../../bytes/hex.ts';
import { sameBytes } from '../../../bytes/same.ts';
import { readDer } from '../../../formats/der.ts';
import { type Certificate, verifySignature } from '../../../formats/pki/certificate.ts';
import type { HashAlgorithm } from '../../../formats/pki/hashes.ts';
import { Errno } from '../errno.ts';
import type { Pkcs7Message, Signer } from './pkcs7.ts';
import type { VerifiedBefore } from './signature.ts';

export interface TrustQuestion {
  readonly message: Pkcs7Message;
  readonly content: Uint8Array;
  /** What is known of these contents; undefined: nothing is. */
  readonly before?: VerifiedBefore | undefined;
  readonly keyring: readonly Certificate[];
  /** CONFIG_CRYPTO_ECDSA: without it a key on a curve is known, but nothing signed with it can be verified. */
  readonly ellipticCurves: boolean;
  /** Is the hash there, built in? A module that has it would have to be loaded before. */
  computes(hash: HashAlgorithm): boolean;
}

export interface TrustAnswer {
  /** 0 or a positive error number. */
  readonly errno: number;
  /** What the kernel says about it. */
  readonly lines?: readonly string[];
  /** The certificate of the key that vouches. */
  readonly by?: Certificate;
  /** In our words. */
  readonly because: string;
}

/** rsa_check_key_length (crypto/rsa.c) */
const RSA_BITS = new Set([512, 1024, 1536, 2048, 3072, 4096]);
/** Longer chains than any real one. */
const MAX_CHAIN = 16;

export function judgeMessage(question: TrustQuestion): TrustAnswer {
  const { message } = question;
  if (message.attached) {
    const because = 'the message brings contents of its own instead of signing the file';
    const lines = ['PKCS7: Data already supplied', 'PKCS#7 signature with non-detached data'];
    return { errno: Errno.EBADMSG, lines, because };
  }
  if (!message.isData) {
    const lines = ['PKCS7: Invalid module sig (not pkcs7-data)'];
    return { errno: Errno.EKEYREJECTED, lines, because: 'it is the signature of a Windows program' };
  }
  if (message.signers.some(({ attributes }) => attributes !== undefined)) {
    const lines = ['PKCS7: Invalid module sig (has authattrs)'];
    return {
      errno: Errno.EKEYREJECTED,
      lines,
      because: 'it has signed attributes, which modules must not have',
    };
  }
  const computed = message.signers.filter(({ hash }) => question.computes(hash));
  if (computed.length === 0) {
    const name = message.signers[0]?.hash.name ?? '';
    return {
      errno: Errno.ENOPKG,
      because: `this kernel has ${name} only as a module, which was not loaded before`,
    };
  }
  for (const signer of computed) {
    const failed = verifyEmbedded(question, signer);
    if (failed !== undefined) return failed;
  }
  return validate(question, computed);
}

/** The best of all signers counts; a signature that is wrong ends it. */
function validate(question: TrustQuestion, signers: readonly Signer[]): TrustAnswer {
  let best: TrustAnswer = { errno: Errno.ENOKEY, because: 'it has no signer' };
  for (const signer of signers) {
    const answer = validateSigner(question, signer);
    if (answer.errno !== 0 && answer.errno !== Errno.ENOKEY) return answer;
    if (answer.errno === 0 || best.errno !== 0) best = answer;
  }
  return best;
}

/** A certificate that came along is only a candidate: its key must have made the signature, its issuers must fit. */
function verifyEmbedded(question: TrustQuestion, signer: Signer): TrustAnswer | undefined {
  const [own, ...issuers] = chainOf(question, signer);
  if (own === undefined) return undefined;
  const because = 'the key whose certificate came along did not make the signature';
  if (!holds(question, own, signer)) return { errno: Errno.EKEYREJECTED, because };
  let below = own;
  for (const issuer of issuers) {
    if (verifySignature(issuer.key, below.algorithm, below.signed, below.signature) === false) {
      return {
        errno: Errno.EKEYREJECTED,
        because: `${issuer.name} did not sign the certificate of ${below.name}`,
      };
    }
    below = issuer;
  }
  return undefined;
}

/** The signer's certificate in the message, then its issuers in the message. */
function chainOf({ message }: TrustQuestion, signer: Signer): Certificate[] {
  const chain: Certificate[] = [];
  let next = message.certificates.find((one) => isIssuerAndSerial(one, signer));
  while (next !== undefined && !chain.includes(next) && chain.length < MAX_CHAIN) {
    chain.push(next);
    const { issuer } = next;
    next = message.certificates.find(({ subject }) => sameBytes(subject, issuer));
  }
  return chain;
}

function validateSigner(question: TrustQuestion, signer: Signer): TrustAnswer {
  const { keyring } = question;
  let last: Certificate | undefined;
  for (const certificate of chainOf(question, signer)) {
    const known = keyring.find(
      (one) => sameBytes(one.issuer, certificate.issuer) && sameBytes(one.serial, certificate.serial),
    );
    if (known !== undefined) return vouch(question, signer, known, last);
    if (sameBytes(certificate.subject, certificate.issuer)) return unknown(signer);
    last = certificate;
  }
  const below = last;
  if (below !== undefined) {
    const root = keyring.find(({ subject }) => sameBytes(subject, below.issuer));
    if (root !== undefined) return vouch(question, signer, root, below);
  }
  const direct = keyring.find((one) => isKeyOf(one, signer));
  return direct === undefined ? unknown(signer) : vouch(question, signer, direct, undefined);
}

function unknown({ name }: Signer): TrustAnswer {
  const whose = name === '' ? 'a key' : `the key of ${name}`;
  return { errno: Errno.ENOKEY, because: `no trusted certificate is that of ${whose} that signed` };
}

/** verify_signature with a trusted key: over the contents, or over the topmost certificate that came along. */
function vouch(
  question: TrustQuestion,
  signer: Signer,
  by: Certificate,
  certificate: Certificate | undefined,
): TrustAnswer {
  const good =
    certificate === undefined
      ? holds(question, by, signer)
      : verifySignature(by.key, certificate.algorithm, certificate.signed, certificate.signature) === true;
  if (good) return { errno: 0, by, because: `the signature is one of ${by.name} over these contents` };
  const because =
    by.key?.kind === 'ec' && !question.ellipticCurves
      ? `${by.name} is known, but this kernel cannot verify signatures with elliptic curves (CONFIG_CRYPTO_ECDSA)`
      : `${by.name} is known, but the signature is none over these contents: the file was changed after it was signed`;
  return { errno: Errno.EKEYREJECTED, because };
}

function holds(question: TrustQuestion, by: Certificate, signer: Signer): boolean {
  const { before, content } = question;
  const verify = () => verifies(question, by, signer);
  if (before === undefined) return verify();
  return before.verified(by, `${signer.hash.oid} ${content.length} ${hexOf(signer.signature)}`, verify);
}

function verifies({ content, ellipticCurves }: TrustQuestion, { key }: Certificate, signer: Signer): boolean {
  if (key === undefined || key.kind !== signer.keyKind) return false;
  if (key.kind === 'ec' && !ellipticCurves) return false;
  if (key.kind === 'rsa' && !RSA_BITS.has(key.modulus.toString(2).length)) return false;
  return verifySignature(key, signer.hash.oid, content, signer.signature) === true;
}

/** The kernel compares the contents of the name, byte by byte. */
function isIssuerAndSerial({ issuer, serial }: Certificate, signer: Signer): boolean {
  if (signer.issuer === undefined) return false;
  return sameBytes(serial, signer.serial) && sameBytes(readDer(issuer, 'name').body, signer.issuer);
}

function isKeyOf(certificate: Certificate, signer: Signer): boolean {
  if (signer.issuer !== undefined) return isIssuerAndSerial(certificate, signer);
  return certificate.keyId !== undefined && sameBytes(certificate.keyId, signer.serial);
}
