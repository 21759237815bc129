/** depmod is ended at many moments, meets a full disk, and files that hinder it: the old indexes stay, or all are new. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { inOrder } from '../../../../src/tools/linux/kmod/write-indexes.ts';
import { FILES_OF_DEPMOD, RELEASE, run, TestTree } from './tree.ts';

let tree: TestTree;
beforeEach(() => {
  tree = new TestTree();
});
afterEach(() => tree.remove());

const PROGRAM = 'dist/lkm.js';
const snapshot = (): Readonly<Record<string, string>> =>
  Object.fromEntries(
    FILES_OF_DEPMOD.filter((name) => existsSync(join(tree.folder, name))).map((name) => [
      name,
      readFileSync(join(tree.folder, name), 'latin1'),
    ]),
  );
/** A module for `--import`: the process ends itself after the rename of this number. */
const endsAfter = (renames: number): string =>
  `data:text/javascript,${encodeURIComponent(`
    import fs from 'node:fs';
    import { syncBuiltinESMExports } from 'node:module';
    const { renameSync } = fs;
    let done = 0;
    fs.renameSync = (from, to) => {
      renameSync(from, to);
      if (++done === ${renames}) process.kill(process.pid, 'SIGKILL');
    };
    syncBuiltinESMExports();`)}`;
const words = () => ['linux', 'depmod', '-b', tree.root, RELEASE];

/**
 * A process can be ended between two renames, on a busy machine more often than on an idle one: what is promised is that
 * every file is whole, and that the new ones are the first in the order in which they are put in place.
 */
it('ended at any moment leaves whole files: the old set, the new one, or its beginning', async () => {
  tree.add({ 'kernel/exporter.ko': 'exporter.ko', 'kernel/importer.ko': 'importer_plain.ko' });
  await run('depmod', ['-b', tree.root, RELEASE]);
  const old = snapshot();
  tree.add({
    'kernel/metadata.ko': 'metadata.ko', // has aliases
    'kernel/spaced.ko': 'spaced.ko', // has exports
    'updates/importer.ko': 'importer_plain.ko',
  });
  const started = performance.now();
  spawnSync(process.execPath, [PROGRAM, 'linux', 'depmod', '-n', '-b', tree.root, RELEASE]);
  const whole = performance.now() - started;
  const seen: Readonly<Record<string, string>>[] = [];
  // Moments that a timer does not meet: after so many of the renames.
  for (const renames of [1, 4, 6]) {
    const ended = spawnSync(process.execPath, ['--import', endsAfter(renames), PROGRAM, ...words()]);
    expect(ended.signal).toBe('SIGKILL');
    seen.push(snapshot());
  }
  for (let n = 0; n < 12; n++) {
    const child = spawn(process.execPath, [PROGRAM, ...words()], { stdio: 'ignore' });
    const ended = new Promise((resolve) => child.once('exit', resolve));
    setTimeout(() => child.kill('SIGKILL'), whole * (0.3 + (n / 12) * 0.9));
    await ended;
    seen.push(snapshot());
  }
  await run('depmod', ['-b', tree.root, RELEASE]);
  const fresh = snapshot();
  expect(new Set(seen.map((files) => JSON.stringify(files))).size).toBeGreaterThanOrEqual(3);
  const changed = inOrder(Object.keys(fresh)).filter((name) => fresh[name] !== old[name]);
  expect(changed).toContain('modules.dep.bin');
  for (const files of seen) {
    const replaced = changed.filter((name) => files[name] === fresh[name]);
    const expected = Object.entries(fresh).map(([name, text]) => [
      name,
      replaced.includes(name) || !changed.includes(name) ? text : old[name],
    ]);
    expect(files).toEqual(Object.fromEntries(expected));
    expect(replaced).toEqual(changed.slice(0, replaced.length));
  }
  expect(readdirSync(tree.folder).filter((name) => name.startsWith('.modules'))).toEqual([]);
}, 60_000);

it('that cannot put one file in place puts the others back', async () => {
  tree.add({ 'kernel/exporter.ko': 'exporter.ko' });
  await run('depmod', ['-b', tree.root, RELEASE]);
  rmSync(join(tree.folder, 'modules.weakdep'));
  mkdirSync(join(tree.folder, 'modules.weakdep/full'), { recursive: true });
  const old = (({ 'modules.weakdep': _, ...rest }) => rest)({ 'modules.weakdep': '', ...readable() });
  tree.add({ 'kernel/hello.ko': 'hello.ko' });
  const { code, err } = await run('depmod', ['-b', tree.root, RELEASE]);
  expect([code, err.includes('FATAL: could not write the indexes')]).toEqual([1, true]);
  expect(readable()).toEqual(old);
});

function readable(): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of FILES_OF_DEPMOD)
    if (name !== 'modules.weakdep') found[name] = readFileSync(join(tree.folder, name), 'latin1');
  return found;
}

// A small disk is mounted for it.
it.runIf(process.getuid?.() === 0)('says that a disk is full, and keeps what was there', async () => {
  const disk = mkdtempSync(join(tmpdir(), 'lkm-full-'));
  expect(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'none', disk]).status).toBe(0);
  try {
    const many = Array.from({ length: 300 }, (_, i) => [
      `kernel/m${i}_${'long'.repeat(20)}.ko`,
      'exporter.ko',
    ]);
    tree.add(Object.fromEntries(many));
    const { code, err } = await run('depmod', ['-b', tree.root, '-o', disk, RELEASE]);
    expect([code, err.includes('No space left on device')]).toEqual([1, true]);
    expect(readdirSync(join(disk, 'lib/modules', RELEASE))).toEqual([]);
  } finally {
    spawnSync('umount', [disk]);
    rmSync(disk, { recursive: true });
  }
});

it('writes no empty indexes over modules that it cannot unpack', async () => {
  tree.write('kernel/a.ko.bz2', 'BZh9');
  const { code, err } = await run('depmod', ['-b', tree.root, RELEASE]);
  expect([code, err.includes('a.ko.bz2')]).toEqual([1, true]);
  expect(existsSync(join(tree.folder, 'modules.dep'))).toBe(false);
});
