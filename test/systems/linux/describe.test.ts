import { describe, expect, it } from 'vitest';
import { readElfObject } from '../../../src/formats/elf/object.ts';
import { inspectModule } from '../../../src/systems/linux/describe.ts';
import { builtinKernel, fixture } from './kernel.ts';

const inspect = (name: string) => inspectModule(readElfObject(fixture(name)), builtinKernel());

describe('what a module says of itself', () => {
  it('names its parameters with type and description', () => {
    const { parameters, name, vermagic, inTree, licence, gplCompatible } = inspect('params');
    expect({ name, inTree, licence, gplCompatible }).toEqual({
      name: 'params',
      inTree: false,
      licence: 'GPL',
      gplCompatible: true,
    });
    expect(vermagic).toContain('mod_unload modversions');
    const find = (wanted: string) => parameters.find((parameter) => parameter.name === wanted);
    expect(find('a_byte')?.type).toBe('byte');
    expect(find('ints')?.type).toBe('array of int');
    expect(find('even')).toEqual({ name: 'even', type: '', description: 'an even number from 0 to 98' });
  });

  it('splits imports by who can give them', () => {
    const split = inspect('importer_plain').importsBySource;
    expect(split?.fromModules.every((name) => name.startsWith('exporter_'))).toBe(true);
    expect(split?.fromModules.length).toBeGreaterThan(0);
  });

  it('lists exports with version and whether they are for GPL modules only', () => {
    const { exports } = inspect('exporter');
    expect(exports.some(({ gplOnly }) => gplOnly)).toBe(true);
    expect(exports.some(({ gplOnly }) => !gplOnly)).toBe(true);
    for (const { crc } of exports) expect(crc).toBeGreaterThan(0);
    expect(inspect('spaced').exports.some(({ namespace }) => namespace !== '')).toBe(true);
  });

  it('finds text behind a NUL', () => {
    expect(inspect('nul_licence').findings).toHaveLength(1);
    expect(inspect('hello').findings).toEqual([]);
  });
});
