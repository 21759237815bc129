/** Kernel functions called as machine code calls them, on both kernels. */
import { describe, expect, it } from 'vitest';
import type { Steps } from '../../../src/kernel/steps.ts';
import { bootSolaris } from '../../../src/systems/solaris/boot.ts';
import type { Solaris } from '../../../src/systems/solaris/solaris.ts';

const boot = (bits: 32 | 64): Solaris =>
  bootSolaris({
    bits,
    files: { read: () => undefined, write: () => undefined, remove: () => undefined, list: () => undefined },
  });

/** Calls a kernel function by name. */
function call(k: Solaris, name: string, ...args: (number | bigint)[]): Steps<number> {
  const at = k.primarySymbol(name);
  if (at === undefined) throw new Error(`there is no ${name}`);
  return k.callLong(at, ...args);
}

/** A kernel function that returns an address. */
function* address(k: Solaris, name: string, ...args: number[]): Steps<number> {
  const value = yield* call(k, name, ...args);
  return k.bits === 32 ? value >>> 0 : value;
}

const run = <T>(k: Solaris, steps: Steps<T>): T => k.runProcess('test', steps);
const string = (k: Solaris, text: string): number => k.heap.takeString(text);

describe.each([64, 32] as const)('on a %i-bit kernel', (bits) => {
  it('reader-writer locks let readers in together and a writer alone', () => {
    const k = boot(bits);
    const lock = k.heap.take(8);
    const order: string[] = [];
    const writer = function* (): Steps<void> {
      yield* call(k, 'rw_enter', lock, 0);
      order.push('written');
      yield* call(k, 'rw_exit', lock);
    };
    run(
      k,
      (function* () {
        yield* call(k, 'rw_init', lock, 0, 0, 0);
        yield* call(k, 'rw_enter', lock, 1);
        yield* call(k, 'rw_enter', lock, 1);
        expect(yield* call(k, 'rw_read_held', lock)).toBe(1);
        expect(yield* call(k, 'rw_tryenter', lock, 0)).toBe(0);
        expect(yield* call(k, 'rw_tryupgrade', lock)).toBe(0);
        k.spawnThread('writer', writer());
        yield* call(k, 'delay', 1);
        order.push('read');
        yield* call(k, 'rw_exit', lock);
        expect(yield* call(k, 'rw_tryupgrade', lock)).toBe(1);
        expect(yield* call(k, 'rw_write_held', lock)).toBe(1);
        yield* call(k, 'rw_downgrade', lock);
        yield* call(k, 'rw_exit', lock);
        yield* call(k, 'delay', 1);
        yield* call(k, 'rw_destroy', lock);
      })(),
    );
    expect(order).toEqual(['read', 'written']);
  });

  it('condition variables wake one or all, or time out', () => {
    const k = boot(bits);
    const [lock, cv] = [k.heap.take(8), k.heap.take(8)];
    const woken: number[] = [];
    const waiter = function* (id: number): Steps<void> {
      yield* call(k, 'mutex_enter', lock);
      yield* call(k, 'cv_wait', cv, lock);
      woken.push(id);
      yield* call(k, 'mutex_exit', lock);
    };
    run(
      k,
      (function* () {
        for (const id of [1, 2, 3]) k.spawnThread(`waiter ${id}`, waiter(id));
        yield* call(k, 'delay', 1);
        yield* call(k, 'cv_signal', cv);
        yield* call(k, 'delay', 1);
        expect(woken).toEqual([1]);
        yield* call(k, 'cv_broadcast', cv);
        yield* call(k, 'delay', 1);
        expect(woken).toEqual([1, 2, 3]);
        yield* call(k, 'mutex_enter', lock);
        const now = yield* call(k, 'ddi_get_lbolt');
        expect(yield* call(k, 'cv_timedwait', cv, lock, now + 50)).toBe(-1);
        expect((yield* call(k, 'ddi_get_lbolt')) - now).toBeGreaterThanOrEqual(50);
        expect(yield* call(k, 'mutex_owned', lock)).toBe(1);
        yield* call(k, 'mutex_exit', lock);
      })(),
    );
  });

  it('semaphores count', () => {
    const k = boot(bits);
    const sema = k.heap.take(16);
    run(
      k,
      (function* () {
        yield* call(k, 'sema_init', sema, 1, 0, 0, 0);
        expect(yield* call(k, 'sema_tryp', sema)).toBe(1);
        expect(yield* call(k, 'sema_tryp', sema)).toBe(0);
        k.spawnThread('giver', call(k, 'sema_v', sema));
        yield* call(k, 'sema_p', sema);
        expect(yield* call(k, 'sema_tryp', sema)).toBe(0);
      })(),
    );
  });

  it('soft state grows and gives everything back', () => {
    const k = boot(bits);
    const used = k.heap.usedBytes;
    const state = k.data.take(8);
    run(
      k,
      (function* () {
        expect(yield* call(k, 'ddi_soft_state_init', state, 40, 1)).toBe(0);
        const at = k.memory.ptr(state);
        for (const item of [0, 3, 100]) expect(yield* call(k, 'ddi_soft_state_zalloc', at, item)).toBe(0);
        expect(yield* call(k, 'ddi_soft_state_zalloc', at, 3)).toBe(-1);
        expect(yield* call(k, 'ddi_get_soft_state', at, 100)).not.toBe(0);
        expect(yield* call(k, 'ddi_get_soft_state', at, 99)).toBe(0);
        yield* call(k, 'ddi_soft_state_free', at, 3);
        yield* call(k, 'ddi_soft_state_fini', state);
        expect(k.memory.ptr(state)).toBe(0);
      })(),
    );
    expect(k.heap.usedBytes).toBe(used);
  });

  it('messages are linked, copied, trimmed and pulled together', () => {
    const k = boot(bits);
    const used = k.heap.usedBytes;
    run(
      k,
      (function* () {
        const part = function* (text: string): Steps<number> {
          const mp = yield* address(k, 'allocb', text.length, 0);
          const at = k.read('msgb.b_rptr', mp);
          k.memory.write(at, new TextEncoder().encode(text));
          k.write('msgb.b_wptr', mp, at + text.length);
          return mp;
        };
        const bytes = (mp: number) =>
          k.memory.cstring(k.read('msgb.b_rptr', mp), k.read('msgb.b_wptr', mp) - k.read('msgb.b_rptr', mp));
        const first = yield* part('hello ');
        yield* call(k, 'linkb', first, yield* part('world!'));
        expect(yield* call(k, 'msgdsize', first)).toBe(12);
        const shared = yield* address(k, 'dupmsg', first);
        expect(k.read('datab.db_ref', k.read('msgb.b_datap', first))).toBe(2);
        const copy = yield* address(k, 'copymsg', first);
        expect(yield* call(k, 'adjmsg', copy, 2)).toBe(1);
        expect(yield* call(k, 'adjmsg', copy, -7)).toBe(1);
        expect(yield* call(k, 'adjmsg', copy, 100)).toBe(0);
        expect(yield* call(k, 'pullupmsg', copy, -1)).toBe(1);
        expect(bytes(copy)).toBe('llo');
        yield* call(k, 'freemsg', first);
        expect(bytes(shared)).toBe('hello ');
        const rest = yield* address(k, 'unlinkb', shared);
        expect(bytes(rest)).toBe('world!');
        for (const mp of [shared, rest, copy]) yield* call(k, 'freemsg', mp);
      })(),
    );
    expect(k.heap.usedBytes).toBe(used);
  });

  it('lists, atomics and numbers', () => {
    const k = boot(bits);
    const list = k.heap.take(4 * k.word);
    const objects = [1, 2, 3].map(() => k.heap.take(8 + 2 * k.word));
    const cell = k.heap.take(8);
    const [end, result] = [k.heap.take(8), k.heap.take(8)];
    run(
      k,
      (function* () {
        yield* call(k, 'list_create', list, 8 + 2 * k.word, 8);
        expect(yield* call(k, 'list_is_empty', list)).toBe(1);
        yield* call(k, 'list_insert_tail', list, objects[1]);
        yield* call(k, 'list_insert_tail', list, objects[2]);
        yield* call(k, 'list_insert_head', list, objects[0]);
        const seen: number[] = [];
        for (
          let at = yield* address(k, 'list_head', list);
          at !== 0;
          at = yield* address(k, 'list_next', list, at)
        )
          seen.push(at);
        expect(seen).toEqual(objects);
        yield* call(k, 'list_remove', list, objects[1]);
        expect(yield* address(k, 'list_next', list, objects[0])).toBe(objects[2]);
        yield* call(k, 'atomic_add_32', cell, 5);
        expect(yield* call(k, 'atomic_dec_32_nv', cell)).toBe(4);
        const parse = (text: string, base: number) =>
          call(k, 'ddi_strtol', string(k, text), end, base, result);
        expect(yield* parse(' -0x1fz', 0)).toBe(0);
        expect(k.types.model.pointer === 8 ? k.memory.ptr(result) : k.memory.i32(result)).toBe(-31);
        expect(yield* parse('none', 10)).toBe(22);
        expect(yield* call(k, 'ddi_ffs', 8)).toBe(4);
        expect(yield* call(k, 'ddi_fls', 9)).toBe(4);
      })(),
    );
  });

  it('task queues run what they are given, and are waited for', () => {
    const k = boot(bits);
    const hits: number[] = [];
    const task = k.gate('task', {
      prototype: 'void task(void *arg)',
      handler: (_k: Solaris, arg: number) => void hits.push(arg),
    } as never);
    run(
      k,
      (function* () {
        const queue = yield* address(k, 'ddi_taskq_create', 0, string(k, 'jobs'), 2, -1, 0);
        for (const arg of [7, 8, 9])
          expect(yield* call(k, 'ddi_taskq_dispatch', queue, task, arg, 0)).toBe(0);
        yield* call(k, 'ddi_taskq_wait', queue);
        expect(hits).toEqual([7, 8, 9]);
        yield* call(k, 'ddi_taskq_destroy', queue);
        const id = yield* call(k, 'timeout', task, 10, 100);
        expect(yield* call(k, 'untimeout', id)).toBeGreaterThan(90);
        yield* call(k, 'timeout', task, 11, 1);
        yield* call(k, 'delay', 150);
        expect(hits).toEqual([7, 8, 9, 11]);
      })(),
    );
  });

  it('caches construct their objects', () => {
    const k = boot(bits);
    const made: number[] = [];
    const construct = k.gate('constructor', {
      prototype: 'int constructor(void *at, void *priv, int flags)',
      handler: (_k: Solaris, at: number) => {
        made.push(at);
        return 0;
      },
    } as never);
    run(
      k,
      (function* () {
        const cache = yield* address(
          k,
          'kmem_cache_create',
          string(k, 'c'),
          48,
          16,
          construct,
          0,
          0,
          0,
          0,
          0,
        );
        const object = yield* address(k, 'kmem_cache_alloc', cache, 0);
        expect(made).toHaveLength(1);
        expect(((object % 16) + 16) % 16).toBe(0);
        yield* call(k, 'kmem_cache_free', cache, object);
        yield* call(k, 'kmem_cache_destroy', cache);
      })(),
    );
  });
});
