/** A profile: every so many instructions, which functions led to where the machine code is. */
import { Exit } from '../../cpu/cpu.ts';
import type { Kernel } from '../kernel.ts';
import type { Thread } from '../thread.ts';
import { liveFrame, StackReader } from './stack.ts';

/** Instructions between two samples: a prime, so that no loop keeps step with it. */
const EVERY = 1009;
/** Kinds of stacks that are told apart; more count as one. */
const MAX_STACKS = 100_000;

export class Profile {
  readonly every: number;
  /** Samples by stack, outermost function first. */
  readonly stacks = new Map<string, number>();
  samples = 0;
  readonly #k: Kernel;
  readonly #reader: StackReader;
  #next: number;

  /** Samples from now on. */
  constructor(k: Kernel, every = EVERY) {
    this.every = every;
    this.#k = k;
    this.#reader = new StackReader(k);
    this.#next = k.cpu.retired + every;
    const { scheduler } = k;
    const { run } = scheduler;
    scheduler.run = (thread, budget) => {
      const goal = k.cpu.retired + budget;
      for (;;) {
        const left = Math.min(goal, this.#next) - k.cpu.retired;
        const before = k.cpu.retired;
        const exit = run(thread, Math.max(1, left));
        if (k.cpu.retired >= this.#next) this.#sample(thread);
        // Only the end of the sampling interval was reached: the guest must not see that anything stopped.
        if (exit !== Exit.Budget || k.cpu.retired >= goal || k.cpu.retired === before) return exit;
      }
    };
  }

  /** One line a stack: the functions from the outermost to the innermost with semicolons between, and the samples. */
  folded(): string {
    return [...this.stacks]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([stack, count]) => `${stack} ${count}\n`)
      .join('');
  }

  #sample(thread: Thread): void {
    const passed = Math.floor((this.#k.cpu.retired - this.#next) / this.every) + 1;
    this.#next += passed * this.every;
    this.samples += passed;
    const names = this.#reader.read(thread, liveFrame(this.#k)).map(({ name }) => name);
    // What a thread begins with mostly has its name.
    if (names.at(-1) === thread.name) names.pop();
    const stack = [thread.name, ...names.reverse()].map((name) => name.replaceAll(';', ':')).join(';');
    const known = this.stacks.has(stack) || this.stacks.size < MAX_STACKS ? stack : '(others)';
    this.stacks.set(known, (this.stacks.get(known) ?? 0) + passed);
  }
}
