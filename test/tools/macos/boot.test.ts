/** `lkm boot macos`: what is installed decides whether the machine comes up, and what it loads. */
import { describe, expect, test } from 'vitest';
import { boot } from '../../../src/tools/macos/boot.ts';
import type { SystemFiles } from '../../../src/tools/system.ts';
import { fixtureFiles } from '../../systems/macos/fixtures.ts';

/** A machine with fixtures in /Library/Extensions. */
function root(names: readonly string[]): SystemFiles {
  const folder = '/Library/Extensions';
  const inner = (path: string): string | undefined => {
    const rest = path.startsWith(`${folder}/`) ? path.slice(folder.length + 1) : undefined;
    return names.some((name) => rest === name || rest?.startsWith(`${name}/`)) ? rest : undefined;
  };
  return {
    read: (path) => fixtureFiles.read(inner(path) ?? 'none'),
    list: (path) =>
      path === folder ? names.map((name) => `${name}/`) : fixtureFiles.list(inner(path) ?? 'none'),
    stat: (path) => fixtureFiles.stat(inner(path) ?? 'none'),
  };
}

async function start(names: readonly string[], settings: Record<string, string>) {
  const files: SystemFiles = { read: () => undefined, list: () => undefined, stat: () => undefined };
  return await boot({ files, root: root(names), seed: 1, settings: new Map(Object.entries(settings)) });
}

describe('a machine with kexts in /Library/Extensions', () => {
  test('10.11 with an unsigned one does not come up, and says which', async () => {
    const { steps, session } = await start(['Hello.kext'], { release: '10.11' });
    expect(session).toBeUndefined();
    expect(steps.at(-1)).toEqual({
      stage: 'kext folders',
      subject: '/Library/Extensions/Hello.kext',
      outcome: 'stopped',
      rule: 'macos.signature',
      why: expect.stringContaining('it is not signed'),
    });
  });

  test('10.8 comes up with it; what has no device waits', async () => {
    const { steps, session } = await start(['Hello.kext', 'Lamp.kext'], { release: '10.8' });
    expect(session).toBeDefined();
    expect(steps.filter(({ stage }) => stage === 'kextd')).toEqual([
      expect.objectContaining({ subject: 'org.lkm.Hello', outcome: 'skipped' }),
      expect.objectContaining({
        subject: 'org.lkm.Lamp',
        outcome: 'skipped',
        why: expect.stringMatching(/device/),
      }),
    ]);
  });

  test('with protection switched off 10.15 comes up, too', async () => {
    const { session } = await start(['Hello.kext'], { release: '10.15', sip: 'off' });
    expect(session).toBeDefined();
  });

  test('a kext of another owner is refused by name', async () => {
    const { steps } = await start(['Lamp.kext'], { release: '10.8', owner: 'developer' });
    expect(steps.at(-1)).toMatchObject({ subject: 'org.lkm.Lamp', outcome: 'refused', rule: 'macos.owner' });
  });
});
