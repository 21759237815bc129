/** xarray, radix tree, idr and ida functions over the tree of xarray-tree.ts. */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { callerOf, kernelWarning } from './caller.ts';
import { kernelFunctions } from './define.ts';
import { disablePreemption } from './sched.ts';
import { indexOf, Tree, ZERO_ENTRY } from './xarray-tree.ts';

/** INT_MAX: the highest ID of an idr or ida. */
const INT_MAX = 0x7fffffff;
const MAX_INDEX = Number.MAX_SAFE_INTEGER;
/** XA_PRESENT: a filter that every entry passes. */
const PRESENT = 8;

const tree = (k: Linux, root: Address): Tree => new Tree(k, root);

/** xa_mk_internal(-errno): how store functions give an error (xa_err). */
const errorEntry = (errno: number): number => -errno * 4 + 2;

/** A zero entry is a reservation: to readers it is empty. */
const seen = (entry: number): number => (entry === ZERO_ENTRY ? 0 : entry);

const filterOf = (mark: number): number => (mark === PRESENT ? -1 : mark & 3);

function store(k: Linux, xa: Address, index: number, entry: number): number {
  const old = tree(k, xa).store(indexOf(index), entry);
  return old === undefined ? errorEntry(Errno.ENOMEM) : seen(old);
}

function exchange(k: Linux, xa: Address, index: number, old: number, entry: number): number {
  const t = tree(k, xa);
  const there = seen(t.load(indexOf(index)));
  if (there !== old) return there;
  return t.store(indexOf(index), entry) === undefined ? errorEntry(Errno.ENOMEM) : there;
}

function insert(k: Linux, xa: Address, index: number, entry: number): number {
  const t = tree(k, xa);
  if (t.load(indexOf(index)) !== 0) return -Errno.EBUSY;
  return t.store(indexOf(index), entry === 0 ? ZERO_ENTRY : entry) === undefined ? -Errno.ENOMEM : 0;
}

/** Finds an entry and moves the caller's index to it. */
function findNext(
  k: Linux,
  xa: Address,
  indexAt: Address,
  max: number,
  mark: number,
  after: boolean,
): number {
  const from = indexOf(k.memory.ptr(indexAt)) + (after ? 1 : 0);
  const found = tree(k, xa).next(from, indexOf(max), filterOf(mark));
  if (found === undefined) return 0;
  k.memory.setPtr(indexAt, found.index);
  return found.entry;
}

/** __xa_alloc: the limits, struct xa_limit { u32 max; u32 min; }, come in one register. */
function allocateIndex(k: Linux, xa: Address, id: Address, entry: number, min: number, max: number): number {
  const t = tree(k, xa);
  const index = t.firstFree(min, max);
  if (index === undefined) return -Errno.EBUSY;
  if (t.store(index, entry === 0 ? ZERO_ENTRY : entry) === undefined) return -Errno.ENOMEM;
  k.memory.set32(id, index);
  return 0;
}

/** XAS_BOUNDS: the index lies beyond what the tree reaches. */
const BOUNDS = 1;

/** xas_load: the entry at the state's index, as it is stored; the state then says which node holds it. */
function loadState(k: Linux, state: Address): number {
  const place = tree(k, k.read('xa_state.xa', state)).find(indexOf(k.read('xa_state.xa_index', state)));
  k.write('xa_state.xa_node', state, place?.node ?? BOUNDS);
  if (place === undefined) return 0;
  k.write('xa_state.xa_offset', state, place.offset);
  return k.memory.ptr(place.slot);
}

export const xarrays = kernelFunctions({
  'void *xas_load(struct xa_state *xas)': loadState,
  'void *xa_load(struct xarray *xa, unsigned long index)': (k, xa, index) =>
    seen(tree(k, xa).load(indexOf(index))),
  'void *xa_store(struct xarray *xa, unsigned long index, void *entry, gfp_t gfp)': (k, xa, index, entry) =>
    store(k, xa, index, entry),
  'void *__xa_store(struct xarray *xa, unsigned long index, void *entry, gfp_t gfp)': (k, xa, index, entry) =>
    store(k, xa, index, entry),
  'void *xa_erase(struct xarray *xa, unsigned long index)': (k, xa, index) => store(k, xa, index, 0),
  'void *__xa_erase(struct xarray *xa, unsigned long index)': (k, xa, index) => store(k, xa, index, 0),
  'void *__xa_cmpxchg(struct xarray *xa, unsigned long index, void *old, void *entry, gfp_t gfp)': (
    k,
    xa,
    index,
    old,
    entry,
  ) => exchange(k, xa, index, old, entry),
  'int __xa_insert(struct xarray *xa, unsigned long index, void *entry, gfp_t gfp)': (k, xa, index, entry) =>
    insert(k, xa, index, entry),
  'void *xa_find(struct xarray *xa, unsigned long *indexp, unsigned long max, xa_mark_t filter)': (
    k,
    xa,
    index,
    max,
    filter,
  ) => findNext(k, xa, index, max, filter, false),
  'void *xa_find_after(struct xarray *xa, unsigned long *indexp, unsigned long max, xa_mark_t filter)': (
    k,
    xa,
    index,
    max,
    filter,
  ) => findNext(k, xa, index, max, filter, true),
  'int __xa_alloc(struct xarray *xa, u32 *id, void *entry, struct xa_limit limit, gfp_t gfp)': (
    k,
    xa,
    id,
    entry,
    limit,
  ) => allocateIndex(k, xa, id, entry, Math.floor(limit / 2 ** 32) >>> 0, limit >>> 0),
  'int __xa_alloc_cyclic(struct xarray *xa, u32 *id, void *entry, struct xa_limit limit, u32 *next, gfp_t gfp)':
    (k, xa, id, entry, limit, next) => {
      const [min, max] = [Math.floor(limit / 2 ** 32) >>> 0, limit >>> 0];
      const result = allocateIndex(k, xa, id, entry, Math.max(min, k.memory.u32(next)), max);
      const wrapped = result === -Errno.EBUSY && k.memory.u32(next) > min;
      const final = wrapped ? allocateIndex(k, xa, id, entry, min, max) : result;
      if (final === 0) k.memory.set32(next, k.memory.u32(id) + 1);
      return final === 0 && wrapped ? 1 : final;
    },
  'unsigned int xa_extract(struct xarray *xa, void **dst, unsigned long start, unsigned long max, unsigned int n, xa_mark_t filter)':
    (k, xa, dst, start, max, n, filter) =>
      gather(k, tree(k, xa), dst, start, indexOf(max), n, filterOf(filter)),
  'void xa_destroy(struct xarray *xa)': (k, xa) => tree(k, xa).destroy(),
  'void xa_set_mark(struct xarray *xa, unsigned long index, xa_mark_t mark)': (k, xa, index, mark) =>
    tree(k, xa).setMark(indexOf(index), mark),
  'void __xa_set_mark(struct xarray *xa, unsigned long index, xa_mark_t mark)': (k, xa, index, mark) =>
    tree(k, xa).setMark(indexOf(index), mark),
  'void xa_clear_mark(struct xarray *xa, unsigned long index, xa_mark_t mark)': (k, xa, index, mark) =>
    tree(k, xa).clearMark(indexOf(index), mark),
  'void __xa_clear_mark(struct xarray *xa, unsigned long index, xa_mark_t mark)': (k, xa, index, mark) =>
    tree(k, xa).clearMark(indexOf(index), mark),
  'bool xa_get_mark(struct xarray *xa, unsigned long index, xa_mark_t mark)': (k, xa, index, mark) =>
    tree(k, xa).marked(indexOf(index), mark),
});

/** Collects entries into an array; how many. */
function gather(
  k: Linux,
  t: Tree,
  dst: Address,
  start: number,
  max: number,
  n: number,
  mark: number,
): number {
  let index = indexOf(start);
  let count = 0;
  while (count < n) {
    const found = t.next(index, max, mark);
    if (found === undefined) break;
    k.memory.setPtr(dst + count * k.word, found.entry);
    index = found.index + 1;
    count++;
  }
  return count;
}

export const radixTrees = kernelFunctions({
  'void *radix_tree_lookup(const struct xarray *root, unsigned long index)': (k, root, index) =>
    tree(k, root).load(indexOf(index)),
  'void **radix_tree_lookup_slot(const struct xarray *root, unsigned long index)': (k, root, index) => {
    const place = tree(k, root).find(indexOf(index));
    return place === undefined || k.memory.ptr(place.slot) === 0 ? 0 : place.slot;
  },
  'int radix_tree_insert(struct xarray *root, unsigned long index, void *item)': (k, root, index, item) => {
    const t = tree(k, root);
    if (t.load(indexOf(index)) !== 0) return -Errno.EEXIST;
    return t.store(indexOf(index), item) === undefined ? -Errno.ENOMEM : 0;
  },
  'void *radix_tree_delete(struct xarray *root, unsigned long index)': (k, root, index) =>
    tree(k, root).store(indexOf(index), 0) ?? 0,
  'void *radix_tree_delete_item(struct xarray *root, unsigned long index, void *item)': (
    k,
    root,
    index,
    item,
  ) => {
    const t = tree(k, root);
    if (item !== 0 && t.load(indexOf(index)) !== item) return 0;
    return t.store(indexOf(index), 0) ?? 0;
  },
  'unsigned int radix_tree_gang_lookup(const struct xarray *root, void **results, unsigned long first_index, unsigned int max_items)':
    (k, root, results, first, max) => gather(k, tree(k, root), results, first, MAX_INDEX, max, -1),
  'unsigned int radix_tree_gang_lookup_tag(const struct xarray *root, void **results, unsigned long first_index, unsigned int max_items, unsigned int tag)':
    (k, root, results, first, max, tag) => gather(k, tree(k, root), results, first, MAX_INDEX, max, tag),
  'void *radix_tree_tag_set(struct xarray *root, unsigned long index, unsigned int tag)': (
    k,
    root,
    index,
    tag,
  ) => {
    tree(k, root).setMark(indexOf(index), tag);
    return tree(k, root).load(indexOf(index));
  },
  'void *radix_tree_tag_clear(struct xarray *root, unsigned long index, unsigned int tag)': (
    k,
    root,
    index,
    tag,
  ) => {
    tree(k, root).clearMark(indexOf(index), tag);
    return tree(k, root).load(indexOf(index));
  },
  'int radix_tree_tag_get(const struct xarray *root, unsigned long index, unsigned int tag)': (
    k,
    root,
    index,
    tag,
  ) => (tree(k, root).marked(indexOf(index), tag) ? 1 : 0),
  'int radix_tree_tagged(const struct xarray *root, unsigned int tag)': (k, root, tag) =>
    tree(k, root).rootMarked(tag) ? 1 : 0,
  // Preemption stays off until radix_tree_preload_end, which is inline.
  'int radix_tree_preload(gfp_t gfp_mask)': (k) => {
    disablePreemption(k);
    return 0;
  },
  'int radix_tree_maybe_preload(gfp_t gfp_mask)': (k) => {
    disablePreemption(k);
    return 0;
  },
});

// -- idr --------------------------------------------------------------------------------------------------------

const baseOf = (k: Linux, idr: Address): number => k.read('idr.idr_base', idr);

/** Takes the first free ID of [start, end], counted from the idr's base. */
function takeId(k: Linux, idr: Address, entry: number, start: number, end: number): number {
  const base = baseOf(k, idr);
  const t = tree(k, idr);
  const index = t.firstFree(Math.max(0, start - base), end - base);
  if (index === undefined) return -Errno.ENOSPC;
  // A NULL pointer occupies its place too: the tree cannot hold it, so it is stored as a reservation.
  return t.store(index, entry === 0 ? ZERO_ENTRY : entry) === undefined ? -Errno.ENOMEM : index + base;
}

function* forEach(k: Linux, idr: Address, func: Address, data: Address): Steps<number> {
  const base = baseOf(k, idr);
  const t = tree(k, idr);
  for (let found = t.next(0, INT_MAX); found !== undefined; found = t.next(found.index + 1, INT_MAX)) {
    const result = yield* k.callInt(func, found.index + base, found.entry, data);
    if (result !== 0) return result;
  }
  return 0;
}

export const idrs = kernelFunctions({
  'int idr_alloc(struct idr *idr, void *ptr, int start, int end, gfp_t gfp)': (k, idr, entry, start, end) => {
    if (start < 0) {
      kernelWarning(k, 'lib/idr.c:86');
      return -Errno.EINVAL;
    }
    return takeId(k, idr, entry, start, end > 0 ? end - 1 : INT_MAX);
  },
  'int idr_alloc_u32(struct idr *idr, void *ptr, u32 *nextid, unsigned long max, gfp_t gfp)': (
    k,
    idr,
    entry,
    next,
    max,
  ) => {
    const id = takeId(k, idr, entry, k.memory.u32(next), indexOf(max));
    if (id < 0) return id;
    k.memory.set32(next, id);
    return 0;
  },
  'int idr_alloc_cyclic(struct idr *idr, void *ptr, int start, int end, gfp_t gfp)': (
    k,
    idr,
    entry,
    start,
    end,
  ) => {
    const max = end > 0 ? end - 1 : INT_MAX;
    let id = takeId(k, idr, entry, Math.max(start, k.read('idr.idr_next', idr)), max);
    if (id === -Errno.ENOSPC && start < k.read('idr.idr_next', idr)) id = takeId(k, idr, entry, start, max);
    if (id >= 0) k.write('idr.idr_next', idr, id + 1);
    return id;
  },
  'void *idr_find(const struct idr *idr, unsigned long id)': (k, idr, id) =>
    seen(tree(k, idr).load(indexOf(id - baseOf(k, idr)))),
  'void *idr_remove(struct idr *idr, unsigned long id)': (k, idr, id) =>
    seen(tree(k, idr).store(indexOf(id - baseOf(k, idr)), 0) ?? 0),
  'void *idr_replace(struct idr *idr, void *ptr, unsigned long id)': (k, idr, entry, id) => {
    const t = tree(k, idr);
    const index = indexOf(id - baseOf(k, idr));
    if (t.load(index) === 0) return -Errno.ENOENT;
    return seen(t.store(index, entry) ?? 0);
  },
  'int idr_for_each(const struct idr *idr, int (*fn)(int, void *, void *), void *data)': (
    k,
    idr,
    func,
    data,
  ) => forEach(k, idr, func, data),
  'void *idr_get_next(struct idr *idr, int *nextid)': (k, idr, next) => {
    const found = tree(k, idr).next(Math.max(0, k.memory.i32(next) - baseOf(k, idr)), INT_MAX);
    if (found === undefined) return 0;
    k.memory.set32(next, found.index + baseOf(k, idr));
    return found.entry;
  },
  'void *idr_get_next_ul(struct idr *idr, unsigned long *nextid)': (k, idr, next) => {
    const found = tree(k, idr).next(Math.max(0, k.memory.ptr(next) - baseOf(k, idr)), MAX_INDEX);
    if (found === undefined) return 0;
    k.memory.setPtr(next, found.index + baseOf(k, idr));
    return found.entry;
  },
  'void idr_destroy(struct idr *idr)': (k, idr) => {
    tree(k, idr).destroy();
    k.write('idr.idr_next', idr, 0);
  },
  // Preemption stays off until idr_preload_end, which is inline.
  'void idr_preload(gfp_t gfp_mask)': (k) => disablePreemption(k),
});

// -- ida: bitmaps of 1024 bits hung into an xarray ----------------------------------------------------------------

const BITMAP_BITS = 1024;
const BITMAP_BYTES = BITMAP_BITS / 8;

function allocateFromIda(k: Linux, ida: Address, min: number, max: number): number {
  const t = tree(k, ida);
  const last = max > INT_MAX ? INT_MAX : max;
  for (let id = min; id <= last; ) {
    const chunk = Math.floor(id / BITMAP_BITS);
    let bitmap = t.load(chunk);
    if (bitmap === 0) {
      bitmap = k.heap.allocate(BITMAP_BYTES, undefined, callerOf(k));
      if (bitmap === 0 || t.store(chunk, bitmap) === undefined) return -Errno.ENOMEM;
    }
    const free = freeBit(k.memory.bytes(bitmap, BITMAP_BYTES), id % BITMAP_BITS);
    if (free >= 0) {
      const taken = chunk * BITMAP_BITS + free;
      if (taken > last) return -Errno.ENOSPC;
      k.memory.set8(bitmap + (free >> 3), k.memory.u8(bitmap + (free >> 3)) | (1 << (free & 7)));
      return taken;
    }
    id = (chunk + 1) * BITMAP_BITS;
  }
  return -Errno.ENOSPC;
}

function freeBit(bytes: Uint8Array, from: number): number {
  for (let bit = from; bit < BITMAP_BITS; bit++) if (((bytes[bit >> 3] >> (bit & 7)) & 1) === 0) return bit;
  return -1;
}

function freeInIda(k: Linux, ida: Address, id: number): void {
  const t = tree(k, ida);
  const chunk = Math.floor(id / BITMAP_BITS);
  const bitmap = t.load(chunk);
  const bit = id % BITMAP_BITS;
  if (bitmap === 0 || ((k.memory.u8(bitmap + (bit >> 3)) >> (bit & 7)) & 1) === 0) {
    kernelWarning(k, 'lib/idr.c:527', `ida_free called for id=${id} which is not allocated.`);
    return;
  }
  k.memory.set8(bitmap + (bit >> 3), k.memory.u8(bitmap + (bit >> 3)) & ~(1 << (bit & 7)));
  if (k.memory.bytes(bitmap, BITMAP_BYTES).some((byte) => byte !== 0)) return;
  t.store(chunk, 0);
  k.heap.free(bitmap);
}

export const idas = kernelFunctions({
  'int ida_alloc_range(struct ida *ida, unsigned int min, unsigned int max, gfp_t gfp)': (
    k,
    ida,
    min,
    max,
  ) => (min > INT_MAX ? -Errno.ENOSPC : allocateFromIda(k, ida, min, max)),
  'void ida_free(struct ida *ida, unsigned int id)': (k, ida, id) => {
    if (id <= INT_MAX) freeInIda(k, ida, id);
  },
  'void ida_destroy(struct ida *ida)': (k, ida) => {
    const t = tree(k, ida);
    for (let found = t.next(0, INT_MAX); found !== undefined; found = t.next(found.index + 1, INT_MAX)) {
      k.heap.free(found.entry);
    }
    t.destroy();
  },
});
