/** The Mach-O and property list readers against LLVM's tools and libplist: our bundles, and objects of several machines. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { writeFat } from '../formats/macho/build-fat.ts';
import { BUILT } from '../systems/macos/fixtures.ts';
import { compareExecutable, comparePlist, kextsBelow } from './macho-llvm.ts';
import { needsTool } from './require.ts';

const [objdump, readobj, plistutil, clang] = ['llvm-objdump', 'llvm-readobj', 'plistutil', 'clang'].map(
  needsTool,
);
const folder = mkdtempSync(join(tmpdir(), 'lkm-macho-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const SOURCE = `extern int other(int); extern int counter; static int local = 3; int *where = &local;
int (*table[])(int) = { other, 0 }; __attribute__((weak)) int soft(void) { return 1; }
int start(void *ki, void *data) { counter += local; return other(local) + soft(); }`;

/** An object file of one machine; its bytes and path. */
function compile(target: string): string {
  const [source, object] = [join(folder, 'source.c'), join(folder, `${target}.o`)];
  writeFileSync(source, SOURCE);
  execFileSync('clang', ['-target', target, '-fno-common', '-O1', '-g', '-c', source, '-o', object], {
    stdio: 'ignore',
  });
  return object;
}

describe.skipIf(objdump === undefined || readobj === undefined)('the Mach-O reader', () => {
  it.each(kextsBelow(BUILT).filter((path) => !/Codeless|Future/.test(path)))('agrees on %s', (path) => {
    const name = path.slice(path.lastIndexOf('/') + 1, -'.kext'.length);
    const found = compareExecutable(join(path, 'Contents/MacOS', name));
    expect(found.list).toEqual([]);
    expect(found.compared).toBeGreaterThan(40);
  });

  it.skipIf(clang === undefined)(
    'agrees on objects of four machines, and on a universal file of them',
    () => {
      const targets = [
        'x86_64-apple-macos10.13',
        'i386-apple-macos10.6',
        'arm64-apple-macos11',
        'arm64e-apple-macos11',
      ];
      const objects = targets.map(compile);
      for (const object of objects) {
        const found = compareExecutable(object);
        expect(found.list).toEqual([]);
        expect(found.compared).toBeGreaterThan(40);
      }
      for (const bits of [32, 64] as const) {
        const fat = join(folder, `fat${bits}`);
        writeFileSync(fat, writeFat(objects, bits));
        const found = compareExecutable(fat);
        expect(found.list).toEqual([]);
        expect(found.compared).toBeGreaterThan(160);
      }
    },
  );
});

describe.skipIf(plistutil === undefined)('property lists', () => {
  it.each(kextsBelow(BUILT))('mean the same to libplist: %s', (path) => {
    const found = comparePlist(join(path, 'Contents/Info.plist'));
    expect(found.list).toEqual([]);
    expect(found.compared).toBe(1);
  });

  it('with hexadecimal and large integers, offsets of three bytes and every kind of value', () => {
    const path = join(folder, 'odd.plist');
    const many = Array.from({ length: 9000 }, (_, i) => `<string>number ${i}</string>`).join('');
    const text = `<plist version="1.0"><dict><key>a</key><integer>0x7f01</integer><key>b</key><integer>9007199254740995</integer>
      <key>c</key><real>1.25</real><key>d</key><true/><key>e</key><data>AAECAwQ=</data><key>f</key><array>${many}</array>
      <key>g</key><date>2019-12-05T12:31:09Z</date><key>h</key><string>\u00e4\u20ac &lt;x&gt;</string><key>i</key><dict/></dict></plist>`;
    writeFileSync(path, text);
    expect(comparePlist(path).list).toEqual([]);
  });
});
