/**
 * Where the stack pointer is in a region, as a distance from where it was at the region's entry. Most code moves it by
 * constants only: its accesses to the stack are then at known places of one stretch, which is looked up once.
 */
import { Helper, Reg } from '../ir.ts';
import { OP } from '../state.ts';
import type { Node } from './graph.ts';
import { type NodeSteps, returnNode, type Step } from './liveness.ts';

/** The accesses that go by way of the stretch: from the lowest byte to behind the last, from the stack pointer at entry. */
export interface Stretch {
  readonly low: number;
  readonly high: number;
}

/** Farther from the entry's stack pointer an access is looked up as any other. */
const MAX_DISTANCE = 4096;
/** Less is not worth looking up. */
const LEAST_ACCESSES = 2;

type Distance = number | 'unknown';

/** Fills in {@link Step.sp} of all steps. @returns what they reach, undefined where that is next to nothing */
export function findStack(all: readonly NodeSteps[], data: DataView, word: 4 | 8): Stretch | undefined {
  const byNode = new Map(all.map((each) => [each.node, each]));
  const at = new Map<NodeSteps, Distance>();
  const work: NodeSteps[] = [];
  const into = (node: Node | undefined, distance: Distance): void => {
    const to = node === undefined ? undefined : byNode.get(node);
    if (to === undefined) return;
    const known = at.get(to);
    const met = known === undefined || known === distance ? distance : 'unknown';
    if (known === met) return;
    at.set(to, met);
    work.push(to);
  };
  into(all[0].node, 0);
  for (let each = work.pop(); each !== undefined; each = work.pop()) {
    let sp = at.get(each) ?? 'unknown';
    const { steps } = each;
    for (let i = 0; i < steps.length; i++) {
      const step = steps[i];
      if (step.calls) into(returnNode(each.node), sp);
      sp = after(step, sp, data, word);
      for (let way = 0; way < step.ways.length; way++) into(step.ways[way], sp);
    }
  }
  let [low, high, count] = [0, 0, 0];
  for (const each of all) {
    let sp = at.get(each) ?? 'unknown';
    each.sp = sp === 'unknown' ? undefined : sp;
    const { steps } = each;
    for (let i = 0; i < steps.length; i++) {
      const step = steps[i];
      step.sp = sp === 'unknown' ? undefined : sp;
      const place = placeOf(step, data, word);
      if (place !== undefined) {
        low = Math.min(low, place);
        high = Math.max(high, place + step.width);
        count++;
      }
      sp = after(step, sp, data, word);
    }
  }
  return count < LEAST_ACCESSES ? undefined : { low, high };
}

// By name and not by pattern: the first use of a pattern in a process costs what this whole analysis does (measured).
const PUSHES: ReadonlySet<string> = new Set(['push.r', 'push.i', 'call', 'call.r']);
const POPS: ReadonlySet<string> = new Set(['pop.r', 'ret', 'ret.i']);
const OTHERS: ReadonlySet<string> = new Set(['pushf', 'popf', 'leave']);

/** The operation's own access is to the stack, whatever its operands are. */
export const isOnStack = (name: string): boolean => PUSHES.has(name) || POPS.has(name) || OTHERS.has(name);

/** Where the access that a step makes by way of the stack pointer lies; undefined for all others. */
export function placeOf(step: Step, data: DataView, word: 4 | 8): number | undefined {
  const { sp } = step;
  if (sp === undefined) return undefined;
  let place: number;
  if (PUSHES.has(step.name)) place = sp - word;
  else if (POPS.has(step.name)) place = sp;
  else {
    const { addresses, faults, op } = step;
    if (addresses === undefined || addresses === 'x' || !faults) return undefined;
    if (data.getUint8(op + OP.A) >> 3 !== Reg.RSP) return undefined;
    place = sp + displacement(step, data);
  }
  return Math.abs(place) <= MAX_DISTANCE ? place : undefined;
}

/** The displacement of a memory operand; it is half of the payload where an immediate is the other half. */
export const displacement = (step: Step, data: DataView): number =>
  step.addresses === 'i' ? data.getInt32(step.op + OP.DISP32, true) : wide(step, data);

/** The 64-bit payload as a number: exact for all that can be added to an address. */
const wide = ({ op }: Step, data: DataView): number =>
  data.getInt32(op + OP.IMM + 4, true) * 4294967296 + data.getUint32(op + OP.IMM, true);

const STACK_POINTER = 1 << Reg.RSP;

function after(step: Step, sp: Distance, data: DataView, word: 4 | 8): Distance {
  const { name, op } = step;
  if (sp === 'unknown') return sp;
  if (step.helper === 'always') return afterHelper(step, sp, data, word);
  if (name.startsWith('push.') || name.startsWith('call')) return sp - word;
  if (name === 'ret') return sp + word;
  if (name === 'ret.i') return sp + wide(step, data);
  if (name === 'pop.r') return data.getUint8(op + OP.D) >> 3 === Reg.RSP ? 'unknown' : sp + word;
  if ((step.writes & STACK_POINTER) === 0) return sp;
  if (name.startsWith(`add.ri.${word}`)) return sp + wide(step, data);
  if (name.startsWith(`sub.ri.${word}`)) return sp - wide(step, data);
  const moves = name === `lea.b.${word}` && data.getUint8(op + OP.A) >> 3 === Reg.RSP;
  return moves ? sp + wide(step, data) : 'unknown';
}

/** These change the stack pointer in ways of their own. */
const MOVE_STACK: ReadonlySet<number> = new Set([
  Helper.INT,
  Helper.INTO,
  Helper.SYSCALL,
  Helper.SYSRET,
  Helper.SYSENTER,
  Helper.SYSEXIT,
  Helper.IRET,
  Helper.RETF,
  Helper.FAR_JUMP,
  Helper.FAR_CALL,
  Helper.ENTER,
  Helper.PUSHA,
  Helper.POPA,
  Helper.X87,
]);

function afterHelper({ op }: Step, sp: number, data: DataView, word: 4 | 8): Distance {
  const id = data.getUint8(op + OP.AUX);
  const named = [OP.D, OP.A, OP.B].some((field) => data.getUint8(op + field) >> 3 === Reg.RSP);
  if (MOVE_STACK.has(id)) return 'unknown';
  // Their first field is the operand size.
  if (id === Helper.PUSHF || id === Helper.POPF) {
    if (data.getUint8(op + OP.D) !== word) return 'unknown';
    return id === Helper.PUSHF ? sp - word : sp + word;
  }
  return named ? 'unknown' : sp;
}
