/** MMX instructions: sources that are memory or general registers come by way of a scratch vector register. */
import { mmxCode, mmxOperation, packMmxCall, vectorCode } from '../helpers-mmx.ts';
import { type BlockBuilder, Helper, mem, Reg, xmm } from '../ir.ts';
import { type Instruction, Operand } from './decode.ts';
import type { Lifter } from './lift-integer.ts';
import { memoryOperand, place, segmentOf, TEMP0 } from './operands.ts';

/** Scratch vector register of decoders. */
const SCRATCH = xmm(16);

export function usesMmx(i: Instruction): boolean {
  for (let n = 0; n < i.count; n++) if (i.kind[n] === Operand.Mmx) return true;
  return false;
}

function operate(b: BlockBuilder, name: string, d: number, s: number, imm = 0, shifts = false): void {
  const number = mmxOperation(name);
  if (number === undefined) b.undefined('unsupported');
  else b.helper(Helper.MMX, { imm: packMmxCall(number, d, s, imm, shifts) });
}

/** Code of the operand as a source; memory and general registers are brought in first. */
function source(b: BlockBuilder, name: string, i: Instruction, n: number): number {
  if (i.kind[n] === Operand.Mmx) return mmxCode(i.reg[n]);
  if (i.kind[n] === Operand.Xmm) return vectorCode(i.reg[n]);
  if (i.kind[n] === Operand.Reg) b.vector.moveLow(i.size[n] === 8 ? 8 : 4, SCRATCH, place(i, n));
  else if (i.size[n] === 16) b.vector.move(SCRATCH, memoryOperand(i), true);
  else if (i.size[n] === 2) {
    b.movzx(8, 2, TEMP0, memoryOperand(i));
    b.vector.moveLow(4, SCRATCH, TEMP0);
  } else {
    // The lower halves are all that is read for them.
    const bytes = i.size[n] === 4 || name.startsWith('punpckl') ? 4 : 8;
    b.vector.moveLow(bytes, SCRATCH, memoryOperand(i));
  }
  return vectorCode(SCRATCH.reg);
}

/** Moves of the whole register or its low half. */
function move(b: BlockBuilder, name: string, i: Instruction): void {
  const from = source(b, name, i, 1);
  if (i.kind[0] === Operand.Mmx) {
    operate(b, 'mov', mmxCode(i.reg[0]), from);
    return;
  }
  operate(b, 'mov', vectorCode(SCRATCH.reg), from);
  if (i.kind[0] === Operand.Xmm) b.vector.moveLow(8, xmm(i.reg[0]), SCRATCH);
  else b.vector.moveLow(i.size[0] === 4 ? 4 : 8, place(i, 0), SCRATCH);
}

const MOVES = /^(movd|movq|movntq|movq2dq|movdq2q)$/;

export const mmxLifter =
  (name: string): Lifter =>
  (b, i) => {
    if (MOVES.test(name)) move(b, name, i);
    else if (name === 'maskmovq') maskedStore(b, i, mmxCode(i.reg[0]), mmxCode(i.reg[1]), 8);
    else if (i.kind[1] === Operand.Imm) {
      operate(b, name, mmxCode(i.reg[0]), mmxCode(i.reg[0]), i.imm, true);
    } else {
      const imm = i.kind[i.count - 1] === Operand.Imm ? i.imm : 0;
      const from = source(b, name, i, 1);
      if (i.kind[0] === Operand.Reg) {
        operate(b, name, vectorCode(SCRATCH.reg), from, imm);
        b.vector.moveLow(4, place(i, 0), SCRATCH);
      } else {
        const code = i.kind[0] === Operand.Mmx ? mmxCode : vectorCode;
        operate(b, name, code(i.reg[0]), from, imm);
      }
    }
  };

/** To the address in rdi. */
function maskedStore(b: BlockBuilder, i: Instruction, d: number, s: number, size: 4 | 8): void {
  const addressSize = i.addressSize as 2 | 4 | 8;
  b.lea(8, TEMP0, mem(Reg.RDI, 0, Reg.ZERO, 0, Reg.ZERO, addressSize));
  const segment = segmentOf(i);
  if (segment !== Reg.ZERO) b.lea(8, TEMP0, mem(TEMP0.reg, 0, segment));
  b.helper(Helper.MASKED_STORE, { a: TEMP0.reg, size, imm: (s << 5) | d });
}

export const maskedVectorStore: Lifter = (b, i) =>
  maskedStore(b, i, vectorCode(i.reg[0]), vectorCode(i.reg[1]), 4);

export const emptyMmx: Lifter = (b) => b.helper(Helper.EMMS);
