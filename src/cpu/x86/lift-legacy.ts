/** Meaning of the instructions that only 32-bit code has, and of the far transfers. */
import type { BlockBuilder, HelperId } from '../ir.ts';
import { Helper, imm, type MemOperand, Reg, reg } from '../ir.ts';
import { type Instruction, Operand } from './decode.ts';
import { addressToTemp, type Lifter, type Lifters } from './lift-integer.ts';
import { memoryOperand, register, sizeOf, TEMP0 } from './operands.ts';

const TEMP1 = reg(Reg.T1);

const plain =
  (id: HelperId): Lifter =>
  (b) =>
    b.helper(id);

const withImmediate =
  (id: HelperId): Lifter =>
  (b, i) =>
    b.helper(id, { imm: i.imm & 0xff });

const sized =
  (id: HelperId): Lifter =>
  (b, i) =>
    b.helper(id, { size: i.operandSize === 2 ? 2 : 4 });

/** Offset to TEMP0, selector to TEMP1: from the instruction, or from memory with the offset first. */
function farPointer(b: BlockBuilder, i: Instruction): boolean {
  if (i.operandSize !== 4) return false;
  if (i.kind[0] === Operand.Far) {
    b.mov(4, TEMP0, imm(i.imm));
    b.mov(4, TEMP1, imm(i.imm2));
    return true;
  }
  readFarPointer(b, memoryOperand(i), 4);
  return true;
}

function readFarPointer(b: BlockBuilder, from: MemOperand, size: 2 | 4): void {
  b.movzx(4, 2, TEMP1, { ...from, disp: Number(from.disp) + size });
  b.mov(size, TEMP0, from);
}

const far =
  (id: HelperId): Lifter =>
  (b, i) => {
    if (farPointer(b, i)) b.helper(id, { a: TEMP0.reg, b: TEMP1.reg });
    else b.undefined('unsupported');
  };

/** lds les lss lfs lgs: the segment register is loaded first, as it may fault. */
const loadFar =
  (segment: number): Lifter =>
  (b, i) => {
    const size = i.operandSize === 2 ? 2 : 4;
    readFarPointer(b, memoryOperand(i), size);
    b.helper(Helper.WRITE_SEGMENT, { imm: segment, a: TEMP1.reg });
    b.mov(size, register(i, 0), TEMP0);
  };

function bound(b: BlockBuilder, i: Instruction): void {
  addressToTemp(b, i);
  b.helper(Helper.BOUND, { a: TEMP0.reg, b: i.reg[0], size: sizeOf(i, 0) });
}

export const legacyLifters: Lifters = {
  aaa: plain(Helper.AAA),
  aas: plain(Helper.AAS),
  daa: plain(Helper.DAA),
  das: plain(Helper.DAS),
  aam: withImmediate(Helper.AAM),
  aad: withImmediate(Helper.AAD),
  pusha: sized(Helper.PUSHA),
  popa: sized(Helper.POPA),
  into: plain(Helper.INTO),
  bound,
  ljmp: far(Helper.FAR_JUMP),
  lcall: far(Helper.FAR_CALL),
  les: loadFar(0),
  lds: loadFar(3),
  lss: loadFar(2),
  lfs: loadFar(4),
  lgs: loadFar(5),
};
