import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Archives } from '../../../../src/tools/files.ts';
import { runModuleTool } from '../../../../src/tools/linux/kmod/tools.ts';
import { cpio, deb, gz, tar } from '../../../formats/archive/build.ts';
import { FILES_OF_DEPMOD, RELEASE, run, TestTree } from './tree.ts';

let tree: TestTree;
beforeEach(() => {
  tree = new TestTree();
});
afterEach(() => tree.remove());

const MODULES = { 'kernel/exporter.ko': 'exporter.ko', 'kernel/importer.ko': 'importer_plain.ko' };
const ORDER = 'kernel/importer.ko\nkernel/exporter.ko\n';

async function inArchive(tool: string, words: readonly string[]) {
  let [out, err] = ['', ''];
  const code = await runModuleTool(tool, words, {
    out: (text) => {
      out += typeof text === 'string' ? text : Buffer.from(text).toString('latin1');
    },
    err: (text) => {
      err += text;
    },
    environment: {},
    archives: new Archives(),
  });
  return { code, out, err };
}

/** The tree's files as an archive has them. */
function content() {
  const files = Object.entries(MODULES).map(([path, fixture]) => ({
    path: `./lib/modules/${RELEASE}/${path}`,
    text: readFileSync(join('fixtures/linux/built', fixture), 'latin1'),
  }));
  return [...files, { path: `./lib/modules/${RELEASE}/modules.order`, text: ORDER }];
}

it.each([
  ['image.deb', () => deb(gz(tar(content(), 'gnu')))],
  ['initrd.img', () => gz(cpio(content()))],
])('depmod and modinfo read %s in place', async (name, make) => {
  tree.add(MODULES).write('modules.order', ORDER);
  const archive = join(tree.root, name);
  writeFileSync(archive, make());
  const [plain, packed] = [join(tree.root, 'plain'), join(tree.root, 'packed')];
  expect(await run('depmod', ['-b', tree.root, '-o', plain, RELEASE])).toMatchObject({ code: 0 });
  expect(await inArchive('depmod', ['-b', archive, '-o', packed, RELEASE])).toMatchObject({ code: 0 });
  for (const file of FILES_OF_DEPMOD) {
    const [a, b] = [plain, packed].map((folder) =>
      readFileSync(join(folder, 'lib/modules', RELEASE, file), 'latin1'),
    );
    expect([file, b]).toEqual([file, a]);
  }
  const module = `${archive}/lib/modules/${RELEASE}/kernel/exporter.ko`;
  expect(await inArchive('modinfo', ['-F', 'license', module])).toEqual({ code: 0, out: 'GPL\n', err: '' });
  expect(await inArchive('depmod', ['-b', archive, RELEASE])).toMatchObject({
    code: 1,
    err: expect.stringContaining('is an archive, which is only read'),
  });
});

it('a damaged archive is told', async () => {
  const archive = join(tree.root, 'cut.deb');
  writeFileSync(archive, deb(gz(tar(content())).subarray(0, 500)));
  const { code, err } = await inArchive('depmod', ['-n', '-b', archive, RELEASE]);
  expect([code, err.includes('cut.deb')]).toEqual([1, true]);
});
