/** The program's compiled code is kept beside it (scripts/code-cache.mjs), and is never needed. */
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Script } from 'node:vm';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packagedPath } from '../../src/cli/packaged.ts';

const chunks = packagedPath('dist/chunks');
const quick = packagedPath('dist/quick');
const ending = `.${process.version}-${process.arch}.cache`;
const caches = readdirSync(chunks).filter((name) => name.endsWith(ending));

describe('compiled code', () => {
  it('is there for what runs modules, and this Node takes it', () => {
    const sizes = new Map<string, number>();
    for (const name of caches) {
      const cachedData = gunzipSync(readFileSync(join(chunks, name)));
      const source = readFileSync(join(chunks, name.replace(ending, '.code')), 'latin1');
      expect(new Script(source, { cachedData }).cachedDataRejected, name).toBe(false);
      if (source.includes('class TranslationEngine') || source.includes('TranslationEngine=class'))
        sizes.set('translator', cachedData.length);
    }
    for (const name of readdirSync(quick).filter((one) => one.endsWith(ending))) {
      const cachedData = gunzipSync(readFileSync(join(quick, name)));
      const source = readFileSync(join(quick, name.replace(ending, '.code')), 'latin1');
      expect(new Script(source, { cachedData }).cachedDataRejected, name).toBe(false);
      sizes.set(name.replace(ending, ''), cachedData.length);
    }
    expect([...sizes.keys()].sort()).toEqual(['depmod', 'modinfo', 'modprobe', 'translator']);
    // Functions that nothing has called are not in it: an unused cache would be a tenth of this.
    expect(sizes.get('translator')).toBeGreaterThan(200_000);
  });
});

describe('a program', { timeout: 120_000 }, () => {
  let root: string;
  let expected: string;

  /** What the copy of the program says, and nothing beside it. */
  function run(): string {
    const args = [join(root, 'dist', 'lkm.js'), 'run', packagedPath('fixtures/linux/built/works.ko')];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    expect([status, stderr.replace(/^.*instructions of machine code were executed\n/gm, '')]).toEqual([
      0,
      expect.stringMatching(/^works: unloaded/),
    ]);
    return stdout;
  }

  function each(change: (path: string) => void): void {
    for (const name of caches) change(join(root, 'dist', 'chunks', name));
  }

  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), 'lkm-code-'));
    for (const name of ['dist/chunks', 'dist/lkm.js', 'package.json', 'profiles'])
      cpSync(packagedPath(name), join(root, name), {
        recursive: true,
        filter: (path) => !path.endsWith('.map'),
      });
    symlinkSync(packagedPath('node_modules'), join(root, 'node_modules'));
    expected = run();
    expect(expected).toContain('works');
  });
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  const restore = (): void =>
    each((path) => cpSync(join(chunks, path.slice(path.lastIndexOf('/') + 1)), path));

  it('runs with caches that are cut off', () => {
    each((path) => truncateSync(path, 5000));
    expect(run()).toBe(expected);
  });

  it('runs with caches in which single bytes are wrong', () => {
    restore();
    each((path) => {
      const bytes = readFileSync(path);
      for (const at of [bytes.length >> 2, bytes.length >> 1]) bytes[at] ^= 0x40;
      writeFileSync(path, bytes);
    });
    expect(run()).toBe(expected);
  });

  it('runs with caches of another V8', () => {
    restore();
    each((path) => {
      const bytes = gunzipSync(readFileSync(path));
      // Its version comes second, after a magic number.
      bytes[4] ^= 1;
      writeFileSync(path, gzipSync(bytes));
    });
    expect(run()).toBe(expected);
  });

  it('runs a module tool with a damaged cache, and without', () => {
    const folder = join(root, 'dist', 'quick');
    cpSync(quick, folder, { recursive: true });
    const modinfo = (): string => {
      const file = packagedPath('fixtures/linux/built/works.ko');
      const args = [join(root, 'dist', 'lkm.js'), 'linux', 'modinfo', '-F', 'license', file];
      const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
      expect([status, stderr]).toEqual([0, '']);
      return stdout;
    };
    const cache = join(folder, `modinfo${ending}`);
    const bytes = readFileSync(cache);
    bytes[bytes.length >> 1] ^= 0x40;
    writeFileSync(cache, bytes);
    expect(modinfo()).toBe('GPL\n');
    rmSync(cache);
    expect(modinfo()).toBe('GPL\n');
  });

  it('runs without caches', () => {
    each((path) => rmSync(path));
    expect(run()).toBe(expected);
  });
});
