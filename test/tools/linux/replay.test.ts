import { describe, expect, it } from 'vitest';
import { goldens, readGolden, replay } from './replay.ts';

/**
 * Recordings in which the sandbox is known to differ from the real kernel, and why. A recording leaves this list when it
 * agrees; one that is not in the list must agree in every word.
 */
const KNOWN_DIFFERENCES: Readonly<Record<string, string>> = {};

describe('what a real kernel said, said again by the sandbox', () => {
  for (const name of goldens()) {
    const known = KNOWN_DIFFERENCES[name];
    if (known === undefined) it(name, () => expect(replay(readGolden(name))).toEqual([]));
    else it(`${name} still differs: ${known}`, () => expect(replay(readGolden(name))).not.toEqual([]));
  }
});
