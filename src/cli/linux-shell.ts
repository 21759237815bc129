/** The interactive side of a Linux session: its console behind the shell of the command line. */

import { list } from '../systems/linux/vfs/calls.ts';
import { backgroundSteps } from '../tools/linux/background.ts';
import type { CommandResult } from '../tools/linux/console.ts';
import { writeOut } from '../tools/linux/file-commands.ts';
import type { LinuxSession } from '../tools/linux/session.ts';
import type { CommandContext } from './command.ts';
import { Failure } from './failure.ts';
import { logLine } from './linux-session.ts';
import { Shell, type ShellCall, type ShellCommand } from './shell.ts';

/** Usage and summary of the console's commands, for `help` and completion. */
const WORDS: Readonly<Record<string, readonly [usage: string, summary: string]>> = {
  insmod: ['[-f] FILE [PARAMETER=VALUE]...', 'load a module file'],
  rmmod: ['[-f] NAME', 'unload a module'],
  modprobe: ['[-arDRnqv] NAME [PARAMETER=VALUE]...', 'load a module with what it depends on, or remove it'],
  lsmod: ['', 'list the loaded modules'],
  modinfo: ['FILE...', 'show what a module says about itself'],
  finit_module: ['FILE FLAGS [PARAMETERS]', 'the bare system call'],
  delete_module: ['NAME [FLAGS]', 'the bare system call'],
  dmesg: ['', 'show the kernel log'],
  cat: ['FILE...', 'show files'],
  ls: ['[-l] [PATH]...', 'list a directory'],
  grep: ['[-A N] TEXT FILE', 'show the lines that hold a text'],
  head: ['-c BYTES FILE', 'show the beginning of a file'],
  mount: ['-t TYPE [-o OPTIONS] SOURCE DIRECTORY', 'mount a filesystem'],
  umount: ['DIRECTORY', 'unmount it'],
  mkdir: ['DIRECTORY', 'make a directory'],
  rmdir: ['DIRECTORY', 'remove an empty directory'],
  rm: ['FILE', 'remove a file'],
  mv: ['FROM TO', 'rename a file or directory'],
  ln: ['[-s] TARGET LINK', 'make a link, with -s a symbolic one'],
  readlink: ['LINK', 'show where a symbolic link leads'],
  touch: ['FILE', 'make an empty file'],
  mknod: ['FILE c|b MAJOR MINOR', 'make a device file'],
  open: ['FILE [r|w|rw][n]', 'open a file and keep it open; prints its number'],
  read: ['N [BYTES]', 'read from an open file'],
  write: ['N TEXT', 'write to an open file'],
  seek: ['N OFFSET [WHENCE]', 'move in an open file'],
  poll: ['N', 'ask what an open file is ready for'],
  ioctl: ['N COMMAND [NUMBER|u32:N|buf:BYTES]', 'control an open device'],
  close: ['N', 'close an open file'],
  syscall: ['NUMBER [ARGUMENT]...', 'make a system call'],
  sysctl: ['[-w] NAME[=VALUE]', 'show or set a kernel setting'],
  sleep: ['SECONDS', 'let virtual time pass'],
  uname: ['', 'show the release'],
};

/** Is it a command of the console, for words on the command line? */
export const isConsoleCommand = (word: string): boolean =>
  Object.hasOwn(WORDS, word) || ['as', 'echo', 'help'].includes(word);

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
      const [usage, summary] = WORDS[name] ?? ['', ''];
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
