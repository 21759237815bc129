/** The files of another machine, below a folder of this one. */
import { readdirSync, readFileSync, readlinkSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import { lstatIfAny } from '../tools/stat-if-any.ts';
import type { SystemFiles } from '../tools/system.ts';
import { Failure, fileFailure } from './failure.ts';

/** Links on the way to one file: what Linux allows (path_resolution(7)). */
const MOST_LINKS = 40;

function rootFailure(folder: string, error: unknown): Failure {
  const { code } = error as NodeJS.ErrnoException;
  const told = code === 'ENOENT' ? 'there is no such folder' : code === 'ENOTDIR' ? 'is a file' : undefined;
  if (told === undefined) return fileFailure(folder, error);
  const hint = 'give the root folder of the machine that starts, as it is mounted or unpacked here';
  return new Failure(told, { subject: folder, hint, cause: error });
}

/** Paths are those of the machine itself; symbolic links, absolute ones too, never lead out of the folder. */
export class RootFiles implements SystemFiles {
  private readonly folder: string;

  /** @throws Failure when there is no such folder */
  constructor(folder: string) {
    try {
      readdirSync(folder);
    } catch (error) {
      throw rootFailure(folder, error);
    }
    this.folder = folder;
  }

  read(path: string): Uint8Array | undefined {
    const found = this.resolve(path);
    return found?.stat.isFile() ? readFileSync(found.path) : undefined;
  }

  /** All of it belongs to that machine. */
  offered(path: string): Uint8Array | undefined {
    return this.read(path);
  }

  list(path: string): readonly string[] | undefined {
    const found = this.resolve(path);
    if (!found?.stat.isDirectory()) return undefined;
    const base = path.replace(/\/*$/, '');
    return readdirSync(found.path)
      .map((name) => (this.resolve(`${base}/${name}`)?.stat.isDirectory() ? `${name}/` : name))
      .sort();
  }

  stat(path: string): { uid: number; gid: number; mode: number } | undefined {
    return this.resolve(path)?.stat;
  }

  /** Where a file of that machine is here; undefined when it has none of that path. */
  locate(path: string): string | undefined {
    return this.resolve(path)?.path;
  }

  /** Where a path of that machine is here, all links followed. */
  private resolve(path: string): { path: string; stat: Stats } | undefined {
    const wanted = path.split('/').reverse();
    const at: string[] = [];
    let links = 0;
    for (let name = wanted.pop(); name !== undefined; name = wanted.pop()) {
      if (name === '' || name === '.') continue;
      if (name === '..') {
        at.pop();
        continue;
      }
      const here = join(this.folder, ...at, name);
      const stat = lstatIfAny(here);
      if (stat === undefined) return undefined;
      if (!stat.isSymbolicLink()) {
        at.push(name);
        continue;
      }
      if (++links > MOST_LINKS) return undefined;
      const target = readlinkSync(here);
      if (target.startsWith('/')) at.length = 0;
      wanted.push(...target.split('/').reverse());
    }
    const end = join(this.folder, ...at);
    const stat = lstatIfAny(end);
    return stat === undefined ? undefined : { path: end, stat };
  }
}
