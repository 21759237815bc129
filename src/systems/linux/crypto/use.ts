/**
 * Using algorithms: transforms are made as the crypto API makes them (struct crypto_shash, crypto_tfm in guest
 * memory), and the algorithm's own machine code does the work.
 */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno, isError } from '../errno.ts';
import { moduleRequest } from '../functions/request-module.ts';
import type { Linux } from '../linux.ts';
import {
  type Algorithm,
  type AlgorithmKind,
  cryptoRegistry,
  holdAlgorithm,
  putAlgorithm,
} from './registry.ts';

/** Room that a descriptor may need beyond descsize (HASH_MAX_DESCSIZE bounds what drivers may ask). */
const DESCRIPTOR_SLACK = 16;

/** crypto_shash_descsize: a transform can have its own up to 6.17, later the algorithm's counts. */
export function descriptorBytes(k: Linux, hash: Address): number {
  return k.types.has('crypto_shash.descsize')
    ? k.read('crypto_shash.descsize', hash)
    : k.read('shash_alg.descsize', hashAlgorithm(k, hash));
}

/** crypto_larval_lookup: an algorithm that is not there is asked for by name, then its best implementation. */
function* lookup(k: Linux, name: string, kinds: readonly AlgorithmKind[]): Steps<Algorithm | undefined> {
  const registry = k.state(cryptoRegistry);
  const known = registry.find(k, name, kinds);
  if (known !== undefined) return known;
  const { load } = k.state(moduleRequest);
  yield* load(k, `crypto-${name}`, true);
  yield* load(k, `crypto-${name}-all`, true);
  return registry.find(k, name, kinds);
}

/** crypto_alloc_shash. Returns the transform or an error pointer. */
export function* allocateHash(k: Linux, name: string): Steps<Address> {
  const algorithm = yield* lookup(k, name, ['shash']);
  if (algorithm === undefined) return -Errno.ENOENT;
  if (!holdAlgorithm(k, algorithm)) return -Errno.ENOENT;
  const context = k.read('crypto_alg.cra_ctxsize', algorithm.base);
  const hash = k.heap.allocateZeroed(k.sizeof('crypto_shash') + context + DESCRIPTOR_SLACK);
  const transform = hash + k.offset('crypto_shash.base');
  k.write('crypto_tfm.__crt_alg', transform, algorithm.base);
  if (k.types.has('crypto_tfm.refcnt')) k.write('crypto_tfm.refcnt.refs.counter', transform, 1);
  if (k.types.has('crypto_shash.descsize'))
    k.write('crypto_shash.descsize', hash, k.read('shash_alg.descsize', algorithm.outer));
  const init = k.read('shash_alg.init_tfm', algorithm.outer);
  const error = init === 0 ? yield* baseInit(k, algorithm.base, transform) : yield* k.callInt(init, hash);
  if (error === 0) return hash;
  putAlgorithm(k, algorithm.base);
  k.heap.free(hash);
  return error;
}

function* baseInit(k: Linux, base: Address, transform: Address): Steps<number> {
  const init = k.read('crypto_alg.cra_init', base);
  return init === 0 ? 0 : yield* k.callInt(init, transform);
}

/** crypto_alloc_base for ciphers and compressors, whose structure is the algorithm itself. */
export function* allocateTransform(k: Linux, name: string, kinds: readonly AlgorithmKind[]): Steps<Address> {
  const algorithm = yield* lookup(k, name, kinds);
  if (algorithm === undefined || !holdAlgorithm(k, algorithm)) return -Errno.ENOENT;
  const context = k.read('crypto_alg.cra_ctxsize', algorithm.base);
  const transform = k.heap.allocateZeroed(k.sizeof('crypto_tfm') + context + DESCRIPTOR_SLACK);
  k.write('crypto_tfm.__crt_alg', transform, algorithm.base);
  if (k.types.has('crypto_tfm.refcnt')) k.write('crypto_tfm.refcnt.refs.counter', transform, 1);
  const error = yield* baseInit(k, algorithm.base, transform);
  if (error === 0) return transform;
  putAlgorithm(k, algorithm.base);
  k.heap.free(transform);
  return error;
}

/** crypto_destroy_tfm: the algorithm's exit, its references, the memory at `start`. */
export function* destroyTransform(k: Linux, start: Address, transform: Address): Steps<void> {
  if (start === 0 || isError(start)) return;
  const base = k.read('crypto_tfm.__crt_alg', transform);
  const exit = k.read('crypto_alg.cra_exit', base);
  if (exit !== 0) yield* k.call(exit, transform);
  putAlgorithm(k, base);
  k.heap.free(start);
}

export const transformOf = (k: Linux, hash: Address): Address => hash + k.offset('crypto_shash.base');

/** The shash_alg of a hash transform. */
export function hashAlgorithm(k: Linux, hash: Address): Address {
  return k.read('crypto_tfm.__crt_alg', transformOf(k, hash)) - k.offset('shash_alg.base');
}

/** crypto_shash_digest on a prepared descriptor: the driver's own digest, else init, update and final. */
export function* digestWith(
  k: Linux,
  descriptor: Address,
  data: Address,
  length: number,
  out: Address,
): Steps<number> {
  const algorithm = hashAlgorithm(k, k.read('shash_desc.tfm', descriptor));
  const member = (name: string) => k.read(`shash_alg.${name}`, algorithm);
  if (member('digest') !== 0) return yield* k.callInt(member('digest'), descriptor, data, length, out);
  const error = yield* k.callInt(member('init'), descriptor);
  if (error !== 0) return error;
  return yield* finishWith(k, descriptor, data, length, out);
}

/** crypto_shash_finup. */
export function* finishWith(
  k: Linux,
  descriptor: Address,
  data: Address,
  length: number,
  out: Address,
): Steps<number> {
  const algorithm = hashAlgorithm(k, k.read('shash_desc.tfm', descriptor));
  const member = (name: string) => k.read(`shash_alg.${name}`, algorithm);
  if (member('finup') !== 0) return yield* k.callInt(member('finup'), descriptor, data, length, out);
  const error = yield* k.callInt(member('update'), descriptor, data, length);
  return error !== 0 ? error : yield* k.callInt(member('final'), descriptor, out);
}

/** Puts bytes into fresh kernel memory for the time `use` needs them. */
export function* withMemory<T>(
  k: Linux,
  sizes: readonly number[],
  use: (at: Address[]) => Steps<T>,
): Steps<T> {
  const at: Address[] = sizes.map((size) =>
    size > 8192 ? k.heap.allocateLarge(size) : k.heap.allocateZeroed(Math.max(16, size)),
  );
  try {
    return yield* use(at);
  } finally {
    for (const address of at) k.heap.free(address);
  }
}

/** Hashes bytes with a registered algorithm; a negative errno when there is none or it refuses. */
export function* digest(
  k: Linux,
  name: string,
  message: Uint8Array,
  key?: Uint8Array,
): Steps<Uint8Array | number> {
  const hash = yield* allocateHash(k, name);
  if (isError(hash)) return hash;
  const algorithm = hashAlgorithm(k, hash);
  const size = k.read('shash_alg.digestsize', algorithm);
  const descriptorSize = k.sizeof('shash_desc') + descriptorBytes(k, hash) + DESCRIPTOR_SLACK;
  const result = yield* withMemory(
    k,
    [descriptorSize, message.length, size, key?.length ?? 0],
    function* ([descriptor, data, out, keyAt]) {
      if (key !== undefined) {
        k.memory.write(keyAt, key);
        const setkey = k.read('shash_alg.setkey', algorithm);
        const error = setkey === 0 ? -Errno.ENOSYS : yield* k.callInt(setkey, hash, keyAt, key.length);
        if (error !== 0) return error;
      }
      k.memory.write(data, message);
      k.write('shash_desc.tfm', descriptor, hash);
      const error = yield* digestWith(k, descriptor, data, message.length, out);
      return error !== 0 ? error : k.memory.bytes(out, size);
    },
  );
  yield* destroyTransform(k, hash, transformOf(k, hash));
  return result;
}

/** One block through a single cipher. */
export function* cipherBlock(
  k: Linux,
  name: string,
  key: Uint8Array,
  block: Uint8Array,
  how: 'encrypt' | 'decrypt',
): Steps<Uint8Array | number> {
  const transform = yield* allocateTransform(k, name, ['cipher']);
  if (isError(transform)) return transform;
  const cipher = k.read('crypto_tfm.__crt_alg', transform) + k.offset('crypto_alg.cra_u');
  const result = yield* withMemory(
    k,
    [key.length, block.length, block.length],
    function* ([keyAt, from, to]) {
      k.memory.write(keyAt, key);
      const error = yield* k.callInt(k.read('cipher_alg.cia_setkey', cipher), transform, keyAt, key.length);
      if (error !== 0) return error;
      k.memory.write(from, block);
      yield* k.call(k.read(`cipher_alg.cia_${how}`, cipher), transform, to, from);
      return k.memory.bytes(to, block.length);
    },
  );
  yield* destroyTransform(k, transform, transform);
  return result;
}

/** Compresses or expands bytes with a compressor; `room` bounds the output. */
export function* compress(
  k: Linux,
  name: string,
  data: Uint8Array,
  room: number,
  how: 'compress' | 'decompress',
): Steps<Uint8Array | number> {
  const transform = yield* allocateTransform(k, name, ['compression']);
  if (isError(transform)) return transform;
  const union = k.read('crypto_tfm.__crt_alg', transform) + k.offset('crypto_alg.cra_u');
  const result = yield* withMemory(k, [data.length, room, 8], function* ([from, to, length]) {
    k.memory.write(from, data);
    k.memory.set32(length, room);
    const method = k.read(`compress_alg.coa_${how}`, union);
    const error = yield* k.callInt(method, transform, from, data.length, to, length);
    return error !== 0 ? error : k.memory.bytes(to, k.memory.u32(length));
  });
  yield* destroyTransform(k, transform, transform);
  return result;
}

/** As `compress`, with the form of the algorithm that keeps its working memory apart (struct scomp_alg). */
export function* compressApart(
  k: Linux,
  name: string,
  data: Uint8Array,
  room: number,
  how: 'compress' | 'decompress',
): Steps<Uint8Array | number> {
  const algorithm = yield* lookup(k, name, ['scomp']);
  if (algorithm === undefined || !holdAlgorithm(k, algorithm)) return -Errno.ENOENT;
  const member = (field: string) => k.read(`scomp_alg.${field}`, algorithm.outer);
  const sizes = [k.sizeof('crypto_scomp'), data.length, room, 8];
  const result = yield* withMemory<Uint8Array | number>(k, sizes, function* ([transform, from, to, length]) {
    k.write('crypto_tfm.__crt_alg', transform + k.offset('crypto_scomp.base'), algorithm.base);
    const context = yield* k.call(member('alloc_ctx'), transform);
    if (isError(context)) return context;
    k.memory.write(from, data);
    k.memory.set32(length, room);
    const error = yield* k.callInt(member(how), transform, from, data.length, to, length, context);
    yield* k.call(member('free_ctx'), transform, context);
    return error !== 0 ? error : k.memory.bytes(to, k.memory.u32(length));
  });
  putAlgorithm(k, algorithm.base);
  return result;
}

export type { Algorithm };
