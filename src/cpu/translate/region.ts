/** One region as a WebAssembly function: structured where its graph allows, else a loop around a table of blocks. */

import type { Address } from '../../memory/address.ts';
import { zero } from '../gen.ts';
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
import type { RegionGraph } from './graph.ts';
import { analyse, type NodeSteps, returnNode, type Step } from './liveness.ts';
import type { RegionCalls } from './local-gen.ts';
import { type Order, orderOf } from './order.ts';
import { REGION_SIGNATURE } from './protocol.ts';
import { type Flow, type PlainMap, RegionGen } from './region-gen.ts';
import { findStack } from './stack.ts';

export interface RegionContext {
  readonly calls: RegionCalls;
  /** Type of translated functions in the module. */
  readonly type: number;
  readonly data: DataView;
  /** Of a guest address. */
  readonly bits: 32 | 64;
  readonly plain: PlainMap | undefined;
  slotOf(pc: Address): number;
  isSlow(pc: Address): boolean;
  /** Accesses to the stack may go by way of the window. */
  readonly windowed: boolean;
}

/** The function, and the addresses that it can be entered at, by number. */
export function regionFunction(
  graph: RegionGraph,
  context: RegionContext,
): { spec: FunctionSpec; entries: readonly Address[] } {
  const emitter = new RegionEmitter(graph, context);
  return { spec: emitter.emit(), entries: emitter.entries };
}

class RegionEmitter implements Flow {
  readonly #graph: RegionGraph;
  readonly #context: RegionContext;
  readonly #order: Order;
  readonly #nodes: readonly NodeSteps[];
  readonly #gen: RegionGen;
  readonly #loops: readonly Label[];
  readonly #merges: readonly Label[];
  /** The block of the dispatcher to go on at, where the graph needs one. */
  readonly #dispatch: { readonly next: Local; readonly again: Label } | undefined;
  /** Index of the node being emitted. */
  #at = 0;

  constructor(graph: RegionGraph, context: RegionContext) {
    this.#graph = graph;
    this.#context = context;
    this.#order = orderOf(graph);
    this.#nodes = analyse(this.#order, context.data);
    const stretch = findStack(this.#nodes, context.data, context.bits === 64 ? 8 : 4);
    this.#gen = new RegionGen(context.calls, context.type, context.data, context.bits, context.plain);
    if (context.windowed && stretch !== undefined)
      this.#gen.useWindow(stretch, context.slotOf(graph.entry.pc));
    this.#gen.flow = this;
    this.#loops = this.#nodes.map((_, i) => label(`loop ${i}`));
    this.#merges = this.#nodes.map((_, i) => label(`merge ${i}`));
    if (!this.#order.reducible) {
      this.#gen.locals.push('i32');
      this.#dispatch = { next: local(3 + this.#gen.locals.length), again: label('dispatch') };
    }
  }

  get entries(): readonly Address[] {
    return this.#order.entries.map(({ pc }) => pc);
  }

  emit(): FunctionSpec {
    const body = this.#dispatch === undefined ? this.#tree(0) : this.#dispatcher(this.#dispatch);
    let live = 0;
    for (const node of this.#order.entries) live |= this.#nodes[this.#order.indexOf.get(node)!].liveIn;
    const distances = this.#order.entries.map((node) => this.#nodes[this.#order.indexOf.get(node)!].sp ?? 0);
    const enter = seq(this.#gen.reload(live | this.#gen.wanted), this.#gen.enter(distances));
    const whole = this.#gen.finish(seq(enter, body, unreachable));
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
      const go = this.#branchTo(this.#order.indexOf.get(node)!);
      const here = iff(i32.eq(at.get, i32.const(number)), seq(at.set(zero), go));
      return last === number ? here : seq(here, iff(i32.leU(at.get, i32.const(last)), go));
    });
    return iff(at.get, ways);
  }

  #branchTo(index: number): Code {
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
    this.#gen.groupAccesses(steps);
    const parts: Code[] = [this.#enterInner(index)];
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

  goTo(pc: Address, checked: boolean): Code {
    const { step } = this.#gen;
    const next = this.#graph.nodes.get(pc);
    const index = next === undefined ? undefined : this.#order.indexOf.get(next);
    if (index === undefined) {
      return this.#gen.leaveAt(i64.const(pc), checked ? Leave.MISS : Leave.GO, step.dirtyAfter);
    }
    const stop = checked
      ? iff(i32.leS(this.#gen.left.get, zero), this.#gen.leaveAt(i64.const(pc), Leave.MISS, step.dirtyAfter))
      : [];
    return seq(stop, this.#branchTo(index));
  }

  slotOf(pc: Address): number {
    return this.#context.slotOf(pc);
  }

  isSlow(pc: Address): boolean {
    return this.#context.isSlow(pc);
  }

  afterCall(): Code {
    const { node } = this.#nodes[this.#at];
    const next = returnNode(node);
    const index = next === undefined ? undefined : this.#order.indexOf.get(next);
    if (index === undefined) return this.#gen.leaveAt(i64.const(node.returnsTo!), Leave.GO, 0);
    const { liveIn, sp } = this.#nodes[index];
    const away = this.#gen.leaveAt(i64.const(node.returnsTo!), Leave.GO, 0);
    const window = sp === undefined ? [] : this.#gen.lookAround(i64.const(sp), away);
    return seq(this.#gen.reload(liveIn | this.#gen.wanted), window, this.#branchTo(index));
  }
}
