/**
 * fltmc: minifilters by name and altitude. Columns are those of transcripts; the words of its errors are not known for
 * certain: the system's text of the error number stands for them.
 */
import { miniFilters } from '../../systems/windows/functions/flt.ts';
import type { ToolResult } from '../system.ts';
import { errorText } from './errors.ts';
import type { ServiceController } from './scm.ts';

const HEAD =
  '\nFilter Name                     Num Instances    Altitude    Frame\n' +
  '------------------------------  -------------  ------------  -----\n';
const INSTANCES =
  '\nFilter                Volume Name                              Altitude        Instance Name       Frame\n' +
  '--------------------  -------------------------------------  ------------  ----------------------  -----\n';

const failed = (what: string, error: number, note?: string): ToolResult => ({
  code: error,
  out: '',
  err: `\n${what} failed with error: 0x8007${error.toString(16).padStart(4, '0')}\n${errorText(error)}\n`,
  note,
});

export function fltmc(
  scm: ServiceController,
  elevated: boolean,
  [verb = 'filters', name]: readonly string[],
): ToolResult {
  if (!elevated) return failed('Operation', 5);
  switch (verb.toLowerCase()) {
    case 'filters':
      return { code: 0, out: HEAD + filters(scm), err: '' };
    case 'instances':
      // No volume here has a stack of file systems.
      return { code: 0, out: INSTANCES, err: '' };
    case 'load':
    case 'unload': {
      const load = verb.toLowerCase() === 'load';
      const key = name === undefined ? undefined : scm.find(name);
      if (key === undefined) return failed(load ? 'Load' : 'Unload', 2);
      const filter = miniFilters(scm.k).some((one) => one.name.toLowerCase() === key.name.toLowerCase());
      if (!load && !filter) return failed('Unload', 1168);
      const done = load ? scm.start(key) : scm.stop(key);
      if (done.error === 0) return { code: 0, out: '', err: '' };
      return failed(load ? 'Load' : 'Unload', done.error, 'why' in done ? done.why : undefined);
    }
    default:
      return {
        code: 1,
        out: '',
        err: 'Valid commands:\n    load     Loads a Filter driver\n    unload   Unloads a Filter driver\n    filters  Lists the Filters currently registered in the system\n    instances Lists the Instances of a Filter or Volume currently in the system\n',
      };
  }
}

function filters({ k }: ServiceController): string {
  const rows = [...miniFilters(k)].sort((a, b) => Number(b.altitude) - Number(a.altitude));
  return rows
    .map(
      ({ name, altitude }) => `${name.padEnd(30)}  ${'0'.padStart(9)}       ${altitude.padEnd(10)}     0\n`,
    )
    .join('');
}
