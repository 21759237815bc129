/** RISC-V relocation types of linked objects (RISC-V ELF psABI, section 8.4). */
import type { RelocationForm, RelocationMachine } from '../relocation.ts';

export const R_RISCV = { NONE: 0, 32: 1, 64: 2, RELATIVE: 3, JUMP_SLOT: 5 } as const;

const forms = new Map<number, RelocationForm | null>([
  [R_RISCV.NONE, null],
  [R_RISCV[32], { bytes: 4, range: 'any', relative: false }],
  [R_RISCV[64], { bytes: 8, range: 'any', relative: false }],
  // Where the object was loaded: the value of symbol 0.
  [R_RISCV.RELATIVE, { bytes: 8, range: 'any', relative: false }],
  [R_RISCV.JUMP_SLOT, { bytes: 8, range: 'any', relative: false, plain: true }],
]);

export const RISCV: RelocationMachine = { machine: 'riscv', forms };
