/**
 * Hashes over scatter lists (crypto/ahash.c). A hash of the plain form is used through a transform of its own, whose
 * descriptor lies in the request.
 */
import type { Steps } from '../../../kernel/steps.ts';
import { type Address, PAGE_SIZE } from '../../../memory/space.ts';
import { Errno, isError } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { Flag, NEED_KEY, setFlags } from './flags.ts';
import { cryptoRegistry, holdAlgorithm, putAlgorithm } from './registry.ts';
import { pieces } from './scatterwalk.ts';
import {
  descriptorBytes,
  endHash,
  exportHash,
  hashTransform,
  hasSetkey,
  importHash,
  setHashKey,
  startHash,
  updateHash,
} from './shash.ts';
import { callSetkey } from './skcipher.ts';
import { algorithmOf, create, destroy } from './transforms.ts';
import { cryptoType } from './types.ts';

/** Methods that transforms of kernels up to 6.5 have copies of, called by modules' inline code. */
const METHODS = ['init', 'update', 'final', 'finup', 'digest', 'export', 'import'] as const;
export type AhashMethod = (typeof METHODS)[number];

const classic = (k: Linux): boolean =>
  !k.types.has('crypto_ahash.using_shash') || !k.types.has('crypto_ahash.statesize');
const listed = (k: Linux, transform: Address): Address => transform - k.offset('crypto_ahash.base');

/** Is this a transform over a hash of the plain form? */
const plain = (k: Linux, transform: Address): boolean =>
  k.read('crypto_alg.cra_type', k.read('crypto_tfm.__crt_alg', transform)) !== cryptoType(k, 'ahash');

const hashOf = (k: Linux, transform: Address): Address =>
  k.memory.ptr(transform + k.offset('crypto_tfm.__crt_ctx'));

/** crypto_ahash_init_tfm */
export function* initAhash(k: Linux, transform: Address): Steps<number> {
  if (plain(k, transform)) return yield* initOverPlain(k, transform);
  const ahash = listed(k, transform);
  const algorithm = algorithmOf(k, transform, 'ahash');
  const own = (name: string) => k.read(`ahash_alg.${name}`, algorithm);
  if (classic(k)) {
    for (const method of METHODS) k.write(`crypto_ahash.${method}`, ahash, own(method));
    if (own('finup') === 0) k.write('crypto_ahash.finup', ahash, k.addressOf('ahash_def_finup'));
    k.write('crypto_ahash.setkey', ahash, own('setkey') || k.addressOf('ahash_nosetkey'));
  } else {
    k.write('crypto_ahash.statesize', ahash, own('halg.statesize'));
    if (k.types.has('ahash_alg.reqsize')) k.write('crypto_ahash.reqsize', ahash, own('reqsize'));
  }
  needKey(k, transform, algorithm);
  if (own('exit_tfm') !== 0) k.write('crypto_tfm.exit', transform, k.addressOf('crypto_ahash_exit_tfm'));
  return own('init_tfm') === 0 ? 0 : yield* k.callInt(own('init_tfm'), ahash);
}

function needKey(k: Linux, transform: Address, algorithm: Address): void {
  const optional = k.read('ahash_alg.halg.base.cra_flags', algorithm) & Flag.OPTIONAL_KEY;
  if (k.read('ahash_alg.setkey', algorithm) !== 0 && optional === 0)
    setFlags(k, 'crypto_tfm.crt_flags', transform, NEED_KEY);
}

/** crypto_init_shash_ops_async */
function* initOverPlain(k: Linux, transform: Address): Steps<number> {
  const base = k.read('crypto_tfm.__crt_alg', transform);
  const algorithm = k.state(cryptoRegistry).at(base);
  if (algorithm === undefined || !holdAlgorithm(k, algorithm)) return -Errno.EAGAIN;
  const hash = yield* create(k, base, cryptoType(k, 'shash'));
  if (isError(hash)) {
    yield* putAlgorithm(k, base);
    return hash;
  }
  const ahash = listed(k, transform);
  k.memory.setPtr(transform + k.offset('crypto_tfm.__crt_ctx'), hash);
  k.write('crypto_tfm.exit', transform, k.addressOf('crypto_exit_shash_ops_async'));
  if (classic(k)) {
    for (const method of METHODS)
      k.write(`crypto_ahash.${method}`, ahash, k.addressOf(`shash_async_${method}`));
    const setkey = hasSetkey(k, algorithm.outer) ? 'shash_async_setkey' : 'ahash_nosetkey';
    k.write('crypto_ahash.setkey', ahash, k.addressOf(setkey));
  } else {
    k.write('crypto_ahash.using_shash', ahash, 1);
    k.write('crypto_ahash.statesize', ahash, k.read('shash_alg.statesize', algorithm.outer));
  }
  const flags = k.read('crypto_tfm.crt_flags', hashTransform(k, hash)) & NEED_KEY;
  setFlags(k, 'crypto_tfm.crt_flags', transform, flags);
  k.write('crypto_ahash.reqsize', ahash, k.sizeof('shash_desc') + descriptorBytes(k, hash));
  return 0;
}

export function* exitOverPlain(k: Linux, transform: Address): Steps<void> {
  const hash = hashOf(k, transform);
  yield* destroy(k, hash, hashTransform(k, hash));
}

export function* exitAhash(k: Linux, transform: Address): Steps<void> {
  yield* k.call(k.read('ahash_alg.exit_tfm', algorithmOf(k, transform, 'ahash')), listed(k, transform));
}

/** crypto_ahash_setkey */
export function* setAhashKey(k: Linux, ahash: Address, key: Address, length: number): Steps<number> {
  const transform = ahash + k.offset('crypto_ahash.base');
  let error: number;
  if (plain(k, transform)) {
    error = yield* setHashKey(k, hashOf(k, transform), key, length);
    const flags = k.read('crypto_tfm.crt_flags', hashTransform(k, hashOf(k, transform)));
    setFlags(k, 'crypto_tfm.crt_flags', transform, flags & NEED_KEY, NEED_KEY);
    return error;
  }
  const algorithm = algorithmOf(k, transform, 'ahash');
  const method = k.read('ahash_alg.setkey', algorithm);
  const base = k.read('crypto_tfm.__crt_alg', transform);
  error = method === 0 ? -Errno.ENOSYS : yield* callSetkey(k, base, method, ahash, key, length);
  if (error === 0) setFlags(k, 'crypto_tfm.crt_flags', transform, 0, NEED_KEY);
  else needKey(k, transform, algorithm);
  return error;
}

/** shash_ahash_update: the bytes of the request's list, page by page. */
export function* updateFromList(k: Linux, request: Address, descriptor: Address): Steps<number> {
  const list = k.read('ahash_request.src', request);
  const length = k.read('ahash_request.nbytes', request);
  for (const { at, bytes } of [...pieces(k, list, 0, length)]) {
    for (let done = 0; done < bytes; ) {
      const part = Math.min(bytes - done, PAGE_SIZE - ((at + done) & (PAGE_SIZE - 1)));
      const error = yield* updateHash(k, descriptor, at + done, part);
      if (error !== 0) return error;
      done += part;
    }
  }
  return 0;
}

/** shash_ahash_finup */
export function* finishFromList(k: Linux, request: Address, descriptor: Address): Steps<number> {
  const error = yield* updateFromList(k, request, descriptor);
  return error !== 0 ? error : yield* endHash(k, descriptor, k.read('ahash_request.result', request));
}

/** shash_ahash_digest */
export function* digestFromList(k: Linux, request: Address, descriptor: Address): Steps<number> {
  const error = yield* startHash(k, descriptor);
  return error !== 0 ? error : yield* finishFromList(k, request, descriptor);
}

/** shash_async_*: a method of a request over a hash of the plain form. */
export function* runOverPlain(
  k: Linux,
  request: Address,
  method: AhashMethod,
  state: Address = 0,
): Steps<number> {
  const descriptor = request + k.offset('ahash_request.__ctx');
  k.write('shash_desc.tfm', descriptor, hashOf(k, k.read('ahash_request.base.tfm', request)));
  switch (method) {
    case 'init':
      return yield* startHash(k, descriptor);
    case 'update':
      return yield* updateFromList(k, request, descriptor);
    case 'final':
      return yield* endHash(k, descriptor, k.read('ahash_request.result', request));
    case 'finup':
      return yield* finishFromList(k, request, descriptor);
    case 'digest':
      return yield* digestFromList(k, request, descriptor);
    case 'export':
      return yield* exportHash(k, descriptor, state);
    default:
      return yield* importHash(k, descriptor, state);
  }
}

/** crypto_ahash_*: init, import and digest want a key where the algorithm does. */
export function* runAhash(
  k: Linux,
  request: Address,
  method: AhashMethod,
  state: Address = 0,
): Steps<number> {
  const transform = k.read('ahash_request.base.tfm', request);
  const keyed = method === 'init' || method === 'digest' || method === 'import';
  if (keyed && (k.read('crypto_tfm.crt_flags', transform) & NEED_KEY) !== 0) return -Errno.ENOKEY;
  if (plain(k, transform)) return yield* runOverPlain(k, request, method, state);
  const own = k.read(`ahash_alg.${method}`, algorithmOf(k, transform, 'ahash'));
  if (own === 0 && method === 'finup') return yield* updateThenFinal(k, request);
  return state === 0 ? yield* k.callInt(own, request) : yield* k.callInt(own, request, state);
}

/** ahash_def_finup, for drivers that are done when they return. */
export function* updateThenFinal(k: Linux, request: Address): Steps<number> {
  const error = yield* runAhash(k, request, 'update');
  return error !== 0 ? error : yield* runAhash(k, request, 'final');
}

/** crypto_hash_alg_has_setkey: of a hash_alg_common of either form. */
export function hasAnySetkey(k: Linux, common: Address): boolean {
  const base = common + k.offset('hash_alg_common.base');
  if (k.read('crypto_alg.cra_type', base) !== cryptoType(k, 'ahash'))
    return hasSetkey(k, base - k.offset('shash_alg.base'));
  return k.read('ahash_alg.setkey', common - k.offset('ahash_alg.halg')) !== 0;
}
