/** Waiting for a kernel object: queues in order of arrival or of priority, with timeouts in ticks. */
import { block, type Steps } from '../../kernel/steps.ts';
import type { Thread } from '../../kernel/thread.ts';
import { ERRNO, NO_WAIT } from './errno.ts';
import type { VxWorks } from './vxworks.ts';

export class WaitQueue {
  private readonly k: VxWorks;
  private readonly byPriority: boolean;
  private readonly threads: Thread[] = [];
  private deleted = false;

  constructor(k: VxWorks, byPriority: boolean) {
    this.k = k;
    this.byPriority = byPriority;
  }

  get size(): number {
    return this.threads.length;
  }

  /** Waits until woken: 0, or the errno of what happened instead. `timeout` in ticks, -1 = for ever, 0 = not at all. */
  *wait(why: string, timeout: number): Steps<number> {
    const { k } = this;
    const thread = k.scheduler.current;
    if (timeout === NO_WAIT || thread === undefined) return ERRNO.S_objLib_OBJ_UNAVAILABLE;
    this.threads.push(thread);
    const woken = yield* block(why, k.after(timeout));
    const at = this.threads.indexOf(thread);
    if (at >= 0) this.threads.splice(at, 1);
    if (this.deleted) return ERRNO.S_objLib_OBJ_DELETED;
    return woken ? 0 : ERRNO.S_objLib_OBJ_TIMEOUT;
  }

  /** Wakes the one whose turn it is. */
  wakeOne(): Thread | undefined {
    for (;;) {
      const thread = this.take();
      if (thread === undefined || this.k.scheduler.wake(thread)) return thread;
    }
  }

  wakeAll(): void {
    while (this.wakeOne() !== undefined);
  }

  /** The object goes away: all that wait are told so. */
  delete(): void {
    this.deleted = true;
    this.wakeAll();
  }

  /** The most urgent priority of those that wait. */
  get urgency(): number {
    return Math.min(...this.threads.map((thread) => this.k.tasks.of(thread)?.priority ?? 0));
  }

  private take(): Thread | undefined {
    // Threads that were deleted while they waited are passed over.
    const alive = this.threads.filter((thread) => thread.state !== 'dead');
    this.threads.splice(0, this.threads.length, ...alive);
    if (!this.byPriority) return this.threads.shift();
    let best = 0;
    for (let i = 1; i < this.threads.length; i++) if (this.rank(i) < this.rank(best)) best = i;
    return this.threads.splice(best, 1)[0];
  }

  private rank(i: number): number {
    return this.k.tasks.of(this.threads[i])?.priority ?? 0;
  }
}

/** Objects behind opaque handles: the handle is an address in the memory partition that holds nothing else. */
export class Handles<T> {
  private readonly k: VxWorks;
  private readonly objects = new Map<number, T>();

  constructor(k: VxWorks) {
    this.k = k;
  }

  /** 0 when there is no memory. */
  add(object: T, caller: number): number {
    const id = this.k.allocate(32, caller);
    if (id !== 0) this.objects.set(id, object);
    return id;
  }

  /** Undefined, with errno set, for what is no such handle. */
  get(id: number): T | undefined {
    const object = this.objects.get(id);
    if (object === undefined) this.k.errno = ERRNO.S_objLib_OBJ_ID_ERROR;
    return object;
  }

  remove(id: number): void {
    this.objects.delete(id);
    this.k.pool.free(id);
  }

  [Symbol.iterator](): Iterator<[number, T]> {
    return this.objects[Symbol.iterator]();
  }
}
