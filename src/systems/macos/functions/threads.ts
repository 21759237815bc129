/** Threads, thread calls, and waiting: osfmk/kern/thread_call.c, bsd/kern/kern_synch.c, IOLocks. */
import { perKernel } from '../../../kernel/kernel.ts';
import { block, type Steps } from '../../../kernel/steps.ts';
import type { Thread } from '../../../kernel/thread.ts';
import { ThreadKilled } from '../../../kernel/thread.ts';
import type { Deadline } from '../../../kernel/time.ts';
import type { Address } from '../../../memory/space.ts';
import { ERRNO } from '../errno.ts';
import type { Macos } from '../macos.ts';
import { kernelFunctions } from './define.ts';

/** Waiters by the address they wait on. */
const waiters = perKernel<Map<Address, Set<Thread>>, Macos>(() => new Map());
const TIMED_OUT = 1;
const AWAKENED = 0;

/** Waits on an address until somebody wakes it, or until a time (ns). */
export function* waitOn(k: Macos, event: Address, until: number): Steps<number> {
  const { current } = k.scheduler;
  if (current === undefined) return TIMED_OUT;
  const all = k.state(waiters);
  const set = all.get(event) ?? new Set<Thread>();
  all.set(event, set.add(current));
  const woken = yield* block('an event', until);
  set.delete(current);
  if (set.size === 0) all.delete(event);
  return woken ? AWAKENED : TIMED_OUT;
}

function wake(k: Macos, event: Address, one: boolean): number {
  const set = k.state(waiters).get(event);
  let woken = 0;
  for (const thread of [...(set ?? [])]) {
    if (one && woken > 0) break;
    k.scheduler.wake(thread);
    woken++;
  }
  return woken;
}

const take = function* (k: Macos, lock: Address): Steps<void> {
  while (k.memory.ptr(lock) !== 0) yield* block('a mutex', k.time.now() + 10_000);
  k.memory.setPtr(lock, k.scheduler.current?.id ?? 1);
};

/** Gives a lock up while it waits, and takes it again unless it is told not to (LCK_SLEEP_UNLOCK, PDROP). */
function* waitUnlocked(
  k: Macos,
  lock: Address,
  event: Address,
  until: number,
  retake: boolean,
): Steps<number> {
  if (lock !== 0) k.memory.setPtr(lock, 0);
  const result = yield* waitOn(k, event, until);
  if (retake && lock !== 0) yield* take(k, lock);
  return result;
}

const FOREVER = Number.POSITIVE_INFINITY;
const deadline = (time: bigint): number => (time === 0n ? FOREVER : Number(time));
const PDROP = 0x400;
const LCK_SLEEP_UNLOCK = 1;

/** msleep: the time is a timespec, and EWOULDBLOCK says that it is over. */
function* msleep(k: Macos, event: Address, lock: Address, priority: number, timeout: Address): Steps<number> {
  const ns =
    timeout === 0 ? 0 : k.read('timespec.tv_sec', timeout) * 1e9 + k.read('timespec.tv_nsec', timeout);
  const until = ns === 0 ? FOREVER : k.time.now() + ns;
  const result = yield* waitUnlocked(k, lock, event, until, (priority & PDROP) === 0);
  return result === TIMED_OUT ? ERRNO.EAGAIN : 0;
}

// -- thread calls -------------------------------------------------------------------------------------------------------

interface ThreadCall {
  readonly routine: Address;
  readonly first: Address;
  pending: Deadline | undefined;
}

const calls = perKernel<Map<Address, ThreadCall>, Macos>(() => new Map());

/** Calls that will be made, with their routines. */
export function* pendingCalls(k: Macos): Generator<[call: Address, routine: Address]> {
  for (const [at, { routine, pending }] of k.state(calls)) if (pending !== undefined) yield [at, routine];
}

function enter(k: Macos, at: Address, second: Address, delay: number): boolean {
  const call = k.state(calls).get(at);
  if (call === undefined) return false;
  const before = call.pending !== undefined;
  if (call.pending !== undefined) k.time.cancel(call.pending);
  call.pending = k.time.at(k.time.now() + Math.max(1, delay), () => {
    call.pending = undefined;
    k.scheduler.spawn('thread call', k.call(call.routine, call.first, second));
  });
  return before;
}

function cancel(k: Macos, at: Address): boolean {
  const call = k.state(calls).get(at);
  if (call?.pending === undefined) return false;
  k.time.cancel(call.pending);
  call.pending = undefined;
  return true;
}

function allocateCall(k: Macos, routine: Address, first: Address): Address {
  const at = k.heap.allocate(64, 'thread call');
  k.state(calls).set(at, { routine, first, pending: undefined });
  return at;
}

/** `thread_t` of a thread: an address that nobody looks behind. */
const handles = perKernel<{ base: Address }, Macos>((k) => ({ base: k.takeData(4096) }));
const handleOf = (k: Macos, thread: Thread | undefined): Address =>
  k.state(handles).base + ((thread?.id ?? 0) % 256) * 16;

export const threadFunctions = kernelFunctions({
  'void *current_thread(void)': (k) => handleOf(k, k.scheduler.current),
  'kern_return_t kernel_thread_start(void *routine, void *argument, void **thread)': (
    k,
    routine,
    argument,
    thread,
  ) => {
    const made = k.scheduler.spawn('kernel thread', k.call(routine, argument, AWAKENED));
    if (thread !== 0) k.memory.setPtr(thread, handleOf(k, made));
    return 0;
  },
  'void *IOCreateThread(void *routine, void *argument)': (k, routine, argument) =>
    handleOf(k, k.scheduler.spawn('kernel thread', k.call(routine, argument))),
  'kern_return_t thread_terminate(void *thread)': (k) => {
    const current = k.scheduler.current;
    if (current !== undefined) throw new ThreadKilled(current.name, 0, 'thread_terminate');
    return 0;
  },
  'void thread_deallocate(void *thread)': () => undefined,
  'void thread_reference(void *thread)': () => undefined,
  'int msleep(void *event, void *lock, int priority, const char *why, struct timespec *timeout)': (
    k,
    event,
    lock,
    priority,
    _why,
    timeout,
  ) => msleep(k, event, lock, priority, timeout),
  'int tsleep(void *event, int priority, const char *why, int ticks)': function* (
    k,
    event,
    _priority,
    _why,
    ticks,
  ) {
    const until = ticks === 0 ? FOREVER : k.time.now() + ticks * 10_000_000;
    return (yield* waitOn(k, event, until)) === TIMED_OUT ? ERRNO.EAGAIN : 0;
  },
  'void wakeup(void *event)': (k, event) => void wake(k, event, false),
  'void wakeup_one(void *event)': (k, event) => void wake(k, event, true),
  'kern_return_t thread_wakeup_prim(void *event, boolean_t one, int result)': (k, event, one) =>
    wake(k, event, one !== 0) > 0 ? 0 : 4,
  'wait_result_t lck_mtx_sleep(void *lock, int action, void *event, int interruptible)': (
    k,
    lock,
    action,
    event,
  ) => waitUnlocked(k, lock, event, FOREVER, (action & LCK_SLEEP_UNLOCK) === 0),
  'wait_result_t lck_mtx_sleep_deadline(void *lock, int action, void *event, int interruptible, uint64_t time)':
    (k, lock, action, event, _interruptible, time) =>
      waitUnlocked(k, lock, event, deadline(time), (action & LCK_SLEEP_UNLOCK) === 0),
  'wait_result_t lck_rw_sleep(void *lock, int action, void *event, int interruptible)': (
    k,
    lock,
    action,
    event,
  ) => waitUnlocked(k, lock, event, FOREVER, (action & LCK_SLEEP_UNLOCK) === 0),
  'wait_result_t lck_rw_sleep_deadline(void *lock, int action, void *event, int interruptible, uint64_t time)':
    (k, lock, action, event, _interruptible, time) =>
      waitUnlocked(k, lock, event, deadline(time), (action & LCK_SLEEP_UNLOCK) === 0),
  'int IOLockSleep(void *lock, void *event, unsigned int interruptible)': (k, lock, event) =>
    waitUnlocked(k, lock, event, FOREVER, true),
  'int IOLockSleepDeadline(void *lock, void *event, uint64_t time, unsigned int interruptible)': (
    k,
    lock,
    event,
    time,
  ) => waitUnlocked(k, lock, event, deadline(time), true),
  'void IOLockWakeup(void *lock, void *event, bool one)': (k, _lock, event, one) =>
    void wake(k, event, (one & 0xff) !== 0),
  'void *thread_call_allocate(void *routine, void *first)': allocateCall,
  'boolean_t thread_call_free(void *call)': (k, call) => {
    cancel(k, call);
    if (k.state(calls).delete(call)) k.heap.free(call);
    return 1;
  },
  'boolean_t thread_call_enter(void *call)': (k, call) => (enter(k, call, 0, 0) ? 1 : 0),
  'boolean_t thread_call_enter1(void *call, void *second)': (k, call, second) =>
    enter(k, call, second, 0) ? 1 : 0,
  'boolean_t thread_call_enter_delayed(void *call, uint64_t time)': (k, call, time) =>
    enter(k, call, 0, Number(time) - k.time.now()) ? 1 : 0,
  'boolean_t thread_call_enter1_delayed(void *call, void *second, uint64_t time)': (k, call, second, time) =>
    enter(k, call, second, Number(time) - k.time.now()) ? 1 : 0,
  'boolean_t thread_call_cancel(void *call)': (k, call) => (cancel(k, call) ? 1 : 0),
});
