/** The machines whose relocations are written, one file each in relocate/. */
import type { Machine } from '../formats/object.ts';
import { AARCH64 } from './relocate/aarch64.ts';
import { ARM } from './relocate/arm.ts';
import { I386 } from './relocate/i386.ts';
import { PPC } from './relocate/ppc.ts';
import { PPC64 } from './relocate/ppc64.ts';
import { RISCV } from './relocate/riscv.ts';
import { X86_64 } from './relocate/x86-64.ts';
import type { RelocationMachine } from './relocation.ts';

const MACHINES: readonly RelocationMachine[] = [X86_64, I386, ARM, PPC];
/** Only what occurs in linked objects is written for these: a relocatable file has more. */
const LINKED_ONLY: readonly RelocationMachine[] = [AARCH64, RISCV, PPC64];

/** The relocation types of a machine; undefined when nobody wrote them. */
export function relocationMachine(machine: Machine): RelocationMachine | undefined {
  return MACHINES.find((candidate) => candidate.machine === machine);
}

/** The relocation types of shared objects and executables of a machine. */
export function dynamicRelocations(machine: Machine): RelocationMachine | undefined {
  return relocationMachine(machine) ?? LINKED_ONLY.find((candidate) => candidate.machine === machine);
}
