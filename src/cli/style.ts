/** Colours and weights of a terminal, as functions over text; all are the identity when colours are off. */
export interface Style {
  readonly enabled: boolean;
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
  cyan(text: string): string;
}

export type ColorChoice = 'auto' | 'always' | 'never';

/**
 * Whether to colour a stream. The command line wins, then NO_COLOR (no-color.org: any value but the empty one), then
 * FORCE_COLOR (any value but 0 and false), then whether it is a terminal that can.
 */
export function wantsColor(
  choice: ColorChoice,
  environment: Readonly<Record<string, string | undefined>>,
  isTerminal: () => boolean,
): boolean {
  if (choice !== 'auto') return choice === 'always';
  if (environment.NO_COLOR) return false;
  const force = environment.FORCE_COLOR;
  if (force !== undefined && force !== '') return force !== '0' && force !== 'false';
  return environment.TERM !== 'dumb' && isTerminal();
}

/** ECMA-48 SGR: each pair is switched on and switched off, so that styles nest. */
export function makeStyle(enabled: boolean): Style {
  const sgr = (on: number, off: number) => (text: string) =>
    enabled ? `\x1b[${on}m${text}\x1b[${off}m` : text;
  return {
    enabled,
    bold: sgr(1, 22),
    dim: sgr(2, 22),
    red: sgr(31, 39),
    green: sgr(32, 39),
    yellow: sgr(33, 39),
    cyan: sgr(36, 39),
  };
}
