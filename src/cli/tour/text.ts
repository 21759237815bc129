/** The tour as text for a terminal of 80 columns. */
import { wrap } from '../help.ts';
import { printable } from '../printable.ts';
import type { Style } from '../style.ts';
import type { Entry, Played, TourStep } from './record.ts';

const WIDTH = 80;

/** The step's number, name, title and statement. */
export function headText(step: TourStep, number: number, style: Style): string {
  const title = `${String(number).padStart(2)}  ${step.title}`;
  const name = `(${step.name})`.padStart(WIDTH - title.length);
  const statement = wrap(step.statement, WIDTH - 4).map((line) => `    ${line}\n`);
  return `\n${style.bold(title)}${style.dim(name)}\n${statement.join('')}\n`;
}

/** Breaks at blanks where there are any, and inside longer words. */
function folded(text: string, width: number): string[] {
  return wrap(text, width).flatMap((line) => line.match(new RegExp(`.{1,${width}}`, 'g')) ?? ['']);
}

function lines(text: string, first: string, next: string, paint: (text: string) => string): string {
  return folded(printable(text), WIDTH - first.length)
    .map((line, i) => `${i === 0 ? first : next}${paint(line)}\n`)
    .join('');
}

/** Said once to every kernel that is given a module of ours; they are no news after the first time. */
const ROUTINE = /loading out-of-tree module taints kernel|module verification failed: signature and/;
const ABOUT_THEM: readonly string[] = ['extend', 'signatures', 'taint'];

/** The lines of an entry that a reader wants to see; the JSON has all. */
export function isNews(entry: Entry, step: TourStep): boolean {
  return entry.kind !== 'log' || ABOUT_THEM.includes(step.name) || !ROUTINE.test(entry.text);
}

export function entryText(entry: Entry, style: Style): string {
  switch (entry.kind) {
    case 'boot':
      return lines(`(a kernel is started with ${entry.text})`, '    ', '    ', style.dim);
    case 'command':
      return lines(entry.text, entry.text.startsWith('lkm ') ? '  $ ' : '  # ', '      ', style.bold);
    case 'log':
      return lines(entry.text, '    kernel: ', '            ', style.cyan);
    case 'output':
      return outputText(entry.text);
    case 'note':
      return lines(entry.text, '    why: ', '         ', style.yellow);
    case 'say':
      return lines(entry.text, '    ', '    ', style.dim);
    case 'fact':
      return entry.holds
        ? lines(entry.text, '  + ', '    ', style.green)
        : lines(`NOT SO: ${entry.text}`, '  ! ', '    ', style.red);
  }
}

/** Columns of a table stay; only what is too wide is broken, within its indentation. */
function outputText(text: string): string {
  const parts = text.split('\n').flatMap((line) => {
    const clean = printable(line);
    if (clean.length <= WIDTH - 4) return [clean];
    const indent = /^ {0,40}/.exec(clean)?.[0] ?? '';
    return folded(clean.slice(indent.length), WIDTH - 4 - indent.length).map((part) => indent + part);
  });
  return parts.map((part) => (part === '' ? '\n' : `    ${part}\n`)).join('');
}

/** Statement, shown by, result: one row a step. */
export function summaryText(played: readonly Played[], style: Style): string {
  const rows = played.map(({ step, shown }) => {
    const result = shown ? style.green('shown') : style.red('NOT SHOWN');
    return `${step.title.padEnd(46)}  ${step.by.padEnd(21)}  ${result}\n`;
  });
  const failed = played.filter(({ shown }) => !shown).map(({ step }) => step.name);
  const end =
    failed.length === 0
      ? `All ${played.length} statements were shown.`
      : `${failed.length} of ${played.length} statements were not shown: ${failed.join(', ')}.`;
  return `\n${style.bold(`${'Statement'.padEnd(46)}  ${'Shown by'.padEnd(21)}  Result`)}\n${rows.join('')}\n${end}\n`;
}
