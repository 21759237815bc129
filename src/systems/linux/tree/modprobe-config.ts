/** modprobe.d and the kernel command line: what modprobe is told beforehand (modprobe.d(5)). */
import { logicalLines } from './lines.ts';
import { normalizeAlias } from './names.ts';

export interface ModuleCommand {
  readonly module: string;
  readonly command: string;
}

/** What a softdep line asks for, and how modprobe writes it again. */
export interface SoftLists {
  readonly pre: readonly string[];
  readonly post: readonly string[];
  readonly text: string;
}

export interface SoftDependency extends SoftLists {
  readonly module: string;
  /** It stands in a file of the module tree, not of the user. */
  readonly ofTree: boolean;
}

/** `mask MODULE REASON`: never to be loaded, by whatever name, nor for another module. kmod has no such line. */
export interface Mask {
  /** May have wildcards. */
  readonly module: string;
  /** As the user wrote it; may be empty. */
  readonly reason: string;
  /** `FILE line N` */
  readonly where: string;
}

export interface ConfigSource {
  readonly path: string;
  readonly ofTree: boolean;
  /** Only what kmod knows. */
  readonly compat: boolean;
}

/** Each list in the order in which it was read. */
export interface ModprobeConfig {
  readonly aliases: { readonly alias: string; readonly module: string }[];
  readonly blacklist: string[];
  readonly options: { readonly module: string; readonly options: string }[];
  readonly install: ModuleCommand[];
  readonly remove: ModuleCommand[];
  readonly softdeps: SoftDependency[];
  readonly masks: Mask[];
  readonly weakdeps: { readonly module: string; readonly weak: readonly string[] }[];
}

export const emptyModprobeConfig = (): ModprobeConfig => ({
  aliases: [],
  blacklist: [],
  options: [],
  install: [],
  remove: [],
  softdeps: [],
  weakdeps: [],
  masks: [],
});

/** A name with underscores for dashes outside brackets; undefined for one whose brackets do not match. */
const underscored = (name: string | undefined): string | undefined =>
  name === undefined ? undefined : normalizeAlias(name);

/** Adds a file's directives; what cannot be meant is returned in the tool's words. */
export function readModprobeConfig(config: ModprobeConfig, source: ConfigSource, text: string): string[] {
  const { path } = source;
  const messages: string[] = [];
  for (const { text: line, number } of logicalLines(text)) {
    if (line === '' || line.startsWith('#')) continue;
    const [command, rest] = firstWord(line);
    if (command === '') continue;
    if (command === 'include' || command === 'config')
      messages.push(`${path}: command ${command} is deprecated and not parsed anymore`);
    else if (command === 'mask' && !source.compat && readMask(config, rest, `${path} line ${number}`))
      continue;
    else if (!readDirective(config, command, rest, source.ofTree))
      messages.push(`${path} line ${number}: ignoring bad line starting with '${command}'`);
  }
  return messages;
}

/** The word at the beginning, and what follows the one separator after it (strtok_r's way). */
function firstWord(text: string): [word: string, rest: string] {
  const start = text.search(/[^\t ]/);
  if (start < 0) return ['', ''];
  const length = text.slice(start).search(/[\t ]/);
  return length < 0
    ? [text.slice(start), '']
    : [text.slice(start, start + length), text.slice(start + length + 1)];
}

function readMask(config: ModprobeConfig, text: string, where: string): boolean {
  const [word, reason] = firstWord(text);
  const module = underscored(word || undefined);
  if (module !== undefined) config.masks.push({ module, reason: reason.trim(), where });
  return module !== undefined;
}

function readDirective(config: ModprobeConfig, command: string, text: string, ofTree: boolean): boolean {
  const [word, rest] = firstWord(text);
  const module = word === '' ? undefined : underscored(word);
  if (module === undefined) return false;
  switch (command) {
    case 'alias': {
      const target = underscored(firstWord(rest)[0] || undefined);
      if (target !== undefined) config.aliases.push({ alias: module, module: target });
      return target !== undefined;
    }
    case 'blacklist':
      config.blacklist.push(module);
      return true;
    case 'options':
      if (rest !== '') config.options.push({ module, options: rest.replaceAll('\t', ' ') });
      return rest !== '';
    case 'install':
    case 'remove':
      if (rest !== '') config[command].push({ module, command: rest });
      return rest !== '';
    case 'softdep':
      if (rest !== '') config.softdeps.push({ module, ofTree, ...softDependencies(rest) });
      return rest !== '';
    case 'weakdep':
      if (rest !== '') config.weakdeps.push({ module, weak: words(rest) });
      return rest !== '';
    default:
      return false;
  }
}

/** Words between blanks. A single blank in front belongs to the first word, as the tool steps over a second one only. */
function words(text: string): string[] {
  const found = text.split(/[ \t\n\v\f\r]+/).filter((word) => word !== '');
  if (/^[ \t\n\v\f\r][^ \t\n\v\f\r]/.test(text)) found[0] = text[0] + found[0];
  return found;
}

/** A softdep line behind the name: `pre: a b post: c`; words before the first of the two are passed over. */
export function softDependencies(text: string): SoftLists {
  const found = { pre: [] as string[], post: [] as string[], text: '' };
  const all: string[] = [];
  const spans = { pre: { from: 0, to: 0 }, post: { from: 0, to: 0 } };
  let side: 'pre' | 'post' | undefined;
  for (const word of words(text)) {
    if (word === 'pre:') side = 'pre';
    else if (word === 'post:') side = 'post';
    else if (side !== undefined) {
      if (found[side].push(word) === 1) spans[side].from = all.length;
      spans[side].to = all.push(word);
    }
  }
  // A side that comes twice is written again with all that stands in between (libkmod-config.c, softdep_get_plain_softdep).
  const shown = ({ from, to }: { from: number; to: number }): string => all.slice(from, to).join(' ');
  if (found.pre.length > 0) found.text += `pre: ${shown(spans.pre)}`;
  if (found.post.length > 0) found.text += `post: ${shown(spans.post)}`;
  return found;
}

/** More of the command line is not read. */
const CMDLINE_SIZE = 4096;

/** The kernel command line: `MODULE.PARAMETER[=VALUE]` and `modprobe.blacklist=A,B`. */
export function readCommandLine(config: ModprobeConfig, text: string): string[] {
  const messages: string[] = [];
  for (const word of commandLineWords(text.slice(0, CMDLINE_SIZE - 1))) {
    const parsed = moduleParameter(word);
    if (parsed === undefined) continue;
    const { module, parameter } = parsed;
    if (module === 'modprobe' && parameter.startsWith('blacklist=')) {
      config.blacklist.push(...parameter.slice('blacklist='.length).split(','));
      continue;
    }
    const name = underscored(module);
    if (name !== undefined) config.options.push({ module: name, options: parameter });
    else messages.push(`Ignoring bad option on kernel command line while parsing module name: '${module}'`);
  }
  return messages;
}

/** Words between blanks outside quotes. */
function* commandLineWords(text: string): Generator<string> {
  let word = '';
  let quoted = false;
  for (const char of text) {
    if (char === '"') quoted = !quoted;
    if (!quoted && /[ \n\t\v\f\r]/.test(char)) {
      yield word;
      word = '';
    } else word += char;
  }
  if (!quoted) yield word;
}

/**
 * `module.parameter=value` as it is handed to the module. A boot loader may have put the first quote before the module's
 * name: it goes back to the value.
 */
function moduleParameter(word: string): { module: string; parameter: string } | undefined {
  const moved = word.startsWith('"');
  const match = /^([^.="\s]*)\.([^.="\s]*)(=.*)?$/s.exec(moved ? word.slice(1) : word);
  if (match === null) return undefined;
  const [, module, name, value = ''] = match;
  if (moved && value === '') return undefined;
  return { module, parameter: name + (moved ? `="${value.slice(1)}` : value) };
}
