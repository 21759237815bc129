/** rmmod(8): modules out of the running kernel, after a look at who uses them. */
import { existsSync } from 'node:fs';
import { baseName, normalizeName } from '../../../systems/linux/tree/names.ts';
import { absolute, onDisk, reason } from './bytes-path.ts';
import { type KmodContext, openContext, treeFolder } from './context.ts';
import { readWhole } from './module-source.ts';
import type { ToolOutput } from './output.ts';
import { codeOf } from './probe.ts';
import { readSmallOptions } from './small-options.ts';
import { type KernelTarget, targetOf } from './target.ts';
import type { ToolCall } from './tool.ts';

export function rmmod(call: ToolCall): number {
  const { output } = call;
  const { given, args, verbosity } = readSmallOptions(
    call,
    'fsvVh',
    [{ name: 'force', value: 'none', as: 'f' }],
    HELP,
  );
  if (args.length === 0) {
    output.error('missing module name.\n');
    return 1;
  }
  const context = openContext(call, { tree: treeFolder(call, undefined, undefined), configs: [] });
  output.takeOver(verbosity);
  const target = targetOf(call, readWhole);
  const force = given.has('f');
  let code = 0;
  for (const word of args) {
    // A path is one when there is such a file; else it is a name, whatever it looks like.
    const isPath = existsSync(onDisk(absolute(word, call.folder)));
    const name = normalizeName(isPath ? baseName(word) : word);
    const free = force || isFree(name, isPath, context, target, output);
    if (!free || !remove(name, word, force, target, output)) code = 1;
  }
  return code;
}

function remove(
  name: string,
  word: string,
  force: boolean,
  target: KernelTarget,
  output: ToolOutput,
): boolean {
  try {
    target.remove(name, force);
    output.note('modules', () => ({ name, removed: true }));
    return true;
  } catch (error) {
    const why = reason({ code: codeOf(error) });
    output.error(`could not remove '${name}': ${why}\n`);
    output.error(`could not remove module ${word}: ${why}\n`);
    return false;
  }
}

function isFree(
  name: string,
  isPath: boolean,
  context: KmodContext,
  target: KernelTarget,
  output: ToolOutput,
): boolean {
  // What there is a file of is not part of the kernel (libkmod, kmod_module_new_from_path).
  if (!isPath && context.isBuiltinName(name)) {
    output.error(`Module ${name} is builtin.\n`);
    return false;
  }
  if (target.state(name) === undefined) {
    output.error(`Module ${name} is not currently loaded\n`);
    return false;
  }
  let holders: readonly string[] = [];
  try {
    holders = target.holders(name);
  } catch (error) {
    output.error(`could not open '/sys/module/${name}/holders': ${reason(error)}\n`);
  }
  if (holders.length > 0) {
    output.error(`Module ${name} is in use by:${holders.map((holder) => ` ${holder}`).join('')}\n`);
    return false;
  }
  const references = target.references(name);
  if (references === undefined) output.error('Module unloading is not supported\n');
  else if (references > 0) output.error(`Module ${name} is in use\n`);
  return references === 0;
}

const HELP = `Usage:
	rmmod [options] modulenames
Options:
	-f, --force       DANGEROUS: forces a module unload and may
	                  crash your machine
	-s, --syslog      print to syslog, not stderr
	-v, --verbose     enables more messages
	-V, --version     show version
	-h, --help        show this help
`;
