import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type ByteSource, ElfFacts } from '../../../../src/systems/linux/tree/elf-facts.ts';
import {
  isOldRelease,
  oldSymbol,
  oldType,
  readOldModule,
} from '../../../../src/systems/linux/tree/old-module.ts';

const sourceOf = (path: string): ByteSource => {
  const bytes = new Uint8Array(readFileSync(path));
  return { size: bytes.length, read: (offset, length) => bytes.subarray(offset, offset + length) };
};
const old = (machine: string, name: string) =>
  readOldModule(new ElfFacts(sourceOf(`fixtures/linux/built-before26/${machine}/${name}.o`)));

describe('modules from before 2.6', () => {
  it.each([
    ['i386', 0x8a7d1c31, 0x0badcafe, 0x1b7d4074],
    ['mips', 0x8a7d1c31, 0x0badcafe, 0x1b7d4074],
    ['x86-64', undefined, undefined, undefined],
  ])('tell of themselves on %s', (machine, read, reset, printk) => {
    const meter = old(machine, 'meter');
    expect(meter).toMatchObject({
      kernelVersion: '2.4.27-3',
      versioned: read !== undefined,
      exports: [
        { name: 'meter_read', crc: read, gplOnly: false },
        { name: 'meter_reset', crc: reset, gplOnly: true },
      ],
      needs: [{ name: 'printk', crc: printk, weak: false }],
      parameters: [
        { name: 'step', type: 'int', description: 'what each reading adds' },
        { name: 'name', type: 'string', description: 'what it is called' },
        { name: 'limits', type: 'array of short, 1 to 4', description: 'up to four limits' },
      ],
    });
    expect(meter?.info).toContainEqual(['author', 'The authors of lkm']);
    const display = old(machine, 'display');
    expect(display?.exports).toEqual([]);
    expect(display?.needs.map(({ name }) => name).sort()).toEqual(['meter_read', 'meter_reset', 'printk']);
  });

  it('are told from later ones', () => {
    for (const name of ['hello', 'exporter', 'params'])
      expect(readOldModule(new ElfFacts(sourceOf(`fixtures/linux/built/${name}.ko`)))).toBeUndefined();
  });

  it('have versions in the names of symbols', () => {
    expect(oldSymbol('printk_R1b7d4074')).toEqual({ name: 'printk', crc: 0x1b7d4074 });
    expect(oldSymbol('kfree_Rsmp_037a0cba')).toEqual({ name: 'kfree', crc: 0x037a0cba });
    expect(oldSymbol('a_Rb_Rsmp2gig_0badcafe')).toEqual({ name: 'a_Rb', crc: 0x0badcafe });
    expect(oldSymbol('_R1b7d4074')).toEqual({ name: '_R1b7d4074', crc: undefined });
    expect(oldSymbol('read_R12')).toEqual({ name: 'read_R12', crc: undefined });
  });

  it('name the types of parameters by letters', () => {
    expect(['i', '1i', '1-4s', '2-2l', 'c20', 'b', 'zz'].map(oldType)).toEqual([
      'int',
      'int',
      'array of string, 1 to 4',
      'array of long, 2',
      'char[20]',
      'byte',
      'zz',
    ]);
  });

  it('belong to releases before 2.6', () => {
    expect(
      ['2.4.27-3', '2.5.75', '2.2.20', '1.3.100', '2.6.0', '2.10', '6.1', 'x'].map(isOldRelease),
    ).toEqual([true, true, true, true, false, false, false, false]);
  });
});
