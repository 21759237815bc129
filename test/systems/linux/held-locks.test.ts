import { describe, expect, it } from 'vitest';
import { MissingFunctionReached } from '../../../src/kernel/missing.ts';
import type { Steps } from '../../../src/kernel/steps.ts';
import { ThreadKilled } from '../../../src/kernel/thread.ts';
import { preemptCount } from '../../../src/systems/linux/functions/sched.ts';
import type { Linux } from '../../../src/systems/linux/linux.ts';
import { callSteps } from './functions/harness.ts';
import { boot } from './kernel.ts';

const missing = () => new MissingFunctionReached('insmod', 'never_written', 'init+0x10');

/** Takes locks, then ends as `end` says; what was thrown. */
function endWith(k: Linux, take: () => Steps<unknown>, end: () => Error): Error {
  try {
    k.runTask(
      'insmod',
      (function* () {
        yield* take();
        throw end();
      })(),
    );
  } catch (error) {
    if (error instanceof Error) return error;
  }
  throw new Error('it did not end');
}

/** What the deadlock of a task says that takes a lock. */
function waitFor(k: Linux, name: string, lock: number): string {
  try {
    k.runTask('rmmod', callSteps(k, name, lock));
  } catch (error) {
    return error instanceof Error ? error.message : '';
  }
  return 'taken';
}

describe('a thread that ends with locks taken', () => {
  it('gives back mutexes, semaphores, spinlocks and the routing lock when a missing function ended it', () => {
    const k = boot();
    const mutex = k.heap.allocateZeroed(k.sizeof('mutex'));
    const sem = k.heap.allocateZeroed(k.sizeof('rw_semaphore'));
    const spin = k.heap.allocateZeroed(8);
    function* take(): Steps<void> {
      yield* callSteps(k, 'mutex_lock', mutex);
      yield* callSteps(k, 'down_read', sem);
      yield* callSteps(k, 'rtnl_lock');
      yield* callSteps(k, '_raw_spin_lock', spin);
    }
    const error = endWith(k, take, missing);
    expect(error.message).toMatch(
      /^insmod called never_written from init\+0x10, .*; it held .*rtnl_lock.*, now given back$/,
    );
    expect(k.read('mutex.owner.counter', mutex)).toBe(0);
    expect(k.read('rw_semaphore.count.counter', sem)).toBe(0);
    expect(k.memory.u32(spin)).toBe(0);
    expect(preemptCount(k)).toBe(0);
    for (const [name, lock] of [
      ['mutex_lock', mutex],
      ['down_write', sem],
      ['rtnl_lock', 0],
    ] as const)
      expect(waitFor(k, name, lock), name).toBe('taken');
  });

  it('keeps them when the kernel killed it, and who waits is told of its end', () => {
    const k = boot();
    const mutex = k.heap.allocateZeroed(k.sizeof('mutex'));
    const killed = () => new ThreadKilled('insmod', 9, 'BUG: it went wrong');
    expect(endWith(k, () => callSteps(k, 'mutex_lock', mutex), killed).message).toBe('BUG: it went wrong');
    expect(waitFor(k, 'mutex_lock', mutex)).toContain(
      `rmmod (mutex ${k.describe(mutex)} held by insmod, which ended: BUG: it went wrong)`,
    );
    expect(endWith(k, () => callSteps(k, 'rtnl_lock'), killed).message).toBe('BUG: it went wrong');
    expect(waitFor(k, 'rtnl_lock', 0)).toContain(
      '(rtnl_lock held by insmod, which ended: BUG: it went wrong)',
    );
  });

  it('names who forgot a lock, and who spins on it', () => {
    const k = boot();
    const sem = k.heap.allocateZeroed(k.sizeof('rw_semaphore'));
    const spin = k.heap.allocateZeroed(8);
    k.runTask('insmod', callSteps(k, 'down_write', sem));
    expect(waitFor(k, 'down_read', sem)).toContain('held by insmod, which ended without giving it up');
    k.runTask('insmod', callSteps(k, '_raw_read_lock', spin));
    expect(waitFor(k, '_raw_write_lock', spin)).toContain('held by insmod, which ended without giving it up');
  });

  it('knows of the waiter that the lock was handed to', () => {
    const k = boot();
    const mutex = k.heap.allocateZeroed(k.sizeof('mutex'));
    function* holder(forget: boolean): Steps<void> {
      yield* callSteps(k, 'mutex_lock', mutex);
      yield* callSteps(k, 'msleep', 5);
      if (!forget) yield* callSteps(k, 'mutex_unlock', mutex);
    }
    k.tasks.spawn('first', holder(false));
    k.tasks.spawn('second', holder(true));
    k.scheduler.runFor(k.time.now() + 1e9);
    expect(waitFor(k, 'mutex_lock', mutex)).toContain('held by second, which ended without giving it up');
  });
});
