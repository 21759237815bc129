import { describe, expect, it } from 'vitest';
import type { Signature, VarArgs } from '../../src/abi/convention.ts';
import { SystemV } from '../../src/abi/sysv.ts';
import { Cpu } from '../../src/cpu/cpu.ts';
import { X86Translator } from '../../src/cpu/x86/lift.ts';
import { GuestMemory } from '../../src/memory/space.ts';

const BASE = -0x7780_0000_0000;
const STACK = BASE + 0x8000;
/** rdi, rsi, rdx, rcx, r8, r9, rsp by hardware number. */
const [RDI, RSI, RDX, RCX, R8, R9, RSP] = [7, 6, 2, 1, 8, 9, 4];

function machine() {
  const memory = new GuestMemory({ ramBytes: 1 << 20, directMap: BASE });
  const silent = {
    cpuid: () => ({ eax: 0, ebx: 0, ecx: 0, edx: 0 }),
    rdmsr: () => undefined,
    wrmsr: () => false,
    in: () => 0,
    out: () => undefined,
    tsc: () => 0n,
  };
  const cpu = new Cpu(memory, silent, new X86Translator());
  cpu.setGpr(RSP, STACK);
  return { memory, cpu, abi: new SystemV(memory) };
}

const signature = (parameters: Signature['parameters'], variadic = false): Signature => ({
  name: 'f',
  returns: 'void',
  parameters,
  variadic,
});

describe('arguments of a call', () => {
  it('are as wide as their types, whatever the rest of the register holds', () => {
    const { cpu, abi } = machine();
    cpu.setGprBig(RDI, 0xdead_beef_ffff_ff80n);
    cpu.setGprBig(RSI, 0xdead_beef_ffff_ff80n);
    cpu.setGprBig(RDX, 0xdead_beef_ffff_ff80n);
    cpu.setGprBig(RCX, 0xffff_ffff_8100_0000n);
    cpu.setGprBig(R8, 0xffff_ffff_ffff_fffen);
    cpu.setGprBig(R9, 0xffff_ffff_ffff_fffen);
    const values = abi.readArguments(cpu, signature(['i8', 'u16', 'u32', 'pointer', 'i64', 'u64']));
    expect(values).toEqual([-128, 0xff80, 0xffffff80, -0x7f00_0000, -2n, 0xffff_ffff_ffff_fffen]);
  });

  it('go on on the stack behind the sixth', () => {
    const { memory, cpu, abi } = machine();
    for (const [i, register] of [RDI, RSI, RDX, RCX, R8, R9].entries()) cpu.setGpr(register, i + 1);
    memory.setPtr(STACK + 8, -7);
    memory.setPtr(STACK + 16, 8);
    const values = abi.readArguments(cpu, signature([...new Array(7).fill('long'), 'u64']));
    expect(values).toEqual([1, 2, 3, 4, 5, 6, -7, 8n]);
  });

  it('that vary are read later, though the registers have changed by then', () => {
    const { memory, cpu, abi } = machine();
    for (const register of [RDI, RSI, RDX, RCX, R8, R9]) cpu.setGpr(register, register);
    memory.setPtr(STACK + 8, 70);
    const [first, rest] = abi.readArguments(cpu, signature(['pointer'], true));
    for (const register of [RDI, RSI, RDX, RCX, R8, R9]) cpu.setGpr(register, 0);
    const more = rest as VarArgs;
    const values = [first, more.i32(), more.long(), more.u64(), more.u32(), more.i64(), more.long()];
    expect(values).toEqual([RDI, RSI, RDX, BigInt(RCX), R8, BigInt(R9), 70]);
  });
});
