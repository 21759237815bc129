/** Threads and the one process: KTHREAD and EPROCESS blocks, system threads, worker threads. */
import type { Steps } from '../../kernel/steps.ts';
import type { Thread } from '../../kernel/thread.ts';
import type { Address } from '../../memory/space.ts';
import type { KernelObject } from './objects.ts';
import { signal } from './wait.ts';
import type { Windows } from './windows.ts';

/** Bytes enough for ETHREAD and EPROCESS of every release; drivers see them as opaque. */
const THREAD_BYTES = 0x980;
const PROCESS_BYTES = 0xb80;
/** DISPATCHER_HEADER types of waitable objects that are not events (wdm.h, KOBJECTS). */
const PROCESS_OBJECT = 3;
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
}

export class Threads {
  private readonly k: Windows;
  private readonly info = new Map<Address, ThreadInfo>();
  private ids = 0x100;
  readonly system: KernelObject;
  readonly user: KernelObject;
  /** EPROCESS of the caller of requests. */
  readonly process: Address;
  /** Ids: the System process has 4 since Windows XP. */
  readonly systemId = 4;
  readonly userId = 0x1a4;

  constructor(k: Windows) {
    this.k = k;
    this.system = k.objects.create('Process', PROCESS_BYTES, { extra: 'System' });
    this.user = k.objects.create('Process', PROCESS_BYTES, { extra: 'lkm.exe' });
    for (const process of [this.system, this.user]) k.memory.set8(process.address, PROCESS_OBJECT);
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
    const info = { object, id: this.ids, user, priority: 8, apcDisable: 0, exitStatus: 0 };
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

  processId(process: Address): number {
    return process === this.user.address ? this.userId : this.systemId;
  }

  /** PsCreateSystemThread: runs `start(context)` in a new thread. */
  create(name: string, start: Address, context: Address): ThreadInfo {
    const { k } = this;
    const body = function* (): Steps<void> {
      yield* k.call(start, context);
    };
    return this.run(name, body());
  }

  /** A thread of the System process that runs steps of the kernel's own. */
  run(name: string, steps: Steps<unknown>): ThreadInfo {
    return this.adopt(this.k.scheduler.spawn(name, steps), false);
  }

  private ended(info: ThreadInfo): void {
    const { k } = this;
    if (k.stopped !== undefined) return;
    signal(k, info.object.address, 1);
    const steps = k.objects.dereference(info.object);
    // A thread object owns nothing that its end would have to wait for.
    steps.next();
    if (!k.objects.has(info.object.address)) this.info.delete(info.object.address);
  }
}
