/** A FreeBSD kernel with a root shell: its commands, the files it can see, and the calls the commands make. */
import type { LogRecord } from '../../kernel/log.ts';
import type { StandingThing } from '../../kernel/standing.ts';
import type { Steps } from '../../kernel/steps.ts';
import { type Booted, bootFreeBsd, genericInterfaces } from '../../systems/freebsd/boot.ts';
import { mallocTypeName } from '../../systems/freebsd/data.ts';
import type { FreeBsd } from '../../systems/freebsd/freebsd.ts';
import { firmwareNames, waitingDrivers } from '../../systems/freebsd/functions/bus.ts';
import { devices } from '../../systems/freebsd/functions/devices.ts';
import { registered } from '../../systems/freebsd/functions/registrations.ts';
import type { KernelFile } from '../../systems/freebsd/kernelfile.ts';
import type { BuiltIn } from '../../systems/freebsd/kld.ts';
import type { Loader, LoaderKernel } from '../../systems/freebsd/loader.ts';
import { shutDown } from '../../systems/freebsd/shutdown.ts';
import { standing } from '../../systems/freebsd/standing.ts';
import { type CallResult, type Credential, performCall } from '../../systems/freebsd/syscalls.ts';
import { releaseOf } from '../../systems/freebsd/version.ts';
import type {
  Ending,
  LoadOutcome,
  SessionLeak,
  SessionOptions,
  SystemFiles,
  SystemSession,
  ToolCommand,
  ToolResult,
  UnloadOutcome,
} from '../system.ts';
import { Answer, fail } from './answer.ts';
import { type Choices, chooseKernel } from './choices.ts';
import { SessionFiles } from './files.ts';
import { TOOLS } from './tools.ts';

export class FreeBsdSession implements SystemSession {
  booted: Booted;
  /** The boot loader, while its prompt is in use. */
  loader: Loader | undefined;
  readonly choices: Choices;
  readonly files: SessionFiles;
  readonly who: Credential;
  readonly commands: readonly ToolCommand[] = TOOLS;
  private readonly options: SessionOptions;
  private readonly kernelFile: KernelFile | undefined;

  /** `kernel`: the file of the kernel that is started, for what it calls itself and has built in. */
  constructor(options: SessionOptions, root?: SystemFiles, kernel?: KernelFile) {
    this.kernelFile = kernel;
    this.choices = chooseKernel(options, kernel);
    this.files = new SessionFiles(options.files, root);
    this.who = { uid: (options.user ?? 'root') === 'root' ? 0 : 1001 };
    this.options = options;
    this.booted = this.boot(new Map());
  }

  private boot(environment: ReadonlyMap<string, string>): Booted {
    const { version, bits, modulePath, config, securelevel, missing } = this.choices;
    const { seed, engine } = this.options;
    const path = environment.get('module_path') ?? modulePath;
    const booted = bootFreeBsd({
      version,
      bits,
      files: this.files,
      modulePath: path,
      seed,
      engine,
      missing,
      config,
      environment,
      interfaces: this.kernelFile?.interfaces,
    });
    booted.k.securelevel = securelevel;
    this.files.attach(booted.k);
    return booted;
  }

  /** Starts the system again. Who watches the log of the first kernel goes on seeing what is logged. */
  restart(environment: ReadonlyMap<string, string>): void {
    const { log } = this.first ?? this.booted.k;
    this.first ??= this.booted.k;
    this.booted = this.boot(environment);
    this.booted.k.log.watch(({ level, text }) => log.write(level, text));
  }

  private first: FreeBsd | undefined;

  /** Interfaces that the kernel has without any file. */
  builtIn(): readonly BuiltIn[] {
    if (this.kernelFile !== undefined) return this.kernelFile.interfaces;
    const { version, config } = this.choices;
    return [...genericInterfaces(version, config)].map(([name, number]) => ({ name, version: number }));
  }

  /** Devices without a driver, as devd(8) is told of them: the setting `devices`. */
  get unattached(): string[] {
    const devices = (this.options.settings?.get('devices') ?? '').split(';').map((one) => one.trim());
    return devices.flatMap((one) => (one === '' ? [] : [one.startsWith('?') ? one : `? at ${one}`]));
  }

  /** What the boot loader starts. */
  get loaderKernel(): LoaderKernel {
    const { version } = this.choices;
    return { interfaces: this.builtIn(), version, bytes: this.booted.k.map.kernel.bytes };
  }

  halt(): ToolResult {
    const answer = new Answer();
    const { log } = this.booted.k;
    const before = log.records.length;
    const result = this.call('init', shutDown(this.booted));
    answer.out = log.records
      .slice(before)
      .map(({ text }) => `${text}\n`)
      .join('');
    if (result.outcome !== 'done') fail(answer, result, 'reboot');
    return answer.result();
  }

  get kernel() {
    return this.booted.k;
  }

  get release(): string {
    return `FreeBSD ${releaseOf(this.choices.version)}-RELEASE ${this.machine}`;
  }

  /** As `uname -m` says it. */
  get machine(): string {
    return this.choices.bits === 64 ? 'amd64' : 'i386';
  }

  get prompt(): string {
    return this.who.uid === 0 ? 'root@freebsd:~ # ' : 'user@freebsd:~ $ ';
  }

  run(words: readonly string[]): Ending {
    const [name, ...args] = words;
    const tool = TOOLS.find((one) => one.name === name);
    if (tool === undefined) return { code: 127, out: '', err: `${name}: Command not found.\n` };
    return tool.run(this, args);
  }

  writeFile(path: string, bytes: Uint8Array, append: boolean): ToolResult {
    const answer = new Answer();
    const result = this.call('sh', this.files.write(path, bytes, append, this.who));
    if (result.outcome !== 'done') fail(answer, result, `sh: cannot create ${path}`);
    return answer.result();
  }

  load(path: string): LoadOutcome {
    const name = this.files.adopt(path);
    const result = this.run(['kldload', name]);
    return { ...result, module: result.code === 0 ? name : undefined };
  }

  unload(module: string): UnloadOutcome {
    const result = this.run(['kldunload', module]);
    return { ...result, leaks: this.leaks(module) };
  }

  /** Memory that code of a module took and did not give back. */
  private leaks(module: string): SessionLeak[] {
    const { k } = this.booted;
    if (k.modules.find(module) !== undefined) return [];
    return [...k.heap.allocations()]
      .filter(({ where }) => where?.endsWith(`[${module}]`))
      .map(({ bytes, type, where }) => ({
        what: `malloc(${mallocTypeName(k, type)})`,
        bytes,
        where: where ?? '',
      }));
  }

  logLine(record: LogRecord): string {
    return record.text;
  }

  registeredOnly(): { what: string; name: string }[] {
    const { k } = this.booted;
    return [
      ...waitingDrivers(k).map(({ bus, driver }) => ({ what: `driver on ${bus}`, name: driver })),
      ...k.state(registered).values(),
      ...firmwareNames(k).map((name) => ({ what: 'firmware image', name })),
    ];
  }

  standing(): Iterable<StandingThing> {
    return standing(this.booted.k);
  }

  completePath(prefix: string): readonly string[] {
    return ['/dev/', ...[...this.booted.k.state(devices).keys()].map((name) => `/dev/${name}`)].filter(
      (path) => path.startsWith(prefix),
    );
  }

  /** Makes system calls as a process of that name. */
  call<T>(name: string, steps: Steps<T>): CallResult<T> {
    return performCall(this.booted, name, steps, this.who);
  }
}
