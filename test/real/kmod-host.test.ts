/**
 * insmod, modprobe, rmmod and lsmod on a real kernel: Debian's, under QEMU, with Node and kmod in its first filesystem. The
 * same steps run with kmod and with lkm; standard output, standard error, exit codes and /proc/modules are the same.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { KmodRoot } from './kmod-root.ts';
import { describeWith, needs, needsNewestKmod, needsTool } from './require.ts';

const debian = needs('debian-amd64');
const tools = ['qemu-system-x86_64', 'busybox', 'cpio', 'xz'].every((name) => needsTool(name) !== undefined);
const newest = needsNewestKmod();
/** Up to 34.2 insmod has -f alone; its complaint about long words is not what a later one does with them. */
const hasLongForces =
  newest !== undefined &&
  spawnSync(newest, ['--help'], { argv0: 'insmod' }).stdout.includes('--force-vermagic');

const MODULES = [
  'fs/ext4/ext4.ko',
  'fs/jbd2/jbd2.ko',
  'fs/mbcache.ko',
  'lib/crc16.ko',
  'crypto/crc32c_generic.ko',
  'fs/fat/fat.ko',
  'fs/fat/vfat.ko',
  'drivers/net/dummy.ko',
  'drivers/block/loop.ko',
];

interface Step {
  readonly tool: string;
  readonly words: readonly string[];
}

const step = (text: string): Step => {
  const [tool, ...words] = text.split(' ').map((word) => word.replaceAll('%', ' '));
  return { tool, words };
};

const steps = (tree: string): Step[] =>
  [
    'lsmod',
    'modprobe ext4',
    'lsmod',
    'modprobe --first-time ext4',
    'rmmod jbd2',
    'modprobe -r jbd2',
    'rmmod ext4 nosuch crc16',
    'lsmod',
    'modprobe -r mbcache',
    `insmod ${tree}/kernel/drivers/net/dummy.ko numdummies=2`,
    `insmod ${tree}/kernel/drivers/net/dummy.ko`,
    'modprobe dummy',
    'modprobe --first-time dummy',
    `insmod ${tree}/kernel/drivers/block/loop.ko max_loop=abc`,
    'modprobe loop max_loop=abc',
    'modprobe -v loop max_loop=4',
    `insmod ${tree}/kernel/fs/fat/vfat.ko`,
    `insmod ${tree}/modules.dep`,
    'insmod /nosuch.ko',
    'insmod /m/wrong_vermagic.ko',
    'insmod -f /m/wrong_vermagic.ko',
    'insmod /m/hello.ko.xz whom=Ada%and%Bob times=2',
    'lsmod',
    'rmmod -v hello',
    ...(hasLongForces ? ['insmod --force-vermagic /m/wrong.ko.xz'] : []),
    'modprobe -v vfat',
    'modprobe -rv vfat',
    'rmmod fat',
    'modprobe -r --first-time vfat',
    'modprobe nosuch',
    'modprobe -a dummy nosuch vfat',
    'rmmod dummy vfat fat loop',
    'lsmod',
  ].map(step);

/** Runs in the guest: every step with both, from an empty kernel each time. */
const RUNNER = `
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
const steps = JSON.parse(readFileSync('/steps.json', 'utf8'));
const loaded = () => readFileSync('/proc/modules', 'utf8').split('\\n').filter(Boolean)
  .map((line) => line.split(' ').filter((_, i) => i !== 5).join(' '));
const run = (words) => spawnSync(words[0], words.slice(1), { encoding: 'latin1', input: '' });
for (const side of ['kmod', 'lkm']) {
  for (let i = 0; i < 10 && loaded().length > 0; i++)
    for (const line of loaded()) run(['/bin/rmmod', line.split(' ')[0]]);
  const results = [];
  for (const { tool, words } of steps) {
    const before = side === 'kmod' ? [tool] : ['/bin/node', '/opt/lkm/dist/lkm.js', 'linux', tool];
    const { status, stdout, stderr, error } = run([...before, ...words]);
    results.push({ code: status, out: stdout, err: stderr + (error ?? ''), modules: loaded() });
  }
  writeFileSync('/dev/ttyS1', '@' + side + ' ' + Buffer.from(JSON.stringify(results)).toString('base64') + '\\n');
}
`;

const INIT = `#!/bin/busybox sh
export PATH=/bin
busybox mount -t proc proc /proc
busybox mount -t sysfs sys /sys
busybox mount -t devtmpfs dev /dev
busybox ip link set lo up 2>/dev/null
/bin/node /run.mjs > /dev/ttyS0 2>&1
echo @done > /dev/ttyS1
busybox poweroff -f
`;

const needed = tools && debian && newest ? { ...debian, newest } : undefined;

describeWith(needed, 'module tools on a real kernel', ({ modules, release, vmlinuz, newest }) => {
  it('act as kmod does', () => {
    const root = new KmodRoot(newest, process.cwd());
    try {
      const tree = `/lib/modules/${release}`;
      fill(root, tree, modules);
      root.index(release);
      const list = steps(tree);
      root.write('steps.json', JSON.stringify(list)).write('run.mjs', RUNNER);
      writeFileSync(join(root.path, 'init'), INIT, { mode: 0o755 });
      const [theirs, ours] = boot(root, vmlinuz);
      list.forEach((one, i) => {
        expect(ours[i], `${one.tool} ${one.words.join(' ')}`).toEqual(withoutRepeats(theirs[i]));
      });
      // The steps are worth something only where they do something.
      expect(theirs[2].modules.map((line) => line.split(' ')[0])).toContain('ext4');
      expect(theirs.filter(({ code }) => code === 0).length).toBeGreaterThan(10);
    } finally {
      root.remove();
    }
  }, 600_000);
});

/** 34.2 (not 30, and not what follows) puts its prefix before every piece of the line that names the holders. */
const withoutRepeats = (result: Result): Result => ({
  ...result,
  err: result.err.replace(/(?<=[^\n])rmmod: ERROR: /g, ''),
});

function fill(root: KmodRoot, tree: string, modules: string): void {
  for (const path of MODULES)
    root.write(`${tree}/kernel/${path}`, readFileSync(join(modules, 'kernel', path)));
  for (const name of ['modules.builtin', 'modules.builtin.modinfo', 'modules.order'])
    root.write(`${tree}/${name}`, readFileSync(join(modules, name)));
  const fixture = (name: string) => readFileSync(join('fixtures/linux/built', name));
  const xz = (bytes: Uint8Array) => execFileSync('xz', ['--check=crc32', '-c'], { input: bytes });
  root.write('m/wrong_vermagic.ko', fixture('wrong_vermagic.ko'));
  root
    .write('m/wrong.ko.xz', xz(fixture('wrong_vermagic.ko')))
    .write('m/hello.ko.xz', xz(fixture('hello.ko')));
  mkdirSync(join(root.path, 'tmp'), { recursive: true });
  cpSync(realpathSync('/bin/busybox'), join(root.path, 'bin/busybox'));
}

interface Result {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
  readonly modules: readonly string[];
}

function boot(root: KmodRoot, vmlinuz: string): [Result[], Result[]] {
  const image = `${root.path}.cpio`;
  const report = `${root.path}.report`;
  const log = `${root.path}.log`;
  try {
    execFileSync('sh', ['-c', `cd ${root.path} && find . | cpio -o -H newc -R 0:0 --quiet > ${image}`]);
    const machine = ['-machine', 'accel=tcg', '-cpu', 'max,la57=off', '-m', '2048', '-display', 'none'];
    const rest = ['-no-reboot', '-monitor', 'none', '-nic', 'none', '-kernel', vmlinuz, '-initrd', image];
    const words = 'console=ttyS0 quiet loglevel=1 rdinit=/init panic=-1';
    const serial = ['-serial', `file:${log}`, '-serial', `file:${report}`, '-append', words];
    spawnSync('qemu-system-x86_64', [...machine, ...rest, ...serial], { timeout: 540_000 });
    const text = existsSync(report) ? readFileSync(report, 'latin1').replaceAll('\r', '') : '';
    const of = (side: string): Result[] => {
      const found = new RegExp(`^@${side} (\\S+)$`, 'm').exec(text);
      if (found === null)
        throw new Error(`the guest gave nothing: ${readFileSync(log, 'latin1').slice(-2000)}`);
      return JSON.parse(Buffer.from(found[1], 'base64').toString());
    };
    return [of('kmod'), of('lkm')];
  } finally {
    execFileSync('rm', ['-f', image, report, log]);
  }
}
