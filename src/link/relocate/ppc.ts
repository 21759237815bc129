/**
 * PowerPC relocation types that occur in kernel modules (System V ABI, PowerPC supplement, table 4-8). Branches reach 32
 * MiB, conditional ones 32 KiB; the halves of an address go into pairs of instructions.
 */
import type { InstructionField, RelocationForm, RelocationMachine } from '../relocation.ts';

export const R_PPC = {
  NONE: 0,
  ADDR32: 1,
  ADDR24: 2,
  ADDR16: 3,
  ADDR16_LO: 4,
  ADDR16_HI: 5,
  ADDR16_HA: 6,
  ADDR14: 7,
  REL24: 10,
  REL14: 11,
  JMP_SLOT: 21,
  RELATIVE: 22,
  UADDR32: 24,
  UADDR16: 25,
  REL32: 26,
} as const;

/** The addends of this machine are in its relocations. */
const noAddend = () => 0;

/** A word offset in the bits of `mask`, which reach `limit` bytes either way. */
const branch = (mask: number, limit: number): InstructionField => ({
  addend: noAddend,
  store: (view, offset, little, value) => {
    const instruction = view.getUint32(offset, little);
    view.setUint32(offset, ((instruction & ~mask) | (value & mask)) >>> 0, little);
    return value >= -limit && value < limit && value % 4 === 0;
  },
});

/** One half of an address; the adjusted upper one makes up for the sign of the lower. */
const half = (of: (value: number) => number): InstructionField => ({
  addend: noAddend,
  store: (view, offset, little, value) => {
    view.setUint16(offset, of(value) & 0xffff, little);
    return true;
  },
});

const word: RelocationForm = { bytes: 4, range: 'any', relative: false };
const short = (field: InstructionField): RelocationForm => ({
  bytes: 2,
  range: 'any',
  relative: false,
  field,
});

const forms = new Map<number, RelocationForm | null>([
  [R_PPC.NONE, null],
  [R_PPC.ADDR32, word],
  [R_PPC.UADDR32, word],
  // Of linked objects: where the object was loaded is the value of symbol 0.
  [R_PPC.RELATIVE, word],
  [R_PPC.JMP_SLOT, word],
  [R_PPC.REL32, { ...word, relative: true }],
  [R_PPC.ADDR16, { bytes: 2, range: 'any', relative: false }],
  [R_PPC.UADDR16, { bytes: 2, range: 'any', relative: false }],
  [R_PPC.ADDR16_LO, short(half((value) => value))],
  [R_PPC.ADDR16_HI, short(half((value) => value >> 16))],
  [R_PPC.ADDR16_HA, short(half((value) => (value + 0x8000) >> 16))],
  [R_PPC.ADDR24, { ...word, field: branch(0x03fffffc, 0x2000000) }],
  [R_PPC.REL24, { ...word, relative: true, field: branch(0x03fffffc, 0x2000000) }],
  [R_PPC.ADDR14, { ...word, field: branch(0x0000fffc, 0x8000) }],
  [R_PPC.REL14, { ...word, relative: true, field: branch(0x0000fffc, 0x8000) }],
]);

export const PPC: RelocationMachine = { machine: 'ppc', forms };
