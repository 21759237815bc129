/**
 * The order in which a flow graph becomes structured code: dominators (Cooper, Harvey and Kennedy, "A Simple, Fast
 * Dominance Algorithm", 2001), loop headers and merge points (Ramsey, "Beyond Relooper", 2022).
 */
import type { Node, RegionGraph } from './graph.ts';

export interface Order {
  /** In reverse postorder; the entry first. */
  readonly nodes: readonly Node[];
  /** Place of a node in that order. */
  readonly indexOf: ReadonlyMap<Node, number>;
  /** By index: the nodes that this one dominates directly, in order. */
  readonly children: readonly (readonly number[])[];
  /** By index: a branch back leads here. */
  readonly isLoop: readonly boolean[];
  /** By index: execution can come back to it. */
  readonly inLoop: readonly boolean[];
  /** By index: more than one branch forward leads here. */
  readonly isMerge: readonly boolean[];
  /** False: some loop has several entries; no nesting of blocks and loops expresses the graph. */
  readonly reducible: boolean;
  /** The loops that execution may enter at, by their number: 0 is the region's own entry. */
  readonly entries: readonly Node[];
  /** As {@link RegionGraph.switches}, where it can be reached. */
  readonly switches: Node | undefined;
  /** For a node that leads on to loops inside it when execution enters there. */
  readonly inner: ReadonlyMap<Node, readonly InnerLoop[]>;
}

/** A loop that can be entered, by way of those around it. */
export interface InnerLoop {
  readonly node: Node;
  readonly number: number;
  /** Number of the last loop inside it; loops are numbered so that those inside follow at once. */
  readonly last: number;
}

interface Shape extends Omit<Order, 'entries' | 'inner' | 'switches'> {
  readonly dominator: readonly number[];
}

/** More loops than that in a region are left through its first entry alone. */
const MAX_ENTRIES = 200;

export function orderOf({ entry, switches }: RegionGraph): Order {
  const shape = shapeOf(entry, (node) => node.next);
  if (!shape.reducible) {
    return { ...shape, switches, entries: [...shape.nodes].slice(0, MAX_ENTRIES), inner: new Map() };
  }
  const entries = [entry];
  const inner = innerLoops(shape, entries, switches);
  if (inner.size === 0) return { ...shape, switches, entries, inner };
  // The ways in are branches too: they go from a loop to those right inside it, so the graph stays reducible.
  const more = shapeOf(entry, (node) => [...node.next, ...(inner.get(node) ?? []).map((loop) => loop.node)]);
  return { ...more, switches, entries, inner };
}

/**
 * For the entry and for each loop: the loops that it dominates, without others between. Execution cannot enter at a loop of
 * indirect jumps, which has no address: what they lead to is as good as a loop then.
 */
function innerLoops(shape: Shape, entries: Node[], switches: Node | undefined): Map<Node, InnerLoop[]> {
  const { nodes, dominator, isLoop, indexOf } = shape;
  const below: number[][] = nodes.map(() => []);
  const around = switches === undefined ? -1 : (indexOf.get(switches) ?? -1);
  const cases = new Set(around >= 0 && isLoop[around] ? switches?.next : []);
  const isEntry = nodes.map((node, i) => isLoop[i] || cases.has(node));
  for (let i = 1; i < nodes.length; i++) {
    if (!isEntry[i]) continue;
    let above = dominator[i];
    while (above > 0 && !isEntry[above]) above = dominator[above];
    below[above].push(i);
  }
  const inner = new Map<Node, InnerLoop[]>();
  const number = (index: number): void => {
    const loops: InnerLoop[] = [];
    for (const child of below[index]) {
      if (entries.length >= MAX_ENTRIES) break;
      const own = entries.push(nodes[child]) - 1;
      number(child);
      loops.push({ node: nodes[child], number: own, last: entries.length - 1 });
    }
    if (loops.length > 0) inner.set(nodes[index], loops);
  };
  number(0);
  return inner;
}

function shapeOf(entry: Node, follow: (node: Node) => readonly Node[]): Shape {
  const nodes = reversePostorder(entry, follow);
  const indexOf = new Map(nodes.map((node, i) => [node, i]));
  const next = nodes.map((node) => [...new Set(follow(node).map((to) => indexOf.get(to)!))]);
  const before: number[][] = nodes.map(() => []);
  next.forEach((targets, from) => {
    for (const to of targets) before[to].push(from);
  });
  const dominator = immediateDominators(before);
  const children: number[][] = nodes.map(() => []);
  for (let i = 1; i < nodes.length; i++) children[dominator[i]].push(i);
  const isLoop = nodes.map(() => false);
  const forward = nodes.map(() => 0);
  let reducible = true;
  // A branch that leaves a node twice for the same target counts twice.
  nodes.forEach((node, from) => {
    for (const target of follow(node)) {
      const to = indexOf.get(target)!;
      if (to > from) forward[to]++;
      else {
        isLoop[to] = true;
        if (!dominates(dominator, to, from)) reducible = false;
      }
    }
  });
  const isMerge = forward.map((count) => count > 1);
  const inLoop = reducible ? loopMembers(next, before) : nodes.map(() => true);
  return { nodes, indexOf, children, isLoop, inLoop, isMerge, reducible, dominator };
}

/** Of a reducible graph: for each branch back, what leads to it without passing where it goes. */
function loopMembers(
  next: readonly (readonly number[])[],
  before: readonly (readonly number[])[],
): readonly boolean[] {
  const inside = next.map(() => false);
  next.forEach((targets, from) => {
    for (const header of targets) {
      if (header > from) continue;
      const seen = new Set([header]);
      const work = [from];
      for (let at = work.pop(); at !== undefined; at = work.pop()) {
        if (seen.has(at)) continue;
        seen.add(at);
        work.push(...before[at]);
      }
      for (const member of seen) inside[member] = true;
    }
  });
  return inside;
}

function reversePostorder(entry: Node, follow: (node: Node) => readonly Node[]): Node[] {
  const out: Node[] = [];
  const seen = new Set([entry]);
  // A stack of our own: functions of hundreds of blocks in a row are common.
  const stack = [{ node: entry, next: follow(entry), at: 0 }];
  while (stack.length > 0) {
    const top = stack[stack.length - 1];
    const next = top.next[top.at++];
    if (next === undefined) {
      out.push(top.node);
      stack.pop();
    } else if (!seen.has(next)) {
      seen.add(next);
      stack.push({ node: next, next: follow(next), at: 0 });
    }
  }
  return out.reverse();
}

function immediateDominators(before: readonly (readonly number[])[]): number[] {
  const dominator: number[] = before.map(() => -1);
  dominator[0] = 0;
  const meet = (x: number, y: number): number => {
    while (x !== y) {
      while (x > y) x = dominator[x];
      while (y > x) y = dominator[y];
    }
    return x;
  };
  for (let changed = true; changed; ) {
    changed = false;
    for (let i = 1; i < before.length; i++) {
      let found = -1;
      for (const from of before[i]) {
        if (dominator[from] < 0) continue;
        found = found < 0 ? from : meet(found, from);
      }
      if (dominator[i] !== found) {
        dominator[i] = found;
        changed = true;
      }
    }
  }
  return dominator;
}

function dominates(dominator: readonly number[], above: number, below: number): boolean {
  let at = below;
  while (at > above) at = dominator[at];
  return at === above;
}
