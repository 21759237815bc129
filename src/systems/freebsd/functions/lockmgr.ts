/** lockmgr(9), the lock that vnodes have: one function whose flags say what is wanted (sys/kern/kern_lock.c, sys/lockmgr.h). */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { FreeBsd } from '../freebsd.ts';
import { kernelFunctions } from './define.ts';
import { initLockmgr, sharable, unlockObject } from './locks.ts';

const LK = {
  CANRECURSE: 0x1,
  INTERLOCK: 0x100,
  NOWAIT: 0x200,
  DOWNGRADE: 0x10000,
  DRAIN: 0x20000,
  EXCLUSIVE: 0x80000,
  RELEASE: 0x100000,
  SHARED: 0x200000,
  UPGRADE: 0x400000,
  TRYUPGRADE: 0x800000,
} as const;
const TYPE = 0xff0000;

function* upgrade(k: FreeBsd, lock: Address, wait: boolean): Steps<number> {
  if (sharable.tryUpgrade(k, lock) !== 0) return 0;
  if (!wait) return Errno.EBUSY;
  // Other readers are there: this one lets go, and waits like any writer.
  unlockObject(k, lock);
  yield* sharable.exclusive(k, lock);
  return 0;
}

function* change(k: FreeBsd, lock: Address, flags: number): Steps<number> {
  const wait = (flags & LK.NOWAIT) === 0;
  switch (flags & TYPE) {
    case LK.SHARED:
      if (!wait) return sharable.tryShared(k, lock) === 0 ? Errno.EBUSY : 0;
      yield* sharable.shared(k, lock);
      return 0;
    case LK.EXCLUSIVE:
    case LK.DRAIN:
      if (!wait) return sharable.tryExclusive(k, lock) === 0 ? Errno.EBUSY : 0;
      yield* sharable.exclusive(k, lock);
      return 0;
    case LK.UPGRADE:
    case LK.TRYUPGRADE:
      return yield* upgrade(k, lock, wait && (flags & LK.TRYUPGRADE) === 0);
    case LK.DOWNGRADE:
      sharable.downgrade(k, lock);
      return 0;
    case LK.RELEASE:
      unlockObject(k, lock);
      return 0;
    default:
      throw new RangeError(`__lockmgr_args: unknown lockmgr request 0x${(flags & TYPE).toString(16)}`);
  }
}

function* lockmgr(k: FreeBsd, lock: Address, flags: number, interlock: Address): Steps<number> {
  if ((flags & LK.INTERLOCK) !== 0 && interlock !== 0) unlockObject(k, interlock);
  return yield* change(k, lock, flags);
}

export const lockManager = kernelFunctions({
  'void lockinit(struct mtx *lk, int prio, const char *wmesg, int timo, int flags)': (
    k,
    lock,
    _priority,
    name,
    _timeout,
    flags,
  ) => initLockmgr(k, lock, name, (flags & LK.CANRECURSE) !== 0),
  'void lockdestroy(struct mtx *lk)': sharable.destroy,
  'int __lockmgr_args(struct mtx *lk, unsigned int flags, void *ilk, const char *wmesg, int prio, int timo, const char *file, int line)':
    lockmgr,
  'int lockmgr_lock_flags(struct mtx *lk, unsigned int flags, void *ilk, const char *file, int line)':
    lockmgr,
  'int lockmgr_unlock(struct mtx *lk)': (k, lock) => {
    unlockObject(k, lock);
    return 0;
  },
});
