/** Tasks: priorities 0 to 255, 0 the most urgent, preemptive (taskLib). */
import type { Steps } from '../../kernel/steps.ts';
import { type Thread, ThreadKilled } from '../../kernel/thread.ts';
import type { Address } from '../../memory/address.ts';
import { ERRNO, ERROR } from './errno.ts';
import type { VxWorks } from './vxworks.ts';
import { WaitQueue } from './waiting.ts';

export const MAX_PRIORITY = 255;
/** What the shell runs at: before everything that does not ask for more. */
export const SHELL_PRIORITY = 1;

export interface TaskSpec {
  readonly name: string;
  readonly priority: number;
  readonly options: number;
  readonly entry: Address;
  readonly args: readonly number[];
}

export class Task {
  readonly id: Address;
  readonly name: string;
  readonly options: number;
  readonly entry: Address;
  readonly thread: Thread;
  priority: number;
  /** What it was given; inheritance may raise `priority` for a time. */
  ownPriority: number;
  suspended = false;
  /** It waits for time alone, not for an object. */
  delaying = false;
  /** taskLock calls not yet undone. */
  locks = 0;
  /** taskSafe calls not yet undone, and who waits to delete it. */
  safety = 0;
  readonly deleters: WaitQueue;
  /** Set by its exception: it is never to run again, and stays to be looked at. */
  failed = false;
  /** Where it stands among tasks of its own priority: the number of the last slice that it used up (kernelTimeSlice). */
  turn = 0;
  /** The tick at which it got the processor. */
  since = 0;
  events = 0;
  eventWait: { events: number; any: boolean } | undefined;

  constructor(id: Address, thread: Thread, spec: TaskSpec, deleters: WaitQueue) {
    this.id = id;
    this.deleters = deleters;
    this.thread = thread;
    this.name = spec.name;
    this.options = spec.options;
    this.entry = spec.entry;
    this.priority = spec.priority;
    this.ownPriority = spec.priority;
  }
}

export class Tasks {
  /** Ticks until the next task of the same priority has its turn; 0 = tasks run until they block (kernelLib). */
  slice = 0;
  private readonly k: VxWorks;
  private slices = 0;
  private readonly list: Task[] = [];
  private readonly byThread = new Map<Thread, Task>();
  private names = 0;

  constructor(k: VxWorks) {
    this.k = k;
  }

  /** The task that runs now; undefined in an interrupt. */
  get current(): Task | undefined {
    const { scheduler } = this.k;
    if (scheduler.interrupting || scheduler.current === undefined) return undefined;
    return this.byThread.get(scheduler.current);
  }

  of(thread: Thread): Task | undefined {
    return this.byThread.get(thread);
  }

  /** 0 means the caller itself. */
  find(id: Address): Task | undefined {
    if (id === 0) return this.current;
    return this.list.find((task) => task.id === id);
  }

  byName(name: string): Task | undefined {
    return this.list.find((task) => task.name === name);
  }

  [Symbol.iterator](): Iterator<Task> {
    return this.list[Symbol.iterator]();
  }

  /** A name for those that were given none: t1, t2... */
  nextName(prefix: string): string {
    return `${prefix}${++this.names}`;
  }

  /** Makes a task; it waits for taskActivate when `start` is false. Undefined, with errno set, when it cannot be. */
  create(spec: TaskSpec, start: boolean): Task | undefined {
    const { k } = this;
    if (!(spec.priority >= 0 && spec.priority <= MAX_PRIORITY)) {
      k.errno = ERRNO.S_taskLib_ILLEGAL_PRIORITY;
      return undefined;
    }
    return this.start(spec, this.body(spec), start);
  }

  /** A task whose body is given: the shell's. */
  start(spec: TaskSpec, body: Steps<unknown>, start = true): Task | undefined {
    const { k } = this;
    const id = k.allocate(k.sizeof('struct lkm_tcb'));
    if (id === 0) return undefined;
    k.memory.fill(id, k.sizeof('struct lkm_tcb'), 0);
    k.memory.write(id, new TextEncoder().encode(spec.name.slice(0, 31)));
    k.write('struct lkm_tcb.entry', id, spec.entry);
    const thread = k.scheduler.spawn(spec.name, body, start);
    thread.control = id;
    const task = new Task(id, thread, spec, new WaitQueue(k, false));
    this.list.push(task);
    this.byThread.set(thread, task);
    thread.onExit(() => this.ended(task));
    return task;
  }

  private *body(spec: TaskSpec): Steps<void> {
    const { k } = this;
    const self = this.current;
    if (self !== undefined) yield* k.hooks.created(self);
    yield* k.call(spec.entry, ...spec.args);
    const task = this.current;
    if (task !== undefined) yield* k.hooks.deleted(task);
  }

  private ended(task: Task): void {
    const { outcome } = task.thread;
    if (outcome !== undefined && !('value' in outcome) && task.failed) return;
    this.forget(task);
  }

  /** Takes a dead task off the list. */
  private forget(task: Task): void {
    const at = this.list.indexOf(task);
    if (at >= 0) this.list.splice(at, 1);
    this.byThread.delete(task.thread);
    this.k.pool.free(task.id);
  }

  /** taskDelete of another task, or of one that failed. */
  kill(task: Task): void {
    this.k.scheduler.kill(task.thread, new ThreadKilled(task.name, 0, 'deleted by taskDelete'));
    this.forget(task);
  }

  /** The running task has had the processor for a slice: others of its priority come first now. */
  private usedUp(task: Task): boolean {
    if (this.slice === 0 || this.k.ticks - task.since < this.slice) return false;
    if (task.turn !== this.slices || this.slices === 0) task.turn = ++this.slices;
    return true;
  }

  /** Who runs first: the lower. Among equals those come behind whose slices are over, the last one last. */
  rank(task: Task): number {
    const running = this.k.scheduler.current === task.thread && !this.usedUp(task);
    return running ? task.priority : task.priority + task.turn * 1e-9;
  }

  /** STATUS column of `i`. */
  status(task: Task): string {
    const { state } = task.thread;
    const waits = state === 'blocked';
    const base = waits ? (task.delaying ? 'DELAY' : 'PEND') : 'READY';
    if (task.failed) return 'SUSPEND';
    if (!task.suspended) return base;
    return waits ? `${base}+S` : 'SUSPEND';
  }
}

/** errno and NULL in one go. */
export function noneFor(k: VxWorks, errno: number): 0 {
  k.errno = errno;
  return 0;
}

/** errno and ERROR in one go, for handlers: `return failed(k, ERRNO...)`. */
export function failed(k: VxWorks, errno: number): number {
  k.errno = errno;
  return ERROR;
}
