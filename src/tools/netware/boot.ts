/** `lkm boot netware`: STARTUP.NCF and AUTOEXEC.NCF of a server, line by line. */
import { LOAD_CODE } from '../../systems/netware/load.ts';
import type { NlmModule } from '../../systems/netware/module.ts';
import type { Boot, BootOutcome, BootStep } from '../boot.ts';
import type { SystemFiles } from '../system.ts';
import type { NetWareSession, ScriptLine } from './session.ts';
import type { VolumeFolders } from './volumes.ts';

/** The DOS partition is C or the root itself, volume SYS: is SYS or the root, in either case. */
export function foldersOf(root: SystemFiles): VolumeFolders {
  const names = root.list('/') ?? [];
  const folder = (wanted: string) => {
    const found = names.find((name) => name.toUpperCase() === `${wanted}/`);
    return found === undefined ? '' : `/${found.slice(0, -1)}`;
  };
  return { boot: folder('C'), sys: folder('SYS') };
}

/** Runs the start of a session's server. @param options of SERVER: `-NA`, `-NS` */
export function bootServer(session: NetWareSession, options: string): Boot {
  const steps: BootStep[] = [];
  const { modules } = session.kernel;
  let before = new Set<NlmModule>(modules);
  session.startUp(options, (line) => {
    const now = new Set<NlmModule>(modules);
    steps.push(stepOf(line));
    for (const module of now)
      if (!before.has(module) && module.automatic)
        steps.push({
          stage: line.script,
          subject: module.name,
          outcome: 'loaded',
          because: `auto-loaded: ${users(session, module) || 'a module needs it'}`,
        });
    before = now;
  });
  if (steps.length === 0)
    steps.push({
      stage: 'SERVER',
      subject: 'STARTUP.NCF, AUTOEXEC.NCF',
      outcome: 'absent',
      why: 'neither C:\\NWSERVER\\STARTUP.NCF nor SYS:SYSTEM\\AUTOEXEC.NCF has a line to run',
    });
  return { steps, session };
}

const users = (session: NetWareSession, module: NlmModule): string =>
  session.kernel.modules
    .users(module)
    .map(({ name }) => name)
    .join(' ');

function stepOf({ script, number, text, said, notes, load, failed }: ScriptLine): BootStep {
  const outcome: BootOutcome = load === undefined ? (failed ? 'refused' : 'note') : outcomeOf(load.code);
  return {
    stage: script,
    subject: load?.name ?? text,
    outcome,
    because: `${script}:${number} ${text}`,
    said,
    ...(notes.length === 0 ? {} : { why: notes.join('; ') }),
    ...(load === undefined || load.code === LOAD_CODE.OK ? {} : { rule: `load-${load.code}` }),
  };
}

function outcomeOf(code: number): BootOutcome {
  if (code === LOAD_CODE.OK) return 'loaded';
  return code === LOAD_CODE.COULD_NOT_FIND_FILE ? 'absent' : 'refused';
}
