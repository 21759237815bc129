/** What stands in a Solaris kernel that modules made (kernel/standing.ts): devices, statistics, timers, threads, handlers. */
import { FILE, MODULE, type StandingThing } from '../../kernel/standing.ts';
import { configuration } from './configuration.ts';
import { deviceFiles, driverOps } from './devices.ts';
import { mountTable } from './filesystems.ts';
import { hashesNow } from './functions/hashes.ts';
import { handlersNow } from './functions/interrupts.ts';
import { cachesNow } from './functions/kmem.ts';
import { kstatsNow } from './functions/kstat.ts';
import { arenasNow } from './functions/numbers.ts';
import { registrationsNow } from './functions/registrations.ts';
import { servicesNow } from './functions/services.ts';
import { taskqsNow } from './functions/taskq.ts';
import { timersNow } from './functions/time.ts';
import { interfaces } from './interfaces.ts';
import { modctls } from './modules.ts';
import type { Solaris } from './solaris.ts';
import { strmodsOf } from './streams.ts';

export function* standing(k: Solaris): Generator<StandingThing> {
  for (const modctl of k.state(modctls))
    if (modctl.get('loaded') !== 0) yield { what: MODULE, key: modctl.address, name: modctl.name };
  for (const { path } of deviceFiles(k))
    yield { what: FILE, key: `/devices/${path}`, name: `/devices/${path}` };
  for (const [name, major] of k.state(configuration).majors)
    if (driverOps(k, major) !== 0) yield { what: 'driver', key: major, name };
  for (const [name] of strmodsOf(k)) yield { what: 'STREAMS module', key: name, name };
  for (const { directory, type } of mountTable(k))
    yield { what: 'mount', key: directory, name: `${directory} (${type})` };
  for (const { name, handle } of interfaces(k)) yield { what: 'network interface', key: handle, name };
  yield* kstatsNow(k);
  yield* timersNow(k);
  yield* taskqsNow(k);
  yield* cachesNow(k);
  yield* hashesNow(k);
  yield* arenasNow(k);
  yield* servicesNow(k);
  yield* registrationsNow(k);
  yield* handlersNow(k);
  for (const { id, name } of k.scheduler.threads) yield { what: 'thread', key: id, name };
}
