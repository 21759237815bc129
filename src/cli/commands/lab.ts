import { existsSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { ENGINES } from '../../cpu/engines.ts';
import { type CensusResult, isClean } from '../../targets/census.ts';
import { runCensus } from '../../targets/census-jobs.ts';
import { modulesBelow, type TreeModule } from '../../targets/census-tree.ts';
import { BUILT_IN } from '../../targets/kernel-store.ts';
import type { Command, CommandContext } from '../command.ts';
import { Failure, usageError } from '../failure.ts';
import { chosenKernel } from '../linux-session.ts';

/** A module that takes longer than this in real time hangs (ms); the slowest takes a few seconds. */
const PATIENCE = 120_000;
/** What a defect of lkm itself ends in. */
const EXIT_DEFECT = 70;

export const command: Command = {
  async run(context) {
    const [what, directory, extra] = context.args;
    if (what !== 'census') throw usageError(`there is no measurement ${what}`, 'There is: census.');
    if (directory === undefined || extra !== undefined) throw usageError('census takes one directory');
    return await new Census(context, directory).take();
  },
};

class Census {
  private readonly context: CommandContext;
  private readonly modules: readonly TreeModule[];
  private readonly results: CensusResult[] = [];

  constructor(context: CommandContext, directory: string) {
    if (!existsSync(directory) || !statSync(directory).isDirectory()) {
      throw new Failure('no such directory', {
        subject: directory,
        hint: 'Give the folder of a module tree.',
      });
    }
    this.context = context;
    this.modules = modulesBelow(directory);
    if (this.modules.length === 0) {
      throw new Failure('no module below it', {
        subject: directory,
        hint: 'Module files end in .ko, .ko.xz ...',
      });
    }
  }

  async take(): Promise<number> {
    const { context, modules } = this;
    const { options } = context;
    // Reads and caches the kernel file before the workers do, and says what is wrong with it once.
    chosenKernel(context);
    const seed = options.integer('seed');
    await runCensus({
      modules: sample(modules, options.integer('sample'), seed ?? 1),
      setup: {
        kernel: options.text('kernel') ?? BUILT_IN,
        packagedRoot: context.packaged(''),
        environment: { ...context.environment },
        seed,
        engine: ENGINES.find((name) => name === options.text('engine')),
        modules,
      },
      program: context.packaged('dist/census-worker.js'),
      workers: availableParallelism(),
      patience: PATIENCE,
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
  let state = (seed * 0x9e3779b9) >>> 0 || 1;
  const random = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 32;
  };
  const order = modules.map((module, index) => ({ module, index, key: random() }));
  const chosen = order.sort((a, b) => a.key - b.key).slice(0, size);
  return chosen.sort((a, b) => a.index - b.index).map(({ module }) => module);
}
