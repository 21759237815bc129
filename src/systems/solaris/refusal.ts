/** A load or unload that the kernel refuses: the rule, the error number it returns, and why, in our words. */
import { Errno } from './errno.ts';

export interface RefusalFacts {
  readonly rule: string;
  readonly errno: number;
  readonly why: string;
  readonly hint: string;
}

export class Refusal extends Error {
  readonly rule: string;
  readonly errno: number;
  readonly why: string;
  readonly hint: string;

  constructor({ rule, errno, why, hint }: RefusalFacts) {
    super(why);
    this.name = 'Refusal';
    this.rule = rule;
    this.errno = errno;
    this.why = why;
    this.hint = hint;
  }
}

/** What a rule has to say: lines for the console, with the format that the kernel's source has, and a refusal or none. */
export interface Finding {
  readonly rule: string;
  /** Format as in the source, and the line. Printed when `quiet` is not set, or moddebug asks for it. */
  readonly said: readonly (readonly [format: string, text: string])[];
  /** Only with MODDEBUG_ERRMSG. */
  readonly quiet?: boolean;
  readonly why: string;
  readonly hint: string;
  readonly errno: number;
}

export const invalid = (
  rule: string,
  said: Finding['said'],
  why: string,
  hint: string,
  quiet = false,
): Finding => ({ rule, said, quiet, why, hint, errno: Errno.EINVAL });
