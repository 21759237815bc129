/** mutex(9), sx(9), rwlock(9), condvar(9): the lock words in guest memory as sys/kern/kern_mutex.c and its like keep them. */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { KernelPanic } from '../faults.ts';
import type { FreeBsd } from '../freebsd.ts';
import { majorOf } from '../version.ts';
import { kernelFunctions } from './define.ts';
import { sleepOn, wakeChannel } from './sleepqueue.ts';

/** Index in lock_classes[] (sys/kern/subr_lock.c), kept in the top bits of lo_flags. */
const CLASS = { SPIN: 0, MUTEX: 1, SX: 2, RW: 5, LOCKMGR: 6 } as const;
const CLASS_SHIFT = 24;
const LO = { INITIALIZED: 0x00010000, RECURSABLE: 0x00080000 } as const;
/** Options of mtx_init and sx_init_flags. */
const MTX = { SPIN: 1, RECURSE: 4 } as const;
const SX_RECURSE = 0x08;
const RW_RECURSE = 0x01;
/** Readers are counted above these bits of the word; the lowest bit says that it is read-locked. */
const READERS_SHIFT = 4;
/**
 * Bits below the owner's address that keep inline code of modules from taking the short way out: somebody waits, or the
 * owner has it more than once. MTX_CONTESTED and MTX_RECURSED; SX_LOCK_EXCLUSIVE_WAITERS and SX_LOCK_RECURSED;
 * RW_LOCK_WRITE_WAITERS and RW_LOCK_WRITER_RECURSED.
 */
const WAITED = { mutex: 2, other: 4 } as const;
const RECURSED = { mutex: 1, sx: 8, rw: 16 } as const;
const OWNER_BITS = 32;
const READ = 1;

/** The word of a mutex that nobody has: 4 before 12, 0 from then on. */
const unowned = (k: FreeBsd): number => (majorOf(k.version) < 12 ? 4 : 0);
/** sx and rw locks that nobody has are read-locked by no reader. */
const FREE_SHARED = READ;

/** The lock word stands behind the lock_object in every kind. */
const wordOf = (k: FreeBsd, lock: Address): Address => lock + k.sizeof('lock_object');
const lockOf = (k: FreeBsd, word: Address): Address => word - k.sizeof('lock_object');
const classOf = (k: FreeBsd, lock: Address): number =>
  (k.read('lock_object.lo_flags', lock) >>> CLASS_SHIFT) & 0xf;
const nameOf = (k: FreeBsd, lock: Address): string => {
  const at = k.read('lock_object.lo_name', lock);
  return at === 0 ? '?' : k.memory.cstring(at, 64);
};

function initLock(
  k: FreeBsd,
  lock: Address,
  name: Address,
  kind: number,
  recurse: boolean,
  word: number,
): void {
  k.memory.fill(lock, k.sizeof('mtx'), 0);
  k.write('lock_object.lo_name', lock, name);
  const flags = LO.INITIALIZED | (recurse ? LO.RECURSABLE : 0) | (kind << CLASS_SHIFT);
  k.write('lock_object.lo_flags', lock, flags);
  k.memory.setPtr(wordOf(k, lock), word);
}

export function initMutex(k: FreeBsd, lock: Address, name: Address, options: number): void {
  const kind = (options & MTX.SPIN) !== 0 ? CLASS.SPIN : CLASS.MUTEX;
  initLock(k, lock, name, kind, (options & MTX.RECURSE) !== 0, unowned(k));
}

/** An sx lock that the kernel itself has. */
export function initSx(k: FreeBsd, lock: Address, name: Address): void {
  initLock(k, lock, name, CLASS.SX, false, FREE_SHARED);
}

const owner = (k: FreeBsd, word: Address): Address => {
  const value = k.memory.ptr(word);
  return value - (((value % OWNER_BITS) + OWNER_BITS) % OWNER_BITS);
};

function setBit(k: FreeBsd, word: Address, bit: number): void {
  const value = k.memory.ptr(word);
  if ((value & bit) === 0) k.memory.setPtr(word, value + bit);
}

function clearBit(k: FreeBsd, word: Address, bit: number): void {
  const value = k.memory.ptr(word);
  if ((value & bit) !== 0) k.memory.setPtr(word, value - bit);
}

const waitedBit = (k: FreeBsd, lock: Address): number =>
  classOf(k, lock) <= CLASS.MUTEX ? WAITED.mutex : WAITED.other;

function recursedBit(k: FreeBsd, lock: Address): number {
  const kind = classOf(k, lock);
  if (kind >= CLASS.RW) return RECURSED.rw;
  return kind === CLASS.SX ? RECURSED.sx : RECURSED.mutex;
}

/** Waits until a lock may be free. Its word says that somebody waits, so that who lets go of it calls the kernel. */
function* awaitLock(k: FreeBsd, lock: Address): Steps<void> {
  const word = wordOf(k, lock);
  setBit(k, word, waitedBit(k, lock));
  yield* sleepOn(k, word, nameOf(k, lock), Number.POSITIVE_INFINITY);
}

/** Locks inside of structures of ours whose layout is not known (struct proc) are zero: nobody has them either. */
const isFree = (k: FreeBsd, word: Address, free: number): boolean => {
  const value = k.memory.ptr(word);
  return value === free || value === 0;
};

/** Takes a lock for writing; what is held already is counted in lo_data, where the kind allows it. */
function* lockExclusive(k: FreeBsd, lock: Address, free: number): Steps<void> {
  const word = wordOf(k, lock);
  const td = k.curthread;
  if (owner(k, word) === td && !isFree(k, word, free)) {
    if ((k.read('lock_object.lo_flags', lock) & LO.RECURSABLE) === 0)
      throw new KernelPanic(`_mtx_lock_sleep: recursed on non-recursive mutex ${nameOf(k, lock)}`);
    k.write('lock_object.lo_data', lock, k.read('lock_object.lo_data', lock) + 1);
    setBit(k, word, recursedBit(k, lock));
    return;
  }
  while (!isFree(k, word, free)) yield* awaitLock(k, lock);
  k.memory.setPtr(word, td);
}

function tryExclusive(k: FreeBsd, lock: Address, free: number): number {
  const word = wordOf(k, lock);
  if (isFree(k, word, free)) {
    k.memory.setPtr(word, k.curthread);
    return 1;
  }
  const again =
    owner(k, word) === k.curthread && (k.read('lock_object.lo_flags', lock) & LO.RECURSABLE) !== 0;
  if (again) {
    k.write('lock_object.lo_data', lock, k.read('lock_object.lo_data', lock) + 1);
    setBit(k, word, recursedBit(k, lock));
  }
  return again ? 1 : 0;
}

function unlockExclusive(k: FreeBsd, lock: Address, free: number): void {
  const depth = k.read('lock_object.lo_data', lock);
  if (depth > 0) {
    k.write('lock_object.lo_data', lock, depth - 1);
    if (depth === 1) clearBit(k, wordOf(k, lock), recursedBit(k, lock));
    return;
  }
  const word = wordOf(k, lock);
  k.memory.setPtr(word, free);
  wakeChannel(k, word);
}

/** The word of a lock for readers; one that is zero is made a lock that nobody has (isFree). */
function freshWord(k: FreeBsd, lock: Address): Address {
  const word = wordOf(k, lock);
  if (k.memory.ptr(word) === 0) k.memory.setPtr(word, FREE_SHARED);
  return word;
}

function* lockShared(k: FreeBsd, lock: Address): Steps<void> {
  const word = freshWord(k, lock);
  while ((k.memory.ptr(word) & READ) === 0) yield* awaitLock(k, lock);
  k.memory.setPtr(word, k.memory.ptr(word) + (1 << READERS_SHIFT));
}

function unlockShared(k: FreeBsd, lock: Address): void {
  const word = wordOf(k, lock);
  k.memory.setPtr(word, Math.max(FREE_SHARED, k.memory.ptr(word) - (1 << READERS_SHIFT)));
  wakeChannel(k, word);
}

const freeWord = (k: FreeBsd, lock: Address): number =>
  classOf(k, lock) >= CLASS.SX ? FREE_SHARED : unowned(k);

/** Takes any lock for writing, by its lock_object. */
export function* lockObject(k: FreeBsd, lock: Address): Steps<void> {
  yield* lockExclusive(k, lock, freeWord(k, lock));
}

export function unlockObject(k: FreeBsd, lock: Address): void {
  const word = wordOf(k, lock);
  const shared = freeWord(k, lock) === FREE_SHARED && (k.memory.ptr(word) & READ) !== 0;
  if (shared) unlockShared(k, lock);
  else unlockExclusive(k, lock, freeWord(k, lock));
}

const mutexByWord = (k: FreeBsd, word: Address) => lockExclusive(k, lockOf(k, word), unowned(k));
const releaseByWord = (k: FreeBsd, word: Address) => unlockExclusive(k, lockOf(k, word), unowned(k));

/** From 10 on functions get the address of the lock word, before that of the mutex. */
export const mutexes = kernelFunctions({
  'void _mtx_init(volatile uintptr_t *c, const char *name, const char *type, int opts)': (
    k,
    c,
    name,
    _type,
    opts,
  ) => initMutex(k, lockOf(k, c), name, opts),
  'void mtx_init(struct mtx *m, const char *name, const char *type, int opts)': (k, m, name, _type, opts) =>
    initMutex(k, m, name, opts),
  'void _mtx_destroy(volatile uintptr_t *c)': (k, c) => destroy(k, lockOf(k, c)),
  'void mtx_destroy(struct mtx *m)': destroy,
  'void mtx_sysinit(void *arg)': (k, at) =>
    initMutex(
      k,
      k.read('mtx_args.ma_mtx', at),
      k.read('mtx_args.ma_desc', at),
      k.read('mtx_args.ma_opts', at),
    ),
  'void __mtx_lock_flags(volatile uintptr_t *c, int opts, const char *file, int line)': mutexByWord,
  'void __mtx_unlock_flags(volatile uintptr_t *c, int opts, const char *file, int line)': releaseByWord,
  'void __mtx_lock_spin_flags(volatile uintptr_t *c, int opts, const char *file, int line)': mutexByWord,
  'void __mtx_unlock_spin_flags(volatile uintptr_t *c, int opts, const char *file, int line)': releaseByWord,
  'void _mtx_lock_flags(struct mtx *m, int opts, const char *file, int line)': (k, m) =>
    lockExclusive(k, m, unowned(k)),
  'void _mtx_unlock_flags(struct mtx *m, int opts, const char *file, int line)': (k, m) =>
    unlockExclusive(k, m, unowned(k)),
  'void _mtx_lock_spin_flags(struct mtx *m, int opts, const char *file, int line)': (k, m) =>
    lockExclusive(k, m, unowned(k)),
  'void _mtx_unlock_spin_flags(struct mtx *m, int opts, const char *file, int line)': (k, m) =>
    unlockExclusive(k, m, unowned(k)),
  'int _mtx_trylock_flags_(volatile uintptr_t *c, int opts, const char *file, int line)': (k, c) =>
    tryExclusive(k, lockOf(k, c), unowned(k)),
  'int mtx_trylock_flags_(volatile uintptr_t *c, int opts, const char *file, int line)': (k, c) =>
    tryExclusive(k, lockOf(k, c), unowned(k)),
  'int _mtx_trylock(struct mtx *m, int opts, const char *file, int line)': (k, m) =>
    tryExclusive(k, m, unowned(k)),
  // What inline code of modules calls when the short way fails; what stands behind the word differs by release.
  'void __mtx_lock_sleep(volatile uintptr_t *c, uintptr_t v)': mutexByWord,
  'void __mtx_unlock_sleep(volatile uintptr_t *c, uintptr_t v)': releaseByWord,
  'void _mtx_lock_sleep(struct mtx *m, uintptr_t tid)': (k, m) => lockExclusive(k, m, unowned(k)),
  'void _mtx_unlock_sleep(struct mtx *m, int opts)': (k, m) => unlockExclusive(k, m, unowned(k)),
  'void _mtx_lock_spin_cookie(volatile uintptr_t *c, uintptr_t v)': mutexByWord,
  'void _mtx_assert(struct mtx *m, int what, const char *file, int line)': () => undefined,
  'void __mtx_assert(const volatile uintptr_t *c, int what, const char *file, int line)': () => undefined,
});

/** td_lock, the first word of struct thread: the lock of the scheduler that a thread is under. */
const lockThread = (k: FreeBsd, td: Address) => lockExclusive(k, k.memory.ptr(td), unowned(k));

export const threadLocks = kernelFunctions({
  'void thread_lock_flags_(void *td, int opts, const char *file, int line)': lockThread,
  'void _thread_lock_flags(void *td, int opts, const char *file, int line)': lockThread,
  'void _thread_lock(void *td)': lockThread,
  'void thread_unlock(void *td)': (k, td) => unlockExclusive(k, k.memory.ptr(td), unowned(k)),
});

/** The one lock that all threads are under; it may be taken more than once. */
export function schedulerLock(k: FreeBsd): Address {
  const at = k.data.reserve(k.sizeof('mtx'));
  initMutex(k, at, k.heap.string('sched lock 0'), MTX.SPIN | MTX.RECURSE);
  return at;
}

function destroy(k: FreeBsd, lock: Address): void {
  k.write('lock_object.lo_flags', lock, k.read('lock_object.lo_flags', lock) & ~LO.INITIALIZED);
}

const flagsSet = (options: number, bit: number): boolean => (options & bit) !== 0;

export const sxLocks = kernelFunctions({
  'void sx_init_flags(struct sx *sx, const char *description, int opts)': (k, sx, name, opts) =>
    initLock(k, sx, name, CLASS.SX, flagsSet(opts, SX_RECURSE), FREE_SHARED),
  'void sx_sysinit(void *arg)': (k, at) =>
    initLock(
      k,
      k.read('sx_args.sa_sx', at),
      k.read('sx_args.sa_desc', at),
      CLASS.SX,
      flagsSet(k.read('sx_args.sa_flags', at), SX_RECURSE),
      FREE_SHARED,
    ),
  'void sx_destroy(struct sx *sx)': destroy,
  *'int _sx_xlock(struct sx *sx, int opts, const char *file, int line)'(k, sx) {
    yield* lockExclusive(k, sx, FREE_SHARED);
    return 0;
  },
  'void _sx_xunlock(struct sx *sx, const char *file, int line)': (k, sx) =>
    unlockExclusive(k, sx, FREE_SHARED),
  *'int _sx_slock(struct sx *sx, int opts, const char *file, int line)'(k, sx) {
    yield* lockShared(k, sx);
    return 0;
  },
  'void _sx_sunlock(struct sx *sx, const char *file, int line)': unlockShared,
  *'int _sx_xlock_hard(struct sx *sx, uintptr_t x, int opts)'(k, sx) {
    yield* lockExclusive(k, sx, FREE_SHARED);
    return 0;
  },
  'void _sx_xunlock_hard(struct sx *sx, uintptr_t x)': (k, sx) => unlockExclusive(k, sx, FREE_SHARED),
  *'int _sx_slock_int(struct sx *sx, int opts)'(k, sx) {
    yield* lockShared(k, sx);
    return 0;
  },
  'void _sx_sunlock_int(struct sx *sx)': unlockShared,
  *'int _sx_slock_hard(struct sx *sx, int opts)'(k, sx) {
    yield* lockShared(k, sx);
    return 0;
  },
  'void _sx_sunlock_hard(struct sx *sx)': unlockShared,
  'int sx_try_slock_(struct sx *sx)': tryShared,
  'int sx_try_upgrade_(struct sx *sx)': tryUpgrade,
  'int sx_try_slock_int(struct sx *sx)': tryShared,
  'int sx_try_upgrade_int(struct sx *sx)': tryUpgrade,
  'void sx_downgrade_int(struct sx *sx)': downgrade,
  'int sx_try_xlock_(struct sx *sx, const char *file, int line)': (k, sx) => tryExclusive(k, sx, FREE_SHARED),
  'int _sx_try_xlock(struct sx *sx, const char *file, int line)': (k, sx) => tryExclusive(k, sx, FREE_SHARED),
  'void sx_downgrade_(struct sx *sx, const char *file, int line)': downgrade,
  'void _sx_downgrade(struct sx *sx, const char *file, int line)': downgrade,
  'void _sx_assert(struct sx *sx, int what, const char *file, int line)': () => undefined,
});

function tryShared(k: FreeBsd, lock: Address): number {
  const word = freshWord(k, lock);
  if ((k.memory.ptr(word) & READ) === 0) return 0;
  k.memory.setPtr(word, k.memory.ptr(word) + (1 << READERS_SHIFT));
  return 1;
}

/** From the only reader to the owner. */
function tryUpgrade(k: FreeBsd, lock: Address): number {
  const word = wordOf(k, lock);
  const value = k.memory.ptr(word);
  if ((value & READ) === 0 || Math.floor(value / (1 << READERS_SHIFT)) !== 1) return 0;
  k.memory.setPtr(word, k.curthread + (value & WAITED.other));
  return 1;
}

function downgrade(k: FreeBsd, lock: Address): void {
  k.memory.setPtr(wordOf(k, lock), FREE_SHARED + (1 << READERS_SHIFT));
  wakeChannel(k, wordOf(k, lock));
}

/** What the kinds that have readers do alike. */
export const sharable = {
  exclusive: (k: FreeBsd, lock: Address): Steps<void> => lockExclusive(k, lock, FREE_SHARED),
  tryExclusive: (k: FreeBsd, lock: Address): number => tryExclusive(k, lock, FREE_SHARED),
  shared: lockShared,
  tryShared,
  tryUpgrade,
  downgrade,
  destroy,
} as const;

/** struct lock: two words for a sleep's length and priority stand behind those that all kinds have. */
export function initLockmgr(k: FreeBsd, lock: Address, name: Address, recurse: boolean): void {
  initLock(k, lock, name, CLASS.LOCKMGR, recurse, FREE_SHARED);
  k.memory.fill(lock + k.sizeof('mtx'), 8, 0);
}

const initRw = (k: FreeBsd, lock: Address, name: Address, opts: number) =>
  initLock(k, lock, name, CLASS.RW, flagsSet(opts, RW_RECURSE), FREE_SHARED);

export const rwLocks = kernelFunctions({
  'void _rw_init_flags(volatile uintptr_t *c, const char *name, int opts)': (k, c, name, opts) =>
    initRw(k, lockOf(k, c), name, opts),
  'void rw_init_flags(struct rwlock *rw, const char *name, int opts)': initRw,
  'void rw_sysinit(void *arg)': (k, at) =>
    initRw(k, k.read('rw_args.ra_rw', at), k.read('rw_args.ra_desc', at), 0),
  'void rw_sysinit_flags(void *arg)': (k, at) =>
    initRw(k, k.read('rw_args.ra_rw', at), k.read('rw_args.ra_desc', at), k.read('rw_args.ra_flags', at)),
  'void _rw_destroy(volatile uintptr_t *c)': (k, c) => destroy(k, lockOf(k, c)),
  'void rw_destroy(struct rwlock *rw)': destroy,
  'void _rw_wlock_cookie(volatile uintptr_t *c, const char *file, int line)': (k, c) =>
    lockExclusive(k, lockOf(k, c), FREE_SHARED),
  'void _rw_wunlock_cookie(volatile uintptr_t *c, const char *file, int line)': (k, c) =>
    unlockExclusive(k, lockOf(k, c), FREE_SHARED),
  'void __rw_rlock(volatile uintptr_t *c, const char *file, int line)': (k, c) => lockShared(k, lockOf(k, c)),
  'void _rw_runlock_cookie(volatile uintptr_t *c, const char *file, int line)': (k, c) =>
    unlockShared(k, lockOf(k, c)),
  'void __rw_wlock_hard(volatile uintptr_t *c, uintptr_t v)': (k, c) =>
    lockExclusive(k, lockOf(k, c), FREE_SHARED),
  'void __rw_wunlock_hard(volatile uintptr_t *c, uintptr_t v)': (k, c) =>
    unlockExclusive(k, lockOf(k, c), FREE_SHARED),
  'void __rw_rlock_int(struct rwlock *rw)': lockShared,
  'void _rw_runlock_cookie_int(struct rwlock *rw)': unlockShared,
  'int __rw_try_rlock(volatile uintptr_t *c)': (k, c) => tryShared(k, lockOf(k, c)),
  'int __rw_try_upgrade(volatile uintptr_t *c)': (k, c) => tryUpgrade(k, lockOf(k, c)),
  'void __rw_assert(const volatile uintptr_t *c, int what, const char *file, int line)': () => undefined,
  'int _rw_wowned(const volatile uintptr_t *c)': (k, c) =>
    owner(k, c) === k.curthread && (k.memory.ptr(c) & READ) === 0 ? 1 : 0,
  'int __rw_try_wlock(volatile uintptr_t *c, const char *file, int line)': (k, c) =>
    tryExclusive(k, lockOf(k, c), FREE_SHARED),
  'void __rw_downgrade(volatile uintptr_t *c, const char *file, int line)': (k, c) =>
    downgrade(k, lockOf(k, c)),
  'void _rw_wlock(struct rwlock *rw, const char *file, int line)': (k, rw) =>
    lockExclusive(k, rw, FREE_SHARED),
  'void _rw_wunlock(struct rwlock *rw, const char *file, int line)': (k, rw) =>
    unlockExclusive(k, rw, FREE_SHARED),
  'void _rw_rlock(struct rwlock *rw, const char *file, int line)': lockShared,
  'void _rw_runlock(struct rwlock *rw, const char *file, int line)': unlockShared,
});

/** rmlock(9): read-mostly locks. A reader is counted like any other; its tracker stays as it is. */
export const rmLocks = kernelFunctions({
  'void rm_init_flags(struct rwlock *rm, const char *name, int opts)': initRw,
  'void rm_init(struct rwlock *rm, const char *name)': (k, rm, name) => initRw(k, rm, name, 0),
  'void rm_destroy(struct rwlock *rm)': destroy,
  'void rm_sysinit(void *arg)': (k, at) =>
    initRw(k, k.read('rw_args.ra_rw', at), k.read('rw_args.ra_desc', at), 0),
  *'int _rm_rlock(struct rwlock *rm, void *tracker, int trylock)'(k, rm, _tracker, attempt) {
    if (attempt !== 0) return tryShared(k, rm);
    yield* lockShared(k, rm);
    return 1;
  },
  'void _rm_runlock(struct rwlock *rm, void *tracker)': unlockShared,
  'void _rm_wlock(struct rwlock *rm)': (k, rm) => lockExclusive(k, rm, FREE_SHARED),
  'void _rm_wunlock(struct rwlock *rm)': (k, rm) => unlockExclusive(k, rm, FREE_SHARED),
});

/** struct cv: a description and a count of waiters. */
export const condvars = kernelFunctions({
  'void cv_init(void *cvp, const char *desc)': (k, cv, name) => {
    k.memory.setPtr(cv, name);
    k.memory.set32(cv + k.word, 0);
  },
  'void cv_destroy(void *cvp)': () => undefined,
  'void cv_signal(void *cvp)': (k, cv) => wakeChannel(k, cv, 1),
  'void cv_broadcastpri(void *cvp, int pri)': (k, cv) => wakeChannel(k, cv),
  *'void _cv_wait(void *cvp, struct lock_object *lock)'(k, cv, lock) {
    unlockObject(k, lock);
    yield* sleepOn(k, cv, k.memory.cstring(k.memory.ptr(cv), 64), Number.POSITIVE_INFINITY);
    yield* lockObject(k, lock);
  },
  *'int _cv_wait_sig(void *cvp, struct lock_object *lock)'(k, cv, lock) {
    unlockObject(k, lock);
    yield* sleepOn(k, cv, k.memory.cstring(k.memory.ptr(cv), 64), Number.POSITIVE_INFINITY);
    yield* lockObject(k, lock);
    return 0;
  },
  *'void _cv_wait_unlock(void *cvp, struct lock_object *lock)'(k, cv, lock) {
    unlockObject(k, lock);
    yield* sleepOn(k, cv, k.memory.cstring(k.memory.ptr(cv), 64), Number.POSITIVE_INFINITY);
  },
});
