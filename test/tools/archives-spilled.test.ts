import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openTree } from '../../src/tools/files.ts';
import { seeded } from '../real/random.ts';
import { describeWith, needsTool } from '../real/require.ts';

describeWith(
  ['tar', 'xz', 'zstd'].every((name) => needsTool(name) !== undefined) ? {} : undefined,
  'an archive that unpacks to much',
  () => {
    let folder = '';
    const before = process.env.TMPDIR;
    const files = ['lib/a.ko', 'lib/deep/b.ko', 'lib/empty'];

    beforeAll(() => {
      folder = mkdtempSync(join(tmpdir(), 'lkm-spilled-'));
      mkdirSync(join(folder, 'root/lib/deep'), { recursive: true });
      mkdirSync(join(folder, 'tmp'));
      const random = seeded(3);
      files.forEach((path, i) => {
        const words = Uint32Array.from({ length: [800_000, 500_000, 0][i] }, () => random.below(2 ** 32));
        const bytes = new Uint8Array(words.buffer);
        writeFileSync(join(folder, 'root', path), i === 1 ? bytes.subarray(0, -1) : bytes);
      });
      process.env.TMPDIR = join(folder, 'tmp');
    });

    afterAll(() => {
      if (before === undefined) delete process.env.TMPDIR;
      else process.env.TMPDIR = before;
      rmSync(folder, { recursive: true, force: true });
    });

    const packed = (program: string): string => {
      const tar = join(folder, 'root.tar');
      const archive = join(folder, `${program}.tar.packed`);
      expect(spawnSync('tar', ['-cf', tar, '-C', join(folder, 'root'), 'lib']).status).toBe(0);
      const ended = spawnSync(program, ['-c', '-1', tar], { maxBuffer: 2 ** 28 });
      expect(ended.status).toBe(0);
      writeFileSync(archive, ended.stdout);
      return archive;
    };

    it.each(['xz', 'zstd'])('is read, packed by %s, and leaves no file behind', (program) => {
      const tree = openTree(packed(program));
      for (const path of files) {
        const same = Buffer.compare(tree.read(path), readFileSync(join(folder, 'root', path)));
        expect([path, same, tree.stat(path)?.kind]).toEqual([path, 0, 'file']);
      }
      if (process.platform !== 'win32') expect(readdirSync(join(folder, 'tmp'))).toEqual([]);
    });

    it('is read where there is no place for it, and refused where it is damaged', () => {
      const archive = packed('xz');
      process.env.TMPDIR = join(folder, 'nowhere');
      expect(openTree(archive).read('lib/deep/b.ko').length).toBe(1_999_999);
      process.env.TMPDIR = join(folder, 'tmp');
      const bytes = readFileSync(archive);
      bytes[bytes.length >> 1] ^= 1;
      writeFileSync(archive, bytes);
      expect(() => openTree(archive)).toThrow(/xz|LZMA/);
      expect(readdirSync(join(folder, 'tmp'))).toEqual([]);
    });
  },
);
