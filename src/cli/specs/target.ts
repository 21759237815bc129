import type { OptionSpec } from '../option.ts';

/** `lkm linux` and the other systems: the kernel that `lkm boot` keeps. */
export const KEPT_TARGET: OptionSpec = {
  name: 'target',
  value: 'WHERE',
  choices: ['sandbox'],
  summary: 'sandbox: go on in the kernel that `lkm boot` keeps, instead of a new one',
};

/** Linux can be the kernel of this machine, too. */
export const LINUX_TARGET: OptionSpec = {
  name: 'target',
  value: 'WHERE',
  choices: ['sandbox', 'host'],
  summary: 'sandbox: the kernel that `lkm boot` keeps; host: the one that runs this machine',
  details:
    'Module tools act on the host without it. Loading and unloading there needs root, and the optional package koffi ' +
    'for the system calls.',
};
