import type { Command } from '../command.ts';

export const command: Command = {
  async run(context) {
    const { args, out, err, environment } = context;
    if (context.options.text('target') === 'sandbox') {
      const { linuxInKept } = await import('../linux-kept.ts');
      return await linuxInKept(context);
    }
    const { MODULE_TOOLS, runModuleTool } = await import('../../tools/linux/kmod/tools.ts');
    if (args.length > 0 && MODULE_TOOLS.includes(args[0]))
      return await runModuleTool(args[0], args.slice(1), {
        out,
        err,
        environment,
        scanProgram: context.packaged('dist/depmod-worker.js'),
      });
    // Loaded for a kernel only: without it the module tools start in half the time (measured).
    const { runLinux } = await import('../linux-command.ts');
    return await runLinux(context);
  },
};
