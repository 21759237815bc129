/** 64-bit PowerPC relocation types of linked objects (Power Architecture 64-bit ELF V2 ABI, section 3.5.3). */
import type { RelocationForm, RelocationMachine } from '../relocation.ts';

export const R_PPC64 = { NONE: 0, JMP_SLOT: 21, RELATIVE: 22, ADDR64: 38 } as const;

const doubleword: RelocationForm = { bytes: 8, range: 'any', relative: false };

const forms = new Map<number, RelocationForm | null>([
  [R_PPC64.NONE, null],
  [R_PPC64.ADDR64, doubleword],
  // The address itself, as version 2 of the ABI has it; before, a copy of the function's descriptor belongs there.
  [R_PPC64.JMP_SLOT, { ...doubleword, plain: true }],
  // Where the object was loaded: the value of symbol 0.
  [R_PPC64.RELATIVE, doubleword],
]);

export const PPC64: RelocationMachine = { machine: 'ppc64', forms };
