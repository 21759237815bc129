/** A thread of the base kernel: machine code and TypeScript steps interleaved on one logical stack. */
import type { CallMark } from '../abi/convention.ts';
import type { Address } from '../memory/space.ts';
import type { Steps } from './steps.ts';

export type ThreadState = 'ready' | 'running' | 'blocked' | 'dead';

/** TypeScript in progress; `answer` is what its pending request is resumed with. */
export interface HostFrame {
  readonly kind: 'host';
  readonly steps: Steps<unknown>;
  /** Kernel function or job name, for backtraces. */
  readonly name: string;
  answer: number;
  /** Called with the result once the steps are done. */
  readonly finish: (value: unknown) => void;
}

/** Machine code called by the host frame below, running until it returns to the sentinel address. */
export interface GuestFrame {
  readonly kind: 'guest';
  readonly entry: Address;
  /** Its result takes two words. */
  readonly wide: boolean;
  readonly mark: CallMark;
}

export type Frame = HostFrame | GuestFrame;

/** Why a thread was stopped from outside. */
export class ThreadKilled extends Error {
  readonly thread: string;
  /** The system's exit code: on Linux the signal number. */
  readonly code: number;

  constructor(thread: string, code: number, why: string) {
    super(why);
    this.name = 'ThreadKilled';
    this.thread = thread;
    this.code = code;
  }
}

export class Thread {
  readonly id: number;
  readonly name: string;
  state: ThreadState = 'ready';
  readonly frames: Frame[] = [];
  /** It has run: `context` holds its registers. */
  started = false;
  /** Saved registers; meaningless while running. */
  readonly context: Uint8Array;
  /** Lowest address and bytes of its kernel stack. */
  readonly stackBase: Address;
  readonly stackSize: number;
  /** The system's own descriptor in guest memory (task_struct, KTHREAD...); 0 = none. */
  control: Address = 0;
  /** Virtual ns at which a blocked thread wakes by itself. */
  wakeAt = Number.POSITIVE_INFINITY;
  blockedWhy = '';
  private waiters: ((thread: Thread) => void)[] = [];
  /** Set when the thread ended: undefined result, the killer, or the error its steps threw. */
  outcome: { value: unknown } | { killed: ThreadKilled } | { error: unknown } | undefined;

  constructor(id: number, name: string, contextBytes: number, stackBase: Address, stackSize: number) {
    this.id = id;
    this.name = name;
    this.context = new Uint8Array(contextBytes);
    this.stackBase = stackBase;
    this.stackSize = stackSize;
  }

  /** Called once when the thread is dead. */
  onExit(callback: (thread: Thread) => void): void {
    if (this.state === 'dead') callback(this);
    else this.waiters.push(callback);
  }

  /** For the scheduler: ends the thread. */
  die(outcome: NonNullable<Thread['outcome']>): void {
    this.state = 'dead';
    this.outcome = outcome;
    this.frames.length = 0;
    const waiters = this.waiters;
    this.waiters = [];
    for (const waiter of waiters) waiter(this);
  }
}
