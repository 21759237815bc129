/** What a driver took and did not give back, and what of it would still run. */
import type { Address } from '../../memory/space.ts';
import { routinesIn } from './callbacks.ts';
import { deviceName, devicesOf, linksTo } from './devices.ts';
import { armedTimers, queuedDpcs } from './dpc.ts';
import type { DriverImage } from './images.ts';
import { tagText } from './pool.ts';
import { registrations } from './registered.ts';
import type { Windows } from './windows.ts';

export interface Leak {
  readonly what: string;
  /** Memory; otherwise something that stands, with which kernel/standing.ts has to do as well. */
  readonly memory?: true;
  readonly bytes: number;
  /** Where it was taken. */
  readonly where: string;
}

export function leaksOf(k: Windows, image: DriverImage, driver: Address): Leak[] {
  const inside = (address: Address) => k.drivers.at(address) === image;
  const leaks: Leak[] = [];
  for (const { bytes, tag, kind, caller } of k.pool.live) {
    if (inside(caller))
      leaks.push({
        what: `${kind} pool, tag ${tagText(tag)}`,
        memory: true,
        bytes,
        where: k.describe(caller),
      });
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
  for (const { what, by } of registrations(k))
    if (inside(by) || by === driver) leaks.push({ what: `registered for ${what}`, bytes: 0, where: '' });
  return [...leaks, ...running(k, inside)];
}

/** Timers, deferred calls and threads: real kernels stop with bug checks 0xC7 and 0xCE over them. */
function running(k: Windows, inside: (address: Address) => boolean): Leak[] {
  const routine = (dpc: Address): Address => k.read('KDPC.DeferredRoutine', dpc);
  const leak = (what: string, where: Address): Leak => ({ what, bytes: 0, where: k.describe(where) });
  const calls = (dpc: Address): boolean => inside(dpc) || inside(routine(dpc));
  const timers = [...armedTimers(k)].flatMap((timer) => {
    const dpc = k.read('KTIMER.Dpc', timer);
    const mine = inside(timer) || (dpc !== 0 && calls(dpc));
    return mine ? [leak('timer that is set', dpc === 0 ? timer : routine(dpc))] : [];
  });
  const dpcs = [...queuedDpcs(k)]
    .filter(calls)
    .map((dpc) => leak('deferred procedure call that is queued', routine(dpc)));
  const threads = [...k.threads.live].flatMap(({ start }) =>
    start !== undefined && inside(start) ? [leak('system thread', start)] : [],
  );
  return [...timers, ...dpcs, ...threads];
}
