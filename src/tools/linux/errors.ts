/** The C library's words for error numbers, as every tool prints them. */
import { errnoName } from '../../systems/linux/errno.ts';
import { ERROR_WORDS } from './error-words.ts';

export function errorText(errno: number): string {
  return ERROR_WORDS[errnoName(errno) ?? ''] ?? `Unknown error ${errno}`;
}
