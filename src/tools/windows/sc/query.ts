/** sc query, queryex, interrogate, enumdepend: how services are. */
import type { RegistryKey } from '../../../systems/windows/registry.ts';
import type { ToolResult } from '../../system.ts';
import { WinError } from '../errors.ts';
import { SERVICE_TYPES, type ServiceController } from '../scm.ts';
import { badOptions, chosen, failed, noSuchService, ok, options, type ScContext } from './answer.ts';

const STATES = { STOPPED: 1, STOP_PENDING: 3, RUNNING: 4 } as const;
/** ENUM_SERVICE_STATUS_PROCESSW of 64 bits; its two strings follow. */
const ENTRY_BYTES = 56;
/** A quarter of a megabyte is what the service controller takes at most. */
const MAX_BUFFER = 256 * 1024;

/** The block that query, start and stop print; `full` adds process and flags. */
export function status(scm: ServiceController, key: RegistryKey, full: boolean): string {
  return `\nSERVICE_NAME: ${key.name} \n${body(scm, key, full)}`;
}

/** In lists the name that shows stands below the other. */
const listed = (scm: ServiceController, key: RegistryKey, full: boolean): string =>
  `\nSERVICE_NAME: ${key.name}\nDISPLAY_NAME: ${shownName(key)}\n${body(scm, key, full)}`;

const shownName = (key: RegistryKey): string => key.text('DisplayName') ?? key.name;

function body(scm: ServiceController, key: RegistryKey, full: boolean): string {
  const state = scm.state(key);
  const type = key.dword('Type') ?? 1;
  const shown = SERVICE_TYPES.find(([, value]) => value === type)?.[2] ?? '';
  const exit = state === 'STOPPED' ? scm.exitCode(key) : 0;
  const accepts = state === 'RUNNING' ? 'STOPPABLE' : 'NOT_STOPPABLE';
  const flags = `                                (${accepts}, NOT_PAUSABLE, IGNORES_SHUTDOWN)`;
  const lines = [
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

export function query(context: ScContext, full: boolean, words: readonly string[]): ToolResult {
  const { scm } = context;
  scm.sweep();
  const [name] = words;
  if (name !== undefined && !name.includes('=')) {
    const key = scm.find(name);
    return key === undefined
      ? noSuchService('EnumQueryServicesStatus:OpenService')
      : ok(status(scm, key, full));
  }
  const wanted = wantedOf(words);
  if (wanted === undefined) return badOptions('query');
  const keys = scm.all().filter((key) => matches(scm, key, wanted));
  if (wanted.types.length === 0 && scm.all().length > 0)
    return ok('', 'Without type= driver, sc lists the services of programs, of which there are none.');
  return enumerated(scm, keys, full, wanted);
}

interface Wanted {
  readonly types: readonly number[];
  readonly state: string;
  readonly group: string | undefined;
  readonly room: number;
  readonly from: number;
}

function wantedOf(words: readonly string[]): Wanted | undefined {
  const given = options(words);
  const known = ['type', 'state', 'bufsize', 'ri', 'group'];
  if (given === undefined || [...given.keys()].some((key) => !known.includes(key))) return undefined;
  const number = (name: string, otherwise: number) => Number(given.get(name) ?? otherwise);
  const state = given.get('state')?.toLowerCase() ?? 'active';
  const types = chosenTypes(given.get('type')?.toLowerCase() ?? 'service');
  const [room, from] = [number('bufsize', MAX_BUFFER), number('ri', 0)];
  const group = given.get('group');
  const sensible = Number.isInteger(room) && room >= 0 && Number.isInteger(from) && from >= 0;
  if (types === undefined || !['active', 'inactive', 'all'].includes(state) || !sensible) return undefined;
  return { types, state, group: group === '""' ? '' : group, room, from };
}

function matches(scm: ServiceController, key: RegistryKey, { types, state, group }: Wanted): boolean {
  if (!types.includes(key.dword('Type') ?? 1)) return false;
  if (group !== undefined && (key.text('Group') ?? '').toLowerCase() !== group.toLowerCase()) return false;
  return state === 'all' || (state === 'inactive') === (scm.state(key) === 'STOPPED');
}

/** Those that fit into the buffer, from the index to resume at; then how much more there is. */
function enumerated(
  scm: ServiceController,
  keys: readonly RegistryKey[],
  full: boolean,
  { room, from }: Wanted,
): ToolResult {
  if (room > MAX_BUFFER) return failed('EnumServicesStatus', WinError.INVALID_PARAMETER);
  const bytes = (key: RegistryKey) => ENTRY_BYTES + 2 * (key.name.length + shownName(key).length + 2);
  let [left, at] = [room, from];
  while (at < keys.length && left >= bytes(keys[at])) left -= bytes(keys[at++]);
  const out = keys.slice(from, at).map((key) => listed(scm, key, full));
  if (at < keys.length) {
    const needed = keys.slice(at).reduce((sum, key) => sum + bytes(key), 0);
    out.push(`\nEnum: more data, need ${needed} bytes start resume at index ${at}\n`);
  }
  return ok(out.join(''));
}

/** Types of services by the word of `type=`; those of programs stand for nothing here. */
function chosenTypes(word: string): number[] | undefined {
  const all = SERVICE_TYPES.map(([, value]) => value);
  if (word === 'driver' || word === 'all') return all;
  if (['service', 'own', 'share', 'interact', 'userservice'].includes(word)) return [];
  const one = chosen(SERVICE_TYPES, word);
  return one === undefined ? undefined : [one];
}

/** What depends on a service: those that name it, and those that name its group. */
export function enumDepend({ scm }: ScContext, name: string): ToolResult {
  const key = scm.find(name);
  if (key === undefined) return noSuchService();
  const names = (of: RegistryKey, value: string) => of.multi(value).map((one) => one.toLowerCase());
  const group = key.text('Group')?.toLowerCase();
  const dependents = scm
    .all()
    .filter(
      (one) =>
        names(one, 'DependOnService').includes(key.name.toLowerCase()) ||
        (group !== undefined && names(one, 'DependOnGroup').includes(group)),
    );
  const blocks = dependents.map((one) => listed(scm, one, false)).join('');
  return ok(`[SC] EnumDependentServices: entriesread = ${dependents.length}\n${blocks}`);
}

export function interrogate({ scm }: ScContext, name: string): ToolResult {
  const key = scm.find(name);
  if (key === undefined) return noSuchService();
  if (scm.state(key) === 'STOPPED') return failed('ControlService', WinError.SERVICE_NOT_ACTIVE);
  return ok(status(scm, key, false));
}
