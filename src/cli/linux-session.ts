/** What the commands that run a Linux kernel share: the kernel, the module files, and the words for results. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { decompress } from '../bytes/decompress.ts';
import { FormatError } from '../bytes/errors.ts';
import type { KernelFile } from '../systems/linux/kernelfile/kernelfile.ts';
import type { Savable } from '../systems/linux/kernelfile/saved.ts';
import { BUILT_IN, openKernel, UnknownKernel } from '../targets/kernel-store.ts';
import { NOBODY } from '../tools/linux/console.ts';
import { LinuxSession, type SessionOptions } from '../tools/linux/session.ts';
import type { CommandContext } from './command.ts';
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
    if (!(error instanceof FormatError)) throw fileFailure(name, error);
    const hint = 'Give a vmlinuz, an ELF vmlinux, or a .kernel saved with `lkm kernel -o`.';
    throw new Failure(error.message, { subject: name, hint, cause: error });
  }
}

/** Reads module files: as given, beside the files given before, or among the fixtures that come with lkm. */
export class ModuleFiles {
  private readonly context: CommandContext;
  private readonly places: string[] = [];

  constructor(context: CommandContext) {
    this.context = context;
  }

  /** Also look in the directory of this file. */
  beside(path: string): void {
    const place = dirname(path);
    if (!this.places.includes(place)) this.places.push(place);
  }

  readonly find = (path: string): Uint8Array | undefined => {
    const candidates = [
      path,
      ...this.places.map((place) => join(place, path)),
      this.context.packaged(`fixtures/linux/built/${path}`),
    ];
    const found = candidates.find((candidate) => existsSync(candidate));
    return found === undefined ? undefined : unpack(readFileSync(found), found);
  };
}

function unpack(bytes: Uint8Array, path: string): Uint8Array {
  try {
    return decompress(bytes);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new Failure(error.message, { subject: path, cause: error });
  }
}

/** Boots a kernel as the shared options say; `more` adds what only one command has. */
export function startSession(
  context: CommandContext,
  files: ModuleFiles,
  more: Partial<SessionOptions> = {},
): LinuxSession {
  const { options } = context;
  const session = new LinuxSession(chosenKernel(context), {
    moduleFile: files.find,
    seed: options.integer('seed'),
    ...more,
  });
  // Not every command that boots a kernel acts as somebody.
  const user = context.spec.shared.includes('as') ? options.text('as') : undefined;
  if ((user ?? 'root') !== 'root') session.console.credential = NOBODY;
  return session;
}

/** A log line as dmesg shows it. */
export function logLine({ time, text }: { time: number; text: string }): string {
  return `[${(time / 1e9).toFixed(6).padStart(12)}] ${printable(text)}\n`;
}
