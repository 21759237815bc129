import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import type { MissingPolicy } from '../../kernel/missing.ts';
import { LeftBehind, newlyStanding, type StandingNow, standingNow } from '../../kernel/standing.ts';
import type { Linux } from '../../systems/linux/linux.ts';
import { insmod, rmmod } from '../../systems/linux/loader.ts';
import type { LinuxModule } from '../../systems/linux/module.ts';
import { registrations } from '../../systems/linux/registered.ts';
import { standing } from '../../systems/linux/standing.ts';
import { leaksOf } from '../../tools/linux/leaks.ts';
import { insmodError, rmmodError } from '../../tools/linux/module-commands.ts';
import { dependenciesOf } from '../../tools/linux/module-tree.ts';
import type { LinuxSession } from '../../tools/linux/session.ts';
import type { Command, CommandContext } from '../command.ts';
import { debuggable } from '../debugging.ts';
import { mixed, usageError } from '../failure.ts';
import { outcomeOf, refusalText, tamperedText } from '../linux-run-report.ts';
import { logLine, ModuleFiles, startSession } from '../linux-session.ts';
import { linuxShell } from '../linux-shell.ts';
import { Looking } from '../looking.ts';
import { indented, type LeftMemory, leftText, type ModuleReport, reportOf, tellEnd } from '../run-outcome.ts';
import { insistOnFiles, type WantedFile, wantedFiles } from '../run-words.ts';

export const command: Command = {
  async run(context) {
    const foreign = existsSync(context.args[0])
      ? await (await import('../foreign.ts')).foreignFile(context.args[0], context)
      : undefined;
    if (foreign !== undefined) return (await import('../system-run.ts')).runForeign(context, foreign.system);
    const wanted = wantedFiles(context.args, existsSync);
    if (context.options.list('set').length > 0)
      throw usageError(
        '--set is for other systems than Linux',
        'Linux takes parameters of modules, and --kernel.',
      );
    await oneSystem(wanted.slice(1), context);
    const files = new ModuleFiles(context);
    for (const { path } of wanted) files.beside(path);
    insistOnFiles(wanted, (path) => path === '-' || files.locate(path) !== undefined, context);
    const missing = context.options.text('missing') as MissingPolicy | undefined;
    return await debuggable(context, async (under, attach) => {
      const session = startSession(under, files, { missing });
      attach(session.k);
      return await new Run(under, session, files).all(wanted);
    });
  },
};

/** A file of another system would be refused as damaged, which it is not. */
async function oneSystem(others: readonly WantedFile[], context: CommandContext): Promise<void> {
  for (const { path } of others) {
    if (!existsSync(path)) continue;
    const foreign = await (await import('../foreign.ts')).foreignFile(path, context);
    if (foreign !== undefined) throw mixed(path, foreign.system.title, 'Linux');
  }
}

/** A module that was loaded, and what stood before it. */
interface Loaded {
  readonly module: LinuxModule;
  readonly report: ModuleReport;
  readonly before: StandingNow;
}

class Run {
  private readonly context: CommandContext;
  private readonly session: LinuxSession;
  private readonly files: ModuleFiles;
  private readonly json: boolean;
  private readonly looking: Looking;
  private readonly loaded: Loaded[] = [];
  private readonly reports: ModuleReport[] = [];
  private readonly absent: string[] = [];
  private readonly leftBehind = new LeftBehind();
  private code = 0;

  constructor(context: CommandContext, session: LinuxSession, files: ModuleFiles) {
    this.context = context;
    this.session = session;
    this.files = files;
    this.json = context.options.flag('json');
    this.looking = new Looking(context, session.k);
  }

  private get k(): Linux {
    return this.session.k;
  }

  async all(wanted: readonly WantedFile[]): Promise<number> {
    const { context, k } = this;
    if (!this.json) k.log.watch((record) => context.out(logLine(record)));
    for (const one of wanted) {
      const bytes = this.read(one.path);
      if (!this.loadNeeded(bytes, one.path, new Set()) || !this.load(one, bytes, null)) break;
    }
    if (this.code === 0) await this.use();
    for (const one of [...this.loaded].reverse()) this.unload(one);
    this.looking.finish();
    this.finish();
    return this.code;
  }

  private read(path: string): Uint8Array {
    const bytes = this.files.find(path);
    if (bytes !== undefined) return bytes;
    // readFile says in its own words why: nothing there, a folder, no permission.
    return this.context.readFile(path);
  }

  /** What the file's depends= names and is not there yet: from beside it, or from its tree. */
  private loadNeeded(bytes: Uint8Array, path: string, seen: Set<string>): boolean {
    for (const name of dependenciesOf(bytes)) {
      if (seen.has(name) || this.k.modules.find(name.replaceAll('-', '_')) !== undefined) continue;
      seen.add(name);
      const found = this.files.locate(`${name}.ko`);
      if (found === undefined) {
        // The kernel will refuse the module, or not: a symbol may come from elsewhere.
        this.absent.push(`${path} depends on the module ${name}, and no ${name}.ko lies beside it`);
        continue;
      }
      const needed = this.read(found);
      if (!this.loadNeeded(needed, found, seen)) return false;
      if (!this.load({ path: found, words: [] }, needed, path)) return false;
    }
    return true;
  }

  private get standing(): StandingNow {
    return standingNow(standing(this.k));
  }

  private load({ path, words }: WantedFile, bytes: Uint8Array, neededBy: string | null): boolean {
    const report = reportOf(path, neededBy);
    this.reports.push(report);
    const before = this.standing;
    const credential = this.session.console.credential;
    const strictLicence = this.context.options.flag('strict');
    const result = insmod(this.k, bytes, words.join(' '), { path, credential, strictLicence });
    report.load = outcomeOf(result, (errno) => insmodError(path, errno));
    if (result.outcome !== 'loaded') {
      this.code = 1;
      this.say(refusalText(path, 'load', report.load));
      if (result.outcome === 'refused')
        for (const text of this.absent) this.say(indented(`${text}: give it first.`));
      return false;
    }
    const { module } = result;
    report.module = module.name;
    const areas = module.areas.filter((area) => !area.init);
    report.ownPages = areas.reduce((sum, area) => sum + area.pages, 0);
    report.ownBytes = areas.reduce((sum, area) => sum + area.bytes, 0);
    this.loaded.push({ module, report, before });
    const now = this.standing;
    report.registered = newlyStanding(before, now, now);
    if (neededBy !== null) this.say(`${path}: loaded, since ${basename(neededBy)} depends on it\n`);
    this.say(tamperedText(report));
    for (const finding of module.findings) this.say(`${path}: found\n${indented(finding.text)}`);
    return true;
  }

  /** --do commands, or a prompt when a person is there. */
  private async use(): Promise<void> {
    const commands = this.context.options.list('do');
    const { shell, prompt } = linuxShell(this.context, this.session, { quietLog: true });
    for (const line of commands) {
      const code = await shell.line(line);
      if (code !== 0) this.code = 1;
    }
    const person = !this.json && this.context.input.isTTY && this.context.isTTY;
    // A run under gdb is repeated to go back: what a person typed could not be.
    const debugged = this.context.options.integer('gdb') !== undefined;
    if (commands.length === 0 && person && !debugged) await prompt();
  }

  private unload({ module, report, before }: Loaded): void {
    const { k } = this;
    const { name } = module;
    const during = this.standing;
    const said = (errno: number) => rmmodError(name, errno);
    // Somebody at the prompt may have removed it.
    const there = k.modules.find(name) === module;
    const credential = this.session.console.credential;
    report.unload = outcomeOf(there ? rmmod(k, name, { credential }) : { outcome: 'unloaded' }, said);
    if (report.unload.outcome !== 'unloaded') {
      this.code = 1;
      this.say(refusalText(name, 'unload', report.unload));
      return;
    }
    report.leaks = memoryOf(k, module);
    report.left = this.leftBehind.by(before, during, this.standing);
    if (report.leaks.length > 0 || report.left.length > 0) this.code = 1;
    this.say(leftText(report));
  }

  private finish(): void {
    const { k, reports } = this;
    const more = { taint: k.taint };
    const looking = this.looking.result;
    const registeredOnly = registrations(k);
    const run = { system: 'linux', release: k.file.release, k, reports, registeredOnly, more, looking };
    if (!tellEnd(this.context, run)) this.code = 1;
  }

  private say(text: string): void {
    if (!this.json) this.context.err(text);
  }
}

const memoryOf = (k: Linux, module: LinuxModule): LeftMemory[] =>
  leaksOf(k, module).map((leak) => ({ ...leak, address: BigInt.asUintN(64, BigInt(leak.address)) }));
