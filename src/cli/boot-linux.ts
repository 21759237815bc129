/** `lkm boot linux`. */
import type { CommandContext } from './command.ts';
import type { BootStory } from './commands/boot.ts';
import { usageError } from './failure.ts';
import { ModuleFiles, startSession } from './linux-session.ts';

export async function bootLinux(context: CommandContext): Promise<BootStory> {
  const { options } = context;
  if (options.list('set').length > 0)
    throw usageError('--set is for other systems than linux', 'Linux takes --append, its command line.');
  const files = new ModuleFiles(context);
  files.beside('./x');
  const session = startSession(context, files, { commandLine: options.text('append') });
  const release = `Linux ${session.k.file.release}`;
  return { release, steps: [], held: { system: 'linux', release, session } };
}
