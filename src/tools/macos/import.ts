/** Files of the user's machine that a session reads, copied into its own tree as they are first named. */
import type { FileTree, Owner, TreeNode } from '../../systems/macos/tree.ts';
import { joinPath, ROOT_WHEEL } from '../../systems/macos/tree.ts';
import type { SystemFiles } from '../system.ts';
import type { OwnerChoice } from './settings.ts';

/** A developer's account: the first user and the group staff. */
export const DEVELOPER: Owner = { uid: 501, gid: 20 };
/** Files of one import; a folder with more is no bundle. */
const MAX_FILES = 20_000;

export class Importer {
  private readonly files: SystemFiles;
  private readonly tree: FileTree;
  private readonly owner: OwnerChoice;

  constructor(files: SystemFiles, tree: FileTree, owner: OwnerChoice) {
    this.files = files;
    this.tree = tree;
    this.owner = owner;
  }

  /** Copies a file or a folder with all that is in it; false when there is none. */
  take(from: string, to: string): boolean {
    return this.copy(from, to, { left: MAX_FILES });
  }

  private copy(from: string, to: string, budget: { left: number }): boolean {
    if (budget.left-- <= 0) throw new RangeError(`${from} has more than ${MAX_FILES} files`);
    const folder = this.files.list(from);
    if (folder !== undefined) {
      this.tree.put(to, this.node('folder', from));
      for (const name of folder) {
        const plain = name.replace(/\/$/, '');
        this.copy(`${from}/${plain}`, joinPath(to, plain), budget);
      }
      return true;
    }
    const bytes = this.files.read(from);
    if (bytes === undefined) return false;
    this.tree.put(to, { ...this.node('file', from), bytes });
    return true;
  }

  private node(kind: TreeNode['kind'], from: string): TreeNode {
    const stat = this.files.stat(from);
    const mode = (stat?.mode ?? (kind === 'folder' ? 0o755 : 0o644)) & 0o7777;
    if (this.owner === 'host' && stat !== undefined) return { kind, uid: stat.uid, gid: stat.gid, mode };
    // As an installer leaves them: nobody but the owner may write.
    return { kind, ...(this.owner === 'developer' ? DEVELOPER : ROOT_WHEEL), mode: mode & ~0o022 };
  }
}
