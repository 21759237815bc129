/** What templates of modules call while they make an algorithm, and queues of requests (crypto/algapi.c). */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { setBlockKey } from '../crypto/ciphers.ts';
import { Request, setFlags, TYPE_MASK, typeNumbers } from '../crypto/flags.ts';
import { cipherAlgorithm } from '../crypto/skcipher.ts';
import { dropSpawn, grabSpawn, INHERITED, spawnTransform } from '../crypto/spawns.ts';
import { attributeName, attributeType } from '../crypto/templates.ts';
import { destroy } from '../crypto/transforms.ts';
import { cryptoType, type TypedKind } from '../crypto/types.ts';
import { Errno, isError } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { addHead, addTail, initList, unlink } from '../lists.ts';
import { kernelFunctions } from './define.ts';

/** CRYPTO_MAX_ALG_NAME. */
const NAME_BYTES = 128;

/** crypto_check_attr_type: may the template make this type? What callers want to be without goes to `maskAt`. */
export function checkType(
  k: Linux,
  table: Address,
  type: number,
  maskAt: Address,
  typeMask = TYPE_MASK,
): number {
  const wanted = attributeType(k, table);
  if (isError(wanted)) return wanted;
  const asked = k.read('crypto_attr_type.type', wanted);
  const mask = k.read('crypto_attr_type.mask', wanted);
  if (((asked ^ type) & mask & (typeMask | ~TYPE_MASK)) !== 0) return -Errno.EINVAL;
  k.memory.set32(maskAt, (asked ^ INHERITED) & mask & INHERITED);
  return 0;
}

/** crypto_inst_setname: `name(inner)` for both names of an instance; drivers have had a name of their own since 6.14. */
export function nameInstance(
  k: Linux,
  instance: Address,
  name: Address,
  inner: Address,
  driver = name,
): number {
  for (const [field, outer] of [
    ['cra_name', name],
    ['cra_driver_name', driver],
  ] as const) {
    const text = `${k.memory.cstring(outer)}(${k.readString(`crypto_alg.${field}`, inner)})`;
    if (text.length >= NAME_BYTES) return -Errno.ENAMETOOLONG;
    const at = instance + k.offset(`crypto_instance.alg.${field}`);
    k.memory.write(at, new TextEncoder().encode(`${text}\0`));
  }
  return 0;
}

const grab =
  (kind: TypedKind) =>
  (k: Linux, spawn: Address, instance: Address, name: Address, type: number, mask: number): Steps<number> => {
    k.write('crypto_spawn.frontend', spawn, cryptoType(k, kind));
    return grabSpawn(k, spawn, instance, name, type, mask);
  };

/** skcipher_alloc_instance_simple: an instance over one cipher, which sets the sizes. */
export function* simpleInstance(k: Linux, template: Address, table: Address): Steps<Address> {
  const size = k.sizeof('skcipher_instance') + k.sizeof('crypto_spawn');
  const instance = k.heap.allocateZeroed(size + 4);
  const inner = instance + k.offset('skcipher_instance.s.base');
  const spawn = inner + k.offset('crypto_instance.__ctx');
  const maskAt = instance + size;
  const fail = function* (error: number): Steps<number> {
    yield* dropSpawn(k, spawn);
    k.heap.free(instance);
    return error;
  };
  const unfit = checkType(k, table, typeNumbers(k).skcipher, maskAt);
  if (unfit !== 0) return yield* fail(unfit);
  const name = attributeName(k, k.memory.ptr(table + k.word));
  const mask = k.memory.u32(maskAt) | TYPE_MASK;
  const missing = yield* grabSpawn(k, spawn, inner, name, typeNumbers(k).cipher, mask);
  if (missing !== 0) return yield* fail(missing);
  const cipher = k.read('crypto_spawn.alg', spawn);
  const long = nameInstance(k, inner, template + k.offset('crypto_template.name'), cipher);
  if (long !== 0) return yield* fail(long);
  fillSimple(k, instance, inner, cipher);
  return instance;
}

function fillSimple(k: Linux, instance: Address, inner: Address, cipher: Address): void {
  const of = (field: string) => k.read(`crypto_alg.${field}`, cipher);
  const methods = cipher + k.offset('crypto_alg.cra_u');
  for (const field of ['cra_blocksize', 'cra_alignmask', 'cra_priority'])
    k.write(`crypto_alg.${field}`, inner, of(field));
  k.write('crypto_alg.cra_ctxsize', inner, k.word);
  k.write('skcipher_instance.free', instance, k.addressOf('skcipher_free_instance_simple'));
  const outer = instance + k.offset('skcipher_instance.alg');
  k.write('skcipher_alg.min_keysize', outer, k.read('cipher_alg.cia_min_keysize', methods));
  k.write('skcipher_alg.max_keysize', outer, k.read('cipher_alg.cia_max_keysize', methods));
  k.write('skcipher_alg.ivsize', outer, of('cra_blocksize'));
  for (const [field, method] of [
    ['setkey', 'skcipher_setkey_simple'],
    ['init', 'skcipher_init_tfm_simple'],
    ['exit', 'skcipher_exit_tfm_simple'],
  ])
    k.write(`skcipher_alg.${field}`, outer, k.addressOf(method));
}

/** Where a simple instance's transform keeps its cipher: the first word of its context. */
export const simpleContext = (k: Linux, cipher: Address): Address =>
  cipher + k.offset('crypto_skcipher.base.__crt_ctx');

function enqueue(k: Linux, queue: Address, request: Address): number {
  const get = (field: string) => k.read(`crypto_queue.${field}`, queue);
  const head = queue + k.offset('crypto_queue.list');
  const link = request + k.offset('crypto_async_request.list');
  let result = -Errno.EINPROGRESS;
  if (get('qlen') >= get('max_qlen')) {
    if ((k.read('crypto_async_request.flags', request) & Request.MAY_BACKLOG) === 0) return -Errno.ENOSPC;
    result = -Errno.EBUSY;
    if (get('backlog') === head) k.write('crypto_queue.backlog', queue, link);
  }
  k.write('crypto_queue.qlen', queue, get('qlen') + 1);
  addTail(k, link, head);
  return result;
}

export const templateFunctions = kernelFunctions({
  'struct crypto_attr_type *crypto_get_attr_type(struct rtattr **tb)': attributeType,
  'int crypto_check_attr_type(struct rtattr **tb, u32 type, u32 *mask_ret)': (k, table, type, maskAt) =>
    checkType(k, table, type, maskAt),
  'const char *crypto_attr_alg_name(struct rtattr *rta)': attributeName,
  'int crypto_inst_setname(struct crypto_instance *inst, const char *name, struct crypto_alg *alg)':
    nameInstance,
  'int __crypto_inst_setname(struct crypto_instance *inst, const char *name, const char *driver, struct crypto_alg *alg)':
    (k, instance, name, driver, inner) => nameInstance(k, instance, name, inner, driver),
  'int crypto_grab_spawn(struct crypto_spawn *spawn, struct crypto_instance *inst, const char *name, u32 type, u32 mask)':
    grabSpawn,
  'int crypto_grab_skcipher(struct crypto_skcipher_spawn *spawn, struct crypto_instance *inst, const char *name, u32 type, u32 mask)':
    grab('skcipher'),
  'int crypto_grab_aead(struct crypto_aead_spawn *spawn, struct crypto_instance *inst, const char *name, u32 type, u32 mask)':
    grab('aead'),
  'int crypto_grab_shash(struct crypto_shash_spawn *spawn, struct crypto_instance *inst, const char *name, u32 type, u32 mask)':
    grab('shash'),
  'int crypto_grab_ahash(struct crypto_ahash_spawn *spawn, struct crypto_instance *inst, const char *name, u32 type, u32 mask)':
    grab('ahash'),
  'void crypto_drop_spawn(struct crypto_spawn *spawn)': dropSpawn,
  'void *crypto_spawn_tfm2(struct crypto_spawn *spawn)': (k, spawn) => spawnTransform(k, spawn),
  'struct crypto_tfm *crypto_spawn_tfm(struct crypto_spawn *spawn, u32 type, u32 mask)': (
    k,
    spawn,
    type,
    mask,
  ) => spawnTransform(k, spawn, [type, mask]),
  'struct skcipher_instance *skcipher_alloc_instance_simple(struct crypto_template *tmpl, struct rtattr **tb)':
    simpleInstance,
  'void skcipher_free_instance_simple(struct skcipher_instance *inst)': function* (k, instance) {
    const inner = instance + k.offset('skcipher_instance.s.base');
    yield* dropSpawn(k, inner + k.offset('crypto_instance.__ctx'));
    k.heap.free(instance);
  },
  'int skcipher_setkey_simple(struct crypto_skcipher *tfm, const u8 *key, unsigned int keylen)': (
    k,
    cipher,
    key,
    length,
  ) => {
    const block = k.memory.ptr(simpleContext(k, cipher));
    const flags = k.read('crypto_skcipher.base.crt_flags', cipher) & Request.MASK;
    setFlags(k, 'crypto_tfm.crt_flags', block, flags, Request.MASK);
    return setBlockKey(k, block, key, length);
  },
  'int skcipher_init_tfm_simple(struct crypto_skcipher *tfm)': function* (k, cipher) {
    const inner = cipherAlgorithm(k, cipher) + k.offset('skcipher_alg.base');
    const { cipher: type } = typeNumbers(k);
    const block = yield* spawnTransform(k, inner + k.offset('crypto_instance.__ctx'), [type, TYPE_MASK]);
    if (isError(block)) return block;
    k.memory.setPtr(simpleContext(k, cipher), block);
    return 0;
  },
  'void skcipher_exit_tfm_simple(struct crypto_skcipher *tfm)': function* (k, cipher) {
    const block = k.memory.ptr(simpleContext(k, cipher));
    yield* destroy(k, block, block);
  },
  'void shash_free_singlespawn_instance(struct shash_instance *inst)': function* (k, instance) {
    const inner = instance + k.offset('shash_instance.s.base');
    yield* dropSpawn(k, inner + k.offset('crypto_instance.__ctx'));
    k.heap.free(instance);
  },
  'void crypto_inc(u8 *a, unsigned int size)': (k, at, size) => {
    for (let i = size - 1; i >= 0; i--) {
      const byte = (k.memory.u8(at + i) + 1) & 255;
      k.memory.set8(at + i, byte);
      if (byte !== 0) return;
    }
  },
  'void crypto_init_queue(struct crypto_queue *queue, unsigned int max_qlen)': (k, queue, most) => {
    const head = queue + k.offset('crypto_queue.list');
    initList(k, head);
    k.write('crypto_queue.backlog', queue, head);
    k.write('crypto_queue.qlen', queue, 0);
    k.write('crypto_queue.max_qlen', queue, most);
  },
  'int crypto_enqueue_request(struct crypto_queue *queue, struct crypto_async_request *request)': enqueue,
  'void crypto_enqueue_request_head(struct crypto_queue *queue, struct crypto_async_request *request)': (
    k,
    queue,
    request,
  ) => {
    const length = k.read('crypto_queue.qlen', queue);
    if (length >= k.read('crypto_queue.max_qlen', queue))
      k.write('crypto_queue.backlog', queue, k.memory.ptr(k.read('crypto_queue.backlog', queue) + k.word));
    k.write('crypto_queue.qlen', queue, length + 1);
    addHead(k, request + k.offset('crypto_async_request.list'), queue + k.offset('crypto_queue.list'));
  },
  'struct crypto_async_request *crypto_dequeue_request(struct crypto_queue *queue)': (k, queue) => {
    const length = k.read('crypto_queue.qlen', queue);
    if (length === 0) return 0;
    const head = queue + k.offset('crypto_queue.list');
    const backlog = k.read('crypto_queue.backlog', queue);
    k.write('crypto_queue.qlen', queue, length - 1);
    if (backlog !== head) k.write('crypto_queue.backlog', queue, k.memory.ptr(backlog));
    const link = k.memory.ptr(head);
    unlink(k, link);
    return link - k.offset('crypto_async_request.list');
  },
});
