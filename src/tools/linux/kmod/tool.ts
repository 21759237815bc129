/** What a module tool is given: its words, the streams, and what it may ask of the machine. */
import type { Archives } from '../../files.ts';
import type { KmodContext } from './context.ts';
import type { ToolOutput } from './output.ts';
import type { OwnOptions } from './own-options.ts';
import type { KernelTarget } from './target.ts';

export interface ToolCall {
  /** Words after the tool's name, as strings of bytes. */
  readonly argv: readonly string[];
  readonly own: OwnOptions;
  readonly output: ToolOutput;
  /** The current folder. */
  readonly folder: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Release of the running kernel; undefined where that is no Linux. */
  readonly release: string | undefined;
  /** Archives that paths lead into (`x.deb/lib/modules/...`); undefined: none is looked for. */
  readonly archives?: Archives | undefined;
  /** The program of a second thread for depmod; undefined: everything is done on one. */
  readonly scanProgram?: string | undefined;
  /** /proc/cmdline and the like stand below this. */
  readonly proc: string;
  /** Where the running kernel shows its modules. */
  readonly sys: string;
  /** The kernel that is acted on; undefined: the one that runs this machine. */
  readonly target: KernelTarget | undefined;
  /** Trees that command lines of one batch share. */
  readonly contexts: Map<string, KmodContext>;
}

/** The version of the tools whose ways are followed. */
export const KMOD_VERSION = 34;

export function printVersion(output: ToolOutput): void {
  output.print(`kmod version ${KMOD_VERSION}\n+ZSTD +XZ +ZLIB +OPENSSL -MBEDTLS\n`);
}

/** The tool's own text; behind it, for who reads along, what kmod does not have. Programs get what kmod gives. */
export function printHelp({ output, own }: ToolCall, text: string): void {
  output.print(text);
  if (!output.onTerminal || own.json || own.compat) return;
  const { tool } = output;
  const lines = OWN_HELP.filter(({ only }) => only === undefined || only.includes(tool));
  const rows = lines.map(({ option, about }) => `\t    --${option.padEnd(19)} ${about}\n`).join('');
  output.print(`\nOptions that kmod does not have, to be written in full:\n${rows}`);
}

interface OwnHelp {
  readonly option: string;
  readonly about: string;
  /** Tools that have it; all without. */
  readonly only?: readonly string[];
}

const CONFIGURED = ['depmod', 'modprobe'];
const OWN_HELP: readonly OwnHelp[] = [
  { option: 'json', about: 'one JSON object in place of text' },
  { option: 'stdin', about: 'a command line for each line of standard input' },
  { option: 'summary', about: 'of messages that differ in names alone, three and a count' },
  { option: 'incremental', about: 'read only modules that changed since the last run', only: ['depmod'] },
  { option: 'reroot', about: 'configuration is that below the root of the tree', only: CONFIGURED },
  { option: 'compat', about: 'exactly as kmod, where more would be done' },
  {
    option: 'target WHERE',
    about: 'host, or sandbox: the kernel that `lkm boot linux` keeps',
    only: ['modprobe', 'insmod', 'rmmod', 'lsmod'],
  },
];

/** Where modules are, below the root. */
export const MODULE_DIRECTORY = '/lib/modules';
