/** `lkm boot linux`: which kernel, command line, initramfs and root; the story is in tools/linux/boot. */
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { basename, dirname, join, posix, resolve } from 'node:path';
import { FormatError } from '../bytes/errors.ts';
import { chooseEntry, type GrubEntry, type GrubFiles, readGrub } from '../tools/linux/boot/grub.ts';
import { tellBoot } from '../tools/linux/boot/story.ts';
import { statIfAny } from '../tools/stat-if-any.ts';
import type { CommandContext } from './command.ts';
import type { BootStory } from './commands/boot.ts';
import { Failure, usageError } from './failure.ts';
import { ModuleFiles, startSession } from './linux-session.ts';
import { RootFiles } from './root-files.ts';

export async function bootLinux(context: CommandContext): Promise<BootStory> {
  const { options } = context;
  if (options.list('set').length > 0)
    throw usageError('--set is for other systems than linux', 'Linux takes --append, its command line.');
  const root = rootOf(options.text('root'));
  const entry = grubEntry(context, root);
  const commandLine = [entry?.commandLine, options.text('append')].filter((part) => part).join(' ');
  const files = new ModuleFiles(context);
  files.beside('./x');
  const kernel = options.text('kernel') ?? kernelOf(entry, root);
  const session = startSession(context, files, { commandLine }, kernel);
  const release = `Linux ${session.k.file.release}`;
  const path = options.text('initramfs') ?? initrdOf(context, entry, root);
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

function grubEntry(context: CommandContext, root: Root | undefined): GrubEntry | undefined {
  const { options } = context;
  const path = options.text('grub');
  const wanted = options.text('entry');
  if (path === undefined) {
    if (wanted !== undefined) throw usageError('--entry chooses from a grub.cfg', 'name it with --grub FILE');
    return undefined;
  }
  const config = readGrub(new TextDecoder().decode(context.readFile(path)), grubFiles(path, root));
  const found = chooseEntry(config, wanted);
  if (found !== undefined) return found;
  const list = config.entries.map(({ number, title }) => `${number} '${title}'`).join(', ');
  throw new Failure(`has no entry '${wanted ?? config.chosen}' that starts Linux`, {
    subject: path,
    hint: list === '' ? 'it has no entry with a linux line' : `there are ${list}`,
  });
}

/**
 * What grub.cfg reads and asks for: files of the folder that it lies in (grubenv, custom.cfg), of the root, and, without one, of the
 * /boot that the folder is in.
 */
function grubFiles(path: string, root: Root | undefined): GrubFiles {
  const prefix = resolve(dirname(path));
  const isOwn = (wanted: string) => wanted === prefix || wanted.startsWith(`${prefix}/`);
  const place = (wanted: string): string | undefined => {
    if (isOwn(wanted)) return wanted;
    if (root !== undefined) return beside(root, wanted);
    return join(dirname(prefix), wanted.replace(/^\/boot(?=\/)/, ''));
  };
  const isFolder = (at: string) => statIfAny(at)?.isDirectory() === true;
  return {
    prefix,
    knows: (wanted) => root !== undefined || isOwn(wanted),
    read(wanted) {
      const at = place(wanted);
      return at === undefined || !existsSync(at) || isFolder(at) ? undefined : readFileSync(at, 'utf8');
    },
    list(wanted) {
      const at = place(wanted);
      return at !== undefined && isFolder(at) ? readdirSync(at).sort() : undefined;
    },
  };
}

interface Root {
  readonly files: RootFiles;
  readonly folder: string;
}

function rootOf(folder: string | undefined): Root | undefined {
  if (folder === undefined) return undefined;
  return { files: new RootFiles(folder), folder: realpathSync(folder) };
}

/** A path of grub.cfg: below the root, or below its /boot when that is a file system of its own. */
function beside(root: Root | undefined, path: string): string | undefined {
  const places = [path, posix.join('/boot', path)];
  if (root === undefined) return places.find((place) => existsSync(place));
  return places.flatMap((place) => root.files.locate(place) ?? []).at(0);
}

/** @throws Failure when the entry's kernel is not there */
function kernelOf(entry: GrubEntry | undefined, root: Root | undefined): string | undefined {
  if (entry === undefined) return undefined;
  const found = beside(root, entry.kernel);
  if (found !== undefined) return found;
  const hint =
    root === undefined ? 'name the root of that machine with --root' : 'name a kernel with --kernel';
  throw new Failure(`the kernel of '${entry.title}' is not there`, { subject: entry.kernel, hint });
}

/** The last one of the entry: those before are microcode of the processor. What is not there is told. */
function initrdOf(
  context: CommandContext,
  entry: GrubEntry | undefined,
  root: Root | undefined,
): string | undefined {
  let found: string | undefined;
  for (const path of entry?.initrds ?? []) {
    found = beside(root, path);
    if (found !== undefined) continue;
    const hint = root === undefined ? ': name the root of that machine with --root' : ` below ${root.folder}`;
    context.err(`lkm: ${path}: this initramfs of '${entry?.title}' is not there${hint}\n`);
  }
  return found;
}

function modaliases({ options, readFile }: CommandContext): string[] {
  const path = options.text('modalias');
  if (path === undefined) return [];
  const lines = new TextDecoder('latin1').decode(readFile(path)).split('\n');
  return [
    ...new Set(lines.map((line) => line.trim()).filter((line) => line !== '' && !line.startsWith('#'))),
  ];
}
