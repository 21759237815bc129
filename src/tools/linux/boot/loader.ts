/** modprobe, as a start calls it, in a base kernel: with the configuration of the machine's root, and its story told. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Errno } from '../../../systems/linux/errno.ts';
import { nameOfPath, normalizeName } from '../../../systems/linux/tree/names.ts';
import type { BootStep } from '../../boot.ts';
import type { SystemFiles } from '../../system.ts';
import { CallFailed } from '../kmod/call-failed.ts';
import { configFolders } from '../kmod/config-files.ts';
import { KmodContext, type TreeModule } from '../kmod/context.ts';
import { readWhole, SourceError } from '../kmod/module-source.ts';
import { ToolExit, ToolOutput } from '../kmod/output.ts';
import { NO_OWN_OPTIONS } from '../kmod/own-options.ts';
import { Probe } from '../kmod/probe.ts';
import { SandboxTarget } from '../kmod/sandbox-target.ts';
import type { InsertFlags } from '../kmod/target.ts';
import { runModuleTool } from '../kmod/tools.ts';
import type { LinuxSession } from '../session.ts';
import type { Asked } from './asked.ts';
import { runInstallCommand } from './install-command.ts';
import { RootCopy } from './root-copy.ts';

export interface LoaderRequest {
  /** The root whose /lib/modules and modprobe.d count. */
  readonly folder: string;
  /** How that root's files are read; without it the folder is one of ours, and has no links. */
  readonly files?: SystemFiles;
  readonly commandLine: string;
  /** Names that are kept out besides. */
  readonly blacklist: readonly string[];
}

/** A target that tells what becomes of each file. Programs that modprobe.d names are never run. */
class TellingTarget extends SandboxTarget {
  steps: BootStep[] = [];
  stage = '';
  because = '';
  private readonly session: LinuxSession;
  private readonly commands: ReadonlyMap<string, string>;
  private readonly explained: string[];
  /** Loads further modules by name; true when they are there. */
  request: (names: readonly string[], parameters: string) => boolean = () => false;

  constructor(session: LinuxSession, commands: ReadonlyMap<string, string>) {
    const explained: string[] = [];
    super(session.console, { unpack: readWhole, explain: (text) => void explained.push(text) });
    this.session = session;
    this.commands = commands;
    this.explained = explained;
  }

  override insert(path: string, parameters: string, flags: InsertFlags): void {
    const command = this.commands.get(nameOfPath(path));
    if (command === undefined) this.insertFile(path, parameters, flags);
    else this.runInstead(command, path, parameters, flags);
  }

  /** A command of modprobe.d in place of the module. */
  private runInstead(command: string, path: string, parameters: string, flags: InsertFlags): void {
    const subject = nameOfPath(path);
    const { stage, because } = this;
    const skipped = (why: string): void =>
      void this.steps.push({ stage, subject, outcome: 'skipped', because, why });
    const text = `install ${subject} ${command}`;
    let told = false;
    const code = runInstallCommand(command, parameters, {
      load: (names, given, ignoreInstall) => {
        const others = names.filter((name) => normalizeName(name) !== subject || !ignoreInstall);
        if (others.length > 0 && !this.request(others, given)) return false;
        if (others.length === names.length) return true;
        this.insertFile(path, given, flags);
        told = true;
        return true;
      },
      unknown: (program) => {
        told = true;
        skipped(`modprobe.d runs a program, which is not run here: ${program} (${text})`);
      },
    });
    if (told || code === undefined) return;
    skipped(
      code === 0
        ? `modprobe.d has a command in its place, which does not load it: ${text}`
        : `modprobe.d keeps it out: ${text}`,
    );
  }

  private insertFile(path: string, parameters: string, flags: InsertFlags): void {
    const subject = nameOfPath(path);
    const { stage, because } = this;
    const { log } = this.session.k;
    const from = log.records.length;
    this.explained.length = 0;
    const told = (outcome: BootStep['outcome'], more: Partial<BootStep> = {}) => {
      const said = log.records.slice(from).map(({ text }) => text);
      const why = this.explained.length > 0 ? { why: this.explained.join(' ') } : {};
      const asked = parameters.trim() === '' ? because : `${because}; ${parameters.trim()}`;
      this.steps.push({ stage, subject, outcome, because: asked, said, ...why, ...more });
    };
    try {
      super.insert(path, parameters, flags);
      told('loaded');
    } catch (error) {
      if (error instanceof CallFailed) told('refused', { rule: ruleOf(error) });
      else if (error instanceof ToolExit) told('refused');
      else if (error instanceof SourceError)
        told('absent', { why: `modules.dep names its file, which cannot be read (${error.code}).` });
      throw error;
    }
  }
}

const ruleOf = ({ code }: CallFailed): string => `${code} (${Errno[code as keyof typeof Errno] ?? '?'})`;

const treeOf = (folder: string, release: string): string => `${folder}/lib/modules/${release}`;

export class ModuleLoader {
  private readonly context: KmodContext;
  private readonly target: TellingTarget;
  private readonly output: ToolOutput;
  private readonly work: string;
  /** As messages call it. */
  private readonly tree: string;

  private constructor(
    session: LinuxSession,
    request: LoaderRequest,
    work: string,
    copy: RootCopy | undefined,
  ) {
    const { commandLine, blacklist } = request;
    const folder = copy?.folder ?? request.folder;
    this.work = work;
    writeFileSync(join(this.work, 'cmdline'), `${commandLine}\n`, 'latin1');
    const { release } = session.k.file;
    this.tree = treeOf(request.folder, release);
    this.output = new ToolOutput('modprobe', { out: () => {}, err: () => {} });
    const call = {
      argv: [],
      own: NO_OWN_OPTIONS,
      output: this.output,
      folder,
      environment: {},
      release,
      proc: this.work,
      sys: this.work,
      target: undefined,
      contexts: new Map(),
    };
    const configs = configFolders('modprobe.d', folder);
    this.context = new KmodContext(call, { tree: treeOf(folder, release), configs, place: copy?.place });
    const { config } = this.context;
    config.blacklist.push(...blacklist);
    const commands = new Map(config.install.map(({ module, command }) => [module, command]));
    config.install.length = 0;
    this.target = new TellingTarget(session, commands);
    this.target.request = (names, parameters) => names.every((name) => this.alsoLoad(name, parameters));
  }

  /** A root or an initramfs may lack the indexes: they are made, as its maker would have made them. */
  static async open(session: LinuxSession, request: LoaderRequest): Promise<ModuleLoader> {
    const { release } = session.k.file;
    const work = mkdtempSync(join(tmpdir(), 'lkm-boot-'));
    try {
      const { files } = request;
      const copy = files && new RootCopy(files, join(work, 'root'), release);
      if (copy?.lacksIndexes) copy.copyModules();
      const folder = copy?.folder ?? request.folder;
      const tree = treeOf(folder, release);
      if (existsSync(tree) && !existsSync(`${tree}/modules.dep.bin`)) {
        const silent = { out: () => {}, err: () => {}, environment: {} };
        await runModuleTool('depmod', ['-b', folder, release], silent);
      }
      return new ModuleLoader(session, request, work, copy);
    } catch (error) {
      rmSync(work, { recursive: true, force: true });
      throw error;
    }
  }

  close(): void {
    rmSync(this.work, { recursive: true, force: true });
  }

  /** What modprobe does for one name or alias. `quiet`: an alias that nothing is for is no step. */
  load(stage: string, asked: Asked, quiet = false): BootStep[] {
    const { name, because } = asked;
    const { context, target } = this;
    context.forgetModules();
    const found = context.lookUp(name) ?? [];
    if (found.length === 0) {
      if (quiet) return [];
      const why = `No module of that name is in ${this.tree}.`;
      return [{ stage, subject: name, outcome: 'absent', because, why }];
    }
    return found.flatMap((module) => {
      target.steps = [];
      target.stage = stage;
      target.because = because;
      return this.one(module, stage, asked);
    });
  }

  /** For a command of modprobe.d. */
  private alsoLoad(name: string, parameters: string): boolean {
    const found = this.context.lookUp(name) ?? [];
    return (
      found.length > 0 && found.every((module) => this.probe(true).insert(module, parameters) === undefined)
    );
  }

  private one(module: TreeModule, stage: string, asked: Asked): BootStep[] {
    const { parameters, because, despiteBlacklist = false } = asked;
    const probe = this.probe(!despiteBlacklist);
    if (probe.inKernel(module)) return [{ stage, subject: module.name, outcome: 'present', because }];
    if (this.context.isBlacklisted(module) && (module.alias !== undefined || !despiteBlacklist)) {
      const why =
        'It is on the blacklist of modprobe (modprobe.d, or modprobe.blacklist= on the command line).';
      return [{ stage, subject: module.name, outcome: 'skipped', because, why }];
    }
    try {
      probe.insert(module, parameters);
    } catch (error) {
      if (!(error instanceof ToolExit)) throw error;
    }
    return this.target.steps;
  }

  private probe(useBlacklist: boolean): Probe {
    return new Probe(this.context, this.target, this.output, {
      flags: { forceModversion: false, forceVermagic: false },
      ignoreCommand: false,
      ignoreLoaded: false,
      dryRun: false,
      useBlacklist,
      firstTime: false,
      environment: {},
      show: undefined,
    });
  }
}
