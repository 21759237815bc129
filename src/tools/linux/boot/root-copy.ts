/**
 * What the module tools read of a machine's root, copied into a folder of its own: links, absolute ones too, lead where they
 * lead on that machine, never to files of this one, and nothing is written into the root.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, posix } from 'node:path';
import { makeFolder } from '../../../targets/make-folder.ts';
import type { SystemFiles } from '../../system.ts';
import { configFolders } from '../kmod/config-files.ts';

const MODULE = /\.ko(\.(gz|xz|zst))?$/;
/** No real tree is deeper, or has more modules; links in a ring have. */
const MOST_DEPTH = 16;
const MOST_MODULES = 50_000;

export class RootCopy {
  readonly folder: string;
  private readonly files: SystemFiles;
  private readonly tree: string;
  private modules = 0;

  /** `folder` does not exist yet. */
  constructor(files: SystemFiles, folder: string, release: string) {
    this.files = files;
    this.folder = folder;
    this.tree = `/lib/modules/${release}`;
    mkdirSync(folder);
    for (const place of configFolders('modprobe.d')) this.copyFiles(place, /\.conf$/);
    this.copyFiles(this.tree, /^modules\./);
  }

  /** Has it no index of its modules, as a package that was unpacked? */
  get lacksIndexes(): boolean {
    return !existsSync(`${this.folder}${this.tree}/modules.dep.bin`);
  }

  /** For an index that is to be made. */
  copyModules(folder = this.tree, depth = 0): void {
    if (depth > MOST_DEPTH) return;
    for (const name of this.files.list(folder) ?? []) {
      if (this.modules >= MOST_MODULES) return;
      // Links to the headers and sources of the kernel: depmod passes them over.
      if (depth === 0 && (name === 'build/' || name === 'source/')) continue;
      if (name.endsWith('/')) this.copyModules(`${folder}/${name.slice(0, -1)}`, depth + 1);
      else if (MODULE.test(name)) {
        this.modules++;
        this.place(`${folder}/${name}`);
      }
    }
  }

  /** Where a file of the root is here; `path`: of that machine, or below the copy. A string of bytes, as the tools have it. */
  readonly place = (path: string): string => {
    const below = path.startsWith(`${this.folder}/`) ? path.slice(this.folder.length) : path;
    const wanted = Buffer.from(below, 'latin1').toString();
    const here = `${this.folder}${posix.normalize(`/${wanted}`)}`;
    if (!existsSync(here)) {
      const bytes = this.files.read(wanted);
      if (bytes !== undefined) put(here, bytes);
    }
    return Buffer.from(here).toString('latin1');
  };

  /** A file that cannot be read is empty: a link to /dev/null keeps out the files of that name in later folders. */
  private copyFiles(folder: string, names: RegExp): void {
    for (const name of this.files.list(folder) ?? [])
      if (!name.endsWith('/') && names.test(name))
        put(`${this.folder}${folder}/${name}`, this.files.read(`${folder}/${name}`) ?? new Uint8Array(0));
  }
}

function put(path: string, bytes: Uint8Array): void {
  makeFolder(dirname(path));
  writeFileSync(path, bytes);
}
