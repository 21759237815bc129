import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { matchesGlob, parseGlob } from '../../../src/systems/linux/glob.ts';
import { normalizeAlias } from '../../../src/systems/linux/tree/names.ts';
import { planProbe } from '../../../src/tools/linux/modprobe.ts';
import { ModuleTree } from '../../../src/tools/linux/module-tree.ts';

const built = join(process.cwd(), 'fixtures/linux/built');

const fixtures = new ModuleTree({
  moduleFile: (path) => (existsSync(join(built, path)) ? readFileSync(join(built, path)) : undefined),
  modulePaths: () => readdirSync(built).filter((name) => name.endsWith('.ko')),
});

const fits = (pattern: string, word: string): boolean | undefined => {
  const [alias, wanted] = [normalizeAlias(pattern), normalizeAlias(word)];
  return alias === undefined || wanted === undefined
    ? undefined
    : matchesGlob(parseGlob(alias, { sets: true }), wanted);
};

describe('an alias', () => {
  it.each([
    ['fs-tinyfs', 'fs_tinyfs', true],
    ['char-major-240-*', 'char_major_240_7', true],
    ['char-major-240-*', 'char_major_241_7', false],
    ['pci:v00001AF4d*sv*', 'pci:v00001AF4d00001000sv00000000', true],
    ['usb:v[0-4]*', 'usb:v3', true],
    ['usb:v[!0-4]*', 'usb:v3', false],
    ['a.b', 'axb', false],
    ['a(b', 'a(b', true],
    ['[z-a]', 'z', false],
    // No index can hold it.
    ['[', '[', undefined],
  ])('%s against %s: %s', (pattern, word, expected) => {
    expect(fits(pattern, word)).toBe(expected);
  });
});

it('takes no longer for a pattern that is all stars', () => {
  expect(fits('*a'.repeat(2000), 'a'.repeat(1999))).toBe(false);
  expect(fits('*a'.repeat(2000), 'a'.repeat(2000))).toBe(true);
});

describe('what modprobe would load', () => {
  const names = (word: string) => planProbe(fixtures, word).steps.map(({ module }) => module.name);

  it('is found by name however it is written, and by alias', () => {
    expect(names('exporter')).toEqual(['exporter']);
    expect(names('fs-tinyfs')).toEqual(['tinyfs']);
    expect(planProbe(fixtures, 'nothing-of-this-name')).toEqual({
      steps: [],
      missing: 'nothing-of-this-name',
    });
  });

  it('comes with what it needs before it and what goes with it after it', () => {
    expect(names('importer-plain')).toEqual(['exporter', 'importer_plain']);
    expect(names('fixture-alias')).toEqual(['exporter', 'metadata', 'hello']);
  });
});
