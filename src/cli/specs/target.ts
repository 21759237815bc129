import type { OptionSpec } from '../option.ts';

/** `lkm linux` and the other systems: the kernel that `lkm boot` keeps. */
export const KEPT_TARGET: OptionSpec = {
  name: 'target',
  value: 'WHERE',
  choices: ['sandbox'],
  summary: 'sandbox: go on in the kernel that `lkm boot` keeps, instead of a new one',
};
