/** Whose the imported symbols are, on every machine and over the releases. */
import { expect, test } from 'vitest';
import { readSlices } from '../../../src/formats/macho/fat.ts';
import { describeCode, importsOf, releaseFor } from '../../../src/systems/macos/describe.ts';
import { executable } from './fixtures.ts';

const [slice] = readSlices(executable('Lamp'));
const code = describeCode(slice);

const owner = (architecture: string, name: string) => {
  const one = { ...code, architecture, imports: [name], weakImports: [] };
  const [{ owner: kpi, release }] = importsOf(one, undefined, releaseFor(architecture));
  return release === undefined ? kpi : `${kpi} of ${release}`;
};

test.each([
  ['x86_64', '_IOLog', 'com.apple.kpi.iokit'],
  ['arm64e', '_IOLog', 'com.apple.kpi.iokit'],
  ['i386', '_IOLog', 'com.apple.kpi.iokit'],
  // Apple published no lists for it: those of the other 32-bit kernel.
  ['ppc', '_IOLog', 'com.apple.kpi.iokit'],
  ['x86_64', '_lkm_nobody', undefined],
])('on %s, %s is owned by %s', (architecture, name, expected) =>
  expect(owner(architecture, name)).toBe(expected),
);

test('padding that later releases use up is owned by the last that exports it', () => {
  expect(owner('x86_64', '__ZN9IOService19_RESERVEDIOService0Ev')).toMatch(
    /^com\.apple\.kpi\.\w+ of 1[0-5][.\d]*$/,
  );
});

test('every import of the fixtures has an owner', () => {
  const imports = importsOf(code, undefined, releaseFor('x86_64'));
  expect(imports.filter((one) => one.owner === undefined)).toEqual([]);
});
