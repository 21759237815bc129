import { describe, expect, it } from 'vitest';
import * as L from '../../src/memory/layout.ts';
import { GuestFault, GuestMemory, PAGE_SIZE, Perm } from '../../src/memory/space.ts';
import { SimulatedTlb } from '../../src/memory/tlb.ts';
import fc from '../properties.ts';

const DIRECT = -0x7780_0000_0000; // 0xffff888000000000
const VMALLOC = -0x36ff_0000_0000;
const MODULES = -0x4000_0000;
const RW = Perm.R | Perm.W;

const make = (ramBytes = 1 << 20) =>
  new GuestMemory({ ramBytes, directMap: DIRECT, codeCacheBytes: 1 << 18 });

function faultOf(action: () => unknown): GuestFault {
  try {
    action();
  } catch (error) {
    if (error instanceof GuestFault) return error;
    throw error;
  }
  throw new Error('no fault');
}

describe('GuestMemory', () => {
  it('maps all RAM at the direct map', () => {
    const memory = make();
    const pfn = memory.frames.allocate();
    const va = memory.directMap(pfn);
    memory.set32(va, 0x12345678);
    expect(memory.u32(va)).toBe(0x12345678);
    expect(memory.u8(va + 3)).toBe(0x12);
    expect(memory.pfnOf(va + 4095)).toBe(pfn);
    expect(memory.wasm.buffer.byteLength).toBeGreaterThan(1 << 20);
  });

  it('scans and compares over pages, and faults where it has to read on', () => {
    const memory = make();
    memory.map(VMALLOC, 8, 2, RW, 'first');
    memory.map(MODULES, 20, 2, RW, 'second');
    memory.fill(VMALLOC, 2 * PAGE_SIZE, 7);
    memory.fill(MODULES, 2 * PAGE_SIZE, 7);
    memory.set8(VMALLOC + 5000, 9);
    expect(memory.scan(VMALLOC + 100, 9, 1 << 20)).toBe(4900);
    expect(memory.scan(VMALLOC, 9, 5000)).toBe(5000);
    expect(memory.mismatch(VMALLOC + 1, MODULES + 30, 8000)).toBe(4999);
    expect(memory.mismatch(VMALLOC + 1, MODULES + 30, 4000)).toBe(4000);
    const end = VMALLOC + 2 * PAGE_SIZE;
    expect(faultOf(() => memory.scan(VMALLOC, 1, 1 << 20)).va).toBe(end);
    expect(faultOf(() => memory.mismatch(MODULES, VMALLOC + 5001, 1 << 20)).va).toBe(end);
  });

  it('calls the direct map plain until a page of it is protected', () => {
    const memory = make();
    let changes = 0;
    memory.onPlainChange(() => changes++);
    memory.userMode = true;
    expect([memory.plainMap, changes]).toEqual([undefined, 1]);
    memory.userMode = false;
    expect([memory.plainMap, changes]).toEqual([DIRECT, 2]);
    memory.map(VMALLOC, 8, 1, RW, 'page');
    memory.protect(VMALLOC, 1, Perm.R);
    expect(memory.plainMap).toBe(DIRECT);
    memory.protect(DIRECT + 7 * PAGE_SIZE, 1, Perm.R);
    expect([memory.plainMap, changes]).toEqual([undefined, 3]);
  });

  it('keeps every width, signed and unsigned', () => {
    const memory = make();
    const va = DIRECT + PAGE_SIZE;
    memory.setPtr(va, MODULES + 5);
    expect(memory.ptr(va)).toBe(MODULES + 5);
    expect(memory.u64(va)).toBe(0xffffffffc0000005n);
    memory.setU64(va, 0x8000_0000_0000_0001n);
    expect(memory.u64(va)).toBe(0x8000_0000_0000_0001n);
    memory.setPtr(va, 2 ** 52 + 1);
    expect(memory.u64(va)).toBe(2n ** 52n + 1n);
    memory.set16(va, -2);
    expect(memory.u16(va)).toBe(0xfffe);
    memory.set32(va, -2);
    expect([memory.u32(va), memory.i32(va)]).toEqual([0xfffffffe, -2]);
  });

  it('reads and writes across a page boundary of two frames that are apart', () => {
    const memory = make();
    memory.map(VMALLOC, 9, 1, RW, 'a');
    memory.map(VMALLOC + PAGE_SIZE, 3, 1, RW, 'b');
    const va = VMALLOC + PAGE_SIZE - 3;
    memory.setU64(va, 0x1122334455667788n);
    expect(memory.u64(va)).toBe(0x1122334455667788n);
    expect(memory.u8(memory.directMap(9) + 4095)).toBe(0x66);
    expect(memory.u8(memory.directMap(3))).toBe(0x55);
    memory.set16(VMALLOC + 4095, 0xabcd);
    expect(memory.u16(VMALLOC + 4095)).toBe(0xabcd);
    memory.set32(VMALLOC + 4094, 0x01020304);
    expect(memory.u32(VMALLOC + 4094)).toBe(0x01020304);
    memory.setPtr(VMALLOC + 4090, -77);
    expect(memory.ptr(VMALLOC + 4090)).toBe(-77);
  });

  it('changes nothing when the second page of a write faults', () => {
    const memory = make();
    memory.map(VMALLOC, 9, 1, RW, 'a');
    const fault = faultOf(() => memory.setPtr(VMALLOC + 4092, -1));
    expect(fault).toMatchObject({ va: VMALLOC + PAGE_SIZE, access: 'write', reason: 'unmapped' });
    expect(memory.u32(VMALLOC + 4092)).toBe(0);
  });

  it('checks permissions, also after an access that was allowed', () => {
    const memory = make();
    memory.map(VMALLOC, 9, 1, RW, 'a');
    memory.set8(VMALLOC, 7);
    expect(memory.u8(VMALLOC)).toBe(7);
    memory.protect(VMALLOC, 1, Perm.R);
    expect(memory.u8(VMALLOC)).toBe(7);
    expect(faultOf(() => memory.set8(VMALLOC, 1))).toMatchObject({ reason: 'protection', access: 'write' });
    expect(faultOf(() => memory.hostOffset(VMALLOC, 'execute')).reason).toBe('protection');
    memory.unmap(VMALLOC, 1);
    expect(faultOf(() => memory.u8(VMALLOC)).reason).toBe('unmapped');
    expect(memory.u8(memory.directMap(9))).toBe(7);
  });

  it('faults on addresses that are not canonical, fractions and NaN', () => {
    const memory = make();
    for (const va of [2 ** 47, 2 ** 63, -(2 ** 63), Number.NaN, 0.5, 0, Number.POSITIVE_INFINITY]) {
      expect(faultOf(() => memory.u32(va)).reason).toBe('unmapped');
    }
  });

  it('takes lazy pages at first touch, fills them once and frees them', () => {
    const memory = make();
    const filled: number[] = [];
    const free = memory.frames.freePages;
    memory.mapLazy(VMALLOC, 100, Perm.R, 'image', (page, bytes) => {
      filled.push(page);
      bytes.fill((page / PAGE_SIZE) & 0xff);
    });
    expect(memory.frames.freePages).toBe(free);
    expect(memory.pfnOf(VMALLOC)).toBeUndefined();
    expect(memory.u8(VMALLOC + 5 * PAGE_SIZE + 1)).toBe((VMALLOC / PAGE_SIZE + 5) & 0xff);
    memory.u8(VMALLOC + 5 * PAGE_SIZE + 2);
    expect(filled).toEqual([VMALLOC + 5 * PAGE_SIZE]);
    expect(memory.frames.owners()).toEqual([{ label: 'image', pages: 1 }]);
    memory.unmap(VMALLOC, 100);
    expect(memory.frames.freePages).toBe(free);
  });

  it('refuses overlaps, misalignment and frames outside RAM', () => {
    const memory = make();
    memory.map(VMALLOC, 1, 4, RW, 'a');
    expect(() => memory.map(VMALLOC + 3 * PAGE_SIZE, 1, 1, RW, 'b')).toThrow(/overlap/);
    expect(() => memory.map(VMALLOC + 100, 1, 1, RW, 'b')).toThrow(/whole, canonical pages/);
    expect(() => memory.map(MODULES, 256, 1, RW, 'b')).toThrow(/not in RAM/);
    expect(() => memory.protect(VMALLOC, 5, Perm.R)).toThrow(/nothing is mapped/);
    expect(memory.permOf(VMALLOC)).toBe(RW);
  });

  it('lists areas, split by protect and unmap', () => {
    const memory = make();
    memory.map(MODULES, 16, 10, RW, 'hello');
    memory.protect(MODULES, 3, Perm.R | Perm.X);
    memory.unmap(MODULES + 5 * PAGE_SIZE, 2);
    const rows = [...memory.areas()].map((a) => [a.what, (a.base - MODULES) / PAGE_SIZE, a.pages, a.perm]);
    expect(rows.slice(1)).toEqual([
      ['hello', 0, 3, Perm.R | Perm.X],
      ['hello', 3, 2, RW],
      ['hello', 7, 3, RW],
    ]);
  });

  it('reports the first write to any page after code was marked in it, however many were written to before', () => {
    for (const pages of [2, 200, 400]) {
      const memory = make(4 << 20);
      memory.map(VMALLOC, 100, pages, RW, 'pages');
      const changed: number[] = [];
      memory.onCodeChange((pfn) => changed.push(pfn));
      for (let page = 0; page < pages; page++) memory.cpuAccess(VMALLOC + page * PAGE_SIZE, 1, 'write');
      for (let page = 0; page < pages; page++) memory.markCode(100 + page);
      const at = L.TLB_BASE + L.TLB_WRITE;
      const words = new Int32Array(memory.wasm.buffer);
      for (let n = 0; n < L.TLB_ENTRIES; n++)
        expect(words[(at + (n << L.TLB_ENTRY_SHIFT)) >> 2]).toBe(L.TLB_EMPTY);
      for (let page = 0; page < pages; page++) memory.cpuAccess(VMALLOC + page * PAGE_SIZE, 1, 'write');
      expect(changed).toEqual(Array.from({ length: pages }, (_, page) => 100 + page));
    }
  });

  it('pokes read-only pages and reports changes of translated code, by any alias', () => {
    const memory = make();
    const changes: [number, number, number][] = [];
    memory.map(MODULES, 20, 2, Perm.R | Perm.X, 'text');
    memory.onCodeChange((pfn, offset, length) => changes.push([pfn, offset, length]));
    memory.set8(memory.directMap(20), 1);
    memory.poke(MODULES + 4094, Uint8Array.of(1, 2, 3, 4));
    expect(memory.bytes(MODULES + 4094, 4)).toEqual(Uint8Array.of(1, 2, 3, 4));
    expect(changes).toEqual([]);
    memory.markCode(20);
    memory.poke(MODULES + 4094, Uint8Array.of(5, 6, 7, 8));
    memory.set32(memory.directMap(20) + 8, 9);
    memory.set32(memory.directMap(20) + 12, 9);
    memory.write(memory.directMap(19) + 4000, new Uint8Array(100));
    expect(changes).toEqual([
      [20, 4094, 2],
      [20, 8, 4],
      [20, 12, 4],
      [20, 0, 4],
    ]);
    memory.unmarkCode(20);
    memory.set8(memory.directMap(20), 1);
    expect(changes.length).toBe(4);
  });

  it('copies over itself as memmove does, and reads strings', () => {
    const memory = make();
    const va = DIRECT + 2 * PAGE_SIZE;
    const text = Uint8Array.from({ length: 9000 }, (_, i) => (i % 250) + 1);
    memory.write(va, text);
    memory.copy(va + 10, va, 9000);
    expect(memory.bytes(va + 10, 9000)).toEqual(text);
    memory.copy(va, va + 10, 9000);
    expect(memory.bytes(va, 9000)).toEqual(text);
    memory.fill(va, 8000, 0x41);
    memory.set8(va + 5000, 0);
    expect(memory.cstring(va)).toBe('A'.repeat(5000));
    expect(memory.cstring(va, 10)).toBe('A'.repeat(10));
    memory.write(va, Uint8Array.of(0xff, 0x41, 0));
    expect(memory.cstring(va)).toBe('\u00ffA');
    expect(() => memory.bytes(va, 2 ** 50)).toThrow(GuestFault);
  });

  it('hides pages without U from the CPU at user privilege alone', () => {
    const memory = make();
    memory.map(0x1000, 5, 1, RW | Perm.U, 'user');
    memory.userMode = true;
    expect(memory.cpuAccess(0x1000, 4, 'write')).toBe(memory.frameOffset(5));
    expect(faultOf(() => memory.cpuAccess(DIRECT, 4, 'read')).reason).toBe('protection');
    expect(memory.u8(DIRECT)).toBe(0);
    expect(faultOf(() => memory.cpuAccess(DIRECT, 4, 'read')).reason).toBe('protection');
  });

  it('counts accesses in a simulated TLB', () => {
    const memory = make(4 << 20);
    const tlb = new SimulatedTlb();
    memory.map(VMALLOC, 1, 512, RW, 'small pages');
    memory.observe(tlb);
    for (let i = 0; i < 512; i++) memory.u8(VMALLOC + i * PAGE_SIZE);
    for (let i = 0; i < 512; i++) memory.u8(DIRECT + i * PAGE_SIZE);
    expect(tlb.figures()).toMatchObject({ accesses: 1024, misses: 513 });
    memory.observe(undefined);
    memory.u8(VMALLOC);
    expect(tlb.figures().accesses).toBe(1024);
  });

  it('agrees with a plain model over random maps, protections and accesses', () => {
    const action = fc.record({
      kind: fc.constantFrom('map', 'unmap', 'protect', 'read', 'write'),
      page: fc.nat(7),
      perm: fc.constantFrom(Perm.R, RW),
      offset: fc.constantFrom(0, 8, 4090, 4095),
      value: fc.nat(0x7fffffff),
    });
    fc.assert(
      fc.property(fc.array(action, { maxLength: 80 }), (actions) => {
        const memory = make(1 << 16);
        const pages = new Map<number, { perm: number; bytes: Uint8Array }>();
        for (const { kind, page, perm, offset, value } of actions) {
          const base = VMALLOC + page * PAGE_SIZE;
          const there = pages.get(page);
          if (kind === 'map' && there === undefined) {
            memory.map(base, page + 1, 1, perm, 'p');
            pages.set(page, { perm, bytes: memory.bytes(base, PAGE_SIZE) });
          } else if (kind === 'unmap') {
            memory.unmap(base, 1);
            pages.delete(page);
          } else if (kind === 'protect' && there !== undefined) {
            memory.protect(base, 1, perm);
            there.perm = perm;
          } else if (kind === 'read' || kind === 'write') {
            const need = kind === 'read' ? Perm.R : Perm.W;
            const touched = [0, 1, 2, 3].map((i) => ({
              page: pages.get(page + ((offset + i) >> 12)),
              at: (offset + i) & 4095,
            }));
            const allowed = touched.every((t) => t.page !== undefined && (t.page.perm & need) !== 0);
            const run = () =>
              kind === 'read' ? memory.u32(base + offset) : memory.set32(base + offset, value);
            if (!allowed) expect(run).toThrow(GuestFault);
            else if (kind === 'write') {
              run();
              touched.forEach((t, i) => {
                t.page!.bytes[t.at] = value >>> (8 * i);
              });
            } else {
              expect(run()).toBe(touched.reduce((sum, t, i) => sum + t.page!.bytes[t.at] * 2 ** (8 * i), 0));
            }
          }
        }
      }),
    );
  });
});
