/** Trees and files made to exhaust or to mislead a reader: each ends soon, in bounded memory, with words that say why. */
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  symlinkSync,
  truncateSync,
} from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ModuleReader } from '../../../../src/tools/linux/kmod/module-source.ts';
import { leaveOut } from '../../../leave-out.ts';
import { RELEASE, run, TestTree } from './tree.ts';

const onWindows = leaveOut(import.meta.url, process.platform === 'win32' && 'no such names and links');
/** More than this is no bounded memory, and no bounded time. */
const [MOST_BYTES, MOST_MS] = [1.5 * 2 ** 30, 60_000];
const processorMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

let tree: TestTree;
let started = 0;
beforeEach(() => {
  tree = new TestTree();
  started = processorMs();
});
afterEach(() => {
  tree.remove();
  expect(processorMs() - started).toBeLessThan(MOST_MS);
  expect(process.memoryUsage().rss).toBeLessThan(MOST_BYTES);
});

const depmod = () => run('depmod', ['-b', tree.root, '-C', '/nonexistent', RELEASE]);
const modinfo = (path: string) => run('modinfo', [join(tree.folder, path)]);
const index = (name: string) => readFileSync(join(tree.folder, name), 'latin1');

/** 640 MB of zeros in ten gzip members. */
function gzipBomb(): Uint8Array {
  const member = gzipSync(new Uint8Array(64 << 20), { level: 1 });
  return Buffer.concat(Array.from({ length: 10 }, () => member));
}

/** The same as one zstd frame that says its size: 128 KiB of one byte a block of four. */
function zstdBomb(blocks = 5120): Uint8Array {
  const head = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 0]);
  head.writeUInt32LE(blocks * 131072, 5);
  const body = Buffer.alloc(4 * blocks);
  for (let i = 0; i < blocks; i++)
    body.writeUInt32LE((i === blocks - 1 ? 1 : 0) | (1 << 1) | (131072 << 3), 4 * i);
  return Buffer.concat([head, body]);
}

function sparse(path: string, size: number): void {
  mkdirSync(join(tree.folder, path, '..'), { recursive: true });
  const fd = openSync(join(tree.folder, path), 'w');
  ftruncateSync(fd, size);
  closeSync(fd);
}

describe('hostile module trees', () => {
  it.each(['modules.order', 'modules.builtin', 'modules.builtin.modinfo'])(
    'a list beside the modules that is no list is not read: %s',
    async (name) => {
      tree.add({ 'kernel/hello.ko': 'hello.ko' });
      sparse(name, 700 * 2 ** 20);
      const { code, err } = await depmod();
      expect(err).toContain(`could not open ${name} at ${tree.folder}: File too large`);
      expect(code).toBe(0);
      expect(index('modules.dep')).toBe('kernel/hello.ko:\n');
    },
  );

  it('below a file', async () => {
    tree.write('file', 'x');
    const file = join(tree.folder, 'file');
    const { code, err } = await run('depmod', ['-b', file, '-C', `${file}/x`, RELEASE]);
    expect(code).toBe(1);
    expect(err).toMatch(/^depmod: ERROR: could not open directory \S+: Not a directory\n/);
    const asked = await run('modprobe', ['-C', `${file}/x`, '-d', file, '-S', RELEASE, '-D', 'ext4']);
    expect(asked.err).toMatch(/^modprobe: FATAL: Module ext4 not found in directory /);
  });

  it('with files that unpack to more than any module', async () => {
    tree.write('a.ko.gz', gzipBomb()).write('b.ko.zst', zstdBomb()).add({ 'hello.ko': 'hello.ko' });
    for (const [path, kind] of [
      ['a.ko.gz', 'gz'],
      ['b.ko.zst', 'zst'],
    ]) {
      const { code, err } = await modinfo(path);
      expect(code).toBe(1);
      expect(err).toContain(`${kind}: unpacks to more than any module\n`);
      expect(err).toMatch(/could not get modinfo from '[ab]': Cannot allocate memory\n$/);
    }
    const { code, err } = await depmod();
    expect(code).toBe(0);
    expect(err).toContain(`failed to load symbols from ${tree.folder}/a.ko.gz: Cannot allocate memory\n`);
    expect(index('modules.dep')).toContain('hello.ko:\n');
  }, 600_000);

  it('with gigabytes of zeros', async () => {
    sparse('two.ko', 2 ** 31);
    sparse('five.ko', 5 * 2 ** 30);
    tree.add({ 'hello.ko': 'hello.ko' });
    for (const path of ['two.ko', 'five.ko'])
      expect(await modinfo(path)).toMatchObject({
        code: 1,
        err: expect.stringMatching(/Exec format error\n$/),
      });
    expect((await depmod()).err).toContain(`symbols from ${tree.folder}/five.ko: Exec format error\n`);
    expect(index('modules.dep')).toContain('hello.ko:\n');
  }, 600_000);

  it('with files that are cut short while they are read', () => {
    const path = join(tree.folder, 'shrinks.ko');
    tree.write(
      'shrinks.ko',
      Buffer.concat([readFileSync('fixtures/linux/built/hello.ko'), Buffer.alloc(1 << 20)]),
    );
    const read = () =>
      new ModuleReader().with(path, (source) => {
        truncateSync(path, 100_000);
        return source.read(source.size - 4096, 4096);
      });
    expect(read).toThrow(expect.objectContaining({ name: 'SourceError', code: 'EIO' }));
    // And one that is gone when its turn comes.
    expect(() => new ModuleReader().with(`${path}.gone`, () => 0)).toThrow(
      expect.objectContaining({ code: 'ENOENT' }),
    );
  });

  it('with files of a few bytes', async () => {
    tree.write('a.ko', '').write('b.ko', '\x7fELF').write('c.ko', '\x7fELF\x02\x01\x01\x00');
    for (const [path, why] of [
      ['a.ko', 'Invalid argument'],
      ['b.ko', 'Invalid argument'],
      ['c.ko', 'Exec format error'],
    ])
      expect((await modinfo(path)).err).toMatch(new RegExp(`from '[abc]': ${why}\\n$`));
  });

  it.skipIf(onWindows)(
    'with links in a ring, and line feeds in names',
    async () => {
      tree.add({ 'hello.ko': 'hello.ko', 'two\nlines.ko': 'exporter.ko', 'deep/er/leak.ko': 'leak.ko' });
      symlinkSync('ring.ko', join(tree.folder, 'ring.ko'));
      symlinkSync('..', join(tree.folder, 'deep/up'));
      const { code, err } = await depmod();
      expect(code).toBe(0);
      expect(err).toMatch(/fstatat\(\d+, ring\.ko\): Too many levels of symbolic links\n/);
      expect(err).toMatch(/deep\/up: leads back to a folder that it is in, and is not searched\n/);
      expect(index('modules.dep')).toContain('hello.ko:\n');
      const told = await run('modprobe', [
        '-D',
        '-d',
        tree.root,
        '-S',
        RELEASE,
        '-C',
        '/nonexistent',
        'hello',
      ]);
      expect(told.out).toMatch(/insmod .*hello\.ko \n/);
    },
    600_000,
  );

  it('with a configuration of a hundred megabytes', async () => {
    tree.add({ 'hello.ko': 'hello.ko' });
    await depmod();
    tree.write('big.conf', Buffer.alloc(100 << 20, 'alias some-alias-name some_module_name\n'));
    const config = join(tree.folder, 'big.conf');
    const { code, out, err } = await run('modprobe', [
      '-D',
      '-d',
      tree.root,
      '-S',
      RELEASE,
      '-C',
      config,
      'hello',
    ]);
    expect(code).toBe(0);
    expect(out).toMatch(/^insmod .*hello\.ko \n$/);
    expect(err).toContain('bytes are more than any configuration has');
    tree.write('long.conf', Buffer.concat([Buffer.from('options hello x='), Buffer.alloc(8 << 20, 'y')]));
    const long = await run('modprobe', [
      '-D',
      '-d',
      tree.root,
      '-S',
      RELEASE,
      '-C',
      join(tree.folder, 'long.conf'),
      'hello',
    ]);
    expect(long.out.length).toBeGreaterThan(8 << 20);
  }, 600_000);
});
