import { describe, expect, it } from 'vitest';
import { CODE_BASE } from '../../src/memory/layout.ts';
import { GuestMemory, MappingError, PAGE_SIZE, Perm } from '../../src/memory/space.ts';
import { SpareMemories } from '../../src/memory/spare.ts';
import fc from '../properties.ts';

const DIRECT = -0x7780_0000_0000;
const MODULES = -0x4000_0000;
const RAM = 1 << 20;

const make = (spares: SpareMemories) =>
  new GuestMemory({ ramBytes: RAM, directMap: DIRECT, codeCacheBytes: 1 << 18, spares });

/** Bytes that are not zero outside of the room of translated operations. */
function dirty({ wasm, frameFlags }: GuestMemory): number {
  const all = new Uint8Array(wasm.buffer);
  const count = (bytes: Uint8Array) => bytes.reduce((sum, byte) => sum + (byte === 0 ? 0 : 1), 0);
  return count(all.subarray(0, CODE_BASE)) + count(all.subarray(frameFlags));
}

describe('the memory of a kernel that is no more', () => {
  it('is that of the next, and of one alone', () => {
    const spares = new SpareMemories();
    const [first, beside] = [make(spares), make(spares)];
    expect(beside.wasm).not.toBe(first.wasm);
    first.release();
    first.release();
    expect(make(spares).wasm).toBe(first.wasm);
    expect(make(spares).wasm).not.toBe(first.wasm);
  });

  it('is not that of a kernel of another size', () => {
    const spares = new SpareMemories();
    make(spares).release();
    const other = new GuestMemory({ ramBytes: 2 * RAM, directMap: DIRECT, codeCacheBytes: 1 << 18, spares });
    expect(other.wasm.buffer.byteLength).toBeGreaterThan(2 * RAM);
  });

  it('can no longer be read or written', () => {
    const memory = make(new SpareMemories());
    const va = memory.directMap(memory.frames.allocate());
    memory.set32(va, 1);
    memory.release();
    expect(() => memory.u32(va)).toThrow();
    expect(() => memory.set32(va, 2)).toThrow();
    expect(memory.released).toBe(true);
  });

  it('is zero again, wherever it was written: also in frames that nobody took, and over their ends', () => {
    const write = fc.record({
      at: fc.integer({ min: 0, max: RAM - 16 }),
      how: fc.constantFrom('32', '64', 'write', 'poke', 'copy', 'cpu'),
    });
    fc.assert(
      fc.property(fc.array(write, { maxLength: 12 }), fc.nat(40), (writes, pages) => {
        const spares = new SpareMemories();
        const memory = make(spares);
        for (let i = 0; i < pages; i++) memory.set32(memory.directMap(memory.frames.allocate()), -1);
        for (const { at, how } of writes) {
          const va = DIRECT + at;
          // Reading first puts the page where accesses are looked up.
          memory.u8(va);
          if (how === '32') memory.set32(va, -1);
          else if (how === '64') memory.setI64(va, -1);
          else if (how === 'write') memory.write(va, new Uint8Array(9).fill(7));
          else if (how === 'poke') memory.poke(va, new Uint8Array(9).fill(7));
          else if (how === 'copy') memory.fill(va, 12, 3);
          else {
            const host = memory.cpuAccess(va, 4, 'write');
            new DataView(memory.wasm.buffer).setInt32(host, -1, true);
            if (va % PAGE_SIZE > PAGE_SIZE - 4 || (va & 4095) > PAGE_SIZE - 4) memory.commit(va, 4);
          }
        }
        memory.release();
        expect(dirty(memory)).toBe(0);
      }),
      { numRuns: 30 },
    );
  });
});

describe('single frames mapped in a row', () => {
  it('are zero, and one region of the map', () => {
    const memory = make(new SpareMemories());
    const pfns = [memory.frames.allocate(), memory.frames.allocate(), memory.frames.allocate()];
    memory.set32(memory.directMap(pfns[1]), 5);
    memory.mapZeroed(MODULES, [pfns[2], pfns[1], pfns[0]], Perm.R | Perm.W, 'module');
    expect(memory.u32(MODULES + PAGE_SIZE)).toBe(0);
    memory.set32(MODULES, 9);
    expect(memory.u32(memory.directMap(pfns[2]))).toBe(9);
    expect(memory.regionAt(MODULES + 2 * PAGE_SIZE)?.pages).toBe(3);
    expect(() => memory.mapZeroed(MODULES, [pfns[0]], Perm.R, 'again')).toThrow(MappingError);
  });
});
