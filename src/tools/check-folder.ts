/** The module files of a folder, by what they are: those of some systems have no suffix, and one suffix is of several. */
import { join } from 'node:path';
import { catalogPaths, systemOfFile } from './catalog/read.ts';
import { checkerOf, kernelChecker } from './checkers.ts';
import { openTree } from './files.ts';

export interface FolderModules {
  /** Paths on this machine, in order. */
  readonly paths: readonly string[];
  /** Files of systems for which there are no rules, by system. */
  readonly unruled: ReadonlyMap<string, number>;
}

/** Whatever is in such a file, it is meant to be a module: what is wrong with it is told, not passed over. */
const MEANT = /\.ko(\.(gz|xz|zst))?$|\.sys$|\.nlm$|\.kext$/i;

/** Every module below the folder; a bundle is one. */
export async function modulesOfFolder(folder: string): Promise<FolderModules> {
  const tree = openTree(folder);
  const all = [...catalogPaths(tree)];
  const named = new Set(all);
  const paths: string[] = [];
  const unruled = new Map<string, number>();
  for (const path of all) {
    if (MEANT.test(path)) paths.push(join(folder, path));
    else if (!isPart(path, named)) {
      const system = await systemOfFile(tree, path, folder);
      // An object file that names no system is a module of none.
      if (system === undefined || system.guessed) continue;
      if ((await checkerOf(system.name)) === undefined)
        unruled.set(system.name, (unruled.get(system.name) ?? 0) + 1);
      else if ((await kernelChecker(join(folder, path))) === undefined) paths.push(join(folder, path));
    }
  }
  return { paths, unruled };
}

/** What kbuild leaves beside a module that it made of it. */
function isPart(path: string, all: ReadonlySet<string>): boolean {
  const stem = path.replace(/(\.mod)?\.o$/, '');
  return stem !== path && all.has(`${stem}.ko`);
}
