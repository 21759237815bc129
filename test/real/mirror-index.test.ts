/** Packages found by a mirror's own index, where apt refuses to: the newest of all sources, and only its true bytes. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { MirrorIndex } from '../../scripts/mirror-index.mjs';
import { describeWith, needsTool } from './require.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lkm-mirror-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Puts a package and its index entry in a mirror of files; `sum` is the index's own idea of the bytes. */
function publish(suite: string, name: string, version: string, sum?: string): void {
  const file = `pool/${name}_${version}.deb`;
  const bytes = `${name} ${version}`;
  const index = join(folder, 'dists', suite, 'main/binary-s390x/Packages.xz');
  const sha256 = sum ?? createHash('sha256').update(bytes).digest('hex');
  const entry = `Package: ${name}\nVersion: ${version}\nDepends: other (>= 1),\n more\nFilename: ${file}\nSHA256: ${sha256}\n`;
  for (const path of [index, join(folder, file)]) mkdirSync(dirname(path), { recursive: true });
  const old = existsSync(index) ? execFileSync('xz', ['-dc', index], { encoding: 'utf8' }) : '';
  writeFileSync(index, execFileSync('xz', ['-c'], { input: `${old}${entry}\n` }));
  writeFileSync(join(folder, file), bytes);
}

const mirror = () => {
  const state = join(folder, 'state');
  mkdirSync(state, { recursive: true });
  const base = `copy:${folder}`;
  return new MirrorIndex(
    [
      [base, 'stable', 'main'],
      [base, 'security', 'main'],
      [base, 'gone', 'main'],
    ],
    's390x',
    state,
  );
};

describeWith(needsTool('apt-get'), "a mirror's own index", () => {
  it('gives the newest of all sources, whatever the order', () => {
    publish('stable', 'linux-image', '6.12.9-1');
    publish('stable', 'linux-image-extra', '1');
    publish('security', 'linux-image', '6.12.113-1');
    const found = mirror().find('linux-image');
    expect(found.map((entry) => entry.get('Version'))).toEqual(['6.12.113-1', '6.12.9-1']);
    expect(found[0].get('Depends')).toBe('other (>= 1),\n more');
    const got = mirror().download('linux-image', folder);
    expect(readFileSync(got, 'utf8')).toBe('linux-image 6.12.113-1');
  });

  it('keeps nothing of other bytes than the index names, and says what is nowhere', () => {
    publish('stable', 'odd', '1', '0'.repeat(64));
    expect(() => mirror().download('odd', folder)).toThrow(/odd_1\.deb: SHA-256 .*, its index has 0000/);
    expect(readdirSync(folder)).not.toContain('odd_1.deb');
    expect(() => mirror().download('even', folder)).toThrow('no source of the mirror has even');
  });
});
