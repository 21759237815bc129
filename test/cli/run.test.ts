import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { packagedPath } from '../../src/cli/packaged.ts';
import { runLine } from './fake.ts';

const built = (name: string) => packagedPath(`fixtures/linux/built/${name}`);
const scratch = mkdtempSync(join(tmpdir(), 'lkm-run-'));
afterAll(() => rmSync(scratch, { recursive: true }));

interface RunJson {
  schema: string;
  modules: {
    module: string | null;
    neededBy: string | null;
    load: { outcome: string; errno: number | null; why: string } | null;
    unload: object | null;
    registered: { what: string; name: string }[];
    leaks: { address: string; bytes: number; kind: string; where: string }[];
  }[];
  taint: number;
  missing: { name: string; callers: Record<string, number> }[];
  registeredOnly: { what: string; name: string }[];
  log: { time: number; level: number; text: string }[];
}

const json = async (...args: string[]): Promise<RunJson> =>
  JSON.parse((await runLine(['run', '--json', ...args])).out) as RunJson;

describe('lkm run', () => {
  it('shows the log, and says that everything was given back', async () => {
    const { code, out, err } = await runLine(['run', built('hello.ko'), 'whom=Ada', 'times=2']);
    expect([code, out.match(/hello, Ada/g)]).toEqual([0, ['hello, Ada', 'hello, Ada']]);
    expect(out).toMatch(/^\[ {3}0\.0000000\d\d\] hello: goodbye, Ada$/m);
    expect(err).toContain('hello: unloaded; 4 pages (16384 bytes) of its own are given back, and nothing it');
  });

  it('names the system of the module in JSON', async () => {
    const { out } = await runLine(['run', '--json', packagedPath('fixtures/freebsd/built/hello.ko')]);
    expect(JSON.parse(out)).toMatchObject({ schema: 'lkm.run/1', system: 'freebsd' });
  });

  it.each([
    ['linux', 'linux/built/forget.ko'],
    ['freebsd', 'freebsd/built/hello.ko'],
    ['solaris', 'solaris/built/usr/kernel/drv/amd64/echo'],
    ['macos', 'macos/built/Board.kext'],
    ['windows', 'windows/built/hello.sys'],
    ['netware', 'netware/built/LEAKS.NLM'],
    ['vxworks', 'vxworks/built/hello.o'],
  ])('has one shape in JSON: %s', async (_name, file) => {
    const [report] = (await json(packagedPath(`fixtures/${file}`))).modules;
    const keys = 'file neededBy module load unload ownBytes ownPages registered leaks left'.split(' ');
    expect(Object.keys(report)).toEqual(keys);
    const ending = 'outcome code errno rule out err why hint'.split(' ').sort();
    expect(Object.keys(report.load ?? {}).sort()).toEqual(ending);
    expect(Object.keys(report.unload ?? {}).sort()).toEqual(ending);
    expect(report.load).toMatchObject({ outcome: 'loaded', code: 0, errno: 0, rule: null });
    for (const leak of report.leaks)
      expect(Object.keys(leak).sort()).toEqual(['address', 'bytes', 'kind', 'where']);
  });

  it('has one shape in JSON for what is refused', async () => {
    const refused = async (...args: string[]) => (await json(...args)).modules[0].load;
    expect(await refused(packagedPath('fixtures/netware/built/MISSING.NLM'))).toMatchObject({
      outcome: 'refused',
      code: 1,
      errno: null,
      why: 'code 13: nothing has the public NobodyHasThis, NorThis',
    });
    expect(await refused(built('wrong_vermagic.ko'))).toMatchObject({
      outcome: 'refused',
      code: 1,
      errno: 8,
      rule: 'vermagic',
      err: expect.stringMatching(/^insmod: ERROR: could not insert module .*: Invalid module format\n$/),
    });
  });

  it('hands words to the module where the loader takes them', async () => {
    const netware = await runLine(['run', packagedPath('fixtures/netware/built/HELLO.NLM'), 'one', 'two=2']);
    expect(netware.out).toContain('with "one two=2"');
    const query = 'reg query HKLM\\SYSTEM\\CurrentControlSet\\Services\\hello\\Parameters';
    const driver = packagedPath('fixtures/windows/built/hello.sys');
    const windows = await runLine(['run', driver, 'whom=Ada', '--do', query]);
    expect([windows.code, windows.out]).toEqual([0, expect.stringMatching(/whom +REG_SZ +Ada/)]);
    expect((await runLine(['run', driver, 'word'])).err).toContain('word: a driver takes NAME=VALUE');
    const linux = await runLine(['run', built('hello.ko'), 'word']);
    expect([linux.code, linux.out]).toEqual([0, expect.stringContaining("unknown parameter 'word' ignored")]);
  });

  it.each([
    ['FreeBSD', 'freebsd/built/hello.ko', 'kenv'],
    ['Solaris', 'solaris/built/usr/kernel/drv/amd64/echo', '/etc/system'],
    ['macOS', 'macos/built/Board.kext', 'boot-args'],
    ['VxWorks', 'vxworks/built/hello.o', '--do'],
  ])('refuses words before anything is loaded where it takes none: %s', async (title, file, instead) => {
    for (const word of ['word', 'a=1']) {
      const { code, out, err } = await runLine(['run', packagedPath(`fixtures/${file}`), word]);
      expect([code, out]).toEqual([2, '']);
      expect(err).toContain(`there is no file ${word}, and ${title} takes no words with`);
      expect(err).toContain(instead);
    }
  });

  it.each(['linux/built/hello.ko nosuch.ko', 'netware/built/HELLO.NLM NOSUCH.NLM'])(
    'finds a file that is not there before anything is loaded: %s',
    async (line) => {
      const [file, other] = line.split(' ');
      const { code, out, err } = await runLine(['run', packagedPath(`fixtures/${file}`), other]);
      expect([code, out, err]).toEqual([1, '', expect.stringContaining(`${other}: no such file`)]);
      expect((await runLine(['run', 'a=1', packagedPath(`fixtures/${file}`)])).code).toBe(2);
    },
  );

  it('names what modules of FreeBSD, VxWorks and NetWare left standing', async () => {
    const told = async (file: string, ...use: string[]) => {
      const lines = use.flatMap((line) => ['--do', line]);
      const { code, err } = await runLine(['run', packagedPath(`fixtures/${file}`), ...lines]);
      const at = err.indexOf('it forgot to take back:\n');
      return [code, ...(at < 0 ? [] : err.slice(at).split('\n').slice(1, -2))];
    };
    expect(await told('vxworks/built/tasks.o', 'tasksStart 3, 30')).toEqual([
      1,
      '  task tConsumer',
      '  task tProducer',
      expect.stringMatching(/^ {2}watchdog 0xffffffff80[0-9a-f]+ \(tick\+0x0\/0x30 \[tasks\.o\]\)$/),
    ]);
    expect(await told('vxworks/built/tasks.o', 'tasksStart 3, 30', 'tasksStop')).toEqual([0]);
    expect(await told('vxworks/built/ramdev.o', 'ramDrv', 'ramDevCreate "/ram0"')).toEqual([
      1,
      '  device /ram0',
      expect.stringMatching(/^ {2}driver 1 \(ram/),
    ]);
    expect(await told('freebsd/built/careless.ko')).toEqual([
      1,
      '  device /dev/careless',
      expect.stringMatching(/^ {2}callout expire\+0x0\/0x[0-9a-f]+ \[careless\.ko\]$/),
      expect.stringMatching(
        /^ {2}event handler shutdown_final \(shutdown\+0x0\/0x[0-9a-f]+ \[careless\.ko\]\)$/,
      ),
      '  kernel thread careless worker',
      '  taskqueue careless queue',
    ]);
    for (const file of ['echo.ko', 'newcall.ko', 'hello32.ko'])
      expect(await told(`freebsd/built/${file}`), file).toEqual([0]);
    expect(await told('netware/built/THREADS2.NLM')).toEqual([
      1,
      '  semaphore opened in code start+0x105/0x219 [THREADS2.NLM]',
      '  semaphore opened in code start+0x116/0x219 [THREADS2.NLM]',
    ]);
    expect(await told('netware/built/BOARD.LAN')).toEqual([0]);
    // What somebody loaded at the prompt, and left, is not this module's.
    expect(await told('netware/built/HELLO.NLM', 'LOAD THREADS2.NLM')).toEqual([0]);
  });

  it('says of a folder that it is one', async () => {
    const { code, err } = await runLine(['run', scratch]);
    expect([code, err]).toEqual([1, expect.stringContaining('is a directory')]);
  });

  it('names what leaked, by function, and fails', async () => {
    const { code, err } = await runLine(['run', built('leak.ko')]);
    expect(code).toBe(1);
    expect(err).toContain('6 allocations with 26632 bytes are not');
    expect(err).toContain('10000 bytes (vmalloc), taken in leak_init+0x2c [leak]');
    expect((await runLine(['run', built('leak.ko'), 'tidy=1'])).code).toBe(0);
  });

  it('names what was registered and not taken back, and fails', async () => {
    const { code, err } = await runLine(['run', built('forget.ko')]);
    expect(code).toBe(1);
    const told = err.slice(err.indexOf('it forgot to take back:\n')).split('\n').slice(1, -2);
    expect(told).toEqual([
      '  file /dev/forgotten',
      '  file /proc/forgotten',
      '  file /sys/class/misc/forgotten',
      '  folder /sys/devices/virtual/misc/forgotten',
      '  folder /sys/kernel/debug/forgotten',
      '  file system type type [forget]',
      '  timer clock [forget]',
      '  kernel thread forgotten',
      '  probe __x64_sys_getpid',
      '  notifier block [forget]',
    ]);
    const tidy = await runLine(['run', built('forget.ko'), 'tidy=1', '--do', 'mknod /dev/mine c 1 3']);
    expect([tidy.code, tidy.err]).toEqual([0, expect.not.stringContaining('forgot')]);
    // A module that is left in by the user has not been forgotten by this one.
    const more = await runLine(['run', built('hello.ko'), '--do', 'insmod miscdev.ko']);
    expect([more.code, more.err]).toEqual([0, expect.not.stringContaining('forgot')]);
  });

  it('says which entries of the table of system calls were changed', async () => {
    const { err } = await runLine(['run', built('systable.ko')]);
    expect(err).toMatch(
      /systable\.ko: found\n {2}It changed sys_call_table: entry 336 \(leads to table_call \[systable\]\)\.\n/,
    );
    expect(err).not.toContain('forgot');
    const [{ registered }] = (await json(built('systable.ko'))).modules;
    expect(registered).toEqual([
      { what: 'entry of sys_call_table', name: '336 (leads to table_call [systable])' },
    ]);
  });

  it('gives each line of a record its time', async () => {
    const { out } = await runLine(['run', built('positive.ko')]);
    expect(out).toMatch(/^\[ {3}0\.\d+\] do_init_module: loading module anyway\.\.\.$/m);
    const log = await runLine(['linux', '-c', 'insmod positive.ko', '-c', 'dmesg']);
    expect(log.out).toMatch(/^\[ {4}0\.0{6}\] do_init_module: loading module anyway\.\.\.$/m);
  });

  it('lets the time pass that the watchdog speaks of', async () => {
    const { out } = await runLine(['run', built('hostile.ko'), 'how=hlt']);
    expect(out).toMatch(/^\[ {2}[2-9]\d\.\d+\] watchdog: BUG: soft lockup - CPU#0 stuck for 22s!/m);
  });

  it.each([
    ['windows', 'windows/built/hello.sys', 'type \\\\.\\Hello'],
    ['freebsd', 'freebsd/built/echo.ko', 'cat /dev/echo'],
    ['netware', 'netware/built/CLIENT.NLM', 'TWICE 21'],
    ['vxworks', 'vxworks/built/hello.o', 'hello "Ada"'],
    ['solaris', 'solaris/built/usr/kernel/drv/amd64/echo', 'cat /devices/pseudo/echo@0:echo'],
    ['macos', 'macos/built/Board.kext', 'cat /dev/board'],
  ])('lets a module of %s run by either engine, to the same end', async (name, file, use) => {
    const path = packagedPath(`fixtures/${file}`);
    const [one, other] = await Promise.all(
      ['interpreter', 'wasm'].map((engine) => runLine(['run', '--json', path, '--engine', engine])),
    );
    expect(one).toEqual(other);
    expect(one.code).toBe(0);
    const { loadSystem } = await import('../../src/tools/systems.ts');
    const { HostFiles } = await import('../../src/cli/system-session.ts');
    const files = new HostFiles({ packaged: packagedPath } as never, name);
    const start = async (engine: 'interpreter' | 'wasm') => {
      const named = file.endsWith('.kext') ? [] : [{ path, bytes: files.read(path) }];
      const session = await (await loadSystem(name)).start({ files, engine, named });
      await session.load(path, []);
      for (let i = 0; i < 6; i++) await (session.line?.(use) ?? session.run(use.split(' ')));
      return session.kernel.cpu.regions;
    };
    expect([await start('interpreter'), (await start('wasm')) > 0]).toEqual([0, true]);
  });

  it('loads what a module depends on from beside it', async () => {
    const report = await json(built('importer_gpl.ko'));
    expect(report.modules.map((one) => [one.module, one.neededBy])).toEqual([
      ['exporter', built('importer_gpl.ko')],
      ['importer_gpl', null],
    ]);
  });

  it('finds it anywhere in a module tree', async () => {
    const tree = join(scratch, 'lib/modules/6.1.0');
    mkdirSync(join(tree, 'kernel/a'), { recursive: true });
    mkdirSync(join(tree, 'kernel/b'));
    writeFileSync(join(tree, 'modules.order'), '');
    copyFileSync(built('importer_gpl.ko'), join(tree, 'kernel/a/importer_gpl.ko'));
    copyFileSync(built('exporter.ko'), join(tree, 'kernel/b/exporter.ko'));
    const { code, err } = await runLine(['run', join(tree, 'kernel/a/importer_gpl.ko')]);
    expect([code, err]).toEqual([0, expect.stringContaining(join(tree, 'kernel/b/exporter.ko'))]);
  });

  it.each([
    ['stripped.ko', 8, 'The symbol table is gone'],
    ['other_machine.ko', 8, 'The module is for arm64'],
    ['wrong_vermagic.ko', 8, 'it was built with UP'],
    ['empty.ko', 22, 'The file is empty'],
    ['wrong_crc.ko', 22, 'its version is not the one'],
    ['truncated.ko', 8, 'ends beyond the file'],
  ])("gives the kernel's own refusal of %s, and why", async (file, errno, why) => {
    const report = await json(built(file));
    expect(report.modules[0].load).toMatchObject({ outcome: 'refused', errno });
    expect(report.modules[0].load?.why).toContain(why);
    const { code, err } = await runLine(['run', built(file)]);
    expect([code, err]).toEqual([1, expect.stringMatching(/the kernel refused to load it: E[A-Z]+ \(/)]);
  });

  it('says of a file that is no module what it is not', async () => {
    const { code, err } = await runLine(['run', packagedPath('fixtures/linux/hello.c')]);
    expect([code, err]).toEqual([1, expect.stringContaining('it is no ELF file')]);
  });

  it('acts as another user', async () => {
    const { code, err } = await runLine(['run', '--as', 'nobody', built('hello.ko')]);
    expect([code, err]).toEqual([1, expect.stringContaining('EPERM (Operation not permitted)')]);
  });

  it('reports a fault and goes no further', async () => {
    const { code, out, err } = await runLine(['run', built('oops_init.ko')]);
    expect(code).toBe(1);
    expect(out).toContain('BUG: kernel NULL pointer dereference');
    expect(err).toContain('oops_init_init+0x13');
  });

  it('is told what to do, and fails when that fails', async () => {
    const good = await runLine(['run', built('newcall.ko'), '--do', 'syscall 335 40 2']);
    expect([good.code, good.out]).toEqual([0, expect.stringContaining('= 42')]);
    const bad = await runLine(['run', built('hello.ko'), '--do', 'cat /nothing']);
    expect([bad.code, bad.err]).toEqual([1, expect.stringContaining('No such file or directory')]);
    expect((await runLine(['run', built('hello.ko'), '--do', 'rmmod hello'])).code).toBe(0);
  });

  it('reports a hidden licence, and refuses it when asked to', async () => {
    const told = await runLine(['run', built('nul_licence.ko')]);
    expect([told.code, told.err]).toEqual([0, expect.stringContaining('stops at a\n  NUL byte')]);
    expect((await runLine(['run', '--strict', built('nul_licence.ko')])).code).toBe(1);
  });

  it('tells a module of another system that was killed from one that was refused', async () => {
    const outcome = async (file: string) =>
      (await json(packagedPath(`fixtures/solaris/built/usr/kernel/misc/amd64/${file}`))).modules[0].load
        ?.outcome;
    expect([await outcome('oops'), await outcome('badinit')]).toEqual(['killed', 'refused']);
  });

  it('logs the same for the same seed', async () => {
    const [a, b] = [
      await json('--seed', '3', built('timers.ko')),
      await json('--seed', '3', built('timers.ko')),
    ];
    expect(a).toEqual(b);
  });

  it('knows wrong usage', async () => {
    expect((await runLine(['run', 'whom=Ada'])).code).toBe(2);
    expect((await runLine(['run', 'nowhere.ko'])).code).toBe(1);
  });
});
