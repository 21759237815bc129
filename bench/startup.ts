import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import type { Bench, BenchContext, Figure } from './bench.ts';
import { median } from './bench.ts';

/**
 * How long the command takes to its first word, as a ratio to Node's own start: absolute times say more about the machine.
 * The runs alternate, so that a change of load meets all alike; the best run is the one least disturbed.
 */
export const startup: Bench = {
  name: 'startup',
  summary: 'time to lkm --help, against node -e 0',
  async run({ quick, root }: BenchContext): Promise<readonly Figure[]> {
    const lkm = join(root, 'dist', 'lkm.js');
    const cases: Readonly<Record<string, readonly string[]>> = {
      'node -e 0': ['-e', '0'],
      'lkm --help': [lkm, '--help'],
      'lkm version': [lkm, 'version'],
      'lkm inspect hello.ko': [lkm, join(root, 'fixtures', 'linux', 'built', 'hello.ko')],
      'lkm run hello.ko': [lkm, 'run', join(root, 'fixtures', 'linux', 'built', 'hello.ko')],
    };
    const times = measure(cases, quick ? 2 : 30);
    const best = (name: string) => Math.min(...times[name]);
    const figures: Figure[] = [{ what: 'node -e 0, best', value: best('node -e 0'), unit: 'ms' }];
    for (const name of Object.keys(cases).slice(1)) {
      const target = name === 'lkm --help' ? ({ value: 1.6, better: 'lower' } as const) : undefined;
      const middle = median(times[name]) / median(times['node -e 0']);
      figures.push({
        what: `${name}, ratio of the best`,
        value: best(name) / best('node -e 0'),
        unit: 'x',
        target,
      });
      figures.push({ what: `${name}, ratio of the medians`, value: middle, unit: 'x' });
    }
    return figures;
  },
};

function measure(
  cases: Readonly<Record<string, readonly string[]>>,
  rounds: number,
): Record<string, number[]> {
  const environment = { ...process.env };
  // Node 20 reads this file at every start and the time would drown what is measured.
  delete environment.NODE_EXTRA_CA_CERTS;
  const times: Record<string, number[]> = Object.fromEntries(Object.keys(cases).map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [name, args] of Object.entries(cases)) {
      const started = performance.now();
      const { status, stderr } = spawnSync(process.execPath, args, {
        env: environment,
        encoding: 'utf8',
        input: '',
      });
      times[name].push(performance.now() - started);
      if (status !== 0) throw new Error(`${name} ended with ${status}: ${stderr}`);
    }
  }
  return times;
}
