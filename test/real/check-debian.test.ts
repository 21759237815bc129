/** lkm check over real Debian kernels and their modules: each kernel takes its own modules, and no other kernel's. */
import { copyFileSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { modulesBelow } from '../../src/targets/census-tree.ts';
import type { Matrix } from '../../src/tools/check-matrix.ts';
import { runLine } from '../cli/fake.ts';
import { seeded, testSeed } from './random.ts';
import { cacheDirectory, describeWith, needs } from './require.ts';

const SAMPLE = Number(process.env.LKM_SAMPLE ?? 60);

const seed = testSeed();
console.info(`seed of the sample: ${seed} (LKM_SEED repeats it)`);

function sample(modules: string): string[] {
  return seeded(seed).sample(
    modulesBelow(modules).map(({ path }) => path),
    SAMPLE,
  );
}

async function matrix(modules: readonly string[], ...kernels: readonly string[]): Promise<Matrix> {
  const words = kernels.flatMap((kernel) => ['--kernel', kernel]);
  const { out, err } = await runLine(['check', '--matrix', '--json', ...new Set(modules), ...words]);
  expect(err).toBe('');
  return JSON.parse(out) as Matrix;
}

for (const architecture of ['amd64', 'arm64'] as const) {
  describeWith(needs(`debian-${architecture}`), `modules of Debian's ${architecture}`, (debian) => {
    it('load on their own kernel', { timeout: 300_000 }, async () => {
      const { rows } = await matrix(sample(debian.modules), debian.directory);
      expect(rows.filter(({ cells }) => cells[0].answer !== 'loads')).toEqual([]);
    });
  });
}

describeWith(needs('debian-amd64'), 'other kernels', (debian) => {
  const parent = join(cacheDirectory(), 'debian');
  const others = readdirSync(parent)
    .filter((name) => /^linux-image-\d.*amd64$/.test(name) && !name.endsWith(debian.release))
    .map((name) => join(parent, name));

  it.runIf(others.length > 0)('refuse them, each by a rule of its own', { timeout: 300_000 }, async () => {
    const { rows } = await matrix(sample(debian.modules).slice(0, 10), ...others);
    for (const { cells } of rows) {
      for (const { answer, rule } of cells) {
        expect([answer, rule]).toEqual([
          'refused',
          expect.stringMatching(/^(module-layout|this-module-size|vermagic)$/),
        ]);
      }
    }
  });

  it.runIf(others.length > 0)('are compared by their types', { timeout: 300_000 }, async () => {
    const [module] = modulesBelow(debian.modules).filter(({ name }) => name === 'ext4');
    const { out } = await runLine(['check', '--json', module.path, '--kernel', others[0]]);
    const { symbols, causes } = JSON.parse(out) as { symbols: { changes?: string[] }[]; causes: string[] };
    if (symbols.length === 0) return;
    expect(causes.join(' ')).toContain(`It was built for ${debian.release}`);
    expect(symbols.some(({ changes = [] }) => changes.some((text) => /^struct \w+/.test(text)))).toBe(true);
  });
});

const headers = needs('debian-amd64');
const list = headers && `/usr/src/linux-headers-${headers.release}`;

describe.runIf(list !== undefined && existsSync(join(list, 'Module.symvers')))('a headers package', () => {
  it('answers as the image does, and says what is missing alone', { timeout: 300_000 }, async () => {
    if (headers === undefined || list === undefined) return;
    const modules = sample(headers.modules).slice(0, 20);
    const { rows } = await matrix(modules, headers.directory, list);
    for (const { name, cells } of rows) expect([name, cells[1].answer]).toEqual([name, cells[0].answer]);
    const folder = mkdtempSync(join(tmpdir(), 'lkm-symvers-'));
    try {
      const alone = join(folder, 'Module.symvers');
      copyFileSync(join(list, 'Module.symvers'), alone);
      const { out, code } = await runLine(['check', modules[0], '--kernel', alone]);
      expect(code).toBe(3);
      expect(out).toContain("the kernel's vermagic");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
