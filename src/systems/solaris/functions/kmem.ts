/** Memory: kmem_alloc(9F), kmem_cache_create(9F), and what is built on them. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { StandingThing } from '../../../kernel/standing.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { panic } from '../faults.ts';
import type { Solaris } from '../solaris.ts';
import { kernelFunctions } from './define.ts';

const KM_NOSLEEP = 1;

/** KM_SLEEP waits for memory; there is nobody here who would give some back, so the machine ends. */
function allocate(k: Solaris, bytes: number, flags: number): Address {
  if (bytes === 0) return 0;
  const at = bytes > 0 ? k.heap.allocate(bytes, k.convention.returnAddress(k.cpu)) : 0;
  if (at === 0 && (flags & KM_NOSLEEP) === 0)
    throw panic(k, `kmem_alloc(${bytes}, KM_SLEEP) can never be satisfied: the kernel heap is exhausted`);
  return at;
}

interface Cache {
  readonly name: string;
  readonly bytes: number;
  readonly align: number;
  readonly constructorAt: Address;
  readonly destructorAt: Address;
  readonly private: Address;
  used: number;
}

/** Caches by handle; the handle points to a block of their own in the heap. */
const caches = perKernel(() => new Map<Address, Cache>());

function cacheOf(k: Solaris, handle: Address): Cache {
  const cache = k.state(caches).get(handle);
  if (cache === undefined) throw panic(k, 'kmem_cache_alloc: not a cache');
  return cache;
}

function* allocateFrom(k: Solaris, handle: Address, flags: number, caller: Address): Steps<Address> {
  const cache = cacheOf(k, handle);
  const at = k.heap.allocate(cache.bytes, caller, cache.align);
  if (at === 0) {
    if ((flags & KM_NOSLEEP) !== 0) return 0;
    throw panic(k, 'kmem_cache_alloc: the kernel heap is exhausted');
  }
  cache.used++;
  if (cache.constructorAt === 0) return at;
  const status = yield* k.callInt(cache.constructorAt, at, cache.private, flags);
  if (status === 0) return at;
  k.heap.free(at, cache.bytes);
  cache.used--;
  return 0;
}

function* freeTo(k: Solaris, handle: Address, at: Address): Steps<void> {
  const cache = cacheOf(k, handle);
  if (cache.destructorAt !== 0) yield* k.call(cache.destructorAt, at, cache.private);
  k.heap.free(at, cache.bytes);
  cache.used--;
}

/** Caches that nobody destroyed. */
export function* cachesNow(k: Solaris): Generator<StandingThing> {
  for (const [key, { name }] of k.state(caches)) yield { what: 'kmem cache', key, name };
}

export const memory = kernelFunctions({
  'void *kmem_alloc(size_t size, int flags)': allocate,
  'void *kmem_zalloc(size_t size, int flags)': allocate,
  'void kmem_free(void *at, size_t size)': (k, at, size) => {
    if (at !== 0 || size !== 0) k.heap.free(at, size);
  },
  'kmem_cache_t *kmem_cache_create(char *name, size_t size, size_t align, int (*constructor)(void *, void *, int), void (*destructor)(void *, void *), void (*reclaim)(void *), void *priv, void *vmp, int flags)':
    (k, name, size, align, constructorAt, destructorAt, _reclaim, priv) => {
      const handle = k.heap.take(64);
      const called = k.memory.cstring(name, 64);
      const cache = {
        name: called,
        bytes: size,
        align: align || 8,
        constructorAt,
        destructorAt,
        private: priv,
        used: 0,
      };
      k.state(caches).set(handle, cache);
      return handle;
    },
  'void *kmem_cache_alloc(kmem_cache_t *cache, int flags)': (k, cache, flags) =>
    allocateFrom(k, cache, flags, k.convention.returnAddress(k.cpu)),
  'void kmem_cache_free(kmem_cache_t *cache, void *at)': (k, cache, at) => freeTo(k, cache, at),
  'void kmem_cache_destroy(kmem_cache_t *cache)': (k, cache) => {
    const { used } = cacheOf(k, cache);
    if (used > 0) throw panic(k, `kmem_cache_destroy: cache is not empty (${used} objects)`);
    k.state(caches).delete(cache);
    k.heap.free(cache);
  },
  'char *strdup(const char *text)': (k, text) => {
    const bytes = new TextEncoder().encode(`${k.memory.cstring(text)}\0`);
    const at = allocate(k, bytes.length, 0);
    k.memory.write(at, bytes);
    return at;
  },
  'void strfree(char *text)': (k, text) => k.heap.free(text),
});
