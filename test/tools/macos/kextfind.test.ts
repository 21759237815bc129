/** kextfind(8) as its manual page describes it. */
import { beforeAll, describe, expect, it } from 'vitest';
import { MacosSession } from '../../../src/tools/macos/session.ts';
import { fixtureFiles } from '../../systems/macos/fixtures.ts';

let session: MacosSession;
beforeAll(async () => {
  session = new MacosSession({ files: fixtureFiles, settings: new Map([['release', '10.8']]) });
  for (const name of ['Board', 'Client', 'Codeless', 'Lamp', 'Library'])
    session.importer.take(`${name}.kext`, `/Library/Extensions/${name}.kext`);
  await session.run(['kextload', '/Library/Extensions/Board.kext']);
});

/** Words between blanks; the names of what is found, without folders. */
async function find(query: string): Promise<string> {
  const { code, out, err } = await session.run([
    'kextfind',
    ...query.split(' ').filter((word) => word !== ''),
  ]);
  expect([code, err], query).toEqual([0, '']);
  return out.replaceAll('/Library/Extensions/', '').replaceAll('.kext', '').trimEnd().replaceAll('\n', ' ');
}

describe('kextfind', () => {
  it.each([
    ['', 'Board Client Codeless Lamp Library'],
    ['/Library/Extensions/Lamp.kext', 'Lamp'],
    ['-b org.lkm.Lamp', 'Lamp'],
    ['-i -b ORG.LKM.LAMP', 'Lamp'],
    ['-b -i -s LAMP', 'Lamp'],
    ['-b lamp', ''],
    ['-B Library.kext', 'Library'],
    ['-bundle-name -substring li', 'Client'],
    ['-loaded', 'Board'],
    ['! -loaded -x', 'Client Lamp Library'],
    ['-not ( -loaded -or -lib )', 'Client Codeless Lamp'],
    ['-lib -or -nx', 'Codeless Library'],
    ['-lib -and -nx', ''],
    ['-p CFBundlePackageType KEXT -b -s C', 'Client Codeless'],
    ['-pe IOKitPersonalities', 'Codeless Lamp'],
    ['-m IOProviderClass IOPlatformDevice', 'Lamp'],
    ['-me IOClass', 'Codeless Lamp'],
    ['-V gt2.0', 'Library'],
    ['-V 1.2-2.2', 'Board Library'],
    ['-V 1.2.3b4', 'Board'],
    ['-V lt1.2.3', 'Board Client Codeless Lamp'],
    ['-compatible-with-version 2.0', 'Library'],
    ['-a -v -d -l -b -s Client', 'Client'],
    ['-nl', ''],
    ['-arch x86_64', 'Board Client Lamp Library'],
    ['-arch x86_64,i386', ''],
    ['-ax x86_64', 'Board Client Lamp Library'],
    ['-dsym _library_sum', 'Library'],
    ['-rsym _library_sum', 'Client'],
    ['-R', ''],
    ['-nd', ''],
    ['-dup', ''],
    ['-b -s Library -print-dependents', 'Client'],
    ['-b -s Client -print-dependencies', 'Library'],
    ['-b org.lkm.Lamp -pa', 'x86_64'],
    ['-no-paths -b org.lkm.Lamp -pid -px', 'Contents/Info.plist Contents/MacOS/Lamp'],
    ['-b org.lkm.Lamp -pp CFBundleVersion', 'CFBundleVersion = "1.0"'],
    ['-b org.lkm.Lamp -pp OSBundleLibraries', 'OSBundleLibraries = <dictionary of 4 items>'],
    ['-b org.lkm.Lamp -pm IOProviderClass', 'Lamp: IOProviderClass = "IOPlatformDevice"'],
    ['-b org.lkm.Lamp -echo -n word', 'word'],
    ['-b org.lkm.Lamp -exec ls -d {} ;', 'Lamp'],
    ['-b org.lkm.Lamp -exec whoami ;', 'root'],
  ])('%s', async (query, expected) => expect(await find(query)).toBe(expected));

  it('makes reports, with labels or without', async () => {
    const result = await session.run(
      'kextfind -no-paths -lib -or -loaded -report -print -loaded -lib -V'.split(' '),
    );
    expect(result.out).toBe(
      'Bundle\tLoaded\tLibrary\tCFBundleVersion\nBoard.kext\tyes\tno\t1.2.3b4\nLibrary.kext\tno\tyes\t2.1\n',
    );
    const bare = await session.run(
      'kextfind -lib -report -no-header -b -p Nothing -sym _library_sum -arch i386'.split(' '),
    );
    expect(bare.out).toBe('org.lkm.Library\t<null>\tdefines\tno\n');
  });

  it('ends lines with NUL when asked', async () => {
    expect((await session.run(['kextfind', '-lib', '-print0'])).out).toBe(
      '/Library/Extensions/Library.kext\0',
    );
    expect((await session.run(['kextfind', '-0', '-lib'])).out).toBe('/Library/Extensions/Library.kext\0');
  });

  it.each(['-b', '( -lib', '-nonsense', '-V 1.2-x', '-arch vax', '-report -nonsense', '-lib )', '-exec ls'])(
    'complains of: %s',
    async (query) => {
      const result = await session.run(['kextfind', ...query.split(' ')]);
      expect([result.code, result.err.includes('usage: kextfind')]).toEqual([64, true]);
    },
  );
});
