import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
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

  it('says which kernel at hand a module for another machine is for, and refuses settings that say neither yes nor no', async () => {
    const other = packagedPath(join('fixtures', 'linux', 'built-686', 'hello.ko'));
    const { code, out } = await check(other);
    expect(code).toBe(1);
    expect(out.replaceAll(/\s+/g, ' ')).toContain('It is for i386, as --kernel builtin:debian-6.1-686 is.');
    const unclear = await check(built('hello.ko'), '--set', 'packed=maybe');
    expect(unclear).toMatchObject({ code: 2, err: expect.stringContaining('packed=maybe: yes or no') });
  });

  it('takes a configuration and a symbol list of one release in a folder for its parts', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'parts-'));
    try {
      const options = ['X86_64', '64BIT', 'SMP', 'MODULE_UNLOAD', 'MODVERSIONS', 'PREEMPT_DYNAMIC'];
      const config = options.map((name) => `CONFIG_${name}=y\n`).join('');
      writeFileSync(join(folder, 'config-6.1.0-parts'), `# CONFIG_UML is not set\n${config}`);
      writeFileSync(join(folder, 'Module.symvers'), '0x12345678\t_printk\tvmlinux\tEXPORT_SYMBOL\t\n');
      for (const kernel of [folder, join(folder, 'Module.symvers')]) {
        const { out } = await check(built('hello.ko'), '--kernel', kernel);
        expect(out).toContain('on 6.1.0-parts: REFUSED');
        expect(out).toContain('_printk (built against 0x92997ed8, here 0x12345678)');
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('names what is missing before anything is shown', async () => {
    const driver = packagedPath(join('fixtures', 'windows', 'built', 'failing.sys'));
    const alone = await check(built('hello.ko'), driver);
    expect(alone).toMatchObject({ code: 2, out: '' });
    expect(alone.err).toContain('is a module of Windows, and no kernel of Windows was named');
    expect(alone.err).toContain('Give one with --kernel: builtin:windows-10');
    const given = await check(driver, '--kernel', 'builtin:debian-6.1');
    expect(given.err).toContain('is a module of windows, the kernels are of linux');
    const future = await check(driver, '--kernel', 'builtin:macos-99');
    expect(future.err).toMatch(/^lkm: builtin:macos-99: there are macos-/);
    expect(future.err).toContain(
      '  There are builtin:debian-6.1, builtin:debian-6.1-686, builtin:windows-10',
    );
    const unruled = await check(packagedPath('fixtures/netware/built/CLIENT.NLM'));
    expect(unruled).toMatchObject({ code: 2, err: expect.stringContaining('rules lkm check does not know') });
    const nowhere = await check(built('hello.ko'), '--built-against', '/no/such/kernel');
    expect(nowhere).toMatchObject({ code: 2, out: '' });
  });

  it('checks each module against the kernels of its system', async () => {
    const driver = packagedPath(join('fixtures', 'windows', 'built', 'failing.sys'));
    const kernels = ['--kernel', 'builtin:debian-6.1', '--kernel', 'builtin:windows-11'];
    const { out } = await check(built('hello.ko'), driver, ...kernels);
    expect(out).toMatch(/hello\.ko on 6\.1\.0-56-amd64: LOADS$/m);
    expect(out.match(/ on /g)?.length).toBeGreaterThanOrEqual(2);
    const table = await check('--matrix', built('hello.ko'), driver, ...kernels);
    expect(table.out).toMatch(/^hello +\+ {2}- {3}other-system$/m);
  });

  it('knows the modules of a folder by what they are', async () => {
    const machine = packagedPath(join('fixtures', 'solaris', 'machine'));
    const kernel = join(machine, 'kernel/amd64/genunix');
    const { err, out } = await check('--matrix', machine, '--kernel', kernel);
    expect(err).toBe('');
    // No file there has a suffix; kernels and configuration files are no modules.
    const rows = out.split('\n').flatMap((line) => /^(\w+) +[-+?]/.exec(line)?.[1] ?? []);
    expect(rows).toEqual(['echo', 'busy', 'hello', 'stray', 'tally', 'teller', 'sumcall']);

    const folder = mkdtempSync(join(tmpdir(), 'lkm-mixed-'));
    try {
      const put = (name: string, from: string) =>
        writeFileSync(join(folder, name), readFileSync(packagedPath(join('fixtures', from))));
      put('nameless', 'freebsd/built/hello.ko');
      put('kernel', 'freebsd/built/kernel-13.2');
      put('hello.ko', 'linux/built/hello.ko');
      // What kbuild made the module of.
      put('hello.mod.o', 'linux/built/hello.ko');
      put('failing.sys', 'windows/built/failing.sys');
      const mixed = await check(folder, '--kernel', join(folder, 'kernel'));
      expect(mixed.out).toMatch(/nameless on FreeBSD 13\.2 amd64: LOADS$/m);
      expect(mixed.err.split('\n').sort()).toEqual([
        '',
        'lkm: 1 module of linux is passed over: no kernel of linux was named',
        'lkm: 1 module of windows is passed over: no kernel of windows was named',
      ]);
      const none = await check(folder, '--kernel', 'builtin:macos-10.9');
      expect(none).toMatchObject({ code: 2, out: '' });
    } finally {
      rmSync(folder, { recursive: true });
    }
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

  it('tells what modprobe is asked to load before, and where there is none', async () => {
    const { out } = await check(built('metadata.ko'), built('exporter.ko'));
    expect(out).toMatch(/^ {2}load first +exporter \(if it can be\)$/m);
    const alone = await check(built('metadata.ko'));
    expect(alone.out).toContain('It asks modprobe to load exporter before, if there is such a');
    expect(alone.out).not.toContain('load first');
  });

  it('takes words with = as arguments of the module', async () => {
    const { code, out } = await check(built('params.ko'), 'a_byte=256');
    expect(code).toBe(1);
    expect(out).toContain('REFUSED with ERANGE (34)');
    expect(out).toContain("params: `256' invalid for parameter `a_byte'");
    expect((await check(built('params.ko'), '--args', 'a_bool a_byte=255')).code).toBe(0);
    expect((await check('a_byte=1')).code).toBe(2);
    const quoted = await check(built('params.ko'), 'a_string=a b c d e f');
    expect(quoted.out).toContain("params: `a b c d e f' too large for parameter `a_string'");
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

  it('looks for what must come first among modules alone, whatever else is given', async () => {
    const board = packagedPath(join('fixtures', 'macos', 'built', 'Board.kext'));
    const kernels = ['--kernel', 'builtin:debian-6.1', '--kernel', 'builtin:macos-10.9'];
    // Nobody exports what it wants, so every file is asked.
    const { code, out } = await check(built('missing.ko'), board, ...kernels);
    expect([code, out]).toEqual([
      1,
      expect.stringContaining('missing.ko on 6.1.0-56-amd64: REFUSED with ENOENT'),
    ]);
  });

  it('takes the state of the kernel from options', async () => {
    const line = async (...words: string[]) => (await check(built('hello.ko'), ...words)).out;
    expect(await line('--sig-enforce')).toMatch(/REFUSED with EKEYREJECTED/);
    expect(await line('--modules-disabled')).toMatch(/rule +modules-disabled/);
    expect(await line('--cmdline', 'module_blacklist=hello')).toMatch(/Module hello is blacklisted/);
    expect(await line('--set', 'loaded=hello')).toMatch(/REFUSED with EEXIST/);
  });

  it('tells usage errors apart from answers', async () => {
    expect((await check(built('hello.ko'), '--kernel', 'no/such/file')).code).toBe(2);
    expect((await check(built('hello.ko'), '--set', 'nonsense=1')).code).toBe(2);
    expect((await check(built('hello.ko'), '--kernel', packagedPath('README.md'))).code).toBe(2);
  });
});

describe('lkm check --matrix', () => {
  const modules = ['hello', 'wrong_vermagic', 'importer_plain', 'exporter'].map((name) =>
    built(`${name}.ko`),
  );
  const two = ['--kernel', 'builtin:debian-6.1', '--kernel', 'builtin:debian-6.1-686'];

  it('is a table of modules and kernels', async () => {
    const { code, out } = await check('--matrix', ...modules, ...two);
    expect(code).toBe(1);
    expect(out).toMatch(/^ {2}1 {2}6\.1\.0-56-amd64: 3 load, 1 refused/m);
    // Two files have the name hello: they are told by their paths.
    expect(out).toMatch(/built\/hello\.ko +\+ {2}- {3}elf-machine$/m);
    expect(out).toMatch(/^importer_plain +\+ {2}-/m);
  });

  it('has a column for a kernel that cannot be read', async () => {
    const { code, out } = await check(
      '--matrix',
      built('hello.ko'),
      ...two,
      '--kernel',
      built('hello.ko.nowhere'),
    );
    expect(code).toBe(1);
    expect(out).toMatch(/^ {2}3 {2}unreadable: .+nowhere: 0 load, 0 refused, 1 not known/m);
    expect(out).toMatch(/^hello +\+ {2}- {2}\? {3}elf-machine, unreadable$/m);
  });

  it('has bundles of macOS beside modules of Linux', async () => {
    const kext = packagedPath(join('fixtures', 'macos', 'built', 'Hello.kext'));
    const kernels = ['--kernel', 'builtin:debian-6.1', '--kernel', 'builtin:macos-10.9'];
    const { err, out } = await check('--matrix', built('hello.ko'), kext, ...kernels);
    expect(err).toBe('');
    expect(out).toMatch(/^hello +\+ {2}- {3}other-system$/m);
    expect(out).toMatch(/^\S+ +- {2}\+ {3}other-system$/m);
    const folder = await check('--matrix', join(kext, '..'), '--kernel', 'builtin:macos-10.9');
    expect(folder.out).toMatch(/^org\.lkm\.Hello +\+$/m);
  });

  it('is not made when no kernel can be read', async () => {
    const { code, err } = await check('--matrix', built('hello.ko'), '--kernel', built('nowhere'));
    expect(code).toBe(2);
    expect(err).toContain('nowhere');
  });

  it('is JSON, a page, and test results', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lkm-check-'));
    try {
      const [html, junit] = [join(folder, 'm.html'), join(folder, 'm.xml')];
      const { out } = await check('--json', '--html', html, '--junit', junit, ...modules, ...two);
      const matrix = JSON.parse(out) as {
        schema: string;
        rows: { name: string; cells: { answer: string }[] }[];
      };
      expect(matrix.schema).toBe('lkm.check.matrix/1');
      expect(matrix.rows[1]).toMatchObject({
        cells: [{ answer: 'refused', rule: 'vermagic', error: 'ENOEXEC' }, {}],
      });
      expect(readFileSync(html, 'utf8')).toMatch(
        /<td class="refused" title="[^"]+">refused: vermagic \(ENOEXEC\)<\/td>/,
      );
      expect(readFileSync(junit, 'utf8')).toMatch(
        /<testsuite name="6\.1\.0-56-amd64" tests="4" failures="1" skipped="0"/,
      );
      const base = join(folder, 'base.json');
      writeFileSync(base, out);
      expect(await check('--baseline', base, ...modules, ...two)).toMatchObject({
        code: 0,
        out: 'Nothing changed.\n',
      });
      const changed = await check(
        '--baseline',
        base,
        '--cmdline',
        'module_blacklist=hello',
        ...modules,
        ...two,
      );
      expect(changed.code).toBe(1);
      expect(changed.out).toBe(
        'hello on 6.1.0-56-amd64: loads -> refused (blacklist)\n' +
          'hello (2) on 6.1.0-56-amd64: refused (vermagic) -> refused (blacklist)\n',
      );
      expect((await check('--baseline', html, ...modules)).code).toBe(2);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('names the fewest builds that serve all kernels', async () => {
    const both = [built('hello.ko'), packagedPath('fixtures/linux/built-686/hello.ko')];
    const { code, out } = await check('--min-set', ...both, built('wrong_vermagic.ko'), ...two);
    expect(code).toBe(0);
    expect(out).toMatch(/^hello: 2 of 3 builds for 2 of 2 kernels$/m);
    expect((await check('--min-set', built('hello.ko'), ...two)).code).toBe(1);
  });
});
