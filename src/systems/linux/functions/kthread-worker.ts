/** Kernel threads that work off a list of their own (struct kthread_worker); the list is linked in the guest. */
import type { Steps } from '../../../kernel/steps.ts';
import { block } from '../../../kernel/steps.ts';
import { readable } from '../../../kernel/text/sink.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { addTail, initList, listEmpty, removeInit } from '../lists.ts';
import { callerOf } from './caller.ts';
import { kernelFunctions } from './define.ts';
import { format } from './format/printf.ts';
import { createThread, shouldStop, stopThread } from './kthread.ts';
import { schedule, setTaskState, TASK, wakeTask } from './sched.ts';

/** How often a flush looks whether its item is done. */
const POLL_NS = 100_000;

const listOf = (k: Linux, worker: Address): Address => worker + k.offset('kthread_worker.work_list');
const nodeOf = (k: Linux, work: Address): Address => work + k.offset('kthread_work.node');

function initWorker(k: Linux, worker: Address): void {
  k.memory.fill(worker, k.sizeof('kthread_worker'), 0);
  initList(k, listOf(k, worker));
  initList(k, worker + k.offset('kthread_worker.delayed_work_list'));
}

/** kthread_create_worker; since 6.14 the one who asks wakes the thread. */
export function* createWorker(k: Linux, name: string, wake = true): Steps<Address> {
  const worker = k.heap.allocate(k.sizeof('kthread_worker'), undefined, callerOf(k));
  if (worker === 0) return -Errno.ENOMEM;
  initWorker(k, worker);
  const task = createThread(k, k.addressOf('kthread_worker_fn'), worker, name);
  k.write('kthread_worker.task', worker, task);
  if (!wake) return worker;
  wakeTask(k, task);
  yield { kind: 'yield' };
  return worker;
}

function* serve(k: Linux, worker: Address): Steps<number> {
  k.write('kthread_worker.task', worker, k.current);
  while (!shouldStop(k)) {
    const list = listOf(k, worker);
    if (listEmpty(k, list)) {
      setTaskState(k, k.current, TASK.INTERRUPTIBLE);
      yield* schedule(k, undefined, 'idle kthread worker');
      continue;
    }
    const node = k.memory.ptr(list);
    const work = node - k.offset('kthread_work.node');
    removeInit(k, node);
    k.write('kthread_worker.current_work', worker, work);
    yield* k.call(k.read('kthread_work.func', work), work);
    k.write('kthread_worker.current_work', worker, 0);
  }
  k.write('kthread_worker.task', worker, 0);
  return 0;
}

function queue(k: Linux, worker: Address, work: Address): boolean {
  if (!listEmpty(k, nodeOf(k, work)) || k.read('kthread_work.canceling', work) !== 0) return false;
  k.write('kthread_work.worker', work, worker);
  addTail(k, nodeOf(k, work), listOf(k, worker));
  const task = k.read('kthread_worker.task', worker);
  if (task !== 0) wakeTask(k, task);
  return true;
}

function* flush(k: Linux, work: Address): Steps<void> {
  const worker = k.read('kthread_work.worker', work);
  if (worker === 0) return;
  const busy = () => !listEmpty(k, nodeOf(k, work)) || k.read('kthread_worker.current_work', worker) === work;
  while (busy()) yield* block('kthread_flush_work', k.time.now() + POLL_NS);
}

function* flushWorker(k: Linux, worker: Address): Steps<void> {
  const busy = () => !listEmpty(k, listOf(k, worker)) || k.read('kthread_worker.current_work', worker) !== 0;
  while (busy()) yield* block('kthread_flush_worker', k.time.now() + POLL_NS);
}

export const kthreadWorkers = kernelFunctions({
  'void __kthread_init_worker(struct kthread_worker *worker, const char *name, struct lock_class_key *key)': (
    k,
    worker,
  ) => initWorker(k, worker),
  'int kthread_worker_fn(void *worker_ptr)': (k, worker) => serve(k, worker),
  'struct kthread_worker *kthread_create_worker(unsigned int flags, const char *namefmt, ...)': (
    k,
    _flags,
    fmt,
    args,
  ) => createWorker(k, readable(format(k, fmt, args, 64).text)),
  'struct kthread_worker *kthread_create_worker_on_cpu(int cpu, unsigned int flags, const char *namefmt, ...)':
    (k, _cpu, _flags, fmt, args) => createWorker(k, readable(format(k, fmt, args, 64).text)),
  'bool kthread_queue_work(struct kthread_worker *worker, struct kthread_work *work)': (k, worker, work) =>
    queue(k, worker, work),
  'void kthread_flush_work(struct kthread_work *work)': (k, work) => flush(k, work),
  'void kthread_flush_worker(struct kthread_worker *worker)': (k, worker) => flushWorker(k, worker),
  'bool kthread_cancel_work_sync(struct kthread_work *work)': function* (k, work) {
    const node = nodeOf(k, work);
    const was = !listEmpty(k, node);
    if (was) removeInit(k, node);
    yield* flush(k, work);
    return was;
  },
  'void kthread_destroy_worker(struct kthread_worker *worker)': function* (k, worker) {
    const task = k.read('kthread_worker.task', worker);
    yield* flushWorker(k, worker);
    if (task !== 0) yield* stopThread(k, task);
    k.heap.free(worker);
  },
});
