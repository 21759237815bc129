/**
 * The module tools against kmod of today, command line by command line: trees with holes, knots and cut indexes, odd
 * files in every folder of modprobe.d, made-up kernels in /proc and /sys. Both run in the same root; standard output,
 * standard error and exit code must be the same. kmod's program is ~/.cache/lkm/kmod-head/build/kmod (meson setup build
 * && ninja -C build, in a checkout of kmod-project/kmod). LKM_KMOD_LINES says how many lines (default 170).
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { leaveOut } from '../leave-out.ts';
import { commandLine, configure, makeTrees, pretendLoaded } from '../real/kmod-lines.ts';
import { type Ended, KmodRoot } from '../real/kmod-root.ts';
import { LogSocket } from '../real/log-socket.ts';
import { elfHotSpots, mutations } from '../real/mutate.ts';
import { OddRoot } from '../real/odd-lines.ts';
import { seeded, testSeed } from '../real/random.ts';
import { cacheDirectory, needs } from '../real/require.ts';

const program = join(cacheDirectory(), 'kmod-head/build/kmod');
const debian = needs('debian-amd64');
const skip = leaveOut(
  import.meta.url,
  (!existsSync(program) && 'no kmod built below ~/.cache/lkm/kmod-head') ||
    (process.getuid?.() !== 0 && 'chroot(2) needs root') ||
    (debian === undefined && 'no Debian kernel'),
);

/** Addresses of the tool's own memory, and the path it was called by. */
const plain = (ended: Ended, tool: string): Ended => ({
  ...ended,
  err: ended.err.replaceAll(/0x[0-9a-f]{9,}/g, '0x0').replaceAll(`/bin/${tool}:`, `${tool}:`),
});

/** Lines for each tree that is made. */
const LINES_A_TREE = 12;
const LINES = Number(process.env.LKM_KMOD_LINES ?? 170);

/** One thing of a module changed. */
function damaged(module: Uint8Array, seed: number): Uint8Array {
  for (const { bytes } of mutations(module, seed, { count: 1, hot: elfHotSpots(module) })) return bytes;
  return module;
}

describe.skipIf(skip)('command lines of the module tools', () => {
  it('end as those of kmod do', () => {
    const seed = testSeed();
    console.log(`seed ${seed}`);
    const random = seeded(seed);
    const root = new KmodRoot(program, process.cwd());
    try {
      makeTrees(root, debian?.modules ?? '');
      for (let i = 0; i < LINES; i++) {
        if (i % 10 === 0) {
          configure(root, random);
          pretendLoaded(root, random);
        }
        const line = commandLine(root, random);
        const theirs = plain(root.kmod(line.tool, line.words, line), line.tool);
        // Soft dependencies of a user's files are one thing in which lkm does more.
        expect(
          root.lkm(line.tool, ['--compat', ...line.words], line),
          `line ${i}: ${JSON.stringify(line)}`,
        ).toEqual(theirs);
      }
    } finally {
      root.remove();
    }
  }, 300_000);

  it('end as those of kmod do over trees of odd and damaged modules', () => {
    const seed = testSeed();
    console.log(`seed ${seed}`);
    const real = ['fs/mbcache.ko', 'lib/crc16.ko', 'net/802/stp.ko', 'drivers/net/dummy.ko'].map(
      (path) => new Uint8Array(readFileSync(join(debian?.modules ?? '', 'kernel', path))),
    );
    const root = new KmodRoot(program, process.cwd());
    try {
      for (let n = 0; n * LINES_A_TREE < LINES; n++) {
        const odd = new OddRoot(root, seeded(seed + n), { real, damage: damaged });
        odd.index((words) => spawnSync(program, words, { argv0: 'depmod' }));
        for (let i = 0; i < LINES_A_TREE; i++) {
          const line = odd.line();
          const theirs = plain(root.kmod(line.tool, line.words, line), line.tool);
          // A file may be so damaged that the program ends by an assertion of its own.
          if (theirs.code === null) continue;
          expect(
            root.lkm(line.tool, ['--compat', ...line.words], line),
            `seed ${seed + n}, line ${i}: ${JSON.stringify(line)}`,
          ).toEqual(theirs);
        }
      }
    } finally {
      root.remove();
    }
  }, 300_000);

  it('write the same to /dev/log', () => {
    const root = new KmodRoot(program, process.cwd());
    root.clear('dev/log');
    const log = new LogSocket(`${root.path}/dev/log`);
    try {
      const said: string[] = [];
      for (const [tool, words] of [
        ['modprobe', ['-s', 'nosuch']],
        ['modprobe', ['-as', 'nosuch', 'other']],
        ['modprobe', ['--syslog', '-v', '-D', 'caf\xe9']],
        ['modprobe', ['-s']],
        ['insmod', ['-s', '/nosuch.ko']],
        ['insmod', ['-s']],
        ['rmmod', ['-s', 'nosuch']],
        ['rmmod', ['-sv', 'nosuch', 'other']],
        ['lsmod', ['-s']],
        ['lsmod', ['--syslog', '-v']],
      ] as const) {
        const theirs = { ...plain(root.kmod(tool, words), tool), log: log.take() };
        expect({ ...root.lkm(tool, ['--compat', ...words]), log: log.take() }, `${tool} ${words}`).toEqual(
          theirs,
        );
        said.push(...theirs.log);
      }
      expect(said.join('')).toContain('modprobe: FATAL: Module nosuch not found');
    } finally {
      log.close();
      root.remove();
    }
  }, 120_000);
});
