/** Pages, vmalloc and per-CPU memory as modules call them. */
import { perKernel } from '../../../kernel/kernel.ts';
import { hex16 } from '../../../memory/address.ts';
import { type Address, PAGE_SIZE, Perm } from '../../../memory/space.ts';
import type { DataInitialiser, Linux } from '../linux.ts';
import { GFP, imageFrames, PageMisuse } from '../pages.ts';
import { Percpu } from '../percpu.ts';
import { badAccess, callerOf, kernelWarning } from './caller.ts';
import { kernelFunctions } from './define.ts';
import { HIGHEST_ORDER, tooLarge } from './page-limit.ts';
import { release } from './slab-functions.ts';
import { pokePointer } from './thunks.ts';

function allocatePages(k: Linux, gfp: number, order: number): Address {
  if (order > HIGHEST_ORDER) {
    tooLarge(k, gfp);
    return 0;
  }
  const page = k.heap.pages.allocate(order, gfp, callerOf(k));
  if (page === 0 && (gfp & GFP.NOWARN) === 0) {
    const mode = `0x${gfp.toString(16)}`;
    k.printk(4, `${k.tasks.comm(k.current)}: page allocation failure: order:${order}, mode:${mode}`);
  }
  return page;
}

function freePages(k: Linux, page: Address, order: number): void {
  try {
    k.heap.pages.free(page, order);
  } catch (error) {
    if (!(error instanceof PageMisuse)) throw error;
    k.printk(
      1,
      `BUG: Bad page state in process ${k.tasks.comm(k.current)}  pfn:${(error.pfn + k.heap.pages.firstFrame).toString(16).padStart(5, '0')}`,
    );
    kernelWarning(k, 'mm/page_alloc.c');
  }
}

function addressOf(k: Linux, page: Address): Address {
  return page === 0 ? 0 : k.heap.pages.addressOf(page);
}

/** The frame of a page taken apart from its direct-map address. */
function pageAt(k: Linux, address: Address): Address {
  return k.heap.pages.ofAddress(address) || badAccess(k, address);
}

function exact(k: Linux, size: number, gfp: number): Address {
  const order = Math.max(0, Math.ceil(Math.log2(size / PAGE_SIZE)));
  const page = allocatePages(k, gfp & ~GFP.COMP, order);
  if (page === 0) return 0;
  k.heap.pages.split(page, order);
  const pfn = k.heap.pages.frameOf(page);
  for (let i = Math.ceil(size / PAGE_SIZE); i < 1 << order; i++) {
    k.heap.pages.release(k.heap.pages.descriptor(pfn + i), 0);
  }
  return addressOf(k, page);
}

/** Changes permissions page by page; -EINVAL where nothing is mapped. */
function protect(k: Linux, at: Address, pages: number, change: { set?: number; clear?: number }): number {
  for (let i = 0; i < pages; i++) {
    const perm = k.memory.permOf(at + i * PAGE_SIZE);
    if (perm === undefined) return -22;
    k.memory.protect(at + i * PAGE_SIZE, 1, (perm | (change.set ?? 0)) & ~(change.clear ?? 0));
  }
  return 0;
}

export const pageFunctions = kernelFunctions({
  'struct page *alloc_pages(gfp_t gfp, unsigned int order)': (k, gfp, order) => allocatePages(k, gfp, order),
  'struct page *__alloc_pages(gfp_t gfp, unsigned int order, int preferred_nid, nodemask_t *nodemask)': (
    k,
    gfp,
    order,
  ) => allocatePages(k, gfp, order),
  'struct folio *__folio_alloc(gfp_t gfp, unsigned int order, int preferred_nid, nodemask_t *nodemask)': (
    k,
    gfp,
    order,
  ) => allocatePages(k, gfp | GFP.COMP, order),
  'struct folio *folio_alloc(gfp_t gfp, unsigned int order)': (k, gfp, order) =>
    allocatePages(k, gfp | GFP.COMP, order),
  'unsigned long __get_free_pages(gfp_t gfp_mask, unsigned int order)': (k, gfp, order) =>
    addressOf(k, allocatePages(k, gfp, order)),
  'unsigned long get_zeroed_page(gfp_t gfp_mask)': (k, gfp) => addressOf(k, allocatePages(k, gfp, 0)),
  'void __free_pages(struct page *page, unsigned int order)': (k, page, order) => freePages(k, page, order),
  'void free_pages(unsigned long addr, unsigned int order)': (k, address, order) => {
    if (address !== 0) freePages(k, pageAt(k, address), order);
  },
  'void *alloc_pages_exact(size_t size, gfp_t gfp_mask)': (k, size, gfp) => exact(k, size, gfp),
  'void free_pages_exact(void *virt, size_t size)': (k, at, size) => {
    for (let done = 0; done < size; done += PAGE_SIZE) freePages(k, pageAt(k, at + done), 0);
  },
  'void __folio_put(struct folio *folio)': (k, folio) => k.heap.pages.release(folio, 0),
  'void split_page(struct page *page, unsigned int order)': (k, page, order) =>
    k.heap.pages.split(page, order),
  'struct page *vmalloc_to_page(const void *vmalloc_addr)': (k, address) => k.heap.pages.ofAddress(address),
  'unsigned long vmalloc_to_pfn(const void *vmalloc_addr)': (k, address) => {
    const frame = k.memory.pfnOf(address);
    return frame === undefined ? 0 : frame + k.heap.pages.firstFrame;
  },
  'void clear_page_rep(void *page)': (k, page) => k.memory.fill(page, PAGE_SIZE, 0),
  'void clear_page_orig(void *page)': (k, page) => k.memory.fill(page, PAGE_SIZE, 0),
  'void clear_page_erms(void *page)': (k, page) => k.memory.fill(page, PAGE_SIZE, 0),
  'void copy_page(void *to, void *from)': (k, to, from) => k.memory.copy(to, from, PAGE_SIZE),
  'bool __virt_addr_valid(unsigned long x)': (k, address) => {
    const pfn = (address - k.map.directMap) / PAGE_SIZE;
    return pfn >= 0 && pfn < k.memory.frames.total;
  },
  'unsigned long __phys_addr(unsigned long x)': (k, address) => address - k.map.pageOffset,
  'int set_memory_ro(unsigned long addr, int numpages)': (k, at, pages) =>
    protect(k, at, pages, { clear: Perm.W }),
  'int set_memory_rw(unsigned long addr, int numpages)': (k, at, pages) =>
    protect(k, at, pages, { set: Perm.W }),
  'int set_memory_x(unsigned long addr, int numpages)': (k, at, pages) =>
    protect(k, at, pages, { set: Perm.X }),
  'int set_memory_nx(unsigned long addr, int numpages)': (k, at, pages) =>
    protect(k, at, pages, { clear: Perm.X }),
  'void *page_address(const struct page *page)': (k, page) => addressOf(k, page),
});

/** vmalloc of what can never be had says so (mm/vmalloc.c). */
function virtual(k: Linux, size: number, gfp = 0, perm: number = Perm.R | Perm.W): Address {
  if (size === 0) return 0;
  const at = k.heap.virtual.allocate(size, callerOf(k), perm);
  if (at === 0 && (gfp & GFP.NOWARN) === 0) {
    const comm = k.tasks.comm(k.current);
    k.printk(
      4,
      `${comm}: vmalloc error: size ${size}, exceeds total pages, mode:0xcc0(GFP_KERNEL), nodemask=(null),cpuset=/,mems_allowed=0`,
    );
  }
  return at;
}

function freeVirtual(k: Linux, at: Address): void {
  if (at === 0) return;
  if ((at & (PAGE_SIZE - 1)) !== 0) {
    kernelWarning(k, 'mm/vmalloc.c:2752', `Trying to vfree() bad address (${hex16(at)})`);
  } else if (!k.heap.virtual.free(at)) {
    kernelWarning(k, 'mm/vmalloc.c:2758', `Trying to vfree() nonexistent vm area (${hex16(at)})`);
  }
}

/** _PAGE_RW of a pgprot; without it the mapping is read-only. */
const PAGE_RW = 2;

export const vmallocFunctions = kernelFunctions({
  'void *vmalloc(unsigned long size)': (k, size) => virtual(k, size),
  'void *vzalloc(unsigned long size)': (k, size) => virtual(k, size),
  'void *vmalloc_node(unsigned long size, int node)': (k, size) => virtual(k, size),
  'void *vzalloc_node(unsigned long size, int node)': (k, size) => virtual(k, size),
  'void *vmalloc_user(unsigned long size)': (k, size) => virtual(k, size),
  'void *vmalloc_32(unsigned long size)': (k, size) => virtual(k, size),
  'void *vmalloc_32_user(unsigned long size)': (k, size) => virtual(k, size),
  'void *__vmalloc(unsigned long size, gfp_t gfp_mask)': (k, size, gfp) => virtual(k, size, gfp),
  'void vfree(const void *addr)': (k, at) => freeVirtual(k, at),
  'void vfree_atomic(const void *addr)': (k, at) => freeVirtual(k, at),
  'void *vmap(struct page **pages, unsigned int count, unsigned long flags, pgprot_t prot)': (
    k,
    list,
    count,
    _flags,
    prot,
  ) => {
    if (count < 0 || count > k.memory.frames.total) return 0;
    const frames = Array.from({ length: count }, (_, i) =>
      k.heap.pages.frameOf(k.memory.ptr(list + i * k.word)),
    );
    return k.heap.virtual.map(frames, callerOf(k), (prot & PAGE_RW) === 0 ? Perm.R : Perm.R | Perm.W);
  },
  'void vunmap(const void *addr)': (k, at) => freeVirtual(k, at),
  'void *vm_map_ram(struct page **pages, unsigned int count, int node)': (k, list, count) =>
    k.heap.virtual.map(
      Array.from({ length: count }, (_, i) => k.heap.pages.frameOf(k.memory.ptr(list + i * k.word))),
      callerOf(k),
    ),
  'void vm_unmap_ram(const void *mem, unsigned int count)': (k, at) => freeVirtual(k, at),
  'void vm_unmap_aliases(void)': () => undefined,
  'bool is_vmalloc_addr(const void *x)': (k, at) => k.heap.virtual.holds(at),
  'int is_vmalloc_or_module_addr(const void *x)': (k, at) =>
    k.heap.virtual.holds(at) || (at >= k.map.modules && at < k.map.modulesEnd) ? 1 : 0,
  'void *kvmalloc_node(size_t size, gfp_t flags, int node)': (k, size, gfp) => {
    const at = size > 4 * PAGE_SIZE ? 0 : k.heap.allocate(size, gfp, callerOf(k));
    return at !== 0 || size > 0x7fffffff ? at : virtual(k, size, gfp);
  },
  'void kvfree(const void *addr)': (k, at) => {
    if (k.heap.virtual.holds(at)) freeVirtual(k, at);
    else release(k, at);
  },
  'void kvfree_sensitive(const void *addr, size_t len)': (k, at, length) => {
    if (at >= 0 && at <= 16) return;
    k.memory.fill(at, length, 0);
    if (k.heap.virtual.holds(at)) freeVirtual(k, at);
    else release(k, at);
  },
  'void *kvrealloc(const void *p, size_t oldsize, size_t newsize, gfp_t flags)': (
    k,
    old,
    oldSize,
    size,
    gfp,
  ) => {
    if (oldSize >= size) return old;
    const at = size > 4 * PAGE_SIZE ? virtual(k, size, gfp) : k.heap.allocate(size, gfp, callerOf(k));
    if (at === 0 || old === 0) return at;
    k.memory.copy(at, old, oldSize);
    if (k.heap.virtual.holds(old)) freeVirtual(k, old);
    else release(k, old);
    return at;
  },
});

function allocatePercpu(k: Linux, size: number, align: number): Address {
  const at = k.percpu.allocate(size, align);
  if (at === 0)
    kernelWarning(k, 'mm/percpu.c:1758', `illegal size (${size}) or align (${align}) for percpu allocation`);
  else k.heap.allocations.add('percpu', at, size, callerOf(k));
  return at;
}

export const percpuFunctions = kernelFunctions({
  'void *__alloc_percpu(size_t size, size_t align)': (k, size, align) => allocatePercpu(k, size, align),
  'void *__alloc_percpu_gfp(size_t size, size_t align, gfp_t gfp)': (k, size, align) =>
    allocatePercpu(k, size, align),
  'void free_percpu(void *ptr)': (k, at) => {
    if (at === 0) return;
    k.heap.allocations.remove(at);
    if (!k.percpu.free(at)) badAccess(k, at);
  },
  'phys_addr_t per_cpu_ptr_to_phys(void *addr)': (k, at) =>
    (k.memory.pfnOf(at) ?? 0) * PAGE_SIZE + (at & 4095),
});

const word = (symbol: string, value: (k: Linux) => Address): DataInitialiser => ({
  symbol,
  when: 'import',
  fill: (k, at) => pokePointer(k, at, value(k)),
});

/** A 32-bit variable. */
const int = (symbol: string, value: number): DataInitialiser => ({
  symbol,
  when: 'import',
  fill: (k, at) =>
    k.memory.poke(
      at,
      Uint8Array.from([value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, value >> 24]),
    ),
});

/** CONFIG_NR_CPUS=8192 and CONFIG_NODES_SHIFT=10 bits. */
const CPU_MASK_BYTES = 1024;
const NODE_MASK_BYTES = 128;
/** NR_NODE_STATES: possible, online, with normal memory, with memory, with CPUs, with generic initiators. */
const NODE_STATES = 6;

/** A CPU mask with CPU 0 alone. */
const firstCpu = (symbol: string): DataInitialiser => ({
  symbol,
  when: 'import',
  fill: (k, at) => k.memory.poke(at, Uint8Array.of(1)),
});

/** Per-CPU variables are written at boot: machine code reads them through %gs without importing an address. */
function fillPercpu(k: Linux): void {
  const state = k.state(percpuFilled);
  if (state.done) return;
  state.done = true;
  const set = (name: string, write: (at: Address) => void) => {
    const offset = Percpu.offsetOf(k, name);
    if (offset !== undefined) write(k.percpu.base + offset);
  };
  set('this_cpu_off', (at) => k.memory.setPtr(at, k.percpu.base));
  set('cpu_number', (at) => k.memory.set32(at, 0));
  set('numa_node', (at) => k.memory.set32(at, 0));
  // The preemption count starts with the inverted need-resched bit set (arch/x86/include/asm/preempt.h).
  set('__preempt_count', (at) => k.memory.set32(at, 0x80000000 | 0));
}

const percpuFilled = perKernel(() => ({ done: false }));

/**
 * ZERO_PAGE is used through its physical address: the direct map has to show it too. The frames of the
 * image lie behind those of RAM, so the place is free.
 */
function showZeroPage(k: Linux, at: Address): void {
  const seen = k.map.directMap + (at - k.map.imageBase) + imageFrames(k) * PAGE_SIZE;
  // On 32 bits the image is part of the direct map.
  if (k.arch.bits === 32 || k.memory.pfnOf(seen) !== undefined) return;
  k.memory.u8(at);
  const pfn = k.memory.pfnOf(at);
  if (pfn !== undefined) k.memory.map(seen, pfn, 1, Perm.R, 'zero page');
}

export const memoryData: readonly DataInitialiser[] = [
  { symbol: 'empty_zero_page', when: 'import', fill: showZeroPage },
  word('page_offset_base', (k) => k.map.directMap),
  word('vmemmap_base', (k) => k.map.vmemmap),
  word('vmalloc_base', (k) => k.map.vmalloc),
  word('phys_base', (k) => imageFrames(k) * PAGE_SIZE),
  word('high_memory', (k) => k.map.directMap + k.memory.frames.total * PAGE_SIZE),
  word('max_pfn', (k) => k.heap.pages.firstFrame + k.memory.frames.total),
  word('max_low_pfn', (k) => k.heap.pages.firstFrame + k.memory.frames.total),
  // The array of kernels with one piece of memory (FLATMEM).
  word('mem_map', (k) => k.map.vmemmap),
  word('max_mapnr', (k) => k.heap.pages.firstFrame + k.memory.frames.total),
  word('_totalram_pages', (k) => k.memory.frames.total),
  word('physical_mask', () => 2 ** 46 - 1),
  word('sme_me_mask', () => 0),
  { symbol: '__per_cpu_offset', when: 'import', fill: (k, at) => pokePointer(k, at, k.percpu.base) },
  int('nr_cpu_ids', 1),
  int('__num_online_cpus', 1),
  int('__num_possible_cpus', 1),
  int('nr_node_ids', 1),
  int('nr_online_nodes', 1),
  firstCpu('__cpu_online_mask'),
  firstCpu('__cpu_possible_mask'),
  firstCpu('__cpu_present_mask'),
  firstCpu('__cpu_active_mask'),
  {
    symbol: 'cpu_all_bits',
    when: 'import',
    fill: (k, at) => k.memory.poke(at, new Uint8Array(CPU_MASK_BYTES).fill(255)),
  },
  // cpumask_of(n): row 1 + n % 64 has bit n % 64 set in its first word (include/linux/cpumask.h).
  {
    symbol: 'cpu_bit_bitmap',
    when: 'import',
    fill: (k, at) => {
      for (let bit = 0; bit < 64; bit++) {
        k.memory.poke(at + (1 + bit) * CPU_MASK_BYTES + (bit >> 3), Uint8Array.of(1 << (bit & 7)));
      }
    },
  },
  {
    symbol: 'node_states',
    when: 'import',
    fill: (k, at) => {
      for (let state = 0; state < NODE_STATES; state++)
        k.memory.poke(at + state * NODE_MASK_BYTES, Uint8Array.of(1));
    },
  },
  int('pgdir_shift', 39),
  int('ptrs_per_p4d', 1),
  { symbol: '__fentry__', when: 'boot', fill: (k) => fillPercpu(k) },
];
