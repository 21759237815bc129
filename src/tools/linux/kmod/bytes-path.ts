/** Paths as strings of bytes (Latin-1): file names are bytes to the module tools, whatever their encoding. */
import { isAbsolute } from 'node:path';

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
  return REASONS[code] ?? (code === '' ? String(error) : code);
}

const REASONS: Readonly<Record<string, string>> = {
  EPERM: 'Operation not permitted',
  ENOENT: 'No such file or directory',
  EIO: 'Input/output error',
  ENOEXEC: 'Exec format error',
  EAGAIN: 'Resource temporarily unavailable',
  ENOMEM: 'Cannot allocate memory',
  EACCES: 'Permission denied',
  EEXIST: 'File exists',
  ENOTDIR: 'Not a directory',
  EISDIR: 'Is a directory',
  EINVAL: 'Invalid argument',
  EMFILE: 'Too many open files',
  EFBIG: 'File too large',
  ENOSPC: 'No space left on device',
  ESPIPE: 'Illegal seek',
  EROFS: 'Read-only file system',
  ENAMETOOLONG: 'File name too long',
  ENOSYS: 'Function not implemented',
  ELOOP: 'Too many levels of symbolic links',
  ENODATA: 'No data available',
  EDQUOT: 'Disk quota exceeded',
  EBUSY: 'Device or resource busy',
};
