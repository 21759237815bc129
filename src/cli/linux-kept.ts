/** `lkm linux --target sandbox`: in the kernel that `lkm boot linux` keeps. */
import { existsSync } from 'node:fs';
import { readWhole } from '../tools/linux/kmod/module-source.ts';
import { SandboxTarget } from '../tools/linux/kmod/sandbox-target.ts';
import { MODULE_DIRECTORY } from '../tools/linux/kmod/tool.ts';
import { LinuxSession } from '../tools/linux/session.ts';
import type { CommandContext } from './command.ts';
import { usageError } from './failure.ts';
import { keptHere, toKeptKernel } from './kept.ts';
import { logLine } from './linux-session.ts';
import { linuxShell } from './linux-shell.ts';
import { runTool } from './linux-tool.ts';
import { forward } from './resident/client.ts';
import { quoteWord } from './shell-words.ts';

/** `tool`: a module tool and its words; undefined for lines of the console. */
export async function linuxInKept(context: CommandContext, tool?: readonly string[]): Promise<number> {
  const held = keptHere(context);
  if (held === undefined) {
    if (tool?.includes('--stdin'))
      throw usageError('--stdin does not go with a kept kernel', 'Give the names as words.');
    return tool === undefined
      ? await toKeptKernel(context)
      : await forward(context, 'linux', ['linux', '--target', 'sandbox', ...tool]);
  }
  const { session } = held;
  if (!(session instanceof LinuxSession)) throw new TypeError(`a kernel of ${held.system} is kept here`);
  if (tool !== undefined && actsOnTree(tool, session)) return await toolInKept(context, session, tool);
  return await session.k.log.watchedDuring(async () => {
    const { shell } = linuxShell(context, session);
    const lines = context.options.list('command');
    // Words on the command line are one line of the shell.
    const given = lines.length > 0 ? lines : [context.args.map(quoteWord).join(' ')];
    return await shell.script(given, { errexit: context.options.flag('errexit') });
  });
}

/** modprobe without a tree for this release finds the modules that come with lkm, as the console does. */
function actsOnTree([tool, ...words]: readonly string[], { k }: LinuxSession): boolean {
  if (tool !== 'modprobe' || existsSync(`${MODULE_DIRECTORY}/${k.file.release}/modules.dep.bin`)) return true;
  return words.some((word) => /^(-[a-zA-Z]*[dS]|--(dir|set-version))/.test(word) || /^\.?\//.test(word));
}

async function toolInKept(
  context: CommandContext,
  session: LinuxSession,
  words: readonly string[],
): Promise<number> {
  const { k, console } = session;
  const target = new SandboxTarget(console, {
    unpack: readWhole,
    explain: (text) => context.err(`  ${text}\n`),
  });
  return await k.log.watchedDuring(async () => {
    k.log.watch((record) => context.err(logLine(record)));
    return await runTool(context, packagedFile(context, words), { target, release: k.file.release });
  });
}

/** `insmod hello.ko` means the one that comes with lkm where there is no other. */
function packagedFile(context: CommandContext, words: readonly string[]): readonly string[] {
  const at = words.findIndex((word, i) => i > 0 && !word.startsWith('-'));
  if (words[0] !== 'insmod' || at < 0 || words[at].includes('/') || existsSync(words[at])) return words;
  const path = context.packaged(`fixtures/linux/built/${words[at]}`);
  return existsSync(path) ? words.with(at, path) : words;
}
