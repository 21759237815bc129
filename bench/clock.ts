/** Time without what other programs on the machine take of it. */
import { existsSync, readFileSync } from 'node:fs';

/** Nanoseconds that the main thread has had a processor: its first number (Documentation/scheduler/sched-stats.rst). */
const SCHEDULED = '/proc/self/schedstat';
/** True where other programs on the machine do not count. */
export const OWN_TIME = existsSync(SCHEDULED) && Number.parseInt(readFileSync(SCHEDULED, 'utf8'), 10) > 0;

const cell = new Int32Array(new SharedArrayBuffer(4));

/** Milliseconds of the main thread's processor time where the system tells it, else of the clock. */
export function now(): number {
  if (!OWN_TIME) return performance.now();
  // The number is brought up to date when the thread gives its processor away, else at the next tick.
  Atomics.wait(cell, 0, 0, 0.01);
  return Number.parseInt(readFileSync(SCHEDULED, 'utf8'), 10) / 1e6;
}

/** The time that some work takes, as {@link now} tells it. */
export function timed<T>(work: () => T): [milliseconds: number, result: T] {
  const started = now();
  const result = work();
  return [now() - started, result];
}
