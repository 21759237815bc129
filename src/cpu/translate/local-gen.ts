/** The meaning of operations with registers and flags in WebAssembly locals: how operands, the payload and the flags are reached. */

import { highProduct } from '../functions.ts';
import { type Calls, type Field, type Form, Gen, type Scratch, zero } from '../gen.ts';
import { Reg, type Size } from '../ir.ts';
import {
  FLAG_A,
  FLAG_B,
  FLAG_KIND,
  FlagKind,
  type NOTED,
  NOTED_SHIFT,
  OP,
  REGISTERS,
  XMM,
} from '../state.ts';
import {
  type Callee,
  type Code,
  call,
  i32,
  i64,
  iff,
  type Local,
  local,
  seq,
  type ValueType,
} from '../wasm/encoder.ts';
import { FLAGS, type Step } from './liveness.ts';

/** Functions that translated code calls beside those of every generator. */
export interface RegionCalls extends Calls {
  readonly flagsOf: Callee;
  readonly carryOf: Callee;
  readonly condOf: Callee;
  /** (low: i64, bytes, slot) -> 0 where the window cannot be there */
  readonly window: Callee;
}

/** The kind of flags that are in memory; what they follow from means nothing then. */
const IN_MEMORY = -1;
/** A kind that is known as far as CF is noted. */
const CARRY_NOTED = 0x1000;
/** Budget, depth, address to return to and number of the entry. */
const PARAMETERS = 4;

export abstract class LocalGen extends Gen {
  /** Budget that is left. */
  readonly left = local(0);
  readonly locals: ValueType[] = [];
  step!: Step;
  readonly #registers: (Local | undefined)[] = [];
  readonly #kind: Local;
  readonly #a: Local;
  readonly #b: Local;
  /** Used by {@link highProduct}. */
  #product: readonly [Local, Local] | undefined;
  /** Kind of the flags where it is known, or where CF is: what is noted of others changes nothing of that. */
  #knownKind = -1;
  /** Operands of four bytes, and whether the flags are those of comparing them. */
  #compared: readonly [Local, Local] | undefined;
  #comparedNow = false;
  /** OF is noted. */
  #overflowNoted = false;

  constructor(
    readonly regionCalls: RegionCalls,
    protected readonly data: DataView,
    bits: 32 | 64,
  ) {
    const scratch: Scratch = {
      va: local(PARAMETERS),
      x: local(PARAMETERS + 1),
      y: local(PARAMETERS + 2),
      z: local(PARAMETERS + 3),
      entry: local(PARAMETERS + 4),
      host: local(PARAMETERS + 5),
      n: local(PARAMETERS + 6),
      m: local(PARAMETERS + 7),
      k: local(PARAMETERS + 8),
    };
    super(regionCalls, scratch, bits);
    this.locals.push('i64', 'i64', 'i64', 'i64', 'i32', 'i32', 'i32', 'i32', 'i32');
    [this.#a, this.#b, this.#kind] = [this.newLocal('i64'), this.newLocal('i64'), this.newLocal()];
  }

  newLocal(type: ValueType = 'i32'): Local {
    this.locals.push(type);
    return local(PARAMETERS + this.locals.length - 1);
  }

  /** Of what comes next nothing is known of the kind of the flags. */
  forgetFlags(): void {
    this.#knownKind = -1;
    this.#comparedNow = false;
    this.#overflowNoted = false;
  }

  /** The kind may say that the flags are in memory already. */
  carriesFlags = false;

  // ---- registers ----

  /** The local of a register. */
  register(register: number): Local {
    let found = this.#registers[register];
    if (found === undefined) {
      found = this.newLocal('i64');
      this.#registers[register] = found;
    }
    return found;
  }

  /** What a register field says: eight times the number, plus one for the second byte. */
  operand(field: Field): number {
    return this.data.getUint8(this.step.op + { d: OP.D, a: OP.A, b: OP.B, x: OP.X }[field]);
  }

  reg(field: Field, size: Size): Code {
    const operand = this.operand(field);
    return this.#get(operand >> 3, size, (operand & 1) !== 0);
  }

  override stored(field: Field, size: Size): Code {
    const operand = this.operand(field);
    return this.#get(operand >> 3, size === 8 || (operand & 1) !== 0 ? size : 4, (operand & 1) !== 0);
  }

  setReg(field: Field, size: Size, value: Code): Code {
    const operand = this.operand(field);
    return this.#set(operand >> 3, size, value, (operand & 1) !== 0);
  }

  fixed(register: number, size: Size): Code {
    return this.#get(register, size, false);
  }

  setFixed(register: number, size: Size, value: Code): Code {
    return this.#set(register, size, value, false);
  }

  #get(register: number, size: Size, high: boolean): Code {
    if (register === Reg.ZERO) return size === 8 ? i64.const(0) : i32.const(0);
    const value = this.register(register).get;
    if (size === 8) return value;
    const low = i32.wrap(value);
    if (size === 4) return low;
    if (size === 2) return i32.and(low, i32.const(0xffff));
    return i32.and(high ? i32.shrU(low, i32.const(8)) : low, i32.const(0xff));
  }

  #set(register: number, size: Size, value: Code, high: boolean): Code {
    const to = this.register(register);
    if (size === 8) return to.set(value);
    if (size === 4) return to.set(i64.extendU(value));
    const [mask, shift] = size === 2 ? [0xffff, 0] : high ? [0xff00, 8] : [0xff, 0];
    const cut = i32.and(value, i32.const(size === 2 ? 0xffff : 0xff));
    const bits = i64.extendU(shift === 0 ? cut : i32.shl(cut, i32.const(shift)));
    // The value first: it may set temporaries, and read the register itself.
    return to.set(i64.or(bits, i64.and(to.get, i64.const(~mask))));
  }

  fieldByte(field: Field): Code {
    return i32.const(XMM + this.operand(field) * 16);
  }

  // ---- payload ----

  imm64(): Code {
    return i64.const(this.immediateWord());
  }

  /** The 64-bit payload. */
  immediateWord(): number | bigint {
    const low = this.data.getInt32(this.step.op + OP.IMM, true);
    const high = this.data.getInt32(this.step.op + OP.IMM + 4, true);
    return high === low >> 31 ? low : this.data.getBigInt64(this.step.op + OP.IMM, true);
  }

  imm32(): Code {
    return i32.const(this.data.getInt32(this.step.op + OP.IMM32, true));
  }

  override disp32(): Code {
    return i32.const(this.data.getInt32(this.step.op + OP.DISP32, true));
  }

  scale(): Code {
    return i32.const(this.data.getUint8(this.step.op + OP.SCALE));
  }

  aux(): Code {
    return i32.const(this.data.getUint8(this.step.op + OP.AUX));
  }

  here(): Code {
    return i32.const(this.step.op);
  }

  override address(form: Form): Code {
    if (this.bits === 32) return super.address(form);
    const near = form === 'i' ? this.data.getInt32(this.step.op + OP.DISP32, true) : this.immediateWord();
    const scaled = (): Code => {
      const scale = this.data.getUint8(this.step.op + OP.SCALE);
      const index = this.reg('x', 8);
      return scale === 0 ? index : i64.shl(index, i64.const(scale));
    };
    const parts: Code[] = [];
    if (this.operand('a') >> 3 !== Reg.ZERO) parts.push(this.reg('a', 8));
    if (form === 'x' && this.operand('x') >> 3 !== Reg.ZERO) parts.push(scaled());
    if (near !== 0 || parts.length === 0) parts.push(i64.const(near));
    return parts.reduce((sum, part) => i64.add(sum, part));
  }

  /** In place: a call in a loop costs it the machine's registers. */
  override highProduct(a: Local, b: Local): Code {
    this.#product ??= [this.newLocal('i64'), this.newLocal('i64')];
    return highProduct(a, b, ...this.#product);
  }

  // ---- flags ----

  override setFlagsKind(kind: Code, a: Code | undefined, b?: Code): Code {
    this.forgetFlags();
    return seq(
      b === undefined ? [] : this.#b.set(b),
      a === undefined ? [] : this.#a.set(a),
      this.#kind.set(kind),
    );
  }

  override setFlags(kind: number, size: Size, a: Code | undefined, b?: Code): Code {
    const code = super.setFlags(kind, size, a, b);
    if (this.step.kills & FLAGS) this.#knownKind = kind;
    return code;
  }

  override noteCompared(a: Code, b: Code): Code {
    if ((this.step.kills & FLAGS) === 0) return [];
    this.#comparedNow = true;
    this.#compared ??= [this.newLocal(), this.newLocal()];
    return seq(this.#compared[0].set(a), this.#compared[1].set(b));
  }

  override compared(): readonly [Code, Code] | undefined {
    if (!this.#comparedNow || this.#compared === undefined) return undefined;
    return [this.#compared[0].get, this.#compared[1].get];
  }

  override noteFlags(names: readonly (keyof typeof NOTED)[], bits: Code): Code {
    const [kind, overflow] = [this.#knownKind, this.#overflowNoted];
    const code = super.noteFlags(names, bits);
    // What is done on some paths only tells nothing.
    const always = (this.step.kills & FLAGS) !== 0;
    this.#knownKind = !names.includes('CF') ? kind : always ? CARRY_NOTED : -1;
    this.#overflowNoted = names.includes('OF') ? always : overflow;
    return code;
  }

  /** The flags are in memory, and need not be written there again until they change. */
  flagsAreInMemory(): Code {
    this.#knownKind = -1;
    return this.#kind.set(i32.const(IN_MEMORY));
  }

  /** What the flags follow from, of a kind that stays. */
  setFlagOperands(a: Code, b: Code | undefined): Code {
    return seq(b === undefined ? [] : this.#b.set(b), this.#a.set(a));
  }

  override flagKind(): Code {
    return this.#kind.get;
  }

  override flagA(): Code {
    return this.#a.get;
  }

  override flagB(): Code {
    return this.#b.get;
  }

  override condition(): Code {
    const cc = this.data.getUint8(this.step.op + OP.AUX);
    if (cc >> 1 === 1 && this.#knownKind >= 0) return cc === 2 ? this.carry() : i32.eqz(this.carry());
    return call(this.regionCalls.condOf, this.#kind.get, this.#a.get, this.#b.get, i32.const(cc));
  }

  override flags(): Code {
    return call(this.regionCalls.flagsOf, this.#kind.get, this.#a.get, this.#b.get);
  }

  override carry(): Code {
    const kind = this.#knownKind;
    if (kind === FlagKind.ADD || kind === FlagKind.SUB) return i64.ltU(this.#a.get, this.#b.get);
    if (kind === FlagKind.LOGIC) return zero;
    if (kind === FlagKind.RESULT || kind === FlagKind.RAW)
      return i32.and(i32.wrap(this.#b.get), i32.const(1));
    if (kind === CARRY_NOTED) return i32.and(i32.shrU(this.#kind.get, i32.const(NOTED_SHIFT)), i32.const(1));
    return call(this.regionCalls.carryOf, this.#kind.get, this.#a.get, this.#b.get);
  }

  override overflow(): Code {
    if (!this.#overflowNoted) return super.overflow();
    return i32.and(i32.shrU(this.#kind.get, i32.const(NOTED_SHIFT + 11)), i32.const(1));
  }

  // ---- all of it ----

  /** Writes registers and flags of a set back. */
  spill(set: number): Code {
    const parts: Code[] = [];
    for (let register = 0; register < 32; register++) {
      if (register === Reg.ZERO || ((set >>> register) & 1) === 0) continue;
      parts.push(i64.store(zero, this.register(register).get, REGISTERS + register * 8));
    }
    if (set & FLAGS) {
      const flags = seq(
        i32.store(zero, this.#kind.get, FLAG_KIND),
        i64.store(zero, this.#a.get, FLAG_A),
        i64.store(zero, this.#b.get, FLAG_B),
      );
      const unsure = this.carriesFlags && this.#knownKind < 0;
      parts.push(unsure ? iff(i32.ne(this.#kind.get, i32.const(IN_MEMORY)), flags) : flags);
    }
    return parts;
  }

  /** Loads registers and flags of a set. */
  reload(set: number): Code {
    const parts: Code[] = [];
    for (let register = 0; register < 32; register++) {
      if (register === Reg.ZERO || ((set >>> register) & 1) === 0) continue;
      parts.push(this.register(register).set(i64.load(zero, REGISTERS + register * 8)));
    }
    if (set & FLAGS) {
      parts.push(
        this.#kind.set(i32.load(zero, FLAG_KIND)),
        this.#a.set(i64.load(zero, FLAG_A)),
        this.#b.set(i64.load(zero, FLAG_B)),
      );
    }
    return parts;
  }
}
