/** Configuration files of the module tools: logical lines, words, and the order of files in several directories. */
import { compareBytes } from './buckets.ts';

export interface ConfigLine {
  readonly text: string;
  /** Of its last physical line, from 1: what messages name. */
  readonly number: number;
}

/** Logical lines: a backslash at the end of a line joins the next one; before another character it goes, too. */
export function logicalLines(text: string): ConfigLine[] {
  const lines: ConfigLine[] = [];
  let line = '';
  let number = 0;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (char === '\n') {
      number++;
      lines.push({ text: line, number });
      line = '';
    } else if (char !== '\\') line += char;
    else if (++i < text.length) {
      if (text[i] === '\n') number++;
      else line += text[i];
    }
  }
  if (line !== '') lines.push({ text: line, number: number + 1 });
  return lines;
}

/** Words between tabs and blanks. */
export function wordsOf(line: string): string[] {
  return line.split(/[\t ]+/).filter((word) => word !== '');
}

export interface ConfigFile {
  /** As messages name it: the directory as it was given, a slash, the name. */
  readonly path: string;
  readonly name: string;
}

/**
 * The files of all directories, sorted by name; of one name only the first directory's counts. `directories` stand in
 * the order of their precedence.
 */
export function mergeConfigFiles(directories: readonly (readonly ConfigFile[])[]): ConfigFile[] {
  const byName = new Map<string, ConfigFile>();
  for (const files of directories)
    for (const file of files) if (!byName.has(file.name)) byName.set(file.name, file);
  return [...byName.values()].sort((a, b) => compareBytes(a.name, b.name));
}
