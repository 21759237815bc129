/** kextutil's options: what goes together, what is sent to the kernel, and kexts that the exclude list names. */
import { describe, expect, test } from 'vitest';
import { services } from '../../../src/systems/macos/runtime/services.ts';
import { MacosSession } from '../../../src/tools/macos/session.ts';
import type { ToolResult } from '../../../src/tools/system.ts';
import { fixtureFiles } from '../../systems/macos/fixtures.ts';

function machine(user = 'root') {
  const session = new MacosSession({
    files: fixtureFiles,
    seed: 1,
    user,
    settings: new Map([['release', '10.15']]),
  });
  const sh = async (line: string): Promise<ToolResult> => await session.run(line.split(' '));
  return { session, sh };
}

describe('options of kextutil', () => {
  test.each([
    ['-l -m', 'Only one of -load-only (-l), -match-only (-m), or -no-load (-n) is allowed;'],
    ['-n -l', 'Only one of -load-only (-l), -match-only (-m), or -no-load (-n) is allowed;'],
    ['-A -m', 'Only one of -load-only (-l), -match-only (-m), or -no-load (-n) is allowed;'],
    ['-n -i', 'Use interactive modes only when loading or matching.'],
    ['-k /mach_kernel', '-kernel (-k) is allowed only when not loading or sending personalities.'],
    ['-z', '-no-authentication (-z) is allowed only when not loading or sending personalities.'],
    [
      '-Z',
      'Use -no-resolve-dependencies (-Z) only with -no-load (-n) or match-only (-m), and not with -symbols (-s).',
    ],
    ['-arch i386', 'Specified architecture i386 does not match running kernel architecture x86_64.'],
  ])('%s is refused', async (options, words) => {
    const result = await machine().sh(`kextutil ${options} Hello.kext`);
    expect(result.code).toBe(64);
    expect(result.err.split('\n')[0]).toBe(words);
  });

  test('options without effect say so', async () => {
    const { note } = await machine().sh('kextutil -n -c -s /tmp Hello.kext');
    expect(note).toContain('-no-caches has no effect');
    expect(note).toContain('-symbols has no effect');
  });

  test('-l sends no personalities, -p those that are named, -m sends them alone', async () => {
    const sent = async (options: string): Promise<[string[], boolean]> => {
      const { session, sh } = machine();
      expect((await sh(`kextutil ${options} Lamp.kext`)).code).toBe(0);
      const names = session.kernel.state(services).personalities.map(({ name }) => name);
      return [names, session.loaded('org.lkm.Lamp') !== undefined];
    };
    expect(await sent('-q')).toEqual([['Lamp'], true]);
    expect(await sent('-l')).toEqual([[], true]);
    expect(await sent('-p Other')).toEqual([[], true]);
    expect(await sent('-p Lamp')).toEqual([['Lamp'], true]);
    expect(await sent('-m')).toEqual([['Lamp'], false]);
  });

  test('-n looks at owners when diagnostics are wanted', async () => {
    const { session, sh } = machine();
    await sh('kextutil -n Hello.kext');
    await sh('chown -R lkm:staff Hello.kext');
    expect((await sh('kextutil -n Hello.kext')).code).toBe(0);
    expect((await sh('kextutil -n -t Hello.kext')).err).toContain('Authentication Failures');
    expect((await sh('kextutil -n -t -z Hello.kext')).err).not.toContain('Authentication Failures');
    expect(session.loaded('org.lkm.Hello')).toBeUndefined();
  });
});

describe('the exclude list', () => {
  const list = (entry: string): string => `<?xml version="1.0"?><plist version="1.0"><dict>
    <key>CFBundleIdentifier</key><string>com.apple.driver.KextExcludeList</string>
    <key>CFBundlePackageType</key><string>KEXT</string><key>CFBundleVersion</key><string>10.0</string>
    <key>OSKextExcludeList</key><dict><key>org.lkm.Hello</key>${entry}</dict></dict></plist>`;
  const platform = '<dict><key>IOProviderClass</key><string>IOPlatformExpertDevice</string></dict>';
  const other = '<dict><key>IONameMatch</key><string>MacPro6,1</string></dict>';
  const entry = (more: string): string => `<dict><key>Versions</key><string>LE 2.0</string>${more}</dict>`;

  test.each([
    ['a version', '<string>0.9, 1.0</string>', true],
    ['a range', '<string>0.5 thru 1.5</string>', true],
    ['another version', '<string>LT 1.0, 3.0</string>', false],
    ['a dictionary', entry(''), true],
    ['one device of several', entry(`<key>Any_Match</key><array>${other}${platform}</array>`), true],
    ['no device', entry(`<key>Any_Match</key><array>${other}</array>`), false],
    ['all devices', entry(`<key>All_Match</key><array>${platform}</array>`), true],
    ['not all devices', entry(`<key>All_Match</key><array>${platform}${other}</array>`), false],
    ['an empty list', entry('<key>Any_Match</key><array/>'), true],
  ])('that names %s', async (_what, text, excluded) => {
    const { session, sh } = machine();
    const path = '/System/Library/Extensions/AppleKextExcludeList.kext/Contents/Info.plist';
    await session.writeFile(path, new TextEncoder().encode(list(text)), false);
    const { code } = await sh('kextload Hello.kext');
    expect(code !== 0).toBe(excluded);
    expect(session.loaded('org.lkm.Hello') === undefined).toBe(excluded);
  });
});
