/** Looking at the system and its settings. */

import { hexOf } from '../../bytes/hex.ts';
import { strerror } from '../../systems/macos/errno.ts';
import { CTLTYPE, runSysctl, type SysctlEntry, sysctls } from '../../systems/macos/functions/sysctl.ts';
import { CSR_ALLOW_UNTRUSTED_KEXTS } from '../../systems/macos/rules/policy.ts';
import { Answer, type Tool } from './answer.ts';
import type { MacosSession } from './session.ts';

const sysctl: Tool = {
  name: 'sysctl',
  usage: '[-a] [-w] [NAME[=VALUE]]...',
  summary: 'show and set kernel state',
  run: (session, args) => {
    const words = args.filter((word) => !word.startsWith('-'));
    const answer = new Answer();
    const all = [...sysctls(session.kernel)];
    if (args.some((word) => word === '-a' || word === '-A')) {
      for (const entry of all) show(session, entry, answer);
      return answer.result();
    }
    for (const word of words) {
      const [name, ...rest] = word.split('=');
      const chosen = all.filter((entry) => entry.name === name || entry.name.startsWith(`${name}.`));
      if (chosen.length === 0) {
        answer.complain(`sysctl: unknown oid '${name}'`);
        answer.code = 1;
      } else if (rest.length > 0) set(session, chosen[0], rest.join('='), answer);
      else for (const entry of chosen) show(session, entry, answer);
    }
    return answer.result();
  },
};

function valueText(kind: number, value: Uint8Array): string {
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  switch (kind & 0xf) {
    case CTLTYPE.INT:
      return value.length >= 4 ? String(view.getInt32(0, true)) : '';
    case CTLTYPE.QUAD:
      return value.length >= 8 ? String(view.getBigInt64(0, true)) : '';
    case CTLTYPE.STRING:
      return new TextDecoder().decode(value).replace(/\0.*$/s, '');
    default:
      return hexOf(value, ' ');
  }
}

function show(session: MacosSession, entry: SysctlEntry, answer: Answer): string {
  const result = session.perform('sysctl', runSysctl(session.kernel, entry), answer);
  if (result === undefined) return '';
  if (result.error !== 0) {
    answer.complain(`sysctl: ${entry.name}: ${strerror(result.error)}`);
    answer.code = 1;
    return '';
  }
  const text = valueText(entry.kind, result.value);
  answer.print(`${entry.name}: ${text}`);
  return text;
}

function encode(kind: number, text: string): Uint8Array | undefined {
  const type = kind & 0xf;
  if (type === CTLTYPE.STRING) return new TextEncoder().encode(text);
  if (!/^-?(0x[0-9a-f]+|\d+)$/i.test(text)) return undefined;
  const bytes = new Uint8Array(type === CTLTYPE.QUAD ? 8 : 4);
  const number = text.startsWith('-') ? -BigInt(text.slice(1)) : BigInt(text);
  const view = new DataView(bytes.buffer);
  if (type === CTLTYPE.QUAD) view.setBigInt64(0, number, true);
  else view.setInt32(0, Number(BigInt.asIntN(32, number)), true);
  return bytes;
}

function set(session: MacosSession, entry: SysctlEntry, text: string, answer: Answer): void {
  const value = encode(entry.kind, text);
  if (value === undefined) {
    answer.complain(`sysctl: invalid integer '${text}'`);
    answer.code = 1;
    return;
  }
  const result = session.perform('sysctl', runSysctl(session.kernel, entry, value), answer);
  if (result === undefined) return;
  if (result.error !== 0) {
    answer.complain(`sysctl: ${entry.name}=${text}: ${strerror(result.error)}`);
    answer.code = 1;
    return;
  }
  answer.print(`${entry.name}: ${valueText(entry.kind, result.value)} -> ${text}`);
}

const dmesg: Tool = {
  name: 'dmesg',
  usage: '',
  summary: 'print the system message buffer',
  run: (session) => {
    if (session.uid !== 0)
      return {
        code: 1,
        out: '',
        err: 'Unable to obtain kernel buffer: Operation not permitted\nusage: sudo dmesg\n',
      };
    return { code: 0, out: session.kernel.log.records.map(({ text }) => `${text}\n`).join(''), err: '' };
  },
};

const uname: Tool = {
  name: 'uname',
  usage: '[-a] [-r] [-m] [-s]',
  summary: 'name the system',
  run: ({ choices }, args) => {
    const { darwin } = choices.release;
    const words: readonly (readonly [string, string])[] = [
      ['s', 'Darwin'],
      ['n', 'lkm.local'],
      ['r', darwin],
      ['v', `Darwin Kernel Version ${darwin}`],
      ['m', choices.architecture],
    ];
    const letters = args.join('');
    const chosen = words.filter(([letter]) => letters.includes('a') || letters.includes(letter));
    return {
      code: 0,
      out: `${(chosen.length === 0 ? words.slice(0, 1) : chosen).map(([, text]) => text).join(' ')}\n`,
      err: '',
    };
  },
};

const swVers: Tool = {
  name: 'sw_vers',
  usage: '',
  summary: 'name the release',
  run: ({ choices }) => {
    const [, name, version] = /^(.*) ([\d.]+)$/.exec(choices.release.product) ?? [
      '',
      choices.release.product,
      '',
    ];
    return { code: 0, out: `ProductName:\t${name}\nProductVersion:\t${version}\n`, err: '' };
  },
};

const csrutil: Tool = {
  name: 'csrutil',
  usage: 'status | enable [--without kext] | disable',
  summary: 'System Integrity Protection',
  run: (session, args) => {
    if (session.choices.release.signature !== 'sip')
      return { code: 127, out: '', err: '-sh: csrutil: command not found\n' };
    const [verb] = args;
    if (verb === 'status' || verb === undefined) {
      const state =
        session.csr === 0
          ? 'enabled'
          : session.csr === CSR_ALLOW_UNTRUSTED_KEXTS
            ? 'unknown (Custom Configuration)'
            : 'disabled';
      const detail =
        session.csr === CSR_ALLOW_UNTRUSTED_KEXTS ? '\n\nConfiguration:\n\tKext Signing: disabled' : '';
      return { code: 0, out: `System Integrity Protection status: ${state}.${detail}\n`, err: '' };
    }
    if (session.halted !== undefined) {
      // The recovery system is where this may be changed.
      session.csr = verb === 'disable' ? 0x77 : args.includes('kext') ? CSR_ALLOW_UNTRUSTED_KEXTS : 0;
      const text = `Successfully ${verb === 'disable' ? 'disabled' : 'enabled'} System Integrity Protection. Please restart the machine for the changes to take effect.\n`;
      return { code: 0, out: text, err: '' };
    }
    return {
      code: 1,
      out: '',
      err: 'csrutil: failed to modify system integrity configuration. This tool needs to be executed from the Recovery OS.\n',
      note: 'here: --set sip=on, no-kext or off',
    };
  },
};

const reboot: Tool = {
  name: 'reboot',
  usage: '',
  summary: 'start the machine again: the kernel is a new one, files stay',
  run: async (session) => {
    if (session.uid !== 0) return { code: 1, out: '', err: 'reboot: Operation not permitted\n' };
    const { starts, offenders } = await session.restart();
    if (starts) return { code: 0, out: '', err: '' };
    const list = offenders.map(({ path, identifier, why }) => `${path} (${identifier}): ${why}`);
    return { code: 1, out: '', err: '', note: `the machine does not start: ${list.join('; ')}` };
  },
};

const spctl: Tool = {
  name: 'spctl',
  usage: 'kext-consent add|remove|list [TEAM]',
  summary: 'approve the kexts of a team, as the recovery system does',
  run: ({ choices, records, uid }, args) => {
    const [topic, verb, team] = args;
    if (topic !== 'kext-consent' || !choices.release.approval)
      return { code: 64, out: '', err: 'usage: spctl kext-consent add|remove|list [TEAM]\n' };
    if (verb === 'list')
      return {
        code: 0,
        out: `Allowed Team Identifiers:\n${[...records.approved].map((one) => `${one}\n`).join('')}`,
        err: '',
      };
    if (team === undefined || uid !== 0) return { code: 1, out: '', err: 'spctl: Operation not permitted\n' };
    if (verb === 'add') records.approved.add(team);
    else records.approved.delete(team);
    return { code: 0, out: '', err: '' };
  },
};

const whoami: Tool = {
  name: 'whoami',
  usage: '',
  summary: 'name the user',
  run: ({ uid }) => ({ code: 0, out: uid === 0 ? 'root\n' : 'lkm\n', err: '' }),
};

const su: Tool = {
  name: 'su',
  usage: '[USER]',
  summary: 'go on as another user: root or lkm',
  run: (session, args) => {
    const name = args.find((word) => !word.startsWith('-')) ?? 'root';
    if (name !== 'root' && name !== 'lkm') return { code: 1, out: '', err: `su: unknown login: ${name}\n` };
    if (session.uid !== 0) return { code: 1, out: '', err: 'su: Sorry\n' };
    session.uid = name === 'root' ? 0 : USER_ID;
    return { code: 0, out: '', err: '' };
  },
};

/** The first account that is made on a machine. */
const USER_ID = 501;

export const SYSTEM_TOOLS: readonly Tool[] = [
  csrutil,
  dmesg,
  reboot,
  spctl,
  su,
  swVers,
  sysctl,
  uname,
  whoami,
];
