/** Symmetric ciphers as modules provide and use them, and the walks over their requests (crypto/skcipher.c, scatterwalk.c). */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { copyChunks, copyLists, type Direction, forward, mapAndCopy } from '../crypto/scatterwalk.ts';
import {
  allocateCipher,
  exitCipher,
  freeCipher,
  initCipher,
  runCipher,
  setCipherKey,
  walkCipher,
} from '../crypto/skcipher.ts';
import { walkDone } from '../crypto/walk.ts';
import { Errno, isError } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { kernelWarning } from './caller.ts';
import { kernelFunctions } from './define.ts';

/** CRYPTO_ALG_ASYNC. */
const ASYNC = 0x80;
/** MAX_SYNC_SKCIPHER_REQSIZE (include/crypto/skcipher.h): what fits into a request on the stack. */
const MAX_ON_STACK = 384;

/** The last argument of scatterwalk_copychunks. */
const DIRECTIONS: readonly Direction[] = ['from list', 'to list', 'skip'];

/** crypto_default_null_skcipher: one transform for all who copy by a cipher; the kernel's own, in no module's reach. */
const shared = perKernel<{ users: number; cipher: Address }, Linux>(() => ({ users: 0, cipher: 0 }));

function* getNull(k: Linux): Steps<Address> {
  const state = k.state(shared);
  if (state.users === 0) {
    const cipher = yield* allocateCipher(k, 'ecb(cipher_null)', 0, ASYNC);
    if (isError(cipher)) return cipher;
    state.cipher = cipher;
  }
  state.users++;
  return state.cipher;
}

export const cipherFunctions = kernelFunctions({
  'struct crypto_skcipher *crypto_alloc_skcipher(const char *alg_name, u32 type, u32 mask)': (
    k,
    name,
    type,
    mask,
  ) => allocateCipher(k, k.memory.cstring(name), type, mask),
  'struct crypto_sync_skcipher *crypto_alloc_sync_skcipher(const char *alg_name, u32 type, u32 mask)':
    function* (k, name, type, mask) {
      const cipher = yield* allocateCipher(k, k.memory.cstring(name), type, mask | ASYNC);
      if (isError(cipher) || k.read('crypto_skcipher.reqsize', cipher) <= MAX_ON_STACK) return cipher;
      kernelWarning(k, 'crypto/skcipher.c');
      yield* freeCipher(k, cipher);
      return -Errno.EINVAL;
    },
  // Gone since 6.14: what copied through it uses memcpy_sglist.
  'struct crypto_sync_skcipher *crypto_get_default_null_skcipher(void)': getNull,
  'void crypto_put_default_null_skcipher(void)': function* (k) {
    const state = k.state(shared);
    if (--state.users === 0) yield* freeCipher(k, state.cipher);
  },
  'int crypto_skcipher_init_tfm(struct crypto_tfm *tfm)': initCipher,
  'void crypto_skcipher_exit_tfm(struct crypto_tfm *tfm)': exitCipher,
  'int crypto_skcipher_setkey(struct crypto_skcipher *tfm, const u8 *key, unsigned int keylen)': setCipherKey,
  'int crypto_skcipher_encrypt(struct skcipher_request *req)': (k, request) =>
    runCipher(k, request, 'encrypt'),
  'int crypto_skcipher_decrypt(struct skcipher_request *req)': (k, request) =>
    runCipher(k, request, 'decrypt'),
  'int skcipher_walk_virt(struct skcipher_walk *walk, struct skcipher_request *req, bool atomic)': walkCipher,
  'int skcipher_walk_done(struct skcipher_walk *walk, int err)': walkDone,
  'void scatterwalk_map_and_copy(void *buf, struct scatterlist *sg, unsigned int start, unsigned int nbytes, int out)':
    (k, buffer, list, start, length, out) => mapAndCopy(k, buffer, list, start, length, out !== 0),
  'void scatterwalk_copychunks(void *buf, struct scatter_walk *walk, size_t nbytes, int out)': (
    k,
    buffer,
    walk,
    length,
    out,
  ) => copyChunks(k, buffer, walk, length, DIRECTIONS[out] ?? 'skip'),
  'struct scatterlist *scatterwalk_ffwd(struct scatterlist dst[2], struct scatterlist *src, unsigned int len)':
    forward,
  'void memcpy_sglist(struct scatterlist *dst, struct scatterlist *src, unsigned int nbytes)': copyLists,
  'void crypto_req_done(struct crypto_async_request *req, int err)': function* (k, request, error) {
    const wait = k.read('crypto_async_request.data', request);
    if (error === -Errno.EINPROGRESS) return;
    k.write('crypto_wait.err', wait, error);
    yield* k.call(k.addressOf('complete'), wait + k.offset('crypto_wait.completion'));
  },
});
