import { basename } from 'node:path';
import {
  entriesNeeded,
  footprints,
  type MapRow,
  type MemoryMeasure,
  memoryMap,
  verdicts,
} from '../../systems/linux/memory-report.ts';
import { EXPERIMENT_MODULES, loadAll, measureMemory } from '../../tools/linux/memory-experiment.ts';
import type { LinuxSession } from '../../tools/linux/session.ts';
import type { Command, CommandContext } from '../command.ts';
import { Failure, usageError } from '../failure.ts';
import { linuxModulesOnly } from '../foreign.ts';
import { ModuleFiles, startSession } from '../linux-session.ts';
import { mapSvg } from '../memory-svg.ts';
import { blocksText, framesText, HOW, mapText, modulesText, para, verdictsText } from '../memory-text.ts';

const DEFAULT_CYCLES = 300;
/** An hour on a slow machine. */
const MOST_CYCLES = 1_000_000;

export const command: Command = {
  async run(context) {
    const cycles = context.options.integer('cycles') ?? DEFAULT_CYCLES;
    if (cycles > MOST_CYCLES || cycles < 0)
      throw usageError(`--cycles ${cycles}: from 0 to ${MOST_CYCLES} make sense`);
    const files = new ModuleFiles(context);
    const names = await moduleNames(context, files);
    const session = startSession(context, files);
    const seed = context.options.integer('seed') ?? 1;
    const measure = measureMemory(session, { modules: names, cycles, seed });
    loadAll(session, names);
    checkLoaded(session, context.args);
    const rows = joinNeighbours(memoryMap(session.k));
    const svg = context.options.text('svg');
    if (svg !== undefined) {
      const title = `Memory of Linux ${session.k.file.release} with ${session.k.modules.size} modules`;
      context.writeFile(svg, mapSvg(rows, title));
    }
    if (context.options.flag('json')) context.json('lkm.memory/1', facts(session, rows, measure));
    else show(context, session, rows, measure);
    return 0;
  },
};

/** The modules given, or those that come with lkm for this. */
async function moduleNames(context: CommandContext, files: ModuleFiles): Promise<readonly string[]> {
  const { args } = context;
  if (args.length === 0) return EXPERIMENT_MODULES;
  const found = args.map((path) => files.locate(path) ?? path);
  await linuxModulesOnly(found, context);
  for (const path of found) {
    // Reading says in its own words why not: nothing there, a folder, no permission.
    if (files.find(path) === undefined) context.readFile(path);
    files.beside(path);
  }
  return args.map((path) => basename(path).replace(/\.ko(\.\w+)?$/, ''));
}

/** Figures about modules that the kernel refused would say nothing. */
function checkLoaded(session: LinuxSession, given: readonly string[]): void {
  if (given.length === 0 || session.k.modules.size > 0) return;
  throw new Failure('the kernel took none of the modules in', {
    subject: given.join(', '),
    hint: `lkm run ${given[0]} shows why`,
  });
}

/** Neighbouring areas of the same kind in one row. */
function joinNeighbours(rows: readonly MapRow[]): MapRow[] {
  const joined: MapRow[] = [];
  for (const row of rows) {
    const last = joined.at(-1);
    const follows =
      last !== undefined &&
      last.what === row.what &&
      last.permissions === row.permissions &&
      last.base + last.bytes === row.base;
    if (follows) {
      joined[joined.length - 1] = {
        ...last,
        bytes: last.bytes + row.bytes,
        touched: last.touched + row.touched,
      };
    } else joined.push(row);
  }
  return joined;
}

function facts(session: LinuxSession, rows: readonly MapRow[], measure: MemoryMeasure) {
  const { k } = session;
  return {
    kernel: k.file.release,
    map: rows.map((row) => ({ ...row, base: BigInt.asUintN(64, BigInt(row.base)) })),
    frames: k.memory.frames.statistics(),
    owners: k.memory.frames.owners(),
    modules: footprints(k),
    entries: entriesNeeded(k),
    measure,
    verdicts: verdicts(measure),
  };
}

function show(
  context: CommandContext,
  session: LinuxSession,
  rows: readonly MapRow[],
  measure: MemoryMeasure,
): void {
  const { style, out } = context;
  const { k } = session;
  out(mapText(rows, style));
  out(`\n${framesText(k.memory.frames.statistics(), k.memory.frames.owners(), style)}`);
  out(`\n${modulesText(footprints(k), style)}`);
  out(`\n${style.bold(`What ${measure.cycles} loads and unloads do`)}\n\n`);
  out(blocksText(measure, style));
  out(`\n${verdictsText(verdicts(measure), style)}`);
  out(`\n${para(HOW)}`);
}
