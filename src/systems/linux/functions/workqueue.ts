/**
 * Work queues in first form: each queue runs its items one after another in a worker thread of its own. An item is
 * pending while bit 0 of its data word is set, as inline code expects (include/linux/workqueue.h).
 */
import { perKernel } from '../../../kernel/kernel.ts';
import { block, type Steps } from '../../../kernel/steps.ts';
import { readable } from '../../../kernel/text/sink.ts';
import type { Thread } from '../../../kernel/thread.ts';
import type { Address } from '../../../memory/space.ts';
import type { DataInitialiser, Linux } from '../linux.ts';
import { initList } from '../lists.ts';
import { badAccess, callerOf, kernelWarning } from './caller.ts';
import { jiffies } from './clock.ts';
import { kernelFunctions } from './define.ts';
import { format } from './format/printf.ts';
import { pokePointer } from './thunks.ts';
import { deleteTimer, initTimer, modifyTimer } from './timers.ts';

const PENDING = 1;
/** WORK_STRUCT_NO_POOL: the data word of an item that never ran. */
const NO_POOL = 0xfffffffe0;
/** include/linux/sched.h */
const PF_WQ_WORKER = 0x20;
/** An idle worker goes away after this long (IDLE_WORKER_TIMEOUT, 300 s, is no use to a short run). */
const IDLE_NS = 1_000_000_000;

interface Queue {
  readonly address: Address;
  readonly name: string;
  readonly items: Address[];
  worker: Thread | undefined;
  running: Address;
  draining: boolean;
}

interface State {
  readonly queues: Map<Address, Queue>;
  /** Where each pending item waits. */
  readonly at: Map<Address, Queue>;
  /** Threads that wait for an item or a queue to be done. */
  readonly flushers: Set<Thread>;
}

const state = perKernel<State>(() => ({ queues: new Map(), at: new Map(), flushers: new Set() }));

/** Items that wait to be run. */
export const pendingWorks = (k: Linux): Iterable<Address> => k.state(state).at.keys();

/** Makes a queue; its `struct workqueue_struct` carries the name and the lists that tools look at. */
export function createQueue(k: Linux, name: string): Address {
  const address = k.heap.allocateZeroed(k.sizeof('workqueue_struct'), undefined, callerOf(k));
  if (address === 0) return 0;
  for (const list of ['pwqs', 'list', 'flusher_queue', 'flusher_overflow', 'maydays'])
    initList(k, address + k.offset(`workqueue_struct.${list}`));
  const bytes = new TextEncoder().encode(name).subarray(0, 23);
  k.memory.write(address + k.offset('workqueue_struct.name'), bytes);
  const queue: Queue = { address, name, items: [], worker: undefined, running: 0, draining: false };
  k.state(state).queues.set(address, queue);
  return address;
}

function queueAt(k: Linux, address: Address): Queue {
  const queue = k.state(state).queues.get(address);
  return queue ?? badAccess(k, address);
}

const isPending = (k: Linux, work: Address): boolean => (k.memory.u8(work) & PENDING) !== 0;

function markPending(k: Linux, work: Address): void {
  k.memory.set8(work, k.memory.u8(work) | PENDING);
}

/** Kernels since 6.10 count in the data word of an idle item how often it was disabled. */
const counts = (k: Linux): boolean => k.file.exports.find('disable_work') !== undefined;
const DISABLE = { unit: 0x20, limit: 0x10000, noPool: 0xfffffffe00000 };

function clearPending(k: Linux, work: Address): void {
  k.memory.setPtr(work, counts(k) ? DISABLE.noPool : NO_POOL);
}

/** How often an item was disabled; one that is pending is not. */
function disabled(k: Linux, work: Address): number {
  if (!counts(k) || isPending(k, work)) return 0;
  return Math.floor(k.memory.u32(work) / DISABLE.unit) % DISABLE.limit;
}

function setDisabled(k: Linux, work: Address, count: number): void {
  k.memory.setPtr(work, DISABLE.noPool + count * DISABLE.unit);
}

/** disable_work: out of its queue, and no queue takes it until it is enabled as often. */
function disable(k: Linux, work: Address): boolean {
  const count = disabled(k, work);
  const was = removeWork(k, work);
  setDisabled(k, work, count + 1);
  return was;
}

/** queue_work: false when the item was pending already. */
export function queueWork(k: Linux, queueAddress: Address, work: Address): boolean {
  if (isPending(k, work) || disabled(k, work) > 0) return false;
  markPending(k, work);
  insert(k, queueAddress, work);
  return true;
}

function insert(k: Linux, queueAddress: Address, work: Address): void {
  const queue = queueAt(k, queueAddress);
  queue.items.push(work);
  k.state(state).at.set(work, queue);
  if (queue.worker !== undefined) {
    k.scheduler.wake(queue.worker);
    return;
  }
  // A worker is the kernel's own, and goes when it has been idle for long.
  queue.worker = k.heap.lasting(() => k.tasks.spawn(`kworker/${queue.name}`.slice(0, 15), serve(k, queue)));
  const task = queue.worker.control;
  k.write('task_struct.flags', task, k.read('task_struct.flags', task) | PF_WQ_WORKER);
}

function* serve(k: Linux, queue: Queue): Steps<void> {
  try {
    for (;;) {
      const work = queue.items.shift();
      if (work === undefined) {
        if (!(yield* block('idle worker', k.time.now() + IDLE_NS)) && queue.items.length === 0) return;
        continue;
      }
      k.state(state).at.delete(work);
      queue.running = work;
      clearPending(k, work);
      yield* k.call(k.read('work_struct.func', work), work);
      queue.running = 0;
      wakeFlushers(k);
    }
  } finally {
    queue.worker = undefined;
    queue.running = 0;
    wakeFlushers(k);
  }
}

function wakeFlushers(k: Linux): void {
  for (const thread of k.state(state).flushers) k.scheduler.wake(thread);
  k.state(state).flushers.clear();
}

/** Waits until `done`, looking again whenever an item is finished. */
function* waitUntil(k: Linux, done: () => boolean, why: string): Steps<void> {
  while (!done()) {
    const thread = k.scheduler.current;
    if (thread !== undefined) k.state(state).flushers.add(thread);
    yield* block(why);
  }
}

function isRunning(k: Linux, work: Address): boolean {
  for (const queue of k.state(state).queues.values()) {
    if (queue.running === work && queue.worker !== k.scheduler.current) return true;
  }
  return false;
}

function* flushWork(k: Linux, work: Address): Steps<boolean> {
  const busy = () => k.state(state).at.has(work) || isRunning(k, work);
  if (!busy()) return false;
  yield* waitUntil(k, () => !busy(), `flush_work of ${k.describe(k.read('work_struct.func', work))}`);
  return true;
}

/** Takes a pending item out of its queue; false when it was not waiting. */
function removeWork(k: Linux, work: Address): boolean {
  const queue = k.state(state).at.get(work);
  if (queue === undefined) return false;
  queue.items.splice(queue.items.indexOf(work), 1);
  k.state(state).at.delete(work);
  clearPending(k, work);
  return true;
}

function* cancelSync(k: Linux, work: Address): Steps<boolean> {
  const was = removeWork(k, work);
  yield* waitUntil(k, () => !isRunning(k, work), 'cancel_work_sync');
  return was;
}

function cancelDelayed(k: Linux, delayed: Address): boolean {
  const timed = deleteTimer(k, delayed + k.offset('delayed_work.timer'));
  if (timed) clearPending(k, delayed);
  return removeWork(k, delayed) || timed;
}

export function queueDelayed(k: Linux, queue: Address, delayed: Address, delay: number): boolean {
  if (isPending(k, delayed) || disabled(k, delayed) > 0) return false;
  if (delay === 0) return queueWork(k, queue, delayed);
  markPending(k, delayed);
  k.write('delayed_work.wq', delayed, queue);
  const timer = delayed + k.offset('delayed_work.timer');
  if (k.read('timer_list.function', timer) === 0)
    initTimer(k, timer, k.addressOf('delayed_work_timer_fn'), 0);
  modifyTimer(k, timer, jiffies(k) + delay);
  return true;
}

function* drain(k: Linux, address: Address, why: string): Steps<void> {
  const queue = queueAt(k, address);
  yield* waitUntil(k, () => queue.items.length === 0 && queue.running === 0, `${why} of ${queue.name}`);
}

function* destroy(k: Linux, address: Address): Steps<void> {
  yield* drain(k, address, 'destroy_workqueue');
  const queue = queueAt(k, address);
  if (queue.items.length > 0) kernelWarning(k, 'kernel/workqueue.c:4451');
  k.state(state).queues.delete(address);
  if (queue.worker !== undefined) k.scheduler.wake(queue.worker, 0);
  k.heap.free(address);
}

export const workqueues = kernelFunctions({
  'bool disable_work(struct work_struct *work)': (k, work) => (disable(k, work) ? 1 : 0),
  'bool disable_work_sync(struct work_struct *work)': function* (k, work) {
    const was = disable(k, work);
    yield* waitUntil(k, () => !isRunning(k, work), 'disable_work_sync');
    return was ? 1 : 0;
  },
  'bool enable_work(struct work_struct *work)': (k, work) => {
    const count = disabled(k, work);
    if (count > 0) setDisabled(k, work, count - 1);
    return count === 1 ? 1 : 0;
  },

  'struct workqueue_struct *alloc_workqueue(const char *fmt, unsigned int flags, int max_active, ...)': (
    k,
    fmt,
    _flags,
    _active,
    args,
  ) => createQueue(k, readable(format(k, fmt, args, 24).text)),
  'void destroy_workqueue(struct workqueue_struct *wq)': (k, queue) => destroy(k, queue),
  'bool queue_work_on(int cpu, struct workqueue_struct *wq, struct work_struct *work)': (
    k,
    _cpu,
    queue,
    work,
  ) => queueWork(k, queue, work),
  'bool queue_work_node(int node, struct workqueue_struct *wq, struct work_struct *work)': (
    k,
    _node,
    queue,
    work,
  ) => queueWork(k, queue, work),
  'bool queue_delayed_work_on(int cpu, struct workqueue_struct *wq, struct delayed_work *dwork, unsigned long delay)':
    (k, _cpu, queue, delayed, delay) => queueDelayed(k, queue, delayed, delay),
  'bool mod_delayed_work_on(int cpu, struct workqueue_struct *wq, struct delayed_work *dwork, unsigned long delay)':
    (k, _cpu, queue, delayed, delay) => {
      const was = cancelDelayed(k, delayed);
      queueDelayed(k, queue, delayed, delay);
      return was;
    },
  'void delayed_work_timer_fn(struct timer_list *t)': (k, timer) => {
    const delayed = timer - k.offset('delayed_work.timer');
    insert(k, k.read('delayed_work.wq', delayed), delayed);
  },
  'bool flush_work(struct work_struct *work)': (k, work) => flushWork(k, work),
  'bool flush_delayed_work(struct delayed_work *dwork)': function* (k, delayed) {
    if (deleteTimer(k, delayed + k.offset('delayed_work.timer')))
      insert(k, k.read('delayed_work.wq', delayed), delayed);
    return yield* flushWork(k, delayed);
  },
  'void __flush_workqueue(struct workqueue_struct *wq)': (k, queue) => drain(k, queue, 'flush_workqueue'),
  'void drain_workqueue(struct workqueue_struct *wq)': (k, queue) => drain(k, queue, 'drain_workqueue'),
  'bool cancel_work(struct work_struct *work)': (k, work) => removeWork(k, work),
  'bool cancel_work_sync(struct work_struct *work)': (k, work) => cancelSync(k, work),
  'bool cancel_delayed_work(struct delayed_work *dwork)': (k, delayed) => cancelDelayed(k, delayed),
  'bool cancel_delayed_work_sync(struct delayed_work *dwork)': function* (k, delayed) {
    const was = cancelDelayed(k, delayed);
    yield* cancelSync(k, delayed);
    return was;
  },
  'unsigned int work_busy(struct work_struct *work)': (k, work) =>
    (isPending(k, work) ? 1 : 0) | (isRunning(k, work) ? 2 : 0),
  'struct work_struct *current_work(void)': (k) => {
    for (const queue of k.state(state).queues.values())
      if (queue.worker === k.scheduler.current) return queue.running;
    return 0;
  },
  'void workqueue_set_max_active(struct workqueue_struct *wq, int max_active)': () => undefined,
  'bool workqueue_congested(int cpu, struct workqueue_struct *wq)': (k, _cpu, queue) =>
    queue !== 0 && queueAt(k, queue).items.length > 0,
  'void __warn_flushing_systemwide_wq(void)': (k) =>
    kernelWarning(k, 'kernel/workqueue.c', 'Please avoid flushing system-wide workqueues.'),
});

/** The system's own queues: pointers that modules read, to queues made when first asked for. */
const system = (symbol: string, name: string): DataInitialiser => ({
  symbol,
  when: 'import',
  fill: (k, at) => pokePointer(k, at, createQueue(k, name)),
});

export const workqueueData: readonly DataInitialiser[] = [
  system('system_wq', 'events'),
  system('system_highpri_wq', 'events_highpri'),
  system('system_long_wq', 'events_long'),
  system('system_unbound_wq', 'events_unbound'),
  system('system_freezable_wq', 'events_freezable'),
  system('system_power_efficient_wq', 'events_power_efficient'),
  system('system_freezable_power_efficient_wq', 'events_freezable_power_efficient'),
];
