/** `hmac(HASH)`, which kernels have built in (crypto/hmac.c, RFC 2104): two states of the hash, made by setkey. */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Flag, typeNumbers } from '../crypto/flags.ts';
import { registerInstance } from '../crypto/register.ts';
import {
  descriptorBytes,
  digestHash,
  endHash,
  finishHash,
  hashAlgorithm,
  hashTransform,
  hasSetkey,
  startHash,
  updateHash,
} from '../crypto/shash.ts';
import { dropSpawn, grabSpawn, spawnTransform } from '../crypto/spawns.ts';
import { attributeName } from '../crypto/templates.ts';
import { destroy } from '../crypto/transforms.ts';
import { cryptoType } from '../crypto/types.ts';
import { Errno, isError } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { checkType, nameInstance } from './crypto-templates.ts';
import { kernelFunctions } from './define.ts';

const INNER = 0x36;
const OUTER = 0x5c;

function* createInstance(k: Linux, template: Address, table: Address): Steps<number> {
  const size = k.sizeof('shash_instance') + k.sizeof('crypto_spawn');
  const instance = k.heap.allocateZeroed(size + 4);
  const inner = instance + k.offset('shash_instance.s.base');
  const spawn = inner + k.offset('crypto_instance.__ctx');
  const error = yield* fillInstance(k, template, table, instance, instance + size);
  if (error === 0) return 0;
  yield* dropSpawn(k, spawn);
  k.heap.free(instance);
  return error;
}

function* fillInstance(
  k: Linux,
  template: Address,
  table: Address,
  instance: Address,
  maskAt: Address,
): Steps<number> {
  const inner = instance + k.offset('shash_instance.s.base');
  const spawn = inner + k.offset('crypto_instance.__ctx');
  const unfit = checkType(k, table, typeNumbers(k).shash, maskAt);
  if (unfit !== 0) return unfit;
  k.write('crypto_spawn.frontend', spawn, cryptoType(k, 'shash'));
  const name = attributeName(k, k.memory.ptr(table + k.word));
  const missing = yield* grabSpawn(k, spawn, inner, name, 0, k.memory.u32(maskAt));
  if (missing !== 0) return missing;
  const base = k.read('crypto_spawn.alg', spawn);
  const hash = base - k.offset('shash_alg.base');
  const [digest, state] = ['digestsize', 'statesize'].map((field) => k.read(`shash_alg.${field}`, hash));
  const block = k.read('crypto_alg.cra_blocksize', base);
  const keyed = hasSetkey(k, hash) && (k.read('crypto_alg.cra_flags', base) & Flag.OPTIONAL_KEY) === 0;
  if (keyed || digest > block || state < block) return -Errno.EINVAL;
  const long = nameInstance(k, inner, template + k.offset('crypto_template.name'), base);
  if (long !== 0) return long;
  k.write('crypto_alg.cra_priority', inner, k.read('crypto_alg.cra_priority', base));
  k.write('crypto_alg.cra_blocksize', inner, block);
  k.write('crypto_alg.cra_ctxsize', inner, 2 * state + k.word);
  const outer = instance + k.offset('shash_instance.alg');
  k.write('shash_alg.digestsize', outer, digest);
  k.write('shash_alg.statesize', outer, state);
  const descriptor = k.sizeof('shash_desc') + k.read('shash_alg.descsize', hash);
  k.write('shash_alg.descsize', outer, descriptor);
  for (const method of [
    'init',
    'update',
    'final',
    'finup',
    'export',
    'import',
    'setkey',
    'init_tfm',
    'exit_tfm',
  ])
    k.write(`shash_alg.${method}`, outer, k.addressOf(`hmac_${method}`));
  k.write('shash_instance.free', instance, k.addressOf('shash_free_singlespawn_instance'));
  return yield* registerInstance(k, 'shash', template, instance);
}

/** The context: the two states, then the hash's transform. */
function contextOf(k: Linux, parent: Address): { inner: Address; outer: Address; hash: Address } {
  const inner = hashTransform(k, parent) + k.offset('crypto_tfm.__crt_ctx');
  const state = k.read('shash_alg.statesize', hashAlgorithm(k, parent));
  return { inner, outer: inner + state, hash: inner + 2 * state };
}

/** The descriptor inside a descriptor of ours. */
function below(k: Linux, descriptor: Address): Address {
  const at = descriptor + k.offset('shash_desc.__ctx');
  const { hash } = contextOf(k, k.read('shash_desc.tfm', descriptor));
  k.write('shash_desc.tfm', at, k.memory.ptr(hash));
  return at;
}

const call = (k: Linux, descriptor: Address, method: 'export' | 'import', at: Address): Steps<number> =>
  k.callInt(
    k.read(`shash_alg.${method}`, hashAlgorithm(k, k.read('shash_desc.tfm', descriptor))),
    descriptor,
    at,
  );

function* setKey(k: Linux, parent: Address, key: Address, length: number): Steps<number> {
  const context = contextOf(k, parent);
  const hash = k.memory.ptr(context.hash);
  const block = k.read('crypto_alg.cra_blocksize', k.read('crypto_tfm.__crt_alg', hashTransform(k, hash)));
  const descriptor = k.heap.allocateZeroed(k.sizeof('shash_desc') + descriptorBytes(k, hash));
  const pad = k.heap.allocateZeroed(block + 64);
  k.write('shash_desc.tfm', descriptor, hash);
  let error = 0;
  if (length > block) error = yield* digestHash(k, descriptor, key, length, pad);
  else k.memory.copy(pad, key, length);
  const secret = k.memory.bytes(pad, block).slice();
  for (const [mask, at] of [
    [INNER, context.inner],
    [OUTER, context.outer],
  ]) {
    k.memory.write(
      pad,
      secret.map((byte) => byte ^ mask),
    );
    if (error === 0) error = yield* startHash(k, descriptor);
    if (error === 0) error = yield* updateHash(k, descriptor, pad, block);
    if (error === 0) error = yield* call(k, descriptor, 'export', at);
  }
  k.heap.free(pad);
  k.heap.free(descriptor);
  return error;
}

/** The outer hash over the inner one's digest, which lies at `out`. */
function* outerHash(k: Linux, descriptor: Address, hash: Address, out: Address): Steps<number> {
  const parent = k.read('shash_desc.tfm', descriptor);
  const error = yield* call(k, hash, 'import', contextOf(k, parent).outer);
  if (error !== 0) return error;
  return yield* finishHash(k, hash, out, k.read('shash_alg.digestsize', hashAlgorithm(k, parent)), out);
}

export const hmacFunctions = kernelFunctions({
  'int crypto_hmac_create(struct crypto_template *tmpl, struct rtattr **tb)': createInstance,
  'int hmac_setkey(struct crypto_shash *parent, const u8 *inkey, unsigned int keylen)': setKey,
  'int hmac_init(struct shash_desc *pdesc)': (k, descriptor) =>
    call(k, below(k, descriptor), 'import', contextOf(k, k.read('shash_desc.tfm', descriptor)).inner),
  'int hmac_update(struct shash_desc *pdesc, const u8 *data, unsigned int nbytes)': (
    k,
    descriptor,
    data,
    length,
  ) => updateHash(k, below(k, descriptor), data, length),
  'int hmac_final(struct shash_desc *pdesc, u8 *out)': function* (k, descriptor, out) {
    const hash = below(k, descriptor);
    const error = yield* endHash(k, hash, out);
    return error !== 0 ? error : yield* outerHash(k, descriptor, hash, out);
  },
  'int hmac_finup(struct shash_desc *pdesc, const u8 *data, unsigned int nbytes, u8 *out)': function* (
    k,
    descriptor,
    data,
    length,
    out,
  ) {
    const hash = below(k, descriptor);
    const error = yield* finishHash(k, hash, data, length, out);
    return error !== 0 ? error : yield* outerHash(k, descriptor, hash, out);
  },
  'int hmac_export(struct shash_desc *pdesc, void *out)': (k, descriptor, out) =>
    call(k, below(k, descriptor), 'export', out),
  'int hmac_import(struct shash_desc *pdesc, const void *in)': (k, descriptor, from) =>
    call(k, below(k, descriptor), 'import', from),
  'int hmac_init_tfm(struct crypto_shash *parent)': function* (k, parent) {
    const inner = k.read('crypto_tfm.__crt_alg', hashTransform(k, parent));
    const hash = yield* spawnTransform(k, inner + k.offset('crypto_instance.__ctx'));
    if (isError(hash)) return hash;
    k.memory.setPtr(contextOf(k, parent).hash, hash);
    // A transform of the hash may want more room than its algorithm says.
    if (k.types.has('crypto_shash.descsize'))
      k.write('crypto_shash.descsize', parent, k.sizeof('shash_desc') + descriptorBytes(k, hash));
    return 0;
  },
  'void hmac_exit_tfm(struct crypto_shash *parent)': function* (k, parent) {
    const hash = k.memory.ptr(contextOf(k, parent).hash);
    yield* destroy(k, hash, hashTransform(k, hash));
  },
});
