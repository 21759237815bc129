/** A Windows session: sc and the rest on a base kernel, and commands of ours to use devices with. */
import type { LogRecord } from '../../kernel/log.ts';
import { MissingFunctionReached } from '../../kernel/missing.ts';
import { Deadlock } from '../../kernel/scheduler.ts';
import type { StandingThing } from '../../kernel/standing.ts';
import type { Steps } from '../../kernel/steps.ts';
import { ThreadKilled } from '../../kernel/thread.ts';
import { FILTERED, miniFilters } from '../../systems/windows/minifilter.ts';
import type { DriverFile, SessionPolicy } from '../../systems/windows/policy.ts';
import { registrations } from '../../systems/windows/registered.ts';
import { standing } from '../../systems/windows/standing.ts';
import { win32Error } from '../../systems/windows/status.ts';
import { volumePath } from '../../systems/windows/volume.ts';
import type { Windows } from '../../systems/windows/windows.ts';
import { endedBy } from '../ended.ts';
import type {
  LoadOutcome,
  SystemFiles,
  SystemSession,
  ToolCommand,
  ToolResult,
  UnloadOutcome,
} from '../system.ts';
import { type CmdStep, CmdSyntax, readCmdLine } from './cmd.ts';
import { DeviceCommands, isDevice } from './devices.ts';
import { readWhole, writeWhole } from './disk.ts';
import { driverquery } from './driverquery.ts';
import { errorText, WinError } from './errors.ts';
import { fltmc } from './fltmc.ts';
import { deviceCommand } from './nodes.ts';
import { setParameters, splitArguments } from './parameters.ts';
import { startProcess, taskkill, tasklist } from './processes.ts';
import { reg } from './reg.ts';
import { sc } from './sc/sc.ts';
import { ServiceController } from './scm.ts';

const COMMANDS: readonly ToolCommand[] = [
  {
    name: 'sc',
    usage:
      'create|config|start|stop|query|queryex|interrogate|qc|delete|description|qdescription|enumdepend|getdisplayname|getkeyname|sdshow|showsid NAME [OPTION= VALUE]...',
    summary: 'control driver services',
  },
  {
    name: 'driverquery',
    usage: '[/v | /si] [/fo table|list|csv] [/nh] [/s SYSTEM [/u USER [/p PASSWORD]]]',
    summary: 'list the drivers that are installed',
  },
  {
    name: 'fltmc',
    usage: '[filters|instances|volumes] | load|unload NAME | attach|detach NAME VOLUME | help',
    summary: 'minifilters: list, load, unload, attach, detach',
  },
  { name: 'net', usage: 'start|stop NAME', summary: 'start or stop a service' },
  { name: 'type', usage: 'FILE', summary: 'read a device, or a file' },
  { name: 'echo', usage: '[TEXT]...', summary: 'write text; to a device with > \\\\.\\NAME' },
  {
    name: 'open',
    usage: '\\\\.\\NAME',
    summary: 'open a device and keep the handle (not a command of Windows)',
  },
  { name: 'close', usage: 'HANDLE', summary: 'close a handle (not a command of Windows)' },
  {
    name: 'ioctl',
    usage: '\\\\.\\NAME|HANDLE CODE [INPUT] [OUTPUT-BYTES]',
    summary: 'send a control code (not a command of Windows)',
  },
  {
    name: 'device',
    usage: 'add SERVICE [NAME] | remove INSTANCE [/surprise] | list',
    summary: 'let a device appear, and its driver serve it; take it away (not a command of Windows)',
  },
  {
    name: 'objects',
    usage: '[PATH]',
    summary: 'list names of the object manager (not a command of Windows)',
  },
  {
    name: 'reg',
    usage: 'query|add|delete|import|export|load KEY|FILE [OPTION]...',
    summary: 'the registry: look, change, .reg files, hives',
  },
  { name: 'start', usage: 'PROGRAM', summary: 'make a process that drivers can see (no program runs in it)' },
  { name: 'tasklist', usage: '', summary: 'list processes' },
  { name: 'taskkill', usage: '/pid ID | /im NAME', summary: 'end a process' },
  { name: 'wait', usage: 'MILLISECONDS', summary: 'let time pass (not a command of Windows)' },
];

export interface WindowsSessionOptions {
  readonly kernel: Windows;
  readonly files: SystemFiles;
  readonly user: string;
  readonly policy: Omit<SessionPolicy, 'file'>;
  /** The signature of a file, found out when the file is first named. */
  readonly examine: (path: string, bytes: Uint8Array) => DriverFile;
}

export class WindowsSession implements SystemSession {
  readonly kernel: Windows;
  readonly release: string;
  readonly commands = COMMANDS;
  readonly prompt = 'C:\\>';
  readonly scm: ServiceController;
  private readonly files: SystemFiles;
  private readonly elevated: boolean;
  private readonly devices: DeviceCommands;
  private readonly examine: WindowsSessionOptions['examine'];
  /** NT path -> the path that was typed. */
  private readonly typed = new Map<string, string>();

  constructor({ kernel, files, user, policy, examine }: WindowsSessionOptions) {
    this.kernel = kernel;
    this.files = files;
    this.examine = examine;
    this.elevated = user === 'root' || user.toLowerCase() === 'administrator';
    const { release } = kernel;
    this.release = `${release.title} ${release.major}.${release.minor}.${release.build} ${policy.machine}`;
    kernel.policy = {
      ...policy,
      file: (path) => this.driverFile(path),
      offered: (path) => this.offered(path),
      folder: (path) => this.hasFolder(path),
    };
    this.scm = new ServiceController(kernel, kernel.policy);
    this.devices = new DeviceCommands(kernel, (name, steps) => this.perform(name, steps));
  }

  run(words: readonly string[]): ToolResult {
    const [tool, ...args] = words;
    const stopped = this.refuseWhenStopped();
    if (stopped !== undefined) return stopped;
    try {
      return withCode(this.dispatch(tool.toLowerCase(), args));
    } catch (error) {
      return this.brokenOff(error);
    } finally {
      this.scm.sweep();
    }
  }

  /** A line of cmd.exe. */
  line(text: string): ToolResult {
    try {
      return this.steps(readCmdLine(text));
    } catch (error) {
      if (error instanceof CmdSyntax) return { code: 1, out: '', err: `${error.message}\n` };
      throw error;
    }
  }

  private steps(steps: readonly CmdStep[]): ToolResult {
    let last: ToolResult = { code: 0, out: '', err: '' };
    let [out, err] = ['', ''];
    const notes: string[] = [];
    for (const { when, words, redirect } of steps) {
      if (when !== 'always' && (when === 'succeeded') !== (last.code === 0)) continue;
      last = this.run(words);
      if (redirect !== undefined && last.code === 0) {
        const bytes = Uint8Array.from(last.out.replace(/\n$/, ''), (c) => c.charCodeAt(0) & 0xff);
        const written = this.writeFile(redirect.path, bytes, redirect.append);
        last = { ...written, err: last.err + written.err };
      }
      out += last.out;
      err += last.err;
      if (last.note !== undefined) notes.push(last.note);
    }
    return { code: last.code, out, err, note: notes.length === 0 ? undefined : notes.join('\n  ') };
  }

  private dispatch(tool: string, args: readonly string[]): ToolResult {
    const context = { scm: this.scm, elevated: this.elevated, ntPath: (path: string) => this.ntPath(path) };
    switch (tool) {
      case 'sc':
      case 'sc.exe':
        return sc(context, args);
      case 'net':
        return this.net(args);
      case 'driverquery':
        return driverquery(this.scm, args);
      case 'type':
        return this.type(args);
      case 'echo':
        return { code: 0, out: `${args.join(' ')}\n`, err: '' };
      case 'wait':
        this.kernel.scheduler.runFor(this.kernel.time.now() + Number(args[0] ?? 0) * 1e6);
        return { code: 0, out: '', err: '' };
      case 'fltmc':
      case 'fltmc.exe':
        return fltmc(
          { scm: this.scm, elevated: this.elevated, perform: (name, steps) => this.perform(name, steps) },
          args,
        );
      case 'reg':
      case 'reg.exe':
        return this.reg(args);
      case 'start':
        return startProcess(this.kernel, (name, steps) => this.perform(name, steps), args);
      case 'tasklist':
        return tasklist(this.kernel);
      case 'taskkill':
        return taskkill(this.kernel, (name, steps) => this.perform(name, steps), args);
      case 'device':
        return this.device(args);
      case 'open':
      case 'close':
      case 'ioctl':
      case 'objects':
        return this.devices.run(tool, args);
      default:
        return {
          code: 1,
          out: '',
          err: `'${tool}' is not recognized as an internal or external command,\noperable program or batch file.\n`,
        };
    }
  }

  writeFile(path: string, bytes: Uint8Array, append = false): ToolResult {
    const stopped = this.refuseWhenStopped();
    if (stopped !== undefined) return stopped;
    try {
      return isDevice(path) ? this.devices.write(path, bytes) : this.writeVolume(path, bytes, append);
    } catch (error) {
      return this.brokenOff(error);
    }
  }

  /** `echo text > C:\\x`: files of the sandbox's own disk. */
  private writeVolume(path: string, bytes: Uint8Array, append: boolean): ToolResult {
    const at = onDisk(path);
    if (at === undefined) return failedWith(3);
    const { status } = this.perform('cmd', writeWhole(this.kernel, at, bytes, append));
    return status < 0 ? failedWith(win32Error(status)) : { code: 0, out: '', err: '' };
  }

  /** The sandbox's own disk first, then the machine's files that may be read. */
  private readFile(path: string): Uint8Array | undefined {
    const at = onDisk(path);
    return (at === undefined ? undefined : this.kernel.volume.find(at)?.data) ?? this.files.read(path);
  }

  private device(args: readonly string[]): ToolResult {
    const { kernel: k } = this;
    if (!this.elevated || k.policy === undefined) return { code: 5, out: '', err: `${errorText(5)}\n` };
    return deviceCommand({ k, policy: k.policy, perform: (name, steps) => this.perform(name, steps) }, args);
  }

  private reg(args: readonly string[]): ToolResult {
    if (!this.elevated && !['query', 'export'].includes(args[0]?.toLowerCase()))
      return { code: 1, out: '', err: `ERROR: ${errorText(5)}\n` };
    return reg(
      {
        k: this.kernel,
        perform: (name, steps) => this.perform(name, steps),
        read: (path) => this.readFile(path),
        write: (path, bytes) => this.writeVolume(path, bytes, false),
      },
      args,
    );
  }

  registeredOnly(): readonly { readonly what: string; readonly name: string }[] {
    const k = this.kernel;
    return [
      ...registrations(k).map(({ what, by }) => ({
        what,
        name: k.objects.at(by)?.name ?? k.describe(by),
      })),
      ...miniFilters(k).flatMap(({ name, registration }) => {
        const idle = [...registration.operations.keys()].filter((major) => !FILTERED.includes(major));
        return idle.length === 0 ? [] : [{ what: `minifilter callbacks of ${idle.length} operations`, name }];
      }),
    ];
  }

  standing(): Iterable<StandingThing> {
    return standing(this.kernel);
  }

  load(path: string, args: readonly string[]): LoadOutcome {
    const name = baseName(path).replace(/\.[^.]*$/, '');
    const stopped = this.refuseWhenStopped();
    if (stopped !== undefined) return { ...stopped, module: undefined };
    const { options, parameters, strange } = splitArguments(args);
    if (strange !== undefined) {
      const err = `${strange}: a driver takes NAME=VALUE, a value of its key Parameters, and options of sc create\n`;
      return { code: WinError.INVALID_PARAMETER, out: '', err, module: undefined };
    }
    const created = this.run(['sc', 'create', name, 'type=', 'kernel', 'binPath=', path, ...options]);
    if (created.code !== 0) return { ...created, module: undefined };
    try {
      const key = this.scm.find(name);
      if (key !== undefined) setParameters(key, parameters);
      const { error, load } = key === undefined ? { error: 1060, load: undefined } : this.scm.start(key);
      if (error === 0) return { code: 0, out: '', err: '', module: name };
      key?.remove();
      return {
        code: error,
        out: `[SC] StartService FAILED ${error}:\n\n${errorText(error)}\n\n`,
        err: '',
        note: [load?.why, load?.hint].filter((text) => text !== undefined).join(' '),
        module: undefined,
        rule: load?.rule,
      };
    } catch (error) {
      return { ...this.brokenOff(error), ended: endedBy(error), module: undefined };
    }
  }

  unload(module: string): UnloadOutcome {
    const key = this.scm.find(module);
    const stopped = this.refuseWhenStopped();
    if (stopped !== undefined) return { ...stopped, leaks: [] };
    try {
      const { error, leaks, why, deferred } =
        key === undefined ? { error: 1060, leaks: [], why: undefined, deferred: false } : this.scm.stop(key);
      if (error === 0) {
        if (key !== undefined) this.scm.remove(key);
        const note = deferred ? 'The stop is deferred until its devices are closed.' : undefined;
        return { code: 0, out: '', err: '', leaks: leaks.filter(({ memory }) => memory === true), note };
      }
      const out = `[SC] ControlService FAILED ${error}:\n\n${errorText(error)}\n\n`;
      return { code: error, out, err: '', leaks: [], note: why };
    } catch (error) {
      return { ...this.brokenOff(error), ended: endedBy(error), leaks: [] };
    }
  }

  logLine({ text }: LogRecord): string {
    return text;
  }

  completePath(prefix: string): readonly string[] {
    return [...this.kernel.objects.named()]
      .filter(({ type, name }) => type === 'SymbolicLink' && name?.startsWith('\\??\\'))
      .map(({ name }) => `\\\\.\\${name?.slice(4)}`)
      .filter((path) => path.startsWith(prefix));
  }

  private net([verb, name]: readonly string[]): ToolResult {
    if ((verb !== 'start' && verb !== 'stop') || name === undefined)
      return { code: 1, out: '', err: 'The syntax of this command is:\n\nNET\n    [ START | STOP ]\n\n' };
    const key = this.scm.find(name);
    if (key === undefined) return netFailed('The service name is invalid.', 2185);
    const shown = key.text('DisplayName') ?? name;
    const { error } = verb === 'start' ? this.scm.start(key) : this.scm.stop(key);
    if (error === 0)
      return {
        code: 0,
        out: `The ${shown} service was ${verb === 'start' ? 'started' : 'stopped'} successfully.\n\n`,
        err: '',
      };
    if (error === 1056) return netFailed('The requested service has already been started.', 2182);
    if (error === 1062) return netFailed(`The ${shown} service is not started.`, 3521);
    if (error === 1052)
      return netFailed('The requested pause, continue, or stop is not valid for this service.', 2191);
    return { code: 2, out: '', err: `System error ${error} has occurred.\n\n${errorText(error)}\n\n` };
  }

  private type([path]: readonly string[]): ToolResult {
    if (path === undefined) return { code: 1, out: '', err: 'The syntax of the command is incorrect.\n' };
    if (isDevice(path)) return this.devices.read(path);
    const at = onDisk(path);
    if (
      at !== undefined &&
      (this.kernel.volume.find(at) !== undefined || miniFilters(this.kernel).length > 0)
    ) {
      const { status, bytes } = this.perform('cmd', readWhole(this.kernel, at));
      if (status >= 0) return { code: 0, out: new TextDecoder('latin1').decode(bytes), err: '' };
      if (![2, 3].includes(win32Error(status))) return failedWith(win32Error(status));
    }
    const bytes = this.readFile(path);
    if (bytes === undefined) return failedWith(2);
    return { code: 0, out: new TextDecoder('latin1').decode(bytes), err: '' };
  }

  /** Runs steps as a user's process. */
  private perform<T>(name: string, steps: Steps<T>): T {
    const value = this.kernel.runThread(name, true, steps);
    this.kernel.scheduler.settle();
    return value;
  }

  /** `C:\x.sys` and host paths become \??\ paths; what already is a kernel path stays. */
  private ntPath(path: string): string {
    if (path.startsWith('\\')) return path;
    if (/^(system32|system)\\/i.test(path)) return path;
    const drive = /^[A-Za-z]:/.test(path);
    const nt = `\\??\\${drive ? '' : 'C:\\'}${path.replace(/^\.\//, '').replace(/^\/+/, '').replaceAll('/', '\\')}`;
    this.typed.set(nt.toLowerCase(), path);
    return nt;
  }

  /** The bytes behind an NT path: where it was typed, beside it, or by its base name. */
  private driverFile(path: string): DriverFile | undefined {
    const typed = this.typed.get(path.toLowerCase());
    for (const candidate of typed === undefined ? candidatesFor(path) : [typed, ...candidatesFor(path)]) {
      const bytes = this.files.read(candidate);
      if (bytes === undefined) continue;
      this.kernel.origins.set(path, candidate);
      return this.examine(path, bytes);
    }
    return undefined;
  }

  /** Of the paths that a driver opens only those that were typed, and files beside them, lead out of the sandbox. */
  private offered(path: string): Uint8Array | undefined {
    const typed = this.typed.get(path.toLowerCase());
    if (typed !== undefined) return this.files.read(typed);
    for (const candidate of candidatesFor(path)) {
      const bytes = this.files.offered?.(candidate);
      if (bytes !== undefined) return bytes;
    }
    return undefined;
  }

  /** A folder of the machine where the path was typed as one of its own, of the sandbox's disk otherwise. */
  private hasFolder(path: string): boolean {
    const typed = this.typed.get(path.toLowerCase());
    if (typed !== undefined && !/^[a-z]:/i.test(typed)) {
      const cut = typed.lastIndexOf('/');
      return cut <= 0 || this.files.stat(typed.slice(0, cut)) !== undefined;
    }
    const at = volumePath(path);
    return at === undefined || this.kernel.volume.folderOf(at) !== undefined;
  }

  private refuseWhenStopped(): ToolResult | undefined {
    const { stopped } = this.kernel;
    if (stopped === undefined) return undefined;
    const code = `0x${stopped.code.toString(16).toUpperCase()}`;
    return {
      code: 1,
      out: '',
      err: `The system has stopped: bug check ${code} ${stopped.name ?? ''}\n`,
      note: 'Nothing runs any more; start a new session.',
    };
  }

  /** A bug check, a missing function or an endless loop ended the command. */
  private brokenOff(error: unknown): ToolResult {
    if (error instanceof MissingFunctionReached)
      return {
        code: 1,
        out: '',
        err: `${error.message}\n`,
        note: `${error.symbol} is a function that the base kernel does not have; --missing stand-in goes on with 0.`,
      };
    if (error instanceof Deadlock) {
      // A thread of the driver's that reached what nobody wrote has ended, and others wait for it.
      const missing = [...this.kernel.missing].map(
        ([name, { callers }]) => `${[...callers.keys()].join(', ')} called ${name}`,
      );
      return {
        code: 1,
        out: '',
        err: `The command does not come back: ${error.message}\n`,
        note:
          missing.length > 0
            ? `${missing.join('; ')}, which the base kernel does not have; --missing stand-in goes on with 0.`
            : 'On a machine it would hang, too, and the driver stay until the next start.',
      };
    }
    if (!(error instanceof ThreadKilled)) throw error;
    const { stopped } = this.kernel;
    const words = stopped?.name === undefined ? error.message : `${error.message}\n${stopped.driver ?? ''}`;
    const asked = [...this.kernel.asked];
    const note = asked.length === 0 ? undefined : `The driver has looked for ${asked.join(' and ')}.`;
    return { code: 1, out: '', err: `${words.trimEnd()}\n`, note };
  }
}

/** The words of net.exe, with the number that `net helpmsg` explains. */
const netFailed = (text: string, number: number): ToolResult => ({
  code: 2,
  out: '',
  err: `${text}\n\nMore help is available by typing NET HELPMSG ${number}.\n\n`,
});

/** Exit codes of Windows have 32 bits; a process of this machine ends with the lowest eight. */
function withCode(result: ToolResult): ToolResult {
  if (result.code <= 0xff) return result;
  const code = `exit code ${result.code} (${result.code & 0xff || 1} here)`;
  return { ...result, note: result.note === undefined ? code : `${result.note}\n  ${code}` };
}

/** What a path that was typed is called on the volume: relative ones are below the folder that everybody may write. */
const onDisk = (path: string): string | undefined =>
  volumePath(`\\??\\${/^[a-z]:/i.test(path) ? path : `C:\\Users\\Public\\${path}`}`);

const failedWith = (error: number): ToolResult => ({ code: 1, out: '', err: `${errorText(error)}\n` });

const baseName = (path: string): string =>
  path.slice(Math.max(path.lastIndexOf('\\'), path.lastIndexOf('/')) + 1);

/** Where a file of an NT path may be on this machine: at that path, beside what was named, or by its name alone. */
function candidatesFor(path: string): readonly string[] {
  const slashes = path.replace(/^\\\?\?\\C:\\/i, '').replaceAll('\\', '/');
  return [slashes, `/${slashes}`, baseName(path), baseName(path).toLowerCase()];
}
