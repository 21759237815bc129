/**
 * Damaged modules before a running kernel: each ends in a refusal or is linked, soon, and the kernel is as it was. The init
 * function is not run: what damaged code does is the processor's test.
 */
import { describe, expect, it } from 'vitest';
import type { Linux } from '../../src/systems/linux/linux.ts';
import { boot, fixture, linkOnly } from '../systems/linux/kernel.ts';
import { elfHotSpots, mutations } from './mutate.ts';
import { testSeed } from './random.ts';

const FIXTURES = [
  'hello',
  'params',
  'exporter',
  'chardev',
  'statickey',
  'alternate',
  'trouble',
  'staticcall',
];
/** LKM_MUTANTS raises the number for a long run; 100,000 in the full one. */
const MUTANTS = Number(process.env.LKM_MUTANTS ?? (process.env.LKM_FULL === '1' ? 100_000 : 4000));
/** Cut at every byte in the full run. */
const CUT_STEP = process.env.LKM_FULL === '1' ? 1 : 97;

/** A kernel and what it had free before; replaced when a damaged parameter table really made it oops. */
class Bench {
  k!: Linux;
  free = 0;
  oopses = 0;

  constructor(private readonly whole: Uint8Array) {
    this.fresh();
  }

  private fresh(): void {
    this.k = boot();
    linkOnly(this.k, this.whole);
    this.free = this.k.memory.frames.freePages;
  }

  run(bytes: Uint8Array, what: string): 'refused' | 'linked' | 'killed' {
    const result = linkOnly(this.k, bytes);
    const outcome = typeof result === 'string' ? result : result.outcome;
    if (outcome === 'killed') {
      // Undoing a load calls the parameters' own free functions: a wild pointer there is an oops on a real kernel, too.
      this.oopses++;
      this.fresh();
      return 'killed';
    }
    expect(['refused', 'linked'], what).toContain(outcome);
    if (typeof result !== 'string' && result.outcome === 'refused')
      expect(result.refusal.why, what).not.toBe('');
    expect(this.k.modules.size, what).toBe(0);
    expect(this.k.moduleArea.usedPages, what).toBe(0);
    this.checkFrames(bytes, what);
    return outcome as 'refused' | 'linked';
  }

  /** Another import may touch a page of the kernel for the first time: the same load again must take nothing. */
  private checkFrames(bytes: Uint8Array, what: string): void {
    if (this.k.memory.frames.freePages === this.free) return;
    this.free = this.k.memory.frames.freePages;
    linkOnly(this.k, bytes);
    expect(this.k.memory.frames.freePages, `${what}: leaks`).toBe(this.free);
  }
}

describe('damaged modules', () => {
  const seed = testSeed();

  it.each(FIXTURES)('%s cut short', { timeout: 1_800_000 }, (name) => {
    const whole = fixture(name);
    const bench = new Bench(whole);
    for (let length = 0; length < whole.length; length += CUT_STEP) {
      expect(bench.run(whole.subarray(0, length), `cut at ${length}`)).toBe('refused');
    }
  });

  it.each(FIXTURES)(`%s mutated, seed ${seed}`, { timeout: 1_800_000 }, (name) => {
    const whole = fixture(name);
    const bench = new Bench(whole);
    const count = Math.ceil(MUTANTS / FIXTURES.length);
    let linked = 0;
    for (const mutant of mutations(whole, seed, { count, hot: elfHotSpots(whole) })) {
      if (bench.run(mutant.bytes, `${name}, ${mutant.what}`) === 'linked') linked++;
    }
    // Most damage is where nothing looks: had nothing linked, the load itself would be broken.
    expect(linked).toBeGreaterThan(count / 20);
    expect(bench.oopses).toBeLessThan(count / 50);
  });
});
