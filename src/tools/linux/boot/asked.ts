/** What the start of a Linux machine asks to be loaded, and from which line: files of the root, and words of the command line. */
import { logicalLines } from '../../../systems/linux/tree/lines.ts';
import type { SystemFiles } from '../../system.ts';

export interface Asked {
  readonly name: string;
  readonly parameters: string;
  /** The line, with its place. */
  readonly because: string;
  /** It is loaded by a modprobe without -b: a blacklist is for aliases alone. */
  readonly despiteBlacklist?: boolean;
}

/** Folders of systemd's configuration in the order of precedence (modules-load.d(5), sysctl.d(5)). */
const FOLDERS = ['/etc', '/run', '/usr/local/lib', '/usr/lib', '/lib'];

function textOf(files: SystemFiles, path: string): string | undefined {
  const bytes = files.read(path);
  return bytes === undefined ? undefined : new TextDecoder('latin1').decode(bytes);
}

/** The files of one kind, each name once: from the first folder that has it; sorted by name. */
function dropIns(files: SystemFiles, kind: string): string[] {
  const found = new Map<string, string>();
  for (const folder of FOLDERS) {
    for (const name of files.list(`${folder}/${kind}`) ?? [])
      if (name.endsWith('.conf') && !found.has(name)) found.set(name, `${folder}/${kind}/${name}`);
  }
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, path]) => path);
}

/** One name a line; words behind it are parameters (modules(5); systemd's lists have none). */
function namesIn(files: SystemFiles, path: string): Asked[] {
  const text = textOf(files, path);
  if (text === undefined) return [];
  return logicalLines(text).flatMap(({ text: line, number }) => {
    const words = line.trim().split(/\s+/);
    if (words[0] === '' || /^[#;]/.test(words[0])) return [];
    const [name, ...parameters] = words;
    return [{ name, parameters: parameters.join(' '), because: `${path}:${number} ${line.trim()}` }];
  });
}

/** initramfs-tools' list in the archive. */
export const askedByInitramfs = (files: SystemFiles): Asked[] =>
  namesIn(files, '/conf/modules').map((one) => ({ ...one, despiteBlacklist: true }));

/** /etc/modules and modules-load.d, as systemd-modules-load reads them. */
export function askedByFiles(files: SystemFiles): Asked[] {
  const lists = dropIns(files, 'modules-load.d');
  // Distributions link /etc/modules into the folder; where they do not, Debian reads it all the same.
  const linked = lists.some((path) => path.endsWith('/modules.conf'));
  return [...lists, ...(linked ? [] : ['/etc/modules'])].flatMap((path) => namesIn(files, path));
}

export interface Word {
  readonly key: string;
  readonly value: string;
  readonly text: string;
}

/** Words between blanks outside quotes. */
export function words(commandLine: string): Word[] {
  return (commandLine.match(/(?:[^\s"]|"[^"]*"?)+/g) ?? []).map((text) => {
    const at = text.indexOf('=');
    const key = at < 0 ? text : text.slice(0, at);
    return {
      key: key.replaceAll('_', '-'),
      value: at < 0 ? '' : text.slice(at + 1).replaceAll('"', ''),
      text,
    };
  });
}

/** modules-load= in the root, rd.modules-load= and rd.driver.pre= in the initramfs. */
export function askedByCommandLine(commandLine: string, keys: readonly string[]): Asked[] {
  return words(commandLine)
    .filter(({ key }) => keys.includes(key))
    .flatMap(({ value, text }) =>
      value
        .split(',')
        .filter((name) => name !== '')
        .map((name) => ({ name, parameters: '', because: `command line: ${text}` })),
    );
}

/** rd.driver.blacklist=, which the initramfs of dracut turns into a blacklist. */
export const initramfsBlacklist = (commandLine: string): string[] =>
  words(commandLine)
    .filter(({ key }) => key === 'rd.driver.blacklist' || key === 'rdblacklist')
    .flatMap(({ value }) => value.split(','))
    .filter((name) => name !== '');

/** The line that switches loading off for good, if there is one: the last that names it counts. */
export function modulesDisabledBy(files: SystemFiles): string | undefined {
  let found: string | undefined;
  for (const path of [...dropIns(files, 'sysctl.d'), '/etc/sysctl.conf']) {
    for (const { text, number } of logicalLines(textOf(files, path) ?? '')) {
      const [, value] = /^-?\s*kernel[./]modules_disabled\s*=\s*(\S+)/.exec(text.trim()) ?? [];
      if (value !== undefined) found = value === '1' ? `${path}:${number} ${text.trim()}` : found;
    }
  }
  return found;
}

const MEANINGS: readonly (readonly [RegExp, string])[] = [
  [/^module-blacklist$/, 'the kernel itself refuses these modules'],
  [/^modprobe\.blacklist$/, 'modprobe does not load these by an alias; by name they can be loaded'],
  [/^(rd\.)?modules-load$/, 'these are loaded whatever hardware there is'],
  [/^rd\.driver\.(pre|blacklist)$/, 'the initramfs loads these first, or does not load them'],
  [/^module\.sig-enforce$/, 'only modules signed with a key that the kernel knows are loaded'],
  [/^lockdown$/, 'the kernel is locked down: unsigned modules are refused'],
  [/^nomodule$/, 'the kernel loads no module at all'],
  [/^sysctl[./]kernel[./]modules-disabled$/, 'nothing can be loaded from the start'],
  [/^ima-policy$/, 'files, modules among them, may need signatures of their own'],
  [/^initcall-blacklist$/, 'these init functions are not run'],
];

/** Words that decide about modules, with what they mean. */
export function wordsAboutModules(
  commandLine: string,
): { readonly text: string; readonly meaning: string }[] {
  return words(commandLine).flatMap(({ key, text }) => {
    const meaning = MEANINGS.find(([pattern]) => pattern.test(key))?.[1];
    return meaning === undefined ? [] : [{ text, meaning }];
  });
}
