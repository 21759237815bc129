/** The machines that VxWorks modules run on here: processor, calling convention, address map. */
import type { Convention } from '../../abi/convention.ts';
import { I386 } from '../../abi/i386.ts';
import { SystemV } from '../../abi/sysv.ts';
import type { Translator } from '../../cpu/ir.ts';
import { X86Translator } from '../../cpu/x86/lift.ts';
import { type DataModel, ILP32_I386, LP64 } from '../../ctypes/model.ts';
import type { Machine } from '../../formats/object.ts';
import type { Address } from '../../memory/address.ts';
import type { GuestMemory } from '../../memory/space.ts';

export type VxMachine = 'x86-64' | 'i386';

interface Range {
  readonly base: Address;
  readonly bytes: number;
}

export interface MachineSpec {
  readonly name: VxMachine;
  readonly title: string;
  readonly model: DataModel;
  readonly pointerBytes: 4 | 8;
  readonly translator: () => Translator;
  readonly convention: (memory: GuestMemory) => Convention;
  /** Entry points of the kernel's own functions. */
  readonly gates: Range;
  /** The system memory partition: modules, tasks and everything that malloc gives. */
  readonly pool: Range;
  readonly stacks: Range;
}

const high = (hex: bigint): Address => Number(BigInt.asIntN(64, hex));
const MiB = 1 << 20;

/**
 * The 64-bit kernel lives in the top 2 GiB, in reach of code compiled for the kernel model. The 32-bit one begins above
 * the first MiB of a PC, as its board support packages do. Page 0 is not mapped: a call of a hole faults.
 */
const MACHINES: Readonly<Record<VxMachine, MachineSpec>> = {
  'x86-64': {
    name: 'x86-64',
    title: 'Intel 64',
    model: LP64,
    pointerBytes: 8,
    translator: () => new X86Translator(),
    convention: (memory) => new SystemV(memory),
    gates: { base: high(0xffffffff80100000n), bytes: MiB },
    pool: { base: high(0xffffffff80400000n), bytes: 32 * MiB },
    stacks: { base: high(0xffffffff84000000n), bytes: 64 * MiB },
  },
  i386: {
    name: 'i386',
    title: 'Pentium',
    model: ILP32_I386,
    pointerBytes: 4,
    translator: () => new X86Translator({ bits: 32 }),
    convention: (memory) => new I386(memory, 'cdecl'),
    gates: { base: 0x00108000, bytes: MiB },
    pool: { base: 0x00400000, bytes: 32 * MiB },
    stacks: { base: 0x04000000, bytes: 64 * MiB },
  },
};

export function machineSpec(name: VxMachine): MachineSpec {
  return MACHINES[name];
}

/** Does machine code of this kind run here? */
export function runsHere(machine: Machine): machine is VxMachine {
  return machine === 'x86-64' || machine === 'i386';
}
