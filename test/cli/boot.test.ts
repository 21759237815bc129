/** `lkm boot`, `--target sandbox` and `lkm halt` through the built program: a kernel that outlives its command. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { packagedPath } from '../../src/cli/packaged.ts';
import { RootFiles } from '../../src/cli/root-files.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lkm-boot-'));
});

function lkm(words: readonly string[], cwd = packagedPath('')) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [packagedPath('dist/lkm.js'), ...words], {
    cwd,
    encoding: 'utf8',
    env: { ...process.env, LKM_RUNTIME_DIR: join(folder, 'run') },
    timeout: 30_000,
  });
  return { code: status, out: stdout, err: stderr };
}

afterEach(() => {
  for (const system of ['linux', 'freebsd']) lkm(['halt', system]);
  rmSync(folder, { recursive: true, force: true });
});

describe('a kept kernel', () => {
  it('has what an earlier command has loaded, until it is halted', () => {
    const boot = lkm(['boot', 'linux']);
    expect([boot.code, boot.out]).toEqual([0, expect.stringMatching(/^Linux \S+ is up\n$/)]);
    expect(lkm(['linux', '--target', 'sandbox', '-c', 'insmod hello.ko whom=Ada']).code).toBe(0);
    expect(lkm(['linux', '--target', 'sandbox', '-c', 'cat /proc/modules']).out).toMatch(/^hello /);
    expect(lkm(['linux', '--target', 'sandbox', '-c', 'cat /no']).code).toBe(1);
    expect(lkm(['halt']).out).toMatch(/is down\n$/);
    const after = lkm(['linux', '--target', 'sandbox', '-c', 'lsmod']);
    expect([after.code, after.err]).toEqual([1, expect.stringContaining('no kernel is kept')]);
  });

  it('is one for each system, and a second boot is refused', () => {
    expect(lkm(['boot', 'linux']).code).toBe(0);
    expect(lkm(['boot', 'freebsd']).code).toBe(0);
    expect(lkm(['boot', 'linux']).err).toContain('a kernel is kept already');
    expect(lkm(['freebsd', '--target', 'sandbox', 'kldload', 'hello.ko']).code).toBe(0);
    const { out } = lkm(['freebsd', '--target', 'sandbox', '--json', 'kldstat']);
    expect(JSON.parse(out)).toMatchObject({
      schema: 'lkm.tool/1',
      code: 0,
      out: expect.stringContaining('hello.ko'),
    });
  });

  it('refuses options that would make another kernel, and its user', () => {
    expect(lkm(['boot', 'linux']).code).toBe(0);
    for (const option of ['--as=nobody', '--cmdline=quiet'])
      expect(lkm(['linux', option, '--target', 'sandbox', '-c', 'lsmod'])).toMatchObject({
        code: 2,
        err: expect.stringContaining(option.split('=')[0]),
      });
  });

  it('reads files relative to the folder of who asks', () => {
    expect(lkm(['boot', 'linux']).code).toBe(0);
    writeFileSync(join(folder, 'mine.ko'), readFileSync(packagedPath('fixtures/linux/built/hello.ko')));
    expect(lkm(['linux', '--target', 'sandbox', '-c', 'insmod mine.ko'], folder)).toMatchObject({ code: 0 });
  });

  it('survives a keeper that was killed: the place is taken again', () => {
    expect(lkm(['boot', 'linux']).code).toBe(0);
    process.kill(Number(readFileSync(join(folder, 'run', 'linux.pid'), 'utf8')), 'SIGKILL');
    expect(lkm(['boot', 'linux'])).toMatchObject({ code: 0 });
  });

  it('is not put into a folder that others may write to', () => {
    mkdirSync(join(folder, 'run'));
    chmodSync(join(folder, 'run'), 0o777);
    expect(lkm(['boot', 'linux'])).toMatchObject({
      code: 1,
      err: expect.stringContaining('LKM_RUNTIME_DIR'),
    });
    chmodSync(join(folder, 'run'), 0o700);
  });
});

describe('lkm boot --once', () => {
  it('tells the story as JSON and keeps nothing', () => {
    const { code, out } = lkm(['boot', 'linux', '--once', '--json']);
    expect([code, JSON.parse(out)]).toEqual([0, expect.objectContaining({ schema: 'lkm.boot/1', up: true })]);
    expect(lkm(['halt']).code).toBe(1);
  });

  it('refuses a system or a folder that does not exist', () => {
    expect(lkm(['boot', 'freebds'])).toMatchObject({ code: 2, err: expect.stringContaining('freebsd') });
    expect(lkm(['halt', 'freebds'])).toMatchObject({ code: 2, err: expect.stringContaining('freebsd') });
    for (const system of ['freebsd', 'netware', 'linux'])
      expect(lkm(['boot', system, '--once', '--root', join(folder, 'none')])).toMatchObject({
        code: 1,
        err: expect.stringContaining('there is no such folder'),
      });
    expect(lkm(['boot', 'linux', '--once', '--root', packagedPath('package.json')])).toMatchObject({
      code: 1,
      err: expect.stringContaining('package.json: is a file\n  give the root folder'),
    });
  });
});

describe('the root folder of another machine', () => {
  it('is where the links of its boot menu lead, and nowhere else', () => {
    mkdirSync(join(folder, 'boot'));
    writeFileSync(join(folder, 'grub.cfg'), "menuentry 'a' {\n linux /vmlinuz\n initrd /initrd.img\n}\n");
    const start = ['boot', 'linux', '--once', '--root', folder, '--grub', join(folder, 'grub.cfg')];
    const elsewhere = packagedPath('package.json');
    symlinkSync(elsewhere, join(folder, 'initrd.img'));
    symlinkSync(elsewhere, join(folder, 'vmlinuz'));
    expect(lkm(start).err).toContain("the kernel of 'a' is not there");
    // The initramfs is not read either: it would be none.
    expect(lkm([...start, '--kernel', 'builtin:debian-6.1'])).toMatchObject({
      code: 0,
      err: `lkm: /initrd.img: this initramfs of 'a' is not there below ${folder}\n`,
    });
    rmSync(join(folder, 'vmlinuz'));
    symlinkSync('/boot/kernel', join(folder, 'vmlinuz'));
    writeFileSync(join(folder, 'boot/kernel'), 'none');
    expect(lkm(start).err).toContain(join(folder, 'boot/kernel'));
  });

  it('follows links within it alone', () => {
    mkdirSync(join(folder, 'etc'));
    mkdirSync(join(folder, 'usr/lib'), { recursive: true });
    writeFileSync(join(folder, 'usr/lib/modules.conf'), 'x');
    symlinkSync('/usr/lib', join(folder, 'lib'));
    symlinkSync('../../../../../../etc/passwd', join(folder, 'etc/up'));
    symlinkSync('loop', join(folder, 'loop'));
    const root = new RootFiles(folder);
    expect(String(root.read('/lib/modules.conf'))).toBe('x');
    expect(root.locate('/lib/modules.conf')).toBe(join(folder, 'usr/lib/modules.conf'));
    expect(root.locate('/etc/up')).toBeUndefined();
    expect(root.list('/')).toEqual(['etc/', 'lib/', 'loop', 'usr/']);
    expect([root.read('/etc/up'), root.read('/loop'), root.read('/../../etc/passwd')]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });
});
