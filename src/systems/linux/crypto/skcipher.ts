/** Symmetric ciphers over scatter lists (crypto/skcipher.c), for the kernel functions and for callers of ours. */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { NEED_KEY, Request, setFlags } from './flags.ts';
import { allocate } from './lookup.ts';
import { algorithmOf, destroy } from './transforms.ts';
import { beginWalk } from './walk.ts';

export type CipherDirection = 'encrypt' | 'decrypt';

const transformOf = (k: Linux, cipher: Address): Address => cipher + k.offset('crypto_skcipher.base');

/** The skcipher_alg of a transform. */
export const cipherAlgorithm = (k: Linux, cipher: Address): Address =>
  algorithmOf(k, transformOf(k, cipher), 'skcipher');

/** crypto_alloc_skcipher */
export const allocateCipher = (k: Linux, name: string, type = 0, mask = 0): Steps<Address> =>
  allocate(k, name, 'skcipher', type, mask);

export const freeCipher = (k: Linux, cipher: Address): Steps<void> =>
  destroy(k, cipher, transformOf(k, cipher));

/** crypto_skcipher_init_tfm */
export function* initCipher(k: Linux, transform: Address): Steps<number> {
  const cipher = transform - k.offset('crypto_skcipher.base');
  const algorithm = algorithmOf(k, transform, 'skcipher');
  if (k.read('skcipher_alg.max_keysize', algorithm) !== 0)
    setFlags(k, 'crypto_tfm.crt_flags', transform, NEED_KEY);
  if (k.read('skcipher_alg.exit', algorithm) !== 0)
    k.write('crypto_tfm.exit', transform, k.addressOf('crypto_skcipher_exit_tfm'));
  const init = k.read('skcipher_alg.init', algorithm);
  return init === 0 ? 0 : yield* k.callInt(init, cipher);
}

export function* exitCipher(k: Linux, transform: Address): Steps<void> {
  const exit = k.read('skcipher_alg.exit', algorithmOf(k, transform, 'skcipher'));
  yield* k.call(exit, transform - k.offset('crypto_skcipher.base'));
}

/** Calls a setkey method, with a copy of the key where the algorithm wants it aligned. */
export function* callSetkey(
  k: Linux,
  base: Address,
  method: Address,
  handle: Address,
  key: Address,
  length: number,
): Steps<number> {
  const mask = k.read('crypto_alg.cra_alignmask', base);
  if ((key & mask) === 0) return yield* k.callInt(method, handle, key, length);
  const buffer = k.heap.allocate(length + mask);
  const aligned = buffer + ((mask + 1 - (buffer & mask)) & mask);
  k.memory.copy(aligned, key, length);
  const error = yield* k.callInt(method, handle, aligned, length);
  k.heap.free(buffer);
  return error;
}

/** crypto_skcipher_setkey */
export function* setCipherKey(k: Linux, cipher: Address, key: Address, length: number): Steps<number> {
  const transform = transformOf(k, cipher);
  const algorithm = cipherAlgorithm(k, cipher);
  const least = k.read('skcipher_alg.min_keysize', algorithm);
  const most = k.read('skcipher_alg.max_keysize', algorithm);
  if (length < least || length > most) return -Errno.EINVAL;
  const base = k.read('crypto_tfm.__crt_alg', transform);
  const method = k.read('skcipher_alg.setkey', algorithm);
  const error = yield* callSetkey(k, base, method, cipher, key, length);
  if (error === 0) setFlags(k, 'crypto_tfm.crt_flags', transform, 0, NEED_KEY);
  else if (most !== 0) setFlags(k, 'crypto_tfm.crt_flags', transform, NEED_KEY);
  return error;
}

/** crypto_skcipher_encrypt and _decrypt: what the driver says, -EINPROGRESS among it. */
export function* runCipher(k: Linux, request: Address, how: CipherDirection): Steps<number> {
  const transform = k.read('skcipher_request.base.tfm', request);
  if ((k.read('crypto_tfm.crt_flags', transform) & NEED_KEY) !== 0) return -Errno.ENOKEY;
  const method = k.read(`skcipher_alg.${how}`, algorithmOf(k, transform, 'skcipher'));
  return yield* k.callInt(method, request);
}

/** skcipher_walk_virt */
export function walkCipher(k: Linux, walk: Address, request: Address): number {
  const transform = k.read('skcipher_request.base.tfm', request);
  const base = k.read('crypto_tfm.__crt_alg', transform);
  const algorithm = algorithmOf(k, transform, 'skcipher');
  const of = (name: string) => k.read(`skcipher_request.${name}`, request);
  return beginWalk(
    k,
    walk,
    {
      total: of('cryptlen'),
      iv: of('iv'),
      src: of('src'),
      dst: of('dst'),
      flags: of('base.flags'),
      skip: 0,
    },
    {
      blocksize: k.read('crypto_alg.cra_blocksize', base),
      stride: k.read('skcipher_alg.walksize', algorithm),
      ivsize: k.read('skcipher_alg.ivsize', algorithm),
      alignmask: k.read('crypto_alg.cra_alignmask', base),
    },
  );
}

/** What one request over scatter lists needs; the vector is changed as the algorithm leaves it. */
export interface CipherText {
  readonly src: Address;
  readonly dst: Address;
  readonly length: number;
  readonly iv: Address;
}

/** One request on a transform, waited for; 0 or a negative errno. */
export function* cipherRequest(
  k: Linux,
  cipher: Address,
  text: CipherText,
  how: CipherDirection,
): Steps<number> {
  const request = k.heap.allocateZeroed(
    k.sizeof('skcipher_request') + k.read('crypto_skcipher.reqsize', cipher),
  );
  const put = (name: string, value: number) => k.write(`skcipher_request.${name}`, request, value);
  put('base.tfm', transformOf(k, cipher));
  put('src', text.src);
  put('dst', text.dst);
  put('cryptlen', text.length);
  put('iv', text.iv);
  const error = yield* waitForRequest(k, request + k.offset('skcipher_request.base'), () =>
    runCipher(k, request, how),
  );
  k.heap.free(request);
  return error;
}

/** crypto_wait_req around one request: a driver that goes on later says so through crypto_req_done. */
export function* waitForRequest(k: Linux, request: Address, run: () => Steps<number>): Steps<number> {
  const wait = k.heap.allocateZeroed(k.sizeof('crypto_wait'));
  const completion = wait + k.offset('crypto_wait.completion');
  const queue = completion + k.offset('completion.wait') + k.offset('swait_queue_head.task_list');
  k.memory.setPtr(queue, queue);
  k.memory.setPtr(queue + k.word, queue);
  k.write('crypto_async_request.complete', request, k.addressOf('crypto_req_done'));
  k.write('crypto_async_request.data', request, wait);
  k.write('crypto_async_request.flags', request, Request.MAY_SLEEP | Request.MAY_BACKLOG);
  let error = yield* run();
  if (error === -Errno.EINPROGRESS || error === -Errno.EBUSY) {
    yield* k.call(k.addressOf('wait_for_completion'), completion);
    error = k.read('crypto_wait.err', wait);
  }
  k.heap.free(wait);
  return error;
}
