/** Hashes of bytes that lie in one piece (crypto/shash.c). */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import { kernelWarning } from '../functions/caller.ts';
import type { Linux } from '../linux.ts';
import { Flag, NEED_KEY, schedulesTests, setFlags } from './flags.ts';
import { allocate } from './lookup.ts';
import { HASH_LIMITS } from './prepare.ts';
import { callSetkey } from './skcipher.ts';
import { algorithmOf } from './transforms.ts';

export const hashTransform = (k: Linux, hash: Address): Address => hash + k.offset('crypto_shash.base');

/** The shash_alg of a hash transform. */
export const hashAlgorithm = (k: Linux, hash: Address): Address =>
  algorithmOf(k, hashTransform(k, hash), 'shash');

/** crypto_alloc_shash. Returns the transform or an error pointer. */
export const allocateHash = (k: Linux, name: string, type = 0, mask = 0): Steps<Address> =>
  allocate(k, name, 'shash', type, mask);

/** crypto_shash_descsize: a transform can have its own up to 6.17, later the algorithm's counts. */
export function descriptorBytes(k: Linux, hash: Address): number {
  return k.types.has('crypto_shash.descsize')
    ? k.read('crypto_shash.descsize', hash)
    : k.read('shash_alg.descsize', hashAlgorithm(k, hash));
}

/** crypto_shash_alg_has_setkey */
export const hasSetkey = (k: Linux, algorithm: Address): boolean =>
  k.read('shash_alg.setkey', algorithm) !== k.addressOf('shash_no_setkey');

/** crypto_shash_alg_needs_key */
export function needsKey(k: Linux, algorithm: Address): boolean {
  const flags = k.read('crypto_alg.cra_flags', algorithm + k.offset('shash_alg.base'));
  return hasSetkey(k, algorithm) && (flags & Flag.OPTIONAL_KEY) === 0;
}

/** crypto_shash_init_tfm */
export function* initHash(k: Linux, transform: Address): Steps<number> {
  const hash = transform - k.offset('crypto_shash.base');
  const algorithm = hashAlgorithm(k, hash);
  const own = k.types.has('crypto_shash.descsize');
  if (own) k.write('crypto_shash.descsize', hash, k.read('shash_alg.descsize', algorithm));
  if (needsKey(k, algorithm)) setFlags(k, 'crypto_tfm.crt_flags', transform, NEED_KEY);
  const exit = k.read('shash_alg.exit_tfm', algorithm);
  if (exit !== 0) k.write('crypto_tfm.exit', transform, k.addressOf('crypto_shash_exit_tfm'));
  const init = k.read('shash_alg.init_tfm', algorithm);
  if (init === 0) return 0;
  const error = yield* k.callInt(init, hash);
  if (error !== 0 || !own || k.read('crypto_shash.descsize', hash) <= HASH_LIMITS.descsize) return error;
  kernelWarning(k, 'crypto/shash.c');
  if (exit !== 0) yield* k.call(exit, hash);
  return -Errno.EINVAL;
}

export function* exitHash(k: Linux, transform: Address): Steps<void> {
  const hash = transform - k.offset('crypto_shash.base');
  yield* k.call(k.read('shash_alg.exit_tfm', hashAlgorithm(k, hash)), hash);
}

/** crypto_shash_setkey */
export function* setHashKey(k: Linux, hash: Address, key: Address, length: number): Steps<number> {
  const algorithm = hashAlgorithm(k, hash);
  const base = algorithm + k.offset('shash_alg.base');
  const method = k.read('shash_alg.setkey', algorithm);
  const error = yield* callSetkey(k, base, method, hash, key, length);
  const needed = error === 0 ? 0 : needsKey(k, algorithm) ? NEED_KEY : 0;
  setFlags(k, 'crypto_tfm.crt_flags', hashTransform(k, hash), needed, error === 0 ? NEED_KEY : 0);
  return error;
}

/** One of a descriptor's methods. */
const method = (k: Linux, descriptor: Address, name: string): Address =>
  k.read(`shash_alg.${name}`, hashAlgorithm(k, k.read('shash_desc.tfm', descriptor)));

const lacksKey = (k: Linux, descriptor: Address): boolean =>
  (k.read('crypto_tfm.crt_flags', hashTransform(k, k.read('shash_desc.tfm', descriptor))) & NEED_KEY) !== 0;

/** crypto_shash_init */
export function* startHash(k: Linux, descriptor: Address): Steps<number> {
  return lacksKey(k, descriptor)
    ? -Errno.ENOKEY
    : yield* k.callInt(method(k, descriptor, 'init'), descriptor);
}

/** crypto_shash_alignmask of a descriptor's algorithm; nobody asks for it since 6.8. */
const alignmentOf = (k: Linux, descriptor: Address): number =>
  schedulesTests(k)
    ? 0
    : k.read(
        'crypto_alg.cra_alignmask',
        hashAlgorithm(k, k.read('shash_desc.tfm', descriptor)) + k.offset('shash_alg.base'),
      );

/** Runs with an aligned place of `size` bytes. */
function* aligned<T>(k: Linux, size: number, mask: number, use: (at: Address) => Steps<T>): Steps<T> {
  const memory = k.heap.allocateZeroed(Math.max(1, size + mask));
  try {
    return yield* use(memory + ((mask + 1 - (memory & mask)) & mask));
  } finally {
    k.heap.free(memory);
  }
}

/** crypto_shash_update: what lies before the first aligned byte goes first, from elsewhere. */
export function* updateHash(k: Linux, descriptor: Address, data: Address, length: number): Steps<number> {
  const update = method(k, descriptor, 'update');
  const mask = alignmentOf(k, descriptor);
  if ((data & mask) === 0) return yield* k.callInt(update, descriptor, data, length);
  const head = Math.min(mask + 1 - (data & mask), length);
  const error = yield* aligned(k, head, mask, (at) => {
    k.memory.copy(at, data, head);
    return k.callInt(update, descriptor, at, head);
  });
  return error !== 0 ? error : yield* k.callInt(update, descriptor, data + head, length - head);
}

/** crypto_shash_final */
export function* endHash(k: Linux, descriptor: Address, out: Address): Steps<number> {
  const final = method(k, descriptor, 'final');
  const mask = alignmentOf(k, descriptor);
  if ((out & mask) === 0) return yield* k.callInt(final, descriptor, out);
  const size = k.read('shash_alg.digestsize', hashAlgorithm(k, k.read('shash_desc.tfm', descriptor)));
  return yield* aligned(k, size, mask, function* (at) {
    const error = yield* k.callInt(final, descriptor, at);
    if (error === 0) k.memory.copy(out, at, size);
    return error;
  });
}

/** crypto_shash_finup */
export function* finishHash(
  k: Linux,
  descriptor: Address,
  data: Address,
  length: number,
  out: Address,
): Steps<number> {
  if (((data | out) & alignmentOf(k, descriptor)) !== 0)
    return yield* updateAndEnd(k, descriptor, data, length, out);
  return yield* k.callInt(method(k, descriptor, 'finup'), descriptor, data, length, out);
}

/** crypto_shash_export and _import */
export const moveState = (
  k: Linux,
  descriptor: Address,
  way: 'export' | 'import',
  state: Address,
): Steps<number> => k.callInt(method(k, descriptor, way), descriptor, state);

/** crypto_shash_digest on a prepared descriptor. */
export function* digestHash(
  k: Linux,
  descriptor: Address,
  data: Address,
  length: number,
  out: Address,
): Steps<number> {
  if (lacksKey(k, descriptor)) return -Errno.ENOKEY;
  if (((data | out) & alignmentOf(k, descriptor)) !== 0)
    return yield* startAndFinish(k, descriptor, data, length, out);
  return yield* k.callInt(method(k, descriptor, 'digest'), descriptor, data, length, out);
}

/** What finup is for an algorithm that has none of its own. */
export function* updateAndEnd(
  k: Linux,
  descriptor: Address,
  data: Address,
  length: number,
  out: Address,
): Steps<number> {
  const error = yield* updateHash(k, descriptor, data, length);
  return error !== 0 ? error : yield* endHash(k, descriptor, out);
}

/** What digest is for an algorithm that has none of its own. */
export function* startAndFinish(
  k: Linux,
  descriptor: Address,
  data: Address,
  length: number,
  out: Address,
): Steps<number> {
  const error = yield* startHash(k, descriptor);
  return error !== 0 ? error : yield* finishHash(k, descriptor, data, length, out);
}

/** crypto_shash_tfm_digest */
export function* transformDigest(
  k: Linux,
  hash: Address,
  data: Address,
  length: number,
  out: Address,
): Steps<number> {
  const descriptor = k.heap.allocateZeroed(k.sizeof('shash_desc') + descriptorBytes(k, hash));
  k.write('shash_desc.tfm', descriptor, hash);
  const error = yield* digestHash(k, descriptor, data, length, out);
  k.heap.free(descriptor);
  return error;
}

/** crypto_shash_export and _import: the state to and from bytes of the caller. */
export const exportHash = (k: Linux, descriptor: Address, out: Address): Steps<number> =>
  k.callInt(method(k, descriptor, 'export'), descriptor, out);

export function* importHash(k: Linux, descriptor: Address, from: Address): Steps<number> {
  if (lacksKey(k, descriptor)) return -Errno.ENOKEY;
  return yield* k.callInt(method(k, descriptor, 'import'), descriptor, from);
}
