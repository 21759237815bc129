/** The interactive side of a Linux session: its console behind the shell of the command line. */

import { list } from '../systems/linux/vfs/calls.ts';
import { backgroundSteps } from '../tools/linux/background.ts';
import type { CommandResult } from '../tools/linux/console.ts';
import { CONSOLE_WORDS } from '../tools/linux/console-words.ts';
import { writeOut } from '../tools/linux/file-commands.ts';
import type { LinuxSession } from '../tools/linux/session.ts';
import type { CommandContext } from './command.ts';
import { Failure } from './failure.ts';
import { logLine } from './linux-session.ts';
import { Shell, type ShellCall, type ShellCommand } from './shell.ts';

/** Is it a command of the console, for words on the command line? */
export const isConsoleCommand = (word: string): boolean =>
  Object.hasOwn(CONSOLE_WORDS, word) || ['as', 'echo', 'help'].includes(word);

const AS: ShellCommand['summary'] = 'run a command as another user';

export function linuxShell(
  context: CommandContext,
  session: LinuxSession,
  { quietLog = false }: { quietLog?: boolean } = {},
): { shell: Shell; prompt: () => Promise<void> } {
  const { console } = session;
  if (!quietLog) session.k.log.watch((record) => context.out(logLine(record)));
  const run = (words: readonly string[], call: ShellCall) => show(console.run(words), call);
  const commands: ShellCommand[] = console.names
    .filter((name) => name !== 'echo')
    .map((name) => {
      const [usage, summary] = CONSOLE_WORDS[name] ?? ['', ''];
      return { name, usage, summary, run: (call: ShellCall) => run([name, ...call.args], call) };
    });
  commands.push({
    name: 'as',
    usage: 'USER COMMAND...',
    summary: AS,
    run: (call) => run(['as', ...call.args], call),
  });
  commands.push({
    name: 'wait',
    usage: '',
    summary: 'wait for the commands in the background (COMMAND &)',
    run: (call) => show(console.wait(), call),
  });
  const shell = new Shell(
    {
      commands,
      prompt: () => (console.credential.uid === 0 ? '# ' : '$ '),
      writeFile: (path, bytes, append) => {
        const result = console.process('sh', writeOut(session.k, path, bytes, append));
        if (result.code !== 0)
          throw new Failure(result.output.replace(/^sh: /, ''), { subject: path, hint: result.note });
      },
      background: (words, redirect) => {
        const to = redirect === undefined ? [] : ['>', redirect.path];
        const result = console.start(words[0], backgroundSteps(console, [...words, ...to]));
        return show(result, plainCall(context));
      },
      completePath: (prefix) => completePath(session, prefix),
    },
    context.output,
  );
  return { shell, prompt: () => ask(context, shell) };
}

async function ask(context: CommandContext, shell: Shell): Promise<void> {
  const { runPrompt } = await import('./prompt.ts');
  await runPrompt(shell, 'linux', {
    input: context.input.stream(),
    output: process.stdout,
    environment: context.environment,
  });
}

const plainCall = (context: CommandContext): ShellCall => ({
  args: [],
  out: (text) => context.out(text),
  err: (text) => context.err(text),
});

function show(result: CommandResult, call: ShellCall): number {
  const text = result.output === '' || result.output.endsWith('\n') ? result.output : `${result.output}\n`;
  if (result.code === 0) call.out(text);
  else call.err(text);
  if (result.note !== undefined) call.err(`  ${result.note}\n`);
  return result.code;
}

function completePath(session: LinuxSession, prefix: string): readonly string[] {
  const slash = prefix.lastIndexOf('/');
  if (slash < 0) return [];
  const directory = prefix.slice(0, slash + 1);
  const names = session.k.runTask('sh', list(session.k, directory));
  if (typeof names === 'number') return [];
  return names.map((name) => directory + name).filter((path) => path.startsWith(prefix));
}
