/** The C library's words for error numbers, as every tool prints them. */
import { Errno } from '../../systems/linux/errno.ts';
import { ERROR_WORDS } from './error-words.ts';

const TEXTS: ReadonlyMap<number, string> = new Map(
  Object.entries(Errno).flatMap(([name, number]) =>
    name in ERROR_WORDS ? [[number, ERROR_WORDS[name]] as const] : [],
  ),
);

export function errorText(errno: number): string {
  return TEXTS.get(errno) ?? `Unknown error ${errno}`;
}

/** `EINVAL`; empty for a number that has no name. */
export const errnoName = (errno: number): string =>
  Object.entries(Errno).find(([, number]) => number === errno)?.[0] ?? '';
