/** The tree of module files that a command names. */
import type { CatalogEntry } from '../catalog/entry.ts';
import type { FileTree } from '../catalog/file-tree.ts';
import { openTree } from '../tools/files.ts';
import type { CommandContext } from './command.ts';
import { Failure, fileFailure } from './failure.ts';

/** A folder or an archive. @throws Failure */
export function catalogTree(path: string): FileTree {
  try {
    return openTree(path);
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ENOTDIR') throw fileFailure(path, error);
    const hint = 'Give a folder of modules, or an archive with one (tar, cpio, zip, deb, rpm).';
    throw new Failure('is no folder and no archive', { subject: path, hint, cause: error });
  }
}

/** Groups shown; --json has all. */
const SHOWN = 3;

/** Says which files are one where a disk does not tell upper from lower case. */
export function reportCollisions(
  context: CommandContext,
  path: string,
  groups: readonly (readonly string[])[],
): void {
  for (const group of groups.slice(0, SHOWN))
    context.err(`lkm: ${path}: one file where a disk does not tell A from a: ${group.join(', ')}\n`);
  if (groups.length > SHOWN)
    context.err(`lkm: ${path}: ${groups.length - SHOWN} more such names (--json lists all)\n`);
}

/** The systems whose modules these are, in the order of their names. */
export const systemsOf = (entries: readonly CatalogEntry[]): readonly string[] =>
  [...new Set(entries.map(({ system }) => system))].sort();
