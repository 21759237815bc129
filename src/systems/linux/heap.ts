/**
 * kmalloc: size classes over slab caches, whole pages above them. Sizes, limits and the address of a zero-size
 * object are Linux's (include/linux/slab.h); that memory comes zeroed is Debian's INIT_ON_ALLOC_DEFAULT_ON.
 */

import type { Steps } from '../../kernel/steps.ts';
import { type Address, PAGE_SIZE } from '../../memory/space.ts';
import { type Allocation, AllocationIndex } from './allocations.ts';
import type { Linux } from './linux.ts';
import type { LinuxModule } from './module.ts';
import { GFP, Pages } from './pages.ts';
import { type CacheSpec, SLAB, SlabCache, Slabs } from './slab.ts';
import { Vmalloc } from './vmalloc.ts';

/** What kmalloc(0) gives: not NULL, but unusable (ZERO_SIZE_PTR). */
export const ZERO_SIZE_PTR: Address = 16;
/** The largest kmalloc: the largest block of the page allocator. */
const MAX_SIZE = PAGE_SIZE << 10;
/** Column of kmalloc_caches for each size class: 96 and 192 sit where 2 and 4 bytes would. */
const CLASSES = [0, 96, 192, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192];
/** Rows of kmalloc_caches (enum kmalloc_cache_type) by the prefix of their names. */
const CACHE_ROWS = [
  ['KMALLOC_NORMAL', 'kmalloc-'],
  ['KMALLOC_CGROUP', 'kmalloc-cg-'],
  ['KMALLOC_RECLAIM', 'kmalloc-rcl-'],
  ['KMALLOC_DMA', 'dma-kmalloc-'],
] as const;

/** kfree or kmem_cache_free of something that is not an object in use. */
export class HeapMisuse extends Error {
  readonly address: Address;
  readonly problem: 'double-free' | 'interior' | 'foreign' | 'wrong-cache';

  constructor(address: Address, problem: HeapMisuse['problem'], detail: string) {
    super(detail);
    this.name = 'HeapMisuse';
    this.address = address;
    this.problem = problem;
  }
}

export class Heap {
  readonly allocations: AllocationIndex;
  readonly pages: Pages;
  readonly virtual: Vmalloc;
  private readonly k: Linux;
  private readonly slabs: Slabs;
  private readonly byAddress = new Map<Address, SlabCache>();
  /** By enum value, then by column. */
  private readonly kmallocRows = new Map<number, (SlabCache | undefined)[]>();
  /** `struct kmem_cache` objects come out of a cache of their own, as in the kernel. */
  private readonly cacheCache: SlabCache;
  private readonly firstNames = new SlabCache({ name: 'kmalloc-32 (boot)', size: 32 });

  constructor(k: Linux) {
    this.k = k;
    this.allocations = new AllocationIndex((caller) => k.modules.at(caller));
    this.pages = new Pages(k, this.allocations);
    this.slabs = new Slabs(k, this.pages);
    this.virtual = new Vmalloc(k, this.allocations);
    this.cacheCache = new SlabCache({ name: 'kmem_cache', size: this.cacheBytes() });
    this.describeCache(this.cacheCache);
    for (const [row, prefix] of CACHE_ROWS) this.makeRow(row, prefix);
  }

  /**
   * Runs what makes something of the kernel's own, which is made when it is first asked for and stays: a bus, a table, a
   * type. A census of what a module left behind does not count it.
   */
  lasting<T>(make: () => T): T {
    const before = this.forKernel;
    this.forKernel = true;
    try {
      return make();
    } finally {
      this.forKernel = before;
    }
  }

  /** The same for what takes steps; what runs between them is not meant. */
  *lastingSteps<T>(steps: Steps<T>): Steps<T> {
    let next = this.lasting(() => steps.next());
    while (next.done !== true) {
      const answer = yield next.value;
      next = this.lasting(() => steps.next(answer));
    }
    return next.value;
  }
  /** What is allocated now is the kernel's own and stays. */
  forKernel = false;

  /** Objects in use that are not lasting. */
  get passingObjects(): number {
    return this.slabs.passing;
  }

  /**
   * kmalloc. Memory is zero; 0 when there is none left.
   * @param caller where machine code called from, for the leak report; 0 for the base kernel itself
   */
  allocate(size: number, _gfp: number = GFP.KERNEL, caller: Address = 0): Address {
    if (size === 0) return ZERO_SIZE_PTR;
    const cache = this.cacheFor(size);
    if (cache !== undefined) return this.allocateFrom(cache, GFP.KERNEL, caller, size);
    return this.allocateLarge(size, caller);
  }

  allocateZeroed(size: number, gfp: number = GFP.KERNEL, caller: Address = 0): Address {
    return this.allocate(size, gfp, caller);
  }

  /** Whole pages for sizes no class has (kmalloc_large); 0 for what can never be had. */
  allocateLarge(size: number, caller: Address = 0): Address {
    if (!(size > 0) || size > MAX_SIZE) return 0;
    const order = Math.max(0, Math.ceil(Math.log2(size / PAGE_SIZE)));
    const page = this.pages.allocate(order, GFP.COMP, 0);
    if (page === 0) return 0;
    const at = this.pages.addressOf(page);
    this.allocations.add('slab', at, size, caller);
    return at;
  }

  /**
   * An object of a cache without constructor, or of one that `prepare` has filled. Zeroed when there is no
   * constructor. 0 when memory has run out.
   */
  allocateFrom(cache: SlabCache, _gfp: number, caller: Address = 0, size = cache.objectSize): Address {
    let object = this.slabs.take(cache, this.forKernel);
    if (object === undefined) {
      this.slabs.grow(cache);
      object = this.slabs.take(cache, this.forKernel);
    }
    if (object === undefined) return 0;
    if (cache.constructorAt === 0 && (cache.flags & SLAB.TYPESAFE_BY_RCU) === 0) {
      this.k.memory.fill(object, cache.objectSize, 0);
    }
    this.allocations.add('slab', object, size, caller);
    return object;
  }

  /** Adds a block to a cache that has no free object; the new objects, which its constructor must see. */
  prepare(cache: SlabCache): Address[] {
    return cache.free.length > 0 ? [] : this.slabs.grow(cache);
  }

  /**
   * kfree: an object of any cache or a large allocation; NULL and the zero-size object are fine.
   * @throws HeapMisuse for anything else
   */
  free(object: Address, from?: SlabCache): void {
    if (object >= 0 && object <= ZERO_SIZE_PTR) return;
    const place = this.slabs.find(object);
    if (place === undefined) {
      this.freeLarge(object);
      return;
    }
    if (place.offset !== 0)
      throw new HeapMisuse(
        object,
        'interior',
        `the address lies ${place.offset} bytes inside an object of ${place.cache.name}`,
      );
    if (!place.taken)
      throw new HeapMisuse(object, 'double-free', `the object of ${place.cache.name} is free already`);
    if (from !== undefined && from !== place.cache)
      throw new HeapMisuse(
        object,
        'wrong-cache',
        `the object belongs to ${place.cache.name}, not to ${from.name}`,
      );
    this.allocations.remove(object);
    this.slabs.put(object);
  }

  /** Bytes that may be used at an allocated object (ksize); 0 for NULL and the zero-size object. */
  sizeOf(object: Address): number {
    if (object >= 0 && object <= ZERO_SIZE_PTR) return 0;
    const place = this.slabs.find(object);
    if (place !== undefined) return place.cache.stride;
    const order = this.k.memory.frames.orderOf(this.frameAt(object));
    return order === undefined ? 0 : PAGE_SIZE << order;
  }

  /** The slab object that holds an address, for usercopy checks and reports. */
  objectAt(
    address: Address,
  ): { cache: SlabCache; object: Address; offset: number; taken: boolean } | undefined {
    return this.slabs.find(address);
  }

  // -- caches -----------------------------------------------------------------------------------------------

  createCache(spec: CacheSpec, caller: Address = 0): SlabCache | undefined {
    const cache = new SlabCache(spec);
    if (!this.describeCache(cache)) return undefined;
    this.allocations.add('cache', cache.address, spec.size, caller);
    return cache;
  }

  /** The cache whose `struct kmem_cache` is at `address`. */
  cacheAt(address: Address): SlabCache | undefined {
    return this.byAddress.get(address);
  }

  /** Objects of the cache that are still in use; the cache goes only when there are none. */
  destroyCache(cache: SlabCache): Address[] {
    this.slabs.shrink(cache);
    const left = [...this.slabs.objects(cache)];
    if (left.length > 0) return left;
    this.byAddress.delete(cache.address);
    this.allocations.remove(cache.address);
    this.free(this.k.read('kmem_cache.name', cache.address));
    this.free(cache.address);
    return [];
  }

  /** Gives back blocks of a cache that hold no object in use; the pages that freed. */
  shrink(cache: SlabCache): number {
    return this.slabs.shrink(cache);
  }

  caches(): Iterable<SlabCache> {
    return this.byAddress.values();
  }

  /** Address of the `struct kmem_cache` at kmalloc_caches[type][column]; 0 where the kernel has none either. */
  kmallocCache(type: number, column: number): Address {
    return this.kmallocRows.get(type)?.[column]?.address ?? 0;
  }

  /** kmalloc's size class for a size, undefined above the largest. */
  cacheFor(size: number): SlabCache | undefined {
    const row = this.kmallocRows.get(0);
    if (row === undefined || !(size > 0) || size > 8192) return undefined;
    if (size > 64 && size <= 96) return row[1];
    if (size > 128 && size <= 192) return row[2];
    return row[Math.max(3, Math.ceil(Math.log2(size)))];
  }

  /** What a module has allocated and not freed. */
  allocationsOf(module: LinuxModule): Allocation[] {
    return this.allocations.of(module);
  }

  private makeRow(enumerator: string, prefix: string): void {
    if (!this.k.types.hasEnumerator(enumerator)) return;
    const type = this.k.types.enumerator(enumerator);
    if (this.kmallocRows.has(type)) return;
    const row = CLASSES.map((size) => {
      if (size === 0) return undefined;
      const cache = new SlabCache({ name: prefix + sizeName(size), size });
      return this.describeCache(cache) ? cache : undefined;
    });
    this.kmallocRows.set(type, row);
  }

  private freeLarge(object: Address): void {
    const pfn = this.frameAt(object);
    const order = this.k.memory.frames.orderOf(pfn);
    if (order === undefined || this.k.memory.directMap(pfn) !== object) {
      throw new HeapMisuse(object, 'foreign', 'nothing was allocated at this address');
    }
    this.allocations.remove(object);
    this.pages.release(this.pages.descriptor(pfn), order);
  }

  /** Frame of a direct-map address; -1 elsewhere. */
  private frameAt(address: Address): number {
    const pfn = Math.floor((address - this.k.memory.directMap(0)) / PAGE_SIZE);
    return pfn > 0 && pfn < this.k.memory.frames.total ? pfn : -1;
  }

  private cacheBytes(): number {
    // The array of per-node pointers at the end is as long as the machine has nodes: one.
    return this.k.types.has('kmem_cache.node')
      ? this.k.offset('kmem_cache.node') + this.k.word
      : this.k.sizeof('kmem_cache');
  }

  private describeCache(cache: SlabCache): boolean {
    const { k } = this;
    const at = this.allocateFrom(this.cacheCache, GFP.KERNEL);
    const bytes = new TextEncoder().encode(`${cache.name}\0`);
    const name = at === 0 ? 0 : this.allocateName(bytes.length);
    if (name === 0) return false;
    k.memory.write(name, bytes);
    k.write('kmem_cache.name', at, name);
    k.write('kmem_cache.size', at, cache.stride);
    k.write('kmem_cache.object_size', at, cache.objectSize);
    k.write('kmem_cache.inuse', at, cache.objectSize);
    k.write('kmem_cache.align', at, 8);
    k.write('kmem_cache.flags', at, cache.flags);
    k.write('kmem_cache.refcount', at, 1);
    k.write('kmem_cache.ctor', at, cache.constructorAt);
    cache.address = at;
    this.byAddress.set(at, cache);
    return true;
  }

  /** The first caches are named before kmalloc has any. */
  private allocateName(bytes: number): Address {
    return this.cacheFor(bytes) === undefined
      ? this.allocateFrom(this.firstNames, GFP.KERNEL)
      : this.allocate(bytes);
  }
}

function sizeName(size: number): string {
  return size >= 1024 ? `${size / 1024}k` : `${size}`;
}
