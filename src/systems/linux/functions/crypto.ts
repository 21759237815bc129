/** Algorithms by name, and the oldest kinds: single-block ciphers and compressors (crypto/api.c, cipher.c, compress.c). */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { cryptoAlgorithms } from '../crypto/algorithms.ts';
import { allocatePlain, methodsOf, setBlockKey } from '../crypto/ciphers.ts';
import { findAlgorithm } from '../crypto/lookup.ts';
import { holdAlgorithm, putAlgorithm } from '../crypto/registry.ts';
import { destroy } from '../crypto/transforms.ts';
import { Errno, isError } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { kernelFunctions } from './define.ts';

export const cryptoFunctions = kernelFunctions({
  'struct crypto_tfm *crypto_alloc_base(const char *alg_name, u32 type, u32 mask)': (k, name, type, mask) =>
    allocatePlain(k, k.memory.cstring(name), type, mask),
  'int crypto_has_alg(const char *name, u32 type, u32 mask)': function* (k, name, type, mask) {
    const found = yield* findAlgorithm(k, k.memory.cstring(name), type, mask);
    if (typeof found === 'number') return 0;
    yield* putAlgorithm(k, found.base);
    return 1;
  },
  'struct crypto_alg *crypto_alg_mod_lookup(const char *name, u32 type, u32 mask)': function* (
    k,
    name,
    type,
    mask,
  ) {
    const found = yield* findAlgorithm(k, k.memory.cstring(name), type, mask);
    return typeof found === 'number' ? found : found.base;
  },
  'struct crypto_alg *crypto_mod_get(struct crypto_alg *alg)': (k, base) => {
    const algorithm = cryptoAlgorithms(k).at(base);
    return algorithm !== undefined && holdAlgorithm(k, algorithm) ? base : 0;
  },
  'void crypto_mod_put(struct crypto_alg *alg)': putAlgorithm,
  'void crypto_destroy_tfm(void *mem, struct crypto_tfm *tfm)': destroy,
  'int crypto_cipher_setkey(struct crypto_cipher *tfm, const u8 *key, unsigned int keylen)': setBlockKey,
  'int crypto_comp_compress(struct crypto_comp *tfm, const u8 *src, unsigned int slen, u8 *dst, unsigned int *dlen)':
    (k, comp, from, length, to, room) => throughCompressor(k, comp, from, length, to, room, 'compress'),
  'int crypto_comp_decompress(struct crypto_comp *tfm, const u8 *src, unsigned int slen, u8 *dst, unsigned int *dlen)':
    (k, comp, from, length, to, room) => throughCompressor(k, comp, from, length, to, room, 'decompress'),
});

function* throughCompressor(
  k: Linux,
  comp: Address,
  from: Address,
  length: number,
  to: Address,
  room: Address,
  how: string,
): Steps<number> {
  if (isError(comp)) return -Errno.EINVAL;
  return yield* k.callInt(
    k.read(`compress_alg.coa_${how}`, methodsOf(k, comp)),
    comp,
    from,
    length,
    to,
    room,
  );
}
