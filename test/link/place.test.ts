import { describe, expect, it } from 'vitest';
import type { ObjectFile, ObjectSection } from '../../src/formats/object.ts';
import { type AreaRule, ImageTooLarge, planPlacement, stage } from '../../src/link/place.ts';

function section(index: number, name: string, size: number, flags: string, alignment = 1): ObjectSection {
  return {
    index,
    name,
    allocated: true,
    writable: flags.includes('w'),
    executable: flags.includes('x'),
    zeroFill: false,
    address: 0,
    size,
    alignment,
    data: new Uint8Array(size).fill(index),
  };
}

function file(...sections: ObjectSection[]): ObjectFile {
  const common = {
    format: 'elf',
    machine: 'x86-64',
    bits: 64,
    littleEndian: true,
    kind: 'relocatable',
  } as const;
  return { ...common, sections, symbols: [], relocations: () => [], bytes: new Uint8Array(0) };
}

const rules: readonly AreaRule[] = [
  {
    name: 'core',
    segmentAlign: 4096,
    segments: [
      { name: 'text', perm: 5, takes: (s) => s.executable },
      { name: 'rest', perm: 3, takes: () => true },
    ],
  },
];

describe('placing sections', () => {
  it('keeps file order in a segment, aligns sections, and begins segments on pages', () => {
    const data = section(1, '.data', 10, 'w');
    const text = section(2, '.text', 5, 'x', 16);
    const more = section(3, '.text.more', 3, 'x', 16);
    const plan = planPlacement(file(data, text, more), rules, () => true);
    const at = (index: number) => plan.sections.get(index)?.offset;
    expect([at(2), at(3), at(1)]).toEqual([0, 16, 4096]);
    expect(plan.areas[0].size).toBe(8192);
    expect(plan.areas[0].segments.map(({ name, start, end }) => [name, start, end])).toEqual([
      ['text', 0, 4096],
      ['rest', 4096, 8192],
    ]);
  });

  it('leaves out what does not take part and gives an empty segment no room', () => {
    const plan = planPlacement(
      file(section(1, '.data', 10, 'w'), section(2, '.skip', 9, 'w')),
      rules,
      (s) => s.index === 1,
    );
    expect([...plan.sections.keys()]).toEqual([1]);
    expect(plan.areas[0].segments[0]).toMatchObject({ start: 0, end: 0 });
  });

  it('stages the bytes of each section as a view of its area', () => {
    const plan = planPlacement(
      file(section(1, '.data', 4, 'w'), section(2, '.text', 4, 'x')),
      rules,
      () => true,
    );
    const { areas, sections } = stage(plan, () => 0x10000);
    sections.get(1)?.bytes.fill(9);
    expect([...areas[0].bytes.subarray(0, 4)]).toEqual([2, 2, 2, 2]);
    expect([...areas[0].bytes.subarray(4096, 4101)]).toEqual([9, 9, 9, 9, 0]);
    expect(sections.get(1)?.address).toBe(0x11000);
  });

  it('ends with sizes that no file can mean', () => {
    const huge = { ...section(1, '.bss', 0, 'w'), size: 2 ** 60 };
    expect(() => planPlacement(file(huge), rules, () => true)).toThrow(ImageTooLarge);
  });
});
