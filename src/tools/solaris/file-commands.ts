/** Using what modules brought: devices, file systems, system calls, and the other commands of a session's shell. */
import { hexOf } from '../../bytes/hex.ts';
import type { Steps } from '../../kernel/steps.ts';
import { textOf } from '../../systems/solaris/configuration.ts';
import { deviceLinks, permissionOf } from '../../systems/solaris/device-names.ts';
import { type DeviceFile, deviceFiles, majorNumber, minorNumber } from '../../systems/solaris/devices.ts';
import { Errno } from '../../systems/solaris/errno.ts';
import {
  mount,
  mountOf,
  mountTable,
  readNames,
  readWhole,
  unmount,
} from '../../systems/solaris/filesystems.ts';
import { readStatistics } from '../../systems/solaris/functions/kstat.ts';
import { mapDevice } from '../../systems/solaris/mappings.ts';
import {
  closeDevice,
  FREAD,
  FWRITE,
  findDevice,
  ioctlDevice,
  type OpenDevice,
  openDevice,
  pollDevice,
  readDevice,
  writeDevice,
} from '../../systems/solaris/opens.ts';
import { popModule, pushModule } from '../../systems/solaris/streams.ts';
import { systemCall } from '../../systems/solaris/syscalls.ts';
import { moduleGate } from '../../systems/solaris/trust.ts';
import { userSpace } from '../../systems/solaris/user.ts';
import type { ToolResult } from '../system.ts';
import { elfsign } from './elfsign.ts';
import { type CommandRow, done, errno, failed } from './results.ts';
import type { SolarisSession } from './session.ts';

const isDevice = (path: string): boolean => /^\/dev(ices)?\/./.test(path);
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** What one read of a program like cat or head asks for at most. */
const READ_SIZE = 4096;

/** Opens, does something, closes. */
function* withDevice(
  session: SolarisSession,
  path: string,
  flag: number,
  use: (device: OpenDevice) => Steps<ToolResult>,
): Steps<ToolResult> {
  const { kernel } = session;
  const file = findDevice(kernel, path);
  if (file === undefined) return errno(path, Errno.ENOENT);
  const device = yield* openDevice(kernel, file, flag);
  if (typeof device === 'number') return errno(path, device);
  const result = yield* use(device);
  yield* closeDevice(kernel, device);
  return result;
}

/** One read of a device, as `dd count=1` would make: a device has no end that cat could reach. */
function* readOnce(session: SolarisSession, path: string, most: number): Steps<ToolResult> {
  return yield* withDevice(session, path, FREAD, function* (device) {
    const bytes = yield* readDevice(session.kernel, device, most);
    return typeof bytes === 'number' ? errno(path, bytes) : done(text(bytes));
  });
}

function cat(session: SolarisSession, args: readonly string[]): ToolResult {
  if (args.length !== 1) return failed('usage: cat FILE');
  return session.process('cat', contents(session, args[0]));
}

function* contents(session: SolarisSession, path: string): Steps<ToolResult> {
  if (isDevice(path)) return yield* readOnce(session, path, READ_SIZE);
  if (mountOf(session.kernel, path) !== undefined) {
    const found = yield* readWhole(session.kernel, path);
    return 'errno' in found ? errno(`cat: cannot open ${path}`, found.errno) : done(text(found.bytes));
  }
  if (path === '/etc/mnttab') {
    const rows = mountTable(session.kernel);
    return done(rows.map(({ special, directory, type }) => `${special}\t${directory}\t${type}\n`).join(''));
  }
  const bytes = session.files.read(path);
  return bytes === undefined ? errno(`cat: cannot open ${path}`, Errno.ENOENT) : done(textOf(bytes));
}

/** head -c BYTES FILE [&] */
function head(session: SolarisSession, args: readonly string[]): ToolResult {
  const [flag, count, path, behind] = args;
  if (flag !== '-c' || !/^\d{1,7}$/.test(count ?? '') || path === undefined)
    return failed('usage: head -c N FILE');
  const steps = readOnce(session, path, Number(count));
  return behind === '&' ? session.start('head', steps) : session.process('head', steps);
}

export function writeFile(
  session: SolarisSession,
  path: string,
  bytes: Uint8Array,
  append: boolean,
): ToolResult {
  if (isDevice(path)) return session.process('sh', writeOnce(session, path, bytes));
  if (!session.isRoot) return errno(`sh: ${path}: cannot create`, Errno.EACCES);
  const gate = session.kernel.state(moduleGate);
  if (gate.immutable && !gate.trustedPath) return errno(`sh: ${path}: cannot create`, Errno.EROFS);
  const old = append ? (session.files.read(path) ?? new Uint8Array(0)) : new Uint8Array(0);
  session.files.write(path, Uint8Array.from([...old, ...bytes]));
  return done();
}

function* writeOnce(session: SolarisSession, path: string, bytes: Uint8Array): Steps<ToolResult> {
  return yield* withDevice(session, path, FWRITE, function* (device) {
    const written = yield* writeDevice(session.kernel, device, bytes);
    return written < 0 ? errno(path, -written) : done();
  });
}

const listed = (names: readonly string[]): ToolResult => done(names.map((name) => `${name}\n`).join(''));

/** `crw-------   1 root     sys        1,  0 Jan  1 00:00 NAME`: the columns of ls -l for a device. */
function deviceLine(session: SolarisSession, file: DeviceFile, name: string): string {
  const { kernel } = session;
  const { mode, owner, group } = permissionOf(kernel, file);
  const bits = [...'rwxrwxrwx'].map((letter, i) => ((mode >> (8 - i)) & 1 ? letter : '-')).join('');
  const number = (value: number) => String(value).padStart(3);
  const numbers = `${number(majorNumber(kernel, file.dev))},${number(minorNumber(kernel, file.dev))}`;
  return `${file.block ? 'b' : 'c'}${bits}   1 ${owner.padEnd(8)} ${group.padEnd(8)} ${numbers} ${BOOT_DAY} ${name}`;
}

/** When the base kernel's clock began. */
const BOOT_DAY = 'Jan  1 00:00';

/** A link's size is the length of what it leads to, from a directory below /dev. */
function linkLine(name: string, file: DeviceFile): string {
  const target = `${'../'.repeat(name.split('/').length)}devices/${file.path}`;
  return `lrwxrwxrwx   1 root     root     ${String(target.length).padStart(7)} ${BOOT_DAY} ${name} -> ${target}`;
}

function ls(session: SolarisSession, args: readonly string[]): ToolResult {
  const path = args.find((word) => !word.startsWith('-')) ?? '/';
  const long = args.some((word) => /^-\w*l/.test(word));
  const { kernel } = session;
  if (path === '/dev') {
    const links = [...deviceLinks(kernel)].sort(([a], [b]) => (a < b ? -1 : 1));
    return listed(links.map(([name, file]) => (long ? linkLine(name, file) : name)));
  }
  const below = /^\/devices(?:\/(.*?))?\/?$/.exec(path);
  if (below !== null) {
    const prefix = below[1] === undefined || below[1] === '' ? '' : `${below[1]}/`;
    const files = deviceFiles(kernel);
    const exact = files.find((file) => `${file.path}/` === prefix);
    if (exact !== undefined) return listed([long ? deviceLine(session, exact, path) : path]);
    const own = files.filter((file) => file.path.startsWith(prefix));
    return listed(
      own.map((file) => {
        const name = file.path.slice(prefix.length);
        return long ? deviceLine(session, file, name) : name;
      }),
    );
  }
  if (mountOf(kernel, path) !== undefined)
    return session.process(
      'ls',
      (function* (): Steps<ToolResult> {
        const found = yield* readNames(kernel, path);
        if ('errno' in found) return errno(path, found.errno);
        return listed(found.names.filter((name) => !name.startsWith('.')));
      })(),
    );
  const names = session.files.list(path);
  return names === undefined ? errno(path, Errno.ENOENT) : listed(names);
}

// -- files that stay open -----------------------------------------------------------------------------------

function open(session: SolarisSession, [path, how = 'rw']: readonly string[]): ToolResult {
  const flag = { r: FREAD, w: FWRITE, rw: FREAD | FWRITE }[how];
  if (path === undefined || flag === undefined) return failed('usage: open FILE [r|w|rw]');
  return session.process(
    'open',
    (function* (): Steps<ToolResult> {
      const file = findDevice(session.kernel, path);
      if (file === undefined) return errno(path, Errno.ENOENT);
      const device = yield* openDevice(session.kernel, file, flag);
      if (typeof device === 'number') return errno(path, device);
      let number = 3;
      while (session.opened.has(number)) number++;
      session.opened.set(number, device);
      return done(`${number}\n`);
    })(),
  );
}

/** Runs steps on the open file whose number comes first. */
function onOpen(
  session: SolarisSession,
  name: string,
  args: readonly string[],
  use: (device: OpenDevice, rest: readonly string[]) => Steps<ToolResult>,
): ToolResult {
  if (args.length === 0) return failed(`usage: ${name} N ...: the number that open gave`);
  const device = session.opened.get(Number(args[0]));
  if (device === undefined) return errno(name, Errno.EBADF);
  return session.process(name, use(device, args.slice(1)));
}

const read = (session: SolarisSession, args: readonly string[]): ToolResult =>
  onOpen(session, 'read', args, function* (device, [count = String(READ_SIZE)]) {
    const bytes = yield* readDevice(session.kernel, device, Math.min(Number(count) || 0, 1 << 20));
    return typeof bytes === 'number' ? errno('read', bytes) : done(text(bytes));
  });

const write = (session: SolarisSession, args: readonly string[]): ToolResult =>
  onOpen(session, 'write', args, function* (device, words) {
    const written = yield* writeDevice(session.kernel, device, new TextEncoder().encode(words.join(' ')));
    return written < 0 ? errno('write', -written) : done(`${written}\n`);
  });

const close = (session: SolarisSession, args: readonly string[]): ToolResult =>
  onOpen(session, 'close', args, function* (device) {
    session.opened.delete(Number(args[0]));
    const status = yield* closeDevice(session.kernel, device);
    return status === 0 ? done() : errno('close', status);
  });

/** POLLIN, POLLPRI, POLLOUT, POLLERR and their like (sys/poll.h). */
const POLL_EVENTS: readonly (readonly [bit: number, name: string])[] = [
  [1, 'POLLIN'],
  [2, 'POLLPRI'],
  [4, 'POLLOUT'],
  [8, 'POLLERR'],
  [0x10, 'POLLHUP'],
  [0x40, 'POLLRDNORM'],
  [0x80, 'POLLRDBAND'],
  [0x100, 'POLLWRBAND'],
];

/** poll N: what of reading and writing would not have to wait. */
const poll = (session: SolarisSession, args: readonly string[]): ToolResult =>
  onOpen(session, 'poll', args, function* (device) {
    const result = yield* pollDevice(session.kernel, device, 0x47);
    if ('errno' in result) return errno('poll', result.errno);
    const names = POLL_EVENTS.filter(([bit]) => (result.events & bit) !== 0).map(([, name]) => name);
    return done(`${names.join('|') || '0'}\n`);
  });

/** ioctl N COMMAND [NUMBER | buf:BYTES]: with a buffer, what is in it afterwards is shown in hexadecimal. */
const ioctl = (session: SolarisSession, args: readonly string[]): ToolResult =>
  onOpen(session, 'ioctl', args, function* (device, [command, given = '0']) {
    const user = session.kernel.state(userSpace);
    const mark = user.mark();
    const size = /^buf:(\d{1,5})$/.exec(given)?.[1];
    const argument = size === undefined ? Number(given) : user.put(new Uint8Array(Number(size)));
    if (Number.isNaN(Number(command)) || Number.isNaN(argument))
      return failed('usage: ioctl N COMMAND [NUMBER|buf:BYTES]');
    const result = yield* ioctlDevice(session.kernel, device, Number(command), argument);
    const bytes =
      size === undefined ? new Uint8Array(0) : session.kernel.memory.bytes(argument, Number(size));
    user.release(mark);
    if ('errno' in result) return errno('ioctl', result.errno);
    const shown = hexOf(bytes, ' ');
    return done(`= ${result.rval}${shown === '' ? '' : `: ${shown}`}\n`);
  });

/** mmap N OFFSET LENGTH [TEXT]: what a process that maps the device finds there, after TEXT was written. */
const mmap = (session: SolarisSession, args: readonly string[]): ToolResult =>
  onOpen(session, 'mmap', args, function* (device, [offset = '0', length = '16', ...words]) {
    const [from, bytes] = [Number(offset), Number(length)];
    if (!(Number.isInteger(from) && bytes > 0 && bytes <= 1 << 16))
      return failed('usage: mmap N OFFSET LENGTH [TEXT]');
    const { kernel } = session;
    const mapped = yield* mapDevice(kernel, device, from, bytes);
    if ('errno' in mapped) return errno('mmap', mapped.errno);
    const given = new TextEncoder().encode(words.join(' ')).subarray(0, mapped.bytes);
    kernel.memory.write(mapped.base, given);
    const shown = hexOf(kernel.memory.bytes(mapped.base, mapped.bytes), ' ');
    mapped.unmap();
    return done(`${shown}\n`);
  });

/** seek N OFFSET: where the next read or write is. */
const seek = (session: SolarisSession, args: readonly string[]): ToolResult =>
  onOpen(session, 'seek', args, function* (device, [offset = '0']): Steps<ToolResult> {
    if (!/^\d{1,12}$/.test(offset)) return failed('usage: seek N OFFSET');
    device.offset = Number(offset);
    return done();
  });

const push = (session: SolarisSession, args: readonly string[]): ToolResult =>
  onOpen(session, 'push', args, function* (device, [name = '']) {
    if (device.stream === undefined) return errno('push', Errno.ENOSTR);
    const status = yield* pushModule(session.kernel, device.stream, name);
    return status === 0 ? done() : errno('push', status);
  });

const pop = (session: SolarisSession, args: readonly string[]): ToolResult =>
  onOpen(session, 'pop', args, function* (device) {
    if (device.stream === undefined) return errno('pop', Errno.ENOSTR);
    const status = yield* popModule(session.kernel, device.stream);
    return status === 0 ? done() : errno('pop', status);
  });

// -- the rest -----------------------------------------------------------------------------------------------

function mountCommand(session: SolarisSession, args: readonly string[]): ToolResult {
  if (args.length === 0) {
    const rows = mountTable(session.kernel);
    return done(rows.map(({ directory, special }) => `${directory} on ${special}\n`).join(''));
  }
  const [flag, type, special, directory] = args;
  if (flag !== '-F' || directory === undefined) return failed('usage: mount -F TYPE SPECIAL DIRECTORY');
  return session.process(
    'mount',
    (function* (): Steps<ToolResult> {
      const status = yield* mount(session.kernel, type, special, directory);
      return status === 0 ? done() : errno(`mount: ${special}`, status);
    })(),
  );
}

function umount(session: SolarisSession, [directory]: readonly string[]): ToolResult {
  if (directory === undefined) return failed('usage: umount DIRECTORY');
  return session.process(
    'umount',
    (function* (): Steps<ToolResult> {
      const status = yield* unmount(session.kernel, directory);
      if (status === Errno.EINVAL) return failed(`umount: warning: ${directory} not in mnttab`);
      return status === 0
        ? done()
        : status === Errno.EBUSY
          ? failed(`umount: ${directory} busy`)
          : errno('umount', status);
    })(),
  );
}

function syscall(session: SolarisSession, args: readonly string[]): ToolResult {
  const [number, ...rest] = args.map(Number);
  if (number === undefined || args.some((word) => Number.isNaN(Number(word))))
    return failed('usage: syscall NUMBER [ARGUMENT]...');
  return session.process(
    'syscall',
    (function* (): Steps<ToolResult> {
      const result = yield* systemCall(session.kernel, number, rest);
      return 'errno' in result ? errno('syscall', result.errno) : done(`= ${result.value}\n`);
    })(),
  );
}

/** kstat -p: a line for each statistic. */
function kstat(session: SolarisSession): ToolResult {
  return session.process(
    'kstat',
    (function* (): Steps<ToolResult> {
      const all = yield* readStatistics(session.kernel);
      return done(all.map(({ name, value }) => `${name}\t${value}\n`).join(''));
    })(),
  );
}

function sleep(session: SolarisSession, [seconds]: readonly string[]): ToolResult {
  const count = Number(seconds);
  if (!(count >= 0 && count <= 1e7)) return failed('usage: sleep SECONDS');
  const { kernel } = session;
  kernel.scheduler.runFor(kernel.time.now() + count * 1e9);
  kernel.scheduler.settle();
  return done();
}

/** tpd COMMAND...: gives a command over the trusted path. */
async function tpd(session: SolarisSession, words: readonly string[]): Promise<ToolResult> {
  if (!session.isRoot) return errno('tpd', Errno.EPERM);
  const gate = session.kernel.state(moduleGate);
  gate.trustedPath = true;
  try {
    return await session.run(words);
  } finally {
    gate.trustedPath = false;
  }
}

async function as(session: SolarisSession, [user, ...words]: readonly string[]): Promise<ToolResult> {
  if (words.length === 0) return { code: 2, out: '', err: 'usage: as USER COMMAND...\n' };
  const before = session.credential;
  session.credential = user === 'root' ? { uid: 0, gid: 0 } : { uid: 60001, gid: 60001 };
  try {
    return await session.run(words);
  } finally {
    session.credential = before;
  }
}

export const fileCommands: readonly CommandRow[] = [
  { name: 'cat', usage: 'FILE', summary: 'show a file; of a device, what one read gives', run: cat },
  { name: 'head', usage: '-c N FILE [&]', summary: 'read N bytes, with & in the background', run: head },
  {
    name: 'ls',
    usage: '[-l] [DIRECTORY]',
    summary: 'list a directory; -l with numbers and modes of devices',
    run: ls,
  },
  {
    name: 'open',
    usage: 'FILE [r|w|rw]',
    summary: 'open a device and keep it open; prints its number',
    run: open,
  },
  { name: 'read', usage: 'N [BYTES]', summary: 'read from an open device', run: read },
  { name: 'write', usage: 'N TEXT', summary: 'write to an open device', run: write },
  { name: 'poll', usage: 'N', summary: 'ask whether an open device can be read and written now', run: poll },
  { name: 'ioctl', usage: 'N COMMAND [NUMBER|buf:BYTES]', summary: 'control an open device', run: ioctl },
  {
    name: 'mmap',
    usage: 'N OFFSET LENGTH [TEXT]',
    summary: 'map memory of an open device, write TEXT there, and show it',
    run: mmap,
  },
  { name: 'seek', usage: 'N OFFSET', summary: 'set where an open device is read next', run: seek },
  { name: 'push', usage: 'N MODULE', summary: 'push a STREAMS module', run: push },
  { name: 'pop', usage: 'N', summary: 'take the topmost STREAMS module off', run: pop },
  { name: 'close', usage: 'N', summary: 'close an open device', run: close },
  {
    name: 'mount',
    usage: '[-F TYPE SPECIAL DIRECTORY]',
    summary: 'mount a file system, or list mounts',
    run: mountCommand,
  },
  { name: 'umount', usage: 'DIRECTORY', summary: 'unmount a file system', run: umount },
  { name: 'syscall', usage: 'NUMBER [ARGUMENT]...', summary: 'make a system call', run: syscall },
  { name: 'kstat', usage: '[-p]', summary: 'show statistics of drivers', run: kstat },
  { name: 'sleep', usage: 'SECONDS', summary: 'let virtual time pass', run: sleep },
  {
    name: 'wait',
    usage: '',
    summary: 'wait for the commands in the background',
    run: (session) => session.wait(),
  },
  { name: 'elfsign', usage: 'verify|list ...', summary: 'look at the signatures of a file', run: elfsign },
  { name: 'tpd', usage: 'COMMAND...', summary: 'give a command over the trusted path', run: tpd },
  { name: 'as', usage: 'USER COMMAND...', summary: 'run a command as another user', run: as },
  {
    name: 'echo',
    usage: 'TEXT',
    summary: 'print its words',
    run: (_session, args) => done(`${args.join(' ')}\n`),
  },
];
