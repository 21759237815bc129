/** Drivers: matched to devices, started, shown in the registry, terminated and unloaded. */
import { describe, expect, test } from 'vitest';
import { RELEASES } from '../../../src/systems/macos/release.ts';
import { KernelClasses } from '../../../src/systems/macos/runtime/vtables.ts';
import { MacosSession } from '../../../src/tools/macos/session.ts';
import type { ToolResult } from '../../../src/tools/system.ts';
import { fixtureFiles } from '../../systems/macos/fixtures.ts';

function machine(release = '10.8') {
  const session = new MacosSession({
    files: fixtureFiles,
    seed: 1,
    user: 'root',
    settings: new Map([
      ['release', release],
      ['boot-args', 'kext-dev-mode=1'],
    ]),
  });
  const sh = async (line: string): Promise<ToolResult> => await session.run(line.split(' '));
  const log = (): string[] => session.kernel.log.records.map(({ text }) => text);
  return { session, sh, log };
}

const DRIVEN = RELEASES.filter(({ x86_64 }) => x86_64).map(({ name }) => name);

describe('an I/O Kit driver', () => {
  test.each(DRIVEN)('on %s it starts at the device that fits, and goes with it', async (release) => {
    const { session, sh, log } = machine(release);
    expect((await sh('plug IOPlatformDevice lamp')).code).toBe(0);
    const first = session.kernel.heap.usedBytes;
    const result = await sh('kextload Lamp.kext');
    expect(result.code).toBe(0);
    // From 11 on kextload hands over to kmutil and says so.
    expect(result.err.replace(/^Executing: \/usr\/bin\/kmutil load .*\n/, '')).toBe('');
    expect(result.note).toBeUndefined();
    expect(log().filter((line) => line.startsWith('Lamp'))).toEqual([
      'Lamp: org.lkm.Lamp is loaded',
      'Lamp: on at lamp',
    ]);
    const shown = (await sh('ioreg -c org_lkm_Lamp')).out;
    expect(shown).toMatch(
      /^ {6}\+-o org_lkm_Lamp {2}<class org_lkm_Lamp, id 0x1000001\w\w, registered, matched, active, busy 0, retain \d+>$/m,
    );
    expect(shown).toContain('"Lit" = Yes');
    expect(shown).toContain('"Watts" = 60');
    expect(await sh('kextunload -b org.lkm.Lamp')).toMatchObject({ code: 0 });
    expect(log().slice(-2)).toEqual(['Lamp: off', 'Lamp: freed']);
    expect((await sh('ioreg -c org_lkm_Lamp')).out).toBe('');
    // The device keeps its list of clients, which is empty now.
    const used = session.kernel.heap.usedBytes;
    expect(used - first).toBeLessThan(256);
    await sh('kextload Lamp.kext');
    await sh('kextunload -b org.lkm.Lamp');
    expect(session.kernel.heap.usedBytes).toBe(used);
  });

  test('a kext that is installed is loaded when its device appears', async () => {
    const { sh, log } = machine();
    await sh('cp -R Lamp.kext /Library/Extensions/Lamp.kext');
    await sh('plug IOPlatformDevice table');
    expect((await sh('kextstat -k -l')).out).not.toContain('org.lkm.Lamp');
    expect((await sh('plug IOPlatformDevice lamp')).code).toBe(0);
    expect((await sh('kextstat -k -l')).out).toContain('org.lkm.Lamp');
    expect(log()).toContain('Kext org.lkm.Lamp not found; queued load request to user space.');
    expect(log().at(-1)).toBe('Lamp: on at lamp');
    await sh('unplug lamp');
    expect(log().slice(-2)).toEqual(['Lamp: off', 'Lamp: freed']);
  });

  test('instances keep a kext from being unloaded', async () => {
    const { sh } = machine();
    await sh('plug IOPlatformDevice lamp Keep');
    await sh('kextload Lamp.kext');
    expect(await sh('kextunload -b org.lkm.Lamp')).toEqual(
      expect.objectContaining({
        code: 3,
        err: [
          "(kernel) Can't unload kext org.lkm.Lamp; classes have instances:",
          '(kernel)     Kext org.lkm.Lamp class org_lkm_Bulb has 1 instance.',
          'Failed to unload org.lkm.Lamp - (libkern/kext) kext is in use or retained (cannot unload).',
          '',
        ].join('\n'),
      }),
    );
  });

  test('a probe that says no leaves the device alone', async () => {
    const { sh, log } = machine();
    await sh('plug IOPlatformDevice lamp Broken');
    await sh('kextload Lamp.kext');
    expect(log().at(-1)).toBe('Lamp: freed');
    expect((await sh('ioreg -c org_lkm_Lamp')).out).toBe('');
    expect((await sh('kextunload -b org.lkm.Lamp')).code).toBe(0);
  });

  test('the same run gives the same log', async () => {
    const runs = await Promise.all(
      [0, 1].map(async () => {
        const { sh, log } = machine('14');
        await sh('plug IOPlatformDevice lamp');
        await sh('kextload Lamp.kext');
        return log();
      }),
    );
    expect(runs[0]).toEqual(runs[1]);
  });
});

describe('the order of virtual functions', () => {
  test.each(DRIVEN)('%s: a class begins with the functions of its parent', (name) => {
    const classes = new KernelClasses({ name }, 'x86_64');
    expect(classes.known).toBe(true);
    expect(classes.names.length).toBeGreaterThan(70);
    for (const one of classes.names.map((name) => classes.get(name))) {
      const parent = classes.get(one?.parent ?? '');
      if (one === undefined || parent === undefined) continue;
      expect(one.slots.length).toBeGreaterThanOrEqual(parent.slots.length);
      expect(one.slots.every((slot) => /^_Z\w+$|^__cxa_pure_virtual$/.test(slot))).toBe(true);
    }
    // Padding came with the first 64-bit kernels: the number of slots has stood since.
    expect(classes.get('OSObject')?.slots).toHaveLength(35);
    expect(classes.get('IOService')?.slots).toHaveLength(266);
  });

  test('a release without one is unknown', () => {
    expect(new KernelClasses({ name: '10.5' }, 'x86_64').known).toBe(false);
    expect(new KernelClasses({ name: '15' }, 'arm64').known).toBe(false);
  });
});
