/** x87 instructions: the address of the operand, and the instruction's own bytes, for the coprocessor in TypeScript. */
import { Helper } from '../ir.ts';
import { addressToTemp, type Lifter } from './lift-integer.ts';
import { TEMP0 } from './operands.ts';

/** d9 between registers: what there is beside fld and fxch, below f0, from where on all are instructions. */
const D9 = new Set([0xd0, 0xe0, 0xe1, 0xe4, 0xe5, 0xe8, 0xe9, 0xea, 0xeb, 0xec, 0xed, 0xee]);

function isKnown(opcode: number, modrm: number): boolean {
  const row = (modrm >> 3) & 7;
  if (modrm < 0xc0) {
    if (opcode === 0xd9) return row !== 1;
    if (opcode === 0xdb) return row !== 4 && row !== 6;
    return opcode !== 0xdd || row !== 5;
  }
  switch (opcode) {
    case 0xd9:
      return row < 2 || modrm >= 0xf0 || D9.has(modrm);
    case 0xda:
      return row < 4 || modrm === 0xe9;
    case 0xdb:
      return row < 4 || modrm === 0xe2 || modrm === 0xe3 || row === 5 || row === 6;
    case 0xdd:
      return row !== 1 && row < 6;
    case 0xde:
      return row !== 2 && (row !== 3 || modrm === 0xd9);
    case 0xdf:
      return modrm === 0xe0 || row === 5 || row === 6;
    default:
      return true;
  }
}

export const coprocessorLifter: Lifter = (b, i) => {
  if (!isKnown(i.opcode, i.modrm)) {
    b.undefined('unsupported');
    return;
  }
  if (i.modrm < 0xc0) addressToTemp(b, i);
  b.helper(Helper.X87, { a: TEMP0.reg, imm: (i.opcode << 8) | i.modrm });
};
