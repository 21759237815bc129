/** `lkm lab agree` for files of the systems besides Linux. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { agreement } from '../tools/agree.ts';
import { statIfAny } from '../tools/stat-if-any.ts';
import type { NativeSystem } from '../tools/system.ts';
import { recognise } from '../tools/systems.ts';
import type { CommandContext } from './command.ts';
import { Failure } from './failure.ts';
import { printable } from './printable.ts';
import { inRandomOrder } from './random-order.ts';
import { HostFiles, settingsOf } from './system-session.ts';

/** No module is larger than this. */
const MOST_BYTES = 64 << 20;
const BUNDLE = /\.kext$/;

/** The system of a file, or of a bundle's folder; undefined for what is no module of these systems. */
async function systemOf(path: string): Promise<NativeSystem | undefined> {
  const stat = statIfAny(path);
  if (stat === undefined || stat.size > MOST_BYTES) return undefined;
  const isBundle = stat.isDirectory() && BUNDLE.test(path);
  if (!isBundle && !stat.isFile()) return undefined;
  return recognise({ path, bytes: isBundle ? undefined : readFileSync(path) });
}

/** Is the file one of a system besides Linux? */
export const isForeign = async (path: string): Promise<boolean> => (await systemOf(path)) !== undefined;

/** What lies in a bundle belongs to it, and is no module by itself. */
const candidates = (directory: string): string[] =>
  (readdirSync(directory, { recursive: true, encoding: 'utf8' }) as string[])
    .filter(
      (path) =>
        !path
          .split(sep)
          .slice(0, -1)
          .some((folder) => BUNDLE.test(folder)),
    )
    .sort()
    .map((path) => join(directory, path));

/** Each module by every engine and by single steps; says which differ, and in what. */
export async function agreeSystems(
  context: CommandContext,
  directory: string,
  size: number,
  seed: number,
): Promise<number> {
  const settings = settingsOf(context);
  const totals = { modules: 0, loaded: 0, instructions: 0, stepped: 0 };
  const differing: { module: string; engines: readonly string[]; what: readonly string[] }[] = [];
  for (const path of inRandomOrder(candidates(directory), seed)) {
    if (totals.modules >= size) break;
    const system = await systemOf(path);
    if (system === undefined) continue;
    const files = () => new HostFiles(context, system.name);
    const {
      life,
      ways,
      differing: found,
    } = await agreement({
      ...{ system, path, files, seed, settings, uses: context.options.list('do') },
    });
    totals.modules++;
    totals.instructions += life.retired;
    if (life.unload !== undefined) totals.loaded++;
    if (ways.includes('steps')) totals.stepped++;
    const module = relative(directory, path);
    for (const { way, what } of found) differing.push({ module, engines: [ways[0], way], what });
  }
  if (totals.modules === 0)
    throw new Failure('no module below it', {
      subject: directory,
      hint: 'lkm inspect FILE says what a file is.',
    });
  if (context.options.flag('json')) context.json('lkm.lab.agree/1', { ...totals, differing });
  else {
    for (const { module, engines, what } of differing)
      context.out(`${printable(module)}: ${engines.join(' and ')} differ in ${what.join(', ')}\n`);
    const { modules, loaded, instructions, stepped } = totals;
    context.out(
      `${modules} modules under every engine, ${stepped} by single steps (${loaded} loaded, ${instructions} instructions): ` +
        `${differing.length} differ\n`,
    );
  }
  return differing.length > 0 ? 1 : 0;
}
