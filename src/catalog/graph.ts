/** Dependencies between modules of any system: an order in which users stand before what they use, and cycles. */

export interface GraphNode<N> {
  /** Position in the list that is ordered. */
  index: number;
  /** What it needs directly, each once. */
  readonly needs: N[];
  /** How many nodes need it directly. */
  users: number;
}

export interface DependencyOrder {
  /** Rank by node index: a node's rank is lower than that of everything it needs. Infinity: part of, or behind, a cycle. */
  readonly ranks: readonly number[];
  /** Nodes without a rank. */
  readonly unordered: readonly number[];
}

/** Notes that `user` needs `used`; false when it was known. */
export function addNeed<N extends GraphNode<N>>(user: N, used: N): boolean {
  if (user.needs.includes(used)) return false;
  user.needs.push(used);
  used.users++;
  return true;
}

/**
 * Sorts topologically, users first. Of several that could come next the one that became free last does: the order in
 * which depmod lists dependencies rests on that.
 */
export function dependencyOrder<N extends GraphNode<N>>(nodes: readonly N[]): DependencyOrder {
  const users = nodes.map((node) => node.users);
  const free = nodes.filter((node) => node.users === 0);
  const ranks = new Array<number>(nodes.length).fill(Number.POSITIVE_INFINITY);
  let rank = 0;
  for (let node = free.pop(); node !== undefined; node = free.pop()) {
    ranks[node.index] = rank++;
    for (const used of node.needs) if (--users[used.index] === 0) free.push(used);
  }
  return { ranks, unordered: nodes.filter((node) => users[node.index] > 0).map((node) => node.index) };
}

/** All that a node needs, directly or not, without itself unless it is in a cycle. */
export function closure<N extends GraphNode<N>>(node: N): N[] {
  const seen = new Set<N>();
  const open = [...node.needs];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (seen.has(next)) continue;
    seen.add(next);
    open.push(...next.needs);
  }
  return [...seen];
}

/** As `closure`, for many nodes of one list, which their indexes are of: without a set for each. */
export function closureFinder<N extends GraphNode<N>>(nodes: readonly N[]): (node: N) => N[] {
  const seen = new Int32Array(nodes.length).fill(-1);
  return (node) => {
    const found: N[] = [];
    const open = [...node.needs];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      if (seen[next.index] === node.index) continue;
      seen[next.index] = node.index;
      found.push(next);
      for (const needed of next.needs) open.push(needed);
    }
    return found;
  };
}

/** One walk from a root: a node and how it was come by. */
interface Step<N> {
  readonly node: N;
  readonly from: Step<N> | undefined;
}

/** More paths than this through a knot of modules tell a reader nothing new. */
const MOST_STEPS = 100_000;

/** Nodes in a ring: after one is taken out, what followed it comes next, wherever it stood (libkmod, libkmod-list.c). */
class Ring<N> {
  private readonly next = new Map<N, N>();
  private readonly before = new Map<N, N>();
  private head: N | undefined;

  constructor(members: readonly N[]) {
    this.head = members[0];
    members.forEach((member, i) => {
      const follower = members[(i + 1) % members.length];
      this.next.set(member, follower);
      this.before.set(follower, member);
    });
  }

  remove(member: N): void {
    const [next, before] = [this.next.get(member), this.before.get(member)];
    if (next === undefined || before === undefined) return;
    this.next.delete(member);
    this.before.delete(member);
    this.head = next === member ? undefined : next;
    if (next === member) return;
    this.next.set(before, next);
    this.before.set(next, before);
  }

  take(): N | undefined {
    const { head } = this;
    if (head !== undefined) this.remove(head);
    return head;
  }
}

/**
 * Cycles among nodes that have no order: each as a path that ends where it began. Which of them is told from which node is
 * depmod's way (tools/depmod.c, depmod_report_cycles).
 */
export function findCycles<N extends GraphNode<N>>(nodes: readonly N[], unordered: readonly number[]): N[][] {
  const cycles: N[][] = [];
  const roots = new Ring(unordered.map((index) => nodes[index]));
  const visited = new Set<N>();
  let steps = 0;
  for (let root = roots.take(); root !== undefined; root = roots.take()) {
    const open: Step<N>[] = [{ node: root, from: undefined }];
    for (let step = open.pop(); step !== undefined && steps < MOST_STEPS; step = open.pop(), steps++) {
      if (visited.has(step.node) && step.node === root) {
        const path = pathOf(step);
        for (const node of path.slice(0, -1)) roots.remove(node);
        cycles.push(path);
        continue;
      }
      visited.add(step.node);
      if (step.node.needs.length === 0) roots.remove(step.node);
      // A cycle that the root is not part of is found from one of its own nodes.
      else if (!isOnWay(step)) for (const node of step.node.needs) open.push({ node, from: step });
    }
  }
  return cycles;
}

function pathOf<N>(last: Step<N>): N[] {
  const path: N[] = [];
  for (let step: Step<N> | undefined = last; step !== undefined; step = step.from) path.push(step.node);
  return path.reverse();
}

function isOnWay<N>(step: Step<N>): boolean {
  for (let above = step.from; above !== undefined; above = above.from)
    if (above.node === step.node) return true;
  return false;
}
