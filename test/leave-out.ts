import { spawnSync } from 'node:child_process';
import { appendFileSync } from 'node:fs';

/**
 * For `it.skipIf(leaveOut(import.meta.url, reason))`: true when there is a reason not to run here. The reason is written
 * to the file that `npm test` reads (LKM_SKIP_LOG), so that it can say at its end what was left out and why.
 */
export function leaveOut(test: string, reason: string | false | undefined): boolean {
  if (!reason) return false;
  const log = process.env.LKM_SKIP_LOG;
  const name = test.replace(/^file:.*\/(test\/)/, '$1');
  if (log) appendFileSync(log, `${JSON.stringify({ test: name, reason })}\n`);
  return true;
}

/** A reason when the program cannot be started. */
export function withoutProgram(name: string): string | false {
  return spawnSync(name, ['--version']).error === undefined ? false : `${name} is not installed`;
}
