/**
 * A console on a running Linux base kernel: one command at a time, as a person at a root shell would type it.
 * It knows no terminal and no files of the host but those it is handed.
 */

import { MissingFunctionReached } from '../../kernel/missing.ts';
import { Deadlock } from '../../kernel/scheduler.ts';
import type { Steps } from '../../kernel/steps.ts';
import { type Thread, ThreadKilled } from '../../kernel/thread.ts';
import { EndlessAccess, GuestFault } from '../../memory/space.ts';
import { type Credential, ROOT } from '../../systems/linux/cred.ts';
import { signalTask } from '../../systems/linux/functions/sched.ts';
import type { Linux } from '../../systems/linux/linux.ts';
import { panicReason } from '../../systems/linux/panic.ts';
import { descriptors, type OpenFile } from '../../systems/linux/vfs/file.ts';
import { tooFewWords } from './console-words.ts';
import { errorText } from './errors.ts';

/** How a command ended. */
export interface CommandResult {
  /** Exit status; 128 and the signal when the kernel killed the process. */
  readonly code: number;
  /** What the system call that failed returned, 0 for success, null where a tool refused by itself. */
  readonly errno: number | null;
  /** Standard output and error. */
  readonly output: string;
  /** In our words: why, and what to do. */
  readonly note?: string;
}

export type ConsoleCommand = (console: LinuxConsole, args: readonly string[]) => CommandResult;

export interface ConsoleOptions {
  /** Bytes of a module file by the path that was typed; undefined when there is no such file. */
  readonly moduleFile: (path: string) => Uint8Array | undefined;
  /** Paths of all modules, for modprobe to look for aliases in; without it it knows names alone. */
  readonly modulePaths?: () => readonly string[];
  /** Commands by name. */
  readonly commands: ReadonlyMap<string, ConsoleCommand>;
}

/** uid and gid of nobody and nogroup on Debian. */
export const NOBODY: Credential = { uid: 65534, gid: 65534 };

export const done = (output = ''): CommandResult => ({ code: 0, errno: 0, output });

/** A failed system call, as coreutils and busybox report it. */
export function failed(errno: number, subject: string): CommandResult {
  const text = errorText(errno);
  return { code: 1, errno, output: subject === '' ? text : `${subject}: ${text}` };
}

export function bytesOfOutput(result: CommandResult): Uint8Array {
  return new TextEncoder().encode(result.output);
}

/** A module has overwritten what the kernel itself lives on: a real machine would crash here. */
function wrecked(error: unknown): CommandResult {
  if (error instanceof GuestFault || error instanceof EndlessAccess) {
    const note = `the kernel's own data are destroyed (${error.message}): start a new one`;
    return { code: 139, errno: null, output: 'Segmentation fault', note };
  }
  throw error;
}

export class LinuxConsole {
  readonly k: Linux;
  readonly moduleFile: (path: string) => Uint8Array | undefined;
  readonly modulePaths: (() => readonly string[]) | undefined;
  /** Files that `open` keeps, by number. */
  readonly files: Map<number, OpenFile>;
  credential: Credential = ROOT;
  private readonly commands: ReadonlyMap<string, ConsoleCommand>;
  private readonly background: { thread: Thread; result: () => CommandResult | undefined }[] = [];

  constructor(k: Linux, options: ConsoleOptions) {
    this.k = k;
    this.files = k.state(descriptors);
    this.moduleFile = options.moduleFile;
    this.modulePaths = options.modulePaths;
    this.commands = options.commands;
  }

  get names(): string[] {
    return [...this.commands.keys()].sort();
  }

  /** Runs one command given as words. */
  run(words: readonly string[]): CommandResult {
    const [name, ...args] = words;
    const panic = panicReason(this.k);
    // dmesg is what a serial console would still show.
    if (panic !== undefined && name !== 'dmesg') {
      return {
        code: 255,
        errno: null,
        output: '',
        note: `the kernel has panicked (${panic}): start a new one`,
      };
    }
    if (name === 'as') return this.runAs(args);
    const command = this.commands.get(name);
    if (command === undefined) return { code: 127, errno: null, output: `${name}: not found` };
    const usage = tooFewWords(name, args);
    if (usage !== undefined) return { code: 2, errno: null, output: usage };
    try {
      return command(this, args);
    } catch (error) {
      return wrecked(error);
    }
  }

  private runAs([user, ...words]: readonly string[]): CommandResult {
    const before = this.credential;
    if (words.length === 0) return { code: 2, errno: null, output: 'usage: as USER COMMAND...' };
    this.credential = user === 'nobody' ? NOBODY : { uid: Number(user), gid: Number(user) };
    if (Number.isNaN(this.credential.uid)) this.credential = user === 'root' ? ROOT : NOBODY;
    try {
      return this.run(words);
    } finally {
      this.credential = before;
    }
  }

  /** Runs steps as a process of that name, to the end. */
  process(name: string, steps: Steps<CommandResult>): CommandResult {
    const { k } = this;
    try {
      return k.runTask(name, steps, this.credential);
    } catch (error) {
      return this.stopped(name, error);
    } finally {
      k.scheduler.settle();
    }
  }

  /** Starts steps without waiting for them; `wait` shows what they printed. */
  start(name: string, steps: Steps<CommandResult>): CommandResult {
    const { k } = this;
    let result: CommandResult | undefined;
    const thread = k.scheduler.spawn(
      name,
      (function* (): Steps<void> {
        result = yield* steps;
      })(),
    );
    k.tasks.adopt(thread, name, this.credential);
    this.background.push({ thread, result: () => result });
    k.scheduler.settle();
    return done();
  }

  /** Waits for everything in the background. */
  wait(): CommandResult {
    const { k } = this;
    const jobs = this.background.splice(0);
    try {
      k.scheduler.runUntil(() => jobs.every(({ thread }) => thread.state === 'dead'));
    } catch (error) {
      return this.stopped('wait', error);
    }
    const results = jobs.map((job) => job.result());
    return {
      code: results.at(-1)?.code ?? 0,
      errno: 0,
      output: results.map((result) => result?.output ?? '').join(''),
    };
  }

  private stopped(name: string, error: unknown): CommandResult {
    if (error instanceof ThreadKilled) {
      return {
        code: 128 + error.code,
        errno: null,
        output: error.code === 9 ? 'Killed' : 'Segmentation fault',
        note: error.message,
      };
    }
    if (error instanceof MissingFunctionReached) {
      this.endCurrent(error.message);
      return { code: 1, errno: null, output: '', note: error.message };
    }
    if (error instanceof Deadlock) {
      this.interruptBlocked(name);
      this.endBlocked(name);
      return { code: 1, errno: null, output: '', note: `it would wait for ever: ${error.message}` };
    }
    throw error;
  }

  private endCurrent(why: string): void {
    const { current } = this.k.scheduler;
    if (current !== undefined) this.k.scheduler.kill(current, new ThreadKilled(current.name, 0, why));
  }

  /**
   * What a person does about a program that hangs: a signal. Machine code that sleeps interruptibly goes back the way it
   * came, off its wait queue; one that was ended without it would leave its entry there, on a stack that is gone.
   */
  private interruptBlocked(name: string): void {
    const { k } = this;
    const hanging = [...k.scheduler.threads].filter(
      (thread) =>
        thread.name === name &&
        thread.state === 'blocked' &&
        !this.background.some((job) => job.thread === thread),
    );
    for (const { control } of hanging) if (k.tasks.threadOf(control) !== undefined) signalTask(k, control);
    try {
      k.scheduler.runUntil(() => hanging.every(({ state }) => state === 'dead'));
    } catch (error) {
      // It sleeps so that no signal wakes it, or dies of the signal: then it is ended the hard way.
      const known =
        error instanceof Deadlock || error instanceof ThreadKilled || error instanceof MissingFunctionReached;
      if (!known) throw error;
    }
  }

  /** The process that can never go on is ended, so that the console stays usable. */
  private endBlocked(name: string): void {
    for (const thread of [...this.k.scheduler.threads]) {
      const isJob = this.background.some((job) => job.thread === thread);
      if (thread.name === name && thread.state === 'blocked' && !isJob) {
        this.k.scheduler.kill(thread, new ThreadKilled(name, 9, 'ended while it waited'));
      }
    }
  }
}
