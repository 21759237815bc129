/** The commands that may run in the background: those that a device can keep waiting. */
import type { Steps } from '../../kernel/steps.ts';
import { bytesOfOutput, type CommandResult, type LinuxConsole } from './console.ts';
import { cat, head, writeOut } from './file-commands.ts';

export function backgroundSteps(console: LinuxConsole, words: readonly string[]): Steps<CommandResult> {
  const [name, ...args] = words;
  const at = words.indexOf('>');
  if (at > 0) {
    const before = console.run(words.slice(0, at));
    return writeOut(console.k, words[at + 1], bytesOfOutput(before), false);
  }
  if (name === 'cat') return cat(console.k, args);
  if (name === 'head' && args[0] === '-c') return head(console.k, args[2], Number(args[1]));
  return refused(name);
}

function* refused(name: string): Steps<CommandResult> {
  return { code: 1, errno: null, output: `${name}: cannot run in the background here` };
}
