import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { expect, it } from 'vitest';
import { goldens, needsInTree, readGolden } from '../tools/linux/golden.ts';
import { replay } from '../tools/linux/replay.ts';
import { describeWith, moduleFiles, needs } from './require.ts';

/** Recordings that load the distribution's own modules; they are never committed, so the kernel package is needed. */
describeWith(needs('debian-amd64'), 'what a real kernel said of its own modules', (kernel) => {
  const files = new Map(moduleFiles(kernel.modules).map((path) => [basename(path), path]));
  const inTree = (name: string): Uint8Array | undefined => {
    const path = files.get(name);
    return path === undefined ? undefined : readFileSync(path);
  };

  for (const name of goldens().filter((each) => needsInTree(readGolden(each))))
    it(name, () => expect(replay(readGolden(name), inTree)).toEqual([]));
});
