/**
 * Whole pages: the buddy allocator behind `struct page`. The descriptors live at vmemmap in the guest, one for
 * each frame, because inline code of modules counts references and looks for compound heads there.
 */

import { OutOfMemory } from '../../memory/frames.ts';
import { type Address, PAGE_SIZE, Perm } from '../../memory/space.ts';
import type { AllocationIndex } from './allocations.ts';
import type { Linux } from './linux.ts';

/** gfp_t bits of Linux 6.1 (include/linux/gfp_types.h) that change what happens here. */
export const GFP = {
  ZERO: 0x100,
  NOWARN: 0x2000,
  COMP: 0x40000,
  KERNEL: 0xcc0,
  ATOMIC: 0xa20,
} as const;

/** sizeof(struct page): vmemmap is an array that inline code indexes by shifting. */
const PAGE_STRUCT = 64;
/** COMPOUND_PAGE_DTOR (enum compound_dtor_id). */
const COMPOUND_DTOR = 1;

/** Frames per page of 2 MiB: the image moves by whole ones. */
const LARGE_FRAMES = 512;

/**
 * Frame that the address 0 of the image's mapping has (phys_base): the image's frames lie behind those of RAM, which would
 * be under it otherwise. On 32 bits it lies in the direct map, where it was linked.
 */
export function imageFrames(k: Linux): number {
  return k.arch.bits === 32 ? 0 : Math.ceil(k.memory.frames.total / LARGE_FRAMES) * LARGE_FRAMES;
}

export class Pages {
  private readonly k: Linux;
  private readonly index: AllocationIndex;
  private readonly head: bigint;
  private readonly size: number;
  /** Page frame number of the guest's first frame: what the guest calls a pfn is this much more than a frame here. */
  readonly firstFrame: number;

  constructor(k: Linux, index: AllocationIndex) {
    this.k = k;
    this.index = index;
    this.size = k.types.has('page.flags') ? k.sizeof('page') : PAGE_STRUCT;
    this.head = 1n << BigInt(k.types.enumerator('PG_head'));
    // ZERO_PAGE and its like have a struct page, too.
    const image =
      Math.max(...k.file.sections.map(({ base, size }) => base + size)) -
      k.map.imageBase +
      imageFrames(k) * PAGE_SIZE;
    this.firstFrame = (k.map.directMap - k.map.pageOffset) / PAGE_SIZE;
    const ram = this.firstFrame + k.memory.frames.total;
    const bytes = Math.max(ram * this.size, (image / PAGE_SIZE) * this.size);
    const pages = Math.ceil(bytes / PAGE_SIZE);
    k.memory.mapLazy(this.k.map.vmemmap, pages, Perm.R | Perm.W, 'struct page array', (va, to) =>
      this.reserve(va, to),
    );
  }

  /** Pages that are not for giving out are in use once, for ever. */
  private reserve(va: Address, bytes: Uint8Array): void {
    const { k, size } = this;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const count = k.offset('page._refcount.counter');
    const first = Math.ceil((va - this.k.map.vmemmap) / size) - this.firstFrame;
    for (let pfn = first; this.descriptor(pfn) + size <= va + PAGE_SIZE; pfn++) {
      if (pfn < 0 || pfn >= k.memory.frames.total) view.setInt32(this.descriptor(pfn) - va + count, 1, true);
    }
  }

  /** Address of the `struct page` of a frame. */
  descriptor(pfn: number): Address {
    return this.k.map.vmemmap + (pfn + this.firstFrame) * this.size;
  }

  /** Frame number of a `struct page`. */
  frameOf(page: Address): number {
    return Math.floor((page - this.k.map.vmemmap) / this.size) - this.firstFrame;
  }

  /** Kernel virtual address of a `struct page`'s frame. */
  addressOf(page: Address): Address {
    return this.k.memory.directMap(this.frameOf(page));
  }

  /** The `struct page` behind any mapped kernel address; 0 when there is none. */
  ofAddress(va: Address): Address {
    const pfn = this.k.memory.pfnOf(va);
    return pfn === undefined ? 0 : this.descriptor(pfn);
  }

  /** Takes 2^order pages; gives their `struct page`, or 0 when memory has run out. */
  allocate(order: number, gfp: number, caller: Address): Address {
    let pfn: number;
    try {
      pfn = this.k.memory.frames.allocate(order, this.k.heap.forKernel ? 'kernel pages' : 'pages');
    } catch (error) {
      if (error instanceof OutOfMemory) return 0;
      throw error;
    }
    const page = this.prepare(pfn, order, (gfp & GFP.COMP) !== 0);
    // Debian builds with INIT_ON_ALLOC_DEFAULT_ON: fresh memory is zero with or without __GFP_ZERO.
    this.k.memory.fill(this.k.memory.directMap(pfn), PAGE_SIZE << order, 0);
    this.index.add('pages', this.addressOf(page), PAGE_SIZE << order, caller);
    return page;
  }

  /** Gives back 2^order pages whatever their reference count says. */
  release(page: Address, order: number): void {
    const pfn = this.frameOf(page);
    const taken = this.k.memory.frames.orderOf(pfn);
    if (taken === undefined) throw new PageMisuse(page, pfn, order);
    this.index.remove(this.addressOf(page));
    this.clearDescriptors(pfn, taken);
    this.k.memory.frames.free(pfn, taken);
  }

  /** `__free_pages`: drops one reference, frees when it was the last. */
  free(page: Address, order: number): void {
    const count = this.k.read('page._refcount.counter', page) - 1;
    this.k.write('page._refcount.counter', page, count);
    if (count === 0) this.release(page, order);
    else if (count < 0) throw new PageMisuse(page, this.frameOf(page), order);
  }

  /** Makes one block of 2^order pages into pages that are freed one by one. */
  split(page: Address, order: number): void {
    const pfn = this.frameOf(page);
    this.k.memory.frames.split(pfn, order);
    for (let i = 0; i < 1 << order; i++) this.prepare(pfn + i, 0, false);
  }

  /** Marks frames as a block of the slab allocator, as a compound page. */
  setSlab(pfn: number, order: number, cache: Address): void {
    this.prepare(pfn, order, true);
    const page = this.descriptor(pfn);
    this.markSlab(page);
    if (this.k.types.has('slab.slab_cache')) this.k.write('slab.slab_cache', page, cache);
  }

  /** A bit of the flags up to 6.9; from 6.12 on a type in the top byte of the word that else counts mappings. */
  private markSlab(page: Address): void {
    const { k } = this;
    if (k.types.hasEnumerator('PGTY_slab')) {
      k.memory.set32(page + k.offset('page.page_type'), k.types.enumerator('PGTY_slab') << 24);
    } else if (k.types.hasEnumerator('PG_slab')) {
      const flags = page + k.offset('page.flags');
      k.memory.setUlong(flags, k.memory.ulong(flags) | (1n << BigInt(k.types.enumerator('PG_slab'))));
    }
  }

  private prepare(pfn: number, order: number, compound: boolean): Address {
    const { k } = this;
    const page = this.descriptor(pfn);
    for (let i = 0; i < 1 << order; i++) {
      const each = page + i * this.size;
      k.memory.fill(each, this.size, 0);
      k.memory.setUlong(each + k.offset('page.flags'), k.map.zoneFlags);
      k.write('page._mapcount.counter', each, -1);
      if (compound && i > 0) this.makeTail(each, page, order);
    }
    k.write('page._refcount.counter', page, 1);
    if (compound && order > 0) this.makeHead(page, order);
    return page;
  }

  /** Later pages lead to the first: by its address, or (from 7.0 on) by the mask that makes their address its. */
  private makeTail(tail: Address, head: Address, order: number): void {
    const { k } = this;
    if (k.types.has('page.compound_info')) k.write('page.compound_info', tail, 1 - this.size * 2 ** order);
    else k.write('page.compound_head', tail, head + 1);
  }

  private makeHead(page: Address, order: number): void {
    const { k } = this;
    const flags = page + k.offset('page.flags');
    k.memory.setUlong(flags, k.memory.ulong(flags) | this.head);
    const second = page + this.size;
    if (!k.types.has('page.compound_order')) {
      this.makeFolio(page, order);
      return;
    }
    k.write('page.compound_order', second, order);
    k.write('page.compound_dtor', second, COMPOUND_DTOR);
    k.write('page.compound_mapcount.counter', second, -1);
    if (k.types.has('page.compound_nr')) k.write('page.compound_nr', second, 1 << order);
  }

  /** From 6.6 on the order is the low byte of the second page's flags, described by struct folio alone. */
  private makeFolio(page: Address, order: number): void {
    const { k } = this;
    if (!k.types.has('folio._flags_1')) return;
    const flags = page + k.offset('folio._flags_1');
    k.memory.setUlong(flags, (k.memory.ulong(flags) & ~0xffn) | BigInt(order));
    for (const pages of ['folio._folio_nr_pages', 'folio._nr_pages']) {
      if (k.types.has(pages)) k.write(pages, page, 1 << order);
    }
    for (const mappings of ['folio._entire_mapcount.counter', 'folio._large_mapcount.counter']) {
      if (k.types.has(mappings)) k.write(mappings, page, -1);
    }
  }

  /** Zeroes the descriptors of frames that go back to the allocator. */
  clearDescriptors(pfn: number, order: number): void {
    this.k.memory.fill(this.descriptor(pfn), this.size << order, 0);
  }
}

/** A page was freed that is not in use, or with a wrong order. */
export class PageMisuse extends Error {
  readonly page: Address;
  readonly pfn: number;

  constructor(page: Address, pfn: number, order: number) {
    super(`page of frame ${pfn} (order ${order}) is freed but not in use: freed twice, or never allocated`);
    this.name = 'PageMisuse';
    this.page = page;
    this.pfn = pfn;
  }
}
