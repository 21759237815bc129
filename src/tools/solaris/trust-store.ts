/**
 * The certificates that are trusted. They are held here, outside of the guest: the kernel gets verdicts, and no module
 * can read or change what they are made from.
 */
import { createPublicKey, verify, X509Certificate } from 'node:crypto';
import { FormatError } from '../../bytes/errors.ts';
import { readElf } from '../../formats/elf/read.ts';
import type { SignatureVerdict } from '../../systems/solaris/rules/signature.ts';
import { verifyElf } from '../../systems/solaris/sign.ts';
import { readSignatures, type Signature } from '../../systems/solaris/signature.ts';
import { SettingError } from '../system.ts';

/** Digests by the identifier of the signature's algorithm. */
const DIGESTS: Readonly<Record<string, string>> = {
  '1.2.840.113549.1.1.5': 'sha1',
  '1.2.840.113549.1.1.11': 'sha256',
  '1.2.840.113549.1.1.12': 'sha384',
  '1.2.840.113549.1.1.13': 'sha512',
};

/** One PEM block after another, or a single DER certificate. @throws SettingError */
export function readCertificates(bytes: Uint8Array): X509Certificate[] {
  const text = new TextDecoder('latin1').decode(bytes);
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g);
  try {
    return blocks === null ? [new X509Certificate(bytes)] : blocks.map((block) => new X509Certificate(block));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new SettingError(`certs: the certificates cannot be read (${why})`, 'give PEM or DER');
  }
}

/** A distinguished name as a set of its parts: files write them in one order, certificates in another. */
const parts = (name: string): string =>
  name
    .split(/\n|, ?(?=[A-Z]+=)/)
    .map((part) => part.trim())
    .sort()
    .join('\n');

export class Trust {
  private readonly certificates: readonly X509Certificate[];

  /** @throws SettingError when the certificates cannot be read */
  constructor(certificates: Uint8Array | undefined) {
    this.certificates = certificates === undefined ? [] : readCertificates(certificates);
  }

  /** What the kernel is told about a file; it never sees the certificates. */
  readonly verdict = (bytes: Uint8Array): SignatureVerdict => {
    try {
      const elf = readElf(bytes);
      const signatures = readSignatures(elf);
      if (signatures.length === 0) return { kind: 'unsigned' };
      const known = signatures.filter(({ signer }) => this.find(signer) !== undefined);
      if (known.length === 0) return { kind: 'unknown-signer', signer: signatures[0].signer };
      const good = verifyElf(elf, known, (signed, signature) => this.check(signed, signature));
      return { kind: good ? 'trusted' : 'wrong', signer: known[0].signer };
    } catch (error) {
      if (error instanceof FormatError) return { kind: 'damaged', why: error.message };
      throw error;
    }
  };

  private find(signer: string): X509Certificate | undefined {
    return this.certificates.find(({ subject }) => parts(subject) === parts(signer));
  }

  private check(signed: Uint8Array, { signer, oid, signature }: Signature): boolean {
    const certificate = this.find(signer);
    const digest = DIGESTS[oid];
    if (certificate === undefined || digest === undefined) return false;
    return verify(
      digest,
      signed,
      createPublicKey(certificate.publicKey.export({ type: 'spki', format: 'pem' })),
      signature,
    );
  }
}
