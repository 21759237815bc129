/** `lkm linux TOOL`: the module tools, on this machine's kernel or on the one that `lkm boot linux` keeps. */
import type { KernelTarget } from '../tools/linux/kmod/target.ts';
import { runModuleTool } from '../tools/linux/kmod/tools.ts';
import { mentionsArchive } from './archive-words.ts';
import type { CommandContext } from './command.ts';

/** A kernel in place of the one that runs this machine. */
export interface OtherKernel {
  readonly target: KernelTarget;
  readonly release: string;
}

export async function runTool(
  context: CommandContext,
  [tool, ...words]: readonly string[],
  kernel?: OtherKernel,
): Promise<number> {
  const { out, err, environment } = context;
  const archives = mentionsArchive(words) ? new (await import('../tools/files.ts')).Archives() : undefined;
  return await runModuleTool(tool, words, {
    out,
    err,
    environment,
    archives,
    isTTY: context.isTTY,
    lines: () => context.input.lines(),
    scanProgram: context.packaged('dist/depmod-worker.cjs'),
    ...kernel,
  });
}
