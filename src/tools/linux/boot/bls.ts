/** Entries of the Boot Loader Specification, which `blscfg` puts into the menu (/boot/loader/entries, one file each). */

export interface BlsEntry {
  readonly title: string;
  /** The file's name without its ending: what `saved_entry` has. */
  readonly id: string;
  readonly kernel: string;
  readonly initrds: readonly string[];
  readonly options: string;
}

/** The files by name, in the order of the menu: the newest version first, as rpm compares versions. */
export function blsEntries(files: ReadonlyMap<string, string>): BlsEntry[] {
  return [...files]
    .filter(([name]) => name.endsWith('.conf'))
    .map(([name, text]) => ({ id: name.replace(/\.conf$/, ''), fields: fieldsOf(text) }))
    .sort((a, b) => compareVersions(b.id, a.id))
    .flatMap(({ id, fields }) => {
      const all = (key: string) => fields.filter((one) => one.key === key).map(({ value }) => value);
      const [kernel] = all('linux');
      if (kernel === undefined) return [];
      const initrds = all('initrd').flatMap((value) => value.split(/\s+/));
      return [{ id, title: all('title')[0] ?? id, kernel, initrds, options: all('options').join(' ') }];
    });
}

function fieldsOf(text: string): { readonly key: string; readonly value: string }[] {
  return text.split('\n').flatMap((line) => {
    const [, key, value] = /^\s*([A-Za-z_-]+)\s+(.*\S)\s*$/.exec(line) ?? [];
    return key === undefined || line.trimStart().startsWith('#') ? [] : [{ key, value }];
  });
}

/** rpmvercmp: numbers as numbers, letters as letters; a number is newer than letters, `~` older than the end. */
export function compareVersions(a: string, b: string): number {
  const parts = (text: string): string[] => text.match(/\d+|[A-Za-z]+|~|\^/g) ?? [];
  const [left, right] = [parts(a), parts(b)];
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const [x, y] = [left[i], right[i]];
    if (x === y) continue;
    if (x === '~' || y === '~') return x === '~' ? -1 : 1;
    if (x === undefined || y === undefined) return x === undefined ? -1 : 1;
    const [number, other] = [/^\d/.test(x), /^\d/.test(y)];
    if (number !== other) return number ? 1 : -1;
    const difference = number ? BigInt(x) - BigInt(y) : 0n;
    if (difference !== 0n) return difference < 0n ? -1 : 1;
    if (!number) return x < y ? -1 : 1;
  }
  return 0;
}
