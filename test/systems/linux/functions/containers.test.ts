import { describe, expect, it } from 'vitest';
import fc from '../../../properties.ts';
import { boot, call } from './harness.ts';

const k = boot();

describe('xarray against a Map', () => {
  it('stores, erases, finds and gives all memory back', () => {
    const xa = k.heap.allocate(k.sizeof('xarray'));
    const index = fc.oneof(fc.nat(200), fc.nat(70_000), fc.constant(0));
    const step = fc.record({ index, erase: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const model = new Map<number, number>();
        const before = k.memory.frames.statistics().used;
        for (const { index, erase } of steps) {
          const entry = 0x100000 + index * 8;
          const old = model.get(index) ?? 0;
          expect(call(k, erase ? 'xa_erase' : 'xa_store', xa, index, entry, 0)).toBe(old);
          if (erase) model.delete(index);
          else model.set(index, entry);
        }
        const cursor = k.heap.allocate(8);
        const seen: number[] = [];
        let entry = call(k, 'xa_find', xa, cursor, 0x7fffffff, 8);
        while (entry !== 0) {
          seen.push(k.memory.ptr(cursor));
          entry = call(k, 'xa_find_after', xa, cursor, 0x7fffffff, 8);
        }
        k.heap.free(cursor);
        expect(seen).toEqual([...model.keys()].sort((a, b) => a - b));
        call(k, 'xa_destroy', xa);
        expect(k.memory.ptr(xa + k.offset('xarray.xa_head'))).toBe(0);
        expect(k.memory.frames.statistics().used).toBeLessThanOrEqual(before + 40);
      }),
      { numRuns: 60 },
    );
  });

  it('marks reach the root and go when the entry goes', () => {
    const xa = k.heap.allocate(k.sizeof('xarray'));
    for (const i of [5, 700, 5000]) call(k, 'xa_store', xa, i, 0x1000 + i * 8, 0);
    call(k, 'xa_set_mark', xa, 700, 1);
    expect([5, 700, 5000].map((i) => call(k, 'xa_get_mark', xa, i, 1))).toEqual([0, 1, 0]);
    expect(call(k, 'radix_tree_tagged', xa, 1)).toBe(1);
    call(k, 'xa_erase', xa, 700);
    expect(call(k, 'radix_tree_tagged', xa, 1)).toBe(0);
  });
});

describe('idr and ida', () => {
  it('give the lowest free numbers and refuse when there is none', () => {
    const idr = k.heap.allocate(k.sizeof('idr'));
    const take = (start: number, end: number) => call(k, 'idr_alloc', idr, 0x5000, start, end, 0);
    expect([take(0, 0), take(0, 0), take(10, 0), take(0, 3), take(0, 3)]).toEqual([0, 1, 10, 2, -28]);
    expect(call(k, 'idr_remove', idr, 1)).toBe(0x5000);
    expect(take(0, 0)).toBe(1);
    const ida = k.heap.allocate(k.sizeof('ida'));
    const ids = Array.from({ length: 3 }, () => call(k, 'ida_alloc_range', ida, 1023, 5000, 0));
    expect(ids).toEqual([1023, 1024, 1025]);
    call(k, 'ida_free', ida, 1024);
    expect(call(k, 'ida_alloc_range', ida, 0, 5000, 0)).toBe(0);
  });
});

describe('red-black trees', () => {
  /** Node: the rb_node, then its key. */
  function insert(root: number, key: number): number {
    const node = k.heap.allocate(32);
    k.memory.setPtr(node + 24, key);
    let link = root;
    let parent = 0;
    for (let at = k.memory.ptr(link); at !== 0; at = k.memory.ptr(link)) {
      parent = at;
      link = at + (key < k.memory.ptr(at + 24) ? 16 : 8);
    }
    k.memory.setPtr(node, parent);
    k.memory.setPtr(link, node);
    call(k, 'rb_insert_color', node, root);
    return node;
  }

  /** Black height; throws where a rule of red-black trees is broken. */
  function check(node: number, parentRed: boolean): number {
    if (node === 0) return 1;
    const red = (k.memory.ptr(node) & 1) === 0;
    if (red && parentRed) throw new Error('two red nodes in a row');
    const left = check(k.memory.ptr(node + 16), red);
    if (left !== check(k.memory.ptr(node + 8), red)) throw new Error('black heights differ');
    return left + (red ? 0 : 1);
  }

  it('stay balanced and in order', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(1000), { maxLength: 40 }), fc.nat(40), (keys, removed) => {
        const root = k.heap.allocate(16);
        const nodes = keys.map((key) => insert(root, key));
        nodes.slice(0, removed).forEach((node) => {
          call(k, 'rb_erase', node, root);
          check(k.memory.ptr(root), false);
        });
        const inOrder: number[] = [];
        for (let at = Number(call(k, 'rb_first', root)); at !== 0; at = Number(call(k, 'rb_next', at)))
          inOrder.push(k.memory.ptr(at + 24));
        expect(inOrder).toEqual(keys.slice(removed).sort((a, b) => a - b));
        nodes.forEach((node) => {
          k.heap.free(node);
        });
        k.heap.free(root);
      }),
      { numRuns: 60 },
    );
  });
});

describe('kfifo and bitmaps', () => {
  it('wraps around', () => {
    const fifo = k.heap.allocate(k.sizeof('__kfifo'));
    const buffer = k.heap.allocate(16);
    expect(call(k, '__kfifo_alloc', fifo, 5, 1, 0)).toBe(0);
    k.memory.write(buffer, Uint8Array.of(1, 2, 3, 4, 5, 6));
    expect(call(k, '__kfifo_in', fifo, buffer, 6)).toBe(6);
    expect(call(k, '__kfifo_out', fifo, buffer, 4)).toBe(4);
    expect(call(k, '__kfifo_in', fifo, buffer, 16)).toBe(6);
    expect(call(k, '__kfifo_out', fifo, buffer, 3)).toBe(3);
    expect([...k.memory.bytes(buffer, 3)]).toEqual([5, 6, 1]);
  });

  it('finds bits at word boundaries', () => {
    const map = k.heap.allocate(32);
    for (const bit of [0, 63, 64, 130]) call(k, '__bitmap_set', map, bit, 1);
    expect(call(k, '_find_next_bit', map, 200, 1)).toBe(63);
    expect(call(k, '_find_next_bit', map, 200, 65)).toBe(130);
    expect(call(k, '_find_next_bit', map, 100, 65)).toBe(100);
    expect(call(k, '_find_last_bit', map, 200)).toBe(130);
    expect(call(k, '__bitmap_weight', map, 100)).toBe(3);
    expect(call(k, 'bitmap_find_next_zero_area_off', map, 200, 0, 65, 0, 0)).toBe(65);
  });
});
