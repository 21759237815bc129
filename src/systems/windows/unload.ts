/** NtUnloadDriver (IopUnloadDriver): at once, deferred while devices are in use, or not at all. */
import type { Steps } from '../../kernel/steps.ts';
import type { Address } from '../../memory/space.ts';
import { devicesOf, ExtensionFlag, setExtensionFlag } from './devices.ts';
import { addDeviceOf } from './driver-object.ts';
import type { DriverImage } from './images.ts';
import { type Leak, leaksOf } from './leaks.ts';
import { dereferenceImports } from './libraries.ts';
import { DriverFlag, driverOf, forgetDriver } from './load.ts';
import type { RegistryKey } from './registry.ts';
import { Status } from './status.ts';
import type { Windows } from './windows.ts';

export interface UnloadResult {
  readonly status: number;
  /** Accepted, but the driver stays until its devices are closed. */
  readonly deferred: boolean;
  readonly leaks: readonly Leak[];
  readonly why?: string;
}

const failed = (status: number, why: string): UnloadResult => ({ status, deferred: false, leaks: [], why });

export function* unloadDriver(k: Windows, service: RegistryKey): Steps<UnloadResult> {
  const driver = driverOf(k, service);
  if (driver === undefined) return failed(Status.OBJECT_NAME_NOT_FOUND, 'The driver is not loaded.');
  const flags = k.read('DRIVER_OBJECT.Flags', driver);
  if ((flags & DriverFlag.UNLOAD_INVOKED) !== 0)
    return failed(Status.DELETE_PENDING, 'The driver is being unloaded already.');
  if (k.read('DRIVER_OBJECT.DriverUnload', driver) === 0)
    return failed(
      Status.INVALID_DEVICE_REQUEST,
      'The driver has no DriverUnload: it stays until the system shuts down.',
    );
  if ((flags & DriverFlag.LEGACY) === 0 && addDeviceOf(k, driver) !== 0)
    return failed(
      Status.INVALID_DEVICE_REQUEST,
      'A Plug and Play driver is unloaded when its last device is removed, not on request.',
    );
  let busy = false;
  for (const device of devicesOf(k, driver)) {
    setExtensionFlag(k, device, ExtensionFlag.UNLOAD_PENDING);
    if (inUse(k, device)) busy = true;
  }
  if (busy) return { status: Status.SUCCESS, deferred: true, leaks: [] };
  return { status: Status.SUCCESS, deferred: false, leaks: yield* finishUnload(k, driver) };
}

/** A driver of devices whose last one is gone: unloaded, when it can be. */
export function* unloadIdle(k: Windows, driver: Address): Steps<readonly Leak[]> {
  const stays =
    k.read('DRIVER_OBJECT.DeviceObject', driver) !== 0 ||
    k.read('DRIVER_OBJECT.DriverUnload', driver) === 0 ||
    addDeviceOf(k, driver) === 0 ||
    (k.read('DRIVER_OBJECT.Flags', driver) & DriverFlag.UNLOAD_INVOKED) !== 0;
  return stays ? [] : yield* finishUnload(k, driver);
}

const inUse = (k: Windows, device: Address): boolean =>
  k.read('DEVICE_OBJECT.ReferenceCount', device) !== 0 ||
  k.read('DEVICE_OBJECT.AttachedDevice', device) !== 0;

/** DriverUnload, then the object and the image; what is left of the driver is reported. */
function* finishUnload(k: Windows, driver: Address): Steps<readonly Leak[]> {
  k.write('DRIVER_OBJECT.Flags', driver, k.read('DRIVER_OBJECT.Flags', driver) | DriverFlag.UNLOAD_INVOKED);
  yield* k.call(k.read('DRIVER_OBJECT.DriverUnload', driver), driver);
  const image = k.objects.at(driver)?.extra as DriverImage | undefined;
  const leaks = image === undefined ? [] : leaksOf(k, image, driver);
  yield* forgetDriver(k, driver);
  if (image !== undefined) {
    yield* dereferenceImports(k, image);
    k.drivers.remove(image);
  }
  return leaks;
}

/** The last handle of a device was closed: an unload that waited for it goes on (IopCompleteUnloadOrDelete). */
export function* afterClose(
  k: Windows,
  device: Address,
  driver: Address,
): Steps<readonly Leak[] | undefined> {
  const extension = k.read('DEVICE_OBJECT.DeviceObjectExtension', device);
  const flags = k.read('DEVOBJ_EXTENSION.ExtensionFlags', extension);
  if ((flags & ExtensionFlag.UNLOAD_PENDING) === 0) return undefined;
  for (const other of devicesOf(k, driver)) if (inUse(k, other)) return undefined;
  return yield* finishUnload(k, driver);
}
