/** codesign shows and verifies what a bundle is signed with. */
import { expect, it } from 'vitest';
import { MacosSession } from '../../../src/tools/macos/session.ts';
import { signed } from '../../formats/macho/signed.ts';
import { executable, fixtureFiles, infoPlist } from '../../systems/macos/fixtures.ts';

const CODE = '/tmp/Hello.kext/Contents/MacOS/Hello';

function machine(): {
  session: MacosSession;
  sh: (line: string) => Promise<{ code: number; out: string; err: string }>;
} {
  const session = new MacosSession({ files: fixtureFiles, settings: new Map([['release', '10.8']]) });
  session.tree.writeFile('/tmp/Hello.kext/Contents/Info.plist', infoPlist('Hello'));
  session.tree.writeFile(CODE, signed(executable('Hello'), infoPlist('Hello')));
  return { session, sh: async (line) => await session.run(line.split(' ')) };
}

it('displays a signature with more as it is asked for more', async () => {
  const { sh } = machine();
  expect((await sh('codesign -d /tmp/Hello.kext')).err).toBe(`Executable=${CODE}\n`);
  const { code, err } = await sh('codesign -dvvv /tmp/Hello.kext');
  expect(code).toBe(0);
  expect(err).toMatch(
    /^Executable=.*\nIdentifier=org\.lkm\.Hello\nFormat=bundle with Mach-O thin \(x86_64\)\nCodeDirectory v=20200 size=\d+ flags=0x2\(adhoc\) hashes=\d\+2 location=embedded\nHash type=sha256 size=32\nCandidateCDHash sha256=[0-9a-f]{40}\n/,
  );
  expect(err).toContain('\nSignature=adhoc\n');
  expect(err).toContain('\nTeamIdentifier=TEAM\nSealed Resources=none\nInternal requirements=none\n');
  expect((await sh('codesign -dv /tmp/Hello.kext')).err).not.toContain('CDHash');
});

it('verifies, and names what has changed', async () => {
  const { session, sh } = machine();
  expect(await sh('codesign --verify -v /tmp/Hello.kext')).toMatchObject({
    code: 0,
    err: '/tmp/Hello.kext: valid on disk\n',
  });
  const bytes = Uint8Array.from(session.tree.read(CODE) ?? []);
  bytes[5000] ^= 1;
  session.tree.writeFile(CODE, bytes);
  expect(await sh('codesign --verify /tmp/Hello.kext')).toMatchObject({
    code: 1,
    err: '/tmp/Hello.kext: invalid signature (code or signature have been modified)\nIn architecture: x86_64\n',
  });
  const other = machine();
  other.session.tree.writeFile(
    '/tmp/Hello.kext/Contents/Info.plist',
    Uint8Array.of(...infoPlist('Hello'), 10),
  );
  expect((await other.sh('codesign --verify /tmp/Hello.kext')).err).toContain('invalid Info.plist');
  expect(await sh('codesign -d Board.kext')).toMatchObject({
    code: 1,
    err: 'Board.kext: code object is not signed at all\n',
  });
  expect((await sh('codesign')).code).toBe(2);
});
