/** A booted VxWorks kernel with its C shell. */
import type { LogRecord } from '../../kernel/log.ts';
import { MissingFunctionReached } from '../../kernel/missing.ts';
import { Deadlock } from '../../kernel/scheduler.ts';
import type { StandingThing } from '../../kernel/standing.ts';
import type { Steps } from '../../kernel/steps.ts';
import { ThreadKilled } from '../../kernel/thread.ts';
import { EndlessAccess, GuestFault } from '../../memory/space.ts';
import { ERROR } from '../../systems/vxworks/errno.ts';
import { symbolFlags } from '../../systems/vxworks/load-flags.ts';
import { standing } from '../../systems/vxworks/standing.ts';
import { SHELL_PRIORITY } from '../../systems/vxworks/tasks.ts';
import type { VxWorks } from '../../systems/vxworks/vxworks.ts';
import { wording } from '../../systems/vxworks/wording.ts';
import { endedBy } from '../ended.ts';
import type {
  Ending,
  LoadOutcome,
  SystemFiles,
  SystemSession,
  ToolCommand,
  ToolResult,
  UnloadOutcome,
} from '../system.ts';
import { builtins, load, type ShellState, unload } from './commands.ts';
import { Interpreter, ShellError, type ShellValue } from './interpreter.ts';
import { Modifier } from './modify.ts';
import { parseStatements, SyntaxFault } from './syntax.ts';

export const COMMANDS: readonly ToolCommand[] = [
  { name: 'ld', usage: '[SYMBOLS, NOABORT,] "FILE" | ld < FILE', summary: 'load an object module' },
  { name: 'unld', usage: '"NAME" | ID [, OPTIONS]', summary: 'unload a module' },
  { name: 'reld', usage: '"NAME" | ID', summary: 'unload a module and load it again' },
  { name: 'moduleShow', usage: '["NAME" | ID]', summary: 'the modules, or the sizes of one' },
  { name: 'lkup', usage: '["PART"]', summary: 'symbols whose names contain this' },
  { name: 'lkAddr', usage: 'ADDRESS', summary: 'symbols near an address' },
  { name: 'symShow', usage: '["PART"]', summary: 'about the symbol table' },
  { name: 'sp', usage: 'FUNCTION [, ARGUMENT]...', summary: 'spawn a task with priority 100' },
  { name: 'i', usage: '[TASK]', summary: 'the tasks and what they do' },
  { name: 'ti', usage: 'TASK', summary: 'one task' },
  { name: 'td', usage: 'TASK', summary: 'delete a task' },
  { name: 'ts', usage: 'TASK', summary: 'suspend a task' },
  { name: 'tr', usage: 'TASK', summary: 'resume a task' },
  { name: 'd', usage: '[ADDRESS [, UNITS [, WIDTH]]]', summary: 'show memory' },
  {
    name: 'm',
    usage: 'ADDRESS [, WIDTH]',
    summary: 'change memory: a value a line, an empty line goes on, . ends',
  },
  { name: 'devs', usage: '', summary: 'the devices' },
  { name: 'iosDrvShow', usage: '', summary: 'the drivers and their entries' },
  { name: 'iosFdShow', usage: '', summary: 'the open files' },
  { name: 'copy', usage: '"FROM" [, "TO"]', summary: 'copy a device or file, to the console by default' },
  { name: 'intRaise', usage: 'NUMBER', summary: 'let an interrupt happen (ours: there is no hardware)' },
  { name: 'version', usage: '', summary: 'what runs here' },
];

export class VxWorksSession implements SystemSession {
  readonly kernel: VxWorks;
  readonly release: string;
  readonly commands = COMMANDS;
  private readonly interpreter: Interpreter;
  private readonly state: ShellState;
  private modifier: Modifier | undefined;
  private out: string[] = [];
  private notes: string[] = [];
  /** The shell's own: it outlives the task that runs one line. */
  private errno = 0;
  /** What broke the last load or unload off. */
  private ended: Ending['ended'];

  constructor(kernel: VxWorks, files: SystemFiles) {
    this.kernel = kernel;
    this.release = `VxWorks (lkm base kernel) ${kernel.spec.title}`;
    this.state = {
      k: kernel,
      files,
      say: (line) => void this.out.push(line),
      note: (text) => void this.notes.push(text),
      dumpAt: kernel.spec.pool.base,
    };
    this.interpreter = new Interpreter(kernel, builtins(this.state), this.state.say);
  }

  get prompt(): string {
    return this.modifier === undefined ? '-> ' : this.modifier.prompt;
  }

  /** Words are a line whose quotes somebody has taken off: what the shell would not know as a name is put back in quotes. */
  run(words: readonly string[]): ToolResult {
    const [name, ...args] = words;
    const known = COMMANDS.some((command) => command.name === name);
    if (!known || words.length === 1) return this.line(words.join(' '));
    return this.line(`${name} ${args.map((word) => this.requoted(word)).join(' ')}`);
  }

  private requoted(word: string): string {
    const [, plain, comma] = /^(.*?)(,?)$/.exec(word) ?? ['', word, ''];
    const isExpression =
      /^(0x[0-9a-f]+|-?\d+|[<&*"'].*|)$/i.test(plain) || this.kernel.sysSymTbl.findAny(plain) !== undefined;
    return isExpression ? word : `${JSON.stringify(plain)}${comma}`;
  }

  /** One line as it is typed at the prompt. */
  line(text: string): ToolResult {
    if (this.modifier !== undefined) return this.modify(text);
    const start = /^\s*m\s+(.+)$/.exec(text);
    this.out = [];
    this.notes = [];
    let code = 0;
    try {
      if (start !== null) this.beginModify(start[1]);
      else
        for (const { expression, input } of parseStatements(text)) code = this.statement(expression, input);
    } catch (error) {
      code = this.failed(error);
    }
    this.settle();
    return this.result(code);
  }

  private statement(...args: Parameters<Interpreter['statement']>): number {
    const value = this.inShell(this.interpreter.statement(...args));
    const shown = this.interpreter.show(value);
    if (shown !== undefined) this.out.push(shown);
    if (value.failed) return 1;
    return !value.silent && Number(BigInt.asIntN(32, value.value)) === ERROR ? 1 : 0;
  }

  /** Runs steps in the shell's task, before everything else that is ready. */
  private inShell<T>(steps: Steps<T>): T {
    const { tasks, scheduler } = this.kernel;
    let result: { value: T } | undefined;
    let thrown: unknown;
    const { kernel } = this;
    const keep = (value: number) => {
      this.errno = value;
    };
    const before = this.errno;
    const body = function* (): Steps<void> {
      kernel.errno = before;
      try {
        result = { value: yield* steps };
      } catch (error) {
        thrown = error;
      }
      keep(kernel.errno);
    };
    const spec = { name: 'tShell', priority: SHELL_PRIORITY, options: 0, entry: 0, args: [] };
    const task = tasks.start(spec, body());
    if (task === undefined) throw new ShellError('no memory for the shell');
    try {
      scheduler.runUntil(() => task.thread.state === 'dead');
    } catch (error) {
      if (task.thread.state !== 'dead') tasks.kill(task);
      throw error;
    }
    scheduler.failures.delete(task.thread);
    const { outcome } = task.thread;
    if (task.failed) tasks.kill(task);
    if (thrown !== undefined) throw thrown;
    if (outcome !== undefined && 'killed' in outcome) throw outcome.killed;
    if (outcome !== undefined && 'error' in outcome) throw outcome.error;
    if (result === undefined) throw new ShellError('the shell was deleted');
    return result.value;
  }

  /** The other tasks run until all of them wait; no time passes. */
  private settle(): void {
    const { scheduler, console } = this.kernel;
    scheduler.settle();
    for (const [thread, error] of scheduler.failures) {
      this.notes.push(`${thread.name}: ${error instanceof Error ? error.message : String(error)}`);
    }
    scheduler.failures.clear();
    console.flush();
  }

  private failed(error: unknown): number {
    this.ended = endedBy(error);
    if (error instanceof SyntaxFault) {
      this.out.push(wording.syntaxError);
      this.notes.push(error.message);
      return 2;
    }
    if (error instanceof ShellError) {
      this.out.push(error.message);
      return 1;
    }
    if (error instanceof ThreadKilled) {
      this.out.push(wording.shellRestarted);
      this.notes.push(error.message);
      return 1;
    }
    if (error instanceof Deadlock || error instanceof MissingFunctionReached) {
      this.notes.push(error.message);
      return 1;
    }
    if (error instanceof GuestFault || error instanceof EndlessAccess) {
      this.out.push(wording.shellRestarted);
      this.notes.push(error.message);
      return 1;
    }
    throw error;
  }

  private result(code: number): ToolResult {
    const note = this.notes.length === 0 ? undefined : this.notes.join('\n  ');
    return { code, out: this.out.map((line) => `${line}\n`).join(''), err: '', note };
  }

  private beginModify(text: string): void {
    const [statement] = parseStatements(`modifyAt(${text})`);
    if (statement.expression.kind !== 'call') throw new ShellError('m ADDRESS [, WIDTH]');
    const values = statement.expression.args.map((one) =>
      this.inShell(this.interpreter.statement(one, undefined)),
    );
    const [address, width] = values;
    this.modifier = new Modifier(
      this.kernel,
      address.place?.address ?? Number(address.value),
      Number(width?.value ?? 2n),
    );
  }

  private modify(text: string): ToolResult {
    try {
      if (this.modifier?.line(text) === false) this.modifier = undefined;
      return { code: 0, out: '', err: '' };
    } catch (error) {
      this.modifier = undefined;
      this.out = [];
      this.notes = [];
      return this.result(this.failed(error));
    }
  }

  writeFile(path: string): ToolResult {
    const err = `${path}: the shell of VxWorks redirects nothing\n`;
    return {
      code: 2,
      out: '',
      err,
      note: 'open "NAME", 2, 0 and write FD, "TEXT", LENGTH write to a device',
    };
  }

  load(path: string): LoadOutcome {
    this.out = [];
    this.notes = [];
    this.ended = undefined;
    let id = ERROR;
    let code = 0;
    try {
      id = this.inShell(load(this.state, path, symbolFlags(0)));
      const shown: ShellValue = { value: BigInt(id) };
      this.out.push(this.interpreter.show(shown) ?? '');
    } catch (error) {
      code = this.failed(error);
    }
    this.settle();
    const loaded = this.kernel.modules.byId(id);
    if (loaded === undefined) code = 1;
    return { ...this.result(code), module: loaded?.name, ended: this.ended };
  }

  unload(module: string): UnloadOutcome {
    this.out = [];
    this.notes = [];
    this.ended = undefined;
    const found = this.kernel.modules.find(module);
    // Somebody at the prompt has removed it.
    if (found === undefined) return { ...this.result(0), leaks: [] };
    const { text } = found.segments;
    const mine = (caller: number) => caller >= text.address && caller < text.address + text.bytes;
    const describe = (caller: number) => this.kernel.describeReturn(caller);
    const taken = this.kernel.pool
      .all()
      .filter(({ caller }) => mine(caller))
      .map((block) => ({ block, where: describe(block.caller) }));
    let code = 0;
    try {
      code = this.inShell(unload(this.state, found, 0)) === ERROR ? 1 : 0;
    } catch (error) {
      code = this.failed(error);
    }
    this.settle();
    // Destructors may have freed some of it.
    const leaks = taken
      .filter(({ block }) => this.kernel.pool.get(block.address) === block)
      .map(({ block, where }) => ({ what: 'memory partition', bytes: block.bytes, where }));
    return { ...this.result(code), leaks: code === 0 ? leaks : [], ended: this.ended };
  }

  standing(): Iterable<StandingThing> {
    return standing(this.kernel);
  }

  logLine(record: LogRecord): string {
    return record.text;
  }
}
