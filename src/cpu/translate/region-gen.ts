/** The meaning of operations with registers, flags and the budget in WebAssembly locals. */

import { type Address, PAGE_SIZE } from '../../memory/address.ts';
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
import { loadHost, storeHost, zero } from '../gen.ts';
import { Reg, type Size } from '../ir.ts';
import { storeRip } from '../ops/branch.ts';
import { EXIT_IP, LEAVE_CODE, LEFT, Leave, OP, STALE } from '../state.ts';
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
} from '../wasm/encoder.ts';
import { type Group, groupsOf } from './bases.ts';
import { TEMPORARIES } from './effects.ts';
import type { Node } from './graph.ts';
import { TELLS } from './jumps.ts';
import type { NodeSteps, Step } from './liveness.ts';
import { LocalGen, type RegionCalls } from './local-gen.ts';
import { ABSENT, lookupEntry } from './protocol.ts';
import { displacement, isOnStack, placeOf, type Stretch } from './stack.ts';
import { type IndexedAccesses, indexedAccesses, type Pin, type TableRead } from './tables.ts';

/** What the code around an operation decides: where its branches lead. */
export interface Flow {
  /** Where the region begins. */
  readonly entry: Address;
  /** Goes on at a guest address. `checked`: the budget is looked at on the way. */
  goTo(pc: Address, checked: boolean): Code;
  /** Goes on at the guest address in `x`, where an indirect jump leads to. */
  jumpTo(): Code;
  /** Entry of the table with the translation of a function. */
  slotOf(pc: Address): number;
  /** The instruction there has often made accesses that are not plain ones. */
  isSlow(pc: Address): boolean;
  /** What goes by these registers may well reach elsewhere than the direct map. */
  strays(registers: number): boolean;
  /** Goes on after a call that has come back. */
  afterCall(): Code;
  /** Where the copies of functions begin that the call can go on in. */
  callees(): readonly Address[];
  /** It is of use to hear where the call leads that goes to none of them. */
  learnsCallees(): boolean;
  /** Goes on in one of those copies. */
  callInto(pc: Address): Code;
  /** In such a copy: where its caller goes on. */
  back(): Address | undefined;
  /** Goes on there. */
  comeBack(): Code;
}

/** RAM that is mapped in one piece, readable and writable. */
export interface PlainMap {
  readonly base: Address;
  readonly bytes: number;
  /** Where it is in linear memory, and the bytes that say which frames stores must keep away from. */
  readonly ramBase: number;
  readonly frameFlags: number;
}

/** What a region has of the module that it is made in. */
export interface RegionModule {
  readonly calls: RegionCalls;
  /** Type of translated functions. */
  readonly type: number;
  /** Its own function. */
  readonly self: number;
  readonly data: DataView;
  /** Of a guest address. */
  readonly bits: 32 | 64;
  readonly plain: PlainMap | undefined;
}

/** The distance from a register that is more likely the address of a table. */
const LEAST_TABLE = 1 << 20;
/** Words of the host's stack that calls may use; deeper ones leave, and start again from the bottom. */
const MAX_DEPTH = 1 << 15;
/** What a call is taken to use: more than locals there are, and spilled values the more the longer the code is. */
const FRAME = 64;
const STEPS_A_WORD = 4;
/** Of one operation; a flag says of a frame that the one behind it is not to be reached into. */
const WIDEST_ACCESS = 16;

export class RegionGen extends LocalGen {
  readonly depth = local(1);
  readonly returnTo = local(2);
  /** Number of the loop to begin at; 0 once execution is there. */
  readonly at = local(3);
  /** The block is in a loop. */
  repeats = false;
  /** Start of the block that the operation is in. */
  pc: Address = 0;
  flow!: Flow;
  readonly #plain: PlainMap | undefined;
  readonly #type: number;
  /** The function that is being made. */
  readonly #self: number;
  /** Words of the host's stack that it uses. */
  readonly #frame: number;
  readonly #groups = new Map<Step, Group>();
  #indexes: IndexedAccesses = { tables: new Map(), elements: new Map() };
  /** Linear offsets of the groups that are open, by register and kind. */
  readonly #bases = new Map<number, Local>();
  readonly #exits = new Map<number, Label>();
  readonly #exitOp: Local;
  readonly #code: Local;
  readonly #pending: Local;
  /** What was emitted may have set {@link #pending} since it was last looked at. */
  #unsure = false;
  /** Of an address from the start of the direct map. */
  readonly #offset: Local;
  /** What has to be written back if the operation faults here. */
  #dirty = 0;
  /** Linear offset of the stretch of the stack that the region uses. */
  #stack: { readonly stretch: Stretch; readonly base: Local; readonly slot: number } | undefined;
  /** Offset in the stretch of the access that the operation makes, if it is one of those. */
  #place: number | undefined;

  constructor({ calls, type, self, data, bits, plain }: RegionModule, steps: number) {
    super(calls, data, bits);
    this.#plain = plain;
    this.#type = type;
    this.#self = self;
    this.#frame = FRAME + Math.floor(steps / STEPS_A_WORD);
    this.#offset = this.newLocal('i64');
    [this.#exitOp, this.#code, this.#pending] = [this.newLocal(), this.newLocal(), this.newLocal()];
  }

  /** Begins a block: nothing is known of the flags. */
  startBlock(pc: Address): void {
    this.pc = pc;
    this.forgetFlags();
  }

  startStep(step: Step): void {
    this.step = step;
    this.#dirty = step.dirtyBefore;
    const place = this.#stack === undefined ? undefined : placeOf(step, this.data, this.word);
    this.#place = place === undefined ? undefined : place - (this.#stack?.stretch.low ?? 0);
  }

  // ---- the stack ----

  /** Before anything is emitted: accesses to that part of the stack go by way of the window. */
  useWindow(stretch: Stretch, slot: number): void {
    const base = this.newLocal();
    this.#stack = { stretch, base, slot };
  }

  /**
   * At the entry: loads registers. `distances`, by the number of the place to begin at: how far the stack pointer is from the
   * region's first.
   */
  enter(live: number, distances: readonly number[]): Code {
    if (this.#stack === undefined) return this.reload(live);
    const { y } = this.t;
    const usual = distances[0];
    const others = distances.flatMap((distance, number) =>
      distance === usual ? [] : [iff(i32.eq(this.at.get, i32.const(number)), y.set(i64.const(distance)))],
    );
    return seq(y.set(i64.const(usual)), others, this.#loadAround(live, y.get, ret(i32.const(ABSENT))));
  }

  /** After a call: loads registers. The stack pointer is so far from the region's first, if that is known. */
  enterAgain(live: number, distance: number | undefined, away: Code): Code {
    if (this.#stack === undefined || distance === undefined) return this.reload(live);
    return this.#loadAround(live, i64.const(distance), away);
  }

  /** The stretch first: if it has to be looked for, that is a call, which would cost the others the machine's registers. */
  #loadAround(live: number, distance: Code, away: Code): Code {
    const stack = 1 << Reg.RSP;
    return seq(this.reload(stack), this.#lookAround(distance, away), this.reload(live & ~stack));
  }

  /** Finds the stretch again, for a stack pointer that is so far from the first one. `away`: where the window is not to be had. */
  #lookAround(distance: Code, away: Code): Code {
    if (this.#stack === undefined) return [];
    const { stretch, base, slot } = this.#stack;
    const { va, x } = this.t;
    const span = stretch.high - stretch.low;
    // Less than 0 where the stretch begins before the window, or ends behind it.
    const room = i64.sub(i64.sub(i64.load(zero, WINDOW_BYTES), i64.const(span)), x.get);
    const outside = i64.ltS(i64.or(x.get, room), i64.const(0));
    const open = call(this.regionCalls.window, va.get, i32.const(span), i32.const(slot));
    const first = i64.add(this.register(Reg.RSP).get, i64.const(stretch.low));
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
    const groups = groupsOf(steps, this.data, this.word, this.#indexes.elements, slow);
    for (const [step, group] of groups) this.#groups.set(step, group);
  }

  /** The access of the operation in its group: what looks the group up first, the linear offset, and bytes from there. */
  #grouped(): { readonly look: Code; readonly base: Code; readonly offset: number } | undefined {
    const group = this.#groups.get(this.step);
    if (group === undefined) return undefined;
    const { register, writes, place, low } = group;
    const base = this.#baseLocal(register * 4 + place * 2 + (writes ? 1 : 0));
    const look = group.first === this.step ? this.#lookUp(group, base) : [];
    const element = this.#indexes.elements.get(this.step);
    if (element === undefined)
      return { look, base: base.get, offset: displacement(this.step, this.data) - low };
    const index = i32.wrap(this.register(element.index).get);
    const far = element.scale === 0 ? index : i32.shl(index, i32.const(element.scale));
    return { look, base: i32.add(base.get, far), offset: element.at - low };
  }

  #baseLocal(key: number): Local {
    let found = this.#bases.get(key);
    if (found === undefined) {
      found = this.newLocal();
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
    const address = this.wrapped(i64.add(this.register(register).get, i64.const(low)));
    const found = (offset: Code): Code => base.set(i32.add(offset, i32.const(this.#plain?.ramBase ?? 0)));
    return seq(va.set(address), this.#shortcut(span, writes, found, looked));
  }

  // ---- memory ----

  /**
   * Runs `direct` where `va` is in the direct map and nothing speaks against it, else `otherwise`. `direct` is given the distance
   * from where RAM is in linear memory.
   */
  #shortcut(size: number, write: boolean, direct: (at: Code) => Code, otherwise: Code): Code {
    const plain = this.#plain;
    if (plain === undefined || this.#isElsewhere(plain)) return otherwise;
    // Nothing waits for the subtraction where it leaves the lower half as it is.
    const at = i32.wrap(plain.base % 2 ** 32 === 0 ? this.t.va.get : this.#offset.get);
    const offset = this.#offset.set(i64.sub(this.t.va.get, i64.const(plain.base)));
    const against = this.#against(plain, size, write);
    if (!this.#mayStray()) {
      const away = this.#leaveAtOp(Leave.STRAY, this.#dirty, true);
      return seq(offset, ...against.map((condition) => iff(condition, away)), direct(at));
    }
    const done = label('accessed');
    const look = label('look up');
    const ways = against.map((condition) => brIf(look, condition));
    return block(done, seq(block(look, seq(offset, ...ways, direct(at), br(done))), otherwise));
  }

  /** What speaks against a plain access at the distance that {@link #offset} is. */
  #against(plain: PlainMap, size: number, write: boolean): readonly Code[] {
    const offset = i32.wrap(this.#offset.get);
    const flag = (at: Code): Code => i32.load8u(i32.shrU(at, i32.const(12)), plain.frameFlags);
    const outside = i64.gtU(this.#offset.get, i64.const(plain.bytes - size));
    if (!write) return [outside];
    if (size <= WIDEST_ACCESS) return [outside, flag(offset)];
    return [outside, flag(offset), flag(i32.add(offset, i32.const(size - 1)))];
  }

  /**
   * False where a loop's access is taken to be one to the direct map until it turns out otherwise: without another way for it
   * the loop is half as long, in what is compiled and in what runs.
   */
  #mayStray(): boolean {
    if (this.#isSlow()) return true;
    return this.flow.strays(this.#addressedBy());
  }

  /** The registers that the operation's address comes from, as bits. */
  #addressedBy(): number {
    const { addresses } = this.step;
    const group = this.#groups.get(this.step);
    if (group !== undefined) return 1 << group.register;
    if (addresses === undefined) return (1 << Reg.RSI) | (1 << Reg.RDI);
    const base = 1 << (this.operand('a') >> 3);
    return addresses === 'x' ? base | (1 << (this.operand('x') >> 3)) : base;
  }

  /** The stack, which is mapped page by page, and addresses that are known and not in the direct map. */
  #isElsewhere(plain: PlainMap): boolean {
    if (isOnStack(this.step.name)) return true;
    // String instructions: their fields say something else.
    if (this.step.addresses === undefined) return false;
    const base = this.operand('a') >> 3;
    if (base === Reg.RSP) return true;
    const at = displacement(this.step, this.data);
    // With a register it may yet be anywhere, but what begins elsewhere is most often a table there.
    if (base !== Reg.ZERO && Math.abs(at) < LEAST_TABLE) return false;
    return at < plain.base || at >= plain.base + plain.bytes;
  }

  /**
   * An element of an array on the stack, where that begins in the stretch: linear offset but for the constant `place`, and
   * the largest distance from there that stays inside.
   */
  #indexed(size: number): { readonly at: Code; readonly place: number; readonly limit: number } | undefined {
    const { sp, addresses } = this.step;
    if (this.#stack === undefined || this.bits === 32 || addresses !== 'x' || sp === undefined)
      return undefined;
    if (this.operand('a') >> 3 !== Reg.RSP || this.operand('x') >> 3 === Reg.ZERO) return undefined;
    const { stretch, base } = this.#stack;
    const place = sp + Number(this.immediateWord()) - stretch.low;
    const limit = stretch.high - stretch.low - place - size;
    if (place < 0 || limit < 0) return undefined;
    return { at: i32.add(base.get, i32.wrap(this.#offset.get)), place, limit };
  }

  /** `direct` where the distance that the operation's index makes is not too large, else `otherwise`. */
  #inStretch(limit: number, direct: Code, otherwise: Code): Code {
    const scale = this.data.getUint8(this.step.op + OP.SCALE);
    const index = this.reg('x', 8);
    const far = i64.gtU(this.#offset.get, i64.const(limit));
    return seq(
      this.#offset.set(scale === 0 ? index : i64.shl(index, i64.const(scale))),
      iff(far, otherwise, direct),
    );
  }

  // ---- static tables ----

  /** Before anything is emitted: what has an index that is known to be small, or a table of the code's own. */
  useIndexes(nodes: readonly NodeSteps[], entries: readonly Node[], pin: Pin): void {
    if (this.#plain === undefined) return;
    this.#indexes = indexedAccesses(nodes, entries, this.data, this.bits, pin);
  }

  /** A read that is looked up together with others is none. */
  #tableRead(): TableRead | undefined {
    return this.#groups.has(this.step) ? undefined : this.#indexes.tables.get(this.step);
  }

  /** How far into its table a read goes, as an offset to be added to where that is. */
  #tableOffset({ index, scale }: TableRead): Code {
    if (index === undefined) return zero;
    const at = i32.wrap(this.register(index).get);
    return scale === 0 ? at : i32.shl(at, i32.const(scale));
  }

  /** Sets `host` for the read of a table; `otherwise` does where the index may be too large and is. */
  #reachTable(read: TableRead, otherwise: () => Code): Code {
    const { index, scale, limit } = read;
    const inside = this.t.host.set(i32.add(this.#tableOffset(read), i32.const(read.host | 0)));
    if (index === undefined || limit === undefined) return inside;
    const far = i64.gtU(this.register(index).get, i64.const(Math.floor(limit / 2 ** scale)));
    return iff(far, otherwise(), inside);
  }

  override reach(size: number, write: boolean): Code {
    const { host } = this.t;
    const table = write ? undefined : this.#tableRead();
    if (table !== undefined) return this.#reachTable(table, () => super.reach(size, write));
    if (this.#stack !== undefined && this.#place !== undefined)
      return host.set(i32.add(this.#stack.base.get, i32.const(this.#place)));
    const group = this.#grouped();
    if (group !== undefined) return seq(group.look, host.set(i32.add(group.base, i32.const(group.offset))));
    const indexed = this.#indexed(size);
    if (indexed !== undefined) {
      const found = host.set(i32.add(indexed.at, i32.const(indexed.place)));
      return this.#inStretch(indexed.limit, found, super.reach(size, write));
    }
    const direct = (at: Code): Code => host.set(i32.add(at, i32.const(this.#plain?.ramBase ?? 0)));
    return this.#shortcut(size, write, direct, super.reach(size, write));
  }

  override load(size: Size, address: Code): Code {
    const table = this.#tableRead();
    if (table?.limit === undefined && table !== undefined)
      return loadHost(size, this.#tableOffset(table), table.host);
    if (table !== undefined) return super.load(size, address);
    if (this.#stack !== undefined && this.#place !== undefined)
      return loadHost(size, this.#stack.base.get, this.#place);
    const group = this.#grouped();
    if (group !== undefined) return seq(group.look, loadHost(size, group.base, group.offset));
    const plain = this.#plain;
    if (plain === undefined || this.#isElsewhere(plain) || this.#indexed(size) !== undefined)
      return super.load(size, address);
    // Where RAM is goes into the load itself.
    const { va, host } = this.t;
    const looked = seq(super.reach(size, false), host.set(i32.sub(host.get, i32.const(plain.ramBase))));
    const found = this.#shortcut(size, false, (at) => host.set(at), looked);
    return seq(va.set(address), found, loadHost(size, host.get, plain.ramBase));
  }

  override store(size: Size, address: Code, value: Code): Code {
    if (this.#stack !== undefined && this.#place !== undefined)
      return storeHost(size, this.#stack.base.get, value, this.#place);
    const group = this.#grouped();
    if (group !== undefined) return seq(group.look, storeHost(size, group.base, value, group.offset));
    const { va } = this.t;
    const indexed = this.#indexed(size);
    if (indexed !== undefined) {
      const stored = storeHost(size, indexed.at, value, indexed.place);
      return seq(va.set(address), this.#inStretch(indexed.limit, stored, super.store(size, va.get, value)));
    }
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
    return !this.repeats || this.flow.isSlow(this.pc + this.data.getUint16(this.step.op + OP.PC, true));
  }

  protected override slowReach(size: number, write: boolean): Code {
    return this.#isSlow() ? super.slowReach(size, write) : this.#outside();
  }

  protected override slowStore(size: Size, value: Code): Code {
    return this.#isSlow() ? super.slowStore(size, value) : this.#outside();
  }

  /** At most a page; over the boundary of two where they are in the direct map. */
  override whenMapped(last: Code, write: boolean, then: (host: Code) => Code, otherwise: Code): Code {
    const plain = this.#plain;
    if (plain === undefined) return super.whenMapped(last, write, then, otherwise);
    const { va, host } = this.t;
    const look = label('look up');
    const done = label('looked');
    const flag = (at: Code): Code =>
      i32.load8u(i32.shrU(i32.wrap(i64.sub(at, i64.const(plain.base))), i32.const(12)), plain.frameFlags);
    const direct = seq(
      this.#offset.set(i64.sub(va.get, i64.const(plain.base))),
      brIf(look, i64.gtU(this.#offset.get, i64.const(plain.bytes - PAGE_SIZE))),
      write ? brIf(look, i32.or(flag(va.get), flag(last))) : [],
      host.set(i32.add(i32.wrap(this.#offset.get), i32.const(plain.ramBase))),
      br(done),
    );
    const looked = super.whenMapped(last, write, (found) => host.set(found), host.set(zero));
    return seq(block(done, seq(block(look, direct), looked)), iff(host.get, then(host.get), otherwise));
  }

  override committed(size: number): Code {
    const looked = this.#place !== undefined || this.#groups.has(this.step);
    return !looked && this.#isSlow() ? super.committed(size) : [];
  }

  protected override afterSlowWrite(): Code {
    this.#unsure = true;
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

  /** Leaves to go on at the address in `x`; it is noted that the jump leads there. */
  leaveUnknown(): Code {
    return seq(storeRip(this.t.x.get), this.#leaveAtOp(Leave.JUMP, this.step.dirtyAfter));
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

  /** True once after a way of writing was emitted that may have changed code, or closed the window. */
  takeUnsure(): boolean {
    const unsure = this.#unsure;
    this.#unsure = false;
    return unsure;
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
    this.forgetFlags();
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
    return this.data.getUint16(this.step.op + OP.COUNT, true);
  }

  #retire(instructions: number): Code {
    if (instructions === 0) return [];
    return this.left.set(i32.sub(this.left.get, i32.const(instructions)));
  }

  /** Address that a direct branch of the operation leads to; set by whoever emits it. */
  target: Address = 0;

  jump(own: number): Code {
    const retired = this.#retire(this.#count() + own);
    if (this.step.name === 'call' && !this.step.calls) {
      return seq(retired, this.#leaveAtCall(i64.const(this.target)), this.flow.callInto(this.target));
    }
    if (this.step.calls) {
      return seq(retired, this.#callGuest(i64.const(this.target), i32.const(this.flow.slotOf(this.target))));
    }
    const checked = this.data.getUint8(this.step.op + OP.SCALE) === 0;
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
      const copies = this.#callCopies(target);
      const told = this.flow.learnsCallees() ? this.#tell() : [];
      return seq(retired, copies, told, look, this.#callGuest(target.get, entry.get));
    }
    if (!name.startsWith('ret')) return seq(retired, this.flow.jumpTo());
    return seq(retired, this.leaveAt(target.get, Leave.MISS, dirtyAfter));
  }

  /** Where a call came from is an address that need not be looked at. */
  override comesBack(target: Local, pop: Code): Code {
    const back = this.flow.back();
    const own = this.#count() + 1;
    const goesOn =
      back === undefined
        ? seq(this.spill(this.step.dirtyAfter & ~TEMPORARIES), ret(this.left.get))
        : this.flow.comeBack();
    const expected = back === undefined ? this.returnTo.get : i64.const(back);
    const affords = i32.gtS(this.left.get, i32.const(own));
    return iff(i64.eq(target.get, expected), iff(affords, seq(pop, this.#retire(own), goesOn)));
  }

  /** The call of an address in a local goes on in a copy if there is one. */
  #callCopies(target: Local): Code {
    const callees = this.flow.callees();
    if (callees.length === 0) return [];
    const ways = callees.map((pc) => iff(i64.eq(target.get, i64.const(pc)), this.flow.callInto(pc)));
    return seq(this.#leaveAtCall(target.get), ways);
  }

  /** The first times it leaves to tell where it leads, which may be worth a copy; its first field counts them. */
  #tell(): Code {
    const count = i32.load8u(this.here(), OP.D);
    const counted = i32.store8(this.here(), i32.add(count, i32.const(1)), OP.D);
    return iff(i32.ltU(count, i32.const(TELLS)), seq(counted, this.leaveUnknown()));
  }

  /** Before execution goes on in a copy: leaves with the return address pushed where it may not. */
  #leaveAtCall(target: Code): Code {
    const { dirtyAfter } = this.step;
    const away = this.leaveAt(target, Leave.MISS, dirtyAfter);
    const stale = this.takeUnsure() ? iff(this.#pending.get, seq(i32.store(zero, zero, STALE), away)) : [];
    return seq(stale, iff(i32.leS(this.left.get, zero), away));
  }

  /** The return address is on the guest's stack; all state goes to memory, so that the callee can leave at any time. */
  #callGuest(target: Code, slot: Code): Code {
    const { n } = this.t;
    const next = i64.const(this.immediateWord());
    const leaves = this.leaveAt(target, Leave.MISS, 0);
    const stale = this.takeUnsure() ? iff(this.#pending.get, seq(i32.store(zero, zero, STALE), leaves)) : [];
    const depth = i32.add(this.depth.get, i32.const(this.#frame));
    const args = [this.left.get, depth, next, zero];
    const itself = this.target === this.flow.entry && this.step.name === 'call';
    return seq(
      this.spill(this.step.dirtyAfter & ~TEMPORARIES),
      stale,
      iff(i32.leS(this.left.get, zero), leaves),
      iff(i32.gtU(this.depth.get, i32.const(MAX_DEPTH)), leaves),
      n.set(itself ? call(this.#self, ...args) : callIndirect(this.#type, slot, ...args)),
      iff(i32.leS(n.get, zero), seq(iff(i32.eqz(n.get), ret(zero)), leaves)),
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
    this.forgetFlags();
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
