/** What `lkm run` tells about each module: how it was loaded and unloaded, and what it left behind. */
import { errnoName } from '../systems/linux/errno.ts';
import type { Linux } from '../systems/linux/linux.ts';
import type { LoadResult, UnloadResult } from '../systems/linux/loader.ts';
import type { LinuxModule } from '../systems/linux/module.ts';
import { registrations } from '../systems/linux/registered.ts';
import { HIDDEN, type Standing, SYSTEM_CALL } from '../systems/linux/standing.ts';
import { errorText } from '../tools/linux/errors.ts';
import { type Leak, leaksOf } from '../tools/linux/leaks.ts';
import { wrap } from './help.ts';
import { printable } from './printable.ts';

export interface Outcome {
  /** 'done', what the kernel returned, or how it ended otherwise. */
  readonly outcome: LoadResult['outcome'] | UnloadResult['outcome'];
  /** errno, 0 for success; null when the run was stopped (a fault, or a function that nobody wrote). */
  readonly errno: number | null;
  readonly why: string;
  readonly hint: string;
}

/** One module of a run. */
export interface ModuleReport {
  readonly file: string;
  /** It was loaded because this module depends on it. */
  readonly neededBy: string | null;
  module: string | null;
  load: Outcome | undefined;
  unload: Outcome | undefined;
  /** Bytes and pages of its own code and data, given back when it went. */
  ownBytes: number;
  ownPages: number;
  leaks: readonly Leak[];
  /** What it registered while it started, and changed for all. */
  registered: readonly Standing[];
  /** What of its things stood when it was gone. */
  left: readonly Standing[];
}

export function outcomeOf(result: LoadResult | UnloadResult): Outcome {
  switch (result.outcome) {
    case 'loaded':
    case 'unloaded':
      return { outcome: result.outcome, errno: 0, why: '', hint: '' };
    case 'refused': {
      const { errno, why, hint } = result.refusal;
      return { outcome: 'refused', errno, why, hint };
    }
    case 'killed':
      return {
        outcome: 'killed',
        errno: null,
        why: result.killed.message,
        hint: 'What it held stays held, as on a real kernel; this one is thrown away with the run.',
      };
    case 'missing':
      return {
        outcome: 'missing',
        errno: null,
        why: result.missing.message,
        hint: '--missing stand-in goes on with a function that returns zero.',
      };
  }
}

/** The line with the kernel's answer, and below it why and what to do. */
export function refusalText(subject: string, verb: string, { outcome, errno, why, hint }: Outcome): string {
  const how =
    outcome === 'refused' && errno !== null
      ? `the kernel refused to ${verb} it: ${errnoName(errno) ?? `error ${errno}`} (${errorText(errno)})`
      : outcome === 'killed'
        ? `stopped in the middle of ${verb}ing`
        : `not ${verb}ed: lkm lacks something`;
  return `${printable(subject)}: ${how}\n${indented(why)}${hint === '' ? '' : indented(hint)}`;
}

export function indented(text: string): string {
  return wrap(printable(text), 76)
    .map((line) => `  ${line}\n`)
    .join('');
}

/** Notes what the module has left; call it after the unload. */
export function addLeaks(k: Linux, report: ModuleReport, module: LinuxModule): void {
  report.leaks = leaksOf(k, module);
}

/** Lines about a module that was loaded and unloaded. */
export function leftText({ module, ownBytes, ownPages, leaks, left }: ModuleReport): string {
  const own = `${module}: unloaded; ${ownPages} pages (${ownBytes} bytes) of its own are given back`;
  return memoryText(own, leaks) + standingText(left);
}

/** What a module does to be found by nobody, or to be called by everybody. */
export function tamperedText({ file, registered }: ModuleReport): string {
  const told = registered.filter(({ what }) => what === SYSTEM_CALL || what === HIDDEN);
  return told.map(({ what, name }) => `${file}: found\n${indented(TAMPERED[what](name))}`).join('');
}

const TAMPERED: Readonly<Record<string, (name: string) => string>> = {
  [SYSTEM_CALL]: (name) => `It changed sys_call_table: entry ${name}.`,
  [HIDDEN]: (name) =>
    `It took ${name} off the kernel's list of modules: lsmod and /proc/modules do not show it.`,
};

/** What stands is told by kind. */
function standingText(left: readonly Standing[]): string {
  if (left.length === 0) return '';
  const lines = left.map(({ what, name }) => `  ${what} ${printable(name)}\n`);
  return `it forgot to take back:\n${lines.join('')}`;
}

function memoryText(own: string, leaks: readonly Leak[]): string {
  if (leaks.length === 0) return `${own}, and nothing it allocated is left\n`;
  const bytes = leaks.reduce((sum, leak) => sum + leak.bytes, 0);
  const lines = leaks.map((leak) => `  ${leak.bytes} bytes (${leak.kind}), taken in ${leak.where}\n`);
  return `${own}, but ${leaks.length} allocations with ${bytes} bytes are not:\n${lines.join('')}`;
}

/** What was registered and could not be tried, one line a kind. */
export function registeredText(k: Linux): string {
  const kinds = new Map<string, string[]>();
  for (const { what, name } of registrations(k)) kinds.set(what, [...(kinds.get(what) ?? []), name]);
  return [...kinds]
    .map(([what, names]) =>
      indented(`registered only: ${what} ${names.join(', ')} (nothing here can put it to use)`).trimStart(),
    )
    .join('');
}
