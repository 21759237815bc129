/** depmod.d: where modules are looked for, and which of two with one name is taken (depmod.d(5)). */
import { logicalLines, wordsOf } from './lines.ts';

export type SearchPlace =
  | { readonly kind: 'path'; readonly path: string }
  | { readonly kind: 'built-in' }
  | { readonly kind: 'external' };

export interface DepmodConfig {
  /** Later entries win: `search` words in reverse, the last file's first. */
  readonly searches: SearchPlace[];
  /** `SUBDIR/NAME`, the last one first. */
  readonly overrides: string[];
  /** Folders outside the tree, the last one first. */
  readonly externals: string[];
  readonly excludes: string[];
}

export interface ConfigMessage {
  readonly level: 'error' | 'info';
  readonly text: string;
}

export const emptyDepmodConfig = (): DepmodConfig => ({
  searches: [],
  overrides: [],
  externals: [],
  excludes: [],
});

/** Adds a file's directives; what it says that cannot be meant is returned in the tool's words. */
export function readDepmodConfig(
  config: DepmodConfig,
  path: string,
  text: string,
  release: string,
): ConfigMessage[] {
  const messages: ConfigMessage[] = [];
  for (const { text: line, number } of logicalLines(text)) {
    if (line === '' || line.startsWith('#')) continue;
    const words = wordsOf(line);
    if (words.length === 0) continue;
    const message = readDirective(config, words, release);
    if (message !== undefined) messages.push({ ...message, text: `${path}:${number}: ${message.text}` });
  }
  return messages;
}

/** "updates" comes first where no file has a `search` line (depmod.d(5)). */
export function finishDepmodConfig(config: DepmodConfig): void {
  if (config.searches.length === 0) config.searches.push({ kind: 'path', path: 'updates' });
}

function readDirective(
  config: DepmodConfig,
  words: readonly string[],
  release: string,
): ConfigMessage | undefined {
  const [command, ...rest] = words;
  const info = (text: string): ConfigMessage => ({ level: 'info', text });
  switch (command) {
    case 'search':
      for (const word of rest) config.searches.unshift(searchPlace(word));
      return undefined;
    case 'override': {
      const [name, version, subdir] = rest;
      if (subdir === undefined) break;
      if (!releaseMatches(version, release)) return info(`override kernel did not match ${version}`);
      config.overrides.unshift(`${subdir}/${name}`);
      return undefined;
    }
    case 'external': {
      const [version, folder] = rest;
      if (folder === undefined) break;
      if (!releaseMatches(version, release)) return info(`external directory did not match ${version}`);
      config.externals.unshift(folder);
      return undefined;
    }
    case 'exclude':
      config.excludes.unshift(...rest);
      return undefined;
    case 'include':
    case 'make_map_files':
      return info(`command ${command} not implemented yet`);
  }
  return { level: 'error', text: `ignoring bad line starting with '${command}'` };
}

function searchPlace(word: string): SearchPlace {
  return word === 'built-in' || word === 'external' ? { kind: word } : { kind: 'path', path: word };
}

/** `*`, or an extended regular expression that matches somewhere in the release. */
function releaseMatches(pattern: string, release: string): boolean {
  if (pattern === '*') return true;
  try {
    return new RegExp(pattern).test(release);
  } catch {
    // A pattern that no expression can be made of matches nothing.
    return false;
  }
}
