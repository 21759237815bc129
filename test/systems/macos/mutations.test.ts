/** Damaged executables and property lists: an error of ours or the kernel's, never a crash. */
import { expect, test } from 'vitest';
import { FormatError } from '../../../src/bytes/errors.ts';
import { readCodeSignature } from '../../../src/formats/macho/codesign/read.ts';
import { readRequirements } from '../../../src/formats/macho/codesign/requirement.ts';
import { checkHashes } from '../../../src/formats/macho/codesign/verify.ts';
import { readSlices } from '../../../src/formats/macho/fat.ts';
import { readMachO } from '../../../src/formats/macho/read.ts';
import { describeCode } from '../../../src/systems/macos/describe.ts';
import { LinkFailure } from '../../../src/systems/macos/kxld/image.ts';
import { linkKext } from '../../../src/systems/macos/kxld/link.ts';
import { readPlist } from '../../../src/systems/macos/plist.ts';
import { signed } from '../../formats/macho/signed.ts';
import { binaryPlist } from './binary-plist.ts';
import { executable, infoPlist } from './fixtures.ts';

const SEED = Number(process.env.LKM_SEED ?? 20261122);
const COUNT = process.env.LKM_FULL === '1' ? 20_000 : 2000;

function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return state / 2 ** 32;
  };
}

function damage(bytes: Uint8Array, next: () => number): Uint8Array {
  const copy = next() < 0.2 ? bytes.slice(0, Math.floor(next() * bytes.length)) : bytes.slice();
  const changes = 1 + Math.floor(next() * 6);
  for (let i = 0; i < changes && copy.length > 0; i++) {
    // Half of the changes hit the load commands.
    const room = next() < 0.5 ? Math.min(copy.length, 1200) : copy.length;
    copy[Math.floor(next() * room)] = Math.floor(next() * 256);
  }
  return copy;
}

/** Everything that a load does with the bytes before they become memory. */
function use(bytes: Uint8Array): void {
  for (const slice of readSlices(bytes)) {
    describeCode(slice);
    linkKext(readMachO(slice.bytes), 0x1000_0000, {
      resolve: () => 0x1100_0000,
      defined: () => undefined,
      weakDefault: 0x1100_0000,
      classes: { vtable: () => [{ name: '_f', address: 0x1100_0000 }], mayBeUnknown: () => false },
    });
  }
}

const refused = (run: () => void): boolean => {
  try {
    run();
    return false;
  } catch (error) {
    if (error instanceof FormatError || error instanceof LinkFailure) return true;
    throw error;
  }
};

test(`executables damaged ${COUNT} times (LKM_SEED=${SEED})`, { timeout: 120_000 }, () => {
  const next = random(SEED);
  const files = ['Board', 'Lamp', 'Library', 'Board32', 'Counter', 'Both'].map(executable);
  let bad = 0;
  for (let i = 0; i < COUNT; i++) if (refused(() => use(damage(files[i % files.length], next)))) bad++;
  expect(bad).toBeGreaterThan(COUNT / 4);
});

test(`property lists damaged ${COUNT} times`, { timeout: 120_000 }, () => {
  const next = random(SEED + 1);
  const files = ['Board', 'Lamp'].map(infoPlist);
  let bad = 0;
  for (let i = 0; i < COUNT; i++)
    if (refused(() => void readPlist(damage(files[i % files.length], next), 'Info.plist'))) bad++;
  expect(bad).toBeGreaterThan(COUNT / 10);
});

test(`binary property lists damaged ${COUNT} times`, { timeout: 120_000 }, () => {
  const next = random(SEED + 2);
  const whole = binaryPlist(readPlist(infoPlist('Lamp'), 'Info.plist'));
  expect(readPlist(whole, 'binary')).toEqual(readPlist(infoPlist('Lamp'), 'Info.plist'));
  let bad = 0;
  for (let i = 0; i < COUNT; i++) if (refused(() => void readPlist(damage(whole, next), 'binary'))) bad++;
  expect(bad).toBeGreaterThan(COUNT / 10);
});

test(`signatures damaged ${COUNT} times are refused or found wrong`, { timeout: 120_000 }, () => {
  const next = random(SEED + 3);
  const code = executable('Hello');
  const whole = signed(code, infoPlist('Hello'));
  const parts = { infoPlist: infoPlist('Hello') };
  let caught = 0;
  for (let i = 0; i < COUNT; i++) {
    const bytes = whole.slice();
    // The signature, which lies behind the code.
    const at = code.length + Math.floor(next() * (whole.length - code.length));
    bytes[at] ^= 1 + Math.floor(next() * 255);
    const wrong = refused(() => {
      const signature = readCodeSignature(readMachO(bytes));
      for (const blob of signature?.blobs ?? []) if (blob.slot === 2) readRequirements(blob.bytes);
      if (signature !== undefined && checkHashes(signature, bytes, parts).length > 0) caught++;
    });
    if (wrong) caught++;
  }
  // Names and flags are signed by the CMS signature alone, which this one lacks.
  expect(caught).toBeGreaterThan(COUNT / 2);
});
