/** A set of module files as a graph: who needs whom, by which symbols or by name. */
import type { CatalogEntry } from './entry.ts';
import { addNeed, dependencyOrder, findCycles, type GraphNode } from './graph.ts';

export interface ModuleNode extends GraphNode<ModuleNode> {
  readonly entry: CatalogEntry;
  /** Those that need it directly. */
  readonly usedBy: ModuleNode[];
}

/** Why one module needs another. */
export interface Reason {
  /** Symbols, in the order of the user's file; empty when the file only names the module. */
  readonly symbols: readonly string[];
  readonly byName: boolean;
}

export interface ModuleGraph {
  readonly nodes: readonly ModuleNode[];
  /** The module of that name, however it is spelt. */
  find(name: string): ModuleNode | undefined;
  reason(user: ModuleNode, used: ModuleNode): Reason;
  /** Names that nothing in the set answers to, and who asks for them. */
  readonly absent: readonly { readonly name: string; readonly neededBy: string }[];
  /** Each as names, the first one again at its end. */
  readonly cycles: readonly (readonly string[])[];
}

/** As systems compare names of modules: some do not tell - from _, and endings are optional. */
const folded = (name: string): string =>
  name
    .replace(/^.*\//, '')
    .replace(/\.(ko|nlm|sys|o|out|kext)(\.\w+)?$/i, '')
    .replaceAll('-', '_');

/** Nodes by name; those of systems that do not tell A from a are found in any case. */
class Names {
  private readonly exact = new Map<string, ModuleNode>();
  private readonly anyCase = new Map<string, ModuleNode>();

  add(name: string, node: ModuleNode): void {
    const known = folded(name);
    if (!this.exact.has(known)) this.exact.set(known, node);
    const lower = known.toLowerCase();
    if (node.entry.anyCase === true && !this.anyCase.has(lower)) this.anyCase.set(lower, node);
  }

  find(name: string): ModuleNode | undefined {
    const wanted = folded(name);
    return this.exact.get(wanted) ?? this.anyCase.get(wanted.toLowerCase());
  }
}

/** What one system's modules are found by: nothing of one system serves another. */
interface Index {
  readonly names: Names;
  /** By symbol: the first to offer it, as for loaders. */
  readonly owners: Map<string, ModuleNode>;
}

function indexesOf(nodes: readonly ModuleNode[]): ReadonlyMap<string, Index> {
  const indexes = new Map<string, Index>();
  for (const node of nodes) {
    const { system, name, names, offers } = node.entry;
    const index = indexes.get(system) ?? { names: new Names(), owners: new Map() };
    indexes.set(system, index);
    for (const one of [name, ...names]) index.names.add(one, node);
    for (const symbol of offers) if (!index.owners.has(symbol.name)) index.owners.set(symbol.name, node);
  }
  return indexes;
}

export function buildGraph(entries: readonly CatalogEntry[]): ModuleGraph {
  const nodes: ModuleNode[] = entries.map((entry, index) => ({
    entry,
    index,
    needs: [],
    users: 0,
    usedBy: [],
  }));
  const indexes = indexesOf(nodes);
  const find = (name: string): ModuleNode | undefined => {
    for (const { names } of indexes.values()) {
      const found = names.find(name);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  const named = (user: ModuleNode, name: string) => indexes.get(user.entry.system)?.names.find(name);
  const ownerOf = (user: ModuleNode, symbol: { readonly name: string; readonly from?: string }) => {
    const library = symbol.from === undefined ? undefined : named(user, symbol.from);
    return library ?? indexes.get(user.entry.system)?.owners.get(symbol.name);
  };
  const absent: { name: string; neededBy: string }[] = [];
  const link = (user: ModuleNode, used: ModuleNode | undefined) => {
    if (used !== undefined && used !== user && addNeed(user, used)) used.usedBy.push(user);
  };
  for (const node of nodes) {
    for (const name of node.entry.depends) {
      const used = named(node, name);
      if (used === undefined) absent.push({ name, neededBy: node.entry.name });
      link(node, used);
    }
    for (const symbol of node.entry.needs) link(node, ownerOf(node, symbol));
  }
  return {
    nodes,
    find,
    absent,
    reason: (user, used) => ({
      symbols: user.entry.needs.filter((symbol) => ownerOf(user, symbol) === used).map(({ name }) => name),
      byName: user.entry.depends.some((name) => named(user, name) === used),
    }),
    get cycles() {
      return findCycles(nodes, dependencyOrder(nodes).unordered).map((path) =>
        path.map(({ entry }) => entry.name),
      );
    },
  };
}

/** All that can be reached, the start left out, nearest first. */
export function reach(start: ModuleNode, next: (node: ModuleNode) => readonly ModuleNode[]): ModuleNode[] {
  const seen = new Set([start]);
  for (const node of seen) for (const one of next(node)) seen.add(one);
  seen.delete(start);
  return [...seen];
}

/** The shortest way along `needs` from one module to another, both included; undefined when there is none. */
export function shortestWay(from: ModuleNode, to: ModuleNode): ModuleNode[] | undefined {
  const cameFrom = new Map<ModuleNode, ModuleNode | undefined>([[from, undefined]]);
  for (const [node] of cameFrom) {
    if (node === to) break;
    for (const next of node.needs) if (!cameFrom.has(next)) cameFrom.set(next, node);
  }
  if (!cameFrom.has(to)) return undefined;
  const way: ModuleNode[] = [];
  for (let node: ModuleNode | undefined = to; node !== undefined; node = cameFrom.get(node)) way.push(node);
  return way.reverse();
}

/** The nodes in an order in which each comes after all that it needs; those in cycles last. */
export function loadOrder(graph: ModuleGraph, wanted: ReadonlySet<ModuleNode>): ModuleNode[] {
  const { ranks } = dependencyOrder(graph.nodes);
  const rank = (node: ModuleNode) => (Number.isFinite(ranks[node.index]) ? ranks[node.index] : -1);
  return [...wanted].sort((a, b) => rank(b) - rank(a));
}
