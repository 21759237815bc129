import { existsSync } from 'node:fs';
import type { MissingPolicy } from '../../kernel/kernel.ts';
import type { Allocation } from '../../systems/linux/allocations.ts';
import type { Linux } from '../../systems/linux/linux.ts';
import { insmod, type LoadResult, rmmod } from '../../systems/linux/loader.ts';
import type { LinuxModule } from '../../systems/linux/module.ts';
import type { LinuxSession } from '../../tools/linux/session.ts';
import type { Command, CommandContext } from '../command.ts';
import { Failure, usageError } from '../failure.ts';
import { logLine, ModuleFiles, startSession } from '../linux-session.ts';
import { linuxShell } from '../linux-shell.ts';

/** A module to load and its parameters. */
interface Wanted {
  readonly path: string;
  readonly parameters: string[];
}

/** What became of one module, for --json. */
interface Report {
  readonly file: string;
  module: string | null;
  /** errno of the load; null when the sandbox lacks something or the load was killed. */
  load: number | null;
  why: string | null;
  unload: number | null;
  leaks: { address: string; bytes: number; kind: string; caller: string }[];
}

export const command: Command = {
  async run(context) {
    const wanted = wantedModules(context.args);
    const files = new ModuleFiles(context);
    for (const { path } of wanted) files.beside(path);
    const missing = context.options.text('missing') as MissingPolicy | undefined;
    const session = startSession(context, files, { missing });
    return await new Run(context, session, files).all(wanted);
  },
};

/** `name=value` words belong to the file before them; a file whose name has a `=` is still a file. */
function wantedModules(args: readonly string[]): Wanted[] {
  const wanted: Wanted[] = [];
  for (const arg of args) {
    const last = wanted.at(-1);
    if (/^[\w.-]+(=|$)/.test(arg) && arg.includes('=') && !existsSync(arg)) {
      if (last === undefined)
        throw usageError(`the parameter ${arg} stands before any module`, 'Name the file first.');
      last.parameters.push(arg);
    } else wanted.push({ path: arg, parameters: [] });
  }
  return wanted;
}

class Run {
  private readonly context: CommandContext;
  private readonly session: LinuxSession;
  private readonly files: ModuleFiles;
  private readonly json: boolean;
  private readonly loaded: { module: LinuxModule; report: Report }[] = [];
  private readonly reports: Report[] = [];
  private code = 0;

  constructor(context: CommandContext, session: LinuxSession, files: ModuleFiles) {
    this.context = context;
    this.session = session;
    this.files = files;
    this.json = context.options.flag('json');
  }

  private get k(): Linux {
    return this.session.k;
  }

  async all(wanted: readonly Wanted[]): Promise<number> {
    const { context, k } = this;
    const free = k.memory.frames.freePages;
    if (!this.json) k.log.watch((record) => context.out(logLine(record)));
    for (const one of wanted) if (!this.load(one)) break;
    if (this.code === 0) await this.use();
    for (const { module, report } of [...this.loaded].reverse()) this.unload(module, report);
    this.finish(free);
    return this.code;
  }

  private load({ path, parameters }: Wanted): boolean {
    const bytes = this.files.find(path);
    if (bytes === undefined) {
      throw new Failure('no such file', { subject: path, hint: 'Give the path of a module file (.ko).' });
    }
    const report: Report = { file: path, module: null, load: 0, why: null, unload: null, leaks: [] };
    this.reports.push(report);
    const credential = this.session.console.credential;
    const strictLicence = this.context.options.flag('strict');
    const result = insmod(this.k, bytes, parameters.join(' '), { path, credential, strictLicence });
    if (result.outcome === 'loaded') {
      report.module = result.module.name;
      this.loaded.push({ module: result.module, report });
      for (const finding of result.module.findings) this.say(`${path}: ${finding.text}`);
      return true;
    }
    this.refused(path, result, report);
    return false;
  }

  private refused(path: string, result: Exclude<LoadResult, { outcome: 'loaded' }>, report: Report): void {
    this.code = 1;
    if (result.outcome === 'refused') {
      report.load = result.refusal.errno;
      report.why = `${result.refusal.why} ${result.refusal.hint}`.trim();
    } else {
      report.load = null;
      report.why = result.outcome === 'killed' ? result.killed.message : result.missing.message;
    }
    const errno = report.load === null ? '' : ` (errno ${report.load})`;
    this.say(`${path}: not loaded${errno}: ${report.why}`);
  }

  /** --do commands, or a prompt when a person is there. */
  private async use(): Promise<void> {
    const commands = this.context.options.list('do');
    const { shell, prompt } = linuxShell(this.context, this.session, { quietLog: true });
    for (const line of commands) {
      const code = await shell.line(line);
      if (code !== 0) this.code = 1;
    }
    if (commands.length === 0 && !this.json && this.context.input.isTTY && this.context.isTTY) await prompt();
  }

  private unload(module: LinuxModule, report: Report): void {
    const { k } = this;
    const held = () => k.heap.allocationsOf(module);
    const result = rmmod(k, module.name, { credential: this.session.console.credential });
    if (result.outcome === 'unloaded') report.unload = 0;
    else {
      this.code = 1;
      report.unload = result.outcome === 'refused' ? result.refusal.errno : null;
      const why =
        result.outcome === 'refused'
          ? result.refusal.why
          : result.outcome === 'killed'
            ? result.killed.message
            : result.missing.message;
      this.say(`${module.name}: not unloaded: ${why}`);
      return;
    }
    report.leaks = held().map((allocation) => leakOf(k, allocation));
  }

  private finish(free: number): void {
    const { k, context } = this;
    const missing = [...k.missing.values()].map(({ name, callers }) => ({
      name,
      callers: Object.fromEntries(callers),
    }));
    for (const { name, callers } of k.missing.values()) {
      this.say(`missing function ${name}, reached from ${[...callers.keys()].join(', ')}`);
      this.code ||= 1;
    }
    const lost = free - k.memory.frames.freePages;
    if (this.json) {
      const log = k.log.records.map(({ time, level, text }) => ({ time: Math.round(time), level, text }));
      context.json('lkm.run/1', {
        kernel: k.file.release,
        modules: this.reports,
        missing,
        taint: k.taint,
        instructions: k.cpu.retired,
        log,
      });
      return;
    }
    this.reportLeaks(lost);
  }

  private reportLeaks(lost: number): void {
    for (const { module, leaks } of this.reports) {
      for (const leak of leaks)
        this.say(`${module}: leaked ${leak.bytes} bytes (${leak.kind}) taken in ${leak.caller}`);
    }
    if (this.loaded.length === 0) return;
    const leaks = this.reports.reduce((sum, report) => sum + report.leaks.length, 0);
    const names = this.loaded.map(({ module }) => module.name).join(', ');
    const state = this.reports.every((report) => report.unload === 0) ? 'loaded and unloaded' : 'loaded';
    const pages = lost > 0 ? `; the kernel keeps ${lost} pages it had not used before` : '';
    this.say(
      `${names}: ${state}, ${leaks === 0 ? 'nothing leaked' : `${leaks} leaks`}, ${this.k.cpu.retired} instructions${pages}`,
    );
  }

  private say(text: string): void {
    if (!this.json) this.context.err(`${text}\n`);
  }
}

function leakOf(k: Linux, { address, bytes, kind, caller }: Allocation): Report['leaks'][number] {
  const hex = '0x' + BigInt.asUintN(64, BigInt(address)).toString(16);
  return { address: hex, bytes, kind, caller: k.describe(caller) };
}
