/** Trees of modules from before 2.6. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { run } from './tree.ts';

const RELEASE = '2.4.27-3';
let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'lkm-old-'));
});
afterEach(() => rmSync(root, { recursive: true }));

const folder = (release: string) => join(root, 'lib/modules', release);
const built = (machine: string, name: string) => join('fixtures/linux/built-before26', machine, `${name}.o`);
function put(machine: string, release = RELEASE): void {
  for (const [name, place] of [
    ['meter', 'kernel/drivers/meter.o'],
    ['display', 'kernel/net/display.o'],
  ]) {
    const path = join(folder(release), place);
    mkdirSync(dirname(path), { recursive: true });
    cpSync(built(machine, name), path);
  }
}
const read = (name: string, release = RELEASE) => readFileSync(join(folder(release), name), 'latin1');
const depmod = (...words: string[]) => run('depmod', ['-b', root, '-C', '/nonexistent', ...words]);

describe('modules from before 2.6', () => {
  it.each(['i386', 'x86-64', 'mips'])('are indexed and found (%s)', async (machine) => {
    put(machine);
    expect(await depmod(RELEASE)).toMatchObject({ code: 0 });
    expect(read('modules.dep').split('\n').sort()).toEqual([
      '',
      'kernel/drivers/meter.o:',
      'kernel/net/display.o: kernel/drivers/meter.o',
    ]);
    expect(read('modules.symbols').split('\n').slice(1, -1).sort()).toEqual([
      'alias symbol:meter_read meter',
      'alias symbol:meter_reset meter',
    ]);
    const where = ['-d', root, '-S', RELEASE, '-C', '/nonexistent'];
    const file = (path: string) => `insmod ${folder(RELEASE)}/${path} \n`;
    expect((await run('modprobe', [...where, '-D', 'symbol:meter_read'])).out).toBe(
      file('kernel/drivers/meter.o'),
    );
    expect((await run('modprobe', [...where, '-D', 'display'])).out).toBe(
      file('kernel/drivers/meter.o') + file('kernel/net/display.o'),
    );
  });

  it('may be packed with gzip', async () => {
    put('i386');
    const path = join(folder(RELEASE), 'kernel/drivers/meter.o');
    writeFileSync(`${path}.gz`, gzipSync(readFileSync(path)));
    rmSync(path);
    await depmod(RELEASE);
    expect(read('modules.dep')).toContain('kernel/net/display.o: kernel/drivers/meter.o.gz\n');
  });

  it('are looked for in System.map under their plain names', async () => {
    put('i386');
    const map = join(root, 'System.map');
    writeFileSync(map, 'c0100000 T stext\nc0200000 R __ksymtab_printk_R1b7d4074\n');
    expect((await depmod('-n', '-e', '-F', map, RELEASE)).err).not.toContain('unknown symbol');
    writeFileSync(map, 'c0100000 T stext\n');
    expect((await depmod('-n', '-e', '-F', map, RELEASE)).err).toContain(
      `WARNING: ${folder(RELEASE)}/kernel/net/display.o needs unknown symbol printk\n`,
    );
  });

  it('are passed over as kmod does in newer trees, and with --compat', async () => {
    put('i386', '6.1.0');
    await depmod('6.1.0');
    expect(read('modules.dep', '6.1.0')).toBe('');
    put('i386');
    await depmod('--compat', RELEASE);
    expect(read('modules.dep')).toBe('');
  });

  it('tell modinfo what later ones tell', async () => {
    const path = join(process.cwd(), built('i386', 'meter'));
    const { code, out } = await run('modinfo', [path]);
    expect(code).toBe(0);
    expect(out.split('\n')).toEqual([
      `filename:       ${path}`,
      'kernel_version: 2.4.27-3',
      'using_checksums:1',
      'license:        GPL',
      'author:         The authors of lkm',
      'description:    A meter that others read',
      'parm:           limits:up to four limits (array of short, 1 to 4)',
      'parm:           name:what it is called (string)',
      'parm:           step:what each reading adds (int)',
      '',
    ]);
    expect((await run('modinfo', ['-F', 'license', path])).out).toBe('GPL\n');
    expect((await run('modinfo', ['--compat', path])).code).toBe(1);
  });
});
