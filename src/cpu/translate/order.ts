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
  /** By index: more than one branch forward leads here. */
  readonly isMerge: readonly boolean[];
  /** False: some loop has several entries; no nesting of blocks and loops expresses the graph. */
  readonly reducible: boolean;
}

export function orderOf(graph: RegionGraph): Order {
  const nodes = reversePostorder(graph.entry);
  const indexOf = new Map(nodes.map((node, i) => [node, i]));
  const next = nodes.map((node) => [...new Set(node.next.map((to) => indexOf.get(to)!))]);
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
    for (const target of node.next) {
      const to = indexOf.get(target)!;
      if (to > from) forward[to]++;
      else {
        isLoop[to] = true;
        if (!dominates(dominator, to, from)) reducible = false;
      }
    }
  });
  return { nodes, indexOf, children, isLoop, isMerge: forward.map((count) => count > 1), reducible };
}

function reversePostorder(entry: Node): Node[] {
  const out: Node[] = [];
  const seen = new Set([entry]);
  // A stack of our own: functions of hundreds of blocks in a row are common.
  const stack = [{ node: entry, at: 0 }];
  while (stack.length > 0) {
    const top = stack[stack.length - 1];
    const next = top.node.next[top.at++];
    if (next === undefined) {
      out.push(top.node);
      stack.pop();
    } else if (!seen.has(next)) {
      seen.add(next);
      stack.push({ node: next, at: 0 });
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
