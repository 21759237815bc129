/** The tables in /etc that bind names: one entry a line, `#` begins a comment (add_drv(1M), name_to_major(4)). */

/** Lines that are no comment and not empty, with their numbers. */
function* lines(text: string): Generator<{ line: string; number: number }> {
  for (const [i, raw] of text.split('\n').entries()) {
    const line = raw.replace(/#.*$/, '').trim();
    if (line !== '') yield { line, number: i + 1 };
  }
}

/** /etc/name_to_major and /etc/name_to_sysnum: `md 85`. Lines that are none of it are passed over, as by the kernel. */
export function parseNumbers(text: string): Map<string, number> {
  const numbers = new Map<string, number>();
  for (const { line } of lines(text)) {
    const match = /^(\S+)\s+(\d{1,9})$/.exec(line);
    if (match !== null && !numbers.has(match[1])) numbers.set(match[1], Number(match[2]));
  }
  return numbers;
}

/** The lowest number that no name has. */
export function freeNumber(numbers: ReadonlyMap<string, number>, from = 1): number {
  const used = new Set(numbers.values());
  let number = from;
  while (used.has(number)) number++;
  return number;
}

/** /etc/driver_aliases: `asy "pci11c1,480"`; driver and alias, in order. */
export function parseAliases(text: string): { driver: string; alias: string }[] {
  const found: { driver: string; alias: string }[] = [];
  for (const { line } of lines(text)) {
    const match = /^(\S+)\s+"?([^"\s]+)"?$/.exec(line);
    if (match !== null) found.push({ driver: match[1], alias: match[2] });
  }
  return found;
}

export interface MinorPermission {
  readonly driver: string;
  /** A pattern of the shell for names of minor nodes. */
  readonly minor: string;
  readonly mode: number;
  readonly owner: string;
  readonly group: string;
}

/** /etc/minor_perm: `asy:* 0666 root sys`. */
export function parseMinorPermissions(text: string): MinorPermission[] {
  return [...lines(text)].flatMap(({ line }) => {
    const match = /^([^\s:]+):(\S+)\s+([0-7]{1,6})\s+(\S+)\s+(\S+)$/.exec(line);
    if (match === null) return [];
    const [, driver, minor, mode, owner, group] = match;
    return [{ driver, minor, mode: Number.parseInt(mode, 8), owner, group }];
  });
}

/** Adds a line at the end; the file ends in a newline afterwards. */
export const withLine = (text: string, line: string): string =>
  `${text === '' || text.endsWith('\n') ? text : `${text}\n`}${line}\n`;

/** The first word of a line, up to a `:` or a comment: the driver that it is about; empty when there is none. */
export const firstName = (line: string): string => /^\s*([^\s:#]+)/.exec(line)?.[1] ?? '';

/** Without the lines whose first word is `name` (up to a `:`), comments untouched. */
export function withoutName(text: string, name: string): string {
  return text
    .split('\n')
    .filter((line) => firstName(line) !== name)
    .join('\n');
}
