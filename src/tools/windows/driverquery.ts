/** driverquery: the drivers that are installed, as table, list or CSV. */
import { FormatError } from '../../bytes/errors.ts';
import { SECTION } from '../../formats/pe/layout.ts';
import { type PeFile, readPe } from '../../formats/pe/read.ts';
import { imagePath } from '../../systems/windows/load.ts';
import type { RegistryKey } from '../../systems/windows/registry.ts';
import type { ToolResult } from '../system.ts';
import type { ServiceController } from './scm.ts';

interface Column {
  readonly title: string;
  readonly width: number;
  readonly value: (row: Row) => string;
  /** Only with /v. */
  readonly verbose?: boolean;
}

interface Row {
  readonly key: RegistryKey;
  readonly running: boolean;
  readonly pe: PeFile | undefined;
}

const TYPES: ReadonlyMap<number, string> = new Map([
  [1, 'Kernel'],
  [2, 'File System'],
  [8, 'File System'],
]);
const STARTS = ['Boot', 'System', 'Auto', 'Manual', 'Disabled'];

/** Bytes of the sections that a test takes, with the thousands separated. */
function bytes(pe: PeFile | undefined, test: (flags: number, name: string) => boolean): string {
  const sum = (pe?.sections ?? [])
    .filter((s) => test(s.flags, s.name))
    .reduce((all, s) => all + s.virtualSize, 0);
  return sum.toLocaleString('en-US');
}

/** As the system writes dates in the United States; a hash in its place gives what it gives. */
export function linkDate(stamp: number): string {
  if (stamp === 0) return '';
  const date = new Date(stamp * 1000);
  const hour = date.getUTCHours();
  const two = (value: number) => String(value).padStart(2, '0');
  const day = `${date.getUTCMonth() + 1}/${date.getUTCDate()}/${date.getUTCFullYear()}`;
  return `${day} ${hour % 12 || 12}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())} ${hour < 12 ? 'AM' : 'PM'}`;
}

const COLUMNS: readonly Column[] = [
  { title: 'Module Name', width: 12, value: ({ key }) => key.name },
  { title: 'Display Name', width: 22, value: ({ key }) => key.text('DisplayName') ?? key.name },
  {
    title: 'Description',
    width: 22,
    value: ({ key }) => key.text('Description') ?? key.text('DisplayName') ?? key.name,
    verbose: true,
  },
  { title: 'Driver Type', width: 13, value: ({ key }) => TYPES.get(key.dword('Type') ?? 1) ?? 'Kernel' },
  {
    title: 'Start Mode',
    width: 10,
    value: ({ key }) => STARTS[key.dword('Start') ?? 3] ?? '',
    verbose: true,
  },
  { title: 'State', width: 10, value: ({ running }) => (running ? 'Running' : 'Stopped'), verbose: true },
  { title: 'Status', width: 10, value: () => 'OK', verbose: true },
  { title: 'Accept Stop', width: 11, value: ({ running }) => (running ? 'TRUE' : 'FALSE'), verbose: true },
  { title: 'Accept Pause', width: 12, value: () => 'FALSE', verbose: true },
  {
    title: 'Paged Pool(bytes)',
    width: 17,
    value: ({ pe }) => bytes(pe, (_f, name) => name.startsWith('PAGE')),
    verbose: true,
  },
  {
    title: 'Code(bytes)',
    width: 11,
    value: ({ pe }) => bytes(pe, (flags) => (flags & SECTION.CODE) !== 0),
    verbose: true,
  },
  {
    title: 'BSS(bytes)',
    width: 10,
    value: ({ pe }) => bytes(pe, (flags) => (flags & SECTION.UNINITIALISED) !== 0),
    verbose: true,
  },
  { title: 'Link Date', width: 22, value: ({ pe }) => linkDate(pe?.header.timeDateStamp ?? 0) },
  {
    title: 'Path',
    width: 48,
    value: ({ key }) => (key.text('ImagePath') ?? '').replace(/^\\\?\?\\/, ''),
    verbose: true,
  },
  {
    title: 'Init(bytes)',
    width: 11,
    value: ({ pe }) => bytes(pe, (_f, name) => name.startsWith('INIT')),
    verbose: true,
  },
];

export function driverquery(scm: ServiceController, args: readonly string[]): ToolResult {
  const words = args.map((word) => word.toLowerCase().replace(/^-/, '/'));
  const at = words.indexOf('/fo');
  const form = at < 0 ? 'table' : (words[at + 1] ?? '');
  const known = new Set(['/v', '/nh', '/fo', '/si', form]);
  const bad = words.find((word) => !known.has(word));
  if (bad !== undefined || !['table', 'list', 'csv'].includes(form))
    return {
      code: 1,
      out: '',
      err: `ERROR: Invalid argument/option - '${bad ?? form}'.\nType "DRIVERQUERY /?" for usage.\n`,
    };
  const verbose = words.includes('/v');
  const columns = COLUMNS.filter((column) => verbose || !column.verbose);
  const rows = scm.all().map((key) => row(scm, key));
  return { code: 0, out: LAYOUTS[form](columns, rows, !words.includes('/nh')), err: '' };
}

function row(scm: ServiceController, key: RegistryKey): Row {
  const driver = scm.driver(key);
  const start = driver === undefined ? 0 : scm.k.read('DRIVER_OBJECT.DriverStart', driver);
  return {
    key,
    running: driver !== undefined,
    pe: driver === undefined ? fileOf(scm, key) : scm.k.drivers.at(start)?.pe,
  };
}

/** The file of a driver that does not run, as far as it is there and an image. */
function fileOf({ policy }: ServiceController, key: RegistryKey): PeFile | undefined {
  const bytes = policy.file(imagePath(key))?.bytes;
  try {
    return bytes === undefined ? undefined : readPe(bytes);
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

type Layout = (columns: readonly Column[], rows: readonly Row[], heads: boolean) => string;

const LAYOUTS: Readonly<Record<string, Layout>> = {
  table(columns, rows, heads) {
    const line = (cell: (column: Column) => string) =>
      `${columns.map((column) => cell(column).slice(0, column.width).padEnd(column.width)).join(' ')}\n`;
    const head = heads ? line(({ title }) => title) + line(({ width }) => '='.repeat(width)) : '';
    return `\n${head}${rows.map((one) => line(({ value }) => value(one))).join('')}`;
  },
  list(columns, rows) {
    const width = Math.max(...columns.map(({ title }) => title.length)) + 1;
    return rows
      .map(
        (one) =>
          `\n${columns.map(({ title, value }) => `${`${title}:`.padEnd(width)} ${value(one)}\n`).join('')}`,
      )
      .join('');
  },
  csv(columns, rows, heads) {
    const line = (cells: readonly string[]) => `${cells.map((cell) => `"${cell}"`).join(',')}\n`;
    const head = heads ? line(columns.map(({ title }) => title)) : '';
    return head + rows.map((one) => line(columns.map(({ value }) => value(one)))).join('');
  },
};
