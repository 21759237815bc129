/**
 * Transforms: an algorithm made ready for one user (crypto/api.c). What the kinds differ in is the guest's struct
 * crypto_type, as in the kernel: its functions are those of functions/crypto-*.ts.
 */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno, isError } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { Flag, setFlags, TYPE_MASK, typeNumbers } from './flags.ts';
import { putAlgorithm } from './registry.ts';
import { baseOf, type TypedKind } from './types.ts';

/** CRYPTO_MINALIGN of x86: transforms whose context wants more get as much room as they may lose to it. */
const CONTEXT_ALIGNMENT = 8;

/** crypto_create_tfm: of an algorithm that the caller holds. */
export function* create(k: Linux, base: Address, frontend: Address): Steps<Address> {
  const before = k.read('crypto_type.tfmsize', frontend);
  const memory = allocateMemory(k, base, before, contextBytes(k, base, frontend));
  const error = yield* k.callInt(k.read('crypto_type.init_tfm', frontend), memory + before);
  return yield* initialised(k, base, memory, memory + before, error);
}

/** __crypto_alloc_tfm: a cipher's or compressor's transform, which is nothing but struct crypto_tfm. */
export function createPlain(k: Linux, base: Address): Steps<Address> {
  const transform = allocateMemory(k, base, 0, contextBytes(k, base, 0));
  return initialised(k, base, transform, transform, 0);
}

/** crypto_alg_extsize; a hash of the other form is used through a pointer to a transform of its own. */
function contextBytes(k: Linux, base: Address, frontend: Address): number {
  const { ahash } = typeNumbers(k);
  const through =
    frontend !== 0 &&
    k.read('crypto_type.type', frontend) === ahash &&
    (k.read('crypto_alg.cra_flags', base) & TYPE_MASK) !== ahash;
  if (through) return k.word;
  const mask = k.read('crypto_alg.cra_alignmask', base);
  return k.read('crypto_alg.cra_ctxsize', base) + (mask & ~(CONTEXT_ALIGNMENT - 1));
}

function allocateMemory(k: Linux, base: Address, before: number, context: number): Address {
  const memory = k.heap.allocateZeroed(before + k.sizeof('crypto_tfm') + context);
  const transform = memory + before;
  k.write('crypto_tfm.__crt_alg', transform, base);
  if (k.types.has('crypto_tfm.node')) k.write('crypto_tfm.node', transform, -1);
  if (k.types.has('crypto_tfm.refcnt')) k.write('crypto_tfm.refcnt.refs.counter', transform, 1);
  return memory;
}

/** What follows the kind's own part: cra_init, unless the kind has an exit of its own. */
function* initialised(
  k: Linux,
  base: Address,
  memory: Address,
  transform: Address,
  failed: number,
): Steps<Address> {
  let error = failed;
  if (error === 0 && k.read('crypto_tfm.exit', transform) === 0) {
    const init = k.read('crypto_alg.cra_init', base);
    if (init !== 0) error = yield* k.callInt(init, transform);
  }
  if (error === 0) return memory;
  // What it is made of is gone: nobody finds it again, and it is made anew.
  if (error === -Errno.EAGAIN) setFlags(k, 'crypto_alg.cra_flags', base, Flag.DYING);
  k.heap.free(memory);
  return error;
}

/** crypto_destroy_tfm: the last user's, the kind's exit or the algorithm's, its references, the memory at `start`. */
export function* destroy(k: Linux, start: Address, transform: Address): Steps<void> {
  if (start === 0 || isError(start)) return;
  if (k.types.has('crypto_tfm.refcnt')) {
    const users = k.read('crypto_tfm.refcnt.refs.counter', transform) - 1;
    k.write('crypto_tfm.refcnt.refs.counter', transform, users);
    if (users > 0) return;
  }
  const base = k.read('crypto_tfm.__crt_alg', transform);
  const own = k.read('crypto_tfm.exit', transform);
  const exit = own !== 0 ? own : k.read('crypto_alg.cra_exit', base);
  if (exit !== 0) yield* k.call(exit, transform);
  yield* putAlgorithm(k, base);
  k.heap.free(start);
}

/** The structure around the crypto_alg that a transform belongs to. */
export const algorithmOf = (k: Linux, transform: Address, kind: TypedKind): Address =>
  k.read('crypto_tfm.__crt_alg', transform) - baseOf(k, kind, 0);
