/**
 * The module tools against Debian's own kmod, over a whole Debian kernel: text indexes byte for byte, tries by content and
 * through the C reader, modinfo and modprobe by their output. LKM_FULL=1 asks for every module, else a sample.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { TrieReader } from '../../src/systems/linux/tree/trie.ts';
import { run } from '../tools/linux/kmod/tree.ts';
import { describeWith, moduleFiles, needs, needsTool } from './require.ts';

const debian = needs('debian-amd64');
const kmod = needsTool('kmod');

describeWith(
  debian && kmod ? debian : undefined,
  'the module tools over a Debian kernel',
  ({ modules, release }) => {
    let root: string;
    const tree = () => join(root, 'lib/modules', release);
    const real = (tool: string, words: readonly string[]) => {
      // One program, called by its tools' names.
      const result = spawnSync('kmod', words, { argv0: tool, encoding: 'latin1', maxBuffer: 2 ** 28 });
      return { code: result.status, out: result.stdout, err: result.stderr };
    };
    const sample = (names: readonly string[], size: number) => {
      if (process.env.LKM_FULL === '1') return names;
      const seed = Number(process.env.LKM_SEED ?? 1);
      const step = Math.max(1, Math.floor(names.length / size));
      return names.filter((_, i) => i % step === seed % step);
    };

    beforeAll(() => {
      root = mkdtempSync(join(tmpdir(), 'lkm-kmod-'));
      execFileSync('mkdir', ['-p', join(root, 'lib/modules')]);
      // Links: the tools follow them, and the indexes go into a folder of their own.
      execFileSync('cp', ['-rs', modules, tree()]);
      expect(real('depmod', ['-b', root, release])).toMatchObject({ code: 0 });
    }, 120_000);
    afterAll(() => rmSync(root, { recursive: true, force: true }), 60_000);

    it('depmod writes the same indexes', async () => {
      const out = join(root, 'ours');
      const ran = await run('depmod', ['-b', root, '-o', out, release]);
      expect(ran).toEqual({ code: 0, out: '', err: '' });
      const ours = join(out, 'lib/modules', release);
      for (const name of readdirSync(ours)) {
        // Newer than Debian 12's kmod.
        if (name === 'modules.weakdep') continue;
        const [a, b] = [readFileSync(join(ours, name)), readFileSync(join(tree(), name))];
        if (name.endsWith('.bin')) expect([name, ...entries(a)]).toEqual([name, ...entries(b)]);
        else expect(a.equals(b), name).toBe(true);
      }
    }, 120_000);

    it('modinfo tells the same', async () => {
      const files = sample(moduleFiles(tree()), 400);
      const [ours, theirs] = [await run('modinfo', files), real('modinfo', files)];
      // build-id is newer than Debian 12's kmod.
      const out = ours.out.replace(/^build-id:.*\n/gm, '');
      expect(out === theirs.out).toBe(true);
      expect(ours.code).toBe(0);
    }, 120_000);

    it('modprobe would load the same', async () => {
      const names = sample(moduleFiles(tree()), 60).map((path) =>
        path.replace(/^.*\//, '').replace(/\.ko.*$/, ''),
      );
      const where = ['-D', '-d', root, '-S', release, '-C', '/nonexistent'];
      for (const name of names)
        expect(await run('modprobe', [...where, name])).toEqual(real('modprobe', [...where, name]));
      const config = ['-c', '-d', root, '-S', release, '-C', '/nonexistent'];
      expect((await run('modprobe', config)).out === real('modprobe', config).out).toBe(true);
    }, 120_000);

    it('the C tools read our indexes', async () => {
      expect(await run('depmod', ['-b', root, release])).toMatchObject({ code: 0 });
      const found = real('modprobe', ['-D', '-d', root, '-S', release, '-C', '/nonexistent', 'fs-ext4']);
      expect(found.out).toContain('/fs/ext4/ext4.ko');
    }, 120_000);
  },
);

function entries(bytes: Uint8Array): string[] {
  return [...new TrieReader(bytes).entries()].map(
    ({ key, values }) => `${key} ${values.map(({ value, priority }) => `${priority}:${value}`).join(' ')}`,
  );
}
