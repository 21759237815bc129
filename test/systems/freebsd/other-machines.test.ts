/** Modules for machines whose code does not run here: described, and linked to the last byte. */
import { describe, expect, it } from 'vitest';
import { checkKld } from '../../../src/systems/freebsd/check/check.ts';
import { type Elf, elfTarget, judgeShared } from '../../../src/systems/freebsd/elf.ts';
import { readKernelFile } from '../../../src/systems/freebsd/kernelfile.ts';
import { knownTypes } from '../../../src/systems/freebsd/rules/relocations.ts';
import { linkApart } from '../../../src/systems/freebsd/shared-image.ts';
import { fixture } from './fixtures.ts';

const BASE = 0x40000000;
const SYMBOLS: Readonly<Record<string, number>> = { printf: 0x12340, module_register_init: 0x56780 };

function read(name: string, machine: string): Elf {
  const target = elfTarget(machine);
  if (target === undefined) throw new Error(machine);
  const verdict = judgeShared(fixture(name), name, target);
  if (!('elf' in verdict)) throw new Error(verdict.finding.why);
  return verdict.elf;
}

function link(elf: Elf, lookup: (name: string) => number | undefined) {
  return linkApart(elf, BASE, lookup, {
    known: knownTypes(elf.object.machine, 1400097),
    emptyPlace: false,
    fail: (problem) => {
      throw new Error(problem.kind);
    },
  });
}

const text = (bytes: Uint8Array, at: number) => {
  const start = at - BASE;
  return String.fromCharCode(...bytes.subarray(start, bytes.indexOf(0, start)));
};

describe.each([
  ['hello-arm64.ko', 'arm64'],
  ['hello-riscv64.ko', 'riscv64'],
  ['hello-arm.ko', 'arm'],
  ['hello-powerpc.ko', 'powerpc'],
  ['hello-powerpc64.ko', 'powerpc64'],
])('%s', (name, machine) => {
  const elf = read(name, machine);

  it('is described like any other', () => {
    expect(elf.kld.modules.map((one) => one.registered)).toEqual(['hello']);
    expect(elf.kld.builtFor).toBe(1400097);
    expect(elf.kld.sysinits().map((one) => one.function)).toEqual(['module_register_init']);
  });

  it('has every pointer where the linked image lies', () => {
    const { bytes, missing } = link(elf, (symbol) => SYMBOLS[symbol]);
    expect(missing).toEqual([]);
    const view = new DataView(bytes.buffer);
    const { bits, littleEndian } = elf.object;
    const size = bits / 8;
    const word = (at: number) =>
      bits === 64
        ? Number(view.getBigUint64(at - BASE, littleEndian))
        : view.getUint32(at - BASE, littleEndian);
    const set = elf.object.sections.find((one) => one.name === 'set_sysinit_set');
    if (set === undefined) throw new Error('no set');
    // set -> struct sysinit -> the kernel's function, and struct moduledata -> the name.
    const sysinit = word(BASE + set.address);
    expect(word(sysinit + 8)).toBe(SYMBOLS.module_register_init);
    const moduledata = word(sysinit + 8 + size);
    expect(text(bytes, word(moduledata))).toBe('hello');
    expect(text(bytes, word(moduledata + 2 * size))).toBe('world');
    const code = word(moduledata + size) - BASE;
    expect(
      elf.object.sections.some(
        (one) => one.executable && code >= one.address && code < one.address + one.size,
      ),
    ).toBe(true);
    // The table that calls go through.
    const words = Array.from({ length: Math.floor(bytes.length / size) }, (_, i) => word(BASE + size * i));
    expect(words).toContain(SYMBOLS.printf);
  });

  it('names what nobody has', () => {
    expect([...new Set(link(elf, () => undefined).missing)].sort()).toEqual([
      'module_register_init',
      'printf',
    ]);
  });
});

describe('lkm check on arm64', () => {
  const kernel = readKernelFile(fixture('kernel-14.0-arm64'), 'kernel');
  const nobody = { provider: () => undefined, definer: () => undefined };
  const check = (name: string) => checkKld(kernel, { path: name, bytes: fixture(name) }, nobody);

  it('takes modules of its machine, and no others', () => {
    expect(kernel).toMatchObject({ machine: 'arm64', version: 1400097 });
    expect(check('hello-arm64.ko').answer).toBe('loads');
    const other = check('hello-riscv64.ko').rules.find(({ outcome }) => outcome === 'refuse');
    expect(other).toMatchObject({
      rule: 'elf-header',
      said: ['kldload: hello-riscv64.ko: Unsupported machine'],
    });
  });
});
