/** Vector instructions to flat operations: moves and bitwise logic as operations, the rest by the vector helper. */
import type { MoveBuilder } from './builder-moves.ts';
import { byteOf } from './emit.ts';
import { BuiltinHelper } from './helper-ids.ts';
import { type MemOperand, type Place, Reg, reg, type VectorBuilder, type XmmOperand, xmm } from './ir.ts';
import { opcode } from './ops/table.ts';
import { packVectorCall, vectorOperation } from './vector-helpers.ts';

/** The builder's own temporary vector register (16 is the decoder's). */
const TEMP = xmm(17);
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

/** Bytes a pextr instruction writes to memory. */
const EXTRACT_WIDTH: Readonly<Record<string, 1 | 2 | 4>> = { pextrb: 1, pextrw: 2, extractps: 4 };

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
    if (bitwise === undefined && vectorOperation(name) === undefined) return false;
    const from = this.#loaded(name, src);
    if (bitwise !== undefined) this.#plain(bitwise, dst.reg, from.reg);
    else this.#call(name, dst.reg, from.reg, immediate, Reg.ZERO, 8);
    return true;
  }

  /** A 16-byte operand of SSE arithmetic has to be aligned. */
  #loaded(name: string, src: XmmOperand | MemOperand): XmmOperand {
    if (src.kind === 'mem') this.move(TEMP, src, name !== 'lddqu');
    return src.kind === 'mem' ? TEMP : src;
  }

  mixed(name: string, size: 4 | 8, dst: XmmOperand | Place, src: XmmOperand | Place, immediate = 0): boolean {
    if (vectorOperation(name) === undefined) return false;
    if (dst.kind === 'mem') {
      this.#call(name, 0, (src as XmmOperand).reg, immediate, Reg.S1, size);
      this.owner.mov(EXTRACT_WIDTH[name] ?? size, dst, S1);
      return true;
    }
    const [vector, general] = this.#sources(name, size, src);
    // One general register at most takes part: the destination, or the source.
    if (dst.kind === 'reg') this.#call(name, 0, vector, immediate, dst.reg, size);
    else this.#call(name, dst.reg, vector, immediate, general, size);
    return true;
  }

  /** The source as vector register and general register; only one of them is meant. */
  #sources(name: string, size: 4 | 8, src: XmmOperand | Place): [vector: number, general: number] {
    if (src.kind === 'xmm') return [src.reg, Reg.ZERO];
    if (src.kind === 'reg') return [0, src.reg];
    const width = MEMORY_WIDTH[name] ?? size;
    if (width === 16) this.move(TEMP, src, true);
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
    const imm = packVectorCall(name, dst, src, immediate ?? 0);
    // Shifts exist with and without an immediate: scale tells which.
    const scale = immediate === undefined ? 0 : 1;
    this.owner.builtin(BuiltinHelper.VECTOR, { d: size, a: byteOf(general), scale, imm });
  }
}
