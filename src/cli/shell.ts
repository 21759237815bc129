/** The shell that systems fill with their commands: `lkm linux`, and the --do lines of `lkm run`. */
import { Failure } from './failure.ts';
import { nearest } from './nearest.ts';
import type { Output } from './output.ts';
import { parseLine, quoteWord, type Redirect, type ShellStep } from './shell-words.ts';

/** One command of a shell. */
export interface ShellCommand {
  readonly name: string;
  /** After the name: `FILE [PARAMETER=VALUE]...`. */
  readonly usage: string;
  /** One line, lower case, no full stop. */
  readonly summary: string;
  /** What the last of `words` (arguments only) could become. Default: paths. */
  complete?(words: readonly string[]): readonly string[];
  /** Resolves to the exit code. A Failure is shown as `NAME: SUBJECT: message`. */
  run(call: ShellCall): Promise<number> | number;
}

export interface ShellCall {
  readonly args: readonly string[];
  /** To the terminal, or to the file of a redirection. */
  out(text: string | Uint8Array): void;
  err(text: string): void;
}

/** What a system brings to have a shell. */
export interface ShellHost {
  readonly commands: readonly ShellCommand[];
  prompt(): string;
  /** Takes lines whole, in a language of its own; only `help` and `exit` are ours then. */
  readonly line?: (text: string, call: ShellCall) => number | Promise<number>;
  /** `> path`: everything one command wrote, as one write. Throws a Failure when the file refuses. */
  writeFile(path: string, bytes: Uint8Array, append: boolean): void | Promise<void>;
  /** `command &`: starts it and returns. Absent: refused. */
  background?(words: readonly string[], redirect: Redirect | undefined): number | Promise<number>;
  /** Paths that begin with this, folders with a slash at the end. */
  completePath?(prefix: string): readonly string[];
}

/** POSIX sh's code for a command that is not there. */
const NOT_FOUND = 127;

export class Shell {
  readonly #host: ShellHost;
  readonly #output: Output;
  readonly #commands: ReadonlyMap<string, ShellCommand>;
  /** Code of the last command: `$?`. */
  lastCode = 0;
  /** `exit` was given. */
  finished = false;

  constructor(host: ShellHost, output: Output) {
    this.#host = host;
    this.#output = output;
    const all = [...this.#builtins(), ...host.commands];
    this.#commands = new Map(all.map((command) => [command.name, command]));
  }

  prompt(): string {
    return this.#host.prompt();
  }

  /** Runs one line; resolves to the code of its last command. Never throws a Failure: it is shown. */
  async line(text: string): Promise<number> {
    if (this.#host.line !== undefined && !/^\s*(help|exit)\b/.test(text))
      return this.#whole(text, this.#host.line);
    let steps: readonly ShellStep[];
    try {
      steps = parseLine(text, this.lastCode);
    } catch (error) {
      return this.#failed('syntax', error);
    }
    for (const step of steps) {
      if (this.finished) break;
      const wanted = step.when === 'always' || (step.when === 'succeeded') === (this.lastCode === 0);
      if (wanted) this.lastCode = await this.#step(step);
    }
    return this.lastCode;
  }

  /** Runs lines until they end, `exit`, or (with `errexit`) one that fails. Resolves to the last code. */
  async script(lines: Iterable<string>, { errexit = false } = {}): Promise<number> {
    for (const line of lines) {
      const code = await this.line(line);
      if (this.finished || this.#output.closed || (errexit && code !== 0)) break;
    }
    return this.lastCode;
  }

  /** Completions of the last word of a line, and that word as typed (readline's contract). */
  complete(line: string): [string[], string] {
    const typed = /[^\s;&|<>]*$/.exec(line)?.[0] ?? '';
    const before = line.slice(0, line.length - typed.length);
    const words = (/[^;&|]*$/.exec(before)?.[0] ?? '').split(/\s+/).filter((word) => word !== '');
    const [name, ...args] = words;
    const command = name === undefined ? undefined : this.#commands.get(name);
    const candidates =
      name === undefined
        ? [...this.#commands.keys()].sort()
        : (command?.complete?.([...args, typed]) ?? this.#host.completePath?.(typed) ?? []);
    const fitting = candidates.filter((one) => one.startsWith(typed));
    return [fitting.map((one) => (one.endsWith('/') ? one : `${quoteWord(one)} `)), typed];
  }

  async #whole(text: string, line: NonNullable<ShellHost['line']>): Promise<number> {
    const call = {
      args: [text],
      out: (chunk: string | Uint8Array) => void this.#output.out(chunk),
      err: (chunk: string) => void this.#output.err(chunk),
    };
    this.lastCode = await line(text, call);
    return this.lastCode;
  }

  async #step({ words, redirect, background }: ShellStep): Promise<number> {
    const [name, ...args] = words;
    const command = this.#commands.get(name);
    if (command === undefined) {
      const guess = nearest(name, this.#commands.keys());
      this.#output.err(
        `${name}: not found\n  ${guess ? `did you mean ${guess}?` : "'help' lists the commands"}\n`,
      );
      return NOT_FOUND;
    }
    if (background) return this.#background(words, redirect);
    const written: Uint8Array[] = [];
    const out = (text: string | Uint8Array) => {
      if (redirect) written.push(typeof text === 'string' ? new TextEncoder().encode(text) : text.slice());
      else this.#output.out(text);
    };
    try {
      const code = await command.run({ args, out, err: (text) => this.#output.err(text) });
      if (redirect) await this.#host.writeFile(redirect.path, Buffer.concat(written), redirect.append);
      return code;
    } catch (error) {
      return this.#failed(name, error);
    }
  }

  async #background(words: readonly string[], redirect: Redirect | undefined): Promise<number> {
    try {
      if (this.#host.background) return await this.#host.background(words, redirect);
      throw new Failure('commands cannot run in the background here', { exitCode: 2 });
    } catch (error) {
      return this.#failed(words[0], error);
    }
  }

  #failed(who: string, error: unknown): number {
    if (!(error instanceof Failure)) throw error;
    const subject = error.subject === undefined ? '' : `${error.subject}: `;
    this.#output.err(`${who}: ${subject}${error.message}\n${error.hint ? `  ${error.hint}\n` : ''}`);
    this.lastCode = error.exitCode;
    return error.exitCode;
  }

  #builtins(): readonly ShellCommand[] {
    return [
      {
        name: 'help',
        usage: '[COMMAND]',
        summary: 'what can be typed here',
        complete: () => [...this.#commands.keys()],
        run: ({ args, out }) => this.#help(args[0], out),
      },
      {
        name: 'echo',
        usage: '[-n] [WORD]...',
        summary: 'write the words, with a line feed unless -n; > FILE writes them there',
        run: ({ args, out }) => {
          const bare = args[0] === '-n';
          out(args.slice(bare ? 1 : 0).join(' ') + (bare ? '' : '\n'));
          return 0;
        },
      },
      {
        name: 'exit',
        usage: '[CODE]',
        summary: 'leave the shell',
        complete: () => [],
        run: ({ args }) => this.#exit(args[0]),
      },
    ];
  }

  #exit(code: string | undefined): number {
    if (code !== undefined && !/^\d{1,3}$/.test(code))
      throw new Failure('the code is a number from 0 to 255', { exitCode: 2 });
    this.finished = true;
    return code === undefined ? this.lastCode : Number(code) & 0xff;
  }

  #help(name: string | undefined, out: ShellCall['out']): number {
    const all = [...this.#commands.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    const shown = name === undefined ? all : all.filter((one) => one.name === name);
    if (shown.length === 0) throw new Failure(`there is no command '${name}'`, { hint: "'help' lists them" });
    const heads = shown.map((one) => `${one.name} ${one.usage}`.trimEnd());
    const width = Math.min(36, Math.max(...heads.map((head) => head.length)));
    shown.forEach((one, i) => {
      const gap = heads[i].length > width ? `\n${' '.repeat(width)}` : '';
      out(`${heads[i].padEnd(width)}${gap}  ${one.summary}\n`);
    });
    return 0;
  }
}
