/** One region as a WebAssembly function: structured where its graph allows, else a loop around a table of blocks. */

import type { Address } from '../../memory/address.ts';
import { zero } from '../gen.ts';
import { Reg } from '../ir.ts';
import { operations } from '../ops/table.ts';
import { Leave, OP } from '../state.ts';
import {
  block,
  br,
  brTable,
  type Code,
  type FunctionSpec,
  i32,
  i64,
  iff,
  type Label,
  type Local,
  label,
  local,
  loop,
  seq,
  unreachable,
} from '../wasm/encoder.ts';
import { carriedFlags, restoreFlags, type Source, sourceAt } from './carried-flags.ts';
import { MAX_CALLEES, type Node, type RegionGraph } from './graph.ts';
import { analyse, FLAGS, type NodeSteps, returnNode, type Step } from './liveness.ts';
import { type Order, orderOf } from './order.ts';
import { REGION_SIGNATURE } from './protocol.ts';
import { type Flow, RegionGen, type RegionModule } from './region-gen.ts';
import { displacement, findStack } from './stack.ts';
import type { Pin } from './tables.ts';

export interface RegionContext extends RegionModule {
  slotOf(pc: Address): number;
  isSlow(pc: Address): boolean;
  /** Pins the memory at an address for as long as the region lives. */
  readonly pin: Pin;
  /** Accesses in loops may be to elsewhere than the direct map, whatever their registers hold. */
  readonly wary: boolean;
  /** The address is mapped, and not in the direct map. */
  isOutside(va: Address): boolean;
  /** Registers with such an address, where what they hold when the region is made tells anything of it. */
  readonly outside: number;
  /** Indirect jumps to elsewhere are reported. */
  readonly learns: boolean;
  /** Accesses to the stack may go by way of the window. */
  readonly windowed: boolean;
}

/** The function, and the addresses that it can be entered at, by number; there is none where indirect jumps meet. */
export function regionFunction(
  graph: RegionGraph,
  context: RegionContext,
): { spec: FunctionSpec; entries: readonly (Address | undefined)[] } {
  const emitter = new RegionEmitter(graph, context);
  return { spec: emitter.emit(), entries: emitter.entries };
}

class RegionEmitter implements Flow {
  readonly entry: Address;
  readonly #context: RegionContext;
  readonly #order: Order;
  readonly #nodes: readonly NodeSteps[];
  readonly #gen: RegionGen;
  readonly #loops: readonly Label[];
  readonly #merges: readonly Label[];
  /** The block of the dispatcher to go on at, where the graph needs one. */
  readonly #dispatch: { readonly next: Local; readonly again: Label } | undefined;
  /** Registers that are likely to hold addresses outside of the direct map. */
  readonly #outside: number;
  /** What the flags follow from where a loop begins again, by its index. */
  readonly #carried: ReadonlyMap<number, Source>;
  /** Index of the node being emitted. */
  #at = 0;

  constructor(graph: RegionGraph, context: RegionContext) {
    this.entry = graph.entry.pc;
    this.#context = context;
    this.#order = orderOf(graph);
    this.#nodes = analyse(this.#order, context.data);
    this.#outside = context.outside | setOutside(this.#nodes, context);
    const stretch = findStack(this.#nodes, context.data, context.bits === 64 ? 8 : 4);
    const count = this.#nodes.reduce((sum, { steps }) => sum + steps.length, 0);
    this.#gen = new RegionGen(context, count);
    if (context.windowed && stretch !== undefined)
      this.#gen.useWindow(stretch, context.slotOf(graph.entry.pc));
    this.#gen.useIndexes(this.#nodes, this.#order.entries, context.pin);
    this.#carried = carriedFlags(this.#order, this.#nodes, context.data);
    this.#gen.carriesFlags = this.#carried.size > 0;
    this.#gen.flow = this;
    this.#loops = this.#nodes.map((_, i) => label(`loop ${i}`));
    this.#merges = this.#nodes.map((_, i) => label(`merge ${i}`));
    if (!this.#order.reducible) {
      this.#gen.locals.push('i32');
      this.#dispatch = { next: local(3 + this.#gen.locals.length), again: label('dispatch') };
    }
  }

  get entries(): readonly (Address | undefined)[] {
    // Copies are entered by way of their caller only.
    return this.#order.entries.map((node) =>
      node === this.#order.switches || node.back !== undefined ? undefined : node.pc,
    );
  }

  emit(): FunctionSpec {
    const body = this.#dispatch === undefined ? this.#tree(0) : this.#dispatcher(this.#dispatch);
    let live = 0;
    for (const node of this.#order.entries) live |= this.#nodes[this.#order.indexOf.get(node)!].liveIn;
    const distances = this.#order.entries.map((node) => this.#nodes[this.#order.indexOf.get(node)!].sp ?? 0);
    const begin = this.#carried.has(0) ? iff(i32.eqz(this.#gen.at.get), this.#gen.flagsAreInMemory()) : [];
    const whole = this.#gen.finish(seq(this.#gen.enter(live, distances), begin, body, unreachable));
    return { ...REGION_SIGNATURE, locals: this.#gen.locals, body: whole };
  }

  // ---- structure ----

  /** The node and all it dominates. */
  #tree(index: number): Code {
    const { children, isMerge, isLoop } = this.#order;
    const merges = children[index].filter((child) => isMerge[child]).reverse();
    const body = this.#within(index, merges);
    return isLoop[index] ? loop(this.#loops[index], body) : body;
  }

  /** The node inside the blocks whose ends are the merge points it dominates, the last of them outermost. */
  #within(index: number, merges: readonly number[]): Code {
    if (merges.length === 0) return this.#node(index);
    const [last, ...rest] = merges;
    return seq(block(this.#merges[last], this.#within(index, rest)), this.#tree(last));
  }

  #dispatcher(dispatch: { next: Local; again: Label }): Code {
    const cases = this.#nodes.map((_, i) => label(`block ${i}`));
    let code: Code = brTable(cases, cases[0], dispatch.next.get);
    this.#nodes.forEach((_, i) => {
      code = seq(block(cases[i], code), this.#node(i));
    });
    // Entries are numbered as the blocks are.
    return seq(dispatch.next.set(this.#gen.at.get), loop(dispatch.again, code));
  }

  /** At a loop that has others inside: goes on to the one that execution enters at, if it does. */
  #enterInner(index: number): Code {
    const loops = this.#order.inner.get(this.#nodes[index].node);
    if (loops === undefined) return [];
    const { at } = this.#gen;
    const ways = loops.map(({ node, number, last }) => {
      const index = this.#order.indexOf.get(node)!;
      const go = this.#goTo(index);
      // Execution has only just entered.
      const begin = seq(at.set(zero), this.#leaveFlags(index, 0), go);
      const here = iff(i32.eq(at.get, i32.const(number)), begin);
      return last === number ? here : seq(here, iff(i32.leU(at.get, i32.const(last)), go));
    });
    return iff(at.get, ways);
  }

  /** @param dirty what has changed since it was in memory */
  #branchTo(index: number, dirty: number): Code {
    const flags = this.#leaveFlags(index, dirty);
    return seq(flags, this.#goTo(index));
  }

  /** On the way to a loop that finds its flags in registers: where they are others they go to memory. */
  #leaveFlags(index: number, dirty: number): Code {
    const source = this.#carried.get(index);
    if (source === undefined) return [];
    if ((dirty & FLAGS) === 0) return this.#gen.flagsAreInMemory();
    const { steps } = this.#nodes[this.#at];
    if (sourceAt(steps, this.#gen.step, this.#context.data)?.key === source.key) return [];
    const spill = this.#gen.spill(FLAGS);
    return seq(spill, this.#gen.flagsAreInMemory());
  }

  #goTo(index: number): Code {
    if (this.#dispatch !== undefined) {
      return seq(this.#dispatch.next.set(i32.const(index)), br(this.#dispatch.again));
    }
    if (index <= this.#at) return br(this.#loops[index]);
    if (this.#order.isMerge[index]) return br(this.#merges[index]);
    const here = this.#at;
    const { step, pc, repeats } = this.#gen;
    const code = this.#tree(index);
    this.#at = here;
    this.#gen.repeats = repeats;
    this.#gen.startBlock(pc);
    this.#gen.startStep(step);
    return code;
  }

  // ---- one node ----

  #node(index: number): Code {
    const { node, steps } = this.#nodes[index];
    this.#at = index;
    this.#gen.startBlock(node.pc);
    this.#gen.repeats = this.#order.inLoop[index];
    const source = this.#carried.get(index);
    const enter = this.#enterInner(index);
    const begin = source === undefined ? enter : seq(enter, restoreFlags(this.#gen, source));
    if (node === this.#order.switches) return seq(begin, this.#switch(index));
    this.#gen.groupAccesses(steps);
    const parts: Code[] = [begin];
    let mayBeStale = false;
    steps.forEach((step, i) => {
      this.#gen.startStep(step);
      this.#gen.target = node.targets.get(step.op) ?? 0;
      parts.push(operations[step.code].emit(this.#gen));
      mayBeStale = this.#gen.takeUnsure() || mayBeStale;
      const next = steps[i + 1];
      if (!mayBeStale || next === undefined || this.#countOf(next) === this.#countOf(step)) return;
      mayBeStale = false;
      this.#gen.startStep(step);
      parts.push(this.#gen.leaveIfStale(this.#countOf(next), this.#addressOf(index, next)));
    });
    return parts;
  }

  /** To the node of the address in `x`: through a table by a hash of it, where few share a place. */
  #switch(index: number): Code {
    const { node, steps } = this.#nodes[index];
    const [step] = steps;
    const { x } = this.#gen.t;
    this.#gen.startStep(step);
    const { bits, multiplier, places } = spread(node.next);
    const elsewhere = label('elsewhere');
    const cases = places.map((_, place) => label(`place ${place}`));
    const hash = i32.shrU(i32.mul(i32.wrap(x.get), i32.const(multiplier)), i32.const(32 - bits));
    const stop = this.#gen.leaveAt(x.get, Leave.MISS, step.dirtyAfter);
    let code: Code = brTable(
      cases.map((at, place) => (places[place].length === 0 ? elsewhere : at)),
      elsewhere,
      hash,
    );
    places.forEach((targets, place) => {
      if (targets.length === 0) return;
      const ways = targets.map((target) =>
        iff(
          i64.eq(x.get, i64.const(target.pc)),
          this.#branchTo(this.#order.indexOf.get(target)!, step.dirtyAfter),
        ),
      );
      code = seq(block(cases[place], code), ways, br(elsewhere));
    });
    return seq(
      iff(i32.leS(this.#gen.left.get, zero), stop),
      block(elsewhere, code),
      this.#context.learns ? this.#gen.leaveUnknown() : stop,
    );
  }

  #countOf(step: Step): number {
    return this.#context.data.getUint16(step.op + OP.COUNT, true);
  }

  /** Address of the instruction that a step belongs to; what ends a block without one has that of its target. */
  #addressOf(index: number, step: Step): Address {
    const { node } = this.#nodes[index];
    if (step.name === 'goto') return node.targets.get(step.op)!;
    return node.pc + this.#context.data.getUint16(step.op + OP.PC, true);
  }

  // ---- flow ----

  /** The node being emitted. */
  get #here(): Node {
    return this.#nodes[this.#at].node;
  }

  goTo(pc: Address, checked: boolean): Code {
    const { step } = this.#gen;
    const next = this.#here.scope.get(pc);
    const index = next === undefined ? undefined : this.#order.indexOf.get(next);
    if (index === undefined) {
      return this.#gen.leaveAt(i64.const(pc), checked ? Leave.MISS : Leave.GO, step.dirtyAfter);
    }
    const stop = checked
      ? iff(i32.leS(this.#gen.left.get, zero), this.#gen.leaveAt(i64.const(pc), Leave.MISS, step.dirtyAfter))
      : [];
    return seq(stop, this.#branchTo(index, step.dirtyAfter));
  }

  jumpTo(): Code {
    const { switches } = this.#order;
    const { dirtyAfter } = this.#gen.step;
    if (switches !== undefined) return this.#branchTo(this.#order.indexOf.get(switches)!, dirtyAfter);
    if (this.#context.learns) return this.#gen.leaveUnknown();
    return this.#gen.leaveAt(this.#gen.t.x.get, Leave.MISS, dirtyAfter);
  }

  callees(): readonly Address[] {
    return this.#here.callees.map(({ pc }) => pc);
  }

  learnsCallees(): boolean {
    const { callees, knowsCallees } = this.#here;
    return this.#context.learns && knowsCallees && callees.length < MAX_CALLEES;
  }

  callInto(pc: Address): Code {
    const copy = this.#here.callees.find((callee) => callee.pc === pc);
    return this.#branchTo(this.#order.indexOf.get(copy!)!, this.#gen.step.dirtyAfter);
  }

  back(): Address | undefined {
    return this.#here.back?.pc;
  }

  comeBack(): Code {
    return this.#branchTo(this.#order.indexOf.get(this.#here.back!)!, this.#gen.step.dirtyAfter);
  }

  slotOf(pc: Address): number {
    return this.#context.slotOf(pc);
  }

  isSlow(pc: Address): boolean {
    return this.#context.isSlow(pc);
  }

  strays(registers: number): boolean {
    return this.#context.wary || (registers & this.#outside) !== 0;
  }

  afterCall(): Code {
    const node = this.#here;
    const next = returnNode(node);
    const index = next === undefined ? undefined : this.#order.indexOf.get(next);
    if (index === undefined) return this.#gen.leaveAt(i64.const(node.returnsTo!), Leave.GO, 0);
    const { liveIn, sp } = this.#nodes[index];
    const away = this.#gen.leaveAt(i64.const(node.returnsTo!), Leave.GO, 0);
    return seq(this.#gen.enterAgain(liveIn, sp, away), this.#branchTo(index, 0));
  }
}

/** They give a register a constant or an address by way of another register, their first operand. */
const CONSTANTS: ReadonlySet<string> = new Set(['mov.ri.4', 'mov.ri.8']);
const SUMS: ReadonlySet<string> = new Set(['lea.b.4', 'lea.b.8', 'lea.x.8', 'mov.rr.8']);

/** Registers that the code itself gives addresses outside of the direct map, as those of its module's data or on the stack are. */
function setOutside(nodes: readonly NodeSteps[], { data, isOutside, outside }: RegionContext): number {
  let set = 0;
  for (const { steps } of nodes) {
    for (const step of steps) {
      const sums = SUMS.has(step.name);
      if (!sums && !CONSTANTS.has(step.name)) continue;
      const base = sums ? data.getUint8(step.op + OP.A) >> 3 : Reg.ZERO;
      const value = displacement(step, data);
      const away =
        base === Reg.RSP
          ? (outside & (1 << Reg.RSP)) !== 0
          : base === Reg.ZERO && isOutside(step.name.endsWith('4') ? value >>> 0 : value);
      if (away) set |= step.writes;
    }
  }
  return set;
}

/** The most places of a table, for each target and in all. */
const PLACES = 4;
const MAX_BITS = 10;
/** Odd, with their bits spread. */
const MULTIPLIERS = [0x9e3779b1, 0x85ebca6b, 0xc2b2ae35, 0x27d4eb2f, 0x165667b1, 0xd6e8feb9].map(
  (n) => n | 0,
);

/** Addresses by the upper bits of a product, with the multiplier of those tried that makes most places have one at most. */
function spread(targets: readonly Node[]): {
  readonly bits: number;
  readonly multiplier: number;
  readonly places: readonly (readonly Node[])[];
} {
  const bits = Math.min(Math.max(Math.ceil(Math.log2(targets.length * PLACES)), 1), MAX_BITS);
  const tried = MULTIPLIERS.map((multiplier) => {
    const places: Node[][] = Array.from({ length: 1 << bits }, () => []);
    for (const target of targets) places[Math.imul(target.pc | 0, multiplier) >>> (32 - bits)].push(target);
    return { bits, multiplier, places, used: places.filter(({ length }) => length > 0).length };
  });
  return tried.reduce((best, each) => (each.used > best.used ? each : best));
}
