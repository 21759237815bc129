#!/usr/bin/env node
import { basename } from 'node:path';
import { mentionsArchive } from './archive-words.ts';
import { CALLED_BY_NAME } from './called-by-name.ts';
import type { Quick } from './quick/quick.ts';

/**
 * The tools that work on a tree of modules are run by the thousand, in scripts: each stands in a file of its own
 * that holds nothing else, and starts in half the time (measured; bench/depmod.ts).
 */
const TREE_TOOLS: readonly string[] = ['depmod', 'modinfo', 'modprobe'];

async function run(words: readonly string[]): Promise<number> {
  // A kernel that is kept is not theirs.
  const kept = words.some((word) => word.startsWith('--target'));
  if (words[0] !== 'linux' || !TREE_TOOLS.includes(words[1]) || mentionsArchive(words) || kept)
    return await (await import('./program.ts')).program(words);
  try {
    const { createRequire } = process.getBuiltinModule('node:module');
    const tool: { run: Quick } = createRequire(import.meta.url)(`./quick/${words[1]}.cjs`);
    return tool.run(words.slice(2));
  } catch (error) {
    return (await import('./program.ts')).reportDefect(error);
  }
}

// Called through a link by a module tool's name, lkm is that tool.
const called = basename(process.argv[1] ?? '');
const words = process.argv.slice(2);

// The code is set, not forced: a process that still writes is left to finish.
const code = await run(CALLED_BY_NAME.includes(called) ? ['linux', called, ...words] : words);
// Only eight bits of it arrive (codes of Windows have more): a failure must not look like a success.
process.exitCode = code !== 0 && (code & 0xff) === 0 ? 1 : code;
