/** What kexts register is seen while it stands, and is gone when they have stopped. */
import { describe, expect, it } from 'vitest';
import { newlyStanding, standingNow } from '../../../src/kernel/standing.ts';
import { MacosSession } from '../../../src/tools/macos/session.ts';
import { fixtureFiles } from '../../systems/macos/fixtures.ts';

describe('what stands', () => {
  it.each([
    ['Board', ['file', 'device switch', 'sysctl']],
    ['Post', ['kernel control', 'network interface', 'socket filter', 'kauth listener', 'security policy']],
    ['Shelf', ['file system']],
    ['Lamp', []],
  ])('of %s', async (name, kinds) => {
    const session = new MacosSession({ files: fixtureFiles, settings: new Map([['release', '10.15']]) });
    await session.run(['kextstat', '-l']);
    const before = standingNow(session.standing());
    const loaded = await session.load(`${name}.kext`, []);
    expect(loaded.ended).toBeUndefined();
    const during = standingNow(session.standing());
    const found = newlyStanding(before, during, during).map(({ what }) => what);
    for (const kind of kinds) expect(found).toContain(kind);
    expect((await session.unload(loaded.module ?? '')).ended).toBeUndefined();
    expect(newlyStanding(before, during, standingNow(session.standing()))).toEqual([]);
  });

  it('a run that ends on a panic says how it ended', async () => {
    const session = new MacosSession({ files: fixtureFiles, settings: new Map([['release', '10.15']]) });
    expect(await session.load('Crasher.kext', [])).toMatchObject({ ended: 'killed', module: undefined });
  });
});
