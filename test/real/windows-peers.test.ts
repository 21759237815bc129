/** Our drivers as llvm-readobj and osslsigncode see them: every header, list and verdict, and copies that were tampered with. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { BUILT, fixture } from '../systems/windows/fixtures.ts';
import { seeded, testSeed } from './random.ts';
import { describeWith, needsTool } from './require.ts';
import { compareImage, compareSignature } from './windows-peers.ts';

const drivers = readdirSync(BUILT).filter((name) => /\.(sys|exe)$/.test(name));
const folder = mkdtempSync(join(tmpdir(), 'lkm-peers-'));
afterAll(() => rmSync(folder, { recursive: true }));

describeWith(needsTool('llvm-readobj'), 'the description of', () => {
  it.each(drivers)('%s is that of llvm-readobj', (name) => {
    expect(compareImage(join(BUILT, name), fixture(name))).toEqual([]);
  });
});

describeWith(needsTool('osslsigncode'), 'the signature of', () => {
  it.each(drivers)('%s is judged as osslsigncode does', (name) => {
    expect(compareSignature(join(BUILT, name), fixture(name))).toEqual([]);
  });

  it('a signed driver breaks with any byte that it covers, for both', () => {
    const whole = fixture('signed.sys');
    const seed = testSeed();
    const random = seeded(seed);
    for (let n = 0; n < 24; n++) {
      const bytes = whole.slice();
      // Behind the headers, whose damage either reader may refuse as such, and in front of the signature.
      const at = 0x400 + random.below(fixture('hello.sys').length - 0x400);
      bytes[at] ^= 1 << random.below(8);
      const path = join(folder, 'tampered.sys');
      writeFileSync(path, bytes);
      expect({ seed, at, found: compareSignature(path, bytes, 'bad hash') }).toEqual({ seed, at, found: [] });
    }
  });
});
