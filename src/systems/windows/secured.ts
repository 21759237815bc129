/** Memory of processes that a driver has secured: it can be neither freed nor protected otherwise until it is given back. */
import { perKernel } from '../../kernel/kernel.ts';
import type { Address } from '../../memory/space.ts';
import type { Windows } from './windows.ts';

interface Secured {
  readonly at: Address;
  readonly bytes: number;
}

/** By handle. */
const secured = perKernel(() => ({ ranges: new Map<number, Secured>(), next: 1 }));

/** @returns a handle: a number of its own, never 0 */
export function secure(k: Windows, at: Address, bytes: number): number {
  const state = k.state(secured);
  const handle = state.next++ * 0x10;
  state.ranges.set(handle, { at, bytes });
  return handle;
}

export function unsecure(k: Windows, handle: number): void {
  k.state(secured).ranges.delete(handle);
}

/** Does any secured range reach into this one? */
export const isSecured = (k: Windows, at: Address, bytes: number): boolean =>
  [...k.state(secured).ranges.values()].some((one) => at < one.at + one.bytes && one.at < at + bytes);
