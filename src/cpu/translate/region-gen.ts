/** The meaning of operations with registers, flags and the budget in WebAssembly locals. */

import type { Address } from '../../memory/address.ts';
import {
  LOOKUP_BASE,
  LOOKUP_ENTRY_SHIFT,
  LOOKUP_SLOT,
  TLB_ADDEND,
  TLB_BASE,
  TLB_READ,
  TLB_SECOND,
  TLB_WRITE,
  WINDOW_ADDEND,
  WINDOW_BASE,
  WINDOW_BYTES,
} from '../../memory/layout.ts';
import { type Calls, type Field, type Form, Gen, loadHost, type Scratch, storeHost, zero } from '../gen.ts';
import { Reg, type Size } from '../ir.ts';
import { storeRip } from '../ops/branch.ts';
import {
  EXIT_IP,
  FLAG_A,
  FLAG_B,
  FLAG_KIND,
  FlagKind,
  LEAVE_CODE,
  LEFT,
  Leave,
  OP,
  REGISTERS,
  STALE,
  XMM,
} from '../state.ts';
import {
  block,
  br,
  brIf,
  type Code,
  call,
  callIndirect,
  i32,
  i64,
  iff,
  type Label,
  type Local,
  label,
  local,
  ret,
  seq,
  type ValueType,
} from '../wasm/encoder.ts';
import { type Group, groupsOf } from './bases.ts';
import { TEMPORARIES } from './effects.ts';
import { FLAGS, type Step } from './liveness.ts';
import { ABSENT, lookupEntry } from './protocol.ts';
import { displacement, placeOf, type Stretch } from './stack.ts';

/** Functions that translated code calls beside those of every generator. */
export interface RegionCalls extends Calls {
  readonly flagsOf: number;
  readonly carryOf: number;
  readonly condOf: number;
  /** (low: i64, bytes, slot) -> 0 where the window cannot be there */
  readonly window: number;
}

/** What the code around an operation decides: where its branches lead. */
export interface Flow {
  /** Goes on at a guest address. `checked`: the budget is looked at on the way. */
  goTo(pc: Address, checked: boolean): Code;
  /** Entry of the table with the translation of a function. */
  slotOf(pc: Address): number;
  /** The instruction there has often made accesses that are not plain ones. */
  isSlow(pc: Address): boolean;
  /** Goes on after a call that has come back. */
  afterCall(): Code;
}

/** RAM that is mapped in one piece, readable and writable. */
export interface PlainMap {
  readonly base: Address;
  readonly bytes: number;
  /** Where it is in linear memory, and the bytes that say which frames stores must keep away from. */
  readonly ramBase: number;
  readonly frameFlags: number;
}

/** Operations on the stack, which is mapped page by page. */
const STACK = /^(push|pop|call|ret|leave)/;
/** Calls on the host's stack; deeper ones leave, and start again from the bottom. */
const MAX_DEPTH = 200;
/** Of one operation; a flag says of a frame that the one behind it is not to be reached into. */
const WIDEST_ACCESS = 16;
const I64_LOCALS = 7;
const I32_LOCALS = 9;

export class RegionGen extends Gen {
  readonly left = local(0);
  readonly depth = local(1);
  readonly returnTo = local(2);
  /** Number of the loop to begin at; 0 once execution is there. */
  readonly at = local(3);
  readonly locals: ValueType[] = [];
  step!: Step;
  /** The block is in a loop. */
  repeats = false;
  /** Start of the block that the operation is in. */
  pc: Address = 0;
  flow!: Flow;
  readonly #data: DataView;
  readonly #calls: RegionCalls;
  readonly #plain: PlainMap | undefined;
  readonly #type: number;
  readonly #registers: (Local | undefined)[] = [];
  readonly #groups = new Map<Step, Group>();
  /** Linear offsets of the groups that are open, by register and kind. */
  readonly #bases = new Map<number, Local>();
  readonly #exits = new Map<number, Label>();
  readonly #exitOp: Local;
  readonly #code: Local;
  readonly #pending: Local;
  readonly #kind: Local;
  /** Of an address from the start of the direct map. */
  readonly #offset: Local;
  readonly #a: Local;
  readonly #b: Local;
  /** What has to be written back if the operation faults here. */
  #dirty = 0;
  /** Linear offset of the stretch of the stack that the region uses. */
  #stack: { readonly stretch: Stretch; readonly base: Local; readonly slot: number } | undefined;
  /** Offset in the stretch of the access that the operation makes, if it is one of those. */
  #place: number | undefined;
  /** Kind of the flags where it is known. */
  #knownKind = -1;

  constructor(calls: RegionCalls, type: number, data: DataView, bits: 32 | 64, plain?: PlainMap) {
    const wide = Array.from({ length: I64_LOCALS }, (_, i) => local(4 + i));
    const narrow = Array.from({ length: I32_LOCALS }, (_, i) => local(4 + I64_LOCALS + i));
    const [va, x, y, z, a, b, offset] = wide;
    const [entry, host, n, m, k, exitOp, code, pending, kind] = narrow;
    const scratch: Scratch = { va, x, y, z, entry, host, n, m, k };
    super(calls, scratch, bits);
    this.#calls = calls;
    this.#plain = plain;
    this.#type = type;
    this.#data = data;
    [this.#exitOp, this.#code, this.#pending, this.#kind] = [exitOp, code, pending, kind];
    [this.#a, this.#b, this.#offset] = [a, b, offset];
    this.locals.push(...wide.map((): ValueType => 'i64'), ...narrow.map((): ValueType => 'i32'));
  }

  /** Begins a block: nothing is known of the flags. */
  startBlock(pc: Address): void {
    this.pc = pc;
    this.#knownKind = -1;
  }

  startStep(step: Step): void {
    this.step = step;
    this.#dirty = step.dirtyBefore;
    const place = this.#stack === undefined ? undefined : placeOf(step, this.#data, this.word);
    this.#place = place === undefined ? undefined : place - (this.#stack?.stretch.low ?? 0);
  }

  // ---- the stack ----

  /** Before anything is emitted: accesses to that part of the stack go by way of the window. */
  useWindow(stretch: Stretch, slot: number): void {
    const base = local(4 + this.locals.length);
    this.locals.push('i32');
    this.#stack = { stretch, base, slot };
  }

  /** Registers that are needed beside those that the code reads. */
  get wanted(): number {
    return this.#stack === undefined ? 0 : 1 << Reg.RSP;
  }

  /** At the entry, by the number of the place to begin at: how far the stack pointer is from the region's first. */
  enter(distances: readonly number[]): Code {
    if (this.#stack === undefined) return [];
    const { y } = this.t;
    const usual = distances[0];
    const others = distances.flatMap((distance, number) =>
      distance === usual ? [] : [iff(i32.eq(this.at.get, i32.const(number)), y.set(i64.const(distance)))],
    );
    return seq(y.set(i64.const(usual)), others, this.lookAround(y.get, ret(i32.const(ABSENT))));
  }

  /** Finds the stretch again, for a stack pointer that is so far from the first one. `away`: where the window is not to be had. */
  lookAround(distance: Code, away: Code): Code {
    if (this.#stack === undefined) return [];
    const { stretch, base, slot } = this.#stack;
    const { va, x } = this.t;
    const span = stretch.high - stretch.low;
    const size = i64.load(zero, WINDOW_BYTES);
    const outside = i32.or(i64.gtU(x.get, size), i64.gtU(i64.add(x.get, i64.const(span)), size));
    const open = call(this.#calls.window, va.get, i32.const(span), i32.const(slot));
    const first = i64.add(this.#local(Reg.RSP).get, i64.const(stretch.low));
    return seq(
      va.set(this.wrapped(i64.sub(first, distance))),
      x.set(i64.sub(va.get, i64.load(zero, WINDOW_BASE))),
      iff(outside, iff(i32.eqz(open), away)),
      base.set(i32.add(i32.wrap(va.get), i32.load(zero, WINDOW_ADDEND))),
    );
  }

  // ---- accesses through one register ----

  /** Of the steps of a node, which are looked up together. */
  groupAccesses(steps: readonly Step[]): void {
    const slow = (step: Step): boolean => this.flow.isSlow(this.pc + step.at);
    const groups = groupsOf(steps, this.#data, this.word, slow);
    for (const [step, group] of groups) this.#groups.set(step, group);
  }

  /** The access of the operation in its group: what looks the group up first, the linear offset, and bytes from there. */
  #grouped(): { readonly look: Code; readonly base: Local; readonly offset: number } | undefined {
    const group = this.#groups.get(this.step);
    if (group === undefined) return undefined;
    const base = this.#baseLocal(group.register * 2 + (group.writes ? 1 : 0));
    const look = group.first === this.step ? this.#lookUp(group, base) : [];
    return { look, base, offset: displacement(this.step, this.#data) - group.low };
  }

  #baseLocal(key: number): Local {
    let found = this.#bases.get(key);
    if (found === undefined) {
      found = local(4 + this.locals.length);
      this.locals.push('i32');
      this.#bases.set(key, found);
    }
    return found;
  }

  #lookUp({ register, writes, low, span }: Group, base: Local): Code {
    const { va, entry, host } = this.t;
    const last = this.#offset;
    const page = (at: Local): Code => i64.and(at.get, i64.const(-4096));
    const tag = (at: Local): Code => i64.load(at.get, TLB_BASE + (writes ? TLB_WRITE : TLB_READ));
    const addend = (at: Local): Code => i32.load(at.get, TLB_BASE + TLB_ADDEND);
    // Pages that lie side by side in linear memory too are as good as one.
    const parts = i64.or(
      i64.or(i64.xor(tag(entry), page(va)), i64.xor(tag(host), page(last))),
      i64.extendU(i32.xor(addend(entry), addend(host))),
    );
    const beside = seq(
      host.set(this.entryOf(last)),
      iff(i64.ne(parts, i64.const(0)), this.#leaveAtOp(Leave.APART, this.#dirty, true)),
    );
    const elsewhere = seq(
      host.set(i32.xor(entry.get, i32.const(TLB_SECOND))),
      iff(i64.eq(tag(host), page(last)), entry.set(host.get), beside),
    );
    const looked = seq(
      entry.set(this.entryOf(va)),
      last.set(i64.add(va.get, i64.const(span - 1))),
      iff(i64.ne(tag(entry), page(last)), elsewhere),
      base.set(i32.add(i32.wrap(va.get), addend(entry))),
    );
    const address = this.wrapped(i64.add(this.#local(register).get, i64.const(low)));
    const found = (offset: Code): Code => base.set(i32.add(offset, i32.const(this.#plain?.ramBase ?? 0)));
    return seq(va.set(address), this.#shortcut(span, writes, found, looked));
  }

  // ---- registers ----

  #local(register: number): Local {
    let found = this.#registers[register];
    if (found === undefined) {
      found = local(4 + this.locals.length);
      this.locals.push('i64');
      this.#registers[register] = found;
    }
    return found;
  }

  #operand(field: Field): number {
    return this.#data.getUint8(this.step.op + { d: OP.D, a: OP.A, b: OP.B, x: OP.X }[field]);
  }

  reg(field: Field, size: Size): Code {
    const operand = this.#operand(field);
    return this.#get(operand >> 3, size, (operand & 1) !== 0);
  }

  setReg(field: Field, size: Size, value: Code): Code {
    const operand = this.#operand(field);
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
    const value = this.#local(register).get;
    if (size === 8) return value;
    const low = i32.wrap(value);
    if (size === 4) return low;
    if (size === 2) return i32.and(low, i32.const(0xffff));
    return i32.and(high ? i32.shrU(low, i32.const(8)) : low, i32.const(0xff));
  }

  #set(register: number, size: Size, value: Code, high: boolean): Code {
    const to = this.#local(register);
    if (size === 8) return to.set(value);
    if (size === 4) return to.set(i64.extendU(value));
    const [mask, shift] = size === 2 ? [0xffff, 0] : high ? [0xff00, 8] : [0xff, 0];
    const cut = i32.and(value, i32.const(size === 2 ? 0xffff : 0xff));
    const bits = i64.extendU(shift === 0 ? cut : i32.shl(cut, i32.const(shift)));
    // The value first: it may set temporaries, and read the register itself.
    return to.set(i64.or(bits, i64.and(to.get, i64.const(~mask))));
  }

  fieldByte(field: Field): Code {
    return i32.const(XMM + this.#operand(field) * 16);
  }

  // ---- payload ----

  imm64(): Code {
    return i64.const(this.#imm());
  }

  #imm(): number | bigint {
    const low = this.#data.getInt32(this.step.op + OP.IMM, true);
    const high = this.#data.getInt32(this.step.op + OP.IMM + 4, true);
    return high === low >> 31 ? low : this.#data.getBigInt64(this.step.op + OP.IMM, true);
  }

  imm32(): Code {
    return i32.const(this.#data.getInt32(this.step.op + OP.IMM32, true));
  }

  override disp32(): Code {
    return i32.const(this.#data.getInt32(this.step.op + OP.DISP32, true));
  }

  scale(): Code {
    return i32.const(this.#data.getUint8(this.step.op + OP.SCALE));
  }

  aux(): Code {
    return i32.const(this.#data.getUint8(this.step.op + OP.AUX));
  }

  here(): Code {
    return i32.const(this.step.op);
  }

  override address(form: Form): Code {
    if (this.bits === 32) return super.address(form);
    const near = form === 'i' ? this.#data.getInt32(this.step.op + OP.DISP32, true) : this.#imm();
    const scaled = (): Code => {
      const scale = this.#data.getUint8(this.step.op + OP.SCALE);
      const index = this.reg('x', 8);
      return scale === 0 ? index : i64.shl(index, i64.const(scale));
    };
    const parts: Code[] = [];
    if (this.#operand('a') >> 3 !== Reg.ZERO) parts.push(this.reg('a', 8));
    if (form === 'x' && this.#operand('x') >> 3 !== Reg.ZERO) parts.push(scaled());
    if (near !== 0 || parts.length === 0) parts.push(i64.const(near));
    return parts.reduce((sum, part) => i64.add(sum, part));
  }

  // ---- flags ----

  override setFlagsKind(kind: Code, a: Code | undefined, b?: Code): Code {
    this.#knownKind = -1;
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

  override flagA(): Code {
    return this.#a.get;
  }

  override flagB(): Code {
    return this.#b.get;
  }

  override condition(): Code {
    const cc = this.#data.getUint8(this.step.op + OP.AUX);
    if (cc >> 1 === 1 && this.#knownKind >= 0) return cc === 2 ? this.carry() : i32.eqz(this.carry());
    return call(this.#calls.condOf, this.#kind.get, this.#a.get, this.#b.get, i32.const(cc));
  }

  override flags(): Code {
    return call(this.#calls.flagsOf, this.#kind.get, this.#a.get, this.#b.get);
  }

  override carry(): Code {
    const kind = this.#knownKind;
    if (kind === FlagKind.ADD || kind === FlagKind.SUB) return i64.ltU(this.#a.get, this.#b.get);
    if (kind === FlagKind.LOGIC) return zero;
    if (kind === FlagKind.RESULT || kind === FlagKind.RAW)
      return i32.and(i32.wrap(this.#b.get), i32.const(1));
    return call(this.#calls.carryOf, this.#kind.get, this.#a.get, this.#b.get);
  }

  // ---- memory and locals ----

  /** Writes registers and flags of a set back. */
  spill(set: number): Code {
    const parts: Code[] = [];
    for (let register = 0; register < 32; register++) {
      if (register === Reg.ZERO || ((set >>> register) & 1) === 0) continue;
      parts.push(i64.store(zero, this.#local(register).get, REGISTERS + register * 8));
    }
    if (set & FLAGS) {
      parts.push(
        i32.store(zero, this.#kind.get, FLAG_KIND),
        i64.store(zero, this.#a.get, FLAG_A),
        i64.store(zero, this.#b.get, FLAG_B),
      );
    }
    return parts;
  }

  /** Loads registers and flags of a set. */
  reload(set: number): Code {
    const parts: Code[] = [];
    for (let register = 0; register < 32; register++) {
      if (register === Reg.ZERO || ((set >>> register) & 1) === 0) continue;
      parts.push(this.#local(register).set(i64.load(zero, REGISTERS + register * 8)));
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

  /** Runs `direct` where `va` is in the direct map and nothing speaks against it, else `otherwise`. */
  #shortcut(size: number, write: boolean, direct: (offset: Code) => Code, otherwise: Code): Code {
    const plain = this.#plain;
    if (plain === undefined || this.#isElsewhere(plain)) return otherwise;
    const done = label('accessed');
    const look = label('look up');
    const offset = i32.wrap(this.#offset.get);
    const frame = i32.shrU(offset, i32.const(12));
    const lastFrame = i32.shrU(i32.add(offset, i32.const(size - 1)), i32.const(12));
    return block(
      done,
      seq(
        block(
          look,
          seq(
            this.#offset.set(i64.sub(this.t.va.get, i64.const(plain.base))),
            brIf(look, i64.gtU(this.#offset.get, i64.const(plain.bytes - size))),
            write ? brIf(look, i32.load8u(frame, plain.frameFlags)) : [],
            write && size > WIDEST_ACCESS ? brIf(look, i32.load8u(lastFrame, plain.frameFlags)) : [],
            direct(offset),
            br(done),
          ),
        ),
        otherwise,
      ),
    );
  }

  /** The stack, and addresses that are known and not in the direct map. */
  #isElsewhere(plain: PlainMap): boolean {
    if (STACK.test(this.step.name)) return true;
    const base = this.#operand('a') >> 3;
    if (base === Reg.RSP) return true;
    // With an index it may yet be anywhere, but what begins elsewhere is most often a table there.
    if (base !== Reg.ZERO) return false;
    const at = Number(this.#imm());
    return at < plain.base || at >= plain.base + plain.bytes;
  }

  override reach(size: number, write: boolean): Code {
    const { host } = this.t;
    if (this.#stack !== undefined && this.#place !== undefined)
      return host.set(i32.add(this.#stack.base.get, i32.const(this.#place)));
    const group = this.#grouped();
    if (group !== undefined)
      return seq(group.look, host.set(i32.add(group.base.get, i32.const(group.offset))));
    const direct = (offset: Code): Code => host.set(i32.add(offset, i32.const(this.#plain?.ramBase ?? 0)));
    return this.#shortcut(size, write, direct, super.reach(size, write));
  }

  override load(size: Size, address: Code): Code {
    if (this.#stack !== undefined && this.#place !== undefined)
      return loadHost(size, this.#stack.base.get, this.#place);
    const group = this.#grouped();
    if (group === undefined) return super.load(size, address);
    return seq(group.look, loadHost(size, group.base.get, group.offset));
  }

  override store(size: Size, address: Code, value: Code): Code {
    if (this.#stack !== undefined && this.#place !== undefined)
      return storeHost(size, this.#stack.base.get, value, this.#place);
    const group = this.#grouped();
    if (group !== undefined) return seq(group.look, storeHost(size, group.base.get, value, group.offset));
    const { va } = this.t;
    const direct = (offset: Code): Code => storeHost(size, offset, value, this.#plain?.ramBase);
    return seq(va.set(address), this.#shortcut(size, true, direct, super.store(size, va.get, value)));
  }

  /**
   * Without a call in it a loop keeps its registers in those of the machine, so what is seldom wanted there is done
   * outside: the interpreter goes on with this operation. Instructions that often get there make the call, and so does
   * what is in no loop: it would be interpreted to its end.
   */
  #outside(): Code {
    return this.#leaveAtOp(Leave.RESUME, this.#dirty, true);
  }

  #isSlow(): boolean {
    return !this.repeats || this.flow.isSlow(this.pc + this.#data.getUint16(this.step.op + OP.PC, true));
  }

  protected override slowReach(size: number, write: boolean): Code {
    return this.#isSlow() ? super.slowReach(size, write) : this.#outside();
  }

  protected override slowStore(size: Size, value: Code): Code {
    return this.#isSlow() ? super.slowStore(size, value) : this.#outside();
  }

  override committed(size: number): Code {
    const looked = this.#place !== undefined || this.#groups.has(this.step);
    return !looked && this.#isSlow() ? super.committed(size) : [];
  }

  protected override afterSlowWrite(): Code {
    const stale = i32.load(zero, STALE);
    if (this.#stack === undefined) return this.#pending.set(stale);
    // What was found of the stack holds while the window is open.
    return this.#pending.set(i32.or(stale, i64.eqz(i64.load(zero, WINDOW_BYTES))));
  }

  // ---- leaving ----

  #exit(set: number): Label {
    let found = this.#exits.get(set);
    if (found === undefined) {
      found = label(`exit ${set}`);
      this.#exits.set(set, found);
    }
    return found;
  }

  /** Leaves to go on at a guest address. */
  leaveAt(rip: Code, code: number, dirty: number): Code {
    return seq(storeRip(rip), this.#code.set(i32.const(code)), br(this.#exit(dirty & ~TEMPORARIES)));
  }

  /** `within`: the operation is not done, and its instruction's temporaries are still wanted. */
  #leaveAtOp(code: number, dirty: number, within = false): Code {
    const exit = this.#exit(within ? dirty : dirty & ~TEMPORARIES);
    return seq(this.#exitOp.set(this.here()), this.#code.set(i32.const(code)), br(exit));
  }

  fault(): Code {
    return this.#leaveAtOp(Leave.FAULT, this.#dirty);
  }

  faultIf(condition: Code): Code {
    return iff(condition, this.fault());
  }

  /** Only helpers leave in this way: everything was written back before them. */
  leave(code: number): Code {
    return this.#leaveAtOp(code, 0);
  }

  /** After an instruction that may have changed code: goes on in fresh code if this may be stale. */
  leaveIfStale(retired: number, next: Address): Code {
    return iff(
      this.#pending.get,
      seq(
        i32.store(zero, zero, STALE),
        this.#retire(retired),
        this.leaveAt(i64.const(next), Leave.GO, this.step.dirtyAfter),
      ),
    );
  }

  /** Puts the ways out behind the body. */
  finish(body: Code): Code {
    const done = label('done');
    let code = body;
    for (const [dirty, at] of this.#exits) code = seq(block(at, code), this.spill(dirty), br(done));
    return seq(
      block(done, code),
      i32.store(zero, this.#exitOp.get, EXIT_IP),
      i32.store(zero, this.#code.get, LEAVE_CODE),
      i32.store(zero, this.left.get, LEFT),
      zero,
    );
  }

  // ---- control ----

  #count(): number {
    return this.#data.getUint16(this.step.op + OP.COUNT, true);
  }

  #retire(instructions: number): Code {
    if (instructions === 0) return [];
    return this.left.set(i32.sub(this.left.get, i32.const(instructions)));
  }

  /** Address that a direct branch of the operation leads to; set by whoever emits it. */
  target: Address = 0;

  jump(own: number): Code {
    const retired = this.#retire(this.#count() + own);
    if (this.step.calls) {
      return seq(retired, this.#callGuest(i64.const(this.target), i32.const(this.flow.slotOf(this.target))));
    }
    const checked = this.#data.getUint8(this.step.op + OP.SCALE) === 0;
    return seq(retired, this.flow.goTo(this.target, checked));
  }

  indirect(target: Local, own: number): Code {
    const retired = this.#retire(this.#count() + own);
    const { name, dirtyAfter } = this.step;
    if (this.step.calls) {
      const { entry } = this.t;
      const found = i64.eq(i64.load(entry.get, LOOKUP_BASE), target.get);
      const look = seq(
        entry.set(lookupEntry(target)),
        iff(found, [], entry.set(i32.xor(entry.get, i32.const(1 << LOOKUP_ENTRY_SHIFT)))),
        entry.set(i32.mul(i32.load(entry.get, LOOKUP_BASE + LOOKUP_SLOT), found)),
      );
      return seq(retired, look, this.#callGuest(target.get, entry.get));
    }
    if (!name.startsWith('ret')) return seq(retired, this.leaveAt(target.get, Leave.MISS, dirtyAfter));
    const expected = i32.and(i64.eq(target.get, this.returnTo.get), i32.gtS(this.left.get, zero));
    return seq(
      retired,
      this.spill(dirtyAfter & ~TEMPORARIES),
      iff(expected, ret(this.left.get)),
      this.leaveAt(target.get, Leave.MISS, 0),
    );
  }

  /** The return address is on the guest's stack; all state goes to memory, so that the callee can leave at any time. */
  #callGuest(target: Code, slot: Code): Code {
    const { n } = this.t;
    const next = i64.const(this.#imm());
    const away = i32.or(i32.leS(this.left.get, zero), i32.gtU(this.depth.get, i32.const(MAX_DEPTH)));
    const stale = iff(
      this.#pending.get,
      seq(i32.store(zero, zero, STALE), this.leaveAt(target, Leave.MISS, 0)),
    );
    return seq(
      this.spill(this.step.dirtyAfter & ~TEMPORARIES),
      stale,
      iff(away, this.leaveAt(target, Leave.MISS, 0)),
      n.set(callIndirect(this.#type, slot, this.left.get, i32.add(this.depth.get, i32.const(1)), next, zero)),
      iff(i32.leS(n.get, zero), seq(iff(i32.eqz(n.get), ret(zero)), this.leaveAt(target, Leave.MISS, 0))),
      this.left.set(n.get),
      this.flow.afterCall(),
    );
  }

  override callHelper(): Code {
    const { n } = this.t;
    const { dirtyBefore, dirtyAfter, liveAfter, writes } = this.step;
    const before = this.spill(dirtyBefore);
    this.#dirty = 0;
    const code = seq(
      before,
      this.syncLeft(),
      n.set(call(this.calls.helper, this.here())),
      this.reloadLeft(),
      iff(n.get, seq(this.faultIf(i32.eq(n.get, i32.const(Leave.FAULT))), this.leave(Leave.HELPER))),
      this.reload(liveAfter | dirtyAfter | (this.step.helper === 'maybe' ? writes : 0)),
      this.afterSlowWrite(),
    );
    this.#dirty = dirtyBefore;
    this.#knownKind = -1;
    return code;
  }

  syncLeft(): Code {
    return i32.store(zero, this.left.get, LEFT);
  }

  reloadLeft(): Code {
    return this.left.set(i32.load(zero, LEFT));
  }

  affords(instructions: Code): Code {
    return i32.gtS(this.left.get, i32.add(instructions, i32.const(this.#count())));
  }

  spend(instructions: Code): Code {
    return this.left.set(i32.sub(this.left.get, instructions));
  }

  countEntry(): Code {
    throw new Error('an entry is counted inside a region');
  }

  enterTranslated(): Code {
    throw new Error('a region is entered from inside a region');
  }
}
