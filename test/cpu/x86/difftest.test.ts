/** A sample of the differential test; `npm run difftest` runs as many cases as wanted. */
import { expect, it } from 'vitest';
import { describeWith, needsTool } from '../../real/require.ts';
import { cDifftest, cSummary } from './c-difftest.ts';
import { difftest, summary } from './difftest.ts';
import { nativeCompiler } from './native.ts';
import { seedOfRun } from './random.ts';

describeWith(nativeCompiler(), 'differential test with the host processor', () => {
  it.each([
    ['interpreter', 64],
    ['wasm', 64],
    ['interpreter', 32],
    ['wasm', 32],
  ] as const)(
    'agrees on single instructions and sequences: %s, %d bits',
    (engine, bits) => {
      const seed = seedOfRun();
      const full = process.env.LKM_FULL === '1';
      const translated = engine === 'wasm';
      const singles = full ? 200_000 : translated ? 2_000 : 8_000;
      const sequences = full ? 50_000 : translated ? 800 : 1_500;
      const report = difftest({ engine, bits, seed, singles, sequences, sequenceLength: 12, units: 400 });
      console.log(`seed ${seed}\n${summary(report).split('\n').slice(0, 2).join('\n')}`);
      expect(report.failures, `seed ${seed}`).toEqual([]);
      expect(report.sequences.agreed + report.sequences.refused).toBe(sequences);
      expect(report.sequences.agreed).toBeGreaterThan(sequences * 0.98);
    },
    600_000,
  );
});

describeWith(nativeCompiler() && needsTool('qemu-i386'), 'random C functions', () => {
  it('come to the same on the host, QEMU user mode and our engines, in 32 and 64 bits', () => {
    const seed = seedOfRun();
    const programs = process.env.LKM_FULL === '1' ? 60 : 3;
    const tally = cDifftest({ seed, programs, widths: [64, 32], engines: ['interpreter', 'wasm', 'auto'] });
    console.log(`seed ${seed}\n${cSummary(tally)}`);
    expect(tally.failures, `seed ${seed}`).toEqual([]);
    expect(tally.compared.get('wasm')).toBeGreaterThan(programs * 12);
  }, 600_000);
});
