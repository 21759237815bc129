/** What the parts of sc have in common: how it says that something worked or did not, and its options. */
import type { ToolResult } from '../../system.ts';
import { errorText, WinError } from '../errors.ts';
import type { ServiceController } from '../scm.ts';
import { scUsage } from './usage.ts';

export interface ScContext {
  readonly scm: ServiceController;
  /** The administrator: others may only look. */
  readonly elevated: boolean;
  /** What a path that was typed is called by the kernel. */
  readonly ntPath: (typed: string) => string;
}

/** A command behind its name: what it is about, and the words that follow. */
export type ScCommand = (context: ScContext, name: string, rest: readonly string[]) => ToolResult;

export const ok = (out: string, note?: string): ToolResult => ({ code: 0, out, err: '', note });

/** `[SC] StartService FAILED 577:`, a blank line, the system's text. */
export const failed = (what: string, error: number, note?: string): ToolResult => ({
  code: error,
  out: `[SC] ${what} FAILED ${error}:\n\n${errorText(error)}\n\n`,
  err: '',
  note,
});

/** Words that sc cannot make sense of are answered with how the command is used; `note` says in ours which. */
export const badOptions = (command?: string, note?: string): ToolResult => ({
  code: WinError.INVALID_COMMAND_LINE,
  out: scUsage(command),
  err: '',
  note,
});

export const noSuchService = (what = 'OpenService'): ToolResult =>
  failed(what, WinError.SERVICE_DOES_NOT_EXIST);

/** `key= value` and `key=value`; undefined when a word has no place. */
export function options(rest: readonly string[]): Map<string, string> | undefined {
  const found = new Map<string, string>();
  for (let i = 0; i < rest.length; i++) {
    const at = rest[i].indexOf('=');
    if (at <= 0) return undefined;
    const key = rest[i].slice(0, at).toLowerCase();
    const value = rest[i].slice(at + 1);
    if (value !== '') found.set(key, value);
    else {
      i++;
      if (i >= rest.length) return undefined;
      found.set(key, rest[i]);
    }
  }
  return found;
}

export const chosen = (
  words: readonly (readonly [string, number, string])[],
  value: string | undefined,
): number | undefined => words.find(([word]) => word === value?.toLowerCase())?.[1];
