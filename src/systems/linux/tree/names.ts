/**
 * Names of modules and aliases as the module tools of Linux treat them. All strings of this folder hold bytes: one
 * character a byte (Latin-1), as the tools copy names without looking at their encoding.
 */

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
  let out = '';
  for (let i = 0; i < alias.length && i < PATH_MAX - 1; i++) {
    const char = alias[i];
    if (char === ']') return undefined;
    if (char === '[') {
      const close = alias.indexOf(']', i);
      if (close < 0 || close >= PATH_MAX - 1) return undefined;
      out += alias.slice(i, close + 1);
      i = close;
    } else out += char === '-' ? '_' : char;
  }
  return out;
}
