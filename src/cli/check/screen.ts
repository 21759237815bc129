/** One screen about one module and one kernel. */
import type { RuleResult, SymbolProblem, Verdict } from '../../tools/check.ts';
import { wrap } from '../help.ts';
import { printable } from '../printable.ts';
import type { Style } from '../style.ts';

export interface ScreenOptions {
  readonly columns: number;
  readonly style: Style;
  /** List every rule, not only those that say something. */
  readonly rules: boolean;
}

const LABEL = 13;
/** Longer lists are cut on the screen; --json has all of them. */
const FEW_SYMBOLS = 3;
const FEW_LINES = 6;

export function verdictScreen(verdict: Verdict, options: ScreenOptions): string {
  const { style } = options;
  const { module, kernel, answer } = verdict;
  const lines = [
    `${style.bold(printable(module.path))} on ${printable(kernel.release)}: ${answerText(verdict, style)}`,
  ];
  const refused = verdict.rules.find(({ outcome }) => outcome === 'refuse');
  const add = (label: string, text: string) => lines.push(...row(label, text, options));
  if (refused !== undefined) {
    add('rule', `${refused.rule}: ${refused.title}`);
    add('why', refused.why);
    if (refused.hint !== '') add('what to do', refused.hint);
  }
  const open = answer === 'refused' ? [] : verdict.rules.filter(({ outcome }) => outcome === 'unknown');
  for (const one of open) {
    add('not known', `${one.rule}: ${one.why}`);
  }
  for (const { what, how } of verdict.missing) add('to find out', `${what}: ${how}`);
  for (const [i, cause] of verdict.causes.entries()) add(i === 0 ? 'cause' : '', cause);
  lines.push(...symbolRows(verdict.symbols, options));
  lines.push(...kernelLines(verdict, options));
  if (verdict.taints.length > 0) {
    add(
      'taints',
      verdict.taints.map(({ letter, meaning }) => `${letter}${letter && ': '}${meaning}`).join('; '),
    );
  }
  if (verdict.first.length > 0) add('load first', firstText(verdict));
  for (const remark of verdict.remarks) add('note', remark);
  add('rules', ruleCounts(verdict.rules));
  if (answer !== 'refused') add('', 'What its own start function decides is not judged.');
  if (options.rules) lines.push(...verdict.rules.map((one) => ruleLine(one, style)));
  return `${lines.join('\n')}\n`;
}

function row(label: string, text: string, { columns, style }: ScreenOptions): string[] {
  const [first, ...rest] = wrap(printable(text).replace(/\s+/g, ' '), Math.max(30, columns - LABEL - 2));
  return [
    `  ${style.dim(label.padEnd(LABEL - 1))} ${first}`,
    ...rest.map((more) => ' '.repeat(LABEL + 2) + more),
  ];
}

/** The verdict in capitals, with the rule and what the loader's caller gets. */
export /** Codes with bits of their own (NTSTATUS, VxWorks) are read in hexadecimal. */
const numberText = (number: number): string =>
  number > 0xffff ? `0x${number.toString(16).padStart(8, '0')}` : `${number}`;

function answerText({ answer, rules }: Verdict, style: Style): string {
  if (answer === 'loads') return style.green('LOADS');
  if (answer === 'cannot-tell') return style.yellow('CANNOT TELL');
  const refused = rules.find(({ outcome }) => outcome === 'refuse');
  const { error } = refused ?? {};
  return style.red(
    `REFUSED${error === undefined ? '' : ` with ${error.name} (${numberText(error.number)})`}`,
  );
}

function symbolRows(symbols: readonly SymbolProblem[], options: ScreenOptions): string[] {
  const shown = symbols.slice(0, FEW_SYMBOLS);
  const lines = shown.flatMap((symbol, i) => {
    const { name, wanted, offered, why, changes = [] } = symbol;
    const versions =
      wanted && offered && wanted !== offered ? ` (built against ${wanted}, here ${offered})` : '';
    const text = `${name}${versions}: ${why}`;
    return [
      ...row(i === 0 ? 'symbols' : '', text, options),
      ...changes.slice(0, 1).flatMap((change) => row('', `- ${change}`, options)),
    ];
  });
  const more = symbols.length - shown.length;
  return more > 0 ? [...lines, ...row('', `and ${more} more (--json lists them)`, options)] : lines;
}

/** What would stand in the kernel's log. */
function kernelLines({ rules, answer }: Verdict, options: ScreenOptions): string[] {
  const said = rules.flatMap((rule) => rule.said);
  if (said.length === 0) {
    return answer === 'refused'
      ? row('kernel says', 'nothing: the caller gets the error alone', options)
      : [];
  }
  const lines = said.slice(0, FEW_LINES).map(({ text }, i) => {
    const label = (i === 0 ? 'kernel says' : '').padEnd(LABEL - 1);
    return `  ${options.style.dim(label)} ${printable(text).replaceAll('\n', `\n${' '.repeat(LABEL + 2)}`)}`;
  });
  const more = said.length - FEW_LINES;
  return more > 0 ? [...lines, ...row('', `and ${more} more lines`, options)] : lines;
}

function firstText({ first }: Verdict): string {
  return first
    .map(({ name, answer, optional }) => {
      const words = [
        ...(optional ? ['if it can be'] : []),
        ...(answer === 'refused' ? ['refused itself'] : []),
      ];
      return words.length > 0 ? `${name} (${words.join('; ')})` : name;
    })
    .join(', ');
}

function ruleCounts(rules: readonly RuleResult[]): string {
  const count = (outcome: RuleResult['outcome']) => rules.filter((one) => one.outcome === outcome).length;
  const notes = rules.filter(({ outcome }) => outcome === 'note').map(({ rule }) => rule);
  const parts = [`${count('pass')} of ${rules.length} pass without a word`];
  if (notes.length > 0) parts.push(`${notes.length} with one (${notes.join(', ')})`);
  if (count('unknown') > 0) parts.push(`${count('unknown')} not known`);
  if (count('refuse') > 0) parts.push('1 refuses');
  if (count('not-reached') > 0) parts.push(`${count('not-reached')} not reached`);
  return `${parts.join(', ')}.`;
}

const MARKS: Readonly<Record<RuleResult['outcome'], string>> = {
  pass: 'pass',
  note: 'note',
  refuse: 'REFUSE',
  unknown: 'unknown',
  'not-reached': '-',
};

function ruleLine({ rule, title, outcome }: RuleResult, style: Style): string {
  const mark = MARKS[outcome].padEnd(8);
  const shown =
    outcome === 'refuse' ? style.red(mark) : outcome === 'pass' ? style.green(mark) : style.yellow(mark);
  return `    ${outcome === 'not-reached' ? style.dim(mark) : shown} ${rule.padEnd(24)} ${title}`;
}
