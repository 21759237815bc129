/**
 * Words after `lkm run`, one rule for all systems: what names something on the disk is a module file; a word that names nothing
 * belongs to the module before it, unless it ends like a module file: then it is one that is not there.
 */
import type { CommandContext } from './command.ts';
import { usageError } from './failure.ts';
import { printable } from './printable.ts';

/** A module file, and what is handed to it. */
export interface WantedFile {
  readonly path: string;
  readonly words: string[];
}

const MODULE_ENDING = /\.(ko(\.(gz|xz|zst))?|kext|kmod|sys|nlm|lan|dsk|nam|o|out)$/i;

/** @throws Failure for a parameter before any file (wrong usage) */
export function wantedFiles(args: readonly string[], exists: (word: string) => boolean): WantedFile[] {
  const wanted: WantedFile[] = [];
  for (const word of args) {
    const last = wanted.at(-1);
    const isWord = !exists(word) && (last === undefined ? /^[\w.-]+=/.test(word) : !MODULE_ENDING.test(word));
    if (!isWord) wanted.push({ path: word, words: [] });
    else if (last !== undefined) last.words.push(word);
    else
      throw usageError(`the parameter ${printable(word)} stands before any module`, 'Name the file first.');
  }
  return wanted;
}

/** A file that is not there is told before anything is loaded. @throws Failure */
export function insistOnFiles(
  wanted: readonly WantedFile[],
  exists: (path: string) => boolean,
  context: CommandContext,
): void {
  for (const { path } of wanted) if (!exists(path)) context.readFile(path);
}

/** A system whose loader takes no words says so before anything is loaded. */
export function refuseWords(wanted: readonly WantedFile[], title: string, instead: string): void {
  for (const { path, words } of wanted) {
    if (words.length === 0) continue;
    const word = printable(words[0]);
    throw usageError(
      `there is no file ${word}, and ${title} takes no words with ${printable(path)}`,
      instead,
    );
  }
}
