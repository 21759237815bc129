/** Single-block ciphers and compressors, whose transform is nothing but struct crypto_tfm (crypto/cipher.c, compress.c). */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno, isError } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { TYPE_MASK, typeNumbers } from './flags.ts';
import { findAlgorithm } from './lookup.ts';
import { putAlgorithm } from './registry.ts';
import { callSetkey } from './skcipher.ts';
import { createPlain } from './transforms.ts';

/** crypto_alloc_base */
export function* allocatePlain(k: Linux, name: string, type: number, mask: number): Steps<Address> {
  const found = yield* findAlgorithm(k, name, type, mask);
  if (typeof found === 'number') return found;
  // The kernel knows no other types without a struct crypto_type.
  if (found.kind !== 'cipher' && found.kind !== 'compression') {
    yield* putAlgorithm(k, found.base);
    return -Errno.ENOENT;
  }
  const made = yield* createPlain(k, found.base);
  if (isError(made)) yield* putAlgorithm(k, found.base);
  return made;
}

/** A transform of one of the two kinds by name. */
export const allocateOf = (k: Linux, name: string, kind: 'cipher' | 'compression'): Steps<Address> =>
  allocatePlain(k, name, typeNumbers(k)[kind], TYPE_MASK);

/** The cipher_alg or compress_alg of a transform. */
export const methodsOf = (k: Linux, transform: Address): Address =>
  k.read('crypto_tfm.__crt_alg', transform) + k.offset('crypto_alg.cra_u');

/** crypto_cipher_setkey */
export function* setBlockKey(k: Linux, cipher: Address, key: Address, length: number): Steps<number> {
  const methods = methodsOf(k, cipher);
  const least = k.read('cipher_alg.cia_min_keysize', methods);
  const most = k.read('cipher_alg.cia_max_keysize', methods);
  if (length < least || length > most) return -Errno.EINVAL;
  const setkey = k.read('cipher_alg.cia_setkey', methods);
  return yield* callSetkey(k, k.read('crypto_tfm.__crt_alg', cipher), setkey, cipher, key, length);
}

/** crypto_cipher_encrypt_one and _decrypt_one */
export function* oneBlock(k: Linux, cipher: Address, to: Address, from: Address, how: string): Steps<void> {
  yield* k.call(k.read(`cipher_alg.cia_${how}`, methodsOf(k, cipher)), cipher, to, from);
}
