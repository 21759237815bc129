/**
 * Accesses through one register at constant distances, as code does with the fields of a structure: where a block makes
 * several before the register changes, all that they reach is looked up once. Reads and writes are kept apart, since what
 * may be read need not be writable.
 */
import { Reg } from '../ir.ts';
import { OP } from '../state.ts';
import type { Step } from './liveness.ts';
import { displacement, placeOf } from './stack.ts';

/** Accesses that are looked up together, by the first of them. */
export interface Group {
  readonly register: number;
  readonly writes: boolean;
  readonly first: Step;
  /** Distance of the lowest byte from the register, and bytes from there to behind the last. */
  low: number;
  span: number;
  members: number;
}

/** More than that is seldom in one page. */
const WIDEST = 1024;

/** The group of each step that is in one; `apart`: instructions that are better looked up alone. */
export function groupsOf(
  steps: readonly Step[],
  data: DataView,
  word: 4 | 8,
  apart: (step: Step) => boolean,
): ReadonlyMap<Step, Group> {
  const found = new Map<Step, Group>();
  const open = new Map<number, Group>();
  const broken = new Set<Group>();
  for (const step of steps) {
    const base = baseOf(step, data, word);
    if (base !== undefined) {
      const key = base * 2 + (step.stores ? 1 : 0);
      let group = open.get(key);
      if (group === undefined || !join(group, step, data)) {
        group = begin(step, base, data);
        open.set(key, group);
      }
      found.set(step, group);
      if (apart(step)) broken.add(group);
    }
    if (step.helper !== 'never' || step.calls) open.clear();
    else if (step.writes !== 0) {
      for (const [key, { register }] of open) if ((step.writes >>> register) & 1) open.delete(key);
    }
  }
  for (const [step, group] of found) if (group.members < 2 || broken.has(group)) found.delete(step);
  return found;
}

function baseOf(step: Step, data: DataView, word: 4 | 8): number | undefined {
  const { addresses, faults, op, width } = step;
  if (addresses === undefined || addresses === 'x' || !faults || width === 0) return undefined;
  const base = data.getUint8(op + OP.A) >> 3;
  if (base === Reg.ZERO || placeOf(step, data, word) !== undefined) return undefined;
  return base;
}

function begin(step: Step, register: number, data: DataView): Group {
  const low = displacement(step, data);
  return { register, writes: step.stores, first: step, low, span: step.width, members: 1 };
}

function join(group: Group, step: Step, data: DataView): boolean {
  const at = displacement(step, data);
  const low = Math.min(group.low, at);
  const span = Math.max(group.low + group.span, at + step.width) - low;
  if (!(span <= WIDEST)) return false;
  group.low = low;
  group.span = span;
  group.members++;
  return true;
}
