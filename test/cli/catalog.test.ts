import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readHints } from '../../src/systems/freebsd/hints.ts';
import { runLine } from './fake.ts';

const folder = mkdtempSync(join(tmpdir(), 'lkm-catalog-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const linux = 'fixtures/linux/built';

describe('lkm deps', () => {
  it('shows what a module needs, who needs it, and why', async () => {
    const down = await runLine(['deps', linux, 'importer_plain']);
    expect(down).toMatchObject({
      code: 0,
      out: 'importer_plain\n`- exporter  (exporter_calls, exporter_add)\n',
    });
    const up = await runLine(['deps', '--reverse', linux, 'exporter']);
    expect(up.out).toMatch(/^exporter\n(\|- .*\n)*.*importer_plain {2}\(exporter_calls, exporter_add\)/);
    const why = await runLine(['deps', '--why', linux, 'importer-plain', 'exporter']);
    expect(why.out).toBe('importer_plain needs exporter: exporter_calls, exporter_add\n');
    expect((await runLine(['deps', '--why', linux, 'exporter', 'importer_plain'])).code).toBe(1);
  });

  it.each([
    ['fixtures/freebsd/built', 'importer', 'exporter'],
    ['fixtures/netware/built', 'CLIENT', 'LIBRARY.NLM'],
    ['fixtures/solaris/built', 'teller', 'tally'],
    ['fixtures/macos/built', 'org.lkm.Client', 'org.lkm.Library'],
    ['fixtures/vxworks/built', 'client', 'lib'],
  ])('knows the modules of other systems: %s', async (tree, user, used) => {
    const { code, out } = await runLine(['deps', '--json', tree, user]);
    const { modules } = JSON.parse(out) as { modules: { name: string; needs: { name: string }[] }[] };
    expect(code).toBe(0);
    expect(modules[0].needs.map(({ name }) => name)).toContain(used);
  });

  it('lists files for an image, and draws', async () => {
    expect((await runLine(['deps', '--files', linux, 'importer_plain'])).out).toBe(
      'exporter.ko\nimporter_plain.ko\n',
    );
    const svg = join(folder, 'graph.svg');
    expect((await runLine(['deps', '--svg', svg, linux, 'importer_plain'])).code).toBe(0);
    expect(readFileSync(svg, 'utf8')).toMatch(/<svg[\s\S]*importer_plain[\s\S]*exporter[\s\S]*<\/svg>/);
    expect((await runLine(['deps', '--dot', linux, 'importer_plain'])).out).toContain(
      '"importer_plain" -> "exporter"',
    );
  });

  it('tells names that some disks cannot hold side by side, and keeps them apart', async () => {
    const tree = join(folder, 'cases');
    mkdirSync(tree);
    cpSync(join(linux, 'exporter.ko'), join(tree, 'xt_dscp.ko'));
    cpSync(join(linux, 'importer_plain.ko'), join(tree, 'xt_DSCP.ko'));
    const { err, out } = await runLine(['deps', tree, 'xt_DSCP']);
    expect(err).toBe('');
    expect((await runLine(['deps', tree])).err).toContain(
      'one file where a disk does not tell A from a: xt_DSCP.ko, xt_dscp.ko',
    );
    expect(out).toMatch(/^xt_DSCP\n`- xt_dscp /);
    expect(JSON.parse((await runLine(['deps', '--json', tree])).out).collisions).toEqual([
      ['xt_DSCP.ko', 'xt_dscp.ko'],
    ]);
  });

  it('reads a folder inside an archive, where the path goes on there', async () => {
    const root = join(folder, 'packed');
    mkdirSync(join(root, 'lib/modules'), { recursive: true });
    for (const name of ['exporter.ko', 'importer_plain.ko'])
      cpSync(join(linux, name), join(root, 'lib/modules', name));
    const archive = join(folder, 'packed.tar');
    expect(spawnSync('tar', ['-cf', archive, '-C', root, 'lib']).status).toBe(0);
    const inside = await runLine(['deps', join(archive, 'lib/modules'), 'importer_plain']);
    expect(inside.out).toBe((await runLine(['deps', join(root, 'lib/modules'), 'importer_plain'])).out);
    expect(inside.code).toBe(0);
    expect((await runLine(['deps', join(archive, 'lib/nothing')])).code).not.toBe(0);
    expect((await runLine(['deps', join(archive, 'lib/modules/exporter.ko')])).err).toContain('is no folder');
    expect((await runLine(['diff', join(archive, 'lib/modules'), join(root, 'lib')])).code).toBe(0);
  });

  it('says what is not there', async () => {
    expect(await runLine(['deps', linux, 'nosuch'])).toMatchObject({ code: 1, out: '' });
    expect((await runLine(['deps', 'README.md'])).err).toContain('is no folder and no archive');
    expect((await runLine(['deps', 'man'])).err).toContain('holds no module files');
    expect((await runLine(['deps', '--why', linux, 'x'])).code).toBe(2);
  });
});

describe('lkm diff', () => {
  it('says what came, went and changed', async () => {
    const [one, two] = ['one', 'two'].map((name) => join(folder, name));
    for (const path of [one, two]) mkdirSync(path);
    cpSync(join(linux, 'exporter.ko'), join(one, 'exporter.ko'));
    cpSync(join(linux, 'hello.ko'), join(one, 'changed.ko'));
    cpSync(join(linux, 'chardev.ko'), join(two, 'changed.ko'));
    cpSync(join(linux, 'leak.ko'), join(two, 'leak.ko'));
    const { code, out } = await runLine(['diff', one, two]);
    expect(code).toBe(1);
    expect(out).toMatch(/^- exporter\n\+ leak\n {2}changed: [\s\S]*parameters gone: times:int, whom:charp\n/);
    expect(await runLine(['diff', one, one])).toMatchObject({ code: 0 });
  });

  it('tells trees of different systems, and passes over a kernel beside its modules', async () => {
    const { err, out } = await runLine(['diff', 'fixtures/freebsd/machine', linux]);
    expect(err).toContain('holds modules of freebsd, fixtures/linux/built of linux');
    expect(out).toMatch(/^- importer$/m);
    expect(out).not.toMatch(/^- kernel$/m);
  });
});

describe('lkm index', () => {
  it('writes what the system of the tree wants', async () => {
    const tree = join(folder, 'lib/modules/6.1.0-0-test');
    mkdirSync(tree, { recursive: true });
    cpSync(join(linux, 'exporter.ko'), join(tree, 'exporter.ko'));
    const { code, out } = await runLine(['index', '--json', tree]);
    expect(JSON.parse(out)).toMatchObject({ schema: 'lkm.index/1', system: 'linux', code: 0 });
    expect(code).toBe(0);
    expect(readdirSync(tree)).toContain('modules.dep.bin');
    const klds = join(folder, 'klds');
    cpSync('fixtures/freebsd/built', klds, { recursive: true });
    expect((await runLine(['index', klds])).out).toBe(`${join(klds, 'linker.hints')}\n`);
    const hints = readHints(new Uint8Array(readFileSync(join(klds, 'linker.hints'))));
    expect(JSON.stringify(hints)).toContain('exporter.ko');
  });

  it('tells of a folder with modules of several systems', async () => {
    const tree = join(folder, 'mixed/6.1.0');
    mkdirSync(tree, { recursive: true });
    cpSync(join(linux, 'exporter.ko'), join(tree, 'exporter.ko'));
    cpSync('fixtures/netware/built/LIBRARY.NLM', join(tree, 'LIBRARY.NLM'));
    mkdirSync(join(tree, 'bsd'));
    cpSync('fixtures/freebsd/built/busy.ko', join(tree, 'bsd/busy.ko'));
    const { code, out, err } = await runLine(['index', tree]);
    expect(code).toBe(0);
    expect(out).toContain(`${tree}/modules.dep\n`);
    expect(out).toContain('linker.hints\n');
    expect(err).toContain('holds modules of several systems');
    expect(err).toContain('of netware there is no index');
  });

  it('finds the releases of a root, and reads archives', async () => {
    const root = join(folder, 'root');
    const tree = join(root, 'lib/modules/6.1.0-0-test');
    mkdirSync(tree, { recursive: true });
    cpSync(join(linux, 'exporter.ko'), join(tree, 'exporter.ko'));
    cpSync('fixtures/freebsd/built/busy.ko', join(root, 'boot/modules/busy.ko'), { recursive: true });
    execFileSync('tar', ['-cf', join(folder, 'root.tar'), '-C', root, '.']);
    const there = (await runLine(['index', root])).out;
    expect(there).toContain(`${tree}/modules.dep.bin\n`);
    expect((await runLine(['index', join(folder, 'root.tar')])).err).toContain('--output DIR');
    const out = join(folder, 'indexes');
    const { code, out: listed } = await runLine(['index', '-o', out, join(folder, 'root.tar')]);
    expect(code).toBe(0);
    expect(listed.replaceAll(out, root)).toBe(there);
    for (const path of listed.trim().split('\n'))
      expect(readFileSync(path).equals(readFileSync(path.replace(out, root))), path).toBe(true);
  });

  it('says why it cannot', async () => {
    expect((await runLine(['index', linux])).err).toContain('is not named by a release');
    expect((await runLine(['index', 'fixtures/netware/built'])).err).toContain('keeps no index');
  });
});
