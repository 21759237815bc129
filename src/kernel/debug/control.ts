/**
 * Stops and goes on: breakpoints, watchpoints, single steps, and the way back. It stands between the scheduler and the
 * processor, so it sees every system's kernel alike, and costs nothing where it is not attached.
 *
 * Going back is running again: the same seed gives the same run, so whoever started it starts it again on a fresh kernel
 * ({@link Abandoned} is thrown through it), and this one lets it run to the place before.
 */
import { Exit } from '../../cpu/cpu.ts';
import type { Address } from '../../memory/space.ts';
import { Abandoned } from '../abandon.ts';
import type { Kernel } from '../kernel.ts';
import type { Thread } from '../thread.ts';

/** Stops when bytes change, when an instruction reads them, or when one touches them at all. */
export type WatchKind = 'write' | 'read' | 'access';

export type Stop =
  | { readonly kind: 'started' | 'stepped' | 'interrupted' | 'images-changed' | 'start-of-history' }
  | { readonly kind: 'breakpoint'; readonly address: Address }
  | { readonly kind: 'watchpoint'; readonly address: Address; readonly on: WatchKind }
  | { readonly kind: 'fault'; readonly vector: number };

export type Resume =
  | { readonly kind: 'continue' }
  | { readonly kind: 'detach' }
  | { readonly kind: 'kill' }
  /** One instruction of that thread (of any: undefined), or on until it leaves a range. */
  | { readonly kind: 'step'; readonly thread?: number; readonly range?: readonly [Address, Address] }
  | { readonly kind: 'back'; readonly by: 'step' | 'continue' };

/** Whoever gives the orders. Both are answered at once: the kernel stands still meanwhile. */
export interface DebugClient {
  stopped(stop: Stop, thread: Thread, k: Kernel): Resume;
  /** Asked now and then while code runs: should it stop? */
  interrupted(): boolean;
}

/** A place in the run: instructions retired, and how often the scheduler has handed a thread to the processor. */
interface Position {
  readonly runs: number;
  readonly retired: number;
}

type Plan =
  | { readonly kind: 'live'; readonly step: (Resume & { kind: 'step' }) | undefined }
  /** Looks for the last place before `end` where one going back would stop. */
  | { readonly kind: 'search'; readonly end: Position; readonly by: 'step' | 'continue' }
  | { readonly kind: 'return'; readonly to: Position; readonly stop: Stop };

/** Instructions before a place that are run one by one when it is looked for: the fast way stops at branches alone. */
const MARGIN = 4096;
/** Our own exit of the processor: no kernel function has this number. */
const BREAK = -1;
/** Bytes of the longest instruction. */
const LONGEST = 16;

interface Watch {
  readonly address: Address;
  readonly length: number;
  readonly on: WatchKind;
  last: Uint8Array | undefined;
}

export class DebugControl {
  readonly #client: DebugClient;
  readonly #breakpoints = new Set<Address>();
  readonly #watches: Watch[] = [];
  #k: Kernel | undefined;
  #plan: Plan = { kind: 'live', step: undefined };
  #runs = 0;
  #started = false;
  #detached = false;
  #abandoned: Abandoned | undefined;
  #images = 0;
  /** Where a search has been: the last place that counts, and the first of all. */
  #found: { position: Position; stop: Stop } | undefined;
  #first: Position | undefined;
  #previous: Position | undefined;
  #margin = MARGIN;
  /** What the instruction that is being run alone touches. */
  #touched: Watch | undefined;

  constructor(client: DebugClient) {
    this.#client = client;
  }

  /** A run is being repeated to get to an earlier place: what it says was said before. */
  get replaying(): boolean {
    return this.#plan.kind !== 'live';
  }

  /** Takes a kernel that has run nothing yet. */
  attach(k: Kernel): void {
    this.#k = k;
    this.#runs = 0;
    this.#abandoned = undefined;
    this.#found = this.#first = this.#previous = undefined;
    this.#images = k.symbols.generation;
    for (const watch of this.#watches) watch.last = undefined;
    for (const address of this.#breakpoints) this.#place(k, address);
    k.scheduler.run = (thread, budget) => this.#run(k, thread, budget);
  }

  // ---- breakpoints and watchpoints ----

  addBreakpoint(address: Address): void {
    if (this.#breakpoints.has(address)) return;
    this.#breakpoints.add(address);
    if (this.#k !== undefined) this.#place(this.#k, address);
  }

  removeBreakpoint(address: Address): void {
    if (!this.#breakpoints.delete(address)) return;
    const k = this.#k;
    if (k !== undefined && k.boundName(address) === undefined) k.cpu.removeHostEntry(address);
  }

  /**
   * Changes are seen whoever makes them; what is read, where machine code does it: kernel functions in TypeScript are no
   * instructions.
   */
  addWatchpoint(address: Address, length: number, on: WatchKind = 'write'): void {
    this.#watches.push({ address, length, on, last: this.#k?.memory.peek(address, length) });
  }

  removeWatchpoint(address: Address, length: number, on: WatchKind = 'write'): void {
    const at = this.#watches.findIndex(
      (watch) => watch.address === address && watch.length === length && watch.on === on,
    );
    if (at >= 0) this.#watches.splice(at, 1);
  }

  /** The processor leaves at kernel functions anyway. */
  #place(k: Kernel, address: Address): void {
    if (k.boundName(address) === undefined) k.cpu.addHostEntry(address, BREAK);
  }

  /** The processor stands at a breakpoint of ours, not at a kernel function. */
  #atBreak(k: Kernel): boolean {
    return this.#breakpoints.has(k.cpu.rip) && k.boundName(k.cpu.rip) === undefined;
  }

  // ---- running ----

  #run(k: Kernel, thread: Thread, budget: number): Exit {
    if (this.#abandoned !== undefined) throw this.#abandoned;
    this.#runs++;
    const { cpu } = k;
    const goal = cpu.retired + budget;
    for (;;) {
      this.#look(k, thread);
      const from = cpu.rip;
      const before = cpu.retired;
      const stepped = this.#atBreak(k) || this.#one(before);
      if (stepped) this.#touched = this.#touches(k);
      const exit = stepped ? cpu.step(true) : cpu.run(Math.max(1, Math.min(goal, this.#fastGoal()) - before));
      const moved = cpu.retired !== before || cpu.rip !== from;
      if (exit === Exit.Host && (this.#atBreak(k) || (moved && this.#breakpoints.has(cpu.rip)))) continue;
      if (exit === Exit.Fault) {
        this.#touched = undefined;
        this.#faulted(k, thread);
      }
      if (exit !== Exit.Budget) return exit;
      // The guest must not see that somebody looks: only where a plain run stops may the scheduler have its turn.
      if (cpu.retired >= goal && (!stepped || cpu.stopsBetween(from, cpu.rip))) return exit;
    }
  }

  /** Must the next instruction be run alone? */
  #one(retired: number): boolean {
    if (this.#detached) return false;
    const plan = this.#plan;
    if (plan.kind === 'live') return plan.step !== undefined || this.#watches.length > 0;
    if (plan.kind === 'search' && plan.by === 'continue' && this.#watches.length > 0) return true;
    return retired >= this.#fastGoal();
  }

  /** Up to how many retired instructions the fast way may be taken. */
  #fastGoal(): number {
    const plan = this.#plan;
    if (plan.kind === 'live') return Number.POSITIVE_INFINITY;
    return (plan.kind === 'search' ? plan.end : plan.to).retired - this.#margin;
  }

  /** Between two instructions: is this where to stop? */
  #look(k: Kernel, thread: Thread): void {
    if (this.#detached) return;
    const plan = this.#plan;
    if (plan.kind !== 'live') {
      this.#repeat(k, thread, plan);
      return;
    }
    const stop = this.#reason(k, thread, plan.step);
    if (stop !== undefined) this.#stop(k, thread, stop);
  }

  #reason(k: Kernel, thread: Thread, step: (Resume & { kind: 'step' }) | undefined): Stop | undefined {
    const watched = this.#watched(k);
    if (!this.#started) {
      this.#started = true;
      this.#images = k.symbols.generation;
      return { kind: 'started' };
    }
    if (k.symbols.generation !== this.#images) {
      this.#images = k.symbols.generation;
      return { kind: 'images-changed' };
    }
    if (watched !== undefined) return watched;
    const { rip } = k.cpu;
    if (this.#breakpoints.has(rip)) return { kind: 'breakpoint', address: rip };
    if (step !== undefined && (step.thread === undefined || step.thread === thread.id)) {
      const [first, end] = step.range ?? [0, 0];
      if (rip < first || rip >= end) return { kind: 'stepped' };
    }
    return this.#client.interrupted() ? { kind: 'interrupted' } : undefined;
  }

  /** The watchpoint that the next instruction is going to touch in the way it watches for. */
  #touches(k: Kernel): Watch | undefined {
    const watches = this.#watches.filter(({ on }) => on !== 'write');
    if (watches.length === 0) return undefined;
    const { rip } = k.cpu;
    const accesses = k.translator.accesses(k.memory.peek(rip, LONGEST), rip, k.cpu);
    return watches.find(({ address, length, on }) =>
      accesses.some(
        (access) =>
          access.address < address + length &&
          access.address + access.length > address &&
          (access.reads || on === 'access'),
      ),
    );
  }

  #watched(k: Kernel): Stop | undefined {
    const touched = this.#touched;
    this.#touched = undefined;
    let changed: Stop | undefined;
    if (touched !== undefined) changed = { kind: 'watchpoint', address: touched.address, on: touched.on };
    for (const watch of this.#watches) {
      const now = k.memory.peek(watch.address, watch.length);
      const { last } = watch;
      const differs = last?.length !== now.length || last.some((byte, n) => byte !== now[n]);
      if (last !== undefined && differs && watch.on !== 'read')
        changed ??= { kind: 'watchpoint', address: watch.address, on: watch.on };
      watch.last = now;
    }
    return changed;
  }

  #faulted(k: Kernel, thread: Thread): void {
    if (this.#detached || this.#plan.kind !== 'live') return;
    this.#stop(k, thread, { kind: 'fault', vector: k.cpu.vector });
  }

  #stop(k: Kernel, thread: Thread, stop: Stop): void {
    const resume = this.#client.stopped(stop, thread, k);
    // What was written meanwhile was written by whoever looks.
    for (const watch of this.#watches) watch.last = k.memory.peek(watch.address, watch.length);
    if (resume.kind === 'continue') this.#plan = { kind: 'live', step: undefined };
    else if (resume.kind === 'step') this.#plan = { kind: 'live', step: resume };
    else if (resume.kind === 'detach') this.#detach();
    else if (resume.kind === 'kill') this.#abandon('killed by the debugger');
    else {
      const end = { runs: this.#runs, retired: k.cpu.retired };
      this.#plan = { kind: 'search', end, by: resume.by };
      this.#margin = MARGIN;
      this.#abandon('running again to get back');
    }
  }

  #detach(): void {
    for (const address of [...this.#breakpoints]) this.removeBreakpoint(address);
    this.#watches.length = 0;
    this.#detached = true;
    this.#plan = { kind: 'live', step: undefined };
  }

  #abandon(why: string): never {
    this.#abandoned = new Abandoned(why);
    throw this.#abandoned;
  }

  // ---- repeating ----

  #repeat(k: Kernel, thread: Thread, plan: Plan & { kind: 'search' | 'return' }): void {
    const here = { runs: this.#runs, retired: k.cpu.retired };
    const goal = plan.kind === 'search' ? plan.end : plan.to;
    const order = here.runs - goal.runs || here.retired - goal.retired;
    const watched = this.#watched(k);
    if (order > 0) this.#overshot();
    if (plan.kind === 'return') {
      if (order < 0) return;
      this.#images = k.symbols.generation;
      this.#plan = { kind: 'live', step: undefined };
      this.#stop(k, thread, plan.stop);
      return;
    }
    if (order === 0) this.#turn();
    const before = this.#previous ?? here;
    this.#first ??= here;
    this.#previous = here;
    if (plan.by === 'step') this.#found = { position: here, stop: { kind: 'stepped' } };
    // Back to before the write, where the bytes are what they were.
    else if (watched !== undefined) this.#found = { position: before, stop: watched };
    else if (this.#breakpoints.has(k.cpu.rip))
      this.#found = { position: here, stop: { kind: 'breakpoint', address: k.cpu.rip } };
  }

  /** The end of a search: once more, up to what was found. */
  #turn(): never {
    const { position, stop } = this.#found ?? {
      position: this.#first ?? { runs: 1, retired: 0 },
      stop: { kind: 'start-of-history' } as const,
    };
    this.#plan = { kind: 'return', to: position, stop };
    return this.#abandon('running again to what was found');
  }

  /** The fast way went past the place: the next time every instruction is run alone. */
  #overshot(): never {
    if (this.#margin === Number.POSITIVE_INFINITY)
      throw new Error(
        'the same run went another way the second time: something in it depends on more than the seed',
      );
    this.#margin = Number.POSITIVE_INFINITY;
    return this.#abandon('running again, more slowly');
  }
}
