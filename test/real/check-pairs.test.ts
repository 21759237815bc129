/**
 * `lkm check` against real kernels: modules and kernels paired at random, each pair loaded under QEMU. What is said to be
 * refused is refused with that errno and those words; what is said to load gets as far as its start function.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { decompress } from '../../src/bytes/decompress.ts';
import { modulesBelow } from '../../src/targets/census-tree.ts';
import type { Verdict } from '../../src/tools/check.ts';
import { runLine } from '../cli/fake.ts';
import { seeded, testSeed } from './random.ts';
import { cacheDirectory, describeWith, needs, needsTool } from './require.ts';
import { hasStarted, mistake } from './verdict/mistake.ts';
import { askKernels, type LoadStep } from './verdict/qemu.ts';

/** Pairs in all; a hundred take about two minutes. */
const PAIRS = Number(process.env.LKM_PAIRS ?? 30);

const seed = testSeed();
console.info(`seed of the pairs: ${seed} (LKM_SEED repeats it)`);

interface Kernel {
  readonly folder: string;
  readonly vmlinuz: string;
  readonly modules: readonly string[];
}

function kernelIn(folder: string): Kernel[] {
  const image = existsSync(join(folder, 'boot'))
    ? readdirSync(join(folder, 'boot')).find((name) => name.startsWith('vmlinuz'))
    : undefined;
  const modules = modulesBelow(folder).map(({ path }) => path);
  return image === undefined || modules.length === 0
    ? []
    : [{ folder, vmlinuz: join(folder, 'boot', image), modules }];
}

const parent = join(cacheDirectory(), 'debian');
const kernels = (existsSync(parent) ? readdirSync(parent) : [])
  .filter((name) => /^linux-image-\d.*amd64$/.test(name))
  .flatMap((name) => kernelIn(join(parent, name)));

async function verdictOf(module: string, kernel: Kernel): Promise<Verdict> {
  const { out } = await runLine(['check', '--json', module, '--kernel', kernel.folder]);
  return JSON.parse(out) as Verdict;
}

const ready = needs('debian-amd64') !== undefined && needsTool('qemu-system-x86_64') !== undefined;

describeWith(ready && kernels.length > 1 ? kernels : undefined, 'pairs at random', (found) => {
  it('come out as a real kernel has it', { timeout: 3_600_000 }, async () => {
    const random = seeded(seed);
    const chosen = random.sample([...found], 3);
    const wrong: string[] = [];
    const seen = { loads: 0, started: 0, refused: 0 };
    for (const kernel of chosen) {
      const count = Math.ceil(PAIRS / chosen.length);
      // Half of them are the kernel's own, or nearly all would be refused by the version.
      const half = Math.ceil(count / 2);
      const everybody = found.flatMap(({ modules }) => modules);
      const candidates = random.sample(everybody, half).concat(random.sample([...kernel.modules], count * 6));
      const pairs: { step: LoadStep; verdict: Verdict }[] = [];
      for (const path of candidates) {
        if (pairs.length === count) break;
        const verdict = await verdictOf(path, kernel);
        // Those that want others first would need them here, too.
        if (verdict.first.length > 0 || verdict.answer === 'cannot-tell') continue;
        const bytes = decompress(new Uint8Array(readFileSync(path)));
        pairs.push({ verdict, step: { name: `pair${pairs.length}`, how: 'finit', bytes } });
      }
      const boots = await askKernels(
        kernel.vmlinuz,
        'initcall_debug',
        pairs.map(({ step }) => step),
      );
      for (const [i, answer] of boots.flat().entries()) {
        const { verdict } = pairs[i];
        if (verdict.answer === 'loads') seen.loads++;
        else seen.refused++;
        if (hasStarted(answer)) seen.started++;
        // A start function that crashes without its hardware has been reached.
        const bad = answer.errno >= 2000 ? undefined : mistake(verdict, answer);
        if (bad !== undefined) wrong.push(`${verdict.module.path} on ${verdict.kernel.release}: ${bad}`);
      }
      expect(boots.flat().length).toBe(pairs.length);
    }
    console.info(`${seen.loads} load (${seen.started} start functions ran), ${seen.refused} are refused`);
    expect(wrong).toEqual([]);
    expect(Math.min(seen.started, seen.refused)).toBeGreaterThan(0);
  });
});
