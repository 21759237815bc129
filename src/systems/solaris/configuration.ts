/** What a running kernel was booted with: its files, module path, /etc/system, name tables. One per kernel. */
import { perKernel } from '../../kernel/kernel.ts';
import type { Solaris } from './solaris.ts';

/** The root file system as the kernel and its commands see it. */
export interface RootFiles {
  read(path: string): Uint8Array | undefined;
  write(path: string, bytes: Uint8Array): void;
  remove(path: string): void;
  /** Names in a directory, directories with a slash at their end; undefined when there is none. */
  list(path: string): readonly string[] | undefined;
}

export interface Configuration {
  files: RootFiles;
  /** Directories of modules, in order. */
  modulePath: readonly string[];
  /** `exclude:` of /etc/system. */
  excluded: readonly string[];
  /** `set` and its likes for modules that are not loaded yet. */
  assignments: readonly Assignment[];
  /** drv name -> major, as the kernel holds it (not the file). */
  readonly majors: Map<string, number>;
  readonly sysnums: Map<string, number>;
  /** alias -> driver. */
  readonly aliases: Map<string, string>;
}

export interface Assignment {
  /** Empty: a variable of the kernel itself. */
  readonly module: string;
  readonly symbol: string;
  readonly operator: '=' | '&' | '|';
  readonly value: bigint | string;
  /** Written in hexadecimal: it is shown so as well. */
  readonly hexadecimal: boolean;
  readonly line: number;
}

const NO_FILES: RootFiles = {
  read: () => undefined,
  write: () => undefined,
  remove: () => undefined,
  list: () => undefined,
};

/** PLATFORM is i86pc on x86 machines. */
export const DEFAULT_MODULE_PATH = ['/platform/i86pc/kernel', '/kernel', '/usr/kernel'] as const;

export const configuration = perKernel<Configuration, Solaris>(() => ({
  files: NO_FILES,
  modulePath: DEFAULT_MODULE_PATH,
  excluded: [],
  assignments: [],
  majors: new Map(),
  sysnums: new Map(),
  aliases: new Map(),
}));

export const textOf = (bytes: Uint8Array | undefined): string =>
  bytes === undefined ? '' : new TextDecoder().decode(bytes);

/** Bits of `moddebug` (sys/modctl.h). */
export const MODDEBUG = {
  LOADMSG: 0x80000000,
  ERRMSG: 0x40000000,
  LOADMSG2: 0x20000000,
  FINI_EBUSY: 0x20000,
  NOAUL_IPP: 0x10000,
  NOAUL_DACF: 0x8000,
  KEEPTEXT: 0x4000,
  NOAUL_DRV: 0x1000,
  NOAUL_EXEC: 0x800,
  NOAUL_FS: 0x400,
  NOAUL_SCHED: 0x100,
  NOAUL_STR: 0x80,
  NOAUL_SYS: 0x40,
  NOAUTOUNLOAD: 0x10,
} as const;

/** Is that bit set in the kernel's variable? */
export function moddebug(k: Solaris, bit: number): boolean {
  const at = k.data.address('moddebug');
  return at !== undefined && (k.memory.u32(at) & bit) !== 0;
}
