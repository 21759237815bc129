/** What stands in a NetWare server that modules made (kernel/standing.ts). What is held under resource tags goes with its module. */
import { MODULE, type StandingThing } from '../../kernel/standing.ts';
import { openFiles } from './functions/files.ts';
import { registrationsNow } from './functions/registrations.ts';
import { openSemaphores } from './functions/server.ts';
import type { NetWare } from './netware.ts';

export function* standing(k: NetWare): Generator<StandingThing> {
  for (const { name, handle } of k.modules) yield { what: MODULE, key: handle, name };
  yield* registrationsNow(k);
  for (const { id, caller } of openSemaphores(k))
    yield { what: 'semaphore', key: id, name: `opened in ${k.describeReturn(caller)}` };
  for (const { handle, name } of openFiles(k)) yield { what: 'open file', key: handle, name };
  for (const screen of k.screens) yield { what: 'screen', key: screen.id, name: screen.name };
  for (const { id, name } of k.scheduler.threads) yield { what: 'thread', key: id, name };
}
