/** A sample of the differential test; `npm run difftest` runs as many cases as wanted. */
import { expect, it } from 'vitest';
import { describeWith } from '../../real/require.ts';
import { difftest, summary } from './difftest.ts';
import { nativeCompiler } from './native.ts';
import { seedOfRun } from './random.ts';

describeWith(nativeCompiler(), 'differential test with the host processor', () => {
  it('agrees on single instructions and sequences', () => {
    const seed = seedOfRun();
    const full = process.env.LKM_FULL === '1';
    const singles = full ? 200_000 : 8_000;
    const sequences = full ? 50_000 : 1_500;
    const report = difftest({ seed, singles, sequences, sequenceLength: 12 });
    console.log(`seed ${seed}\n${summary(report).split('\n').slice(0, 2).join('\n')}`);
    expect(report.failures, `seed ${seed}`).toEqual([]);
    expect(report.sequences.agreed).toBe(sequences);
  }, 600_000);
});
