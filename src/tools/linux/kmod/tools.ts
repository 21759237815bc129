/** The module tools by name, each loaded when it is called. */
import { release as osRelease, platform } from 'node:os';
import { fromArgument } from './bytes-path.ts';
import { Level, ToolExit, ToolOutput, type ToolStreams } from './output.ts';
import type { ToolCall } from './tool.ts';

type Tool = (call: ToolCall) => number;

const TOOLS: Readonly<Record<string, () => Promise<Tool>>> = {
  depmod: async () => (await import('./depmod.ts')).depmod,
  insmod: async () => (await import('./insmod.ts')).insmod,
  rmmod: async () => (await import('./rmmod.ts')).rmmod,
  lsmod: async () => (await import('./lsmod.ts')).lsmod,
  kmod: async () => (await import('./kmod.ts')).kmod,
  modprobe: async () => (await import('./modprobe.ts')).modprobe,
  modinfo: async () => (await import('./modinfo-tool.ts')).modinfoTool,
};

export const MODULE_TOOLS: readonly string[] = Object.keys(TOOLS);

export interface ToolSurroundings extends ToolStreams {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** As in ToolCall. */
  readonly scanProgram?: string | undefined;
}

/** Runs a tool as its own program would; resolves to its exit code. @throws RangeError when there is no such tool */
export async function runModuleTool(
  name: string,
  words: readonly string[],
  { environment, scanProgram, ...streams }: ToolSurroundings,
): Promise<number> {
  const load = TOOLS[name];
  if (load === undefined) throw new RangeError(`there is no module tool '${name}'`);
  const tool = await load();
  const output = new ToolOutput(name, streams);
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
