/**
 * The module tools against kmod of today, command line by command line: trees with holes, knots and cut indexes, odd
 * files in every folder of modprobe.d, made-up kernels in /proc and /sys. Both run in the same root; standard output,
 * standard error and exit code must be the same. kmod's program is ~/.cache/lkm/kmod-head/build/kmod (meson setup build
 * && ninja -C build, in a checkout of kmod-project/kmod). LKM_KMOD_LINES says how many lines (default 170).
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { leaveOut } from '../leave-out.ts';
import { commandLine, configure, makeTrees, pretendLoaded } from '../real/kmod-lines.ts';
import { type Ended, KmodRoot } from '../real/kmod-root.ts';
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

describe.skipIf(skip)('command lines of the module tools', () => {
  it('end as those of kmod do', () => {
    const seed = testSeed();
    console.log(`seed ${seed}`);
    const random = seeded(seed);
    const root = new KmodRoot(program, process.cwd());
    try {
      makeTrees(root, debian?.modules ?? '');
      for (let i = 0; i < Number(process.env.LKM_KMOD_LINES ?? 170); i++) {
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
});
