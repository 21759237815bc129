import { describe, expect, it } from 'vitest';
import type { Machine, ObjectRelocation } from '../../src/formats/object.ts';
import { relocationMachine } from '../../src/link/machines.ts';
import { R_386 } from '../../src/link/relocate/i386.ts';
import { R_X86_64 } from '../../src/link/relocate/x86-64.ts';
import {
  applyRelocations,
  type RelocationPolicy,
  type RelocationProblem,
  relocationTarget,
} from '../../src/link/relocate.ts';
import fc from '../properties.ts';

class Failed extends Error {
  readonly problem: RelocationProblem;

  constructor(problem: RelocationProblem) {
    super(problem.kind);
    this.problem = problem;
  }
}

const strict: RelocationPolicy = {
  emptyPlace: true,
  fail: (problem) => {
    throw new Failed(problem);
  },
};

const TEXT = Number(BigInt.asIntN(64, 0xffffffffc0000000n));

/** Applies one relocation to zeros and gives the eight bytes at offset 8, or the problem. */
function one(
  type: number,
  value: number,
  addend: number | undefined,
  policy = strict,
  bytes = new Uint8Array(24),
  name: Machine = 'x86-64',
  base = TEXT,
): bigint | RelocationProblem {
  const machine = relocationMachine(name);
  if (machine === undefined) throw new Error(`${name} is written`);
  const target = relocationTarget(bytes, base);
  const relocation: ObjectRelocation = { section: 1, offset: 8, type, symbol: 1, addend };
  try {
    applyRelocations(machine, target, [relocation], Float64Array.of(0, value), policy);
  } catch (error) {
    if (error instanceof Failed) return error.problem;
    throw error;
  }
  return target.view.getBigUint64(8, true);
}

describe('x86-64 relocations', () => {
  it('writes absolute addresses of 64 bits', () => {
    expect(one(R_X86_64[64], -2130706432, 0x10)).toBe(0xffffffff81000010n);
  });

  it('writes relative ones from the place, not from behind it', () => {
    expect(one(R_X86_64.PC32, TEXT + 0x100, -4)).toBe(0x100n - 4n - 8n);
    expect(one(R_X86_64.PLT32, TEXT, -4)).toBe(BigInt.asUintN(32, -12n));
    expect(one(R_X86_64.PC64, TEXT - 0x1000, 0)).toBe(BigInt.asUintN(64, -0x1008n));
  });

  it('agrees with 64-bit arithmetic for every value an address can have', () => {
    const address = fc.integer({ min: -(2 ** 47), max: 2 ** 47 - 1 });
    const addend = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
    fc.assert(
      fc.property(address, addend, (symbol, a) => {
        const sum = BigInt(symbol) + BigInt(a);
        expect(one(R_X86_64[64], symbol, a)).toBe(BigInt.asUintN(64, sum));
        expect(one(R_X86_64.PC64, symbol, a)).toBe(BigInt.asUintN(64, sum - BigInt(TEXT + 8)));
        const signed = one(R_X86_64['32S'], symbol, a);
        if (BigInt.asIntN(32, sum) === sum) expect(signed).toBe(BigInt.asUintN(32, sum));
        else expect(signed).toMatchObject({ kind: 'overflow' });
        const unsigned = one(R_X86_64[32], symbol, a);
        if (BigInt.asUintN(32, sum) === sum) expect(unsigned).toBe(sum);
        else expect(unsigned).toMatchObject({ kind: 'overflow' });
      }),
    );
  });

  it('truncates without a look what the policy does not check', () => {
    const lax = { ...strict, unchecked: new Set<number>([R_X86_64.PC32]) };
    expect(one(R_X86_64.PC32, 0x1_2345_6789, TEXT + 8)).toMatchObject({ kind: 'overflow' });
    expect(one(R_X86_64.PC32, 0x1_2345_6789, TEXT + 8, lax)).toBe(0x23456789n);
  });

  it('wants an empty place, and looks at no byte beside it', () => {
    const full = new Uint8Array(24).fill(0xff);
    full.fill(0, 8, 12);
    expect(one(R_X86_64.PC32, TEXT, 0, strict, full.slice())).toBe(0xffffffff_fffffff8n);
    expect(one(R_X86_64[64], TEXT, 0, strict, full.slice())).toMatchObject({ kind: 'not-empty' });
    expect(one(R_X86_64[64], 5, 0, { ...strict, emptyPlace: false }, full.slice())).toBe(5n);
  });

  it('refuses unknown types, places outside and missing addends', () => {
    expect(one(9, 0, 0)).toEqual({ kind: 'unknown-type', type: 9 });
    expect(one(R_X86_64[64], 0, 0, { ...strict, known: new Set([2]) })).toMatchObject({
      kind: 'unknown-type',
    });
    expect(one(R_X86_64[64], 0, undefined)).toMatchObject({ kind: 'no-addend' });
    expect(one(R_X86_64[64], 0, 0, strict, new Uint8Array(15))).toMatchObject({ kind: 'outside', size: 15 });
    expect(one(R_X86_64.NONE, 7, 0)).toBe(0n);
  });

  it('of i386 find their addend in the place, and wrap at 4 GiB', () => {
    const policy = { ...strict, emptyPlace: false };
    const base = 0xf8000000;
    const i386 = (type: number, value: number, place: number, addend?: number) => {
      const bytes = new Uint8Array(24);
      new DataView(bytes.buffer).setInt32(8, place, true);
      return one(type, value, addend, policy, bytes, 'i386', base);
    };
    expect(i386(R_386[32], 0xc1000000, 0x10)).toBe(0xc1000010n);
    expect(i386(R_386[32], 0xc1000000, -16)).toBe(0xc0fffff0n);
    expect(i386(R_386[32], 0xfffffff0, 0x20)).toBe(0x10n);
    expect(i386(R_386[32], 0xc1000000, 0x10, 4)).toBe(0xc1000004n);
    expect(i386(R_386.PC32, 0xc1000000, -4)).toBe(BigInt.asUintN(32, 0xc1000000n - 0xf8000008n - 4n));
    expect(i386(R_386.PLT32, 0xf8000100, -4)).toBe(0xf4n);
    expect(i386(R_386.GLOB_DAT, 0xc1000000, 0x1234)).toBe(0xc1000000n);
    expect(i386(R_386.RELATIVE, 0xf8000000, 0x40)).toBe(0xf8000040n);
    expect(i386(R_386.NONE, 0xc1000000, 7)).toBe(7n);
    expect(i386(9, 0, 0)).toEqual({ kind: 'unknown-type', type: 9 });
  });

  it('has no machine that nobody wrote', () => {
    expect(relocationMachine('sparc64')).toBeUndefined();
  });
});
