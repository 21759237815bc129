/** Wait queues, simple wait queues, completions and waiting on bits. The queues are linked in the guest. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { addHead, addTail, entries, initList, listEmpty, removeInit, unlink } from '../lists.ts';
import { jiffies, timeOfJiffies } from './clock.ts';
import { kernelFunctions } from './define.ts';
import {
  isForever,
  MAX_SCHEDULE_TIMEOUT,
  scheduleTimeout,
  setTaskState,
  signalPending,
  sleepIn,
  TASK,
  wakeTask,
} from './sched.ts';

/** Flags of a wait queue entry (include/linux/wait.h). */
export const WQ_FLAG = { EXCLUSIVE: 1, WOKEN: 2, CUSTOM: 4, DONE: 16, PRIORITY: 32 } as const;

interface Offsets {
  readonly head: number;
  readonly entry: number;
  readonly flags: number;
  readonly task: number;
  readonly func: number;
}

export const waitOffsets = perKernel<Offsets, Linux>((k) => ({
  head: k.offset('wait_queue_head.head'),
  entry: k.offset('wait_queue_entry.entry'),
  flags: k.offset('wait_queue_entry.flags'),
  task: k.offset('wait_queue_entry.private'),
  func: k.offset('wait_queue_entry.func'),
}));

export function initWaitQueue(k: Linux, head: Address): void {
  k.memory.set32(head, 0);
  initList(k, head + k.state(waitOffsets).head);
}

function flagsOf(k: Linux, entry: Address): number {
  return k.memory.u32(entry + k.state(waitOffsets).flags);
}

function setFlags(k: Linux, entry: Address, flags: number): void {
  k.memory.set32(entry + k.state(waitOffsets).flags, flags);
}

/** default_wake_function: wakes the task the entry belongs to. */
function wakeEntry(k: Linux, entry: Address, mode: number): boolean {
  return wakeTask(k, k.memory.ptr(entry + k.state(waitOffsets).task), mode);
}

export function wakeAndRemove(k: Linux, entry: Address, mode: number): number {
  if (!wakeEntry(k, entry, mode)) return 0;
  removeInit(k, entry + k.state(waitOffsets).entry);
  return 1;
}

/** WQ_FLAG_WOKEN and a wake-up, for wait_woken. */
function wakeWoken(k: Linux, entry: Address, mode: number): number {
  setFlags(k, entry, flagsOf(k, entry) | WQ_FLAG.WOKEN);
  return wakeEntry(k, entry, mode) ? 1 : 0;
}

/** Functions of ours that entries carry; anything else is machine code. */
const WAKERS: Record<string, ((k: Linux, entry: Address, mode: number) => number) | undefined> = {
  default_wake_function: (k, entry, mode) => (wakeEntry(k, entry, mode) ? 1 : 0),
  autoremove_wake_function: wakeAndRemove,
  woken_wake_function: wakeWoken,
};

/** __wake_up_common: calls the entries' functions until `exclusive` of the exclusive ones have woken somebody. */
export function* wakeUp(
  k: Linux,
  head: Address,
  mode: number,
  exclusive: number,
  key: Address = 0,
): Steps<number> {
  const o = k.state(waitOffsets);
  let left = exclusive;
  for (const link of [...entries(k, head + o.head)]) {
    const entry = link - o.entry;
    const flags = flagsOf(k, entry);
    const func = k.memory.ptr(entry + o.func);
    const own = WAKERS[k.boundName(func) ?? ''];
    const woken = own !== undefined ? own(k, entry, mode) : yield* k.callInt(func, entry, mode, 0, key);
    if (woken < 0) break;
    if (woken !== 0 && (flags & WQ_FLAG.EXCLUSIVE) !== 0 && --left === 0) break;
  }
  return exclusive - left;
}

function enqueue(k: Linux, head: Address, entry: Address, exclusive: boolean): void {
  const o = k.state(waitOffsets);
  const flags = flagsOf(k, entry);
  setFlags(k, entry, exclusive ? flags | WQ_FLAG.EXCLUSIVE : flags & ~WQ_FLAG.EXCLUSIVE);
  if (exclusive) addTail(k, entry + o.entry, head + o.head);
  else addHead(k, entry + o.entry, head + o.head);
}

export function prepareToWait(
  k: Linux,
  head: Address,
  entry: Address,
  state: number,
  exclusive: boolean,
): boolean {
  const o = k.state(waitOffsets);
  const wasEmpty = listEmpty(k, head + o.head);
  if (listEmpty(k, entry + o.entry)) enqueue(k, head, entry, exclusive);
  else {
    const flags = flagsOf(k, entry);
    setFlags(k, entry, exclusive ? flags | WQ_FLAG.EXCLUSIVE : flags & ~WQ_FLAG.EXCLUSIVE);
  }
  setTaskState(k, k.current, state);
  return wasEmpty;
}

function prepareEvent(k: Linux, head: Address, entry: Address, state: number): number {
  const o = k.state(waitOffsets);
  const interruptible = (state & (TASK.INTERRUPTIBLE | TASK.WAKEKILL)) !== 0;
  if (interruptible && signalPending(k)) {
    removeInit(k, entry + o.entry);
    return -Errno.ERESTARTSYS;
  }
  if (listEmpty(k, entry + o.entry)) {
    const exclusive = (flagsOf(k, entry) & WQ_FLAG.EXCLUSIVE) !== 0;
    if (exclusive) addTail(k, entry + o.entry, head + o.head);
    else addHead(k, entry + o.entry, head + o.head);
  }
  setTaskState(k, k.current, state);
  return 0;
}

export function initEntry(k: Linux, entry: Address, flags: number): void {
  const o = k.state(waitOffsets);
  setFlags(k, entry, flags);
  k.memory.setPtr(entry + o.task, k.current);
  k.memory.setPtr(entry + o.func, k.addressOf('autoremove_wake_function'));
  initList(k, entry + o.entry);
}

export function finishWait(k: Linux, entry: Address): void {
  setTaskState(k, k.current, TASK.RUNNING);
  const link = entry + k.state(waitOffsets).entry;
  if (!listEmpty(k, link)) removeInit(k, link);
}

function* waitWoken(k: Linux, entry: Address, mode: number, timeout: number): Steps<number> {
  setTaskState(k, k.current, mode);
  let left = timeout;
  if ((flagsOf(k, entry) & WQ_FLAG.WOKEN) === 0) left = yield* scheduleTimeout(k, timeout, 'wait_woken');
  setTaskState(k, k.current, TASK.RUNNING);
  setFlags(k, entry, flagsOf(k, entry) & ~WQ_FLAG.WOKEN);
  return left;
}

export const waitQueues = kernelFunctions({
  'void __init_waitqueue_head(struct wait_queue_head *wq_head, const char *name, struct lock_class_key *key)':
    (k, head) => initWaitQueue(k, head),
  'void add_wait_queue(struct wait_queue_head *wq_head, struct wait_queue_entry *wq_entry)': (
    k,
    head,
    entry,
  ) => enqueue(k, head, entry, false),
  'void add_wait_queue_exclusive(struct wait_queue_head *wq_head, struct wait_queue_entry *wq_entry)': (
    k,
    head,
    entry,
  ) => enqueue(k, head, entry, true),
  'void remove_wait_queue(struct wait_queue_head *wq_head, struct wait_queue_entry *wq_entry)': (
    k,
    _head,
    entry,
  ) => unlink(k, entry + k.state(waitOffsets).entry),
  'void prepare_to_wait(struct wait_queue_head *wq_head, struct wait_queue_entry *wq_entry, int state)': (
    k,
    head,
    entry,
    state,
  ) => {
    prepareToWait(k, head, entry, state, false);
  },
  'bool prepare_to_wait_exclusive(struct wait_queue_head *wq_head, struct wait_queue_entry *wq_entry, int state)':
    (k, head, entry, state) => prepareToWait(k, head, entry, state, true),
  'long prepare_to_wait_event(struct wait_queue_head *wq_head, struct wait_queue_entry *wq_entry, int state)':
    (k, head, entry, state) => prepareEvent(k, head, entry, state),
  'void init_wait_entry(struct wait_queue_entry *wq_entry, int flags)': (k, entry, flags) =>
    initEntry(k, entry, flags),
  'void finish_wait(struct wait_queue_head *wq_head, struct wait_queue_entry *wq_entry)': (k, _head, entry) =>
    finishWait(k, entry),
  'int default_wake_function(wait_queue_entry_t *curr, unsigned int mode, int wake_flags, void *key)': (
    k,
    entry,
    mode,
  ) => (wakeEntry(k, entry, mode) ? 1 : 0),
  'int autoremove_wake_function(struct wait_queue_entry *wq_entry, unsigned int mode, int sync, void *key)': (
    k,
    entry,
    mode,
  ) => wakeAndRemove(k, entry, mode),
  'int woken_wake_function(struct wait_queue_entry *wq_entry, unsigned int mode, int sync, void *key)': (
    k,
    entry,
    mode,
  ) => wakeWoken(k, entry, mode),
  'long wait_woken(struct wait_queue_entry *wq_entry, unsigned int mode, long timeout)': (
    k,
    entry,
    mode,
    timeout,
  ) => waitWoken(k, entry, mode, timeout),
  'int __wake_up(struct wait_queue_head *wq_head, unsigned int mode, int nr_exclusive, void *key)': (
    k,
    head,
    mode,
    exclusive,
    key,
  ) => wakeUp(k, head, mode, exclusive, key),
  'void __wake_up_locked(struct wait_queue_head *wq_head, unsigned int mode, int nr)': function* (
    k,
    head,
    mode,
    exclusive,
  ) {
    yield* wakeUp(k, head, mode, exclusive);
  },
  'void __wake_up_locked_key(struct wait_queue_head *wq_head, unsigned int mode, void *key)': function* (
    k,
    head,
    mode,
    key,
  ) {
    yield* wakeUp(k, head, mode, 1, key);
  },
  'void __wake_up_sync(struct wait_queue_head *wq_head, unsigned int mode)': function* (k, head, mode) {
    yield* wakeUp(k, head, mode, 1);
  },
  'void __wake_up_sync_key(struct wait_queue_head *wq_head, unsigned int mode, void *key)': function* (
    k,
    head,
    mode,
    key,
  ) {
    yield* wakeUp(k, head, mode, 1, key);
  },
  'void __wake_up_locked_sync_key(struct wait_queue_head *wq_head, unsigned int mode, void *key)': function* (
    k,
    head,
    mode,
    key,
  ) {
    yield* wakeUp(k, head, mode, 1, key);
  },
});

// -- simple wait queues ---------------------------------------------------------------------------------------

/** Wakes the first task of a swait list and takes it off; false when there is none. */
function swakeOne(k: Linux, head: Address): boolean {
  const list = head + k.offset('swait_queue_head.task_list');
  if (listEmpty(k, list)) return false;
  const entry = k.memory.ptr(list) - k.offset('swait_queue.task_list');
  wakeTask(k, k.read('swait_queue.task', entry));
  removeInit(k, entry + k.offset('swait_queue.task_list'));
  return true;
}

function prepareSwait(k: Linux, head: Address, entry: Address, state: number): number {
  if ((state & TASK.INTERRUPTIBLE) !== 0 && signalPending(k)) {
    removeInit(k, entry + k.offset('swait_queue.task_list'));
    return -Errno.ERESTARTSYS;
  }
  joinSwait(k, head, entry);
  setTaskState(k, k.current, state);
  return 0;
}

function joinSwait(k: Linux, head: Address, entry: Address): void {
  k.write('swait_queue.task', entry, k.current);
  const link = entry + k.offset('swait_queue.task_list');
  if (listEmpty(k, link)) addTail(k, link, head + k.offset('swait_queue_head.task_list'));
}

export const simpleWaitQueues = kernelFunctions({
  'void __init_swait_queue_head(struct swait_queue_head *q, const char *name, struct lock_class_key *key)': (
    k,
    q,
  ) => {
    k.memory.set32(q, 0);
    initList(k, q + k.offset('swait_queue_head.task_list'));
  },
  'void swake_up_one(struct swait_queue_head *q)': (k, q) => {
    swakeOne(k, q);
  },
  'void swake_up_locked(struct swait_queue_head *q)': (k, q) => {
    swakeOne(k, q);
  },
  'void swake_up_all(struct swait_queue_head *q)': (k, q) => {
    while (swakeOne(k, q));
  },
  'void prepare_to_swait_exclusive(struct swait_queue_head *q, struct swait_queue *wait, int state)': (
    k,
    q,
    wait,
    state,
  ) => {
    joinSwait(k, q, wait);
    setTaskState(k, k.current, state);
  },
  'long prepare_to_swait_event(struct swait_queue_head *q, struct swait_queue *wait, int state)': (
    k,
    q,
    wait,
    state,
  ) => prepareSwait(k, q, wait, state),
  'void finish_swait(struct swait_queue_head *q, struct swait_queue *wait)': (k, _q, wait) => {
    setTaskState(k, k.current, TASK.RUNNING);
    const link = wait + k.offset('swait_queue.task_list');
    if (!listEmpty(k, link)) removeInit(k, link);
  },
});

// -- completions ----------------------------------------------------------------------------------------------

/** UINT_MAX: complete_all, for good. */
const DONE_FOR_ALL = 0xffffffff;

export function complete(k: Linux, x: Address): void {
  const done = k.read('completion.done', x);
  if (done !== DONE_FOR_ALL) k.write('completion.done', x, done + 1);
  swakeOne(k, x + k.offset('completion.wait'));
}

/** The waiter's swait_queue lies on its kernel stack in the real kernel; here it is a small allocation. */
export function* waitForCompletion(k: Linux, x: Address, timeout: number, state: number): Steps<number> {
  let left = timeout;
  if (k.read('completion.done', x) === 0) {
    const entry = k.heap.allocate(k.sizeof('swait_queue'));
    if (entry === 0) return -Errno.ENOMEM;
    initList(k, entry + k.offset('swait_queue.task_list'));
    try {
      const until = isForever(k, timeout) ? Number.POSITIVE_INFINITY : timeOfJiffies(jiffies(k) + timeout);
      while (k.read('completion.done', x) === 0) {
        const interruptible = (state & (TASK.INTERRUPTIBLE | TASK.WAKEKILL)) !== 0;
        if (interruptible && signalPending(k)) return -Errno.ERESTARTSYS;
        if (k.time.now() >= until) return 0;
        joinSwait(k, x + k.offset('completion.wait'), entry);
        yield* sleepIn(k, state, until, 'wait_for_completion');
        if (until !== Number.POSITIVE_INFINITY)
          left = Math.max(0, Math.ceil((until - k.time.now()) / 4_000_000));
      }
    } finally {
      const link = entry + k.offset('swait_queue.task_list');
      if (!listEmpty(k, link)) removeInit(k, link);
      k.heap.free(entry);
    }
  }
  const done = k.read('completion.done', x);
  if (done !== DONE_FOR_ALL) k.write('completion.done', x, done - 1);
  return Math.max(1, left);
}

function* waitDone(k: Linux, x: Address, state: number): Steps<number> {
  const left = yield* waitForCompletion(k, x, MAX_SCHEDULE_TIMEOUT, state);
  return Math.min(left, 0);
}

export const completions = kernelFunctions({
  'void complete(struct completion *x)': (k, x) => complete(k, x),
  'void complete_all(struct completion *x)': (k, x) => {
    k.write('completion.done', x, DONE_FOR_ALL);
    while (swakeOne(k, x + k.offset('completion.wait')));
  },
  'void wait_for_completion(struct completion *x)': function* (k, x) {
    yield* waitDone(k, x, TASK.UNINTERRUPTIBLE);
  },
  'void wait_for_completion_io(struct completion *x)': function* (k, x) {
    yield* waitDone(k, x, TASK.UNINTERRUPTIBLE);
  },
  'int wait_for_completion_interruptible(struct completion *x)': (k, x) => waitDone(k, x, TASK.INTERRUPTIBLE),
  'int wait_for_completion_killable(struct completion *x)': (k, x) => waitDone(k, x, TASK.KILLABLE),
  'int wait_for_completion_state(struct completion *x, unsigned int state)': (k, x, state) =>
    waitDone(k, x, state),
  'unsigned long wait_for_completion_timeout(struct completion *x, unsigned long timeout)': (k, x, timeout) =>
    waitForCompletion(k, x, timeout, TASK.UNINTERRUPTIBLE),
  'unsigned long wait_for_completion_io_timeout(struct completion *x, unsigned long timeout)': (
    k,
    x,
    timeout,
  ) => waitForCompletion(k, x, timeout, TASK.UNINTERRUPTIBLE),
  'long wait_for_completion_interruptible_timeout(struct completion *x, unsigned long timeout)': (
    k,
    x,
    timeout,
  ) => waitForCompletion(k, x, timeout, TASK.INTERRUPTIBLE),
  'long wait_for_completion_killable_timeout(struct completion *x, unsigned long timeout)': (k, x, timeout) =>
    waitForCompletion(k, x, timeout, TASK.KILLABLE),
  'bool try_wait_for_completion(struct completion *x)': (k, x) => {
    const done = k.read('completion.done', x);
    if (done === 0) return 0;
    if (done !== DONE_FOR_ALL) k.write('completion.done', x, done - 1);
    return 1;
  },
  'bool completion_done(struct completion *x)': (k, x) => (k.read('completion.done', x) !== 0 ? 1 : 0),
});
