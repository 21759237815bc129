/** What the calling conventions of 64-bit x86 have in common: the stack, the result register, the way back. */
import type { Cpu } from '../cpu/cpu.ts';
import type { Address, GuestMemory } from '../memory/space.ts';
import type { CallMark } from './convention.ts';

const RAX = 0;
const RSP = 4;
/** Interrupts on, and the bit that is always one. */
const FLAGS = 0x202;

export abstract class X8664 {
  protected readonly memory: GuestMemory;
  /** Bytes that stay free above the first frame of a thread. */
  protected abstract readonly headroom: number;

  constructor(memory: GuestMemory) {
    this.memory = memory;
  }

  enterThread(cpu: Cpu, top: Address): void {
    for (let register = 0; register < 16; register++) cpu.setGpr(register, 0);
    cpu.setGpr(RSP, top - this.headroom);
    cpu.rflags = FLAGS;
  }

  leaveFunction(cpu: Cpu, mark: CallMark): void {
    cpu.setGpr(RSP, mark.stack);
    cpu.rip = mark.instruction;
  }

  result(cpu: Cpu): number {
    return cpu.gpr(RAX);
  }

  resultBig(cpu: Cpu): bigint {
    return cpu.gprBig(RAX);
  }

  returnAddress(cpu: Cpu): Address {
    return this.memory.ptr(cpu.gpr(RSP));
  }

  /** Takes the return address off the stack and goes there. */
  protected return(cpu: Cpu): void {
    const rsp = cpu.gpr(RSP);
    cpu.rip = this.memory.ptr(rsp);
    cpu.setGpr(RSP, rsp + 8);
  }
}
