/** The module tools by name, each loaded when it is called. */
import { runTool, type Tool, type ToolSurroundings } from './run-tool.ts';

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

/** Runs a tool as its own program would; resolves to its exit code. @throws RangeError when there is no such tool */
export async function runModuleTool(
  name: string,
  words: readonly string[],
  around: ToolSurroundings,
): Promise<number> {
  const load = TOOLS[name];
  if (load === undefined) throw new RangeError(`there is no module tool '${name}'`);
  return runTool(await load(), name, words, around);
}
