/** kmutil, and the older tools that stand for it from macOS 11 on. */
import { describe, expect, it } from 'vitest';
import { MacosSession } from '../../../src/tools/macos/session.ts';
import { fixtureFiles } from '../../systems/macos/fixtures.ts';

function machine(
  settings: Record<string, string>,
): (line: string) => Promise<{ code: number; out: string; err: string }> {
  const session = new MacosSession({ files: fixtureFiles, settings: new Map(Object.entries(settings)) });
  for (const name of ['Board', 'Library', 'Stranger', 'Codeless'])
    session.importer.take(`${name}.kext`, `/Library/Extensions/${name}.kext`);
  return async (line) => await session.run(line.split(' '));
}

const KEXTS = '/Library/Extensions';

/** As Foundation prints an error of kmutil's. */
const error = (code: number, text: string): string =>
  `Error Domain=KMErrorDomain Code=${code} "${text}" UserInfo={NSLocalizedDescription=${text}}\n`;

describe('kmutil', () => {
  it('came with macOS 11', async () => {
    expect(await machine({ release: '10.15' })('kmutil showloaded')).toMatchObject({
      code: 127,
      err: '-sh: kmutil: command not found\n',
    });
  });

  it('loads, shows and unloads, and is what the older tools run', async () => {
    const sh = machine({ release: '12' });
    expect(await sh(`kmutil load -p ${KEXTS}/Library.kext`)).toMatchObject({ code: 0, out: '', err: '' });
    const shown = await sh('kmutil showloaded --no-kernel-components');
    expect(shown.err).toBe('No variant specified, falling back to release\n');
    expect(shown.out).toMatch(
      /^Index Refs Address {12}Size {7}Wired {6}Name \(Version\) UUID <Linked Against>\n {4}\d {4}0 0x\S+ +0x\w+ +0x\w+ +org\.lkm\.Library \(2\.1\) [-0-9A-F]{36} <4 1>\n$/,
    );
    const old = await sh('kextstat -k -l');
    expect(old.err).toBe(
      'Executing: /usr/bin/kmutil showloaded --no-kernel-components --list-only\nNo variant specified, falling back to release\n',
    );
    expect(shown.out).toContain(old.out);
    expect((await sh('kmutil showloaded --list-only -b com.apple.kpi.bsd')).out).toMatch(
      /com\.apple\.kpi\.bsd \(21\.6\.0\) .*<>\n$/,
    );
    const gone = await sh(`kextunload ${KEXTS}/Library.kext`);
    expect(gone).toMatchObject({
      code: 0,
      err: `Executing: /usr/bin/kmutil unload -p ${KEXTS}/Library.kext\n`,
    });
    expect(await sh('kmutil unload -b org.lkm.Library')).toMatchObject({
      code: 71,
      err: error(71, 'Kernel request failed: (libkern/kext) not found (-603947002)'),
    });
  });

  it('refuses in its own words', async () => {
    const sh = machine({ release: '12' });
    const bound = [
      ['_library_sum', '0x11'],
      ['_nobody_has_this', '0x5'],
    ].map(
      ([name, at]) =>
        `Failed to bind '${name}' in 'org.lkm.Stranger' (at offset ${at} in __TEXT, __text) as could not find a kext which exports this symbol`,
    );
    const linking = [
      'Error occurred while building a collection: ',
      '    1: One or more binaries has an error which prevented linking.  See other errors.',
      `    2: Could not use 'org.lkm.Stranger' because: ${bound.join('')}`,
      'org.lkm.Stranger specific: ',
      `    1: ${bound.join('')}`,
      '',
    ].join('\n');
    expect(await sh(`kmutil load -p ${KEXTS}/Stranger.kext`)).toMatchObject({
      code: 31,
      err: error(31, linking),
    });
    expect(await sh('kmutil load -p /tmp/Nothing.kext')).toMatchObject({
      code: 71,
      err: error(71, 'Could not find: No bundle was found at /tmp/Nothing.kext.'),
    });
    const owned = machine({ release: '12', owner: 'developer' });
    const path = `${KEXTS}/Codeless.kext`;
    const files = ['', '/Contents', '/Contents/Info.plist'].map(
      (file) => `Filesystem error: Invalid ownership (501:20) should be (0:0) on ${path}${file}\n`,
    );
    expect((await owned(`kmutil load -p ${path}`)).err).toBe(
      error(
        30,
        `Validating extension failed: Kext org.lkm.Codeless v1.0 in codeless kext bundle org.lkm.Codeless at ${path}:\n\n${files.join('')}`,
      ),
    );
  });

  it('is what kextutil runs, which has no -n any more', async () => {
    const sh = machine({ release: '12' });
    expect(await sh('kextutil -n Board.kext')).toMatchObject({
      code: 0,
      err: 'kextutil: -n is not a supported kmutil mode\n',
    });
    expect((await sh(`kextutil -v ${KEXTS}/Library.kext`)).err).toBe(
      `Defaulting to kernel file '/System/Library/Kernels/kernel'\nExecuting: /usr/bin/kmutil load --bundle-path ${KEXTS}/Library.kext\n`,
    );
  });

  it('finds kexts, their libraries and what is wrong with them', async () => {
    const sh = machine({ release: '12' });
    expect((await sh('kmutil find -b org.lkm.Board')).out).toBe(`${KEXTS}/Board.kext\n`);
    expect((await sh(`kmutil libraries -p ${KEXTS}/Board.kext`)).out).toContain('com.apple.kpi.bsd = 21.6\n');
    expect(await sh(`kmutil print-diagnostics -p ${KEXTS}/Board.kext`)).toMatchObject({ code: 0, out: '' });
    expect((await sh('kmutil nonsense')).code).toBe(64);
    expect((await sh('kmutil --help')).out).toContain('SUBCOMMANDS:');
  });
});
