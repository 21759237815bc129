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
      code: 1,
      err: 'Kernel request failed: (libkern/kext) not found (-603947002)\n',
    });
  });

  it('refuses in its own words', async () => {
    const sh = machine({ release: '12' });
    expect(await sh(`kmutil load -p ${KEXTS}/Stranger.kext`)).toMatchObject({
      code: 1,
      err: 'Kernel request failed: (libkern/kext) link error (-603946986)\n',
    });
    const owned = machine({ release: '12', owner: 'developer' });
    expect((await owned(`kmutil load -p ${KEXTS}/Codeless.kext`)).err).toBe(
      [
        `Filesystem error: Invalid ownership (501:20) should be (0:0) on ${KEXTS}/Codeless.kext`,
        `Filesystem error: Invalid ownership (501:20) should be (0:0) on ${KEXTS}/Codeless.kext/Contents`,
        `Filesystem error: Invalid ownership (501:20) should be (0:0) on ${KEXTS}/Codeless.kext/Contents/Info.plist\n`,
      ].join('\n'),
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
