/** Commands that do what a program would: connect to a kernel control or a service, set up an interface. */
import { hexOf } from '../../bytes/hex.ts';
import type { Steps } from '../../kernel/steps.ts';
import { callMethod, closeClient, openService } from '../../systems/macos/connect.ts';
import { strerror } from '../../systems/macos/errno.ts';
import {
  type Connection,
  connectControl,
  controls,
  disconnectControl,
  getControlOption,
  sendControl,
  setControlOption,
} from '../../systems/macos/functions/bsd/control.ts';
import {
  controlInterface,
  describeInterface,
  interfaceNamed,
  network,
  setInterfaceUp,
} from '../../systems/macos/functions/bsd/network.ts';
import { ioReturnName } from '../../systems/macos/functions/iokit/return.ts';
import type { Macos } from '../../systems/macos/macos.ts';
import { Answer, type Tool } from './answer.ts';
import { findEntry } from './registry-tools.ts';
import type { MacosSession } from './session.ts';

const usage = (tool: Tool): ReturnType<MacosSession['writeFile']> => ({
  code: 64,
  out: '',
  err: `usage: ${tool.name} ${tool.usage}\n`,
});

/** `68656c6c6f` as bytes; undefined when it is no hexadecimal text. */
function bytesOfHex(text: string): Uint8Array | undefined {
  if (!/^([\da-f]{2})*$/i.test(text)) return undefined;
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** Text where all of it can be printed, hexadecimal digits otherwise. */
function shown(bytes: Uint8Array): string {
  const printable = bytes.length > 0 && bytes.every((byte) => byte >= 0x20 && byte < 0x7f);
  return printable ? new TextDecoder().decode(bytes) : hexOf(bytes);
}

// -- kernel controls --------------------------------------------------------------------------------------------------------

/** One step of a conversation; false ends it. */
function* converse(k: Macos, connection: Connection, step: string, answer: Answer): Steps<boolean> {
  const [verb, ...rest] = step.split(':');
  const value = rest.join(':');
  const failed = (error: number): boolean => {
    if (error === 0) return true;
    answer.code = 1;
    answer.complain(`kctl: ${verb}: ${strerror(error)}`);
    return false;
  };
  switch (verb) {
    case 'send':
      return failed(yield* sendControl(k, connection, new TextEncoder().encode(value)));
    case 'recv': {
      const record = connection.received.shift();
      if (record === undefined) return failed(EAGAIN);
      answer.print(shown(record));
      return true;
    }
    case 'get': {
      const { error, bytes } = yield* getControlOption(k, connection, Number(rest[0]), Number(rest[1] ?? 4));
      if (error === 0) answer.print(hexOf(bytes));
      return failed(error);
    }
    case 'set': {
      const bytes = bytesOfHex(rest[1] ?? '');
      if (bytes === undefined) return failed(EINVAL);
      return failed(yield* setControlOption(k, connection, Number(rest[0]), bytes));
    }
    default:
      answer.code = 64;
      answer.complain(`kctl: ${verb}: send:TEXT, recv, get:OPTION[:BYTES] or set:OPTION:HEX`);
      return false;
  }
}
const EAGAIN = 35;
const EINVAL = 22;

function* conversation(k: Macos, name: string, steps: readonly string[], answer: Answer): Steps<void> {
  const connection = yield* connectControl(k, name);
  if (typeof connection === 'number') {
    answer.code = 1;
    answer.complain(`kctl: ${name}: ${strerror(connection)}`);
    return;
  }
  for (const step of steps) if (!(yield* converse(k, connection, step, answer))) break;
  yield* disconnectControl(k, connection);
}

const kctl: Tool = {
  name: 'kctl',
  usage: '[NAME [send:TEXT | recv | get:OPTION[:BYTES] | set:OPTION:HEX]...]',
  summary: 'list kernel controls, or connect to one as a program does (ours)',
  run: (session, [name, ...steps]) => {
    const answer = new Answer();
    const { kernel } = session;
    if (name === undefined) {
      for (const one of kernel.state(controls).all.values())
        answer.print(`${String(one.id).padStart(4)} ${one.name} (${one.connections.size} connected)`);
      return answer.result();
    }
    session.perform('kctl', conversation(kernel, name, steps, answer), answer);
    return answer.result();
  },
};

// -- user clients -------------------------------------------------------------------------------------------------------------

interface Request {
  kind: number;
  bytes: Uint8Array;
  results: number;
  room: number;
  readonly scalars: bigint[];
}

/** Words behind service and selector; undefined when one is not understood. */
function requestOf(words: readonly string[]): Request | undefined {
  const request: Request = { kind: 0, bytes: new Uint8Array(), results: 0, room: 0, scalars: [] };
  for (let i = 0; i < words.length; i++) {
    const word = words[i];
    const number = /^(0x[\da-f]+|\d+)$/i.test(words[i + 1] ?? '') ? Number(words[i + 1]) : undefined;
    if (word === '-i' || word === '-s') {
      const text = words[++i] ?? '';
      const bytes = word === '-s' ? new TextEncoder().encode(text) : bytesOfHex(text);
      if (bytes === undefined) return undefined;
      request.bytes = bytes;
    } else if (['-t', '-o', '-O'].includes(word)) {
      if (number === undefined || number > 1 << 20) return undefined;
      i++;
      if (word === '-t') request.kind = number;
      else if (word === '-o') request.results = number;
      else request.room = number;
    } else if (/^(0x[\da-f]+|\d+)$/i.test(word)) request.scalars.push(BigInt(word));
    else return undefined;
  }
  return request;
}

function* method(k: Macos, name: string, selector: number, request: Request, answer: Answer): Steps<void> {
  const failed = (what: string, code: number): void => {
    answer.code = 1;
    answer.complain(
      `ioclient: ${what}: (iokit/common) ${ioReturnName(code)} (0x${(code >>> 0).toString(16)})`,
    );
  };
  const service = yield* findEntry(k, name);
  if (service === undefined) {
    answer.code = 1;
    answer.complain(`ioclient: there is no service ${name}`);
    return;
  }
  const { client, code } = yield* openService(k, service, request.kind);
  if (code !== 0) {
    failed('open', code);
    return;
  }
  const result = yield* callMethod(k, client, { selector, ...request });
  yield* closeClient(k, client);
  if (result.code !== 0) failed(`method ${selector}`, result.code);
  else {
    if (result.scalars.length > 0) answer.print(result.scalars.join(' '));
    if (result.bytes.length > 0) answer.print(shown(result.bytes));
  }
}

const ioclient: Tool = {
  name: 'ioclient',
  usage: 'SERVICE SELECTOR [NUMBER]... [-t TYPE] [-i HEX | -s TEXT] [-o NUMBERS] [-O BYTES]',
  summary: 'connect to a service and call a method of its user client (ours)',
  run: (session, [name, selector, ...words]) => {
    const request = requestOf(words);
    if (name === undefined || !/^\d+$/.test(selector ?? '') || request === undefined) return usage(ioclient);
    const answer = new Answer();
    session.perform('ioclient', method(session.kernel, name, Number(selector), request, answer), answer);
    return answer.result();
  },
};

// -- interfaces -----------------------------------------------------------------------------------------------------------------

/** Names of the bits of if_flags, lowest first, as ifconfig(8) prints them. */
const FLAGS = [
  ...[
    'UP',
    'BROADCAST',
    'DEBUG',
    'LOOPBACK',
    'POINTOPOINT',
    'SMART',
    'RUNNING',
    'NOARP',
    'PROMISC',
    'ALLMULTI',
  ],
  ...['OACTIVE', 'SIMPLEX', 'LINK0', 'LINK1', 'LINK2', 'MULTICAST'],
];
/** SIOCSIFFLAGS of bsd/sys/sockio.h */
const SET_FLAGS = 0x80206910;

const ifconfig: Tool = {
  name: 'ifconfig',
  usage: '[-a] [NAME [up | down]]',
  summary: 'show and set network interfaces',
  run: (session, args) => {
    const answer = new Answer();
    const { kernel } = session;
    const [name, action] = args.filter((word) => !word.startsWith('-'));
    const chosen = name === undefined ? undefined : interfaceNamed(kernel, name);
    if (name !== undefined && chosen === undefined) {
      answer.code = 1;
      answer.complain(`ifconfig: interface ${name} does not exist`);
      return answer.result();
    }
    if (chosen !== undefined && (action === 'up' || action === 'down')) {
      if (session.uid !== 0) {
        answer.code = 1;
        answer.complain('ifconfig: ioctl (SIOCSIFFLAGS): permission denied');
        return answer.result();
      }
      setInterfaceUp(kernel, chosen, action === 'up');
      session.perform('ifconfig', controlInterface(kernel, chosen, SET_FLAGS, 0), answer);
      return answer.result();
    }
    if (action !== undefined) return usage(ifconfig);
    for (const at of chosen === undefined ? kernel.state(network).interfaces : [chosen]) {
      const { name: own, flags, mtu, link } = describeInterface(kernel, at);
      const words = FLAGS.filter((_, bit) => ((flags >> bit) & 1) === 1).join(',');
      answer.print(`${own}: flags=${flags.toString(16)}<${words}> mtu ${mtu}`);
      if (link.some((byte) => byte !== 0)) answer.print(`\tether ${hexOf(link, ':')} `);
    }
    return answer.result();
  },
};

export const CONNECTION_TOOLS: readonly Tool[] = [kctl, ioclient, ifconfig];
