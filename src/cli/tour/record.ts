/** What happened in a step of the tour: the same record whichever system plays it. */
import type { Stage } from './stage.ts';
import type { SystemStage } from './system-stage.ts';

/** One thing that a person watching would see. */
export type Entry =
  /** In our words: what comes now. */
  | { readonly kind: 'say'; readonly text: string }
  /** A kernel was started with this command line. */
  | { readonly kind: 'boot'; readonly text: string }
  | { readonly kind: 'command'; readonly text: string }
  /** The kernel log. */
  | { readonly kind: 'log'; readonly text: string }
  | { readonly kind: 'output'; readonly text: string }
  /** Why a command was refused, in our words. */
  | { readonly kind: 'note'; readonly text: string }
  /** What the step claims, and whether it was so. */
  | { readonly kind: 'fact'; readonly text: string; readonly holds: boolean };

interface StepWords {
  /** How it is called on the command line. */
  readonly name: string;
  /** At most 44 characters: a row of the summary. */
  readonly title: string;
  /** The statement about loadable kernel modules that the step shows. */
  readonly statement: string;
  /** Modules and commands that show it: at most 20 characters. */
  readonly by: string;
}

/** A step on the Linux base kernel. */
export interface LinuxStep extends StepWords {
  readonly system?: undefined;
  readonly play: (stage: Stage) => void | Promise<void>;
}

/** A step on another system, by its name in tools/systems.ts. */
export interface SystemStep extends StepWords {
  readonly system: string;
  readonly play: (stage: SystemStage) => Promise<void>;
}

export type TourStep = LinuxStep | SystemStep;

/** What became of a step. */
export interface Played {
  readonly step: TourStep;
  readonly entries: readonly Entry[];
  /** At least one fact, and all of them hold. */
  readonly shown: boolean;
}

/** Where a stage writes down what happens. */
export class StageRecord {
  readonly entries: Entry[] = [];

  say(text: string): void {
    this.entries.push({ kind: 'say', text });
  }

  show(command: string, output: string): void {
    this.entries.push({ kind: 'command', text: command });
    this.entries.push({ kind: 'output', text: output.replace(/\n$/, '') });
  }

  fact(text: string, holds: boolean): void {
    this.entries.push({ kind: 'fact', text, holds });
  }

  /** The step as it ended; one that broke off has a fact that does not hold, so that the tour goes on. */
  ended(step: TourStep, error?: unknown): Played {
    if (error !== undefined)
      this.fact(`the step broke off: ${error instanceof Error ? error.message : String(error)}`, false);
    const facts = this.entries.filter((entry) => entry.kind === 'fact');
    return { step, entries: this.entries, shown: facts.length > 0 && facts.every(({ holds }) => holds) };
  }
}
