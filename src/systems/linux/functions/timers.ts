/**
 * Timers, high-resolution timers and tasklets. What a module's inline code looks at (entry, state, expires) is in the
 * guest; the deadline that virtual time keeps is found by the timer's address.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Deadline } from '../../../kernel/time.ts';
import { type Address, toBig } from '../../../memory/address.ts';
import type { Linux } from '../linux.ts';
import { kernelBug } from './caller.ts';
import { timeOfJiffies, unwrapped, wallClock } from './clock.ts';
import { kernelFunctions } from './define.ts';
import {
  inInterrupt,
  interrupt,
  MAX_SCHEDULE_TIMEOUT,
  raiseSoftirq,
  schedule,
  setTaskState,
  softInterrupt,
  TASK,
  wakeTask,
} from './sched.ts';

const pending = perKernel(() => new Map<Address, Deadline>());
const running = perKernel(() => ({ timer: 0 as Address }));

/** Timers of either kind that will fire. */
export const pendingTimers = (k: Linux): Iterable<Address> => k.state(pending).keys();

// -- timer_list -----------------------------------------------------------------------------------------------

/** Marks a pending timer: timer_pending() looks whether entry.pprev is NULL. */
function setPending(k: Linux, timer: Address, on: boolean): void {
  const entry = timer + k.offset('timer_list.entry');
  k.memory.setPtr(entry, 0);
  k.memory.setPtr(entry + k.word, on ? entry : 0);
}

function isPending(k: Linux, timer: Address): boolean {
  return k.memory.ptr(timer + k.offset('timer_list.entry') + k.word) !== 0;
}

export function initTimer(k: Linux, timer: Address, func: Address, flags: number): void {
  setPending(k, timer, false);
  k.write('timer_list.function', timer, func);
  k.write('timer_list.flags', timer, flags);
}

/** Takes a timer off the clock; true when it was pending. */
export function deleteTimer(k: Linux, timer: Address): boolean {
  const deadlines = k.state(pending);
  const deadline = deadlines.get(timer);
  if (deadline !== undefined) k.time.cancel(deadline);
  deadlines.delete(timer);
  if (!isPending(k, timer)) return false;
  setPending(k, timer, false);
  return true;
}

/** mod_timer: 1 when it was pending before. A timer without function (shut down) stays off. */
export function modifyTimer(k: Linux, timer: Address, expires: number): number {
  if (k.read('timer_list.function', timer) === 0) return 0;
  const was = deleteTimer(k, timer);
  k.write('timer_list.expires', timer, expires);
  setPending(k, timer, true);
  const deadline = k.time.at(timeOfJiffies(unwrapped(k, expires)), () =>
    softInterrupt(k, 'timer', () => expire(k, timer)),
  );
  k.state(pending).set(timer, deadline);
  return was ? 1 : 0;
}

function* expire(k: Linux, timer: Address): Steps<void> {
  // It may have been deleted or set anew between its deadline and this softirq.
  const deadline = k.state(pending).get(timer);
  if (deadline === undefined || deadline.at > k.time.now()) return;
  k.state(pending).delete(timer);
  setPending(k, timer, false);
  const func = k.read('timer_list.function', timer);
  const state = k.state(running);
  state.timer = timer;
  if (func !== 0) yield* callTimer(k, func, timer);
  state.timer = 0;
}

function callTimer(k: Linux, func: Address, timer: Address): Steps<unknown> {
  return k.call(func, timer);
}

function addTimer(k: Linux, timer: Address): void {
  if (isPending(k, timer)) kernelBug(k, 'kernel/time/timer.c:1222');
  modifyTimer(k, timer, k.read('timer_list.expires', timer));
}

function shutdown(k: Linux, timer: Address): number {
  const was = deleteTimer(k, timer);
  k.write('timer_list.function', timer, 0);
  return was ? 1 : 0;
}

export const timers = kernelFunctions({
  'void init_timer_key(struct timer_list *timer, void (*func)(struct timer_list *), unsigned int flags, const char *name, struct lock_class_key *key)':
    (k, timer, func, flags) => initTimer(k, timer, func, flags),
  'void add_timer(struct timer_list *timer)': (k, timer) => addTimer(k, timer),
  'void add_timer_on(struct timer_list *timer, int cpu)': (k, timer) => addTimer(k, timer),
  'int mod_timer(struct timer_list *timer, unsigned long expires)': (k, timer, expires) =>
    modifyTimer(k, timer, expires),
  'int mod_timer_pending(struct timer_list *timer, unsigned long expires)': (k, timer, expires) =>
    isPending(k, timer) ? modifyTimer(k, timer, expires) : 0,
  'int timer_reduce(struct timer_list *timer, unsigned long expires)': (k, timer, expires) => {
    const sooner =
      !isPending(k, timer) || unwrapped(k, expires) < unwrapped(k, k.read('timer_list.expires', timer));
    return sooner ? modifyTimer(k, timer, expires) : 1;
  },
  'int timer_delete(struct timer_list *timer)': (k, timer) => (deleteTimer(k, timer) ? 1 : 0),
  'int timer_delete_sync(struct timer_list *timer)': (k, timer) => (deleteTimer(k, timer) ? 1 : 0),
  'int try_to_del_timer_sync(struct timer_list *timer)': (k, timer) =>
    k.state(running).timer === timer ? -1 : deleteTimer(k, timer) ? 1 : 0,
  'int timer_shutdown(struct timer_list *timer)': (k, timer) => shutdown(k, timer),
  'int timer_shutdown_sync(struct timer_list *timer)': (k, timer) => shutdown(k, timer),
});

// -- hrtimer --------------------------------------------------------------------------------------------------

const CLOCK_REALTIME = 0;
const CLOCK_TAI = 11;
/** HRTIMER_MODE_REL, _PINNED and _SOFT. */
const MODE = { REL: 1, SOFT: 4 } as const;
const ENQUEUED = 1;
/** hrtimer callbacks return whether they set a new time. */
const RESTART = 1;

/** The clock each hrtimer runs on: `base` in the real kernel points at per-CPU structures nobody outside reads. */
const clocks = perKernel(() => new Map<Address, number>());

/** Bases by clock: inline hrtimer_forward_now asks them for the time. */
const bases = perKernel(() => new Map<number, Address>());

function baseFor(k: Linux, clock: number): Address {
  const known = k.state(bases);
  let base = known.get(clock);
  if (base === undefined) {
    base = k.heap.allocateZeroed(k.sizeof('hrtimer_clock_base'));
    const time = clock === CLOCK_REALTIME || clock === CLOCK_TAI ? 'ktime_get_real' : 'ktime_get';
    // Since 6.18 inline code calls hrtimer_cb_get_time instead.
    if (k.types.has('hrtimer_clock_base.get_time'))
      k.write('hrtimer_clock_base.get_time', base, k.addressOf(time));
    k.write('hrtimer_clock_base.clockid', base, clock);
    known.set(clock, base);
  }
  return base;
}

const expiresAt = (k: Linux, timer: Address): Address => timer + k.offset('hrtimer.node.expires');

/** Now, on the clock of a timer (ns). */
export const timerNow = (k: Linux, timer: Address): bigint =>
  BigInt(Math.floor(k.time.now())) + clockOffset(k, timer);

function clockOffset(k: Linux, timer: Address): bigint {
  const clock = k.state(clocks).get(timer);
  const real = clock === CLOCK_REALTIME || clock === CLOCK_TAI;
  return real ? wallClock(k) - BigInt(Math.floor(k.time.now())) : 0n;
}

function startHrtimer(k: Linux, timer: Address, time: bigint, range: bigint, mode: number): void {
  cancelHrtimer(k, timer);
  const now = timerNow(k, timer);
  const soft = (mode & MODE.REL) !== 0 ? time + now : time;
  k.memory.setU64(timer + k.offset('hrtimer._softexpires'), soft);
  k.memory.setU64(expiresAt(k, timer), soft + range);
  enqueueHrtimer(k, timer, (mode & MODE.SOFT) !== 0);
}

function enqueueHrtimer(k: Linux, timer: Address, soft: boolean): void {
  k.write('hrtimer.state', timer, ENQUEUED);
  const expires = BigInt.asIntN(64, k.memory.u64(timer + k.offset('hrtimer._softexpires')));
  const at = Number(expires - clockOffset(k, timer));
  const fire = soft ? softInterrupt : interrupt;
  const deadline = k.time.at(at, () => fire(k, 'hrtimer', () => runHrtimer(k, timer, soft)));
  k.state(pending).set(timer, deadline);
}

function* runHrtimer(k: Linux, timer: Address, soft: boolean): Steps<void> {
  const deadline = k.state(pending).get(timer);
  if (deadline === undefined || deadline.at > k.time.now()) return;
  k.state(pending).delete(timer);
  k.write('hrtimer.state', timer, 0);
  const state = k.state(running);
  state.timer = timer;
  const restart = yield* k.callInt(k.read('hrtimer.function', timer), timer);
  state.timer = 0;
  if (restart === RESTART && k.read('hrtimer.state', timer) === 0) enqueueHrtimer(k, timer, soft);
}

function cancelHrtimer(k: Linux, timer: Address): number {
  const deadlines = k.state(pending);
  const deadline = deadlines.get(timer);
  if (deadline !== undefined) k.time.cancel(deadline);
  deadlines.delete(timer);
  const active = k.read('hrtimer.state', timer) !== 0;
  k.write('hrtimer.state', timer, 0);
  return active ? 1 : 0;
}

/** Moves the expiry by whole intervals beyond `now`; how many. */
function forward(k: Linux, timer: Address, now: bigint, interval: bigint): bigint {
  const expires = BigInt.asIntN(64, k.memory.u64(expiresAt(k, timer)));
  if (now < expires || interval <= 0n) return 0n;
  const overruns = (now - expires) / interval + 1n;
  k.memory.setU64(expiresAt(k, timer), expires + overruns * interval);
  const soft = timer + k.offset('hrtimer._softexpires');
  k.memory.setU64(soft, k.memory.u64(soft) + overruns * interval);
  return overruns;
}

/** schedule_hrtimeout_range: 0 when the time was up, -EINTR when woken before. */
function* hrtimeout(k: Linux, expires: Address, mode: number, real: boolean): Steps<number> {
  if (expires === 0) {
    yield* schedule(k, undefined, 'schedule_hrtimeout');
    return -4;
  }
  const time = Number(BigInt.asIntN(64, k.memory.u64(expires)));
  if (time === 0) {
    setTaskState(k, k.current, TASK.RUNNING);
    return 0;
  }
  const base = (mode & MODE.REL) !== 0 ? k.time.now() : real ? k.time.now() - Number(wallClock(k)) : 0;
  const woken = yield* schedule(k, base + time, 'schedule_hrtimeout');
  return woken ? -4 : 0;
}

export const hrtimers = kernelFunctions({
  'void hrtimer_init(struct hrtimer *timer, clockid_t clock_id, enum hrtimer_mode mode)': (
    k,
    timer,
    clock,
    mode,
  ) => {
    k.memory.fill(timer, k.sizeof('hrtimer'), 0);
    k.write('hrtimer.is_soft', timer, (mode & MODE.SOFT) !== 0 ? 1 : 0);
    // RB_CLEAR_NODE: a node outside of any tree is its own parent.
    k.memory.setPtr(timer + k.offset('hrtimer.node'), timer + k.offset('hrtimer.node'));
    k.write('hrtimer.base', timer, baseFor(k, clock));
    k.state(clocks).set(timer, clock);
  },
  'void hrtimer_start_range_ns(struct hrtimer *timer, ktime_t tim, u64 delta_ns, const enum hrtimer_mode mode)':
    (k, timer, time, range, mode) => startHrtimer(k, timer, time, range, mode),
  'int hrtimer_cancel(struct hrtimer *timer)': (k, timer) => cancelHrtimer(k, timer),
  'int hrtimer_try_to_cancel(struct hrtimer *timer)': (k, timer) =>
    k.state(running).timer === timer ? -1 : cancelHrtimer(k, timer),
  'bool hrtimer_active(const struct hrtimer *timer)': (k, timer) =>
    k.read('hrtimer.state', timer) !== 0 || k.state(running).timer === timer ? 1 : 0,
  'u64 hrtimer_forward(struct hrtimer *timer, ktime_t now, ktime_t interval)': (k, timer, now, interval) =>
    forward(k, timer, now, interval),
  'ktime_t __hrtimer_get_remaining(const struct hrtimer *timer, bool adjust)': (k, timer) =>
    BigInt.asIntN(64, k.memory.u64(expiresAt(k, timer))) -
    BigInt(Math.floor(k.time.now())) -
    clockOffset(k, timer),
  'void hrtimer_init_sleeper(struct hrtimer_sleeper *sl, clockid_t clock_id, enum hrtimer_mode mode)': (
    k,
    sleeper,
    clock,
  ) => {
    k.memory.fill(sleeper, k.sizeof('hrtimer_sleeper'), 0);
    k.write('hrtimer.function', sleeper, k.addressOf('hrtimer_wakeup'));
    k.write('hrtimer_sleeper.task', sleeper, k.current);
    k.write('hrtimer.base', sleeper, baseFor(k, clock));
    k.state(clocks).set(sleeper, clock);
  },
  'void hrtimer_sleeper_start_expires(struct hrtimer_sleeper *sl, enum hrtimer_mode mode)': (
    k,
    sleeper,
    mode,
  ) => {
    const soft = BigInt.asIntN(64, k.memory.u64(sleeper + k.offset('hrtimer._softexpires')));
    startHrtimer(k, sleeper, soft, 0n, mode);
  },
  'enum hrtimer_restart hrtimer_wakeup(struct hrtimer *timer)': (k, sleeper) => {
    const task = k.read('hrtimer_sleeper.task', sleeper);
    k.write('hrtimer_sleeper.task', sleeper, 0);
    if (task !== 0) wakeTask(k, task);
    return 0;
  },
  'int schedule_hrtimeout(ktime_t *expires, const enum hrtimer_mode mode)': (k, expires, mode) =>
    hrtimeout(k, expires, mode, false),
  'int schedule_hrtimeout_range(ktime_t *expires, u64 delta, const enum hrtimer_mode mode)': (
    k,
    expires,
    _delta,
    mode,
  ) => hrtimeout(k, expires, mode, false),
  'int schedule_hrtimeout_range_clock(ktime_t *expires, u64 delta, const enum hrtimer_mode mode, clockid_t clock_id)':
    (k, expires, _delta, mode, clock) => hrtimeout(k, expires, mode, clock === CLOCK_REALTIME),
});

// -- tasklets -------------------------------------------------------------------------------------------------

/** Bits of tasklet_struct.state. */
const SCHED = 1;
const RUN = 2;
/** How often a disabled tasklet is put back before it is left for the next interrupt. */
const TASKLET_RETRY_NS = 1_000_000;
const KSOFTIRQD_NS = 20_000;

function scheduleTasklet(k: Linux, t: Address): void {
  const state = k.read('tasklet_struct.state', t);
  // Inline tasklet_schedule sets the bit before it calls.
  if ((state & SCHED) === 0) return;
  if (inInterrupt(k)) raiseSoftirq(k, () => runTasklet(k, t));
  // From a task, ksoftirqd runs it a little later.
  else k.time.at(k.time.now() + KSOFTIRQD_NS, () => softInterrupt(k, 'tasklet', () => runTasklet(k, t)));
}

function* runTasklet(k: Linux, t: Address): Steps<void> {
  const state = k.read('tasklet_struct.state', t);
  if ((state & SCHED) === 0) return;
  if (k.read('tasklet_struct.count.counter', t) !== 0) {
    // Disabled: it stays scheduled, and the softirq comes round again.
    k.time.at(k.time.now() + TASKLET_RETRY_NS, () => softInterrupt(k, 'tasklet', () => runTasklet(k, t)));
    return;
  }
  k.write('tasklet_struct.state', t, (state & ~SCHED) | RUN);
  const callback = k.read('tasklet_struct.use_callback', t) !== 0;
  const argument = callback ? toBig(t) : k.memory.u64(t + k.offset('tasklet_struct.data'));
  yield* k.call(k.read('tasklet_struct.func', t), argument);
  k.write('tasklet_struct.state', t, k.read('tasklet_struct.state', t) & ~RUN);
}

function setUpTasklet(k: Linux, t: Address, func: Address, callback: boolean, data: number): void {
  k.memory.fill(t, k.sizeof('tasklet_struct'), 0);
  k.write('tasklet_struct.func', t, func);
  k.write('tasklet_struct.use_callback', t, callback ? 1 : 0);
  k.write('tasklet_struct.data', t, data);
}

function* killTasklet(k: Linux, t: Address): Steps<void> {
  // One CPU: what is scheduled runs as soon as this task sleeps.
  for (let tries = 0; (k.read('tasklet_struct.state', t) & SCHED) !== 0; tries++) {
    if (k.read('tasklet_struct.count.counter', t) !== 0 && tries > 2) {
      setTaskState(k, k.current, TASK.UNINTERRUPTIBLE);
      yield* schedule(k, MAX_SCHEDULE_TIMEOUT, 'tasklet_kill of a disabled tasklet');
    }
    setTaskState(k, k.current, TASK.UNINTERRUPTIBLE);
    yield* schedule(k, k.time.now() + TASKLET_RETRY_NS, 'tasklet_kill');
  }
}

export const tasklets = kernelFunctions({
  'void tasklet_setup(struct tasklet_struct *t, void (*callback)(struct tasklet_struct *))': (
    k,
    t,
    callback,
  ) => setUpTasklet(k, t, callback, true, 0),
  'void tasklet_init(struct tasklet_struct *t, void (*func)(unsigned long), unsigned long data)': (
    k,
    t,
    func,
    data,
  ) => setUpTasklet(k, t, func, false, data),
  'void __tasklet_schedule(struct tasklet_struct *t)': (k, t) => scheduleTasklet(k, t),
  'void __tasklet_hi_schedule(struct tasklet_struct *t)': (k, t) => scheduleTasklet(k, t),
  'void tasklet_kill(struct tasklet_struct *t)': (k, t) => killTasklet(k, t),
  'void tasklet_unlock(struct tasklet_struct *t)': (k, t) =>
    k.write('tasklet_struct.state', t, k.read('tasklet_struct.state', t) & ~RUN),
  'void tasklet_unlock_wait(struct tasklet_struct *t)': () => undefined,
  'void tasklet_unlock_spin_wait(struct tasklet_struct *t)': () => undefined,
});
