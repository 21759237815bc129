/** What the command line of `lkm check` names: module files, folders of them, and kernels. */
import { readFileSync } from 'node:fs';
import { FormatError } from '../../bytes/errors.ts';
import type { CheckKernel, SystemChecker } from '../../tools/check.ts';
import { modulesOfFolder } from '../../tools/check-folder.ts';
import { checkerOf, kernelChecker } from '../../tools/checkers.ts';
import { statIfAny } from '../../tools/stat-if-any.ts';
import { SYSTEMS } from '../../tools/systems.ts';
import type { CommandContext } from '../command.ts';
import { EXIT_USAGE, Failure, fileFailure, usageError } from '../failure.ts';

export interface OpenKernel {
  readonly checker: SystemChecker;
  readonly kernel: CheckKernel;
}

/** Every kernel named, opened; a folder of kernels (/boot) stands for all of them. */
export async function openKernels(names: readonly string[], context: CommandContext): Promise<OpenKernel[]> {
  const opened: OpenKernel[] = [];
  for (const name of names) {
    const checker = await checkerFor(name);
    for (const path of checker.kernelsIn?.(name) ?? [name])
      opened.push(await openOne(checker, path, context));
  }
  return opened;
}

/** A kernel that was named and cannot be read. */
export interface Unreadable {
  readonly name: string;
  readonly why: string;
}

/** As openKernels; one that cannot be read is told among the others. @throws Failure where none can be read */
export async function openReadable(
  names: readonly string[],
  context: CommandContext,
): Promise<(OpenKernel | Unreadable)[]> {
  const found: (OpenKernel | Unreadable)[] = [];
  let first: Failure | undefined;
  const note = (name: string, error: unknown): void => {
    if (!(error instanceof Failure)) throw error;
    first ??= error;
    found.push({ name, why: error.message });
  };
  for (const name of names) {
    try {
      const checker = await checkerFor(name);
      for (const path of checker.kernelsIn?.(name) ?? [name]) {
        try {
          found.push(await openOne(checker, path, context));
        } catch (error) {
          note(path, error);
        }
      }
    } catch (error) {
      note(name, error);
    }
  }
  if (first !== undefined && found.every((one) => 'why' in one)) throw first;
  return found;
}

async function openOne(checker: SystemChecker, path: string, context: CommandContext): Promise<OpenKernel> {
  try {
    const { environment, packaged } = context;
    return { checker, kernel: await checker.open(path, { environment, packaged }) };
  } catch (error) {
    if (error instanceof FormatError) {
      const hint = path.startsWith('builtin:') ? await builtIns() : WHAT_A_KERNEL_IS;
      // Of a built-in kernel that there is not, the message has the name already.
      const subject = error.message.startsWith(`${path}: `) ? undefined : path;
      throw new Failure(error.message, { subject, hint, exitCode: 2, cause: error });
    }
    throw fileFailure(path, error, EXIT_USAGE);
  }
}

async function checkerFor(path: string): Promise<SystemChecker> {
  let checker: SystemChecker | undefined;
  try {
    checker = await kernelChecker(path);
  } catch (error) {
    throw fileFailure(path, error, EXIT_USAGE);
  }
  if (checker !== undefined) return checker;
  throw usageError(`${path} is no kernel that lkm knows`, WHAT_A_KERNEL_IS);
}

const WHAT_A_KERNEL_IS =
  'Give a kernel image, a saved .kernel, a kernel package or folder, or its Module.symvers.';

/** The built-in kernels of every system, as its checker tells them. */
async function builtIns(): Promise<string> {
  const names: string[] = [];
  for (const system of ['linux', ...SYSTEMS.map(({ name }) => name)])
    names.push(...((await checkerOf(system))?.kernels.match(/builtin:[^,]+(\([^)]*\))?/g) ?? []));
  return `There are ${names.join(', ')}.`;
}

/** Words such as `number=5` behind a module's name are its arguments, unless there is a file of that name. */
export function takeArguments(words: readonly string[]): { names: string[]; args: string } {
  const isArgument = (word: string): boolean => /^[\w.-]+=/.test(word) && statIfAny(word) === undefined;
  const args = words.filter(isArgument).map((word) => {
    const value = word.slice(word.indexOf('=') + 1);
    // As insmod joins them: the kernel takes a quoted value whole.
    return /\s/.test(value) && !value.includes('"') ? word.replace(value, () => `"${value}"`) : word;
  });
  return { names: words.filter((word) => !isArgument(word)), args: args.join(' ') };
}

export interface NamedModules {
  readonly paths: readonly string[];
  /** Those that a folder brought: nobody asked for them by name. */
  readonly found: ReadonlySet<string>;
  /** Files below the folders that belong to systems without rules here, by system. */
  readonly unruled: ReadonlyMap<string, number>;
}

/** Module files: as named, and every one below a folder that is no module itself (a bundle is one). */
export async function modulePaths(names: readonly string[]): Promise<NamedModules> {
  const paths: string[] = [];
  const found = new Set<string>();
  const unruled = new Map<string, number>();
  for (const name of names) {
    if (!isFolder(name) || /\.kext\/*$/.test(name)) {
      paths.push(name);
      continue;
    }
    const below = await modulesOfFolder(name);
    if (below.paths.length === 0) throw usageError(`there are no module files below ${name}`);
    paths.push(...below.paths);
    for (const path of below.paths) found.add(path);
    for (const [system, count] of below.unruled) unruled.set(system, (unruled.get(system) ?? 0) + count);
  }
  return { paths, found, unruled };
}

const isFolder = (path: string): boolean => statIfAny(path)?.isDirectory() === true;

export function moduleFile(path: string): { path: string; bytes: Uint8Array | undefined } {
  if (isFolder(path)) return { path, bytes: undefined };
  try {
    return { path, bytes: readFileSync(path) };
  } catch (error) {
    throw fileFailure(path, error, EXIT_USAGE);
  }
}
