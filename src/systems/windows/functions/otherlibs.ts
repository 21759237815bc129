/**
 * Libraries beside the kernel whose drivers wait for hardware that is not there: NDIS, the video port, HID. Registering
 * works and is counted as registered only; what would need a device is a missing function.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Address } from '../../../memory/space.ts';
import { DISPATCH_LEVEL } from '../irql.ts';
import { Status } from '../status.ts';
import { encodeUtf16, setCounted, wideText } from '../strings.ts';
import { DispatcherType, initialiseHeader, signal, waitFor } from '../wait.ts';
import type { Windows } from '../windows.ts';
import { callerOf, kernelFunctions } from './define.ts';

export interface LibraryRegistration {
  readonly what: string;
  readonly handle: Address;
  /** Driver object, or the code that registered. */
  readonly by: Address;
}
const registrations = perKernel(() => [] as LibraryRegistration[]);
export const libraryRegistrations = (k: Windows): readonly LibraryRegistration[] => k.state(registrations);

const TAG = 0x5344444e;

function register(k: Windows, what: string, by: Address, out: Address): number {
  const handle = k.pool.allocate('nonpaged', 64, TAG, 0, true);
  if (handle === 0) return Status.INSUFFICIENT_RESOURCES;
  k.state(registrations).push({ what, handle, by });
  if (out !== 0) k.memory.setPtr(out, handle);
  return Status.SUCCESS;
}

function deregister(k: Windows, handle: Address): void {
  const list = k.state(registrations);
  const at = list.findIndex((one) => one.handle === handle);
  if (at < 0) return;
  list.splice(at, 1);
  k.pool.release(handle);
}

/** A driver of devices is unloaded with its last device: its AddDevice says so. */
function ofDevices(k: Windows, driver: Address): void {
  k.write(
    'DRIVER_EXTENSION.AddDevice',
    k.read('DRIVER_OBJECT.DriverExtension', driver),
    k.exported('FxAddDeviceLater') ?? 0,
  );
}

/** NDIS_SPIN_LOCK: the lock, then the IRQL to go back to. */
const oldIrql = (k: Windows, lock: Address): Address => lock + k.word;

export const otherLibraryFunctions = kernelFunctions({
  'NTSTATUS FxAddDeviceLater(PVOID driver, PVOID pdo)': () => Status.NO_SUCH_DEVICE,

  'void NdisInitializeWrapper(PVOID *handle, PVOID driver, PVOID path, PVOID reserved)': (k, out, driver) => {
    register(k, 'NDIS wrapper', driver, out);
  },
  'void NdisTerminateWrapper(PVOID handle, PVOID reserved)': (k, handle) => deregister(k, handle),
  'NTSTATUS NdisMRegisterMiniport(PVOID handle, PVOID characteristics, ULONG bytes)': (k, handle) => {
    const own = k.state(registrations).find((one) => one.handle === handle);
    if (own === undefined) return Status.INVALID_PARAMETER;
    ofDevices(k, own.by);
    return register(k, 'NDIS miniport', own.by, 0);
  },
  'NTSTATUS NdisMRegisterMiniportDriver(PVOID driver, PVOID path, PVOID context, PVOID characteristics, PVOID *handle)':
    (k, driver, _path, _context, _characteristics, out) => {
      ofDevices(k, driver);
      return register(k, 'NDIS miniport', driver, out);
    },
  'void NdisMDeregisterMiniportDriver(PVOID handle)': (k, handle) => deregister(k, handle),
  'void NdisRegisterProtocol(NTSTATUS *status, PVOID *handle, PVOID characteristics, ULONG bytes)': (
    k,
    status,
    out,
  ) => k.memory.set32(status, register(k, 'NDIS protocol', callerOf(k), out)),
  'void NdisDeregisterProtocol(NTSTATUS *status, PVOID handle)': (k, status, handle) => {
    deregister(k, handle);
    k.memory.set32(status, Status.SUCCESS);
  },
  'NTSTATUS NdisRegisterProtocolDriver(PVOID context, PVOID characteristics, PVOID *handle)': (
    k,
    _c,
    _chars,
    out,
  ) => register(k, 'NDIS protocol', callerOf(k), out),
  'void NdisDeregisterProtocolDriver(PVOID handle)': (k, handle) => deregister(k, handle),
  'NTSTATUS NdisFRegisterFilterDriver(PVOID driver, PVOID context, PVOID characteristics, PVOID *handle)': (
    k,
    driver,
    _context,
    _characteristics,
    out,
  ) => register(k, 'NDIS filter', driver, out),
  'void NdisFDeregisterFilterDriver(PVOID handle)': (k, handle) => deregister(k, handle),
  'NTSTATUS NdisAllocateMemoryWithTag(PVOID *out, ULONG bytes, ULONG tag)': (k, out, bytes, tag) => {
    const at = k.pool.allocate('nonpaged', bytes, tag, callerOf(k));
    k.memory.setPtr(out, at);
    return at === 0 ? Status.UNSUCCESSFUL : Status.SUCCESS;
  },
  'PVOID NdisAllocateMemoryWithTagPriority(PVOID handle, ULONG bytes, ULONG tag, ULONG priority)': (
    k,
    _handle,
    bytes,
    tag,
  ) => k.pool.allocate('nonpaged', bytes, tag, callerOf(k)),
  'void NdisFreeMemory(PVOID at, ULONG bytes, ULONG flags)': (k, at) => {
    k.pool.release(at);
  },
  'void NdisInitUnicodeString(PVOID string, PCWSTR source)': (k, string, source) => {
    const bytes = source === 0 ? 0 : wideText(k, source).length * 2;
    k.write('UNICODE_STRING.Length', string, bytes);
    k.write('UNICODE_STRING.MaximumLength', string, source === 0 ? 0 : bytes + 2);
    k.write('UNICODE_STRING.Buffer', string, source);
  },
  'void NdisInitializeString(PVOID string, PCSTR source)': (k, string, source) => {
    const bytes = encodeUtf16(`${k.memory.cstring(source)}\0`);
    const at = k.pool.allocate('nonpaged', bytes.length, TAG, callerOf(k));
    k.memory.write(at, bytes);
    setCounted(k, string, bytes.length - 2, bytes.length, at);
  },
  'void NdisFreeString(PVOID string)': (k, string) => {
    k.pool.release(k.read('UNICODE_STRING.Buffer', string));
  },
  'void NdisAllocateSpinLock(PVOID lock)': (k, lock) => k.memory.setPtr(lock, 0),
  'void NdisFreeSpinLock(PVOID lock)': () => undefined,
  'void NdisAcquireSpinLock(PVOID lock)': (k, lock) =>
    k.memory.set8(oldIrql(k, lock), k.irql.set(Math.max(DISPATCH_LEVEL, k.irql.current))),
  'void NdisReleaseSpinLock(PVOID lock)': (k, lock) => {
    k.irql.set(k.memory.u8(oldIrql(k, lock)));
  },
  'void NdisInitializeEvent(PVOID event)': (k, event) =>
    initialiseHeader(k, event, DispatcherType.NOTIFICATION_EVENT, k.sizeof('KEVENT'), 0),
  'void NdisSetEvent(PVOID event)': (k, event) => signal(k, event, 1),
  'void NdisResetEvent(PVOID event)': (k, event) => signal(k, event, 0),
  'BOOLEAN NdisWaitEvent(PVOID event, ULONG milliseconds)': function* (k, event, milliseconds) {
    const time = milliseconds === 0 ? undefined : -BigInt(milliseconds) * 10_000n;
    return (yield* waitFor(k, [event], true, time)) === Status.SUCCESS;
  },
  'ULONG NdisGetVersion(void)': (k) =>
    k.release.major >= 10 ? 0x60032 : k.release.major === 6 ? 0x60014 : 0x50001,

  'void VideoPortZeroMemory(PVOID at, ULONG bytes)': (k, at, bytes) => k.memory.fill(at, bytes, 0),
  'void VideoPortMoveMemory(PVOID to, PVOID from, ULONG bytes)': (k, to, from, bytes) =>
    k.memory.copy(to, from, bytes),
  'ULONG VideoPortInitialize(PVOID driver, PVOID path, PVOID data, PVOID context)': (k, driver) => {
    ofDevices(k, driver);
    register(k, 'video miniport', driver, 0);
    return 0;
  },

  /** HID_MINIDRIVER_REGISTRATION: revision, then the driver object. */
  'NTSTATUS HidRegisterMinidriver(PVOID registration)': (k, registration) => {
    const driver = k.memory.ptr(registration + k.word);
    ofDevices(k, driver);
    return register(k, 'HID minidriver', driver, 0);
  },
});
