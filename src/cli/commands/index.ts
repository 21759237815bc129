/** `lkm index`: the index files that the system of a tree keeps of its modules. */
import type { FileTree } from '../../catalog/file-tree.ts';
import {
  type Indexed,
  indexFreeBsd,
  indexLinux,
  releasesOf,
  systemsOfTree,
} from '../../tools/catalog/index-tree.ts';
import { Archives } from '../../tools/files.ts';
import { statIfAny } from '../../tools/stat-if-any.ts';
import type { Command, CommandContext } from '../command.ts';
import { Failure } from '../failure.ts';
import { catalogTree } from '../module-catalog.ts';

/** Systems that keep an index of their modules. */
const KEEPERS: readonly string[] = ['linux', 'freebsd'];

export const command: Command = {
  async run(context) {
    const [path] = context.args;
    const tree = catalogTree(path);
    const systems = await systemsOfTree(tree, path);
    if (systems.length === 0)
      throw new Failure('holds no module files', { subject: path, hint: 'Give the folder they are in.' });
    const kept = KEEPERS.filter((system) => systems.includes(system));
    if (kept.length === 0)
      throw new Failure(
        `the modules are of ${systems.join(', ')}, which ${systems.length > 1 ? 'keep' : 'keeps'} no index of them`,
        { subject: path, hint: 'Linux has modules.dep, FreeBSD linker.hints.' },
      );
    if (systems.length > 1) reportMixture(context, path, systems, kept);
    const indexed: Indexed[] = [];
    for (const system of kept) indexed.push(...(await write(context, system, tree, path)));
    show(context, path, systems, indexed);
    return indexed.find(({ code }) => code !== 0)?.code ?? 0;
  },
};

function reportMixture(
  context: CommandContext,
  path: string,
  systems: readonly string[],
  kept: readonly string[],
): void {
  const others = systems.filter((system) => !kept.includes(system));
  const without = others.length === 0 ? '' : `; of ${others.join(', ')} there is no index`;
  context.err(
    `lkm: ${path} holds modules of several systems (${systems.join(', ')}): ` +
      `indexes of ${kept.join(' and ')} are written${without}\n`,
  );
}

function show(
  context: CommandContext,
  folder: string,
  systems: readonly string[],
  indexed: readonly Indexed[],
): void {
  const written = indexed.flatMap((one) => one.written);
  const code = indexed.find((one) => one.code !== 0)?.code ?? 0;
  if (context.options.flag('json'))
    context.json('lkm.index/1', { folder, code, system: indexed[0].system, systems, written });
  else for (const one of written) context.out(`${one}\n`);
}

async function write(
  context: CommandContext,
  system: string,
  tree: FileTree,
  path: string,
): Promise<readonly Indexed[]> {
  const { err, environment } = context;
  const output = context.options.text('output');
  const inArchive = statIfAny(path)?.isDirectory() !== true;
  if (inArchive && output === undefined)
    throw new Failure('is an archive, which is only read', {
      subject: path,
      hint: 'Say where the indexes go: --output DIR.',
    });
  if (system === 'freebsd') return [indexFreeBsd(tree, output ?? path, (text) => err(`lkm: ${text}\n`))];
  const found = releasesOf(tree, path);
  if (found.length === 0)
    throw new Failure('is not named by a release', {
      subject: path,
      hint: 'Give the folder that is named like 6.1.0-56-amd64, or use: lkm linux depmod -b ROOT RELEASE',
    });
  const archives = inArchive ? new Archives() : undefined;
  const scanProgram = context.packaged('dist/depmod-worker.cjs');
  const around = { out: () => {}, err, environment, archives, scanProgram };
  const indexed: Indexed[] = [];
  for (const place of found) indexed.push(await indexLinux(place, output, around));
  return indexed;
}
