/**
 * Who has taken which lock, for messages and for threads that come to nothing: the words of the locks are in the guest,
 * but they do not name readers, nor tasks that are gone. A thread that the kernel kills takes its locks with it, as on a
 * real kernel. One that reached a function nobody wrote gives them back: that end is ours, and what it did is undone.
 */
import { perKernel } from '../../kernel/kernel.ts';
import { MissingFunctionReached } from '../../kernel/missing.ts';
import type { Thread } from '../../kernel/thread.ts';
import type { Address } from '../../memory/space.ts';
import { clearPreempt } from './functions/sched.ts';
import type { Linux } from './linux.ts';

/** Gives up a lock in the name of whoever had it. */
export type Release = (k: Linux, lock: Address) => void;

interface Held {
  readonly lock: Address;
  readonly thread: Thread;
  readonly release: Release;
}

const held = perKernel<Map<Address, Held[]>, Linux>(() => new Map());

/** `thread` has the lock now. */
export function lockTaken(
  k: Linux,
  lock: Address,
  release: Release,
  thread: Thread | undefined = k.scheduler.current,
): void {
  if (thread === undefined) return;
  const all = k.state(held);
  const entry = { lock, thread, release };
  const others = all.get(lock);
  if (others === undefined) all.set(lock, [entry]);
  else others.push(entry);
}

/** The running thread has given the lock up; or another one, of several that read. */
export function lockGivenUp(k: Linux, lock: Address): void {
  const all = k.state(held);
  const holders = all.get(lock);
  if (holders === undefined) return;
  const own = holders.findIndex(({ thread }) => thread === k.scheduler.current);
  holders.splice(Math.max(own, 0), 1);
  if (holders.length === 0) all.delete(lock);
}

/** A lock that is made anew has nobody. */
export const lockForgotten = (k: Linux, lock: Address): void => {
  k.state(held).delete(lock);
};

/**
 * Spinlocks are taken too often for a table: a list, in which those that inline code has given up stand until it is long.
 */
const spinning = perKernel<Held[], Linux>(() => []);
const MANY = 16;

export function spinTaken(k: Linux, lock: Address, release: Release): void {
  const thread = k.scheduler.current;
  if (thread === undefined) return;
  const all = k.state(spinning);
  if (all.length >= MANY) all.splice(0, all.length, ...all.filter((entry) => isTaken(k, entry.lock)));
  all.push({ lock, thread, release });
}

export function spinGivenUp(k: Linux, lock: Address): void {
  const all = k.state(spinning);
  if (all.at(-1)?.lock === lock) all.pop();
  else {
    const at = all.findLastIndex((entry) => entry.lock === lock);
    if (at >= 0) all.splice(at, 1);
  }
}

const isTaken = (k: Linux, lock: Address): boolean => k.memory.u32(lock) !== 0;

/** Who has a lock, and what became of them: `insmod, which ended: ...`. */
export function holders(k: Linux, lock: Address): string {
  const all = k.state(held).get(lock) ?? k.state(spinning).filter((entry) => entry.lock === lock);
  return all.map(({ thread }) => thread.name + ending(thread)).join(', ') || 'nobody known';
}

function ending({ outcome }: Thread): string {
  if (outcome === undefined) return '';
  if ('killed' in outcome) return `, which ended: ${outcome.killed.message}`;
  if ('error' in outcome) return `, which ended: ${String(outcome.error)}`;
  return ', which ended without giving it up';
}

/** What a lock is called: the variable it is, or lies in; an address where it was allocated. */
export const lockName = (k: Linux, lock: Address): string =>
  k.describe(lock).replace(/\+0x0(\/0x[0-9a-f]+)?(?= |$)/, '');

/** The end of a thread: where it is our own doing, its locks are given back, the latest first. */
export function threadEnded(k: Linux, thread: Thread): void {
  const { outcome } = thread;
  if (outcome === undefined || !('error' in outcome)) return;
  if (!(outcome.error instanceof MissingFunctionReached)) return;
  const spins = k.state(spinning).filter((entry) => entry.thread === thread && isTaken(k, entry.lock));
  const sleeping = [...k.state(held).values()].flat().filter((entry) => entry.thread === thread);
  const own = [...sleeping, ...spins];
  // What had turned preemption or bottom halves off is on the stack that is gone.
  if (k.scheduler.current === thread) clearPreempt(k);
  if (own.length === 0) return;
  for (const { lock, release } of own.reverse()) release(k, lock);
  outcome.error.followedBy(`it held ${own.map(({ lock }) => lockName(k, lock)).join(', ')}, now given back`);
}
