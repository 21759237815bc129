/** mutex(9), sx(9), rwlock(9), condvar(9): the lock words in guest memory as sys/kern/kern_mutex.c and its like keep them. */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { KernelPanic } from '../faults.ts';
import type { FreeBsd } from '../freebsd.ts';
import { majorOf } from '../version.ts';
import { kernelFunctions } from './define.ts';
import { sleepOn, wakeChannel } from './sleepqueue.ts';

/** Index in lock_classes[] (sys/kern/subr_lock.c), kept in the top bits of lo_flags. */
const CLASS = { SPIN: 0, MUTEX: 1, SX: 2, RW: 5 } as const;
const CLASS_SHIFT = 24;
const LO = { INITIALIZED: 0x00010000, RECURSABLE: 0x00080000 } as const;
/** Options of mtx_init and sx_init_flags. */
const MTX = { SPIN: 1, RECURSE: 4 } as const;
const SX_RECURSE = 0x08;
const RW_RECURSE = 0x01;
/** Readers are counted above these bits of the word; the lowest bit says that it is read-locked. */
const READERS_SHIFT = 4;
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

const owner = (k: FreeBsd, word: Address): Address => {
  const value = k.memory.ptr(word);
  return value - (((value % 16) + 16) % 16);
};

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
    return;
  }
  while (!isFree(k, word, free)) yield* sleepOn(k, word, nameOf(k, lock), Number.POSITIVE_INFINITY);
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
  if (again) k.write('lock_object.lo_data', lock, k.read('lock_object.lo_data', lock) + 1);
  return again ? 1 : 0;
}

function unlockExclusive(k: FreeBsd, lock: Address, free: number): void {
  const depth = k.read('lock_object.lo_data', lock);
  if (depth > 0) {
    k.write('lock_object.lo_data', lock, depth - 1);
    return;
  }
  const word = wordOf(k, lock);
  k.memory.setPtr(word, free);
  wakeChannel(k, word);
}

function* lockShared(k: FreeBsd, lock: Address): Steps<void> {
  const word = wordOf(k, lock);
  while ((k.memory.ptr(word) & READ) === 0)
    yield* sleepOn(k, word, nameOf(k, lock), Number.POSITIVE_INFINITY);
  k.memory.setPtr(word, k.memory.ptr(word) + (1 << READERS_SHIFT));
}

function unlockShared(k: FreeBsd, lock: Address): void {
  const word = wordOf(k, lock);
  k.memory.setPtr(word, Math.max(FREE_SHARED, k.memory.ptr(word) - (1 << READERS_SHIFT)));
  wakeChannel(k, word);
}

const freeWord = (k: FreeBsd, lock: Address): number =>
  [CLASS.SX, CLASS.RW].some((kind) => kind === classOf(k, lock)) ? FREE_SHARED : unowned(k);

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
  'void _mtx_assert(struct mtx *m, int what, const char *file, int line)': () => undefined,
  'void __mtx_assert(const volatile uintptr_t *c, int what, const char *file, int line)': () => undefined,
});

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
  'int sx_try_xlock_(struct sx *sx, const char *file, int line)': (k, sx) => tryExclusive(k, sx, FREE_SHARED),
  'int _sx_try_xlock(struct sx *sx, const char *file, int line)': (k, sx) => tryExclusive(k, sx, FREE_SHARED),
  'void sx_downgrade_(struct sx *sx, const char *file, int line)': downgrade,
  'void _sx_downgrade(struct sx *sx, const char *file, int line)': downgrade,
  'void _sx_assert(struct sx *sx, int what, const char *file, int line)': () => undefined,
});

function downgrade(k: FreeBsd, lock: Address): void {
  k.memory.setPtr(wordOf(k, lock), FREE_SHARED + (1 << READERS_SHIFT));
  wakeChannel(k, wordOf(k, lock));
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
