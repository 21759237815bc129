/**
 * Using algorithms as a caller in the kernel would: transforms in guest memory, the algorithm's own machine code does the
 * work. Results are bytes, or a negative errno when there is no such algorithm or it refuses.
 */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { isError } from '../errno.ts';
import { initOne } from '../functions/scatterlist.ts';
import type { Linux } from '../linux.ts';
import { aeadAlgorithm, aeadRequest, allocateAead, freeAead, setAeadKey, setTagSize } from './aead.ts';
import { allocateOf, methodsOf, oneBlock, setBlockKey } from './ciphers.ts';
import { TYPE_MASK, typeNumbers } from './flags.ts';
import { findAlgorithm } from './lookup.ts';
import { type Algorithm, putAlgorithm } from './registry.ts';
import { allocateHash, hashAlgorithm, hashTransform, setHashKey, transformDigest } from './shash.ts';
import {
  allocateCipher,
  type CipherDirection,
  cipherAlgorithm,
  cipherRequest,
  freeCipher,
  setCipherKey,
} from './skcipher.ts';
import { destroy } from './transforms.ts';

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

/** Hashes bytes with a registered algorithm. */
export function* digest(
  k: Linux,
  name: string,
  message: Uint8Array,
  key?: Uint8Array,
): Steps<Uint8Array | number> {
  const hash = yield* allocateHash(k, name);
  if (isError(hash)) return hash;
  const size = k.read('shash_alg.digestsize', hashAlgorithm(k, hash));
  const result = yield* withMemory<Uint8Array | number>(
    k,
    [message.length, size, key?.length ?? 0],
    function* ([data, out, keyAt]) {
      if (key !== undefined) {
        k.memory.write(keyAt, key);
        const error = yield* setHashKey(k, hash, keyAt, key.length);
        if (error !== 0) return error;
      }
      k.memory.write(data, message);
      const error = yield* transformDigest(k, hash, data, message.length, out);
      return error !== 0 ? error : k.memory.bytes(out, size);
    },
  );
  yield* destroy(k, hash, hashTransform(k, hash));
  return result;
}

/** Whole blocks through a single cipher, one by one. */
export function* cipherBlocks(
  k: Linux,
  name: string,
  key: Uint8Array,
  blocks: Uint8Array,
  how: CipherDirection,
): Steps<Uint8Array | number> {
  const cipher = yield* allocateOf(k, name, 'cipher');
  if (isError(cipher)) return cipher;
  const size = k.read('crypto_alg.cra_blocksize', k.read('crypto_tfm.__crt_alg', cipher));
  const sizes = [key.length, blocks.length, blocks.length];
  const result = yield* withMemory<Uint8Array | number>(k, sizes, function* ([keyAt, from, to]) {
    k.memory.write(keyAt, key);
    const error = yield* setBlockKey(k, cipher, keyAt, key.length);
    if (error !== 0) return error;
    k.memory.write(from, blocks);
    for (let at = 0; at + size <= blocks.length; at += size)
      yield* oneBlock(k, cipher, to + at, from + at, how);
    return k.memory.bytes(to, blocks.length);
  });
  yield* destroy(k, cipher, cipher);
  return result;
}

/**
 * Text through a cipher over scatter lists, `ctr(aes)` or a driver's name. The text must have the length that the cipher
 * can work on.
 * @param key undefined for a cipher that needs none
 * @param iv filled up with zeros or cut to the algorithm's size
 */
export function* skcipher(
  k: Linux,
  name: string,
  key: Uint8Array | undefined,
  iv: Uint8Array,
  data: Uint8Array,
  how: CipherDirection,
): Steps<Uint8Array | number> {
  const cipher = yield* allocateCipher(k, name);
  if (isError(cipher)) return cipher;
  const ivSize = k.read('skcipher_alg.ivsize', cipherAlgorithm(k, cipher));
  const list = k.sizeof('scatterlist');
  const sizes = [key?.length ?? 0, ivSize, data.length, data.length, 2 * list];
  const result = yield* withMemory<Uint8Array | number>(k, sizes, function* ([keyAt, ivAt, from, to, lists]) {
    if (key !== undefined) {
      k.memory.write(keyAt, key);
      const error = yield* setCipherKey(k, cipher, keyAt, key.length);
      if (error !== 0) return error;
    }
    k.memory.fill(ivAt, ivSize, 0);
    k.memory.write(ivAt, iv.subarray(0, ivSize));
    k.memory.write(from, data);
    initOne(k, lists, from, data.length);
    initOne(k, lists + list, to, data.length);
    const text = { src: lists, dst: lists + list, length: data.length, iv: ivAt };
    const error = yield* cipherRequest(k, cipher, text, how);
    return error !== 0 ? error : k.memory.bytes(to, data.length);
  });
  yield* freeCipher(k, cipher);
  return result;
}

/**
 * Text and associated data through an AEAD, `gcm(aes)` or a driver's name: encrypted text with the tag behind it, or the
 * plain text again; -EBADMSG (-74) when the tag is wrong.
 * @param iv filled up with zeros or cut to the algorithm's size
 * @param tagBytes as crypto_aead_setauthsize takes it
 */
export function* aead(
  k: Linux,
  name: string,
  key: Uint8Array,
  iv: Uint8Array,
  associated: Uint8Array,
  data: Uint8Array,
  tagBytes: number,
  how: CipherDirection,
): Steps<Uint8Array | number> {
  const transform = yield* allocateAead(k, name);
  if (isError(transform)) return transform;
  const ivSize = k.read('aead_alg.ivsize', aeadAlgorithm(k, transform));
  const list = k.sizeof('scatterlist');
  const room = associated.length + data.length + (how === 'encrypt' ? tagBytes : 0);
  const sizes = [key.length, ivSize, room, room, 2 * list];
  const result = yield* withMemory<Uint8Array | number>(k, sizes, function* ([keyAt, ivAt, from, to, lists]) {
    k.memory.write(keyAt, key);
    let error = yield* setAeadKey(k, transform, keyAt, key.length);
    if (error === 0) error = yield* setTagSize(k, transform, tagBytes);
    if (error !== 0) return error;
    k.memory.fill(ivAt, ivSize, 0);
    k.memory.write(ivAt, iv.subarray(0, ivSize));
    k.memory.write(from, associated);
    k.memory.write(from + associated.length, data);
    initOne(k, lists, from, associated.length + data.length);
    initOne(k, lists + list, to, room);
    const text = { src: lists, dst: lists + list, length: data.length, iv: ivAt };
    error = yield* aeadRequest(k, transform, { ...text, associated: associated.length }, how);
    const length = data.length + (how === 'encrypt' ? tagBytes : -tagBytes);
    return error !== 0 ? error : k.memory.bytes(to + associated.length, length);
  });
  yield* freeAead(k, transform);
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
  const transform = yield* allocateOf(k, name, 'compression');
  if (isError(transform)) return transform;
  const result = yield* withMemory(k, [data.length, room, 8], function* ([from, to, length]) {
    k.memory.write(from, data);
    k.memory.set32(length, room);
    const method = k.read(`compress_alg.coa_${how}`, methodsOf(k, transform));
    const error = yield* k.callInt(method, transform, from, data.length, to, length);
    return error !== 0 ? error : k.memory.bytes(to, k.memory.u32(length));
  });
  yield* destroy(k, transform, transform);
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
  const algorithm = yield* findAlgorithm(k, name, typeNumbers(k).scomp, TYPE_MASK);
  if (typeof algorithm === 'number') return algorithm;
  return yield* withMemory<Uint8Array | number>(k, [data.length, room, 8], ([from, to, length]) =>
    withContext<Uint8Array | number>(k, algorithm, function* (transform, context) {
      k.memory.write(from, data);
      k.memory.set32(length, room);
      const method = k.read(`scomp_alg.${how}`, algorithm.outer);
      const error = yield* k.callInt(method, transform, from, data.length, to, length, context);
      return error !== 0 ? error : k.memory.bytes(to, k.memory.u32(length));
    }),
  );
}

/** A transform of such an algorithm, which the caller holds and gives away, and the working memory that it asks for. */
export function* withContext<T>(
  k: Linux,
  algorithm: Algorithm,
  use: (transform: Address, context: Address) => Steps<T>,
): Steps<T | number> {
  const member = (field: string) => k.read(`scomp_alg.${field}`, algorithm.outer);
  const result = yield* withMemory<T | number>(k, [k.sizeof('crypto_scomp')], function* ([transform]) {
    k.write('crypto_tfm.__crt_alg', transform + k.offset('crypto_scomp.base'), algorithm.base);
    const context = yield* k.call(member('alloc_ctx'), transform);
    if (isError(context)) return context;
    const answer = yield* use(transform, context);
    yield* k.call(member('free_ctx'), transform, context);
    return answer;
  });
  yield* putAlgorithm(k, algorithm.base);
  return result;
}
