/** AEADs and hashes over scatter lists as modules use them (crypto/aead.c, ahash.c). */
import type { FunctionTable, KernelFunction } from '../../../kernel/functions.ts';
import { prototypeName } from '../../../kernel/functions.ts';
import type { Address } from '../../../memory/space.ts';
import {
  allocateAead,
  exitAead,
  initAead,
  runAead,
  setAeadKey,
  setTagSize,
  walkAead,
} from '../crypto/aead.ts';
import {
  type AhashMethod,
  digestFromList,
  exitAhash,
  exitOverPlain,
  finishFromList,
  hasAnySetkey,
  initAhash,
  runAhash,
  runOverPlain,
  setAhashKey,
  updateFromList,
  updateThenFinal,
} from '../crypto/ahash.ts';
import { allocate, hasAlgorithm } from '../crypto/lookup.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { kernelFunctions } from './define.ts';

const aeads = kernelFunctions({
  'struct crypto_aead *crypto_alloc_aead(const char *alg_name, u32 type, u32 mask)': (k, name, type, mask) =>
    allocateAead(k, k.memory.cstring(name), type, mask),
  'int crypto_aead_init_tfm(struct crypto_tfm *tfm)': initAead,
  'void crypto_aead_exit_tfm(struct crypto_tfm *tfm)': exitAead,
  'int crypto_aead_setkey(struct crypto_aead *tfm, const u8 *key, unsigned int keylen)': setAeadKey,
  'int crypto_aead_setauthsize(struct crypto_aead *tfm, unsigned int authsize)': setTagSize,
  'int crypto_aead_encrypt(struct aead_request *req)': (k, request) => runAead(k, request, 'encrypt'),
  'int crypto_aead_decrypt(struct aead_request *req)': (k, request) => runAead(k, request, 'decrypt'),
  'int skcipher_walk_aead_encrypt(struct skcipher_walk *walk, struct aead_request *req, bool atomic)': (
    k,
    walk,
    request,
  ) => walkAead(k, walk, request, 'encrypt'),
  'int skcipher_walk_aead_decrypt(struct skcipher_walk *walk, struct aead_request *req, bool atomic)': (
    k,
    walk,
    request,
  ) => walkAead(k, walk, request, 'decrypt'),
});

const hashes = kernelFunctions({
  'struct crypto_ahash *crypto_alloc_ahash(const char *alg_name, u32 type, u32 mask)': (
    k,
    name,
    type,
    mask,
  ) => allocate(k, k.memory.cstring(name), 'ahash', type, mask),
  'int crypto_has_ahash(const char *alg_name, u32 type, u32 mask)': (k, name, type, mask) =>
    hasAlgorithm(k, k.memory.cstring(name), 'ahash', type, mask),
  'int crypto_ahash_init_tfm(struct crypto_tfm *tfm)': initAhash,
  'void crypto_ahash_exit_tfm(struct crypto_tfm *tfm)': exitAhash,
  'void crypto_exit_shash_ops_async(struct crypto_tfm *tfm)': exitOverPlain,
  'int crypto_ahash_setkey(struct crypto_ahash *tfm, const u8 *key, unsigned int keylen)': setAhashKey,
  'int shash_async_setkey(struct crypto_ahash *tfm, const u8 *key, unsigned int keylen)': setAhashKey,
  'int ahash_nosetkey(struct crypto_ahash *tfm, const u8 *key, unsigned int keylen)': () => -Errno.ENOSYS,
  'int ahash_def_finup(struct ahash_request *req)': updateThenFinal,
  'bool crypto_hash_alg_has_setkey(struct hash_alg_common *halg)': (k, common) =>
    hasAnySetkey(k, common) ? 1 : 0,
  'int shash_ahash_update(struct ahash_request *req, struct shash_desc *desc)': updateFromList,
  'int shash_ahash_finup(struct ahash_request *req, struct shash_desc *desc)': finishFromList,
  'int shash_ahash_digest(struct ahash_request *req, struct shash_desc *desc)': digestFromList,
});

/** By method: the function that callers use, and the one a transform over a plain hash has. */
function methodFunctions(): FunctionTable<Linux> {
  const all = new Map<string, KernelFunction<Linux>>();
  const put = (prototype: string, handler: KernelFunction<Linux>['handler']) =>
    all.set(prototypeName(prototype), { prototype, handler });
  for (const method of ['init', 'update', 'final', 'finup', 'digest', 'export', 'import'] as AhashMethod[]) {
    const state = method === 'export' ? ', void *out' : method === 'import' ? ', const void *in' : '';
    put(
      `int crypto_ahash_${method}(struct ahash_request *req${state})`,
      (k: Linux, request: Address, at: Address) => runAhash(k, request, method, at),
    );
    put(
      `int shash_async_${method}(struct ahash_request *req${state})`,
      (k: Linux, request: Address, at: Address) => runOverPlain(k, request, method, at),
    );
  }
  return all;
}

export const aeadFunctions: FunctionTable<Linux> = new Map([...aeads, ...hashes, ...methodFunctions()]);
