/** ip link, as far as one namespace without addresses goes, and frames in and out. */
import { hexOf } from '../../bytes/hex.ts';
import type { Steps } from '../../kernel/steps.ts';
import type { Address } from '../../memory/space.ts';
import type { Linux } from '../../systems/linux/linux.ts';
import { IFF } from '../../systems/linux/net/flags.ts';
import { changeFlags, flagsOf, hasCarrier, isRunning, setMtu } from '../../systems/linux/net/link.ts';
import { ensureLoopback } from '../../systems/linux/net/loopback.ts';
import { findByName, nameOf, netDevices } from '../../systems/linux/net/namespace.ts';
import { underRouting } from '../../systems/linux/net/rtnl.ts';
import { takeArrived } from '../../systems/linux/net/transmit.ts';
import {
  type Answer,
  changeAddress,
  createLink,
  deleteLink,
  type LinkData,
  ownAddress,
  renameDevice,
  sendFrame,
} from '../../systems/linux/net/user.ts';
import { type CommandResult, type ConsoleCommand, done, type LinuxConsole } from './console.ts';
import { errorText } from './errors.ts';

const usage: CommandResult = {
  code: 1,
  errno: null,
  output:
    'usage: ip link [show [NAME]]\n' +
    '       ip link set NAME [up|down] [mtu N] [address MAC] [name NEW] [promisc on|off]\n' +
    '       ip link add [link LOWER] [name] NAME type KIND [id N] [dstport N]\n' +
    '       ip link del NAME',
};

function refused({ error, words }: Answer): CommandResult {
  if (error >= 0) return done();
  const more = words === '' ? '' : `Error: ${words}.\n`;
  return { code: 2, errno: -error, output: `${more}RTNETLINK answers: ${errorText(-error)}` };
}

const noDevice = (name: string): CommandResult => ({
  code: 1,
  errno: null,
  output: `Cannot find device "${name}"`,
});

/** Flags in the order in which iproute2 prints them. */
const SHOWN = [
  ['LOOPBACK', IFF.LOOPBACK],
  ['BROADCAST', IFF.BROADCAST],
  ['POINTOPOINT', IFF.POINTOPOINT],
  ['MULTICAST', IFF.MULTICAST],
  ['NOARP', IFF.NOARP],
  ['ALLMULTI', IFF.ALLMULTI],
  ['PROMISC', IFF.PROMISC],
  ['DEBUG', IFF.DEBUG],
  ['DYNAMIC', IFF.DYNAMIC],
  ['AUTOMEDIA', IFF.AUTOMEDIA],
  ['PORTSEL', IFF.PORTSEL],
  ['NOTRAILERS', IFF.NOTRAILERS],
  ['UP', IFF.UP],
] as const;

/** Types of hardware by number (include/uapi/linux/if_arp.h), as iproute2 calls them. */
const HARDWARE: Readonly<Record<number, string>> = {
  1: 'ether',
  280: 'can',
  512: 'ppp',
  768: 'ipip',
  769: 'tunnel6',
  772: 'loopback',
  776: 'sit',
  778: 'gre',
  824: 'netlink',
  65534: 'none',
};

function describe(k: Linux, device: Address): string {
  const flags = flagsOf(k, device);
  const names: string[] = SHOWN.filter(([, bit]) => (flags & bit) !== 0).map(([name]) => name);
  if ((flags & IFF.UP) !== 0) names.unshift(...(hasCarrier(k, device) ? [] : ['NO-CARRIER']));
  if (isRunning(k, device) && hasCarrier(k, device)) names.push('LOWER_UP');
  const states = ['UNKNOWN', 'NOTPRESENT', 'DOWN', 'LOWERLAYERDOWN', 'TESTING', 'DORMANT', 'UP'];
  const state = isRunning(k, device) ? states[k.read('net_device.operstate', device)] : 'DOWN';
  const type = k.read('net_device.type', device);
  const address = ownAddress(k, device);
  const everybody = k.memory.bytes(device + k.offset('net_device.broadcast'), address.length);
  const shown = address.length === 0 ? '' : ` ${hexOf(address, ':')} brd ${hexOf(everybody, ':')}`;
  return (
    `${k.read('net_device.ifindex', device)}: ${nameOf(k, device)}: <${names.join(',')}> ` +
    `mtu ${k.read('net_device.mtu', device)} state ${state} qlen ${k.read('net_device.tx_queue_len', device)}\n` +
    `    link/${HARDWARE[type] ?? `[${type}]`}${shown}\n`
  );
}

function show({ k }: LinuxConsole, [name]: readonly string[]): CommandResult {
  if (name === undefined) return done([...netDevices(k)].map((device) => describe(k, device)).join(''));
  const device = findByName(k, name);
  return device === 0 ? noDevice(name) : done(describe(k, device));
}

const plain = (error: number): Answer => ({ error, words: '' });

/** One property after another, until one is refused. */
function* change(k: Linux, device: Address, words: readonly string[]): Steps<CommandResult> {
  const rest = [...words];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    let error: number;
    const flags = flagsOf(k, device);
    if (word === 'up') error = yield* changeFlags(k, device, flags | IFF.UP);
    else if (word === 'down') error = yield* changeFlags(k, device, flags & ~IFF.UP);
    else {
      const value = rest.shift();
      if (value === undefined) return usage;
      if (word === 'mtu' && /^\d+$/.test(value)) error = yield* setMtu(k, device, Number(value));
      else if (word === 'name') error = yield* renameDevice(k, device, value);
      else if (word === 'promisc' && (value === 'on' || value === 'off'))
        error = yield* changeFlags(k, device, value === 'on' ? flags | IFF.PROMISC : flags & ~IFF.PROMISC);
      else if (word === 'address' && /^([0-9a-f]{2}:)*[0-9a-f]{2}$/i.test(value)) {
        const bytes = value.split(':').map((byte) => Number.parseInt(byte, 16));
        error = yield* changeAddress(k, device, Uint8Array.from(bytes));
      } else return usage;
    }
    if (error < 0) return refused(plain(error));
  }
  return done();
}

/** Attributes that kinds of devices take by a word: number and how many bytes, the first of them the highest for `net`. */
const ATTRIBUTES: Readonly<Record<string, Readonly<Record<string, readonly [number, number, 'net'?]>>>> = {
  vlan: { id: [1, 2] },
  vxlan: { id: [1, 4], dstport: [15, 2, 'net'] },
  macvlan: { mode: [1, 4] },
};

function attribute(kind: string, word: string, value: string): readonly [number, Uint8Array] | undefined {
  const known = ATTRIBUTES[kind]?.[word];
  if (known === undefined || !/^\d+$/.test(value)) return undefined;
  const [type, size, order] = known;
  const bytes = new Uint8Array(Uint32Array.of(Number(value)).buffer).slice(0, size);
  return [type, order === 'net' ? bytes.reverse() : bytes];
}

function* add(k: Linux, words: readonly string[]): Steps<CommandResult> {
  const rest = [...words];
  let [name, kind, lower]: (string | undefined)[] = [];
  const data = new Map<number, Uint8Array>();
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word === 'link') lower = rest.shift();
    else if (word === 'type') kind = rest.shift();
    else if (word === 'name' || word === 'dev') name = rest.shift();
    else if (kind === undefined) name = word;
    else {
      const found = attribute(kind, word, rest.shift() ?? '');
      if (found === undefined) return usage;
      data.set(...found);
    }
  }
  if (kind === undefined) return usage;
  const below = lower === undefined ? undefined : findByName(k, lower);
  if (below === 0) return noDevice(lower ?? '');
  const given: LinkData | undefined = data.size > 0 ? data : undefined;
  return refused(yield* createLink(k, { kind, name, lower: below, data: given }));
}

function* act(k: Linux, verb: string, words: readonly string[]): Steps<CommandResult> {
  if (verb === 'add') return yield* add(k, words);
  const [name, ...rest] = words[0] === 'dev' ? words.slice(1) : words;
  const device = name === undefined ? 0 : findByName(k, name);
  if (name === undefined) return usage;
  if (device === 0) return noDevice(name);
  if (verb === 'set') return yield* change(k, device, rest);
  return refused(plain(yield* deleteLink(k, device)));
}

const VERBS: Readonly<Record<string, string>> = { add: 'add', set: 'set', del: 'del', delete: 'del' };

const ip: ConsoleCommand = (console, [object, word = 'show', ...rest]) => {
  if (object === undefined || !'link'.startsWith(object)) return usage;
  const { k } = console;
  ensureLoopback(k);
  if (word === 'show' || word === 'list' || word === 'ls')
    return show(console, rest[0] === 'dev' ? rest.slice(1) : rest);
  const verb = VERBS[word];
  if (verb === undefined) return usage;
  if (console.credential.uid !== 0) return refused(plain(-1));
  return console.process(
    'ip',
    underRouting(k, () => act(k, verb, rest)),
  );
};

/** frame NAME BYTES: sends it. Without bytes: what arrived since it was last asked. */
const frame: ConsoleCommand = (console, [name = '', ...hex]) => {
  const { k } = console;
  ensureLoopback(k);
  const device = findByName(k, name);
  if (device === 0) return noDevice(name);
  if (hex.length === 0)
    return done(
      takeArrived(k, device)
        .map((bytes) => `${hexOf(bytes, ' ')}\n`)
        .join(''),
    );
  const text = hex.join('').replaceAll(':', '');
  if (!/^([0-9a-f]{2}){1,65536}$/i.test(text))
    return { ...usage, output: 'usage: frame NAME [BYTES in hexadecimal]' };
  const bytes = Uint8Array.from(text.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
  return console.process(
    'frame',
    (function* (): Steps<CommandResult> {
      const error = yield* sendFrame(k, device, bytes);
      return error < 0 ? { code: 1, errno: -error, output: `frame: ${name}: ${errorText(-error)}` } : done();
    })(),
  );
};

export const networkCommands: ReadonlyMap<string, ConsoleCommand> = new Map([
  ['ip', ip],
  ['frame', frame],
]);
