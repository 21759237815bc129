/** `lkm SYSTEM`: one native command, lines of them, or a shell. */
import type { SystemSession, ToolResult } from '../../tools/system.ts';
import { loadSystem } from '../../tools/systems.ts';
import type { Command, CommandContext } from '../command.ts';
import { nearest } from '../nearest.ts';
import { HostFiles, settingsOf, show, startSystem, systemShell } from '../system-session.ts';

/** POSIX sh's code for a command that is not there. */
const NOT_FOUND = 127;

export function systemCommand(name: string): Command {
  return {
    async run(context) {
      const system = await loadSystem(name);
      if (context.options.flag('settings')) {
        for (const setting of system.settings) context.out(`${setting.name.padEnd(16)} ${setting.summary}\n`);
        return 0;
      }
      const files = new HostFiles(context, name);
      files.beside('./x');
      const session = await startSystem(context, system, files, settingsOf(context));
      if (context.args.length > 0) return await oneTool(context, session, name);
      return await lines(context, session, name);
    },
  };
}

async function oneTool(context: CommandContext, session: SystemSession, system: string): Promise<number> {
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
    return await systemShell(context, session).line('help');
  }
  const json = context.options.flag('json');
  if (!json) session.kernel.log.watch((record) => context.err(`${session.logLine(record)}\n`));
  const result = await session.run(context.args);
  if (!json) return show(result, context);
  context.json('lkm.tool/1', jsonOf(context, session, result));
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

async function lines(context: CommandContext, session: SystemSession, system: string): Promise<number> {
  const { options, input } = context;
  const shell = systemShell(context, session);
  const errexit = options.flag('errexit');
  const given = options.list('command');
  if (given.length > 0) return await shell.script(given, { errexit });
  if (!input.isTTY) return await shell.script(input.lines(), { errexit });
  const { runPrompt } = await import('../prompt.ts');
  await runPrompt(shell, system, {
    input: input.stream(),
    output: process.stdout,
    environment: context.environment,
  });
  return shell.lastCode;
}
