import { describe, expect, it } from 'vitest';
import { addNeed, closure, dependencyOrder, findCycles, type GraphNode } from '../../src/catalog/graph.ts';

class Node implements GraphNode<Node> {
  readonly name: string;
  index = 0;
  readonly needs: Node[] = [];
  users = 0;

  constructor(name: string) {
    this.name = name;
  }
}

/** `a>b` = a needs b. */
function graph(...arrows: string[]): Node[] {
  const nodes = new Map<string, Node>();
  const node = (name: string) => {
    const found = nodes.get(name) ?? new Node(name);
    nodes.set(name, found);
    return found;
  };
  for (const arrow of arrows) {
    const [user, used] = arrow.split('>');
    if (used === undefined) node(user);
    else addNeed(node(user), node(used));
  }
  const list = [...nodes.values()];
  list.forEach((one, index) => {
    one.index = index;
  });
  return list;
}

describe('dependencies', () => {
  it('are ordered users first', () => {
    const nodes = graph('ext4>jbd2', 'ext4>crc16', 'jbd2>crc32', 'other');
    const { ranks, unordered } = dependencyOrder(nodes);
    expect(unordered).toEqual([]);
    for (const node of nodes)
      for (const need of node.needs) expect(ranks[node.index]).toBeLessThan(ranks[need.index]);
    expect(
      closure(nodes[0])
        .map(({ name }) => name)
        .sort(),
    ).toEqual(['crc16', 'crc32', 'jbd2']);
  });

  it('are counted once', () => {
    const [a, b] = graph('a>b', 'b');
    expect(addNeed(a, b)).toBe(false);
    expect(b.users).toBe(1);
  });

  it('in cycles are named as paths', () => {
    const nodes = graph('x>a', 'a>b', 'b>c', 'c>a', 'y>z');
    const { unordered } = dependencyOrder(nodes);
    const cycles = findCycles(nodes, unordered).map((path) => path.map(({ name }) => name).join(' '));
    expect(cycles).toEqual(['a b c a']);
  });

  it('in a knot end', () => {
    const names = Array.from({ length: 12 }, (_, i) => `n${i}`);
    const nodes = graph(...names.flatMap((a) => names.filter((b) => b !== a).map((b) => `${a}>${b}`)));
    expect(findCycles(nodes, dependencyOrder(nodes).unordered).length).toBeGreaterThan(0);
  });
});
