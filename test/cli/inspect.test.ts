import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FormatError } from '../../src/bytes/errors.ts';
import { moduleFacts } from '../../src/cli/module-facts.ts';
import { packagedPath } from '../../src/cli/packaged.ts';
import { SHT } from '../../src/formats/elf/layout.ts';
import { readElf } from '../../src/formats/elf/read.ts';
import fc from '../properties.ts';
import { runLine } from './fake.ts';

const built = (name: string) => packagedPath(join('fixtures', 'linux', 'built', name));
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'lkm-inspect-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, bytes: Uint8Array | string): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

describe('lkm inspect', () => {
  it('shows one screen', async () => {
    const { code, out, err } = await runLine([built('hello.ko')]);
    expect([code, err]).toEqual([0, '']);
    expect(out).toMatch(/^ {2}is +Linux kernel module$/m);
    expect(out).toMatch(/^ {2}format +ELF, 64 bit, little-endian, relocatable, for x86-64; \d+ bytes$/m);
    expect(out).toMatch(/^ {2}licence +GPL$/m);
    expect(out).toMatch(/^ {2}parameters +times \(int\): how often, 1 to 5$/m);
    expect(out).toMatch(/^ {2}signature +none$/m);
    expect(out.split('\n').length).toBeLessThan(25);
  });

  it('lists what is asked for', async () => {
    const { out } = await runLine(['inspect', '--imports', '--exports', '--sections', built('exporter.ko')]);
    expect(out).toMatch(/^Needs \(version, name\): [1-9]/m);
    expect(out).toMatch(/^ {2}0x[0-9a-f]{8} {2}_printk$/m);
    expect(out).toMatch(/^Offers \(version, name\): [1-9]/m);
    expect(out).toContain('(GPL only');
    expect(out).toMatch(/^ +\d+ {2}\.text +RX$/m);
  });

  it('writes JSON, one object a file', async () => {
    const { out } = await runLine(['inspect', '--json', built('hello.ko'), built('params.ko')]);
    const objects = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(objects.map(({ schema }) => schema)).toEqual(['lkm.inspect/1', 'lkm.inspect/1']);
    expect(objects[0]).toMatchObject({ machine: 'x86-64', bits: 64, stripped: false, compression: null });
    expect(objects[0].modinfo).toContainEqual({ tag: 'name', value: 'hello' });
    const { imports } = objects[0].module as { imports: unknown[] };
    expect(imports).toContainEqual({
      name: '_printk',
      weak: false,
      crc: expect.stringMatching(/^0x[0-9a-f]{8}$/),
    });
  });

  it('opens compressed modules', async () => {
    const { out } = await runLine([file('hello.ko.gz', gzipSync(readFileSync(built('hello.ko'))))]);
    expect(out).toMatch(/for x86-64; \d+ bytes,\s+\d+\s+bytes as gz/);
  });

  it('shows text hidden behind a NUL byte in the licence', async () => {
    const bytes = readFileSync(built('hello.ko'));
    const at = bytes.indexOf('description=Greets');
    bytes.write('license=GPL\0for\0', at, 'latin1');
    const { out } = await runLine([file('nul.ko', bytes)]);
    expect(out).toMatch(/^ {2}BEWARE +.*"for"/m);
  });

  it('says of a file that is no module what it is', async () => {
    const cases = [
      [file('a.sys', `MZ${'x'.repeat(100)}`), 'PE file'],
      [file('vmlinuz', `${'\0'.repeat(0x202)}HdrS`), 'lkm kernel FILE'],
      [file('empty.ko', ''), 'the file is empty'],
      [file('half.ko', readFileSync(built('hello.ko')).subarray(0, 3000)), 'ends too early'],
      [file('a.ko.bz2', 'BZh91AY&SY'), 'compressed with bzip2'],
      [file('readme.txt', '# lkm'), 'begins with 23 20 6c 6b'],
      [folder, 'Contents/Info.plist'],
    ] as const;
    for (const [path, message] of cases) {
      const { code, err } = await runLine([path]);
      expect([code, err.includes(message) ? message : err]).toEqual([1, message]);
    }
  });

  it('goes on with the other files and fails in the end', async () => {
    const { code, out, err } = await runLine(['inspect', '/nowhere.ko', built('hello.ko')]);
    expect(code).toBe(1);
    expect(err).toContain('/nowhere.ko: no such file');
    expect(out).toContain('Linux kernel module');
  });

  it('does not hang on a namespace symbol far outside its table', () => {
    const bytes = Uint8Array.from(readFileSync(built('exporter.ko')));
    const elf = readElf(bytes);
    const symbols = elf.symbols()?.all() ?? [];
    const at = symbols.findIndex(({ name }) => name.startsWith('__kstrtabns_'));
    const table = elf.sectionOfType(SHT.SYMTAB)?.offset ?? 0;
    bytes[table + at * 24 + 15] = 0xa2;
    expect(moduleFacts(bytes).description.exports.length).toBeGreaterThan(1);
  });

  it('answers any damage with a typed error, in bounded time', () => {
    const whole = readFileSync(built('exporter.ko'));
    const change = fc.record({ at: fc.nat(whole.length - 1), value: fc.nat(255) });
    fc.assert(
      fc.property(fc.nat(whole.length), fc.array(change, { maxLength: 8 }), (length, changes) => {
        const bytes = Uint8Array.from(whole);
        for (const { at, value } of changes) bytes[at] = value;
        try {
          moduleFacts(bytes.subarray(0, changes.length > 2 ? bytes.length : length));
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
