/** The command line of modprobe(8), with the words of MODPROBE_OPTIONS before it. */
import { Getopt, type LongOption, WRONG } from '../../getopt.ts';
import { Level, ToolExit } from './output.ts';
import { printHelp, printVersion, type ToolCall } from './tool.ts';

export interface ModprobeOptions {
  all: boolean;
  remove: boolean;
  removeHolders: boolean;
  /** Milliseconds to wait for a module in use. */
  wait: number;
  firstTime: boolean;
  ignoreCommands: boolean;
  useBlacklist: boolean;
  force: boolean;
  forceModversion: boolean;
  forceVermagic: boolean;
  ignoreLoaded: boolean;
  dryRun: boolean;
  show: boolean;
  lookUpOnly: boolean;
  showConfig: boolean;
  showModversions: boolean;
  showExports: boolean;
  configs: string[];
  root: string | undefined;
  release: string | undefined;
  syslog: boolean;
  quiet: boolean;
  verbose: number;
  /** For commands of the configuration: a modprobe among them follows these options, too. */
  environment: ToolCall['environment'];
}

const LONG: readonly LongOption[] = (
  [
    ['all', 'a'],
    ['remove', 'r'],
    ['remove-dependencies', 'remove-dependencies'],
    ['remove-holders', 'remove-holders'],
    ['wait', 'w', 'required'],
    ['resolve-alias', 'resolve-alias'],
    ['show-alias', 'R'],
    ['first-time', 'first-time'],
    ['ignore-install', 'i'],
    ['ignore-remove', 'i'],
    ['use-blacklist', 'b'],
    ['force', 'f'],
    ['force-modversion', 'force-modversion'],
    ['force-vermagic', 'force-vermagic'],
    ['show-depends', 'D'],
    ['showconfig', 'showconfig'],
    ['show-config', 'c'],
    ['show-modversions', 'show-modversions'],
    ['dump-modversions', 'dump-modversions'],
    ['show-exports', 'show-exports'],
    ['dry-run', 'n'],
    ['show', 'show'],
    ['config', 'C', 'required'],
    ['dirname', 'd', 'required'],
    ['set-version', 'S', 'required'],
    ['syslog', 's'],
    ['quiet', 'q'],
    ['verbose', 'v'],
    ['version', 'V'],
    ['help', 'h'],
  ] as const
).map(([name, as, value]) => ({ name, as, value: value ?? 'none' }));

/** Old names: what to use instead. */
const DEPRECATED: Readonly<Record<string, readonly [now: string, as: string]>> = {
  'remove-dependencies': ['remove-holders', 'remove-holders'],
  'resolve-alias': ['show-alias', 'R'],
  showconfig: ['show-config', 'c'],
  'dump-modversions': ['show-modversions', 'show-modversions'],
  show: ['dry-run', 'n'],
};

/** Reads the words; options that end the tool (help, version, errors) do. @throws ToolExit */
export function readModprobeOptions(call: ToolCall): { options: ModprobeOptions; args: readonly string[] } {
  const options = defaults(call.environment);
  const argv = [...environmentWords(call.environment.MODPROBE_OPTIONS), ...call.argv];
  const parsed = new Getopt('modprobe', 'arw:RibfDcnC:d:S:sqvVh', LONG).parse(argv);
  for (const { option, value } of parsed.options) {
    if (option === WRONG) {
      call.output.printError(parsed.messages[0]);
      throw new ToolExit(1);
    }
    const renamed = DEPRECATED[option];
    if (renamed !== undefined)
      call.output.warn(`--${option} is deprecated and scheduled for removal; use --${renamed[0]}\n`);
    take(call, options, renamed?.[1] ?? option, value);
  }
  return { options, args: parsed.rest };
}

function defaults(environment: ToolCall['environment']): ModprobeOptions {
  return {
    all: false,
    remove: false,
    removeHolders: false,
    wait: 0,
    firstTime: false,
    ignoreCommands: false,
    useBlacklist: false,
    force: false,
    forceModversion: false,
    forceVermagic: false,
    ignoreLoaded: false,
    dryRun: false,
    show: false,
    lookUpOnly: false,
    showConfig: false,
    showModversions: false,
    showExports: false,
    configs: [],
    root: undefined,
    release: undefined,
    syslog: false,
    quiet: false,
    verbose: Level.WARNING,
    environment,
  };
}

/** Options that set one thing. */
const SWITCHES: Readonly<Record<string, keyof ModprobeOptions>> = {
  a: 'all',
  r: 'remove',
  'first-time': 'firstTime',
  i: 'ignoreCommands',
  b: 'useBlacklist',
  f: 'force',
  'force-modversion': 'forceModversion',
  'force-vermagic': 'forceVermagic',
  R: 'lookUpOnly',
  c: 'showConfig',
  'show-modversions': 'showModversions',
  'show-exports': 'showExports',
  s: 'syslog',
  q: 'quiet',
};

function take(call: ToolCall, options: ModprobeOptions, option: string, value: string): void {
  if ('Csqv'.includes(option)) passOn(options, option, value);
  const name = SWITCHES[option];
  if (name !== undefined) Object.assign(options, { [name]: true });
  switch (option) {
    case 'remove-holders':
      options.remove = options.removeHolders = true;
      break;
    case 'w':
      options.wait = waitTime(call, value);
      break;
    case 'D':
      options.ignoreLoaded = options.dryRun = options.show = true;
      break;
    case 'n':
      options.dryRun = options.show = true;
      break;
    case 'C':
      options.configs.push(value);
      break;
    case 'd':
      options.root = value;
      break;
    case 'S':
      options.release = value;
      break;
    case 'v':
      options.verbose++;
      break;
    case 'q':
      options.verbose = 0;
      break;
    case 'V':
      printVersion(call.output);
      throw new ToolExit(0);
    case 'h':
      printHelp(call, HELP);
      throw new ToolExit(0);
  }
}

/** Appends to MODPROBE_OPTIONS. */
function passOn(options: ModprobeOptions, option: string, value: string): void {
  const words = option === 'C' ? `-C ${value}` : `-${option}`;
  const old = options.environment.MODPROBE_OPTIONS;
  options.environment = {
    ...options.environment,
    MODPROBE_OPTIONS: old === undefined ? words : `${old} ${words}`,
  };
}

/** Decimal, octal or hexadecimal, as strtoul(3) reads it. */
function waitTime(call: ToolCall, text: string): number {
  if (/^\s*[+-]?(0[xX][0-9a-fA-F]+|\d+)$/.test(text)) {
    const plain = text.trim().replace(/^\+/, '');
    // strtoul(3) takes a negative number for a very large one.
    if (plain.startsWith('-')) return Number.POSITIVE_INFINITY;
    return /^0\d/.test(plain) ? Number.parseInt(plain, 8) : Number(plain);
  }
  call.output.error(`unexpected wait value '${text}'.\n`);
  throw new ToolExit(1);
}

/**
 * MODPROBE_OPTIONS: words between blanks. Quotes keep blanks and go away; a word that begins with a quote ends with it,
 * and a blank behind that is an empty word: the tool's way, which is why nobody quotes whole words there. A quote that
 * nothing ends is a letter as others are, and keeps the rest together.
 */
function environmentWords(text: string | undefined): string[] {
  if (text === undefined || text === '') return [];
  const words: string[] = [];
  let word = '';
  let quote: string | undefined;
  let whole = false;
  let opened = 0;
  for (const char of text) {
    if (quote === undefined && (char === '"' || char === "'")) {
      quote = char;
      opened = word.length;
      whole = word === '';
    } else if (char === quote) {
      quote = undefined;
      if (!whole) continue;
      words.push(word);
      word = '';
    } else if (char === ' ' && quote === undefined) {
      words.push(word);
      word = '';
    } else word += char;
  }
  if (quote !== undefined) word = word.slice(0, opened) + quote + word.slice(opened);
  if (word !== '') words.push(word);
  return words;
}

/** Parameters of a module as one text: a value with blanks is put in quotes. */
export function moduleOptions(words: readonly string[]): string {
  return words
    .map((word) => {
      const equals = word.indexOf('=');
      const value = word.slice(equals + 1);
      if (equals < 0 || value.startsWith('"') || value.startsWith("'") || !value.includes(' ')) return word;
      return `${word.slice(0, equals + 1)}"${value}"`;
    })
    .join(' ');
}

const HELP = `Usage:
	modprobe [options] [-i] [-b] modulename
	modprobe [options] -a [-i] [-b] modulename [modulename...]
	modprobe [options] -r [-i] modulename
	modprobe [options] -r -a [-i] modulename [modulename...]
	modprobe [options] -c
	modprobe [options] --show-modversions filename
Management Options:
	-a, --all                   Consider every non-argument to
	                            be a module name to be inserted
	                            or removed (-r)
	-r, --remove                Remove modules instead of inserting
	    --remove-holders        Also remove module holders (use together with -r)
	-w, --wait MSEC             When removing a module, wait up to MSEC for
	                            module's refcount to become 0 so it can be
	                            removed (use together with -r)
	    --first-time            Fail if module already inserted or removed
	-i, --ignore-install        Ignore install commands
	-i, --ignore-remove         Ignore remove commands
	-b, --use-blacklist         Apply blacklist to resolved alias.
	-f, --force                 Force module insertion or removal.
	                            implies --force-modversion and
	                            --force-vermagic
	    --force-modversion      Ignore module's version
	    --force-vermagic        Ignore module's version magic

Query Options:
	-R, --show-alias            Print module(s) matching given alias and exit
	-D, --show-depends          Print module dependencies and exit
	-c, --show-config           Print known configuration and exit
	    --show-modversions      Print module symbol version and exit
	    --show-exports          Print module exported symbol versions and exit

General Options:
	-n, --dry-run               Do not execute operations, just print out
	-C, --config FILE           Use FILE instead of default search paths
	-d, --dirname DIR           Use DIR as filesystem root for /lib/modules
	-S, --set-version VERSION   Use VERSION instead of $(uname -r)
	-s, --syslog                print to syslog, not stderr
	-q, --quiet                 disable messages
	-v, --verbose               enables more messages
	-V, --version               show version
	-h, --help                  show this help
`;
