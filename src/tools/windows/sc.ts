/** sc: the words, columns and numbers of sc.exe for drivers. */
import type { RegistryKey } from '../../systems/windows/registry.ts';
import type { ToolResult } from '../system.ts';
import { errorText, WinError } from './errors.ts';
import { ERROR_CONTROLS, SERVICE_TYPES, type ServiceController, START_TYPES } from './scm.ts';

export interface ScContext {
  readonly scm: ServiceController;
  /** The administrator: others may only look. */
  readonly elevated: boolean;
  /** What a path that was typed is called by the kernel. */
  readonly ntPath: (typed: string) => string;
}

const ok = (out: string, note?: string): ToolResult => ({ code: 0, out, err: '', note });

/** `[SC] StartService FAILED 577:`, a blank line, the system's text. */
function failed(what: string, error: number, note?: string): ToolResult {
  return { code: error, out: `[SC] ${what} FAILED ${error}:\n\n${errorText(error)}\n\n`, err: '', note };
}

const USAGE =
  'DESCRIPTION:\n        SC is a command line program used for communicating with the\n        Service Control Manager and services.\n' +
  'USAGE:\n        sc <server> [command] [service name] <option1> <option2>...\n\n';

export function sc(context: ScContext, words: readonly string[]): ToolResult {
  const [command, name, ...rest] = words;
  if (command === undefined) return { code: WinError.INVALID_PARAMETER, out: USAGE, err: '' };
  const verb = command.toLowerCase();
  if (verb === 'query' || verb === 'queryex') return query(context, verb, words.slice(1));
  const run = COMMANDS[verb];
  if (run === undefined)
    return { code: WinError.INVALID_PARAMETER, out: `*** Unrecognized Command ***\n${USAGE}`, err: '' };
  if (!context.elevated && verb !== 'qc') return failed('OpenSCManager', WinError.ACCESS_DENIED);
  if (name === undefined) return { code: WinError.INVALID_PARAMETER, out: USAGE, err: '' };
  return run(context, name, rest);
}

type Run = (context: ScContext, name: string, rest: readonly string[]) => ToolResult;

const COMMANDS: Readonly<Record<string, Run>> = {
  create: createService,
  config: configure,
  start: startService,
  stop: stopService,
  delete: deleteService,
  qc: queryConfig,
};

/** `key= value` and `key=value`; undefined when a word has no place. */
function options(rest: readonly string[]): Map<string, string> | undefined {
  const found = new Map<string, string>();
  for (let i = 0; i < rest.length; i++) {
    const at = rest[i].indexOf('=');
    if (at <= 0) return undefined;
    const key = rest[i].slice(0, at).toLowerCase();
    const value = rest[i].slice(at + 1);
    if (value !== '') found.set(key, value);
    else {
      i++;
      if (i >= rest.length) return undefined;
      found.set(key, rest[i]);
    }
  }
  return found;
}

const chosen = (
  words: readonly (readonly [string, number, string])[],
  value: string | undefined,
): number | undefined => words.find(([word]) => word === value?.toLowerCase())?.[1];

/** Applies the options to a key; false when one has a value that cannot be. */
function apply(context: ScContext, key: RegistryKey, given: ReadonlyMap<string, string>): boolean {
  for (const [option, value] of given) {
    const table = { type: SERVICE_TYPES, start: START_TYPES, error: ERROR_CONTROLS }[option];
    if (table !== undefined) {
      const number = chosen(table, value);
      if (number === undefined) return false;
      key.setDword({ type: 'Type', start: 'Start', error: 'ErrorControl' }[option] ?? '', number);
    } else if (option === 'binpath') key.setText('ImagePath', context.ntPath(value), 2);
    else if (option === 'group') key.setText('Group', value);
    else if (option === 'displayname') key.setText('DisplayName', value);
    else if (option === 'depend') key.setMulti('DependOnService', value === '/' ? [] : value.split('/'));
    else if (option === 'tag') {
      if (value.toLowerCase() === 'yes') key.setDword('Tag', nextTag(context, key));
    } else return false;
  }
  return true;
}

function nextTag({ scm }: ScContext, key: RegistryKey): number {
  const group = key.text('Group');
  const tags = scm
    .all()
    .filter((one) => one.text('Group') === group)
    .map((one) => one.dword('Tag') ?? 0);
  return Math.max(0, ...tags) + 1;
}

const badOptions = (): ToolResult => ({ code: WinError.INVALID_PARAMETER, out: USAGE, err: '' });

function createService(context: ScContext, name: string, rest: readonly string[]): ToolResult {
  const given = options(rest);
  const path = given?.get('binpath');
  if (given === undefined || path === undefined) return badOptions();
  const { scm } = context;
  const old = scm.find(name);
  if (old !== undefined)
    return failed(
      'CreateService',
      scm.marked(old) ? WinError.SERVICE_MARKED_FOR_DELETE : WinError.SERVICE_EXISTS,
    );
  const type = chosen(SERVICE_TYPES, given.get('type'));
  const note =
    type === undefined
      ? 'Without type= kernel (or filesys) the system takes the file for a program; here it is taken for a driver.'
      : undefined;
  const key = scm.create(name, context.ntPath(path));
  if (!apply(context, key, given)) {
    key.remove();
    return badOptions();
  }
  if (key.text('DisplayName') === undefined) key.setText('DisplayName', name);
  return ok('[SC] CreateService SUCCESS\n', note);
}

function configure(context: ScContext, name: string, rest: readonly string[]): ToolResult {
  const key = context.scm.find(name);
  if (key === undefined) return failed('OpenService', WinError.SERVICE_DOES_NOT_EXIST);
  if (context.scm.marked(key)) return failed('ChangeServiceConfig', WinError.SERVICE_MARKED_FOR_DELETE);
  const given = options(rest);
  if (given === undefined || !apply(context, key, given)) return badOptions();
  return ok('[SC] ChangeServiceConfig SUCCESS\n');
}

function startService(context: ScContext, name: string): ToolResult {
  const { scm } = context;
  const key = scm.find(name);
  if (key === undefined) return failed('StartService: OpenService', WinError.SERVICE_DOES_NOT_EXIST);
  const { error, load, dependency } = scm.start(key);
  if (error === 0) return ok(status(context, key, true));
  const why = dependency === undefined ? load?.why : `${dependency}, which it depends on, does not start.`;
  const hint = load?.hint === undefined ? '' : ` ${load.hint}`;
  return failed('StartService', error, why === undefined ? undefined : why + hint);
}

function stopService(context: ScContext, name: string): ToolResult {
  const { scm } = context;
  const key = scm.find(name);
  if (key === undefined) return failed('OpenService', WinError.SERVICE_DOES_NOT_EXIST);
  const { error, deferred, why, leaks } = scm.stop(key);
  if (error !== 0) return failed('ControlService', error, why);
  const left = leaks.map(
    ({ what, bytes, where }) =>
      `left behind: ${what}, ${bytes} bytes${where === '' ? '' : `, from ${where}`}`,
  );
  const note = deferred
    ? 'The driver stays until the last handle of its devices is closed and nothing is attached to them.'
    : left.join('\n');
  return ok(status(context, key, false), note === '' ? undefined : note);
}

function deleteService({ scm }: ScContext, name: string): ToolResult {
  const key = scm.find(name);
  if (key === undefined) return failed('OpenService', WinError.SERVICE_DOES_NOT_EXIST);
  const error = scm.remove(key);
  return error === 0 ? ok('[SC] DeleteService SUCCESS\n') : failed('DeleteService', error);
}

function queryConfig({ scm }: ScContext, name: string): ToolResult {
  const key = scm.find(name);
  if (key === undefined) return failed('OpenService', WinError.SERVICE_DOES_NOT_EXIST);
  const shown = (words: readonly (readonly [string, number, string])[], value: number | undefined) =>
    words.find(([, number]) => number === value)?.[2] ?? '';
  const [type, start, error] = [key.dword('Type'), key.dword('Start'), key.dword('ErrorControl')];
  const lines = [
    `TYPE               : ${(type ?? 0).toString(16)}  ${shown(SERVICE_TYPES, type)} `,
    `START_TYPE         : ${start}   ${shown(START_TYPES, start)}`,
    `ERROR_CONTROL      : ${error}   ${shown(ERROR_CONTROLS, error)}`,
    `BINARY_PATH_NAME   : ${key.text('ImagePath') ?? ''}`,
    `LOAD_ORDER_GROUP   : ${key.text('Group') ?? ''}`,
    `TAG                : ${key.dword('Tag') ?? 0}`,
    `DISPLAY_NAME       : ${key.text('DisplayName') ?? key.name}`,
    ...dependencies(key.multi('DependOnService')),
    'SERVICE_START_NAME : ',
  ];
  const body = lines.map((line) => `        ${line}\n`).join('');
  return ok(`[SC] QueryServiceConfig SUCCESS\n\nSERVICE_NAME: ${key.name}\n${body}`);
}

function dependencies(names: readonly string[]): string[] {
  if (names.length === 0) return ['DEPENDENCIES       : '];
  return names.map((name, i) => (i === 0 ? `DEPENDENCIES       : ${name}` : `                   : ${name}`));
}

const STATES = { STOPPED: 1, STOP_PENDING: 3, RUNNING: 4 } as const;

/** The block that query, start and stop print; `full` adds process and flags. */
function status({ scm }: ScContext, key: RegistryKey, full: boolean): string {
  const state = scm.state(key);
  const type = key.dword('Type') ?? 1;
  const shown = SERVICE_TYPES.find(([, value]) => value === type)?.[2] ?? '';
  const exit = state === 'STOPPED' ? scm.exitCode(key) : 0;
  const accepts = state === 'RUNNING' ? 'STOPPABLE' : 'NOT_STOPPABLE';
  const flags = `                                (${accepts}, NOT_PAUSABLE, IGNORES_SHUTDOWN)`;
  const lines = [
    '',
    `SERVICE_NAME: ${key.name} `,
    `        TYPE               : ${type.toString(16)}  ${shown}  `,
    `        STATE              : ${STATES[state]}  ${state} `,
    ...(state === 'STOPPED' ? [] : [flags]),
    `        WIN32_EXIT_CODE    : ${exit}  (0x${exit.toString(16)})`,
    '        SERVICE_EXIT_CODE  : 0  (0x0)',
    '        CHECKPOINT         : 0x0',
    '        WAIT_HINT          : 0x0',
    ...(full ? ['        PID                : 0', '        FLAGS              : '] : []),
  ];
  return `${lines.join('\n')}\n`;
}

function query(context: ScContext, verb: string, words: readonly string[]): ToolResult {
  const { scm } = context;
  scm.sweep();
  const full = verb === 'queryex';
  const [name] = words;
  if (name !== undefined && !name.includes('=')) {
    const key = scm.find(name);
    if (key === undefined)
      return failed('EnumQueryServicesStatus:OpenService', WinError.SERVICE_DOES_NOT_EXIST);
    return ok(status(context, key, full));
  }
  const given = options(words);
  if (given === undefined) return badOptions();
  const wanted = given.get('state')?.toLowerCase() ?? 'active';
  const types = chosenTypes(given.get('type')?.toLowerCase() ?? 'service');
  if (types === undefined || !['active', 'inactive', 'all'].includes(wanted)) return badOptions();
  const group = given.get('group');
  const keys = scm.all().filter((key) => {
    if (!types.includes(key.dword('Type') ?? 1)) return false;
    if (group !== undefined && (key.text('Group') ?? '') !== (group === '""' ? '' : group)) return false;
    const stopped = scm.state(key) === 'STOPPED';
    return wanted === 'all' || (wanted === 'inactive') === stopped;
  });
  if (types.length === 0 && scm.all().length > 0)
    return ok('', 'Without type= driver, sc lists the services of programs, of which there are none.');
  return ok(keys.map((key) => status(context, key, full)).join(''));
}

/** Types of services by the word of `type=`; those of programs stand for nothing here. */
function chosenTypes(word: string): number[] | undefined {
  const all = SERVICE_TYPES.map(([, value]) => value);
  if (word === 'driver' || word === 'all') return all;
  if (['service', 'own', 'share', 'interact', 'userservice'].includes(word)) return [];
  const one = chosen(SERVICE_TYPES, word);
  return one === undefined ? undefined : [one];
}
