/** Threads and the one process: KTHREAD and EPROCESS blocks, system threads, worker threads. */
import type { Steps } from '../../kernel/steps.ts';
import type { Thread } from '../../kernel/thread.ts';
import type { Address } from '../../memory/space.ts';
import { tellThread, wantsThreads } from './callbacks.ts';
import type { KernelObject } from './objects.ts';
import { SYSTEM_ID } from './processes.ts';
import { signal } from './wait.ts';
import type { Windows } from './windows.ts';

/** Bytes enough for ETHREAD of every release; drivers see it as opaque. */
const THREAD_BYTES = 0x980;
/** DISPATCHER_HEADER type of threads (wdm.h, KOBJECTS). */
const THREAD_OBJECT = 6;
/** KTHREAD.ApcState.Process by 64-bit and 32-bit layout, Windows 7's, as public symbols have it. */
const PROCESS_OF_THREAD = { 8: 0x70, 4: 0x50 } as const;

export interface ThreadInfo {
  readonly object: KernelObject;
  readonly id: number;
  /** Called from user mode, so to speak: its requests come with RequestorMode = UserMode. */
  readonly user: boolean;
  priority: number;
  /** Depth of critical regions. */
  apcDisable: number;
  exitStatus: number;
  /** Its start was told to those who asked for threads, so its end will be. */
  announced: boolean;
  /** Where a driver's own thread began. */
  start?: Address;
}

export class Threads {
  private readonly k: Windows;
  private readonly info = new Map<Address, ThreadInfo>();
  private ids = 0x100;
  /** The System process, with the id it has had since Windows XP. */
  readonly system: KernelObject;
  readonly user: KernelObject;
  /** EPROCESS of the caller of requests. */
  readonly process: Address;
  readonly systemId = SYSTEM_ID;

  constructor(k: Windows) {
    this.k = k;
    this.system = k.processes.system.object;
    this.user = k.processes.user.object;
    this.process = this.user.address;
  }

  /** Gives a scheduler thread its KTHREAD. */
  adopt(thread: Thread, user: boolean): ThreadInfo {
    const { k } = this;
    const object = k.objects.create('Thread', THREAD_BYTES, { extra: thread });
    const { memory } = k;
    memory.set8(object.address, THREAD_OBJECT);
    const list = object.address + k.offset('DISPATCHER_HEADER.WaitListHead');
    memory.setPtr(list, list);
    memory.setPtr(list + k.word, list);
    const process = user ? this.user : this.system;
    memory.setPtr(object.address + PROCESS_OF_THREAD[k.word], process.address);
    this.ids += 4;
    const info: ThreadInfo = {
      object,
      id: this.ids,
      user,
      priority: 8,
      apcDisable: 0,
      exitStatus: 0,
      announced: false,
    };
    this.info.set(object.address, info);
    thread.control = object.address;
    thread.onExit(() => this.ended(info));
    return info;
  }

  get current(): ThreadInfo | undefined {
    return this.info.get(this.k.processor.currentThread);
  }

  at(address: Address): ThreadInfo | undefined {
    return this.info.get(address);
  }

  get live(): Iterable<ThreadInfo> {
    return [...this.info.values()].filter(({ object }) => (object.extra as Thread).state !== 'dead');
  }

  processOf(thread: ThreadInfo | undefined): KernelObject {
    return thread?.user ? this.user : this.system;
  }

  /** EPROCESS whose memory the thread that runs sees: its own, or the one that it is attached to. */
  get currentProcess(): Address {
    return this.k.memory.ptr(this.k.processor.currentThread + PROCESS_OF_THREAD[this.k.word]);
  }

  set currentProcess(process: Address) {
    this.k.memory.setPtr(this.k.processor.currentThread + PROCESS_OF_THREAD[this.k.word], process);
  }

  processId(process: Address): number {
    return this.k.processes.at(process)?.id ?? this.systemId;
  }

  /** PsCreateSystemThread: runs `start(context)` in a new thread. */
  create(name: string, start: Address, context: Address): ThreadInfo {
    const { k } = this;
    const id = this.ids + 4;
    const body = function* (): Steps<void> {
      yield* tellThread(k, SYSTEM_ID, id, true);
      yield* k.call(start, context);
    };
    const info = this.run(name, body());
    info.announced = true;
    info.start = start;
    return info;
  }

  /** A thread of the System process that runs steps of the kernel's own. */
  run(name: string, steps: Steps<unknown>): ThreadInfo {
    return this.adopt(this.k.scheduler.spawn(name, steps), false);
  }

  private ended(info: ThreadInfo): void {
    const { k } = this;
    if (k.stopped !== undefined) return;
    signal(k, info.object.address, 1);
    if (info.announced && wantsThreads(k))
      this.run('System worker', tellThread(k, SYSTEM_ID, info.id, false));
    const steps = k.objects.dereference(info.object);
    // A thread object owns nothing that its end would have to wait for.
    steps.next();
    if (!k.objects.has(info.object.address)) this.info.delete(info.object.address);
  }
}
