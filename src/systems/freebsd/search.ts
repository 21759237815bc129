/** Where the kernel linker looks for files: kern.module_path, linker.hints, extensions (kern_linker.c). */
import { FormatError } from '../../bytes/errors.ts';
import { HINTS_MAX, HINTS_VERSION, lookUpHint, readHints } from './hints.ts';
import type { VersionRange } from './kld.ts';

/** The compiled-in kern.module_path. */
export const DEFAULT_MODULE_PATH = '/boot/kernel;/boot/modules';
const EXTENSIONS = ['', '.ko'];

/** The files that the kernel can see. */
export interface FileSource {
  read(path: string): Uint8Array | undefined;
}

export class ModuleSearch {
  /** kern.module_path */
  path: string;
  private readonly files: FileSource;

  constructor(files: FileSource, path = DEFAULT_MODULE_PATH) {
    this.files = files;
    this.path = path;
  }

  get folders(): string[] {
    return this.path.split(';').filter((folder) => folder !== '');
  }

  read(path: string): Uint8Array | undefined {
    return this.files.read(path);
  }

  /** linker_search_kld: a name with a slash is the file; any other is looked for, as it is and with `.ko`. */
  file(name: string): string | undefined {
    if (name.includes('/')) return this.has(name) ? name : undefined;
    return this.inFolders(name, this.folders);
  }

  /** linker_search_module: what linker.hints says, or a file of the module's name. */
  module(name: string, range: VersionRange | undefined, print: (text: string) => void): string | undefined {
    for (const folder of this.folders) {
      const hinted = this.hinted(folder, name, range, print);
      const found = hinted ?? this.inFolders(name, [folder]);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  private hinted(
    folder: string,
    name: string,
    range: VersionRange | undefined,
    print: (text: string) => void,
  ): string | undefined {
    const bytes = this.files.read(`${folder}/linker.hints`);
    if (bytes === undefined) return undefined;
    if (bytes.length > HINTS_MAX) {
      print(`hints file too large ${bytes.length}\n`);
      return undefined;
    }
    const version = bytes.length < 4 ? -1 : new DataView(bytes.buffer, bytes.byteOffset).getInt32(0, true);
    if (version !== HINTS_VERSION) {
      print(`hints file version mismatch ${version}\n`);
      return undefined;
    }
    try {
      const hint = lookUpHint(readHints(bytes), name, range);
      return hint === undefined ? undefined : this.inFolders(hint.file, [folder]);
    } catch (error) {
      if (error instanceof FormatError) return undefined;
      throw error;
    }
  }

  private inFolders(name: string, folders: readonly string[]): string | undefined {
    for (const folder of folders) {
      for (const extension of EXTENSIONS) {
        const path = `${folder.replace(/\/$/, '')}/${name}${extension}`;
        if (this.has(path)) return path;
      }
    }
    return undefined;
  }

  private has(path: string): boolean {
    return this.files.read(path) !== undefined;
  }
}
