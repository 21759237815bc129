/** Kernel threads (kernel/kthread.c). Their control block is `struct kthread`, hung on the task as the kernel hangs it. */
import type { VarArgs } from '../../../abi/convention.ts';
import { perKernel } from '../../../kernel/kernel.ts';
import { block, type Steps } from '../../../kernel/steps.ts';
import { readable } from '../../../kernel/text/sink.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { initList } from '../lists.ts';
import { afterwards } from '../tasks.ts';
import { kernelFunctions } from './define.ts';
import { format } from './format/printf.ts';
import { schedule, setTaskState, TASK, taskState, wakeTask } from './sched.ts';
import { complete } from './wait.ts';

/** Bits of kthread.flags (enum KTHREAD_BITS). */
const SHOULD_STOP = 2;
const SHOULD_PARK = 4;
const PER_CPU = 1;

interface Body {
  readonly func: Address;
  readonly data: Address;
  /** -EINTR until the function was called: what kthread_stop gives for a thread that never ran. */
  result: number;
  exited: boolean;
  waiters: Address[];
}

/** What is not in the guest: the result, and who waits for it (the real ones are completions on private stacks). */
const bodies = perKernel(() => new Map<Address, Body>());

/** Threads of kthread_create that have not ended, by their tasks. */
export function* runningThreads(k: Linux): Generator<{ task: Address; name: string }> {
  for (const [task, { exited }] of k.state(bodies))
    if (!exited) yield { task, name: k.readString('task_struct.comm', task) };
}

/** A new kernel thread that sleeps until it is woken, as kthread_create makes it; its task. */
export function createThread(k: Linux, func: Address, data: Address, name: string): Address {
  let task: Address = 0;
  const body: Body = { func, data, result: -Errno.EINTR, exited: false, waiters: [] };
  const thread = k.tasks.spawn(
    name.slice(0, 15),
    run(k, () => task, body),
    false,
  );
  task = thread.control;
  const control = k.heap.allocateZeroed(k.sizeof('kthread'));
  k.write('kthread.threadfn', control, func);
  k.write('kthread.data', control, data);
  for (const completion of ['parked', 'exited'])
    initList(k, control + k.offset(`kthread.${completion}.wait.task_list`));
  k.write('task_struct.worker_private', task, control);
  setTaskState(k, task, TASK.UNINTERRUPTIBLE);
  k.state(bodies).set(task, body);
  thread.onExit(() => {
    finish(k, body);
    afterwards(k, () => k.heap.free(control));
  });
  return task;
}

function* run(k: Linux, task: () => Address, body: Body): Steps<number> {
  setTaskState(k, task(), TASK.RUNNING);
  if ((flags(k, task()) & SHOULD_STOP) === 0) {
    if ((flags(k, task()) & SHOULD_PARK) !== 0) yield* park(k, task());
    body.result = yield* k.callInt(body.func, body.data);
  }
  return body.result;
}

function finish(k: Linux, body: Body): void {
  body.exited = true;
  for (const waiter of body.waiters.splice(0)) wakeTask(k, waiter, TASK.NORMAL);
}

function controlOf(k: Linux, task: Address): Address {
  return k.read('task_struct.worker_private', task);
}

function flags(k: Linux, task: Address): number {
  const control = controlOf(k, task);
  return control === 0 ? 0 : k.read('kthread.flags', control);
}

function setFlags(k: Linux, task: Address, value: number): void {
  const control = controlOf(k, task);
  if (control !== 0) k.write('kthread.flags', control, value);
}

function* park(k: Linux, task: Address): Steps<void> {
  while ((flags(k, task) & SHOULD_PARK) !== 0) {
    setTaskState(k, task, TASK.PARKED);
    complete(k, controlOf(k, task) + k.offset('kthread.parked'));
    yield* schedule(k, undefined, 'parked');
  }
  setTaskState(k, task, TASK.RUNNING);
}

/** kthread_stop: asks, wakes, waits, and gives what the thread's function returned. */
export function* stopThread(k: Linux, task: Address): Steps<number> {
  const body = k.state(bodies).get(task);
  if (body === undefined) return -Errno.EINTR;
  if (body.exited) return body.result;
  setFlags(k, task, flags(k, task) | SHOULD_STOP);
  unpark(k, task);
  wakeTask(k, task, TASK.NORMAL);
  while (!body.exited) {
    body.waiters.push(k.current);
    setTaskState(k, k.current, TASK.UNINTERRUPTIBLE);
    yield* schedule(k, undefined, `kthread_stop of ${k.tasks.comm(task)}`);
  }
  return body.result;
}

/** Was the current thread asked to stop? */
export function shouldStop(k: Linux): boolean {
  return (flags(k, k.current) & SHOULD_STOP) !== 0;
}

function unpark(k: Linux, task: Address): void {
  setFlags(k, task, flags(k, task) & ~SHOULD_PARK);
  wakeTask(k, task, TASK.PARKED);
}

function nameOf(k: Linux, fmt: Address, args: VarArgs): string {
  return readable(format(k, fmt, args, 64).text);
}

export const kthreads = kernelFunctions({
  'struct task_struct *kthread_create_on_node(int (*threadfn)(void *), void *data, int node, const char *namefmt, ...)':
    (k, func, data, _node, fmt, args) => createThread(k, func, data, nameOf(k, fmt, args)),
  'struct task_struct *kthread_create_on_cpu(int (*threadfn)(void *), void *data, unsigned int cpu, const char *namefmt)':
    (k, func, data, cpu, fmt) => {
      const task = createThread(k, func, data, k.memory.cstring(fmt, 64).replace(/%[ud]/, `${cpu}`));
      setFlags(k, task, flags(k, task) | PER_CPU);
      return task;
    },
  'bool kthread_should_stop(void)': (k) => shouldStop(k),
  'bool kthread_should_park(void)': (k) => ((flags(k, k.current) & SHOULD_PARK) !== 0 ? 1 : 0),
  'bool kthread_freezable_should_stop(bool *was_frozen)': (k, frozen) => {
    if (frozen !== 0) k.memory.set8(frozen, 0);
    return (flags(k, k.current) & SHOULD_STOP) !== 0 ? 1 : 0;
  },
  'int kthread_stop(struct task_struct *k)': (k, task) => stopThread(k, task),
  'void kthread_parkme(void)': (k) => park(k, k.current),
  'int kthread_park(struct task_struct *k)': function* (k, task) {
    const body = k.state(bodies).get(task);
    if (body === undefined || body.exited) return -Errno.ENOSYS;
    if ((flags(k, task) & SHOULD_PARK) !== 0) return -Errno.EBUSY;
    setFlags(k, task, flags(k, task) | SHOULD_PARK);
    if (task === k.current) return 0;
    wakeTask(k, task, TASK.NORMAL);
    while (!body.exited && taskState(k, task) !== TASK.PARKED)
      yield* block('kthread_park', k.time.now() + 1_000_000);
    return 0;
  },
  'void kthread_unpark(struct task_struct *k)': (k, task) => unpark(k, task),
  'void kthread_bind(struct task_struct *p, unsigned int cpu)': () => undefined,
  'void *kthread_data(struct task_struct *task)': (k, task) => k.read('kthread.data', controlOf(k, task)),
  'void *kthread_func(struct task_struct *task)': (k, task) => {
    const control = controlOf(k, task);
    return control === 0 ? 0 : k.read('kthread.threadfn', control);
  },
  'void kthread_complete_and_exit(struct completion *comp, long code)': function* (k, completion, code) {
    if (completion !== 0) complete(k, completion);
    const body = k.state(bodies).get(k.current);
    if (body !== undefined) body.result = code;
    yield { kind: 'exit', code };
  },
  'void __module_put_and_kthread_exit(struct module *mod, long code)': function* (k, module, code) {
    const count = k.read('module.refcnt.counter', module);
    k.write('module.refcnt.counter', module, count - 1);
    yield { kind: 'exit', code };
  },
  'bool set_freezable(void)': () => 0,
  'bool freezing_slow_path(struct task_struct *p)': () => 0,
  'bool __refrigerator(bool check_kthr_stop)': () => 0,
});
