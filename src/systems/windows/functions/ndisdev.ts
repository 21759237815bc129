/** NDIS: device objects that drivers make through it, work items, and what it says of the processors. */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { createDevice, DeviceFlag, deleteDevice, setFlags } from '../devices.ts';
import { dispatchTo, MAJOR_FUNCTIONS } from '../driver-object.ts';
import { completeRequest, locationOf } from '../irp.ts';
import { deregister, registerHandle, registrationAt } from '../registered.ts';
import { Status } from '../status.ts';
import { unicodeString } from '../strings.ts';
import type { Windows } from '../windows.ts';
import { callerOf, kernelFunctions } from './define.ts';
import { symbolicLink } from './io.ts';
import { driverOfHandle } from './ndis.ts';

const FILE_DEVICE_NETWORK = 0x17;
const FILE_DEVICE_SECURE_OPEN = 0x100;
const TAG = 0x5744444e;

/** In front of what is the driver's own in a device extension: its dispatch table, and the name of its link. */
const linkAt = (k: Windows): number => MAJOR_FUNCTIONS * k.word;
const headBytes = (k: Windows): number => (linkAt(k) + k.sizeof('UNICODE_STRING') + 15) & ~15;

interface NewDevice {
  readonly name: Address;
  readonly link: Address;
  /** The driver's table of MAJOR_FUNCTIONS routines. */
  readonly table: Address;
  readonly extra: number;
}

/** The device belongs to the driver; its requests come to NDIS, which looks into the table it was given. */
function* registerDevice(
  k: Windows,
  handle: Address,
  { name, link, table, extra }: NewDevice,
  deviceOut: Address,
  handleOut: Address,
): Steps<number> {
  const driver = driverOfHandle(k, handle);
  if (driver === undefined) return Status.INVALID_PARAMETER;
  const path = name === 0 ? undefined : unicodeString(k, name);
  const { status, device } = createDevice(
    k,
    driver,
    headBytes(k) + extra,
    path,
    FILE_DEVICE_NETWORK,
    FILE_DEVICE_SECURE_OPEN,
    false,
  );
  if (status < 0) return status;
  const own = registerHandle(k, 'NDIS device', device);
  const linked = link === 0 ? Status.SUCCESS : symbolicLink(k, link, name);
  if (own === 0 || linked < 0) {
    deregister(k, own);
    yield* deleteDevice(k, device);
    return own === 0 ? Status.INSUFFICIENT_RESOURCES : linked;
  }
  const extension = k.read('DEVICE_OBJECT.DeviceExtension', device);
  k.memory.copy(extension, table, MAJOR_FUNCTIONS * k.word);
  if (link !== 0) k.memory.copy(extension + linkAt(k), link, k.sizeof('UNICODE_STRING'));
  dispatchTo(k, driver, 'FxNdisDispatch');
  setFlags(k, device, 0, DeviceFlag.DEVICE_INITIALIZING);
  k.memory.setPtr(deviceOut, device);
  k.memory.setPtr(handleOut, own);
  return Status.SUCCESS;
}

function* deregisterDevice(k: Windows, handle: Address): Steps<number> {
  const device = registrationAt(k, handle)?.by;
  if (device === undefined || !deregister(k, handle)) return Status.INVALID_PARAMETER;
  const extension = k.read('DEVICE_OBJECT.DeviceExtension', device);
  const link = unicodeString(k, extension + linkAt(k));
  const found = link === '' ? undefined : k.objects.linkAt(link);
  if (found !== undefined) yield* k.objects.dereference(found);
  yield* deleteDevice(k, device);
  return Status.SUCCESS;
}

/** A request for one of these devices. What the driver's table leaves out is not supported. */
function* dispatch(k: Windows, device: Address, irp: Address): Steps<number> {
  const major = k.read('IO_STACK_LOCATION.MajorFunction', locationOf(k, irp));
  const routine = k.memory.ptr(k.read('DEVICE_OBJECT.DeviceExtension', device) + major * k.word);
  if (routine !== 0) return yield* k.callInt(routine, device, irp);
  k.write('IRP.IoStatus.Status', irp, Status.NOT_SUPPORTED);
  k.write('IRP.IoStatus.Information', irp, 0);
  yield* completeRequest(k, irp);
  return Status.NOT_SUPPORTED;
}

/** NDIS_SYSTEM_PROCESSOR_INFO: header, flags, vendor, then packages, cores and threads of each: one of all. */
function processorInformation(k: Windows, at: Address): number {
  const ones = [12, 16, 20, 24, 32];
  k.memory.fill(at + 4, 32, 0);
  for (const offset of ones) k.memory.set32(at + offset, 1);
  return Status.SUCCESS;
}

const PROCESSOR_INFO_BYTES = 40;
const PROCESSOR_ENTRY_BYTES = 20;
const BUFFER_TOO_SHORT = 0xc0010016 | 0;

/** NDIS_SYSTEM_PROCESSOR_INFO_EX, with one NDIS_PROCESSOR_INFO_EX behind it whose numbers are all zero. */
function processorInformationEx(k: Windows, at: Address, size: Address): number {
  const bytes = PROCESSOR_INFO_BYTES + PROCESSOR_ENTRY_BYTES;
  const room = k.memory.u32(size);
  k.memory.set32(size, bytes);
  if (at === 0 || room < bytes) return BUFFER_TOO_SHORT;
  k.memory.fill(at, bytes, 0);
  // NDIS_OBJECT_TYPE_DEFAULT, revision 1.
  k.memory.set16(at, 0x180);
  k.memory.set16(at + 2, PROCESSOR_INFO_BYTES);
  for (const offset of [12, 16, 20, 24, 32]) k.memory.set32(at + offset, 1);
  k.memory.set32(at + 28, PROCESSOR_INFO_BYTES);
  k.memory.set32(at + 36, PROCESSOR_ENTRY_BYTES);
  return Status.SUCCESS;
}

function* run(k: Windows, routine: Address, a: Address, b: Address): Steps<void> {
  yield* k.call(routine, a, b);
}

export const ndisDeviceFunctions = kernelFunctions({
  'NTSTATUS FxNdisDispatch(PVOID device, PVOID irp)': (k, device, irp) => dispatch(k, device, irp),
  'NTSTATUS NdisMRegisterDevice(PVOID handle, PVOID name, PVOID link, PVOID table, PVOID *device, PVOID *own)':
    (k, handle, name, link, table, deviceOut, out) =>
      registerDevice(k, handle, { name, link, table, extra: 0 }, deviceOut, out),
  /** NDIS_DEVICE_OBJECT_ATTRIBUTES: a header, then the two names, the table and the size of the extension. */
  'NTSTATUS NdisRegisterDeviceEx(PVOID handle, PVOID attributes, PVOID *device, PVOID *own)': (
    k,
    handle,
    attributes,
    deviceOut,
    out,
  ) => {
    const field = (n: number) => k.memory.ptr(attributes + n * k.word);
    const extra = k.memory.u32(attributes + 4 * k.word);
    return registerDevice(
      k,
      handle,
      { name: field(1), link: field(2), table: field(3), extra },
      deviceOut,
      out,
    );
  },
  'NTSTATUS NdisMDeregisterDevice(PVOID own)': (k, own) => deregisterDevice(k, own),
  'void NdisDeregisterDeviceEx(PVOID own)': function* (k, own) {
    yield* deregisterDevice(k, own);
  },
  'PVOID NdisGetDeviceReservedExtension(PVOID device)': (k, device) =>
    k.read('DEVICE_OBJECT.DeviceExtension', device) + headBytes(k),

  'PVOID NdisAllocateIoWorkItem(PVOID handle)': (k) =>
    k.pool.allocate('nonpaged', 8 * k.word, TAG, callerOf(k), true),
  'void NdisFreeIoWorkItem(PVOID item)': (k, item) => {
    k.pool.release(item);
  },
  'void NdisQueueIoWorkItem(PVOID item, PVOID routine, PVOID context)': (k, item, routine, context) => {
    k.threads.run('System worker', run(k, routine, context, item));
  },
  /** NDIS_WORK_ITEM: the context, then the routine, which gets both. */
  'NTSTATUS NdisScheduleWorkItem(PVOID item)': (k, item) => {
    const [context, routine] = [k.memory.ptr(item), k.memory.ptr(item + k.word)];
    k.threads.run('System worker', run(k, routine, item, context));
    return Status.SUCCESS;
  },

  'NTSTATUS NdisGetProcessorInformation(PVOID information)': (k, at) => processorInformation(k, at),
  'NTSTATUS NdisGetProcessorInformationEx(PVOID handle, PVOID information, ULONG *bytes)': (
    k,
    _handle,
    at,
    size,
  ) => processorInformationEx(k, at, size),
});
