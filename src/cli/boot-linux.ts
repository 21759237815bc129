/** `lkm boot linux`: which kernel, command line, initramfs and root; the story is in tools/linux/boot. */
import { existsSync, realpathSync } from 'node:fs';
import { basename, join } from 'node:path';
import { FormatError } from '../bytes/errors.ts';
import { chooseEntry, type GrubEntry, readGrub } from '../tools/linux/boot/grub.ts';
import { tellBoot } from '../tools/linux/boot/story.ts';
import type { CommandContext } from './command.ts';
import type { BootStory } from './commands/boot.ts';
import { Failure, fileFailure, usageError } from './failure.ts';
import { ModuleFiles, startSession } from './linux-session.ts';
import { RootFiles } from './root-files.ts';

export async function bootLinux(context: CommandContext): Promise<BootStory> {
  const { options } = context;
  if (options.list('set').length > 0)
    throw usageError('--set is for other systems than linux', 'Linux takes --append, its command line.');
  const entry = grubEntry(context);
  const root = rootOf(options.text('root'));
  const commandLine = [entry?.commandLine, options.text('append')].filter((part) => part).join(' ');
  const files = new ModuleFiles(context);
  files.beside('./x');
  const kernel =
    options.text('kernel') ?? (entry === undefined ? undefined : beside(root?.folder, entry.kernel));
  const session = startSession(context, files, { commandLine }, kernel);
  const release = `Linux ${session.k.file.release}`;
  const path = options.text('initramfs') ?? initrdOf(entry, root?.folder);
  const initramfs = path === undefined ? undefined : { name: basename(path), bytes: context.readFile(path) };
  try {
    const steps = await tellBoot({
      session,
      commandLine,
      entry: entry === undefined ? undefined : `${entry.title} (${entry.kernel})`,
      root,
      initramfs,
      modaliases: modaliases(context),
      filesIn: (folder) => new RootFiles(folder),
    });
    return { release, steps, held: { system: 'linux', release, session } };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new Failure(error.message, { subject: path, cause: error });
  }
}

function grubEntry(context: CommandContext): GrubEntry | undefined {
  const { options } = context;
  const path = options.text('grub');
  const wanted = options.text('entry');
  if (path === undefined) {
    if (wanted !== undefined) throw usageError('--entry chooses from a grub.cfg', 'name it with --grub FILE');
    return undefined;
  }
  const config = readGrub(new TextDecoder().decode(context.readFile(path)));
  const found = chooseEntry(config, wanted);
  if (found !== undefined) return found;
  const list = config.entries.map(({ number, title }) => `${number} '${title}'`).join(', ');
  throw new Failure(`has no entry '${wanted ?? config.chosen}' that starts Linux`, {
    subject: path,
    hint: list === '' ? 'it has no entry with a linux line' : `there are ${list}`,
  });
}

function rootOf(folder: string | undefined): { files: RootFiles; folder: string } | undefined {
  if (folder === undefined) return undefined;
  try {
    return { files: new RootFiles(folder), folder: realpathSync(folder) };
  } catch (error) {
    throw fileFailure(folder, error);
  }
}

/** A path of grub.cfg: below the root, or below its /boot when that is a file system of its own. */
function beside(root: string | undefined, path: string): string {
  const places = [join(root ?? '/', path), join(root ?? '/', 'boot', path)];
  return places.find((place) => existsSync(place)) ?? places[0];
}

/** The last one of the entry that is there: those before are microcode of the processor. */
function initrdOf(entry: GrubEntry | undefined, root: string | undefined): string | undefined {
  return entry?.initrds.map((path) => beside(root, path)).findLast((path) => existsSync(path));
}

function modaliases({ options, readFile }: CommandContext): string[] {
  const path = options.text('modalias');
  if (path === undefined) return [];
  const lines = new TextDecoder('latin1').decode(readFile(path)).split('\n');
  return [
    ...new Set(lines.map((line) => line.trim()).filter((line) => line !== '' && !line.startsWith('#'))),
  ];
}
