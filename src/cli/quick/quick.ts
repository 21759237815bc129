/** A module tool as a program of its own: see main.ts. */
import { fileURLToPath } from 'node:url';
import { runTool, type Tool } from '../../tools/linux/kmod/run-tool.ts';
import { standardInputLines } from '../input.ts';
import { DescriptorOutput } from '../output.ts';

/** What such a program exports as `run`. */
export type Quick = (words: readonly string[]) => number;

/** The program stands in dist/quick/. */
export const quick =
  (name: string, tool: Tool): Quick =>
  (words) => {
    const output = new DescriptorOutput();
    return runTool(tool, name, words, {
      out: (text) => output.out(text),
      err: (text) => output.err(text),
      get isTTY() {
        // Not asked for before something is printed: loading node:tty is not free.
        return process.getBuiltinModule('node:tty').isatty(1);
      },
      environment: process.env,
      lines: standardInputLines,
      scanProgram: fileURLToPath(new URL('../depmod-worker.cjs', import.meta.url)),
    });
  };
