/** A saved kernel answers what the kernel did, for every system whose kernels are files. */
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { packagedPath } from '../../src/cli/packaged.ts';
import { runLine } from './fake.ts';

const at = (...parts: string[]) => packagedPath(join('fixtures', ...parts));

const KERNELS = [
  ['freebsd', at('freebsd', 'built', 'kernel-14.0'), ['hello.ko', 'missing.ko', 'newer.ko', 'hello32.ko']],
  ['solaris', at('solaris', 'machine', 'kernel', 'amd64', 'genunix'), []],
] as const;

interface Answer {
  readonly answer: string;
  readonly rules: readonly { readonly rule: string; readonly outcome: string }[];
}

describe.each(KERNELS)('a kernel of %s', (system, original, names) => {
  const modules = names.length > 0 ? names.map((name) => at(system, 'built', name)) : [at(system, 'machine')];

  it('is saved, and the file answers as the kernel', async () => {
    const work = mkdtempSync(join(tmpdir(), 'saved-'));
    try {
      // Away from its root, whose configuration is no part of the kernel.
      const kernel = join(work, basename(original));
      copyFileSync(original, kernel);
      const saved = join(work, 'x.kernel');
      expect((await runLine(['kernel', kernel, '-o', saved])).code).toBe(0);
      for (const module of modules) {
        const ask = async (file: string) => {
          const { out } = await runLine(['check', '--json', '--matrix', module, '--kernel', file]);
          const { rows } = JSON.parse(out) as { rows: readonly { cells: readonly Answer[] }[] };
          return rows.map(({ cells }) => cells);
        };
        const answers = await ask(saved);
        expect(answers).toEqual(await ask(kernel));
        expect(answers.length).toBeGreaterThan(0);
      }
      writeFileSync(saved, readFileSync(saved).subarray(0, 200));
      const cut = await runLine(['check', modules[0], '--kernel', saved]);
      expect(cut.code).not.toBe(0);
      expect(cut.code).not.toBe(70);
    } finally {
      rmSync(work, { recursive: true });
    }
  });
});
