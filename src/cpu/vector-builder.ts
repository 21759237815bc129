import type { MemOperand, Place, VectorBuilder, XmmOperand } from './ir.ts';
import type { VectorOwner } from './vector-owner.ts';

/** Vector instructions to flat operations. */
export class IrVectorBuilder implements VectorBuilder {
  constructor(readonly owner: VectorOwner) {}

  move(_dst: XmmOperand | MemOperand, _src: XmmOperand | MemOperand, _aligned: boolean): void {
    this.owner.undefined('unsupported');
  }

  moveLow(_size: 4 | 8, _dst: XmmOperand | Place, _src: XmmOperand | Place): void {
    this.owner.undefined('unsupported');
  }

  binary(): boolean {
    return false;
  }

  mixed(): boolean {
    return false;
  }
}
