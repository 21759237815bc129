/** Ciphers that Debian's kernels have built in: AES (crypto/aes_generic.c) and those that change nothing (crypto/crypto_null.c). */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { aesFunctions } from '../functions/aes.ts';
import { kernelFunctions } from '../functions/define.ts';
import type { Linux } from '../linux.ts';
import { copyLists } from './scatterwalk.ts';

/** sizeof(struct crypto_aes_ctx). */
export const AES_CONTEXT = 484;

const contextOf = (k: Linux, transform: Address): Address => transform + k.offset('crypto_tfm.__crt_ctx');

function library(k: Linux, name: string, ...args: number[]): number {
  const handler = aesFunctions.get(name)?.handler as ((k: Linux, ...args: number[]) => number) | undefined;
  return handler?.(k, ...args) ?? 0;
}

function* copyRequest(k: Linux, request: Address): Steps<number> {
  const of = (name: string) => k.read(`skcipher_request.${name}`, request);
  if (of('src') !== of('dst')) copyLists(k, of('dst'), of('src'), of('cryptlen'));
  return 0;
}

export const builtInCiphers = kernelFunctions({
  'int crypto_aes_set_key(struct crypto_tfm *tfm, const u8 *in_key, unsigned int key_len)': (
    k,
    transform,
    key,
    length,
  ) => library(k, 'aes_expandkey', contextOf(k, transform), key, length),
  'void crypto_aes_encrypt(struct crypto_tfm *tfm, u8 *out, const u8 *in)': (k, transform, to, from) => {
    library(k, 'aes_encrypt', contextOf(k, transform), to, from);
  },
  'void crypto_aes_decrypt(struct crypto_tfm *tfm, u8 *out, const u8 *in)': (k, transform, to, from) => {
    library(k, 'aes_decrypt', contextOf(k, transform), to, from);
  },
  'int null_setkey(struct crypto_tfm *tfm, const u8 *key, unsigned int keylen)': () => 0,
  'void null_crypt(struct crypto_tfm *tfm, u8 *dst, const u8 *src)': (k, _transform, to, from) => {
    if (to !== from) k.memory.copy(to, from, 1);
  },
  'int null_skcipher_setkey(struct crypto_skcipher *tfm, const u8 *key, unsigned int keylen)': () => 0,
  'int null_skcipher_crypt(struct skcipher_request *req)': copyRequest,
  'int null_init(struct shash_desc *desc)': () => 0,
  'int null_update(struct shash_desc *desc, const u8 *data, unsigned int len)': () => 0,
  'int null_final(struct shash_desc *desc, u8 *out)': () => 0,
  'int null_digest(struct shash_desc *desc, const u8 *data, unsigned int len, u8 *out)': () => 0,
});
