/** sysctl(8): lists, reads and sets; values go through the oid's own handler, machine code of the module included. */

import { hexOf } from '../../bytes/hex.ts';
import type { Address } from '../../memory/space.ts';
import { CTLFLAG, CTLTYPE, childrenOf, isNode, oidKind, walkOids } from '../../systems/freebsd/sysctl.ts';
import { readOid, writeOid } from '../../systems/freebsd/sysctl-calls.ts';
import { findOid, rootList } from '../../systems/freebsd/sysctl-nodes.ts';
import { Answer, fail, type Tool } from './answer.ts';
import { getopt } from './getopt.ts';
import type { FreeBsdSession } from './session.ts';

const USAGE = 'usage: sysctl [-adN] [-n] name[=value] ...\n';

export const sysctl: Tool = {
  name: 'sysctl',
  usage: '[-adnN] [NAME[=VALUE]...]',
  summary: 'list, read and set kernel state',
  run(session, args) {
    const answer = new Answer();
    const { flags, operands, problem } = getopt(args, 'adnNoqx');
    if (problem !== undefined || (operands.length === 0 && !flags.has('a'))) {
      answer.code = 1;
      answer.err = (problem === undefined ? '' : `sysctl: ${problem}\n`) + USAGE;
      return answer.result();
    }
    if (flags.has('a')) {
      for (const { name, oid } of walkOids(session.kernel, rootList(session.kernel)))
        show(session, answer, name, oid, flags);
    }
    for (const operand of operands) one(session, answer, operand, flags);
    return answer.result();
  },
};

function one(session: FreeBsdSession, answer: Answer, operand: string, flags: ReadonlySet<string>): void {
  const k = session.kernel;
  const equals = operand.indexOf('=');
  const name = equals < 0 ? operand : operand.slice(0, equals);
  if (ownVariable(session, answer, name, equals < 0 ? undefined : operand.slice(equals + 1), flags)) return;
  const oid = findOid(k, name);
  if (oid === undefined) {
    answer.code = 1;
    if (!flags.has('q')) answer.err += `sysctl: unknown oid '${name}'\n`;
    return;
  }
  if (equals < 0) {
    if (!isNode(k, oid)) show(session, answer, name, oid, flags);
    else
      for (const below of walkOids(k, childrenOf(k, oid), name))
        show(session, answer, below.name, below.oid, flags);
    return;
  }
  set(session, answer, name, oid, operand.slice(equals + 1), flags);
}

/** The variables of the kernel linker and of the system itself that are no oids here. */
function ownVariable(
  session: FreeBsdSession,
  answer: Answer,
  name: string,
  value: string | undefined,
  flags: ReadonlySet<string>,
): boolean {
  const { k, linker } = session.booted;
  const line = (text: string | number) => {
    answer.out += flags.has('n') ? `${text}\n` : `${name}: ${text}\n`;
  };
  if (name === 'kern.module_path') {
    if (value === undefined) line(linker.search.path);
    else {
      line(`${linker.search.path} -> ${value}`);
      linker.search.path = value;
    }
    return true;
  }
  if (name === 'kern.osreldate' && value === undefined) {
    line(k.version);
    return true;
  }
  if (name !== 'kern.securelevel') return false;
  if (value === undefined) line(k.securelevel);
  else setSecurelevel(session, answer, Number(value));
  return true;
}

/** It can only be raised. */
function setSecurelevel(session: FreeBsdSession, answer: Answer, level: number): void {
  const { k } = session.booted;
  if (session.who.uid !== 0 || !(level >= k.securelevel)) {
    answer.code = 1;
    answer.err += 'sysctl: kern.securelevel: Operation not permitted\n';
    return;
  }
  answer.out += `kern.securelevel: ${k.securelevel} -> ${level}\n`;
  k.securelevel = level;
}

function show(
  session: FreeBsdSession,
  answer: Answer,
  name: string,
  oid: Address,
  flags: ReadonlySet<string>,
): void {
  const k = session.kernel;
  if (isNode(k, oid) && k.read('sysctl_oid.oid_handler', oid) === 0) return;
  if (flags.has('d')) {
    answer.out += `${name}: ${k.readString('sysctl_oid.oid_descr', oid)}\n`;
    return;
  }
  if (flags.has('N')) {
    answer.out += `${name}\n`;
    return;
  }
  const result = session.call('sysctl', readOid(k, oid));
  if (result.outcome === 'done')
    answer.out += flags.has('n')
      ? `${text(session, oid, result.value)}\n`
      : `${name}: ${text(session, oid, result.value)}\n`;
  else fail(answer, result, `sysctl: ${name}`);
}

function set(
  session: FreeBsdSession,
  answer: Answer,
  name: string,
  oid: Address,
  value: string,
  flags: ReadonlySet<string>,
): void {
  const k = session.kernel;
  const kind = oidKind(k, oid);
  if ((kind & CTLFLAG.WR) === 0) {
    answer.code = 1;
    answer.err += `sysctl: oid '${name}' is read only\n`;
    return;
  }
  const bytes = encode(kind & CTLTYPE.MASK, value);
  if (bytes === undefined) {
    answer.code = 1;
    answer.err += `sysctl: invalid integer '${value}'\n`;
    return;
  }
  const before = session.call('sysctl', readOid(k, oid));
  const result = session.call('sysctl', writeOid(k, oid, bytes, session.who.uid));
  if (result.outcome !== 'done') {
    fail(answer, result, `sysctl: ${name}=${value}`);
    return;
  }
  const after = session.call('sysctl', readOid(k, oid));
  if (before.outcome !== 'done' || after.outcome !== 'done') return;
  const [old, now] = [text(session, oid, before.value), text(session, oid, after.value)];
  answer.out += flags.has('n') ? `${now}\n` : `${name}: ${old} -> ${now}\n`;
}

const SIZES: Readonly<Record<number, number>> = {
  [CTLTYPE.INT]: 4,
  [CTLTYPE.UINT]: 4,
  [CTLTYPE.LONG]: 8,
  [CTLTYPE.ULONG]: 8,
  [CTLTYPE.S64]: 8,
  [CTLTYPE.U64]: 8,
  [CTLTYPE.U8]: 1,
  [CTLTYPE.S8]: 1,
  [CTLTYPE.U16]: 2,
  [CTLTYPE.S16]: 2,
  [CTLTYPE.S32]: 4,
  [CTLTYPE.U32]: 4,
};
const UNSIGNED = new Set<number>([
  CTLTYPE.UINT,
  CTLTYPE.ULONG,
  CTLTYPE.U64,
  CTLTYPE.U8,
  CTLTYPE.U16,
  CTLTYPE.U32,
]);

function encode(type: number, value: string): Uint8Array | undefined {
  const size = SIZES[type];
  if (size === undefined) return new TextEncoder().encode(`${value}\0`);
  if (!/^-?(0x[0-9a-f]+|\d+)$/i.test(value)) return undefined;
  const bytes = new Uint8Array(8);
  const sign = value.startsWith('-') ? -1n : 1n;
  new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, sign * BigInt(value.replace('-', ''))), true);
  return bytes.slice(0, size);
}

function text(session: FreeBsdSession, oid: Address, bytes: Uint8Array): string {
  const type = oidKind(session.kernel, oid) & CTLTYPE.MASK;
  const size = SIZES[type];
  if (type === CTLTYPE.STRING) return new TextDecoder('latin1').decode(bytes).replace(/\0.*$/s, '');
  if (size === undefined) return `Format: Length:${bytes.length} Dump:0x${hexOf(bytes.subarray(0, 16))}`;
  const values: string[] = [];
  for (let at = 0; at + size <= bytes.length; at += size) {
    const raw = [...bytes.subarray(at, at + size)]
      .reverse()
      .reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
    values.push(`${UNSIGNED.has(type) ? raw : BigInt.asIntN(size * 8, raw)}`);
  }
  return values.join(' ');
}
