/** lsmod(8): the modules of the running kernel. */
import { reason } from './bytes-path.ts';
import { ownContext } from './context.ts';
import { readWhole } from './module-source.ts';
import type { ToolOutput } from './output.ts';
import { readSmallOptions } from './small-options.ts';
import { type KernelTarget, targetOf } from './target.ts';
import type { ToolCall } from './tool.ts';

/** `word` is what its own getopt messages begin with. */
export function lsmod(call: ToolCall, word = call.output.tool): number {
  const { output } = call;
  const { args, verbosity } = readSmallOptions(call, 'svVh', [], HELP.replace('lsmod', output.tool), word);
  if (args.length > 0) {
    output.error('too many arguments provided.\n');
    return 1;
  }
  ownContext(call);
  output.takeOver(verbosity);
  const target = targetOf(call, readWhole);
  let names: readonly string[];
  try {
    names = target.loaded();
  } catch (error) {
    output.libraryError('kmod_module_new_from_loaded', `could not open /proc/modules: ${reason(error)}\n`);
    output.error(`could not get list of modules: ${reason(error)}\n`);
    return 1;
  }
  output.print('Module                  Size  Used by\n');
  for (const name of names) output.print(row(name, target, output));
  return 0;
}

/** What the tool prints of a module that went while it looked. */
const GONE = -2;

function row(name: string, target: KernelTarget, output: ToolOutput): string {
  const size = target.size(name) ?? GONE;
  let holders: readonly string[] = [];
  try {
    holders = target.holders(name);
  } catch (error) {
    output.libraryError(
      'kmod_module_get_holders',
      `could not open '/sys/module/${name}/holders': ${reason(error)}\n`,
    );
  }
  output.note('modules', () => ({
    name,
    size,
    references: target.references(name) ?? null,
    state: target.state(name) ?? null,
    holders,
  }));
  const users = holders.length === 0 ? '' : ` ${holders.join(',')}`;
  return `${name.padEnd(19)} ${String(size).padStart(8)}  ${target.references(name) ?? GONE}${users}\n`;
}

const HELP = `Usage:
	lsmod [options]
Options:
	-s, --syslog      print to syslog, not stderr
	-v, --verbose     enables more messages
	-V, --version     show version
	-h, --help        show this help
`;
