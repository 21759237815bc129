/** What programs reach of a kext: kernel controls, user clients, interfaces; and what registers with the kernel leaves with the kext. */
import { describe, expect, test } from 'vitest';
import { network } from '../../../src/systems/macos/functions/bsd/network.ts';
import { authorization } from '../../../src/systems/macos/functions/bsd/security.ts';
import { fileSystems } from '../../../src/systems/macos/functions/bsd/vfs.ts';
import { kernelClass } from '../../../src/systems/macos/runtime/classes.ts';
import { matches, services } from '../../../src/systems/macos/runtime/services.ts';
import { MacosSession } from '../../../src/tools/macos/session.ts';
import type { ToolResult } from '../../../src/tools/system.ts';
import { fixtureFiles } from '../../systems/macos/fixtures.ts';

function machine(release = '10.15', user = 'root') {
  const settings = new Map([['release', release]]);
  const session = new MacosSession({ files: fixtureFiles, seed: 1, user, settings });
  const sh = async (line: string): Promise<ToolResult> => await session.run(line.split(' '));
  const log = (): string[] => session.kernel.log.records.map(({ text }) => text);
  return { session, sh, log };
}

describe('a kernel control', () => {
  test('takes data, gives it back, and has options', async () => {
    const { sh, log } = machine();
    expect(await sh('kextload Post.kext')).toMatchObject({ code: 0, err: '' });
    expect((await sh('kctl')).out).toBe('   1 org.lkm.Post (0 connected)\n');
    const talk = await sh('kctl org.lkm.Post send:hello get:1 set:1:2a000000 get:1 recv');
    expect(talk).toEqual({ code: 0, out: '07000000\n2a000000\nHELLO\n', err: '' });
    expect(log().filter((line) => /connected|gone/.test(line))).toEqual([
      'Post: connected',
      'Post: 1 has gone',
    ]);
  });

  test('that does not exist, data that is not there and options that are unknown are errors of the system', async () => {
    const { sh } = machine();
    expect(await sh('kctl org.lkm.Post recv')).toMatchObject({
      code: 1,
      err: 'kctl: org.lkm.Post: No such file or directory\n',
    });
    await sh('kextload Post.kext');
    expect((await sh('kctl org.lkm.Post recv')).err).toBe('kctl: recv: Resource temporarily unavailable\n');
    expect((await sh('kctl org.lkm.Post get:2')).err).toBe('kctl: get: Invalid argument\n');
    expect((await sh('kctl org.lkm.Post set:1:zz')).code).toBe(1);
  });
});

describe('what a kext registers', () => {
  test('is there while it is loaded, and gone with it', async () => {
    const { session, sh, log } = machine();
    await sh('kextload Post.kext');
    const { kernel } = session;
    const kinds = (): string[] =>
      [...kernel.state(network).filters.values()].map(({ kind, name }) => `${kind} ${name}`);
    expect(kinds()).toEqual(['socket filter org.lkm.Post']);
    expect([...kernel.state(authorization).listeners].map(({ scope }) => scope)).toEqual([
      'com.apple.kauth.fileop',
    ]);
    expect([...kernel.state(fileSystems).all.values()].map(({ name }) => name)).toEqual(['postfs']);
    expect(log()).toContain('Security policy loaded: Post policy (post)');
    expect((await sh('ifconfig')).out).toBe('post0: flags=0<> mtu 1400\n');
    expect((await sh('ifconfig post0 up')).code).toBe(0);
    expect((await sh('ifconfig post0')).out).toBe('post0: flags=1<UP> mtu 1400\n');
    expect(log().at(-1)).toBe('Post: ioctl 80206910');
    expect((await sh('ifconfig en7')).err).toBe('ifconfig: interface en7 does not exist\n');
    const unloaded = await session.unload('org.lkm.Post');
    expect(unloaded).toMatchObject({ code: 0, leaks: [] });
    expect(kinds()).toEqual([]);
    expect(kernel.state(authorization).listeners.size + kernel.state(fileSystems).all.size).toBe(0);
    expect(kernel.state(authorization).policies.size).toBe(0);
    expect((await sh('ifconfig')).out).toBe('');
    for (const line of ['Post: filter 504f5354 unregistered', 'Post: interface detached', 'Post: closed'])
      expect(log()).toContain(line);
  });
});

describe('a user client', () => {
  test.each(['10.6', '10.8', '10.11', '10.15', '14'])(
    'on %s is opened, called and closed',
    async (release) => {
      const { sh } = machine(release);
      await sh('plug IOPlatformDevice lamp');
      await sh('kextload Lamp.kext');
      expect(await sh('ioclient org_lkm_Lamp 0 21 -o 1')).toEqual({ code: 0, out: '42\n', err: '' });
      expect((await sh('ioclient org_lkm_Lamp 1 -s lamp -O 16')).out).toBe('pmal\n');
      expect((await sh('ioclient org_lkm_Lamp 0 -o 1')).err).toBe(
        'ioclient: method 0: (iokit/common) invalid argument (0xe00002c2)\n',
      );
      expect((await sh('ioclient org_lkm_Lamp 5')).err).toContain('unsupported function (0xe00002c7)');
      expect((await sh('ioclient lamp 0')).err).toContain('open: (iokit/common) unsupported function');
      expect(await sh('kextunload -b org.lkm.Lamp')).toMatchObject({ code: 0 });
    },
  );
});

describe('a driver without its device', () => {
  test('says what it waits for', async () => {
    const { sh } = machine();
    expect(await sh('kextload Lamp.kext')).toMatchObject({
      code: 0,
      note: 'device absent: personality Lamp waits for IOPlatformDevice with IONameMatch lamp',
    });
    await sh('kextunload -b org.lkm.Lamp');
    await sh('plug IOPlatformDevice lamp');
    expect((await sh('kextload Lamp.kext')).note).toBeUndefined();
  });
});

describe('a device of a bus', () => {
  test('of PCI is matched by vendor and device, and its own functions are missing by name', async () => {
    const { session, sh } = machine();
    await sh('kextload Lamp.kext');
    const { kernel } = session;
    const personality = (IOPCIMatch: string): boolean => {
      const [nub] = [...kernel.state(services).registered].slice(-1);
      return kernel.runAs(
        { name: 'test', uid: 0 },
        matches(kernel, nub, { IOProviderClass: 'IOPCIDevice', IOPCIMatch }),
      );
    };
    expect((await sh('plug IOPCIDevice card vendor-id=0x8086 device-id=0x10a7')).code).toBe(0);
    expect(personality('0x10a98086 0x10a78086')).toBe(true);
    expect(personality('0x00008086&0x0000ffff')).toBe(true);
    expect(personality('0x10a98086')).toBe(false);
    expect((await sh('ioreg -c IOPCIDevice')).out).toContain('"vendor-id" = 32902');
    const slots = kernelClass(kernel, 'IOPCIDevice')?.slots ?? [];
    expect(slots.at(-1)).toBe('virtual function 159 of IOPCIDevice');
    expect((await sh('plug IONonsense card')).code).toBe(1);
  });
});
