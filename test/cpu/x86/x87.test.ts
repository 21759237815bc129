/** The coprocessor against the host's, to the last bit of every register, result and exception flag. */
import { describe, expect, it } from 'vitest';
import { Cpu, Exit } from '../../../src/cpu/cpu.ts';
import { X86Translator } from '../../../src/cpu/x86/lift.ts';
import { GuestMemory, Perm } from '../../../src/memory/space.ts';
import { describeWith } from '../../real/require.ts';
import { describeCase, differences } from './compare.ts';
import { EMPTY_MACHINE, GuestRunner } from './guest.ts';
import { nativeCompiler, runNative } from './native.ts';
import { Random, seedOfRun } from './random.ts';
import { coprocessorCase } from './x87.ts';

describeWith(nativeCompiler(), 'coprocessor programs', () => {
  it.each([
    [32, 'interpreter'],
    [64, 'interpreter'],
    [32, 'wasm'],
  ] as const)('%d bits, %s', (bits, engine) => {
    const seed = seedOfRun();
    const random = new Random(seed);
    const runner = new GuestRunner(engine, bits);
    const count = process.env.LKM_FULL === '1' ? 40_000 : 1000;
    const cases = Array.from({ length: count }, () => coprocessorCase(random.bits() >>> 0, 12, bits));
    const outcomes = runNative(cases);
    const failures = cases.flatMap((item, n) => {
      const found = differences(item, outcomes[n], runner.run(item));
      return found.length === 0 ? [] : [describeCase(item, found)];
    });
    expect(failures.slice(0, 3), `seed ${seed}`).toEqual([]);
  });
});

const CODE = 0x20000000;
const DATA = 0x30000000;

/** Runs 32-bit code to its end; gives the processor and its memory. */
function run(code: string): { cpu: Cpu; memory: GuestMemory; exit: number } {
  const memory = new GuestMemory({ ramBytes: 1 << 20, directMap: undefined, pointerBytes: 4 });
  memory.map(CODE, memory.frames.allocate(0), 1, Perm.R | Perm.W | Perm.X, 'code');
  memory.map(DATA, memory.frames.allocate(0), 1, Perm.R | Perm.W, 'data');
  const bytes = Uint8Array.from(Buffer.from(code.replaceAll(' ', ''), 'hex'));
  memory.poke(CODE, bytes);
  const cpu = new Cpu(memory, EMPTY_MACHINE, new X86Translator({ bits: 32 }));
  cpu.addHostEntry(CODE + bytes.length, 1);
  cpu.rip = CODE;
  return { cpu, memory, exit: cpu.run(10_000) };
}

describe('the coprocessor', () => {
  it('saves and restores its whole state', () => {
    // fld1; fldpi; fnsave 0x100; frstor 0x100; fstp m80 0x200; fstp m80 0x210; fnstsw 0x220
    const { memory, exit } = run(
      'd9e8 d9eb dd3500010030 dd2500010030 db3d00020030 db3d10020030 dd3d20020030',
    );
    expect(exit).toBe(Exit.Host);
    expect(memory.u64(DATA + 0x200)).toBe(0xc90fdaa22168c235n);
    expect(memory.u64(DATA + 0x210)).toBe(0x8000000000000000n);
    expect(memory.u16(DATA + 0x220)).toBe(0);
    expect(memory.u16(DATA + 0x100)).toBe(0x37f);
    // Two registers of eight are not empty: the last two.
    expect(memory.u16(DATA + 0x108)).toBe(0x0fff);
  });

  it('fxsave and fxrstor keep it beside the vector registers', () => {
    // fld1; pcmpeqd xmm3,xmm3; fxsave 0x400; fninit; pxor xmm3,xmm3; fxrstor 0x400; fstp m64 0x100; movups [0x110],xmm3
    const { memory } = run(
      'd9e8 660f76db 0fae0500040030 dbe3 660fefdb 0fae0d00040030 dd1d00010030 0f111d10010030',
    );
    expect(memory.u64(DATA + 0x100)).toBe(0x3ff0000000000000n);
    expect(memory.u64(DATA + 0x110)).toBe(0xffffffffffffffffn);
    expect(memory.u32(DATA + 0x418)).toBe(0x1f80);
  });

  it('reports an exception that is not masked at the next instruction that waits', () => {
    // mov [0x10],0x37b (division by zero not masked); fldcw; fld1; fldz; fdivp; fnstsw ax; fld1
    const { cpu, exit } = run('c70510000030 7b030000 d92d10000030 d9e8 d9ee def9 dfe0 d9e8');
    expect(exit).toBe(Exit.Fault);
    expect(cpu.vector).toBe(16);
    expect(cpu.gpr(0) & 0x84).toBe(0x84);
    expect(cpu.rip).toBe(CODE + 24);
  });

  it('changes nothing when the operand cannot be written', () => {
    // fld1; fstp m64 beyond the page
    const { cpu, memory, exit } = run('d9e8 dd1d fc0f0030');
    expect(exit).toBe(Exit.Fault);
    expect(cpu.vector).toBe(14);
    cpu.rip = CODE + 2;
    memory.poke(CODE + 4, Uint8Array.from([0, 0, 0, 0x30]));
    expect(cpu.run(100)).toBe(Exit.Host);
    expect(memory.u64(DATA)).toBe(0x3ff0000000000000n);
  });

  it('works out the transcendental functions', () => {
    // fldpi; fsin; fstp m80 0x100; fld1; fld1; fadd st0,st0; fyl2x; fstp m64 0x110; fldln2 and fbstp of 1, and back
    const { memory, exit } = run(
      'd9eb d9fe db3d00010030 d9e8 d9e8 d8c0 d9f1 dd1d10010030 d9e8 df3520010030 df2520010030 dd1d30010030',
    );
    expect(exit).toBe(Exit.Host);
    // The pi of the register is 2^-64 above the one that angles are reduced by.
    expect(memory.u64(DATA + 0x100)).toBe(0x8000000000000000n);
    expect(memory.u16(DATA + 0x108)).toBe(0xbfbf);
    expect(memory.u64(DATA + 0x110)).toBe(0x3ff0000000000000n);
    expect(memory.u64(DATA + 0x120)).toBe(1n);
    expect(memory.u64(DATA + 0x130)).toBe(0x3ff0000000000000n);
  });

  it('leaves an angle alone that is too large, and says so', () => {
    // mov [0x10],0x5f800000 (2^64); fld m32; fsin; fnstsw ax
    const { cpu } = run('c70510000030 0000805f d90510000030 d9fe dfe0');
    expect(cpu.gpr(0) & 0x400).toBe(0x400);
  });
});
