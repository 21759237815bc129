/** Spinlocks, reader-writer locks, mutexes, semaphores and rw-semaphores; their words live in the guest. */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import {
  holders,
  lockForgotten,
  lockGivenUp,
  lockName,
  lockTaken,
  spinGivenUp,
  spinTaken,
} from '../held-locks.ts';
import type { Linux } from '../linux.ts';
import { initList } from '../lists.ts';
import { jiffies, timeOfJiffies } from './clock.ts';
import { kernelFunctions } from './define.ts';
import {
  disableBottomHalves,
  disableInterrupts,
  disablePreemption,
  enableBottomHalves,
  enableInterrupts,
  enablePreemption,
  firstWaiter,
  grant,
  restoreInterrupts,
  TASK,
  waitFor,
} from './sched.ts';

// -- spinlocks: one CPU, so a held lock is held by the caller itself ----------------------------------------------

/** _Q_LOCKED_VAL of a queued spinlock. */
const LOCKED = 1;

function spin(k: Linux, lock: Address): void {
  if (k.memory.u32(lock) !== 0) stuck(k, lock);
  k.memory.set32(lock, LOCKED);
  spinTaken(k, lock, release);
}

/** On one CPU nobody will ever release the lock: what the watchdog would find after 20 seconds. */
function stuck(k: Linux, lock: Address): never {
  const thread = k.scheduler.current;
  if (thread === undefined) throw new Error('a spinlock is taken twice outside of any thread');
  const verdict = k.fault(thread, {
    source: 'budget',
    vector: -1,
    errorCode: 0,
    address: 0n,
    access: 'execute',
    at: k.convention.returnAddress(k.cpu),
    detail: `spins on a lock that is never released: ${lockName(k, lock)}, held by ${holders(k, lock)}`,
  });
  if (verdict === 'resume') throw new Error('an endless spin was resumed');
  throw verdict.kill;
}

function release(k: Linux, lock: Address): void {
  spinGivenUp(k, lock);
  k.memory.set8(lock, 0);
}

function lockIrqsave(k: Linux, take: () => void): number {
  const flags = disableInterrupts(k);
  disablePreemption(k);
  take();
  return flags;
}

export const spinlocks = kernelFunctions({
  'void _raw_spin_lock(raw_spinlock_t *lock)': (k, lock) => {
    disablePreemption(k);
    spin(k, lock);
  },
  'void _raw_spin_lock_irq(raw_spinlock_t *lock)': (k, lock) => {
    disableInterrupts(k);
    disablePreemption(k);
    spin(k, lock);
  },
  'unsigned long _raw_spin_lock_irqsave(raw_spinlock_t *lock)': (k, lock) =>
    lockIrqsave(k, () => spin(k, lock)),
  'void _raw_spin_lock_bh(raw_spinlock_t *lock)': (k, lock) => {
    disableBottomHalves(k);
    spin(k, lock);
  },
  'int _raw_spin_trylock(raw_spinlock_t *lock)': (k, lock) => {
    if (k.memory.u32(lock) !== 0) return 0;
    disablePreemption(k);
    spin(k, lock);
    return 1;
  },
  'int _raw_spin_trylock_bh(raw_spinlock_t *lock)': (k, lock) => {
    if (k.memory.u32(lock) !== 0) return 0;
    disableBottomHalves(k);
    spin(k, lock);
    return 1;
  },
  'void _raw_spin_unlock(raw_spinlock_t *lock)': (k, lock) => {
    release(k, lock);
    enablePreemption(k);
  },
  'void _raw_spin_unlock_irq(raw_spinlock_t *lock)': (k, lock) => {
    release(k, lock);
    enableInterrupts(k);
    enablePreemption(k);
  },
  'void _raw_spin_unlock_irqrestore(raw_spinlock_t *lock, unsigned long flags)': (k, lock, flags) => {
    release(k, lock);
    restoreInterrupts(k, flags);
    enablePreemption(k);
  },
  'void _raw_spin_unlock_bh(raw_spinlock_t *lock)': (k, lock) => {
    release(k, lock);
    return enableBottomHalves(k);
  },
  'void native_queued_spin_lock_slowpath(struct qspinlock *lock, u32 val)': (k, lock) => spin(k, lock),
  'int _atomic_dec_and_lock(atomic_t *atomic, spinlock_t *lock)': (k, atomic, lock) => {
    const value = k.memory.i32(atomic) - 1;
    if (value === 0) {
      disablePreemption(k);
      spin(k, lock);
    }
    k.memory.set32(atomic, value);
    return value === 0 ? 1 : 0;
  },
  'int _atomic_dec_and_lock_irqsave(atomic_t *atomic, spinlock_t *lock, unsigned long *flags)': (
    k,
    atomic,
    lock,
    flags,
  ) => {
    const value = k.memory.i32(atomic) - 1;
    if (value === 0)
      k.memory.setPtr(
        flags,
        lockIrqsave(k, () => spin(k, lock)),
      );
    k.memory.set32(atomic, value);
    return value === 0 ? 1 : 0;
  },
});

// -- queued rwlocks: writer byte 0xff, readers counted from bit 9 (include/asm-generic/qrwlock.h) ------------------

const WRITER = 0xff;
const READER = 0x200;

function readLock(k: Linux, lock: Address): void {
  const count = k.memory.u32(lock);
  if ((count & WRITER) !== 0) stuck(k, lock);
  k.memory.set32(lock, count + READER);
  spinTaken(k, lock, readUnlock);
}

function writeLock(k: Linux, lock: Address): void {
  if (k.memory.u32(lock) !== 0) stuck(k, lock);
  k.memory.set32(lock, WRITER);
  spinTaken(k, lock, writeUnlock);
}

function readUnlock(k: Linux, lock: Address): void {
  spinGivenUp(k, lock);
  k.memory.set32(lock, k.memory.u32(lock) - READER);
}

function writeUnlock(k: Linux, lock: Address): void {
  spinGivenUp(k, lock);
  k.memory.set8(lock, 0);
}

export const rwlocks = kernelFunctions({
  'void _raw_read_lock(rwlock_t *lock)': (k, lock) => {
    disablePreemption(k);
    readLock(k, lock);
  },
  'void _raw_read_lock_irq(rwlock_t *lock)': (k, lock) => {
    lockIrqsave(k, () => readLock(k, lock));
  },
  'unsigned long _raw_read_lock_irqsave(rwlock_t *lock)': (k, lock) =>
    lockIrqsave(k, () => readLock(k, lock)),
  'void _raw_read_lock_bh(rwlock_t *lock)': (k, lock) => {
    disableBottomHalves(k);
    readLock(k, lock);
  },
  'int _raw_read_trylock(rwlock_t *lock)': (k, lock) => {
    if ((k.memory.u32(lock) & WRITER) !== 0) return 0;
    disablePreemption(k);
    readLock(k, lock);
    return 1;
  },
  'void _raw_read_unlock(rwlock_t *lock)': (k, lock) => {
    readUnlock(k, lock);
    enablePreemption(k);
  },
  'void _raw_read_unlock_irq(rwlock_t *lock)': (k, lock) => {
    readUnlock(k, lock);
    enableInterrupts(k);
    enablePreemption(k);
  },
  'void _raw_read_unlock_irqrestore(rwlock_t *lock, unsigned long flags)': (k, lock, flags) => {
    readUnlock(k, lock);
    restoreInterrupts(k, flags);
    enablePreemption(k);
  },
  'void _raw_read_unlock_bh(rwlock_t *lock)': (k, lock) => {
    readUnlock(k, lock);
    return enableBottomHalves(k);
  },
  'void _raw_write_lock(rwlock_t *lock)': (k, lock) => {
    disablePreemption(k);
    writeLock(k, lock);
  },
  'void _raw_write_lock_irq(rwlock_t *lock)': (k, lock) => {
    lockIrqsave(k, () => writeLock(k, lock));
  },
  'unsigned long _raw_write_lock_irqsave(rwlock_t *lock)': (k, lock) =>
    lockIrqsave(k, () => writeLock(k, lock)),
  'void _raw_write_lock_bh(rwlock_t *lock)': (k, lock) => {
    disableBottomHalves(k);
    writeLock(k, lock);
  },
  'int _raw_write_trylock(rwlock_t *lock)': (k, lock) => {
    if (k.memory.u32(lock) !== 0) return 0;
    disablePreemption(k);
    writeLock(k, lock);
    return 1;
  },
  'void _raw_write_unlock(rwlock_t *lock)': (k, lock) => {
    writeUnlock(k, lock);
    enablePreemption(k);
  },
  'void _raw_write_unlock_irq(rwlock_t *lock)': (k, lock) => {
    writeUnlock(k, lock);
    enableInterrupts(k);
    enablePreemption(k);
  },
  'void _raw_write_unlock_irqrestore(rwlock_t *lock, unsigned long flags)': (k, lock, flags) => {
    writeUnlock(k, lock);
    restoreInterrupts(k, flags);
    enablePreemption(k);
  },
  'void _raw_write_unlock_bh(rwlock_t *lock)': (k, lock) => {
    writeUnlock(k, lock);
    return enableBottomHalves(k);
  },
});

// -- mutexes ------------------------------------------------------------------------------------------------------

/** MUTEX_FLAG_WAITERS in the low bits of the owner word. */
const WAITERS = 1;

/** The owner word; of a preemptible kernel's mutex, and of its spinlocks, that of the rt_mutex at their start. */
export const ownerWord = (k: Linux, lock: Address): Address =>
  lock + k.offset(k.types.has('mutex.owner') ? 'mutex.owner' : 'rt_mutex_base.owner');

export function* lockMutex(k: Linux, mutex: Address, state: number): Steps<number> {
  if (tryLockMutex(k, mutex) === 1) return 0;
  const owner = ownerWord(k, mutex);
  const holder = k.memory.ptr(owner);
  if ((holder & WAITERS) === 0) k.memory.setPtr(owner, holder + WAITERS);
  // unlockMutex hands the lock over before it wakes the sleeper.
  return yield* waitFor(k, mutex, state, `mutex ${lockName(k, mutex)} held by ${holders(k, mutex)}`);
}

export function unlockMutex(k: Linux, mutex: Address): void {
  lockGivenUp(k, mutex);
  const owner = ownerWord(k, mutex);
  const next = grant(k, mutex);
  const more = firstWaiter(k, mutex) !== undefined;
  k.memory.setPtr(owner, next === 0 ? 0 : next + (more ? WAITERS : 0));
  if (next !== 0) lockTaken(k, mutex, unlockMutex, k.tasks.threadOf(next));
}

export function tryLockMutex(k: Linux, mutex: Address): number {
  const owner = ownerWord(k, mutex);
  if (k.memory.ptr(owner) !== 0) return 0;
  k.memory.setPtr(owner, k.current);
  lockTaken(k, mutex, unlockMutex);
  return 1;
}

export function initMutex(k: Linux, lock: Address): void {
  lockForgotten(k, lock);
  k.memory.fill(lock, k.sizeof('mutex'), 0);
  if (k.types.has('mutex.wait_list')) initList(k, lock + k.offset('mutex.wait_list'));
}

export const mutexes = kernelFunctions({
  'void __mutex_init(struct mutex *lock, const char *name, struct lock_class_key *key)': initMutex,
  'void mutex_init_generic(struct mutex *lock)': initMutex,
  'void mutex_lock(struct mutex *lock)': function* (k, lock) {
    yield* lockMutex(k, lock, TASK.UNINTERRUPTIBLE);
  },
  'void mutex_lock_io(struct mutex *lock)': function* (k, lock) {
    yield* lockMutex(k, lock, TASK.UNINTERRUPTIBLE);
  },
  'int mutex_lock_interruptible(struct mutex *lock)': (k, lock) => lockMutex(k, lock, TASK.INTERRUPTIBLE),
  'int mutex_lock_killable(struct mutex *lock)': (k, lock) => lockMutex(k, lock, TASK.KILLABLE),
  'int mutex_trylock(struct mutex *lock)': (k, lock) => tryLockMutex(k, lock),
  'void mutex_unlock(struct mutex *lock)': (k, lock) => unlockMutex(k, lock),
  'bool mutex_is_locked(struct mutex *lock)': (k, lock) => (k.memory.ptr(ownerWord(k, lock)) !== 0 ? 1 : 0),
  'int atomic_dec_and_mutex_lock(atomic_t *cnt, struct mutex *lock)': function* (k, count, lock) {
    const value = k.memory.i32(count) - 1;
    if (value === 0) yield* lockMutex(k, lock, TASK.UNINTERRUPTIBLE);
    k.memory.set32(count, value);
    return value === 0 ? 1 : 0;
  },
});

// -- semaphores ---------------------------------------------------------------------------------------------------

function* downSemaphore(k: Linux, sem: Address, state: number, until?: number): Steps<number> {
  const count = k.read('semaphore.count', sem);
  if (count > 0) {
    k.write('semaphore.count', sem, count - 1);
    return 0;
  }
  return yield* waitFor(k, sem, state, 'semaphore', '', until);
}

export const semaphores = kernelFunctions({
  'void down(struct semaphore *sem)': function* (k, sem) {
    yield* downSemaphore(k, sem, TASK.UNINTERRUPTIBLE);
  },
  'int down_interruptible(struct semaphore *sem)': (k, sem) => downSemaphore(k, sem, TASK.INTERRUPTIBLE),
  'int down_killable(struct semaphore *sem)': (k, sem) => downSemaphore(k, sem, TASK.KILLABLE),
  'int down_timeout(struct semaphore *sem, long timeout)': (k, sem, timeout) =>
    downSemaphore(k, sem, TASK.UNINTERRUPTIBLE, timeOfJiffies(jiffies(k) + timeout)),
  'int down_trylock(struct semaphore *sem)': (k, sem) => {
    const count = k.read('semaphore.count', sem);
    if (count === 0) return 1;
    k.write('semaphore.count', sem, count - 1);
    return 0;
  },
  'void up(struct semaphore *sem)': (k, sem) => {
    if (grant(k, sem) === 0) k.write('semaphore.count', sem, k.read('semaphore.count', sem) + 1);
  },
});

// -- rw semaphores: bit 0 of the count is the writer, readers count from bit 8 (kernel/locking/rwsem.c) ------------

const WRITE_LOCKED = 1;
const READ_BIAS = 0x100;

/** rwbase_rt of preemptible kernels: readers count from READER_BIAS; a writer leaves WRITER_BIAS there. */
const RT_FREE = -(2 ** 31);
const RT_WRITER = 2 ** 30;
const isRt = (k: Linux): boolean => k.types.has('rw_semaphore.rwbase');
/** The count of readers is the first member of struct rwbase_rt. */
const readersAt = (k: Linux, sem: Address): Address => sem + k.offset('rw_semaphore.rwbase');

function countOf(k: Linux, sem: Address): number {
  if (!isRt(k)) return k.read('rw_semaphore.count.counter', sem);
  const readers = k.memory.i32(readersAt(k, sem));
  // The kernel's own static semaphores start as zero here.
  if (readers === 0) return 0;
  return readers === RT_WRITER ? WRITE_LOCKED : (readers - RT_FREE) * READ_BIAS;
}

function setCount(k: Linux, sem: Address, count: number): void {
  if (!isRt(k)) k.write('rw_semaphore.count.counter', sem, count);
  else {
    const readers = (count & WRITE_LOCKED) !== 0 ? RT_WRITER : RT_FREE + count / READ_BIAS;
    k.memory.set32(readersAt(k, sem), readers);
  }
}

function setWriter(k: Linux, sem: Address, task: Address): void {
  if (k.types.has('rw_semaphore.owner')) k.write('rw_semaphore.owner.counter', sem, task);
}

function tryRead(k: Linux, sem: Address): boolean {
  const count = countOf(k, sem);
  if ((count & WRITE_LOCKED) !== 0 || firstWaiter(k, sem) !== undefined) return false;
  setCount(k, sem, count + READ_BIAS);
  lockTaken(k, sem, upRead);
  return true;
}

function tryWrite(k: Linux, sem: Address): boolean {
  if (countOf(k, sem) !== 0) return false;
  setCount(k, sem, WRITE_LOCKED);
  setWriter(k, sem, k.current);
  lockTaken(k, sem, upWrite);
  return true;
}

function* down(k: Linux, sem: Address, kind: 'read' | 'write', state: number): Steps<number> {
  if (kind === 'read' ? tryRead(k, sem) : tryWrite(k, sem)) return 0;
  return yield* waitFor(
    k,
    sem,
    state,
    `rw semaphore ${lockName(k, sem)}, to ${kind}, held by ${holders(k, sem)}`,
    kind,
  );
}

/** Hands the semaphore to the first writer, or to all readers in front of the next writer. */
function handOver(k: Linux, sem: Address): void {
  for (let first = firstWaiter(k, sem); first !== undefined; first = firstWaiter(k, sem)) {
    const count = countOf(k, sem);
    if (first.kind === 'write') {
      if (count !== 0) return;
      setCount(k, sem, WRITE_LOCKED);
      setWriter(k, sem, first.task);
      lockTaken(k, sem, upWrite, k.tasks.threadOf(first.task));
      grant(k, sem);
      return;
    }
    if ((count & WRITE_LOCKED) !== 0) return;
    setCount(k, sem, count + READ_BIAS);
    lockTaken(k, sem, upRead, k.tasks.threadOf(first.task));
    grant(k, sem);
  }
}

function upRead(k: Linux, sem: Address): void {
  lockGivenUp(k, sem);
  setCount(k, sem, countOf(k, sem) - READ_BIAS);
  handOver(k, sem);
}

function upWrite(k: Linux, sem: Address): void {
  lockGivenUp(k, sem);
  setWriter(k, sem, 0);
  setCount(k, sem, countOf(k, sem) - WRITE_LOCKED);
  handOver(k, sem);
}

export const rwSemaphores = kernelFunctions({
  'void __init_rwsem(struct rw_semaphore *sem, const char *name, struct lock_class_key *key)': (k, sem) => {
    lockForgotten(k, sem);
    k.memory.fill(sem, k.sizeof('rw_semaphore'), 0);
    if (k.types.has('rw_semaphore.wait_list')) initList(k, sem + k.offset('rw_semaphore.wait_list'));
    setCount(k, sem, 0);
  },
  'void down_read(struct rw_semaphore *sem)': function* (k, sem) {
    yield* down(k, sem, 'read', TASK.UNINTERRUPTIBLE);
  },
  'int down_read_interruptible(struct rw_semaphore *sem)': (k, sem) =>
    down(k, sem, 'read', TASK.INTERRUPTIBLE),
  'int down_read_killable(struct rw_semaphore *sem)': (k, sem) => down(k, sem, 'read', TASK.KILLABLE),
  'int down_read_trylock(struct rw_semaphore *sem)': (k, sem) => (tryRead(k, sem) ? 1 : 0),
  'void down_write(struct rw_semaphore *sem)': function* (k, sem) {
    yield* down(k, sem, 'write', TASK.UNINTERRUPTIBLE);
  },
  'int down_write_killable(struct rw_semaphore *sem)': (k, sem) => down(k, sem, 'write', TASK.KILLABLE),
  'int down_write_trylock(struct rw_semaphore *sem)': (k, sem) => (tryWrite(k, sem) ? 1 : 0),
  'void up_read(struct rw_semaphore *sem)': upRead,
  'void up_write(struct rw_semaphore *sem)': upWrite,
  'void downgrade_write(struct rw_semaphore *sem)': (k, sem) => {
    lockGivenUp(k, sem);
    lockTaken(k, sem, upRead);
    setCount(k, sem, countOf(k, sem) - WRITE_LOCKED + READ_BIAS);
    handOver(k, sem);
  },
});
