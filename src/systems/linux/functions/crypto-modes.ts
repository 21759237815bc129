/** Modes of block ciphers that kernels have built in (crypto/cbc.c, ecb.c, ctr.c): templates as those of modules. */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { oneBlock } from '../crypto/ciphers.ts';
import { typeNumbers } from '../crypto/flags.ts';
import { registerInstance } from '../crypto/register.ts';
import { mapAndCopy } from '../crypto/scatterwalk.ts';
import { type CipherDirection, freeCipher, setCipherKey } from '../crypto/skcipher.ts';
import { dropSpawn, grabSpawn, spawnTransform } from '../crypto/spawns.ts';
import { attributeName } from '../crypto/templates.ts';
import { cryptoType, type InstanceKind } from '../crypto/types.ts';
import { Errno, isError } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { checkType, nameInstance, simpleContext, simpleInstance } from './crypto-templates.ts';
import { kernelFunctions } from './define.ts';

/** One step of a mode on bytes of ours; `block` sends 16 or 8 of them through the cipher. */
type Mode = (
  text: Uint8Array,
  vector: Uint8Array,
  block: (input: Uint8Array) => Steps<Uint8Array>,
) => Steps<Uint8Array>;

const xor = (a: Uint8Array, b: Uint8Array): Uint8Array => a.map((byte, i) => byte ^ b[i]);

function increment(counter: Uint8Array): void {
  for (let i = counter.length - 1; i >= 0; i--) {
    counter[i] = (counter[i] + 1) & 255;
    if (counter[i] !== 0) return;
  }
}

function* cbcEncrypt(text: Uint8Array, vector: Uint8Array, block: Parameters<Mode>[2]): Steps<Uint8Array> {
  const out = yield* block(xor(text, vector));
  vector.set(out);
  return out;
}

function* cbcDecrypt(text: Uint8Array, vector: Uint8Array, block: Parameters<Mode>[2]): Steps<Uint8Array> {
  const out = xor(yield* block(text), vector);
  vector.set(text);
  return out;
}

function* ctr(text: Uint8Array, vector: Uint8Array, block: Parameters<Mode>[2]): Steps<Uint8Array> {
  const stream = yield* block(vector);
  increment(vector);
  return xor(text, stream);
}

function* ecb(text: Uint8Array, _vector: Uint8Array, block: Parameters<Mode>[2]): Steps<Uint8Array> {
  return yield* block(text);
}

/** A request through a mode, block by block; -EINVAL for a rest that is no block, as the walk says. */
function* run(
  k: Linux,
  request: Address,
  mode: Mode,
  how: CipherDirection,
  cipher: Address,
  partial: boolean,
): Steps<number> {
  const of = (name: string) => k.read(`skcipher_request.${name}`, request);
  const size = k.read('crypto_alg.cra_blocksize', k.read('crypto_tfm.__crt_alg', cipher));
  const length = of('cryptlen');
  const room = k.heap.allocate(3 * size + 64);
  const [from, to] = [room, room + size];
  const block = function* (input: Uint8Array): Steps<Uint8Array> {
    k.memory.write(from, input);
    yield* oneBlock(k, cipher, to, from, how);
    return k.memory.bytes(to, size);
  };
  // A mode without a vector may be given none.
  const iv = of('iv');
  const vector = mode === ecb ? new Uint8Array(0) : k.memory.bytes(iv, size).slice();
  const whole = partial ? length : length - (length % size);
  for (let at = 0; at < whole; at += size) {
    const bytes = Math.min(size, whole - at);
    mapAndCopy(k, from, of('src'), at, bytes, false);
    const out = yield* mode(k.memory.bytes(from, bytes).slice(), vector, block);
    k.memory.write(to, out);
    mapAndCopy(k, to, of('dst'), at, bytes, true);
  }
  if (mode !== ecb && whole > 0) k.memory.write(iv, vector);
  k.heap.free(room);
  return whole === length ? 0 : -Errno.EINVAL;
}

/** Since 6.7 `cbc` and `ecb` make linear ciphers, of which `cbc(X)` stands on `ecb(X)`. */
const linear = (k: Linux): boolean => k.types.has('lskcipher_alg.co');
const kindOf = (k: Linux): InstanceKind => (linear(k) ? 'lskcipher' : 'skcipher');

interface Sizes {
  readonly iv?: number;
  readonly blocksize?: number;
  readonly chunksize?: number;
}

function* make(
  k: Linux,
  kind: InstanceKind,
  template: Address,
  instance: Address,
  name: string,
  sizes: Sizes = {},
): Steps<number> {
  if (isError(instance)) return instance;
  const outer = instance + k.offset('skcipher_instance.alg');
  const inner = instance + k.offset('skcipher_instance.s.base');
  if (sizes.iv !== undefined) k.write('skcipher_alg.ivsize', outer, sizes.iv);
  if (sizes.chunksize !== undefined) k.write('skcipher_alg.chunksize', outer, sizes.chunksize);
  if (sizes.blocksize !== undefined) k.write('crypto_alg.cra_blocksize', inner, sizes.blocksize);
  k.write('skcipher_alg.encrypt', outer, k.addressOf(`crypto_${name}_encrypt`));
  k.write('skcipher_alg.decrypt', outer, k.addressOf(`crypto_${name}_decrypt`));
  const error = yield* registerInstance(k, kind, template, instance);
  if (error !== 0) yield* k.call(k.read('skcipher_instance.free', instance), instance);
  return error;
}

/** lskcipher_alloc_instance_simple over `ecb(X)`, which is made if it is not there. */
function* linearInstance(k: Linux, template: Address, table: Address): Steps<Address> {
  const name = attributeName(k, k.memory.ptr(table + k.word));
  if (isError(name)) return name;
  const size = k.sizeof('skcipher_instance') + k.sizeof('crypto_spawn');
  const instance = k.heap.allocateZeroed(size + 4 + 160);
  const inner = instance + k.offset('skcipher_instance.s.base');
  const spawn = inner + k.offset('crypto_instance.__ctx');
  const text = instance + size + 4;
  k.memory.write(text, new TextEncoder().encode(`ecb(${k.memory.cstring(name).slice(0, 128)})\0`));
  let error = checkType(k, table, typeNumbers(k).skcipher, instance + size, 0xe);
  k.write('crypto_spawn.frontend', spawn, cryptoType(k, 'skcipher'));
  if (error === 0) error = yield* grabSpawn(k, spawn, inner, text, 0, k.memory.u32(instance + size));
  const under = k.read('crypto_spawn.alg', spawn);
  if (error === 0) error = nameInstance(k, inner, template + k.offset('crypto_template.name'), under);
  if (error !== 0) {
    yield* dropSpawn(k, spawn);
    k.heap.free(instance);
    return error;
  }
  // The instance is called after the cipher, its driver after what it stands on.
  const own = k.readString('crypto_instance.alg.cra_name', inner).replace(/^(.*)\(ecb\((.*)\)\)$/, '$1($2)');
  k.memory.write(inner + k.offset('crypto_instance.alg.cra_name'), new TextEncoder().encode(`${own}\0`));
  const outer = instance + k.offset('skcipher_instance.alg');
  const beneath = under - k.offset('skcipher_alg.base');
  for (const field of ['min_keysize', 'max_keysize'])
    k.write(`skcipher_alg.${field}`, outer, k.read(`skcipher_alg.${field}`, beneath));
  for (const field of ['cra_blocksize', 'cra_alignmask', 'cra_priority'])
    k.write(`crypto_alg.${field}`, inner, k.read(`crypto_alg.${field}`, under));
  k.write('skcipher_alg.ivsize', outer, k.read('crypto_alg.cra_blocksize', under));
  k.write('crypto_alg.cra_ctxsize', inner, k.word);
  k.write('skcipher_instance.free', instance, k.addressOf('skcipher_free_instance_simple'));
  for (const [field, method] of [
    ['setkey', 'lskcipher_setkey_simple'],
    ['init', 'lskcipher_init_tfm_simple'],
    ['exit', 'lskcipher_exit_tfm_simple'],
  ])
    k.write(`skcipher_alg.${field}`, outer, k.addressOf(method));
  return instance;
}

const tfmOf = (k: Linux, request: Address): Address =>
  k.read('skcipher_request.base.tfm', request) - k.offset('crypto_skcipher.base');

/** The single cipher below a transform of `cbc`, which may stand on one of `ecb`. */
function blockOf(k: Linux, request: Address): Address {
  const below = k.memory.ptr(simpleContext(k, tfmOf(k, request)));
  return linear(k) ? k.memory.ptr(simpleContext(k, below)) : below;
}

const plainBlock = (k: Linux, request: Address): Address => k.memory.ptr(simpleContext(k, tfmOf(k, request)));

export const modeFunctions = kernelFunctions({
  'int crypto_cbc_create(struct crypto_template *tmpl, struct rtattr **tb)': function* (k, template, table) {
    const instance = yield* linear(k)
      ? linearInstance(k, template, table)
      : simpleInstance(k, template, table);
    return yield* make(k, kindOf(k), template, instance, 'cbc');
  },
  'int crypto_cbc_encrypt(struct skcipher_request *req)': (k, request) =>
    run(k, request, cbcEncrypt, 'encrypt', blockOf(k, request), false),
  'int crypto_cbc_decrypt(struct skcipher_request *req)': (k, request) =>
    run(k, request, cbcDecrypt, 'decrypt', blockOf(k, request), false),
  'int crypto_ecb_create(struct crypto_template *tmpl, struct rtattr **tb)': function* (k, template, table) {
    const instance = yield* simpleInstance(k, template, table);
    return yield* make(k, kindOf(k), template, instance, 'ecb', { iv: 0 });
  },
  'int crypto_ecb_encrypt(struct skcipher_request *req)': (k, request) =>
    run(k, request, ecb, 'encrypt', plainBlock(k, request), false),
  'int crypto_ecb_decrypt(struct skcipher_request *req)': (k, request) =>
    run(k, request, ecb, 'decrypt', plainBlock(k, request), false),
  'int crypto_ctr_create(struct crypto_template *tmpl, struct rtattr **tb)': function* (k, template, table) {
    const instance = yield* simpleInstance(k, template, table);
    if (isError(instance)) return instance;
    const size = k.read('crypto_alg.cra_blocksize', instance + k.offset('skcipher_instance.s.base'));
    return yield* make(k, 'skcipher', template, instance, 'ctr', { blocksize: 1, chunksize: size });
  },
  'int crypto_ctr_encrypt(struct skcipher_request *req)': (k, request) =>
    run(k, request, ctr, 'encrypt', plainBlock(k, request), true),
  'int crypto_ctr_decrypt(struct skcipher_request *req)': (k, request) =>
    run(k, request, ctr, 'encrypt', plainBlock(k, request), true),
  'int lskcipher_setkey_simple(struct crypto_skcipher *tfm, const u8 *key, unsigned int keylen)': (
    k,
    cipher,
    key,
    length,
  ) => setCipherKey(k, k.memory.ptr(simpleContext(k, cipher)), key, length),
  'int lskcipher_init_tfm_simple(struct crypto_skcipher *tfm)': function* (k, cipher) {
    const inner = k.read('crypto_skcipher.base.__crt_alg', cipher);
    const below = yield* spawnTransform(k, inner + k.offset('crypto_instance.__ctx'));
    if (isError(below)) return below;
    k.memory.setPtr(simpleContext(k, cipher), below);
    return 0;
  },
  'void lskcipher_exit_tfm_simple(struct crypto_skcipher *tfm)': (k, cipher) =>
    freeCipher(k, k.memory.ptr(simpleContext(k, cipher))),
});
