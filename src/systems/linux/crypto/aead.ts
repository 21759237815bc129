/** Encryption with a tag over text and associated data (crypto/aead.c), for the kernel functions and for callers of ours. */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { NEED_KEY, setFlags } from './flags.ts';
import { allocate } from './lookup.ts';
import { type CipherDirection, type CipherText, callSetkey, waitForRequest } from './skcipher.ts';
import { algorithmOf, destroy } from './transforms.ts';
import { beginWalk } from './walk.ts';

const transformOf = (k: Linux, aead: Address): Address => aead + k.offset('crypto_aead.base');

/** The aead_alg of a transform. */
export const aeadAlgorithm = (k: Linux, aead: Address): Address =>
  algorithmOf(k, transformOf(k, aead), 'aead');

/** crypto_alloc_aead */
export const allocateAead = (k: Linux, name: string, type = 0, mask = 0): Steps<Address> =>
  allocate(k, name, 'aead', type, mask);

export const freeAead = (k: Linux, aead: Address): Steps<void> => destroy(k, aead, transformOf(k, aead));

/** crypto_aead_init_tfm */
export function* initAead(k: Linux, transform: Address): Steps<number> {
  const aead = transform - k.offset('crypto_aead.base');
  const algorithm = algorithmOf(k, transform, 'aead');
  setFlags(k, 'crypto_tfm.crt_flags', transform, NEED_KEY);
  k.write('crypto_aead.authsize', aead, k.read('aead_alg.maxauthsize', algorithm));
  if (k.read('aead_alg.exit', algorithm) !== 0)
    k.write('crypto_tfm.exit', transform, k.addressOf('crypto_aead_exit_tfm'));
  const init = k.read('aead_alg.init', algorithm);
  return init === 0 ? 0 : yield* k.callInt(init, aead);
}

export function* exitAead(k: Linux, transform: Address): Steps<void> {
  const exit = k.read('aead_alg.exit', algorithmOf(k, transform, 'aead'));
  yield* k.call(exit, transform - k.offset('crypto_aead.base'));
}

/** crypto_aead_setkey */
export function* setAeadKey(k: Linux, aead: Address, key: Address, length: number): Steps<number> {
  const transform = transformOf(k, aead);
  const setkey = k.read('aead_alg.setkey', aeadAlgorithm(k, aead));
  const base = k.read('crypto_tfm.__crt_alg', transform);
  const error = yield* callSetkey(k, base, setkey, aead, key, length);
  if (error === 0) setFlags(k, 'crypto_tfm.crt_flags', transform, 0, NEED_KEY);
  else setFlags(k, 'crypto_tfm.crt_flags', transform, NEED_KEY);
  return error;
}

/** crypto_aead_setauthsize */
export function* setTagSize(k: Linux, aead: Address, size: number): Steps<number> {
  const algorithm = aeadAlgorithm(k, aead);
  const most = k.read('aead_alg.maxauthsize', algorithm);
  if ((size === 0 && most !== 0) || size > most) return -Errno.EINVAL;
  const method = k.read('aead_alg.setauthsize', algorithm);
  const error = method === 0 ? 0 : yield* k.callInt(method, aead, size);
  if (error === 0) k.write('crypto_aead.authsize', aead, size);
  return error;
}

/** crypto_aead_encrypt and _decrypt: what the driver says, -EINPROGRESS among it. */
export function* runAead(k: Linux, request: Address, how: CipherDirection): Steps<number> {
  const transform = k.read('aead_request.base.tfm', request);
  if ((k.read('crypto_tfm.crt_flags', transform) & NEED_KEY) !== 0) return -Errno.ENOKEY;
  const tag = k.read('crypto_aead.authsize', transform - k.offset('crypto_aead.base'));
  if (how === 'decrypt' && k.read('aead_request.cryptlen', request) < tag) return -Errno.EINVAL;
  return yield* k.callInt(k.read(`aead_alg.${how}`, algorithmOf(k, transform, 'aead')), request);
}

/** skcipher_walk_aead_encrypt and _decrypt: over the text alone, behind the associated data and without the tag. */
export function walkAead(k: Linux, walk: Address, request: Address, how: CipherDirection): number {
  const of = (name: string) => k.read(`aead_request.${name}`, request);
  const transform = of('base.tfm');
  const base = k.read('crypto_tfm.__crt_alg', transform);
  const algorithm = algorithmOf(k, transform, 'aead');
  const tag = k.read('crypto_aead.authsize', transform - k.offset('crypto_aead.base'));
  const text = {
    total: of('cryptlen') - (how === 'decrypt' ? tag : 0),
    iv: of('iv'),
    src: of('src'),
    dst: of('dst'),
    flags: of('base.flags'),
    skip: of('assoclen'),
  };
  return beginWalk(k, walk, text, {
    blocksize: k.read('crypto_alg.cra_blocksize', base),
    stride: k.read('aead_alg.chunksize', algorithm),
    ivsize: k.read('aead_alg.ivsize', algorithm),
    alignmask: k.read('crypto_alg.cra_alignmask', base),
  });
}

/** A request's lists begin with the associated data, whose length is not part of `length`. */
export interface AeadText extends CipherText {
  readonly associated: number;
}

/** One request on a transform, waited for; 0 or a negative errno, -EBADMSG for a wrong tag. */
export function* aeadRequest(k: Linux, aead: Address, text: AeadText, how: CipherDirection): Steps<number> {
  const request = k.heap.allocateZeroed(k.sizeof('aead_request') + k.read('crypto_aead.reqsize', aead));
  const put = (name: string, value: number) => k.write(`aead_request.${name}`, request, value);
  put('base.tfm', transformOf(k, aead));
  put('src', text.src);
  put('dst', text.dst);
  put('cryptlen', text.length);
  put('assoclen', text.associated);
  put('iv', text.iv);
  const error = yield* waitForRequest(k, request + k.offset('aead_request.base'), () =>
    runAead(k, request, how),
  );
  k.heap.free(request);
  return error;
}
