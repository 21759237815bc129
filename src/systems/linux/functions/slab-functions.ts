/** kmalloc and slab caches as modules call them (mm/slab_common.c, mm/slub.c, mm/util.c). */
import type { Steps } from '../../../kernel/steps.ts';
import { bytesOf } from '../../../kernel/text/sink.ts';
import type { Address } from '../../../memory/space.ts';
import { HeapMisuse, ZERO_SIZE_PTR } from '../heap.ts';
import type { DataInitialiser, Linux } from '../linux.ts';
import { SLAB, type SlabCache } from '../slab.ts';
import { badAccess, callerOf, kernelBug, kernelWarning } from './caller.ts';
import { kernelFunctions } from './define.ts';
import { byteString, format, writeText } from './format/printf.ts';
import { LARGEST_BLOCK, tooLarge } from './page-limit.ts';
import { pokePointer } from './thunks.ts';

/** kasprintf of more than this is a mistake of the format. */
const MAX_TEXT = 1 << 20;

/** kfree and kin: a broken rule ends the caller as it does on a kernel with hardened free lists. */
export function release(k: Linux, object: Address, from?: SlabCache): void {
  try {
    k.heap.free(object, from);
  } catch (error) {
    if (!(error instanceof HeapMisuse)) throw error;
    misused(k, error);
  }
}

function misused(k: Linux, error: HeapMisuse): void {
  if (error.problem === 'double-free') kernelBug(k, 'mm/slub.c:419');
  if (error.problem === 'wrong-cache') {
    kernelWarning(k, 'mm/slab.h:665', `cache_from_obj: Wrong slab cache. ${error.message}`);
    return;
  }
  if (error.problem === 'interior') kernelBug(k, 'mm/slub.c:419');
  // An address outside the direct map has no struct page: looking for one faults.
  if (k.memory.pfnOf(error.address) === undefined || k.heap.virtual.holds(error.address)) {
    badAccess(k, error.address);
  }
  kernelWarning(k, 'mm/slab_common.c:1014');
  k.printk(4, `object pointer: 0x${BigInt.asUintN(64, BigInt(error.address)).toString(16)}`);
}

function allocate(k: Linux, size: number, gfp: number): Address {
  if (size > LARGEST_BLOCK) tooLarge(k, gfp);
  return k.heap.allocate(size, gfp, callerOf(k));
}

function allocateLarge(k: Linux, size: number, gfp: number): Address {
  if (size > LARGEST_BLOCK) tooLarge(k, gfp);
  return k.heap.allocateLarge(size, callerOf(k));
}

/** Takes an object, running the constructor over new ones first. */
function* fromCache(k: Linux, at: Address): Steps<Address> {
  const cache = k.heap.cacheAt(at) ?? badAccess(k, at);
  const caller = callerOf(k);
  if (cache.constructorAt !== 0) {
    for (const object of k.heap.prepare(cache)) yield* k.call(cache.constructorAt, object);
  }
  return k.heap.allocateFrom(cache, 0, caller);
}

/** Caches without a constructor need no steps. */
function takeFrom(k: Linux, at: Address): Address | Steps<Address> {
  const cache = k.heap.cacheAt(at);
  if (cache === undefined || cache.constructorAt !== 0) return fromCache(k, at);
  return k.heap.allocateFrom(cache, 0, callerOf(k));
}

export function duplicate(k: Linux, bytes: Uint8Array, gfp: number): Address {
  const at = allocate(k, bytes.length, gfp);
  if (at !== 0) k.memory.write(at, bytes);
  return at;
}

function duplicateText(k: Linux, text: string, gfp: number): Address {
  return duplicate(k, bytesOf(`${text}\0`), gfp);
}

function resize(k: Linux, object: Address, size: number, gfp: number): Address {
  if (size === 0) {
    release(k, object);
    return ZERO_SIZE_PTR;
  }
  const old = k.heap.sizeOf(object);
  if (old >= size) return object;
  const at = allocate(k, size, gfp);
  if (at !== 0 && old > 0) {
    k.memory.copy(at, object, old);
    release(k, object);
  }
  return at;
}

function createCache(
  k: Linux,
  nameAt: Address,
  size: number,
  align: number,
  flags: number,
  userOffset: number,
  userSize: number,
  constructorAt: Address,
): Address {
  const name = byteString(k, nameAt, 256);
  const cache = k.heap.createCache(
    { name, size, align, flags, constructorAt, userOffset, userSize },
    callerOf(k),
  );
  if (cache !== undefined) return cache.address;
  if ((flags & SLAB.PANIC) !== 0) kernelBug(k, `mm/slab_common.c: Failed to create slab '${name}'`);
  return 0;
}

function destroyCache(k: Linux, at: Address): void {
  if (at === 0) return;
  const cache = k.heap.cacheAt(at) ?? badAccess(k, at);
  const left = k.heap.destroyCache(cache);
  if (left.length === 0) return;
  k.printk(3, '='.repeat(77));
  k.printk(
    3,
    `BUG ${cache.name} (${k.taint === 0 ? 'Not tainted' : 'Tainted'}): Objects remaining in ${cache.name} on __kmem_cache_shutdown()`,
  );
  k.printk(3, '-'.repeat(77));
  const caller = k.describe(callerOf(k));
  const text = `kmem_cache_destroy ${cache.name}: Slab cache still has objects when called from ${caller}`;
  kernelWarning(k, 'mm/slab_common.c:493', text);
}

export const slabFunctions = kernelFunctions({
  'void *__kmalloc(size_t size, gfp_t flags)': (k, size, gfp) => allocate(k, size, gfp),
  'void *__kmalloc_node(size_t size, gfp_t flags, int node)': (k, size, gfp) => allocate(k, size, gfp),
  'void *__kmalloc_node_track_caller(size_t size, gfp_t flags, int node, unsigned long caller)': (
    k,
    size,
    gfp,
  ) => allocate(k, size, gfp),
  'void *kmalloc_trace(struct kmem_cache *s, gfp_t gfpflags, size_t size)': (k, at, gfp, size) => {
    const cache = k.heap.cacheAt(at) ?? badAccess(k, at);
    return k.heap.allocateFrom(cache, gfp, callerOf(k), size);
  },
  'void *kmalloc_node_trace(struct kmem_cache *s, gfp_t gfpflags, int node, size_t size)': (
    k,
    at,
    gfp,
    _node,
    size,
  ) => {
    const cache = k.heap.cacheAt(at) ?? badAccess(k, at);
    return k.heap.allocateFrom(cache, gfp, callerOf(k), size);
  },
  'void *kmalloc_large(size_t size, gfp_t flags)': allocateLarge,
  'void *kmalloc_large_node(size_t size, gfp_t flags, int node)': allocateLarge,
  'void kfree(const void *object)': (k, object) => release(k, object),
  'void kfree_sensitive(const void *p)': (k, object) => {
    if (object >= 0 && object <= ZERO_SIZE_PTR) return;
    k.memory.fill(object, k.heap.sizeOf(object), 0);
    release(k, object);
  },
  'void kfree_const(const void *x)': (k, object) => {
    // Strings in the kernel's own read-only data are shared, not copied (kstrdup_const).
    if (!isKernelConstant(k, object)) release(k, object);
  },
  'size_t ksize(const void *objp)': (k, object) => k.heap.sizeOf(object),
  'size_t __ksize(const void *object)': (k, object) => k.heap.sizeOf(object),
  'size_t kmalloc_size_roundup(size_t size)': (k, size) => {
    const cache = k.heap.cacheFor(size);
    return cache?.objectSize ?? (size === 0 ? 0 : 4096 * 2 ** Math.max(0, Math.ceil(Math.log2(size / 4096))));
  },
  'void *krealloc(const void *p, size_t new_size, gfp_t flags)': (k, object, size, gfp) =>
    resize(k, object, size, gfp),
  'void *__krealloc(const void *p, size_t new_size, gfp_t flags)': (k, object, size, gfp) =>
    resize(k, object, size, gfp),
  'void *kmemdup(const void *src, size_t len, gfp_t gfp)': (k, src, length, gfp) =>
    duplicate(k, k.memory.bytes(src, length), gfp),
  'char *kmemdup_nul(const char *s, size_t len, gfp_t gfp)': (k, src, length, gfp) => {
    if (src === 0) return 0;
    const bytes = new Uint8Array(length + 1);
    bytes.set(k.memory.bytes(src, length));
    return duplicate(k, bytes, gfp);
  },
  'char *kstrdup(const char *s, gfp_t gfp)': (k, s, gfp) =>
    s === 0 ? 0 : duplicateText(k, byteString(k, s), gfp),
  'const char *kstrdup_const(const char *s, gfp_t gfp)': (k, s, gfp) =>
    s === 0 || isKernelConstant(k, s) ? s : duplicateText(k, byteString(k, s), gfp),
  'char *kstrndup(const char *s, size_t max, gfp_t gfp)': (k, s, max, gfp) =>
    s === 0 ? 0 : duplicateText(k, byteString(k, s, Math.min(max, MAX_TEXT)), gfp),
  'char *kasprintf(gfp_t gfp, const char *fmt, ...)': (k, gfp, fmt, args) =>
    duplicateText(k, format(k, fmt, args, MAX_TEXT).text, gfp),
  'char *kvasprintf(gfp_t gfp, const char *fmt, va_list ap)': (k, gfp, fmt, args) =>
    duplicateText(k, format(k, fmt, args, MAX_TEXT).text, gfp),
  'const char *kvasprintf_const(gfp_t gfp, const char *fmt, va_list ap)': (k, gfp, fmt, args) =>
    duplicateText(k, format(k, fmt, args, MAX_TEXT).text, gfp),
});

function isKernelConstant(k: Linux, at: Address): boolean {
  return k.file.sections.some((s) => s.role === 'rodata' && at >= s.base && at < s.base + s.size);
}

export const cacheFunctions = kernelFunctions({
  'struct kmem_cache *kmem_cache_create(const char *name, unsigned int size, unsigned int align, slab_flags_t flags, void (*ctor)(void *))':
    (k, name, size, align, flags, ctor) => createCache(k, name, size, align, flags, 0, 0, ctor),
  'struct kmem_cache *kmem_cache_create_usercopy(const char *name, unsigned int size, unsigned int align, slab_flags_t flags, unsigned int useroffset, unsigned int usersize, void (*ctor)(void *))':
    (k, name, size, align, flags, userOffset, userSize, ctor) =>
      createCache(k, name, size, align, flags, userOffset, userSize, ctor),
  'void *kmem_cache_alloc(struct kmem_cache *s, gfp_t gfpflags)': (k, s) => takeFrom(k, s),
  'void *kmem_cache_alloc_node(struct kmem_cache *s, gfp_t gfpflags, int node)': (k, s) => takeFrom(k, s),
  'void *kmem_cache_alloc_lru(struct kmem_cache *s, struct list_lru *lru, gfp_t gfpflags)': (k, s) =>
    takeFrom(k, s),
  'void kmem_cache_free(struct kmem_cache *s, void *x)': (k, s, object) =>
    release(k, object, k.heap.cacheAt(s)),
  'int kmem_cache_alloc_bulk(struct kmem_cache *s, gfp_t flags, size_t size, void **p)': function* (
    k,
    s,
    _gfp,
    count,
    out,
  ) {
    for (let i = 0; i < count; i++) {
      const object = yield* fromCache(k, s);
      if (object === 0) {
        for (let j = 0; j < i; j++) release(k, k.memory.ptr(out + j * k.word));
        return 0;
      }
      k.memory.setPtr(out + i * k.word, object);
    }
    return count;
  },
  'void kmem_cache_free_bulk(struct kmem_cache *s, size_t size, void **p)': (k, s, count, list) => {
    const cache = k.heap.cacheAt(s);
    for (let i = 0; i < count; i++) release(k, k.memory.ptr(list + i * k.word), cache);
  },
  'void kmem_cache_destroy(struct kmem_cache *s)': (k, s) => destroyCache(k, s),
  'int kmem_cache_shrink(struct kmem_cache *s)': (k, s) => {
    k.heap.shrink(k.heap.cacheAt(s) ?? badAccess(k, s));
    return 0;
  },
  'unsigned int kmem_cache_size(struct kmem_cache *s)': (k, s) => k.read('kmem_cache.object_size', s),
});

/** Columns of kmalloc_caches: KMALLOC_SHIFT_HIGH + 1. */
const COLUMNS = 14;

export const slabData: readonly DataInitialiser[] = [
  {
    symbol: 'kmalloc_caches',
    when: 'import',
    fill: (k, at) => {
      const rows = k.types.hasEnumerator('NR_KMALLOC_TYPES') ? k.types.enumerator('NR_KMALLOC_TYPES') : 4;
      for (let type = 0; type < rows; type++) {
        for (let column = 0; column < COLUMNS; column++) {
          pokePointer(k, at + (type * COLUMNS + column) * k.word, k.heap.kmallocCache(type, column));
        }
      }
    },
  },
];

export const printfFunctions = kernelFunctions({
  'int vsnprintf(char *buf, size_t size, const char *fmt, va_list args)': (k, buf, size, fmt, args) =>
    print(k, buf, size, fmt, args),
  'int snprintf(char *buf, size_t size, const char *fmt, ...)': (k, buf, size, fmt, args) =>
    print(k, buf, size, fmt, args),
  'int sprintf(char *buf, const char *fmt, ...)': (k, buf, fmt, args) => print(k, buf, 0x7fffffff, fmt, args),
  'int vsprintf(char *buf, const char *fmt, va_list args)': (k, buf, fmt, args) =>
    print(k, buf, 0x7fffffff, fmt, args),
  'int scnprintf(char *buf, size_t size, const char *fmt, ...)': (k, buf, size, fmt, args) =>
    kept(print(k, buf, size, fmt, args), size),
  'int vscnprintf(char *buf, size_t size, const char *fmt, va_list args)': (k, buf, size, fmt, args) =>
    kept(print(k, buf, size, fmt, args), size),
  'int sprint_symbol(char *buffer, unsigned long address)': (k, buf, at) =>
    writeSymbol(k, buf, k.describe(at)),
  'int sprint_symbol_no_offset(char *buffer, unsigned long address)': (k, buf, at) =>
    writeSymbol(k, buf, k.describe(at).replace(/\+0x[0-9a-f]+\/0x[0-9a-f]+/, '')),
});

function print(
  k: Linux,
  buf: Address,
  size: number,
  fmt: Address,
  args: Parameters<typeof format>[2],
): number {
  if (size < 0 || size > 0x7fffffff) {
    kernelWarning(k, 'lib/vsprintf.c:2743');
    return 0;
  }
  const out = format(k, fmt, args, Math.min(Math.max(0, size - 1), MAX_TEXT));
  if (size > 0) writeText(k, buf, out.text);
  return out.length;
}

/** scnprintf counts what was written, not what would have been. */
function kept(length: number, size: number): number {
  if (length < size) return length;
  return size > 0 ? size - 1 : 0;
}

function writeSymbol(k: Linux, at: Address, text: string): number {
  writeText(k, at, text);
  return text.length;
}
