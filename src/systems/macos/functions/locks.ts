/**
 * Locks (osfmk/kern/locks.c, iokit/Kernel/IOLocks.cpp). One processor without preemption: a lock is only ever found taken
 * by a thread that slept with it. Its owner is the first word of the lock itself.
 */
import { block, type Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import type { Macos } from '../macos.ts';
import { kernelFunctions } from './define.ts';

const LOCK_BYTES = 32;
const GROUP_BYTES = 64;
/** Offsets in a lock of ours: owner's thread id, depth of a recursive one, readers of a read-write lock. */
const OWNER = 0;
const DEPTH = 8;
const READERS = 16;
/** How long a thread sleeps before it looks again (ns). */
const RETRY = 10_000;

const make = (k: Macos, bytes = LOCK_BYTES): Address => k.heap.allocate(bytes, 'locks');
const me = (k: Macos): number => k.scheduler.current?.id ?? 1;

function* lock(k: Macos, at: Address): Steps<void> {
  const own = me(k);
  if (k.memory.ptr(at + OWNER) === own) {
    throw k.panic(`panic(cpu 0): "Mutex ${at} is taken twice by one thread: deadlock"`);
  }
  while (k.memory.ptr(at + OWNER) !== 0) yield* block('a mutex', k.time.now() + RETRY);
  k.memory.setPtr(at + OWNER, own);
}

function unlock(k: Macos, at: Address): void {
  if (k.memory.ptr(at + OWNER) !== me(k)) {
    throw k.panic(`panic(cpu 0): "Mutex ${at} is released by a thread that does not hold it"`);
  }
  k.memory.setPtr(at + OWNER, 0);
}

function tryLock(k: Macos, at: Address): number {
  if (k.memory.ptr(at + OWNER) !== 0) return 0;
  k.memory.setPtr(at + OWNER, me(k));
  return 1;
}

function* lockAgain(k: Macos, at: Address): Steps<void> {
  if (k.memory.ptr(at + OWNER) !== me(k)) yield* lock(k, at);
  k.memory.setPtr(at + DEPTH, k.memory.ptr(at + DEPTH) + 1);
}

function unlockAgain(k: Macos, at: Address): void {
  const depth = k.memory.ptr(at + DEPTH) - 1;
  k.memory.setPtr(at + DEPTH, depth);
  if (depth <= 0) unlock(k, at);
}

function* readLock(k: Macos, at: Address): Steps<void> {
  while (k.memory.ptr(at + OWNER) !== 0) yield* block('a read-write lock', k.time.now() + RETRY);
  k.memory.setPtr(at + READERS, k.memory.ptr(at + READERS) + 1);
}

function* writeLock(k: Macos, at: Address): Steps<void> {
  while (k.memory.ptr(at + OWNER) !== 0 || k.memory.ptr(at + READERS) > 0) {
    yield* block('a read-write lock', k.time.now() + RETRY);
  }
  k.memory.setPtr(at + OWNER, me(k));
}

function readUnlock(k: Macos, at: Address): void {
  k.memory.setPtr(at + READERS, k.memory.ptr(at + READERS) - 1);
}

const free = (k: Macos, at: Address): void => k.heap.free(at);

export const locks = kernelFunctions({
  'void *lck_grp_attr_alloc_init(void)': (k) => make(k, GROUP_BYTES),
  'void lck_grp_attr_setdefault(void *attr)': () => undefined,
  'void lck_grp_attr_setstat(void *attr)': () => undefined,
  'void lck_grp_attr_free(void *attr)': free,
  'void *lck_grp_alloc_init(const char *name, void *attr)': (k) => make(k, GROUP_BYTES),
  'void lck_grp_free(void *group)': free,
  'void *lck_attr_alloc_init(void)': (k) => make(k),
  'void lck_attr_setdefault(void *attr)': () => undefined,
  'void lck_attr_setdebug(void *attr)': () => undefined,
  'void lck_attr_free(void *attr)': free,
  'void *lck_mtx_alloc_init(void *group, void *attr)': (k) => make(k),
  'void lck_mtx_free(void *lock, void *group)': free,
  // The published structure has 16 bytes: the owner's word is all that is used of it.
  'void lck_mtx_init(void *lock, void *group, void *attr)': (k, at) => k.memory.setPtr(at, 0),
  'void lck_mtx_destroy(void *lock, void *group)': () => undefined,
  'void lck_mtx_lock(void *lock)': lock,
  'void lck_mtx_lock_spin(void *lock)': lock,
  'boolean_t lck_mtx_try_lock(void *lock)': tryLock,
  'void lck_mtx_unlock(void *lock)': unlock,
  // What 10.6 for i386 exports in place of the plain names.
  'void lck_mtx_unlock_darwin10(void *lock)': unlock,
  'void IOLockUnlock_darwin10(void *lock)': unlock,
  'void lck_mtx_assert(void *lock, unsigned int type)': () => undefined,
  'void *lck_spin_alloc_init(void *group, void *attr)': (k) => make(k),
  'void lck_spin_free(void *lock, void *group)': free,
  'void lck_spin_lock(void *lock)': lock,
  'boolean_t lck_spin_try_lock(void *lock)': tryLock,
  'void lck_spin_unlock(void *lock)': unlock,
  'void *lck_rw_alloc_init(void *group, void *attr)': (k) => make(k),
  'void lck_rw_free(void *lock, void *group)': free,
  'void lck_rw_lock_shared(void *lock)': readLock,
  'void lck_rw_unlock_shared(void *lock)': readUnlock,
  'void lck_rw_lock_exclusive(void *lock)': writeLock,
  'void lck_rw_unlock_exclusive(void *lock)': unlock,
  'void *IOLockAlloc(void)': (k) => make(k),
  'void IOLockFree(void *lock)': free,
  'void IOLockLock(void *lock)': lock,
  'boolean_t IOLockTryLock(void *lock)': tryLock,
  'void IOLockUnlock(void *lock)': unlock,
  'void *IOLockGetMachLock(void *lock)': (_, at) => at,
  'void *IORecursiveLockAlloc(void)': (k) => make(k),
  'void IORecursiveLockFree(void *lock)': free,
  'void IORecursiveLockLock(void *lock)': lockAgain,
  'boolean_t IORecursiveLockTryLock(void *lock)': (k, at) => {
    if (k.memory.ptr(at) !== me(k) && tryLock(k, at) === 0) return 0;
    k.memory.setPtr(at + DEPTH, k.memory.ptr(at + DEPTH) + 1);
    return 1;
  },
  'void IORecursiveLockUnlock(void *lock)': unlockAgain,
  'boolean_t IORecursiveLockHaveLock(const void *lock)': (k, at) => (k.memory.ptr(at) === me(k) ? 1 : 0),
  'void *IOSimpleLockAlloc(void)': (k) => make(k),
  'void IOSimpleLockInit(void *lock)': (k, at) => k.memory.setPtr(at, 0),
  'void IOSimpleLockFree(void *lock)': free,
  'void IOSimpleLockLock(void *lock)': lock,
  'boolean_t IOSimpleLockTryLock(void *lock)': tryLock,
  'void IOSimpleLockUnlock(void *lock)': unlock,
  'void *IORWLockAlloc(void)': (k) => make(k),
  'void IORWLockFree(void *lock)': free,
  'void IORWLockRead(void *lock)': readLock,
  'void IORWLockWrite(void *lock)': writeLock,
  'void IORWLockUnlock(void *lock)': (k, at) => {
    if (k.memory.ptr(at) === me(k)) unlock(k, at);
    else readUnlock(k, at);
  },
});
