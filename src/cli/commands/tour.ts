import { existsSync } from 'node:fs';
import { BUILT_IN } from '../../targets/kernel-store.ts';
import type { Command, CommandContext } from '../command.ts';
import { usageError } from '../failure.ts';
import { wrap } from '../help.ts';
import { chosenKernel } from '../linux-session.ts';
import { nearest } from '../nearest.ts';
import { HostFiles } from '../system-session.ts';
import type { Played, TourStep } from '../tour/record.ts';
import { play, type Supplies } from '../tour/stage.ts';
import { STEPS } from '../tour/steps.ts';
import { entryText, headText, isNews, summaryText } from '../tour/text.ts';

export const command: Command = {
  async run(context) {
    if (context.options.flag('list')) return list(context);
    const steps = chosenSteps(context.args);
    const supplies = suppliesOf(context);
    const played = context.options.flag('json')
      ? await playAll(context, steps, supplies)
      : await showAll(context, steps, supplies);
    if (context.options.flag('json')) context.json('lkm.tour/1', jsonOf(played, supplies));
    return played.every(({ shown }) => shown) ? 0 : 1;
  },
};

function list(context: CommandContext): number {
  if (context.options.flag('json')) {
    context.json('lkm.tour-list/1', {
      steps: STEPS.map(({ name, title, statement, by }) => ({ name, title, statement, by })),
    });
  } else for (const { name, title } of STEPS) context.out(`${name.padEnd(14)} ${title}\n`);
  return 0;
}

function chosenSteps(names: readonly string[]): readonly TourStep[] {
  if (names.length === 0) return STEPS;
  return names.map((name) => {
    const step = STEPS.find((one) => one.name === name);
    if (step !== undefined) return step;
    const guess = nearest(
      name,
      STEPS.map((one) => one.name),
    );
    const hint = guess === undefined ? 'lkm tour --list shows them' : `did you mean ${guess}?`;
    throw usageError(`there is no step '${name}'`, hint);
  });
}

function suppliesOf(context: CommandContext): Supplies {
  const fixture = (name: string): Uint8Array | undefined => {
    const path = context.packaged(`fixtures/linux/built/${name}`);
    return existsSync(path) ? context.readFile(path) : undefined;
  };
  const { environment, packaged } = context;
  return {
    kernel: chosenKernel(context, BUILT_IN),
    fixture,
    seed: context.options.integer('seed') ?? 1,
    around: { environment, packaged },
  };
}

async function playStep(context: CommandContext, step: TourStep, supplies: Supplies): Promise<Played> {
  if (step.system === undefined) return play(step, supplies);
  const { playOn } = await import('../tour/system-stage.ts');
  return playOn(step, { files: (system) => new HostFiles(context, system), seed: supplies.seed });
}

async function playAll(context: CommandContext, steps: readonly TourStep[], supplies: Supplies) {
  const played: Played[] = [];
  for (const step of steps) played.push(await playStep(context, step, supplies));
  return played;
}

async function showAll(
  context: CommandContext,
  steps: readonly TourStep[],
  supplies: Supplies,
): Promise<Played[]> {
  const { style, out } = context;
  const greeting =
    `Each step starts a kernel inside this process (Linux ${supplies.kernel.release} unless it says otherwise) and ` +
    "loads real modules into it. Your machine's own kernel is not touched.";
  out(`${style.bold('Loadable kernel modules: a tour')}\n${wrap(greeting, 80).join('\n')}\n`);
  out('# is the root shell of that kernel, + a fact that was checked.\n');
  const played: Played[] = [];
  for (const step of steps) {
    out(headText(step, STEPS.indexOf(step) + 1, style));
    const one = await playStep(context, step, supplies);
    played.push(one);
    for (const entry of one.entries) if (isNews(entry, step)) out(entryText(entry, style));
    if (context.output.closed) break;
  }
  out(summaryText(played, style));
  return played;
}

function jsonOf(played: readonly Played[], { kernel, seed }: Supplies): Record<string, unknown> {
  return {
    kernel: kernel.release,
    seed,
    shown: played.filter(({ shown }) => shown).length,
    steps: played.map(({ step: { name, title, statement, by }, shown, entries }) => ({
      name,
      title,
      statement,
      by,
      shown,
      entries,
    })),
  };
}
