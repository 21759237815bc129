/** What `lkm run` tells about a Linux module beyond what it tells about any (run-outcome.ts). */
import { errnoName } from '../systems/linux/errno.ts';
import type { LoadResult, UnloadResult } from '../systems/linux/loader.ts';
import { HIDDEN, SYSTEM_CALL } from '../systems/linux/standing.ts';
import { errorText } from '../tools/linux/errors.ts';
import { printable } from './printable.ts';
import { indented, type ModuleReport, type Outcome } from './run-outcome.ts';

/** @param said what insmod or rmmod writes about this error */
export function outcomeOf(result: LoadResult | UnloadResult, said: (errno: number) => string): Outcome {
  const { outcome } = result;
  const nothing = { outcome, code: 1, errno: null, rule: null, out: '', err: '' };
  switch (result.outcome) {
    case 'loaded':
    case 'unloaded':
      return { ...nothing, code: 0, errno: 0, why: '', hint: '' };
    case 'refused': {
      const { errno, rule, why, hint } = result.refusal;
      return { ...nothing, errno, rule, err: `${said(errno)}\n`, why, hint };
    }
    case 'killed': {
      const hint = 'What it held stays held, as on a real kernel; this one is thrown away with the run.';
      // As a shell sees the end of a process by a signal.
      return { ...nothing, code: 128 + result.killed.code, why: result.killed.message, hint };
    }
    case 'missing': {
      const hint = '--missing stand-in goes on with a function that returns zero.';
      return { ...nothing, why: result.missing.message, hint };
    }
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
