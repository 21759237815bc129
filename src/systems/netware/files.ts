/** Names of NetWare files, and the search path: `SYS:SYSTEM\` first, others as they are added. */

export interface ServerFiles {
  /** Bytes of `VOLUME:PATH\NAME`, in either case; undefined when there is none. */
  read(path: string): Uint8Array | undefined;
  /** The same for a path that the code of a module gives: what may lie there is not for the asker to choose. */
  offered(path: string): Uint8Array | undefined;
}

export const SYSTEM_PATH = 'SYS:SYSTEM\\';
export const STARTUP_PATH = 'C:\\NWSERVER\\';

export interface FoundFile {
  readonly bytes: Uint8Array;
  /** `HELLO.NLM`. */
  readonly name: string;
  /** `SYS:SYSTEM\`; empty for a file that was given by a path of the host's. */
  readonly from: string;
}

export class SearchPath {
  readonly paths: string[] = [SYSTEM_PATH];

  /** Puts a path at place n (from 1), or last. */
  add(path: string, n?: number): number {
    const full = withSlash(path.toUpperCase());
    const at = n === undefined ? this.paths.length : Math.min(this.paths.length, Math.max(0, n - 1));
    this.paths.splice(at, 0, full);
    return at + 1;
  }

  delete(n: number): boolean {
    if (!(n >= 1 && n <= this.paths.length)) return false;
    this.paths.splice(n - 1, 1);
    return true;
  }
}

function withSlash(path: string): string {
  return /[\\/:]$/.test(path) ? path : `${path}\\`;
}

/** Does a name say where the file is? */
export function isExplicit(name: string): boolean {
  return /[:\\/]/.test(name);
}

/** The extension is .NLM unless one is given. */
export function withExtension(name: string, extension = 'NLM'): string {
  return /\.[^.\\/:]+$/.test(name) ? name : `${name}.${extension}`;
}

/** Looks a file up along the search path, or where its name says. */
export function findFile(
  files: ServerFiles,
  search: SearchPath,
  name: string,
  extension?: string,
): FoundFile | undefined {
  const full = withExtension(name, extension);
  if (isExplicit(full)) {
    const bytes = files.read(full);
    const [, from, base] = /^(.*[:\\/])([^:\\/]*)$/.exec(full) ?? ['', '', full];
    return bytes && { bytes, name: base.toUpperCase(), from: from.toUpperCase() };
  }
  for (const from of search.paths) {
    const bytes = files.read(`${from}${full}`);
    if (bytes !== undefined) return { bytes, name: full.toUpperCase(), from };
  }
  return undefined;
}
