import { describe, expect, it } from 'vitest';
import { FrameAllocator, FrameError, MAX_ORDER, OutOfMemory } from '../../src/memory/frames.ts';
import fc from '../properties.ts';

describe('FrameAllocator', () => {
  it('never hands out frame 0 and gives all others', () => {
    const frames = new FrameAllocator(64);
    const taken = Array.from({ length: 63 }, () => frames.allocate());
    expect(new Set(taken).size).toBe(63);
    expect(taken).not.toContain(0);
    expect(() => frames.allocate()).toThrow(OutOfMemory);
  });

  it('merges buddies back into the largest blocks', () => {
    const frames = new FrameAllocator(4096);
    const before = frames.statistics();
    const taken = Array.from({ length: 4095 }, () => frames.allocate());
    for (const pfn of taken) frames.free(pfn);
    expect(frames.statistics()).toEqual(before);
    expect(before.largest).toBe(MAX_ORDER);
  });

  it('refuses a second free and a free with another order', () => {
    const frames = new FrameAllocator(64);
    const pfn = frames.allocate(2);
    expect(() => frames.free(pfn, 1)).toThrow(FrameError);
    frames.free(pfn, 2);
    expect(() => frames.free(pfn, 2)).toThrow(FrameError);
  });

  it('counts pages by owner', () => {
    const frames = new FrameAllocator(64);
    const slab = frames.allocate(1, 'slab');
    frames.allocate(2, 'module hello');
    expect(frames.owners()).toEqual([
      { label: 'slab', pages: 2 },
      { label: 'module hello', pages: 4 },
    ]);
    frames.free(slab, 1);
    expect(frames.owners()).toEqual([{ label: 'module hello', pages: 4 }]);
  });

  it('splits a block into frames that are freed alone', () => {
    const frames = new FrameAllocator(64);
    const before = frames.statistics();
    const pfn = frames.allocate(3, 'pages');
    frames.split(pfn, 3);
    for (let i = 0; i < 8; i++) frames.free(pfn + i);
    expect(frames.statistics()).toEqual(before);
    expect(frames.owners()).toEqual([]);
  });

  it('reports fragmentation: free memory in single frames', () => {
    const frames = new FrameAllocator(1024);
    const taken = Array.from({ length: 1023 }, () => frames.allocate());
    for (const pfn of taken) if (pfn % 2 === 0) frames.free(pfn);
    const { fragmentation, largest, free } = frames.statistics();
    expect(largest).toBe(0);
    expect(fragmentation).toBe(1);
    expect(free).toBe(511);
    expect(() => frames.allocate(1)).toThrow(/511 frames are free in smaller blocks/);
  });

  it('keeps blocks aligned, disjoint and accounted for, whatever the order of calls', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('take' as const), order: fc.nat(6) }),
      fc.record({ kind: fc.constant('give' as const), index: fc.nat(1000) }),
    );
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 700 }), fc.array(step, { maxLength: 200 }), (total, steps) => {
        const frames = new FrameAllocator(total);
        const before = frames.statistics();
        const held: { pfn: number; order: number }[] = [];
        const used = new Set<number>();
        for (const s of steps) {
          if (s.kind === 'take') {
            let pfn: number;
            try {
              pfn = frames.allocate(s.order);
            } catch (error) {
              expect(error).toBeInstanceOf(OutOfMemory);
              continue;
            }
            expect(pfn % (1 << s.order)).toBe(0);
            for (let i = 0; i < 1 << s.order; i++) {
              expect(pfn + i).toBeGreaterThan(0);
              expect(pfn + i).toBeLessThan(total);
              expect(used.has(pfn + i)).toBe(false);
              used.add(pfn + i);
            }
            held.push({ pfn, order: s.order });
          } else if (held.length > 0) {
            const [{ pfn, order }] = held.splice(s.index % held.length, 1);
            frames.free(pfn, order);
            for (let i = 0; i < 1 << order; i++) used.delete(pfn + i);
          }
          const { free, blocks } = frames.statistics();
          expect(free).toBe(total - 1 - used.size);
          expect(blocks.reduce((sum, n, order) => sum + n * 2 ** order, 0)).toBe(free);
        }
        for (const { pfn, order } of held) frames.free(pfn, order);
        expect(frames.statistics().blocks).toEqual(before.blocks);
      }),
      { numRuns: 100 },
    );
  });
});
