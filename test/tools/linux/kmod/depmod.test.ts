import {
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { TrieReader } from '../../../../src/systems/linux/tree/trie.ts';
import { RELEASE, run, TestTree } from './tree.ts';

let tree: TestTree;
beforeEach(() => {
  tree = new TestTree();
});
afterEach(() => tree.remove());

const depmod = (...words: string[]) => run('depmod', ['-b', tree.root, ...words, RELEASE]);
const index = (name: string) => readFileSync(join(tree.folder, name), 'latin1');

describe('depmod', () => {
  it('says that the tree changed while it was read', async () => {
    tree.add({ 'kernel/exporter.ko': 'exporter.ko', 'kernel/net/hello.ko': 'hello.ko' });
    const before = Date.now() - 60_000;
    const clock = vi.spyOn(Date, 'now').mockReturnValue(before);
    try {
      const { code, err } = await depmod();
      expect(code).toBe(0);
      expect(err).toContain(
        `depmod: WARNING: ${tree.folder}/kernel and 1 more changed while the modules were read: ` +
          'run depmod again, as some may be missing from the indexes\n',
      );
    } finally {
      clock.mockRestore();
    }
  });

  it('writes every index', async () => {
    tree
      .add({ 'kernel/exporter.ko': 'exporter.ko', 'kernel/importer-plain.ko': 'importer_plain.ko' })
      .write('modules.order', 'kernel/importer-plain.ko\nkernel/exporter.ko\n')
      .write('modules.builtin', 'kernel/lib/built-in.ko\n')
      .write('modules.builtin.modinfo', 'built_in.alias=devname:x\0built_in.license=GPL\0');
    expect(await depmod()).toEqual({ code: 0, out: '', err: '' });
    expect(index('modules.dep')).toBe('kernel/importer-plain.ko: kernel/exporter.ko\nkernel/exporter.ko:\n');
    expect(index('modules.symbols')).toMatch(
      /^# Aliases for symbols, used by symbol_request\(\)\.\n(alias symbol:\w+ exporter\n)+$/,
    );
    const trie = (name: string) => new TrieReader(readFileSync(join(tree.folder, name)));
    expect(trie('modules.dep.bin').find('importer_plain')).toBe(
      'kernel/importer-plain.ko: kernel/exporter.ko',
    );
    expect(trie('modules.builtin.bin').find('built_in')).toBe('');
    expect(trie('modules.builtin.alias.bin').find('devname:x')).toBe('built_in');
    expect(readdirSync(tree.folder).sort()).toEqual([
      'kernel',
      'modules.alias',
      'modules.alias.bin',
      'modules.builtin',
      'modules.builtin.alias.bin',
      'modules.builtin.bin',
      'modules.builtin.modinfo',
      'modules.dep',
      'modules.dep.bin',
      'modules.devname',
      'modules.order',
      'modules.softdep',
      'modules.symbols',
      'modules.symbols.bin',
      'modules.weakdep',
    ]);
  });

  it('says what is absent beside the modules, and goes on', async () => {
    tree.add({ 'hello.ko': 'hello.ko' });
    const { code, err } = await depmod();
    expect(code).toBe(0);
    const at = `at ${tree.folder}: No such file or directory\n`;
    expect(err).toBe(
      ['modules.order', 'modules.builtin', 'modules.builtin.modinfo']
        .map((name) => `depmod: WARNING: could not open ${name} ${at}`)
        .join(''),
    );
  });

  it('shows instead of writing', async () => {
    tree.add({ 'hello.ko': 'hello.ko' });
    const { code, out } = await depmod('-n');
    expect(code).toBe(0);
    expect(out.split('\n')[0]).toBe('hello.ko:');
    expect(existsSync(join(tree.folder, 'modules.dep'))).toBe(false);
  });

  it('reads compressed modules, and names damaged ones', async () => {
    const bytes = readFileSync('fixtures/linux/built/exporter.ko');
    const packed = gzipSync(bytes);
    tree
      .write('a/exporter.ko.gz', packed)
      .write('a/cut.ko.gz', packed.subarray(0, packed.length >> 1))
      .write('a/text.ko', 'this is no module')
      .write('a/none.ko', '');
    const { code, err } = await depmod('-n');
    expect(code).toBe(0);
    expect(err).toContain(`failed to load symbols from ${tree.folder}/a/text.ko: Exec format error\n`);
    expect(err).toContain(`failed to load symbols from ${tree.folder}/a/none.ko: Invalid argument\n`);
    expect(err).toContain(`failed to load symbols from ${tree.folder}/a/cut.ko.gz: Invalid argument\n`);
    const { out } = await depmod('-n');
    expect(out).toContain('a/exporter.ko.gz:\n');
    expect(out).toContain(' exporter\n');
  });

  it('takes the module of updates', async () => {
    tree.add({
      'kernel/hello.ko': 'hello.ko',
      'updates/hello.ko': 'hello.ko',
      'build/hello2.ko': 'hello.ko',
    });
    const { out } = await depmod('-n');
    expect(out.match(/^.*hello.*:$/gm)).toEqual(['updates/hello.ko:']);
  });

  it('keeps an index that could not be made', async () => {
    tree.add({ 'hello.ko': 'hello.ko' }).write('modules.dep', 'old\n');
    writeFileSync(join(tree.folder, 'modules.builtin'), 'kernel/caf\xe9.ko\n', 'latin1');
    const { code, err } = await depmod();
    expect(code).toBe(1);
    expect(err).toContain('FATAL: Module index: bad character');
    expect(index('modules.dep')).toBe('old\n');
    expect(readdirSync(tree.folder).filter((name) => name.includes('partial'))).toEqual([]);
  });

  it('does nothing when nothing is newer, with -A', async () => {
    tree.add({ 'hello.ko': 'hello.ko' });
    await depmod();
    const before = index('modules.dep');
    writeFileSync(join(tree.folder, 'modules.dep'), `${before}# touched\n`);
    expect((await depmod('-A')).code).toBe(0);
    expect(index('modules.dep')).toContain('# touched');
  });

  it.each([
    [['bad'], 1, 'depmod: ERROR: Bad version passed bad\n'],
    [['-P', 'ab'], 1, 'depmod: FATAL: -P only takes a single char\n'],
    [['--nonsense'], 1, "depmod: unrecognized option '--nonsense'\n"],
    [['-b'], 1, "depmod: option requires an argument -- 'b'\n"],
    [
      ['--s=x'],
      1,
      "depmod: option '--s=x' is ambiguous; possibilities: '--symvers' '--show' '--symbol-prefix'\n",
    ],
    [['1.2', 'relative.ko'], 1, 'depmod: FATAL: relative.ko: not absolute path.\n'],
  ])('%j ends as the tool does', async (words, code, err) => {
    expect(await run('depmod', words)).toMatchObject({ code, err });
  });
});

describe('modinfo and modprobe', () => {
  it('find modules by name, path and alias', async () => {
    tree.add({ 'kernel/exporter.ko': 'exporter.ko', 'kernel/importer_plain.ko': 'importer_plain.ko' });
    await depmod();
    const where = ['-b', tree.root, '-k', RELEASE];
    const path = `${tree.folder}/kernel/exporter.ko`;
    expect((await run('modinfo', [...where, '-n', 'exporter'])).out).toBe(`${path}\n`);
    expect((await run('modinfo', ['-F', 'license', path])).out).toBe('GPL\n');
    expect(await run('modinfo', [...where, 'nosuch'])).toEqual({
      code: 1,
      out: '',
      err: 'modinfo: ERROR: Module nosuch not found.\n',
    });
    const probe = ['-d', tree.root, '-S', RELEASE, '-C', '/nonexistent'];
    expect(await run('modprobe', [...probe, '-D', 'importer-plain', 'x=a b'])).toEqual({
      code: 0,
      out: `insmod ${path} \ninsmod ${tree.folder}/kernel/importer_plain.ko x="a b"\n`,
      err: '',
    });
    expect(await run('modprobe', [...probe, 'nosuch'])).toMatchObject({
      code: 1,
      err: `modprobe: FATAL: Module nosuch not found in directory ${tree.folder}\n`,
    });
    expect((await run('modprobe', [...probe, '-q', 'nosuch'])).err).toBe('');
  });

  it('heed the configuration', async () => {
    tree.add({
      'exporter.ko': 'exporter.ko',
      'importer_plain.ko': 'importer_plain.ko',
      'hello.ko': 'hello.ko',
    });
    await depmod();
    tree.write(
      'x.conf',
      'alias other hello\noptions hello a=1\noptions other b=2\nblacklist exporter\n' +
        'softdep importer_plain pre: hello\ninstall hello /bin/echo $CMDLINE_OPTS\n',
    );
    const words = ['-d', tree.root, '-S', RELEASE, '-C', `${tree.folder}/x.conf`];
    const probe = async (...more: string[]) => (await run('modprobe', [...words, ...more])).out;
    expect(await probe('-D', 'other')).toBe('install /bin/echo $CMDLINE_OPTS a=1 b=2 \n');
    expect(await probe('-D', '-i', 'hello')).toContain(`insmod ${tree.folder}/hello.ko a=1 \n`);
    expect(await probe('-D', 'importer_plain')).toMatch(
      /exporter\.ko \ninstall .*\ninsmod .*importer_plain\.ko \n$/,
    );
    expect(await probe('-D', 'exporter')).toContain('exporter.ko');
    expect(await probe('-D', '-b', 'exporter')).toBe('');
    expect(await probe('-R', 'other')).toBe('hello\n');
    expect(await probe('-c')).toContain('options hello a=1\noptions other b=2\n');
    expect((await run('modprobe', ['hello'], { MODPROBE_OPTIONS: `-D ${words.join(' ')}` })).out).toContain(
      'install',
    );
  });
});

describe('depmod --incremental', () => {
  /** Every index of an incremental run is that of a full one. */
  const expectSame = async () => {
    const out = join(tree.root, 'full');
    const full = await run('depmod', ['-b', tree.root, '-o', out, RELEASE]);
    const ran = await depmod('--incremental');
    expect(ran).toEqual(full);
    const folder = join(out, 'lib/modules', RELEASE);
    for (const name of readdirSync(folder))
      expect([name, index(name)]).toEqual([name, readFileSync(join(folder, name), 'latin1')]);
  };

  it('writes what a full run writes, whatever changed', async () => {
    tree
      .add({ 'kernel/exporter.ko': 'exporter.ko', 'kernel/importer.ko': 'importer_plain.ko' })
      .write('kernel/broken.ko', 'no module')
      .write('modules.order', 'kernel/importer.ko\nkernel/exporter.ko\n');
    await expectSame();
    await expectSame();
    const before = statSync(join(tree.folder, 'modules.dep')).ino;
    await expectSame();
    expect(statSync(join(tree.folder, 'modules.dep')).ino).toBe(before);
    tree.add({ 'kernel/hello.ko': 'hello.ko', 'updates/importer.ko': 'hello.ko' });
    await expectSame();
    tree.write('modules.builtin', 'kernel/x.ko\n').write('modules.order', 'kernel/exporter.ko\n');
    await expectSame();
    rmSync(join(tree.folder, 'kernel/exporter.ko'));
    await expectSame();
    tree.write('modules.alias', 'not ours');
    await expectSame();
    tree.write('.modules.incremental', 'not ours');
    await expectSame();
  });

  it('sees what came and went where folders are known by their times', async () => {
    const settle = () => new Promise((resolve) => setTimeout(resolve, 60));
    tree
      .add({ 'kernel/fs/exporter.ko': 'exporter.ko', 'kernel/importer.ko': 'importer_plain.ko' })
      .add({ 'kernel/net/leak.ko': 'leak.ko' });
    symlinkSync('../net', join(tree.folder, 'kernel/fs/link'));
    const steps: readonly (() => void)[] = [
      () => {},
      () => tree.add({ 'kernel/fs/hello.ko': 'hello.ko' }),
      () => rmSync(join(tree.folder, 'kernel/fs/exporter.ko')),
      () => tree.add({ 'kernel/new/deep/exporter.ko': 'exporter.ko' }),
      () => renameSync(join(tree.folder, 'kernel/net'), join(tree.folder, 'kernel/other')),
      () => tree.add({ 'top.ko': 'hello.ko' }),
      () => rmSync(join(tree.folder, 'top.ko')),
      () => tree.add({ 'build/x.ko': 'hello.ko', 'extra/x.ko': 'leak.ko' }),
      () => rmSync(join(tree.folder, 'extra'), { recursive: true }),
    ];
    for (const step of steps) {
      step();
      await settle();
      await expectSame();
      await settle();
      await expectSame();
    }
  });

  it('leaves the indexes alone when files are written again as they were, and sees a changed byte', async () => {
    tree
      .add({ 'kernel/exporter.ko': 'exporter.ko', 'kernel/importer.ko': 'importer_plain.ko' })
      .write('kernel/broken.ko', 'no module')
      .write('modules.order', 'kernel/importer.ko\nkernel/exporter.ko\n');
    for (const name of ['modules.builtin', 'modules.builtin.modinfo']) tree.write(name, '');
    await expectSame();
    // Times of now prove nothing: they are settled only a moment later.
    await new Promise((resolve) => setTimeout(resolve, 50));
    await expectSame();
    const inode = () => statSync(join(tree.folder, 'modules.dep')).ino;
    const before = inode();
    const path = join(tree.folder, 'kernel/exporter.ko');
    const bytes = readFileSync(path);
    writeFileSync(path, bytes);
    await expectSame();
    expect(inode()).toBe(before);
    const changed = Buffer.from(bytes);
    const at = changed.lastIndexOf('__crc_');
    expect(at).toBeGreaterThan(0);
    changed[at + '__crc_'.length] ^= 1;
    writeFileSync(path, changed);
    await expectSame();
    expect(inode()).not.toBe(before);
    writeFileSync(join(tree.folder, 'kernel/broken.ko'), bytes);
    await expectSame();
  });

  it('puts its indexes back where another tool has put its own, and makes those again that were written over', async () => {
    tree
      .add({ 'kernel/exporter.ko': 'exporter.ko', 'kernel/importer.ko': 'importer_plain.ko' })
      .write('modules.order', 'kernel/importer.ko\nkernel/exporter.ko\n');
    for (const name of ['modules.builtin', 'modules.builtin.modinfo']) tree.write(name, '');
    await expectSame();
    await new Promise((resolve) => setTimeout(resolve, 50));
    await expectSame();
    const place = join(tree.folder, 'modules.dep');
    const before = statSync(place).ino;
    for (const name of ['modules.dep', 'modules.alias.bin']) {
      writeFileSync(join(tree.folder, 'new'), 'of another tool');
      renameSync(join(tree.folder, 'new'), join(tree.folder, name));
    }
    const path = join(tree.folder, 'kernel/exporter.ko');
    writeFileSync(path, readFileSync(path));
    await expectSame();
    expect(statSync(place).ino).toBe(before);
    // The same file has two names: it is written over under both.
    writeFileSync(place, 'not ours');
    await expectSame();
    expect(statSync(place).ino).not.toBe(before);
    await depmod();
    expect(readdirSync(tree.folder).filter((name) => name.startsWith('.'))).toEqual([]);
  });
});
