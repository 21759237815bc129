/** kldxref(8): writes linker.hints for a folder of modules, or shows what would be in it. */
import { FormatError } from '../../bytes/errors.ts';
import { readElfObject } from '../../formats/elf/object.ts';
import { type Hint, hintsOfFile, writeHints } from '../../systems/freebsd/hints.ts';
import { KldFile, type MetadataRecord } from '../../systems/freebsd/kldfile.ts';
import { majorOf } from '../../systems/freebsd/version.ts';
import { Answer, type Tool } from './answer.ts';
import { getopt } from './getopt.ts';
import type { FreeBsdSession } from './session.ts';

const USAGE = 'usage: kldxref [-Rdv] [-f hintsfile] path ...\n';

export const kldxref: Tool = {
  name: 'kldxref',
  usage: '[-Rdv] [-f FILE] PATH...',
  summary: 'write linker.hints for a folder of modules',
  run(session, args) {
    const answer = new Answer();
    const { flags: given, order, values, operands, problem } = getopt(args, 'Rdf:v');
    if (problem !== undefined || operands.length === 0) {
      answer.code = 1;
      answer.err = (problem === undefined ? '' : `kldxref: ${problem}\n`) + USAGE;
      return answer.result();
    }
    // A second -v shows the tables of devices on their way into the index.
    const flags = new Set([...given, ...(order.filter((letter) => letter === 'v').length > 1 ? ['vv'] : [])]);
    for (const [i, path] of operands.entries()) {
      const names = session.files.list(path);
      if (names !== undefined) folder(session, answer, path, names, flags, values.get('f') ?? 'linker.hints');
      else if (i === 0 && !mayBeFile(session, answer, path, flags)) break;
      else if (flags.has('d')) {
        answer.out += `${path}\n`;
        dump(answer, path, read(session, answer, path), session.choices.version);
      }
    }
    return answer.result();
  },
};

/** Only the first operand is looked at before the walk begins; that it may be a file with -d came with 14. */
function mayBeFile(
  session: FreeBsdSession,
  answer: Answer,
  path: string,
  flags: ReadonlySet<string>,
): boolean {
  const there = session.files.read(path) !== undefined;
  if (there && flags.has('d') && isNew(session)) return true;
  answer.code = 1;
  answer.err += `kldxref: ${path}: ${there ? 'Not a directory' : 'No such file or directory'}\n`;
  return false;
}

/** From libelf's days on (usr.sbin/kldxref of 14) one machine counts for a folder, and the names of files. */
const isNew = ({ choices }: FreeBsdSession): boolean => majorOf(choices.version) >= 14;

/** The kernel has no dot in its name, modules end in `.ko`; before 14 only files of the debugger were left out. */
const counts = (session: FreeBsdSession, name: string): boolean =>
  isNew(session) ? !name.includes('.') || name.endsWith('.ko') : !/\.(debug|symbols)$/.test(name);

function read(session: FreeBsdSession, answer: Answer, path: string): KldFile | undefined {
  const bytes = session.files.read(path);
  if (bytes === undefined) return undefined;
  try {
    return new KldFile(readElfObject(bytes));
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    answer.explain(`${path} is passed over: ${error.message}.`);
    return undefined;
  }
}

function folder(
  session: FreeBsdSession,
  answer: Answer,
  path: string,
  names: readonly string[],
  flags: ReadonlySet<string>,
  hintsFile: string,
): void {
  const at = path.replace(/\/+$/, '');
  const hints: Hint[] = [];
  let machine: string | undefined;
  let first = '';
  for (const name of names.filter((one) => !one.endsWith('/') && counts(session, one))) {
    if (flags.has('d') || flags.has('v')) answer.out += `${at}/${name}\n`;
    const kld = read(session, answer, `${at}/${name}`);
    if (kld === undefined) continue;
    if (flags.has('d')) {
      dump(answer, `${at}/${name}`, kld, session.choices.version);
      continue;
    }
    machine ??= kld.file.machine;
    first ||= name;
    if (kld.file.machine !== machine && isNew(session)) {
      answer.err += `kldxref: ${name} does not match architecture of ${first}\n`;
      continue;
    }
    const records = recordsOf(session, answer, kld, name);
    if (flags.has('vv') && majorOf(session.choices.version) >= 12) answer.out += converted(kld, records);
    hints.push(...records);
  }
  // -R only follows a link that is named; folders inside are walked without it as well.
  recurse(session, answer, at, names, flags, hintsFile);
  if (flags.has('d')) return;
  const bytes = writeHints(hints);
  if (bytes.length > 0) session.files.put(`${at}/${hintsFile}`, bytes);
  else session.files.remove(`${at}/${hintsFile}`);
}

/** A table that contradicts its file gives no records. */
function recordsOf(session: FreeBsdSession, answer: Answer, kld: KldFile, name: string): Hint[] {
  try {
    return hintsOfFile(kld, name, isNew(session) ? 'first' : 'all');
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    answer.explain(`${name} is passed over: ${error.message}.`);
    return [];
  }
}

function recurse(
  session: FreeBsdSession,
  answer: Answer,
  at: string,
  names: readonly string[],
  flags: ReadonlySet<string>,
  hintsFile: string,
): void {
  for (const name of names.filter((one) => one.endsWith('/'))) {
    const inside = session.files.list(`${at}/${name}`) ?? [];
    folder(session, answer, `${at}/${name}`, inside, flags, hintsFile);
  }
}

/** What -vv says of each table: its description field by field, then its rows as they go into the index (parse_pnp_list). */
function converted(kld: KldFile, hints: readonly Hint[]): string {
  const tables = hints.filter((hint) => hint.type === 'pnp');
  let text = '';
  for (const [i, record] of kld.metadata.filter(({ kind }) => kind === 'pnp').entries()) {
    if (record.kind !== 'pnp') continue;
    const fields = record.description.split(';').flatMap((field) => {
      const match = /^\s*([^:]*):(.*)$/.exec(field);
      return match === null ? [] : [{ type: match[1], name: match[2] }];
    });
    text += `${tableText(record)}\nConverting ${record.description} into a list\n`;
    for (const { type, name } of fields) text += `Found type ${type} for name ${name}\n`;
    const values = [...(tables[i]?.values ?? [])];
    // A table whose rows carry nothing has as many empty lines as it claims rows: no more than a person would read.
    const rows = values.length > 0 ? record.entries : Math.min(record.entries, MAX_EMPTY_ROWS);
    for (let row = 0; row < rows; row++)
      text += `${fields.map(({ type }) => valueText(type, values)).join('')}\n`;
  }
  return text;
}

const MAX_EMPTY_ROWS = 1000;

/** The value of one field; W32 is two numbers, P and T none. */
function valueText(type: string, values: (string | number)[]): string {
  const number = (value: string | number | undefined) => {
    const unsigned = Number(value ?? 0) >>> 0;
    return unsigned === 0 ? '0' : `0x${unsigned.toString(16)}`;
  };
  if (type === 'P' || type === 'T') return '';
  if (type === 'W32') return `W32:${number(values.shift())}:${number(values.shift())};`;
  if (type === 'E' || type === 'Z' || type === 'D') return `${type}:${values.shift() ?? ''};`;
  return `I:${number(values.shift())};`;
}

function dump(answer: Answer, path: string, kld: KldFile | undefined, version: number): void {
  if (kld === undefined) return;
  for (const record of kld.metadata) answer.out += `${dumped(record, path, version)}\n`;
}

const tableText = ({
  bus,
  description,
  entries,
  entryBytes,
}: Extract<MetadataRecord, { kind: 'pnp' }>): string =>
  `  pnp info for bus ${bus} format ${description} ${entries} entries of ${entryBytes} bytes`;

function dumped(record: MetadataRecord, path: string, version: number): string {
  switch (record.kind) {
    case 'depend':
      return `  depends on ${record.name}.${record.preferred} (${record.minimum},${record.maximum})`;
    case 'version':
      return `  interface ${record.name}.${record.version}`;
    case 'module':
      return `  module ${record.name}`;
    case 'pnp':
      // Up to 10 the index had no tables.
      return majorOf(version) < 11 ? `  pnp info for bus ${record.bus}` : tableText(record);
    case 'unknown':
      return `kldxref: unknown metadata record ${record.type} in file ${path}`;
  }
}
