/** Where a step of the tour is played: kernels to boot, commands to give, and a record of everything that happened. */
import type { KernelFile } from '../../systems/linux/kernelfile/kernelfile.ts';
import type { Linux } from '../../systems/linux/linux.ts';
import { insmod, type LoadResult } from '../../systems/linux/loader.ts';
import type { CommandResult } from '../../tools/linux/console.ts';
import { LinuxSession } from '../../tools/linux/session.ts';

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

export interface TourStep {
  /** How it is called on the command line. */
  readonly name: string;
  /** At most 44 characters: a row of the summary. */
  readonly title: string;
  /** The statement about loadable kernel modules that the step shows. */
  readonly statement: string;
  /** Modules and commands that show it: at most 20 characters. */
  readonly by: string;
  readonly play: (stage: Stage) => void;
}

export interface Supplies {
  readonly kernel: KernelFile;
  /** Bytes of a built fixture by file name; undefined when there is none of that name. */
  readonly fixture: (name: string) => Uint8Array | undefined;
  readonly seed: number;
}

export interface RunOptions {
  /** Show no more log lines than this of one command. */
  readonly logLines?: number;
}

export class Stage {
  readonly entries: Entry[] = [];
  private readonly supplies: Supplies;
  private session: LinuxSession | undefined;

  constructor(supplies: Supplies) {
    this.supplies = supplies;
  }

  get k(): Linux {
    return this.console.k;
  }

  /** The kernel's console, for what the steps measure without showing each command. */
  get console(): LinuxSession {
    this.session ??= this.start('');
    return this.session;
  }

  get seed(): number {
    return this.supplies.seed;
  }

  get kernelFile(): KernelFile {
    return this.supplies.kernel;
  }

  /** @throws Error when it is not there: the step that needs it then shows nothing */
  fixture(name: string): Uint8Array {
    const bytes = this.supplies.fixture(name);
    if (bytes === undefined) throw new Error(`${name}, which comes with lkm, is not there`);
    return bytes;
  }

  say(text: string): void {
    this.entries.push({ kind: 'say', text });
  }

  /** A fresh kernel; what was loaded before is gone with the old one. */
  boot(commandLine = ''): void {
    this.session = this.start(commandLine);
    if (commandLine !== '') this.entries.push({ kind: 'boot', text: commandLine });
  }

  /** Gives one line to the root shell of the kernel. */
  run(line: string, { logLines = Number.POSITIVE_INFINITY }: RunOptions = {}): CommandResult {
    this.entries.push({ kind: 'command', text: line });
    const stop = this.follow(logLines);
    const result = this.console.line(line);
    stop();
    if (result.output !== '') this.entries.push({ kind: 'output', text: result.output.replace(/\n$/, '') });
    if (result.note !== undefined) this.entries.push({ kind: 'note', text: result.note });
    return result;
  }

  /** As run, for a load with the switch that refuses licences with hidden text. */
  loadStrictly(name: string): LoadResult {
    this.entries.push({ kind: 'command', text: `lkm run --strict ${name}` });
    const result = insmod(this.k, this.fixture(name), '', { path: name, strictLicence: true });
    if (result.outcome === 'refused') this.entries.push({ kind: 'note', text: result.refusal.why });
    return result;
  }

  show(command: string, output: string): void {
    this.entries.push({ kind: 'command', text: command });
    this.entries.push({ kind: 'output', text: output.replace(/\n$/, '') });
  }

  fact(text: string, holds: boolean): void {
    this.entries.push({ kind: 'fact', text, holds });
  }

  /** Did the kernel log, since its boot, get a line that holds this? */
  logged(text: string): boolean {
    return this.k.log.records.some((record) => record.text.includes(text));
  }

  private start(commandLine: string): LinuxSession {
    const { kernel, seed } = this.supplies;
    return new LinuxSession(kernel, {
      moduleFile: (path) => this.supplies.fixture(path),
      seed,
      commandLine,
    });
  }

  /** Records log lines until the function returned is called. */
  private follow(most: number): () => void {
    let lines = 0;
    const stop = this.k.log.watch(({ text }) => {
      if (++lines <= most) this.entries.push({ kind: 'log', text });
    });
    return () => {
      stop();
      if (lines > most)
        this.entries.push({ kind: 'say', text: `(${lines - most} more lines, among them registers)` });
    };
  }
}

/** What became of a step. */
export interface Played {
  readonly step: TourStep;
  readonly entries: readonly Entry[];
  /** At least one fact, and all of them hold. */
  readonly shown: boolean;
}

/** Plays a step; an error in it is a fact that does not hold, so that the tour goes on. */
export function play(step: TourStep, supplies: Supplies): Played {
  const stage = new Stage(supplies);
  try {
    step.play(stage);
  } catch (error) {
    stage.fact(`the step broke off: ${error instanceof Error ? error.message : String(error)}`, false);
  }
  const facts = stage.entries.filter((entry) => entry.kind === 'fact');
  return { step, entries: stage.entries, shown: facts.length > 0 && facts.every(({ holds }) => holds) };
}
