/** Paths as strings of bytes (Latin-1): file names are bytes to the module tools, whatever their encoding. */
import { readFileSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { ERROR_WORDS } from '../error-words.ts';

/** For node:fs. */
export const onDisk = (path: string): string | Buffer =>
  NOT_ASCII.test(path) ? Buffer.from(path, 'latin1') : path;

const NOT_ASCII = /[^\x00-\x7f]/;

/** A word of the command line, which Node hands over decoded. */
export const fromArgument = (word: string): string =>
  NOT_ASCII.test(word) ? Buffer.from(word).toString('latin1') : word;

/** What Node puts in the place of bytes that are no UTF-8. */
const REPLACED = '\ufffd';

/** Words of the command line of this process; those that are no UTF-8 are asked of the system, where it tells. */
export function fromArguments(words: readonly string[]): string[] {
  if (!words.some((word) => word.includes(REPLACED))) return words.map(fromArgument);
  const given = givenArguments();
  return words.map((word) => {
    const raw = word.includes(REPLACED) ? given.get(word)?.shift() : undefined;
    return raw ?? fromArgument(word);
  });
}

/** The arguments as bytes, by what Node makes of them (proc(5), /proc/pid/cmdline). */
function givenArguments(): Map<string, string[]> {
  const found = new Map<string, string[]>();
  let line: Buffer;
  try {
    line = readFileSync('/proc/self/cmdline');
  } catch {
    // Other systems have none.
    return found;
  }
  for (const raw of line.toString('latin1').split('\0')) {
    const word = Buffer.from(raw, 'latin1').toString();
    if (!word.includes(REPLACED)) continue;
    const others = found.get(word);
    if (others === undefined) found.set(word, [raw]);
    else others.push(raw);
  }
  return found;
}

export function absolute(path: string, folder: string): string {
  return isAbsolute(path) ? path : `${folder}/${path}`;
}

/** The words of strerror(3) for what a system call returned, as `%m` prints them. */
export function reason(error: unknown): string {
  const code = (error as NodeJS.ErrnoException | null)?.code ?? '';
  return ERROR_WORDS[code] ?? (code === '' ? String(error) : code);
}
