/**
 * fltmc: minifilters, their instances, the volumes there are. Columns are those of transcripts; which words stand in front of an
 * error is not known for certain for all commands, the numbers and texts are the system's.
 */
import type { Steps } from '../../kernel/steps.ts';
import {
  attach,
  detach,
  type FilterInstance,
  FltStatus,
  filterInstances,
  type MiniFilter,
  miniFilters,
  SetupFlag,
  VOLUME_DEVICE,
  VOLUME_LETTER,
} from '../../systems/windows/minifilter.ts';
import { win32Error } from '../../systems/windows/status.ts';
import type { ToolResult } from '../system.ts';
import { errorText } from './errors.ts';
import type { ServiceController } from './scm.ts';

export interface FltmcContext {
  readonly scm: ServiceController;
  readonly elevated: boolean;
  readonly perform: <T>(name: string, steps: Steps<T>) => T;
}

/** Errors of the filter manager: HRESULTs of facility 0x1F, with the number of the status of facility 0x1C. */
const FILTER_ERRORS: ReadonlyMap<number, readonly [hresult: number, text: string]> = new Map([
  [FltStatus.DO_NOT_ATTACH, [0x801f000f, 'Do not attach the filter to the volume at this time.']],
  [FltStatus.DO_NOT_DETACH, [0x801f0010, 'Do not detach the filter from the volume at this time.']],
  [
    FltStatus.INSTANCE_ALTITUDE_COLLISION,
    [0x801f0011, 'An instance already exists at this altitude on the volume specified.'],
  ],
  [
    FltStatus.INSTANCE_NAME_COLLISION,
    [0x801f0012, 'An instance already exists with this name on the volume specified.'],
  ],
  [FltStatus.FILTER_NOT_FOUND, [0x801f0013, 'The system could not find the filter specified.']],
  [FltStatus.VOLUME_NOT_FOUND, [0x801f0014, 'The system could not find the volume specified.']],
  [FltStatus.INSTANCE_NOT_FOUND, [0x801f0015, 'The system could not find the instance specified.']],
]);

const HELP = `Valid commands:
    load        Loads a Filter driver
    unload      Unloads a Filter driver
    filters     Lists the Filters currently registered in the system
    instances   Lists the Instances of a Filter or Volume currently in the system
    volumes     Lists all volumes/RDRs in the system
    attach      Creates a Filter Instance on a Volume
    detach      Removes a Filter Instance from a Volume
`;

const USAGES: Readonly<Record<string, string>> = {
  load: 'fltmc load [name]',
  unload: 'fltmc unload [name]',
  filters: 'fltmc filters',
  instances: 'fltmc instances [-v volumeName] | [-f filterName] | [-i instanceName]',
  volumes: 'fltmc volumes',
  attach: 'fltmc attach [filterName] [volumeName] [[-i instanceName] [-a altitude]]',
  detach: 'fltmc detach [filterName] [volumeName] [instanceName]',
};

const ok = (out: string): ToolResult => ({ code: 0, out, err: '' });

/** A Win32 error as an HRESULT. */
const failed = (what: string, error: number, note?: string): ToolResult => ({
  code: error,
  out: '',
  err: `\n${what} failed with error: 0x8007${error.toString(16).padStart(4, '0')}\n${errorText(error)}\n`,
  note,
});

function failedWith(what: string, status: number): ToolResult {
  const known = FILTER_ERRORS.get(status);
  if (known === undefined) return failed(what, win32Error(status));
  const [hresult, text] = known;
  return {
    code: hresult & 0xffff,
    out: '',
    err: `\n${what} failed with error: 0x${hresult.toString(16)}\n${text}\n`,
  };
}

const badUse = (verb: string): ToolResult => ({ code: 87, out: '', err: `\nUsage: ${USAGES[verb]}\n` });

export function fltmc(context: FltmcContext, words: readonly string[]): ToolResult {
  const [given = 'filters', ...rest] = words;
  const verb = given.toLowerCase();
  if (verb === 'help' || verb === '/?' || verb === '-?') return help(rest[0]);
  if (!context.elevated) return failed('Operation', 5);
  const { k } = context.scm;
  switch (verb) {
    case 'filters':
      return ok(
        table(
          FILTERS,
          miniFilters(k)
            .map((filter) => ({ filter, instances: count(context, filter) }))
            .sort((a, b) => Number(b.filter.altitude) - Number(a.filter.altitude)),
        ),
      );
    case 'instances':
      return instances(context, rest);
    case 'volumes':
      return ok(table(VOLUMES, [undefined]));
    case 'load':
      return load(context, rest[0]);
    case 'unload':
      return unload(context, rest[0]);
    case 'attach':
      return attachTo(context, rest);
    case 'detach':
      return detachFrom(context, rest);
    default:
      return { code: 1, out: '', err: HELP };
  }
}

function help(verb: string | undefined): ToolResult {
  const usage = verb === undefined ? undefined : USAGES[verb.toLowerCase()];
  return ok(usage === undefined ? HELP : `\nUsage: ${usage}\n`);
}

function load({ scm }: FltmcContext, name: string | undefined): ToolResult {
  if (name === undefined) return badUse('load');
  const key = scm.find(name);
  if (key === undefined) return failed('Load', 2);
  const { error, load: loaded } = scm.start(key);
  return error === 0 ? ok('') : failed('Load', error, loaded?.why);
}

/** A filter without a routine to unload with stays. */
function unload({ scm }: FltmcContext, name: string | undefined): ToolResult {
  if (name === undefined) return badUse('unload');
  const filter = filterNamed(scm, name);
  const key = scm.find(name);
  if (filter === undefined || key === undefined) return failedWith('Unload', FltStatus.FILTER_NOT_FOUND);
  if (filter.registration.unload === 0) return failedWith('Unload', FltStatus.DO_NOT_DETACH);
  const { error, why } = scm.stop(key);
  return error === 0 ? ok('') : failed('Unload', error, why);
}

const same = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();
const filterNamed = ({ k }: ServiceController, name: string): MiniFilter | undefined =>
  miniFilters(k).find((one) => same(one.name, name));
const isVolume = (name: string): boolean =>
  [VOLUME_LETTER, `\\\\.\\${VOLUME_LETTER}`, VOLUME_DEVICE].some((one) => same(one, name.replace(/\\$/, '')));
const count = ({ scm }: FltmcContext, filter: MiniFilter): number =>
  filterInstances(scm.k).filter((one) => one.filter === filter).length;

/** `-i name` and `-a altitude` behind the other words. */
function options(words: readonly string[]): { plain: string[]; flags: Map<string, string> } {
  const [plain, flags] = [[] as string[], new Map<string, string>()];
  for (let i = 0; i < words.length; i++) {
    const flag = /^[-/]([a-z])$/i.exec(words[i])?.[1].toLowerCase();
    if (flag === undefined) plain.push(words[i]);
    else flags.set(flag, words[++i] ?? '');
  }
  return { plain, flags };
}

function attachTo({ scm, perform }: FltmcContext, words: readonly string[]): ToolResult {
  const { plain, flags } = options(words);
  const [name, volume] = plain;
  if (name === undefined || volume === undefined) return badUse('attach');
  const filter = filterNamed(scm, name);
  if (filter === undefined) return failedWith('Attach', FltStatus.FILTER_NOT_FOUND);
  if (!isVolume(volume)) return failedWith('Attach', FltStatus.VOLUME_NOT_FOUND);
  const steps = attach(scm.k, filter, SetupFlag.MANUAL, flags.get('i'), flags.get('a'));
  const status = perform('fltmc', steps);
  return status < 0
    ? failedWith('Attach', status)
    : ok(`\nATTACH successful...\n\n\tInstance Name: ${flags.get('i') ?? filter.instance}\n`);
}

function detachFrom({ scm, perform }: FltmcContext, words: readonly string[]): ToolResult {
  const { plain, flags } = options(words);
  const [name, volume, instance = flags.get('i')] = plain;
  if (name === undefined || volume === undefined) return badUse('detach');
  const filter = filterNamed(scm, name);
  if (filter === undefined) return failedWith('Detach', FltStatus.FILTER_NOT_FOUND);
  if (!isVolume(volume)) return failedWith('Detach', FltStatus.VOLUME_NOT_FOUND);
  const found = filterInstances(scm.k).find(
    (one) => one.filter === filter && (instance === undefined || same(one.name, instance)),
  );
  if (found === undefined) return failedWith('Detach', FltStatus.INSTANCE_NOT_FOUND);
  const status = perform('fltmc', detach(scm.k, found));
  return status < 0 ? failedWith('Detach', status) : ok('');
}

// -- tables -----------------------------------------------------------------------------------------------------------------

interface Column<R> {
  readonly title: string;
  readonly width: number;
  readonly cell: (row: R) => string;
}

/** Titles in the middle or at the left as they stand in transcripts, dashes below, cells cut to their column. */
function table<R>(columns: readonly Column<R>[], rows: readonly R[]): string {
  const line = (cells: readonly string[]) => `${cells.join('  ')}\n`;
  const head = line(columns.map(({ title, width }) => title.padEnd(width)));
  const rule = line(columns.map(({ width }) => '-'.repeat(width)));
  const shown = rows.map((row) => line(columns.map(({ cell, width }) => cell(row).padEnd(width))));
  return `\n${head}${rule}${shown.map((text) => `${text.trimEnd()}\n`).join('')}`;
}

const FILTERS: readonly Column<{ filter: MiniFilter; instances: number }>[] = [
  { title: 'Filter Name', width: 30, cell: ({ filter }) => filter.name },
  { title: 'Num Instances', width: 13, cell: ({ instances: n }) => `${n}`.padStart(9) },
  { title: '  Altitude  ', width: 12, cell: ({ filter }) => ` ${filter.altitude}` },
  { title: 'Frame', width: 5, cell: () => '  0  ' },
];

const VOLUMES: readonly Column<undefined>[] = [
  { title: 'Dos Name', width: 30, cell: () => VOLUME_LETTER },
  { title: 'Volume Name', width: 39, cell: () => VOLUME_DEVICE },
  { title: 'FileSystem', width: 10, cell: () => 'NTFS' },
  { title: 'Status', width: 8, cell: () => '' },
];

const INSTANCE: readonly Column<FilterInstance>[] = [
  { title: 'Filter', width: 20, cell: ({ filter }) => filter.name },
  { title: 'Volume Name', width: 37, cell: () => VOLUME_LETTER },
  { title: '  Altitude  ', width: 12, cell: ({ altitude }) => ` ${altitude}` },
  { title: '    Instance Name', width: 22, cell: ({ name }) => name },
  { title: 'Frame', width: 5, cell: () => '  0  ' },
];

/** Of one filter or on one volume: without the column that would say so in every row. */
function instances({ scm }: FltmcContext, words: readonly string[]): ToolResult {
  const { flags, plain } = options(words);
  const [filter, volume, name] = [flags.get('f'), flags.get('v'), flags.get('i')];
  if (plain.length > 0) return badUse('instances');
  if (filter !== undefined && filterNamed(scm, filter) === undefined)
    return failedWith('Instances', FltStatus.FILTER_NOT_FOUND);
  if (volume !== undefined && !isVolume(volume)) return failedWith('Instances', FltStatus.VOLUME_NOT_FOUND);
  const rows = filterInstances(scm.k).filter(
    (one) =>
      (filter === undefined || same(one.filter.name, filter)) && (name === undefined || same(one.name, name)),
  );
  const columns = INSTANCE.filter(
    ({ title }) =>
      !(filter !== undefined && title === 'Filter') && !(volume !== undefined && title === 'Volume Name'),
  );
  return ok(table(columns, rows));
}
