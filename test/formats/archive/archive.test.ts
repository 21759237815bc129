import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { FormatError } from '../../../src/bytes/errors.ts';
import { ArchiveTree, TreeError } from '../../../src/catalog/file-tree.ts';
import { writeCpio } from '../../../src/formats/archive/cpio-write.ts';
import { readArchive } from '../../../src/formats/archive/read.ts';
import { leaveOut, withoutProgram } from '../../leave-out.ts';
import fc from '../../properties.ts';
import { cpio, deb, gz, join, type Made, rpm, tar, zip } from './build.ts';

const FILES: readonly Made[] = [
  { path: './lib' },
  { path: './lib/modules/6.1/kernel/a.ko', text: 'first' },
  { path: './lib/modules/6.1/kernel/b.ko', text: 'second' },
  { path: './lib/modules/6.1/empty', text: '' },
];

const text = (bytes: Uint8Array): string => String.fromCharCode(...bytes);

function treeOf(bytes: Uint8Array): ArchiveTree {
  const archive = readArchive(bytes);
  if (archive === undefined) throw new Error('no archive');
  return new ArchiveTree('test', archive.entries);
}

describe('an archive', () => {
  it.each<[string, string, Uint8Array]>([
    ['tar', 'tar', tar(FILES)],
    ['tar with long names of GNU', 'tar', tar(FILES, 'gnu')],
    ['tar with pax records', 'tar', tar(FILES, 'pax')],
    ['tar.gz', 'tar', gz(tar(FILES))],
    ['cpio', 'cpio', cpio(FILES)],
    ['zip', 'zip', zip(FILES)],
    ['deb', 'deb', deb(gz(tar(FILES)))],
    ['rpm', 'rpm', rpm(gz(cpio(FILES)))],
    ['initramfs', 'cpio', join([cpio([{ path: 'early', text: 'x' }]), new Uint8Array(512), gz(cpio(FILES))])],
  ])('%s is a tree', (_name, format, bytes) => {
    expect(readArchive(bytes)?.format).toBe(format);
    const tree = treeOf(bytes);
    expect(text(tree.read('lib/modules/6.1/kernel/a.ko'))).toBe('first');
    expect(text(tree.read('lib/modules//6.1/./kernel/../kernel/b.ko'))).toBe('second');
    expect(tree.list('lib/modules/6.1').map(({ name, kind }) => `${name} ${kind}`)).toEqual([
      'kernel folder',
      'empty file',
    ]);
    expect(tree.stat('lib/modules/6.1/kernel/b.ko')).toMatchObject({ kind: 'file', size: 6 });
    expect(tree.stat('lib/modules/6.2')).toBeUndefined();
    expect(() => tree.read('lib/none')).toThrow(TreeError);
  });

  it.skipIf(leaveOut(import.meta.url, withoutProgram('bzip2') || withoutProgram('lz4')))(
    'may be packed with bzip2 and lz4',
    () => {
      const by = (program: string, bytes: Uint8Array) => spawnSync(program, ['-c'], { input: bytes }).stdout;
      const early = cpio([{ path: 'early', text: 'x' }]);
      for (const bytes of [
        by('bzip2', tar(FILES)),
        deb(by('bzip2', tar(FILES))),
        by('lz4', tar(FILES)),
        join([early, new Uint8Array(512), by('lz4', cpio(FILES))]),
      ])
        expect(text(treeOf(bytes).read('lib/modules/6.1/kernel/b.ko'))).toBe('second');
    },
  );

  it('follows links inside and nowhere else', () => {
    const tree = treeOf(
      tar([
        { path: 'lib', link: 'usr/lib' },
        { path: 'usr/lib/a', text: 'A' },
        { path: 'lib/b', text: 'B' },
        { path: 'up', link: '../../../../usr/lib/a' },
        { path: 'loop', link: 'loop' },
        { path: '../outside', text: 'no' },
      ]),
    );
    expect(text(tree.read('lib/a'))).toBe('A');
    expect(text(tree.read('usr/lib/b'))).toBe('B');
    expect(text(tree.read('up'))).toBe('A');
    expect(() => tree.read('loop')).toThrow('ELOOP');
    expect(tree.list('').map(({ name }) => name)).not.toContain('outside');
  });

  it('is nothing else', () => {
    expect(readArchive(new Uint8Array(600))).toBeUndefined();
    expect(readArchive(Uint8Array.from('plain text', (char) => char.charCodeAt(0)))).toBeUndefined();
  });

  it.each<[string, Uint8Array]>([
    ['tar', tar(FILES, 'pax')],
    ['cpio', cpio(FILES)],
    ['zip', zip(FILES)],
    ['deb', deb(gz(tar(FILES)))],
    ['rpm', rpm(gz(cpio(FILES)))],
  ])('%s that is damaged is refused or read, in bounded time', (_name, good) => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 4 }),
        fc.nat(good.length),
        (changes, length) => {
          const bytes = good.slice(0, good.length - (length % 3 === 0 ? length : 0));
          for (const [at, byte] of changes) if (at < bytes.length) bytes[at] = byte;
          try {
            for (const entry of readArchive(bytes)?.entries ?? []) entry.bytes();
          } catch (error) {
            expect(error).toBeInstanceOf(FormatError);
          }
        },
      ),
      { numRuns: 600 },
    );
  });
});

describe('a cpio archive that is written', () => {
  it('is read as it was, with the folders of its files', () => {
    const module = Uint8Array.from([1, 2, 3, 4, 5]);
    const files = new Map([
      ['lib/modules/a.ko', module],
      ['lib/ü', new Uint8Array(0)],
    ]);
    const archive = readArchive(writeCpio(files));
    expect(archive?.format).toBe('cpio');
    expect(archive?.entries.find(({ path }) => path.endsWith('a.ko'))?.bytes()).toEqual(module);
    // Names are bytes here, and were written in UTF-8.
    expect(archive?.entries.map(({ path, kind }) => [path, kind])).toEqual([
      ['lib', 'folder'],
      ['lib/modules', 'folder'],
      ['lib/modules/a.ko', 'file'],
      ['lib/\u00c3\u00bc', 'file'],
    ]);
  });
});
