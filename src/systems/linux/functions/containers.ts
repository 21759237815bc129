/** klist, llist, kfifo and memory pools. */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { addHead, addTail, initList, unlink } from '../lists.ts';
import { copyFromUser, copyToUser } from '../user.ts';
import { callerOf } from './caller.ts';
import { kernelFunctions } from './define.ts';
import { initWaitQueue } from './wait.ts';

// -- klist: nodes with reference counts; bit 0 of n_klist marks a node that is dead but still referenced -------------

const DEAD = 1;

const nodeLink = (k: Linux, node: Address): Address => node + k.offset('klist_node.n_node');
const listOf = (k: Linux, node: Address): Address => {
  const word = k.read('klist_node.n_klist', node);
  return word - (word & DEAD);
};

function* attach(k: Linux, list: Address, node: Address, link: (entry: Address) => void): Steps<void> {
  initList(k, nodeLink(k, node));
  k.write('klist_node.n_ref.refcount.refs.counter', node, 1);
  k.write('klist_node.n_klist', node, list);
  const get = k.read('klist.get', list);
  if (get !== 0) yield* k.call(get, node);
  link(nodeLink(k, node));
}

/** Drops a reference; the last one takes the node off its list and tells the owner. */
function* putNode(k: Linux, node: Address, kill: boolean): Steps<void> {
  const list = listOf(k, node);
  if (kill) k.write('klist_node.n_klist', node, list + DEAD);
  const count = k.read('klist_node.n_ref.refcount.refs.counter', node) - 1;
  k.write('klist_node.n_ref.refcount.refs.counter', node, count);
  if (count !== 0) return;
  unlink(k, nodeLink(k, node));
  k.write('klist_node.n_klist', node, 0);
  const put = k.read('klist.put', list);
  if (put !== 0) yield* k.call(put, node);
}

function* stepKlist(k: Linux, iterator: Address, forward: boolean): Steps<Address> {
  const list = k.read('klist_iter.i_klist', iterator);
  const head = list + k.offset('klist.k_list');
  const last = k.read('klist_iter.i_cur', iterator);
  const side = forward ? 0 : k.word;
  let link = k.memory.ptr((last === 0 ? head : nodeLink(k, last)) + side);
  if (last !== 0) yield* putNode(k, last, false);
  k.write('klist_iter.i_cur', iterator, 0);
  for (; link !== head; link = k.memory.ptr(link + side)) {
    const node = link - k.offset('klist_node.n_node');
    if ((k.read('klist_node.n_klist', node) & DEAD) !== 0) continue;
    const refs = k.read('klist_node.n_ref.refcount.refs.counter', node);
    k.write('klist_node.n_ref.refcount.refs.counter', node, refs + 1);
    k.write('klist_iter.i_cur', iterator, node);
    return node;
  }
  return 0;
}

export const klists = kernelFunctions({
  'void klist_init(struct klist *k, void (*get)(struct klist_node *), void (*put)(struct klist_node *))': (
    k,
    list,
    get,
    put,
  ) => {
    k.memory.set32(list, 0);
    initList(k, list + k.offset('klist.k_list'));
    k.write('klist.get', list, get);
    k.write('klist.put', list, put);
  },
  'void klist_add_head(struct klist_node *n, struct klist *k)': (k, node, list) =>
    attach(k, list, node, (entry) => addHead(k, entry, list + k.offset('klist.k_list'))),
  'void klist_add_tail(struct klist_node *n, struct klist *k)': (k, node, list) =>
    attach(k, list, node, (entry) => addTail(k, entry, list + k.offset('klist.k_list'))),
  'void klist_add_behind(struct klist_node *n, struct klist_node *pos)': (k, node, place) =>
    attach(k, listOf(k, place), node, (entry) => addHead(k, entry, nodeLink(k, place))),
  'void klist_add_before(struct klist_node *n, struct klist_node *pos)': (k, node, place) =>
    attach(k, listOf(k, place), node, (entry) => addTail(k, entry, nodeLink(k, place))),
  'void klist_del(struct klist_node *n)': (k, node) => putNode(k, node, true),
  // The real one waits for other holders of the node; those run before this task goes on, or never.
  'void klist_remove(struct klist_node *n)': (k, node) => putNode(k, node, true),
  'int klist_node_attached(struct klist_node *n)': (k, node) =>
    k.read('klist_node.n_klist', node) !== 0 ? 1 : 0,
  'void klist_iter_init(struct klist *k, struct klist_iter *i)': (k, list, iterator) => {
    k.write('klist_iter.i_klist', iterator, list);
    k.write('klist_iter.i_cur', iterator, 0);
  },
  'void klist_iter_init_node(struct klist *k, struct klist_iter *i, struct klist_node *n)': (
    k,
    list,
    iterator,
    node,
  ) => {
    k.write('klist_iter.i_klist', iterator, list);
    k.write('klist_iter.i_cur', iterator, node);
    if (node === 0) return;
    const refs = k.read('klist_node.n_ref.refcount.refs.counter', node);
    k.write('klist_node.n_ref.refcount.refs.counter', node, refs + 1);
  },
  'void klist_iter_exit(struct klist_iter *i)': function* (k, iterator) {
    const node = k.read('klist_iter.i_cur', iterator);
    k.write('klist_iter.i_cur', iterator, 0);
    if (node !== 0) yield* putNode(k, node, false);
  },
  'struct klist_node *klist_next(struct klist_iter *i)': (k, iterator) => stepKlist(k, iterator, true),
  'struct klist_node *klist_prev(struct klist_iter *i)': (k, iterator) => stepKlist(k, iterator, false),
});

// -- llist ---------------------------------------------------------------------------------------------------------

export const llists = kernelFunctions({
  'bool llist_add_batch(struct llist_node *new_first, struct llist_node *new_last, struct llist_head *head)':
    (k, first, last, head) => {
      const old = k.memory.ptr(head);
      k.memory.setPtr(last, old);
      k.memory.setPtr(head, first);
      return old === 0;
    },
  'struct llist_node *llist_del_first(struct llist_head *head)': (k, head) => {
    const first = k.memory.ptr(head);
    if (first !== 0) k.memory.setPtr(head, k.memory.ptr(first));
    return first;
  },
  'struct llist_node *llist_reverse_order(struct llist_node *head)': (k, node) => {
    let reversed: Address = 0;
    while (node !== 0) {
      const next = k.memory.ptr(node);
      k.memory.setPtr(node, reversed);
      reversed = node;
      node = next;
    }
    return reversed;
  },
});

// -- kfifo: `in` and `out` count for ever, the mask finds their places ---------------------------------------------

interface Fifo {
  readonly at: Address;
  readonly in: number;
  readonly out: number;
  readonly size: number;
  readonly element: number;
  readonly data: Address;
}

function fifo(k: Linux, at: Address): Fifo {
  const field = (name: string) => k.read(`__kfifo.${name}`, at);
  return {
    at,
    in: field('in'),
    out: field('out'),
    size: field('mask') + 1,
    element: field('esize'),
    data: field('data'),
  };
}

const used = (f: Fifo): number => (f.in - f.out) >>> 0;

/** Calls `copy` for the one or two pieces that `count` elements from `position` on occupy. */
function pieces(
  f: Fifo,
  position: number,
  count: number,
  copy: (at: Address, offset: number, bytes: number) => void,
): void {
  const start = position % f.size;
  const first = Math.min(count, f.size - start);
  copy(f.data + start * f.element, 0, first * f.element);
  if (count > first) copy(f.data, first * f.element, (count - first) * f.element);
}

function setUpFifo(k: Linux, at: Address, data: Address, size: number, element: number): void {
  k.write('__kfifo.in', at, 0);
  k.write('__kfifo.out', at, 0);
  k.write('__kfifo.mask', at, size === 0 ? 0 : size - 1);
  k.write('__kfifo.esize', at, element);
  k.write('__kfifo.data', at, data);
}

function peek(k: Linux, f: Fifo, buffer: Address, length: number): number {
  const count = Math.min(length, used(f));
  pieces(f, f.out, count, (at, offset, bytes) => k.memory.copy(buffer + offset, at, bytes));
  return count;
}

export const kfifos = kernelFunctions({
  'int __kfifo_alloc(struct __kfifo *fifo, unsigned int size, size_t esize, gfp_t gfp_mask)': (
    k,
    at,
    size,
    element,
    gfp,
  ) => {
    const rounded = 2 ** Math.ceil(Math.log2(Math.max(1, size)));
    const data = rounded < 2 ? 0 : k.heap.allocate(rounded * element, gfp, callerOf(k));
    setUpFifo(k, at, data, data === 0 ? 0 : rounded, element);
    if (rounded < 2) return -Errno.EINVAL;
    return data === 0 ? -Errno.ENOMEM : 0;
  },
  'int __kfifo_init(struct __kfifo *fifo, void *buffer, unsigned int size, size_t esize)': (
    k,
    at,
    buffer,
    bytes,
    element,
  ) => {
    const count = Math.floor(bytes / element);
    const rounded = count === 0 ? 0 : 2 ** Math.floor(Math.log2(count));
    setUpFifo(k, at, buffer, rounded, element);
    return rounded < 2 ? -Errno.EINVAL : 0;
  },
  'void __kfifo_free(struct __kfifo *fifo)': (k, at) => {
    k.heap.free(k.read('__kfifo.data', at));
    setUpFifo(k, at, 0, 0, 0);
  },
  'unsigned int __kfifo_in(struct __kfifo *fifo, const void *buf, unsigned int len)': (
    k,
    at,
    buffer,
    length,
  ) => {
    const f = fifo(k, at);
    const count = Math.min(length, f.size - used(f));
    pieces(f, f.in, count, (to, offset, bytes) => k.memory.copy(to, buffer + offset, bytes));
    k.write('__kfifo.in', at, (f.in + count) >>> 0);
    return count;
  },
  'unsigned int __kfifo_out_peek(struct __kfifo *fifo, void *buf, unsigned int len)': (
    k,
    at,
    buffer,
    length,
  ) => peek(k, fifo(k, at), buffer, length),
  'unsigned int __kfifo_out(struct __kfifo *fifo, void *buf, unsigned int len)': (k, at, buffer, length) => {
    const f = fifo(k, at);
    const count = peek(k, f, buffer, length);
    k.write('__kfifo.out', at, (f.out + count) >>> 0);
    return count;
  },
  'int __kfifo_from_user(struct __kfifo *fifo, const void *from, unsigned long len, unsigned int *copied)': (
    k,
    at,
    from,
    length,
    copied,
  ) => {
    const f = fifo(k, at);
    const count = Math.min(Math.floor(length / f.element), f.size - used(f));
    let left = 0;
    pieces(f, f.in, count, (to, offset, bytes) => {
      left += left > 0 ? bytes : copyFromUser(k, to, from + offset, bytes);
    });
    const done = count - Math.ceil(left / f.element);
    k.write('__kfifo.in', at, (f.in + done) >>> 0);
    k.memory.set32(copied, done * f.element);
    return left > 0 ? -Errno.EFAULT : 0;
  },
  'int __kfifo_to_user(struct __kfifo *fifo, void *to, unsigned long len, unsigned int *copied)': (
    k,
    at,
    to,
    length,
    copied,
  ) => {
    const f = fifo(k, at);
    const count = Math.min(Math.floor(length / f.element), used(f));
    let left = 0;
    pieces(f, f.out, count, (from, offset, bytes) => {
      left += left > 0 ? bytes : copyToUser(k, to + offset, from, bytes);
    });
    const done = count - Math.ceil(left / f.element);
    k.write('__kfifo.out', at, (f.out + done) >>> 0);
    k.memory.set32(copied, done * f.element);
    return left > 0 ? -Errno.EFAULT : 0;
  },
});

// -- memory pools --------------------------------------------------------------------------------------------------

/** struct mempool_s lost its ending after 6.12. */
const poolType = (k: Linux): string => (k.types.has('mempool_s.min_nr') ? 'mempool_s' : 'mempool');
const inPool = (k: Linux, field: string): string => `${poolType(k)}.${field}`;

function* fillPool(
  k: Linux,
  pool: Address,
  min: number,
  alloc: Address,
  free: Address,
  data: Address,
): Steps<number> {
  const elements = k.heap.allocate(min * k.word, undefined, callerOf(k));
  if (elements === 0) return -Errno.ENOMEM;
  k.memory.set32(pool, 0);
  k.write(inPool(k, 'min_nr'), pool, min);
  k.write(inPool(k, 'curr_nr'), pool, 0);
  k.write(inPool(k, 'elements'), pool, elements);
  k.write(inPool(k, 'pool_data'), pool, data);
  k.write(inPool(k, 'alloc'), pool, alloc);
  k.write(inPool(k, 'free'), pool, free);
  initWaitQueue(k, pool + k.offset(inPool(k, 'wait')));
  for (let i = 0; i < min; i++) {
    const element = yield* k.call(alloc, 0xcc0, data);
    if (element === 0) {
      yield* emptyPool(k, pool);
      return -Errno.ENOMEM;
    }
    putElement(k, pool, element);
  }
  return 0;
}

function putElement(k: Linux, pool: Address, element: Address): void {
  const count = k.read(inPool(k, 'curr_nr'), pool);
  k.memory.setPtr(k.read(inPool(k, 'elements'), pool) + count * k.word, element);
  k.write(inPool(k, 'curr_nr'), pool, count + 1);
}

function takeElement(k: Linux, pool: Address): Address {
  const count = k.read(inPool(k, 'curr_nr'), pool);
  if (count === 0) return 0;
  k.write(inPool(k, 'curr_nr'), pool, count - 1);
  return k.memory.ptr(k.read(inPool(k, 'elements'), pool) + (count - 1) * k.word);
}

function* emptyPool(k: Linux, pool: Address): Steps<void> {
  const free = k.read(inPool(k, 'free'), pool);
  for (let element = takeElement(k, pool); element !== 0; element = takeElement(k, pool)) {
    yield* k.call(free, element, k.read(inPool(k, 'pool_data'), pool));
  }
  k.heap.free(k.read(inPool(k, 'elements'), pool));
  k.write(inPool(k, 'elements'), pool, 0);
}

function* createPool(k: Linux, min: number, alloc: Address, free: Address, data: Address): Steps<Address> {
  const pool = k.heap.allocate(k.sizeof(poolType(k)), undefined, callerOf(k));
  if (pool === 0) return 0;
  if ((yield* fillPool(k, pool, min, alloc, free, data)) === 0) return pool;
  k.heap.free(pool);
  return 0;
}

export const mempools = kernelFunctions({
  'mempool_t *mempool_create(int min_nr, mempool_alloc_t *alloc_fn, mempool_free_t *free_fn, void *pool_data)':
    (k, min, alloc, free, data) => createPool(k, min, alloc, free, data),
  'mempool_t *mempool_create_node(int min_nr, mempool_alloc_t *alloc_fn, mempool_free_t *free_fn, void *pool_data, gfp_t gfp_mask, int node_id)':
    (k, min, alloc, free, data) => createPool(k, min, alloc, free, data),
  'int mempool_init(mempool_t *pool, int min_nr, mempool_alloc_t *alloc_fn, mempool_free_t *free_fn, void *pool_data)':
    (k, pool, min, alloc, free, data) => fillPool(k, pool, min, alloc, free, data),
  'void mempool_exit(mempool_t *pool)': (k, pool) => emptyPool(k, pool),
  'void mempool_destroy(mempool_t *pool)': function* (k, pool) {
    if (pool === 0) return;
    yield* emptyPool(k, pool);
    k.heap.free(pool);
  },
  'void *mempool_alloc(mempool_t *pool, gfp_t gfp_mask)': function* (k, pool, gfp) {
    const fresh = yield* k.call(k.read(inPool(k, 'alloc'), pool), gfp, k.read(inPool(k, 'pool_data'), pool));
    return fresh !== 0 ? fresh : takeElement(k, pool);
  },
  'void mempool_free(void *element, mempool_t *pool)': function* (k, element, pool) {
    if (element === 0) return;
    if (k.read(inPool(k, 'curr_nr'), pool) < k.read(inPool(k, 'min_nr'), pool)) putElement(k, pool, element);
    else yield* k.call(k.read(inPool(k, 'free'), pool), element, k.read(inPool(k, 'pool_data'), pool));
  },
  'void *mempool_kmalloc(gfp_t gfp_mask, void *pool_data)': (k, gfp, size) =>
    k.heap.allocate(size, gfp, callerOf(k)),
  'void mempool_kfree(void *element, void *pool_data)': (k, element) => k.heap.free(element),
  'void *mempool_alloc_slab(gfp_t gfp_mask, void *pool_data)': (k, gfp, at) => {
    const cache = k.heap.cacheAt(at);
    return cache === undefined ? 0 : k.heap.allocateFrom(cache, gfp, callerOf(k));
  },
  'void mempool_free_slab(void *element, void *pool_data)': (k, element) => k.heap.free(element),
  'void *mempool_alloc_pages(gfp_t gfp_mask, void *pool_data)': (k, gfp, order) =>
    k.heap.pages.allocate(order, gfp, callerOf(k)),
  'void mempool_free_pages(void *element, void *pool_data)': (k, page, order) =>
    k.heap.pages.free(page, order),
});
