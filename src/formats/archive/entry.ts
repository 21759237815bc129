/** What archives of any format hold. Paths are strings of bytes: one character a byte. */

export type EntryKind = 'file' | 'folder' | 'link' | 'other';

export interface ArchiveEntry {
  /** Without a leading `/` or `./`, and without a trailing slash; '' is the folder that everything is in. */
  readonly path: string;
  readonly kind: EntryKind;
  /** Bytes of a file. */
  readonly size: number;
  /** Seconds since 1970. */
  readonly modified: number;
  /** Permissions, without the type; undefined where the archive does not say. */
  readonly mode?: number | undefined;
  /** User and group, where the archive says whose it is. */
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  /** Where a symbolic link leads. */
  readonly target?: string | undefined;
  /** A file's bytes: unpacked when they are asked for. @throws FormatError */
  readonly bytes: () => Uint8Array;
}

/** More entries than this are no archive of modules; it bounds the memory that a made-up one takes. */
export const MOST_ENTRIES = 2_000_000;

export const NO_BYTES = new Uint8Array();

/** `./a//b/` -> `a/b`. A name that leads out of the archive stays what it says: it is found by no path. */
export function plainPath(name: string): string {
  const path = name.replace(/\/{2,}/g, '/').replace(/^\//, '');
  let start = 0;
  while (path.startsWith('./', start)) start += 2;
  const rest = path.slice(start).replace(/\/$/, '');
  return rest === '.' ? '' : rest;
}

/** Bytes as a string of bytes, up to a NUL. */
export function textOf(bytes: Uint8Array, from: number, to: number): string {
  let text = '';
  for (let at = from; at < to && bytes[at] !== 0; at++) text += String.fromCharCode(bytes[at]);
  return text;
}
