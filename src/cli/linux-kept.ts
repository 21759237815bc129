/** `lkm linux --target sandbox`: in the kernel that `lkm boot linux` keeps. */
import { LinuxSession } from '../tools/linux/session.ts';
import type { CommandContext } from './command.ts';
import { keptHere, toKeptKernel } from './kept.ts';
import { linuxShell } from './linux-shell.ts';
import { quoteWord } from './shell-words.ts';

export async function linuxInKept(context: CommandContext): Promise<number> {
  const held = keptHere(context);
  if (held === undefined) return await toKeptKernel(context);
  const { session } = held;
  if (!(session instanceof LinuxSession)) throw new TypeError(`a kernel of ${held.system} is kept here`);
  return await session.k.log.watchedDuring(async () => {
    const { shell } = linuxShell(context, session);
    const lines = context.options.list('command');
    // Words on the command line are one line of the shell.
    const given = lines.length > 0 ? lines : [context.args.map(quoteWord).join(' ')];
    return await shell.script(given, { errexit: context.options.flag('errexit') });
  });
}
