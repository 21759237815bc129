import { describe, expect, it } from 'vitest';
import { PAGE_SIZE } from '../../src/memory/address.ts';
import { AreaAllocator, AreaError } from '../../src/memory/areas.ts';
import fc from '../properties.ts';

const BASE = -0x4000_0000;

describe('AreaAllocator', () => {
  it('leaves a guard page and uses the first gap that fits', () => {
    const areas = new AreaAllocator(BASE, BASE + 64 * PAGE_SIZE);
    const a = areas.allocate(2);
    const b = areas.allocate(3);
    const c = areas.allocate(1);
    expect([a, b, c]).toEqual([BASE, BASE + 3 * PAGE_SIZE, BASE + 7 * PAGE_SIZE]);
    areas.free(b);
    expect(areas.allocate(4)).toBe(BASE + 9 * PAGE_SIZE);
    expect(areas.allocate(3)).toBe(b);
    expect(areas.find(b + 100)).toEqual({ base: b, pages: 3 });
    expect(areas.find(b + 3 * PAGE_SIZE)).toBeUndefined();
  });

  it('says why there is no room', () => {
    const areas = new AreaAllocator(BASE, BASE + 8 * PAGE_SIZE);
    expect(areas.largestGap).toBe(7);
    areas.allocate(5);
    expect(() => areas.allocate(2)).toThrow(/no room for 2 pages between 0xffffffffc0000000/);
    expect(areas.largestGap).toBe(1);
    expect(() => areas.free(BASE + PAGE_SIZE)).toThrow(AreaError);
    expect(() => areas.allocate(0)).toThrow(AreaError);
  });

  it('keeps areas apart, aligned and inside', () => {
    const step = fc.tuple(
      fc.boolean(),
      fc.integer({ min: 1, max: 9 }),
      fc.constantFrom(1, 4, 16),
      fc.nat(99),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const areas = new AreaAllocator(BASE, BASE + 200 * PAGE_SIZE);
        const held: number[] = [];
        for (const [take, pages, align, pick] of steps) {
          if (take) {
            try {
              const base = areas.allocate(pages, align * PAGE_SIZE);
              expect(base % (align * PAGE_SIZE)).toBe(-0);
              held.push(base);
            } catch (error) {
              expect(error).toBeInstanceOf(AreaError);
            }
          } else if (held.length > 0) areas.free(held.splice(pick % held.length, 1)[0]);
          let end = BASE;
          for (const area of areas.areas()) {
            expect(area.base).toBeGreaterThanOrEqual(end);
            end = area.base + (area.pages + 1) * PAGE_SIZE;
          }
          expect(end).toBeLessThanOrEqual(BASE + 200 * PAGE_SIZE);
        }
      }),
    );
  });
});
