/**
 * Accesses through one register at constant distances, as code does with the fields of a structure: where a block makes
 * several before the register changes, all that they reach is looked up once. So are arrays, as those of ciphers are, where the
 * index is known to be small. Reads and writes are kept apart, since what may be read need not be writable.
 */
import { Reg } from '../ir.ts';
import { OP } from '../state.ts';
import type { Step } from './liveness.ts';
import { displacement, placeOf } from './stack.ts';
import { type Element, WIDEST_ARRAY } from './tables.ts';

/** Accesses that are looked up together, by the first of them. */
export interface Group {
  readonly register: number;
  readonly writes: boolean;
  /** Two may be open at a time for a register: of its fields, and of an array farther off. */
  readonly place: 0 | 1;
  readonly first: Step;
  /** Distance of the lowest byte from the register, and bytes from there to behind the last. */
  low: number;
  span: number;
  members: number;
  /** One of them has an index. */
  indexed: boolean;
}

/** More than that is seldom in one page. */
const WIDEST = 1024;

/** What an access reaches, from where a register points. */
interface Reach {
  readonly register: number;
  readonly low: number;
  readonly span: number;
  readonly indexed: boolean;
}

/** The group of each step that is in one; `apart`: instructions that are better looked up alone. */
export function groupsOf(
  steps: readonly Step[],
  data: DataView,
  word: 4 | 8,
  elements: ReadonlyMap<Step, Element>,
  apart: (step: Step) => boolean,
): ReadonlyMap<Step, Group> {
  const found = new Map<Step, Group>();
  /** By register and kind, the one used last in front. */
  const open = new Map<number, Group[]>();
  const broken = new Set<Group>();
  for (const step of steps) {
    const reach = reachOf(step, elements.get(step), data, word);
    if (reach !== undefined) {
      const key = reach.register * 2 + (step.stores ? 1 : 0);
      const before = open.get(key) ?? [];
      const group = before.find((each) => join(each, reach)) ?? begin(step, reach, before);
      open.set(key, [group, ...before.filter(({ place }) => place !== group.place)]);
      found.set(step, group);
      if (apart(step)) broken.add(group);
    }
    if (step.helper !== 'never' || step.calls) open.clear();
    else if (step.writes !== 0) {
      for (const [key] of open) if ((step.writes >>> (key >> 1)) & 1) open.delete(key);
    }
  }
  for (const [step, group] of found) if (group.members < 2 || broken.has(group)) found.delete(step);
  return found;
}

function reachOf(step: Step, element: Element | undefined, data: DataView, word: 4 | 8): Reach | undefined {
  const { addresses, faults, op, width } = step;
  if (element !== undefined) {
    const { base, at, most } = element;
    return { register: base, low: at, span: width + most, indexed: true };
  }
  if (addresses === undefined || addresses === 'x' || !faults || width === 0) return undefined;
  const register = data.getUint8(op + OP.A) >> 3;
  if (register === Reg.ZERO || placeOf(step, data, word) !== undefined) return undefined;
  return { register, low: displacement(step, data), span: width, indexed: false };
}

/** In the place that is free, or of the one that was used longer ago. */
function begin(step: Step, { register, low, span, indexed }: Reach, before: readonly Group[]): Group {
  const place = before[0]?.place === 0 ? 1 : 0;
  return { register, writes: step.stores, place, first: step, low, span, indexed, members: 1 };
}

function join(group: Group, { low: at, span: bytes, indexed }: Reach): boolean {
  const low = Math.min(group.low, at);
  const span = Math.max(group.low + group.span, at + bytes) - low;
  // No more than two pages: of those between nobody would know.
  if (!(span <= (indexed || group.indexed ? WIDEST_ARRAY : WIDEST))) return false;
  group.low = low;
  group.span = span;
  group.indexed ||= indexed;
  group.members++;
  return true;
}
