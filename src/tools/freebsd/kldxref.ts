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
    const { flags, values, operands, problem } = getopt(args, 'Rdf:v');
    if (problem !== undefined || operands.length === 0) {
      answer.code = 1;
      answer.err = (problem === undefined ? '' : `kldxref: ${problem}\n`) + USAGE;
      return answer.result();
    }
    for (const [i, path] of operands.entries()) {
      const names = session.files.list(path);
      if (names !== undefined) folder(session, answer, path, names, flags, values.get('f') ?? 'linker.hints');
      else if (i === 0 && !mayBeFile(session, answer, path, flags)) break;
      else if (flags.has('d')) {
        answer.out += `${path}\n`;
        dump(answer, path, read(session, answer, path));
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
      dump(answer, `${at}/${name}`, kld);
      continue;
    }
    machine ??= kld.file.machine;
    first ||= name;
    if (kld.file.machine !== machine && isNew(session)) {
      answer.err += `kldxref: ${name} does not match architecture of ${first}\n`;
      continue;
    }
    hints.push(...recordsOf(session, answer, kld, name));
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

function dump(answer: Answer, path: string, kld: KldFile | undefined): void {
  if (kld === undefined) return;
  for (const record of kld.metadata) answer.out += `${dumped(record, path)}\n`;
}

function dumped(record: MetadataRecord, path: string): string {
  switch (record.kind) {
    case 'depend':
      return `  depends on ${record.name}.${record.preferred} (${record.minimum},${record.maximum})`;
    case 'version':
      return `  interface ${record.name}.${record.version}`;
    case 'module':
      return `  module ${record.name}`;
    case 'pnp':
      return `  pnp info for bus ${record.bus} format ${record.description} ${record.entries} entries of ${record.entryBytes} bytes`;
    case 'unknown':
      return `kldxref: unknown metadata record ${record.type} in file ${path}`;
  }
}
