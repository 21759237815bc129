import { describe, expect, it } from 'vitest';
import { goldens, needsInTree, readGolden } from './golden.ts';
import { replay } from './replay.ts';

/**
 * Recordings in which the sandbox is known to differ from the real kernel, and why. A recording leaves this list when it
 * agrees; one that is not in the list must agree in every word.
 */
const KNOWN_DIFFERENCES: Readonly<Record<string, string>> = {
  die_freewild:
    'freeing an address that was never allocated is noticed by the base kernel instead of faulting',
  die_loop: 'on one processor an endless loop stops the console too, and is reported when its budget ends',
  die_overflow: 'a backtrace of hundreds of calls is cut',
  die_smash: 'a backtrace through a smashed stack is made of guesses',
  faults: 'where data are executed the real unwinder shows no callers',
  noowner: 'the oops happens in a kernel function, which is TypeScript here',
};

describe('what a real kernel said, said again by the sandbox', () => {
  // Those with the distribution's own modules are in test/real/linux-replay.test.ts.
  for (const name of goldens().filter((each) => !needsInTree(readGolden(each)))) {
    const known = KNOWN_DIFFERENCES[name];
    if (known === undefined) it(name, () => expect(replay(readGolden(name))).toEqual([]));
    else it(`${name} still differs: ${known}`, () => expect(replay(readGolden(name))).not.toEqual([]));
  }
});
