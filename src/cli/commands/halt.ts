/** `lkm halt SYSTEM`: ends the kernel that `lkm boot` keeps. */
import { setTimeout as wait } from 'node:timers/promises';
import type { Command, CommandContext, Resident } from '../command.ts';
import { Failure } from '../failure.ts';
import { forward } from '../resident/client.ts';
import { clearPlace, keeper, placeOf } from '../resident/place.ts';
import { systemNamed } from '../system-named.ts';
import { show } from '../system-session.ts';

/** A kernel that runs a module's endless loop does not answer; its budget ends most of them sooner. */
const PATIENCE_MS = 10_000;

export const command: Command = {
  async run(context) {
    const { resident } = context;
    if (resident !== undefined) return await halt(context, resident);
    const system = systemNamed(context.args[0] ?? 'linux');
    const impatient = new AbortController();
    const ended = forward(context, system);
    const late = wait(PATIENCE_MS, undefined, { signal: impatient.signal }).catch(() => undefined);
    try {
      return (await Promise.race([ended, late])) ?? kill(context, system);
    } finally {
      impatient.abort();
    }
  },
};

async function halt(context: CommandContext, resident: Resident): Promise<number> {
  resident.end();
  const { held } = resident;
  const session = held?.session;
  if (session !== undefined && 'halt' in session && session.halt !== undefined)
    show(await session.halt(), context);
  report(context, held?.release ?? 'kernel', false);
  return 0;
}

function kill(context: CommandContext, system: string): number {
  const place = placeOf(system, context.environment);
  const pid = keeper(place);
  if (pid === undefined)
    throw new Failure('the kernel does not answer, and its process is not known', { subject: system });
  process.kill(pid, 'SIGKILL');
  clearPlace(place);
  report(context, system, true);
  return 0;
}

function report(context: CommandContext, release: string, forced: boolean): void {
  if (context.options.flag('json')) context.json('lkm.halt/1', { release, forced });
  else context.out(`${release} is down${forced ? ': it did not answer, and was ended by force' : ''}\n`);
}
