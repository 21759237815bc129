/** A booted Solaris kernel with a root shell on it: `lkm solaris`, `lkm run` and the tour use it. */
import { FormatError } from '../../bytes/errors.ts';
import { readElf } from '../../formats/elf/read.ts';
import type { LogRecord } from '../../kernel/log.ts';
import { MissingFunctionReached } from '../../kernel/missing.ts';
import { Deadlock } from '../../kernel/scheduler.ts';
import type { StandingThing } from '../../kernel/standing.ts';
import type { Steps } from '../../kernel/steps.ts';
import { type Thread, ThreadKilled } from '../../kernel/thread.ts';
import { EndlessAccess, GuestFault } from '../../memory/space.ts';
import { bootSolaris } from '../../systems/solaris/boot.ts';
import { configuration, textOf } from '../../systems/solaris/configuration.ts';
import { describeSolaris } from '../../systems/solaris/describe.ts';
import { deviceFiles } from '../../systems/solaris/devices.ts';
import { errorText } from '../../systems/solaris/errno.ts';
import { readNames } from '../../systems/solaris/filesystems.ts';
import { registeredLinkages } from '../../systems/solaris/functions/linkages.ts';
import { moduleOf } from '../../systems/solaris/krtld.ts';
import { findModule } from '../../systems/solaris/load.ts';
import { moduleName } from '../../systems/solaris/modctl.ts';
import { modctls } from '../../systems/solaris/modules.ts';
import type { OpenDevice } from '../../systems/solaris/opens.ts';
import { findPart } from '../../systems/solaris/parts.ts';
import { Refusal } from '../../systems/solaris/refusal.ts';
import { checkModule } from '../../systems/solaris/rules/check.ts';
import type { Solaris } from '../../systems/solaris/solaris.ts';
import { standing } from '../../systems/solaris/standing.ts';
import { SYSTEM_CALLS } from '../../systems/solaris/syscalls.ts';
import { type Credential, ROOT } from '../../systems/solaris/threads.ts';
import { endedBy } from '../ended.ts';
import type {
  Ending,
  LoadOutcome,
  SessionLeak,
  SessionOptions,
  SystemFiles,
  SystemSession,
  ToolResult,
  UnloadOutcome,
} from '../system.ts';
import { checkCommands, viewOf } from './check-command.ts';
import { driverCommands } from './driver-commands.ts';
import { fileCommands, writeFile } from './file-commands.ts';
import { machineCommands } from './machine-commands.ts';
import { moduleCommands } from './module-commands.ts';
import { networkCommands } from './network-commands.ts';
import { type CommandRow, done, errno, failed } from './results.ts';
import { SessionFiles } from './rootfs.ts';
import { readSettings } from './settings.ts';
import { Trust } from './trust-store.ts';

/** uid and gid of nobody. */
const NOBODY: Credential = { uid: 60001, gid: 60001 };

/** Numbers from here on no release gives to calls of its own (name_to_sysnum). */
const FIRST_FREE_CALL = 240;

export class SolarisSession implements SystemSession {
  readonly kernel: Solaris;
  readonly release: string;
  readonly commands: readonly CommandRow[];
  readonly files: SessionFiles;
  readonly host: SystemFiles;
  readonly trust: Trust;
  readonly opened = new Map<number, OpenDevice>();
  credential: Credential;
  /** What broke the last command off. */
  private broken: Ending['ended'];
  private readonly background: { thread: Thread; result: () => ToolResult | undefined }[] = [];

  /** `root`: the root folder of the machine; `ownBits`: the width that its own kernel has. */
  constructor(options: SessionOptions, root?: SystemFiles, ownBits?: 32 | 64) {
    const settings = readSettings(options.settings ?? new Map(), options.files, options.named);
    this.host = options.files;
    this.files = new SessionFiles(options.files, root);
    this.trust = new Trust(settings.certificates);
    if (settings.system !== undefined) this.files.write('/etc/system', settings.system);
    this.kernel = bootSolaris({
      ...settings.boot,
      bits: options.settings?.has('isa') === true ? settings.boot.bits : (ownBits ?? settings.boot.bits),
      verifier: this.trust.verdict,
      files: this.files,
      seed: options.seed,
      engine: options.engine,
      missing: settings.boot.missing ?? options.missing,
    });

    const { bits, debug, variant } = this.kernel;
    this.release = `${variant === 'illumos' ? 'illumos' : 'SunOS'} 5.11 i86pc ${bits === 64 ? 'amd64' : 'i386'}${debug ? ' DEBUG' : ''}`;
    this.commands = [
      ...moduleCommands,
      ...driverCommands,
      ...fileCommands,
      ...networkCommands,
      ...machineCommands,
      ...checkCommands,
    ];
    this.credential = (options.user ?? 'root') === 'root' ? ROOT : NOBODY;
  }

  get prompt(): string {
    return this.credential.uid === 0 ? '# ' : '$ ';
  }

  get isRoot(): boolean {
    return this.credential.uid === 0;
  }

  async run(words: readonly string[]): Promise<ToolResult> {
    const [name, ...args] = words;
    const command = this.commands.find((one) => one.name === name);
    if (command === undefined) return failed(`${name}: not found`, 127);
    const { panicked } = this.kernel;
    // dmesg is what a serial console would still show.
    if (panicked !== undefined && name !== 'dmesg')
      return { code: 255, out: '', err: '', note: `the kernel has panicked (${panicked}): start a new one` };
    try {
      return await command.run(this, args);
    } catch (error) {
      if (!(error instanceof GuestFault || error instanceof EndlessAccess)) throw error;
      return failed('', 139, `the kernel's own data are destroyed (${error.message}): start a new one`);
    }
  }

  /** Runs steps as a process of that name, to the end. A refusal is `refused`'s to word. */
  process(
    name: string,
    steps: Steps<ToolResult>,
    refused: (refusal: Refusal) => ToolResult = (refusal) => errno(name, refusal.errno),
  ): ToolResult {
    try {
      return this.kernel.runProcess(name, steps, this.credential);
    } catch (error) {
      if (error instanceof Refusal) {
        const result = refused(error);
        return { ...result, note: result.note ?? noteOf(error) };
      }
      return this.stopped(name, error);
    } finally {
      if (this.kernel.panicked === undefined) this.kernel.scheduler.settle();
    }
  }

  /** Starts steps without waiting for them. */
  start(name: string, steps: Steps<ToolResult>): ToolResult {
    let result: ToolResult | undefined;
    const work = (function* (): Steps<void> {
      result = yield* steps;
    })();
    const thread = this.kernel.spawnThread(name, work);
    this.background.push({ thread, result: () => result });
    this.kernel.scheduler.settle();
    return done();
  }

  /** Waits for everything in the background. */
  wait(): ToolResult {
    const jobs = this.background.splice(0);
    try {
      this.kernel.scheduler.runUntil(() => jobs.every(({ thread }) => thread.state === 'dead'));
    } catch (error) {
      return this.stopped('wait', error);
    }
    const results = jobs.map((job) => job.result());
    return done(results.map((result) => result?.out ?? '').join(''));
  }

  private stopped(name: string, error: unknown): ToolResult {
    this.broken = endedBy(error);
    if (error instanceof ThreadKilled) return failed('', 137, error.message);
    if (error instanceof MissingFunctionReached) return failed('', 1, error.message);
    if (error instanceof Deadlock) {
      for (const thread of [...this.kernel.scheduler.threads])
        if (thread.name === name && thread.state === 'blocked')
          this.kernel.scheduler.kill(thread, new ThreadKilled(name, 9, 'ended while it waited'));
      return failed('', 1, `it would wait for ever: ${error.message}`);
    }
    throw error;
  }

  writeFile(path: string, bytes: Uint8Array, append: boolean): ToolResult {
    return writeFile(this, path, bytes, append);
  }

  /** Puts a file of the user where modules of its class lie, so that everything finds it by its name. */
  install(path: string, place?: string): { name: string; directory: string } | ToolResult {
    const bytes = this.host.read(path);
    if (bytes === undefined)
      return failed(`can't load module: ${errorText(2)}`, 2, `there is no file ${path}`);
    const name = moduleName(path);
    let directory = place ?? 'misc';
    try {
      directory = place ?? describeSolaris(readElf(bytes)).directory;
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
    }
    const isa = this.kernel.bits === 64 ? '/amd64' : '';
    const inside = `/usr/kernel/${directory}${isa}/${name}`;
    this.files.write(inside, bytes);
    this.kernel.origins.set(inside, path);
    return { name, directory };
  }

  /** What a driver is bound to before it can be loaded: a major number and, for pseudo devices, one node. */
  private async bind(path: string, name: string): Promise<ToolResult | undefined> {
    const { majors } = this.kernel.state(configuration);
    if (majors.has(name)) return undefined;
    const conf =
      this.host.read(`${path.replace(/\/amd64\/([^/]*)$/, '/$1')}.conf`) ??
      this.host.read(`usr/kernel/drv/${name}.conf`);
    if (conf !== undefined) this.files.write(`/usr/kernel/drv/${name}.conf`, conf);
    return await this.run(['add_drv', name]);
  }

  /** A system call gets a number before it can be loaded: a line that a person would write. */
  private bindCall(name: string): ToolResult | undefined {
    const { sysnums } = this.kernel.state(configuration);
    if (sysnums.has(name)) return undefined;
    const taken = new Set(sysnums.values());
    let number = FIRST_FREE_CALL;
    while (taken.has(number)) number++;
    if (number >= SYSTEM_CALLS) return undefined;
    const table = '/etc/name_to_sysnum';
    const old = textOf(this.files.read(table));
    const line = `${name} ${number}\n`;
    this.files.write(
      table,
      new TextEncoder().encode(old === '' || old.endsWith('\n') ? old + line : `${old}\n${line}`),
    );
    sysnums.set(name, number);
    return { ...done(), note: `${name} has the number ${number} in ${table} now` };
  }

  /** Modules that the file needs and that lie beside it are put where the kernel looks for them. */
  private async placeDependencies(path: string): Promise<void> {
    for (const needed of this.dependenciesOf(path)) {
      const missing =
        findModule(this.kernel, { name: needed, usePath: true }) === undefined && !this.standsFor(needed);
      const beside = moduleName(needed);
      if (!missing || this.host.read(beside) === undefined) continue;
      const placed = this.install(beside, needed.slice(0, needed.lastIndexOf('/')) || undefined);
      if ('code' in placed) continue;
      await this.placeDependencies(beside);
      if (needed.startsWith('drv/') && !this.isMiscellaneous(beside)) await this.bind(beside, beside);
    }
  }

  /** Is the base kernel's own part of that name the better one? Where it is whole, or the file beside would be refused. */
  private standsFor(needed: string): boolean {
    const part = findPart(needed);
    if (part === undefined || part.whole) return part !== undefined;
    const bytes = this.host.read(moduleName(needed));
    const refused = checkModule(viewOf(this), bytes ?? new Uint8Array(0), needed);
    return refused.some(({ verdict }) => verdict === 'refuse');
  }

  /** A module among drivers that has no driver in it, only functions for others. */
  private isMiscellaneous(path: string): boolean {
    try {
      const { linkages } = describeSolaris(readElf(this.host.read(path) ?? new Uint8Array(0)));
      return linkages.every(({ kind }) => kind !== 'driver');
    } catch (error) {
      if (error instanceof FormatError) return false;
      throw error;
    }
  }

  private dependenciesOf(path: string): readonly string[] {
    try {
      return describeSolaris(readElf(this.host.read(path) ?? new Uint8Array(0))).dependencies.names;
    } catch (error) {
      if (error instanceof FormatError) return [];
      throw error;
    }
  }

  async load(path: string, args: readonly string[]): Promise<LoadOutcome> {
    const placed = this.install(path);
    if ('code' in placed) return { ...placed, module: undefined };
    if (args.length > 0)
      return {
        ...failed('usage:  modload [-p] [-e <exec_file>] <filename>'),
        module: undefined,
        note: 'modules take no arguments here: set values in /etc/system (-s system=FILE)',
      };
    const { name, directory } = placed;
    await this.placeDependencies(path);
    const bound =
      directory === 'drv'
        ? await this.bind(path, name)
        : directory === 'sys'
          ? this.bindCall(name)
          : undefined;
    this.broken = undefined;
    const result = await this.run(['modload', '-p', `${directory}/${name}`]);
    const modctl = this.kernel.state(modctls).byName(name);
    const loaded = result.code === 0 && modctl !== undefined && modctl.get('installed') !== 0;
    const note = result.note ?? bound?.note;
    const out = (bound?.out ?? '') + result.out;
    return { ...result, out, note, ended: this.broken, module: loaded ? name : undefined };
  }

  async unload(name: string): Promise<UnloadOutcome> {
    const modctl = this.kernel.state(modctls).byName(name);
    const module = modctl && moduleOf(this.kernel, modctl);
    if (modctl === undefined || module === undefined) return { ...failed(`${name}: not loaded`), leaks: [] };
    this.broken = undefined;
    const result = await this.run(['modunload', '-i', String(modctl.id)]);
    const leaks: SessionLeak[] =
      result.code === 0
        ? this.kernel.heap.of(module).map(({ bytes, caller }) => ({
            what: 'kmem',
            bytes,
            where: `${name}+0x${(caller - module.text.address).toString(16)}`,
          }))
        : [];
    return { ...result, ended: this.broken, leaks };
  }

  logLine(record: LogRecord): string {
    return record.text;
  }

  standing(): Iterable<StandingThing> {
    return standing(this.kernel);
  }

  registeredOnly(): { what: string; name: string }[] {
    return registeredLinkages(this.kernel);
  }

  completePath(prefix: string): readonly string[] {
    const slash = prefix.lastIndexOf('/');
    if (slash < 0) return [];
    const directory = prefix.slice(0, slash + 1);
    const devices = deviceFiles(this.kernel).map(({ path }) => `/devices/${path}`);
    const own = (this.files.list(directory) ?? []).map((name) => directory + name);
    const mounted = this.kernel.runProcess('sh', readNames(this.kernel, directory.replace(/\/$/, '')));
    const names = 'names' in mounted ? mounted.names.map((name) => directory + name) : [];
    return [...devices, ...own, ...names].filter((path) => path.startsWith(prefix));
  }
}

const noteOf = (refusal: Refusal): string => `${refusal.why} ${refusal.hint}`;
