/** Which flags an instruction leaves undefined, writes and reads, by the SDM; for comparing with real processors. */
import { type Instruction, Operand } from '../../../src/cpu/x86/decode.ts';
import { RowFlag } from '../../../src/cpu/x86/opcode-row.ts';
import { mnemonicName } from '../../../src/cpu/x86/table.ts';

const CF = 0x1;
const PF = 0x4;
const AF = 0x10;
export const ZF = 0x40;
const SF = 0x80;
const OF = 0x800;
export const DF = 0x400;
export const STATUS = CF | PF | AF | ZF | SF | OF;

/** The shift count when it is known, else undefined. */
function countOf(insn: Instruction, rcx: bigint | undefined): number | undefined {
  const last = insn.count - 1;
  const mask = insn.size[0] === 8 ? 63 : 31;
  if (insn.kind[last] === Operand.Imm) return insn.imm & mask;
  return rcx === undefined ? undefined : Number(rcx & BigInt(mask));
}

function shiftUndefined(insn: Instruction, count: number | undefined, rotate: boolean): number {
  if (count === 0) return 0;
  let flags = rotate ? 0 : AF;
  if (count !== 1) flags |= OF;
  // A shift out of everything leaves CF undefined; rotates of narrow operands are taken modulo.
  if (!rotate && (count === undefined || count >= insn.size[0] * 8)) flags |= CF;
  return flags;
}

/** Flags undefined after the instruction; `rcx` the value before it, when known. */
export function undefinedFlags(insn: Instruction, rcx?: bigint): number {
  if (insn.flags & RowFlag.Simd) return 0;
  switch (mnemonicName(insn.mnemonic)) {
    case 'and':
    case 'or':
    case 'xor':
    case 'test':
      return AF;
    case 'andn':
    case 'bzhi':
    case 'blsr':
    case 'blsi':
    case 'blsmsk':
      return AF | PF;
    case 'bextr':
      return AF | SF | PF;
    case 'shl':
    case 'shr':
    case 'sar':
      return shiftUndefined(insn, countOf(insn, rcx), false);
    case 'rol':
    case 'ror':
    case 'rcl':
    case 'rcr':
      return shiftUndefined(insn, countOf(insn, rcx), true);
    case 'shld':
    case 'shrd':
      return shiftUndefined(insn, countOf(insn, rcx), false);
    case 'mul':
    case 'imul':
      return SF | ZF | AF | PF;
    case 'div':
    case 'idiv':
      return STATUS;
    case 'bt':
    case 'bts':
    case 'btr':
    case 'btc':
      // Intel leaves ZF alone, AMD calls it undefined (APM vol. 3, BT).
      return OF | SF | ZF | AF | PF;
    case 'bsf':
    case 'bsr':
      return CF | OF | SF | AF | PF;
    case 'tzcnt':
    case 'lzcnt':
      return OF | SF | PF | AF;
    case 'aaa':
    case 'aas':
      return OF | SF | ZF | PF;
    case 'daa':
    case 'das':
      return OF;
    case 'aam':
    case 'aad':
      return OF | AF | CF;
    default:
      return 0;
  }
}

/** Flags the instruction certainly overwrites with defined values. */
export function definedFlags(insn: Instruction): number {
  if (insn.flags & RowFlag.Simd) return 0;
  const name = mnemonicName(insn.mnemonic);
  if (/^(add|adc|sub|sbb|cmp|neg|xadd|cmpxchg|popcnt)$/.test(name)) return STATUS;
  if (/^(and|or|xor|test|andn|blsr|blsi|blsmsk|bzhi)$/.test(name)) return STATUS & ~undefinedFlags(insn);
  if (/^(inc|dec)$/.test(name)) return STATUS & ~CF;
  if (/^(bt[src]?|clc|stc)$/.test(name)) return CF;
  if (/^(mul|imul)$/.test(name)) return CF | OF;
  if (/^(bs[fr])$/.test(name)) return ZF;
  if (/^([lt]zcnt)$/.test(name)) return ZF | CF;
  if (/^(aaa|aas)$/.test(name)) return AF | CF;
  if (/^(daa|das)$/.test(name)) return STATUS & ~OF;
  if (/^(aam|aad)$/.test(name)) return ZF | SF | PF;
  return 0;
}

/** True when the instruction's result depends on status flags. */
export function readsFlags(insn: Instruction): boolean {
  if (insn.flags & RowFlag.Simd) return false;
  return (
    insn.condition >= 0 ||
    /^(adc|sbb|rc[lr]|ad[co]x|cmc|lahf|pushf|loopn?e|aaa|aas|daa|das)$/.test(mnemonicName(insn.mnemonic))
  );
}
