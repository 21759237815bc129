/** `lkm run` for files of further systems: load them in order, use them, unload them, tell what they left. */
import type { MissingPolicy } from '../kernel/missing.ts';
import type { LoadOutcome, NativeSystem, SystemSession, UnloadOutcome } from '../tools/system.ts';
import type { CommandContext } from './command.ts';
import { debuggable } from './debugging.ts';
import { usageError } from './failure.ts';
import { Looking } from './looking.ts';
import { printable } from './printable.ts';
import { indented } from './run-report.ts';
import { HostFiles, settingsOf, show, startSystem, systemShell } from './system-session.ts';

interface SystemReport {
  readonly file: string;
  load: LoadOutcome;
  unload: UnloadOutcome | undefined;
}

/** Words after a file belong to it, as long as they name no file: `isFile` decides. */
function wantedFiles(args: readonly string[], isFile: (word: string) => boolean) {
  const wanted: { path: string; args: string[] }[] = [];
  for (const word of args) {
    const last = wanted.at(-1);
    if (last !== undefined && !isFile(word)) last.args.push(word);
    else wanted.push({ path: word, args: [] });
  }
  return wanted;
}

/** Options that would be passed over in silence. */
const LINUX_ONLY = ['kernel', 'cert', 'strict'];

export async function runForeign(context: CommandContext, system: NativeSystem): Promise<number> {
  const given = LINUX_ONLY.find((name) => context.options.flag(name));
  if (given !== undefined)
    throw usageError(
      `--${given} is for Linux`,
      `${system.title} has settings instead: lkm ${system.name} --settings lists them`,
    );
  const files = new HostFiles(context, system.name);
  const wanted = wantedFiles(context.args, (word) => files.stat(word) !== undefined);
  for (const { path } of wanted) files.beside(path);
  const missing = context.options.text('missing') as MissingPolicy | undefined;
  return await debuggable(context, async (under, attach) => {
    const session = await startSystem(under, system, files, settingsOf(under), { missing });
    attach(session.kernel);
    return await new SystemRun(under, system.name, session).all(wanted);
  });
}

class SystemRun {
  private readonly context: CommandContext;
  private readonly system: string;
  private readonly session: SystemSession;
  private readonly json: boolean;
  private readonly looking: Looking;
  private readonly reports: SystemReport[] = [];
  private code = 0;

  constructor(context: CommandContext, system: string, session: SystemSession) {
    this.context = context;
    this.system = system;
    this.session = session;
    this.json = context.options.flag('json');
    this.looking = new Looking(context, session.kernel);
  }

  async all(wanted: readonly { path: string; args: readonly string[] }[]): Promise<number> {
    const { context, session } = this;
    if (!this.json)
      session.kernel.log.watch((record) => context.out(`${printable(session.logLine(record))}\n`));
    for (const { path, args } of wanted) {
      const load = await session.load(path, args);
      this.reports.push({ file: path, load, unload: undefined });
      if (!this.json) show(load, context);
      if (load.code === 0 && load.module !== undefined) continue;
      this.code = 1;
      break;
    }
    if (this.code === 0) await this.use();
    for (const report of [...this.reports].reverse()) await this.unload(report);
    this.looking.finish();
    this.finish();
    return this.code;
  }

  /** --do commands, or a prompt when a person is there. */
  private async use(): Promise<void> {
    const { context, session } = this;
    const commands = context.options.list('do');
    const shell = systemShell(context, session, { quietLog: true });
    for (const line of commands) if ((await shell.line(line)) !== 0) this.code = 1;
    // A run under gdb is repeated to go back: what a person typed could not be.
    if (commands.length > 0 || this.json || context.options.integer('gdb') !== undefined) return;
    if (!context.input.isTTY || !context.isTTY) return;
    const { runPrompt } = await import('./prompt.ts');
    await runPrompt(shell, 'run', {
      input: context.input.stream(),
      output: process.stdout,
      environment: context.environment,
    });
  }

  private async unload(report: SystemReport): Promise<void> {
    const { module } = report.load;
    if (module === undefined) return;
    report.unload = await this.session.unload(module);
    const { code, leaks } = report.unload;
    if (code !== 0 || leaks.length > 0) this.code = 1;
    if (this.json) return;
    show(report.unload, this.context);
    if (code !== 0) return;
    if (leaks.length === 0) this.say(`${module}: unloaded, and nothing it allocated is left\n`);
    else {
      const bytes = leaks.reduce((sum, leak) => sum + leak.bytes, 0);
      this.say(`${module}: unloaded, but ${leaks.length} allocations with ${bytes} bytes are left:\n`);
      for (const leak of leaks) this.say(`  ${leak.bytes} bytes (${leak.what}), taken in ${leak.where}\n`);
    }
  }

  private finish(): void {
    const { kernel } = this.session;
    const missing = [...kernel.missing.values()];
    const registered = this.session.registeredOnly?.() ?? [];
    if (missing.length > 0) this.code = 1;
    if (this.json) {
      this.context.json('lkm.run/1', {
        kernel: this.session.release,
        system: this.system,
        modules: this.reports.map(({ file, load, unload }) => ({ file, load, unload: unload ?? null })),
        missing: missing.map(({ name, callers }) => ({ name, callers: Object.fromEntries(callers) })),
        registeredOnly: registered,
        instructions: kernel.cpu.retired,
        log: kernel.log.records.map(({ time, level, text }) => ({ time: Math.round(time), level, text })),
        ...this.looking.result,
      });
      return;
    }
    for (const { name, callers } of missing)
      this.say(`missing function ${name}, called from ${[...callers.keys()].join(', ')}\n`);
    for (const { what, name } of registered)
      this.say(indented(`registered only: ${what} ${name} (nothing here can put it to use)`).trimStart());
    if (this.reports.some(({ load }) => load.module !== undefined))
      this.say(`${kernel.cpu.retired} instructions of machine code were executed\n`);
  }

  private say(text: string): void {
    this.context.err(text);
  }
}
