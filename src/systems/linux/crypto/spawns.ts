/** Spawns: what an instance of a template is made of (crypto/algapi.c). Their links are the guest's. */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno, isError } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { addHead, entries, removeFromHlist, unlink } from '../lists.ts';
import { tryModuleGet } from '../refcount.ts';
import { Flag, setFlags } from './flags.ts';
import { findFor } from './lookup.ts';
import { type Algorithm, cryptoRegistry, dropAlgorithm, holdAlgorithm, putAlgorithm } from './registry.ts';
import { create, createPlain } from './transforms.ts';

/** CRYPTO_ALG_INHERITED_FLAGS: what holds for an instance when it holds for a part of it. */
export const INHERITED = Flag.ASYNC | Flag.NEED_FALLBACK | Flag.ALLOCATES_MEMORY;

const get = (k: Linux, spawn: Address, field: string): number => k.read(`crypto_spawn.${field}`, spawn);

/** crypto_grab_spawn */
export function* grabSpawn(
  k: Linux,
  spawn: Address,
  instance: Address,
  name: Address,
  type: number,
  mask: number,
): Steps<number> {
  if (instance === 0) return -Errno.EINVAL;
  if (isError(name)) return name;
  const found = yield* findFor(k, k.memory.cstring(name), get(k, spawn, 'frontend'), type, mask);
  if (typeof found === 'number') return found;
  addHead(k, spawn + k.offset('crypto_spawn.list'), found.base + k.offset('crypto_alg.cra_users'));
  k.write('crypto_spawn.alg', spawn, found.base);
  k.write('crypto_spawn.mask', spawn, mask);
  k.write('crypto_spawn.next', spawn, k.read('crypto_instance.spawns', instance));
  k.write('crypto_instance.spawns', instance, spawn);
  const flags = k.read('crypto_alg.cra_flags', found.base) & INHERITED;
  setFlags(k, 'crypto_instance.alg.cra_flags', instance, flags);
  return 0;
}

/** crypto_drop_spawn */
export function* dropSpawn(k: Linux, spawn: Address): Steps<void> {
  const base = get(k, spawn, 'alg');
  if (base === 0) return;
  if (get(k, spawn, 'dead') === 0) unlink(k, spawn + k.offset('crypto_spawn.list'));
  if (get(k, spawn, 'registered') === 0) yield* putAlgorithm(k, base);
}

/** crypto_spawn_alg: the algorithm, held; one whose module goes is not found again. */
function spawnedAlgorithm(k: Linux, spawn: Address): Algorithm | undefined {
  if (get(k, spawn, 'dead') !== 0) return undefined;
  const base = get(k, spawn, 'alg');
  const algorithm = k.state(cryptoRegistry).at(base);
  if (algorithm !== undefined && holdAlgorithm(k, algorithm)) return algorithm;
  setFlags(k, 'crypto_alg.cra_flags', base, Flag.DYING);
  return undefined;
}

/** crypto_spawn_tfm2, and crypto_spawn_tfm for kinds without a struct crypto_type. */
export function* spawnTransform(k: Linux, spawn: Address, plain?: readonly [number, number]): Steps<Address> {
  const algorithm = spawnedAlgorithm(k, spawn);
  if (algorithm === undefined) return -Errno.EAGAIN;
  const { base } = algorithm;
  let made: Address = -Errno.EINVAL;
  if (plain === undefined) made = yield* create(k, base, get(k, spawn, 'frontend'));
  else if (((k.read('crypto_alg.cra_flags', base) ^ plain[0]) & plain[1]) === 0)
    made = yield* createPlain(k, base);
  if (isError(made)) yield* putAlgorithm(k, base);
  return made;
}

/** The spawns that stand on an algorithm; one that never was registered has no list yet. */
function usersOf(k: Linux, base: Address): Address[] {
  const head = base + k.offset('crypto_alg.cra_users');
  if (k.memory.ptr(head) === 0) return [];
  const link = k.offset('crypto_spawn.list');
  return [...entries(k, head)].map((entry) => entry - link);
}

/** Does `instance` stand on `base`, directly or not? */
function standsOn(k: Linux, base: Address, instance: Address): boolean {
  return usersOf(k, base).some((spawn) => {
    const user = get(k, spawn, 'registered') === 0 ? 0 : get(k, spawn, 'inst');
    return user !== 0 && (user === instance || standsOn(k, user, instance));
  });
}

/**
 * crypto_remove_spawns and crypto_remove_final: takes down what was made of an algorithm, but for what `exempt` itself
 * stands on. Instances in use live on, off the list, until their last user goes.
 */
export function* removeSpawns(k: Linux, base: Address, exempt: Address = 0): Steps<void> {
  const type = k.read('crypto_alg.cra_flags', exempt || base);
  const gone: Address[] = [];
  const fits = (spawn: Address) =>
    ((k.read('crypto_alg.cra_flags', get(k, spawn, 'alg')) ^ type) & get(k, spawn, 'mask')) === 0;
  cut(k, usersOf(k, base).filter(fits), exempt, gone);
  for (const instance of gone) yield* dropAlgorithm(k, instance);
}

function cut(k: Linux, spawns: readonly Address[], exempt: Address, gone: Address[]): void {
  for (const spawn of spawns) {
    const instance = get(k, spawn, 'registered') === 0 ? 0 : get(k, spawn, 'inst');
    if (exempt !== 0 && instance !== 0 && (instance === exempt || standsOn(k, instance, exempt))) continue;
    unlink(k, spawn + k.offset('crypto_spawn.list'));
    k.write('crypto_spawn.dead', spawn, 1);
    if (instance === 0) continue;
    cut(k, usersOf(k, instance), exempt, gone);
    if (removeInstance(k, instance)) gone.push(instance);
  }
}

/** crypto_remove_instance: off the list, to be freed with its last user; its template stays as long. */
export function removeInstance(k: Linux, instance: Address): boolean {
  if ((k.read('crypto_instance.alg.cra_flags', instance) & Flag.DEAD) !== 0) return false;
  setFlags(k, 'crypto_instance.alg.cra_flags', instance, Flag.DEAD);
  const template = k.read('crypto_instance.tmpl', instance);
  if (template === 0 || !tryModuleGet(k, k.read('crypto_template.module', template))) return false;
  k.state(cryptoRegistry).unregister(instance);
  removeFromHlist(k, instance + k.offset('crypto_instance.list'));
  k.write('crypto_instance.alg.cra_destroy', instance, k.addressOf('crypto_destroy_instance'));
  return true;
}

/** crypto_alg_tested: what was made of a lesser implementation of the same algorithm is made anew when it is asked for. */
export function* replaceLesser(k: Linux, base: Address): Steps<void> {
  const registry = k.state(cryptoRegistry);
  const name = k.readString('crypto_alg.cra_name', base);
  const priority = k.read('crypto_alg.cra_priority', base);
  const lesser = registry.algorithms.filter(
    (other) =>
      other.base !== base &&
      other.name === name &&
      k.read('crypto_alg.cra_priority', other.base) <= priority &&
      (k.read('crypto_alg.cra_flags', other.base) & (Flag.DEAD | Flag.DYING)) === 0,
  );
  for (const other of lesser) yield* removeSpawns(k, other.base, base);
}
