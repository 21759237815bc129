/** kldstat(8) */

import type { Address } from '../../memory/space.ts';
import { elements } from '../../systems/freebsd/lists.ts';
import { type FileStat, kldstat as statAll } from '../../systems/freebsd/syscalls.ts';
import { Answer, type Tool } from './answer.ts';
import { getopt } from './getopt.ts';
import type { FreeBsdSession } from './session.ts';

const USAGE =
  'usage: kldstat [-d] [-h] [-q] [-v] [-i id] [-n filename]\n       kldstat [-d] [-q] [-m modname]\n';
/** POINTER_WIDTH of kldstat.c: two digits for each byte, and 0x. */
const pointerWidth = ({ choices }: FreeBsdSession): number => choices.bits / 4 + 2;
const NO_SUCH = 'No such file or directory';

export const kldstat: Tool = {
  name: 'kldstat',
  usage: '[-dhqv] [-i ID] [-n FILE] [-m MODULE]',
  summary: 'list what is loaded',
  run(session, args) {
    const answer = new Answer();
    const { flags, values, operands, problem } = getopt(args, 'dhi:m:n:qv');
    if (problem !== undefined || operands.length > 0) {
      answer.code = 1;
      answer.err = (problem === undefined ? '' : `kldstat: ${problem}\n`) + USAGE;
      return answer.result();
    }
    const module = values.get('m');
    if (module !== undefined) showModule(session, answer, module, flags);
    else showFiles(session, answer, flags, values);
    return answer.result();
  },
};

function showFiles(
  session: FreeBsdSession,
  answer: Answer,
  flags: ReadonlySet<string>,
  values: ReadonlyMap<string, string>,
): void {
  const all = statAll(session.booted);
  const [id, name] = [values.get('i'), values.get('n')];
  const wanted = all.filter(
    (file) =>
      (id === undefined || file.id === Number(id)) &&
      (name === undefined || [name, `${name}.ko`].includes(file.name)),
  );
  if (wanted.length === 0) {
    answer.code = 1;
    if (flags.has('q')) return;
    const what = name === undefined ? `can't stat file id ${id}` : `can't find file ${name}`;
    answer.err += `kldstat: ${what}: ${NO_SUCH}\n`;
    return;
  }
  if (flags.has('q')) return;
  const size = flags.has('h') ? ' Size' : 'Size'.padStart(8);
  answer.out += `Id Refs Address${' '.repeat(pointerWidth(session) - 7)} ${size} Name\n`;
  const details = flags.has('v') || id !== undefined || name !== undefined;
  for (const file of wanted) answer.out += row(session, file, flags, details && flags.has('v'));
}

function row(session: FreeBsdSession, file: FileStat, flags: ReadonlySet<string>, verbose: boolean): string {
  const address = `0x${BigInt.asUintN(64, BigInt(file.address)).toString(16)}`.padStart(
    pointerWidth(session),
  );
  const size = flags.has('h') ? humanize(file.size).padStart(5) : file.size.toString(16).padStart(8);
  const refs = `${file.refs}`.padStart(4);
  let line = `${`${file.id}`.padStart(2)} ${refs} ${address} ${size} ${file.name}`;
  if (!verbose) return `${line}\n`;
  line += ` (${file.path})\n\tContains modules:\n\t\t Id Name\n`;
  for (const module of modulesOf(session, file)) line += `\t\t${moduleRow(session, module, flags)}\n`;
  return line;
}

function modulesOf({ booted: { k, linker } }: FreeBsdSession, { file }: FileStat): Address[] {
  return elements(k, linker.registry.modulesOf(file));
}

function moduleRow(
  { booted: { k, linker } }: FreeBsdSession,
  module: Address,
  flags: ReadonlySet<string>,
): string {
  const id = `${k.read('module.id', module)}`.padStart(3);
  const line = `${id} ${linker.registry.name(module)}`;
  return flags.has('d') ? `${line} ${specific(k.read('module.data', module))}` : line;
}

/** The module's own value, as int, unsigned and hexadecimal. */
function specific(value: number): string {
  const low = value | 0;
  return `(${low}, ${low >>> 0}, 0x${BigInt.asUintN(64, BigInt(value)).toString(16)})`;
}

function showModule(session: FreeBsdSession, answer: Answer, name: string, flags: ReadonlySet<string>): void {
  const { k, linker } = session.booted;
  const module = linker.registry.find(name);
  if (module === undefined) {
    answer.code = 1;
    if (!flags.has('q')) answer.err += `kldstat: can't find module ${name}: ${NO_SUCH}\n`;
    return;
  }
  if (flags.has('q')) return;
  const id = `${k.read('module.id', module)}`.padStart(3);
  const refs = `${k.read('module.refs', module)}`.padStart(4);
  const data = k.read('module.data', module);
  if (flags.has('d'))
    answer.out += `Id  Refs Name data..(int, uint, ulong)\n${id} ${refs} ${name} ${specific(data)}\n`;
  else answer.out += `Id  Refs Name\n${id} ${refs} ${name}\n`;
}

/** humanize_number with HN_DECIMAL | HN_AUTOSCALE and a width of five. */
function humanize(bytes: number): string {
  let value = bytes;
  for (const suffix of ['B', 'K', 'M', 'G', 'T']) {
    if (value < 995 || suffix === 'T') {
      const digits = value < 10 && suffix !== 'B' ? value.toFixed(1) : `${Math.round(value)}`;
      return `${digits}${suffix}`;
    }
    value /= 1024;
  }
  return `${bytes}`;
}
