/** Where modprobe, insmod, rmmod and lsmod act: the running kernel, through /proc, /sys and its system calls. */
import { closeSync, existsSync, opendirSync, openSync, readFileSync, readSync } from 'node:fs';
import { arch } from 'node:os';
import { type Compression, compressionOf } from '../../../bytes/decompress.ts';
import { normalizeName } from '../../../systems/linux/tree/names.ts';
import { onDisk } from './bytes-path.ts';
import { CallFailed } from './call-failed.ts';
import { loadForeign } from './foreign.ts';
import { compressionOfKernel } from './kernel-compression.ts';
import { stripVersions } from './strip-versions.ts';
import type { ToolCall } from './tool.ts';

export type ModuleState = 'live' | 'coming' | 'going';

export interface InsertFlags {
  readonly forceModversion: boolean;
  readonly forceVermagic: boolean;
}

export interface KernelTarget {
  /** undefined: not loaded. */
  state(name: string): ModuleState | undefined;
  /** undefined where the kernel does not count (no module of that name, or no unloading). */
  references(name: string): number | undefined;
  /** In the kernel's order. */
  holders(name: string): readonly string[];
  /** Names of loaded modules, newest first. @throws an error with a code when the kernel does not tell */
  loaded(): readonly string[];
  /** Bytes; undefined when it is not loaded. */
  size(name: string): number | undefined;
  /** @throws CallFailed */
  insert(path: string, options: string, flags: InsertFlags): void;
  /** @throws CallFailed */
  remove(name: string, force: boolean): void;
}

/** Numbers of init_module, finit_module, delete_module (asm/unistd.h). */
const CALLS: Readonly<Record<string, readonly [init: number, finit: number, remove: number]>> = {
  x64: [175, 313, 176],
  arm64: [105, 273, 106],
  riscv64: [105, 273, 106],
  ia32: [128, 350, 129],
  arm: [128, 379, 129],
  ppc64: [128, 353, 129],
  s390x: [128, 344, 129],
};

/** MODULE_INIT_* of linux/module.h. */
const INIT = { IGNORE_MODVERSIONS: 1, IGNORE_VERMAGIC: 2, COMPRESSED_FILE: 4 } as const;
/** delete_module(2) */
/** A file that has no more is no module. */
const HEAD = 6;
const O_NONBLOCK = 0o4000;
const O_TRUNC = 0o1000;

type SystemCall = (number: number, ...args: readonly (number | bigint | string | Uint8Array)[]) => number;

/** The kernel that runs this machine. */
export class HostTarget implements KernelTarget {
  private readonly sys: string;
  private readonly proc: string;
  /** What the kernel unpacks by itself. */
  private readonly compression: Compression | undefined;
  /** Opens and unpacks a module file. */
  private readonly unpack: (path: string) => Uint8Array;

  constructor(
    unpack: (path: string) => Uint8Array,
    { sys = '/sys', proc = '/proc', compression = undefined as Compression | undefined } = {},
  ) {
    this.unpack = unpack;
    this.sys = sys;
    this.proc = proc;
    this.compression = compression;
  }

  private attribute(name: string, attribute: string): string | undefined {
    try {
      return readFileSync(onDisk(`${this.sys}/module/${name}/${attribute}`), 'latin1').trim();
    } catch {
      // Absent, as for every module that is not loaded.
      return undefined;
    }
  }

  state(name: string): ModuleState | undefined {
    const state = this.attribute(name, 'initstate');
    if (state === 'live' || state === 'coming' || state === 'going') return state;
    // A folder without a state is that of a module that is just appearing.
    return existsSync(onDisk(`${this.sys}/module/${name}`)) ? 'coming' : undefined;
  }

  references(name: string): number | undefined {
    const text = this.attribute(name, 'refcnt');
    return text === undefined ? undefined : Number(text);
  }

  holders(name: string): readonly string[] {
    // In the order of the folder, which readdirSync does not keep.
    const folder = opendirSync(onDisk(`${this.sys}/module/${name}/holders`), { encoding: 'latin1' });
    const names: string[] = [];
    for (let entry = folder.readSync(); entry !== null; entry = folder.readSync()) names.push(entry.name);
    folder.closeSync();
    // They are taken for names of modules, which end at a dot.
    return names.map(normalizeName);
  }

  loaded(): readonly string[] {
    const text = readFileSync(`${this.proc}/modules`, 'latin1');
    return text.split('\n').flatMap((line) => (line === '' ? [] : [normalizeName(line.split(/[ \t]/)[0])]));
  }

  size(name: string): number | undefined {
    if (!existsSync(onDisk(`${this.sys}/module/${name}`))) return undefined;
    const text = this.attribute(name, 'coresize');
    if (text !== undefined) return Number(text);
    // Before 3.3 the kernel said it in /proc/modules alone.
    for (const line of readFileSync(`${this.proc}/modules`, 'latin1').split('\n')) {
      const [first, size] = line.split(/[ \t]+/);
      if (first === name) return Number(size);
    }
    return undefined;
  }

  insert(path: string, options: string, flags: InsertFlags): void {
    const [init] = callNumbers();
    const call = systemCall();
    try {
      if (this.insertFile(path, options, flags, call)) return;
    } catch (error) {
      // A kernel before 3.8 knows only the older call.
      if (!(error instanceof CallFailed) || error.code !== 'ENOSYS') throw error;
    }
    const whole = this.unpack(path);
    const bytes = flags.forceModversion || flags.forceVermagic ? stripVersions(whole, flags) : whole;
    call(init, bytes, BigInt(bytes.length), options);
  }

  /** Hands the file over as it is; false when the kernel could not read it so. */
  private insertFile(path: string, options: string, flags: InsertFlags, call: SystemCall): boolean {
    const [, finit] = callNumbers();
    const fd = openSync(onDisk(path), 'r');
    try {
      const head = new Uint8Array(HEAD);
      if (readSync(fd, head) < HEAD) throw new CallFailed('EINVAL');
      const compression = compressionOf(head);
      const packed = compression !== undefined && compression !== 'lzma';
      if (packed && compression !== this.compression) return false;
      const bits =
        (flags.forceModversion ? INIT.IGNORE_MODVERSIONS : 0) |
        (flags.forceVermagic ? INIT.IGNORE_VERMAGIC : 0) |
        (packed ? INIT.COMPRESSED_FILE : 0);
      call(finit, fd, options, bits);
      return true;
    } finally {
      closeSync(fd);
    }
  }

  remove(name: string, force: boolean): void {
    const [, , remove] = callNumbers();
    systemCall()(remove, name, O_NONBLOCK | (force ? O_TRUNC : 0));
  }
}

/** The kernel that a tool acts on. */
export function targetOf(call: ToolCall, unpack: (path: string) => Uint8Array): KernelTarget {
  if (call.target !== undefined) return call.target;
  return new HostTarget(unpack, { sys: call.sys, proc: call.proc, compression: compressionOfKernel(call) });
}

function callNumbers(): readonly [number, number, number] {
  const numbers = CALLS[arch()];
  if (process.platform !== 'linux' || numbers === undefined) throw new CallFailed('ENOSYS');
  return numbers;
}

/** syscall(2). */
function systemCall(): SystemCall {
  const koffi = loadForeign();
  if (koffi === undefined) throw new CallFailed('ENOSYS');
  const library = koffi.load(null);
  const types: Readonly<Record<string, string>> = {
    number: 'long',
    bigint: 'ulong',
    string: 'str',
    object: 'void *',
  };
  return (number, ...args) => {
    const call = library.func('syscall', 'long', ['long', ...args.map((one) => types[typeof one])]);
    const result = Number(call(number, ...args));
    if (result >= 0) return result;
    const errno = koffi.errno();
    const code = Object.entries(koffi.os.errno).find(([, value]) => value === errno)?.[0] ?? `errno ${errno}`;
    throw new CallFailed(code);
  };
}
