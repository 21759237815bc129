/** Registering and taking back of algorithms and of templates' instances (crypto/algapi.c). */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno, isError } from '../errno.ts';
import { kernelWarning } from '../functions/caller.ts';
import type { Linux } from '../linux.ts';
import { addToHlist, initList } from '../lists.ts';
import { modulePut } from '../refcount.ts';
import { cryptoAlgorithms } from './algorithms.ts';
import { Flag, setFlags } from './flags.ts';
import { type AlgorithmKind, putAlgorithm } from './registry.ts';
import { selfTest } from './selftest.ts';
import { removeSpawns } from './spawns.ts';
import { removeTemplate } from './templates.ts';
import { baseOf, type InstanceKind, structKind } from './types.ts';

/** crypto_register_alg: 0 or a negative errno. */
export function* registerAlgorithm(k: Linux, kind: AlgorithmKind, outer: Address): Steps<number> {
  const base = baseOf(k, kind, outer);
  setFlags(k, 'crypto_alg.cra_flags', base, 0, Flag.DEAD);
  return yield* list(k, kind, base, outer);
}

function* list(k: Linux, kind: AlgorithmKind, base: Address, outer: Address): Steps<number> {
  const error = cryptoAlgorithms(k).register(k, kind, base, outer);
  if (error !== 0) return error;
  initList(k, base + k.offset('crypto_alg.cra_users'));
  return yield* selfTest(k, base);
}

/** crypto_unregister_alg */
export function* unregisterAlgorithm(k: Linux, base: Address): Steps<void> {
  if (!cryptoAlgorithms(k).unregister(base)) {
    const driver = k.readString('crypto_alg.cra_driver_name', base);
    kernelWarning(k, 'crypto/algapi.c', `Algorithm ${driver} is not registered`);
    return;
  }
  setFlags(k, 'crypto_alg.cra_flags', base, Flag.DEAD);
  yield* removeSpawns(k, base);
  if (k.read('crypto_alg.cra_refcnt.refs.counter', base) !== 1) {
    kernelWarning(k, 'crypto/algapi.c');
    return;
  }
  const destroy = k.read('crypto_alg.cra_destroy', base);
  if (destroy !== 0) yield* k.call(destroy, base);
}

/** crypto_register_algs and its like: all or none. */
export function* registerAll(
  k: Linux,
  kind: AlgorithmKind,
  first: Address,
  count: number,
  size: number,
): Steps<number> {
  for (let i = 0; i < count; i++) {
    const error = yield* registerAlgorithm(k, kind, first + i * size);
    if (error === 0) continue;
    yield* unregisterAll(k, kind, first, i, size);
    return error;
  }
  return 0;
}

export function* unregisterAll(
  k: Linux,
  kind: AlgorithmKind,
  first: Address,
  count: number,
  size: number,
): Steps<void> {
  for (let i = count - 1; i >= 0; i--) yield* unregisterAlgorithm(k, baseOf(k, kind, first + i * size));
}

/** KIND_register_instance: `instance` is the structure around the kind's algorithm. */
export function* registerInstance(
  k: Linux,
  kind: InstanceKind,
  template: Address,
  instance: Address,
): Steps<number> {
  const struct = `${structKind(kind)}_instance`;
  if (k.read(`${struct}.free`, instance) === 0) {
    kernelWarning(k, `crypto/${kind}.c`);
    return -Errno.EINVAL;
  }
  const outer = instance + k.offset(`${struct}.alg`);
  const inner = instance + k.offset(`${struct}.s.base`);
  k.write('crypto_alg.cra_module', inner, k.read('crypto_template.module', template));
  let flags: number = Flag.INSTANCE;
  for (let spawn = k.read('crypto_instance.spawns', inner); spawn !== 0; ) {
    if (k.read('crypto_spawn.dead', spawn) !== 0) return -Errno.EAGAIN;
    const next = k.read('crypto_spawn.next', spawn);
    const base = k.read('crypto_spawn.alg', spawn);
    k.write('crypto_spawn.inst', spawn, inner);
    k.write('crypto_spawn.registered', spawn, 1);
    flags |= k.read('crypto_alg.cra_flags', base) & Flag.FIPS_INTERNAL;
    yield* putAlgorithm(k, base);
    spawn = next;
  }
  setFlags(k, 'crypto_alg.cra_flags', inner, flags);
  k.write('crypto_instance.spawns', inner, 0);
  const error = yield* list(k, kind, inner, outer);
  if (error !== 0) return error;
  addToHlist(k, inner + k.offset('crypto_instance.list'), template + k.offset('crypto_template.instances'));
  k.write('crypto_instance.tmpl', inner, template);
  return 0;
}

/** crypto_unregister_template: its instances have no users any more, or its module would be held. */
export function* unregisterTemplate(k: Linux, template: Address): Steps<void> {
  if (!removeTemplate(k, template)) return;
  const head = template + k.offset('crypto_template.instances');
  for (let node = k.memory.ptr(head); node !== 0; node = k.memory.ptr(head)) {
    const instance = node - k.offset('crypto_instance.list');
    cryptoAlgorithms(k).unregister(instance);
    setFlags(k, 'crypto_instance.alg.cra_flags', instance, Flag.DEAD);
    yield* removeSpawns(k, instance);
    k.memory.setPtr(head, k.memory.ptr(node));
    yield* freeInstance(k, instance);
  }
}

/** crypto_free_instance: by the kind's own function. */
function* freeInstance(k: Linux, instance: Address): Steps<void> {
  const type = k.read('crypto_alg.cra_type', instance);
  yield* k.call(k.read('crypto_type.free', type), instance);
}

/** crypto_destroy_instance: the last user of an instance that is off the list has gone. */
export function* destroyInstance(k: Linux, instance: Address): Steps<void> {
  const template = k.read('crypto_instance.tmpl', instance);
  yield* freeInstance(k, instance);
  if (!isError(template) && template !== 0) modulePut(k, k.read('crypto_template.module', template));
}

/** crypto_KIND_free_instance */
export function* freeThrough(k: Linux, kind: InstanceKind, inner: Address): Steps<void> {
  const instance = inner - k.offset(`${kind}_instance.s.base`);
  yield* k.call(k.read(`${kind}_instance.free`, instance), instance);
}
