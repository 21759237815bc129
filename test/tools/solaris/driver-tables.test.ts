/** add_drv, rem_drv, update_drv: every option, the tables in /etc, and the words and exit codes of the commands. */
import { describe, expect, it } from 'vitest';
import type { SolarisSession } from '../../../src/tools/solaris/session.ts';
import { start } from './shell.ts';

const contents = (session: SolarisSession, path: string): string =>
  new TextDecoder().decode(session.files.read(path) ?? new Uint8Array(0));

const POLICY = '/etc/security/device_policy';

describe('add_drv', () => {
  it('enters a driver into every table', async () => {
    const session = await start();
    const words = [
      '-v',
      '-m',
      "e,cho 0666 root sys, '*' 0600 bin bin",
      '-i',
      '"pci1,2" pci3,4',
      '-c',
      'one two',
    ];
    const policy = ['-p', '(1-3)c read_priv_set=net_rawaccess write_priv_set=my_own', '-P', 'my_own'];
    const result = await session.run(['add_drv', ...words, ...policy, 'echo']);
    expect(result).toMatchObject({ code: 0, out: '', err: 'Driver (echo) installed.\n' });
    expect(contents(session, '/etc/name_to_major')).toMatch(/^echo 1$/m);
    expect(contents(session, '/etc/minor_perm')).toMatch(
      /echo:e,cho 0666 root sys\necho:'\*' 0600 bin bin\n$/,
    );
    expect(contents(session, '/etc/driver_aliases')).toBe('echo "pci1,2"\necho "pci3,4"\n');
    expect(contents(session, '/etc/driver_classes')).toBe('echo\tone\necho\ttwo\n');
    expect(contents(session, '/etc/security/extra_privs')).toBe('echo:my_own\n');
    expect(contents(session, POLICY)).toBe(
      'echo:(1-3)c\tread_priv_set=net_rawaccess\twrite_priv_set=my_own\n',
    );
    expect(session.files.read('/reconfigure')).toBeDefined();
    expect(await session.run(['rem_drv', 'echo'])).toMatchObject({ code: 0, err: '' });
    for (const table of [
      'name_to_major',
      'driver_aliases',
      'driver_classes',
      'minor_perm',
      'security/extra_privs',
    ])
      expect(contents(session, `/etc/${table}`)).not.toContain('echo');
    expect(contents(session, POLICY)).toBe('');
    expect(contents(session, '/etc/rem_name_to_major')).toBe('echo 1\n');
    expect((await session.run(['add_drv', 'loopy'])).code).toBe(0);
    expect(contents(session, '/etc/name_to_major')).toMatch(/^loopy 2$/m);
    expect((await session.run(['add_drv', 'echo'])).code).toBe(0);
    expect(contents(session, '/etc/name_to_major')).toMatch(/^echo 1$/m);
    expect(contents(session, '/etc/rem_name_to_major')).not.toContain('echo');
  });

  it.each<[words: string[], err: string | RegExp]>([
    [[], /^Usage:\n\tadd_drv \[ -m/],
    [['-x', 'echo'], /^add_drv: illegal option -- x\nUsage:/],
    [['echo', 'more'], /^Usage:/],
    [['-m'], /^add_drv: option requires an argument -- m\nUsage:/],
    [
      ['/usr/kernel//drv/echo'],
      'Error: driver may not be specified by path (/usr/kernel/drv/echo)\nError: Could not install driver (echo).\n',
    ],
    [
      ['-i', '"a b"', 'echo'],
      /^Can't have space within double quote: "a b". Use octal escape sequence "\\040".\n/,
    ],
    [['-m', '* 0666 root', 'echo'], /^Option \(-m\) : missing token: \(\* 0666 root\)\nUsage:/],
    [['-m', '* 9999 root sys', 'echo'], /^Bad mode: \(9999\)\nUsage:/],
    [['-i', 'mm', 'echo'], 'Alias ("mm") already in use as driver name.\n'],
    [['-i', 'a#b', 'echo'], 'Option (-i) : bad token: (a#b)\n'],
    [['-p', 'read_priv_set', 'echo'], 'Invalid policy specification\n'],
    [['-p', 'nothing=all', 'echo'], "Bad policy token: ``nothing''.\n"],
    [['-p', 'a:b read_priv_set=all', 'echo'], "Minor device specification cannot include ``:''.\n"],
    [
      ['-p', 'read_priv_set=none,nonsense', 'echo'],
      'Error in privilege set specification: none,[HERE->]nonsense\n',
    ],
    [['nothing'], 'Cannot find module (nothing).\n'],
    [['mm'], 'Driver (mm) is already installed.\n'],
  ])('%j is refused', async (words, err) => {
    const session = await start();
    const before = contents(session, '/etc/name_to_major');
    const result = await session.run(['add_drv', ...words]);
    expect(result.code).toBe(1);
    if (typeof err === 'string') expect(result.err).toBe(err);
    else expect(result.err).toMatch(err);
    expect(contents(session, '/etc/name_to_major')).toBe(before);
  });

  it('-n and -b enter it without the running system', async () => {
    const session = await start();
    const told = 'Reboot client to install driver.\n';
    expect(await session.run(['add_drv', '-n', 'nothing'])).toMatchObject({ code: 0, err: told });
    expect(contents(session, '/etc/name_to_major')).toMatch(/^nothing 1$/m);
    expect(await session.run(['add_drv', '-b', '/a', '-i', 'x1', 'echo'])).toMatchObject({
      code: 0,
      err: told,
    });
    expect(contents(session, '/a/etc/name_to_major')).toBe('echo 1\n');
    expect(contents(session, '/a/etc/driver_aliases')).toBe('echo "x1"\n');
    expect(contents(session, '/etc/driver_aliases')).toBe('');
    expect((await session.run(['modinfo'])).out).not.toContain('echo');
    expect((await session.run(['rem_drv', '-b', '/a', 'echo'])).code).toBe(0);
    expect(contents(session, '/a/etc/name_to_major')).toBe('');
  });

  it('a driver of the other width is entered, and not loaded', async () => {
    const session = await start();
    session.files.write(
      '/usr/kernel/drv/narrow',
      session.host.read('usr/kernel/drv/echo') ?? new Uint8Array(0),
    );
    expect((await session.run(['add_drv', 'narrow'])).err).toBe(
      'No 64-bit version of (narrow) found; 32-bit version of this driver exists.\n' +
        '32-bit driver (narrow) not loadable on 64-bit kernel.\nReboot client to install driver.\n',
    );
  });

  it('needs root', async () => {
    const session = await start();
    for (const command of ['add_drv', 'rem_drv', 'update_drv'])
      expect(await session.run(['as', 'nobody', command, 'echo'])).toMatchObject({
        code: 1,
        err: 'You must be root to run this program.\n',
      });
  });
});

describe('update_drv', () => {
  it('adds and takes out entries', async () => {
    const session = await start();
    const run = async (...words: string[]) => await session.run(['update_drv', ...words]);
    await session.run(['add_drv', 'echo']);
    session.files.write('/etc/minor_perm', new TextEncoder().encode('echo:* 0600 root sys # mine\n'));
    expect(await run('-a', '-m', '* 0666 root sys', 'echo')).toMatchObject({ code: 0, err: '' });
    expect(contents(session, '/etc/minor_perm')).toBe('echo:* 0666 root sys # mine\n');
    expect((await run('-l', '-a', '-m', 'x', 'echo')).out).toBe('echo:* 0666 root sys \n');
    expect(await run('-a', '-i', 'pci1,2 pci3,4', 'echo')).toMatchObject({ code: 0 });
    expect(await run('-a', '-i', 'pci1,2', 'echo')).toMatchObject({ code: 0 });
    expect(contents(session, '/etc/driver_aliases')).toBe('echo "pci1,2"\necho "pci3,4"\n');
    expect(await run('-a', '-i', '/pci@9,9/x@1', 'echo')).toMatchObject({
      code: 255,
      err: 'no device at specified path-oriented alias "/pci@9,9/x@1"\n',
    });
    await session.run(['add_drv', 'loopy']);
    expect(await run('-a', '-i', 'pci1,2', 'loopy')).toMatchObject({
      code: 255,
      err: '("pci1,2") already in use as a driver or alias.\n',
    });
    expect(await run('-d', '-i', 'pci9,9', 'echo')).toMatchObject({
      code: 0,
      err: 'No entry found for driver (echo) in file (/etc/driver_aliases).\n',
    });
    expect(await run('-d', '-i', '"pci1,2"', 'echo')).toMatchObject({ code: 0, err: '' });
    expect(contents(session, '/etc/driver_aliases')).toBe('echo "pci3,4"\n');
    expect(await run('-d', '-m', 'e 0600 root sys', 'echo')).toMatchObject({
      code: 252,
      err: 'No entry found for driver (echo) in file (/etc/minor_perm).\n',
    });
    await run('-a', '-p', 'read_priv_set=all', 'echo');
    await run('-a', '-p', '* read_priv_set=none', 'echo');
    expect(contents(session, POLICY)).toBe('echo:*\tread_priv_set=none\n');
    expect(await run('-d', '-p', '*', 'echo')).toMatchObject({ code: 0, err: '' });
    expect(contents(session, POLICY)).toBe('');
  });

  it.each([
    [['-a', 'echo']],
    [['-a', '-d', '-m', '* 0 a b', 'echo']],
    [['-m', '* 0 a b', 'echo']],
    [['-z', 'echo']],
    [[]],
  ])('%j is no way to call it', async (words) => {
    const result = await (await start()).run(['update_drv', ...words]);
    expect(result.code).toBe(1);
    expect(result.err).toContain('NOTE: at least one of m/i/P/p must be specified with -a and -d.\n');
  });

  it('a driver in use keeps its configuration, but for -f', async () => {
    const session = await start();
    await session.run(['add_drv', 'echo']);
    await session.run(['open', '/devices/pseudo/echo@0:echo']);
    const stays = 'Cannot unload module: echo\nWill be unloaded upon reboot.\n';
    expect(await session.run(['update_drv', 'echo'])).toMatchObject({ code: 1, err: stays });
    expect(await session.run(['update_drv', '-v', 'echo'])).toMatchObject({
      code: 1,
      err: `${stays}echo.conf not updated in the kernel\n`,
    });
    expect(await session.run(['update_drv', '-f', '-v', 'echo'])).toMatchObject({
      code: 0,
      err: `${stays}Forcing update of echo.conf.\necho.conf updated in the kernel.\n`,
    });
    expect(await session.run(['update_drv', 'nothing'])).toMatchObject({
      code: 1,
      err: 'Failed to update nothing.conf for driver.\n',
    });
  });
});

describe('rem_drv', () => {
  it('a driver in use goes from the tables and stays in memory', async () => {
    const session = await start();
    await session.run(['add_drv', 'echo']);
    await session.run(['open', '/devices/pseudo/echo@0:echo']);
    expect(await session.run(['rem_drv', 'echo'])).toMatchObject({
      code: 0,
      err: 'Device busy\nCannot unload module: echo\nWill be unloaded upon reboot.\n',
    });
    expect((await session.run(['modinfo'])).out).toContain(' echo (');
    expect(contents(session, '/etc/name_to_major')).not.toContain('echo');
    expect(await session.run(['rem_drv', 'echo'])).toMatchObject({
      code: 1,
      err: 'Driver (echo) not installed.\n',
    });
    expect((await session.run(['rem_drv'])).err).toBe(
      'Usage:\n\t rem_drv [ -C ] [ -b <basedir> ] [ -n ] driver_name\n',
    );
  });
});

describe('modload and modunload', () => {
  const script = (session: SolarisSession, text: string): void =>
    session.files.write('/tell', new TextEncoder().encode(text));

  it('-e runs a program with the id and the number of the first linkage', async () => {
    const session = await start();
    script(session, '#!/bin/sh\necho module $1 number $2\n');
    await session.run(['add_drv', 'loopy']);
    expect(await session.run(['modload', '-p', '-e', '/tell', 'drv/loopy'])).toMatchObject({
      code: 0,
      out: 'module 3 number 1\n',
    });
    expect((await session.run(['modload', '-p', '-e', '/tell', 'misc/hello'])).out).toBe(
      'module 4 number -1\n',
    );
    expect(await session.run(['modload', '-p', '-e', '/none', 'misc/hello'])).toMatchObject({
      code: 2,
      out: "'/none' returned error 2.\n",
      err: "couldn't exec /none: No such file or directory\n",
    });
    script(session, 'nonsense\n');
    expect(await session.run(['modunload', '-e', '/tell', '-i', '4'])).toMatchObject({
      code: 127,
      out: `/tell returned error ${127 << 8}.\n`,
    });
    expect((await session.run(['modinfo'])).out).toContain('hello');
    script(session, 'echo bye $1\n');
    expect(await session.run(['modunload', '-i', '4', '-e', '/tell'])).toMatchObject({
      code: 0,
      out: 'bye 4\n',
    });
  });

  it.each<[words: string, code: number, err: string]>([
    ['modload', 255, 'usage:  modload [-p] [-e <exec_file>] <filename>\n'],
    ['modload -q misc/hello', 255, 'usage:  modload [-p] [-e <exec_file>] <filename>\n'],
    ['modunload', 255, 'usage:  modunload -i <module_id> [-e <exec_file>]\n'],
    ['modunload -i x', 255, 'Invalid id x\n'],
    ['modunload -i 99', 22, "can't unload the module: Invalid argument\n"],
    ['modunload -i 1', 16, "can't unload the module: Device busy\n"],
    ['modinfo -i x', 255, 'Invalid id x\n'],
    ['modinfo -i 99', 22, "can't get module information: Invalid argument\n"],
    ['modinfo -z', 255, 'usage:  modinfo [-w] [-c] [-i module-id]\n'],
    ['modload -p misc/nothing', 2, "can't load module: No such file or directory\n"],
    ['modload -p misc/stray', 22, "can't load module: Invalid argument\n"],
    ['as nobody modload -p misc/hello', 255, 'Insufficient privileges to load a module\n'],
    ['as nobody modunload -i 2', 255, 'Insufficient privileges to unload a module\n'],
  ])('%s', async (words, code, err) => {
    expect(await (await start()).run(words.split(' '))).toMatchObject({ code, err });
  });

  it('of several -i the last one counts, and a name is taken by illumos alone', async () => {
    const session = await start({ variant: 'illumos' });
    expect((await session.run(['modinfo', '-i', '1', '-i', '0'])).out).toMatch(
      /^ Id[^\n]*\n +0 [^\n]* unix \(\)\n$/,
    );
    await session.run(['modload', '-p', 'misc/hello']);
    expect(await session.run(['modunload', 'hello'])).toMatchObject({ code: 0 });
    expect(await session.run(['modunload', 'hello'])).toMatchObject({
      code: 1,
      err: "modunload: can't get module information: Invalid argument\n",
    });
    expect((await session.run(['modunload'])).err).toBe(
      'missing required module id or name\nusage:  modunload [-e <exec_file>] -i <id> | <name>\n',
    );
    expect(await session.run(['modunload', 'genunix'])).toMatchObject({
      code: 1,
      err: "modunload: can't unload the module: Device busy\n",
    });
    expect((await (await start()).run(['modunload', 'hello'])).code).toBe(255);
  });
});
