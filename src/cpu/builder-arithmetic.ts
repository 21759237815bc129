import { code, MoveBuilder, S0, S1 } from './builder-moves.ts';
import { byteOf, type KnownFlags } from './emit.ts';
import { BuiltinHelper } from './helper-ids.ts';
import {
  type AluOp,
  type BitOp,
  type Bmi2Op,
  type BmiOp,
  type ImmOperand,
  type MemOperand,
  mem,
  type Operand,
  type Place,
  Reg,
  type RegOperand,
  reg,
  type ScanOp,
  type ShiftOp,
  type Size,
  type UnaryOp,
} from './ir.ts';
import { hasOpcode } from './ops/table.ts';

export class ArithmeticBuilder extends MoveBuilder {
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
      this.throughRegister(size, dst, (value) => this.#aluRegister(op, size, value, src, known));
    } else if (src.kind === 'imm') {
      this.emit.flags(code(name), this.withImmediate(dst, src.value), known, true);
    } else {
      this.emit.flags(code(name), { d: byteOf(src.reg, src.high), ...this.based(dst) }, known, true);
    }
  }

  unary(op: UnaryOp, size: Size, dst: Place): void {
    if (dst.kind === 'mem') {
      if (op === 'inc' || op === 'dec') {
        this.emit.visible(code(`${op}.m.${size}`), this.based(dst));
        this.emit.known = 'result';
      } else this.throughRegister(size, dst, (value) => this.unary(op, size, value));
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
      if (dst.kind === 'mem') this.throughRegister(size, dst, () => {});
      else if (size === 4) this.mov(4, dst, dst);
      return;
    }
    this.place(size, dst, (value) => this.#shiftRegister(op, size, value, count, masked));
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
    this.place(size, dst, (value) => {
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
    else this.place(size, dst, test);
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
      this.quietShift('ror', size, dst, count);
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
    this.emit.partial(code(`${op}.${size}`), { d: byteOf(dst.reg), a: byteOf(a.reg) }, 'unknown');
  }
}
