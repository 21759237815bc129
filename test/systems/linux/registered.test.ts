import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { bootLinux } from '../../../src/systems/linux/bootkernel.ts';
import { register, registered, registrations, unregister } from '../../../src/systems/linux/registered.ts';
import { BUILT_IN, openKernel } from '../../../src/targets/kernel-store.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const kernel = openKernel(BUILT_IN, { packaged: (path) => `${root}${path}`, environment: process.env });

describe('registrations that nothing can use', () => {
  it('are counted, and stay counted when they are taken back', () => {
    const k = bootLinux(kernel);
    expect(register(k, 'led trigger', 0x1000, 'blink')).toBe(0);
    expect(unregister(k, 'led trigger', 0x1000)).toBe(true);
    expect(unregister(k, 'led trigger', 0x1000)).toBe(false);
    expect(registrations(k)).toEqual([{ what: 'led trigger', name: 'blink' }]);
  });

  it('refuse the same structure twice, and the same name where the kernel does', () => {
    const k = bootLinux(kernel);
    const rule = { twice: -16, sameName: -17 };
    expect(register(k, 'key type', 0x1000, 'user', rule)).toBe(0);
    expect(register(k, 'key type', 0x1000, 'user', rule)).toBe(-16);
    expect(register(k, 'key type', 0x2000, 'user', rule)).toBe(-17);
    expect(register(k, 'key type', 0x2000, 'logon', rule)).toBe(0);
    expect([...registered(k, 'key type').values()]).toEqual(['user', 'logon']);
  });

  it('belong to one kernel', () => {
    const first = bootLinux(kernel);
    register(first, 'bus', 0x1000, 'one');
    expect(registrations(bootLinux(kernel))).toEqual([]);
  });
});
