/** What stands in a Windows kernel that drivers made (kernel/standing.ts). What of a driver would still run is in leaks.ts, too. */
import { MODULE, type StandingThing } from '../../kernel/standing.ts';
import type { Address } from '../../memory/space.ts';
import { routinesNow } from './callbacks.ts';
import { deviceName } from './devices.ts';
import { armedTimers } from './dpc.ts';
import type { ObjectType } from './objects.ts';
import { registrations } from './registered.ts';
import type { Windows } from './windows.ts';

/** Objects that go with nobody but by their own routines. */
const KINDS: Partial<Record<ObjectType, string>> = {
  Device: 'device object',
  SymbolicLink: 'symbolic link',
  Callback: 'callback object',
};

/** The routine of a timer; the timer itself when it has none, or when it has gone with the driver whose memory it was in. */
function calledBy(k: Windows, timer: Address): Address {
  if (k.memory.permOf(timer) === undefined) return timer;
  const dpc = k.read('KTIMER.Dpc', timer);
  return dpc === 0 || k.memory.permOf(dpc) === undefined ? timer : k.read('KDPC.DeferredRoutine', dpc);
}

export function* standing(k: Windows): Generator<StandingThing> {
  for (const { name, base } of k.drivers) yield { what: MODULE, key: base, name };
  for (const { type, name, address } of k.objects.all) {
    const what = KINDS[type];
    const own = name ?? (type === 'Device' ? deviceName(k, address) : undefined);
    if (what !== undefined) yield { what, key: address, name: own ?? '(unnamed)' };
  }
  for (const timer of armedTimers(k)) {
    yield { what: 'timer', key: timer, name: k.describe(calledBy(k, timer)) };
  }
  for (const { id, start } of k.threads.live)
    if (start !== undefined) yield { what: 'system thread', key: id, name: k.describe(start) };
  for (const { what, key, at } of routinesNow(k)) yield { what, key, name: k.describe(at) };
  for (const { what, handle, by } of registrations(k))
    yield { what: `registered for ${what}:`, key: handle, name: k.objects.at(by)?.name ?? k.describe(by) };
}
