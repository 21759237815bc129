/** PowerPC and ARM: the code section of a fixture, relocated here and by lld to the same addresses, byte for byte. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { packagedPath } from '../../src/cli/packaged.ts';
import { readElfObject } from '../../src/formats/elf/object.ts';
import { relocationMachine } from '../../src/link/machines.ts';
import { R_ARM } from '../../src/link/relocate/arm.ts';
import { R_PPC } from '../../src/link/relocate/ppc.ts';
import { applyRelocations, type RelocationProblem, relocationTarget } from '../../src/link/relocate.ts';

const read = (path: string) =>
  readElfObject(new Uint8Array(readFileSync(packagedPath(`fixtures/vxworks/built/${path}`))));

class Failed extends Error {
  readonly problem: RelocationProblem;
  constructor(problem: RelocationProblem) {
    super(problem.kind);
    this.problem = problem;
  }
}
const policy = {
  emptyPlace: false,
  fail: (problem: RelocationProblem): never => {
    throw new Failed(problem);
  },
};

describe.each(['ppc', 'arm'] as const)('%s', (name) => {
  it('relocates as lld does', () => {
    const [file, linked] = [read(`${name}/hello.o`), read(`${name}/hello.linked`)];
    const machine = relocationMachine(name);
    if (machine === undefined) throw new Error(`${name} is written`);
    const addressOf = (index: number) => {
      const section = file.sections[index].name.replace('.rodata.str1.1', '.rodata');
      return linked.sections.find((one) => one.name === section)?.address ?? Number.NaN;
    };
    const values = Float64Array.from(file.symbols, ({ place, section, value, index }) => {
      if (place === 'section') return addressOf(section) + value;
      return index === 0 ? 0 : 0x500000;
    });
    const text = file.sections.find((section) => section.name === '.text');
    const expected = linked.sections.find((section) => section.name === '.text');
    if (text === undefined || expected === undefined) throw new Error('both have code');
    const target = relocationTarget(text.data.slice(), expected.address, file.littleEndian);
    expect(file.relocations(text.index).length).toBeGreaterThan(5);
    applyRelocations(machine, target, file.relocations(text.index), values, policy);
    expect(Buffer.from(target.bytes).toString('hex')).toBe(Buffer.from(expected.data).toString('hex'));
  });
});

describe('branches', () => {
  const one = (machine: 'ppc' | 'arm', type: number, value: number, instruction: number) => {
    const found = relocationMachine(machine);
    if (found === undefined) throw new Error(`${machine} is written`);
    const bytes = new Uint8Array(4);
    const little = machine === 'arm';
    new DataView(bytes.buffer).setUint32(0, instruction, little);
    const target = relocationTarget(bytes, 0x10000000, little);
    const addend = machine === 'arm' ? -8 : 0;
    applyRelocations(
      found,
      target,
      [{ section: 1, offset: 0, type, symbol: 1, addend }],
      Float64Array.of(0, value),
      policy,
    );
    return target.view.getUint32(0, little);
  };

  it('reach 32 MiB and no further', () => {
    expect(one('ppc', R_PPC.REL24, 0x10000000 + 0x1fffffc, 0x48000001)).toBe(0x49fffffd);
    expect(() => one('ppc', R_PPC.REL24, 0x10000000 + 0x2000000, 0x48000001)).toThrow('overflow');
    expect(one('ppc', R_PPC.REL24, 0x10000000 - 0x2000000, 0x48000001)).toBe(0x4a000001);
    expect(one('arm', R_ARM.CALL, 0x10000008, 0xeb000000)).toBe(0xeb000000);
    expect(one('arm', R_ARM.PC24, 0x10000000, 0xeb000000)).toBe(0xebfffffe);
    expect(() => one('arm', R_ARM.CALL, 0x20000000, 0xeb000000)).toThrow('overflow');
  });

  it('of halves make up for the sign of the lower one', () => {
    const bytes = new Uint8Array(4);
    const ppc = relocationMachine('ppc');
    if (ppc === undefined) throw new Error('ppc is written');
    const target = relocationTarget(bytes, 0, false);
    const at = (offset: number, type: number) => ({ section: 1, offset, type, symbol: 1, addend: 0 });
    const both = [at(0, R_PPC.ADDR16_HA), at(2, R_PPC.ADDR16_LO)];
    applyRelocations(ppc, target, both, Float64Array.of(0, 0x12348765), policy);
    expect(target.view.getUint32(0, false)).toBe(0x12358765);
  });
});
