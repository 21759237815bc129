/** A bare processor with flat code and no kernel around it: for measuring, and for whoever wants to run a function alone. */

import { GuestMemory, Perm } from '../memory/space.ts';
import { Cpu, type CpuMachine, Exit } from './cpu.ts';
import type { Engine } from './engines.ts';
import { Reg } from './ir.ts';
import { X86Translator } from './x86/lift.ts';

/** Where flat code is to be linked to. */
export const CODE = 0x1000_0000;
const STACK = 0x2000_0000;
const RETURN = 0x3000_0000;
const DIRECT = -0x7780_0000_0000;
/** Data begins here: RAM below it backs code, stack and page tables of the test. */
const DATA = 8 << 20;

const silent: CpuMachine = {
  cpuid: () => ({ eax: 0, ebx: 0, ecx: 0, edx: 0 }),
  rdmsr: () => undefined,
  wrmsr: () => false,
  in: () => 0,
  out: () => {},
  tsc: () => 0n,
};

export interface BareMachine {
  readonly cpu: Cpu;
  readonly memory: GuestMemory;
  /** Address of the first byte that data may take. */
  readonly data: number;
  /**
   * Calls the first byte of the code with up to six arguments (System V order); the result register.
   * @throws when the code does anything but return
   */
  call(...args: readonly number[]): bigint;
}

/** A 64-bit machine with `flat` at {@link CODE}, a stack of 64 KiB, and `dataBytes` of room for data. */
export function bareMachine(engine: Engine, flat: Uint8Array, dataBytes: number): BareMachine {
  const ramBytes = DATA + ((dataBytes + 0xfffff) & ~0xfffff);
  const memory = new GuestMemory({ ramBytes, directMap: DIRECT });
  memory.map(CODE, 16, Math.ceil(flat.length / 4096), Perm.R | Perm.X, 'code');
  memory.poke(CODE, flat);
  memory.map(STACK - 0x10000, 1024, 16, Perm.R | Perm.W, 'stack');
  const cpu = new Cpu(memory, silent, new X86Translator(), { engine });
  cpu.addHostEntry(RETURN, 1);
  const registers = [Reg.RDI, Reg.RSI, Reg.RDX, Reg.RCX, Reg.R8, Reg.R9];
  const call = (...args: readonly number[]): bigint => {
    cpu.rip = CODE;
    args.forEach((value, n) => {
      cpu.setGpr(registers[n], value);
    });
    cpu.setGpr(Reg.RSP, STACK - 8);
    memory.setPtr(STACK - 8, RETURN);
    const exit = cpu.run(1e12);
    if (exit !== Exit.Host) throw new Error(`the code ended with exit ${exit} at ${cpu.rip.toString(16)}`);
    return cpu.gprBig(Reg.RAX);
  };
  return { cpu, memory, data: DIRECT + DATA, call };
}
