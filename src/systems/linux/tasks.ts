/**
 * Tasks: a task_struct in guest memory for every thread, and the per-CPU variables that machine code reads to
 * find the current one (arch/x86/include/asm/current.h, stackprotector.h).
 */
import type { Steps } from '../../kernel/steps.ts';
import type { Thread } from '../../kernel/thread.ts';
import { OutOfMemory } from '../../memory/frames.ts';
import { type Address, EndlessAccess, GuestFault } from '../../memory/space.ts';
import { type Credential, credOf, makeCred, putCred, ROOT } from './cred.ts';
import { HeapMisuse } from './heap.ts';
import { threadEnded } from './held-locks.ts';
import type { Linux } from './linux.ts';
import { Percpu } from './percpu.ts';
import { linkTask, unlinkTask } from './task-struct.ts';

/** PF_KTHREAD (include/linux/sched.h). */
const PF_KTHREAD = 0x00200000;
/** Offset of the stack canary in the fixed per-CPU block that gcc expects (%gs:0x28). */
const CANARY_OFFSET = 0x28;
/** TASK_COMM_LEN, with its terminating NUL. */
const COMM_BYTES = 16;

/** What is done when a thread has ended has nobody left to oops: what the guest destroyed before then is told in the log. */
export function afterwards(k: Linux, work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof HeapMisuse || error instanceof GuestFault || error instanceof EndlessAccess))
      throw error;
    k.printk(1, `BUG: Bad task state: ${error.message}`);
  }
}

export class Tasks {
  /** The boot task, current when no thread runs. */
  readonly init: Address;
  private readonly k: Linux;
  private readonly byTask = new Map<Address, Thread>();
  private readonly currentOffset: number;
  private readonly canaryOffset: number;
  private readonly stackTopOffset: number | undefined;
  private lastPid = 0;

  constructor(k: Linux) {
    this.k = k;
    this.currentOffset = Percpu.offsetOf(k, 'current_task') ?? 0;
    this.stackTopOffset = Percpu.offsetOf(k, 'cpu_current_top_of_stack');
    // A variable like any other from 6.15 on.
    this.canaryOffset = Percpu.offsetOf(k, '__stack_chk_guard') ?? CANARY_OFFSET;
    this.init = k.file.exports.find('init_task')?.address ?? k.heap.allocate(k.sizeof('task_struct'));
    this.fill(this.init, 'swapper/0', 0, ROOT);
    k.write('task_struct.flags', this.init, PF_KTHREAD);
    this.setCurrent(this.init, 0);
  }

  /** Gives a thread its task_struct; freed when the thread ends. */
  adopt(thread: Thread, name: string, credential: Credential = ROOT, kernelThread = false): Address {
    const task = this.k.heap.allocateZeroed(this.k.sizeof('task_struct'));
    if (task === 0) throw new OutOfMemory(0, this.k.memory.frames.freePages);
    this.fill(task, name, ++this.lastPid + 100, credential);
    this.k.write('task_struct.stack', task, thread.stackBase);
    if (kernelThread) this.k.write('task_struct.flags', task, PF_KTHREAD);
    thread.control = task;
    this.byTask.set(task, thread);
    thread.onExit(() => afterwards(this.k, () => threadEnded(this.k, thread)));
    thread.onExit(() => afterwards(this.k, () => this.release(task)));
    return task;
  }

  /** A kernel thread of its own; ready to run unless `start` is false. */
  spawn(name: string, steps: Steps<unknown>, start = true): Thread {
    const thread = this.k.scheduler.spawn(name, steps, start);
    this.adopt(thread, name, ROOT, true);
    return thread;
  }

  /** The task of that number; 0 when none has it. */
  byNumber(number: number): Address {
    for (const task of this.byTask.keys()) if (this.pid(task) === number) return task;
    return 0;
  }

  threadOf(task: Address): Thread | undefined {
    return this.byTask.get(task);
  }

  pid(task: Address): number {
    return this.k.read('task_struct.pid', task);
  }

  comm(task: Address): string {
    return this.k.readString('task_struct.comm', task);
  }

  setComm(task: Address, name: string): void {
    const bytes = new Uint8Array(COMM_BYTES);
    bytes.set(new TextEncoder().encode(name).subarray(0, COMM_BYTES - 1));
    this.k.memory.write(task + this.k.offset('task_struct.comm'), bytes);
  }

  /** Called by the scheduler when a thread's registers go live. */
  makeCurrent(thread: Thread): void {
    this.setCurrent(thread.control || this.init, thread.stackBase + thread.stackSize);
  }

  private setCurrent(task: Address, stackTop: Address): void {
    const { memory, percpu, cpu } = this.k;
    memory.setPtr(percpu.base + this.currentOffset, task);
    if (this.stackTopOffset !== undefined) memory.setPtr(percpu.base + this.stackTopOffset, stackTop);
    memory.setPtr(percpu.base + this.canaryOffset, this.k.read('task_struct.stack_canary', task));
    percpu.use(cpu);
  }

  private fill(task: Address, name: string, pid: number, credential: Credential): void {
    const { k } = this;
    this.setComm(task, name);
    k.write('task_struct.pid', task, pid);
    k.write('task_struct.tgid', task, pid);
    k.write('task_struct.group_leader', task, task);
    k.write('task_struct.real_parent', task, this.init || task);
    k.write('task_struct.parent', task, this.init || task);
    k.write('task_struct.nr_cpus_allowed', task, 1);
    // The lowest byte is zero so that string functions cannot leak the canary (include/linux/stackprotector.h).
    k.write('task_struct.stack_canary', task, k.random32() * 256);
    const cred = makeCred(k, credential);
    k.write('task_struct.cred', task, cred);
    k.write('task_struct.real_cred', task, cred);
    linkTask(k, task, this.init);
  }

  /** Frees a task that has ended, when the last reference to it is gone (__put_task_struct). */
  free(task: Address): void {
    const { k } = this;
    for (const cred of [credOf(k, task), k.read('task_struct.real_cred', task)]) putCred(k, cred);
    k.heap.free(task);
  }

  private release(task: Address): void {
    this.byTask.delete(task);
    if (unlinkTask(this.k, task)) this.free(task);
  }
}
