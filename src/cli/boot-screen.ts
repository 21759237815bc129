/** The story of a start, as text. */
import type { BootOutcome } from '../tools/boot.ts';
import type { CommandContext } from './command.ts';
import type { BootStory } from './commands/boot.ts';
import { printable } from './printable.ts';
import type { Style } from './style.ts';

const PAINT: Readonly<Record<BootOutcome, (style: Style, text: string) => string>> = {
  loaded: (style, text) => style.green(text),
  present: (style, text) => style.dim(text),
  refused: (style, text) => style.red(text),
  skipped: (style, text) => style.yellow(text),
  absent: (style, text) => style.yellow(text),
  note: (style, text) => style.dim(text),
  stopped: (style, text) => style.red(text),
};

/** Widest outcome. */
const OUTCOME_WIDTH = 'refused'.length;

/** One line a step, under a head line for each stage; what the system said and why stand below it, indented. */
export function bootScreen(
  context: Pick<CommandContext, 'style' | 'out' | 'err' | 'resident'>,
  system: string,
  { release, steps, held }: BootStory,
): void {
  const { style } = context;
  let stage: string | undefined;
  for (const step of steps) {
    if (step.stage !== stage) context.out(`${style.bold(printable(step.stage))}\n`);
    stage = step.stage;
    const outcome = PAINT[step.outcome](style, step.outcome.padEnd(OUTCOME_WIDTH));
    const because = step.because === undefined ? '' : style.dim(`  (${printable(step.because)})`);
    context.out(`  ${outcome}  ${printable(step.subject)}${because}\n`);
    for (const line of step.said ?? []) context.out(`           ${printable(line)}\n`);
    if (step.why !== undefined) context.out(`           ${style.dim(printable(step.why))}\n`);
  }
  if (held === undefined) {
    context.err(`${release} does not come up\n`);
    return;
  }
  context.out(`${release} is up\n`);
  if (context.resident !== undefined)
    context.err(`  lkm ${system} --target sandbox COMMAND goes on in it; lkm halt ${system} ends it\n`);
}
