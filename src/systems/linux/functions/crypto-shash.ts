/** Hashes as modules use them (crypto/shash.c); how they are provided stands in crypto.ts. */
import {
  allocateHash,
  descriptorBytes,
  digestHash,
  endHash,
  exitHash,
  exportHash,
  finishHash,
  hasSetkey,
  importHash,
  initHash,
  setHashKey,
  startAndFinish,
  startHash,
  transformDigest,
  updateAndEnd,
  updateHash,
} from '../crypto/shash.ts';
import { Errno } from '../errno.ts';
import { kernelFunctions } from './define.ts';

export const hashFunctions = kernelFunctions({
  'struct crypto_shash *crypto_alloc_shash(const char *alg_name, u32 type, u32 mask)': (
    k,
    name,
    type,
    mask,
  ) => allocateHash(k, k.memory.cstring(name), type, mask),
  'int crypto_shash_init_tfm(struct crypto_tfm *tfm)': initHash,
  'void crypto_shash_exit_tfm(struct crypto_tfm *tfm)': exitHash,
  'int shash_no_setkey(struct crypto_shash *tfm, const u8 *key, unsigned int keylen)': () => -Errno.ENOSYS,
  'bool crypto_shash_alg_has_setkey(struct shash_alg *alg)': (k, algorithm) =>
    hasSetkey(k, algorithm) ? 1 : 0,
  'int shash_finup_unaligned(struct shash_desc *desc, const u8 *data, unsigned int len, u8 *out)':
    updateAndEnd,
  'int shash_digest_unaligned(struct shash_desc *desc, const u8 *data, unsigned int len, u8 *out)':
    startAndFinish,
  'int shash_default_export(struct shash_desc *desc, void *out)': (k, descriptor, out) => {
    const hash = k.read('shash_desc.tfm', descriptor);
    k.memory.copy(out, descriptor + k.sizeof('shash_desc'), descriptorBytes(k, hash));
    return 0;
  },
  'int shash_default_import(struct shash_desc *desc, const void *in)': (k, descriptor, from) => {
    const hash = k.read('shash_desc.tfm', descriptor);
    k.memory.copy(descriptor + k.sizeof('shash_desc'), from, descriptorBytes(k, hash));
    return 0;
  },
  'int crypto_shash_setkey(struct crypto_shash *tfm, const u8 *key, unsigned int keylen)': setHashKey,
  'int crypto_shash_init(struct shash_desc *desc)': startHash,
  'int crypto_shash_export(struct shash_desc *desc, void *out)': exportHash,
  'int crypto_shash_import(struct shash_desc *desc, const void *in)': importHash,
  'int crypto_shash_update(struct shash_desc *desc, const u8 *data, unsigned int len)': updateHash,
  'int crypto_shash_final(struct shash_desc *desc, u8 *out)': endHash,
  'int crypto_shash_finup(struct shash_desc *desc, const u8 *data, unsigned int len, u8 *out)': finishHash,
  'int crypto_shash_digest(struct shash_desc *desc, const u8 *data, unsigned int len, u8 *out)': digestHash,
  'int crypto_shash_tfm_digest(struct crypto_shash *tfm, const u8 *data, unsigned int len, u8 *out)':
    transformDigest,
});
