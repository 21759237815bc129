import { describe, expect, it } from 'vitest';
import { ThreadKilled } from '../../../../src/kernel/thread.ts';
import { boot, call, text } from './harness.ts';

describe('kmalloc', () => {
  const k = boot();

  it('rounds to the size classes of SLUB and zeroes', () => {
    const usable = (size: number) => call(k, 'ksize', call(k, '__kmalloc', size, 0xcc0));
    expect([1, 9, 65, 97, 129, 193, 1000, 8192, 9000, 100_000].map(usable)).toEqual([
      8, 16, 96, 128, 192, 256, 1024, 8192, 16384, 131072,
    ]);
    expect(call(k, '__kmalloc', 0, 0)).toBe(16);
    expect(call(k, '__kmalloc', 5 << 20, 0)).toBe(0);
    const at = Number(call(k, '__kmalloc', 24, 0));
    k.memory.fill(at, 24, 0xaa);
    call(k, 'kfree', at);
    expect(call(k, '__kmalloc', 24, 0)).toBe(at);
    expect(k.memory.bytes(at, 24).every((byte) => byte === 0)).toBe(true);
  });

  it('ends a task that frees twice, as the hardened allocator does', () => {
    const fresh = boot();
    const at = Number(call(fresh, '__kmalloc', 24, 0));
    call(fresh, 'kfree', at);
    expect(() => call(fresh, 'kfree', at)).toThrow(ThreadKilled);
    expect(fresh.log.records.some((r) => r.text === 'kernel BUG at mm/slub.c:419!')).toBe(true);
  });

  it('gives every page back', () => {
    const fresh = boot();
    const before = fresh.memory.frames.statistics().used;
    const cache = Number(call(fresh, 'kmem_cache_create', text(fresh, 'things'), 1000, 0, 0, 0));
    const objects = Array.from({ length: 50 }, () => Number(call(fresh, 'kmem_cache_alloc', cache, 0)));
    expect(new Set(objects).size).toBe(50);
    objects.forEach((object) => {
      call(fresh, 'kmem_cache_free', cache, object);
    });
    call(fresh, 'kmem_cache_destroy', cache);
    const pages = Number(call(fresh, '__get_free_pages', 0, 3));
    call(fresh, 'free_pages', pages, 3);
    const area = Number(call(fresh, 'vmalloc', 100_000));
    fresh.memory.fill(area, 100_000, 1);
    call(fresh, 'vfree', area);
    // Tasks of the calls themselves keep a slab or two; the 80 pages taken above are back.
    expect(fresh.memory.frames.statistics().used - before).toBeLessThan(12);
  });

  it('counts objects in use, without those that the kernel makes once and keeps', () => {
    const { heap } = boot();
    const before = heap.passingObjects;
    const passing = heap.allocate(100);
    const [kept] = heap.lasting(() => [heap.allocate(100), heap.allocate(5000)]);
    const steps = heap.lastingSteps(
      (function* () {
        const first = heap.allocate(64);
        const answer = yield { kind: 'yield' } as const;
        return first + answer + heap.allocate(64) * 0;
      })(),
    );
    expect(steps.next().done).toBe(false);
    const between = heap.allocate(64);
    expect(steps.next(7)).toMatchObject({ done: true });
    expect(heap.passingObjects - before).toBe(2);
    expect(heap.objectAt(kept)?.taken).toBe(true);
    for (const object of [passing, between, kept]) heap.free(object);
    expect(heap.passingObjects).toBe(before);
    expect(() =>
      heap.lasting(() => {
        throw new Error('no');
      }),
    ).toThrow('no');
    heap.allocate(8);
    expect(heap.passingObjects).toBe(before + 1);
  });

  it('keeps struct page as inline code reads it', () => {
    const page = Number(call(k, 'alloc_pages', 0x40000, 2));
    expect(k.read('page._refcount.counter', page)).toBe(1);
    expect(k.read('page.compound_head', page + 64)).toBe(page + 1);
    const at = k.heap.pages.addressOf(page);
    expect(k.heap.pages.ofAddress(at)).toBe(page);
    call(k, '__free_pages', page, 2);
    expect(k.read('page._refcount.counter', page)).toBe(0);
  });

  it('per-CPU memory is an offset into the area', () => {
    const at = Number(call(k, '__alloc_percpu', 64, 64));
    expect(at).toBeGreaterThan(0);
    expect(at % 64).toBe(0);
    expect(k.percpu.holds(k.percpu.addressOf(at))).toBe(true);
    call(k, 'free_percpu', at);
    expect(k.percpu.sizeOf(at)).toBeUndefined();
  });
});

describe('lists', () => {
  it('finds corruption before it spreads', () => {
    const k = boot();
    const head = k.heap.allocate(48);
    const [a, b] = [head + 16, head + 32];
    k.memory.setPtr(head, head);
    k.memory.setPtr(head + 8, head);
    expect(call(k, '__list_add_valid', a, head, head)).toBe(1);
    k.memory.setPtr(head + 8, b);
    expect(() => call(k, '__list_add_valid', a, head, head)).toThrow(ThreadKilled);
    const lines = k.log.records.map((r) => r.text);
    expect(lines.some((line) => /^list_add corruption\. next->prev should be prev/.test(line))).toBe(true);
    expect(lines).toContain('kernel BUG at lib/list_debug.c:27!');
  });
});

describe('cdev_del', () => {
  it('frees the name that the kobject of the cdev was given', () => {
    const k = boot();
    const name = text(k, 'board');
    const [cdev, operations] = [
      k.heap.allocate(k.sizeof('cdev')),
      k.heap.allocate(k.sizeof('file_operations')),
    ];
    const before = k.heap.passingObjects;
    call(k, 'cdev_init', cdev, operations);
    call(k, 'kobject_set_name', cdev + k.offset('cdev.kobj'), name);
    expect(call(k, 'cdev_add', cdev, 240 << 20, 1)).toBe(0);
    expect(k.heap.passingObjects).toBe(before + 1);
    call(k, 'cdev_del', cdev);
    expect(k.heap.passingObjects).toBe(before);
  });
});
