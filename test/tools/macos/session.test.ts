/** Kexts on a machine: loaded, listed, used, refused and unloaded by the system's own commands. */
import { describe, expect, test } from 'vitest';
import { MacosSession } from '../../../src/tools/macos/session.ts';
import type { ToolResult } from '../../../src/tools/system.ts';
import { fixtureFiles } from '../../systems/macos/fixtures.ts';

function machine(settings: Readonly<Record<string, string>> = {}, user = 'root') {
  const session = new MacosSession({
    files: fixtureFiles,
    seed: 1,
    user,
    settings: new Map(Object.entries(settings)),
  });
  const sh = async (line: string): Promise<ToolResult> => await session.run(line.split(' '));
  const log = (): string[] => session.kernel.log.records.map(({ text }) => text);
  return { session, sh, log };
}

const failed = (path: string, why: string): string =>
  `${path} failed to load - (libkern/kext) ${why}; check the system/kernel logs for errors or try kextutil(8).\n`;

describe('kextload, kextstat and kextunload', () => {
  test('a kext starts with its own name, version and tag, and goes without a trace', async () => {
    const { session, sh, log } = machine({ release: '10.8' });
    const used = session.kernel.heap.usedBytes;
    expect(await sh('kextload -v Hello.kext')).toEqual({
      code: 0,
      out: '',
      err: 'Requesting load of /Users/lkm/Hello.kext.\n/Users/lkm/Hello.kext loaded successfully (or already loaded).\n',
    });
    expect(log()).toEqual(['Hello: org.lkm.Hello 1.0 is loaded, index 8']);
    const { out } = await sh('kextstat -k');
    expect(out.split('\n')[0]).toBe(
      'Index Refs Address            Size       Wired      Name (Version) UUID <Linked Against>',
    );
    expect(out.split('\n')[1]).toMatch(
      /^ {4}8 {4}0 0xffffff7f82000000 0x2000 {5}0x2000 {5}org\.lkm\.Hello \(1\.0\) [0-9A-F-]{36} <4 1>$/,
    );
    expect((await sh('kextunload -b org.lkm.Hello')).code).toBe(0);
    expect(log().slice(1)).toEqual(['Hello: org.lkm.Hello is going']);
    expect(session.kernel.heap.usedBytes).toBe(used);
    expect((await sh('kextstat -k -l')).out).toBe('');
  });

  test('kextunload wants to be told what', async () => {
    const { sh } = machine({ release: '10.8' });
    expect(await sh('kextunload -v 2')).toMatchObject({
      code: 64,
      err: expect.stringMatching(/^No kernel extensions specified\.\nusage: /),
    });
  });

  test('the kernel lists its own programming interfaces first', async () => {
    const { sh } = machine();
    const { out } = await sh('kextstat -l');
    const names = ['bsd', 'dsep', 'iokit', 'libkern', 'mach', 'private', 'unsupported'];
    expect(out).toBe(
      names
        .map(
          (name, i) =>
            `    ${i + 1}    0 0                  0          0          com.apple.kpi.${name} (19.6.0) no UUID\n`,
        )
        .join(''),
    );
  });

  test('a start that fails leaves nothing', async () => {
    const { sh, log } = machine({ release: '10.8' });
    expect((await sh('kextload Refuser.kext')).err).toBe(
      failed('/Users/lkm/Refuser.kext', 'kext (kmod) start/stop routine failed'),
    );
    expect(log()).toEqual([
      'Refuser: there is no such device here',
      'Kext org.lkm.Refuser did not start (return code 0x5).',
      'Kext org.lkm.Refuser start failed (result 0xdc008017).',
      'Kext org.lkm.Refuser failed to load (0xdc008017).',
      'Failed to load kext org.lkm.Refuser (error 0xdc008017).',
    ]);
    expect((await sh('kextstat -k -l')).out).toBe('');
  });

  test('unresolved symbols are named, with the library that has them', async () => {
    const { sh, log } = machine({ release: '10.8' });
    await sh('cp -R Library.kext /Library/Extensions');
    const result = await sh('kextload Stranger.kext');
    expect(result.err).toBe(failed('/Users/lkm/Stranger.kext', 'link error'));
    expect(result.note).toContain('_library_sum: add org.lkm.Library to OSBundleLibraries');
    expect(log()).toContain('kxld[org.lkm.Stranger]: \t_nobody_has_this');
  });

  test('a null pointer stops the machine, and a restart brings it back', async () => {
    const { sh, log } = machine({ release: '10.8' });
    await sh('kextload Crasher.kext');
    expect(log()[0]).toMatch(
      /^panic\(cpu 0 caller 0x[0-9a-f]{16}\): Kernel trap at 0xffffff7f8200[0-9a-f]{4}, type 14=page fault, registers:$/,
    );
    expect(log().some((line) => line.includes('org.lkm.Crasher(1.0)['))).toBe(true);
    expect((await sh('kextstat')).code).toBe(1);
    expect((await sh('reboot')).code).toBe(0);
    expect((await sh('kextstat')).code).toBe(0);
  });
});

describe('libraries', () => {
  test('are loaded first, hold references and stay while they are used', async () => {
    const { sh, log } = machine({ release: '10.8' });
    expect((await sh('kextload Client.kext')).err).toBe(
      failed('/Users/lkm/Client.kext', 'dependency resolution failure'),
    );
    await sh('cp -R Library.kext /Library/Extensions');
    expect((await sh('kextload Client.kext')).code).toBe(0);
    expect(log()).toEqual(['Client: 40 + 2 = 42, by call 1']);
    const { out } = await sh('kextstat -k -l');
    expect(out).toMatch(/^ {4}8 {4}1 .* org\.lkm\.Library \(2\.1\)/m);
    expect(out).toMatch(/^ {4}9 {4}0 .* org\.lkm\.Client \(1\.0\) \S+ <8 4 1>$/m);
    expect((await sh('kextunload -b org.lkm.Library')).err).toBe(
      "(kernel) Can't unload kext org.lkm.Library; outstanding references 1 (linkage or tracking object).\n" +
        'Failed to unload org.lkm.Library - (libkern/kext) kext is in use or retained (cannot unload).\n',
    );
    expect((await sh('kextunload -b org.lkm.Client')).code).toBe(0);
    expect((await sh('kextunload -b org.lkm.Library')).code).toBe(0);
  });

  test('of another version are not taken', async () => {
    const { sh } = machine({ release: '10.8' });
    await sh('cp -R Library.kext /Library/Extensions');
    const result = await sh('kextload Future.kext');
    expect(result.note).toBe('Only incompatible kexts found for these libraries: org.lkm.Library');
  });
});

describe('a character device', () => {
  test('is written and read back; a sysctl counts and can be set', async () => {
    const { session, sh } = machine({ release: '10.8' });
    await sh('kextload Board.kext');
    expect((await sh('ls -l /dev')).out).toMatch(/^crw-rw-rw- {3}1 root {2}wheel {3}20, {3}0 .* board\n$/);
    await session.writeFile('/dev/board', new TextEncoder().encode('hello'), false);
    expect((await sh('cat /dev/board')).out).toBe('hello');
    expect((await sh('sysctl debug.board_writes')).out).toBe('debug.board_writes: 1\n');
    expect((await sh('sysctl debug.board_writes=40')).out).toBe('debug.board_writes: 1 -> 40\n');
    expect((await sh('sysctl debug.board_writes')).out).toBe('debug.board_writes: 40\n');
    expect((await sh('kextunload -b org.lkm.Board')).code).toBe(0);
    expect((await sh('cat /dev/board')).err).toBe('cat: /dev/board: No such file or directory\n');
    expect((await sh('sysctl debug.board_writes')).err).toBe("sysctl: unknown oid 'debug.board_writes'\n");
  });
});

describe('rules', () => {
  test('every file must belong to root:wheel and be writable by nobody else', async () => {
    for (const change of ['chown -R 501:20', 'chown -R root:staff', 'chmod -R g+w', 'chmod -R o+w']) {
      const { sh } = machine({ release: '10.8' });
      await sh('cp -R Hello.kext /Library/Extensions');
      await sh(`${change} /Library/Extensions/Hello.kext`);
      const { err } = await sh('kextload /Library/Extensions/Hello.kext');
      expect(err).toBe(
        failed('/Library/Extensions/Hello.kext', 'authentication failure (file ownership/permissions)'),
      );
    }
  });

  test('a user loads what allows it, below /System only', async () => {
    const { sh } = machine({ release: '10.8' });
    await sh('cp -R Everyone.kext /System/Library/Extensions');
    await sh('cp -R Hello.kext /System/Library/Extensions');
    await sh('su lkm');
    expect((await sh('kextload Everyone.kext')).err).toBe(
      failed('/Users/lkm/Everyone.kext', 'not privileged'),
    );
    expect((await sh('kextload /System/Library/Extensions/Everyone.kext')).code).toBe(0);
    expect((await sh('kextload /System/Library/Extensions/Hello.kext')).code).toBe(77);
    expect((await sh('kextunload -b org.lkm.Everyone')).err).toBe(
      'You must be running as root to unload kexts, terminate services, or remove driver personalities.\n',
    );
  });

  test.each([
    ['10.8', {}, true],
    ['10.9', {}, true],
    ['10.10', {}, false],
    ['10.10', { 'boot-args': 'kext-dev-mode=1' }, true],
    ['10.11', { sip: 'on' }, false],
    ['10.11', { sip: 'no-kext' }, true],
    ['10.15', { sip: 'on' }, false],
    ['14', { sip: 'on' }, false],
  ])('an unsigned kext on %s with %j loads: %s', async (release, settings, loads) => {
    const { sh } = machine({ release, ...settings });
    const result = await sh('kextload Hello.kext');
    expect(result.code === 0).toBe(loads);
    const path = '/Users/lkm/Hello.kext';
    // From macOS 11 on the tool is kmutil, which has words of its own.
    const why = `Authenticating extension failed: Kext org.lkm.Hello v1.0 in executable kext bundle org.lkm.Hello at ${path}:\n\nAuthenticating extension failed: Bad code signature`;
    const words =
      release === '14'
        ? `Executing: /usr/bin/kmutil load -p ${path}\nError Domain=KMErrorDomain Code=29 "${why}" UserInfo={NSLocalizedDescription=${why}}\n`
        : failed(path, 'not loadable (reason unspecified)');
    if (!loads) expect(result.err).toBe(words);
  });

  test('from 10.11 on an unsigned kext in a kext folder keeps the machine from starting', async () => {
    const { sh } = machine({ release: '10.11', sip: 'on' });
    await sh('cp -R Hello.kext /Library/Extensions');
    expect((await sh('reboot')).code).toBe(1);
    expect((await sh('kextstat')).code).toBe(1);
    await sh('rm -R /Library/Extensions/Hello.kext');
    expect((await sh('reboot')).code).toBe(0);
    expect((await sh('kextstat')).code).toBe(0);
    const older = machine({ release: '10.10' });
    await older.sh('cp -R Hello.kext /Library/Extensions');
    expect((await older.sh('reboot')).code).toBe(0);
  });
});

describe('kextutil and kextlibs', () => {
  test('a test without a load prints what is wrong, in groups', async () => {
    const { sh } = machine({ release: '10.8' });
    const head = "No kernel file specified, using '/mach_kernel'\n";
    expect((await sh('kextutil -n Hello.kext')).err).toBe(
      `${head}Hello.kext appears to be loadable (including linkage for on-disk libraries).\n`,
    );
    expect((await sh('kextstat -k -l')).out).toBe('');
    const result = await sh('kextutil -n -t Client.kext');
    expect(result.code).toBe(4);
    const missing = "Client.kext - dependency 'org.lkm.Library' not found.\n";
    expect(result.err).toBe(
      `${head}${missing.repeat(3)}Diagnostics for Client.kext:\nDependency Resolution Failures: \n` +
        '    No kexts found for these libraries: \n        org.lkm.Library\n\n',
    );
    const unlinked = await sh('kextutil -n Stranger.kext');
    expect(unlinked).toMatchObject({ code: 6, out: '' });
    expect(unlinked.err.slice(head.length)).toMatch(
      /^kxld\[org\.lkm\.Stranger\]: The following symbols are unresolved for this kext:\n(?:kxld\[org\.lkm\.Stranger\]: \t_\w+\n)+Link failed \(error code 5\)\.\nCheck library declarations for your kext with kextlibs\(8\)\.\n$/,
    );
  });

  test('a link error shows what the kernel said', async () => {
    const { sh } = machine({ release: '10.8' });
    const { code, err } = await sh('kextutil Stranger.kext');
    expect(code).toBe(6);
    expect(err).toContain('(kernel) kxld[org.lkm.Stranger]: \t_library_sum\n');
    expect(err).toContain(
      'Failed to load Stranger.kext - (libkern/kext) link error.\n' +
        'Check library declarations for your kext with kextlibs(8).\n',
    );
  });

  test('the libraries of a kext are those that own its symbols', async () => {
    const { sh } = machine({ release: '10.8' });
    expect((await sh('kextlibs Board.kext')).out).toBe(
      '    com.apple.kpi.bsd = 12.5\n    com.apple.kpi.iokit = 12.5\n',
    );
    const result = await sh('kextlibs -undef-symbols Stranger.kext');
    expect(result).toMatchObject({ code: 1, out: '    No libraries found.\n' });
    expect(result.err).toMatch(
      /^For all architectures:\n\nFor x86_64:\n {4}2 symbols not found in any library kext:\n\t_\w+\n\t_\w+\n\n$/,
    );
  });
});
