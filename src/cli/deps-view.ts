/** What `lkm deps` asks of a catalogue: modules by name or alias, what comes with them, and the pictures of it. */
import type { ModuleGraph, ModuleNode } from '../catalog/module-graph.ts';
import { loadOrder, reach } from '../catalog/module-graph.ts';
import { matchesGlob, parseGlob } from '../systems/linux/glob.ts';

const folded = (text: string): string => text.replaceAll('-', '_');

/** Modules that a name or an alias stands for. */
export function modulesFor(graph: ModuleGraph, word: string): ModuleNode[] {
  const named = graph.find(word);
  if (named !== undefined) return [named];
  const text = folded(word);
  return graph.nodes.filter(({ entry }) =>
    entry.aliases.some((alias) => {
      const pattern = folded(alias);
      return (
        pattern === text || (/[*?[]/.test(pattern) && matchesGlob(parseGlob(pattern, { sets: true }), text))
      );
    }),
  );
}

export interface Companions {
  /** In an order in which each comes after what it needs. */
  readonly modules: readonly ModuleNode[];
  readonly firmware: readonly string[];
  /** Names that no file answers to: built into the kernel, or not there. */
  readonly without: readonly string[];
}

/** All that a set of modules needs to work: hard, soft and weak dependencies, and firmware. */
export function companions(graph: ModuleGraph, roots: readonly ModuleNode[]): Companions {
  const wanted = new Set<ModuleNode>();
  const without = new Set<string>();
  const open = [...roots];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    if (wanted.has(node)) continue;
    wanted.add(node);
    open.push(...node.needs);
    const { soft, weak } = node.entry;
    for (const name of [...soft.before, ...soft.after, ...weak]) {
      const found = modulesFor(graph, name);
      if (found.length === 0) without.add(name);
      open.push(...found);
    }
  }
  const modules = loadOrder(graph, wanted);
  const firmware = [...new Set(modules.flatMap(({ entry }) => entry.firmware))].sort();
  return { modules, firmware, without: [...without].sort() };
}

/** A few of the symbols, and how many more there are. */
export function reasonText(graph: ModuleGraph, user: ModuleNode, used: ModuleNode, most = 3): string {
  const { symbols, byName } = graph.reason(user, used);
  if (symbols.length === 0) return byName ? 'named in its file' : '';
  const more = symbols.length > most ? ` and ${symbols.length - most} more` : '';
  return symbols.slice(0, most).join(', ') + more;
}

/** Steps below a module that are shown: no real chain is longer. */
const DEEPEST = 200;

/** A tree in lines; what was shown above is not opened again. */
export function treeText(graph: ModuleGraph, root: ModuleNode, reverse: boolean): string {
  const shown = new Set<ModuleNode>();
  const lines: string[] = [];
  const visit = (node: ModuleNode, head: string, tail: string, why: string, depth = 0): void => {
    const next = reverse ? node.usedBy : node.needs;
    const again = (shown.has(node) || depth > DEEPEST) && next.length > 0;
    shown.add(node);
    lines.push(`${head}${node.entry.name}${why === '' ? '' : `  (${why})`}${again ? '  ...' : ''}`);
    if (again) return;
    next.forEach((one, i) => {
      const last = i === next.length - 1;
      const reason = reverse ? reasonText(graph, one, node) : reasonText(graph, node, one);
      visit(one, `${tail}${last ? '`- ' : '|- '}`, `${tail}${last ? '   ' : '|  '}`, reason, depth + 1);
    });
  };
  visit(root, '', '', '');
  return `${lines.join('\n')}\n`;
}

/** The nodes of a picture: what was asked for and all that it needs, or all that need it. */
export function pictured(roots: readonly ModuleNode[], reverse: boolean): ModuleNode[] {
  const next = (node: ModuleNode) => (reverse ? node.usedBy : node.needs);
  return [...new Set(roots.flatMap((root) => [root, ...reach(root, next)]))];
}

const quoted = (text: string): string => `"${text.replace(/["\\]/g, '\\$&')}"`;

/** For graphviz. */
export function dotText(graph: ModuleGraph, nodes: readonly ModuleNode[]): string {
  const inside = new Set(nodes);
  const lines = nodes.map(({ entry }) => `  ${quoted(entry.name)};`);
  for (const user of nodes)
    for (const used of user.needs)
      if (inside.has(used)) {
        const label = quoted(reasonText(graph, user, used, 1));
        lines.push(`  ${quoted(user.entry.name)} -> ${quoted(used.entry.name)} [label=${label}];`);
      }
  return `digraph modules {\n  rankdir=LR;\n  node [shape=box];\n${lines.join('\n')}\n}\n`;
}
