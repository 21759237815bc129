/** Runs a module tool as a program of its own would run. */
import { release as osRelease, platform } from 'node:os';
import { fromArgument } from './bytes-path.ts';
import { Level, ToolExit, ToolOutput, type ToolStreams } from './output.ts';
import type { ToolCall } from './tool.ts';

export type Tool = (call: ToolCall) => number;

export interface ToolSurroundings extends ToolStreams {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** As in ToolCall. */
  readonly scanProgram?: string | undefined;
}

/** Returns the tool's exit code. */
export function runTool(
  tool: Tool,
  name: string,
  words: readonly string[],
  around: ToolSurroundings,
): number {
  const { environment, scanProgram } = around;
  const output = new ToolOutput(name, around);
  output.libraryLevel = libraryLevel(environment.KMOD_LOG);
  try {
    const code = tool({
      argv: words.map(fromArgument),
      output,
      folder: fromArgument(process.cwd()),
      environment,
      scanProgram,
      release: platform() === 'linux' ? osRelease() : undefined,
      proc: '/proc',
      sys: '/sys',
    });
    output.release();
    return code;
  } catch (error) {
    if (error instanceof ToolExit) return error.code;
    throw error;
  } finally {
    output.flush();
  }
}

/** KMOD_LOG: a number, or the beginning of a word. */
function libraryLevel(text: string | undefined): number {
  if (text === undefined) return Level.ERROR;
  const number = /^\s*[+-]?\d+(?=\s|$)/.exec(text);
  if (number !== null) return Number(number[0]);
  if (text.startsWith('err')) return Level.ERROR;
  if (text.startsWith('info')) return Level.INFO;
  return text.startsWith('debug') ? Level.DEBUG : 0;
}
