/** kldstat(8) */

import type { Address } from '../../memory/space.ts';
import { elements } from '../../systems/freebsd/lists.ts';
import { type FileStat, kldstat as statAll } from '../../systems/freebsd/syscalls.ts';
import { majorOf } from '../../systems/freebsd/version.ts';
import { Answer, type Tool } from './answer.ts';
import { getopt } from './getopt.ts';
import type { FreeBsdSession } from './session.ts';

/**
 * What the options are (sbin/kldstat of 8.3, 9.3, 10.4, 11.3, 12.1 and of 2024): -d came with 10.4 and 11.0, -h with 11.0,
 * columns to the right with 12. From which release on the letters stand together is not certain: 15 is assumed; and that
 * 10.0 to 10.3 are as 9.3.
 */
function usage(version: number): { letters: string; text: string } {
  if (version >= 1500000)
    return {
      letters: 'dhi:m:n:qv',
      text: 'usage: kldstat [-dhqv] [-i id] [-n filename]\n       kldstat [-dq] [-m modname]\n',
    };
  const data = hasData(version) ? '[-d] ' : '';
  const human = version < 1100000 ? '' : '[-h] ';
  const quiet = hasData(version) ? '[-q] ' : '';
  return {
    letters: `${hasData(version) ? 'd' : ''}${human === '' ? '' : 'h'}i:m:n:qv`,
    text: `usage: kldstat ${data}${human}${quiet}[-v] [-i id] [-n filename]\n       kldstat ${data}[-q] [-m modname]\n`,
  };
}
/** With -d came that -q counts for -n, too. */
const hasData = (version: number): boolean => version >= 1004000;
/** POINTER_WIDTH of kldstat.c: two digits for each byte, and 0x. */
const pointerWidth = ({ choices }: FreeBsdSession): number => choices.bits / 4 + 2;
const NO_SUCH = 'No such file or directory';

export const kldstat: Tool = {
  name: 'kldstat',
  usage: '[-dhqv] [-i ID] [-n FILE] [-m MODULE]',
  summary: 'list what is loaded',
  run(session, args) {
    const answer = new Answer();
    const { letters, text } = usage(session.choices.version);
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
  const quiet = flags.has('q') && hasData(session.choices.version);
  if (name !== undefined && (named === undefined || quiet)) {
    if (named !== undefined) return;
    answer.code = 1;
    if (!quiet) answer.err += `kldstat: can't find file ${name}: ${NO_SUCH}\n`;
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
  session: FreeBsdSession,
  module: Address,
  flags: ReadonlySet<string>,
  old: boolean,
): string {
  const { k, linker } = session.booted;
  const id = `${k.read('module.id', module)}`.padStart(old ? 2 : 3);
  const line = `${id} ${linker.registry.name(module)}`;
  return flags.has('d') ? `${line} ${specific(session, k.read('module.data', module))}` : line;
}

/** The module's own value, as int, unsigned and hexadecimal. */
function specific({ choices }: FreeBsdSession, value: number): string {
  const low = value | 0;
  return `(${low}, ${low >>> 0}, 0x${BigInt.asUintN(choices.bits, BigInt(value)).toString(16)})`;
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
    answer.out += `Id  Refs Name data..(int, uint, ulong)\n${id} ${refs} ${name} ${specific(session, data)}\n`;
  else answer.out += `Id  Refs Name\n${id} ${refs} ${name}\n`;
}

/** humanize_number(3) of libutil with HN_AUTOSCALE, HN_DECIMAL and HN_NOSPACE into a buffer of five: three digits at most. */
function humanize(bytes: number): string {
  let quotient = bytes;
  let remainder = 0;
  let scale = 0;
  // 973 is where a rest is rounded up.
  while ((quotient >= 1000 || (quotient === 999 && remainder >= 973)) && scale < SUFFIXES.length - 1) {
    remainder = quotient % 1024;
    quotient = Math.floor(quotient / 1024);
    scale++;
  }
  const suffix = SUFFIXES[scale];
  if (scale === 0 || quotient > 9 || (quotient === 9 && remainder >= 973))
    return `${quotient + Math.floor((remainder + 512) / 1024)}${suffix}`;
  const tenths = Math.floor((remainder * 10 + 512) / 1024);
  return `${quotient + Math.floor(tenths / 10)}.${tenths % 10}${suffix}`;
}

const SUFFIXES = ['', 'K', 'M', 'G', 'T', 'P', 'E'];
