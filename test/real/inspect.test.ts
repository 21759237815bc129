/** `lkm inspect` against kmod's modinfo and binutils' nm, on modules of a Debian kernel package. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { moduleFacts } from '../../src/cli/module-facts.ts';
import { describeWith, moduleFiles, needs, needsTool } from './require.ts';

const SAMPLE = process.env.LKM_FULL ? Number.POSITIVE_INFINITY : 30;

function sample(files: readonly string[]): readonly string[] {
  const seed = Number(process.env.LKM_SEED ?? 1);
  const step = Math.max(1, Math.floor(files.length / SAMPLE));
  return files.filter((_, i) => (i + seed) % step === 0);
}

const ask = (program: string, ...args: string[]) =>
  execFileSync(program, args, { encoding: 'utf8', maxBuffer: 1 << 28 })
    .split('\n')
    .filter((line) => line !== '');

const needed = needsTool('modinfo') && needsTool('nm') && needs('debian-amd64');

describeWith(needed || undefined, 'on Debian modules inspect agrees with', (debian) => {
  const files = sample(moduleFiles(debian.modules));

  it('something', () => expect(files.length).toBeGreaterThan(10));

  it('modinfo about every field', () => {
    for (const path of files) {
      const { modinfo, description } = moduleFacts(readFileSync(path));
      for (const tag of [
        'license',
        'vermagic',
        'depends',
        'version',
        'name',
        'alias',
        'firmware',
        'import_ns',
        'softdep',
      ]) {
        const ours = modinfo?.all(tag).filter((value) => value !== '');
        expect([path, tag, ours]).toEqual([path, tag, ask('modinfo', '-F', tag, path)]);
      }
      const names = ask('modinfo', '-p', path)
        .map((line) => /^\w+:/.exec(line)?.[0])
        .filter((name) => name !== undefined);
      expect(new Set(names)).toEqual(new Set(description.parameters.map(({ name }) => `${name}:`)));
    }
  });

  it('nm about needs and offers', () => {
    for (const path of files) {
      const { imports, exports } = moduleFacts(readFileSync(path)).description;
      const needed = ask('nm', '-u', path).map((line) => line.trim().split(' ')[1]);
      expect([path, imports.map(({ name }) => name).sort()]).toEqual([path, needed.sort()]);
      const offered = ask('nm', path).flatMap((line) => / r __ksymtab_(.+)$/.exec(line)?.[1] ?? []);
      expect([path, exports.map(({ name }) => name).sort()]).toEqual([path, offered.sort()]);
    }
  });
});
