/** Where a step of the tour on another system than Linux is played: a session of it, and its native commands. */
import type { NativeSystem, SystemFiles, SystemSession, ToolResult } from '../../tools/system.ts';
import { loadSystem } from '../../tools/systems.ts';
import { type Played, StageRecord, type SystemStep } from './record.ts';

export interface SystemSupplies {
  /** The fixtures that come with lkm for that system. */
  readonly files: (system: string) => SystemFiles;
  readonly seed: number;
}

export class SystemStage extends StageRecord {
  readonly system: NativeSystem;
  private readonly supplies: SystemSupplies;
  private started: SystemSession | undefined;

  constructor(system: NativeSystem, supplies: SystemSupplies) {
    super();
    this.system = system;
    this.supplies = supplies;
  }

  get files(): SystemFiles {
    return this.supplies.files(this.system.name);
  }

  /** Bytes of a built fixture. @throws Error when it is not there: the step that needs it then shows nothing */
  fixture(name: string): Uint8Array {
    const bytes = this.files.read(name);
    if (bytes === undefined) throw new Error(`${name}, which comes with lkm, is not there`);
    return bytes;
  }

  /** A fresh kernel with these settings, shown as a line when there are any. */
  async boot(settings: Readonly<Record<string, string>> = {}, user = 'root'): Promise<SystemSession> {
    const { seed } = this.supplies;
    const chosen = new Map(Object.entries(settings));
    this.started = await this.system.start({ files: this.files, seed, settings: chosen, user });
    if (chosen.size > 0)
      this.entries.push({
        kind: 'boot',
        text: [...chosen].map(([name, value]) => `${name}=${value}`).join(' '),
      });
    return this.started;
  }

  /** The kernel of this step; booted with the default settings when first asked for. */
  async session(): Promise<SystemSession> {
    return this.started ?? (await this.boot());
  }

  /** Gives one command to the system's shell, as words; `shown` is how a person would have typed it. */
  async run(words: readonly string[], shown = words.join(' ')): Promise<ToolResult> {
    const session = await this.session();
    this.entries.push({ kind: 'command', text: shown });
    const stop = session.kernel.log.watch((record) => {
      this.entries.push({ kind: 'log', text: session.logLine(record) });
    });
    const result = await session.run(words);
    stop();
    const output = [result.out, result.err].filter((text) => text !== '').join('');
    if (output !== '') this.entries.push({ kind: 'output', text: output.replace(/\n$/, '') });
    if (result.note !== undefined) this.entries.push({ kind: 'note', text: result.note });
    return result;
  }

  /** Did the kernel log, since its boot, get a line that holds this? */
  async logged(text: string): Promise<boolean> {
    const { kernel } = await this.session();
    return kernel.log.records.some((record) => record.text.includes(text));
  }
}

export async function playOn(step: SystemStep, supplies: SystemSupplies): Promise<Played> {
  const stage = new SystemStage(await loadSystem(step.system), supplies);
  try {
    await step.play(stage);
  } catch (error) {
    return stage.ended(step, error);
  }
  return stage.ended(step);
}
