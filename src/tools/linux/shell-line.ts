/** One line for the console: a command, perhaps with its output sent to a file or itself to the background. */

import { backgroundSteps } from './background.ts';
import { bytesOfOutput, type CommandResult, type LinuxConsole } from './console.ts';
import { writeOut } from './file-commands.ts';

/** Words of a line with the quoting of a shell: '...' as it is, "..." and \ likewise without substitution. */
export function splitWords(line: string): string[] {
  const words: string[] = [];
  const pattern = /\s*((?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')+)/y;
  for (let match = pattern.exec(line); match !== null; match = pattern.exec(line)) {
    words.push(match[1].replace(/\\(.)|"((?:[^"\\]|\\.)*)"|'([^']*)'/g, unquote));
  }
  return words;
}

function unquote(_all: string, escaped?: string, double?: string, single?: string): string {
  if (escaped !== undefined) return escaped;
  if (double !== undefined) return double.replace(/\\(["\\$`])/g, '$1');
  return single ?? '';
}

/** Runs a line. */
export function runLine(console: LinuxConsole, line: string): CommandResult {
  const background = /\s&\s*$/.test(line);
  const words = splitWords(background ? line.replace(/&\s*$/, '') : line);
  if (words.length === 0) return { code: 0, errno: 0, output: '' };
  const at = words.findIndex((word) => word === '>' || word === '>>');
  if (background) return console.start(words[0], backgroundSteps(console, words));
  if (at < 0) return words[0] === 'wait' ? console.wait() : console.run(words);
  const before = console.run(words.slice(0, at));
  if (before.code !== 0) return before;
  return console.process('sh', writeOut(console.k, words[at + 1], bytesOfOutput(before), words[at] === '>>'));
}
