/**
 * What stands in FreeBSD that modules made (kernel/standing.ts). Oids and event handlers of linker sets, and what SYSUNINIT takes
 * back, are gone by themselves; memory of malloc(9) is told by the report of leaks.
 */
import { MODULE, type StandingThing } from '../../kernel/standing.ts';
import { GuestFault } from '../../memory/fault.ts';
import type { FreeBsd } from './freebsd.ts';
import { firmwareNames, waitingDrivers } from './functions/bus.ts';
import { madeDevices } from './functions/children.ts';
import { devices } from './functions/devices.ts';
import { softwareHandlers } from './functions/interrupts.ts';
import { zones } from './functions/memory.ts';
import { eventHandlers } from './functions/modules.ts';
import { slots } from './functions/network.ts';
import { registered } from './functions/registrations.ts';
import { pendingCallouts } from './functions/sleep.ts';
import { kernelThreads, queues, units } from './functions/tasks.ts';
import { CTLFLAG, oidKind, walkOids } from './sysctl.ts';
import { rootList } from './sysctl-nodes.ts';
import { changedCalls } from './sysent.ts';
import { mounts } from './vfs.ts';

export function* standing(k: FreeBsd): Generator<StandingThing> {
  for (const { name, control } of k.modules) yield { what: MODULE, key: control, name };
  for (const { name, address } of k.state(devices).values())
    yield { what: 'device', key: address, name: `/dev/${name}` };
  for (const { address, name } of madeDevices(k)) yield { what: 'device on a bus', key: address, name };
  for (const { bus, driver } of waitingDrivers(k))
    yield { what: `driver on ${bus}`, key: driver, name: driver };
  for (const [key, { what, name }] of k.state(registered)) yield { what, key, name };
  for (const name of firmwareNames(k)) yield { what: 'firmware image', key: name, name };
  for (const path of k.state(mounts).keys()) yield { what: 'mounted filesystem', key: path, name: path };
  for (const { number, target } of changedCalls(k))
    yield {
      what: 'entry of sysent',
      key: `${number} ${target}`,
      name: `${number} (leads to ${k.describe(target)})`,
    };
  yield* activities(k);
  yield* holders(k);
  yield* oids(k);
}

/** What will run code by itself. */
function* activities(k: FreeBsd): Generator<StandingThing> {
  for (const { at, func } of pendingCallouts(k)) yield { what: 'callout', key: at, name: k.describe(func) };
  for (const { tag, list, fn } of k.state(eventHandlers).values())
    yield { what: 'event handler', key: tag, name: `${list} (${k.describe(fn)})` };
  for (const [td, name] of k.state(kernelThreads)) yield { what: 'kernel thread', key: td, name };
  for (const { address, name, ofKernel } of k.state(queues).values())
    if (!ofKernel) yield { what: 'taskqueue', key: address, name };
  for (const { cookie, fn } of k.state(softwareHandlers).values())
    yield { what: 'software interrupt', key: cookie, name: k.describe(fn) };
}

/** What keeps memory or numbers. */
function* holders(k: FreeBsd): Generator<StandingThing> {
  for (const [at, { name, ofKernel }] of k.state(zones))
    if (ofKernel !== true) yield { what: 'UMA zone', key: at, name };
  for (const [at, { low, high }] of k.state(units))
    yield { what: 'allocator of unit numbers', key: at, name: `${low} to ${high}` };
  for (const [type, taken] of k.state(slots))
    for (const slot of taken)
      yield { what: 'slot of object data', key: `${type} ${slot}`, name: `${slot} of type ${type}` };
}

/** Those that code made: the kernel's own come to be when a module names them, and linker sets are taken back. */
function* oids(k: FreeBsd): Generator<StandingThing> {
  try {
    for (const { name, oid } of walkOids(k, rootList(k)))
      if ((oidKind(k, oid) & CTLFLAG.DYN) !== 0) yield { what: 'sysctl', key: oid, name };
  } catch (error) {
    // An oid in memory that is gone ends the walk, as it would end any on a real system, in a panic.
    if (!(error instanceof GuestFault)) throw error;
    yield { what: 'sysctl', key: 'gone', name: 'whose memory is gone' };
  }
}
