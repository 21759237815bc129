/**
 * Flags that a loop carries from turn to turn although its code sets them anew before it looks: they are there only for
 * whatever leaves before that. Most follow from registers that still hold what was compared when the loop begins again, so
 * that nothing has to be carried for them but which they are.
 */
import { narrow, numeric, top } from '../gen.ts';
import { Reg, type Size } from '../ir.ts';
import { OP } from '../state.ts';
import type { Code } from '../wasm/encoder.ts';
import { TEMPORARIES } from './effects.ts';
import { FLAGS, type NodeSteps, type Step } from './liveness.ts';
import type { LocalGen } from './local-gen.ts';
import type { Order } from './order.ts';

/** A setting of the flags that follows from registers as they are after it. */
export interface Source {
  readonly step: Step;
  /** The same for all that set them to the same, from the same. */
  readonly key: string;
}

const COMPARES: ReadonlySet<string> = new Set(['cmp', 'test']);
const CHANGES: ReadonlySet<string> = new Set(['add', 'sub', 'and', 'or', 'xor']);

/** By index of a loop: what sets its flags on most ways back. */
export function carriedFlags(
  order: Order,
  nodes: readonly NodeSteps[],
  data: DataView,
): ReadonlyMap<number, Source> {
  const found = new Map<number, Source>();
  if (!order.reducible) return found;
  nodes.forEach((from, index) => {
    for (const step of from.steps) {
      for (const way of step.ways) {
        const to = order.indexOf.get(way);
        if (to === undefined || to > index || found.has(to) || !isCarried(nodes[to])) continue;
        const source = sourceAt(from.steps, step, data);
        if (source !== undefined) found.set(to, source);
      }
    }
  });
  return found;
}

const isCarried = ({ dirtyIn, liveIn, readIn }: NodeSteps): boolean =>
  (dirtyIn & liveIn & ~readIn & FLAGS) !== 0;

/** What has set the flags as they are after a step of a block, if that can be told from registers. */
export function sourceAt(steps: readonly Step[], step: Step, data: DataView): Source | undefined {
  let changed = 0;
  for (let at = steps.indexOf(step); at >= 0; at--) {
    const each = steps[at];
    if (each.writes & FLAGS) return sourceOf(each, changed, data);
    changed |= each.writes;
  }
  return undefined;
}

/** @param changed registers that have been written since */
function sourceOf(step: Step, changed: number, data: DataView): Source | undefined {
  const [family, form, size] = step.name.split('.');
  const compares = COMPARES.has(family);
  if ((step.kills & FLAGS) === 0 || (!compares && !CHANGES.has(family))) return undefined;
  if (form !== 'rr' && form !== 'ri') return undefined;
  const [d, a] = [data.getUint8(step.op + OP.D), form === 'rr' ? data.getUint8(step.op + OP.A) : 0];
  const registers = (1 << (d >> 3)) | (form === 'rr' ? 1 << (a >> 3) : 0);
  const sums = family === 'add' || family === 'sub';
  // A sum alone does not tell what was added to itself; a part of a register does not tell what the sum was.
  if (sums && ((form === 'rr' && a >> 3 === d >> 3) || Number(size) < 4)) return undefined;
  if (registers & (changed | TEMPORARIES | (1 << Reg.ZERO))) return undefined;
  const value = form === 'ri' ? data.getBigInt64(step.op + OP.IMM, true) : a;
  return { step, key: `${family}.${form}.${size} ${d} ${value}` };
}

/** Sets the flags but for their kind as `source` has set them. */
export function restoreFlags(g: LocalGen, { step }: Source): Code {
  const [family, form, width] = step.name.split('.');
  const size = Number(width) as Size;
  const n = numeric(size);
  g.step = step;
  const left = g.reg('d', size);
  const right = form === 'rr' ? g.reg('a', size) : narrow(size, g.imm64());
  const set = (a: Code, b?: Code): Code =>
    g.setFlagOperands(top(size, a), b === undefined ? undefined : top(size, b));
  if (family === 'cmp' || family === 'add') return set(left, right);
  if (family === 'sub') return set(n.add(left, right), right);
  return set(family === 'test' ? n.and(left, right) : left);
}
