/** NetWare's volumes on the files of this machine: names in either case, `SYS:SYSTEM\NAME` in folders as people keep them. */
import type { ServerFiles } from '../../systems/netware/files.ts';
import { inAnyCase } from '../any-case.ts';
import type { SystemFiles } from '../system.ts';

export interface VolumeFolders {
  /** Where SYS: is; the folder that files are looked for in when it is empty. */
  readonly sys: string;
  /** Where C:\NWSERVER is. */
  readonly boot: string;
}

export class Volumes implements ServerFiles {
  private readonly files: SystemFiles;
  private readonly folders: VolumeFolders;

  constructor(files: SystemFiles, folders: VolumeFolders) {
    this.files = files;
    this.folders = folders;
  }

  read(path: string): Uint8Array | undefined {
    return this.first(path, (candidate) => this.files.read(candidate));
  }

  /** All of a folder that somebody gave as SYS: or the server's own is offered. */
  offered(path: string): Uint8Array | undefined {
    const { sys, boot } = this.folders;
    const within = (candidate: string): boolean =>
      [sys, boot].some((folder) => folder !== '' && candidate.startsWith(`${folder}/`)) &&
      !candidate.split('/').includes('..');
    return this.first(path, (candidate) =>
      within(candidate) ? this.files.read(candidate) : this.files.offered?.(candidate),
    );
  }

  private first(path: string, read: (path: string) => Uint8Array | undefined): Uint8Array | undefined {
    for (const candidate of this.candidates(path)) {
      const bytes = read(candidate) ?? read(inAnyCase(this.files, candidate));
      if (bytes !== undefined) return bytes;
    }
    return undefined;
  }

  /** `SYS:SYSTEM\X.NLM` is SYSTEM/X.NLM in the folder of SYS, or X.NLM there, when somebody keeps them flat. */
  private candidates(path: string): string[] {
    const [, volume, rest] = /^([A-Za-z][\w-]*:)?(.*)$/.exec(path) ?? ['', undefined, path];
    const unix = rest.replaceAll('\\', '/').replace(/^\/+/, '');
    if (volume === undefined) return [rest];
    const folder = volume.length === 2 ? this.folders.boot : this.folders.sys;
    const inside = (name: string) => (folder === '' ? name : `${folder}/${name}`);
    const base = unix.split('/').at(-1) ?? unix;
    return base === unix ? [inside(unix)] : [inside(unix), inside(base)];
  }
}
