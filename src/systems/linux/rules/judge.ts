/**
 * What a loader rule speaks to. A live load prints into the kernel's log and taints the kernel; a check of a file
 * against a kernel file only notes what would be said. The rules are the same.
 */
import type { Certificate } from '../../../formats/pki/certificate.ts';
import { Errno } from '../errno.ts';
import type { KernelFile } from '../kernelfile/kernelfile.ts';
import { Refusal } from '../verdict.ts';

/** syslog levels as pr_err, pr_warn, pr_notice and pr_info use them. */
export const Level = { ALERT: 1, ERR: 3, WARNING: 4, NOTICE: 5, INFO: 6, DEBUG: 7 } as const;

/** What fits into one record of the log (kernel/printk/printk.c), less the level in front: LOG_LINE_MAX, later a whole record. */
const LONGEST_LINE = { older: 989, newer: 1021 } as const;

/** Something that a rule must know of the kernel and that nobody told. */
export interface MissingInput {
  /** What is missing: `the configuration (CONFIG_MODULE_SIG_FORCE)`. */
  readonly what: string;
  /** How to give it. */
  readonly how: string;
}

export abstract class Judge {
  /** Bit mask of the taints of the module itself. */
  taints = 0;
  /** Every line the kernel said about this module, in order. */
  readonly said: string[] = [];
  abstract readonly kernel: KernelFile;
  abstract readonly commandLine: string;

  /** Certificates that the kernel trusts besides its own: machine owner keys, or what a user names. */
  readonly certificates: readonly Certificate[] = [];

  /** The program that asks, as the kernel names it. */
  get program(): string {
    return 'insmod';
  }

  protected abstract print(level: number, text: string): void;
  protected abstract taintKernel(bit: number, lockdepUnreliable: boolean): void;
  abstract tainted(bit: number): boolean;
  /** True the first time it is asked with that id since boot: messages that are printed once. */
  abstract firstTime(id: string): boolean;

  /** The rule (rules/order.ts) that speaks from now on: a check tells its results by it, a live load has no use for it. */
  enter(_rule: string): void {}

  /** The rule cannot decide without this. A live kernel knows everything about itself. */
  unknown(_missing: MissingInput): void {}

  /** What `%p` prints for an address: a hash with the kernel's secret, which only the live kernel has. */
  hashed(_address: number): string {
    return '?'.repeat(this.kernel.bits / 4);
  }

  say(level: number, text: string): void {
    // The change came with the releases that have this rule.
    const most = this.has('early-duplicate-check') ? LONGEST_LINE.newer : LONGEST_LINE.older;
    const line = text.slice(0, most);
    this.said.push(line);
    this.print(level, line);
  }

  /** add_taint_module: on the kernel and on the module. */
  taint(bit: number, lockdepUnreliable = false): void {
    this.taintKernel(bit, lockdepUnreliable);
    this.taints |= 1 << bit;
  }

  has(rule: string): boolean {
    return this.kernel.rules.has(rule);
  }

  /** Ends the load. `errno` is positive; `why` and `hint` are our words. */
  refuse(rule: string, errno: number, why: string, hint: string): never {
    throw new Refusal({ rule, errno, why, hint, said: [...this.said] });
  }

  /** Ends the load because the base kernel lacks functions; the real kernel would go on. */
  refuseMissing(missing: readonly string[], why: string): never {
    const hint = 'Load it with stand-ins for missing functions, or let it stop where one is called.';
    throw new Refusal({
      rule: 'missing-functions',
      errno: Errno.ENOENT,
      why,
      hint,
      said: [...this.said],
      missing,
    });
  }

  /** pr_err and refuse in one. */
  reject(rule: string, errno: number, message: string, why: string, hint: string): never {
    this.say(Level.ERR, message);
    this.refuse(rule, errno, why, hint);
  }
}

/**
 * What a kernel command line says of a name, in order; quoted values keep their blanks (lib/cmdline.c, next_arg). What
 * stands behind two dashes is for the first process.
 */
export function commandLineOptions(commandLine: string, name: string): string[] {
  const found: string[] = [];
  for (const [word] of commandLine.matchAll(/(?:[^\s"]|"[^"]*"?)+/g)) {
    if (word === '--') break;
    const equals = word.indexOf('=');
    const key = equals < 0 ? word : word.slice(0, equals);
    if (key.replaceAll('-', '_') !== name.replaceAll('-', '_')) continue;
    found.push(equals < 0 ? '' : word.slice(equals + 1).replace(/^"|"$/g, ''));
  }
  return found;
}

/** The last word counts. */
export const commandLineOption = (commandLine: string, name: string): string | undefined =>
  commandLineOptions(commandLine, name).at(-1);
