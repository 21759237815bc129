/** AArch64 relocation types of linked objects, and of branches (ELF for the Arm 64-bit Architecture, sections 5.7 and 5.8). */
import type { InstructionField, RelocationForm, RelocationMachine } from '../relocation.ts';

export const R_AARCH64 = {
  NONE: 0,
  ABS64: 257,
  ABS32: 258,
  PREL64: 260,
  PREL32: 261,
  TSTBR14: 279,
  CONDBR19: 280,
  JUMP26: 282,
  CALL26: 283,
  GLOB_DAT: 1025,
  JUMP_SLOT: 1026,
  RELATIVE: 1027,
} as const;

/** A branch counts words in so many bits of the instruction, from this one on. */
const branch = (bits: number, shift: number): InstructionField => {
  const mask = (2 ** bits - 1) * 2 ** shift;
  return {
    addend: () => 0,
    store(view, offset, little, value) {
      const words = value / 4;
      const kept = (view.getUint32(offset, little) & ~mask) >>> 0;
      view.setUint32(offset, (kept | ((Math.floor(words) << shift) & mask)) >>> 0, little);
      return Number.isInteger(words) && words >= -(2 ** (bits - 1)) && words < 2 ** (bits - 1);
    },
  };
};

const field = (one: InstructionField): RelocationForm => ({
  bytes: 4,
  range: 'signed',
  relative: true,
  field: one,
});

const forms = new Map<number, RelocationForm | null>([
  [R_AARCH64.NONE, null],
  [R_AARCH64.ABS64, { bytes: 8, range: 'any', relative: false }],
  [R_AARCH64.ABS32, { bytes: 4, range: 'any', relative: false }],
  [R_AARCH64.PREL64, { bytes: 8, range: 'any', relative: true }],
  [R_AARCH64.PREL32, { bytes: 4, range: 'signed', relative: true }],
  [R_AARCH64.TSTBR14, field(branch(14, 5))],
  [R_AARCH64.CONDBR19, field(branch(19, 5))],
  [R_AARCH64.JUMP26, field(branch(26, 0))],
  [R_AARCH64.CALL26, field(branch(26, 0))],
  [R_AARCH64.GLOB_DAT, { bytes: 8, range: 'any', relative: false }],
  [R_AARCH64.JUMP_SLOT, { bytes: 8, range: 'any', relative: false }],
  // Where the object was loaded: the value of symbol 0.
  [R_AARCH64.RELATIVE, { bytes: 8, range: 'any', relative: false }],
]);

export const AARCH64: RelocationMachine = { machine: 'aarch64', forms };
