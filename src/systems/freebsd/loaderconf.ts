/**
 * loader.conf(5): what the boot loader's Lua reads (stand/lua/config.lua). Lines are tried against the forms in order; a
 * module is described by variables with its name and an ending: `_load`, `_name`, `_type`, `_flags`, `_before`, `_after`,
 * `_error`. Anything else is a variable of the kernel environment.
 */

import { majorOf } from './version.ts';

/** One module as loader.conf describes it. */
export interface LoaderModule {
  readonly name: string;
  /** `_load="YES"` */
  load: boolean;
  /** The line that says whether to load it, with its place: `/boot/loader.conf:3 zfs_load="YES"`. */
  asked: string | undefined;
  /** `_name`: the file, where it is not called as the module is. */
  file: string | undefined;
  type: string | undefined;
  flags: string | undefined;
  before: string | undefined;
  after: string | undefined;
  error: string | undefined;
}

/** What the loader says while it reads, with the place it says it of. */
export interface LoaderProblem {
  /** The file, where it has a name. */
  readonly file: string;
  /** Line of the file, from 1. */
  readonly line: number;
  /** Lines as the loader prints them. */
  readonly said: readonly string[];
}

export interface LoaderConf {
  /** By name, in the order they were first named. */
  readonly modules: Map<string, LoaderModule>;
  /** Variables for the kernel environment. */
  readonly environment: Map<string, string>;
  /** `exec="..."` commands in order. */
  readonly commands: string[];
  readonly problems: LoaderProblem[];
}

/** What the Lua of 12 took, and what that of 13 and later takes (processEnvVar and the patterns of config.lua). */
export type LoaderGrammar = 'old' | 'new';

export const grammarOf = (version: number): LoaderGrammar => (majorOf(version) < 13 ? 'old' : 'new');

const FIELDS = {
  name: 'file',
  type: 'type',
  flags: 'flags',
  before: 'before',
  after: 'after',
  error: 'error',
} as const;

interface Forms {
  readonly module: RegExp;
  readonly variable: RegExp;
  readonly quoted: string;
  readonly word: string;
}

const form = (key: string): RegExp => new RegExp(String.raw`^\s*(${key})\s*=\s*`);
const FIELD = '_(?:load|name|type|flags|before|after|error)';

/** A quoted value ends at the next quote, whatever comes behind it. */
const FORMS: Readonly<Record<LoaderGrammar, Forms>> = {
  old: {
    module: form(`[A-Za-z0-9_-]+${FIELD}`),
    // Any punctuation, an equals sign as well.
    variable: form('[!-~]+'),
    quoted: String.raw`"([ -!#-~\t-\r]*)"`,
    word: '([A-Za-z0-9]+)',
  },
  new: {
    module: form(`[A-Za-z0-9_.-]+${FIELD}`),
    variable: form('[A-Za-z0-9][A-Za-z0-9_.-]*'),
    quoted: '"([^"]*)"',
    word: '([-A-Za-z0-9][-A-Za-z0-9_.]*)',
  },
};
const EXEC = form('exec');

/** More lines than any loader.conf has. */
const MAX_LINES = 10_000;

export function emptyLoaderConf(): LoaderConf {
  return { modules: new Map(), environment: new Map(), commands: [], problems: [] };
}

/** Reads one file, adding to what files before it said. Lines that have no form are collected, never an error. */
export function readLoaderConf(
  text: string,
  conf: LoaderConf = emptyLoaderConf(),
  file = '/boot/loader.conf',
  grammar: LoaderGrammar = 'new',
): LoaderConf {
  // The loader counts the lines that have something in them.
  let counted = 0;
  for (const [i, raw] of text.split('\n').slice(0, MAX_LINES).entries()) {
    if (raw !== '') counted++;
    const line = raw.replace(/\r$/, '');
    const place = `${file}:${i + 1} ${line.replace(/\s*#.*$/, '').trim()}`;
    const said = readLine(line, conf, place, grammar);
    if (said === undefined) continue;
    const lines = said === MALFORMED ? [`Malformed line (${counted}):`, `\t'${line}'`] : [said];
    conf.problems.push({ file, line: i + 1, said: lines });
  }
  return conf;
}

const MALFORMED = 'malformed';

/** Undefined for a line that was understood; else what the loader says. */
function readLine(line: string, conf: LoaderConf, place: string, grammar: LoaderGrammar): string | undefined {
  if (/^\s*(#.*)?$/.test(line)) return undefined;
  const forms = FORMS[grammar];
  const module = assignment(line, forms.module, forms);
  if (module !== undefined) return module === 'rest' ? MALFORMED : setModule(conf, module, place, grammar);
  const exec = assignment(line, EXEC, { quoted: forms.quoted });
  if (exec !== undefined) {
    if (exec === 'rest') return MALFORMED;
    conf.commands.push(exec.value);
    return undefined;
  }
  const variable = assignment(line, forms.variable, forms) ?? numberOf(line, forms, grammar);
  if (variable === undefined || variable === 'rest') return MALFORMED;
  const value = expand(variable.value, conf.environment, grammar);
  if ('problem' in value) return `Failed to parse variable '${variable.key}': ${value.problem}`;
  conf.environment.set(variable.key, value.text);
  return undefined;
}

interface Assignment {
  readonly key: string;
  readonly value: string;
}

/** A key with a quoted value, or else with a word; `rest` where something but a comment comes behind. */
function assignment(
  line: string,
  key: RegExp,
  { quoted, word }: { readonly quoted: string; readonly word?: string },
): Assignment | 'rest' | undefined {
  for (const value of word === undefined ? [quoted] : [quoted, word]) {
    const found = new RegExp(`${key.source}${value}\\s*(.*)$`).exec(line);
    if (found === null) continue;
    return /^(#.*)?$/.test(found[3]) ? { key: found[1], value: found[2] } : 'rest';
  }
  return undefined;
}

const numberOf = (line: string, { variable }: Forms, grammar: LoaderGrammar) =>
  grammar === 'old' ? assignment(line, variable, { quoted: String.raw`(-?\d+)` }) : undefined;

function setModule(
  conf: LoaderConf,
  { key, value }: Assignment,
  place: string,
  grammar: LoaderGrammar,
): undefined {
  const at = key.lastIndexOf('_');
  const [name, field] = [key.slice(0, at), key.slice(at + 1)];
  const module = moduleNamed(conf, name);
  // From 13 on the kernel's environment has these, too.
  if (grammar === 'new') conf.environment.set(key, field === 'load' ? value.toUpperCase() : value);
  if (field === 'load') {
    module.load = value.toLowerCase() === 'yes';
    module.asked = place;
  } else module[FIELDS[field as keyof typeof FIELDS]] = value;
}

export function moduleNamed(conf: LoaderConf, name: string): LoaderModule {
  let module = conf.modules.get(name);
  if (module === undefined) {
    module = {
      name,
      load: false,
      asked: undefined,
      file: undefined,
      type: undefined,
      flags: undefined,
      before: undefined,
      after: undefined,
      error: undefined,
    };
    conf.modules.set(name, module);
  }
  return module;
}

type Expanded = { readonly text: string } | { readonly problem: string };

/** `${name}` and `$name` of what was set before; what was not is nothing. From 13 on a backslash keeps what follows it. */
function expand(value: string, environment: ReadonlyMap<string, string>, grammar: LoaderGrammar): Expanded {
  const get = (name: string) => environment.get(name) ?? '';
  if (grammar === 'old') {
    const braced = value.replace(/\$\{([^}]+)\}/g, (_, name: string) => get(name));
    return { text: braced.replace(/\$([!-~]+)/g, (_, name: string) => get(name)) };
  }
  let text = '';
  for (let at = 0; at < value.length; ) {
    const char = value[at];
    if (char === '\\') {
      if (at === value.length - 1) return { problem: 'Stray escape at end of line' };
      text += value[at + 1];
      at += 2;
    } else if (char === '$') {
      if (at === value.length - 1) return { problem: 'Unescaped $ at end of line' };
      const found = /^(?:\{([^}]+)\}|([A-Za-z0-9][-A-Za-z0-9_.]*))/.exec(value.slice(at + 1));
      if (found === null) return { problem: `Malformed variable expression at position '${at + 1}'` };
      text += get(found[1] ?? found[2]);
      at += 1 + found[0].length;
    } else {
      text += char;
      at++;
    }
  }
  return { text };
}

/** Is the module kept out by `module_blacklist` (names with anything else between them)? */
export function isBlacklisted(conf: LoaderConf, module: LoaderModule): boolean {
  const names = (conf.environment.get('module_blacklist') ?? '').match(/[-\w]+/g);
  return names?.includes(module.file ?? module.name) ?? false;
}

/** A variable of rc.conf(5), and the line that set it last. */
export interface RcVariable {
  readonly value: string;
  readonly place: string;
}

/** Assignments of a shell script as rc.conf has them: the value may use what was set before. */
export function readRcConf(
  text: string,
  file = '/etc/rc.conf',
  variables = new Map<string, RcVariable>(),
): Map<string, RcVariable> {
  for (const [i, line] of text.split('\n').slice(0, MAX_LINES).entries()) {
    const match = /^\s*(\w+)(\+?)=(?:"([^"]*)"|'([^']*)'|(\S*))/.exec(line);
    if (match === null) continue;
    const [, name, more, quoted, single, bare] = match;
    const raw =
      single ??
      (quoted ?? bare).replace(/\$\{?(\w+)\}?/g, (_, other: string) => variables.get(other)?.value ?? '');
    const value = more === '' ? raw : `${variables.get(name)?.value ?? ''}${raw}`;
    variables.set(name, { value, place: `${file}:${i + 1} ${line.replace(/\s+#.*$/, '').trim()}` });
  }
  return variables;
}

const words = (text: string): string[] => text.split(/\s+/).filter((word) => word !== '');

/** `kld_list` of rc.conf(5): modules that rc.d/kld loads once the system is up. */
export const kldList = (variables: ReadonlyMap<string, RcVariable>): string[] =>
  words(variables.get('kld_list')?.value ?? '');

/** What the loader reads of: paths as it knows them. */
export interface ConfSource {
  read(path: string): Uint8Array | undefined;
  list(path: string): readonly string[] | undefined;
}

export const DEFAULTS = '/boot/defaults/loader.conf';
/** What the defaults file says of 12 and later; used where there is none. */
const DEFAULT_FILES: readonly (readonly [string, string])[] = [
  ['loader_conf_files', '/boot/device.hints /boot/loader.conf'],
  ['loader_conf_dirs', '/boot/loader.conf.d'],
  ['local_loader_conf_files', '/boot/loader.conf.local'],
  ['nextboot_conf', '/boot/nextboot.conf'],
];
/** More files than anybody has: ends configurations that name each other. */
const MAX_FILES = 200;

export interface LoadedConf {
  readonly conf: LoaderConf;
  /** Files that were read, in order. */
  readonly files: readonly string[];
}

/**
 * Reads all that the loader reads (stand/lua/config.lua): the defaults, behind each file those that it names in
 * loader_conf_files, then the folders of loader_conf_dirs, local files, and nextboot.conf unless its first line says no.
 */
export function readLoaderFiles(source: ConfSource, grammar: LoaderGrammar = 'new'): LoadedConf {
  const conf = emptyLoaderConf();
  const { environment } = conf;
  const files: string[] = [];
  for (const [name, value] of DEFAULT_FILES) environment.set(name, value);
  const text = (path: string): string | undefined => {
    const bytes = source.read(path);
    return bytes === undefined ? undefined : new TextDecoder('latin1').decode(bytes);
  };
  const named = (variable: string) => words(environment.get(variable) ?? '');
  const one = (path: string) => {
    if (files.includes(path) || files.length >= MAX_FILES) return;
    const given = text(path);
    if (given !== undefined) {
      files.push(path);
      // Only what this file says counts behind it.
      environment.delete('loader_conf_files');
      readLoaderConf(given, conf, path, grammar);
    } else if (path !== DEFAULTS) return;
    for (const next of named('loader_conf_files')) one(next);
  };
  one(DEFAULTS);
  for (const folder of named('loader_conf_dirs')) {
    const names = (source.list(folder) ?? []).filter((name) => /.conf$/.test(name));
    for (const name of [...names].sort()) one(`${folder.replace(/\/$/, '')}/${name}`);
  }
  for (const path of named('local_loader_conf_files')) one(path);
  const next = environment.get('nextboot_conf') ?? '';
  const wanted = next === '' || environment.get('nextboot_enable') === 'NO' ? undefined : text(next);
  if (wanted !== undefined && !wanted.startsWith('nextboot_enable="NO"')) {
    files.push(next);
    readLoaderConf(wanted, conf, next, grammar);
  }
  return { conf, files };
}
