/** `lkm diff`: what came, went and changed from one tree of module files to another. */
import { caseCollisions } from '../../catalog/collisions.ts';
import {
  diffTrees,
  type ListChange,
  type ModuleChange,
  type TreeDifference,
} from '../../catalog/difference.ts';
import { readCatalog } from '../../tools/catalog/read.ts';
import type { Command, CommandContext } from '../command.ts';
import { Failure } from '../failure.ts';
import { catalogTree, reportCollisions, systemsOf } from '../module-catalog.ts';

/** Names shown of one list; --json has all. */
const SHOWN = 8;

export const command: Command = {
  async run(context) {
    const [before, after] = [
      await entriesOf(context, context.args[0]),
      await entriesOf(context, context.args[1]),
    ];
    const difference = diffTrees(before, after);
    const systems = { before: systemsOf(before), after: systemsOf(after) };
    if (systems.before.join() !== systems.after.join())
      context.err(
        `lkm: ${context.args[0]} holds modules of ${systems.before.join(', ')}, ${context.args[1]} of ` +
          `${systems.after.join(', ')}: modules of one system cannot take the place of another's\n`,
      );
    if (context.options.flag('json'))
      context.json('lkm.diff/1', { before: context.args[0], after: context.args[1], systems, ...difference });
    else show(context, difference);
    const { came, went, changed, moved } = difference;
    return came.length + went.length + changed.length + moved.length > 0 ? 1 : 0;
  },
};

async function entriesOf(context: CommandContext, path: string) {
  const { entries, damaged } = await readCatalog(catalogTree(path), path);
  if (damaged.length > 0)
    context.err(`lkm: ${path}: ${damaged.length} files cannot be read, such as ${damaged[0].path}\n`);
  // A kernel beside its modules is none of them.
  const modules = entries.filter(({ kernel }) => kernel !== true);
  if (modules.length === 0)
    throw new Failure('holds no module files', {
      subject: path,
      hint: 'Give the folder or the archive they are in.',
    });
  reportCollisions(context, path, caseCollisions(modules.map((entry) => entry.path)));
  return modules;
}

function show(context: CommandContext, { came, went, changed, moved }: TreeDifference): void {
  const { out } = context;
  for (const name of went) out(`- ${name}\n`);
  for (const name of came) out(`+ ${name}\n`);
  for (const change of changed) out(changeText(change));
  for (const { name, before, after } of moved) out(`  ${name} moved from ${before} to ${after}\n`);
  const versions = changed.reduce((sum, one) => sum + one.versions.length, 0);
  out(
    `${went.length} modules went, ${came.length} came, ${changed.length} changed; ` +
      `${versions} exported symbols have another version\n`,
  );
}

function changeText({
  name,
  version,
  exports,
  versions,
  parameters,
  aliases,
  depends,
}: ModuleChange): string {
  const lines = [
    `  ${name}${version === undefined ? '' : `: version ${version.before} -> ${version.after}`}\n`,
  ];
  const add = (what: string, { came, went }: ListChange) => {
    if (went.length > 0) lines.push(`    ${what} gone: ${some(went)}\n`);
    if (came.length > 0) lines.push(`    ${what} new: ${some(came)}\n`);
  };
  add('exports', exports);
  if (versions.length > 0)
    lines.push(`    exports with another version: ${some(versions.map((one) => one.name))}\n`);
  add('parameters', parameters);
  add('aliases', aliases);
  add('dependencies', depends);
  return lines.join('');
}

const some = (names: readonly string[]): string =>
  names.slice(0, SHOWN).join(', ') + (names.length > SHOWN ? ` and ${names.length - SHOWN} more` : '');
