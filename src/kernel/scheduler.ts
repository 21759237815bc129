/**
 * The scheduler: one guest CPU, many threads, no preemption in kernel mode (threads switch where they block or
 * yield), interrupts between instructions. Nothing here nests on the host stack except one interrupt at a time.
 */
import type { Convention } from '../abi/convention.ts';
import { type Cpu, Exit } from '../cpu/cpu.ts';
import { type Address, EndlessAccess, GuestFault, type GuestMemory } from '../memory/space.ts';
import { Abandoned } from './abandon.ts';
import { MissingFunctionReached } from './missing.ts';
import { isSteps, type Request, type Steps } from './steps.ts';
import { type Frame, type HostFrame, Thread, ThreadKilled } from './thread.ts';
import { END_OF_TIME, type VirtualTime } from './time.ts';
import type { CallWatcher } from './watch.ts';

/** A stop of the machine code that the system must judge. */
export interface Fault {
  /** 'cpu' = exception raised by an instruction; 'host' = bad access by a kernel function; 'budget' = ran too long. */
  readonly source: 'cpu' | 'host' | 'budget';
  /** Exception vector (x86: 6 #UD, 13 #GP, 14 #PF...); -1 when source is 'budget'. */
  readonly vector: number;
  readonly errorCode: number;
  /** Accessed address of a page fault, exact; as bigint because it may be non-canonical. */
  readonly address: bigint;
  readonly access: 'read' | 'write' | 'execute';
  /** Address of the instruction, or of the kernel function that made the access. */
  readonly at: Address;
  /** More to say, in our words (an unsupported instruction's mnemonic...). */
  readonly detail?: string;
}

/** What the scheduler asks of whoever owns it. */
export interface SchedulerOwner {
  readonly cpu: Cpu;
  readonly convention: Convention;
  readonly time: VirtualTime;
  readonly memory: GuestMemory;
  readonly watcher: CallWatcher | undefined;
  /** Runs the kernel function behind a host entry. */
  dispatch(thread: Thread, id: number): void;
  /** 'resume' continues where the CPU's registers now point. */
  fault(thread: Thread, fault: Fault): 'resume' | { kill: ThreadKilled };
  /**
   * A kernel function threw something else than a fault. How the thread ends when it was the guest's doing
   * (memory ran out, numbers that make no sense); undefined when it was not. 'resume' goes on with the frame on top.
   */
  misuse(thread: Thread, error: unknown): ThreadKilled | 'resume' | undefined;
  /**
   * For systems whose threads have priorities: a lower number is more urgent, and a thread that becomes ready takes the
   * processor from a less urgent one. A thread of priority Infinity is held back. Without it threads take turns and
   * switch where they wait only.
   */
  priority?(thread: Thread): number;
  /** May the running thread lose the processor to a more urgent one now? Yes, when not given. */
  preemptible?(thread: Thread): boolean;
  /** Called after the registers of `thread` are live. */
  switched(thread: Thread): void;
  /** May an interrupt be taken now? */
  interruptible(): boolean;
  /** Called each time machine code is about to run: what it reads of the time must be right. */
  beforeGuest(): void;
  /** A software interrupt instruction. */
  trap(thread: Thread, vector: number): void;
  /** The machine's own system call instruction. */
  systemCall(thread: Thread): void;
  allocateStack(name: string): { base: Address; size: number };
  freeStack(base: Address): void;
}

/** Every thread waits and no deadline will wake one. */
export class Deadlock extends Error {
  constructor(threads: readonly Thread[]) {
    super(
      `every thread waits and nothing is due: ${threads.map((t) => `${t.name} (${t.blockedWhy})`).join(', ') || 'no thread left'}`,
    );
    this.name = 'Deadlock';
  }
}

/** The threads go on and on without what was waited for: a loop that sleeps, a timer that sets itself again. */
export class Endless extends Deadlock {
  constructor(threads: readonly Thread[], seconds: number) {
    super([]);
    const names = threads.map((t) => (t.blockedWhy === '' ? t.name : `${t.name} (${t.blockedWhy})`));
    this.message = `no end in sight after ${seconds.toFixed(0)} s of its own time; going on: ${names.join(', ')}`;
    this.name = 'Endless';
  }
}

/** Names shown of threads that go on for ever. */
const SHOWN_THREADS = 8;
/** What one entry into a kernel function counts beside the instructions of the guest. */
const STEP_COST = 50;
/** What one switch of threads, interrupt or stretch of idle time counts: so many instructions take as long. */
const EVENT_COST = 2000;
/** What one translated block counts: code that is rewritten, or larger than the cache, is translated again and again. */
const TRANSLATION_COST = 2000;
/** What one change of code that was translated counts. */
const CODE_CHANGE_COST = 5000;
/**
 * Translation that counts nothing: that of all code of the largest modules, a few tenths of a second. The engines differ in
 * what they translate, and an endless loop must end at the same instruction with each.
 */
const FREE_UPKEEP = 20_000 * TRANSLATION_COST;
/** Deadlines and interrupts served before threads run again. */
const MAX_AT_ONCE = 1000;

/** Instructions between looks at the clock: short enough for timers, long enough to cost nothing. */
const SLICE = 100_000;

/** Where the counts of work were. */
interface Mark {
  readonly retired: number;
  /** Work of translating code. */
  readonly upkeep: number;
  readonly work: number;
}

export class Scheduler {
  /** The thread whose registers are live. */
  current: Thread | undefined;
  readonly threads = new Set<Thread>();
  /** Threads that nobody waited for and that ended with an error: a missing function, or a mistake of ours. */
  readonly failures = new Map<Thread, unknown>();
  /** Instructions one thread may retire without blocking before it counts as an endless loop. */
  instructionBudget = 400_000_000;
  /** Instructions, and other work weighed in instructions, that may pass until what a caller waits for is done. */
  runBudget = 4_000_000_000;
  /** The same for letting threads run while nobody waits for them. */
  settleBudget = 400_000_000;
  /** Accesses to guest memory that one step of a kernel function may make: a second or two of them. */
  stepFuel = 2 ** 26;
  /** How machine code is run: replaced by those who look at it as it runs. Gives what {@link Cpu.run} gives. */
  run: (thread: Thread, budget: number) => Exit;
  private readonly owner: SchedulerOwner;
  private readonly returnId: number;
  /** The host entry that guest functions called from TypeScript return to. */
  readonly returnAddress: Address;
  private readonly ready: Thread[] = [];
  private readonly pendingInterrupts: { name: string; steps: () => Steps<unknown> }[] = [];
  private interruptThread: Thread | undefined;
  private inInterrupt = false;
  private ids = 0;
  private sliceStart: Mark = { retired: 0, upkeep: 0, work: 0 };
  /** Work other than instructions, weighed in instructions. */
  private work = 0;
  /** Changes of code that was translated. */
  private codeChanges = 0;

  constructor(owner: SchedulerOwner, sentinel: { id: number; address: Address }) {
    this.owner = owner;
    this.returnId = sentinel.id;
    this.returnAddress = sentinel.address;
    this.run = (_thread, budget) => owner.cpu.run(budget);
    owner.memory.onCodeChange(() => {
      this.codeChanges++;
    });
  }

  /** Counts work done for the guest that takes as long as so many instructions. */
  charge(instructions: number): void {
    this.work += instructions;
  }

  get interrupting(): boolean {
    return this.inInterrupt;
  }

  /** A new thread that runs `steps`; it is ready, not yet running. */
  spawn(name: string, steps: Steps<unknown>, start = true): Thread {
    const thread = this.newThread(name);
    thread.frames.push(this.rootFrame(thread, name, steps));
    this.threads.add(thread);
    thread.onExit(() => {
      this.threads.delete(thread);
      if (thread.outcome !== undefined && 'error' in thread.outcome)
        this.failures.set(thread, thread.outcome.error);
      this.owner.freeStack(thread.stackBase);
    });
    if (start) this.ready.push(thread);
    else thread.state = 'blocked';
    return thread;
  }

  /** Makes a blocked thread ready. Returns false when it was not blocked. */
  wake(thread: Thread, answer = 1): boolean {
    if (thread.state !== 'blocked') return false;
    const top = thread.frames.at(-1);
    if (top?.kind === 'host') top.answer = answer;
    thread.state = 'ready';
    thread.wakeAt = Number.POSITIVE_INFINITY;
    this.ready.push(thread);
    return true;
  }

  /** Ends a thread that is not running. */
  kill(thread: Thread, killed: ThreadKilled): void {
    const at = this.ready.indexOf(thread);
    if (at >= 0) this.ready.splice(at, 1);
    if (thread.state !== 'dead') thread.die({ killed });
  }

  /** Takes the stack that interrupts run on, while there is memory for it. */
  prepareInterrupts(): void {
    this.interruptThread ??= this.newThread('interrupt');
  }

  /** Queues steps to run as an interrupt as soon as the machine allows one. They may not block. */
  interrupt(name: string, steps: () => Steps<unknown>): void {
    this.pendingInterrupts.push({ name, steps });
  }

  /** Runs threads until `done`; throws Deadlock when nothing can ever make it true, Endless when nothing has so far. */
  runUntil(done: () => boolean): void {
    const start = this.mark();
    const since = this.owner.time.now();
    while (!done()) {
      this.deliver();
      if (done()) return;
      if (this.effort(start) > this.runBudget) throw this.endless(since);
      const thread = this.takeReady();
      if (thread !== undefined) this.slice(thread);
      else if (!this.idle()) throw new Deadlock([...this.threads]);
    }
  }

  /** Runs `steps` in a new thread to its end and returns the result; kills and errors are thrown. */
  perform<T>(name: string, steps: Steps<T>, prepare?: (thread: Thread) => void): T {
    const thread = this.spawn(name, steps);
    try {
      prepare?.(thread);
      this.runUntil(() => thread.state === 'dead');
    } catch (error) {
      if (!thread.started || error instanceof Endless)
        this.kill(thread, new ThreadKilled(name, 0, String(error)));
      throw error;
    }
    this.failures.delete(thread);
    const outcome = thread.outcome;
    if (outcome === undefined) throw new Error(`thread ${name} ended without an outcome`);
    if ('killed' in outcome) throw outcome.killed;
    if ('error' in outcome) throw outcome.error;
    return outcome.value as T;
  }

  /** Lets virtual time pass until `until` (ns), running whatever becomes due. */
  runFor(until: number): void {
    let over = false;
    const deadline = this.owner.time.at(until, () => {
      over = true;
    });
    this.runUntil(() => over);
    this.owner.time.cancel(deadline);
  }

  /** Runs every ready thread until all sleep, without letting idle time pass. Those that never sleep stay ready. */
  settle(): void {
    const start = this.mark();
    this.deliver();
    while (this.effort(start) <= this.settleBudget) {
      const thread = this.takeReady();
      if (thread === undefined) return;
      this.slice(thread);
      this.deliver();
    }
  }

  /** A kernel function's result: steps become a frame, values go back to the machine code. */
  complete(thread: Thread, name: string, result: unknown, finish: (value: unknown) => void): void {
    if (isSteps(result)) thread.frames.push({ kind: 'host', steps: result, name, answer: 0, finish });
    else finish(result);
  }

  private newThread(name: string): Thread {
    const stack = this.owner.allocateStack(name);
    return this.threadOn(name, stack.base, stack.size);
  }

  private threadOn(name: string, base: Address, size: number): Thread {
    return new Thread(++this.ids, name, this.owner.cpu.contextBytes, base, size);
  }

  private rootFrame(thread: Thread, name: string, steps: Steps<unknown>): HostFrame {
    return { kind: 'host', steps, name, answer: 0, finish: (value) => thread.die({ value }) };
  }

  private switchTo(thread: Thread): void {
    if (this.current === thread) return;
    const { cpu } = this.owner;
    if (this.current !== undefined && this.current.state !== 'dead') cpu.save(this.current.context);
    if (thread.started) cpu.restore(thread.context);
    else this.owner.convention.enterThread(cpu, thread.stackBase + thread.stackSize);
    thread.started = true;
    this.current = thread;
    this.owner.switched(thread);
  }

  /** The most urgent ready thread; of equals, the one that has been ready the longest. */
  private takeReady(): Thread | undefined {
    const { owner, ready } = this;
    if (owner.priority === undefined) return ready.shift();
    const best = this.mostUrgent();
    return best < 0 ? undefined : ready.splice(best, 1)[0];
  }

  /** Index in the ready list; -1 when all are held back. */
  private mostUrgent(): number {
    const { owner, ready } = this;
    let best = -1;
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < ready.length; i++) {
      const priority = owner.priority?.(ready[i]) ?? 0;
      if (priority < least) [best, least] = [i, priority];
    }
    return best;
  }

  /** Takes the processor from a running thread that a ready one outranks. */
  private preempt(thread: Thread): void {
    const { owner, ready } = this;
    if (owner.priority === undefined || ready.length === 0 || this.inInterrupt) return;
    if (thread.state !== 'running' || owner.preemptible?.(thread) === false) return;
    const best = this.mostUrgent();
    if (best < 0 || owner.priority(ready[best]) >= owner.priority(thread)) return;
    thread.state = 'ready';
    // Those that lose the processor come before others of their own priority.
    ready.unshift(thread);
  }

  /** Runs a thread until it blocks, yields or ends. */
  private slice(thread: Thread): void {
    this.switchTo(thread);
    thread.state = 'running';
    this.work += EVENT_COST;
    this.sliceStart = this.mark();
    while (thread.state === 'running') {
      const top = thread.frames.at(-1);
      if (top === undefined) throw new Error(`thread ${thread.name} has no frame to run`);
      this.step(thread, top);
      if (thread.state === 'running') this.checkBudget(thread);
      if (!this.inInterrupt && this.hasDue()) this.deliver();
      this.preempt(thread);
    }
    if (thread.state === 'dead' && this.current === thread) this.current = undefined;
  }

  private step(thread: Thread, frame: Frame): void {
    const { memory } = this.owner;
    memory.fuel = this.stepFuel;
    if (frame.kind === 'host') this.stepHost(thread, frame);
    else this.runGuest(thread);
    this.work += STEP_COST;
    this.refuel();
  }

  /** Counts the accesses made since the last time, and allows as many again. */
  private refuel(): void {
    const { memory } = this.owner;
    this.work += Math.max(0, this.stepFuel - memory.fuel);
    memory.fuel = this.stepFuel;
  }

  private mark(): Mark {
    const { retired, translated } = this.owner.cpu;
    const upkeep = translated * TRANSLATION_COST + this.codeChanges * CODE_CHANGE_COST;
    return { retired, upkeep, work: this.work };
  }

  /**
   * What has been done since then, weighed in instructions. Translating code counts only where it is more than any honest
   * code needs and more work than the instructions are.
   */
  private effort(since: Mark): number {
    const now = this.mark();
    return (
      now.work - since.work + Math.max(now.retired - since.retired, now.upkeep - since.upkeep - FREE_UPKEEP)
    );
  }

  private endless(since: number): Endless {
    const busy = [...this.threads].filter((t) => t.wakeAt < END_OF_TIME || t.state !== 'blocked');
    return new Endless(busy.slice(0, SHOWN_THREADS), (this.owner.time.now() - since) / 1e9);
  }

  private stepHost(thread: Thread, frame: HostFrame): void {
    try {
      const step = frame.steps.next(frame.answer);
      if (step.done) {
        thread.frames.pop();
        frame.finish(step.value);
      } else this.request(thread, frame, step.value);
    } catch (error) {
      // The stack that a result or a call goes to may be a wild pointer as well.
      this.hostError(thread, error);
    }
  }

  private hostError(thread: Thread, error: unknown): void {
    if (error instanceof Abandoned) throw error;
    if (error instanceof GuestFault) this.judge(thread, hostFault(error, this.owner.cpu.rip));
    else if (error instanceof EndlessAccess) this.lockUp(thread);
    else if (error instanceof ThreadKilled) thread.die({ killed: error });
    else {
      const killed = this.owner.misuse(thread, error);
      if (killed !== 'resume') thread.die(killed === undefined ? { error } : { killed });
    }
  }

  private request(thread: Thread, frame: HostFrame, request: Request): void {
    frame.answer = 0;
    if (request.kind === 'call') {
      const { cpu, convention } = this.owner;
      const mark = convention.enterFunction(cpu, request.address, request.args, this.returnAddress);
      thread.frames.push({ kind: 'guest', entry: request.address, wide: request.wide === true, mark });
      this.owner.watcher?.entered(thread, request.address, request.args);
    } else if (request.kind === 'exit') {
      thread.die({ value: request.code });
    } else if (request.kind === 'yield') {
      thread.state = 'ready';
      this.ready.push(thread);
    } else if (request.kind === 'block') this.block(thread, request);
  }

  private block(thread: Thread, request: Request & { kind: 'block' }): void {
    if (request.until <= this.owner.time.now()) return;
    thread.state = 'blocked';
    thread.blockedWhy = request.why;
    thread.wakeAt = request.until;
    if (request.until > END_OF_TIME) return;
    this.owner.time.at(request.until, () => {
      if (thread.wakeAt === request.until) this.wake(thread, 0);
    });
  }

  private runGuest(thread: Thread): void {
    const { cpu, time } = this.owner;
    this.owner.beforeGuest();
    let exit: number;
    try {
      exit = this.run(thread, Math.max(1, Math.min(SLICE, time.next() - time.now())));
    } catch (error) {
      // A page that comes into being at its first touch found no frame, or a device register rejects a value.
      this.hostError(thread, error);
      return;
    }
    if (exit === Exit.Host) this.hostCall(thread, cpu.exitHostId);
    else if (exit === Exit.Budget) return;
    else if (exit === Exit.Fault) this.judge(thread, cpuFault(cpu));
    else if (exit === Exit.Interrupt) this.attempt(thread, () => this.owner.trap(thread, cpu.vector));
    else if (exit === Exit.Syscall) this.attempt(thread, () => this.owner.systemCall(thread));
    else this.halt();
  }

  /** Something of the kernel's that a thread has asked for; it may end the thread. */
  private attempt(thread: Thread, act: () => void): void {
    try {
      act();
    } catch (error) {
      this.hostError(thread, error);
    }
  }

  private hostCall(thread: Thread, id: number): void {
    // Not through `attempt`: every kernel function comes this way, and a closure for each is felt.
    try {
      if (id === this.returnId) this.returned(thread);
      else this.owner.dispatch(thread, id);
    } catch (error) {
      this.hostError(thread, error);
    }
  }

  /** A guest function called from TypeScript came back: its result answers the host frame below. */
  private returned(thread: Thread): void {
    const { cpu, convention } = this.owner;
    const frame = thread.frames.pop();
    const parent = thread.frames.at(-1);
    if (frame?.kind !== 'guest' || parent?.kind !== 'host') {
      throw new ThreadKilled(
        thread.name,
        0,
        'machine code jumped to the return gate without having been called',
      );
    }
    parent.answer = frame.wide
      ? Number(BigInt.asIntN(64, convention.resultBig(cpu)))
      : convention.result(cpu);
    this.owner.watcher?.left(thread, frame.entry, parent.answer);
    convention.leaveFunction(cpu, frame.mark);
  }

  private judge(thread: Thread, fault: Fault): void {
    // The report reads guest memory too, and it must be possible after a step that used up everything.
    this.refuel();
    let verdict: ReturnType<SchedulerOwner['fault']>;
    try {
      verdict = this.owner.fault(thread, fault);
    } catch (error) {
      // It was a variable that nobody wrote: told as a function is.
      if (!(error instanceof MissingFunctionReached)) throw error;
      thread.die({ error });
      return;
    }
    if (verdict !== 'resume') thread.die({ killed: verdict.kill });
  }

  private checkBudget(thread: Thread): void {
    if (this.effort(this.sliceStart) >= this.instructionBudget) this.lockUp(thread);
  }

  private lockUp(thread: Thread): void {
    const { cpu } = this.owner;
    this.sliceStart = this.mark();
    this.judge(thread, {
      source: 'budget',
      vector: -1,
      errorCode: 0,
      address: 0n,
      access: 'execute',
      at: cpu.rip,
    });
  }

  /** `hlt` in a thread: time passes to the next deadline. */
  private halt(): void {
    const { time } = this.owner;
    const next = time.next();
    if (next <= END_OF_TIME) time.skip(next - time.now());
    else time.skip(SLICE);
    this.work += EVENT_COST;
  }

  private idle(): boolean {
    const { time } = this.owner;
    const next = time.next();
    if (next > END_OF_TIME) return false;
    time.skip(next - time.now());
    this.work += EVENT_COST;
    return true;
  }

  private hasDue(): boolean {
    return this.pendingInterrupts.length > 0 || this.owner.time.next() <= this.owner.time.now();
  }

  /** Fires what is due and runs the interrupts it raised. */
  private deliver(): void {
    const { time, memory } = this.owner;
    if (this.inInterrupt) return;
    memory.fuel = this.stepFuel;
    for (let n = 0; n < MAX_AT_ONCE; n++) {
      const due = time.takeDue();
      if (due === undefined) break;
      due.run();
      this.work += STEP_COST;
    }
    let left = MAX_AT_ONCE;
    while (
      left-- > 0 &&
      this.pendingInterrupts.length > 0 &&
      (this.current === undefined || this.owner.interruptible())
    ) {
      const next = this.pendingInterrupts.shift();
      if (next !== undefined) this.runInterrupt(next.name, next.steps());
    }
  }

  private runInterrupt(name: string, steps: Steps<unknown>): void {
    const interrupted = this.current;
    let thread = this.interruptThread;
    if (thread === undefined) thread = this.newThread('interrupt');
    // One that was killed is replaced on the same stack: there may be no memory for another.
    else if (thread.state === 'dead') thread = this.threadOn('interrupt', thread.stackBase, thread.stackSize);
    this.interruptThread = thread;
    const handler = thread;
    let over = false;
    handler.frames.push({
      kind: 'host',
      steps,
      name,
      answer: 0,
      finish: () => {
        over = true;
        handler.state = 'ready';
      },
    });
    this.inInterrupt = true;
    // The interrupted thread pays for its interrupts: a storm of them looks like a loop of its own.
    const start = this.sliceStart;
    try {
      this.slice(handler);
      if (!over && handler.state === 'blocked')
        throw new Error(`interrupt ${name} tried to sleep: ${handler.blockedWhy}`);
    } finally {
      this.inInterrupt = false;
      this.sliceStart = start;
    }
    if (interrupted !== undefined && interrupted.state !== 'dead') this.switchTo(interrupted);
  }
}

function hostFault(error: GuestFault, at: Address): Fault {
  const write = error.access === 'write' ? 2 : 0;
  const protection = error.reason === 'protection' ? 1 : 0;
  return {
    source: 'host',
    vector: 14,
    errorCode: write | protection,
    address: BigInt.asUintN(64, BigInt(error.va)),
    access: error.access,
    at,
  };
}

function cpuFault(cpu: Cpu): Fault {
  const { reason } = cpu;
  return {
    source: 'cpu',
    vector: cpu.vector,
    errorCode: cpu.errorCode,
    address: BigInt.asUintN(64, cpu.exactAddress),
    access: cpu.access ?? 'execute',
    at: cpu.rip,
    detail: typeof reason === 'string' ? reason : undefined,
  };
}
