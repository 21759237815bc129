/** `lkm deps`: who needs whom in a tree of module files, and what a set of modules needs to come along. */
import { caseCollisions } from '../../catalog/collisions.ts';
import { buildGraph, type ModuleGraph, type ModuleNode, shortestWay } from '../../catalog/module-graph.ts';
import { type ReadCatalog, readCatalog } from '../../tools/catalog/read.ts';
import type { Command, CommandContext } from '../command.ts';
import { depsSvg } from '../deps-svg.ts';
import { companions, dotText, modulesFor, pictured, reasonText, treeText } from '../deps-view.ts';
import { Failure, usageError } from '../failure.ts';
import { catalogTree, reportCollisions } from '../module-catalog.ts';

export const command: Command = {
  async run(context) {
    const [path, ...words] = context.args;
    const { options } = context;
    if (options.flag('why') && words.length !== 2)
      throw usageError('--why takes two modules', 'lkm deps TREE --why ext4 jbd2');
    const tree = catalogTree(path);
    const catalog = await readCatalog(tree, path);
    if (catalog.entries.length === 0)
      throw new Failure('holds no module files', {
        subject: path,
        hint: 'Give the folder or the archive they are in.',
      });
    reportDamage(context, catalog);
    const collisions = caseCollisions(catalog.entries.map((entry) => entry.path));
    // Who asks about some modules is not told about all the others.
    if (words.length === 0) reportCollisions(context, path, collisions);
    const graph = buildGraph(catalog.entries);
    const roots = words.flatMap((word) => wanted(context, graph, catalog, word));
    if (words.length > 0 && roots.length === 0) return 1;
    const code = roots.length < words.length ? 1 : 0;
    if (options.flag('why')) return why(context, graph, roots);
    const shown = roots.length === 0 ? graph.nodes : pictured(roots, options.flag('reverse'));
    const svg = options.text('svg');
    if (svg !== undefined) context.writeFile(svg, depsSvg(shown, `Modules of ${path}`));
    if (options.flag('json'))
      context.json('lkm.deps/1', { tree: path, ...facts(graph, catalog, roots, shown), collisions });
    else if (options.flag('dot')) context.out(dotText(graph, shown));
    else if (options.flag('files')) files(context, graph, roots.length === 0 ? graph.nodes : roots);
    else if (svg === undefined) show(context, graph, roots);
    return code;
  },
};

function reportDamage(context: CommandContext, { damaged }: ReadCatalog): void {
  for (const { path, why } of damaged.slice(0, 5)) context.err(`lkm: ${path}: ${why}\n`);
  if (damaged.length > 5) context.err(`lkm: ${damaged.length - 5} more files cannot be read\n`);
}

function wanted(
  context: CommandContext,
  graph: ModuleGraph,
  { builtin }: ReadCatalog,
  word: string,
): ModuleNode[] {
  const found = modulesFor(graph, word);
  if (found.length > 0) return found;
  const name = word.replaceAll('-', '_');
  context.err(
    `lkm: ${word}: ${builtin.has(name) ? 'is built into the kernel' : 'no module has this name or alias'}\n`,
  );
  return [];
}

/** The first of the one to the first of the other that there is a way to. */
function why(context: CommandContext, graph: ModuleGraph, [from, to]: readonly ModuleNode[]): number {
  if (from === undefined || to === undefined) return 1;
  const way = shortestWay(from, to);
  const steps = (way ?? []).slice(1).map((used, i) => {
    const user = (way ?? [])[i];
    return { user, used, ...graph.reason(user, used) };
  });
  if (context.options.flag('json'))
    context.json('lkm.deps/1', {
      from: from.entry.name,
      to: to.entry.name,
      way: steps.map((step) => ({ ...step, user: step.user.entry.name, used: step.used.entry.name })),
    });
  else if (way === undefined) context.out(`${from.entry.name} does not need ${to.entry.name}\n`);
  else
    for (const { user, used } of steps)
      context.out(`${user.entry.name} needs ${used.entry.name}: ${reasonText(graph, user, used, 1e9)}\n`);
  return way === undefined ? 1 : 0;
}

function files(context: CommandContext, graph: ModuleGraph, roots: readonly ModuleNode[]): void {
  const { modules, firmware, without } = companions(graph, roots);
  for (const { entry } of modules) context.out(`${entry.path}\n`);
  // Firmware lies beside the modules of an image: lib/modules/RELEASE, lib/firmware.
  const library = modules
    .map(({ entry }) => /^(.*\/)?lib\/(?=modules\/)/.exec(entry.path)?.[0])
    .find(Boolean);
  for (const name of firmware) context.out(`${library ?? ''}firmware/${name}\n`);
  if (without.length > 0) context.err(`lkm: built in, or not in this tree: ${without.join(', ')}\n`);
}

function show(context: CommandContext, graph: ModuleGraph, roots: readonly ModuleNode[]): void {
  const reverse = context.options.flag('reverse');
  for (const root of roots) context.out(treeText(graph, root, reverse));
  if (roots.length > 0) return;
  for (const { entry, needs, usedBy } of graph.nodes)
    context.out(`${entry.name}:${(reverse ? usedBy : needs).map((one) => ` ${one.entry.name}`).join('')}\n`);
  for (const cycle of graph.cycles) context.err(`lkm: a cycle: ${cycle.join(' -> ')}\n`);
}

function facts(
  graph: ModuleGraph,
  catalog: ReadCatalog,
  roots: readonly ModuleNode[],
  shown: readonly ModuleNode[],
) {
  const { modules, firmware, without } = companions(graph, roots.length === 0 ? shown : roots);
  return {
    asked: roots.map(({ entry }) => entry.name),
    modules: shown.map((node) => ({
      system: node.entry.system,
      name: node.entry.name,
      path: node.entry.path,
      needs: node.needs.map((used) => ({ name: used.entry.name, ...graph.reason(node, used) })),
      usedBy: node.usedBy.map(({ entry }) => entry.name),
    })),
    files: modules.map(({ entry }) => entry.path),
    firmware,
    without: without.map((name) => ({ name, builtIn: catalog.builtin.has(name.replaceAll('-', '_')) })),
    absent: graph.absent,
    cycles: graph.cycles,
    damaged: catalog.damaged,
  };
}
