/** What broke a load or an unload off, for `Ending.ended`. */
import { MissingFunctionReached } from '../kernel/missing.ts';
import { Deadlock } from '../kernel/scheduler.ts';
import { ThreadKilled } from '../kernel/thread.ts';
import type { Ending } from './system.ts';

/** Undefined for an error that is no end of guest code: it is to be thrown on. */
export function endedBy(error: unknown): Ending['ended'] {
  if (error instanceof MissingFunctionReached) return 'missing';
  return error instanceof ThreadKilled || error instanceof Deadlock ? 'killed' : undefined;
}
