/** Bundles in archives: described in place, and as the root of a machine. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { zipSync } from 'fflate';
import { afterAll, describe, expect, it } from 'vitest';
import { FormatError } from '../../../src/bytes/errors.ts';
import { bundlesInArchive, holdsBundles } from '../../../src/tools/macos/archive.ts';
import { describeKext } from '../../../src/tools/macos/describe.ts';
import { MacosSession } from '../../../src/tools/macos/session.ts';
import { recognise } from '../../../src/tools/systems.ts';
import { BUILT, executable, fixtureFiles, infoPlist } from '../../systems/macos/fixtures.ts';

const folder = mkdtempSync(join(tmpdir(), 'lkm-kext-archive-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const files = (name: string, at = ''): Record<string, Uint8Array> => ({
  [`${at}${name}.kext/Contents/Info.plist`]: infoPlist(name),
  [`${at}${name}.kext/Contents/MacOS/${name}`]: executable(name),
});
const zip = zipSync({
  ...files('Board', 'driver-1.0/'),
  ...files('Lamp', 'driver-1.0/'),
  '__MACOSX/Board.kext/Contents/Info.plist': infoPlist('Board'),
});

describe('archives of kexts', () => {
  it('a zip is described as the bundle in it is; others are named', async () => {
    expect(holdsBundles('driver.zip', zip)).toBe(true);
    const packed = await describeKext({ path: 'driver.zip', bytes: zip });
    const plain = await describeKext({ path: join(BUILT, 'Board.kext'), bytes: undefined });
    expect({ ...packed.facts, bundles: undefined }).toEqual({ ...plain.facts, bundles: undefined });
    expect(packed.lists.find(({ name }) => name === 'bundles')?.rows).toEqual(['Lamp.kext org.lkm.Lamp 1.0']);
  });

  it.each(['tar', 'tar.gz', 'tgz'])('so is a .%s', async (extension) => {
    const path = join(folder, `kexts.${extension}`);
    const mode = extension === 'tar' ? '-cf' : '-czf';
    execFileSync('tar', [mode, path, '-C', BUILT, 'Hello.kext', 'Codeless.kext']);
    const bytes = new Uint8Array(readFileSync(path));
    expect(bundlesInArchive(bytes)?.bundles).toEqual(['/Codeless.kext', '/Hello.kext']);
    expect((await describeKext({ path, bytes })).facts.identifier).toBe('org.lkm.Codeless');
  });

  it('an archive can be the root of a machine', async () => {
    const root = join(folder, 'root.zip');
    const bytes = zipSync(files('Hello', 'Library/Extensions/'));
    const session = new MacosSession({
      files: { ...fixtureFiles, read: (path) => (path === root ? bytes : undefined), list: () => undefined },
      settings: new Map([
        ['root', root],
        ['release', '10.8'],
      ]),
    });
    expect((await session.run(['kextfind'])).out).toBe('/Library/Extensions/Hello.kext\n');
  });

  it('the owner in an archive counts where it is asked for', async () => {
    const path = join(folder, 'owned.tar');
    execFileSync('tar', ['-cf', path, '--owner=501', '--group=20', '-C', BUILT, 'Hello.kext']);
    const bytes = new Uint8Array(readFileSync(path));
    expect(bundlesInArchive(bytes)?.tree.lookUp('/Hello.kext/Contents/Info.plist')).toMatchObject({
      uid: 501,
      gid: 20,
    });
    const start = async (owner: string) => {
      const session = new MacosSession({
        files: { ...fixtureFiles, read: (name) => (name === path ? bytes : fixtureFiles.read(name)) },
        settings: new Map([
          ['release', '10.8'],
          ['owner', owner],
        ]),
      });
      return await session.run(['kextload', path]);
    };
    expect(await start('root')).toMatchObject({ code: 0 });
    expect((await start('host')).err).toContain('authentication failure (file ownership/permissions)');
  });

  it('an archive is found by what it holds, and loaded', async () => {
    const file = { path: join(folder, 'driver.zip'), bytes: zip };
    expect((await recognise(file))?.name).toBe('macos');
    expect(
      await recognise({ path: 'other.zip', bytes: zipSync({ 'a.txt': new Uint8Array(3) }) }),
    ).toBeUndefined();
    const session = new MacosSession({
      files: {
        ...fixtureFiles,
        read: (path) => (path === file.path ? zip : undefined),
        list: () => undefined,
      },
      named: [file],
      settings: new Map([['release', '10.8']]),
    });
    expect(await session.load(file.path, [])).toMatchObject({ code: 0, module: 'org.lkm.Board' });
    expect(await session.run(['kextload', 'Lamp.kext'])).toMatchObject({ code: 0 });
  });

  it('links that lead out and damage end in words', () => {
    symlinkSync('/etc/passwd', join(folder, 'Info.plist'));
    execFileSync('tar', [
      '-cf',
      join(folder, 'evil.tar'),
      '-C',
      folder,
      'Info.plist',
      '--transform',
      's,^,Evil.kext/Contents/,',
    ]);
    expect(bundlesInArchive(new Uint8Array(readFileSync(join(folder, 'evil.tar'))))).toBeUndefined();
    for (let cut = 0; cut < zip.length; cut += 997) {
      try {
        bundlesInArchive(zip.subarray(0, cut));
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
      }
      holdsBundles('x.zip', zip.subarray(0, cut));
    }
  });
});
