/**
 * What a command is, in two halves: a specification, which is data and from which help, man pages, completion and
 * parsing all come, and a body, which is loaded only when the command runs.
 */
import type { LinuxSession } from '../tools/linux/session.ts';
import type { SystemSession } from '../tools/system.ts';
import type { Completion, OptionSpec } from './option.ts';
import type { Output } from './output.ts';
import type { Values } from './parse.ts';
import type { Style } from './style.ts';

export interface ArgumentSpec {
  /** As in the usage line: `FILE`, `PARAMETER=VALUE`. */
  readonly name: string;
  readonly summary: string;
  readonly required?: boolean;
  readonly repeat?: boolean;
  readonly complete?: Completion;
}

export interface Example {
  readonly command: string;
  readonly explanation: string;
}

export interface CommandSpec {
  readonly name: string;
  readonly summary: string;
  /** After `lkm NAME`. Several forms are several lines of the synopsis. */
  readonly usage: readonly string[];
  /** Paragraphs for the man page and `lkm help NAME`. */
  readonly description: readonly string[];
  readonly arguments: readonly ArgumentSpec[];
  readonly options: readonly OptionSpec[];
  /** Which of the options that mean the same everywhere this command takes (see table.ts, SHARED). */
  readonly shared: readonly SharedName[];
  readonly examples: readonly Example[];
  /** Beyond the common ones: 0 done, 1 failed, 2 wrong usage, 70 a defect of lkm. */
  readonly exits?: Readonly<Record<number, string>>;
  /** Options end at the first argument: it names a native tool, and the rest belongs to that. */
  readonly native?: boolean;
  readonly load: () => Promise<{ readonly command: Command }>;
}

export type SharedName =
  | 'kernel'
  | 'as'
  | 'json'
  | 'seed'
  | 'target'
  | 'engine'
  | 'trace'
  | 'profile'
  | 'gdb'
  | 'cert';

/** A body: `export const command: Command = { async run(context) { ... return 0; } }`. */
export interface Command {
  /** Resolves to the exit code. Throw a Failure for what the user can mend; anything else is shown as a defect. */
  run(context: CommandContext): Promise<number>;
}

/** All a body knows of the outside. Tests make their own; bodies touch neither `process` nor `console`. */
export interface CommandContext {
  readonly spec: CommandSpec;
  /** All words after `lkm`, as they were given. */
  readonly argv: readonly string[];
  /** What is no option, in order. */
  readonly args: readonly string[];
  readonly options: Values;
  readonly output: Output;
  /** Writes to standard output as it is: results only. */
  out(text: string | Uint8Array): void;
  /** Writes to standard error as it is: everything that is not the result. */
  err(text: string | Uint8Array): void;
  /** One JSON object on one line of standard output. `schema` is `lkm.COMMAND/VERSION`; bigint becomes a hex string. */
  json(schema: string, value: Readonly<Record<string, unknown>>): void;
  /** Standard input: a terminal or not, all its bytes, or the stream itself (for a shell). */
  readonly input: Input;
  /** Standard output is a terminal: progress and colour make sense. */
  readonly isTTY: boolean;
  /** Width of the terminal, 80 when there is none. */
  readonly columns: number;
  /** Colours for standard output; they do nothing when colours are off. */
  readonly style: Style;
  /** Colours for standard error. */
  readonly errorStyle: Style;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Bytes of a file; `-` is standard input. Throws a Failure that names the file and what to try. */
  readFile(path: string): Uint8Array;
  /** Writes a file whole or not at all (a temporary name, then rename). */
  writeFile(path: string, bytes: Uint8Array | string): void;
  /** Absolute path of a file that comes with lkm, such as `fixtures/linux/built/hello.ko`. */
  packaged(path: string): string;
  /** The specifications of all commands, for help and completion. */
  readonly commands: readonly CommandSpec[];
  /** Kernels that outlive a command: set in the process that keeps one (cli/resident/). */
  readonly resident: Resident | undefined;
}

/** A kernel that stays when the command that booted it ends. */
export interface HeldKernel {
  /** As in tools/systems.ts, or `linux`. */
  readonly system: string;
  readonly release: string;
  readonly session: SystemSession | LinuxSession;
}

/** The process that keeps a kernel, as commands that run in it see it. */
export interface Resident {
  /** undefined before `lkm boot` has come so far. */
  readonly held: HeldKernel | undefined;
  hold(kernel: HeldKernel): void;
  /** The process ends once this command is answered. */
  end(): void;
}

export interface Input {
  readonly isTTY: boolean;
  /** Everything up to its end. */
  bytes(): Uint8Array;
  /** Line by line as they arrive, without line feeds: a script. */
  lines(): Iterable<string>;
  /** For a prompt on a terminal. */
  stream(): NodeJS.ReadStream;
}
