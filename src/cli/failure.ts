import { existsSync } from 'node:fs';
import { dirname } from 'node:path';

/** Something the user can understand and mend: shown as `lkm: SUBJECT: message` and, below it, what to try. */
export class Failure extends Error {
  override readonly name = 'Failure';
  readonly subject: string | undefined;
  readonly hint: string | undefined;
  /** 1 failed, 2 wrong usage; commands document any other. */
  readonly exitCode: number;

  constructor(
    message: string,
    details: { subject?: string; hint?: string; exitCode?: number; cause?: unknown } = {},
  ) {
    super(message, { cause: details.cause });
    this.subject = details.subject;
    this.hint = details.hint;
    this.exitCode = details.exitCode ?? 1;
  }
}

/** Also one from a program that stands in a file of its own (cli/quick), whose class is another. */
export const isFailure = (error: unknown): error is Failure =>
  error instanceof Failure || (error instanceof Error && error.name === 'Failure' && 'exitCode' in error);

export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;
/** EX_SOFTWARE of sysexits.h: told apart from a refusal, so that a script can tell a defect from an answer. */
export const EXIT_DEFECT = 70;

/** A command line that cannot be meant: exit code 2. */
export function usageError(message: string, hint?: string): Failure {
  return new Failure(message, { hint, exitCode: EXIT_USAGE });
}

/** Files of two systems in one run. */
export function mixed(path: string, its: string, other: string): Failure {
  return usageError(`${path} is a module of ${its}, and this is a kernel of ${other}`, 'Run it by itself.');
}

/** A file could not be read or written: the system's reason in words, and what to try. */
export function fileFailure(path: string, error: unknown, exitCode = EXIT_FAILED): Failure {
  const code = (error as { code?: unknown } | null)?.code;
  let [message, hint] = (typeof code === 'string' ? FILE_REASONS[code] : undefined) ?? [
    error instanceof Error ? error.message : String(error),
    undefined,
  ];
  if (code === 'ENOENT' && MODULE.test(path))
    hint = 'check the path; modules of a Linux machine are under /lib/modules/RELEASE';
  return new Failure(message, { subject: path, hint, exitCode, cause: error });
}

/** As fileFailure, for a file that was to be written: what is missing there is the folder. */
export function writeFailure(path: string, error: unknown): Failure {
  const [message, hint] = unwritable(path, error);
  return new Failure(`cannot be written: ${message}`, { subject: path, hint, cause: error });
}

/** Why it is so, and what to try. */
function unwritable(path: string, error: unknown): readonly [reason: string, hint: string | undefined] {
  if (path === '') return ['its name is empty', 'name a file'];
  const folder = dirname(path);
  switch ((error as { code?: unknown } | null)?.code) {
    case 'ENOENT':
      return existsSync(folder)
        ? [`no file can be made in ${folder}`, 'name another file']
        : [`there is no folder ${folder}`, 'make it first, or name another file'];
    case 'EISDIR':
      return ['is a folder, a file is to be written', 'name a file in it'];
    case 'EACCES':
      return ['permission denied', `nobody lets you write to ${folder}`];
    default:
      return [fileFailure(path, error).message, undefined];
  }
}

/** Files that a Linux machine keeps in one place. */
const MODULE = /\.ko(\.\w+)?$/;

const FILE_REASONS: Readonly<Record<string, readonly [string, string | undefined]>> = {
  ENOENT: ['no such file', 'check the path'],
  EACCES: [
    'permission denied',
    'kernel images are often readable by root alone: copy it, or use sudo for the copy',
  ],
  EPERM: ['operation not permitted', undefined],
  EISDIR: [
    'is a directory, a file is wanted',
    'the one kind of module that is a folder is a kext of macOS, with Contents/Info.plist in it',
  ],
  ENOTDIR: ['a part of the path is not a directory', undefined],
  EMFILE: ['too many open files', undefined],
  ENOSPC: ['no space left on the device', undefined],
  EROFS: ['the file system is read-only', undefined],
  EIO: ['the device failed to read it (EIO)', undefined],
  ELOOP: ['too many symbolic links on the way', undefined],
  ENAMETOOLONG: ['the file name is too long', undefined],
  ERR_FS_FILE_TOO_LARGE: ['is larger than 2 GiB, more than any kernel or module file', undefined],
};
