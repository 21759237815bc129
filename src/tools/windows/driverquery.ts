/** driverquery: the drivers that are installed, as table, list or CSV. */
import { FormatError } from '../../bytes/errors.ts';
import { SECTION } from '../../formats/pe/layout.ts';
import { type PeFile, readPe } from '../../formats/pe/read.ts';
import { imagePath } from '../../systems/windows/load.ts';
import { type DeviceNode, deviceNodes } from '../../systems/windows/pnp.ts';
import type { RegistryKey } from '../../systems/windows/registry.ts';
import type { ToolResult } from '../system.ts';
import { errorText } from './errors.ts';
import type { ServiceController } from './scm.ts';

interface Column<R> {
  readonly title: string;
  readonly width: number;
  readonly value: (row: R) => string;
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

const COLUMNS: readonly Column<Row>[] = [
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

const USAGE = 'Type "DRIVERQUERY /?" for usage.\n';

const wrong = (text: string, note?: string): ToolResult => ({
  code: 1,
  out: '',
  err: `ERROR: ${text}\n${USAGE}`,
  note,
});

interface Options {
  readonly form: string;
  readonly flags: ReadonlySet<string>;
  readonly values: ReadonlyMap<string, string>;
}

/** Switches in any case, with a slash or a dash; those that take a word take the next. */
function optionsOf(args: readonly string[]): Options | ToolResult {
  const flags = new Set<string>();
  const values = new Map<string, string>();
  for (let i = 0; i < args.length; i++) {
    const word = args[i].toLowerCase().replace(/^-/, '/');
    if (['/v', '/nh', '/si', '/?'].includes(word)) flags.add(word);
    else if (!['/fo', '/s', '/u', '/p'].includes(word))
      return wrong(`Invalid argument/option - '${args[i]}'.`);
    else if (values.has(word))
      return wrong(`Invalid syntax. '${args[i]}' option is not allowed more than '1' time(s).`);
    else if (args[i + 1] === undefined || /^[/-]/.test(args[i + 1]))
      return wrong(`Invalid syntax. Value expected for '${args[i]}'.`);
    else values.set(word, args[++i]);
  }
  const form = values.get('/fo')?.toLowerCase() ?? 'table';
  if (!(form in LAYOUTS))
    return wrong(`Invalid syntax. Invalid value '${values.get('/fo')}' for '/fo' option.`);
  if (values.has('/u') && !values.has('/s'))
    return wrong('Invalid syntax. /U can be specified only when /S is specified.');
  if (values.has('/p') && !values.has('/u'))
    return wrong('Invalid syntax. /P can be specified only when /U is specified.');
  if (flags.has('/nh') && form === 'list') return wrong('Invalid syntax.', '/nh goes with tables and CSV.');
  if (flags.has('/v') && flags.has('/si')) return wrong('Invalid syntax.', '/v does not go with /si.');
  return { form, flags, values };
}

export function driverquery(scm: ServiceController, args: readonly string[]): ToolResult {
  const options = optionsOf(args);
  if ('code' in options) return options;
  const { form, flags, values } = options;
  if (flags.has('/?'))
    return {
      code: 0,
      out: 'DRIVERQUERY [/S system [/U user [/P password]]] [/FO format] [/NH] [/SI] [/V]\n',
      err: '',
    };
  const system = values.get('/s');
  if (system !== undefined && !/^(\\\\)?(localhost|127\.0\.0\.1|\.)$/i.test(system))
    return {
      code: 1,
      out: '',
      err: `ERROR: ${errorText(1722)}\n`,
      note: 'There is no machine but this one.',
    };
  const heads = !flags.has('/nh');
  if (flags.has('/si'))
    return {
      code: 0,
      out: LAYOUTS[form](
        SIGNED,
        deviceNodes(scm.k).map((node) => signedRow(scm, node)),
        heads,
      ),
      err: '',
    };
  const columns = COLUMNS.filter((column) => flags.has('/v') || !column.verbose);
  const rows = scm.all().map((key) => row(scm, key));
  return { code: 0, out: LAYOUTS[form](columns, rows, heads), err: '' };
}

/** A device of /si: what its key and its driver's file say. */
interface SignedRow {
  readonly key: RegistryKey;
  readonly signed: boolean;
  readonly name: string;
}

const SIGNED: readonly Column<SignedRow>[] = [
  { title: 'DeviceName', width: 30, value: ({ name }) => name },
  { title: 'InfName', width: 13, value: ({ key }) => key.text('InfPath') ?? 'N/A' },
  { title: 'IsSigned', width: 8, value: ({ signed }) => (signed ? 'TRUE' : 'FALSE') },
  { title: 'Manufacturer', width: 25, value: ({ key }) => key.text('Mfg') ?? 'N/A' },
];

function signedRow(scm: ServiceController, { key, instance }: DeviceNode): SignedRow {
  const service = scm.find(key.text('Service') ?? '');
  const file = service === undefined ? undefined : scm.policy.file(imagePath(service));
  const name = key.text('FriendlyName') ?? key.text('DeviceDesc') ?? service?.text('DisplayName') ?? instance;
  return { key, name, signed: file?.signature.state === 'valid' };
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

type Layout = <R>(columns: readonly Column<R>[], rows: readonly R[], heads: boolean) => string;

const LAYOUTS: Readonly<Record<string, Layout>> = {
  table(columns, rows, heads) {
    const line = (cell: (column: (typeof columns)[number]) => string) =>
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
