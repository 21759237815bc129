import type { Command, CommandContext } from '../command.ts';
import { usageError } from '../failure.ts';

/** Options of the tools that may stand before the tool's name, too. */
const TOOL_OPTIONS = ['json', 'stdin', 'summary', 'reroot', 'compat'];

export const command: Command = {
  async run(context) {
    const { MODULE_TOOLS } = await import('../../tools/linux/kmod/tools.ts');
    const [first, second] = context.args;
    if (first === 'help' && context.args.length === 2 && MODULE_TOOLS.includes(second)) {
      const { runTool } = await import('../linux-tool.ts');
      return await runTool(context, [second, '--help']);
    }
    const isTool = context.args.length > 0 && MODULE_TOOLS.includes(first);
    const { target, words } = isTool ? targetAmong(context) : { target: undefined, words: [] };
    const own = TOOL_OPTIONS.filter((name) => context.options.flag(name)).map((name) => `--${name}`);
    if (own.length > 0 && !isTool)
      throw usageError(`${own[0]} is for the module tools`, `Such as: lkm linux ${own[0]} lsmod`);
    words.splice(1, 0, ...own);
    if ((target ?? context.options.text('target')) === 'sandbox') {
      const { linuxInKept } = await import('../linux-kept.ts');
      return await linuxInKept(context, isTool ? words : undefined);
    }
    if (isTool) {
      const { runTool } = await import('../linux-tool.ts');
      return await runTool(context, words);
    }
    if (context.options.text('target') === 'host')
      throw usageError('--target host is for the module tools', 'Such as: lkm linux --target host lsmod');
    // Loaded for a kernel only: without it the module tools start in half the time (measured).
    const { runLinux } = await import('../linux-command.ts');
    return await runLinux(context);
  },
};

/** --target among the words of a tool: there, too, it says which kernel is meant. */
function targetAmong({ args }: CommandContext): { target: string | undefined; words: string[] } {
  const words = [...args];
  const end = words.indexOf('--');
  const at = words.findIndex((word, i) => /^--target(=|$)/.test(word) && (end < 0 || i < end));
  if (at < 0) return { target: undefined, words };
  const [word] = words.splice(at, 1);
  const target = word.includes('=') ? word.slice('--target='.length) : words.splice(at, 1)[0];
  if (target !== 'sandbox' && target !== 'host')
    throw usageError(`lkm linux: --target is sandbox or host, not '${target ?? ''}'`);
  return { target, words };
}
