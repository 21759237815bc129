/**
 * Names of modules and aliases as the module tools of Linux treat them. All strings of this folder hold bytes: one
 * character a byte (Latin-1), as the tools copy names without looking at their encoding.
 */

import { ByteSink } from '../../../bytes/sink.ts';
import { latin } from './elf-facts.ts';

/** PATH_MAX of Linux: names that do not fit are cut where the tools cut them. */
export const PATH_MAX = 4096;

/** Endings of module files, by what they are compressed with. */
export const MODULE_ENDINGS: readonly string[] = ['.ko', '.ko.gz', '.ko.xz', '.ko.zst'];

/** Is this the name of a module file? A name that is only the ending is none. */
export function isModuleFile(name: string): boolean {
  return MODULE_ENDINGS.some((ending) => name.length > ending.length && name.endsWith(ending));
}

export function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** The module's name in that word: up to the first dot, with underscores for dashes. */
export function normalizeName(word: string): string {
  const dot = word.indexOf('.');
  const end = Math.min(dot < 0 ? word.length : dot, PATH_MAX - 1);
  return word.slice(0, end).replaceAll('-', '_');
}

/** The module's name of a path. */
export const nameOfPath = (path: string): string => normalizeName(baseName(path));

/**
 * An alias with underscores for dashes outside brackets; undefined for one whose brackets do not match, which no index
 * can hold.
 */
export function normalizeAlias(alias: string): string | undefined {
  if (!alias.includes('[') && !alias.includes(']')) return alias.replaceAll('-', '_').slice(0, PATH_MAX - 1);
  const out = new ByteSink(alias.length);
  const bytes = Uint8Array.from(alias, (char) => char.charCodeAt(0));
  return appendAlias(out, bytes, 0, bytes.length) ? latin(out.bytes, 0, out.length) : undefined;
}

/** The same for bytes[from, to), which are added to `out`; false for brackets that do not match. */
export function appendAlias(out: ByteSink, bytes: Uint8Array, from: number, to: number): boolean {
  const end = Math.min(to, from + PATH_MAX - 1);
  out.room(end - from);
  const target = out.bytes;
  let inside = false;
  let length = out.length;
  for (let at = from; at < end; at++) {
    const byte = bytes[at];
    if (inside) inside = byte !== CLOSE;
    else if (byte === CLOSE) return false;
    else if (byte === OPEN) inside = true;
    target[length++] = byte === DASH && !inside ? UNDERSCORE : byte;
  }
  out.length = length;
  return !inside;
}

const [DASH, UNDERSCORE, OPEN, CLOSE] = [0x2d, 0x5f, 0x5b, 0x5d];
