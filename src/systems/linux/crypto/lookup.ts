/** Finding an algorithm by name (crypto/api.c): what is there, what a module brings, what a template makes. */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno, isError } from '../errno.ts';
import { moduleRequest } from '../functions/request-module.ts';
import { sleepIn, TASK } from '../functions/sched.ts';
import type { Linux } from '../linux.ts';
import { cryptoAlgorithms } from './algorithms.ts';
import { Flag } from './flags.ts';
import { type Algorithm, holdAlgorithm, putAlgorithm } from './registry.ts';
import { instantiate } from './templates.ts';
import { create } from './transforms.ts';
import { cryptoType, type TypedKind } from './types.ts';

/** How often an algorithm that went away while it was made ready is looked for again. */
const TRIES = 16;

/** crypto_alg_mod_lookup: the algorithm, which is held then, or a negative errno. */
export function* findAlgorithm(
  k: Linux,
  name: string,
  type: number,
  mask: number,
): Steps<Algorithm | number> {
  const registry = cryptoAlgorithms(k);
  // Algorithms that only others' code may use are found by those who say so.
  const hidden = ((type | mask) & Flag.INTERNAL) === 0 ? mask | Flag.INTERNAL : mask;
  const look = function* (): Steps<Algorithm | number | undefined> {
    const found = yield* ready(k, name, type, hidden);
    if (found !== undefined) return holdAlgorithm(k, found) ? found : undefined;
    // crypto_alg_lookup: there is one of that name, and it has not passed its test. Tests look for those.
    const failed = ((type | hidden) & Flag.TESTED) === 0 && registry.untested(k, name, type, hidden);
    return failed ? -Errno.ELIBBAD : undefined;
  };
  const known = yield* look();
  if (known !== undefined) return known;
  if ((hidden & Flag.NOLOAD) === 0) {
    const { load } = k.state(moduleRequest);
    yield* load(k, `crypto-${name}`, true);
    if (((type ^ Flag.NEED_FALLBACK) & hidden & Flag.NEED_FALLBACK) === 0)
      yield* load(k, `crypto-${name}-all`, true);
  }
  const loaded = yield* look();
  if (loaded !== undefined) return loaded;
  yield* instantiate(k, name, type, hidden);
  return (yield* look()) ?? -Errno.ENOENT;
}

/** crypto_larval_wait: where a better one is just being tested, what is there when that is over. */
function* ready(k: Linux, name: string, type: number, mask: number): Steps<Algorithm | undefined> {
  const registry = cryptoAlgorithms(k);
  for (;;) {
    const found = registry.find(k, name, type, mask);
    if (((type | mask) & Flag.TESTED) !== 0) return found;
    const other = registry.untested(k, name, type, mask);
    const waiting = other && registry.tests.get(other.base);
    if (other === undefined || waiting === undefined) return found;
    const priority = (one: Algorithm) => k.read('crypto_alg.cra_priority', one.base);
    if (found !== undefined && (found.driver === name || priority(found) >= priority(other))) return found;
    waiting.push(k.current);
    yield* sleepIn(k, TASK.UNINTERRUPTIBLE, Number.POSITIVE_INFINITY, `the test of ${other.driver}`);
  }
}

/** crypto_find_alg: `frontend` (struct crypto_type) 0 leaves type and mask as they are. */
export function findFor(
  k: Linux,
  name: string,
  frontend: Address,
  type: number,
  mask: number,
): Steps<Algorithm | number> {
  if (frontend === 0) return findAlgorithm(k, name, type, mask);
  const own = (field: string) => k.read(`crypto_type.${field}`, frontend);
  const clear = own('maskclear');
  return findAlgorithm(k, name, (type & clear) | own('type'), (mask & clear) | own('maskset'));
}

/** crypto_alloc_tfm: the transform's structure or an error pointer. */
export function* allocate(k: Linux, name: string, kind: TypedKind, type = 0, mask = 0): Steps<Address> {
  const frontend = cryptoType(k, kind);
  let made: Address = -Errno.EAGAIN;
  for (let tries = 0; made === -Errno.EAGAIN && tries < TRIES; tries++) {
    const found = yield* findFor(k, name, frontend, type, mask);
    if (typeof found === 'number') return found;
    made = yield* create(k, found.base, frontend);
    if (isError(made)) yield* putAlgorithm(k, found.base);
  }
  return made;
}

/** crypto_type_has_alg */
export function* hasAlgorithm(
  k: Linux,
  name: string,
  kind: TypedKind,
  type: number,
  mask: number,
): Steps<number> {
  const found = yield* findFor(k, name, cryptoType(k, kind), type, mask);
  if (typeof found === 'number') return 0;
  yield* putAlgorithm(k, found.base);
  return 1;
}
