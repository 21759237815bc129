/** A Linux base kernel for programs: the library's face. Addresses and 64-bit values are bigint here. */

import { decompress } from '../../bytes/decompress.ts';
import type { Engine } from '../../cpu/engines.ts';
import { elfObject } from '../../formats/elf/object.ts';
import { readElf } from '../../formats/elf/read.ts';
import type { MissingPolicy } from '../../kernel/missing.ts';
import { MissingFunctionReached } from '../../kernel/missing.ts';
import { Deadlock } from '../../kernel/scheduler.ts';
import type { Steps } from '../../kernel/steps.ts';
import { bootLinux } from '../../systems/linux/bootkernel.ts';
import { type Credential, ROOT } from '../../systems/linux/cred.ts';
import { inspectModule, type LinuxModuleDescription } from '../../systems/linux/describe.ts';
import { Errno, errnoName } from '../../systems/linux/errno.ts';
import type { KernelFile } from '../../systems/linux/kernelfile/kernelfile.ts';
import type { Linux } from '../../systems/linux/linux.ts';
import { insmod, type LoadResult, rmmod, type UnloadResult } from '../../systems/linux/loader.ts';
import type { LinuxModule } from '../../systems/linux/module.ts';
import { systemCall } from '../../systems/linux/syscall.ts';
import { userSpace } from '../../systems/linux/user.ts';
import * as calls from '../../systems/linux/vfs/calls.ts';
import * as F from '../../systems/linux/vfs/file.ts';
import { mountFilesystem, unmountFilesystem } from '../../systems/linux/vfs/super.ts';
import { errorText } from './errors.ts';
import { leaksOf } from './leaks.ts';

/** A module file, read and described, not loaded. */
export interface ModuleImage {
  /** The file, unpacked. */
  readonly bytes: Uint8Array;
  readonly description: LinuxModuleDescription;
}

/**
 * Reads a module file (.ko, also packed with gzip, xz or zstd).
 * @throws FormatError when it is no ELF file, or a damaged one
 */
export function read(file: Uint8Array): ModuleImage {
  const bytes = decompress(file);
  return { bytes, description: inspectModule(elfObject(readElf(bytes))) };
}

export interface LogLine {
  /** Virtual nanoseconds since boot. */
  readonly time: number;
  /** 0 (emergency) to 7 (debug). */
  readonly level: number;
  readonly text: string;
}

export interface Leak {
  readonly address: bigint;
  readonly bytes: number;
  /** slab, pages, vmalloc, percpu, or cache. */
  readonly kind: string;
  /** `function+0xoffset [module]` that allocated it. */
  readonly where: string;
}

/** The kernel, or the sandbox for lack of something, did not do it. */
export class KernelError extends Error {
  override readonly name = 'KernelError';
  /**
   * `refused`: the kernel returned an error; `killed`: the code was stopped (an oops, an endless loop); `missing`: it
   * called a kernel function that nobody wrote.
   */
  readonly kind: 'refused' | 'killed' | 'missing';
  /** Positive error number; undefined unless refused. */
  readonly errno: number | undefined;
  /** Its name, such as ENOENT. */
  readonly code: string | undefined;
  /** What to do about it; may be empty. */
  readonly hint: string;

  constructor(kind: KernelError['kind'], message: string, details: { errno?: number; hint?: string } = {}) {
    super(message);
    this.kind = kind;
    this.errno = details.errno;
    this.code = details.errno === undefined ? undefined : errnoName(details.errno);
    this.hint = details.hint ?? '';
  }
}

/** A loaded module. */
export interface LoadedModule {
  readonly name: string;
  /** What is worth telling though the kernel says nothing, such as text hidden behind a NUL byte. */
  readonly findings: readonly string[];
  readonly areas: readonly { readonly name: string; readonly base: bigint; readonly bytes: number }[];
  readonly exports: readonly { readonly name: string; readonly address: bigint; readonly gplOnly: boolean }[];
}

export interface BootOptions {
  /** 1 unless given: the same seed gives the same run. */
  readonly seed?: number;
  /** As in /proc/cmdline. */
  readonly commandLine?: string;
  /** Files with certificates, PEM or DER, that the kernel trusts besides its own. */
  readonly certificates?: readonly Uint8Array[];
  /** Guest memory; 48 unless given. */
  readonly ramMiB?: number;
  /** What an import that nobody wrote does: refuse the load, stop at the call (the default), or stand in. */
  readonly missing?: MissingPolicy;
  /** What executes machine code: `auto` unless given. The outcome is the same. */
  readonly engine?: Engine;
  /** Whose rights the calls have: root unless given. */
  readonly user?: Credential;
}

export interface LoadOptions {
  /** For messages. */
  readonly path?: string;
  /** Refuse a licence that hides text behind a NUL byte. */
  readonly strictLicence?: boolean;
  /** As insmod -f. */
  readonly force?: boolean;
}

export type ParameterValue = string | number | bigint | boolean;

/** Virtual time that a call may sleep through before its promise is left to be resolved by later calls. */
const PATIENCE_NS = 60e9;

/** Boots a base kernel from the description of a real one. */
export function bootKernel(file: KernelFile, options: BootOptions = {}): LinuxKernel {
  const { user, ...rest } = options;
  return new LinuxKernel(bootLinux(file, rest), user ?? ROOT);
}

/**
 * A booted kernel. Calls run at once; a promise stays open when the call has to wait for another (a reader for a
 * writer), and is resolved during that one.
 */
export class LinuxKernel {
  readonly #k: Linux;
  readonly #user: Credential;
  readonly #loaded = new WeakMap<LoadedModule, LinuxModule>();
  readonly #faces = new WeakMap<LinuxModule, LoadedModule>();

  /** @internal */
  constructor(k: Linux, user: Credential) {
    this.#k = k;
    this.#user = user;
  }

  /** `uname -r`. */
  get release(): string {
    return this.#k.file.release;
  }

  get log(): readonly LogLine[] {
    return this.#k.log.records;
  }

  /** The taint mask, as in /proc/sys/kernel/tainted. */
  get taint(): number {
    return this.#k.taint;
  }

  /** Instructions of machine code executed since boot. */
  get instructions(): number {
    return this.#k.cpu.retired;
  }

  /** Pages of 4096 bytes. */
  get memory(): { readonly free: number; readonly used: number; readonly total: number } {
    const { free, used, total } = this.#k.memory.frames.statistics();
    return { free, used, total };
  }

  /** The loaded modules, oldest first. */
  get modules(): readonly LoadedModule[] {
    return [...this.#k.modules].map((module) => this.#face(module));
  }

  /** Kernel functions that were called and that nobody wrote, with their callers. */
  get missing(): readonly { readonly name: string; readonly callers: readonly string[] }[] {
    return [...this.#k.missing.values()].map(({ name, callers }) => ({ name, callers: [...callers.keys()] }));
  }

  /** Calls `listener` for each line of the kernel log from now on; the function returned stops that. */
  on(_event: 'log', listener: (line: LogLine) => void): () => void {
    return this.#k.log.watch(listener);
  }

  /** Loads a module. @throws KernelError */
  async load(
    module: Uint8Array | ModuleImage,
    parameters: Readonly<Record<string, ParameterValue>> = {},
    { path = '', strictLicence = false, force = false }: LoadOptions = {},
  ): Promise<LoadedModule> {
    const bytes = module instanceof Uint8Array ? decompress(module) : module.bytes;
    const words = Object.entries(parameters).map(([name, value]) => parameterWord(name, value));
    const result = insmod(this.#k, bytes, words.join(' '), {
      path,
      strictLicence,
      credential: this.#user,
      flags: { ignoreModversions: force, ignoreVermagic: force },
    });
    this.#k.scheduler.settle();
    if (result.outcome !== 'loaded') throw failureOf(result);
    return this.#face(result.module);
  }

  /** Unloads a module; says what it did not give back. @throws KernelError */
  async unload(
    module: LoadedModule | string,
    { force = false }: { force?: boolean } = {},
  ): Promise<{ readonly leaks: readonly Leak[] }> {
    const name = typeof module === 'string' ? module : module.name;
    const own = typeof module === 'string' ? this.#k.modules.find(name) : this.#loaded.get(module);
    const result = rmmod(this.#k, name, { force, credential: this.#user });
    this.#k.scheduler.settle();
    if (result.outcome !== 'unloaded') throw failureOf(result);
    const leaks = own === undefined ? [] : leaksOf(this.#k, own);
    return { leaks: leaks.map((leak) => ({ ...leak, address: unsigned(leak.address) })) };
  }

  /** Opens a file or device: `r`, `w`, `rw`, with `n` not to wait. @throws KernelError */
  async open(path: string, how: 'r' | 'w' | 'rw' | 'rn' | 'wn' | 'rwn' = 'rw'): Promise<Device> {
    const access = { r: 0, w: F.O_WRONLY, rw: F.O_RDWR }[how.replace('n', '')] ?? 0;
    const flags = access | (how.endsWith('n') ? F.O_NONBLOCK : 0);
    const opened = await this.#run(`open ${path}`, calls.open(this.#k, path, flags));
    if (typeof opened === 'number') throw refused(opened, path);
    return new Device(this.#k, opened, (name, steps) => this.#run(name, steps));
  }

  /** Everything a file gives. @throws KernelError */
  async readFile(path: string): Promise<Uint8Array> {
    const got = await this.#run(`read ${path}`, calls.readAll(this.#k, path));
    if (typeof got === 'number') throw refused(got, path);
    return got;
  }

  /** Opens, writes once and closes. @throws KernelError */
  async writeFile(path: string, content: Uint8Array | string): Promise<void> {
    const device = await this.open(path, 'w');
    try {
      await device.write(content);
    } finally {
      await device.close();
    }
  }

  /** The names in a directory. @throws KernelError */
  async list(path: string): Promise<readonly string[]> {
    const names = await this.#run(`list ${path}`, calls.list(this.#k, path));
    if (typeof names === 'number') throw refused(names, path);
    return names;
  }

  /** @throws KernelError */
  async mount(
    type: string,
    target: string,
    { source = 'none', options = '' }: { source?: string; options?: string } = {},
  ): Promise<void> {
    if (this.#user.uid !== 0) throw refused(-Errno.EPERM, target);
    const request = { source, target, type, flags: 0, options };
    const result = await this.#run(`mount ${target}`, mountFilesystem(this.#k, request));
    if (result < 0) throw refused(result, target);
  }

  /** @throws KernelError */
  async unmount(target: string): Promise<void> {
    const result = await this.#run(`umount ${target}`, unmountFilesystem(this.#k, target));
    if (result < 0) throw refused(result, target);
  }

  /** Makes a system call; the result as a signed 64-bit value. @throws KernelError for -4095 to -1 */
  async systemCall(number: number, ...args: readonly (number | bigint)[]): Promise<bigint> {
    const values = args.map((value) => Number(BigInt.asIntN(64, BigInt(value))));
    const result = await this.#run(`syscall ${number}`, systemCall(this.#k, number, values));
    if (result < 0 && result >= -4095) throw refused(result, `system call ${number}`);
    return BigInt(result);
  }

  /** Lets virtual time pass, and whatever becomes due run. */
  async sleep(nanoseconds: number): Promise<void> {
    this.#k.scheduler.runFor(this.#k.time.now() + nanoseconds);
  }

  #face(module: LinuxModule): LoadedModule {
    let face = this.#faces.get(module);
    if (face === undefined) {
      face = {
        name: module.name,
        findings: module.findings.map(({ text }) => text),
        areas: module.areas
          .filter((area) => !area.init)
          .map(({ name, base, bytes }) => ({ name, base: unsigned(base), bytes })),
        exports: [...module.exports.values()].map(({ name, address, gplOnly }) => ({
          name,
          address: unsigned(address),
          gplOnly,
        })),
      };
      this.#faces.set(module, face);
      this.#loaded.set(face, module);
    }
    return face;
  }

  /** Runs steps as a process of their own, as far as they go now. */
  #run<T>(name: string, steps: Steps<T>): Promise<T> {
    const { scheduler, tasks, time } = this.#k;
    const thread = scheduler.spawn(name, steps);
    tasks.adopt(thread, name, this.#user);
    const promise = new Promise<T>((resolve, reject) => {
      thread.onExit(({ outcome }) => {
        scheduler.failures.delete(thread);
        if (outcome === undefined) reject(new Error(`${name} ended without an outcome`));
        else if ('killed' in outcome) reject(new KernelError('killed', outcome.killed.message));
        else if ('error' in outcome) reject(asKernelError(outcome.error));
        else resolve(outcome.value as T);
      });
    });
    const latest = time.now() + PATIENCE_NS;
    try {
      scheduler.runUntil(() => thread.state === 'dead' || time.now() > latest);
      // Those that it woke go on before its caller does.
      scheduler.settle();
    } catch (error) {
      // It waits for another call.
      if (!(error instanceof Deadlock)) throw error;
    }
    return promise;
  }
}

type Runner = <T>(name: string, steps: Steps<T>) => Promise<T>;

/** An open file. */
export class Device {
  readonly #k: Linux;
  readonly #file: F.OpenFile;
  readonly #run: Runner;

  /** @internal */
  constructor(k: Linux, file: F.OpenFile, run: Runner) {
    this.#k = k;
    this.#file = file;
    this.#run = run;
  }

  /** At most `length` bytes; none at the end. @throws KernelError */
  async read(length: number): Promise<Uint8Array> {
    const got = await this.#run('read', calls.read(this.#k, this.#file, length));
    if (typeof got === 'number') throw refused(got, this.#file.path);
    return got;
  }

  /** Gives the number of bytes that were taken. @throws KernelError */
  async write(content: Uint8Array | string): Promise<number> {
    const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
    const wrote = await this.#run('write', calls.write(this.#k, this.#file, bytes));
    if (wrote < 0) throw refused(wrote, this.#file.path);
    return wrote;
  }

  /** @throws KernelError */
  async seek(offset: number, whence: 'start' | 'current' | 'end' = 'start'): Promise<number> {
    const from = { start: 0, current: 1, end: 2 }[whence];
    const at = await this.#run('seek', F.seekFile(this.#k, this.#file, offset, from));
    if (at < 0) throw refused(at, this.#file.path);
    return at;
  }

  /** With bytes, they are passed by address, and what they hold afterwards is given back. @throws KernelError */
  async ioctl(
    command: number,
    argument: number | bigint | Uint8Array = 0,
  ): Promise<{ readonly result: number; readonly bytes: Uint8Array }> {
    const k = this.#k;
    const file = this.#file;
    const steps = function* (): Steps<{ result: number; bytes: Uint8Array }> {
      const user = k.state(userSpace);
      const mark = user.mark();
      const passed =
        argument instanceof Uint8Array ? user.put(argument) : Number(BigInt.asIntN(64, BigInt(argument)));
      const result = yield* F.ioctlFile(k, file, command, passed);
      const bytes =
        argument instanceof Uint8Array ? k.memory.bytes(passed, argument.length) : new Uint8Array(0);
      user.release(mark);
      return { result, bytes };
    };
    const done = await this.#run('ioctl', steps());
    if (done.result < 0) throw refused(done.result, file.path);
    return done;
  }

  /** @throws KernelError */
  async close(): Promise<void> {
    const result = await this.#run('close', calls.close(this.#k, this.#file));
    if (result < 0) throw refused(result, this.#file.path);
  }
}

function asKernelError(error: unknown): unknown {
  return error instanceof MissingFunctionReached ? new KernelError('missing', error.message) : error;
}

const unsigned = (address: number): bigint => BigInt.asUintN(64, BigInt(address));

function refused(result: number, subject: string): KernelError {
  return new KernelError('refused', `${subject}: ${errorText(-result)}`, { errno: -result });
}

function failureOf(
  result: Exclude<LoadResult, { outcome: 'loaded' }> | Exclude<UnloadResult, { outcome: 'unloaded' }>,
): KernelError {
  if (result.outcome === 'killed') return new KernelError('killed', result.killed.message);
  if (result.outcome === 'missing') return new KernelError('missing', result.missing.message);
  const { errno, why, hint } = result.refusal;
  return new KernelError('refused', why, { errno, hint });
}

/** As insmod passes it on: quotes around a value with blanks; a boolean is y or n. */
function parameterWord(name: string, value: ParameterValue): string {
  const text = typeof value === 'boolean' ? (value ? 'y' : 'n') : String(value);
  return `${name}=${/\s/.test(text) ? `"${text}"` : text}`;
}
