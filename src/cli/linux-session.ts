/** What the commands that run a Linux kernel share: the kernel, the module files, and the words for results. */

import { existsSync, readdirSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { decompress } from '../bytes/decompress.ts';
import { FormatError } from '../bytes/errors.ts';
import { readCertificates } from '../formats/pki/pem.ts';
import type { KernelFile } from '../systems/linux/kernelfile/kernelfile.ts';
import type { Savable } from '../systems/linux/kernelfile/saved.ts';
import { modulesBelow } from '../targets/census-tree.ts';
import { BUILT_IN, BUILT_INS, openKernel, UnknownKernel } from '../targets/kernel-store.ts';
import { NOBODY } from '../tools/linux/console.ts';
import { LinuxSession, type SessionOptions } from '../tools/linux/session.ts';
import { statIfAny } from '../tools/stat-if-any.ts';
import type { CommandContext } from './command.ts';
import { engineOf } from './engine.ts';
import { Failure, fileFailure, usageError } from './failure.ts';
import { printable } from './printable.ts';

/** The kernel that --kernel names, or the built-in one. */
export function chosenKernel(
  context: CommandContext,
  name = context.options.text('kernel') ?? BUILT_IN,
): KernelFile & Savable {
  try {
    return openKernel(name, { packaged: context.packaged, environment: context.environment });
  } catch (error) {
    if (error instanceof UnknownKernel) throw usageError(error.message);
    if (!(error instanceof FormatError)) {
      const failure = fileFailure(name, error);
      const hint = `check the path, or take a kernel that comes with lkm: ${BUILT_INS.map((one) => `builtin:${one}`).join(', ')}`;
      const missing = !name.includes('/') && (error as { code?: unknown }).code === 'ENOENT';
      throw missing ? new Failure(failure.message, { subject: name, hint, cause: error }) : failure;
    }
    const hint = 'Give a vmlinuz, an ELF vmlinux, or a .kernel saved with `lkm kernel -o`.';
    throw new Failure(error.message, { subject: name, hint, cause: error });
  }
}

const MODULE_ENDING = /\.ko(\.(gz|xz|zst))?$/;

/** Names of modules do not tell - from _ (kmod does neither). */
const moduleName = (path: string): string => basename(path).replace(MODULE_ENDING, '').replaceAll('-', '_');

/**
 * Reads module files: as given, beside the files given before, in the module tree these lie in, or among the fixtures
 * that come with lkm.
 */
export class ModuleFiles {
  private readonly context: CommandContext;
  private readonly places: string[] = [];
  private readonly trees = new Map<string, ReadonlyMap<string, string>>();

  constructor(context: CommandContext) {
    this.context = context;
  }

  /** Also look in the directory of this file. */
  beside(path: string): void {
    const place = dirname(path);
    if (!this.places.includes(place)) this.places.push(place);
  }

  readonly find = (path: string): Uint8Array | undefined => {
    const found = this.locate(path);
    return found === undefined ? undefined : unpack(this.context.readFile(found), found);
  };

  /** Where a file is that was named by a path or, as modprobe does, by module name and `.ko`. */
  locate(path: string): string | undefined {
    const candidates = [path, ...this.places.map((place) => join(place, path))];
    return (
      candidates.find((candidate) => isFile(candidate)) ??
      this.inTrees(path) ??
      [this.context.packaged(`fixtures/linux/built/${path}`)].find((candidate) => isFile(candidate))
    );
  }

  private inTrees(path: string): string | undefined {
    if (path.includes('/') || !MODULE_ENDING.test(path)) return undefined;
    for (const place of this.places) {
      const found = this.tree(place).get(moduleName(path));
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** Modules by name: those in the folder, and those of the tree (`/lib/modules/RELEASE`) that it is part of. */
  private tree(place: string): ReadonlyMap<string, string> {
    const root = treeRoot(place);
    let index = this.trees.get(root ?? place);
    if (index === undefined) {
      const paths = root === undefined ? filesIn(place) : modulesBelow(root).map((module) => module.path);
      index = new Map(paths.map((one) => [moduleName(one), one]));
      this.trees.set(root ?? place, index);
    }
    return index;
  }
}

/** Folders between a module and the root of its tree; no real tree is deeper. */
const MAX_DEPTH = 12;

/** The folder that depmod or the kernel's own build made the root of a module tree. */
function treeRoot(place: string): string | undefined {
  let at = resolve(place);
  for (let depth = 0; depth < MAX_DEPTH && dirname(at) !== at; depth++, at = dirname(at)) {
    if (['modules.dep', 'modules.order', 'modules.builtin'].some((name) => existsSync(join(at, name))))
      return at;
  }
  return undefined;
}

function filesIn(place: string): string[] {
  try {
    return readdirSync(place)
      .filter((name) => MODULE_ENDING.test(name))
      .map((name) => join(place, name));
  } catch {
    // A place that cannot be listed has no modules to offer.
    return [];
  }
}

function isFile(path: string): boolean {
  return statIfAny(path)?.isFile() ?? false;
}

function unpack(bytes: Uint8Array, path: string): Uint8Array {
  try {
    return decompress(bytes);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new Failure(error.message, { subject: path, cause: error });
  }
}

/** The files of --cert, which must hold certificates. */
export function trustedFiles({ options, readFile }: CommandContext): Uint8Array[] {
  return options.list('cert').map((path) => {
    const bytes = readFile(path);
    try {
      readCertificates(bytes);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      throw new Failure(error.message, { subject: path, cause: error });
    }
    return bytes;
  });
}

/** Boots a kernel as the shared options say; `more` adds what only one command has; `kernel`: in place of --kernel. */
export function startSession(
  context: CommandContext,
  files: ModuleFiles,
  more: Partial<SessionOptions> = {},
  kernel?: string,
): LinuxSession {
  const { options } = context;
  const session = new LinuxSession(chosenKernel(context, kernel), {
    moduleFile: files.find,
    seed: options.integer('seed'),
    certificates: context.spec.shared.includes('cert') ? trustedFiles(context) : [],
    engine: engineOf(context),
    ...more,
  });
  // Not every command that boots a kernel takes it.
  const user = context.spec.shared.includes('as') ? options.text('as') : undefined;
  if ((user ?? 'root') !== 'root') session.console.credential = NOBODY;
  return session;
}

/**
 * A record of the log as lines: seconds of virtual time since boot (an instruction takes a nanosecond) and the text. Each line
 * of a record has the time before it, as on a console (record_print_text).
 */
export function logLine({ time, text }: { time: number; text: string }): string {
  const stamp = `[${(time / 1e9).toFixed(9).padStart(14)}] `;
  return text
    .split('\n')
    .map((line) => `${stamp}${printable(line)}\n`)
    .join('');
}
