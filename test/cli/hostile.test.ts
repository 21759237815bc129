/**
 * Command lines that nobody means: options of all commands mixed, files of other systems, damaged files, folders, missing and
 * surplus words, numbers out of range. Each is answered in words and in time, with a code that the help knows.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import type { CommandSpec } from '../../src/cli/command.ts';
import { optionsOf } from '../../src/cli/help.ts';
import type { OptionSpec } from '../../src/cli/option.ts';
import { packagedPath } from '../../src/cli/packaged.ts';
import { COMMANDS } from '../../src/cli/table.ts';
import { Random } from '../cpu/x86/random.ts';
import { runLine } from './fake.ts';

const LINES = Number(process.env.LKM_HOSTILE_LINES ?? 300);
const SEED = Number(process.env.LKM_HOSTILE_SEED ?? 7);
/** Nothing here is more than a few seconds' work on a slow and busy machine. */
const LONGEST_MS = 40_000;

const folder = mkdtempSync(join(tmpdir(), 'lkm-hostile-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** They keep a kernel, take their time on purpose, or write into the files and folders that they are given. */
const LEFT_OUT = ['boot', 'halt', 'lab', 'tour', 'sign', 'index'];
const NEVER = ['gdb', 'target', 'idle'];

const fixture = (path: string): string => packagedPath(join('fixtures', path));

function damaged(name: string, from: string, change: (bytes: Uint8Array) => Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, change(new Uint8Array(readFileSync(fixture(from)))));
  return path;
}

const half = (bytes: Uint8Array) => bytes.subarray(0, bytes.length >> 1);
const torn = (bytes: Uint8Array) => bytes.map((byte, i) => (i % 97 === 40 ? byte ^ 0xff : byte));

const FILES: readonly string[] = [
  ...['hello.ko', 'importer_gpl.ko', 'oops_init.ko', 'forget.ko', 'empty.ko', 'tiny.ko'].map((name) =>
    fixture(`linux/built/${name}`),
  ),
  fixture('linux/built-686/hello.ko'),
  fixture('linux/built-before26/i386/meter.o'),
  fixture('windows/built/hello.sys'),
  fixture('windows/built/trouble.sys'),
  fixture('freebsd/built/echo.ko'),
  fixture('freebsd/built/kernel-13.2'),
  fixture('netware/built/CLIENT.NLM'),
  fixture('vxworks/built/ppc/hello.o'),
  fixture('solaris/built/usr/kernel/drv/amd64/echo'),
  fixture('macos/built/Board.kext'),
  fixture('macos/built/Board.kext/Contents/Info.plist'),
  damaged('half.ko', 'linux/built/chardev.ko', half),
  damaged('torn.ko', 'linux/built/chardev.ko', torn),
  damaged('torn.sys', 'windows/built/hello.sys', torn),
  damaged('torn.NLM', 'netware/built/CLIENT.NLM', torn),
  damaged('half-bsd.ko', 'freebsd/built/echo.ko', half),
  folder,
  join(folder, 'none'),
  join(fixture('linux/built/hello.ko'), 'below'),
  '/dev/null',
  '-',
  '',
  fixture('macos/built'),
  'C:\\drivers\\hello.sys',
  'hello.ko',
];

const WORDS: readonly string[] = [
  'whom=Ada',
  'times=-1',
  'times=99999999999',
  '=',
  'x=',
  '--',
  '-',
  '-z',
  '--nosuch',
  '--nosuch=1',
  'ext4',
  '*',
  '../..',
  'builtin:',
  'builtin:debian-6.1',
  'builtin:macos-10.9',
  'builtin:windows-10',
  'linux',
  'aix',
  '\u0000',
  '\u202e',
  'ä'.repeat(300),
];

const NUMBERS: readonly string[] = [
  '0',
  '1',
  '-1',
  '1e3',
  '0x10',
  '3.5',
  '99999999999999999999',
  'NaN',
  '',
  'many',
];

const LINES_OF_SHELL: readonly string[] = [
  'help',
  'help nosuch',
  'echo "',
  "echo 'a",
  'cat',
  'cat /',
  'cat /dev/none',
  'ls /nowhere',
  'ls -l',
  'head',
  'head -c x /proc/modules',
  'head -c -1 /proc/modules',
  'grep',
  'grep a',
  'grep -A x y /proc/modules',
  'open',
  'open /dev/null q',
  'read',
  'read 3 -1',
  'write',
  'seek 3 x',
  'ioctl',
  'ioctl 3',
  'ioctl 99 0x1 buf:99999999999',
  'poll',
  'close',
  'close x',
  'syscall',
  'syscall -1',
  'syscall 39 buf:1e9',
  'syscall x y z',
  'mount',
  'mount -t',
  'mount -t proc none',
  'umount',
  'umount /',
  'mkdir',
  'mkdir /',
  'rmdir /',
  'rm',
  'rm /',
  'mknod',
  'mknod /x q 1 1',
  'mknod /x c x',
  'touch',
  'touch /',
  'ln',
  'ln -s',
  'mv a',
  'readlink',
  'sysctl',
  'sysctl -w',
  'sysctl kernel.none',
  'sleep',
  'sleep -1',
  'sleep x',
  'sleep 1e99',
  'insmod',
  'insmod none',
  'insmod hello.ko whom="',
  'rmmod',
  'rmmod none',
  'modprobe',
  'modprobe -r',
  'lsmod x',
  'modinfo',
  'modinfo /',
  'as',
  'as x',
  'as nobody',
  'as nobody insmod hello.ko',
  'finit_module',
  'finit_module hello.ko x',
  'delete_module',
  'exit x',
  'exit 999',
  '>',
  '> /x',
  'echo a >',
  '&',
  'cat &',
  ';;',
  '|',
  '$?',
  'kldload',
  'kldload echo.ko',
  'kldunload -i',
  'kldunload -i x',
  'kldstat -i -1',
  'sc',
  'sc create',
  'sc create x type= kernel binPath=',
  'sc start x',
  'sc query',
  'ioctl \\\\.\\None 0x',
  'type',
  'reg add',
  'reg query',
  'device',
  'device add',
  'driverquery /fo',
  'LOAD',
  'LOAD NONE',
  'UNLOAD',
  'UNLOAD CLIB',
  'MODULES *',
  'KEYS',
  'modload',
  'modload -p',
  'modunload',
  'modunload -i',
  'modunload -i x',
  'modinfo -i',
  'add_drv',
  'rem_drv',
  'update_drv',
  'push',
  'ld',
  'ld <',
  'ld < none',
  'unld',
  'unld 0',
  'moduleShow "x',
  'lkup',
  'sp',
  'd',
  'd -1',
  'd 0',
  '1/0',
  'kextload',
  'kextload none',
  'kextstat -b',
  'kextunload -b',
  'kextfind',
  'kextfind -x',
  'kextlibs',
  'kextutil',
  'kmutil',
  'kmutil load',
  'plug',
  'ioreg -c',
  'ioclient',
  'kctl',
  'chmod',
  'chown x',
  'cp',
  'cp -R',
  'codesign',
  'csrutil',
  'ifconfig x y',
];

/** Values for an option, right ones as well. */
function valueFor(option: OptionSpec, random: Random): string {
  if (option.writes === true)
    return random.pick([join(folder, 'out'), join(folder, 'none', 'out'), folder, '']);
  if (option.choices !== undefined && random.below(100) < 70) return random.pick(option.choices);
  if (option.name === 'do' || option.name === 'command') return random.pick(LINES_OF_SHELL);
  if (option.name === 'cycles') return random.pick([...NUMBERS.slice(0, 3), '2']);
  if (option.type === 'integer') return random.pick(NUMBERS);
  return random.pick(random.below(100) < 60 ? FILES : WORDS);
}

const everyOption = COMMANDS.flatMap((spec) => optionsOf(spec)).filter(({ name }) => !NEVER.includes(name));

function hostileLine(random: Random): string[] {
  const spec = random.pick(COMMANDS.filter(({ name }) => !LEFT_OUT.includes(name)));
  const words: string[] = [spec.name];
  if (spec.name === 'memory') words.push('--cycles', '1');
  if (spec.name === 'completion') words.push(random.pick(['bash', 'zsh', 'fish', 'tcsh', '']));
  const options = optionsOf(spec).filter(({ name }) => !NEVER.includes(name));
  for (let n = random.below(4); n > 0; n--) {
    const option = random.pick(random.below(100) < 85 ? options : everyOption);
    words.push(`--${option.name}`);
    // The next word would be what is written.
    if (option.value !== undefined && (option.writes === true || random.below(100) < 95))
      words.push(valueFor(option, random));
  }
  for (let n = random.below(3); n > 0; n--) words.push(random.pick(random.below(100) < 75 ? FILES : WORDS));
  return spec.native === true ? harmless(spec, words, random) : words;
}

/** Lines for a shell; never the tools that work on this machine's own kernel. */
function harmless(spec: CommandSpec, words: string[], random: Random): string[] {
  const lines = [1, 2, 3].slice(random.below(3)).flatMap(() => ['-c', random.pick(LINES_OF_SHELL)]);
  if (spec.name === 'linux')
    return [
      ...words.filter((word) => !['--stdin', '--summary', '--reroot', '--compat'].includes(word)),
      ...lines,
    ];
  return random.below(100) < 40
    ? [...words, ...random.pick(LINES_OF_SHELL).split(' ')]
    : [words[0], ...lines, ...words.slice(1)];
}

it(`answers ${LINES} command lines (LKM_HOSTILE_SEED=${SEED})`, async () => {
  const random = new Random(SEED);
  const wrong: unknown[] = [];
  for (let i = 0; i < LINES; i++) {
    const words = hostileLine(random);
    const started = performance.now();
    const { code, err } = await runLine(words, { stdin: 'lsmod\n' }).catch((error: unknown) => ({
      code: -1,
      err: String(error),
    }));
    const took = performance.now() - started;
    const trace = /defect|^ {4}at \S+ \(|TypeError|RangeError|undefined is|\[object Object\]/m.exec(err)?.[0];
    // A usage error says which, on one line or two.
    if (
      code === 70 ||
      code < 0 ||
      code > 0xffff_ffff ||
      trace !== undefined ||
      took > LONGEST_MS ||
      (code === 2 && err === '')
    )
      wrong.push({ i, words, code, err: err.slice(0, 600), took: Math.round(took) });
  }
  expect(wrong).toEqual([]);
}, 900_000);

it.each(['linux', 'windows', 'freebsd', 'netware', 'vxworks', 'solaris', 'macos'])(
  'answers lines of a shell in %s',
  async (system) => {
    const wrong: unknown[] = [];
    // A few in one kernel, so that not each of them has to start its own.
    const lines = LINES_OF_SHELL.filter((one) => !/^exit|^help$/.test(one));
    for (let at = 0; at < lines.length; at += 20) {
      const some = lines.slice(at, at + 20);
      const { code, err } = await runLine([system, ...some.flatMap((line) => ['-c', line])]);
      const trace = /defect|^ {4}at \S+ \(|TypeError|undefined\b(?! symbol)|NaN/m.exec(err)?.[0];
      if (code === 70 || trace !== undefined) wrong.push({ some, code, err });
    }
    expect(wrong).toEqual([]);
  },
  300_000,
);
