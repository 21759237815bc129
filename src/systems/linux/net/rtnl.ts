/**
 * The routing lock (rtnl_mutex). Nothing here is preempted, so it is a flag. Devices that were unregistered under it are
 * finished when it is given up (netdev_run_todo, net/core/dev.c): once nobody refers to them any more they are freed.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import { block, type Steps } from '../../../kernel/steps.ts';
import type { Thread } from '../../../kernel/thread.ts';
import type { Address } from '../../../memory/space.ts';
import { holders, lockGivenUp, lockName, lockTaken } from '../held-locks.ts';
import type { Linux } from '../linux.ts';
import { EVENT, notify } from './events.ts';
import { nameOf, references } from './namespace.ts';

interface RoutingLock {
  held: boolean;
  /** Names it among the locks that threads hold. */
  readonly address: Address;
  readonly waiting: Set<Thread>;
  /** Unregistered devices, and what ends them. */
  readonly todo: { readonly device: Address; readonly finish: () => Steps<void> }[];
}

const routingLock = perKernel<RoutingLock, Linux>((k) => ({
  held: false,
  address: k.addressOf('rtnl_lock'),
  waiting: new Set(),
  todo: [],
}));

export function* lockRouting(k: Linux): Steps<void> {
  const lock = k.state(routingLock);
  while (lock.held) {
    const thread = k.scheduler.current;
    if (thread !== undefined) lock.waiting.add(thread);
    yield* block(`${lockName(k, lock.address)} held by ${holders(k, lock.address)}`);
  }
  take(k, lock);
}

function take(k: Linux, lock: RoutingLock): void {
  lock.held = true;
  lockTaken(k, lock.address, drop);
}

function drop(k: Linux): void {
  const lock = k.state(routingLock);
  lock.held = false;
  lockGivenUp(k, lock.address);
  for (const thread of lock.waiting) k.scheduler.wake(thread);
  lock.waiting.clear();
}

export function tryLockRouting(k: Linux): boolean {
  const lock = k.state(routingLock);
  if (lock.held) return false;
  take(k, lock);
  return true;
}

export const routingIsLocked = (k: Linux): boolean => k.state(routingLock).held;

/** net_set_todo */
export function finishLater(k: Linux, device: Address, finish: () => Steps<void>): void {
  k.state(routingLock).todo.push({ device, finish });
}

export function* unlockRouting(k: Linux): Steps<void> {
  const lock = k.state(routingLock);
  const todo = lock.todo.splice(0);
  drop(k);
  for (const { device, finish } of todo) {
    yield* waitForReferences(k, device);
    yield* finish();
  }
}

/** Runs steps under the lock. */
export function* underRouting<T>(k: Linux, steps: () => Steps<T>): Steps<T> {
  yield* lockRouting(k);
  const result = yield* steps();
  yield* unlockRouting(k);
  return result;
}

const SECOND = 1e9;
/** The kernel asks for ever; here the wait has no deadline after so many complaints, so that it is seen to be for ever. */
const COMPLAINTS = 3;

/** netdev_wait_allrefs: the listeners are told again each second, and the log every ten. */
function* waitForReferences(k: Linux, device: Address): Steps<void> {
  for (let seconds = 1; references(k, device) > 1; seconds++) {
    yield* notify(k, EVENT.UNREGISTER, device);
    if (references(k, device) <= 1) return;
    const why = `unregister_netdevice: users of ${nameOf(k, device)}`;
    yield* block(why, seconds > 10 * COMPLAINTS ? Number.POSITIVE_INFINITY : k.time.now() + SECOND);
    if (seconds % 10 === 0)
      k.printk(
        0,
        `unregister_netdevice: waiting for ${nameOf(k, device)} to become free. Usage count = ${references(k, device)}`,
      );
  }
}
