/** mod_hash (sys/modhash.h): tables by string, number or address, or by what the module compares with. Handles are opaque. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { StandingThing } from '../../../kernel/standing.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { panic } from '../faults.ts';
import type { Solaris } from '../solaris.ts';
import { kernelFunctions } from './define.ts';

const MH_ERR_DUPLICATE = -2;
const MH_ERR_NOTFOUND = -3;
const MH_WALK_TERMINATE = 1;

type Kind = 'string' | 'id' | 'pointer' | 'extended';

interface Entry {
  readonly key: Address;
  value: Address;
}

interface Hash {
  readonly name: string;
  readonly kind: Kind;
  /** Of an extended table: what compares two keys, and what is called with a key that goes. */
  readonly compare: Address;
  readonly keyDestructor: Address;
  readonly valueDestructor: Address;
  readonly entries: Entry[];
}

const hashes = perKernel(() => new Map<Address, Hash>());

/** Tables that nobody destroyed. */
export function* hashesNow(k: Solaris): Generator<StandingThing> {
  for (const [key, { name }] of k.state(hashes)) yield { what: 'mod_hash', key, name };
}

function create(
  k: Solaris,
  name: Address,
  kind: Kind,
  functions: { compare?: Address; key?: Address; value: Address },
): Address {
  const handle = k.heap.take(64);
  k.state(hashes).set(handle, {
    name: k.memory.cstring(name, 64),
    kind,
    compare: functions.compare ?? 0,
    keyDestructor: functions.key ?? 0,
    valueDestructor: functions.value,
    entries: [],
  });
  return handle;
}

function hashAt(k: Solaris, handle: Address): Hash {
  const hash = k.state(hashes).get(handle);
  if (hash === undefined) throw panic(k, 'mod_hash: not a hash table');
  return hash;
}

function* find(k: Solaris, { kind, compare, entries }: Hash, key: Address): Steps<Entry | undefined> {
  if (kind === 'pointer') return entries.find((one) => one.key === key);
  if (kind === 'id') return entries.find((one) => one.key >>> 0 === key >>> 0);
  if (kind === 'string') {
    const text = k.memory.cstring(key);
    return entries.find((one) => k.memory.cstring(one.key) === text);
  }
  for (const one of entries) if ((yield* k.callInt(compare, one.key, key)) === 0) return one;
  return undefined;
}

function* insert(k: Solaris, handle: Address, key: Address, value: Address): Steps<number> {
  const hash = hashAt(k, handle);
  if ((yield* find(k, hash, key)) !== undefined) return MH_ERR_DUPLICATE;
  hash.entries.push({ key, value });
  return 0;
}

/** The keys of a table of strings are memory that it takes over. */
function* dropKey(k: Solaris, hash: Hash, { key }: Entry): Steps<void> {
  if (hash.kind === 'string') k.heap.free(key);
  else if (hash.keyDestructor !== 0) yield* k.call(hash.keyDestructor, key);
}

function* take(k: Solaris, handle: Address, key: Address): Steps<{ hash: Hash; entry: Entry } | undefined> {
  const hash = hashAt(k, handle);
  const entry = yield* find(k, hash, key);
  if (entry === undefined) return undefined;
  hash.entries.splice(hash.entries.indexOf(entry), 1);
  yield* dropKey(k, hash, entry);
  return { hash, entry };
}

function* dropValue(k: Solaris, { valueDestructor }: Hash, { value }: Entry): Steps<void> {
  if (valueDestructor !== 0) yield* k.call(valueDestructor, value);
}

function* replace(k: Solaris, handle: Address, key: Address, value: Address): Steps<number> {
  const old = yield* take(k, handle, key);
  if (old !== undefined) yield* dropValue(k, old.hash, old.entry);
  return yield* insert(k, handle, key, value);
}

function* clear(k: Solaris, handle: Address): Steps<void> {
  const hash = hashAt(k, handle);
  for (const entry of hash.entries.splice(0)) {
    yield* dropKey(k, hash, entry);
    yield* dropValue(k, hash, entry);
  }
}

function* destroyHash(k: Solaris, handle: Address): Steps<void> {
  yield* clear(k, handle);
  k.state(hashes).delete(handle);
  k.heap.free(handle);
}

function* found(
  k: Solaris,
  handle: Address,
  key: Address,
  out: Address,
  each: (entry: Entry) => Steps<number>,
): Steps<number> {
  const entry = yield* find(k, hashAt(k, handle), key);
  if (entry === undefined) return MH_ERR_NOTFOUND;
  if (out !== 0) k.memory.setPtr(out, entry.value);
  return yield* each(entry);
}

function* nothing(): Steps<number> {
  return 0;
}

/** A place that is taken in advance: memory is never short here, so it is a mark. */
const RESERVED = 1;

function reserve(k: Solaris, _handle: Address, out: Address): number {
  k.memory.setPtr(out, RESERVED);
  return 0;
}

export const hashTables = kernelFunctions({
  'void mod_hash_null_keydtor(void *key)': () => undefined,
  'void mod_hash_null_valdtor(void *value)': () => undefined,
  'void mod_hash_strval_dtor(void *value)': (k, value) => k.heap.free(value),
  'void mod_hash_strkey_dtor(void *key)': (k, key) => k.heap.free(key),
  // Chains are found in another way here: any number will do.
  'uint_t mod_hash_bystr(void *data, void *key)': () => 0,
  'uint_t mod_hash_byptr(void *data, void *key)': () => 0,
  'uint_t mod_hash_byid(void *data, void *key)': () => 0,
  'uint_t mod_hash_iddata_gen(size_t chains)': () => 1,
  'int mod_hash_strkey_cmp(void *a, void *b)': (k, a, b) => {
    const [first, second] = [k.memory.cstring(a), k.memory.cstring(b)];
    return first === second ? 0 : first < second ? -1 : 1;
  },
  'int mod_hash_ptrkey_cmp(void *a, void *b)': (_k, a, b) => (a === b ? 0 : a > b ? -1 : 1),
  'int mod_hash_idkey_cmp(void *a, void *b)': (_k, a, b) => (a - b) | 0,
  'void *mod_hash_create_strhash(char *name, size_t chains, void *valdtor)': (k, name, _chains, value) =>
    create(k, name, 'string', { value }),
  'void *mod_hash_create_idhash(char *name, size_t chains, void *valdtor)': (k, name, _chains, value) =>
    create(k, name, 'id', { value }),
  'void *mod_hash_create_ptrhash(char *name, size_t chains, void *valdtor, size_t size)': (
    k,
    name,
    _chains,
    value,
  ) => create(k, name, 'pointer', { value }),
  'void *mod_hash_create_extended(char *name, size_t chains, void *keydtor, void *valdtor, void *algorithm, void *data, void *compare, int sleep)':
    (k, name, _chains, key, value, _algorithm, _data, compare) =>
      create(k, name, 'extended', { key, value, compare }),
  'void mod_hash_destroy_hash(void *hash)': destroyHash,
  'void mod_hash_destroy_strhash(void *hash)': destroyHash,
  'void mod_hash_destroy_idhash(void *hash)': destroyHash,
  'void mod_hash_destroy_ptrhash(void *hash)': destroyHash,
  'int mod_hash_insert(void *hash, void *key, void *value)': insert,
  'int mod_hash_insert_reserve(void *hash, void *key, void *value, void *handle)': insert,
  'int mod_hash_reserve(void *hash, void **handle)': reserve,
  'int mod_hash_reserve_nosleep(void *hash, void **handle)': reserve,
  'void mod_hash_cancel(void *hash, void **handle)': (k, _hash, handle) => k.memory.setPtr(handle, 0),
  *'int mod_hash_remove(void *hash, void *key, void **value)'(k, handle, key, out) {
    const old = yield* take(k, handle, key);
    if (old === undefined) return MH_ERR_NOTFOUND;
    k.memory.setPtr(out, old.entry.value);
    return 0;
  },
  'int mod_hash_replace(void *hash, void *key, void *value)': replace,
  *'int mod_hash_destroy(void *hash, void *key)'(k, handle, key) {
    const old = yield* take(k, handle, key);
    if (old === undefined) return MH_ERR_NOTFOUND;
    yield* dropValue(k, old.hash, old.entry);
    return 0;
  },
  'int mod_hash_find(void *hash, void *key, void **value)': (k, hash, key, out) =>
    found(k, hash, key, out, nothing),
  'int mod_hash_find_cb(void *hash, void *key, void **value, void *callback)': (
    k,
    hash,
    key,
    out,
    callback,
  ) =>
    found(k, hash, key, out, function* (entry) {
      yield* k.call(callback, key, entry.value);
      return 0;
    }),
  'int mod_hash_find_cb_rval(void *hash, void *key, void **value, void *callback, int *result)': (
    k,
    hash,
    key,
    out,
    callback,
    result,
  ) =>
    found(k, hash, key, out, function* (entry) {
      k.memory.set32(result, yield* k.callInt(callback, key, entry.value));
      return 0;
    }),
  *'void mod_hash_walk(void *hash, void *callback, void *arg)'(k, handle, callback, arg) {
    for (const { key, value } of [...hashAt(k, handle).entries])
      if ((yield* k.callInt(callback, key, value, arg)) === MH_WALK_TERMINATE) return;
  },
  'void mod_hash_clear(void *hash)': clear,
});
