/** sc create, config, delete, qc: services as keys of the registry. */
import type { RegistryKey } from '../../../systems/windows/registry.ts';
import type { ToolResult } from '../../system.ts';
import { WinError } from '../errors.ts';
import { ERROR_CONTROLS, SERVICE_TYPES, START_TYPES } from '../scm.ts';
import { badOptions, chosen, failed, noSuchService, ok, options, type ScContext } from './answer.ts';

/** Names of services have up to 256 characters and neither kind of slash. */
const MAX_NAME = 256;
/** Kinds of programs: none runs here. */
const PROGRAMS = ['own', 'share', 'interact', 'userown', 'usershare'];

/** Options that are kept as text under the name of a value. */
const TEXTS: Readonly<Record<string, string>> = {
  group: 'Group',
  displayname: 'DisplayName',
  obj: 'ObjectName',
};

/**
 * Applies the options to a key.
 * @returns undefined, or in our words which option cannot be
 */
function apply(context: ScContext, key: RegistryKey, given: ReadonlyMap<string, string>): string | undefined {
  for (const [option, value] of given) {
    const bad = applyOne(context, key, option, value);
    if (bad !== undefined) return bad;
  }
  return undefined;
}

function applyOne(context: ScContext, key: RegistryKey, option: string, value: string): string | undefined {
  const table = { type: SERVICE_TYPES, start: START_TYPES, error: ERROR_CONTROLS }[option];
  if (table !== undefined) {
    const number = chosen(table, value);
    if (number === undefined)
      return `${option}= takes ${table.map(([word]) => word).join(', ')}, not ${value}.`;
    key.setDword({ type: 'Type', start: 'Start', error: 'ErrorControl' }[option] ?? '', number);
  } else if (option === 'binpath') key.setText('ImagePath', context.ntPath(value), 2);
  else if (option in TEXTS) key.setText(TEXTS[option], value);
  else if (option === 'depend') depend(key, value);
  else if (option === 'tag') {
    const word = value.toLowerCase();
    if (word !== 'yes' && word !== 'no') return `tag= takes yes or no, not ${value}.`;
    if (word === 'yes') key.setDword('Tag', nextTag(context, key));
  }
  // A password belongs to the account of a program; drivers have none, and the system does not look at it.
  else if (option !== 'password') return `There is no option ${option}=.`;
  return undefined;
}

/** `a/b/+group`: services, and with + groups; `/` for none. */
function depend(key: RegistryKey, value: string): void {
  const names = value.split('/').filter((name) => name !== '');
  key.setMulti(
    'DependOnService',
    names.filter((name) => !name.startsWith('+')),
  );
  const groups = names.filter((name) => name.startsWith('+')).map((name) => name.slice(1));
  if (groups.length > 0 || key.multi('DependOnGroup').length > 0) key.setMulti('DependOnGroup', groups);
}

function nextTag({ scm }: ScContext, key: RegistryKey): number {
  const group = key.text('Group');
  const tags = scm
    .all()
    .filter((one) => one.text('Group') === group)
    .map((one) => one.dword('Tag') ?? 0);
  return Math.max(0, ...tags) + 1;
}

/** Names that show are unique among all that show and all that are keys. */
function takenName({ scm }: ScContext, shown: string | undefined, own: string): boolean {
  const same = (name: string | undefined) => name?.toLowerCase() === shown?.toLowerCase();
  return (
    shown !== undefined &&
    scm
      .all()
      .some(
        (key) =>
          key.name.toLowerCase() !== own.toLowerCase() && (same(key.name) || same(key.text('DisplayName'))),
      )
  );
}

/** The order of a table is by tags in groups: a tag without a group orders nothing. */
const tagWithoutGroup = (given: ReadonlyMap<string, string>, key: RegistryKey | undefined): boolean =>
  given.get('tag')?.toLowerCase() === 'yes' && (given.get('group') ?? key?.text('Group') ?? '') === '';

export function createService(context: ScContext, name: string, rest: readonly string[]): ToolResult {
  const given = options(rest);
  const path = given?.get('binpath');
  if (given === undefined || path === undefined) return badOptions('create', 'binPath= is wanted.');
  const { scm } = context;
  if (name.length > MAX_NAME || /[/\\]/.test(name)) return failed('CreateService', WinError.INVALID_NAME);
  const old = scm.find(name);
  if (old !== undefined)
    return failed(
      'CreateService',
      scm.marked(old) ? WinError.SERVICE_MARKED_FOR_DELETE : WinError.SERVICE_EXISTS,
    );
  if (takenName(context, given.get('displayname'), name))
    return failed('CreateService', WinError.DUPLICATE_SERVICE_NAME);
  if (tagWithoutGroup(given, undefined))
    return failed(
      'CreateService',
      WinError.INVALID_PARAMETER,
      'A tag orders the drivers of a group: group= is wanted.',
    );
  const type = given.get('type')?.toLowerCase();
  if (type !== undefined && PROGRAMS.includes(type))
    return badOptions('create', 'Programs do not run here: type= kernel, filesys, adapt or rec.');
  const note =
    type === undefined
      ? 'Without type= kernel (or filesys) the system takes the file for a program; here it is taken for a driver.'
      : undefined;
  const key = scm.create(name, context.ntPath(path));
  // The group first, for the tag is the next one in it.
  const ordered = new Map([...given].sort(([a], [b]) => Number(a === 'tag') - Number(b === 'tag')));
  const bad = apply(context, key, ordered);
  if (bad !== undefined) {
    key.remove();
    return badOptions('create', bad);
  }
  if (scm.circular(key)) {
    key.remove();
    return failed('CreateService', WinError.CIRCULAR_DEPENDENCY);
  }
  if (key.text('DisplayName') === undefined) key.setText('DisplayName', name);
  return ok('[SC] CreateService SUCCESS\n', note);
}

export function configure(context: ScContext, name: string, rest: readonly string[]): ToolResult {
  const key = context.scm.find(name);
  if (key === undefined) return noSuchService();
  if (context.scm.marked(key)) return failed('ChangeServiceConfig', WinError.SERVICE_MARKED_FOR_DELETE);
  const given = options(rest);
  if (given === undefined) return badOptions('config');
  if (takenName(context, given.get('displayname'), name))
    return failed('ChangeServiceConfig', WinError.DUPLICATE_SERVICE_NAME);
  if (tagWithoutGroup(given, key)) return failed('ChangeServiceConfig', WinError.INVALID_PARAMETER);
  const before = new Map(key.values);
  const bad = apply(context, key, given);
  const circular = bad === undefined && context.scm.circular(key);
  if (bad === undefined && !circular) return ok('[SC] ChangeServiceConfig SUCCESS\n');
  // All of it or nothing.
  key.values.clear();
  for (const [name, value] of before) key.values.set(name, value);
  return bad === undefined
    ? failed('ChangeServiceConfig', WinError.CIRCULAR_DEPENDENCY)
    : badOptions('config', bad);
}

export function deleteService({ scm }: ScContext, name: string): ToolResult {
  const key = scm.find(name);
  if (key === undefined) return noSuchService();
  const error = scm.remove(key);
  return error === 0 ? ok('[SC] DeleteService SUCCESS\n') : failed('DeleteService', error);
}

export function queryConfig({ scm }: ScContext, name: string): ToolResult {
  const key = scm.find(name);
  if (key === undefined) return noSuchService();
  const shown = (words: readonly (readonly [string, number, string])[], value: number | undefined) =>
    words.find(([, number]) => number === value)?.[2] ?? '';
  const [type, start, error] = [key.dword('Type'), key.dword('Start'), key.dword('ErrorControl')];
  const groups = key.multi('DependOnGroup').map((group) => `+${group}`);
  const lines = [
    `TYPE               : ${(type ?? 0).toString(16)}  ${shown(SERVICE_TYPES, type)} `,
    `START_TYPE         : ${start}   ${shown(START_TYPES, start)}`,
    `ERROR_CONTROL      : ${error}   ${shown(ERROR_CONTROLS, error)}`,
    `BINARY_PATH_NAME   : ${key.text('ImagePath') ?? ''}`,
    `LOAD_ORDER_GROUP   : ${key.text('Group') ?? ''}`,
    `TAG                : ${key.dword('Tag') ?? 0}`,
    `DISPLAY_NAME       : ${key.text('DisplayName') ?? key.name}`,
    ...dependencies([...key.multi('DependOnService'), ...groups]),
    `SERVICE_START_NAME : ${key.text('ObjectName') ?? ''}`,
  ];
  const body = lines.map((line) => `        ${line}\n`).join('');
  return ok(`[SC] QueryServiceConfig SUCCESS\n\nSERVICE_NAME: ${key.name}\n${body}`);
}

function dependencies(names: readonly string[]): string[] {
  if (names.length === 0) return ['DEPENDENCIES       : '];
  return names.map((name, i) => (i === 0 ? `DEPENDENCIES       : ${name}` : `                   : ${name}`));
}
