/**
 * loader.conf(5): what the boot loader's Lua reads (stand/lua/config.lua). Lines are tried against the forms in order; a
 * module is described by variables with its name and an ending: `_load`, `_name`, `_type`, `_flags`, `_before`, `_after`,
 * `_error`. Anything else is a variable of the kernel environment.
 */

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

export interface LoaderProblem {
  /** The file, where it has a name. */
  readonly file: string;
  readonly line: number;
  readonly text: string;
}

export interface LoaderConf {
  /** By name, in the order they were first named. */
  readonly modules: Map<string, LoaderModule>;
  /** Variables for the kernel environment. */
  readonly environment: Map<string, string>;
  /** `exec="..."` commands in order. */
  readonly commands: string[];
  /** Lines of no form, as the loader reports them. */
  readonly problems: LoaderProblem[];
}

const FIELDS = {
  name: 'file',
  type: 'type',
  flags: 'flags',
  before: 'before',
  after: 'after',
  error: 'error',
} as const;

/** Quoted value of letters, digits, blanks and punctuation; or one bare word. A comment may follow. */
const VALUE = String.raw`(?:"([\w\s!-/:-@[-${'`'}{-~]*?)"|(\w+))`;
const END = String.raw`\s*(?:#.*)?$`;
const MODULE_LINE = new RegExp(
  String.raw`^\s*([\w-]+)_(load|name|type|flags|before|after|error)\s*=\s*${VALUE}${END}`,
);
const EXEC_LINE = new RegExp(String.raw`^\s*exec\s*=\s*${VALUE}${END}`);
const STRING_LINE = new RegExp(String.raw`^\s*([\w.-]+)\s*=\s*"([\w\s!-/:-@[-${'`'}{-~]*?)"${END}`);
const NUMBER_LINE = new RegExp(String.raw`^\s*([\w.-]+)\s*=\s*(-?\d+)${END}`);

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
): LoaderConf {
  for (const [i, raw] of text.split('\n').slice(0, MAX_LINES).entries()) {
    const line = raw.replace(/\r$/, '');
    if (!readLine(line, conf, `${file}:${i + 1} ${line.replace(/\s*#.*$/, '').trim()}`))
      conf.problems.push({ file, line: i + 1, text: line });
  }
  return conf;
}

function readLine(line: string, conf: LoaderConf, place: string): boolean {
  if (/^\s*(#.*)?$/.test(line)) return true;
  const module = MODULE_LINE.exec(line);
  if (module !== null) {
    setField(conf, module[1], module[2], module[3] ?? module[4], place);
    return true;
  }
  const exec = EXEC_LINE.exec(line);
  if (exec !== null) {
    conf.commands.push(exec[1] ?? exec[2]);
    return true;
  }
  const variable = STRING_LINE.exec(line) ?? NUMBER_LINE.exec(line);
  if (variable === null) return false;
  conf.environment.set(variable[1], expand(variable[2], conf.environment));
  return true;
}

function setField(conf: LoaderConf, name: string, field: string, value: string, place: string): void {
  const module = moduleNamed(conf, name);
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

/** `${name}` and `$name` of what was set before. */
function expand(value: string, environment: ReadonlyMap<string, string>): string {
  return value.replace(
    /\$(?:\{([\w.]+)\}|(\w+))/g,
    (whole, braced: string | undefined, plain: string | undefined) => {
      return environment.get(braced ?? plain ?? '') ?? whole;
    },
  );
}

/** Is the module kept out by `module_blacklist` (names separated by blank, comma or semicolon)? */
export function isBlacklisted(conf: LoaderConf, module: LoaderModule): boolean {
  const names = (conf.environment.get('module_blacklist') ?? '').split(/[\s,;]+/);
  return names.includes(module.file ?? module.name);
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
export function kldList(rcConf: string): string[] {
  return words(readRcConf(rcConf).get('kld_list')?.value ?? '');
}

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
 * Reads all that the loader reads (stand/lua/config.lua): the defaults, the files of loader_conf_files (which may be set
 * anew by what is read), the folders of loader_conf_dirs, local files, and nextboot.conf when its first line wants it.
 */
export function readLoaderFiles(source: ConfSource): LoadedConf {
  const conf = emptyLoaderConf();
  const files: string[] = [];
  for (const [name, value] of DEFAULT_FILES) conf.environment.set(name, value);
  const text = (path: string): string | undefined => {
    const bytes = source.read(path);
    return bytes === undefined ? undefined : new TextDecoder('latin1').decode(bytes);
  };
  const one = (path: string, given = text(path)) => {
    if (given === undefined || files.includes(path) || files.length >= MAX_FILES) return;
    files.push(path);
    readLoaderConf(given, conf, path);
  };
  const named = (variable: string) => words(conf.environment.get(variable) ?? '');
  one(DEFAULTS);
  readListed(() => named('loader_conf_files'), one);
  for (const folder of named('loader_conf_dirs')) {
    const names = (source.list(folder) ?? []).filter((name) => /^[^.].*\.conf$/.test(name));
    for (const name of [...names].sort()) one(`${folder.replace(/\/$/, '')}/${name}`);
  }
  readListed(() => named('local_loader_conf_files'), one);
  const next = conf.environment.get('nextboot_conf') ?? '';
  const wanted = next === '' ? undefined : text(next);
  if (wanted !== undefined && /^\s*nextboot_enable\s*=\s*"?yes"?/i.test(wanted)) one(next, wanted);
  return { conf, files };
}

/** Reads a list of files that may itself change while it is read. */
function readListed(list: () => string[], read: (path: string) => void): void {
  for (let before = ''; before !== list().join(' '); ) {
    before = list().join(' ');
    for (const path of list()) read(path);
  }
}
