/** Manual pages (man(7) macros), made from the command table. */
import type { CommandSpec } from './command.ts';
import { exitCodes, optionsOf } from './help.ts';
import type { OptionSpec } from './option.ts';
import { COMMON, SHARED, SHARED_ORDER, VERSION } from './shared-options.ts';

/** lkm(1): the list of commands, the shared options, the environment. */
export function mainPage(commands: readonly CommandSpec[]): string {
  const lines = [
    ...header('LKM'),
    '.SH NAME',
    'lkm \\- read, check, link, run and unload kernel modules in one process',
    '.SH SYNOPSIS',
    '.B lkm',
    '.I FILE',
    '.br',
    '.B lkm',
    '.I COMMAND',
    '[\\fIARGUMENT\\fR]...',
    '.SH DESCRIPTION',
    text(
      'A loadable kernel module is code that a running kernel takes in, links, and can give back. lkm does both with ' +
        'real module files, in a kernel of its own inside this process: it needs no root and touches no running kernel.',
    ),
    '.SH COMMANDS',
    ...commands.flatMap((spec) => ['.TP', `.BR lkm\\-${roff(spec.name)} (1)`, text(`${spec.summary}.`)]),
    '.SH OPTIONS',
    text('Before or behind the command; each command takes those of these that mean something to it.'),
    ...[...COMMON, VERSION, ...SHARED_ORDER.map((name) => SHARED[name])].flatMap(optionItem),
    ...environment(),
    '.SH EXIT STATUS',
    ...exitCodes({ ...commands[0], exits: {} }).flatMap(([code, meaning]) => [
      '.TP',
      `.B ${code}`,
      text(`${meaning}.`),
    ]),
  ];
  return lines.join('\n') + '\n';
}

/** lkm-COMMAND(1). */
export function commandPage(spec: CommandSpec): string {
  const lines = [
    ...header(`LKM-${spec.name.toUpperCase()}`),
    '.SH NAME',
    `lkm\\-${roff(spec.name)} \\- ${roff(spec.summary)}`,
    '.SH SYNOPSIS',
    ...spec.usage.flatMap((usage, i) => [
      ...(i > 0 ? ['.br'] : []),
      `.B lkm ${roff(spec.name)}`,
      text(usage),
    ]),
    '.SH DESCRIPTION',
    ...spec.description.flatMap((paragraph, i) => [...(i > 0 ? ['.PP'] : []), text(paragraph)]),
  ];
  if (spec.arguments.length > 0) {
    lines.push('.SH ARGUMENTS');
    for (const one of spec.arguments) lines.push('.TP', `.I ${roff(one.name)}`, text(`${one.summary}.`));
  }
  lines.push('.SH OPTIONS', ...optionsOf(spec).flatMap(optionItem));
  lines.push('.SH EXIT STATUS');
  for (const [code, meaning] of exitCodes(spec)) lines.push('.TP', `.B ${code}`, text(`${meaning}.`));
  if (spec.examples.length > 0) {
    lines.push('.SH EXAMPLES');
    for (const one of spec.examples)
      lines.push('.TP', `.B ${roff(one.command)}`, text(`${one.explanation}.`));
  }
  lines.push('.SH SEE ALSO', '.BR lkm (1)');
  return lines.join('\n') + '\n';
}

function header(title: string): string[] {
  return [
    '.\\" Made from the command table by scripts/make-man.mjs: change src/cli/table.ts instead.',
    `.TH ${title} 1 "" lkm`,
  ];
}

function optionItem(option: OptionSpec): string[] {
  const short = option.short ? `\\fB\\-${option.short}\\fR, ` : '';
  const value = option.value ? ` \\fI${roff(option.value)}\\fR` : '';
  const summary = `${option.summary}.${option.details ? ` ${option.details}` : ''}`;
  return ['.TP', `${short}\\fB\\-\\-${roff(option.name)}\\fR${value}`, text(summary)];
}

function environment(): string[] {
  const variables = [
    ['NO_COLOR', 'Any value: no colours.'],
    ['FORCE_COLOR', 'Any value but 0: colours even when the output is no terminal.'],
    ['LKM_DEBUG', '1: errors show where in lkm they arose.'],
    ['LKM_CACHE', 'The folder for descriptions of kernels already read. Default: ~/.cache/lkm.'],
  ] as const;
  return ['.SH ENVIRONMENT', ...variables.flatMap(([name, meaning]) => ['.TP', `.B ${name}`, text(meaning)])];
}

/** One line of body text: one that begins with a dot or a quote would be taken for a request. */
function text(line: string): string {
  const escaped = roff(line);
  return /^[.']/.test(escaped) ? `\\&${escaped}` : escaped;
}

/** Hyphens that can be typed, and backslashes that can be seen. */
function roff(raw: string): string {
  return raw.replace(/\\/g, '\\e').replace(/-/g, '\\-');
}
