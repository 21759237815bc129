import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import type { MissingPolicy } from '../../kernel/missing.ts';
import type { Linux } from '../../systems/linux/linux.ts';
import { insmod, rmmod } from '../../systems/linux/loader.ts';
import type { LinuxModule } from '../../systems/linux/module.ts';
import { registrations } from '../../systems/linux/registered.ts';
import { leftStanding, type Standing, standing } from '../../systems/linux/standing.ts';
import { dependenciesOf } from '../../tools/linux/module-tree.ts';
import type { LinuxSession } from '../../tools/linux/session.ts';
import type { Command, CommandContext } from '../command.ts';
import { debuggable } from '../debugging.ts';
import { mixed, usageError } from '../failure.ts';
import { logLine, ModuleFiles, startSession } from '../linux-session.ts';
import { linuxShell } from '../linux-shell.ts';
import { Looking } from '../looking.ts';
import {
  addLeaks,
  indented,
  leftText,
  type ModuleReport,
  outcomeOf,
  refusalText,
  registeredText,
  tamperedText,
} from '../run-report.ts';

/** A module to load and its parameters. */
interface Wanted {
  readonly path: string;
  readonly parameters: string[];
  readonly neededBy: string | null;
}

export const command: Command = {
  async run(context) {
    const foreign = existsSync(context.args[0])
      ? await (await import('../foreign.ts')).foreignFile(context.args[0], context)
      : undefined;
    if (foreign !== undefined) return (await import('../system-run.ts')).runForeign(context, foreign.system);
    const wanted = wantedModules(context.args);
    if (context.options.list('set').length > 0)
      throw usageError(
        '--set is for other systems than Linux',
        'Linux takes parameters of modules, and --kernel.',
      );
    await oneSystem(wanted.slice(1), context);
    const files = new ModuleFiles(context);
    for (const { path } of wanted) files.beside(path);
    const missing = context.options.text('missing') as MissingPolicy | undefined;
    return await debuggable(context, async (under, attach) => {
      const session = startSession(under, files, { missing });
      attach(session.k);
      return await new Run(under, session, files).all(wanted);
    });
  },
};

/** A file of another system would be refused as damaged, which it is not. */
async function oneSystem(others: readonly Wanted[], context: CommandContext): Promise<void> {
  for (const { path } of others) {
    if (!existsSync(path)) continue;
    const foreign = await (await import('../foreign.ts')).foreignFile(path, context);
    if (foreign !== undefined) throw mixed(path, foreign.system.title, 'Linux');
  }
}

/** `name=value` words belong to the file before them; a file whose name has a `=` is still a file. */
function wantedModules(args: readonly string[]): Wanted[] {
  const wanted: Wanted[] = [];
  for (const arg of args) {
    const last = wanted.at(-1);
    if (/^[\w.-]+(=|$)/.test(arg) && arg.includes('=') && !existsSync(arg)) {
      if (last === undefined)
        throw usageError(`the parameter ${arg} stands before any module`, 'Name the file first.');
      last.parameters.push(arg);
    } else wanted.push({ path: arg, parameters: [], neededBy: null });
  }
  return wanted;
}

/** A module that was loaded, and what stood before it. */
interface Loaded {
  readonly module: LinuxModule;
  readonly report: ModuleReport;
  readonly before: ReadonlyMap<string, Standing>;
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
  /** Keys of what was told as left. */
  private readonly told = new Set<string>();
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

  async all(wanted: readonly Wanted[]): Promise<number> {
    const { context, k } = this;
    if (!this.json) k.log.watch((record) => context.out(logLine(record)));
    for (const one of wanted) {
      const bytes = this.read(one.path);
      if (!this.loadNeeded(bytes, one.path, new Set()) || !this.load(one, bytes)) break;
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
      if (!this.load({ path: found, parameters: [], neededBy: path }, needed)) return false;
    }
    return true;
  }

  private load({ path, parameters, neededBy }: Wanted, bytes: Uint8Array): boolean {
    const report: ModuleReport = {
      file: path,
      neededBy,
      module: null,
      load: undefined,
      unload: undefined,
      ownBytes: 0,
      ownPages: 0,
      leaks: [],
      registered: [],
      left: [],
    };
    this.reports.push(report);
    const before = standing(this.k);
    const credential = this.session.console.credential;
    const strictLicence = this.context.options.flag('strict');
    const result = insmod(this.k, bytes, parameters.join(' '), { path, credential, strictLicence });
    report.load = outcomeOf(result);
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
    const now = standing(this.k);
    report.registered = leftStanding(before, now, now);
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
    const during = standing(k);
    // Somebody at the prompt may have removed it.
    if (k.modules.find(module.name) === module) {
      report.unload = outcomeOf(rmmod(k, module.name, { credential: this.session.console.credential }));
      if (report.unload.outcome !== 'unloaded') {
        this.code = 1;
        this.say(refusalText(module.name, 'unload', report.unload));
        return;
      }
    } else report.unload = { outcome: 'unloaded', errno: 0, why: '', hint: '' };
    addLeaks(k, report, module);
    report.left = this.newlyLeft(before, during);
    if (report.leaks.length > 0 || report.left.length > 0) this.code = 1;
    this.say(leftText(report));
  }

  /** What stands since the module came, but for what those that came after it have left: they are gone already. */
  private newlyLeft(
    before: ReadonlyMap<string, Standing>,
    during: ReadonlyMap<string, Standing>,
  ): Standing[] {
    const { k } = this;
    // A module that somebody loaded at the prompt, and that is still there, has its own.
    const known = new Set(this.loaded.map(({ module }) => module));
    if ([...k.modules].some((module) => !known.has(module))) return [];
    const after = standing(k);
    for (const key of this.told) after.delete(key);
    for (const key of after.keys()) if (!before.has(key)) this.told.add(key);
    return leftStanding(before, during, after);
  }

  private finish(): void {
    const { k, context } = this;
    const missing = [...k.missing.values()].map(({ name, callers }) => ({
      name,
      callers: Object.fromEntries(callers),
    }));
    if (missing.length > 0) this.code = 1;
    if (this.json) {
      const log = k.log.records.map(({ time, level, text }) => ({ time: Math.round(time), level, text }));
      context.json('lkm.run/1', {
        kernel: k.file.release,
        system: 'linux',
        modules: this.reports.map(reportJson),
        missing,
        registeredOnly: registrations(k),
        taint: k.taint,
        instructions: k.cpu.retired,
        log,
        ...this.looking.result,
      });
      return;
    }
    for (const { name, callers } of k.missing.values())
      this.say(`missing function ${name}, called from ${[...callers.keys()].join(', ')}\n`);
    this.say(registeredText(k));
    if (this.loaded.length > 0) this.say(`${k.cpu.retired} instructions of machine code were executed\n`);
  }

  private say(text: string): void {
    if (!this.json) this.context.err(text);
  }
}

function reportJson(report: ModuleReport): Record<string, unknown> {
  return {
    ...report,
    load: report.load ?? null,
    unload: report.unload ?? null,
    leaks: report.leaks.map((leak) => ({ ...leak, address: BigInt.asUintN(64, BigInt(leak.address)) })),
  };
}
