/** i386 relocation types (System V ABI, Intel386 supplement, table 4-9), those that occur in kernel code. */
import type { RelocationForm, RelocationMachine } from '../relocation.ts';

export const R_386 = {
  NONE: 0,
  32: 1,
  PC32: 2,
  PLT32: 4,
  GLOB_DAT: 6,
  JMP_SLOT: 7,
  RELATIVE: 8,
} as const;

/** Sums wrap at 4 GiB, so nothing is ever out of range. */
const absolute: RelocationForm = { bytes: 4, range: 'any', relative: false };
const relative: RelocationForm = { bytes: 4, range: 'any', relative: true };

const forms = new Map<number, RelocationForm | null>([
  [R_386.NONE, null],
  [R_386[32], absolute],
  [R_386.PC32, relative],
  // A branch through a linkage table; without one it goes straight to the symbol.
  [R_386.PLT32, relative],
  [R_386.GLOB_DAT, { ...absolute, plain: true }],
  [R_386.JMP_SLOT, { ...absolute, plain: true }],
  // The value of its symbol, number 0, is where the object was loaded.
  [R_386.RELATIVE, absolute],
]);

export const I386: RelocationMachine = { machine: 'i386', forms, addendInPlace: true };
