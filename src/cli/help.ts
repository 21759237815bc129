/** Help text, made from the command table. */
import type { CommandSpec } from './command.ts';
import type { OptionSpec } from './option.ts';
import { COMMON, SHARED, SHARED_ORDER, VERSION } from './shared-options.ts';

/** Every option a command takes: its own, the shared ones it names, the common ones. */
export function optionsOf(spec: CommandSpec): readonly OptionSpec[] {
  const shared = SHARED_ORDER.filter((name) => spec.shared.includes(name)).map((name) => SHARED[name]);
  return [...spec.options, ...shared, ...COMMON];
}

/** `lkm --help`: one screen. */
export function overview(commands: readonly CommandSpec[]): string {
  const rows = commands.map((spec) => [spec.name, spec.summary] as const);
  return [
    'lkm reads, checks, links, runs and unloads kernel modules, in one process.',
    '',
    'Usage:',
    '  lkm FILE                   show what a module file is (lkm inspect)',
    '  lkm COMMAND [ARGUMENT]...',
    '',
    'Commands:',
    ...columns(rows),
    '',
    'Options:',
    ...columns([...COMMON, VERSION].map((option) => [optionTerm(option), option.summary] as const)),
    '',
    "'lkm help COMMAND' shows a command's arguments, options and exit codes.",
    '',
  ].join('\n');
}

/** `lkm COMMAND --help`. */
export function commandHelp(spec: CommandSpec): string {
  const lines = [`lkm ${spec.name}: ${spec.summary}`, '', 'Usage:'];
  for (const usage of spec.usage) lines.push(`  lkm ${spec.name} ${usage}`);
  for (const paragraph of spec.description) lines.push('', ...wrap(paragraph, 78));
  if (spec.arguments.length > 0) {
    lines.push('', 'Arguments:', ...columns(spec.arguments.map((one) => [one.name, one.summary] as const)));
  }
  lines.push(
    '',
    'Options:',
    ...columns(optionsOf(spec).map((one) => [optionTerm(one), one.summary] as const)),
  );
  lines.push('', 'Exit codes:', ...columns(exitCodes(spec)));
  if (spec.examples.length > 0) {
    lines.push('', 'Examples:');
    for (const example of spec.examples) lines.push(`  ${example.command}`, `      ${example.explanation}`);
  }
  return lines.join('\n') + '\n';
}

/** `-o, --output FILE`. */
export function optionTerm(option: OptionSpec): string {
  const short = option.short ? `-${option.short}, ` : '';
  const value = option.value ? ` ${option.value}` : '';
  return `${short}--${option.name}${value}`;
}

/** Exit codes and their meaning, in ascending order. */
export function exitCodes(spec: CommandSpec): readonly (readonly [string, string])[] {
  const all: Record<number, string> = {
    0: 'done',
    1: 'failed',
    2: 'wrong usage',
    70: 'a defect of lkm',
    ...spec.exits,
  };
  return Object.entries(all);
}

/** Two columns; a first column too wide for its place puts the second on its own line. */
function columns(rows: readonly (readonly [string, string])[]): string[] {
  const widest = Math.min(24, Math.max(...rows.map(([term]) => term.length)));
  return rows.flatMap(([term, text]) => {
    const indent = ' '.repeat(widest + 4);
    const [first, ...rest] = wrap(text, Math.max(40, 94 - widest));
    const following = rest.map((line) => indent + line);
    if (term.length > widest) return [`  ${term}`, indent + first, ...following];
    return [`  ${term.padEnd(widest)}  ${first}`, ...following];
  });
}

/** Breaks a paragraph between words; a word longer than the width stays whole. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
