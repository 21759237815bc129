/** RSA signatures with PKCS #1 v1.5 padding (RFC 8017, section 8.2), verified in plain arithmetic: at once, and the same everywhere. */
import { FormatError } from '../../bytes/errors.ts';
import { sameBytes } from '../../bytes/same.ts';
import { children, oid, readDer, unsigned } from '../der.ts';
import type { HashAlgorithm } from './hashes.ts';

export interface RsaKey {
  readonly kind: 'rsa';
  readonly modulus: bigint;
  readonly exponent: bigint;
  /** Bytes of the modulus, which every signature has. */
  readonly bytes: number;
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

/** What the signature hides: the encoded message of `key.bytes` bytes. */
function open(key: RsaKey, signature: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(key.bytes);
  let rest = power(unsigned(signature), key.exponent, key.modulus);
  for (let i = bytes.length - 1; i >= 0; i--) {
    bytes[i] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return bytes;
}

/**
 * Is it a signature over a message of this digest? The padding must be exact; behind the digest nothing may follow.
 * @param bare the digest may stand alone, without the structure that names its algorithm: old time stamp services sign so
 */
export function verifyRsa(
  key: RsaKey,
  algorithm: HashAlgorithm,
  digest: Uint8Array,
  signature: Uint8Array,
  bare = false,
): boolean {
  if (signature.length > key.bytes) return false;
  const bytes = open(key, signature);
  // 00 01 FF.. 00 DigestInfo, at least eight times FF
  if (bytes[0] !== 0 || bytes[1] !== 1) return false;
  let at = 2;
  while (bytes[at] === 0xff) at++;
  if (at < 10 || bytes[at] !== 0) return false;
  const info = bytes.subarray(at + 1);
  if (bare && sameBytes(info, digest)) return true;
  try {
    const node = readDer(info, 'DigestInfo');
    const [kind, value, ...more] = children(node, 'DigestInfo');
    if (node.whole.length !== info.length || value === undefined || more.length > 0) return false;
    const name = children(kind, 'DigestInfo')[0];
    return name !== undefined && oid(name) === algorithm.oid && sameBytes(value.body, digest);
  } catch (error) {
    // The wrong key opens a signature to noise.
    if (error instanceof FormatError) return false;
    throw error;
  }
}
