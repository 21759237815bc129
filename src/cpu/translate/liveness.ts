/**
 * Which registers must be written back where execution leaves a region, and which must be loaded where it enters or
 * comes back. Sets are bits: 0 to 15 the general registers, 16 the flags, 17 and 18 segment bases, 20 on temporaries.
 */

import type { Form } from '../gen.ts';
import { Reg } from '../ir.ts';
import { operations } from '../ops/table.ts';
import { OP, OP_BYTES } from '../state.ts';
import { effectsOf, TEMPORARIES } from './effects.ts';
import { JUMP_REGISTER, type Node } from './graph.ts';
import type { Order } from './order.ts';

/** Place of the flags: the register that is always 0 needs none. */
export const FLAGS = 1 << Reg.ZERO;

/** One operation with what it does to the sets. */
export interface Step {
  readonly op: number;
  /** Start of its instruction, from the start of the block. */
  readonly at: number;
  readonly code: number;
  readonly name: string;
  readonly reads: number;
  readonly writes: number;
  readonly kills: number;
  readonly faults: boolean;
  readonly stores: boolean;
  readonly helper: 'never' | 'maybe' | 'always';
  /** Control can leave the region here after what the operation writes is done. */
  readonly leaves: boolean;
  /** A call to other translated code: everything is in memory before it. */
  readonly calls: boolean;
  /** How its memory operand is addressed. */
  readonly addresses: Form | undefined;
  /** Bytes of its access, 0 without one. */
  readonly width: number;
  /** Branches lead to these nodes. */
  readonly ways: readonly Node[];
  /** Changed since they were last in memory: before and after the operation. */
  /** How far the stack pointer is from where it was at the region's entry, before the operation, where that is known. */
  sp: number | undefined;
  dirtyBefore: number;
  dirtyAfter: number;
  /** Wanted after the operation, if execution goes on behind it. */
  liveAfter: number;
}

export interface NodeSteps {
  readonly node: Node;
  readonly steps: readonly Step[];
  dirtyIn: number;
  liveIn: number;
  /** What code reads before it writes it, from there on; what is wanted only where execution leaves is not among it. */
  readIn: number;
  /** As {@link Step.sp}, at its start. */
  sp: number | undefined;
}

/** Steps of all nodes, by index, with the sets filled in. */
export function analyse(order: Order, data: DataView): readonly NodeSteps[] {
  const all = order.nodes.map((node): NodeSteps => {
    const steps = node === order.switches ? [switchStep(node, data)] : stepsOf(node, order, data);
    return { node, steps, dirtyIn: 0, liveIn: 0, readIn: 0, sp: undefined };
  });
  const byNode = new Map(all.map((each) => [each.node, each]));
  findDirty(all, byNode);
  findLive(all, byNode);
  if (order.reducible && order.isLoop.includes(true)) findRead(all, byNode);
  return all;
}

/** Bit of the register that an operand byte names. */
const bitOf = (operand: number): number => (1 << (operand >> 3)) & ~FLAGS;

function stepsOf(node: Node, order: Order, data: DataView): Step[] {
  const steps: Step[] = [];
  for (let op = node.block.start; op < node.opsEnd; op += OP_BYTES) {
    const code = data.getUint16(op, true);
    const effects = effectsOf(code);
    const { name, ends } = operations[code];
    const bits = (fields: number, flags: boolean): number => {
      let set = flags ? FLAGS : 0;
      if (fields & 1) set |= bitOf(data.getUint8(op + OP.D));
      if (fields & 2) set |= bitOf(data.getUint8(op + OP.A));
      if (fields & 4) set |= bitOf(data.getUint8(op + OP.B));
      if (fields & 8) set |= bitOf(data.getUint8(op + OP.X));
      return set;
    };
    const call = name === 'call' || name === 'call.r';
    // Where all that it can lead to is known there is nothing else to call.
    const calls = call && (name === 'call.r' || node.callees.length === 0);
    const pc = node.targets.get(op);
    const target = pc === undefined || call ? undefined : node.next.find((next) => next.pc === pc);
    const ways = target !== undefined ? [target] : [];
    if (code === JUMP_REGISTER && order.switches !== undefined) ways.push(order.switches);
    if (call) ways.push(...node.callees);
    else if (node.back !== undefined && name.startsWith('ret')) ways.push(node.back);
    steps.push({
      op,
      at: data.getUint16(op + OP.PC, true),
      code,
      name,
      reads: bits(effects.reads, effects.readsFlags) | (effects.fixedReads & ~FLAGS),
      writes: bits(effects.writes, effects.writesFlags) | (effects.fixedWrites & ~FLAGS),
      kills: bits(effects.kills, effects.killsFlags),
      faults: effects.faults,
      stores: effects.stores,
      helper: effects.helper,
      leaves: (effects.jumps && target === undefined) || effects.stores || effects.jumps || ends === true,
      calls,
      addresses: effects.addresses,
      width: effects.width,
      ways,
      sp: undefined,
      dirtyBefore: 0,
      dirtyAfter: 0,
      liveAfter: 0,
    });
  }
  return order.indexOf.has(node) ? steps : [];
}

/** Goes to one of the nodes behind it, or leaves. */
function switchStep(node: Node, data: DataView): Step {
  const op = node.opsEnd - OP_BYTES;
  return {
    op,
    at: data.getUint16(op + OP.PC, true),
    code: JUMP_REGISTER,
    name: 'switch',
    reads: 0,
    writes: 0,
    kills: 0,
    faults: false,
    stores: false,
    helper: 'never',
    leaves: true,
    calls: false,
    addresses: undefined,
    width: 0,
    ways: node.next,
    sp: undefined,
    dirtyBefore: 0,
    dirtyAfter: 0,
    liveAfter: 0,
  };
}

// The loops below count: most of this runs before the host engine has compiled it, when an iterator costs as much as the work.

/** Backward: what is read before it is written. */
function findRead(all: readonly NodeSteps[], byNode: ReadonlyMap<Node, NodeSteps>): void {
  for (let changed = true; changed; ) {
    changed = false;
    for (let n = all.length - 1; n >= 0; n--) {
      const each = all[n];
      let read = 0;
      for (let i = each.steps.length - 1; i >= 0; i--) {
        const { ways, calls, helper, kills, reads } = each.steps[i];
        // Calls and helpers find everything in memory.
        if (calls || helper === 'always') read = 0;
        for (let way = 0; way < ways.length; way++) read |= byNode.get(ways[way])?.readIn ?? 0;
        read = (read & ~kills) | reads;
      }
      if (read !== each.readIn) {
        each.readIn = read;
        changed = true;
      }
    }
  }
}

/** Forward: what may have changed since it was in memory. Calls and helpers leave everything there. */
function findDirty(all: readonly NodeSteps[], byNode: ReadonlyMap<Node, NodeSteps>): void {
  for (let changed = true; changed; ) {
    changed = false;
    const into = (node: Node | undefined, dirty: number): void => {
      const to = node === undefined ? undefined : byNode.get(node);
      if (to === undefined || (to.dirtyIn | dirty) === to.dirtyIn) return;
      to.dirtyIn |= dirty;
      changed = true;
    };
    for (let n = 0; n < all.length; n++) {
      const { node, steps } = all[n];
      let dirty = all[n].dirtyIn;
      let at = -1;
      for (let i = 0; i < steps.length; i++) {
        const step = steps[i];
        // Temporaries end with their instruction.
        if (step.at !== at) dirty &= ~TEMPORARIES;
        at = step.at;
        step.dirtyBefore = dirty;
        dirty = step.helper === 'always' ? 0 : dirty | step.writes;
        step.dirtyAfter = dirty;
        for (let way = 0; way < step.ways.length; way++) into(step.ways[way], dirty & ~TEMPORARIES);
        if (step.calls) {
          dirty = 0;
          into(returnNode(node), 0);
        }
      }
    }
  }
}

export const returnNode = (node: Node): Node | undefined =>
  node.returnsTo === undefined ? undefined : node.next.find((next) => next.pc === node.returnsTo);

/** Backward: what is read before it is written, on the way on or by whatever leaves. */
function findLive(all: readonly NodeSteps[], byNode: ReadonlyMap<Node, NodeSteps>): void {
  for (let changed = true; changed; ) {
    changed = false;
    for (let n = all.length - 1; n >= 0; n--) {
      const each = all[n];
      let live = 0;
      for (let i = each.steps.length - 1; i >= 0; i--) {
        const step = each.steps[i];
        if (step.calls) live = liveInto(returnNode(each.node), byNode);
        step.liveAfter = live;
        let target = 0;
        for (let way = 0; way < step.ways.length; way++) target |= liveInto(step.ways[way], byNode);
        const left = step.leaves || step.stores ? step.dirtyAfter & ~TEMPORARIES : 0;
        // After a call nothing that was there before is wanted: it is loaded again.
        const after = (step.calls ? 0 : live) | target | left;
        const atFault = step.faults || step.helper !== 'never' ? step.dirtyBefore : 0;
        const behind = step.helper === 'always' ? 0 : after & ~step.kills;
        live = behind | step.reads | atFault;
      }
      if (live !== each.liveIn) {
        each.liveIn = live;
        changed = true;
      }
    }
  }
}

const liveInto = (node: Node | undefined, byNode: ReadonlyMap<Node, NodeSteps>): number =>
  node === undefined ? 0 : (byNode.get(node)?.liveIn ?? 0);
