/**
 * Sleeping and waking as kernel code sees it: `__state` in the task, the preemption count, interrupt and softirq
 * context. All of it lives in the guest; the scheduler's threads only follow.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import { block, type Steps } from '../../../kernel/steps.ts';
import { ThreadKilled } from '../../../kernel/thread.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { Percpu } from '../percpu.ts';
import { modulesLinkedIn, TAINT, taintKernel } from '../taint.ts';
import { jiffies, NS_PER_JIFFY, timeOfJiffies } from './clock.ts';
import { kernelFunctions } from './define.ts';
import { dumpStack, finishRecord } from './printk.ts';

/** task_struct.__state (include/linux/sched.h of 6.1). */
export const TASK = {
  RUNNING: 0,
  INTERRUPTIBLE: 1,
  UNINTERRUPTIBLE: 2,
  PARKED: 0x40,
  DEAD: 0x80,
  WAKEKILL: 0x100,
  NOLOAD: 0x400,
  KILLABLE: 0x102,
  IDLE: 0x402,
  NORMAL: 3,
} as const;

/** Fields of the preemption count (include/linux/preempt.h). */
export const PREEMPT = {
  MASK: 0xff,
  SOFTIRQ: 0x100,
  SOFTIRQ_DISABLE: 0x200,
  SOFTIRQ_MASK: 0xff00,
  HARDIRQ: 0x10000,
  HARDIRQ_MASK: 0xf0000,
} as const;
const CONTEXT_MASK = 0x00ffffff;
/** RFLAGS.IF */
const INTERRUPTS = 0x200;
/** TIF_SIGPENDING and TIF_NEED_RESCHED in thread_info.flags. */
const SIGNAL_PENDING = 1 << 2;
/** A timeout in jiffies that means "for ever" (LONG_MAX rounds to 2^63 as a number). */
export const MAX_SCHEDULE_TIMEOUT = 2 ** 63;

/** Does a timeout mean "for ever"? */
export const isForever = (k: Linux, timeout: number): boolean =>
  timeout >= (k.word === 8 ? MAX_SCHEDULE_TIMEOUT / 2 : 0x7fffffff);

const countAt = perKernel<Address, Linux>(
  (k) => k.percpu.base + (Percpu.offsetOf(k, '__preempt_count') ?? 0),
);

export function preemptCount(k: Linux): number {
  return k.memory.u32(k.state(countAt)) & CONTEXT_MASK;
}

export function addPreempt(k: Linux, delta: number): void {
  const at = k.state(countAt);
  k.memory.set32(at, (k.memory.u32(at) + delta) | 0);
}

/** A thread is gone in the middle of whatever it did: nothing is off any more. */
export const clearPreempt = (k: Linux): void => addPreempt(k, -preemptCount(k));

export function disablePreemption(k: Linux): void {
  addPreempt(k, 1);
}

export function enablePreemption(k: Linux): void {
  addPreempt(k, -1);
}

/** Are softirqs kept back: in one, or with bottom halves off? */
export function softirqsOff(k: Linux): boolean {
  return (preemptCount(k) & PREEMPT.SOFTIRQ_MASK) !== 0;
}

/** In an interrupt handler proper. */
export function inHardInterrupt(k: Linux): boolean {
  return (preemptCount(k) & PREEMPT.HARDIRQ_MASK) !== 0;
}

export function inInterrupt(k: Linux): boolean {
  return (preemptCount(k) & ~PREEMPT.MASK) !== 0;
}

export function disableInterrupts(k: Linux): number {
  const flags = Number(k.cpu.rflags);
  k.cpu.rflags = (flags & ~INTERRUPTS) as typeof k.cpu.rflags;
  return flags;
}

export function enableInterrupts(k: Linux): void {
  k.cpu.rflags = (Number(k.cpu.rflags) | INTERRUPTS) as typeof k.cpu.rflags;
}

/** local_irq_restore: only the interrupt flag counts. */
export function restoreInterrupts(k: Linux, flags: number): void {
  if ((flags & INTERRUPTS) !== 0) enableInterrupts(k);
  else disableInterrupts(k);
}

// -- softirqs -------------------------------------------------------------------------------------------------

const softirq = perKernel(() => ({ queue: [] as (() => Steps<void>)[] }));

/** Runs `work` in softirq context: at once when that is allowed, otherwise when bottom halves come back on. */
export function raiseSoftirq(k: Linux, work: () => Steps<void>): void {
  k.state(softirq).queue.push(work);
}

/** Runs what was raised, with the softirq count up, as irq_exit and local_bh_enable do. */
export function* runSoftirqs(k: Linux): Steps<void> {
  const { queue } = k.state(softirq);
  if (queue.length === 0 || softirqsOff(k)) return;
  addPreempt(k, PREEMPT.SOFTIRQ);
  for (let work = queue.shift(); work !== undefined; work = queue.shift()) yield* work();
  addPreempt(k, -PREEMPT.SOFTIRQ);
}

/** Work at interrupt level, then the softirqs it raised. */
export function interrupt(k: Linux, name: string, work: () => Steps<void>): void {
  k.scheduler.interrupt(name, function* () {
    addPreempt(k, PREEMPT.HARDIRQ);
    yield* work();
    addPreempt(k, -PREEMPT.HARDIRQ);
    yield* runSoftirqs(k);
  });
}

/** A softirq from a timer: kept back while bottom halves are off. */
export function softInterrupt(k: Linux, name: string, work: () => Steps<void>): void {
  raiseSoftirq(k, work);
  k.scheduler.interrupt(name, () => runSoftirqs(k));
}

export function disableBottomHalves(k: Linux): void {
  addPreempt(k, PREEMPT.SOFTIRQ_DISABLE);
}

export function enableBottomHalves(k: Linux): Steps<void> | undefined {
  addPreempt(k, -PREEMPT.SOFTIRQ_DISABLE);
  return k.state(softirq).queue.length > 0 && !inInterrupt(k) ? runSoftirqs(k) : undefined;
}

// -- sleep and wake -------------------------------------------------------------------------------------------

export function taskState(k: Linux, task: Address): number {
  return k.read('task_struct.__state', task);
}

export function setTaskState(k: Linux, task: Address, state: number): void {
  k.write('task_struct.__state', task, state);
}

export function signalPending(k: Linux, task = k.current): boolean {
  return (k.read('task_struct.thread_info.flags', task) & SIGNAL_PENDING) !== 0;
}

/** A signal for a task: sets its flag and ends its interruptible sleep. */
export function signalTask(k: Linux, task: Address): void {
  const flags = k.read('task_struct.thread_info.flags', task);
  k.write('task_struct.thread_info.flags', task, flags | SIGNAL_PENDING);
  wakeTask(k, task, TASK.INTERRUPTIBLE | TASK.WAKEKILL);
}

export function clearSignals(k: Linux, task: Address): void {
  const flags = k.read('task_struct.thread_info.flags', task);
  k.write('task_struct.thread_info.flags', task, flags & ~SIGNAL_PENDING);
}

/** try_to_wake_up: true when the task was in one of the states of `mask`. */
export function wakeTask(k: Linux, task: Address, mask: number = TASK.NORMAL): boolean {
  if ((taskState(k, task) & mask) === 0) return false;
  setTaskState(k, task, TASK.RUNNING);
  const thread = k.tasks.threadOf(task);
  if (thread !== undefined) k.scheduler.wake(thread);
  return true;
}

/**
 * schedule(): sleeps when the task's state says so, and lets others run otherwise.
 * @param until virtual ns; the task is running again then
 * @returns true when it was woken, false when the time was up
 */
export function* schedule(k: Linux, until = Number.POSITIVE_INFINITY, why = 'schedule'): Steps<boolean> {
  if (preemptCount(k) !== 0) schedulingWhileAtomic(k);
  const task = k.current;
  if (k.scheduler.interrupting) return sleepInInterrupt(k, task, until);
  const state = taskState(k, task);
  const interrupted = (state & TASK.INTERRUPTIBLE) !== 0 && signalPending(k, task);
  if (state === TASK.RUNNING || interrupted) {
    setTaskState(k, task, TASK.RUNNING);
    yield { kind: 'yield' };
    return true;
  }
  const woken = yield* block(why, until);
  setTaskState(k, task, TASK.RUNNING);
  return woken;
}

/** __schedule_bug; the switch happens all the same, and the count starts anew, which shows again when the task ends. */
function schedulingWhileAtomic(k: Linux): void {
  reportAtomic(k);
  k.scheduler.current?.onExit(() => {
    if (preemptCount(k) !== 0) reportAtomic(k);
  });
}

function reportAtomic(k: Linux): void {
  // schedule() itself counts one.
  const count = ((k.memory.i32(k.state(countAt)) & 0x7fffffff) + 1) & 0x7fffffff;
  const task = k.current;
  finishRecord(k);
  k.printk(
    3,
    `BUG: scheduling while atomic: ${k.tasks.comm(task)}/${k.tasks.pid(task)}/0x${count.toString(16).padStart(8, '0')}`,
  );
  k.printk(4, `Modules linked in:${modulesLinkedIn(k)}`);
  dumpStack(k);
  taintKernel(k, TAINT.WARN);
  k.memory.set32(k.state(countAt), 0x80000000 | 0);
}

/** An interrupt has no task to put to sleep: time passes where there is a deadline, otherwise nothing ever ends it. */
function sleepInInterrupt(k: Linux, task: Address, until: number): boolean {
  setTaskState(k, task, TASK.RUNNING);
  const thread = k.scheduler.current;
  if (until === Number.POSITIVE_INFINITY && thread !== undefined) {
    throw new ThreadKilled(thread.name, 9, 'an interrupt went to sleep with nobody to wake it');
  }
  k.time.skip(until - k.time.now());
  return false;
}

/** Sleeps in a state; true when woken in time. */
export function* sleepIn(k: Linux, state: number, until: number, why: string): Steps<boolean> {
  setTaskState(k, k.current, state);
  return yield* schedule(k, until, why);
}

/** schedule_timeout: jiffies that were left. The state is the caller's to set. */
export function* scheduleTimeout(k: Linux, timeout: number, why = 'schedule_timeout'): Steps<number> {
  if (isForever(k, timeout)) {
    yield* schedule(k, Number.POSITIVE_INFINITY, why);
    return timeout;
  }
  if (timeout < 0) {
    k.printk(3, `schedule_timeout: wrong timeout value ${timeout.toString(16)}`);
    dumpStack(k);
    setTaskState(k, k.current, TASK.RUNNING);
    return 0;
  }
  const expires = jiffies(k) + timeout;
  yield* schedule(k, timeOfJiffies(expires), why);
  return Math.max(0, expires - jiffies(k));
}

export function* scheduleTimeoutIn(k: Linux, state: number, timeout: number): Steps<number> {
  setTaskState(k, k.current, state);
  return yield* scheduleTimeout(k, timeout);
}

// -- queues of sleepers for locks -----------------------------------------------------------------------------

interface Sleeper {
  readonly task: Address;
  /** What the sleeper wants, for locks with more than one kind. */
  readonly kind: string;
  granted: boolean;
}

/** Who sleeps on which lock: an index by the lock's address; the lock itself is in the guest. */
const sleepers = perKernel(() => new Map<Address, Sleeper[]>());

/** Sleeps until `grant` picks this task; 0, or -EINTR when a signal came first, or -ETIME when time was up. */
export function* waitFor(
  k: Linux,
  lock: Address,
  state: number,
  why: string,
  kind = '',
  until = Number.POSITIVE_INFINITY,
): Steps<number> {
  const map = k.state(sleepers);
  const own: Sleeper = { task: k.current, kind, granted: false };
  const queue = map.get(lock) ?? [];
  map.set(lock, queue);
  queue.push(own);
  let result = 0;
  try {
    while (!own.granted) {
      const interruptible = state === TASK.INTERRUPTIBLE || state === TASK.KILLABLE;
      if (interruptible && signalPending(k)) result = -Errno.EINTR;
      else if (until <= k.time.now()) result = -Errno.ETIME;
      if (result !== 0) break;
      yield* sleepIn(k, state, until, why);
    }
  } finally {
    const at = queue.indexOf(own);
    if (at >= 0) queue.splice(at, 1);
    if (queue.length === 0 && map.get(lock) === queue) map.delete(lock);
  }
  return result;
}

/** The first sleeper on a lock, without waking it. */
export function firstWaiter(k: Linux, lock: Address): { task: Address; kind: string } | undefined {
  const queue = k.state(sleepers).get(lock);
  if (queue === undefined) return undefined;
  // Threads that were killed in their sleep no longer want anything.
  while (queue.length > 0 && k.tasks.threadOf(queue[0].task) === undefined) queue.shift();
  if (queue.length === 0) k.state(sleepers).delete(lock);
  return queue[0];
}

/** Grants the lock to the first sleeper and wakes it; its task, or 0 when nobody sleeps. */
export function grant(k: Linux, lock: Address): Address {
  if (firstWaiter(k, lock) === undefined) return 0;
  const own = k.state(sleepers).get(lock)?.shift();
  if (own === undefined) return 0;
  own.granted = true;
  wakeTask(k, own.task, TASK.NORMAL | TASK.WAKEKILL);
  return own.task;
}

export function hasWaiters(k: Linux, lock: Address): boolean {
  return firstWaiter(k, lock) !== undefined;
}

const NS_PER_MS = 1_000_000;

/** A time slice: who runs longer than this without sleeping lets others run at the next cond_resched. */
const SLICE_NS = NS_PER_JIFFY;

const lastSwitch = perKernel(() => ({ task: 0, since: 0 }));

function* condResched(k: Linux): Steps<number> {
  const state = k.state(lastSwitch);
  const now = k.time.now();
  if (state.task !== k.current) {
    state.task = k.current;
    state.since = now;
  }
  if (now - state.since < SLICE_NS || preemptCount(k) !== 0) return 0;
  state.since = now;
  yield { kind: 'yield' };
  return 1;
}

/** msleep sleeps one jiffy longer than asked, so that it never sleeps less. */
function msToJiffies(ms: number): number {
  return Math.ceil((ms * NS_PER_MS) / NS_PER_JIFFY);
}

export const schedFunctions = kernelFunctions({
  'void schedule(void)': function* (k) {
    yield* schedule(k);
  },
  'void io_schedule(void)': function* (k) {
    yield* schedule(k, undefined, 'io_schedule');
  },
  'long schedule_timeout(long timeout)': (k, timeout) => scheduleTimeout(k, timeout),
  'long io_schedule_timeout(long timeout)': (k, timeout) =>
    scheduleTimeout(k, timeout, 'io_schedule_timeout'),
  'long schedule_timeout_interruptible(long timeout)': (k, timeout) =>
    scheduleTimeoutIn(k, TASK.INTERRUPTIBLE, timeout),
  'long schedule_timeout_uninterruptible(long timeout)': (k, timeout) =>
    scheduleTimeoutIn(k, TASK.UNINTERRUPTIBLE, timeout),
  'long schedule_timeout_killable(long timeout)': (k, timeout) =>
    scheduleTimeoutIn(k, TASK.KILLABLE, timeout),
  'long schedule_timeout_idle(long timeout)': (k, timeout) => scheduleTimeoutIn(k, TASK.IDLE, timeout),
  'void yield(void)': function* (k) {
    setTaskState(k, k.current, TASK.RUNNING);
    yield { kind: 'yield' };
  },
  'void msleep(unsigned int msecs)': function* (k, ms) {
    let left = msToJiffies(ms) + 1;
    while (left > 0) left = yield* scheduleTimeoutIn(k, TASK.UNINTERRUPTIBLE, left);
  },
  'unsigned long msleep_interruptible(unsigned int msecs)': function* (k, ms) {
    let left = msToJiffies(ms) + 1;
    while (left > 0 && !signalPending(k)) left = yield* scheduleTimeoutIn(k, TASK.INTERRUPTIBLE, left);
    return Math.floor((left * NS_PER_JIFFY) / NS_PER_MS);
  },
  'void usleep_range_state(unsigned long min, unsigned long max, unsigned int state)': function* (
    k,
    min,
    _max,
    state,
  ) {
    const until = k.time.now() + min * 1000;
    while (k.time.now() < until) yield* sleepIn(k, state, until, 'usleep_range');
  },
  'int wake_up_process(struct task_struct *p)': (k, task) => (wakeTask(k, task, TASK.NORMAL) ? 1 : 0),
  'int __cond_resched(void)': (k) => condResched(k),
  'int __SCT__cond_resched(void)': (k) => condResched(k),
  'int __SCT__might_resched(void)': (k) => condResched(k),
  'void preempt_schedule(void)': () => undefined,
  'void preempt_schedule_notrace(void)': () => undefined,
  'void __local_bh_enable_ip(unsigned long ip, unsigned int cnt)': (k, _ip, count) => {
    addPreempt(k, -count);
    return k.state(softirq).queue.length > 0 && !inInterrupt(k) ? runSoftirqs(k) : undefined;
  },
  'void __local_bh_disable_ip(unsigned long ip, unsigned int cnt)': (k, _ip, count) => addPreempt(k, count),
  'void _local_bh_enable(void)': (k) => addPreempt(k, -PREEMPT.SOFTIRQ_DISABLE),
  'void set_user_nice(struct task_struct *p, long nice)': (k, task, nice) => {
    const clamped = Math.max(-20, Math.min(19, nice));
    // NICE_TO_PRIO: 120 + nice (include/linux/sched/prio.h).
    k.write('task_struct.static_prio', task, 120 + clamped);
    k.write('task_struct.prio', task, 120 + clamped);
    k.write('task_struct.normal_prio', task, 120 + clamped);
  },
});
