/** Where a step of the tour is played: kernels to boot, commands to give, and a record of everything that happened. */
import type { KernelFile } from '../../systems/linux/kernelfile/kernelfile.ts';
import type { Savable } from '../../systems/linux/kernelfile/saved.ts';
import type { Linux } from '../../systems/linux/linux.ts';
import { insmod, type LoadResult } from '../../systems/linux/loader.ts';
import type { CheckSurroundings } from '../../tools/check.ts';
import type { CommandResult } from '../../tools/linux/console.ts';
import { LinuxSession } from '../../tools/linux/session.ts';
import { type LinuxStep, type Played, StageRecord } from './record.ts';

export interface Supplies {
  readonly kernel: KernelFile & Savable;
  /** Bytes of a built fixture by file name; undefined when there is none of that name. */
  readonly fixture: (name: string) => Uint8Array | undefined;
  readonly seed: number;
  /** For what opens a kernel as `lkm check` does. */
  readonly around: CheckSurroundings;
}

export interface RunOptions {
  /** Show no more log lines than this of one command. */
  readonly logLines?: number;
}

export class Stage extends StageRecord {
  private readonly supplies: Supplies;
  private session: LinuxSession | undefined;

  constructor(supplies: Supplies) {
    super();
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

  get kernelFile(): KernelFile & Savable {
    return this.supplies.kernel;
  }

  get around(): CheckSurroundings {
    return this.supplies.around;
  }

  /** @throws Error when it is not there: the step that needs it then shows nothing */
  fixture(name: string): Uint8Array {
    const bytes = this.supplies.fixture(name);
    if (bytes === undefined) throw new Error(`${name}, which comes with lkm, is not there`);
    return bytes;
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

/** Plays a step on the Linux base kernel. */
export async function play(step: LinuxStep, supplies: Supplies): Promise<Played> {
  const stage = new Stage(supplies);
  try {
    await step.play(stage);
  } catch (error) {
    return stage.ended(step, error);
  }
  return stage.ended(step);
}
