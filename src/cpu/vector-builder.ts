/** Vector instructions to flat operations: moves and bitwise logic as operations, the rest by the vector helper. */
import type { MoveBuilder } from './builder-moves.ts';
import { byteOf } from './emit.ts';
import { BuiltinHelper } from './helper-ids.ts';
import { type MemOperand, type Place, Reg, reg, type VectorBuilder, type XmmOperand, xmm } from './ir.ts';
import { hasOpcode, opcode } from './ops/table.ts';
import { packVectorCall, vectorOperation } from './vector-helpers.ts';
import { arrangement } from './vector-immediate.ts';
import { isAes, writeAesTables } from './wide.ts';

/** The builder's own temporary vector register (16 is the decoder's). */
const TEMP = xmm(17);
/** Nothing ever writes this one. */
const ZEROS = 18;
/** Bits of a lane of the shifts. */
const SHIFT_BITS: Readonly<Record<string, number>> = { w: 16, d: 32, q: 64 };
const S1 = reg(Reg.S1);
const HALF = 8;

/** Names that mean one of the four bitwise operations. */
const BITWISE: Readonly<Record<string, string>> = {
  pand: 'v.pand',
  andps: 'v.pand',
  andpd: 'v.pand',
  por: 'v.por',
  orps: 'v.por',
  orpd: 'v.por',
  pxor: 'v.pxor',
  xorps: 'v.pxor',
  xorpd: 'v.pxor',
  pandn: 'v.pandn',
  andnps: 'v.pandn',
  andnpd: 'v.pandn',
};

/** Bytes a mixed instruction reads from memory, where that is not its general register's width. */
const MEMORY_WIDTH: Readonly<Record<string, number>> = {
  cvtss2si: 4,
  cvttss2si: 4,
  cvtsd2si: 8,
  cvttsd2si: 8,
  comiss: 4,
  ucomiss: 4,
  comisd: 8,
  ucomisd: 8,
  ptest: 16,
  pinsrb: 1,
  pinsrw: 2,
};

/** Bytes of a lane of the instructions that move one. */
const LANE_SIZES: Readonly<Record<string, 1 | 2 | 4 | 8>> = {
  pextrb: 1,
  pextrw: 2,
  pextrd: 4,
  extractps: 4,
  pextrq: 8,
  pinsrb: 1,
  pinsrw: 2,
  pinsrd: 4,
  pinsrq: 8,
};
/** Their operands need not be aligned. */
const COMPARES_TEXT = /^pcmp[ei]str[im]$/;
const SHIFT = /^ps(ll|rl|ra)[wdq]$/;

export class IrVectorBuilder implements VectorBuilder {
  constructor(readonly owner: MoveBuilder) {}

  #plain(name: string, d: number, a: number): void {
    this.owner.emit.plain(opcode(name), { d, a });
  }

  move(dst: XmmOperand | MemOperand, src: XmmOperand | MemOperand, aligned: boolean): void {
    if (dst.kind === 'mem') {
      if (aligned) this.owner.access('v.align', '16', 0, dst);
      this.owner.access('v.st', '16', (src as XmmOperand).reg, dst);
    } else if (src.kind === 'mem') {
      if (aligned) this.owner.access('v.align', '16', 0, src);
      this.owner.access('v.ld', '16', dst.reg, src);
    } else this.#plain('v.mov', dst.reg, src.reg);
  }

  moveLow(
    size: 4 | 8,
    dst: XmmOperand | Place,
    src: XmmOperand | Place,
    options: { merge?: boolean; dstHigh?: boolean; srcHigh?: boolean } = {},
  ): void {
    const { merge = false, dstHigh = false, srcHigh = false } = options;
    if (dst.kind !== 'xmm') this.#fromVector(size, dst, src as XmmOperand, srcHigh);
    else if (src.kind === 'mem') {
      if (merge) this.owner.access('v.ldhalf', dstHigh ? '8' : '0', dst.reg, src);
      else this.owner.access('v.ldlow', `${size}`, dst.reg, src);
    } else if (src.kind === 'reg') this.#plain(`v.set.${size}`, dst.reg, byteOf(src.reg));
    else if (!merge) this.#plain('v.low8', dst.reg, src.reg);
    else if (size === 4) this.#plain('v.merge4', dst.reg, src.reg);
    else this.#plain(`v.half.${dstHigh ? HALF : 0}.${srcHigh ? HALF : 0}`, dst.reg, src.reg);
  }

  #fromVector(size: 4 | 8, dst: Place, src: XmmOperand, high: boolean): void {
    if (dst.kind === 'reg') this.#plain(`v.get.${size}`, byteOf(dst.reg), src.reg);
    else if (size === 4) this.owner.access('v.stlow', '4', src.reg, dst);
    else this.owner.access('v.sthalf', high ? '8' : '0', src.reg, dst);
  }

  binary(name: string, dst: XmmOperand, src: XmmOperand | MemOperand, immediate?: number): boolean {
    const bitwise = BITWISE[name];
    if (bitwise === undefined && vectorOperation(name) === undefined && !hasOpcode(`v.${name}`)) return false;
    if (isAes(name)) writeAesTables(this.owner.emit.data);
    const from = this.#loaded(name, src);
    if (bitwise !== undefined) this.#plain(bitwise, dst.reg, from.reg);
    else if (immediate === undefined) this.#inline(name, dst.reg, from.reg);
    else if (!this.#byImmediate(name, dst.reg, from.reg, immediate & 0xff))
      this.#call(name, dst.reg, from.reg, immediate, Reg.ZERO, 8);
    return true;
  }

  /** As an operation where there is one; its payload is the helper's call, for what it leaves to that. */
  #inline(name: string, d: number, a: number): void {
    const own = SHIFT.test(name) ? `v.${name}.v` : `v.${name}`;
    if (!hasOpcode(own)) this.#call(name, d, a, undefined, Reg.ZERO, 8);
    else {
      const imm = packVectorCall(name, d, a, 0);
      // The third operand of the variable blends is always the first register.
      this.owner.emit.visible(opcode(own), { d, a, b: 0, aux: BuiltinHelper.VECTOR, imm });
    }
  }

  #byImmediate(name: string, d: number, a: number, immediate: number): boolean {
    const { emit } = this.owner;
    if (hasOpcode(`v.${name}`)) {
      emit.plain(opcode(`v.${name}`), { d, a, imm32: immediate });
      return true;
    }
    if (SHIFT.test(name)) {
      const bits = SHIFT_BITS[name[4]];
      const arithmetic = name[3] === 'a';
      if (immediate >= bits && !arithmetic) this.#plain('v.mov', d, ZEROS);
      else emit.plain(opcode(`v.${name}.i`), { d, a: d, imm32: Math.min(immediate, bits - 1) });
      return true;
    }
    const compare = `v.${name}.${immediate & 7}`;
    if (name.startsWith('cmp') && hasOpcode(compare)) {
      const imm = packVectorCall(name, d, a, immediate);
      emit.visible(opcode(compare), { d, a, aux: BuiltinHelper.VECTOR, imm });
      return true;
    }
    const arranged = arrangement(name, immediate);
    if (arranged === undefined) return false;
    if (arranged.kind === 'align') {
      const registers = { d, zero: ZEROS, a };
      const [low, high] = [registers[arranged.low], registers[arranged.high]];
      emit.plain(opcode('v.align'), { d, a: low, b: high, imm32: arranged.at });
    } else emit.plain(opcode(`v.${arranged.kind}`), { d, a, imm: arranged.control });
    return true;
  }

  /** A 16-byte operand of SSE arithmetic has to be aligned; those of SHA are taken as they come. */
  #loaded(name: string, src: XmmOperand | MemOperand): XmmOperand {
    if (src.kind === 'mem') this.move(TEMP, src, !name.startsWith('sha'));
    return src.kind === 'mem' ? TEMP : src;
  }

  mixed(name: string, size: 4 | 8, dst: XmmOperand | Place, src: XmmOperand | Place, immediate = 0): boolean {
    if (vectorOperation(name) === undefined) return false;
    if (this.#lane(name, size, dst, src, immediate) || this.#mixedInline(name, size, dst, src)) return true;
    if (dst.kind === 'mem') {
      this.#call(name, 0, (src as XmmOperand).reg, immediate, Reg.S1, size);
      this.owner.mov(size, dst, S1);
      return true;
    }
    const [vector, general] = this.#sources(name, size, src);
    // One general register at most takes part: the destination, or the source.
    if (COMPARES_TEXT.test(name)) {
      this.#call(name, (dst as XmmOperand).reg, vector, immediate, Reg.RCX, size);
      return true;
    }
    if (dst.kind === 'reg') this.#call(name, 0, vector, immediate, dst.reg, size);
    else this.#call(name, dst.reg, vector, immediate, general, size);
    return true;
  }

  /** pextr, pinsr: one lane to or from a general register or memory. */
  #lane(
    name: string,
    size: 4 | 8,
    dst: XmmOperand | Place,
    src: XmmOperand | Place,
    immediate: number,
  ): boolean {
    const lane = LANE_SIZES[name];
    if (lane === undefined) return false;
    const imm32 = (immediate & (16 / lane - 1)) * lane;
    const { emit } = this.owner;
    if (dst.kind === 'xmm') {
      const [, general] = this.#sources(name, size, src);
      emit.plain(opcode(`v.pinsr.${lane}`), { d: dst.reg, a: byteOf(general), imm32 });
      return true;
    }
    const vector = (src as XmmOperand).reg;
    const to = dst.kind === 'reg' ? dst.reg : Reg.S1;
    emit.plain(opcode(`v.pextr.${lane}`), { d: byteOf(to), a: vector, imm32 });
    if (dst.kind === 'mem') this.owner.mov(lane, dst, S1);
    return true;
  }

  #mixedInline(name: string, size: 4 | 8, dst: XmmOperand | Place, src: XmmOperand | Place): boolean {
    const plain = `v.${name === 'ucomiss' || name === 'ucomisd' ? name.slice(1) : name}`;
    const own = hasOpcode(plain) ? plain : `${plain}.${size}`;
    if (dst.kind === 'mem' || !hasOpcode(own)) return false;
    const [vector, general] = this.#sources(name, size, src);
    const { emit } = this.owner;
    const aux = BuiltinHelper.VECTOR;
    if (dst.kind === 'reg') {
      const imm = packVectorCall(name, 0, vector, 0, dst.reg, size);
      emit.visible(opcode(own), { d: byteOf(dst.reg), a: vector, aux, imm });
    } else if (name.startsWith('cvtsi')) {
      const imm = packVectorCall(name, dst.reg, 0, 0, general, size);
      emit.visible(opcode(own), { d: dst.reg, a: byteOf(general), aux, imm });
    } else {
      const imm = packVectorCall(name, dst.reg, vector, 0);
      emit.flags(opcode(own), { d: dst.reg, a: vector, aux, imm }, 'unknown', true);
    }
    return true;
  }

  /** The source as vector register and general register; only one of them is meant. */
  #sources(name: string, size: 4 | 8, src: XmmOperand | Place): [vector: number, general: number] {
    if (src.kind === 'xmm') return [src.reg, Reg.ZERO];
    if (src.kind === 'reg') return [0, src.reg];
    const text = COMPARES_TEXT.test(name);
    const width = text ? 16 : (MEMORY_WIDTH[name] ?? size);
    if (width === 16) this.move(TEMP, src, !text);
    else if (width < 4) this.owner.movzx(8, width as 1 | 2, S1, src);
    else if (/^(pinsr|cvtsi)/.test(name)) this.owner.mov(width as 4 | 8, S1, src);
    else this.moveLow(width as 4 | 8, TEMP, src);
    return [TEMP.reg, Reg.S1];
  }

  #call(
    name: string,
    dst: number,
    src: number,
    immediate: number | undefined,
    general: number,
    size: number,
  ): void {
    const imm = packVectorCall(name, dst, src, immediate ?? 0, general, size);
    // Shifts exist with and without an immediate: scale tells which.
    const scale = immediate === undefined ? 0 : 1;
    this.owner.builtin(BuiltinHelper.VECTOR, { scale, imm });
  }
}
