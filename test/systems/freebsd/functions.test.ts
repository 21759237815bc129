/** Kernel functions called as machine code calls them, on releases and machines whose structures differ. */
import { describe, expect, it } from 'vitest';
import type { Steps } from '../../../src/kernel/steps.ts';
import type { Bits } from '../../../src/systems/freebsd/declarations.ts';
import { boot, call, int } from './calling.ts';

const KERNELS: readonly (readonly [number, Bits])[] = [
  [803000, 32],
  [902001, 64],
  [1001000, 64],
  [1201000, 64],
  [1402000, 64],
];

describe.each(KERNELS)('FreeBSD %i, %i bits', (version, bits) => {
  it('sbufs grow, are finished with a NUL, and tell what does not fit', () => {
    const k = boot(version, bits);
    k.runProcess(
      'test',
      (function* () {
        const sb = yield* call(k, 'sbuf_new', 0, 0, 4, 1);
        for (let i = 0; i < 40; i++) yield* call(k, 'sbuf_printf', sb, k.heap.string('%d,'), i);
        yield* call(k, 'sbuf_trim', sb);
        expect(yield* int(k, 'sbuf_done', sb)).toBe(0);
        yield* call(k, 'sbuf_finish', sb);
        const text = Array.from({ length: 40 }, (_, i) => `${i},`).join('');
        expect(k.memory.cstring(yield* call(k, 'sbuf_data', sb), 1000)).toBe(text);
        expect(yield* call(k, 'sbuf_len', sb)).toBe(text.length);
        yield* call(k, 'sbuf_delete', sb);
        // A buffer of the caller's that may not grow.
        const [own, room] = [k.heap.allocate(k.sizeof('sbuf')), k.heap.allocate(8)];
        yield* call(k, 'sbuf_new', own, room, 8, 0);
        expect(yield* int(k, 'sbuf_cat', own, k.heap.string('much too long'))).toBe(-1);
        yield* call(k, 'sbuf_finish', own);
        expect(k.memory.cstring(room, 8)).toBe('much to');
        yield* call(k, 'sbuf_delete', own);
      })(),
    );
  });

  it('semaphores count, and whoever finds none waits for so long', () => {
    const k = boot(version, bits);
    k.runProcess(
      'test',
      (function* () {
        const sema = k.heap.allocate(128);
        yield* call(k, 'sema_init', sema, 1, k.heap.string('test'));
        expect(yield* int(k, '_sema_trywait', sema, 0, 0)).toBe(1);
        expect(yield* int(k, '_sema_trywait', sema, 0, 0)).toBe(0);
        const before = k.time.now();
        expect(yield* int(k, '_sema_timedwait', sema, 50, 0, 0)).toBe(35);
        expect(k.time.now() - before).toBeGreaterThanOrEqual(50_000_000);
        yield* call(k, '_sema_post', sema, 0, 0);
        // struct sema: the value stands last, behind the mutex, the condition variable and who waits.
        const place = k.sizeof('mtx') + 2 * k.word + 4;
        expect(k.memory.i32(sema + place)).toBe(1);
        yield* call(k, '_sema_wait', sema, 0, 0);
        expect(yield* int(k, 'sema_value', sema)).toBe(0);
        yield* call(k, 'sema_destroy', sema);
      })(),
    );
  });

  it('a netgraph node type is there once, with the version of the interface', () => {
    const k = boot(version, bits);
    k.runProcess(
      'test',
      (function* () {
        const type = k.heap.allocate(256);
        k.memory.setPtr(type + k.word, k.heap.string('toy'));
        const [load, unload] = [0, 1];
        expect(yield* int(k, 'ng_mod_event', 0, load, type)).toBe(22);
        k.memory.set32(type, 12);
        expect(yield* int(k, 'ng_mod_event', 0, load, type)).toBe(0);
        expect(yield* int(k, 'ng_newtype', type)).toBe(17);
        expect(yield* int(k, 'ng_mod_event', 0, unload, type)).toBe(0);
        expect(yield* int(k, 'ng_rmtype', type)).toBe(22);
      })(),
    );
  });

  it('an interrupt gate holds the address in its pieces', () => {
    const k = boot(version, bits);
    const gates = k.memory.ptr(k.symbolAddress('idt'));
    const read = (at: number) => {
      const low = k.memory.u16(at) + k.memory.u16(at + 6) * 65536;
      return bits === 32 ? low : low + k.memory.i32(at + 8) * 2 ** 32;
    };
    const entry = (address: number) => (bits === 32 ? address >>> 0 : address);
    expect(read(gates + 100 * (bits / 4))).toBe(entry(k.symbolAddress('Xrsvd')));
    k.runProcess(
      'test',
      (function* () {
        const own = k.symbolAddress('printf');
        yield* call(k, 'setidt', 100, own, 14, 3, 0);
        expect(read(gates + 100 * (bits / 4))).toBe(entry(own));
        expect(k.memory.u8(gates + 100 * (bits / 4) + 5)).toBe(0xee);
      })(),
    );
  });

  it('locks that somebody waits for or has twice say so in their word', () => {
    const k = boot(version, bits);
    const size = k.sizeof('lock_object');
    const order: string[] = [];
    k.runProcess(
      'test',
      (function* () {
        const sx = k.heap.allocate(k.sizeof('sx'));
        const word = sx + size;
        // SX_RECURSE
        yield* call(k, 'sx_init_flags', sx, k.heap.string('lock'), 8);
        const free = k.memory.ptr(word);
        yield* call(k, '_sx_xlock_hard', sx, 0, 0);
        expect(k.memory.ptr(word)).toBe(k.curthread);
        yield* call(k, '_sx_xlock_hard', sx, 0, 0);
        expect(k.memory.ptr(word)).toBe(k.curthread + 8);
        yield* call(k, '_sx_xunlock_hard', sx, 0);
        expect(k.memory.ptr(word)).toBe(k.curthread);
        const other = k.scheduler.spawn(
          'other',
          (function* (): Steps<void> {
            yield* call(k, '_sx_xlock_hard', sx, 0, 0);
            order.push('other');
            yield* call(k, '_sx_xunlock_hard', sx, 0);
          })(),
        );
        k.threads.adopt(other, 'other');
        yield { kind: 'yield' };
        // Inline code compares the whole word with its thread, and takes the long way.
        expect(k.memory.ptr(word)).toBe(k.curthread + 4);
        order.push('first');
        yield* call(k, '_sx_xunlock_hard', sx, 0);
        yield { kind: 'yield' };
        yield { kind: 'yield' };
        expect(k.memory.ptr(word)).toBe(free);
      })(),
    );
    expect(order).toEqual(['first', 'other']);
  });

  it('counters count where inline code adds to them', () => {
    if (version < 1000000) return;
    const k = boot(version, bits);
    k.runProcess(
      'test',
      (function* () {
        const counter = yield* call(k, 'counter_u64_alloc', 2);
        // What `addq $5, %gs:(counter)` does from 13 on, `addq $5, %gs:(counter - __pcpu)` before.
        const place = version < 1300000 ? counter : k.threads.pcpu + counter;
        k.memory.setU64(place, k.memory.u64(place) + 5n);
        expect(yield* call(k, 'counter_u64_fetch', counter)).toBe(5);
        yield* call(k, 'counter_u64_zero', counter);
        expect(yield* call(k, 'counter_u64_fetch', counter)).toBe(0);
        yield* call(k, 'counter_u64_free', counter);
      })(),
    );
  });

  it('clocks agree with each other', () => {
    const k = boot(version, bits);
    k.runProcess(
      'test',
      (function* () {
        const at = k.heap.allocate(32);
        yield* call(k, 'DELAY', 2500000);
        yield* call(k, 'nanouptime', at);
        const [seconds, ns] = [k.memory.ptr(at), k.memory.ptr(at + k.word)];
        yield* call(k, 'microuptime', at);
        expect(k.memory.ptr(at)).toBe(seconds);
        expect(k.memory.ptr(at + k.word)).toBe(Math.floor(ns / 1000));
        expect(seconds).toBe(3);
        yield* call(k, 'microtime', at);
        expect(k.memory.ptr(at)).toBeGreaterThan(1577836800);
      })(),
    );
  });
});
