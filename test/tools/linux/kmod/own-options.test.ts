import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { packagedPath } from '../../../../src/cli/packaged.ts';
import { BUILT_IN, openKernel } from '../../../../src/targets/kernel-store.ts';
import { readWhole } from '../../../../src/tools/linux/kmod/module-source.ts';
import { SandboxTarget } from '../../../../src/tools/linux/kmod/sandbox-target.ts';
import { LinuxSession } from '../../../../src/tools/linux/session.ts';
import { RELEASE, run, TestTree } from './tree.ts';

let tree: TestTree;
let where: string[];
beforeEach(async () => {
  tree = new TestTree();
  where = ['-d', tree.root, '-S', RELEASE];
  tree.add({
    'exporter.ko': 'exporter.ko',
    'importer_plain.ko': 'importer_plain.ko',
    'hello.ko': 'hello.ko',
    'leak.ko': 'leak.ko',
  });
  expect(await run('depmod', ['-b', tree.root, RELEASE])).toMatchObject({ code: 0 });
});
afterEach(() => tree.remove());

const config = (text: string) => ['-C', tree.write('x.conf', text) && `${tree.folder}/x.conf`];
const json = async (tool: string, words: readonly string[]) =>
  JSON.parse((await run(tool, [...words, '--json'])).out) as Record<string, unknown>;

describe('--json', () => {
  it('tells what modprobe would do', async () => {
    expect(await json('modprobe', [...where, '-D', 'importer-plain', 'x=a b'])).toEqual({
      schema: 'lkm.kmod.modprobe/1',
      code: 0,
      steps: [
        { action: 'insmod', module: 'exporter', path: `${tree.folder}/exporter.ko`, parameters: '' },
        {
          action: 'insmod',
          module: 'importer_plain',
          path: `${tree.folder}/importer_plain.ko`,
          parameters: 'x="a b"',
        },
      ],
      messages: [],
    });
  });

  it('tells fields and parameters of a module, and what failed', async () => {
    const told = await json('modinfo', [`${tree.folder}/hello.ko`, 'nosuch', '-b', tree.root, '-k', RELEASE]);
    expect(told).toMatchObject({
      schema: 'lkm.kmod.modinfo/1',
      code: 1,
      modules: [
        {
          name: 'hello',
          filename: `${tree.folder}/hello.ko`,
          fields: { license: ['GPL'] },
          parameters: [{ name: 'times', type: 'int' }, { name: 'whom' }],
        },
      ],
      messages: [{ level: 'error', text: 'Module nosuch not found.' }],
    });
  });

  it('tells configuration and exported symbols', async () => {
    const told = await json('modprobe', [
      '-c',
      ...where,
      ...config('options hello times=2\nmask leak it leaks\n'),
    ]);
    expect(told).toMatchObject({
      options: expect.arrayContaining([{ module: 'hello', options: 'times=2' }]),
      masks: [{ module: 'leak', reason: 'it leaks' }],
    });
    expect(told['modules.symbols']).toContainEqual({ pattern: 'symbol:exporter_add', module: 'exporter' });
    const symbols = await json('modprobe', ['--show-exports', ...where, 'exporter']);
    expect(symbols.symbols).toContainEqual({
      module: 'exporter',
      name: 'exporter_add',
      crc: expect.stringMatching(/^0x[0-9a-f]{8}$/),
    });
  });
});

describe('--stdin', () => {
  it('takes a command line from each line, and goes on behind one that fails', async () => {
    const lines = () => ['hello', '# not this', '', 'nosuch', 'importer-plain x=1'];
    const { code, out, err } = await run('modprobe', [...where, '--stdin', '-D'], {}, { lines });
    expect(code).toBe(1);
    expect(out.split('\n').map((line) => line.replace(`${tree.folder}/`, ''))).toEqual([
      'insmod hello.ko ',
      'insmod exporter.ko ',
      'insmod importer_plain.ko x=1',
      '',
    ]);
    expect(err).toBe(`modprobe: FATAL: Module nosuch not found in directory ${tree.folder}\n`);
  });
});

describe('masks and soft dependencies', () => {
  it('keep a module out, by name, path and for others, and say why', async () => {
    const masked = config('mask exp* the vendor withdrew it\n');
    const place = `${tree.folder}/x.conf line 1`;
    const probe = (word: string) => run('modprobe', [...where, ...masked, '-D', word]);
    for (const word of ['exporter', `${tree.folder}/exporter.ko`])
      expect(await probe(word)).toEqual({
        code: 1,
        out: '',
        err: `modprobe: ERROR: Module exporter is masked (${place}): the vendor withdrew it\n`,
      });
    expect((await probe('importer_plain')).err).toBe(
      `modprobe: ERROR: Module exporter, which importer_plain asks for, is masked (${place}): the vendor withdrew it\n`,
    );
    const compat = await run('modprobe', [...where, ...masked, '-D', 'exporter', '--compat']);
    expect(compat).toMatchObject({ code: 0, err: expect.stringContaining("bad line starting with 'mask'") });
  });

  it('of the user all count, and come before those of the tree', async () => {
    tree.write('modules.softdep', 'softdep hello pre: importer_plain\n');
    const user = config('softdep hello pre: leak\nsoftdep hello post: exporter\n');
    const order = async (...words: string[]) =>
      [...(await run('modprobe', [...where, '-D', 'hello', ...words])).out.matchAll(/(\w+)\.ko/g)].map(
        ([, name]) => name,
      );
    const trees = ['exporter', 'importer_plain', 'hello'];
    expect(await order(...user)).toEqual(['leak', 'hello', 'exporter']);
    expect(await order(...user, '--compat')).toEqual(trees);
    expect(await order('-C', '/nonexistent')).toEqual(trees);
  });
});

describe('--reroot and --summary', () => {
  it('reads the configuration of the other root', async () => {
    tree.write('../../../etc/modprobe.d/a.conf', 'options hello times=4\n');
    const { out } = await run('modprobe', [...where, '-D', 'hello', '--reroot']);
    expect(out).toBe(`insmod ${tree.folder}/hello.ko times=4 \n`);
  });

  it('counts messages of one kind', async () => {
    const bad = config('x1\nx2\nx3\nx4\nx5\n');
    const { err } = await run('modprobe', [...where, ...bad, '-D', 'hello', '--summary']);
    expect(err.match(/bad line/g)).toHaveLength(4);
    expect(err).toContain('2 more like');
  });
});

describe('--target sandbox', () => {
  it('loads, lists and unloads in a base kernel', async () => {
    const kernel = openKernel(BUILT_IN, { packaged: packagedPath, environment: {} });
    const session = new LinuxSession(kernel, { moduleFile: () => undefined });
    let said = '';
    const explain = (text: string) => {
      said += text;
    };
    const target = new SandboxTarget(session.console, { unpack: readWhole, explain });
    const on = (tool: string, ...words: string[]) => run(tool, words, {}, { target, release: RELEASE });
    const probe = (...words: string[]) => on('modprobe', ...where, '-C', '/nonexistent', ...words);
    expect(await probe('importer_plain')).toEqual({ code: 0, out: '', err: '' });
    expect((await on('lsmod')).out).toMatch(
      /^Module +Size +Used by\nimporter_plain +\d+ {2}0\nexporter +\d+ {2}1 importer_plain\n$/,
    );
    expect(await on('rmmod', 'exporter')).toMatchObject({
      code: 1,
      err: 'rmmod: ERROR: Module exporter is in use by: importer_plain\n',
    });
    expect(await on('insmod', `${tree.folder}/exporter.ko`)).toMatchObject({
      code: 1,
      err: `insmod: ERROR: could not insert module ${tree.folder}/exporter.ko: File exists\n`,
    });
    expect(said).toContain('loaded already');
    expect(await probe('-r', 'importer_plain')).toEqual({ code: 0, out: '', err: '' });
    expect((await on('lsmod')).out).toBe('Module                  Size  Used by\n');
  });
});
