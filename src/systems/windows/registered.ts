/**
 * What drivers ask to hear of, or offer, and what never comes on a machine without hardware: miniports, protocols,
 * notifications. Registering is real (a handle of pool memory, known until it is given back); being called is not, so each
 * of them is counted as registered only.
 */
import { perKernel } from '../../kernel/kernel.ts';
import type { Address } from '../../memory/space.ts';
import { addDeviceBy } from './driver-object.ts';
import { Status } from './status.ts';
import type { Windows } from './windows.ts';

export interface Registration {
  readonly what: string;
  readonly handle: Address;
  /** Driver object, or the code that registered or is to be called. */
  readonly by: Address;
}

const list = perKernel(() => [] as Registration[]);
export const registrations = (k: Windows): readonly Registration[] => k.state(list);

const HANDLE_BYTES = 64;
const TAG = 0x6c704c4e;

/** @returns the handle, 0 without memory */
export function registerHandle(k: Windows, what: string, by: Address): Address {
  const handle = k.pool.allocate('nonpaged', HANDLE_BYTES, TAG, 0, true);
  if (handle !== 0) k.state(list).push({ what, handle, by });
  return handle;
}

/** @param out where the handle goes; 0: nowhere */
export function register(k: Windows, what: string, by: Address, out: Address): number {
  const handle = registerHandle(k, what, by);
  if (handle === 0) return Status.INSUFFICIENT_RESOURCES;
  if (out !== 0) k.memory.setPtr(out, handle);
  return Status.SUCCESS;
}

export const registrationAt = (k: Windows, handle: Address): Registration | undefined =>
  k.state(list).find((one) => one.handle === handle);

/** False when nothing is registered with that handle. */
export function deregister(k: Windows, handle: Address): boolean {
  const all = k.state(list);
  const at = all.findIndex((one) => one.handle === handle);
  if (at < 0) return false;
  all.splice(at, 1);
  k.pool.release(handle);
  return true;
}

/** A driver of devices is unloaded with its last device: its AddDevice says so. */
export function ofDevices(k: Windows, driver: Address): void {
  addDeviceBy(k, driver, 'FxAddDeviceLater');
}
