import { describe, expect, it } from 'vitest';
import { parseNumber } from '../../src/kernel/clib.ts';
import { Pool } from '../../src/kernel/pool.ts';
import fc from '../properties.ts';

describe('pool', () => {
  it('never hands out the same byte twice, and takes everything back', () => {
    const step = fc.oneof(
      fc.record({ take: fc.nat(300), align: fc.constantFrom(4, 16, 64) }),
      fc.record({ free: fc.nat(20) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const pool = new Pool<string>(0x1000, 4096, 8);
        const held = new Map<number, number>();
        for (const one of steps) {
          if ('free' in one) {
            const address = [...held.keys()][one.free];
            if (address !== undefined) expect(pool.free(address)?.bytes).toBe(held.get(address));
            held.delete(address);
            continue;
          }
          const at = pool.allocate(one.take, 'me', 0, one.align);
          if (at === 0) continue;
          expect(at % Math.max(8, one.align)).toBe(0);
          expect(at >= pool.base && at + one.take <= pool.end).toBe(true);
          for (const [other, bytes] of held) expect(at + one.take <= other || other + bytes <= at).toBe(true);
          held.set(at, one.take);
        }
        expect(pool.usedBytes).toBe([...held.values()].reduce((sum, bytes) => sum + bytes, 0));
      }),
    );
  });

  it('has no room for more than there is, nor for a negative size', () => {
    const pool = new Pool(0x1000, 4096);
    expect(pool.allocate(4097)).toBe(0);
    expect(pool.allocate(-1)).toBe(0);
    expect(pool.allocate(4096)).toBe(0x1000);
    expect(pool.allocate(1)).toBe(0);
    expect(pool.free(0x1001)).toBeUndefined();
  });
});

describe('numbers in text', () => {
  it('are read as C reads them', () => {
    const read = (text: string, base: number) => parseNumber(text, base);
    expect(read('  -0x1f!', 0)).toEqual({ value: -31n, next: 7 });
    expect(read('017', 0)).toEqual({ value: 15n, next: 3 });
    expect(read('0x', 16)).toEqual({ value: 0n, next: 1 });
    expect(read('xyz', 10)).toEqual({ value: 0n, next: 0 });
  });
});
