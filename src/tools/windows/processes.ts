/** start, tasklist, taskkill: processes that are there to be seen by drivers that watch over them. They run no program. */
import type { Steps } from '../../kernel/steps.ts';
import { askHandle, tellProcessCreated } from '../../systems/windows/callbacks.ts';
import { endProcess } from '../../systems/windows/functions/process.ts';
import type { ProcessInfo } from '../../systems/windows/processes.ts';
import { win32Error } from '../../systems/windows/status.ts';
import type { Windows } from '../../systems/windows/windows.ts';
import type { ToolResult } from '../system.ts';
import { errorText } from './errors.ts';

type Perform = <T>(name: string, steps: Steps<T>) => T;

const PROCESS_TERMINATE = 1;
const ok = (out: string, note?: string): ToolResult => ({ code: 0, out, err: '', note });

export function startProcess(k: Windows, perform: Perform, [word]: readonly string[]): ToolResult {
  if (word === undefined) return ok('');
  const name = word.slice(Math.max(word.lastIndexOf('\\'), word.lastIndexOf('/')) + 1);
  const path = /^[a-z]:\\/i.test(word) ? `\\??\\${word}` : `\\??\\C:\\Windows\\System32\\${name}`;
  const steps = function* (): Steps<ToolResult> {
    const info = k.processes.create(name, path, k.processes.user.id);
    const status = yield* tellProcessCreated(k, info, k.processes.user.id);
    if (status >= 0) return ok('', `process ${info.id}: it can be seen, but no program runs in it`);
    yield* k.processes.end(info, status);
    const error = win32Error(status);
    return { code: error, out: '', err: `${errorText(error)}\n` };
  };
  return perform('cmd.exe', steps());
}

/** As `tasklist` without options, memory left out of account: nothing runs in them. */
export function tasklist(k: Windows): ToolResult {
  const head =
    '\nImage Name                     PID Session Name        Session#    Mem Usage\n' +
    '========================= ======== ================ =========== ============\n';
  const row = ({ name, id }: ProcessInfo) => {
    const services = id === k.processes.system.id;
    const session = services ? 'Services' : 'Console';
    return `${name.slice(0, 25).padEnd(25)} ${String(id).padStart(8)} ${session.padEnd(16)} ${String(services ? 0 : 1).padStart(11)} ${'0 K'.padStart(12)}\n`;
  };
  return ok(head + k.processes.live.map(row).join(''));
}

export function taskkill(k: Windows, perform: Perform, args: readonly string[]): ToolResult {
  const option = (name: string) => {
    const at = args.findIndex((word) => word.toLowerCase() === name);
    return at < 0 ? undefined : args[at + 1];
  };
  const [pid, image] = [option('/pid'), option('/im')];
  const wanted = k.processes.live.filter(
    ({ id, name }) => String(id) === pid || name.toLowerCase() === image?.toLowerCase(),
  );
  if (pid === undefined && image === undefined)
    return {
      code: 1,
      out: '',
      err: 'ERROR: Invalid syntax. Neither /FI nor /PID nor /IM were specified.\nType "TASKKILL /?" for usage.\n',
    };
  if (wanted.length === 0)
    return { code: 128, out: '', err: `ERROR: The process "${pid ?? image}" not found.\n` };
  const results = wanted.map((info) => perform('taskkill.exe', kill(k, info)));
  return {
    code: results.some(({ code }) => code !== 0) ? 1 : 0,
    out: results.map(({ out }) => out).join(''),
    err: results.map(({ err }) => err).join(''),
  };
}

function* kill(k: Windows, info: ProcessInfo): Steps<ToolResult> {
  const access = yield* askHandle(k, 'Process', info.object.address, PROCESS_TERMINATE);
  const refused = (why: string): ToolResult => ({
    code: 1,
    out: '',
    err: `ERROR: The process with PID ${info.id} could not be terminated.\nReason: ${why}\n`,
  });
  if ((access & PROCESS_TERMINATE) === 0) return refused('Access is denied.');
  const status = yield* endProcess(k, info.object, 1);
  return status < 0
    ? refused(errorText(win32Error(status)))
    : ok(`SUCCESS: The process "${info.name}" with PID ${info.id} has been terminated.\n`);
}
