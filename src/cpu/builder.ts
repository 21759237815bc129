/** The block builder: instructions as a decoder describes them, to flat operations. */
import type { Address } from '../memory/address.ts';
import { ArithmeticBuilder } from './builder-arithmetic.ts';
import { code, S1 } from './builder-moves.ts';
import { byteOf } from './emit.ts';
import { BuiltinHelper, ENDING_HELPERS } from './helper-ids.ts';
import {
  type BlockBuilder,
  Cond,
  Helper,
  type HelperId,
  type Place,
  Reg,
  type RegOperand,
  type RepPrefix,
  type Size,
  type StringOp,
  type Undefined,
} from './ir.ts';
import { COMPARED, TESTED } from './ops/branch.ts';
import { hasOpcode, opcode, operations } from './ops/table.ts';
import { FLAG } from './state.ts';
import { IrVectorBuilder } from './vector-builder.ts';

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

const REASONS: Record<Undefined, number> = {
  'undefined-opcode': 0,
  privileged: 1,
  unsupported: 2,
  'too-long': 3,
};
export const UNDEFINED_REASONS = Object.keys(REASONS) as readonly Undefined[];
export class IrBuilder extends ArithmeticBuilder implements BlockBuilder {
  readonly vector = new IrVectorBuilder(this);

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
    if (fused !== undefined) this.emit.fuse(fused, target, this.isFree(target));
    else {
      const { name, aux } = this.#predicate(cc);
      this.emit.exit(code(`jcc.${name}`), { aux }, target, this.isFree(target));
    }
  }

  /** The fused form of the comparison right before this branch. */
  #fusedWith(cc: number): number | undefined {
    const last = this.emit.lastCode(this.first);
    if (last < 0) return undefined;
    const logic = this.emit.known === 'logic';
    return fusedForm(last, logic ? (LOGIC_ALIAS[cc] ?? cc) : cc);
  }

  jmp(target: Address): void {
    this.emit.exit(code('jmp'), {}, target, this.isFree(target));
    this.ended = true;
  }

  jmpIndirect(target: Place): void {
    const a = this.toRegister(this.word, target, S1);
    this.emit.visible(code('jmp.r'), { a: byteOf(a.reg) });
    this.ended = true;
  }

  call(target: Address): void {
    this.emit.exit(code('call'), { imm: this.next }, target, false);
    this.ended = true;
  }

  callIndirect(target: Place): void {
    const a = this.toRegister(this.word, target, S1);
    this.emit.visible(code('call.r'), { a: byteOf(a.reg), imm: this.next });
    this.ended = true;
  }

  ret(release: number): void {
    if (release === 0) this.emit.visible(code('ret'), {});
    else this.emit.visible(code('ret.i'), { imm: this.word + release });
    this.ended = true;
  }

  jcxz(addressSize: 4 | 8, target: Address): void {
    this.emit.exit(code(`jcxz.${addressSize}`), {}, target, this.isFree(target));
  }

  loop(cc: number, addressSize: 4 | 8, target: Address): void {
    if (cc < 0) this.emit.exit(code(`loop.${addressSize}`), {}, target, this.isFree(target));
    else this.emit.exit(code(`loopcc.${addressSize}`), { aux: cc }, target, this.isFree(target));
  }

  // ---- the rest ----

  string(op: StringOp, size: Size, rep: RepPrefix, segment: number = Reg.ZERO, addressSize: 4 | 8 = 8): void {
    const repeat = rep === 'none' ? 0 : rep === 'rep' ? 1 : 2;
    const id = BuiltinHelper[op.toUpperCase() as 'MOVS'];
    const fields = { d: size, a: byteOf(segment), scale: repeat, imm: addressSize };
    const name = repeat === 0 ? `${op}.${size}` : `rep.${op}.${size}`;
    // repne says the same as rep where nothing is compared.
    if (segment !== Reg.ZERO || addressSize !== this.word || !hasOpcode(name)) this.builtin(id, fields);
    else this.emit.visible(code(name), { ...fields, aux: id, x: this.next - this.pc });
  }

  helper(id: HelperId, operands: { size?: Size; a?: number; b?: number; imm?: number } = {}): void {
    const { size = 8, a = Reg.ZERO, b = Reg.ZERO, imm: value = 0 } = operands;
    const fields = { d: size, a: byteOf(a), b: byteOf(b), imm: value, x: this.next - this.pc, aux: id };
    const fast = FAST_HELPERS.get(id);
    if (fast !== undefined && (size === this.word || fast.flag !== 0)) {
      this.emit.visible(code(fast.name), { ...fields, imm: undefined, imm32: fast.flag });
      if (fast.flag === 0) this.emit.known = 'unknown';
      return;
    }
    if (id === Helper.LDMXCSR) {
      this.emit.visible(code('ldmxcsr'), { a: byteOf(a) });
      return;
    }
    this.emit.known = 'unknown';
    if (!ENDING_HELPERS.has(id)) this.emit.visible(code('helper'), fields);
    else {
      this.emit.visible(code('helper.end'), fields);
      this.ended = true;
    }
  }

  /** Nothing to do, but the place where execution goes on when the instruction before has written over this one. */
  nop(): void {
    const last = this.emit.lastCode(this.first);
    if (last >= 0 && last !== code('nop')) this.emit.plain(code('nop'), {});
  }

  undefined(why: Undefined): void {
    this.emit.visible(code('undefined'), { aux: REASONS[why] });
    this.ended = true;
  }
}

/** Fused operations that were asked for, by 16 * comparison + condition; -1 for none. */
const FUSED = new Map<number, number>();

function fusedForm(comparison: number, cc: number): number | undefined {
  const key = comparison * 16 + cc;
  let found = FUSED.get(key);
  if (found === undefined) {
    const name = `${operations[comparison].name}.j${cc}`;
    found = hasOpcode(name) ? opcode(name) : -1;
    FUSED.set(key, found);
  }
  return found < 0 ? undefined : found;
}
