/**
 * Time as kernel code counts it: jiffies and clocks, all derived from virtual time. Nothing here keeps time of its own.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Linux } from '../linux.ts';

/** CONFIG_HZ of Debian's kernels. */
export const HZ = 250;
export const NS_PER_JIFFY = 1_000_000_000 / HZ;
/** The count starts five minutes before it leaves 32 bits, so that wrap-around bugs show (include/linux/jiffies.h). */
const INITIAL_JIFFIES = 2 ** 32 - 300 * HZ;
/** Virtual boot happens at this wall-clock time: 2026-01-01T00:00:00Z. */
const BOOT_SECONDS = 1_767_225_600;

/** Ticks since boot, as `jiffies` counts them. */
export function jiffies(k: Linux): number {
  return INITIAL_JIFFIES + Math.floor(k.time.now() / NS_PER_JIFFY);
}

/** The count that a value of the guest stands for: `unsigned long` wraps on 32 bits, and the nearest one is meant. */
export function unwrapped(k: Linux, value: number): number {
  if (k.word === 8) return value;
  const now = jiffies(k);
  return now + ((value - now) | 0);
}

/** Virtual ns since boot at which `jiffies` reaches a value. */
export function timeOfJiffies(count: number): number {
  return (count - INITIAL_JIFFIES) * NS_PER_JIFFY;
}

/** Nanoseconds of the wall clock (CLOCK_REALTIME). */
export function wallClock(k: Linux): bigint {
  return BigInt(BOOT_SECONDS) * 1_000_000_000n + BigInt(Math.floor(k.time.now()));
}

const shown = perKernel(() => ({ at: [] as number[], last: -1 }));

/** Declares a place in guest memory that shows jiffies. */
export function showJiffies(k: Linux, address: number): void {
  const state = k.state(shown);
  if (state.at.length === 0) k.clocks.push(() => updateJiffies(k));
  state.at.push(address);
  state.last = -1;
  updateJiffies(k);
}

/** Brings `jiffies` in guest memory up to date. */
function updateJiffies(k: Linux): void {
  const state = k.state(shown);
  if (state.at.length === 0) return;
  const now = jiffies(k);
  if (now === state.last) return;
  state.last = now;
  // On 32 bits `jiffies` is the lower half of `jiffies_64`.
  for (const address of state.at) k.memory.setI64(address, now);
}
