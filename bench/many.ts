/** A thousand kernels, one after another, in one process: what they leave behind. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { ENGINES } from '../src/cpu/engines.ts';
import { insmod, rmmod } from '../src/systems/linux/loader.ts';
import { BUILT_IN, openKernel } from '../src/targets/kernel-store.ts';
import { LinuxSession } from '../src/tools/linux/session.ts';
import type { Bench, BenchContext, Figure } from './bench.ts';

const KERNELS = 1000;
const MB = 2 ** 20;
/** Before the first look: what a process needs once is there by then. */
const WARM_UP = 20;

export const many: Bench = {
  name: 'many',
  summary: '1,000 kernels created, used and dropped in one process',
  async run({ quick, root }: BenchContext): Promise<readonly Figure[]> {
    const kernel = openKernel(BUILT_IN, {
      packaged: (path) => join(root, path),
      environment: process.env,
    });
    const bytes = readFileSync(join(root, 'fixtures', 'linux', 'built', 'containers.ko'));
    const one = (n: number): void => {
      const { k } = new LinuxSession(kernel, {
        moduleFile: () => undefined,
        engine: ENGINES[n % ENGINES.length],
      });
      const { outcome } = insmod(k, bytes, '', { path: 'containers.ko' });
      if (outcome !== 'loaded') throw new Error(`not loaded: ${outcome}`);
      rmmod(k, 'containers');
    };
    for (let n = 0; n < WARM_UP; n++) one(n);
    const before = await resident();
    let peak = before;
    const count = quick ? WARM_UP : KERNELS;
    const started = performance.now();
    for (let n = 0; n < count; n++) {
      one(n);
      if (n % 50 !== 49) continue;
      peak = Math.max(peak, process.memoryUsage.rss());
      // Memories are given back between turns of the event loop.
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    const each = (performance.now() - started) / count;
    const after = await resident();
    return [
      { what: `${count} kernels with a module each, time of one`, value: each, unit: 'ms' },
      { what: 'resident memory at its highest, above the start', value: (peak - before) / MB, unit: 'MB' },
      {
        what: 'resident memory at the end, above the start',
        value: (after - before) / MB,
        unit: 'MB',
        target: { value: 20, better: 'lower' },
      },
    ];
  },
};

/** Bytes of the process when nothing is left to be collected. */
async function resident(): Promise<number> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  for (let n = 0; n < 5; n++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return process.memoryUsage.rss();
}
