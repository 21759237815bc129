/**
 * Virtual time: counted, not measured. It advances with retired instructions and jumps when every thread sleeps,
 * so that the same module and seed give the same log, and a ten-second delay costs nothing.
 */

/** One retired instruction is one nanosecond: a plausible 1 GHz machine, and easy to reckon with. */
export const NS_PER_INSTRUCTION = 1;

/** 104 days: beyond it nanoseconds are no longer exact in a number, and nothing that is due later ever comes. */
export const END_OF_TIME = Number.MAX_SAFE_INTEGER;

export interface Deadline {
  /** Virtual ns since boot. */
  readonly at: number;
  readonly run: () => void;
  cancelled: boolean;
}

export class VirtualTime {
  private readonly retired: () => number;
  private skipped = 0;
  /** A binary heap ordered by time, then by insertion, so that equal deadlines fire in the order they were set. */
  private readonly heap: { order: number; deadline: Deadline }[] = [];
  private orders = 0;

  constructor(retired: () => number) {
    this.retired = retired;
  }

  /** Nanoseconds since boot. */
  now(): number {
    return this.skipped + this.retired() * NS_PER_INSTRUCTION;
  }

  /** Lets `ns` pass without executing anything (busy delays, idle). */
  skip(ns: number): void {
    if (ns > 0) this.skipped += Math.min(ns, Math.max(0, END_OF_TIME - this.now()));
  }

  /** Arranges for `run` at virtual time `at` (ns); times in the past fire at the next check. */
  at(at: number, run: () => void): Deadline {
    const deadline: Deadline = { at, run, cancelled: false };
    this.push({ order: this.orders++, deadline });
    return deadline;
  }

  cancel(deadline: Deadline): void {
    deadline.cancelled = true;
  }

  /** The earliest pending deadline, or Infinity. */
  next(): number {
    while (this.heap.length > 0 && this.heap[0].deadline.cancelled) this.pop();
    return this.heap.length > 0 ? this.heap[0].deadline.at : Number.POSITIVE_INFINITY;
  }

  /** Takes the earliest due deadline off the list. */
  takeDue(): Deadline | undefined {
    if (this.next() > this.now()) return undefined;
    return this.pop()?.deadline;
  }

  private before(a: number, b: number): boolean {
    const x = this.heap[a];
    const y = this.heap[b];
    return x.deadline.at < y.deadline.at || (x.deadline.at === y.deadline.at && x.order < y.order);
  }

  private swap(a: number, b: number): void {
    [this.heap[a], this.heap[b]] = [this.heap[b], this.heap[a]];
  }

  private push(entry: { order: number; deadline: Deadline }): void {
    this.heap.push(entry);
    let i = this.heap.length - 1;
    while (i > 0 && this.before(i, (i - 1) >> 1)) {
      this.swap(i, (i - 1) >> 1);
      i = (i - 1) >> 1;
    }
  }

  private pop(): { order: number; deadline: Deadline } | undefined {
    const top = this.heap[0];
    const last = this.heap.pop();
    if (last === undefined || this.heap.length === 0) return top;
    this.heap[0] = last;
    let i = 0;
    for (;;) {
      let least = i;
      for (const child of [2 * i + 1, 2 * i + 2]) {
        if (child < this.heap.length && this.before(child, least)) least = child;
      }
      if (least === i) return top;
      this.swap(i, least);
      i = least;
    }
  }
}
