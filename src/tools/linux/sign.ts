/** What the kernel's scripts/sign-file does: a signature behind a module. The private key is used by Node's own crypto. */
import { createPrivateKey, createPublicKey, type KeyObject, sign, X509Certificate } from 'node:crypto';
import { Invalid } from '../../bytes/errors.ts';
import type { Certificate } from '../../formats/pki/certificate.ts';
import { writeSignedData } from '../../formats/pki/cms.ts';
import type { HashAlgorithm } from '../../formats/pki/hashes.ts';
import { signatureTail, takeApart } from '../../systems/linux/rules/signature.ts';

export interface SignRequest {
  readonly content: Uint8Array;
  /** PEM. */
  readonly key: Uint8Array;
  readonly passphrase?: string;
  readonly certificate: Certificate;
  readonly hash: HashAlgorithm;
  readonly byKeyId: boolean;
}

/** The PKCS#7 message over the contents. @throws FormatError for a key or a certificate that does not serve */
export function signatureOf({
  content,
  key,
  passphrase,
  certificate,
  hash,
  byKeyId,
}: SignRequest): Uint8Array {
  const secret = readKey(key, passphrase);
  const keyKind = secret.asymmetricKeyType === 'rsa' ? 'rsa' : 'ec';
  checkPair(secret, certificate);
  let signature: Uint8Array;
  try {
    signature = sign(hash.name, content, secret);
  } catch (error) {
    throw new Invalid('private key', `cannot sign with ${hash.name}: ${reason(error)}`);
  }
  return writeSignedData({ certificate, hash, keyKind, signature, byKeyId });
}

/** The module with a signature behind it. */
export function attach(content: Uint8Array, message: Uint8Array): Uint8Array {
  const tail = signatureTail(message);
  const out = new Uint8Array(content.length + tail.length);
  out.set(content);
  out.set(tail, content.length);
  return out;
}

/** The module without the signatures behind it; undefined when it has none. @throws Invalid for a broken trailer */
export function strip(bytes: Uint8Array): Uint8Array | undefined {
  let parts = takeApart(bytes);
  if (parts === undefined) return undefined;
  let content = bytes;
  for (; parts !== undefined; parts = takeApart(content)) {
    if (parts.message.length === 0)
      throw new Invalid('module signature', 'claims more bytes than there are before it');
    content = parts.content;
  }
  return content;
}

function readKey(key: Uint8Array, passphrase: string | undefined): KeyObject {
  let secret: KeyObject;
  try {
    secret = createPrivateKey({ key: Buffer.from(key), passphrase });
  } catch (error) {
    throw new Invalid('private key', reason(error));
  }
  const { asymmetricKeyType: kind } = secret;
  if (kind !== 'rsa' && kind !== 'ec')
    throw new Invalid('private key', `is of the kind ${kind}: kernels take rsa and ec`);
  return secret;
}

/** A signature that no certificate fits would be refused by every kernel. */
function checkPair(secret: KeyObject, certificate: Certificate): void {
  const inform = { type: 'spki', format: 'der' } as const;
  const own = createPublicKey(secret).export(inform);
  if (!publicKeyOf(certificate).export(inform).equals(own))
    throw new Invalid('private key', `is not the one of the certificate of ${certificate.name}`);
}

function publicKeyOf({ der }: Certificate): KeyObject {
  try {
    return new X509Certificate(der).publicKey;
  } catch (error) {
    throw new Invalid('certificate', reason(error));
  }
}

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error));
