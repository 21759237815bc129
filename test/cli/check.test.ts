import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { packagedPath } from '../../src/cli/packaged.ts';
import { runLine } from './fake.ts';

const built = (name: string) => packagedPath(join('fixtures', 'linux', 'built', name));

const check = (...words: string[]) => runLine(['check', ...words]);

describe('lkm check', () => {
  it('shows one screen for a module that loads', async () => {
    const { code, out, err } = await check(built('hello.ko'));
    expect([code, err]).toEqual([0, '']);
    expect(out).toMatch(/hello\.ko on 6\.1\.0-56-amd64: LOADS$/m);
    expect(out).toMatch(/^ {2}kernel says {2}hello: loading out-of-tree module taints kernel\.$/m);
    expect(out).toMatch(/^ {2}taints +O: .*; E: /m);
    expect(out).toContain('What its own start function decides is not judged.');
    expect(out.split('\n').length).toBeLessThan(15);
  });

  it('shows one screen for a module that is refused', async () => {
    const { code, out } = await check(built('wrong_crc.ko'));
    expect(code).toBe(1);
    expect(out).toMatch(/: REFUSED with EINVAL \(22\)$/m);
    expect(out).toMatch(/^ {2}rule +symbols: /m);
    expect(out).toMatch(/\(built against 0x[0-9a-f]{8}, here 0x[0-9a-f]{8}\)/);
    expect(out).toMatch(/^ +hello: disagrees about version of symbol _printk$/m);
    expect(out.split('\n').length).toBeLessThan(25);
  });

  it('lists every rule when asked', async () => {
    const { out } = await check('--rules', built('wrong_vermagic.ko'));
    expect(out).toMatch(/^ {4}pass +elf-magic +the file is an ELF file$/m);
    expect(out).toMatch(/^ {4}REFUSE +vermagic /m);
    expect(out).toMatch(/^ {4}- +symbols /m);
  });

  it('writes JSON, one object a pair', async () => {
    const { code, out } = await check('--json', built('hello.ko'), built('empty.ko'));
    expect(code).toBe(1);
    const objects = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(objects).toMatchObject([
      { schema: 'lkm.check/1', answer: 'loads', system: 'linux', kernel: { release: '6.1.0-56-amd64' } },
      { schema: 'lkm.check/1', answer: 'refused' },
    ]);
  });

  it('finds what must come first among the files given', async () => {
    const alone = await check(built('importer_plain.ko'));
    expect(alone.code).toBe(3);
    expect(alone.out).toMatch(/CANNOT TELL/);
    expect(alone.out).toMatch(/exporter/);
    const { code, out } = await check(built('importer_plain.ko'), built('exporter.ko'));
    expect(code).toBe(0);
    expect(out).toMatch(/^ {2}load first +exporter$/m);
  });

  it('takes the state of the kernel from options', async () => {
    const line = async (...words: string[]) => (await check(built('hello.ko'), ...words)).out;
    expect(await line('--sig-enforce')).toMatch(/REFUSED with EKEYREJECTED/);
    expect(await line('--modules-disabled')).toMatch(/rule +modules-disabled/);
    expect(await line('--cmdline', 'module_blacklist=hello')).toMatch(/Module hello is blacklisted/);
    expect(await line('--set', 'loaded=hello')).toMatch(/REFUSED with EEXIST/);
  });

  it('tells usage errors apart from answers', async () => {
    expect((await check(built('hello.ko'), '--kernel', 'no/such/file')).code).toBe(1);
    expect((await check(built('hello.ko'), '--set', 'nonsense=1')).code).toBe(2);
    expect((await check(built('hello.ko'), '--kernel', packagedPath('README.md'))).code).toBe(2);
  });
});
