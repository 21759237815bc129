/**
 * What a system brings to the command line: how its files are recognised and described, and a session with its own
 * native commands on a kernel of its own. Linux came first and has more than this; every other system is reached
 * through this interface alone (tools/systems.ts lists them).
 */
import type { Engine } from '../cpu/engines.ts';
import type { Kernel } from '../kernel/kernel.ts';
import type { LogRecord } from '../kernel/log.ts';
import type { MissingPolicy } from '../kernel/missing.ts';
import type { Standing, StandingThing } from '../kernel/standing.ts';
import type { Boot, BootOptions } from './boot.ts';
import type { SystemChecker } from './check.ts';

/** A module file as it was found. A bundle is a folder and has no bytes of its own. */
export interface ModuleFile {
  readonly path: string;
  readonly bytes: Uint8Array | undefined;
}

/** A list that is too long for the first screen: shown when asked for (`--imports`), or counted. */
export interface DescribedList {
  /** `imports`, `exports` and `sections` are shown when the option of that name is given, all others always. */
  readonly name: string;
  /** The head line, without the count. */
  readonly title: string;
  readonly rows: readonly string[];
}

/** One screen about a module file. */
export interface Description {
  /** As in tools/systems.ts. */
  readonly system: string;
  /** Label and text, in order; an empty text leaves the row out, an empty label continues the row above. */
  readonly rows: readonly (readonly [label: string, text: string])[];
  readonly lists: readonly DescribedList[];
  /** All facts for `--json`, under stable names. bigint and Uint8Array become hexadecimal strings. */
  readonly facts: Readonly<Record<string, unknown>>;
}

/** Files of the machine that a session may read: the module files of the user. */
export interface SystemFiles {
  /** Bytes of the file that was typed; looked for as given, beside the files named before, and among the fixtures. */
  read(path: string): Uint8Array | undefined;
  /** Names in a folder, folders with a slash at the end; undefined when there is no such folder. */
  list(path: string): readonly string[] | undefined;
  /** Owner and mode, where the rules of a system ask for them (macOS bundles); undefined when there is no such file. */
  stat(path: string): { readonly uid: number; readonly gid: number; readonly mode: number } | undefined;
  /**
   * Bytes of a file that the code of a module asks for by itself. Nobody typed that path: what lies elsewhere than with the
   * files that somebody named is not there. Without it nothing is.
   */
  offered?(path: string): Uint8Array | undefined;
  /** What lies in the folder of this file, which somebody named, belongs to it. */
  beside?(path: string): void;
}

export interface SessionOptions {
  readonly files: SystemFiles;
  /** Module files named on the command line: a system may take its default release and machine from what they say. */
  readonly named?: readonly ModuleFile[];
  readonly seed?: number;
  /** What executes machine code. */
  readonly engine?: Engine;
  readonly missing?: MissingPolicy;
  /** Who gives the commands: `root` (the administrator) unless `--as` says otherwise. */
  readonly user?: string;
  /** `--set NAME=VALUE`: what the system's own `settings` list, such as the release. */
  readonly settings?: ReadonlyMap<string, string>;
}

/** How a native command ended, in the system's own words and numbers. */
export interface ToolResult {
  readonly code: number;
  /** Standard output, standard error: as the system's tool writes them. */
  readonly out: string;
  readonly err: string;
  /** In our words: why, and what to do. */
  readonly note?: string;
}

/** Something a module took and did not give back. */
export interface SessionLeak {
  readonly what: string;
  readonly bytes: number;
  /** Where it was taken: symbol+offset. */
  readonly where: string;
}

/** How a load or an unload ended. */
export interface Ending extends ToolResult {
  /** When it was neither done nor refused: by a fault, or by a function that nobody wrote (tools/ended.ts). */
  readonly ended?: 'killed' | 'missing';
  /** The kernel's own error number, where it has one besides the command's exit code. */
  readonly errno?: number;
  /** The rule that refused, under the system's stable id. */
  readonly rule?: string;
}

export interface LoadOutcome extends Ending {
  /** The name to unload it by; undefined when it is not loaded. */
  readonly module: string | undefined;
}

export interface UnloadOutcome extends Ending {
  readonly leaks: readonly SessionLeak[];
  /** What the system itself took back, since the module had not. */
  readonly takenBack?: readonly Standing[];
}

/** A command of the session's shell. */
export interface ToolCommand {
  readonly name: string;
  /** After the name. */
  readonly usage: string;
  /** One line, lower case, no full stop. */
  readonly summary: string;
}

/** A booted kernel of the system, and the commands on it. */
export interface SystemSession {
  readonly kernel: Kernel;
  /** What it calls itself: `FreeBSD 13.2-RELEASE amd64`. */
  readonly release: string;
  readonly commands: readonly ToolCommand[];
  /** The root shell's prompt on that system, with its blank. */
  readonly prompt: string;
  /** Runs one command of `commands`. */
  run(words: readonly string[]): ToolResult | Promise<ToolResult>;
  /** For systems whose shell is a language of its own: takes whole lines, as typed. `help` and `exit` stay ours. */
  line?(text: string): ToolResult | Promise<ToolResult>;
  /** The shell's `command > path`. */
  writeFile(path: string, bytes: Uint8Array, append: boolean): ToolResult | Promise<ToolResult>;
  /** `lkm run FILE WORD...`: loads a file the way the system's own command does. Words come only where `NativeSystem.words` takes them. */
  load(path: string, args: readonly string[]): LoadOutcome | Promise<LoadOutcome>;
  /** Unloads what `load` has loaded. */
  unload(module: string): UnloadOutcome | Promise<UnloadOutcome>;
  /** How the system's console shows a record of its log. */
  logLine(record: LogRecord): string;
  /**
   * What stands now that somebody registered (devices, timers, threads, handlers, loaded modules): compared before a load and after the
   * unload, it tells what a module forgot to take back. Memory is no part of it. Asked between commands only.
   */
  standing?(): Iterable<StandingThing>;
  /** What modules registered that nobody here can put to use. */
  registeredOnly?(): readonly { readonly what: string; readonly name: string }[];
  /** The machine goes down in order: what modules print and do then (FreeBSD's MOD_SHUTDOWN). */
  halt?(): ToolResult | Promise<ToolResult>;
  /** Paths in the system's own namespace that begin with this, folders with a slash at the end. */
  completePath?(prefix: string): readonly string[];
}

/** A value that `--set NAME=VALUE` changes. */
export interface Setting {
  readonly name: string;
  readonly summary: string;
}

export interface NativeSystem {
  /** The command: `freebsd`. */
  readonly name: string;
  /** As people write it: `FreeBSD`. */
  readonly title: string;
  readonly settings: readonly Setting[];
  /** Words after a file in `lkm run`: its loader takes them; or else what says such things there, a sentence for the person who tried. */
  readonly words: { readonly taken: true } | { readonly instead: string };
  /** Its setting `root` takes an archive of a machine's files, too. */
  readonly archives?: true;
  /** 0 = not a module of this system, 1 = certain. Decided by the contents, never by the name alone. */
  recognise(file: ModuleFile): number;
  /** @throws FormatError */
  describe(file: ModuleFile): Description | Promise<Description>;
  /** @throws SettingError for a setting that is unknown or has no such value */
  start(options: SessionOptions): SystemSession | Promise<SystemSession>;
  /**
   * Starts the machine in `root` the way its configuration says, and tells how each module fared. Without it
   * `lkm boot` gives a kernel with nothing loaded.
   * @throws SettingError as start does; FormatError for configuration that no reader of the system would take
   */
  boot?(options: BootOptions): Boot | Promise<Boot>;
  /** `lkm check`: would a file load on a kernel that is only there as files? */
  checker?(): SystemChecker | Promise<SystemChecker>;
}

/** @throws SettingError for a name that is none of the system's settings */
export function checkSettingNames(
  title: string,
  known: readonly Setting[],
  given: ReadonlyMap<string, string> = new Map(),
): void {
  for (const name of given.keys()) {
    if (known.some((one) => one.name === name)) continue;
    throw new SettingError(
      `${title} has no setting '${name}'`,
      `there are ${known.map((one) => one.name).join(', ')}`,
    );
  }
}

/** A `--set` that cannot be meant. */
export class SettingError extends Error {
  readonly hint: string;

  constructor(message: string, hint: string) {
    super(message);
    this.name = 'SettingError';
    this.hint = hint;
  }
}
