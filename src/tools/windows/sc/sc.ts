/** sc: the words, columns and numbers of sc.exe for drivers. */
import type { ToolResult } from '../../system.ts';
import { WinError } from '../errors.ts';
import { badOptions, failed, noSuchService, ok, type ScCommand, type ScContext } from './answer.ts';
import { configure, createService, deleteService, queryConfig } from './config.ts';
import {
  displayName,
  keyName,
  queryDescription,
  queryFailure,
  setDescription,
  setFailure,
  setSecurity,
  showSecurity,
  showSid,
} from './facts.ts';
import { enumDepend, interrogate, query, status } from './query.ts';
import { scUsage } from './usage.ts';

/** Commands that look and change nothing: everybody may give them. */
const LOOKS: Readonly<Record<string, ScCommand>> = {
  qc: queryConfig,
  qdescription: queryDescription,
  qfailure: queryFailure,
  getdisplayname: displayName,
  getkeyname: keyName,
  enumdepend: enumDepend,
  sdshow: showSecurity,
  showsid: showSid,
  interrogate,
};

const CHANGES: Readonly<Record<string, ScCommand>> = {
  create: createService,
  config: configure,
  start: startService,
  stop: stopService,
  delete: deleteService,
  description: setDescription,
  failure: setFailure,
  sdset: setSecurity,
  pause: control,
  continue: control,
  control,
};

/** Names that sc knows for other machines than this. */
const SELF = ['\\\\.', '\\\\localhost', '\\\\127.0.0.1'];

export function sc(context: ScContext, words: readonly string[]): ToolResult {
  const [server, ...rest] = words;
  if (server?.startsWith('\\\\')) {
    if (SELF.includes(server.toLowerCase())) return sc(context, rest);
    return failed('OpenSCManager', WinError.RPC_SERVER_UNAVAILABLE, `There is no machine but this one.`);
  }
  const [command, name, ...more] = words;
  if (command === undefined) return badOptions();
  const verb = command.toLowerCase();
  if (verb === 'query' || verb === 'queryex') return query(context, verb === 'queryex', words.slice(1));
  const run = LOOKS[verb] ?? CHANGES[verb];
  if (run === undefined)
    return {
      code: WinError.INVALID_COMMAND_LINE,
      out: `*** Unrecognized Command ***\n${scUsage()}`,
      err: '',
      note: `Known here: query, queryex, ${[...Object.keys(LOOKS), ...Object.keys(CHANGES)].join(', ')}.`,
    };
  if (!context.elevated && verb in CHANGES) return failed('OpenSCManager', WinError.ACCESS_DENIED);
  return name === undefined ? badOptions(verb, 'The name of a service is wanted.') : run(context, name, more);
}

function startService(context: ScContext, name: string): ToolResult {
  const { scm } = context;
  const key = scm.find(name);
  if (key === undefined) return noSuchService('StartService: OpenService');
  const { error, load, dependency } = scm.start(key);
  if (error === 0) return ok(status(scm, key, true));
  const why = dependency === undefined ? load?.why : `${dependency}, which it depends on, does not start.`;
  const hint = load?.hint === undefined ? '' : ` ${load.hint}`;
  return failed('StartService', error, why === undefined ? undefined : why + hint);
}

function stopService(context: ScContext, name: string): ToolResult {
  const { scm } = context;
  const key = scm.find(name);
  if (key === undefined) return noSuchService();
  const { error, deferred, why, leaks } = scm.stop(key);
  if (error !== 0) return failed('ControlService', error, why);
  const left = leaks.map(
    ({ what, bytes, where }) =>
      `left behind: ${what}, ${bytes} bytes${where === '' ? '' : `, from ${where}`}`,
  );
  const note = deferred
    ? 'The driver stays until the last handle of its devices is closed and nothing is attached to them.'
    : left.join('\n');
  return ok(status(scm, key, false), note === '' ? undefined : note);
}

/** A driver takes no control but to stop, and to be asked how it is. */
function control({ scm }: ScContext, name: string): ToolResult {
  const key = scm.find(name);
  if (key === undefined) return noSuchService();
  const running = scm.state(key) !== 'STOPPED';
  return failed('ControlService', running ? WinError.INVALID_SERVICE_CONTROL : WinError.SERVICE_NOT_ACTIVE);
}
