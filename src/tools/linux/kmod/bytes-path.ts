/** Paths as strings of bytes (Latin-1): file names are bytes to the module tools, whatever their encoding. */
import { isAbsolute } from 'node:path';
import { ERROR_WORDS } from '../error-words.ts';

/** For node:fs. */
export const onDisk = (path: string): string | Buffer =>
  NOT_ASCII.test(path) ? Buffer.from(path, 'latin1') : path;

const NOT_ASCII = /[^\x00-\x7f]/;

/** A word of the command line, which Node hands over decoded. */
export const fromArgument = (word: string): string =>
  NOT_ASCII.test(word) ? Buffer.from(word).toString('latin1') : word;

export function absolute(path: string, folder: string): string {
  return isAbsolute(path) ? path : `${folder}/${path}`;
}

/** The words of strerror(3) for what a system call returned, as `%m` prints them. */
export function reason(error: unknown): string {
  const code = (error as NodeJS.ErrnoException | null)?.code ?? '';
  return ERROR_WORDS[code] ?? (code === '' ? String(error) : code);
}
