/** Sleep queues: threads that wait on a channel, an address that means something to those who wake them. */
import { perKernel } from '../../../kernel/kernel.ts';
import { block, type Steps } from '../../../kernel/steps.ts';
import type { Thread } from '../../../kernel/thread.ts';
import type { Address } from '../../../memory/space.ts';
import type { FreeBsd } from '../freebsd.ts';

/** Threads by the channel they sleep on. */
const sleepers = perKernel(() => new Map<Address, Thread[]>());

export function* sleepOn(k: FreeBsd, channel: Address, why: string, until: number): Steps<boolean> {
  const table = k.state(sleepers);
  const { current } = k.scheduler;
  if (current === undefined) return false;
  const list = table.get(channel) ?? [];
  list.push(current);
  table.set(channel, list);
  const woken = yield* block(why, until);
  const at = list.indexOf(current);
  if (at >= 0) list.splice(at, 1);
  return woken;
}

export function wakeChannel(k: FreeBsd, channel: Address, most = Number.POSITIVE_INFINITY): void {
  const list = k.state(sleepers).get(channel);
  for (let n = 0; n < most; n++) {
    const thread = list?.shift();
    if (thread === undefined) return;
    k.scheduler.wake(thread);
  }
}
