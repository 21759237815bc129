/** Decoded x86 operands in the vocabulary of the block builder. */
import type {
  ImmOperand,
  Operand as IrOperand,
  MemOperand,
  Place,
  RegOperand,
  Size,
  XmmOperand,
} from '../ir.ts';
import { imm, mem, Reg, reg, xmm } from '../ir.ts';
import { type Instruction, Operand, RIP_BASE } from './decode.ts';

const REGISTERS: readonly RegOperand[] = Array.from({ length: 16 }, (_, n) => reg(n));
const HIGH_REGISTERS: readonly RegOperand[] = Array.from({ length: 4 }, (_, n) => reg(n, true));

export const RAX = REGISTERS[Reg.RAX];
/** A temporary free inside one instruction. */
export const TEMP0 = reg(Reg.T0);

/** A 64-bit value of two halves: a number where that is exact, else a bigint. */
function wide(high: number, low: number): number | bigint {
  const value = high * 4294967296 + (low >>> 0);
  if (Number.isSafeInteger(value)) return value;
  return BigInt.asIntN(64, (BigInt(high) << 32n) | BigInt(low >>> 0));
}

/** The segment base that takes part in address computation: only FS and GS; the others are flat in 32-bit code. */
export function segmentOf(insn: Instruction): number {
  return insn.segment === 4 ? Reg.FS : insn.segment === 5 ? Reg.GS : Reg.ZERO;
}

/** The instruction's memory operand. */
export function memoryOperand(insn: Instruction): MemOperand {
  const segment = segmentOf(insn);
  const size = insn.addressSize as 2 | 4 | 8;
  if (insn.base === RIP_BASE) {
    return mem(Reg.ZERO, insn.address + insn.length + insn.disp, Reg.ZERO, 0, segment, size);
  }
  const base = insn.base < 0 ? Reg.ZERO : insn.base;
  const index = insn.index < 0 ? Reg.ZERO : insn.index;
  const scale = (insn.index < 0 ? 0 : insn.scale) as 0 | 1 | 2 | 3;
  const disp = insn.dispHigh === insn.disp >> 31 ? insn.disp : wide(insn.dispHigh, insn.disp);
  return mem(base, disp, index, scale, segment, size);
}

/** The immediate, sign- or zero-extended as the instruction has it. */
export function immediate(insn: Instruction): ImmOperand {
  return imm(insn.immHigh === insn.imm >> 31 ? insn.imm : wide(insn.immHigh, insn.imm));
}

/** Operand `n`, which must be a register or memory. */
export function place(insn: Instruction, n: number): Place {
  switch (insn.kind[n]) {
    case Operand.Reg:
      return REGISTERS[insn.reg[n]];
    case Operand.High:
      return HIGH_REGISTERS[insn.reg[n]];
    default:
      return memoryOperand(insn);
  }
}

/** Operand `n`, which must be a general register. */
export function register(insn: Instruction, n: number): RegOperand {
  return insn.kind[n] === Operand.High ? HIGH_REGISTERS[insn.reg[n]] : REGISTERS[insn.reg[n]];
}

/** Operand `n`, which must be a general register, memory or the immediate. */
export function source(insn: Instruction, n: number): IrOperand {
  return insn.kind[n] === Operand.Imm ? immediate(insn) : place(insn, n);
}

/** Operand `n` as a register or the immediate, for counts and bit offsets. */
export function countOf(insn: Instruction, n: number): RegOperand | ImmOperand {
  return insn.kind[n] === Operand.Imm ? imm(insn.imm) : REGISTERS[insn.reg[n]];
}

export function sizeOf(insn: Instruction, n: number): Size {
  return insn.size[n] as Size;
}

/** Operand `n` as XMM register or memory. */
export function vectorPlace(insn: Instruction, n: number): XmmOperand | MemOperand {
  return insn.kind[n] === Operand.Xmm ? xmm(insn.reg[n]) : memoryOperand(insn);
}

/** Operand `n` as XMM register, general register or memory. */
export function mixedPlace(insn: Instruction, n: number): XmmOperand | Place {
  return insn.kind[n] === Operand.Xmm ? xmm(insn.reg[n]) : place(insn, n);
}
