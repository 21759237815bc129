/** x86-64 relocation types (psABI 1.0, table 4.9), those that occur in kernel code. */
import type { RelocationForm, RelocationMachine } from '../relocation.ts';

export const R_X86_64 = {
  NONE: 0,
  64: 1,
  PC32: 2,
  PLT32: 4,
  GLOB_DAT: 6,
  JUMP_SLOT: 7,
  RELATIVE: 8,
  32: 10,
  '32S': 11,
  PC64: 24,
} as const;

const forms = new Map<number, RelocationForm | null>([
  [R_X86_64.NONE, null],
  [R_X86_64[64], { bytes: 8, range: 'any', relative: false }],
  [R_X86_64[32], { bytes: 4, range: 'unsigned', relative: false }],
  [R_X86_64['32S'], { bytes: 4, range: 'signed', relative: false }],
  [R_X86_64.PC32, { bytes: 4, range: 'signed', relative: true }],
  // A branch through a linkage table; without one it goes straight to the symbol.
  [R_X86_64.PLT32, { bytes: 4, range: 'signed', relative: true }],
  // Linked objects: the symbol alone, and where the object was loaded (the value of symbol 0).
  [R_X86_64.GLOB_DAT, { bytes: 8, range: 'any', relative: false, plain: true }],
  [R_X86_64.JUMP_SLOT, { bytes: 8, range: 'any', relative: false, plain: true }],
  [R_X86_64.RELATIVE, { bytes: 8, range: 'any', relative: false }],
  [R_X86_64.PC64, { bytes: 8, range: 'any', relative: true }],
]);

export const X86_64: RelocationMachine = { machine: 'x86-64', forms };
