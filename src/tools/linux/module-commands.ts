/** insmod, rmmod, lsmod, modprobe and the kernel's own view of its modules. */
import type { Steps } from '../../kernel/steps.ts';
import { Errno, errnoName } from '../../systems/linux/errno.ts';
import { raiseInterrupt } from '../../systems/linux/functions/interrupts.ts';
import type { Linux } from '../../systems/linux/linux.ts';
import {
  insmod,
  type LoadOptions,
  type LoadResult,
  rmmod,
  type UnloadResult,
} from '../../systems/linux/loader.ts';
import { moduleSizes, procModules } from '../../systems/linux/proc-modules.ts';
import * as calls from '../../systems/linux/vfs/calls.ts';
import { Getopt, type LongOption, WRONG } from '../getopt.ts';
import { type CommandResult, type ConsoleCommand, done, failed, type LinuxConsole } from './console.ts';
import { INSMOD_WORDS } from './error-words.ts';
import { errorText } from './errors.ts';
import { modinfoField, modinfoText } from './modinfo.ts';
import { planProbe, removeProbed, runPlan, treeOf } from './modprobe.ts';

/** MODULE_INIT_IGNORE_MODVERSIONS, MODULE_INIT_IGNORE_VERMAGIC (include/uapi/linux/module.h). */
const IGNORE_MODVERSIONS = 1;
const IGNORE_VERMAGIC = 2;
const KNOWN_FLAGS = 7;
/** O_TRUNC: what delete_module takes as "force". */
const O_TRUNC = 0o1000;

/** What insmod writes about an error of the system call. */
export function insmodError(path: string, errno: number): string {
  return `insmod: ERROR: could not insert module ${path}: ${INSMOD_WORDS[errnoName(errno) ?? ''] ?? errorText(errno)}`;
}

function loadOutcome(result: LoadResult, describe: (errno: number) => string): CommandResult {
  switch (result.outcome) {
    case 'loaded':
      return done();
    case 'refused': {
      const { errno, why, hint } = result.refusal;
      return { code: 1, errno, output: describe(errno), note: hint === '' ? why : `${why} ${hint}` };
    }
    case 'killed':
      return killed(result.killed.code, result.killed.message);
    case 'missing':
      return { code: 1, errno: null, output: '', note: result.missing.message };
  }
}

function killed(signal: number, why: string): CommandResult {
  return {
    code: 128 + signal,
    errno: null,
    output: signal === 9 ? 'Killed' : 'Segmentation fault',
    note: why,
  };
}

/** Loads a file by path with the words that follow as parameters. */
export function loadFile(
  console: LinuxConsole,
  path: string,
  args: string,
  options: LoadOptions,
): LoadResult | undefined {
  const bytes = console.moduleFile(path);
  if (bytes === undefined) return undefined;
  const result = insmod(console.k, bytes, args, { path, credential: console.credential, ...options });
  // Workers that the module woke run while the tool that loaded it comes to its end.
  console.k.scheduler.settle();
  return result;
}

function insmodCommand(console: LinuxConsole, args: readonly string[]): CommandResult {
  const force = args[0] === '-f';
  const [path, ...parameters] = force ? args.slice(1) : args;
  if (path === undefined) return { code: 1, errno: null, output: 'insmod: ERROR: missing filename.' };
  const flags = { ignoreModversions: force, ignoreVermagic: force };
  const result = loadFile(console, path, parameters.map(quoteParameter).join(' '), { flags });
  if (result === undefined) {
    const output = `insmod: ERROR: could not load module ${path}: No such file or directory`;
    return { code: 1, errno: Errno.ENOENT, output };
  }
  return loadOutcome(result, (errno) => insmodError(path, errno));
}

/** insmod passes its words on, putting quotes around a value with blanks. */
function quoteParameter(word: string): string {
  const [name, ...rest] = word.split('=');
  const value = rest.join('=');
  return rest.length > 0 && value.includes(' ') && !value.includes('"') ? `${name}="${value}"` : word;
}

function finitModule(console: LinuxConsole, args: readonly string[]): CommandResult {
  const [path, flagText = '0', parameters = ''] = args;
  const flags = Number(flagText);
  if (console.credential.uid === 0 && (flags & ~KNOWN_FLAGS) !== 0) return failed(Errno.EINVAL, '');
  const result = loadFile(console, path, parameters, {
    flags: {
      ignoreModversions: (flags & IGNORE_MODVERSIONS) !== 0,
      ignoreVermagic: (flags & IGNORE_VERMAGIC) !== 0,
      compressed: (flags & 4) !== 0,
    },
  });
  if (result === undefined) return failed(Errno.ENOENT, path);
  return loadOutcome(result, (errno) => errorText(errno));
}

function unloadOutcome(result: UnloadResult, describe: (errno: number) => string): CommandResult {
  if (result.outcome === 'unloaded') return done();
  if (result.outcome === 'killed') return killed(result.killed.code, result.killed.message);
  if (result.outcome === 'missing') return { code: 1, errno: null, output: '', note: result.missing.message };
  const { errno, why, hint } = result.refusal;
  return { code: 1, errno, output: describe(errno), note: `${why} ${hint}` };
}

/** rmmod looks at /proc/modules itself before it asks the kernel (tools/rmmod.c). */
function rmmodCommand(console: LinuxConsole, args: readonly string[]): CommandResult {
  const force = args[0] === '-f';
  const name = moduleName(force ? args[1] : args[0]);
  if (name === undefined) return { code: 1, errno: null, output: 'rmmod: ERROR: missing module name.' };
  const line = procModules(console.k)
    .split('\n')
    .map((row) => row.split(' '))
    .find(([loaded]) => loaded === name);
  if (line === undefined) {
    return { code: 1, errno: null, output: `rmmod: ERROR: Module ${name} is not currently loaded` };
  }
  const count = line[2];
  const users = holderNames(line[3]);
  if (!force && users.length > 0) {
    const output = `rmmod: ERROR: Module ${name} is in use by: ${users.join(' ')}`;
    return { code: 1, errno: null, output };
  }
  if (!force && count !== '0')
    return { code: 1, errno: null, output: `rmmod: ERROR: Module ${name} is in use` };
  const result = rmmod(console.k, name, { force, credential: console.credential });
  return unloadOutcome(result, (errno) => rmmodError(name, errno));
}

/** What rmmod writes about an error of the system call: the library's line and its own. */
export function rmmodError(name: string, errno: number): string {
  const why = errorText(errno);
  return `rmmod: ERROR: could not remove '${name}': ${why}\nrmmod: ERROR: could not remove module ${name}: ${why}`;
}

/** The modules in the fourth column of /proc/modules; `[permanent]` there is a mark, not a name. */
function holderNames(column: string): string[] {
  return column.split(',').filter((name) => name !== '' && name !== '-' && !name.startsWith('['));
}

function moduleName(word: string | undefined): string | undefined {
  return word
    ?.replace(/^.*\//, '')
    .replace(/\.ko(\.\w+)?$/, '')
    .replaceAll('-', '_');
}

function deleteModule(console: LinuxConsole, [name, flags = '0']: readonly string[]): CommandResult {
  const force = (Number(flags) & O_TRUNC) !== 0;
  return unloadOutcome(rmmod(console.k, name, { force, credential: console.credential }), (errno) =>
    errorText(errno),
  );
}

/** lsmod's columns (tools/lsmod.c). */
export function lsmodText(k: Linux): string {
  let text = 'Module                  Size  Used by\n';
  for (const row of procModules(k).split('\n')) {
    const [name, , count, users] = row.split(' ');
    const module = k.modules.find(name);
    if (module === undefined) continue;
    // kmod reads the size from /sys/module/NAME/coresize, which leaves the init part out.
    const size = String(moduleSizes(k, module.control).core);
    const holders = holderNames(users).join(',');
    text += `${name.padEnd(19)} ${size.padStart(8)}  ${count}${holders === '' ? '' : ` ${holders}`}\n`;
  }
  return text;
}

const MODPROBE_OPTIONS: readonly LongOption[] = [
  { name: 'all', value: 'none', as: 'a' },
  { name: 'remove', value: 'none', as: 'r' },
  { name: 'show-depends', value: 'none', as: 'D' },
  { name: 'show-alias', value: 'none', as: 'R' },
  { name: 'dry-run', value: 'none', as: 'n' },
  { name: 'quiet', value: 'none', as: 'q' },
  { name: 'verbose', value: 'none', as: 'v' },
  { name: 'first-time', value: 'none', as: 'first-time' },
  { name: 'use-blacklist', value: 'none', as: 'b' },
  { name: 'ignore-install', value: 'none', as: 'i' },
];

/** modprobe with what the module needs; -r removes in reverse. There is no tree, and so no configuration, around it. */
function modprobe(console: LinuxConsole, args: readonly string[]): CommandResult {
  const { options, rest, messages } = new Getopt('modprobe', 'arDRnqvbi', MODPROBE_OPTIONS).parse(args);
  const given = new Set(options.map(({ option }) => option));
  if (given.has(WRONG)) return { code: 1, errno: null, output: messages[0] };
  if (rest.length === 0)
    return { code: 1, errno: null, output: 'modprobe: ERROR: missing parameters. See -h.' };
  const many = given.has('a') || given.has('r');
  const words = many ? rest : rest.slice(0, 1);
  const parameters = many ? [] : rest.slice(1);
  const results = words.map((word) =>
    given.has('r') ? removeWithUnused(console, word) : probe(console, word, parameters, given),
  );
  const failed = results.find(({ code }) => code !== 0);
  const output = results.map((one) => one.output.replace(/\n?$/, one.output === '' ? '' : '\n')).join('');
  const quiet = given.has('q') && failed?.output.includes('not found') === true;
  if (failed === undefined) return done(output);
  return { ...failed, output: quiet ? '' : output };
}

function probe(
  console: LinuxConsole,
  word: string,
  parameters: readonly string[],
  given: ReadonlySet<string>,
): CommandResult {
  const shows = given.has('D') || given.has('n') || given.has('v');
  const dry = given.has('D') || given.has('n') || given.has('R');
  // One that is loaded already needs no file.
  if (!given.has('D') && !given.has('R') && console.k.modules.find(moduleName(word) ?? word) !== undefined) {
    if (!given.has('first-time')) return done();
    return {
      code: 1,
      errno: null,
      output: `modprobe: ERROR: could not insert '${word}': Module already in kernel`,
    };
  }
  const plan = planProbe(treeOf(console), word.replace(/\.ko(\.\w+)?$/, ''));
  if (plan.missing !== undefined) {
    const output = `modprobe: FATAL: Module ${plan.missing} not found in directory /lib/modules/${console.k.file.release}`;
    return { code: 1, errno: null, output };
  }
  const textOf = (wanted: boolean): string => (wanted ? parameters.map(quoteParameter).join(' ') : '');
  if (given.has('R'))
    return done(plan.steps.flatMap((step) => (step.wanted ? [`${step.module.name}\n`] : [])).join(''));
  const open = given.has('D')
    ? plan.steps
    : plan.steps.filter(({ module }) => console.k.modules.find(module.name) === undefined);
  const shown = shows
    ? open.map((step) => `insmod ${step.module.path} ${textOf(step.wanted)}\n`).join('')
    : '';
  if (dry) return done(shown);
  const { credential } = console;
  const failure = runPlan(console, plan, ({ module, wanted }) =>
    insmod(console.k, module.bytes, textOf(wanted), { path: module.path, credential }),
  );
  if (failure === undefined) return done(shown);
  const { name } = failure.module;
  return loadOutcome(
    failure.result,
    (errno) => `${shown}modprobe: ERROR: could not insert '${name}': ${modprobeError(errno)}`,
  );
}

/** tools/modprobe.c */
function modprobeError(errno: number): string {
  if (errno === Errno.EEXIST) return 'Module already in kernel';
  if (errno === Errno.ENOENT) return 'Unknown symbol in module, or unknown parameter (see dmesg)';
  return errorText(errno);
}

function removeWithUnused(console: LinuxConsole, word: string): CommandResult {
  const result = removeProbed(console, word) ?? rmmod(console.k, word, { credential: console.credential });
  return unloadOutcome(result, (errno) =>
    errno === Errno.EAGAIN
      ? `modprobe: FATAL: Module ${word} is in use.`
      : `modprobe: ERROR: could not remove '${word}': ${errorText(errno)}`,
  );
}

function modinfo(console: LinuxConsole, args: readonly string[]): CommandResult {
  const field = args[0] === '-F' ? args[1] : undefined;
  const path = field === undefined ? args[0] : args[2];
  const bytes = path === undefined ? undefined : console.moduleFile(path);
  const text =
    bytes === undefined
      ? undefined
      : field === undefined
        ? modinfoText(path, bytes)
        : modinfoField(bytes, field);
  return text === undefined
    ? { code: 1, errno: null, output: `modinfo: ERROR: Module ${path ?? ''} not found.` }
    : done(text);
}

function* sysctl(k: Linux, args: readonly string[]): Steps<CommandResult> {
  const setting = args[args[0] === '-w' ? 1 : 0] ?? '';
  const equals = setting.indexOf('=');
  if (args[0] === '-w' && equals < 0)
    return { code: 1, errno: null, output: `sysctl: "${setting}" must be of the form name=value` };
  const [name, value] = equals < 0 ? [setting, ''] : [setting.slice(0, equals), setting.slice(equals + 1)];
  const path = `/proc/sys/${name.replaceAll('.', '/')}`;
  if (equals < 0) {
    const got = yield* calls.readAll(k, path);
    if (typeof got === 'number') return failed(-got, `sysctl: error: '${name}'`);
    return done(`${name} = ${new TextDecoder().decode(got)}`);
  }
  const opened = yield* calls.open(k, path, 1);
  if (typeof opened === 'number') return failed(-opened, `sysctl: error: '${name}'`);
  const result = yield* calls.write(k, opened, new TextEncoder().encode(`${value}\n`));
  yield* calls.close(k, opened);
  return result < 0 ? failed(-result, `sysctl: error setting key '${name}'`) : done(`${name} = ${value}`);
}

/** A device's interrupt, and what follows from it until nothing is ready to run. */
function interruptCommand(console: LinuxConsole, [line]: readonly string[]): CommandResult {
  const nobody = `interrupt: nothing handles line ${line}, or it is off`;
  if (!/^\d+$/.test(line) || !raiseInterrupt(console.k, Number(line)))
    return { code: 1, errno: null, output: nobody };
  console.k.scheduler.runFor(console.k.time.now());
  return done();
}

/** Seconds: a hundred days of virtual time, whose nanoseconds are still counted exactly. */
const LONGEST_SLEEP = 9_000_000;

export const moduleCommands: ReadonlyMap<string, ConsoleCommand> = new Map<string, ConsoleCommand>([
  ['insmod', insmodCommand],
  ['rmmod', rmmodCommand],
  ['lsmod', (console) => done(lsmodText(console.k))],
  ['modprobe', modprobe],
  ['modinfo', modinfo],
  ['finit_module', finitModule],
  ['delete_module', deleteModule],
  ['sysctl', (console, args) => console.process('sysctl', sysctl(console.k, args))],
  ['interrupt', interruptCommand],
  [
    'sleep',
    (console, [seconds]) => {
      if (!(Number(seconds) >= 0 && Number(seconds) <= LONGEST_SLEEP))
        return { code: 1, errno: null, output: `sleep: invalid time interval '${seconds}'` };
      console.k.scheduler.runFor(console.k.time.now() + Number(seconds) * 1e9);
      return done();
    },
  ],
  [
    'dmesg',
    (console) =>
      done(
        console.k.log.records
          .flatMap(({ time, text }) =>
            text.split('\n').map((line) => `[${(time / 1e9).toFixed(6).padStart(12)}] ${line}\n`),
          )
          .join(''),
      ),
  ],
  ['uname', (console) => done(`${console.k.file.release}\n`)],
]);
