/** The whole command line, on the process it is in. */
import type { Surroundings } from './context.ts';
import { dispatch, report } from './dispatch.ts';
import { readStandardInput, standardInputLines } from './input.ts';
import { DescriptorOutput } from './output.ts';

// Terminals are asked for only when a command wants to know: loading node:tty is not free.
const tty = () => process.getBuiltinModule('node:tty');

const surroundings: Surroundings = {
  output: new DescriptorOutput(),
  environment: process.env,
  input: {
    get isTTY() {
      return tty().isatty(0);
    },
    bytes: readStandardInput,
    lines: standardInputLines,
    stream: () => process.stdin,
  },
  isTTY: (descriptor) => tty().isatty(descriptor),
  columns: () => Number(process.env.COLUMNS) || process.stdout.columns || 80,
};

/** Resolves to the exit code. */
export const program = (words: readonly string[]): Promise<number> => dispatch(words, surroundings);

/** Writes what went wrong in a way that nobody foresaw; the exit code. */
export const reportDefect = (error: unknown): number => report(error, surroundings);
