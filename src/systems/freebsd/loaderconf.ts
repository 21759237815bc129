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
  /** `_name`: the file, where it is not called as the module is. */
  file: string | undefined;
  type: string | undefined;
  flags: string | undefined;
  before: string | undefined;
  after: string | undefined;
  error: string | undefined;
}

export interface LoaderProblem {
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
export function readLoaderConf(text: string, conf: LoaderConf = emptyLoaderConf()): LoaderConf {
  for (const [i, raw] of text.split('\n').slice(0, MAX_LINES).entries()) {
    const line = raw.replace(/\r$/, '');
    if (!readLine(line, conf)) conf.problems.push({ line: i + 1, text: line });
  }
  return conf;
}

function readLine(line: string, conf: LoaderConf): boolean {
  if (/^\s*(#.*)?$/.test(line)) return true;
  const module = MODULE_LINE.exec(line);
  if (module !== null) {
    setField(conf, module[1], module[2], module[3] ?? module[4]);
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

function setField(conf: LoaderConf, name: string, field: string, value: string): void {
  const module = moduleNamed(conf, name);
  if (field === 'load') module.load = value.toLowerCase() === 'yes';
  else module[FIELDS[field as keyof typeof FIELDS]] = value;
}

export function moduleNamed(conf: LoaderConf, name: string): LoaderModule {
  let module = conf.modules.get(name);
  if (module === undefined) {
    module = {
      name,
      load: false,
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

/** `kld_list` of rc.conf(5): modules that rc.d/kld loads once the system is up. */
export function kldList(rcConf: string): string[] {
  let list: string[] = [];
  for (const line of rcConf.split('\n').slice(0, MAX_LINES)) {
    const match = /^\s*kld_list\s*=\s*(?:"([^"]*)"|'([^']*)'|(\S+))/.exec(line);
    if (match === null) continue;
    const words = (match[1] ?? match[2] ?? match[3]).replace(/\$\{?kld_list\}?/g, list.join(' '));
    list = words.split(/\s+/).filter((word) => word !== '');
  }
  return list;
}
