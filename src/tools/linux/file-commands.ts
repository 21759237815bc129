/** Commands on files and devices: cat, echo, ls, mount and the bare system calls. */
import { hexOf } from '../../bytes/hex.ts';
import type { Steps } from '../../kernel/steps.ts';
import { Errno } from '../../systems/linux/errno.ts';
import type { Linux } from '../../systems/linux/linux.ts';
import { systemCall } from '../../systems/linux/syscall.ts';
import { userSpace } from '../../systems/linux/user.ts';
import * as calls from '../../systems/linux/vfs/calls.ts';
import { makeDevice } from '../../systems/linux/vfs/chrdev.ts';
import * as F from '../../systems/linux/vfs/file.ts';
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT } from '../../systems/linux/vfs/node.ts';
import { mountFilesystem, unmountFilesystem } from '../../systems/linux/vfs/super.ts';
import { type CommandResult, type ConsoleCommand, done, failed, type LinuxConsole } from './console.ts';

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const bytes = (value: string): Uint8Array => new TextEncoder().encode(value);

function usage(words: string): CommandResult {
  return { code: 2, errno: null, output: `usage: ${words}` };
}

export function* cat(k: Linux, paths: readonly string[]): Steps<CommandResult> {
  let output = '';
  let code = 0;
  let errno = 0;
  for (const path of paths) {
    const got = yield* calls.readAll(k, path);
    if (typeof got === 'number') {
      output += failed(-got, `cat: ${path}`).output + '\n';
      code = 1;
      errno = -got;
    } else output += text(got);
  }
  return { code, errno, output };
}

/** Writes all bytes with as many calls as it takes, as a shell's redirection does. */
export function* writeOut(
  k: Linux,
  path: string,
  content: Uint8Array,
  append: boolean,
): Steps<CommandResult> {
  const flags = F.O_WRONLY | F.O_CREAT | (append ? F.O_APPEND : F.O_TRUNC);
  const opened = yield* calls.open(k, path, flags);
  if (typeof opened === 'number') return failed(-opened, `sh: cannot create ${path}`);
  let error = 0;
  for (let at = 0; at < content.length && error === 0; ) {
    const wrote = yield* calls.write(k, opened, content.subarray(at));
    if (wrote < 0) error = -wrote;
    else if (wrote === 0) break;
    else at += wrote;
  }
  yield* calls.close(k, opened);
  return error === 0 ? done() : failed(error, 'sh: write error');
}

export function* head(k: Linux, path: string, count: number): Steps<CommandResult> {
  const opened = yield* calls.open(k, path, 0);
  if (typeof opened === 'number') return failed(-opened, `head: ${path}`);
  let output = '';
  for (let left = count; left > 0; ) {
    const part = yield* calls.read(k, opened, left);
    if (typeof part === 'number') {
      yield* calls.close(k, opened);
      return failed(-part, `head: ${path}`);
    }
    if (part.length === 0) break;
    output += text(part);
    left -= part.length;
  }
  yield* calls.close(k, opened);
  return done(output);
}

function* ls(k: Linux, args: readonly string[]): Steps<CommandResult> {
  const long = args.includes('-l');
  const paths = args.filter((arg) => !arg.startsWith('-'));
  let output = '';
  for (const path of paths.length === 0 ? ['/'] : paths) {
    const names = yield* calls.list(k, path);
    if (typeof names === 'number') return failed(-names, `ls: ${path}`);
    if (paths.length > 1) output += `${path}:\n`;
    for (const name of names) output += long ? yield* longLine(k, path, name) : `${name}\n`;
  }
  return done(output);
}

function* longLine(k: Linux, path: string, name: string): Steps<string> {
  const full = name === path ? path : `${path}/${name}`;
  const status = yield* calls.stat(k, full, false);
  if (typeof status === 'number') return `${name}\n`;
  const { mode, uid, gid, rdev, size } = status;
  const device = (mode & S_IFMT) === S_IFCHR || (mode & S_IFMT) === S_IFBLK;
  const extent = device ? `${Math.floor(rdev / 2 ** 20)}, ${rdev % 2 ** 20}` : String(size);
  return `${modeText(mode)} 1 ${uid} ${gid} ${extent} ${name}\n`;
}

function modeText(mode: number): string {
  const type = { [S_IFDIR]: 'd', [S_IFCHR]: 'c', [S_IFBLK]: 'b', [S_IFLNK]: 'l' }[mode & S_IFMT] ?? '-';
  const bits = [...'rwxrwxrwx'].map((letter, i) => ((mode >> (8 - i)) & 1 ? letter : '-'));
  return type + bits.join('');
}

function* grep(k: Linux, args: readonly string[]): Steps<CommandResult> {
  const after = args[0] === '-A' ? Number(args[1]) : 0;
  const [pattern, path] = args[0] === '-A' ? args.slice(2) : args;
  const got = yield* calls.readAll(k, path);
  if (typeof got === 'number') return failed(-got, `grep: ${path}`);
  const lines = text(got).split('\n');
  const found = new Set<number>();
  lines.forEach((line, at) => {
    if (line.includes(pattern)) for (let i = at; i <= at + after && i < lines.length - 1; i++) found.add(i);
  });
  const output = [...found].map((at) => lines[at] + '\n').join('');
  return { code: found.size > 0 ? 0 : 1, errno: found.size > 0 ? 0 : null, output };
}

const OPEN_FLAGS: Readonly<Record<string, number>> = { r: 0, w: F.O_WRONLY, rw: F.O_RDWR };

function openFile(console: LinuxConsole, args: readonly string[]): CommandResult {
  const [path, how = 'r'] = args;
  const base = OPEN_FLAGS[how.replace('n', '')];
  if (path === undefined || base === undefined) return usage('open FILE [r|w|rw][n]');
  return console.process(
    'agent',
    (function* () {
      const opened = yield* calls.open(console.k, path, base | (how.includes('n') ? F.O_NONBLOCK : 0));
      if (typeof opened === 'number') return failed(-opened, '');
      let number = 3;
      while (console.files.has(number)) number++;
      console.files.set(number, opened);
      return done(`${number}`);
    })(),
  );
}

/** Runs `use` on an open file by its number. */
function onFile(
  console: LinuxConsole,
  number: string,
  use: (k: Linux, file: F.OpenFile) => Steps<CommandResult>,
): CommandResult {
  const file = console.files.get(Number(number));
  if (file === undefined)
    return {
      ...failed(Errno.EBADF, ''),
      note: 'open FILE keeps a file open, and prints the number to use here',
    };
  return console.process('agent', use(console.k, file));
}

const shown = (result: number, output = `= ${result}`): CommandResult =>
  result < 0 ? failed(-result, '') : done(output);

/** `u32:5` and `buf:12` become user memory; what they hold afterwards is shown. */
interface Passed {
  readonly value: number;
  readonly show: (k: Linux) => string;
}

const NO_SHOW = () => '';

function pass(k: Linux, argument: string, textBuffers: boolean): Passed {
  const user = k.state(userSpace);
  const buffer = /^buf:(\d+)((?:@.*)?)$/s.exec(argument);
  const word = /^u32:(-?\w+)$/.exec(argument);
  const descriptor = /^fd:(\d+)$/.exec(argument);
  if (buffer !== null) {
    const content = new Uint8Array(Number(buffer[1]));
    fillBuffer(content, buffer[2]);
    const at = user.put(content);
    const show = (kernel: Linux) =>
      textBuffers
        ? `\n${kernel.memory.cstring(at, content.length)}`
        : `\nbuffer ${hexOf(kernel.memory.bytes(at, content.length))}`;
    return { value: at, show };
  }
  if (word !== null) {
    const at = user.allocate(4);
    k.memory.set32(at, Number(word[1]));
    return { value: at, show: (kernel) => `\nbuffer ${hexOf(kernel.memory.bytes(at, 4))}` };
  }
  if (descriptor !== null) return { value: Number(descriptor[1]), show: NO_SHOW };
  const number = Number(argument);
  if (!Number.isNaN(number) && argument !== '') return { value: number, show: NO_SHOW };
  return { value: user.putString(argument), show: NO_SHOW };
}

/** What is in a buffer before a call: `@OFFSET=KIND:VALUE` pieces, of kind u16, u32, u64, fd, text or hex. What does not fit is cut. */
function fillBuffer(content: Uint8Array, pieces: string): void {
  for (const [, offset, kind, value] of pieces.matchAll(/@(\d+)=(\w+):([^@]*)/g)) {
    const wide = new Uint8Array(BigUint64Array.of(BigInt.asUintN(64, BigInt(Number(value) || 0))).buffer);
    const sizes: Readonly<Record<string, number>> = { u16: 2, u32: 4, fd: 4, u64: 8 };
    const piece =
      kind === 'text' ? bytes(value) : kind === 'hex' ? bytesOfHex(value) : wide.subarray(0, sizes[kind]);
    const at = Math.min(Number(offset), content.length);
    content.set(piece.subarray(0, content.length - at), at);
  }
}

const bytesOfHex = (digits: string): Uint8Array =>
  Uint8Array.from(digits.match(/[0-9a-f]{2}/gi) ?? [], (pair) => Number.parseInt(pair, 16));

function ioctl(console: LinuxConsole, args: readonly string[]): CommandResult {
  const [number, command, argument = '0'] = args;
  return onFile(console, number, function* (k, file) {
    const user = k.state(userSpace);
    const mark = user.mark();
    const passed = pass(k, argument, false);
    const result = yield* F.ioctlFile(k, file, Number(command), passed.value);
    const after = result < 0 ? '' : passed.show(k);
    user.release(mark);
    return shown(result, `= ${result}${after}`);
  });
}

function bareSystemCall(console: LinuxConsole, args: readonly string[]): CommandResult {
  const [number, ...rest] = args;
  return console.process(
    'agent',
    (function* () {
      const { k } = console;
      const user = k.state(userSpace);
      const mark = user.mark();
      const passed = rest.map((argument) => pass(k, argument, true));
      const result = yield* systemCall(
        k,
        Number(number),
        passed.map((p) => p.value),
      );
      const after = result < 0 ? '' : passed.map((p) => p.show(k)).join('');
      user.release(mark);
      return result < 0 && result >= -4095 ? failed(-result, '') : done(`= ${result}${after}`);
    })(),
  );
}

/** EPOLLIN, EPOLLPRI, EPOLLOUT, EPOLLERR, EPOLLHUP. */
const POLL_NAMES: readonly (readonly [number, string])[] = [
  [1, 'in'],
  [2, 'pri'],
  [4, 'out'],
  [8, 'err'],
  [16, 'hup'],
];

function mount(console: LinuxConsole, args: readonly string[]): CommandResult {
  const words = [...args];
  const option = (name: string): string => {
    const at = words.indexOf(name);
    return at < 0 ? '' : words.splice(at, 2)[1];
  };
  const type = option('-t');
  const options = option('-o');
  const [source, target] = words;
  if (type === '' || target === undefined) return usage('mount -t TYPE [-o OPTIONS] SOURCE DIRECTORY');
  return console.process(
    'mount',
    (function* () {
      const request = { source, target, type, flags: 0, options };
      if (console.credential.uid !== 0) return failed(Errno.EPERM, 'mount');
      const result = yield* mountFilesystem(console.k, request);
      return result < 0 ? failed(-result, `mount: mounting ${source} on ${target} failed`) : done();
    })(),
  );
}

function simple(
  name: string,
  words: string,
  act: (k: Linux, args: readonly string[]) => Steps<number>,
): ConsoleCommand {
  return (console, args) =>
    args.length === 0
      ? usage(`${name} ${words}`)
      : console.process(
          name,
          (function* () {
            const result = yield* act(console.k, args);
            return result < 0 ? failed(-result, `${name}: ${args.at(-1)}`) : done();
          })(),
        );
}

const deviceTypes: Readonly<Record<string, number>> = { c: S_IFCHR, b: S_IFBLK };

export const fileCommands: ReadonlyMap<string, ConsoleCommand> = new Map<string, ConsoleCommand>([
  ['echo', (_console, args) => done(args[0] === '-n' ? args.slice(1).join(' ') : `${args.join(' ')}\n`)],
  ['cat', (console, args) => console.process('cat', cat(console.k, args))],
  ['ls', (console, args) => console.process('ls', ls(console.k, args))],
  ['grep', (console, args) => console.process('grep', grep(console.k, args))],
  [
    'head',
    (console, args) =>
      args[0] === '-c' && args.length === 3
        ? console.process('head', head(console.k, args[2], Number(args[1])))
        : usage('head -c BYTES FILE'),
  ],
  ['open', openFile],
  [
    'read',
    (console, [number, count = '4096']) =>
      onFile(console, number, function* (k, file) {
        const got = yield* calls.read(k, file, Number(count));
        return typeof got === 'number' ? failed(-got, '') : done(text(got));
      }),
  ],
  [
    'write',
    (console, [number, value = '', digits]) =>
      onFile(console, number, function* (k, file) {
        const content = value === 'hex' && digits !== undefined ? bytesOfHex(digits) : bytes(value);
        const wrote = yield* calls.write(k, file, content);
        return shown(wrote, `${wrote}`);
      }),
  ],
  [
    'seek',
    (console, [number, offset, whence = '0']) =>
      onFile(console, number, function* (k, file) {
        const at = yield* F.seekFile(k, file, Number(offset), Number(whence));
        return shown(at, `${at}`);
      }),
  ],
  ['ioctl', ioctl],
  [
    'poll',
    (console, [number]) =>
      onFile(console, number, function* (k, file) {
        const mask = yield* F.pollFile(k, file);
        return done(
          POLL_NAMES.filter(([bit]) => (mask & bit) !== 0)
            .map(([, name]) => name)
            .join(' '),
        );
      }),
  ],
  [
    'close',
    (console, [number]) => {
      const result = onFile(console, number, function* (k, file) {
        return shown(yield* calls.close(k, file), '');
      });
      console.files.delete(Number(number));
      return result;
    },
  ],
  ['syscall', bareSystemCall],
  ['mount', mount],
  ['umount', simple('umount', 'DIRECTORY', (k, [path]) => unmountFilesystem(k, path))],
  ['mkdir', simple('mkdir', 'DIRECTORY', (k, args) => calls.makeDirectory(k, args.at(-1) ?? ''))],
  ['rmdir', simple('rmdir', 'DIRECTORY', (k, [path]) => calls.remove(k, path, true))],
  ['rm', simple('rm', 'FILE', (k, args) => calls.remove(k, args.at(-1) ?? '', false))],
  [
    'mknod',
    simple('mknod', 'FILE c|b MAJOR MINOR', (k, [path, type, major, minor]) =>
      calls.makeNode(
        k,
        path,
        (deviceTypes[type] ?? S_IFCHR) | 0o644,
        makeDevice(Number(major), Number(minor)),
      ),
    ),
  ],
  [
    'touch',
    simple('touch', 'FILE', function* (k, [path]) {
      const opened = yield* calls.open(k, path, F.O_WRONLY | F.O_CREAT);
      return typeof opened === 'number' ? opened : yield* calls.close(k, opened);
    }),
  ],
]);
