import { existsSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { ENGINES, type Engine } from '../../cpu/engines.ts';
import { type CensusResult, isClean } from '../../targets/census.ts';
import { runCensus } from '../../targets/census-jobs.ts';
import { modulesBelow, type TreeModule } from '../../targets/census-tree.ts';
import { BUILT_IN } from '../../targets/kernel-store.ts';
import { agreeSystems, isForeign } from '../agree-systems.ts';
import type { Command, CommandContext } from '../command.ts';
import { Failure, usageError } from '../failure.ts';
import { chosenKernel } from '../linux-session.ts';
import { inRandomOrder } from '../random-order.ts';

/**
 * A module that takes longer than this in real time hangs (ms). The slowest is six ways to use Triple DES: 16 MiB through each,
 * there and back, take the interpreter a minute.
 */
const PATIENCE = 600_000;
/** What a defect of lkm itself ends in. */
const EXIT_DEFECT = 70;

export const command: Command = {
  async run(context) {
    const [what, directory, extra] = context.args;
    if (what !== 'census' && what !== 'agree')
      throw usageError(`there is no measurement ${what}`, 'There are: census, agree.');
    if (directory === undefined || extra !== undefined) throw usageError(`${what} takes one directory`);
    return what === 'agree' ? await agree(context, directory) : await new Census(context, directory).take();
  },
};

function modulesIn(directory: string): readonly TreeModule[] {
  if (!existsSync(directory) || !statSync(directory).isDirectory()) {
    throw new Failure('no such directory', {
      subject: directory,
      hint: 'Give the folder of a module tree.',
    });
  }
  const modules = modulesBelow(directory);
  if (modules.length === 0) {
    throw new Failure('no module below it', {
      subject: directory,
      hint: 'Module files end in .ko, .ko.xz ...',
    });
  }
  return modules;
}

/** Modules that are compared when nobody says how many: a minute or so. */
const AGREE_SAMPLE = 40;

/** Nothing below it is called as modules of Linux are, or the first that is belongs to another system. */
async function isOfOtherSystems(directory: string): Promise<boolean> {
  if (!existsSync(directory) || !statSync(directory).isDirectory()) return false;
  const [first] = modulesBelow(directory);
  return first === undefined || isForeign(first.path);
}

/** Every engine on the same modules: rows, leaks and the whole machine at the end must be the same. */
async function agree(context: CommandContext, directory: string): Promise<number> {
  const { options } = context;
  const seed = options.integer('seed');
  const size = options.integer('sample') ?? AGREE_SAMPLE;
  if (await isOfOtherSystems(directory)) return agreeSystems(context, directory, size, seed ?? 1);
  const tree = modulesIn(directory);
  chosenKernel(context);
  const modules = sample(tree, size, seed ?? 1);
  const made = new Map<Engine, Map<string, CensusResult>>();
  for (const engine of ENGINES) {
    const results = new Map<string, CensusResult>();
    const setup = { ...censusSetup(context, tree, seed), engine, state: true };
    const report = ({ path }: TreeModule, result: CensusResult) => results.set(path, result);
    await runCensus({ ...censusRun(context), modules, setup, report });
    made.set(engine, results);
  }
  const differing = modules.flatMap(({ name, path }) => {
    const [first, ...others] = ENGINES.map((engine) => [engine, made.get(engine)?.get(path)] as const);
    return others.flatMap(([engine, result]) => {
      const what = differences(first[1], result);
      return what.length === 0 ? [] : [{ module: name, engines: [first[0], engine], what }];
    });
  });
  const summary = { modules: modules.length, engines: ENGINES, differing };
  if (options.flag('json')) context.json('lkm.lab.agree/1', summary);
  else {
    for (const { module, engines, what } of differing)
      context.out(`${module}: ${engines.join(' and ')} differ in ${what.join(', ')}\n`);
    context.out(`${modules.length} modules under ${ENGINES.join(', ')}: ${differing.length} differ\n`);
  }
  return differing.length > 0 ? 1 : 0;
}

/** What is not the same in two results; the time it took does not count. */
function differences(a: CensusResult | undefined, b: CensusResult | undefined): string[] {
  if (a === undefined || b === undefined) return ['result'];
  const rows = Object.keys(a.row).filter((key) => key !== 'ms') as (keyof CensusResult['row'])[];
  const text = (value: unknown): string => JSON.stringify(value) ?? '';
  return [
    ...rows.filter((key) => text(a.row[key]) !== text(b.row[key])),
    ...(['leaks', 'lostPages', 'internal', 'state'] as const).filter((key) => text(a[key]) !== text(b[key])),
  ];
}

function censusSetup(context: CommandContext, modules: readonly TreeModule[], seed: number | undefined) {
  return {
    kernel: context.options.text('kernel') ?? BUILT_IN,
    packagedRoot: context.packaged(''),
    environment: { ...context.environment },
    seed,
    engine: ENGINES.find((name) => name === context.options.text('engine')),
    use: usedBytes(context),
    modules,
  };
}

function usedBytes({ options }: CommandContext): number | undefined {
  const mib = options.integer('use');
  return mib === undefined ? undefined : mib * 2 ** 20;
}

function censusRun(context: CommandContext) {
  return {
    program: context.packaged('dist/census-worker.js'),
    workers: availableParallelism(),
    patience: PATIENCE,
  };
}

class Census {
  private readonly context: CommandContext;
  private readonly modules: readonly TreeModule[];
  private readonly results: CensusResult[] = [];

  constructor(context: CommandContext, directory: string) {
    this.context = context;
    this.modules = modulesIn(directory);
  }

  async take(): Promise<number> {
    const { context, modules } = this;
    const { options } = context;
    // Reads and caches the kernel file before the workers do, and says what is wrong with it once.
    chosenKernel(context);
    const seed = options.integer('seed');
    await runCensus({
      modules: sample(modules, options.integer('sample'), seed ?? 1),
      setup: censusSetup(context, modules, seed),
      ...censusRun(context),
      report: (_module, result) => this.report(result),
    });
    this.finish();
    return this.results.some(({ internal }) => internal !== undefined) ? EXIT_DEFECT : 0;
  }

  private report(result: CensusResult): void {
    const { context } = this;
    const { row } = result;
    this.results.push(result);
    if (context.options.flag('jsonl')) context.out(`${JSON.stringify(row)}\n`);
    const say = (text: string) => context.err(`${row.module}: ${text}\n`);
    for (const leak of result.leaks) say(`not given back: ${leak}`);
    for (const { what, right } of row.used)
      if (right === false) say(`${what}: computes something else than other implementations`);
    if (result.lostPages > 0) say(`${result.lostPages} pages lost at each load and unload`);
    if (result.internal !== undefined) say(`DEFECT of lkm: ${result.internal}`);
  }

  private finish(): void {
    const { context, results } = this;
    const summary = summarise(results);
    if (context.options.flag('json')) context.json('lkm.lab.census/1', summary);
    else if (context.options.flag('jsonl')) context.err(screen(summary));
    else context.out(screen(summary));
  }
}

interface Summary extends Record<string, unknown> {
  modules: number;
  outcomes: Record<string, number>;
  clean: number;
  registeredOnly: number;
  used: number;
  wrong: number;
  leaking: number;
  losingPages: number;
  defects: number;
  ms: number;
  slowest: [string, number][];
  missing: [string, number][];
}

function summarise(results: readonly CensusResult[]): Summary {
  const rows = results.map(({ row }) => row);
  const count = (names: readonly string[]) => {
    const counts = new Map<string, number>();
    for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
    return [...counts].sort((a, b) => b[1] - a[1]);
  };
  return {
    modules: rows.length,
    outcomes: Object.fromEntries(count(rows.map(({ outcome }) => outcome))),
    clean: rows.filter(isClean).length,
    registeredOnly: rows.filter(({ registeredOnly }) => registeredOnly.length > 0).length,
    used: rows.filter(({ used }) => used.length > 0).length,
    wrong: rows.filter(({ used }) => used.some(({ right }) => right === false)).length,
    leaking: results.filter(({ leaks }) => leaks.length > 0).length,
    losingPages: results.filter(({ lostPages }) => lostPages > 0).length,
    defects: results.filter(({ internal }) => internal !== undefined).length,
    ms: Math.round(rows.reduce((sum, { ms }) => sum + ms, 0)),
    slowest: [...rows]
      .sort((a, b) => b.ms - a.ms)
      .slice(0, 5)
      .map(({ module, ms }) => [module, ms]),
    missing: count(rows.flatMap(({ missing }) => missing)),
  };
}

function screen(summary: Summary): string {
  const row = (label: string, value: string | number) => `${label.padEnd(16)} ${value}\n`;
  const missing = summary.missing
    .slice(0, 40)
    .map(([name, modules]) => `  ${String(modules).padStart(5)}  ${name}\n`);
  return (
    row('modules', summary.modules) +
    Object.entries(summary.outcomes)
      .map(([outcome, modules]) => row(outcome, modules))
      .join('') +
    row('clean', summary.clean) +
    row('registered only', summary.registeredOnly) +
    row('used', summary.used) +
    row('computing wrong', summary.wrong) +
    row('leaking', summary.leaking) +
    row('losing pages', summary.losingPages) +
    row('defects', summary.defects) +
    row(
      'time',
      `${summary.ms} ms; slowest ${summary.slowest.map(([name, ms]) => `${name} ${ms}`).join(', ')}`,
    ) +
    (missing.length === 0
      ? ''
      : `functions that runs reached and nobody wrote, by modules\n${missing.join('')}`)
  );
}

/** A part of the list, chosen by the seed, in the list's order. */
function sample(
  modules: readonly TreeModule[],
  size: number | undefined,
  seed: number,
): readonly TreeModule[] {
  if (size === undefined || size >= modules.length) return modules;
  const numbered = modules.map((module, index) => ({ module, index }));
  const chosen = inRandomOrder(numbered, seed).slice(0, size);
  return chosen.sort((a, b) => a.index - b.index).map(({ module }) => module);
}
