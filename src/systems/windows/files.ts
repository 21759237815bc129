/** File objects: opening a device (create), and closing it (cleanup, close). */
import type { Steps } from '../../kernel/steps.ts';
import type { Address } from '../../memory/space.ts';
import { DeviceFlag, ExtensionFlag, extensionFlags } from './devices.ts';
import { Major } from './irp.ts';
import type { Leak } from './leaks.ts';
import type { KernelObject } from './objects.ts';
import { request } from './requests.ts';
import { Status } from './status.ts';
import { encodeUtf16, setCounted } from './strings.ts';
import { afterClose } from './unload.ts';
import { DispatcherType, initialiseHeader } from './wait.ts';
import type { Windows } from './windows.ts';

const FILE_TYPE = 5;
const FILE_SYNCHRONOUS = 2;
/** FILE_OPEN in the high byte of Create.Options. */
const OPTIONS = 0x01000020;

export interface Opened {
  readonly status: number;
  readonly file: Address;
}

/** What a close set off: an unload that had waited for it. */
export interface Closed {
  readonly leaks: readonly Leak[] | undefined;
}

/** Sends IRP_MJ_CREATE; `rest` is the path behind the device's name. */
export function* openDevice(k: Windows, device: KernelObject, rest: string): Steps<Opened> {
  const at = device.address;
  const flags = k.read('DEVICE_OBJECT.Flags', at);
  const count = k.read('DEVICE_OBJECT.ReferenceCount', at);
  if (
    (flags & DeviceFlag.DEVICE_INITIALIZING) !== 0 ||
    (extensionFlags(k, at) & ExtensionFlag.UNLOAD_PENDING) !== 0
  )
    return { status: Status.NO_SUCH_DEVICE, file: 0 };
  if ((flags & DeviceFlag.EXCLUSIVE) !== 0 && count > 0) return { status: Status.ACCESS_DENIED, file: 0 };
  const object = newFile(k, device, rest);
  k.write('DEVICE_OBJECT.ReferenceCount', at, count + 1);
  const outcome = yield* request(k, object.address, at, Major.CREATE, (_irp, stack) => {
    k.write('IO_STACK_LOCATION.Parameters.Create.Options', stack, OPTIONS);
    k.write('IO_STACK_LOCATION.Parameters.Create.FileAttributes', stack, 0x80);
    k.write('IO_STACK_LOCATION.Parameters.Create.ShareAccess', stack, 3);
  });
  if (outcome.status >= 0) return { status: outcome.status, file: object.address };
  // A create that failed is followed by no close.
  k.write('DEVICE_OBJECT.ReferenceCount', at, k.read('DEVICE_OBJECT.ReferenceCount', at) - 1);
  k.write('FILE_OBJECT.DeviceObject', object.address, 0);
  yield* k.objects.dereference(object);
  return { status: outcome.status, file: 0 };
}

function newFile(k: Windows, device: KernelObject, rest: string): KernelObject {
  const bytes = k.sizeof('FILE_OBJECT');
  const name = encodeUtf16(rest);
  const object: KernelObject = k.objects.create('File', bytes + name.length + 2, {
    extra: device,
    closed: () => cleanup(k, object.address),
    destroy: () => close(k, object.address),
  });
  const file = object.address;
  k.write('FILE_OBJECT.Type', file, FILE_TYPE);
  k.write('FILE_OBJECT.Size', file, bytes);
  k.write('FILE_OBJECT.DeviceObject', file, device.address);
  k.write('FILE_OBJECT.Flags', file, FILE_SYNCHRONOUS);
  k.write('FILE_OBJECT.ReadAccess', file, 1);
  k.write('FILE_OBJECT.WriteAccess', file, 1);
  k.memory.write(file + bytes, name);
  setCounted(
    k,
    file + k.offset('FILE_OBJECT.FileName'),
    name.length,
    name.length + 2,
    name.length === 0 ? 0 : file + bytes,
  );
  for (const field of ['FILE_OBJECT.Lock', 'FILE_OBJECT.Event'])
    initialiseHeader(k, file + k.offset(field), DispatcherType.NOTIFICATION_EVENT, k.sizeof('KEVENT'), 0);
  return object;
}

/** The last handle is closed. */
function* cleanup(k: Windows, file: Address): Steps<void> {
  const device = k.read('FILE_OBJECT.DeviceObject', file);
  if (device !== 0) yield* request(k, file, device, Major.CLEANUP, () => undefined);
}

/** The last reference goes. */
function* close(k: Windows, file: Address): Steps<void> {
  const device = k.read('FILE_OBJECT.DeviceObject', file);
  if (device === 0) return;
  yield* request(k, file, device, Major.CLOSE, () => undefined);
  const count = k.read('DEVICE_OBJECT.ReferenceCount', device) - 1;
  k.write('DEVICE_OBJECT.ReferenceCount', device, count);
  if (count > 0) return;
  const driver = k.read('DEVICE_OBJECT.DriverObject', device);
  if ((extensionFlags(k, device) & ExtensionFlag.DELETE_PENDING) !== 0) {
    const object = k.objects.at(device);
    if (object !== undefined) yield* k.objects.dereference(object);
  }
  const leaks = yield* afterClose(k, device, driver);
  if (leaks !== undefined) k.lateLeaks.push(...leaks);
}

/** NtCreateFile on a device: a handle, or a status. */
export function* openByName(
  k: Windows,
  path: string,
): Steps<{ status: number; handle: number; file: Address }> {
  const found = k.objects.lookUp(path);
  if (found === undefined || found.object.type !== 'Device')
    return {
      status: found === undefined ? Status.OBJECT_NAME_NOT_FOUND : Status.OBJECT_TYPE_MISMATCH,
      handle: 0,
      file: 0,
    };
  const { status, file } = yield* openDevice(k, found.object, found.rest);
  const object = k.objects.at(file);
  if (status < 0 || object === undefined) return { status, handle: 0, file: 0 };
  const handle = k.objects.open(object);
  yield* k.objects.dereference(object);
  return { status, handle, file };
}
