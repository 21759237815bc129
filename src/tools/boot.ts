/**
 * The start of a system as its module system sees it: which files its configuration asks for, in which order, what
 * becomes of each, and why. `lkm boot SYSTEM` shows it; each system brings the contents (NativeSystem.boot).
 */
import type { SessionOptions, SystemFiles, SystemSession } from './system.ts';

/**
 * What became of one file or module: `loaded` now or `present` already; `refused` by a rule or by the module itself;
 * `skipped` because the configuration says so (a blacklist, a `NO`); `absent`: asked for, and not there; `note`: a
 * stage itself, or something worth knowing; `stopped`: the system does not come up.
 */
export type BootOutcome = 'loaded' | 'present' | 'refused' | 'skipped' | 'absent' | 'note' | 'stopped';

export interface BootStep {
  /** Where in the start, in the system's own words: `loader.conf`, `initramfs`, `AUTOEXEC.NCF`, `boot-start`. */
  readonly stage: string;
  /** The module, file or setting. */
  readonly subject: string;
  readonly outcome: BootOutcome;
  /** The line that asked for it, with its place: `/boot/loader.conf:3 zfs_load="YES"`. */
  readonly because?: string;
  /** What the system itself says, as it writes it. */
  readonly said?: readonly string[];
  /** In our words: why, and what to do. */
  readonly why?: string;
  /** The rule that refused, under the system's stable id. */
  readonly rule?: string;
}

export interface BootOptions extends SessionOptions {
  /** The root folder of the machine that starts, as its own system would see it; absent: nothing but a kernel. */
  readonly root?: SystemFiles;
  /** The command line of the kernel or the boot loader, where the system has one. */
  readonly commandLine?: string;
}

export interface Boot {
  /** In order. */
  readonly steps: readonly BootStep[];
  /** The running system; undefined when it did not come up. */
  readonly session: SystemSession | undefined;
}
