/** sleep(9), sleepqueue, callout(9), DELAY: sys/kern/kern_synch.c, kern_timeout.c. */
import { perKernel } from '../../../kernel/kernel.ts';
import { block, type Steps } from '../../../kernel/steps.ts';
import type { Deadline } from '../../../kernel/time.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { FreeBsd } from '../freebsd.ts';
import { majorOf } from '../version.ts';
import { kernelFunctions } from './define.ts';
import { lockObject, unlockObject } from './locks.ts';
import { sleepOn, wakeChannel } from './sleepqueue.ts';

/** kern.hz: what it is outside of a virtual machine. */
export const HZ = 1000;
const NS_PER_TICK = 1e9 / HZ;
/** PDROP of sys/priority.h: the lock is not taken again. */
const PDROP = 0x200;

/** Nanoseconds of a 32.32 fixed-point time. */
export function nsOfSbt(sbt: bigint): number {
  return Number((sbt * 1000000000n) >> 32n);
}

/** _sleep: `lock` is a struct lock_object that is let go of meanwhile; 0 = none. */
function* sleepWith(
  k: FreeBsd,
  channel: Address,
  lock: Address,
  priority: number,
  why: string,
  ns: number,
): Steps<number> {
  if (lock !== 0) unlockObject(k, lock);
  const until = ns > 0 ? k.time.now() + ns : Number.POSITIVE_INFINITY;
  const woken = yield* sleepOn(k, channel, why, until);
  if (lock !== 0 && (priority & PDROP) === 0) yield* lockObject(k, lock);
  return woken ? 0 : Errno.EWOULDBLOCK;
}

const message = (k: FreeBsd, at: Address): string => (at === 0 ? 'sleep' : k.memory.cstring(at, 64));

/** From 10 on times are given as sbintime_t, before as ticks. */
export const sleeping = kernelFunctions({
  'int _sleep(const void *chan, struct lock_object *lock, int pri, const char *wmesg, int64_t sbt, int64_t pr, int flags)':
    (k, channel, lock, priority, why, sbt) => {
      const ticks = Number(BigInt.asIntN(32, sbt));
      const ns = majorOf(k.version) < 10 ? ticks * NS_PER_TICK : nsOfSbt(sbt);
      return sleepWith(k, channel, lock, priority, message(k, why), ns);
    },
  'int msleep_spin_sbt(const void *chan, void *mtx, const char *wmesg, int64_t sbt, int64_t pr, int flags)': (
    k,
    channel,
    mtx,
    why,
    sbt,
  ) => sleepWith(k, channel, mtx, 0, message(k, why), nsOfSbt(sbt)),
  *'int pause_sbt(const char *wmesg, int64_t sbt, int64_t pr, int flags)'(k, why, sbt) {
    yield* block(message(k, why), k.time.now() + Math.max(NS_PER_TICK, nsOfSbt(sbt)));
    return 0;
  },
  *'int pause(const char *wmesg, int timo)'(k, why, ticks) {
    yield* block(message(k, why), k.time.now() + Math.max(1, ticks) * NS_PER_TICK);
    return 0;
  },
  'void wakeup(const void *chan)': (k, channel) => wakeChannel(k, channel),
  'void wakeup_one(const void *chan)': (k, channel) => wakeChannel(k, channel, 1),
  'void wakeup_any(const void *chan)': (k, channel) => wakeChannel(k, channel, 1),
  'void DELAY(int usec)': (k, usec) => k.time.skip(Math.max(0, usec) * 1000),
  *'void kern_yield(int prio)'() {
    yield { kind: 'yield' };
  },
  *'void maybe_yield(void)'() {
    yield { kind: 'yield' };
  },
  // A thread that wants to stay on one processor stays there in any case: there is only one.
  'void sched_bind(void *td, int cpu)': (k, td) => {
    k.state(bound).add(td);
  },
  'void sched_unbind(void *td)': (k, td) => {
    k.state(bound).delete(td);
  },
  'int sched_is_bound(void *td)': (k, td) => (k.state(bound).has(td) ? 1 : 0),
});

const bound = perKernel(() => new Set<Address>());

// -- callout(9) -----------------------------------------------------------------------------------------------

interface CalloutLayout {
  readonly func: number;
  readonly arg: number;
  readonly lock: number;
  readonly flags: number;
}

/** struct callout of sys/_callout.h: with sbintime_t from 10 on. */
const layouts = perKernel<CalloutLayout, FreeBsd>((k) => {
  const links = 2 * k.word;
  const times = majorOf(k.version) < 10 ? k.word : 16;
  const arg = links + times;
  return { arg, func: arg + k.word, lock: arg + 2 * k.word, flags: arg + 3 * k.word };
});

const CALLOUT = { ACTIVE: 2, PENDING: 4, MPSAFE: 8, RETURNUNLOCKED: 0x10 } as const;
/** What a callout will call is kept beside its deadline: the structure may be gone by then, with the module it is in. */
const pending = perKernel(() => new Map<Address, { deadline: Deadline; func: Address }>());
const running = perKernel(() => new Set<Address>());

/** From 11 on c_flags and c_iflags are 16 bits each. */
function setFlags(k: FreeBsd, at: Address, set: number, clear: number): void {
  const { flags } = k.state(layouts);
  const place = at + flags;
  const update = (offset: number, on: number, off: number) =>
    k.memory.set16(place + offset, (k.memory.u16(place + offset) & ~off) | on);
  if (majorOf(k.version) < 11) {
    update(0, set, clear);
    return;
  }
  update(0, set & CALLOUT.ACTIVE, clear & CALLOUT.ACTIVE);
  update(2, set & ~CALLOUT.ACTIVE, clear & ~CALLOUT.ACTIVE);
}

function initCallout(k: FreeBsd, at: Address, lock: Address, flags: number): void {
  const layout = k.state(layouts);
  k.memory.fill(at, layout.flags + 8, 0);
  k.memory.setPtr(at + layout.lock, lock);
  setFlags(k, at, flags, 0);
}

function stopCallout(k: FreeBsd, at: Address): boolean {
  const found = k.state(pending).get(at);
  if (found === undefined) return false;
  k.time.cancel(found.deadline);
  k.state(pending).delete(at);
  setFlags(k, at, 0, CALLOUT.ACTIVE | CALLOUT.PENDING);
  return true;
}

/** Callouts that will fire: the structure, and what it will call. */
export const pendingCallouts = (k: FreeBsd): { at: Address; func: Address }[] =>
  [...k.state(pending)].map(([at, { func }]) => ({ at, func }));

function startCallout(k: FreeBsd, at: Address, ns: number, func: Address, arg: Address): number {
  const layout = k.state(layouts);
  const cancelled = stopCallout(k, at);
  k.memory.setPtr(at + layout.func, func);
  k.memory.setPtr(at + layout.arg, arg);
  setFlags(k, at, CALLOUT.ACTIVE | CALLOUT.PENDING, 0);
  const due = k.time.now() + Math.max(NS_PER_TICK, ns);
  const deadline = k.time.at(due, () => {
    k.state(pending).delete(at);
    k.scheduler.spawn('clock', fire(k, at));
  });
  k.state(pending).set(at, { deadline, func });
  return cancelled ? 1 : 0;
}

function* fire(k: FreeBsd, at: Address): Steps<void> {
  const layout = k.state(layouts);
  const lock = k.memory.ptr(at + layout.lock);
  const [func, arg] = [k.memory.ptr(at + layout.func), k.memory.ptr(at + layout.arg)];
  setFlags(k, at, 0, CALLOUT.PENDING);
  const unlocked = (k.memory.u16(at + layout.flags) & CALLOUT.RETURNUNLOCKED) !== 0;
  if (lock !== 0) yield* lockObject(k, lock);
  k.state(running).add(at);
  yield* k.call(func, arg);
  k.state(running).delete(at);
  if (lock !== 0 && !unlocked) unlockObject(k, lock);
  wakeChannel(k, at);
}

/** callout_drain waits for a handler that runs. */
function* drain(k: FreeBsd, at: Address, wait: number): Steps<number> {
  const stopped = stopCallout(k, at);
  while (wait === 1 && k.state(running).has(at)) yield* sleepOn(k, at, 'codrain', Number.POSITIVE_INFINITY);
  return stopped ? 1 : 0;
}

export const callouts = kernelFunctions({
  'void callout_init(void *c, int mpsafe)': (k, at, mpsafe) => {
    const giant = mpsafe !== 0 ? 0 : (k.kernelSymbol('Giant') ?? 0);
    initCallout(k, at, giant, mpsafe !== 0 ? CALLOUT.RETURNUNLOCKED | CALLOUT.MPSAFE : 0);
  },
  'void _callout_init_lock(void *c, struct lock_object *lock, int flags)': (k, at, lock, flags) =>
    initCallout(k, at, lock, flags & CALLOUT.RETURNUNLOCKED),
  'int callout_reset_sbt_on(void *c, int64_t sbt, int64_t pr, void *ftn, void *arg, int cpu, int flags)': (
    k,
    at,
    sbt,
    _pr,
    func,
    arg,
  ) => startCallout(k, at, nsOfSbt(sbt), func, arg),
  'int callout_reset_on(void *c, int ticks, void *ftn, void *arg, int cpu)': (k, at, ticks, func, arg) =>
    startCallout(k, at, ticks * NS_PER_TICK, func, arg),
  'int callout_schedule(void *c, int ticks)': (k, at, ticks) => {
    const layout = k.state(layouts);
    const [func, arg] = [k.memory.ptr(at + layout.func), k.memory.ptr(at + layout.arg)];
    return startCallout(k, at, ticks * NS_PER_TICK, func, arg);
  },
  'int _callout_stop_safe(void *c, int flags, void *drain)': (k, at, wait) => drain(k, at, wait & 1),
});
