/**
 * mutex(9F), rwlock(9F), condvar(9F), semaphore(9F). The owner stands in the lock's own word in guest memory; who waits
 * is known to the scheduler alone, as in the kernel's sleep queues.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import { block, type Steps } from '../../../kernel/steps.ts';
import type { Thread } from '../../../kernel/thread.ts';
import type { Address } from '../../../memory/space.ts';
import { panic } from '../faults.ts';
import type { Solaris } from '../solaris.ts';
import { NS_PER_TICK, ticks } from './clock.ts';
import { kernelFunctions } from './define.ts';

/** Threads that wait, by the address of what they wait for: first come, first served. */
const sleepers = perKernel(() => new Map<Address, Thread[]>());

/** Sleeps on an address until `wakeOne` or `until` (virtual ns); false when time ran out. */
export function* sleepOn(
  k: Solaris,
  at: Address,
  why: string,
  until = Number.POSITIVE_INFINITY,
): Steps<boolean> {
  const thread = k.scheduler.current;
  if (thread === undefined) throw new Error(`nobody runs who could wait for ${why}`);
  if (k.scheduler.interrupting) throw panic(k, `${why}: a sleep in interrupt context`);
  const queues = k.state(sleepers);
  const queue = queues.get(at) ?? [];
  queue.push(thread);
  queues.set(at, queue);
  const woken = yield* block(why, until);
  const place = queue.indexOf(thread);
  if (place >= 0) queue.splice(place, 1);
  if (queue.length === 0) queues.delete(at);
  return woken;
}

/** Wakes the first that sleeps there. */
export function wakeOne(k: Solaris, at: Address): boolean {
  const queue = k.state(sleepers).get(at);
  for (let thread = queue?.shift(); thread !== undefined; thread = queue?.shift())
    if (k.scheduler.wake(thread)) return true;
  return false;
}

export function wakeAll(k: Solaris, at: Address): void {
  while (wakeOne(k, at));
}

export function* enterMutex(k: Solaris, lock: Address): Steps<void> {
  while (k.memory.ptr(lock) !== 0) {
    if (k.memory.ptr(lock) === k.curthread)
      throw panic(
        k,
        `recursive mutex_enter, lp=${hex(k, lock)} owner=${hex(k, k.curthread)} thread=${hex(k, k.curthread)}`,
      );
    yield* sleepOn(k, lock, 'mutex_enter');
  }
  k.memory.setPtr(lock, k.curthread);
}

const hex = (k: Solaris, value: number): string => BigInt.asUintN(k.bits, BigInt(value)).toString(16);

export function exitMutex(k: Solaris, lock: Address): void {
  if (k.memory.ptr(lock) !== k.curthread) {
    const owner = k.memory.ptr(lock);
    throw panic(
      k,
      `mutex_exit: not owner, lp=${hex(k, lock)} owner=${hex(k, owner)} thread=${hex(k, k.curthread)}`,
    );
  }
  k.memory.setPtr(lock, 0);
  wakeOne(k, lock);
}

/** A krwlock's word: 0 free, 1 written with the owner above it, otherwise readers counted in eights. */
const WRITE_LOCKED = 4;
const READER = 8;
const RW = { WRITER: 0, READER: 1 } as const;

function tryRw(k: Solaris, lock: Address, how: number): boolean {
  const word = k.memory.ptr(lock);
  if (how === RW.WRITER) {
    if (word !== 0) return false;
    k.memory.setPtr(lock, k.curthread + WRITE_LOCKED);
    return true;
  }
  if (isWritten(k, word)) return false;
  k.memory.setPtr(lock, word + READER);
  return true;
}

/** Readers make small numbers; a kthread_t is an address of the kernel. */
const isWritten = (k: Solaris, word: number): boolean =>
  word !== 0 && (word < 0 || (k.bits === 32 && word >= k.map.kernelBase));

function* enterRw(k: Solaris, lock: Address, how: number): Steps<void> {
  while (!tryRw(k, lock, how)) {
    if (k.memory.ptr(lock) === k.curthread + WRITE_LOCKED) throw panic(k, 'rw_enter: recursive entry');
    yield* sleepOn(k, lock, 'rw_enter');
  }
}

function exitRw(k: Solaris, lock: Address): void {
  const word = k.memory.ptr(lock);
  if (word === 0) throw panic(k, `rw_exit: lock not held, lp=${hex(k, lock)}`);
  k.memory.setPtr(lock, isWritten(k, word) ? 0 : word - READER);
  if (k.memory.ptr(lock) === 0) wakeAll(k, lock);
}

/** cv_wait: the mutex is let go while it sleeps. */
function* waitCv(k: Solaris, cv: Address, lock: Address, until?: number): Steps<boolean> {
  exitMutex(k, lock);
  const woken = yield* sleepOn(k, cv, 'cv_wait', until);
  yield* enterMutex(k, lock);
  return woken;
}

/** Ticks left, at least 1; -1 when the time has come. */
function* timedWait(k: Solaris, cv: Address, lock: Address, tick: number): Steps<number> {
  if (tick <= ticks(k)) return -1;
  const woken = yield* waitCv(k, cv, lock, tick * NS_PER_TICK);
  return woken ? Math.max(1, tick - ticks(k)) : -1;
}

function* acquire(k: Solaris, sema: Address): Steps<void> {
  while (k.memory.ptr(sema) <= 0) yield* sleepOn(k, sema, 'sema_p');
  k.memory.setPtr(sema, k.memory.ptr(sema) - 1);
}

export const locks = kernelFunctions({
  'void mutex_init(kmutex_t *lock, char *name, int type, void *arg)': (k, lock) => k.memory.setPtr(lock, 0),
  'void mutex_destroy(kmutex_t *lock)': (k, lock) => {
    const owner = k.memory.ptr(lock);
    if (owner !== 0 && owner !== k.curthread)
      throw panic(k, `mutex_destroy: lock is held by ${hex(k, owner)}`);
    k.memory.setPtr(lock, 0);
  },
  'void mutex_enter(kmutex_t *lock)': enterMutex,
  'void mutex_exit(kmutex_t *lock)': exitMutex,
  'int mutex_tryenter(kmutex_t *lock)': (k, lock) => {
    if (k.memory.ptr(lock) !== 0) return 0;
    k.memory.setPtr(lock, k.curthread);
    return 1;
  },
  'int mutex_owned(kmutex_t *lock)': (k, lock) => (k.memory.ptr(lock) === k.curthread ? 1 : 0),
  'kthread_t *mutex_owner(kmutex_t *lock)': (k, lock) => k.memory.ptr(lock),
  'void rw_init(krwlock_t *lock, char *name, int type, void *arg)': (k, lock) => k.memory.setPtr(lock, 0),
  'void rw_destroy(krwlock_t *lock)': (k, lock) => {
    if (k.memory.ptr(lock) !== 0) throw panic(k, `rw_destroy: lock still active, lp=${hex(k, lock)}`);
  },
  'void rw_enter(krwlock_t *lock, int how)': enterRw,
  'void rw_exit(krwlock_t *lock)': exitRw,
  'int rw_tryenter(krwlock_t *lock, int how)': (k, lock, how) => (tryRw(k, lock, how) ? 1 : 0),
  'void rw_downgrade(krwlock_t *lock)': (k, lock) => {
    if (!isWritten(k, k.memory.ptr(lock))) throw panic(k, 'rw_downgrade: not owner');
    k.memory.setPtr(lock, READER);
    wakeAll(k, lock);
  },
  'int rw_tryupgrade(krwlock_t *lock)': (k, lock) => {
    if (k.memory.ptr(lock) !== READER) return 0;
    k.memory.setPtr(lock, k.curthread + WRITE_LOCKED);
    return 1;
  },
  'int rw_read_held(krwlock_t *lock)': (k, lock) => {
    const word = k.memory.ptr(lock);
    return word !== 0 && !isWritten(k, word) ? 1 : 0;
  },
  'int rw_write_held(krwlock_t *lock)': (k, lock) =>
    k.memory.ptr(lock) === k.curthread + WRITE_LOCKED ? 1 : 0,
  'int rw_lock_held(krwlock_t *lock)': (k, lock) => (k.memory.ptr(lock) !== 0 ? 1 : 0),
  'void cv_init(kcondvar_t *cv, char *name, int type, void *arg)': (k, cv) => k.memory.set16(cv, 0),
  'void cv_destroy(kcondvar_t *cv)': (k, cv) => k.memory.set16(cv, 0),
  'void cv_signal(kcondvar_t *cv)': (k, cv) => {
    wakeOne(k, cv);
  },
  'void cv_broadcast(kcondvar_t *cv)': wakeAll,
  *'void cv_wait(kcondvar_t *cv, kmutex_t *lock)'(k, cv, lock) {
    yield* waitCv(k, cv, lock);
  },
  *'int cv_wait_sig(kcondvar_t *cv, kmutex_t *lock)'(k, cv, lock) {
    yield* waitCv(k, cv, lock);
    return 1;
  },
  'clock_t cv_timedwait(kcondvar_t *cv, kmutex_t *lock, clock_t tick)': timedWait,
  'clock_t cv_timedwait_sig(kcondvar_t *cv, kmutex_t *lock, clock_t tick)': timedWait,
  'clock_t cv_reltimedwait(kcondvar_t *cv, kmutex_t *lock, clock_t delta, int resolution)': (
    k,
    cv,
    lock,
    delta,
  ) => timedWait(k, cv, lock, ticks(k) + delta),
  'clock_t cv_reltimedwait_sig(kcondvar_t *cv, kmutex_t *lock, clock_t delta, int resolution)': (
    k,
    cv,
    lock,
    delta,
  ) => timedWait(k, cv, lock, ticks(k) + delta),
  'void sema_init(ksema_t *sema, uint_t value, char *name, int type, void *arg)': (k, sema, value) =>
    k.memory.setPtr(sema, value),
  'void sema_destroy(ksema_t *sema)': (k, sema) => k.memory.setPtr(sema, 0),
  'void sema_p(ksema_t *sema)': acquire,
  *'int sema_p_sig(ksema_t *sema)'(k, sema) {
    yield* acquire(k, sema);
    return 0;
  },
  'int sema_tryp(ksema_t *sema)': (k, sema) => {
    const count = k.memory.ptr(sema);
    if (count <= 0) return 0;
    k.memory.setPtr(sema, count - 1);
    return 1;
  },
  'void sema_v(ksema_t *sema)': (k, sema) => {
    k.memory.setPtr(sema, k.memory.ptr(sema) + 1);
    wakeOne(k, sema);
  },
});
