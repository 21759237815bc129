/**
 * depmod and modinfo over odd trees, with odd configurations and words, against kmod itself: what is printed, the exit
 * code and every file. LKM_KMOD is its program, LKM_SEED repeats a run, LKM_FULL=1 makes two hundred trees.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { run } from '../tools/linux/kmod/tree.ts';
import { OddTree, RELEASE } from './odd-trees.ts';
import { seeded, testSeed } from './random.ts';
import { describeWith, needs, needsNewestKmod, needsTool } from './require.ts';

const debian = needs('debian-amd64');
const newest = needsNewestKmod();
const tools = newest !== undefined && ['xz', 'zstd', 'mkfifo'].every((name) => needsTool(name) !== undefined);
const TREES = process.env.LKM_FULL === '1' ? 200 : 6;

describeWith(
  tools && debian ? { debian, kmod: newest } : undefined,
  'odd module trees',
  ({ debian, kmod }) => {
    const seed = testSeed();
    const real = ['fs/mbcache.ko', 'fs/ext4/ext4.ko', 'net/bridge/bridge.ko'].map(
      (path) => new Uint8Array(readFileSync(join(debian.modules, 'kernel', path))),
    );

    it(`are indexed and described as kmod does it (LKM_SEED=${seed})`, async () => {
      for (let n = 0; n < TREES; n++) {
        const tree = new OddTree(seeded(seed + n), { real });
        const both = (tool: string, words: readonly string[]) => compare(kmod, tool, words, tree, seed + n);
        try {
          await both('depmod', tree.depmodWords(OUT));
          await both('depmod', tree.depmodWords(OUT));
          spawnSync(kmod, ['-C', '/nonexistent', '-b', tree.root, RELEASE], { argv0: 'depmod' });
          await both('modinfo', tree.modinfoWords());
          await both('modinfo', tree.modinfoWords());
        } finally {
          tree.remove();
        }
      }
    }, 600_000);
  },
);

/** Stands for the folder of the output, which differs between the two. */
const OUT = 'OUT';

/** Later than 34.2: where the program prints none, ours are left out. */
const printsBuildIds =
  newest !== undefined &&
  spawnSync(newest, ['fixtures/linux/built/hello.ko'], { argv0: 'modinfo' }).stdout.includes('build-id:');

const withoutBuildIds = (text: string): string =>
  printsBuildIds ? text : text.replace(/^build-id: .*\n|build-id=[^\0]*\0/gm, '');

async function compare(kmod: string, tool: string, words: readonly string[], tree: OddTree, seed: number) {
  const folders = ['theirs', 'ours'].map((name) => join(tree.root, name));
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  const named = (folder: string) => words.map((word) => (word === OUT ? folder : word));
  const theirs = spawnSync(kmod, named(folders[0]), { argv0: tool, encoding: 'latin1', maxBuffer: 2 ** 28 });
  // A file may be so damaged that the program ends by an assertion of its own.
  if (theirs.status === null) return;
  if (!printsBuildIds && words.includes('build-id')) return;
  const ours = await run(tool, named(folders[1]));
  const told = `seed ${seed}: ${tool} ${JSON.stringify(words)}`;
  const same = (text: string) => text.replaceAll(folders[0], OUT).replaceAll(folders[1], OUT);
  expect([told, ours.code, withoutBuildIds(same(ours.out)), plain(same(ours.err))]).toEqual([
    told,
    theirs.status,
    same(theirs.stdout),
    plain(same(theirs.stderr)),
  ]);
  // Where an index cannot be made kmod leaves some of the files, and a temporary one; here the old ones stay.
  if (!theirs.stderr.includes('bad character'))
    expect([told, filesOf(folders[1])]).toEqual([told, filesOf(folders[0])]);
}

/** Addresses in the program's own memory are not compared. */
const plain = (text: string): string => text.replace(/ctx=0x[0-9a-f]+/g, 'ctx');

function filesOf(folder: string): Readonly<Record<string, string>> {
  if (!existsSync(folder)) return {};
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return Object.fromEntries(
    entries
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => [
        join(parentPath, name).slice(folder.length),
        readFileSync(join(parentPath, name), 'latin1'),
      ]),
  );
}
