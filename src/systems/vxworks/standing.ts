/**
 * What stands in VxWorks that modules made (kernel/standing.ts): the system takes nothing back. Semaphores, queues and stopped
 * watchdogs are memory that nobody runs: the report of leaks tells them.
 */
import { MODULE, type StandingThing } from '../../kernel/standing.ts';
import { standingFiles } from './functions/io.ts';
import type { VxWorks } from './vxworks.ts';

export function* standing(k: VxWorks): Generator<StandingThing> {
  for (const { id, name } of k.modules) yield { what: MODULE, key: id, name };
  for (const { id, name, thread } of k.tasks)
    if (thread.state !== 'dead') yield { what: 'task', key: id, name };
  yield* standingFiles(k);
  for (const { kind, routine } of k.hooks)
    yield { what: `task ${kind} hook`, key: routine, name: k.describe(routine) };
  const drivers = new Set<string>();
  for (const { what, which, address } of k.pointers()) {
    const name = `${which} (${k.describe(address)})`.trimStart();
    // A driver is one thing, however many routines it has.
    const key = what === 'driver' ? which : `${which} ${address}`;
    if (what === 'driver' && drivers.has(which)) continue;
    drivers.add(which);
    yield { what, key, name };
  }
}
