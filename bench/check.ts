/** `lkm check --matrix`: every module of one Debian kernel against all amd64 kernels that are at hand, one process. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { type Bench, type BenchContext, type Figure, median } from './bench.ts';

const ROUNDS = 3;

export const check: Bench = {
  name: 'check',
  summary: 'a whole kernel of modules against several kernels, wall time',
  run({ quick, root }: BenchContext): Promise<readonly Figure[]> {
    const debian = join(process.env.LKM_CACHE ?? join(homedir(), '.cache/lkm'), 'debian');
    const kernels = (existsSync(debian) ? readdirSync(debian) : [])
      .filter((name) => /^linux-image-\d.*amd64$/.test(name))
      .map((name) => join(debian, name));
    if (kernels.length === 0) {
      console.error('  left out: needs a Debian kernel (node scripts/fetch-debian.mjs amd64)');
      return Promise.resolve([]);
    }
    const words = [join(root, 'dist/lkm.js'), 'check', '--matrix', '--json', kernels[0]];
    const all = [...words, ...(quick ? kernels.slice(0, 1) : kernels).flatMap((one) => ['--kernel', one])];
    const times = Array.from({ length: quick ? 1 : ROUNDS }, () => {
      const start = performance.now();
      const { stdout, stderr } = spawnSync(process.execPath, all, { encoding: 'utf8', maxBuffer: 2 ** 29 });
      if (!stdout.startsWith('{')) throw new Error(`lkm check failed: ${stderr}`);
      return {
        ms: performance.now() - start,
        modules: (JSON.parse(stdout) as { rows: unknown[] }).rows.length,
      };
    });
    const what = `${times[0].modules} modules against ${quick ? 1 : kernels.length} kernels`;
    const seconds = median(times.map(({ ms }) => ms)) / 1000;
    return Promise.resolve([{ what, value: seconds, unit: 's', target: { value: 60, better: 'lower' } }]);
  },
};
