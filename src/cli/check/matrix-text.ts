/** The matrix on a terminal: a row for each module, a column for each kernel. */
import {
  type Change,
  type Counts,
  countsOf,
  labelsOf,
  type Matrix,
  type MinimalSet,
} from '../../tools/check-matrix.ts';
import { printable } from '../printable.ts';
import type { Style } from '../style.ts';

const SIGNS = { loads: '+', refused: '-', 'cannot-tell': '?' } as const;

export function matrixText(matrix: Matrix, style: Style): string {
  const { kernels, rows } = matrix;
  const counts = countsOf(matrix);
  const labels = labelsOf(rows);
  const width = Math.min(
    60,
    labels.reduce((most, label) => Math.max(most, label.length), 6),
  );
  const head = kernels.map((_, i) => `${i + 1}`.padStart(3)).join('');
  const lines = kernels.map(({ release, name }, i) => {
    const text = `${i + 1}`.padStart(3);
    return `${text}  ${printable(release)}: ${countText(counts[i], style)}${name === release ? '' : style.dim(`  ${printable(name)}`)}`;
  });
  lines.push('', `${'module'.padEnd(width)}${head}   (+ loads, - refused, ? cannot tell)`);
  for (const [i, { cells }] of rows.entries()) {
    const signs = cells.map(({ answer }) => shade(style, answer, SIGNS[answer].padStart(3))).join('');
    lines.push(`${printable(labels[i]).padEnd(width)}${signs}   ${rulesOf(cells)}`.trimEnd());
  }
  return `${lines.join('\n')}\n`;
}

function shade(style: Style, answer: keyof typeof SIGNS, text: string): string {
  if (answer === 'loads') return style.green(text);
  return answer === 'refused' ? style.red(text) : style.yellow(text);
}

const countText = (counts: Counts, style: Style): string =>
  [
    style.green(`${counts.loads} load`),
    style.red(`${counts.refused} refused`),
    ...(counts['cannot-tell'] > 0 ? [style.yellow(`${counts['cannot-tell']} not known`)] : []),
  ].join(', ');

/** The rules that stand in the way, each once. */
const rulesOf = (cells: Matrix['rows'][number]['cells']): string =>
  [...new Set(cells.flatMap(({ rule }) => (rule === undefined ? [] : [rule])))].join(', ');

export function minimalText(sets: readonly MinimalSet[], { kernels }: Matrix): string {
  const lines: string[] = [];
  for (const { name, builds, chosen, uncovered } of sets) {
    const covered = chosen.reduce((sum, one) => sum + one.kernels.length, 0);
    const of = `${covered} of ${kernels.length} kernels`;
    lines.push(
      `${printable(name)}: ${chosen.length} of ${builds} ${builds === 1 ? 'build' : 'builds'} for ${of}`,
    );
    for (const { path, kernels: mine } of chosen) {
      lines.push(`  ${printable(path)}: ${mine.map((i) => kernels[i].release).join(', ')}`);
    }
    if (uncovered.length > 0) {
      lines.push(`  no build loads on: ${uncovered.map((i) => kernels[i].release).join(', ')}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

export function changesText(changes: readonly Change[]): string {
  if (changes.length === 0) return 'Nothing changed.\n';
  const word = (cell: Change['before']): string =>
    cell === undefined
      ? 'not there'
      : `${cell.answer.replace('-', ' ')}${cell.rule === undefined ? '' : ` (${cell.rule})`}`;
  const lines = changes.map(
    ({ module, kernel, before, after }) =>
      `${printable(module)} on ${printable(kernel)}: ${word(before)} -> ${word(after)}`,
  );
  return `${lines.join('\n')}\n`;
}
