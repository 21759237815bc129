import type { Command, CommandContext } from '../command.ts';
import { usageError } from '../failure.ts';
import { ModuleFiles, startSession } from '../linux-session.ts';
import { linuxShell } from '../linux-shell.ts';

export const command: Command = {
  async run(context) {
    const { options, args } = context;
    if (args.length > 1)
      throw usageError('only one script can be run', 'Join the scripts, or run them one by one.');
    const files = new ModuleFiles(context);
    files.beside('./x');
    const session = startSession(context, files, { commandLine: options.text('cmdline') });
    const { shell, prompt } = linuxShell(context, session);
    const errexit = options.flag('errexit');
    const lines = givenLines(context);
    if (lines !== undefined) return await shell.script(lines, { errexit });
    if (!context.input.isTTY) return await shell.script(context.input.lines(), { errexit });
    await prompt();
    return shell.lastCode;
  },
};

/** The lines of --command, or of the script file; undefined when neither was given. */
function givenLines({ options, args, readFile, input }: CommandContext): Iterable<string> | undefined {
  const commands = options.list('command');
  if (commands.length > 0) return commands;
  if (args[0] === undefined) return undefined;
  if (args[0] === '-') return input.lines();
  return new TextDecoder().decode(readFile(args[0])).split('\n');
}
