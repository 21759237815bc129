#!/usr/bin/env node
import type { Surroundings } from './context.ts';
import { dispatch } from './dispatch.ts';
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

// The code is set, not forced: a process that still writes is left to finish.
process.exitCode = await dispatch(process.argv.slice(2), surroundings);
