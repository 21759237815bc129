/** The one screen of `lkm inspect` for files of other systems than Linux. */
import type { Description } from '../tools/system.ts';
import { wrap } from './help.ts';
import { printable } from './printable.ts';
import type { Style } from './style.ts';

const LABEL = 13;
const ON_REQUEST: readonly string[] = ['imports', 'exports', 'sections'];

export function descriptionScreen(
  path: string,
  { rows, lists }: Description,
  options: { readonly lists: readonly string[]; readonly columns: number; readonly style: Style },
): string {
  const { columns, style } = options;
  const lines = [style.bold(printable(path))];
  for (const [label, text] of rows) {
    if (text === '') continue;
    const [first, ...rest] = wrap(printable(text).replace(/\s+/g, ' '), Math.max(30, columns - LABEL - 2));
    lines.push(`  ${style.dim(printable(label).padEnd(LABEL - 1))} ${first}`);
    for (const more of rest) lines.push(' '.repeat(LABEL + 2) + more);
  }
  for (const list of lists) {
    if (ON_REQUEST.includes(list.name) && !options.lists.includes(list.name)) continue;
    lines.push('', `${list.title}: ${list.rows.length}`, ...list.rows.map((row) => `  ${printable(row)}`));
  }
  return lines.join('\n') + '\n';
}
