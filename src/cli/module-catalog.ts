/** The tree of module files that a command names. */
import type { FileTree } from '../catalog/file-tree.ts';
import { openTree } from '../tools/files.ts';
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
