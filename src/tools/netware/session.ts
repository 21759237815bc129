/** A NetWare server and its console. */
import type { LogRecord } from '../../kernel/log.ts';
import type { StandingThing } from '../../kernel/standing.ts';
import type { Steps } from '../../kernel/steps.ts';
import { isExplicit, STARTUP_PATH, SYSTEM_PATH } from '../../systems/netware/files.ts';
import {
  offerCommand,
  raiseInterrupt,
  registeredInterrupts,
  unheardEvents,
} from '../../systems/netware/functions/registrations.ts';
import { LOAD_CODE, loadNlm, type Unreleased } from '../../systems/netware/load.ts';
import type { NetWare } from '../../systems/netware/netware.ts';
import { standing } from '../../systems/netware/standing.ts';
import { unloadNlm } from '../../systems/netware/unload.ts';
import { versionText, wording } from '../../systems/netware/wording.ts';
import { endedBy } from '../ended.ts';
import type {
  Ending,
  LoadOutcome,
  SessionLeak,
  SystemSession,
  ToolCommand,
  ToolResult,
  UnloadOutcome,
} from '../system.ts';

export const COMMANDS: readonly ToolCommand[] = [
  {
    name: 'LOAD',
    usage: '[PROTECTED | RESTART | ADDRESS SPACE=NAME] MODULE [PARAMETERS]',
    summary: 'load a module',
  },
  { name: 'UNLOAD', usage: 'MODULE', summary: 'unload a module' },
  { name: 'MODULES', usage: '[PATTERN]', summary: 'the loaded modules' },
  { name: 'SEARCH', usage: '[ADD [N] PATH | DEL N]', summary: 'where modules are looked for' },
  {
    name: 'SERVER',
    usage: '[-NS] [-NA]',
    summary: 'what the start of the server does: STARTUP.NCF, then AUTOEXEC.NCF',
  },
  { name: 'SECURE CONSOLE', usage: '', summary: 'from now on load from the search path only' },
  { name: 'PROTECTION', usage: '', summary: 'address spaces that modules were loaded for' },
  { name: 'SCREENS', usage: '', summary: 'the screens (ours: nobody presses Alt+Esc here)' },
  { name: 'KEYS', usage: 'TEXT', summary: 'type on the screen that is shown (ours); \\n is the Enter key' },
  { name: 'WAIT', usage: 'SECONDS', summary: 'let time pass (ours)' },
  { name: 'INTERRUPT', usage: 'LEVEL', summary: 'let an interrupt happen (ours: there is no hardware)' },
  { name: 'VERSION', usage: '', summary: 'what runs here' },
  { name: 'ECHO', usage: 'ON | OFF', summary: 'show the lines of NCF files as they are run, or do not' },
];

/** What one line of an NCF file came to, for the story of a start. */
export interface ScriptLine {
  /** `AUTOEXEC.NCF`. */
  readonly script: string;
  /** From 1. */
  readonly number: number;
  readonly text: string;
  /** What the server and the modules wrote meanwhile. */
  readonly said: readonly string[];
  /** In our words. */
  readonly notes: readonly string[];
  /** The module that the line asked for, and what LoadModule returned (LOAD_CODE); undefined for other commands. */
  readonly load: { readonly name: string; readonly code: number } | undefined;
  readonly failed: boolean;
}

/** NCF files that run each other. */
const MAX_NESTING = 16;

export class NetWareSession implements SystemSession {
  readonly kernel: NetWare;
  readonly release: string;
  readonly commands = COMMANDS;
  readonly prompt: string;
  private out: string[] = [];
  private notes: string[] = [];
  private echo = true;
  private nesting = 0;
  private lastLoad: ScriptLine['load'];
  /** What broke the last command off. */
  private ended: Ending['ended'];
  private tellLine: ((line: ScriptLine) => void) | undefined;

  constructor(kernel: NetWare, serverName: string) {
    this.kernel = kernel;
    this.release = `NetWare ${kernel.release} (lkm base kernel)`;
    this.prompt = `${serverName}:`;
  }

  run(words: readonly string[]): ToolResult {
    return this.line(words.join(' '));
  }

  line(text: string): ToolResult {
    this.out = [];
    this.notes = [];
    const code = this.guarded(() => this.command(text.trim()));
    return this.result(code);
  }

  private command(text: string): number {
    if (text === '' || /^(#|;|REM\b)/i.test(text)) return 0;
    const [, name, rest] = /^(\S+)\s*(.*)$/.exec(text) ?? ['', '', ''];
    switch (name.toUpperCase()) {
      case 'LOAD':
        return this.loadLine(rest);
      case 'UNLOAD':
        return this.unloadLine(rest);
      case 'MODULES':
      case 'M':
        return this.modules(rest);
      case 'SEARCH':
        return this.search(rest);
      case 'SERVER':
        return this.boot(rest);
      case 'SECURE':
        this.kernel.secure = true;
        return 0;
      case 'PROTECTION':
        return this.protection();
      case 'SCREENS':
        for (const screen of this.kernel.screens) this.out.push(screen.name);
        return 0;
      case 'KEYS':
        this.kernel.screens.press(rest.replaceAll('\\n', '\r'));
        return 0;
      case 'WAIT':
        return this.wait(rest);
      case 'INTERRUPT':
        return raiseInterrupt(this.kernel, Number(rest)) ? 0 : this.note('nothing handles this interrupt');
      case 'VERSION':
        this.out.push(this.release);
        return 0;
      case 'ECHO':
        this.echo = !/^OFF$/i.test(rest);
        return 0;
      default:
        return this.other(name, rest, text);
    }
  }

  /** A command that a module has registered, an NCF file, or (from release 5 on) a module without LOAD before it. */
  private other(name: string, rest: string, text: string): number {
    if (this.perform('console command', offerCommand(this.kernel, text))) return 0;
    const script = this.script(name);
    if (script !== undefined) return this.runScript(script.text, script.name);
    if (this.kernel.majorRelease >= 5 && this.exists(name)) return this.loadLine(`${name} ${rest}`);
    this.out.push(wording.unknownCommand);
    return 1;
  }

  private exists(name: string): boolean {
    const { files, search } = this.kernel;
    const full = /\.[^.\\/:]+$/.test(name) ? name : `${name}.NLM`;
    if (isExplicit(full)) return files.read(full) !== undefined;
    return search.paths.some((path) => files.read(`${path}${full}`) !== undefined);
  }

  private script(name: string): { name: string; text: string } | undefined {
    if (/\.[^.]+$/.test(name) && !/\.ncf$/i.test(name)) return undefined;
    const full = /\.ncf$/i.test(name) ? name : `${name}.NCF`;
    const { files, search } = this.kernel;
    const paths = isExplicit(full) ? [''] : search.paths;
    for (const path of paths) {
      const bytes = files.read(`${path}${full}`);
      if (bytes !== undefined)
        return { name: full.toUpperCase(), text: new TextDecoder('latin1').decode(bytes) };
    }
    return undefined;
  }

  private runScript(text: string, script: string): number {
    if (this.nesting >= MAX_NESTING) return this.note('NCF files run each other without end');
    this.nesting++;
    let code = 0;
    for (const [i, line] of text.split(/\r?\n/).entries()) {
      const trimmed = line.trim();
      if (trimmed === '' || /^(#|;|REM\b)/i.test(trimmed)) continue;
      if (this.echo) this.kernel.screens.say(`${this.prompt}${trimmed}`);
      code = this.scriptLine(trimmed, script, i + 1);
    }
    this.nesting--;
    return code;
  }

  private scriptLine(text: string, script: string, number: number): number {
    const said: string[] = [];
    const notes = this.notes.length;
    const stop = this.kernel.log.watch((record) => void said.push(record.text));
    this.lastLoad = undefined;
    let code: number;
    try {
      code = this.guarded(() => this.command(text));
    } finally {
      stop();
    }
    this.tellLine?.({
      script,
      number,
      text,
      said,
      notes: this.notes.slice(notes),
      load: this.lastLoad,
      failed: code !== 0,
    });
    // The line that runs this file has loaded nothing itself.
    this.lastLoad = undefined;
    return code;
  }

  private loadLine(rest: string): number {
    const space = /^(?:PROTECTED|RESTART|ADDRESS SPACE\s*=\s*(\S+))\s+/i.exec(rest);
    const [, name, parameters] =
      /^(\S+)\s*(.*)$/.exec(space === null ? rest : rest.slice(space[0].length)) ?? [];
    if (name === undefined) return this.note('LOAD wants the name of a module');
    const spaceName = space === null ? 'OS' : (space[1] ?? 'ADDRESS_SPACE1').toUpperCase();
    return this.loadModule(name, parameters, spaceName).code;
  }

  private loadModule(name: string, parameters: string, space: string) {
    this.lastLoad = { name: name.toUpperCase(), code: LOAD_CODE.INITIALIZE_FAILURE };
    const outcome = this.perform('Loader', loadNlm(this.kernel, { name, parameters, space }));
    this.lastLoad = { name: outcome.module?.name ?? name.toUpperCase(), code: outcome.code };
    if (space !== 'OS' && outcome.code === LOAD_CODE.OK)
      this.note(`address space ${space} is noted; there is one address space here`);
    if (outcome.why !== undefined) this.note(`code ${outcome.code}: ${outcome.why}`);
    return outcome;
  }

  private unloadLine(rest: string): number {
    const module = this.kernel.modules.find(rest.trim());
    if (module === undefined) {
      this.kernel.screens.say(wording.unloadNotLoaded(rest.trim().toUpperCase()));
      return 1;
    }
    const outcome = this.perform('Unloader', unloadNlm(this.kernel, module));
    if (outcome.why !== undefined) this.note(outcome.why);
    return outcome.done ? 0 : 1;
  }

  private modules(rest: string): number {
    const pattern = rest.trim() === '' ? /^/ : wildcard(rest.trim());
    const modern = this.kernel.majorRelease >= 5;
    const block = (name: string, from: string, space: string, lines: readonly string[]) => {
      if (!pattern.test(name)) return;
      this.out.push(name);
      if (modern) this.out.push(`  Loaded from [${from}]`, `  (Address Space = ${space})`);
      for (const line of lines) if (line !== '') this.out.push(`  ${line}`);
    };
    for (const library of this.kernel.loadedLibraries)
      block(library.name, 'SERVER', 'OS', [library.description]);
    for (const { name, from, space, file } of this.kernel.modules) {
      const version = file.version === undefined ? '' : versionText(file.version, this.kernel.majorRelease);
      block(name, from, space, [file.description, version, file.copyright ?? '']);
    }
    return 0;
  }

  private search(rest: string): number {
    const { search, secure } = this.kernel;
    const add = /^ADD\s+(?:(\d+)\s+)?(\S+)$/i.exec(rest);
    const remove = /^DEL\s+(\d+)$/i.exec(rest);
    if (add !== null) {
      if (secure) return this.note('the console is secured');
      const n = search.add(add[2], add[1] === undefined ? undefined : Number(add[1]));
      this.out.push(wording.searchAdded(n, search.paths[n - 1]));
    } else if (remove !== null) {
      if (!search.delete(Number(remove[1]))) return this.note(`there is no search path ${remove[1]}`);
    } else if (rest !== '') return this.note('SEARCH, SEARCH ADD [N] PATH or SEARCH DEL N');
    else for (const [i, path] of search.paths.entries()) this.out.push(wording.searchRow(i + 1, path));
    return 0;
  }

  /** STARTUP.NCF from the boot folder, then AUTOEXEC.NCF of SYS:SYSTEM. */
  private boot(rest: string): number {
    const { files, search } = this.kernel;
    search.add(STARTUP_PATH);
    let code = 0;
    for (const [option, path] of [
      [/-NS\b/i, `${STARTUP_PATH}STARTUP.NCF`],
      [/-NA\b/i, `${SYSTEM_PATH}AUTOEXEC.NCF`],
    ] as const) {
      const bytes = option.test(rest) ? undefined : files.read(path);
      const script = path.slice(path.lastIndexOf('\\') + 1);
      if (bytes !== undefined)
        code = Math.max(code, this.runScript(new TextDecoder('latin1').decode(bytes), script));
    }
    return code;
  }

  /** SERVER with these options, told line by line. */
  startUp(options: string, tell: (line: ScriptLine) => void): void {
    this.tellLine = tell;
    try {
      this.line(`SERVER ${options}`);
    } finally {
      this.tellLine = undefined;
    }
  }

  private protection(): number {
    const spaces = new Map<string, string[]>();
    for (const { space, name } of this.kernel.modules)
      spaces.set(space, [...(spaces.get(space) ?? []), name]);
    for (const [space, names] of spaces) this.out.push(`${space}: ${names.join(' ')}`);
    return 0;
  }

  private wait(rest: string): number {
    const seconds = Number(rest);
    if (!(seconds >= 0 && seconds <= 86400)) return this.note('WAIT wants seconds, a day at most');
    this.kernel.scheduler.runFor(this.kernel.time.now() + seconds * 1e9);
    return 0;
  }

  // -- machine code -----------------------------------------------------------------------------------------

  private perform<T>(name: string, steps: Steps<T>): T {
    return this.kernel.scheduler.perform(name, steps);
  }

  private guarded(act: () => number): number {
    let code: number;
    this.ended = undefined;
    try {
      code = act();
    } catch (error) {
      this.ended = endedBy(error);
      if (this.ended === undefined || !(error instanceof Error)) throw error;
      code = this.note(error.message);
    }
    this.settle();
    return code;
  }

  /** Threads run until all wait; modules that have ended go. */
  private settle(): void {
    const { kernel } = this;
    kernel.scheduler.settle();
    for (const module of [...kernel.ending]) {
      kernel.ending.delete(module);
      if (kernel.modules.byHandle(module.handle) !== undefined)
        this.perform('Unloader', unloadNlm(kernel, module));
    }
    for (const [thread, error] of kernel.scheduler.failures)
      this.note(`${thread.name}: ${error instanceof Error ? error.message : String(error)}`);
    kernel.scheduler.failures.clear();
    kernel.screens.flushAll();
  }

  private note(text: string): number {
    this.notes.push(text);
    return 1;
  }

  private result(code: number): ToolResult {
    const note = this.notes.length === 0 ? undefined : this.notes.join('\n  ');
    return { code: code === 0 ? 0 : 1, out: this.out.map((line) => `${line}\n`).join(''), err: '', note };
  }

  // -- the frame's own way ----------------------------------------------------------------------------------

  writeFile(path: string): ToolResult {
    return { code: 2, out: '', err: `${path}: the console redirects nothing\n` };
  }

  load(path: string, args: readonly string[]): LoadOutcome {
    this.out = [];
    this.notes = [];
    let name: string | undefined;
    const code = this.guarded(() => {
      const outcome = this.loadModule(path, args.join(' '), 'OS');
      name = outcome.module?.name;
      return outcome.code;
    });
    return { ...this.result(code), module: name, ended: this.ended };
  }

  unload(name: string): UnloadOutcome {
    this.out = [];
    this.notes = [];
    const { kernel } = this;
    const module = kernel.modules.find(name);
    // It may have ended by itself.
    if (module === undefined) return { ...this.result(0), leaks: [] };
    // Names are known as long as the module is there. What the server itself took for a module is not the module's to free.
    const taken = kernel.pool
      .all()
      .filter(({ caller }) => caller !== 0)
      .map((block) => ({ block, where: kernel.describeReturn(block.caller) }));
    let left: readonly Unreleased[] = [];
    const code = this.guarded(() => {
      const outcome = this.perform('Unloader', unloadNlm(kernel, module));
      if (outcome.why !== undefined) this.note(outcome.why);
      left = outcome.left;
      return outcome.done ? 0 : 1;
    });
    if (code !== 0) return { ...this.result(code), leaks: [], ended: this.ended };
    const places = new Map(taken.map(({ block, where }) => [block.address, where]));
    const heap = taken
      .filter(({ block }) => block.owner === module.handle && kernel.pool.get(block.address) === block)
      .map(({ block, where }) => ({ what: 'malloc', bytes: block.bytes, where }));
    return {
      ...this.result(code),
      leaks: [...left.flatMap((one) => tagLeaks(one, places)), ...heap],
      takenBack: left
        .filter(({ blocks }) => blocks.length === 0)
        .map(({ what, tag, count }) => ({ what, name: `${tag} (${count})` })),
    };
  }

  standing(): Iterable<StandingThing> {
    return standing(this.kernel);
  }

  logLine(record: LogRecord): string {
    return record.text;
  }

  registeredOnly(): readonly { readonly what: string; readonly name: string }[] {
    const interrupts = registeredInterrupts(this.kernel).map(({ level, routine }) => ({
      what: 'interrupt handler',
      name: `${level}: ${this.kernel.describe(routine)}`,
    }));
    const events = unheardEvents(this.kernel).map((event) => ({
      what: 'event listener',
      name: `event ${event}`,
    }));
    return [...interrupts, ...events];
  }
}

function tagLeaks({ what, tag, blocks }: Unreleased, places: ReadonlyMap<number, string>): SessionLeak[] {
  return blocks.map(({ address, bytes }) => {
    const where = places.get(address);
    return { what, bytes, where: where === undefined ? tag : `${where} for ${tag}` };
  });
}

/** `*` and `?` as DOS has them; a name without them matches what begins with it. */
function wildcard(pattern: string): RegExp {
  const escaped = pattern.toUpperCase().replace(/[.+^${}()|[\]\\]/g, '\\$&');
  const text = escaped.replaceAll('*', '.*').replaceAll('?', '.');
  return new RegExp(/[*?]/.test(pattern) ? `^${text}$` : `^${text}`);
}
