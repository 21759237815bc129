/** taskqueue(9), kproc(9), kthread(9): work that runs in threads of the kernel. */
import type { VarArgs } from '../../../abi/convention.ts';
import { perKernel } from '../../../kernel/kernel.ts';
import { block, type Steps } from '../../../kernel/steps.ts';
import { guestText } from '../../../kernel/text/printf.ts';
import type { Thread } from '../../../kernel/thread.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { FreeBsd } from '../freebsd.ts';
import { majorOf } from '../version.ts';
import { kernelFunctions } from './define.ts';
import { format } from './format.ts';
import { nsOfSbt } from './sleep.ts';
import { sleepOn, wakeChannel } from './sleepqueue.ts';

/** struct taskqueue is private to subr_taskqueue.c: modules have its address only. */
interface Queue {
  readonly address: Address;
  readonly name: string;
  /** struct task, in the order they will run. */
  readonly waiting: Address[];
  running: Address;
  blocked: boolean;
  threads: number;
  gone: boolean;
  /** The kernel has it for everybody. */
  readonly ofKernel: boolean;
}

export const queues = perKernel(() => new Map<Address, Queue>());
/** Names of the processes and threads that modules started and that have not ended, by their struct thread. */
export const kernelThreads = perKernel(() => new Map<Address, string>());

export function makeQueue(k: FreeBsd, name: string, ofKernel: boolean): Queue {
  const address = k.heap.allocate(256);
  const idle = { running: 0, blocked: false, threads: 0, gone: false };
  const queue: Queue = { address, name, waiting: [], ofKernel, ...idle };
  k.state(queues).set(address, queue);
  return queue;
}

function queueAt(k: FreeBsd, at: Address): Queue {
  const queue = k.state(queues).get(at);
  if (queue === undefined) throw new RangeError('this is no taskqueue');
  return queue;
}

function startThread(k: FreeBsd, queue: Queue): void {
  queue.threads++;
  const thread = k.scheduler.spawn(queue.name, serve(k, queue));
  k.threads.adopt(thread, queue.name);
}

function* serve(k: FreeBsd, queue: Queue): Steps<void> {
  while (!queue.gone) {
    const task = queue.blocked ? undefined : queue.waiting.shift();
    if (task === undefined) {
      yield* sleepOn(k, queue.address, '-', Number.POSITIVE_INFINITY);
      continue;
    }
    yield* runTask(k, queue, task);
  }
}

/** struct task: link, pending count, priority (and flags from 11 on), function, argument (sys/_task.h). */
function* runTask(k: FreeBsd, queue: Queue, task: Address): Steps<void> {
  const pending = k.memory.u16(task + k.word);
  k.memory.set16(task + k.word, 0);
  queue.running = task;
  const func = k.memory.ptr(task + k.word + Math.max(4, k.word));
  const arg = k.memory.ptr(task + 2 * k.word + Math.max(4, k.word));
  yield* k.call(func, arg, pending);
  queue.running = 0;
  wakeChannel(k, task);
}

const priority = (k: FreeBsd, task: Address): number => {
  const at = task + k.word + 2;
  return majorOf(k.version) < 11 ? k.memory.u16(at) : k.memory.u8(at);
};

function enqueue(k: FreeBsd, at: Address, task: Address): number {
  const queue = queueAt(k, at);
  const pending = k.memory.u16(task + k.word);
  k.memory.set16(task + k.word, Math.min(pending + 1, 0xffff));
  if (pending > 0) return 0;
  const own = priority(k, task);
  const place = queue.waiting.findIndex((other) => priority(k, other) < own);
  queue.waiting.splice(place < 0 ? queue.waiting.length : place, 0, task);
  // A queue of the kernel that nobody started threads for is served by a software interrupt.
  if (queue.threads === 0) startThread(k, queue);
  wakeChannel(k, queue.address);
  return 0;
}

function* drain(k: FreeBsd, at: Address, task: Address): Steps<void> {
  const queue = queueAt(k, at);
  while (queue.running === task || queue.waiting.includes(task))
    yield* sleepOn(k, task, 'taskqueue_drain', Number.POSITIVE_INFINITY);
}

function* drainAll(k: FreeBsd, at: Address): Steps<void> {
  const queue = queueAt(k, at);
  for (const task of [...queue.waiting, queue.running].filter((one) => one !== 0)) yield* drain(k, at, task);
}

function free(k: FreeBsd, at: Address): void {
  const queue = queueAt(k, at);
  queue.gone = true;
  wakeChannel(k, at);
  k.state(queues).delete(at);
  k.heap.free(at);
}

const create = (k: FreeBsd, name: Address): Address => makeQueue(k, guestText(k, name), false).address;

export const taskqueues = kernelFunctions({
  'void *taskqueue_create(const char *name, int mflags, void *enqueue, void *context)': create,
  'void *taskqueue_create_fast(const char *name, int mflags, void *enqueue, void *context)': create,
  'int taskqueue_start_threads(void **tqp, int count, int pri, const char *name, ...)': (k, at, count) => {
    const queue = queueAt(k, k.memory.ptr(at));
    for (let i = 0; i < Math.min(count, 32); i++) startThread(k, queue);
    return 0;
  },
  'int taskqueue_start_threads_pinned(void **tqp, int count, int pri, int cpu, const char *name, ...)': (
    k,
    at,
    count,
  ) => {
    const queue = queueAt(k, k.memory.ptr(at));
    for (let i = 0; i < Math.min(count, 32); i++) startThread(k, queue);
    return 0;
  },
  'int taskqueue_enqueue(void *queue, void *task)': enqueue,
  'int taskqueue_enqueue_fast(void *queue, void *task)': enqueue,
  'int taskqueue_enqueue_timeout(void *queue, void *task, int ticks)': (k, queue, task, ticks) => {
    k.time.at(k.time.now() + Math.max(0, ticks) * 1e6, () => void enqueue(k, queue, task));
    return 0;
  },
  'int taskqueue_enqueue_timeout_sbt(void *queue, void *task, int64_t sbt, int64_t pr, int flags)': (
    k,
    queue,
    task,
    sbt,
  ) => {
    k.time.at(k.time.now() + nsOfSbt(sbt), () => void enqueue(k, queue, task));
    return 0;
  },
  'int taskqueue_cancel(void *queue, void *task, unsigned int *pendp)': (k, at, task, pending) => {
    const queue = queueAt(k, at);
    const place = queue.waiting.indexOf(task);
    if (pending !== 0) k.memory.set32(pending, k.memory.u16(task + k.word));
    if (place >= 0) queue.waiting.splice(place, 1);
    k.memory.set16(task + k.word, 0);
    return queue.running === task ? Errno.EBUSY : 0;
  },
  'void taskqueue_drain(void *queue, void *task)': drain,
  'void taskqueue_drain_all(void *queue)': drainAll,
  // Tasks that come meanwhile are waited for as well.
  *'void taskqueue_quiesce(void *queue)'(k, at) {
    while (queueAt(k, at).running !== 0 || queueAt(k, at).waiting.length > 0) yield* drainAll(k, at);
  },
  'void taskqueue_block(void *queue)': (k, at) => {
    queueAt(k, at).blocked = true;
  },
  'void taskqueue_unblock(void *queue)': (k, at) => {
    queueAt(k, at).blocked = false;
    wakeChannel(k, at);
  },
  'void taskqueue_free(void *queue)': free,
  'void taskqueue_thread_enqueue(void *context)': (k, context) => wakeChannel(k, k.memory.ptr(context)),
  'int taskqueue_member(void *queue, void *td)': () => 0,
});

// -- kernel processes -----------------------------------------------------------------------------------------

/** RFSTOPPED: whoever makes the thread starts it, by sched_add. */
const STOPPED = 1 << 17;
/** Threads that nobody has started yet, by their struct thread. */
const stopped = perKernel(() => new Map<Address, Thread>());

function spawn(k: FreeBsd, func: Address, arg: Address, name: string, flags = 0): Thread {
  const body = function* (): Steps<void> {
    if ((flags & STOPPED) !== 0) yield* block('stopped', Number.POSITIVE_INFINITY);
    yield* k.call(func, arg);
  };
  const thread = k.scheduler.spawn(name, body());
  const td = k.threads.adopt(thread, name);
  if ((flags & STOPPED) !== 0) k.state(stopped).set(td, thread);
  const proc = k.threads.proc(td);
  k.state(kernelThreads).set(td, name);
  thread.onExit(() => {
    k.state(kernelThreads).delete(td);
    wakeChannel(k, td);
    wakeChannel(k, proc);
  });
  return thread;
}

function createProcess(
  k: FreeBsd,
  func: Address,
  arg: Address,
  result: Address,
  flags: number,
  name: Address,
  args: VarArgs,
): number {
  const thread = spawn(k, func, arg, format(k, guestText(k, name), args), flags);
  if (result !== 0) k.memory.setPtr(result, k.threads.proc(thread.control));
  return 0;
}

function* exit(): Steps<void> {
  yield { kind: 'exit', code: 0 };
}

export const kernelProcesses = kernelFunctions({
  'int kproc_create(void *func, void *arg, void **newpp, int flags, int pages, const char *fmt, ...)': (
    k,
    func,
    arg,
    result,
    flags,
    _pages,
    name,
    args,
  ) => createProcess(k, func, arg, result, flags, name, args),
  'int kthread_add(void *func, void *arg, void *p, void **newtdp, int flags, int pages, const char *fmt, ...)':
    (k, func, arg, _p, result, flags, _pages, name, args) => {
      const thread = spawn(k, func, arg, format(k, guestText(k, name), args), flags);
      if (result !== 0) k.memory.setPtr(result, thread.control);
      return 0;
    },
  'int kproc_kthread_add(void *func, void *arg, void **procptr, void **tdptr, int flags, int pages, const char *procname, const char *fmt, ...)':
    (k, func, arg, process, result, flags, _pages, _procname, name, args) => {
      const thread = spawn(k, func, arg, format(k, guestText(k, name), args), flags);
      if (k.memory.ptr(process) === 0) k.memory.setPtr(process, k.threads.proc(thread.control));
      if (result !== 0) k.memory.setPtr(result, thread.control);
      return 0;
    },
  /** SYSINIT of a struct kproc_desc: name, function, where the process goes. */
  'void kproc_start(const void *udata)': (k, at) => {
    const thread = spawn(k, k.memory.ptr(at + k.word), 0, guestText(k, k.memory.ptr(at)));
    const result = k.memory.ptr(at + 2 * k.word);
    if (result !== 0) k.memory.setPtr(result, k.threads.proc(thread.control));
  },
  /** Makes a thread runnable that was made stopped. */
  'void sched_add(void *td, int flags)': (k, td) => {
    const thread = k.state(stopped).get(td);
    k.state(stopped).delete(td);
    if (thread !== undefined) k.scheduler.wake(thread);
  },
  'void kproc_exit(int ecode)': exit,
  'void kthread_exit(void)': exit,
  'void kproc_shutdown(void *arg, int howto)': () => undefined,
  'void kproc_suspend_check(void *p)': () => undefined,
  'void kthread_shutdown(void *arg, int howto)': () => undefined,
});

// -- numbers and tables ---------------------------------------------------------------------------------------

interface Units {
  readonly low: number;
  readonly high: number;
  readonly taken: Set<number>;
}

export const units = perKernel(() => new Map<Address, Units>());

function unitsAt(k: FreeBsd, at: Address): Units {
  const found = k.state(units).get(at);
  if (found === undefined) throw new RangeError('this is no unit number allocator');
  return found;
}

function takeUnit(k: FreeBsd, at: Address): number {
  const { low, high, taken } = unitsAt(k, at);
  for (let unit = low; unit <= high; unit++) {
    if (taken.has(unit)) continue;
    taken.add(unit);
    return unit;
  }
  return -1;
}

function makeHash(k: FreeBsd, count: number, type: Address, mask: Address): Address {
  if (count <= 0) throw new RangeError('hashinit: bad elements');
  const size = 2 ** Math.floor(Math.log2(count));
  k.memory.setPtr(mask, size - 1);
  return k.heap.allocate(size * k.word, undefined, type, k.convention.returnAddress(k.cpu));
}

export const unitNumbers = kernelFunctions({
  'void *new_unrhdr(int low, int high, void *mtx)': (k, low, high) => {
    const at = k.heap.allocate(64);
    k.state(units).set(at, { low, high, taken: new Set() });
    return at;
  },
  'void delete_unrhdr(void *uh)': (k, at) => {
    unitsAt(k, at);
    k.state(units).delete(at);
    k.heap.free(at);
  },
  'void clear_unrhdr(void *uh)': (k, at) => unitsAt(k, at).taken.clear(),
  'void clean_unrhdr(void *uh)': () => undefined,
  'int alloc_unr(void *uh)': takeUnit,
  'int alloc_unrl(void *uh)': takeUnit,
  'int alloc_unr_specific(void *uh, unsigned int item)': (k, at, item) => {
    const { low, high, taken } = unitsAt(k, at);
    if (item < low || item > high || taken.has(item)) return -1;
    taken.add(item);
    return item;
  },
  'void free_unr(void *uh, unsigned int item)': (k, at, item) => {
    unitsAt(k, at).taken.delete(item);
  },
  'void *hashinit(int count, struct malloc_type *type, unsigned long *hashmask)': makeHash,
  'void *hashinit_flags(int count, struct malloc_type *type, unsigned long *hashmask, int flags)': makeHash,
  'void hashdestroy(void *table, struct malloc_type *type, unsigned long hashmask)': (k, at) => {
    k.heap.free(at);
  },
});
