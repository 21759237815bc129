/** Names in string tables: bounded, so that a table without NULs cannot make every name as long as the file. */
import { cstring, nulAt } from '../../bytes/cstring.ts';
import { Unsupported } from '../../bytes/errors.ts';

/** Longest section or symbol name that is read. The longest in any known kernel is 511 (KSYM_NAME_LEN); C++ goes to thousands. */
export const MAX_NAME = 8192;

/** The name at `offset` of a string table, which must not be longer than MAX_NAME. @throws Unsupported */
export function boundedName(table: Uint8Array, offset: number, what: string): string {
  const limit = Math.min(table.length, offset + MAX_NAME);
  if (limit < table.length && nulAt(table, offset, limit) < 0) {
    throw new Unsupported(what, `its name is longer than ${MAX_NAME} bytes`, { value: offset });
  }
  return cstring(table, offset, limit);
}

/**
 * Most characters of all names of one table, for a file of that many bytes. Names may share their bytes, so a damaged file
 * can make each of its entries repeat the longest one; honest files stay below their own size.
 */
export function nameBudget(fileSize: number): number {
  return 65536 + fileSize * 8;
}
