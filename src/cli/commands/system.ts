/** `lkm SYSTEM`: one native command, lines of them, or a shell. */
import type { SystemSession, ToolResult } from '../../tools/system.ts';
import { loadSystem } from '../../tools/systems.ts';
import type { Command, CommandContext } from '../command.ts';
import { debuggable } from '../debugging.ts';
import { usageError } from '../failure.ts';
import { Looking } from '../looking.ts';
import { nearest } from '../nearest.ts';
import { HostFiles, settingsOf, show, startSystem, systemShell } from '../system-session.ts';

/** POSIX sh's code for a command that is not there. */
const NOT_FOUND = 127;

export function systemCommand(name: string): Command {
  return {
    async run(context) {
      if (context.options.text('target') === 'sandbox') return await inKept(context);
      const system = await loadSystem(name);
      if (context.options.flag('settings')) {
        for (const setting of system.settings) context.out(`${setting.name.padEnd(16)} ${setting.summary}\n`);
        return 0;
      }
      if (context.options.flag('json') && context.args.length === 0)
        throw usageError(
          '--json goes with one tool, not with lines',
          `Try: lkm ${name} --json TOOL [ARGUMENT]...`,
        );
      const files = new HostFiles(context, name);
      files.beside('./x');
      const given = givenLines(context);
      const debugged = context.options.integer('gdb') !== undefined;
      if (debugged && given === undefined && context.args.length === 0)
        throw usageError('under gdb the lines must be there before', 'Give a tool, or lines with --command.');
      // To go back in gdb the run is repeated, with the same lines.
      const lines = debugged && given !== undefined ? [...given] : given;
      return await debuggable(context, async (under, attach) => {
        const session = await startSystem(under, system, files, settingsOf(under));
        attach(session.kernel);
        const looking = new Looking(under, session.kernel);
        const code =
          under.args.length > 0
            ? await oneTool(under, session, name, looking)
            : await runLines(under, session, name, lines);
        looking.finish();
        return code;
      });
    },
  };
}

/** In the kernel that `lkm boot` keeps. */
async function inKept(context: CommandContext): Promise<number> {
  // Sockets are loaded for a kept kernel only: they are felt in the start of every other command.
  const { keptHere, toKeptKernel } = await import('../kept.ts');
  const held = keptHere(context);
  if (held === undefined) return await toKeptKernel(context);
  const { session, system } = held;
  if (!('run' in session)) throw new TypeError(`a kernel of ${system} is kept here`);
  return await session.kernel.log.watchedDuring(async () =>
    context.args.length > 0
      ? await oneTool(context, session, system, new Looking(context, session.kernel))
      : await runLines(context, session, system, context.options.list('command')),
  );
}

/** The lines of --command or of standard input; undefined at a terminal. */
function givenLines({ options, input }: CommandContext): Iterable<string> | undefined {
  const given = options.list('command');
  if (given.length > 0) return given;
  return input.isTTY ? undefined : input.lines();
}

async function oneTool(
  context: CommandContext,
  session: SystemSession,
  system: string,
  looking: Looking,
): Promise<number> {
  const [tool] = context.args;
  if (!session.commands.some((command) => command.name === tool)) {
    const guess = nearest(
      tool,
      session.commands.map((command) => command.name),
    );
    const hint = guess === undefined ? `'lkm ${system} help' lists them` : `did you mean ${guess}?`;
    if (tool !== 'help') {
      context.err(`lkm ${system}: there is no command '${tool}'\n  ${hint}\n`);
      return NOT_FOUND;
    }
    return await systemShell(context, session).line(context.args.slice(0, 2).join(' '));
  }
  const json = context.options.flag('json');
  if (!json) session.kernel.log.watch((record) => context.err(`${session.logLine(record)}\n`));
  const result = await session.run(context.args);
  if (!json) return show(result, context);
  context.json('lkm.tool/1', { ...jsonOf(context, session, result), ...looking.result });
  return result.code;
}

function jsonOf(context: CommandContext, session: SystemSession, result: ToolResult) {
  return {
    system: context.spec.name,
    release: session.release,
    command: context.args,
    code: result.code,
    out: result.out,
    err: result.err,
    note: result.note ?? null,
    log: session.kernel.log.records.map(({ time, level, text }) => ({ time: Math.round(time), level, text })),
  };
}

async function runLines(
  context: CommandContext,
  session: SystemSession,
  system: string,
  lines: Iterable<string> | undefined,
): Promise<number> {
  const shell = systemShell(context, session);
  if (lines !== undefined) return await shell.script(lines, { errexit: context.options.flag('errexit') });
  const { runPrompt } = await import('../prompt.ts');
  await runPrompt(shell, system, {
    input: context.input.stream(),
    output: process.stdout,
    environment: context.environment,
  });
  return shell.lastCode;
}
