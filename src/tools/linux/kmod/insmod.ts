/** insmod(8): one module file into the running kernel. */
import { statSync } from 'node:fs';
import { baseName } from '../../../systems/linux/tree/names.ts';
import { INSMOD_WORDS } from '../error-words.ts';
import { absolute, onDisk, reason } from './bytes-path.ts';
import { CallFailed } from './call-failed.ts';
import { ownContext } from './context.ts';
import { moduleOptions } from './modprobe-options.ts';
import { readWhole, SourceError } from './module-source.ts';
import { Level } from './output.ts';
import { codeOf } from './probe.ts';
import { readSmallOptions } from './small-options.ts';
import { targetOf } from './target.ts';
import type { ToolCall } from './tool.ts';

export function insmod(call: ToolCall): number {
  const { output } = call;
  const { given, args, verbosity } = readSmallOptions(
    call,
    'fsvVh',
    [
      { name: 'force', value: 'none', as: 'f' },
      { name: 'force-modversion', value: 'none', as: 'force-modversion' },
      { name: 'force-vermagic', value: 'none', as: 'force-vermagic' },
    ],
    HELP,
  );
  const [file, ...parameters] = args;
  if (file === undefined || file === '-') {
    const problem =
      file === undefined ? 'missing filename.' : 'this tool does not support loading from stdin!';
    output.error(`${problem}\n`);
    return 1;
  }
  ownContext(call);
  output.takeOver(verbosity);
  const path = absolute(file, call.folder);
  try {
    statSync(onDisk(path));
    // A path that ends in a slash names no module.
    if (baseName(file) === '') throw new CallFailed('ENOENT');
  } catch (error) {
    output.error(`could not load module ${file}: ${reason(error)}\n`);
    return 1;
  }
  try {
    targetOf(call, readWhole).insert(path, moduleOptions(parameters), {
      forceModversion: given.has('f') || given.has('force-modversion'),
      forceVermagic: given.has('f') || given.has('force-vermagic'),
    });
    output.note('modules', () => ({ path, inserted: true }));
    return 0;
  } catch (error) {
    if (error instanceof SourceError && error.said !== undefined) output.error(`${error.said}\n`);
    const code = error instanceof SourceError ? error.code : codeOf(error);
    output.say(Level.INFO, `Failed to insert module '${path}': ${reason({ code })}\n`);
    output.error(`could not insert module ${file}: ${INSMOD_WORDS[code] ?? reason({ code })}\n`);
    return 1;
  }
}

const HELP = `Usage:
	insmod [options] filename [module options]
Options:
	-f, --force              DANGEROUS: forces a module load, may cause
	                         data corruption and crash your machine.
	                         implies --force-modversion and
	                         --force-vermagic
	    --force-modversion   Ignore module's version
	    --force-vermagic     Ignore module's version magic
	-s, --syslog             print to syslog, not stderr
	-v, --verbose            enables more messages
	-V, --version            show version
	-h, --help               show this help
`;
