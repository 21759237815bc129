/** The crypto API that modules register with and call (crypto/shash.c, crypto/cipher.c, crypto/compress.c, crypto/algapi.c). */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { registerBuiltInHashes } from '../crypto/builtin.ts';
import { type AlgorithmKind, type CryptoRegistry, cryptoRegistry } from '../crypto/registry.ts';
import {
  allocateHash,
  allocateTransform,
  descriptorBytes,
  destroyTransform,
  digestWith,
  finishWith,
  hashAlgorithm,
} from '../crypto/use.ts';
import { Errno, isError } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { registeredOnly } from '../registered.ts';
import { kernelFunctions } from './define.ts';

/** CRYPTO_ALG_TYPE_MASK and the types of plain algorithms (include/linux/crypto.h). */
const TYPE_MASK = 0xf;
const TYPES: Readonly<Record<number, AlgorithmKind>> = { 1: 'cipher', 2: 'compression' };

/** The built-in hashes come before the first module's algorithm or request. */
const builtIns = perKernel<{ ready: boolean }, Linux>((k) => {
  registerBuiltInHashes(k);
  return { ready: true };
});

/** The registry, with the kernel's own algorithms in it. */
export function cryptoAlgorithms(k: Linux): CryptoRegistry {
  k.state(builtIns);
  return k.state(cryptoRegistry);
}

/** A structure with a crypto_alg inside. */
function register(k: Linux, kind: AlgorithmKind, outer: Address, struct: string): number {
  const base = outer + k.offset(`${struct}.base`);
  const error = cryptoAlgorithms(k).register(k, kind, base, outer);
  // Requests over scatter lists are not made here: such a cipher cannot be asked for anything.
  if (error === 0 && kind === 'skcipher')
    registeredOnly(k, kind, k.readString('crypto_alg.cra_driver_name', base));
  return error;
}

function unregister(k: Linux, outer: Address, struct: string): void {
  cryptoAlgorithms(k).unregister(outer + k.offset(`${struct}.base`));
}

/** All or none: what was registered before the one that fails is taken back. */
function registerAll(k: Linux, kind: AlgorithmKind, outer: Address, count: number, struct: string): number {
  const size = k.sizeof(struct);
  for (let i = 0; i < count; i++) {
    const error = register(k, kind, outer + i * size, struct);
    if (error === 0) continue;
    for (let j = i - 1; j >= 0; j--) unregister(k, outer + j * size, struct);
    return error;
  }
  return 0;
}

function unregisterAll(k: Linux, outer: Address, count: number, struct: string): void {
  for (let i = count - 1; i >= 0; i--) unregister(k, outer + i * k.sizeof(struct), struct);
}

function registerPlain(k: Linux, algorithm: Address): number {
  const kind = TYPES[k.read('crypto_alg.cra_flags', algorithm) & TYPE_MASK];
  return kind === undefined ? -Errno.EINVAL : cryptoAlgorithms(k).register(k, kind, algorithm, algorithm);
}

/** shash_prepare_alg: sizes must be sane before anything is registered. */
function registerHash(k: Linux, hash: Address): number {
  const digest = k.read('shash_alg.digestsize', hash);
  const descriptor = k.read('shash_alg.descsize', hash);
  // HASH_MAX_DIGESTSIZE, HASH_MAX_DESCSIZE, HASH_MAX_STATESIZE (include/crypto/hash.h).
  if (digest > 64 || descriptor > 368 || k.read('shash_alg.statesize', hash) > 512) return -Errno.EINVAL;
  return register(k, 'shash', hash, 'shash_alg');
}

const member = (k: Linux, descriptor: Address, name: string): Address =>
  k.read(`shash_alg.${name}`, hashAlgorithm(k, k.read('shash_desc.tfm', descriptor)));

function* transformDigest(
  k: Linux,
  hash: Address,
  data: Address,
  length: number,
  out: Address,
): Steps<number> {
  const descriptor = k.heap.allocateZeroed(k.sizeof('shash_desc') + descriptorBytes(k, hash) + 16);
  k.write('shash_desc.tfm', descriptor, hash);
  const error = yield* digestWith(k, descriptor, data, length, out);
  k.heap.free(descriptor);
  return error;
}

export const cryptoFunctions = kernelFunctions({
  'int crypto_register_shash(struct shash_alg *alg)': registerHash,
  'void crypto_unregister_shash(struct shash_alg *alg)': (k, hash) => unregister(k, hash, 'shash_alg'),
  'int crypto_register_shashes(struct shash_alg *algs, int count)': (k, hashes, count) => {
    for (let i = 0; i < count; i++) {
      const error = registerHash(k, hashes + i * k.sizeof('shash_alg'));
      if (error === 0) continue;
      unregisterAll(k, hashes, i, 'shash_alg');
      return error;
    }
    return 0;
  },
  'void crypto_unregister_shashes(struct shash_alg *algs, int count)': (k, hashes, count) =>
    unregisterAll(k, hashes, count, 'shash_alg'),
  'int crypto_register_alg(struct crypto_alg *alg)': registerPlain,
  'void crypto_unregister_alg(struct crypto_alg *alg)': (k, algorithm) => {
    cryptoAlgorithms(k).unregister(algorithm);
  },
  'int crypto_register_algs(struct crypto_alg *algs, int count)': (k, algorithms, count) => {
    const size = k.sizeof('crypto_alg');
    for (let i = 0; i < count; i++) {
      const error = registerPlain(k, algorithms + i * size);
      if (error === 0) continue;
      for (let j = i - 1; j >= 0; j--) cryptoAlgorithms(k).unregister(algorithms + j * size);
      return error;
    }
    return 0;
  },
  'void crypto_unregister_algs(struct crypto_alg *algs, int count)': (k, algorithms, count) => {
    for (let i = count - 1; i >= 0; i--)
      cryptoAlgorithms(k).unregister(algorithms + i * k.sizeof('crypto_alg'));
  },
  'int crypto_register_scomp(struct scomp_alg *alg)': (k, algorithm) =>
    register(k, 'scomp', algorithm, 'scomp_alg'),
  'void crypto_unregister_scomp(struct scomp_alg *alg)': (k, algorithm) =>
    unregister(k, algorithm, 'scomp_alg'),
  'int crypto_register_skcipher(struct skcipher_alg *alg)': (k, algorithm) =>
    register(k, 'skcipher', algorithm, 'skcipher_alg'),
  'void crypto_unregister_skcipher(struct skcipher_alg *alg)': (k, algorithm) =>
    unregister(k, algorithm, 'skcipher_alg'),
  'int crypto_register_skciphers(struct skcipher_alg *algs, int count)': (k, algorithms, count) =>
    registerAll(k, 'skcipher', algorithms, count, 'skcipher_alg'),
  'void crypto_unregister_skciphers(struct skcipher_alg *algs, int count)': (k, algorithms, count) =>
    unregisterAll(k, algorithms, count, 'skcipher_alg'),
  'struct crypto_shash *crypto_alloc_shash(const char *alg_name, u32 type, u32 mask)': (k, name) => {
    k.state(builtIns);
    return allocateHash(k, k.memory.cstring(name));
  },
  'int crypto_has_shash(const char *alg_name, u32 type, u32 mask)': (k, name) =>
    cryptoAlgorithms(k).find(k, k.memory.cstring(name), ['shash']) === undefined ? 0 : 1,
  'struct crypto_tfm *crypto_alloc_base(const char *alg_name, u32 type, u32 mask)': (k, name, type) => {
    const kind = TYPES[type & TYPE_MASK];
    return kind === undefined ? -Errno.ENOENT : allocateTransform(k, k.memory.cstring(name), [kind]);
  },
  'int crypto_has_alg(const char *name, u32 type, u32 mask)': (k, name) => {
    const wanted = k.memory.cstring(name);
    return cryptoAlgorithms(k).algorithms.some((known) => known.name === wanted || known.driver === wanted)
      ? 1
      : 0;
  },
  'void crypto_destroy_tfm(void *mem, struct crypto_tfm *tfm)': destroyTransform,
  'int crypto_shash_setkey(struct crypto_shash *tfm, const u8 *key, unsigned int keylen)': function* (
    k,
    hash,
    keyAt,
    length,
  ) {
    const setkey = k.read('shash_alg.setkey', hashAlgorithm(k, hash));
    return setkey === 0 ? -Errno.ENOSYS : yield* k.callInt(setkey, hash, keyAt, length);
  },
  'int crypto_shash_update(struct shash_desc *desc, const u8 *data, unsigned int len)': (
    k,
    descriptor,
    data,
    length,
  ) => k.callInt(member(k, descriptor, 'update'), descriptor, data, length),
  'int crypto_shash_final(struct shash_desc *desc, u8 *out)': (k, descriptor, out) =>
    k.callInt(member(k, descriptor, 'final'), descriptor, out),
  'int crypto_shash_finup(struct shash_desc *desc, const u8 *data, unsigned int len, u8 *out)': finishWith,
  'int crypto_shash_digest(struct shash_desc *desc, const u8 *data, unsigned int len, u8 *out)': digestWith,
  'int crypto_shash_tfm_digest(struct crypto_shash *tfm, const u8 *data, unsigned int len, u8 *out)':
    transformDigest,
  'int crypto_cipher_setkey(struct crypto_cipher *tfm, const u8 *key, unsigned int keylen)': function* (
    k,
    cipher,
    keyAt,
    length,
  ) {
    const union = k.read('crypto_tfm.__crt_alg', cipher) + k.offset('crypto_alg.cra_u');
    const bad =
      length < k.read('cipher_alg.cia_min_keysize', union) ||
      length > k.read('cipher_alg.cia_max_keysize', union);
    return bad
      ? -Errno.EINVAL
      : yield* k.callInt(k.read('cipher_alg.cia_setkey', union), cipher, keyAt, length);
  },
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
  const union = k.read('crypto_tfm.__crt_alg', comp) + k.offset('crypto_alg.cra_u');
  return yield* k.callInt(k.read(`compress_alg.coa_${how}`, union), comp, from, length, to, room);
}
