/** The module tools by name, each loaded when it is called. */
import { release as osRelease, platform } from 'node:os';
import { fromArgument } from './bytes-path.ts';
import { ToolExit, ToolOutput, type ToolStreams } from './output.ts';
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
}

/** Runs a tool as its own program would; resolves to its exit code. @throws RangeError when there is no such tool */
export async function runModuleTool(
  name: string,
  words: readonly string[],
  { environment, ...streams }: ToolSurroundings,
): Promise<number> {
  const load = TOOLS[name];
  if (load === undefined) throw new RangeError(`there is no module tool '${name}'`);
  const tool = await load();
  try {
    return tool({
      argv: words.map(fromArgument),
      output: new ToolOutput(name, streams),
      folder: fromArgument(process.cwd()),
      environment,
      release: platform() === 'linux' ? osRelease() : undefined,
      proc: '/proc',
    });
  } catch (error) {
    if (error instanceof ToolExit) return error.code;
    throw error;
  }
}
