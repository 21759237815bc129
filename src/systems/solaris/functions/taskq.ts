/** Threads of the kernel, and task queues: ddi_taskq_create(9F), taskq_create(9F), thread_create. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { StandingThing } from '../../../kernel/standing.ts';
import { block, type Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import type { Solaris } from '../solaris.ts';
import { kernelFunctions } from './define.ts';
import { sleepOn, wakeAll } from './locks.ts';

interface Queue {
  readonly name: string;
  readonly threads: number;
  readonly waiting: { func: Address; arg: Address }[];
  running: number;
  suspended: boolean;
}

/** Queues by handle; those who wait for one to be empty sleep on the handle. */
const queues = perKernel(() => new Map<Address, Queue>());

export function createQueue(k: Solaris, name: string, threads: number): Address {
  const handle = k.heap.take(64);
  k.state(queues).set(handle, {
    name,
    threads: Math.max(1, threads),
    waiting: [],
    running: 0,
    suspended: false,
  });
  return handle;
}

/** More tasks than any driver has waiting; a flood of them is refused as with TQ_NOSLEEP. */
const MAX_WAITING = 100_000;

function dispatch(k: Solaris, handle: Address, func: Address, arg: Address): boolean {
  const queue = k.state(queues).get(handle);
  if (queue === undefined || queue.waiting.length >= MAX_WAITING) return false;
  queue.waiting.push({ func, arg });
  startWorkers(k, handle, queue);
  return true;
}

function startWorkers(k: Solaris, handle: Address, queue: Queue): void {
  while (!queue.suspended && queue.running < Math.min(queue.threads, queue.waiting.length + queue.running)) {
    if (queue.waiting.length === 0) return;
    queue.running++;
    k.spawnThread(queue.name, work(k, handle, queue));
    if (queue.running >= queue.threads) return;
  }
}

function* work(k: Solaris, handle: Address, queue: Queue): Steps<void> {
  try {
    for (
      let task = queue.waiting.shift();
      task !== undefined;
      task = queue.suspended ? undefined : queue.waiting.shift()
    )
      yield* k.call(task.func, task.arg);
  } finally {
    queue.running--;
    if (queue.running === 0 && queue.waiting.length === 0) wakeAll(k, handle);
  }
}

const idle = (queue: Queue | undefined): boolean =>
  queue === undefined || (queue.running === 0 && queue.waiting.length === 0);

function* wait(k: Solaris, handle: Address): Steps<void> {
  while (!idle(k.state(queues).get(handle))) yield* sleepOn(k, handle, 'taskq_wait');
}

function* destroy(k: Solaris, handle: Address): Steps<void> {
  yield* wait(k, handle);
  if (k.state(queues).delete(handle)) k.heap.free(handle);
}

const suspend = (k: Solaris, handle: Address, on: boolean): void => {
  const queue = k.state(queues).get(handle);
  if (queue === undefined) return;
  queue.suspended = on;
  startWorkers(k, handle, queue);
};

/** Queues that nobody destroyed. */
export function* taskqsNow(k: Solaris): Generator<StandingThing> {
  for (const [key, { name }] of k.state(queues)) yield { what: 'task queue', key, name };
}

export const taskqs = kernelFunctions({
  'ddi_taskq_t *ddi_taskq_create(dev_info_t *dip, const char *name, int threads, pri_t pri, uint_t flags)': (
    k,
    dip,
    name,
    threads,
  ) => {
    const owner = dip === 0 ? '' : `${k.readString('dev_info.devi_node_name', dip)}_`;
    return createQueue(k, owner + k.memory.cstring(name), threads);
  },
  'int ddi_taskq_dispatch(ddi_taskq_t *queue, void (*func)(void *), void *arg, uint_t flags)': (
    k,
    queue,
    func,
    arg,
  ) => (dispatch(k, queue, func, arg) ? 0 : -1),
  'void ddi_taskq_wait(ddi_taskq_t *queue)': wait,
  'void ddi_taskq_destroy(ddi_taskq_t *queue)': destroy,
  'void ddi_taskq_suspend(ddi_taskq_t *queue)': (k, queue) => suspend(k, queue, true),
  'void ddi_taskq_resume(ddi_taskq_t *queue)': (k, queue) => suspend(k, queue, false),
  'boolean_t ddi_taskq_suspended(ddi_taskq_t *queue)': (k, queue) =>
    k.state(queues).get(queue)?.suspended === true,
  'taskq_t *taskq_create(const char *name, int threads, pri_t pri, int minalloc, int maxalloc, uint_t flags)':
    (k, name, threads) => createQueue(k, k.memory.cstring(name), threads),
  'uintptr_t taskq_dispatch(taskq_t *queue, void (*func)(void *), void *arg, uint_t flags)': (
    k,
    queue,
    func,
    arg,
  ) => (dispatch(k, queue, func, arg) ? queue : 0),
  'void taskq_wait(taskq_t *queue)': wait,
  'void taskq_destroy(taskq_t *queue)': destroy,
  'kthread_t *thread_create(caddr_t stack, size_t stksize, void (*proc)(void *), void *arg, size_t len, void *pp, int state, pri_t pri)':
    (k, _stack, _size, proc, arg) => k.spawnThread(`thread of ${k.where(proc)}`, k.call(proc, arg)).control,
  *'void thread_exit(void)'() {
    yield { kind: 'exit', code: 0 };
  },
  *'void thread_join(uint64_t id)'(k, id) {
    const alive = () =>
      [...k.scheduler.threads].some((thread) => thread.control !== 0 && tidOf(k, thread.control) === id);
    while (alive()) yield* block('thread_join', k.time.now() + 1_000_000);
  },
  'kthread_t *threadp(void)': (k) => k.curthread,
});

const tidOf = (k: Solaris, control: Address): bigint => BigInt(k.read('kthread.t_tid', control));
