import { ENGINES } from '../cpu/engines.ts';
import type { SharedName } from './command.ts';
import type { OptionSpec } from './option.ts';

/** Options that mean the same in every command that takes them; a command names those it takes. */
export const SHARED: Readonly<Record<SharedName, OptionSpec>> = {
  kernel: {
    name: 'kernel',
    value: 'FILE',
    complete: 'file',
    summary: 'the kernel to load into: a vmlinuz, a saved .kernel, or builtin:NAME',
    details:
      'The kernel decides the release, the exported symbols with their versions, the layouts of structures and the ' +
      'rules of the loader. Without this option a small built-in Debian kernel description is used.',
  },
  as: {
    name: 'as',
    value: 'USER',
    summary: 'act as this user: root (the default), or another, without the right to load modules',
  },
  json: { name: 'json', summary: 'print one JSON object with a versioned schema instead of text' },
  seed: {
    name: 'seed',
    value: 'N',
    type: 'integer',
    summary: 'seed of everything random: addresses, canaries, timing (default 1)',
    details: 'The same module, kernel and seed give the same log, to the byte.',
  },
  target: {
    name: 'target',
    value: 'WHERE',
    choices: ['sandbox'],
    summary: 'where the module is loaded: sandbox (the default)',
  },
  engine: {
    name: 'engine',
    value: 'NAME',
    choices: ENGINES,
    summary: 'what executes machine code: interpreter, wasm or auto (the default)',
    details:
      'auto interprets code until it proves to be hot, then translates it to WebAssembly; wasm translates nearly at ' +
      'once. Log, state and instruction counts are the same with each.',
  },
  cert: {
    name: 'cert',
    value: 'FILE',
    repeat: true,
    complete: 'file',
    summary: 'a certificate that the kernel trusts besides its own, PEM or DER',
    details:
      'As if its owner had enrolled it: modules signed with its key load where signatures are enforced ' +
      '(module.sig_enforce=1, lockdown=integrity). Without the option the certificates inside the kernel file count.',
  },
  trace: {
    name: 'trace',
    value: 'WHAT',
    repeat: true,
    choices: ['calls', 'insn'],
    summary: 'trace on standard error: calls of kernel functions, or insn, every instruction',
    details:
      'calls shows each kernel function that machine code calls and each call of the kernel into machine code, nested by ' +
      'thread, with arguments and results by their C prototypes: strings, symbols, names of enumerations and flags. ' +
      'insn shows every instruction with its symbol; the module then runs much slower, but its own clock does not ' +
      'see that. With --json the calls are in the result.',
  },
  profile: {
    name: 'profile',
    value: 'FILE',
    complete: 'file',
    writes: true,
    summary: 'sample where the instructions go: a flame graph, or folded stacks',
    details:
      'A name that ends in .folded gets one line a stack with its samples, any other a flame graph as SVG. ' +
      'A sample is taken about every thousand instructions of machine code, with the functions that led there. Kernel ' +
      'functions written for the base kernel take no virtual time; they show as callers.',
  },
  gdb: {
    name: 'gdb',
    value: 'PORT',
    type: 'integer',
    most: 65535,
    summary: 'wait for gdb on this port (0 takes a free one) and run under its control',
    details:
      'In gdb: target remote :PORT. Breakpoints, watchpoints, single steps, registers, memory, threads and, by running ' +
      'again from the start, reverse-stepi, reverse-step and reverse-continue. `monitor help` lists what is beyond gdb: ' +
      'loaded modules with add-symbol-file lines, a backtrace through the kernel.',
  },
};

/** Options every command takes. */
export const COMMON: readonly OptionSpec[] = [
  { name: 'help', short: 'h', summary: 'show this help' },
  {
    name: 'color',
    value: 'WHEN',
    choices: ['auto', 'always', 'never'],
    summary: 'colour the output: auto (the default), always or never',
    details: 'Without the option NO_COLOR and FORCE_COLOR decide, then whether the output is a terminal.',
  },
];

/** What only stands before any command: `lkm --version`. */
export const VERSION: OptionSpec = { name: 'version', short: 'V', summary: 'show the version' };

/** All shared options, in the order help shows them. */
export const SHARED_ORDER: readonly SharedName[] = [
  'kernel',
  'as',
  'json',
  'seed',
  'target',
  'engine',
  'trace',
  'profile',
  'gdb',
  'cert',
];
