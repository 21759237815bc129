/**
 * Locks of preemptible kernels (CONFIG_PREEMPT_RT): a spinlock is an rt_mutex that its waiters sleep on, and a task that
 * holds one cannot move to another processor (kernel/locking/spinlock_rt.c). Reader-writer locks are not here.
 */
import type { Address } from '../../../memory/space.ts';
import type { Linux } from '../linux.ts';
import { kernelFunctions } from './define.ts';
import { lockMutex, ownerWord, tryLockMutex, unlockMutex } from './locks.ts';
import { TASK } from './sched.ts';

function changeMigration(k: Linux, by: number): void {
  const at = k.current + k.offset('task_struct.migration_disabled');
  k.memory.set16(at, k.memory.u16(at) + by);
}

const clear = (k: Linux, lock: Address): void => k.memory.fill(lock, k.sizeof('rt_mutex_base'), 0);

export const rtLocks = kernelFunctions({
  'void rt_mutex_base_init(struct rt_mutex_base *rtb)': clear,
  'void __mutex_rt_init(struct mutex *mutex, const char *name, struct lock_class_key *key)': (k, mutex) =>
    clear(k, mutex),
  'void rt_spin_lock(spinlock_t *lock)': function* (k, lock) {
    yield* lockMutex(k, lock, TASK.UNINTERRUPTIBLE);
    changeMigration(k, 1);
  },
  'void rt_spin_unlock(spinlock_t *lock)': (k, lock) => {
    changeMigration(k, -1);
    unlockMutex(k, lock);
  },
  'int rt_spin_trylock(spinlock_t *lock)': (k, lock) => {
    if (k.memory.ptr(ownerWord(k, lock)) !== 0) return 0;
    changeMigration(k, 1);
    return tryLockMutex(k, lock);
  },
  'void migrate_disable(void)': (k) => changeMigration(k, 1),
  'void migrate_enable(void)': (k) => changeMigration(k, -1),
});
