import type { Command, CommandContext } from '../command.ts';
import { usageError } from '../failure.ts';
import { ModuleFiles, startSession } from '../linux-session.ts';
import { linuxShell } from '../linux-shell.ts';
import { Looking } from '../looking.ts';

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
    const looking = new Looking(context, session.k);
    const lines = givenLines(context) ?? (context.input.isTTY ? undefined : context.input.lines());
    if (lines === undefined) await prompt();
    else await shell.script(lines, { errexit });
    looking.finish();
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
