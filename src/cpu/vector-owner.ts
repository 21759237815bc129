import type { Emitter, Fields } from './emit.ts';
import type { MemOperand, Operand, RegOperand, Size, Undefined } from './ir.ts';

/** What the vector half of the builder uses of the other half. */
export interface VectorOwner {
  readonly emit: Emitter;
  based(m: MemOperand): Fields;
  toRegister(size: Size, operand: Operand, scratch: RegOperand): RegOperand;
  mov(size: Size, dst: RegOperand | MemOperand, src: Operand): void;
  undefined(why: Undefined): void;
}
