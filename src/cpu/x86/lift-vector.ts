/** XMM moves, and what the builder knows of SSE arithmetic; AVX is refused by name. */
import type { BlockBuilder } from '../ir.ts';
import { xmm } from '../ir.ts';
import { type Instruction, Operand } from './decode.ts';
import type { Lifter, Lifters } from './lift-integer.ts';
import { emptyMmx, maskedVectorStore, mmxLifter, usesMmx } from './lift-mmx.ts';
import { memoryOperand, mixedPlace, TEMP0, vectorPlace } from './operands.ts';

/** Whole-register moves; the aligned ones fault on a misaligned address. */
function whole(aligned: boolean): Lifter {
  return (b, i) => b.vector.move(vectorPlace(i, 0), vectorPlace(i, 1), aligned);
}

/** movss and movsd: between registers the rest of the destination stays, a load clears it. */
function scalar(size: 4 | 8): Lifter {
  return (b, i) => {
    const merge = i.kind[0] === Operand.Xmm && i.kind[1] === Operand.Xmm;
    b.vector.moveLow(size, mixedPlace(i, 0), mixedPlace(i, 1), { merge });
  };
}

/** movd and movq between the low part of a vector register and elsewhere. */
function low(b: BlockBuilder, i: Instruction): void {
  const size = i.kind[0] === Operand.Xmm ? i.size[1] : i.size[0];
  b.vector.moveLow(size === 4 ? 4 : 8, mixedPlace(i, 0), mixedPlace(i, 1));
}

/** The halves: movlps and movhps, with memory or as movhlps and movlhps. */
function half(dstHigh: boolean, srcHigh: boolean): Lifter {
  return (b, i) => {
    const toMemory = i.kind[0] === Operand.Mem;
    const options = toMemory ? { srcHigh: dstHigh } : { merge: true, dstHigh, srcHigh };
    b.vector.moveLow(8, mixedPlace(i, 0), mixedPlace(i, 1), options);
  };
}

const moves: Lifters = {
  movups: whole(false),
  movupd: whole(false),
  movdqu: whole(false),
  lddqu: whole(false),
  movaps: whole(true),
  movapd: whole(true),
  movdqa: whole(true),
  movntdq: whole(true),
  movntdqa: whole(true),
  movntps: whole(true),
  movntpd: whole(true),
  movss: scalar(4),
  movsd: scalar(8),
  movd: low,
  movq: low,
  movlps: half(false, false),
  movlpd: half(false, false),
  movhps: half(true, false),
  movhpd: half(true, false),
  movlhps: half(true, false),
  movhlps: half(false, true),
};

/** Instructions between vector registers and general registers, memory or flags. */
const MIXED =
  /^(cvtt?s[sd]2si|cvtsi2s[sd]|u?comis[sd]|pmovmskb|movmskp[sd]|pextr[bwdq]|pinsr[bwdq]|extractps|ptest|pcmp[ei]str[im])$/;

/** Width of the general register of a mixed instruction, or of its memory operand. */
function generalSize(i: Instruction): 4 | 8 {
  // The lengths of explicit texts.
  if (i.kind[0] === Operand.Xmm && i.kind[2] === Operand.Imm && i.size[1] === 16) return i.rex & 8 ? 8 : 4;
  for (let n = 0; n < i.count; n++) {
    if (i.kind[n] === Operand.Reg) return i.size[n] === 8 ? 8 : 4;
  }
  for (let n = 0; n < 2; n++) if (i.kind[n] === Operand.Mem) return i.size[n] === 8 ? 8 : 4;
  return 4;
}

/** The lifter of any other SSE instruction: asks the builder, refuses by name when it does not know. */
export function vectorLifter(name: string): Lifter {
  if (name === 'emms') return emptyMmx;
  if (name === 'maskmovdqu') return maskedVectorStore;
  const plain = moves[name] ?? arithmetic(name);
  const short = mmxLifter(name);
  // Their memory operand is one of MMX too.
  const always = /^cvtpi2p[sd]$/.test(name);
  return (b, i) => (always || usesMmx(i) ? short(b, i) : plain(b, i));
}

function arithmetic(name: string): Lifter {
  const mixed = MIXED.test(name);
  return (b, i) => {
    const known = i.count >= 2 && (mixed ? liftMixed(name, b, i) : liftBinary(name, b, i));
    if (!known) b.undefined('unsupported');
  };
}

function immediateOf(i: Instruction): number | undefined {
  return i.kind[i.count - 1] === Operand.Imm ? i.imm : undefined;
}

function liftMixed(name: string, b: BlockBuilder, i: Instruction): boolean {
  return b.vector.mixed(name, generalSize(i), mixedPlace(i, 0), mixedPlace(i, 1), immediateOf(i));
}

/** Scratch vector register of decoders (the builder's numbering). */
const SCRATCH = xmm(16);

function liftBinary(name: string, b: BlockBuilder, i: Instruction): boolean {
  const dst = xmm(i.reg[0]);
  // What insertps takes from memory is one lane.
  const lane = name === 'insertps' && i.kind[1] === Operand.Mem;
  const immediate = lane ? i.imm & 0x3f : immediateOf(i);
  if (i.kind[1] === Operand.Imm) return b.vector.binary(name, dst, dst, i.imm);
  if (i.kind[1] !== Operand.Mem) return b.vector.binary(name, dst, xmm(i.reg[1]), immediate);
  if (i.size[1] === 16) return b.vector.binary(name, dst, memoryOperand(i), immediate);
  // A memory source reads only as many bytes as the instruction uses.
  if (i.size[1] === 2) {
    b.movzx(8, 2, TEMP0, memoryOperand(i));
    b.vector.moveLow(4, SCRATCH, TEMP0);
  } else b.vector.moveLow(i.size[1] === 4 ? 4 : 8, SCRATCH, memoryOperand(i));
  return b.vector.binary(name, dst, SCRATCH, immediate);
}
