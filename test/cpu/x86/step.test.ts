/**
 * Running and stepping are the same: state, faults and the number of instructions retired. That number is also what
 * the host processor counts under its trap flag.
 */
import { expect, it } from 'vitest';
import { describeWith } from '../../real/require.ts';
import { generated, singleCase } from './cases.ts';
import { GuestRunner } from './guest.ts';
import { Ending, nativeCompiler, runNative } from './native.ts';
import { Random, seedOfRun } from './random.ts';
import { sequenceCase } from './sequences.ts';

it('a step at a time gives what a run gives', () => {
  const seed = seedOfRun();
  const random = new Random(seed);
  const runner = new GuestRunner();
  for (let n = 0; n < 1500; n++) {
    const caseSeed = random.bits() >>> 0;
    const single = n % 3 === 0 ? singleCase(caseSeed, random.pick(generated(64))) : undefined;
    const item = single ?? sequenceCase(caseSeed, 12);
    const run = runner.run(item);
    const stepped = runner.run(item, true);
    expect({ ...stepped, text: item.text }, `seed ${seed}, case ${caseSeed}`).toEqual({
      ...run,
      text: item.text,
    });
  }
});

describeWith(nativeCompiler(), 'the number of instructions retired', () => {
  it('is that of the host processor', () => {
    const seed = seedOfRun();
    const random = new Random(seed);
    const runner = new GuestRunner();
    const strings = ['movs', 'stos', 'lods', 'cmps', 'scas'];
    const cases = Array.from({ length: 1000 }, (_, n) => {
      const caseSeed = random.bits() >>> 0;
      return (n % 2 ? singleCase(caseSeed, random.pick(strings)) : undefined) ?? sequenceCase(caseSeed, 12);
    });
    const outcomes = runNative(cases, true);
    cases.forEach((item, n) => {
      // Faults do not trap: only what ran to its end is comparable.
      if (outcomes[n].ending !== Ending.End) return;
      expect(runner.run(item).retired, `seed ${seed}: ${item.text.join('; ')}`).toBe(outcomes[n].retired);
    });
  });
});
