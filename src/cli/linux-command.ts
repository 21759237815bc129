/** `lkm linux` as a shell, a script or lines in a kernel of this process. */
import { existsSync } from 'node:fs';
import { CONSOLE_WORDS } from '../tools/linux/console-words.ts';
import type { CommandContext } from './command.ts';
import { type Attach, debuggable } from './debugging.ts';
import { Failure, usageError } from './failure.ts';
import { ModuleFiles, startSession } from './linux-session.ts';
import { isConsoleCommand, linuxShell } from './linux-shell.ts';
import { Looking } from './looking.ts';
import { nearest } from './nearest.ts';
import { quoteWord } from './shell-words.ts';

function nearestCommand(word: string): string | undefined {
  const guess = nearest(word, Object.keys(CONSOLE_WORDS));
  return guess && `did you mean ${guess}?`;
}

export async function runLinux(context: CommandContext): Promise<number> {
  const { options, args } = context;
  if (args.length > 1 && !isLine(context))
    throw existsSync(args[0])
      ? usageError('only one script can be run', 'Join the scripts, or run them one by one.')
      : usageError(
          `'${args[0]}' is no command of the console, and no script`,
          nearestCommand(args[0]) ?? 'lkm linux -c help lists them.',
        );
  const files = new ModuleFiles(context);
  files.beside('./x');
  const given = givenLines(context) ?? (context.input.isTTY ? undefined : context.input.lines());
  if (options.integer('gdb') === undefined) return await session(context, files, given, () => {});
  if (given === undefined)
    throw usageError('under gdb the lines must be there before', 'Give a script, or lines with --command.');
  // To go back the run is repeated, with the same lines.
  const lines = [...given];
  return await debuggable(context, (under, attach) => session(under, files, lines, attach));
}

async function session(
  context: CommandContext,
  files: ModuleFiles,
  lines: Iterable<string> | undefined,
  attach: Attach,
): Promise<number> {
  const { options } = context;
  const started = startSession(context, files, { commandLine: options.text('cmdline') });
  attach(started.k);
  const { shell, prompt } = linuxShell(context, started);
  const looking = new Looking(context, started.k);
  if (lines === undefined) await prompt();
  else await shell.script(lines, { errexit: options.flag('errexit') });
  looking.finish();
  return shell.lastCode;
}

/** Words that are a command of the console rather than a script. */
const isLine = ({ args, options }: CommandContext): boolean =>
  args.length > 0 &&
  options.list('command').length === 0 &&
  isConsoleCommand(args[0]) &&
  !existsSync(args[0]);

/** The lines of --command, the command of the words, or the script file; undefined when none was given. */
function givenLines(context: CommandContext): Iterable<string> | undefined {
  const { options, args, readFile, input } = context;
  const commands = options.list('command');
  if (commands.length > 0) return commands;
  if (isLine(context)) return [args.map(quoteWord).join(' ')];
  if (args[0] === undefined) return undefined;
  if (args[0] === '-') return input.lines();
  try {
    return new TextDecoder().decode(readFile(args[0])).split('\n');
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    // It may be meant as a command that there is not, and the plain reason would mislead.
    const hint = `a script was looked for; to run a command of the shell: lkm linux -c '${args[0]}'`;
    throw new Failure(error.message, { subject: error.subject, hint, cause: error });
  }
}
