/** The block builder: instructions as a decoder describes them, to flat operations. */
import type { Address } from '../memory/address.ts';
import { byteOf, Emitter, type Fields, type KnownFlags } from './emit.ts';
import { BuiltinHelper, ENDING_HELPERS } from './helper-ids.ts';
import {
  type AluOp,
  type BitOp,
  type BlockBuilder,
  type Bmi2Op,
  type BmiOp,
  Cond,
  Helper,
  type HelperId,
  type ImmOperand,
  type MemOperand,
  mem,
  type Operand,
  type Place,
  Reg,
  type RegOperand,
  type RepPrefix,
  reg,
  type ScanOp,
  type ShiftOp,
  type Size,
  type StringOp,
  type UnaryOp,
  type Undefined,
} from './ir.ts';
import { COMPARED, TESTED } from './ops/branch.ts';
import { hasOpcode, opcode } from './ops/table.ts';
import { FLAG } from './state.ts';
import { IrVectorBuilder } from './vector-builder.ts';

/** Where a memory operand is after odd addressing has been taken apart. */
interface Location {
  readonly a: number;
  readonly x: number;
  readonly scale: number;
  readonly disp: number | bigint;
}

const compared = new Set(COMPARED.map(([cc]) => cc));
const tested = new Set(TESTED.map(([cc]) => cc));
/** Where OF and CF are 0 these say the same as a test of the result alone. */
const LOGIC_ALIAS: Readonly<Record<number, number>> = {
  [Cond.L]: Cond.S,
  [Cond.GE]: Cond.NS,
  [Cond.BE]: Cond.E,
  [Cond.A]: Cond.NE,
};
const RESULT_ONLY: ReadonlySet<number> = new Set([Cond.E, Cond.NE, Cond.S, Cond.NS]);
const codes = new Map<string, number>();

/** Number of an operation by name; building the name again each time costs less than a search. */
function code(name: string): number {
  let number = codes.get(name);
  if (number === undefined) {
    number = opcode(name);
    codes.set(name, number);
  }
  return number;
}

/** Helpers that are an operation where nothing special is asked; `flag`: the control flag it is about. */
const FAST_HELPERS = new Map<number, { name: string; flag: number }>([
  [Helper.CLI, { name: 'flag.clear.0', flag: FLAG.IF }],
  [Helper.STI, { name: 'flag.set.0', flag: FLAG.IF }],
  [Helper.CLAC, { name: 'flag.clear.0', flag: FLAG.AC }],
  [Helper.STAC, { name: 'flag.set.0', flag: FLAG.AC }],
  [Helper.CLD, { name: 'flag.clear', flag: FLAG.DF }],
  [Helper.STD, { name: 'flag.set', flag: FLAG.DF }],
  [Helper.PUSHF, { name: 'pushf', flag: 0 }],
  [Helper.POPF, { name: 'popf', flag: 0 }],
]);

const S0 = reg(Reg.S0);
const S1 = reg(Reg.S1);
const RAX = reg(Reg.RAX);
const REASONS: Record<Undefined, number> = { 'undefined-opcode': 0, privileged: 1, unsupported: 2 };
export const UNDEFINED_REASONS = Object.keys(REASONS) as readonly Undefined[];
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

export class IrBuilder implements BlockBuilder {
  readonly emit: Emitter;
  readonly vector: IrVectorBuilder;
  ended = false;
  /** First address after the last instruction begun. */
  next: Address = 0;
  #pc: Address = 0;
  #first = 0;
  #start: Address = 0;
  #begun = 0;
  #limits!: BlockLimits;

  constructor(buffer: ArrayBuffer) {
    this.emit = new Emitter(buffer);
    this.vector = new IrVectorBuilder(this);
  }

  /** Begins a block at `pc` whose operations go to offset `at`. */
  start(pc: Address, at: number, limits: BlockLimits): void {
    this.emit.start(at);
    this.ended = false;
    this.#first = at;
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
    const leftPage = Math.floor(pc / 4096) !== Math.floor(this.#start / 4096);
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
    this.#pc = pc;
    this.next = pc + length;
    return true;
  }

  /** Ends the block before the instruction at {@link next}. */
  fallThrough(): void {
    this.emit.count = this.#begun;
    this.emit.exit(code('goto'), {}, this.next);
    this.ended = true;
  }

  // ---- operands ----

  /** Takes apart what no operation does at once; may use S0. */
  #locate(m: MemOperand): Location {
    let { base, index, scale, disp } = m;
    if (m.addressSize === 4) {
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
    const { a, x, scale, disp } = this.#locate(m);
    if (x === byteOf(Reg.ZERO)) return { a, imm: disp };
    this.emit.plain(code('lea.x.8'), { d: byteOf(Reg.S0), a, x, scale, imm: disp });
    return { a: byteOf(Reg.S0), imm: 0 };
  }

  /** For operations that take a base, a 32-bit displacement and a 32-bit immediate. */
  #withImmediate(m: MemOperand, value: number | bigint): Fields {
    const { a, x, scale, disp } = this.#locate(m);
    const imm32 = Number(BigInt.asIntN(32, BigInt(value)));
    if (x === byteOf(Reg.ZERO) && fitsInt32(disp)) return { a, disp32: Number(disp), imm32 };
    this.emit.plain(code('lea.x.8'), { d: byteOf(Reg.S0), a, x, scale, imm: disp });
    return { a: byteOf(Reg.S0), disp32: 0, imm32 };
  }

  /** A load or store in its form for the address. */
  access(name: string, suffix: string, d: number, m: MemOperand): void {
    const { a, x, scale, disp } = this.#locate(m);
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
  #throughRegister(size: Size, m: MemOperand, change: (value: RegOperand) => void): void {
    const location = this.#locate(m);
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

  #place(size: Size, dst: Place, change: (value: RegOperand) => void): void {
    if (dst.kind === 'reg') change(dst);
    else this.#throughRegister(size, dst, change);
  }

  // ---- arithmetic ----

  alu(op: AluOp, size: Size, dst: Place, src: Operand): void {
    const known: KnownFlags =
      op === 'cmp' || op === 'sub'
        ? 'sub'
        : op === 'and' || op === 'or' || op === 'xor' || op === 'test'
          ? 'logic'
          : 'result';
    const kind = op === 'sbb' ? 'unknown' : known;
    if (dst.kind === 'reg') this.#aluRegister(op, size, dst, src, kind);
    else this.#aluMemory(op, size, dst, src, kind);
  }

  #aluRegister(op: AluOp, size: Size, dst: RegOperand, src: Operand, known: KnownFlags): void {
    const d = byteOf(dst.reg, dst.high);
    if (src.kind === 'mem') {
      const name = `${op}.rm.${size}`;
      if (hasOpcode(name)) {
        this.emit.flags(code(name), { d, ...this.based(src) }, known, true);
        return;
      }
      this.mov(size, S1, src);
      this.#aluRegister(op, size, dst, S1, known);
      return;
    }
    const readsCarry = op === 'adc' || op === 'sbb';
    const fields = src.kind === 'reg' ? { d, a: byteOf(src.reg, src.high) } : { d, imm: src.value };
    const number = code(`${op}.${src.kind === 'reg' ? 'rr' : 'ri'}.${size}`);
    if (readsCarry) this.emit.partial(number, fields, known);
    else this.emit.flags(number, fields, known);
  }

  #aluMemory(op: AluOp, size: Size, dst: MemOperand, src: Operand, known: KnownFlags): void {
    const name = `${op}.${src.kind === 'imm' ? 'mi' : 'mr'}.${size}`;
    if (src.kind === 'mem') throw new Error(`${op} with two memory operands`);
    if (!hasOpcode(name)) {
      this.#throughRegister(size, dst, (value) => this.#aluRegister(op, size, value, src, known));
    } else if (src.kind === 'imm') {
      this.emit.flags(code(name), this.#withImmediate(dst, src.value), known, true);
    } else {
      this.emit.flags(code(name), { d: byteOf(src.reg, src.high), ...this.based(dst) }, known, true);
    }
  }

  unary(op: UnaryOp, size: Size, dst: Place): void {
    if (dst.kind === 'mem') {
      if (op === 'inc' || op === 'dec') {
        this.emit.visible(code(`${op}.m.${size}`), this.based(dst));
        this.emit.known = 'result';
      } else this.#throughRegister(size, dst, (value) => this.unary(op, size, value));
      return;
    }
    const d = byteOf(dst.reg, dst.high);
    const number = code(`${op}.r.${size}`);
    if (op === 'not') this.emit.plain(number, { d });
    else if (op === 'neg') this.emit.flags(number, { d }, 'sub');
    else this.emit.partial(number, { d, imm: op === 'inc' ? 1 : -1 }, 'result');
  }

  shift(op: ShiftOp, size: Size, dst: Place, count: RegOperand | ImmOperand): void {
    const masked = count.kind === 'imm' ? Number(count.value) & (size === 8 ? 63 : 31) : -1;
    if (masked === 0) {
      // Nothing changes, but a 32-bit register is still zero-extended and memory still accessed.
      if (dst.kind === 'mem') this.#throughRegister(size, dst, () => {});
      else if (size === 4) this.mov(4, dst, dst);
      return;
    }
    this.#place(size, dst, (value) => this.#shiftRegister(op, size, value, count, masked));
  }

  #shiftRegister(
    op: ShiftOp,
    size: Size,
    dst: RegOperand,
    count: RegOperand | ImmOperand,
    masked: number,
  ): void {
    const d = byteOf(dst.reg, dst.high);
    if (op === 'rcl' || op === 'rcr') {
      if (count.kind === 'imm') this.#rotateThroughCarry(op, size, d, masked);
      else {
        const aux = op === 'rcl' ? BuiltinHelper.RCL : BuiltinHelper.RCR;
        this.builtin(aux, { d: size, a: d, b: byteOf(count.reg) });
      }
      return;
    }
    const rotates = op === 'rol' || op === 'ror';
    if (count.kind === 'reg') {
      this.emit.partial(code(`${op}.r.${size}`), { d, a: byteOf(count.reg, count.high) }, 'unknown');
    } else if (rotates) this.emit.partial(code(`${op}.i.${size}`), { d, imm: masked }, 'unknown');
    else this.emit.flags(code(`${op}.i.${size}`), { d, imm: masked }, 'result');
  }

  #rotateThroughCarry(op: 'rcl' | 'rcr', size: Size, d: number, masked: number): void {
    const times = size === 8 ? masked : masked % (size * 8 + 1);
    for (let i = 0; i < times; i++) this.emit.partial(code(`${op}.1.${size}`), { d }, 'unknown');
  }

  doubleShift(
    op: 'shld' | 'shrd',
    size: Size,
    dst: Place,
    src: RegOperand,
    count: RegOperand | ImmOperand,
  ): void {
    const a = this.toRegister(1, count, S1);
    this.#place(size, dst, (value) => {
      const fields = { d: byteOf(value.reg), b: byteOf(src.reg), a: byteOf(a.reg) };
      this.emit.partial(code(`${op}.${size}`), fields, 'unknown');
    });
  }

  imul(size: Size, dst: RegOperand, a: Place, b: Operand): void {
    const left = this.toRegister(size, a, S1);
    const fields = { d: byteOf(dst.reg), a: byteOf(left.reg) };
    if (b.kind === 'imm') this.emit.flags(code(`imul.ri.${size}`), { ...fields, imm: b.value }, 'unknown');
    else {
      const right = this.toRegister(size, b, reg(Reg.S2));
      this.emit.flags(code(`imul.rr.${size}`), { ...fields, b: byteOf(right.reg) }, 'unknown');
    }
  }

  wideMultiply(op: 'mul' | 'imul', size: Size, src: Place): void {
    const a = this.toRegister(size, src, S1);
    this.emit.flags(code(`${op}.${size}`), { a: byteOf(a.reg, a.high) }, 'unknown');
  }

  divide(op: 'div' | 'idiv', size: Size, src: Place): void {
    const a = this.toRegister(size, src, S1);
    const aux = op === 'div' ? BuiltinHelper.DIV : BuiltinHelper.IDIV;
    this.emit.visible(code(`${op}.${size}`), { a: byteOf(a.reg, a.high), aux });
  }

  // ---- moves ----

  mov(size: Size, dst: Place, src: Operand): void {
    if (dst.kind === 'reg') {
      const d = byteOf(dst.reg, dst.high);
      if (src.kind === 'reg') this.emit.plain(code(`mov.rr.${size}`), { d, a: byteOf(src.reg, src.high) });
      else if (src.kind === 'imm') this.emit.plain(code(`mov.ri.${size}`), { d, imm: src.value });
      else this.access('ld', `${size}`, d, src);
    } else if (src.kind === 'imm') {
      this.emit.visible(code(`st.imm.${size}`), this.#withImmediate(dst, src.value));
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
      this.#quietShift('sar', 8, reg(Reg.RDX), 63);
      return;
    }
    this.movsx(4, size, S1, RAX);
    this.#quietShift('sar', 4, S1, 31);
    this.mov(size, reg(Reg.RDX), S1);
  }

  #quietShift(op: 'sar' | 'shl' | 'shr' | 'ror', size: 4 | 8, dst: RegOperand, count: number): void {
    this.emit.plain(code(`${op}.i.${size}.q`), { d: byteOf(dst.reg), imm: count });
  }

  lea(size: Size, dst: RegOperand, src: MemOperand): void {
    const { base, index, scale, disp } = src;
    const width = src.addressSize === 4 || size === 4 ? 4 : 8;
    const target = size === 2 ? S1 : dst;
    const fields = { d: byteOf(target.reg), a: byteOf(base), x: byteOf(index), scale, imm: disp };
    this.emit.plain(code(`lea.${index === Reg.ZERO ? 'b' : 'x'}.${width}`), fields);
    if (size === 2) this.mov(2, dst, S1);
  }

  push(size: 2 | 8, src: Operand): void {
    if (size === 8 && src.kind !== 'mem') {
      if (src.kind === 'imm') this.emit.visible(code('push.i'), { imm: src.value });
      else this.emit.visible(code('push.r'), { d: byteOf(src.reg) });
      return;
    }
    const value = this.toRegister(size, src, S1);
    if (size === 8) this.emit.visible(code('push.r'), { d: byteOf(value.reg) });
    else {
      this.access('st', '2', byteOf(value.reg), stack(-2));
      this.#moveStack(-2);
    }
  }

  pop(size: 2 | 8, dst: Place): void {
    if (size === 8 && dst.kind === 'reg') {
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

  movbe(size: Size, dst: Place, src: Place): void {
    const from = this.toRegister(size, src, S1);
    const to = dst.kind === 'reg' ? dst : S1;
    this.emit.plain(code(`bswap.${size}`), { d: byteOf(to.reg), a: byteOf(from.reg) });
    if (dst.kind === 'mem') this.mov(size, dst, S1);
  }

  xchg(size: Size, a: Place, b: RegOperand): void {
    if (a.kind === 'mem') {
      this.emit.visible(code(`xchg.m.${size}`), { d: byteOf(b.reg, b.high), ...this.based(a) });
      return;
    }
    this.mov(size, S1, a);
    this.mov(size, a, b);
    this.mov(size, b, S1);
  }

  xadd(size: Size, dst: Place, src: RegOperand): void {
    const d = byteOf(src.reg, src.high);
    if (dst.kind === 'mem') {
      this.emit.flags(code(`xadd.m.${size}`), { d, ...this.based(dst) }, 'result', true);
      return;
    }
    this.mov(size, S1, dst);
    this.alu('add', size, S1, src);
    this.mov(size, src, dst);
    this.mov(size, dst, S1);
  }

  cmpxchg(size: Size, dst: Place, src: RegOperand): void {
    const d = byteOf(src.reg, src.high);
    if (dst.kind === 'mem') {
      this.emit.flags(code(`cmpxchg.m.${size}`), { d, ...this.based(dst) }, 'sub', true);
      return;
    }
    const fields = { d: byteOf(dst.reg, dst.high), a: d };
    this.emit.flags(code(`cmpxchg.r.${size}`), fields, 'sub');
  }

  cmpxchgPair(size: 4 | 8, dst: MemOperand): void {
    this.builtin(BuiltinHelper.CMPXCHG_PAIR, { d: size, ...this.based(dst) });
  }

  // ---- bits ----

  bitTest(op: BitOp, size: Size, dst: Place, offset: RegOperand | ImmOperand): void {
    if (dst.kind === 'mem' && offset.kind === 'reg') {
      // The segment base comes on top of the sum with the offset, which an address size of 4 cuts.
      const unit = { d: byteOf(Reg.S0), a: byteOf(Reg.S0), b: byteOf(offset.reg) };
      this.lea(8, S0, dst);
      this.emit.plain(code(`bitaddr.${size}`), unit);
      if (dst.addressSize === 4) this.lea(4, S0, mem(Reg.S0));
      this.#bitTestPlace(op, size, mem(Reg.S0, 0, Reg.ZERO, 0, dst.segment), offset);
    } else this.#bitTestPlace(op, size, dst, offset);
  }

  #bitTestPlace(op: BitOp, size: Size, dst: Place, offset: RegOperand | ImmOperand): void {
    const test = (value: RegOperand): void => {
      const d = byteOf(value.reg);
      const fields =
        offset.kind === 'imm'
          ? { d, imm: Number(offset.value) & (size * 8 - 1) }
          : { d, a: byteOf(offset.reg) };
      this.emit.partial(code(`${op}.${offset.kind === 'imm' ? 'i' : 'r'}.${size}`), fields, 'unknown');
    };
    if (op === 'bt') test(this.toRegister(size, dst, S1));
    else this.#place(size, dst, test);
  }

  scan(op: ScanOp, size: Size, dst: RegOperand, src: Place): void {
    const a = this.toRegister(size, src, S1);
    this.emit.partial(code(`${op}.${size}`), { d: byteOf(dst.reg), a: byteOf(a.reg) }, 'unknown');
  }

  bmi(op: BmiOp, size: 4 | 8, dst: RegOperand, src: Place): void {
    const a = this.toRegister(size, src, S1);
    this.emit.flags(code(`${op}.${size}`), { d: byteOf(dst.reg), a: byteOf(a.reg) }, 'result');
  }

  bmi2(op: Bmi2Op, size: 4 | 8, dst: RegOperand, a: Place, b: Operand): void {
    if (op === 'andn') {
      const right = this.toRegister(size, b, S1);
      this.mov(size, reg(Reg.S2), a);
      this.unary('not', size, reg(Reg.S2));
      this.alu('and', size, reg(Reg.S2), right);
      this.mov(size, dst, reg(Reg.S2));
    } else if (op === 'rorx') {
      const count = b.kind === 'imm' ? Number(b.value) & (size * 8 - 1) : 0;
      this.mov(size, dst, a);
      this.#quietShift('ror', size, dst, count);
    } else {
      const left = this.toRegister(size, a, S1);
      const right = this.toRegister(size, b, reg(Reg.S2));
      const fields = { d: byteOf(dst.reg), a: byteOf(left.reg), b: byteOf(right.reg) };
      if (op === 'shlx' || op === 'shrx' || op === 'sarx') this.emit.plain(code(`${op}.${size}`), fields);
      else this.builtin(BuiltinHelper[op.toUpperCase() as 'PDEP'], { ...fields, scale: size });
    }
  }

  mulx(size: 4 | 8, hi: RegOperand, lo: RegOperand, src: Place): void {
    const a = this.toRegister(size, src, S1);
    this.emit.plain(code(`mulx.${size}`), { d: byteOf(hi.reg), b: byteOf(lo.reg), a: byteOf(a.reg) });
  }

  addExtended(op: 'adcx' | 'adox', size: 4 | 8, dst: RegOperand, src: Place): void {
    const a = this.toRegister(size, src, S1);
    const id = op === 'adcx' ? BuiltinHelper.ADCX : BuiltinHelper.ADOX;
    this.builtin(id, { d: byteOf(dst.reg), a: byteOf(a.reg), scale: size });
  }

  // ---- conditions and control ----

  /** The name of the cheapest predicate, and the condition for those that take any. */
  #predicate(cc: number): { name: string; aux: number } {
    const { known } = this.emit;
    if (known === 'sub' && compared.has(cc)) return { name: `sub.${cc}`, aux: 0 };
    if (known === 'logic') {
      const same = LOGIC_ALIAS[cc] ?? cc;
      if (tested.has(same)) return { name: `res.${same}`, aux: 0 };
    }
    if (known === 'result' && RESULT_ONLY.has(cc)) return { name: `res.${cc}`, aux: 0 };
    return { name: 'any', aux: cc };
  }

  setcc(cc: number, dst: Place): void {
    const { name, aux } = this.#predicate(cc);
    const target = dst.kind === 'reg' ? dst : S1;
    this.emit.visible(code(`setcc.${name}`), { d: byteOf(target.reg, target.high), aux });
    if (dst.kind === 'mem') this.mov(1, dst, S1);
  }

  cmov(cc: number, size: Size, dst: RegOperand, src: Place): void {
    const a = this.toRegister(size, src, S1);
    const fields = { d: byteOf(dst.reg, dst.high), a: byteOf(a.reg, a.high) };
    if (size < 4) this.emit.visible(code(`cmov.any.${size}`), { ...fields, aux: cc });
    else {
      const { name, aux } = this.#predicate(cc);
      this.emit.visible(code(`cmov.${name}.${size}`), { ...fields, aux });
    }
  }

  jcc(cc: number, target: Address): void {
    const fused = this.#fusedWith(cc);
    if (fused !== undefined) this.emit.fuse(fused, target);
    else {
      const { name, aux } = this.#predicate(cc);
      this.emit.exit(code(`jcc.${name}`), { aux }, target);
    }
  }

  /** The fused form of the comparison right before this branch. */
  #fusedWith(cc: number): number | undefined {
    const last = this.emit.lastCode(this.#first);
    if (last < 0) return undefined;
    const logic = this.emit.known === 'logic';
    return fusedForms().get(last * 16 + (logic ? (LOGIC_ALIAS[cc] ?? cc) : cc));
  }

  jmp(target: Address): void {
    this.emit.exit(code('jmp'), {}, target);
    this.ended = true;
  }

  jmpIndirect(target: Place): void {
    const a = this.toRegister(8, target, S1);
    this.emit.visible(code('jmp.r'), { a: byteOf(a.reg) });
    this.ended = true;
  }

  call(target: Address): void {
    this.emit.exit(code('call'), { imm: this.next }, target);
    this.ended = true;
  }

  callIndirect(target: Place): void {
    const a = this.toRegister(8, target, S1);
    this.emit.visible(code('call.r'), { a: byteOf(a.reg), imm: this.next });
    this.ended = true;
  }

  ret(release: number): void {
    if (release === 0) this.emit.visible(code('ret'), {});
    else this.emit.visible(code('ret.i'), { imm: 8 + release });
    this.ended = true;
  }

  jcxz(addressSize: 4 | 8, target: Address): void {
    this.emit.exit(code(`jcxz.${addressSize}`), {}, target);
  }

  loop(cc: number, addressSize: 4 | 8, target: Address): void {
    if (cc < 0) this.emit.exit(code(`loop.${addressSize}`), {}, target);
    else this.emit.exit(code(`loopcc.${addressSize}`), { aux: cc }, target);
  }

  // ---- the rest ----

  string(op: StringOp, size: Size, rep: RepPrefix, segment: number = Reg.ZERO, addressSize: 4 | 8 = 8): void {
    const repeat = rep === 'none' ? 0 : rep === 'rep' ? 1 : 2;
    this.builtin(BuiltinHelper[op.toUpperCase() as 'MOVS'], {
      d: size,
      a: byteOf(segment),
      scale: repeat,
      imm: addressSize,
    });
  }

  helper(id: HelperId, operands: { size?: Size; a?: number; b?: number; imm?: number } = {}): void {
    const { size = 8, a = Reg.ZERO, b = Reg.ZERO, imm: value = 0 } = operands;
    const fields = { d: size, a: byteOf(a), b: byteOf(b), imm: value, x: this.next - this.#pc, aux: id };
    const fast = FAST_HELPERS.get(id);
    if (fast !== undefined && (size === 8 || fast.flag !== 0)) {
      this.emit.visible(code(fast.name), { ...fields, imm: undefined, imm32: fast.flag });
      if (fast.flag === 0) this.emit.known = 'unknown';
      return;
    }
    this.emit.known = 'unknown';
    if (!ENDING_HELPERS.has(id)) this.emit.visible(code('helper'), fields);
    else {
      this.emit.visible(code('helper.end'), fields);
      this.ended = true;
    }
  }

  /** A helper of the builder's own. */
  builtin(id: number, fields: Fields): void {
    this.emit.known = 'unknown';
    this.emit.visible(code('helper'), { ...fields, aux: id, x: this.next - this.#pc });
  }

  nop(): void {}

  undefined(why: Undefined): void {
    this.emit.visible(code('undefined'), { aux: REASONS[why] });
    this.ended = true;
  }
}

const stack = (disp: number): MemOperand => mem(Reg.RSP, disp);

let fusedCache: Map<number, number> | undefined;

/** Fused operation by 16 * comparison + condition. */
function fusedForms(): Map<number, number> {
  if (fusedCache !== undefined) return fusedCache;
  fusedCache = new Map();
  for (const name of ['cmp', 'test']) {
    for (const form of ['rr', 'ri', 'mi']) {
      for (const size of [1, 4, 8]) {
        for (let cc = 0; cc < 16; cc++) {
          const fused = `${name}.${form}.${size}.j${cc}`;
          if (hasOpcode(fused)) fusedCache.set(opcode(`${name}.${form}.${size}`) * 16 + cc, opcode(fused));
        }
      }
    }
  }
  return fusedCache;
}
