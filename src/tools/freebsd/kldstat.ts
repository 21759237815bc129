/** kldstat(8) */

import type { Address } from '../../memory/space.ts';
import { elements } from '../../systems/freebsd/lists.ts';
import { type FileStat, kldstat as statAll } from '../../systems/freebsd/syscalls.ts';
import { majorOf } from '../../systems/freebsd/version.ts';
import { Answer, type Tool } from './answer.ts';
import { getopt } from './getopt.ts';
import type { FreeBsdSession } from './session.ts';

/** What the options are: -d came with 10, -h and columns to the right with 12. */
function usage(major: number): { letters: string; text: string } {
  const data = major < 10 ? '' : '[-d] ';
  const human = major < 12 ? '' : '[-h] ';
  const quiet = major < 10 ? '' : '[-q] ';
  return {
    letters: `${major < 10 ? '' : 'd'}${major < 12 ? '' : 'h'}i:m:n:qv`,
    text: `usage: kldstat ${data}${human}${quiet}[-v] [-i id] [-n filename]\n       kldstat ${data}[-q] [-m modname]\n`,
  };
}
/** POINTER_WIDTH of kldstat.c: two digits for each byte, and 0x. */
const pointerWidth = ({ choices }: FreeBsdSession): number => choices.bits / 4 + 2;
const NO_SUCH = 'No such file or directory';

export const kldstat: Tool = {
  name: 'kldstat',
  usage: '[-dhqv] [-i ID] [-n FILE] [-m MODULE]',
  summary: 'list what is loaded',
  run(session, args) {
    const answer = new Answer();
    const { letters, text } = usage(majorOf(session.choices.version));
    const { flags, values, operands, problem } = getopt(args, letters);
    const id = values.get('i') ?? '0';
    if (problem !== undefined || operands.length > 0 || !/^\s*[-+]?\d*$/.test(id)) {
      answer.code = 1;
      answer.err = (problem === undefined ? '' : `kldstat: ${problem}\n`) + text;
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
  const name = values.get('n');
  const named = name === undefined ? undefined : all.find((file) => [name, `${name}.ko`].includes(file.name));
  if (name !== undefined && (named === undefined || flags.has('q'))) {
    if (named !== undefined) return;
    answer.code = 1;
    if (!flags.has('q')) answer.err += `kldstat: can't find file ${name}: ${NO_SUCH}\n`;
    return;
  }
  const old = majorOf(session.choices.version) < 12;
  const size = flags.has('h') ? ' Size' : old ? 'Size    ' : 'Size'.padStart(8);
  answer.out += `Id Refs Address${' '.repeat(pointerWidth(session) - 7)} ${size} Name\n`;
  const id = named?.id ?? Number(values.get('i') ?? 0);
  if (id === 0) {
    for (const file of all) answer.out += row(session, file, flags, old);
    return;
  }
  const file = all.find((one) => one.id === id);
  if (file !== undefined) {
    answer.out += row(session, file, flags, old);
    return;
  }
  answer.code = 1;
  answer.err += `kldstat: can't stat file id ${id}: ${NO_SUCH}\n`;
}

function row(session: FreeBsdSession, file: FileStat, flags: ReadonlySet<string>, old: boolean): string {
  const value = session.choices.bits === 64 ? BigInt.asUintN(64, BigInt(file.address)) : file.address >>> 0;
  const shown = `0x${value.toString(16)}`;
  const address = old ? shown : shown.padStart(pointerWidth(session));
  const hex = file.size.toString(16);
  const size = flags.has('h') ? humanize(file.size).padStart(5) : old ? hex.padEnd(8) : hex.padStart(8);
  const refs = `${file.refs}`.padStart(4);
  let line = `${`${file.id}`.padStart(2)} ${refs} ${address} ${size} ${file.name}`;
  if (!flags.has('v')) return `${line}\n`;
  line += ` (${file.path})\n\tContains modules:\n\t\t${old ? '' : ' '}Id Name\n`;
  for (const module of modulesOf(session, file)) line += `\t\t${moduleRow(session, module, flags, old)}\n`;
  return line;
}

function modulesOf({ booted: { k, linker } }: FreeBsdSession, { file }: FileStat): Address[] {
  return elements(k, linker.registry.modulesOf(file));
}

function moduleRow(
  { booted: { k, linker } }: FreeBsdSession,
  module: Address,
  flags: ReadonlySet<string>,
  old: boolean,
): string {
  const id = `${k.read('module.id', module)}`.padStart(old ? 2 : 3);
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
