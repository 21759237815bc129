/** `lkm run` for files of further systems: load them in order, use them, unload them, tell what they left. */
import type { MissingPolicy } from '../kernel/missing.ts';
import { LeftBehind, newlyStanding, type StandingNow, standingNow } from '../kernel/standing.ts';
import type { Ending, LoadOutcome, NativeSystem, SystemSession } from '../tools/system.ts';
import type { CommandContext } from './command.ts';
import { debuggable } from './debugging.ts';
import { usageError } from './failure.ts';
import { Looking } from './looking.ts';
import { printable } from './printable.ts';
import { leftText, type ModuleReport, type Outcome, reportOf, tellEnd } from './run-outcome.ts';
import { insistOnFiles, refuseWords, type WantedFile, wantedFiles } from './run-words.ts';
import { HostFiles, settingsOf, show, startSystem, systemShell } from './system-session.ts';

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
  if ('instead' in system.words) refuseWords(wanted, system.title, system.words.instead);
  for (const { path } of wanted) files.beside(path);
  insistOnFiles(wanted, (path) => files.stat(path) !== undefined, context);
  const missing = context.options.text('missing') as MissingPolicy | undefined;
  return await debuggable(context, async (under, attach) => {
    const session = await startSystem(under, system, files, settingsOf(under), { missing });
    attach(session.kernel);
    return await new SystemRun(under, system.name, session).all(wanted);
  });
}

/** A report, and how the kernel was before the module came. */
interface Loaded {
  readonly report: ModuleReport;
  readonly before: StandingNow;
}

class SystemRun {
  private readonly context: CommandContext;
  private readonly system: string;
  private readonly session: SystemSession;
  private readonly json: boolean;
  private readonly looking: Looking;
  private readonly reports: ModuleReport[] = [];
  private readonly leftBehind = new LeftBehind();
  private code = 0;

  constructor(context: CommandContext, system: string, session: SystemSession) {
    this.context = context;
    this.system = system;
    this.session = session;
    this.json = context.options.flag('json');
    this.looking = new Looking(context, session.kernel);
  }

  async all(wanted: readonly WantedFile[]): Promise<number> {
    const { context, session } = this;
    if (!this.json)
      session.kernel.log.watch((record) => context.out(`${printable(session.logLine(record))}\n`));
    const loaded: Loaded[] = [];
    for (const one of wanted) {
      const before = this.standing;
      const report = await this.load(one);
      loaded.push({ report, before });
      if (report.load?.outcome !== 'loaded') break;
      const now = this.standing;
      report.registered = newlyStanding(before, now, now);
    }
    if (this.code === 0) await this.use();
    for (const one of loaded.reverse()) await this.unload(one);
    this.looking.finish();
    this.finish();
    return this.code;
  }

  private get standing(): StandingNow {
    return standingNow(this.session.standing?.() ?? []);
  }

  private async load({ path, words }: WantedFile): Promise<ModuleReport> {
    const report = reportOf(path, null);
    this.reports.push(report);
    const load: LoadOutcome = await this.session.load(path, words);
    if (!this.json) show(load, this.context);
    const loaded = load.code === 0 && load.module !== undefined;
    report.load = outcomeOf(load, loaded ? 'loaded' : (load.ended ?? 'refused'));
    if (!loaded) this.code = 1;
    // What came in half is taken out again, as far as the system can.
    if (load.module !== undefined) report.module = load.module;
    return report;
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

  private async unload({ report, before }: Loaded): Promise<void> {
    const { module } = report;
    if (module === null) return;
    const during = this.standing;
    const unload = await this.session.unload(module);
    const { code, ended, leaks, takenBack = [] } = unload;
    report.unload = outcomeOf(unload, code === 0 ? 'unloaded' : (ended ?? 'refused'));
    report.leaks = leaks.map(({ what, ...leak }) => ({ kind: what, ...leak, address: null }));
    if (code === 0) report.left = [...takenBack, ...this.leftBehind.by(before, during, this.standing)];
    if (code !== 0 || leaks.length > 0 || report.left.length > 0) this.code = 1;
    if (this.json) return;
    show(unload, this.context);
    if (code === 0) this.context.err(leftText(report));
  }

  private finish(): void {
    const { system, session, reports } = this;
    const { kernel: k, release } = session;
    const registeredOnly = session.registeredOnly?.() ?? [];
    const run = { system, release, k, reports, registeredOnly, looking: this.looking.result };
    if (!tellEnd(this.context, run)) this.code = 1;
  }
}

function outcomeOf(ending: Ending, outcome: Outcome['outcome']): Outcome {
  const { code, errno = code === 0 ? 0 : null, rule = null, out, err, note = '' } = ending;
  return { outcome, code, errno, rule, out, err, why: note, hint: '' };
}
