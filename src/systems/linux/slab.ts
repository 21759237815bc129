/**
 * Slab caches: objects of one size in blocks of pages. A `struct kmem_cache` in the guest stands for each cache,
 * since inline kmalloc passes its address; which objects are free is the allocator's own business.
 */
import { roundUp } from '../../bytes/align.ts';
import { OutOfMemory } from '../../memory/frames.ts';
import { type Address, PAGE_SIZE } from '../../memory/space.ts';
import type { Linux } from './linux.ts';
import type { Pages } from './pages.ts';

/** SLAB_* flags of Linux 6.1 (include/linux/slab.h) that change what happens here. */
export const SLAB = { HWCACHE_ALIGN: 0x2000, PANIC: 0x40000, TYPESAFE_BY_RCU: 0x80000 } as const;

/** Blocks grow until this many objects fit, or to 2^MAX_SLAB_ORDER pages (slub_min_objects, slub_max_order). */
const WANTED_OBJECTS = 8;
const MAX_SLAB_ORDER = 3;

export interface CacheSpec {
  readonly name: string;
  readonly size: number;
  /** 0 for the natural one. */
  readonly align?: number;
  readonly flags?: number;
  readonly constructorAt?: Address;
  /** The part that user copies may touch. */
  readonly userOffset?: number;
  readonly userSize?: number;
}

const FREE = 0;
const HANDED_OUT = 1;
/** In use by the kernel itself, which made it once and keeps it. */
const LASTING = 2;

/** One block of pages, cut into objects. */
interface Block {
  readonly base: Address;
  readonly pfn: number;
  readonly cache: SlabCache;
  readonly count: number;
  /** What becomes of each object: FREE, HANDED_OUT or LASTING. */
  readonly taken: Uint8Array;
  used: number;
}

export class SlabCache {
  /** Its `struct kmem_cache`; 0 until the allocator has made one. */
  address: Address = 0;
  readonly name: string;
  readonly objectSize: number;
  /** Distance between objects. */
  readonly stride: number;
  readonly order: number;
  readonly flags: number;
  readonly constructorAt: Address;
  readonly userOffset: number;
  readonly userSize: number;
  /** Free objects, the one freed last on top: reuse is what makes use-after-free visible. */
  readonly free: Address[] = [];
  readonly blocks = new Set<Block>();

  constructor(spec: CacheSpec) {
    this.name = spec.name;
    this.objectSize = spec.size;
    this.flags = spec.flags ?? 0;
    this.constructorAt = spec.constructorAt ?? 0;
    this.stride = roundUp(Math.max(spec.size, 8), effectiveAlign(spec));
    this.order = orderFor(this.stride);
    this.userOffset = spec.userOffset ?? 0;
    this.userSize = spec.userSize ?? spec.size;
  }

  get usedObjects(): number {
    let used = 0;
    for (const block of this.blocks) used += block.used;
    return used;
  }
}

/** Where an address falls in a slab. */
export interface ObjectPlace {
  readonly cache: SlabCache;
  /** Start of the object that holds the address. */
  readonly object: Address;
  readonly offset: number;
  readonly taken: boolean;
}

export class Slabs {
  private readonly k: Linux;
  private readonly pages: Pages;
  private readonly blockAt = new Map<number, Block>();
  /** Objects in use that are not lasting. */
  passing = 0;

  constructor(k: Linux, pages: Pages) {
    this.k = k;
    this.pages = pages;
  }

  /**
   * An object whose contents are as its last user left them, or as its constructor made them. Undefined when the cache is
   * empty: `grow` it first.
   * @param lasting the kernel makes it once and keeps it: it counts as nobody's loss
   */
  take(cache: SlabCache, lasting = false): Address | undefined {
    const object = cache.free.pop();
    if (object === undefined) return undefined;
    const block = this.blockOf(object);
    if (block === undefined) throw new Error(`slab ${cache.name} lists an object outside its blocks`);
    block.taken[(object - block.base) / cache.stride] = lasting ? LASTING : HANDED_OUT;
    if (!lasting) this.passing++;
    block.used++;
    return object;
  }

  /** Adds a block; its objects, for the constructor. Empty when memory has run out. */
  grow(cache: SlabCache): Address[] {
    const { memory } = this.k;
    let pfn: number;
    try {
      pfn = memory.frames.allocate(cache.order, `slab ${cache.name}`);
    } catch (error) {
      if (error instanceof OutOfMemory) return [];
      throw error;
    }
    const base = memory.directMap(pfn);
    const count = Math.floor((PAGE_SIZE << cache.order) / cache.stride);
    const block = { base, pfn, cache, count, taken: new Uint8Array(count), used: 0 };
    memory.fill(base, PAGE_SIZE << cache.order, 0);
    for (let i = 0; i < 1 << cache.order; i++) this.blockAt.set(pfn + i, block);
    cache.blocks.add(block);
    this.pages.setSlab(pfn, cache.order, cache.address);
    const objects = Array.from({ length: count }, (_, i) => base + i * cache.stride);
    cache.free.push(...objects.toReversed());
    return objects;
  }

  /** Which object an address belongs to; undefined outside of all slabs. */
  find(address: Address): ObjectPlace | undefined {
    const block = this.blockOf(address);
    if (block === undefined) return undefined;
    const index = Math.floor((address - block.base) / block.cache.stride);
    const object = block.base + index * block.cache.stride;
    const taken = index < block.count && block.taken[index] !== FREE;
    return { cache: block.cache, object, offset: address - object, taken };
  }

  /** Puts an object back; the caller has checked that it is one and in use. */
  put(object: Address): void {
    const block = this.blockOf(object);
    if (block === undefined) throw new Error('no slab there');
    const index = (object - block.base) / block.cache.stride;
    if (block.taken[index] === HANDED_OUT) this.passing--;
    block.taken[index] = FREE;
    block.used--;
    block.cache.free.push(object);
  }

  /** Gives back blocks without objects in use; returns how many pages that freed. */
  shrink(cache: SlabCache): number {
    const empty = new Set([...cache.blocks].filter((block) => block.used === 0));
    if (empty.size === 0) return 0;
    const kept = cache.free.filter((object) => {
      const block = this.blockOf(object);
      return block !== undefined && !empty.has(block);
    });
    cache.free.splice(0, cache.free.length, ...kept);
    for (const block of empty) this.drop(block);
    return empty.size << cache.order;
  }

  /** Objects of a cache that are in use. */
  *objects(cache: SlabCache): Iterable<Address> {
    for (const block of cache.blocks) {
      for (let i = 0; i < block.count; i++) if (block.taken[i] !== FREE) yield block.base + i * cache.stride;
    }
  }

  private drop(block: Block): void {
    const { cache, pfn } = block;
    this.pages.clearDescriptors(pfn, cache.order);
    for (let i = 0; i < 1 << cache.order; i++) this.blockAt.delete(pfn + i);
    cache.blocks.delete(block);
    this.k.memory.frames.free(pfn, cache.order);
  }

  private blockOf(address: Address): Block | undefined {
    // Slabs are only ever addressed through the direct map.
    const pfn = Math.floor((address - this.k.memory.directMap(0)) / PAGE_SIZE);
    return this.blockAt.get(pfn);
  }
}

function effectiveAlign(spec: CacheSpec): number {
  let align = Math.max(spec.align ?? 0, 8);
  if (((spec.flags ?? 0) & SLAB.HWCACHE_ALIGN) !== 0) {
    // Small objects share a cache line, but never straddle one (calculate_alignment, mm/slab_common.c).
    let line = 64;
    while (spec.size <= line / 2) line /= 2;
    align = Math.max(align, line);
  }
  return align;
}

function orderFor(stride: number): number {
  for (let order = 0; order < MAX_SLAB_ORDER; order++) {
    if ((PAGE_SIZE << order) / stride >= WANTED_OBJECTS) return order;
  }
  let order = MAX_SLAB_ORDER;
  while (PAGE_SIZE << order < stride) order++;
  return order;
}
