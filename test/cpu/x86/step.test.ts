/** Running and stepping are the same: state, faults and the number of instructions retired. */
import { expect, it } from 'vitest';
import { GENERATED, singleCase } from './cases.ts';
import { GuestRunner } from './guest.ts';
import { Random, seedOfRun } from './random.ts';
import { sequenceCase } from './sequences.ts';

it('a step at a time gives what a run gives', () => {
  const seed = seedOfRun();
  const random = new Random(seed);
  const runner = new GuestRunner();
  for (let n = 0; n < 1500; n++) {
    const caseSeed = random.bits() >>> 0;
    const single = n % 3 === 0 ? singleCase(caseSeed, random.pick(GENERATED)) : undefined;
    const item = single ?? sequenceCase(caseSeed, 12);
    const run = runner.run(item);
    const stepped = runner.run(item, true);
    expect({ ...stepped, text: item.text }, `seed ${seed}, case ${caseSeed}`).toEqual({
      ...run,
      text: item.text,
    });
  }
});
