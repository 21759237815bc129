/** Device objects: making, naming, attaching and deleting them. */
import type { Steps } from '../../kernel/steps.ts';
import type { Address } from '../../memory/space.ts';
import type { KernelObject } from './objects.ts';
import { Status } from './status.ts';
import { DispatcherType, initialiseHeader, initialiseList } from './wait.ts';
import type { Windows } from './windows.ts';

export const DeviceFlag = {
  BUFFERED_IO: 4,
  EXCLUSIVE: 8,
  DIRECT_IO: 0x10,
  DEVICE_HAS_NAME: 0x40,
  DEVICE_INITIALIZING: 0x80,
} as const;
/** DEVOBJ_EXTENSION.ExtensionFlags. */
export const ExtensionFlag = { UNLOAD_PENDING: 1, DELETE_PENDING: 2 } as const;
const DEVICE_TYPE = 3;
const EXTENSION_TYPE = 13;

const align16 = (value: number): number => (value + 15) & ~15;

/** IoCreateDevice. */
export function createDevice(
  k: Windows,
  driver: Address,
  extensionBytes: number,
  name: string | undefined,
  type: number,
  characteristics: number,
  exclusive: boolean,
): { status: number; device: Address } {
  const size = align16(k.sizeof('DEVICE_OBJECT'));
  const extra = align16(extensionBytes);
  const object = k.objects.create('Device', size + extra + k.sizeof('DEVOBJ_EXTENSION'));
  if (name !== undefined) {
    const status = k.objects.insert(object, name);
    if (status < 0) {
      drain(k.objects.dereference(object));
      return { status, device: 0 };
    }
  }
  const device = object.address;
  k.write('DEVICE_OBJECT.Type', device, DEVICE_TYPE);
  k.write('DEVICE_OBJECT.Size', device, k.sizeof('DEVICE_OBJECT') + extensionBytes);
  k.write('DEVICE_OBJECT.DriverObject', device, driver);
  k.write('DEVICE_OBJECT.DeviceType', device, type);
  k.write('DEVICE_OBJECT.Characteristics', device, characteristics);
  k.write('DEVICE_OBJECT.StackSize', device, 1);
  const flags = DeviceFlag.DEVICE_INITIALIZING | (exclusive ? DeviceFlag.EXCLUSIVE : 0);
  k.write('DEVICE_OBJECT.Flags', device, flags | (name === undefined ? 0 : DeviceFlag.DEVICE_HAS_NAME));
  if (extensionBytes > 0) k.write('DEVICE_OBJECT.DeviceExtension', device, device + size);
  const queue = device + k.offset('DEVICE_OBJECT.DeviceQueue');
  k.write('KDEVICE_QUEUE.Type', queue, 20);
  initialiseList(k, queue + k.offset('KDEVICE_QUEUE.DeviceListHead'));
  const lock = device + k.offset('DEVICE_OBJECT.DeviceLock');
  initialiseHeader(k, lock, DispatcherType.SYNCHRONIZATION_EVENT, k.sizeof('KEVENT'), 1);
  const extension = device + size + extra;
  k.write('DEVOBJ_EXTENSION.Type', extension, EXTENSION_TYPE);
  k.write('DEVOBJ_EXTENSION.DeviceObject', extension, device);
  k.write('DEVICE_OBJECT.DeviceObjectExtension', device, extension);
  k.write('DEVICE_OBJECT.NextDevice', device, k.read('DRIVER_OBJECT.DeviceObject', driver));
  k.write('DRIVER_OBJECT.DeviceObject', driver, device);
  return { status: Status.SUCCESS, device };
}

/** Steps that are known not to wait. */
function drain(steps: Steps<void>): void {
  while (!steps.next(0).done);
}

/** Sets and clears flags of DEVICE_OBJECT. */
export function setFlags(k: Windows, device: Address, set: number, clear: number): void {
  k.write('DEVICE_OBJECT.Flags', device, (k.read('DEVICE_OBJECT.Flags', device) & ~clear) | set);
}

export function* devicesOf(k: Windows, driver: Address): Generator<Address> {
  let device = k.read('DRIVER_OBJECT.DeviceObject', driver);
  for (let n = 0; device !== 0 && n < 4096; n++) {
    yield device;
    device = k.read('DEVICE_OBJECT.NextDevice', device);
  }
}

/** IoDeleteDevice: out of the driver's list at once; the object itself goes with its last reference. */
export function* deleteDevice(k: Windows, device: Address): Steps<void> {
  const object = k.objects.at(device);
  if (object === undefined) return;
  unlinkDevice(k, device);
  k.objects.unname(object);
  if (k.read('DEVICE_OBJECT.ReferenceCount', device) > 0) {
    setExtensionFlag(k, device, ExtensionFlag.DELETE_PENDING);
    return;
  }
  yield* k.objects.dereference(object);
}

function unlinkDevice(k: Windows, device: Address): void {
  const driver = k.read('DEVICE_OBJECT.DriverObject', device);
  const next = k.read('DEVICE_OBJECT.NextDevice', device);
  if (k.read('DRIVER_OBJECT.DeviceObject', driver) === device) {
    k.write('DRIVER_OBJECT.DeviceObject', driver, next);
    return;
  }
  for (const other of devicesOf(k, driver)) {
    if (k.read('DEVICE_OBJECT.NextDevice', other) === device) {
      k.write('DEVICE_OBJECT.NextDevice', other, next);
      return;
    }
  }
}

export function extensionFlags(k: Windows, device: Address): number {
  return k.read('DEVOBJ_EXTENSION.ExtensionFlags', k.read('DEVICE_OBJECT.DeviceObjectExtension', device));
}

export function setExtensionFlag(k: Windows, device: Address, flag: number): void {
  const extension = k.read('DEVICE_OBJECT.DeviceObjectExtension', device);
  const flags = k.read('DEVOBJ_EXTENSION.ExtensionFlags', extension);
  k.write('DEVOBJ_EXTENSION.ExtensionFlags', extension, flags | flag);
}

/** The top of the stack that a device is part of: what requests are sent to. */
export function topOf(k: Windows, device: Address): Address {
  let top = device;
  for (let n = 0; n < 256; n++) {
    const above = k.read('DEVICE_OBJECT.AttachedDevice', top);
    if (above === 0) return top;
    top = above;
  }
  return top;
}

/** IoAttachDeviceToDeviceStack. @returns the device that was on top, 0 when it goes away */
export function attachDevice(k: Windows, source: Address, target: Address): Address {
  const lower = topOf(k, target);
  if ((extensionFlags(k, lower) & (ExtensionFlag.UNLOAD_PENDING | ExtensionFlag.DELETE_PENDING)) !== 0)
    return 0;
  k.write('DEVICE_OBJECT.AttachedDevice', lower, source);
  k.write('DEVICE_OBJECT.StackSize', source, k.read('DEVICE_OBJECT.StackSize', lower) + 1);
  k.write('DEVICE_OBJECT.AlignmentRequirement', source, k.read('DEVICE_OBJECT.AlignmentRequirement', lower));
  k.write('DEVICE_OBJECT.SectorSize', source, k.read('DEVICE_OBJECT.SectorSize', lower));
  const extension = k.read('DEVICE_OBJECT.DeviceObjectExtension', source);
  k.write('DEVOBJ_EXTENSION.AttachedTo', extension, lower);
  return lower;
}

export function detachDevice(k: Windows, lower: Address): void {
  const above = k.read('DEVICE_OBJECT.AttachedDevice', lower);
  if (above === 0) return;
  k.write('DEVOBJ_EXTENSION.AttachedTo', k.read('DEVICE_OBJECT.DeviceObjectExtension', above), 0);
  k.write('DEVICE_OBJECT.AttachedDevice', lower, 0);
}

export function deviceName(k: Windows, device: Address): string | undefined {
  return k.objects.at(device)?.name;
}

/** Symbolic links that lead to a device, by its name. */
export function linksTo(k: Windows, name: string): KernelObject[] {
  return [...k.objects.named()].filter(
    (object) => object.type === 'SymbolicLink' && object.target?.toLowerCase() === name.toLowerCase(),
  );
}
