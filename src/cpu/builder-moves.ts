/** The builder's ground: blocks, operands, moves, the stack. */
import type { Address } from '../memory/address.ts';
import { byteOf, Emitter, type Fields } from './emit.ts';
import {
  type MemOperand,
  mem,
  type Operand,
  type Place,
  Reg,
  type RegOperand,
  reg,
  type Size,
} from './ir.ts';
import { opcode } from './ops/table.ts';

/** Where a memory operand is after odd addressing has been taken apart. */
interface Location {
  readonly a: number;
  readonly x: number;
  readonly scale: number;
  readonly disp: number | bigint;
}
const codes = new Map<string, number>();

/** Number of an operation by name; building the name again each time costs less than a search. */
export function code(name: string): number {
  let number = codes.get(name);
  if (number === undefined) {
    number = opcode(name);
    codes.set(name, number);
  }
  return number;
}

export const S0 = reg(Reg.S0);
export const S1 = reg(Reg.S1);
const RAX = reg(Reg.RAX);
const pageOf = (at: Address): number => Math.floor(at / 4096);
const fitsInt32 = (value: number | bigint): boolean => Number(value) === (Number(value) | 0);
/** What the block cache lets a builder do. */
export interface BlockLimits {
  readonly instructions: number;
  /** First byte after the room for operations. */
  readonly end: number;
  /** Execution must stop before these addresses. */
  stopsAt(pc: Address): boolean;
}

/** One instruction's operations, and what finishing the block may add, fit in this. */
const RESERVE = 64 * 24;
export class MoveBuilder {
  readonly emit: Emitter;
  ended = false;
  /** First address after the last instruction begun. */
  next: Address = 0;
  protected pc: Address = 0;
  protected first = 0;
  #start: Address = 0;
  #begun = 0;
  #limits!: BlockLimits;

  /** Bytes of an address, and of what a push moves. */
  protected readonly word: 4 | 8;

  constructor(buffer: ArrayBuffer, bits: 32 | 64 = 64) {
    this.emit = new Emitter(buffer);
    this.word = bits === 64 ? 8 : 4;
  }

  /** Begins a block at `pc` whose operations go to offset `at`. */
  start(pc: Address, at: number, limits: BlockLimits): void {
    this.emit.start(at);
    this.ended = false;
    this.first = at;
    this.#start = this.next = pc;
    this.#begun = 0;
    this.#limits = limits;
  }

  /** Instructions described so far. */
  get instructions(): number {
    return this.#begun;
  }

  begin(pc: Address, length: number): boolean {
    const first = this.#begun === 0;
    const leftPage = pageOf(pc) !== pageOf(this.#start);
    const room = this.emit.at + RESERVE + (this.emit.exits.length + 2) * 24 <= this.#limits.end;
    if (
      !first &&
      (leftPage || !room || this.#begun >= this.#limits.instructions || this.#limits.stopsAt(pc))
    ) {
      this.fallThrough();
      return false;
    }
    this.emit.count = this.#begun++;
    this.emit.offset = pc - this.#start;
    this.pc = pc;
    this.next = pc + length;
    return true;
  }

  /** Ends the block before the instruction at {@link next}. */
  fallThrough(): void {
    this.emit.count = this.#begun;
    this.emit.exit(code('goto'), {}, this.next, pageOf(this.next) === pageOf(this.#start));
    this.ended = true;
  }

  /**
   * The budget is looked at where execution goes back or to another page, so that both engines stop at the same
   * places: a branch forward in its own page is free.
   */
  protected isFree(target: Address): boolean {
    return target > this.pc && pageOf(target) === pageOf(this.pc);
  }

  // ---- operands ----

  /** Takes apart what no operation does at once; may use S0. */
  protected locate(m: MemOperand): Location {
    let { base, index, scale, disp } = m;
    if (m.addressSize < this.word) {
      this.lea(4, S0, m);
      base = Reg.S0;
      index = Reg.ZERO;
      disp = 0;
    }
    if (m.segment !== Reg.ZERO) {
      if (index === Reg.ZERO) [index, scale] = [base, 0];
      else if (base !== Reg.ZERO) {
        this.lea(8, S0, { ...m, base, index, scale, disp, addressSize: 8 });
        [index, scale, disp] = [Reg.S0, 0, 0];
      }
      base = m.segment;
    }
    return { a: byteOf(base), x: byteOf(index), scale, disp };
  }

  /** For operations that take a base and a 64-bit displacement. */
  based(m: MemOperand): Fields {
    const { a, x, scale, disp } = this.locate(m);
    if (x === byteOf(Reg.ZERO)) return { a, imm: disp };
    this.emit.plain(code('lea.x.8'), { d: byteOf(Reg.S0), a, x, scale, imm: disp });
    return { a: byteOf(Reg.S0), imm: 0 };
  }

  /** For operations that take a base, a 32-bit displacement and a 32-bit immediate. */
  protected withImmediate(m: MemOperand, value: number | bigint): Fields {
    const { a, x, scale, disp } = this.locate(m);
    const imm32 = Number(BigInt.asIntN(32, BigInt(value)));
    if (x === byteOf(Reg.ZERO) && fitsInt32(disp)) return { a, disp32: Number(disp), imm32 };
    this.emit.plain(code('lea.x.8'), { d: byteOf(Reg.S0), a, x, scale, imm: disp });
    return { a: byteOf(Reg.S0), disp32: 0, imm32 };
  }

  /** A load or store in its form for the address. */
  access(name: string, suffix: string, d: number, m: MemOperand): void {
    const { a, x, scale, disp } = this.locate(m);
    const form = x === byteOf(Reg.ZERO) ? 'b' : 'x';
    this.emit.visible(code(`${name}.${form}.${suffix}`), { d, a, x, scale, imm: disp });
  }

  /** The operand in a register: itself, or loaded or set into `scratch`. */
  toRegister(size: Size, operand: Operand, scratch: RegOperand): RegOperand {
    if (operand.kind === 'reg') return operand;
    this.mov(size, scratch, operand);
    return scratch;
  }

  /**
   * Changes memory by way of a register form: the address and the right to write are settled first, so
   * that nothing has changed if it faults.
   */
  protected throughRegister(size: Size, m: MemOperand, change: (value: RegOperand) => void): void {
    const location = this.locate(m);
    const at = {
      kind: 'mem',
      base: Reg.S0,
      index: Reg.ZERO,
      scale: 0,
      disp: 0,
      segment: Reg.ZERO,
      addressSize: 8,
    } as const;
    this.emit.plain(code('lea.x.8'), {
      d: byteOf(Reg.S0),
      a: location.a,
      x: location.x,
      scale: location.scale,
      imm: location.disp,
    });
    this.emit.visible(code(`probe.${size}`), { a: byteOf(Reg.S0), imm: 0 });
    this.access('ld', `${size}`, byteOf(Reg.S2), at);
    change(reg(Reg.S2));
    this.access('st', `${size}`, byteOf(Reg.S2), at);
  }

  protected place(size: Size, dst: Place, change: (value: RegOperand) => void): void {
    if (dst.kind === 'reg') change(dst);
    else this.throughRegister(size, dst, change);
  }

  // ---- moves ----

  mov(size: Size, dst: Place, src: Operand): void {
    if (dst.kind === 'reg') {
      const d = byteOf(dst.reg, dst.high);
      if (src.kind === 'reg') this.emit.plain(code(`mov.rr.${size}`), { d, a: byteOf(src.reg, src.high) });
      else if (src.kind === 'imm') this.emit.plain(code(`mov.ri.${size}`), { d, imm: src.value });
      else this.access('ld', `${size}`, d, src);
    } else if (src.kind === 'imm') {
      this.emit.visible(code(`st.imm.${size}`), this.withImmediate(dst, src.value));
    } else if (src.kind === 'reg') this.access('st', `${size}`, byteOf(src.reg, src.high), dst);
    else throw new Error('mov with two memory operands');
  }

  movzx(dstSize: Size, srcSize: Size, dst: RegOperand, src: Place): void {
    if (dstSize === 2) {
      this.movzx(4, srcSize, S1, src);
      this.mov(2, dst, S1);
    } else if (srcSize === 4) this.mov(4, dst, src);
    else if (src.kind === 'mem') this.access('ldzx', `${srcSize}`, byteOf(dst.reg), src);
    else this.emit.plain(code(`zx.${srcSize}`), { d: byteOf(dst.reg), a: byteOf(src.reg, src.high) });
  }

  movsx(dstSize: Size, srcSize: Size, dst: RegOperand, src: Place): void {
    if (dstSize === 2) {
      this.movsx(4, srcSize, S1, src);
      this.mov(2, dst, S1);
    } else if (dstSize === srcSize) this.mov(dstSize, dst, src);
    else if (src.kind === 'mem') this.access('ldsx', `${srcSize}.${dstSize}`, byteOf(dst.reg), src);
    else
      this.emit.plain(code(`sx.${srcSize}.${dstSize}`), { d: byteOf(dst.reg), a: byteOf(src.reg, src.high) });
  }

  signToDx(size: Size): void {
    if (size === 8) {
      this.mov(8, reg(Reg.RDX), RAX);
      this.quietShift('sar', 8, reg(Reg.RDX), 63);
      return;
    }
    this.movsx(4, size, S1, RAX);
    this.quietShift('sar', 4, S1, 31);
    this.mov(size, reg(Reg.RDX), S1);
  }

  protected quietShift(op: 'sar' | 'shl' | 'shr' | 'ror', size: 4 | 8, dst: RegOperand, count: number): void {
    this.emit.plain(code(`${op}.i.${size}.q`), { d: byteOf(dst.reg), imm: count });
  }

  lea(size: Size, dst: RegOperand, src: MemOperand): void {
    const { base, index, scale, disp } = src;
    const width = src.addressSize < 8 || size === 4 ? 4 : 8;
    const target = size === 2 ? S1 : dst;
    const fields = { d: byteOf(target.reg), a: byteOf(base), x: byteOf(index), scale, imm: disp };
    this.emit.plain(code(`lea.${index === Reg.ZERO ? 'b' : 'x'}.${width}`), fields);
    if (src.addressSize === 2) this.movzx(4, 2, target, target);
    if (size === 2) this.mov(2, dst, S1);
  }

  push(size: 2 | 4 | 8, src: Operand): void {
    if (size > 2 && src.kind !== 'mem') {
      if (src.kind === 'imm') this.emit.visible(code('push.i'), { imm: src.value });
      else this.emit.visible(code('push.r'), { d: byteOf(src.reg) });
      return;
    }
    const value = this.toRegister(size, src, S1);
    if (size > 2) this.emit.visible(code('push.r'), { d: byteOf(value.reg) });
    else {
      this.access('st', '2', byteOf(value.reg), stack(-2));
      this.#moveStack(-2);
    }
  }

  pop(size: 2 | 4 | 8, dst: Place): void {
    if (size > 2 && dst.kind === 'reg') {
      this.emit.visible(code('pop.r'), { d: byteOf(dst.reg) });
      return;
    }
    this.access('ld', `${size}`, byteOf(Reg.S1), stack(0));
    if (dst.kind === 'reg') {
      this.#moveStack(size);
      this.mov(size, dst, S1);
      return;
    }
    // An address based on rsp uses the value after the pop (SDM volume 2, POP).
    const moved = dst.base === Reg.RSP ? { ...dst, disp: Number(dst.disp) + size } : dst;
    this.access('st', `${size}`, byteOf(Reg.S1), moved);
    this.#moveStack(size);
  }

  #moveStack(by: number): void {
    this.lea(8, reg(Reg.RSP), stack(by));
  }

  leave(): void {
    this.emit.visible(code('leave'), {});
  }

  bswap(size: Size, dst: RegOperand): void {
    this.emit.plain(code(`bswap.${size}`), { d: byteOf(dst.reg), a: byteOf(dst.reg) });
  }

  /** A helper of the builder's own. */
  builtin(id: number, fields: Fields): void {
    this.emit.known = 'unknown';
    this.emit.visible(code('helper'), { ...fields, aux: id, x: this.next - this.pc });
  }
}

const stack = (disp: number): MemOperand => mem(Reg.RSP, disp);
