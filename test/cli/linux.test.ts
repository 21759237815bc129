import { describe, expect, it } from 'vitest';
import { runLine } from './fake.ts';

const script = (lines: string[], ...args: string[]) =>
  runLine(['linux', ...args, '-'], { stdin: lines.join('\n') });

describe('lkm linux', () => {
  it('runs a script from standard input and ends with the code of its last line', async () => {
    const { code, out } = await script(['insmod hello.ko whom=Ada', 'lsmod', 'rmmod hello', 'lsmod']);
    expect(code).toBe(0);
    expect(out).toMatch(/\] hello: hello, Ada\nModule +Size +Used by\nhello +16384 +0\n/);
    expect((await script(['lsmod', 'rmmod hello'])).code).toBe(1);
  });

  it('stops at the first failure when told to', async () => {
    const { code, out } = await script(['rmmod hello', 'echo still here'], '--errexit');
    expect([code, out]).toEqual([1, '']);
  });

  it('keeps a reader in the background until somebody writes', async () => {
    const { code, out } = await script([
      'insmod chardev.ko',
      'head -c 4 /dev/chardev &',
      'echo tea! > /dev/chardev',
      'wait',
      'rmmod chardev',
    ]);
    expect([code, out]).toEqual([0, expect.stringMatching(/closed, 0 in use\ntea!\n/)]);
  });

  it('brings what modprobe needs, and takes a kernel command line', async () => {
    expect((await runLine(['linux', '-c', 'modprobe importer_gpl', '-c', 'lsmod'])).out).toMatch(
      /\nexporter +16384 +1 importer_gpl\n/,
    );
    const refused = await runLine(['linux', '--cmdline', 'module_blacklist=hello', '-c', 'insmod hello.ko']);
    expect([refused.code, refused.out]).toEqual([1, expect.stringContaining('Module hello is blacklisted')]);
  });

  it('writes through redirection as one write', async () => {
    const { out } = await script([
      'insmod procfile.ko',
      'echo one two > /proc/procfile/words',
      'cat /proc/procfile/count',
    ]);
    expect(out.endsWith('4\n')).toBe(true);
  });

  it('runs words as one command, and takes options of the module tools before their names', async () => {
    expect((await runLine(['linux', 'uname'])).out).toMatch(/^\d+\.\d+\S*\n$/);
    expect((await runLine(['linux', 'cat', '/proc/version'])).out).toContain('Linux version');
    expect(await runLine(['linux', 'nosuch', 'x'])).toMatchObject({
      code: 2,
      err: expect.stringContaining("'nosuch' is no command of the console"),
    });
    const { out } = await runLine(['linux', '--json', 'modinfo', 'fixtures/linux/built/hello.ko']);
    expect(JSON.parse(out)).toMatchObject({ schema: 'lkm.kmod.modinfo/1', code: 0 });
    expect((await runLine(['linux', '--json', '-c', 'lsmod'])).err).toContain('is for the module tools');
  });

  it("takes modprobe's options where there is no tree", async () => {
    const told = (...lines: string[]) => runLine(['linux', ...lines.flatMap((one) => ['-c', one])]);
    expect((await told('modprobe -D importer_plain "x=a b"')).out).toBe(
      'insmod exporter.ko \ninsmod importer_plain.ko x="a b"\n',
    );
    const { out, err, code } = await told('modprobe -a hello leak', 'modprobe --first-time hello');
    expect([code, out]).toEqual([1, expect.stringMatching(/hello, world\n.*leak: took/)]);
    expect(err).toContain("could not insert 'hello': Module already in kernel");
    expect(await told('modprobe -q nosuch')).toMatchObject({ code: 1, err: '' });
    expect((await told('modprobe -Z x')).err).toContain("invalid option -- 'Z'");
  });
});
