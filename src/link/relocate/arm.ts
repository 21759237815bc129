/**
 * ARM relocation types that occur in kernel modules (ELF for the Arm Architecture, section 5.6). Branches count words
 * from the instruction, whose own address reads as two instructions further on: that is in the addend. JUMP_SLOT and
 * RELATIVE occur in linked objects.
 */
import type { InstructionField, RelocationForm, RelocationMachine } from '../relocation.ts';

export const R_ARM = {
  NONE: 0,
  PC24: 1,
  ABS32: 2,
  REL32: 3,
  ABS16: 5,
  ABS8: 8,
  JUMP_SLOT: 22,
  RELATIVE: 23,
  CALL: 28,
  JUMP24: 29,
  TARGET1: 38,
  V4BX: 40,
  PREL31: 42,
  MOVW_ABS_NC: 43,
  MOVT_ABS: 44,
} as const;

/** B, BL: 24 bits of words, so 32 MiB either way. */
const branch: InstructionField = {
  addend: (view, offset, little) => (view.getInt32(offset, little) << 8) >> 6,
  store: (view, offset, little, value) => {
    const instruction = view.getUint32(offset, little);
    view.setUint32(offset, ((instruction & 0xff000000) | ((value >> 2) & 0x00ffffff)) >>> 0, little);
    return value >= -0x2000000 && value < 0x2000000 && value % 4 === 0;
  },
};

/** Of unwinding tables: bit 31 says something else. */
const prel31: InstructionField = {
  addend: (view, offset, little) => (view.getInt32(offset, little) << 1) >> 1,
  store: (view, offset, little, value) => {
    const kept = view.getUint32(offset, little) & 0x80000000;
    view.setUint32(offset, (kept | (value & 0x7fffffff)) >>> 0, little);
    return value >= -0x40000000 && value < 0x40000000;
  },
};

/** MOVW, MOVT: sixteen bits in two pieces, of the lower or of the upper half of the value. */
const move = (shift: 0 | 16): InstructionField => ({
  addend: (view, offset, little) => {
    const instruction = view.getUint32(offset, little);
    return ((((instruction >> 4) & 0xf000) | (instruction & 0xfff)) << 16) >> 16;
  },
  store: (view, offset, little, value) => {
    const half = (value >> shift) & 0xffff;
    const instruction = view.getUint32(offset, little) & 0xfff0f000;
    view.setUint32(offset, (instruction | ((half & 0xf000) << 4) | (half & 0xfff)) >>> 0, little);
    return true;
  },
});

const word: RelocationForm = { bytes: 4, range: 'any', relative: false };
const distance: RelocationForm = { bytes: 4, range: 'any', relative: true };

const forms = new Map<number, RelocationForm | null>([
  [R_ARM.NONE, null],
  [R_ARM.PC24, { ...distance, field: branch }],
  [R_ARM.CALL, { ...distance, field: branch }],
  [R_ARM.JUMP24, { ...distance, field: branch }],
  [R_ARM.ABS32, word],
  [R_ARM.TARGET1, word],
  [R_ARM.REL32, distance],
  [R_ARM.ABS16, { bytes: 2, range: 'any', relative: false }],
  [R_ARM.ABS8, { bytes: 1, range: 'any', relative: false }],
  [R_ARM.JUMP_SLOT, { ...word, plain: true }],
  // Where the object was loaded: the value of symbol 0.
  [R_ARM.RELATIVE, word],
  [R_ARM.PREL31, { ...distance, field: prel31 }],
  [R_ARM.MOVW_ABS_NC, { ...word, field: move(0) }],
  [R_ARM.MOVT_ABS, { ...word, field: move(16) }],
  // Marks `bx` for linkers of processors that lack it.
  [R_ARM.V4BX, null],
]);

export const ARM: RelocationMachine = { machine: 'arm', forms, addendInPlace: true };
