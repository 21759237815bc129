/** What a benchmark is: bench/run.ts has the list. */

/** One measured figure. */
export interface Figure {
  /** What was measured, in a few words: `lkm --help against node -e 0, best of 30`. */
  readonly what: string;
  readonly value: number;
  /** `ms`, `x`, `MIPS`, `MB`, `B`. */
  readonly unit: string;
  /** The goal, and on which side of it the figure should be. */
  readonly target?: { readonly value: number; readonly better: 'lower' | 'higher' };
}

export interface BenchContext {
  /** Only check that the benchmark works: a few rounds, figures without meaning. */
  readonly quick: boolean;
  /** The folder that holds package.json. */
  readonly root: string;
}

export interface Bench {
  readonly name: string;
  readonly summary: string;
  run(context: BenchContext): Promise<readonly Figure[]>;
}

/** The middle value; the lower of the two middle ones when their number is even. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[(sorted.length - 1) >> 1];
}
