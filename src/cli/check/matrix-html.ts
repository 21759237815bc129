/** The matrix as one HTML page without scripts, and as JUnit's XML for continuous integration. */
import { countsOf, labelsOf, type Matrix } from '../../tools/check-matrix.ts';

/** What XML may hold: control characters are not text in it, whatever they are written as. */
const escapeXml = (text: string): string =>
  text
    .replace(/[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g, '\ufffd')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');

const STYLE = `body{font:14px sans-serif;margin:2em}table{border-collapse:collapse}th,td{border:1px solid #ccc;padding:2px 8px;text-align:left}
td.loads{background:#d9f2d9}td.refused{background:#f7d4d4}td.cannot-tell{background:#fbf0c8}thead th{position:sticky;top:0;background:#fff}`;

const WORDS = { loads: 'loads', refused: 'refused', 'cannot-tell': 'cannot tell' } as const;

export function matrixHtml(matrix: Matrix): string {
  const counts = countsOf(matrix);
  const head = matrix.kernels
    .map(({ release, name }, i) => {
      const { loads, refused } = counts[i];
      return `<th title="${escapeXml(name)}">${escapeXml(release)}<br><small>${loads} load, ${refused} refused</small></th>`;
    })
    .join('');
  const labels = labelsOf(matrix.rows);
  const rows = matrix.rows.map(({ path, cells }, i) => {
    const row = cells
      .map(({ answer, rule, error, why }) => {
        const text =
          rule === undefined ? WORDS[answer] : `${WORDS[answer]}: ${rule}${error ? ` (${error})` : ''}`;
        return `<td class="${answer}" title="${escapeXml(why ?? '')}">${escapeXml(text)}</td>`;
      })
      .join('');
    return `<tr><th title="${escapeXml(path)}">${escapeXml(labels[i])}</th>${row}</tr>`;
  });
  return (
    `<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Modules and kernels</title><style>${STYLE}</style></head>\n` +
    `<body><h1>${matrix.rows.length} modules, ${matrix.kernels.length} kernels</h1>\n` +
    `<table><thead><tr><th>module</th>${head}</tr></thead>\n<tbody>\n${rows.join('\n')}\n</tbody></table></body></html>\n`
  );
}

/** A suite for each kernel, a case for each module: refused is a failure, not known is skipped. */
export function matrixJunit(matrix: Matrix): string {
  const counts = countsOf(matrix);
  const labels = labelsOf(matrix.rows);
  const suites = matrix.kernels.map(({ release }, i) => {
    const { refused, 'cannot-tell': skipped } = counts[i];
    const cases = matrix.rows.map(({ cells }, row) => {
      const { answer, rule = '', why = '' } = cells[i];
      const open = `    <testcase name="${escapeXml(labels[row])}" classname="${escapeXml(release)}"`;
      if (answer === 'loads') return `${open}/>`;
      const inner =
        answer === 'refused'
          ? `<failure type="${escapeXml(rule)}" message="${escapeXml(why)}"/>`
          : `<skipped message="${escapeXml(why)}"/>`;
      return `${open}>${inner}</testcase>`;
    });
    const numbers = `tests="${matrix.rows.length}" failures="${refused}" skipped="${skipped}" errors="0"`;
    return `  <testsuite name="${escapeXml(release)}" ${numbers}>\n${cases.join('\n')}\n  </testsuite>`;
  });
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n${suites.join('\n')}\n</testsuites>\n`;
}
