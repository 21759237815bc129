/** What a driver took and did not give back. */
import type { Address } from '../../memory/space.ts';
import { routinesIn } from './callbacks.ts';
import { deviceName, devicesOf, linksTo } from './devices.ts';
import type { DriverImage } from './images.ts';
import { tagText } from './pool.ts';
import type { Windows } from './windows.ts';

export interface Leak {
  readonly what: string;
  readonly bytes: number;
  /** Where it was taken. */
  readonly where: string;
}

export function leaksOf(k: Windows, image: DriverImage, driver: Address): Leak[] {
  const inside = (address: Address) => k.drivers.at(address) === image;
  const leaks: Leak[] = [];
  for (const { bytes, tag, kind, caller } of k.pool.live) {
    if (inside(caller))
      leaks.push({ what: `${kind} pool, tag ${tagText(tag)}`, bytes, where: k.describe(caller) });
  }
  for (const device of devicesOf(k, driver)) {
    const name = deviceName(k, device);
    leaks.push({
      what: `device object ${name ?? '(unnamed)'}`,
      bytes: k.read('DEVICE_OBJECT.Size', device),
      where: '',
    });
    for (const link of name === undefined ? [] : linksTo(k, name))
      leaks.push({ what: `symbolic link ${link.name ?? ''}`, bytes: 0, where: '' });
  }
  // Left registered, it would be called where nothing is any more.
  for (const what of routinesIn(k, image)) leaks.push({ what, bytes: 0, where: '' });
  return leaks;
}
