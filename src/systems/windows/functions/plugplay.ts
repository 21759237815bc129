/** Plug and play, power, WMI and event tracing, on a machine whose buses are empty. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { topOf } from '../devices.ts';
import { allocateIrp, callDriver, completeRequest, Major, nextLocation } from '../irp.ts';
import { deregister, register, registerHandle } from '../registered.ts';
import { Status } from '../status.ts';
import { encodeUtf16, setCounted } from '../strings.ts';
import type { Windows } from '../windows.ts';
import { callerOf, kernelFunctions } from './define.ts';

/** The status of giving a handle back. */
const unregister = (k: Windows, handle: Address): number =>
  deregister(k, handle) ? Status.SUCCESS : Status.INVALID_PARAMETER;

/** EtwRegister: nobody traces, so a provider is known and never enabled. */
function registerProvider(k: Windows, callback: Address, out: Address): number {
  const handle = registerHandle(k, 'event tracing', callback);
  if (handle === 0) return Status.INSUFFICIENT_RESOURCES;
  k.memory.setU64(out, BigInt.asUintN(64, BigInt(handle)));
  return Status.SUCCESS;
}

/** The handle of a provider as a pointer again. */
const providerAt = (k: Windows, handle: bigint): Address =>
  Number(k.word === 8 ? BigInt.asIntN(64, handle) : BigInt.asUintN(32, handle));

const CATEGORIES = ['', 'hardware profile changes', 'device interface changes', 'target device changes'];

const configuration = perKernel((k: Windows) => {
  const at = k.kernelData(k.sizeof('CONFIGURATION_INFORMATION'), 'CONFIGURATION_INFORMATION');
  k.write('CONFIGURATION_INFORMATION.Version', at, k.sizeof('CONFIGURATION_INFORMATION'));
  return { at };
});

/** Sends a power request down the stack of a device; the caller's routine hears of its end. */
function* requestPower(
  k: Windows,
  [device, minor, state, routine, context, irpOut]: readonly number[],
): Steps<number> {
  if (minor !== 0 && minor !== 2 && minor !== 3) return Status.INVALID_PARAMETER;
  const top = topOf(k, device);
  const irp = allocateIrp(k, k.read('DEVICE_OBJECT.StackSize', top), callerOf(k));
  if (irp === 0) return Status.INSUFFICIENT_RESOURCES;
  k.write('IRP.IoStatus.Status', irp, Status.NOT_SUPPORTED);
  const block = k.pool.allocate('nonpaged', k.sizeof('IO_STATUS_BLOCK'), 0x72776f50, 0, true);
  k.write('IRP.UserIosb', irp, block);
  const stack = nextLocation(k, irp);
  k.write('IO_STACK_LOCATION.MajorFunction', stack, Major.POWER);
  k.write('IO_STACK_LOCATION.MinorFunction', stack, minor);
  // Parameters.Power: system context, type (DevicePowerState), state.
  k.memory.set32(stack + 2 * k.word, 1);
  k.memory.set32(stack + 3 * k.word, state);
  if (irpOut !== 0) k.memory.setPtr(irpOut, irp);
  const status = yield* callDriver(k, top, irp);
  if (status !== Status.PENDING && routine !== 0)
    yield* k.call(routine, device, minor, state, context, block);
  k.pool.release(block);
  return Status.PENDING;
}

/** WDM versions by release: 1.0 (98), 1.10 (2000), 1.20 (XP), 1.30 (2003), 6.00 (Vista and later). */
function wdmVersion(k: Windows): readonly [number, number] {
  const { major, minor } = k.release;
  if (major >= 6) return [6, 0];
  return [1, major < 5 ? 0 : [0x10, 0x20, 0x30][minor]];
}

/** STATUS_WMI_GUID_NOT_FOUND. */
const GUID_NOT_FOUND = 0xc0000295 | 0;

export const plugPlayFunctions = kernelFunctions({
  'BOOLEAN IoIsWdmVersionAvailable(UCHAR major, UCHAR minor)': (k, major, minor) => {
    const [m, n] = wdmVersion(k);
    return m > major || (m === major && n >= minor);
  },
  'NTSTATUS IoRegisterPlugPlayNotification(ULONG category, ULONG flags, PVOID data, PVOID driver, PVOID routine, PVOID context, PVOID *entry)':
    (k, category, _flags, _data, _driver, routine, _context, entry) =>
      register(k, CATEGORIES[category] ?? 'plug and play events', routine, entry),
  'NTSTATUS IoUnregisterPlugPlayNotification(PVOID entry)': (k, entry) => unregister(k, entry),
  'NTSTATUS IoUnregisterPlugPlayNotificationEx(PVOID entry)': (k, entry) => unregister(k, entry),
  'NTSTATUS PoRegisterPowerSettingCallback(PVOID device, PVOID guid, PVOID routine, PVOID context, PVOID *handle)':
    (k, _device, _guid, routine, _context, handle) => register(k, 'power setting changes', routine, handle),
  'NTSTATUS PoUnregisterPowerSettingCallback(PVOID handle)': (k, handle) => unregister(k, handle),
  /** No interface is ever registered: the list is empty, which is a single NUL. */
  'NTSTATUS IoGetDeviceInterfaces(PVOID guid, PVOID device, ULONG flags, PVOID *list)': (
    k,
    _g,
    _d,
    _f,
    out,
  ) => {
    const at = k.pool.allocate('paged', 2, 0x20706e50, callerOf(k), true);
    k.memory.setPtr(out, at);
    return at === 0 ? Status.INSUFFICIENT_RESOURCES : Status.SUCCESS;
  },
  'PVOID IoGetConfigurationInformation(void)': (k) => k.state(configuration).at,
  'NTSTATUS RtlVolumeDeviceToDosName(PVOID device, PVOID out)': (k, _device, out) => dosName(k, out),
  'NTSTATUS IoVolumeDeviceToDosName(PVOID device, PVOID out)': (k, _device, out) => dosName(k, out),
  /** The state before: PowerDeviceD0, as nothing here ever sleeps. */
  'ULONG PoSetPowerState(PVOID device, ULONG type, ULONG state)': () => 1,
  'NTSTATUS PoRequestPowerIrp(PVOID device, UCHAR minor, ULONG state, PVOID routine, PVOID context, PVOID *irp)':
    (k, ...args) => requestPower(k, args),
  'void PoSetSystemState(ULONG flags)': () => undefined,
  'PVOID PoRegisterSystemState(PVOID handle, ULONG flags)': (_k, handle) => (handle === 0 ? 1 : handle),
  'void PoUnregisterSystemState(PVOID handle)': () => undefined,
  'void IoRequestDeviceEject(PVOID device)': () => undefined,

  'NTSTATUS EtwRegisterClassicProvider(PVOID guid, ULONG type, PVOID callback, PVOID context, u64 *handle)': (
    k,
    _guid,
    _type,
    callback,
    _context,
    out,
  ) => registerProvider(k, callback, out),
  'NTSTATUS EtwRegister(PVOID guid, PVOID callback, PVOID context, u64 *handle)': (
    k,
    _guid,
    callback,
    _context,
    out,
  ) => registerProvider(k, callback, out),
  'NTSTATUS EtwUnregister(u64 handle)': (k, handle) =>
    deregister(k, providerAt(k, handle)) ? Status.SUCCESS : Status.INVALID_HANDLE,
  /** No session logs, so there is no logger whose handle would be right. */
  'NTSTATUS WmiTraceMessage(u64 logger, ULONG flags, PVOID guid, USHORT number, ...)': () =>
    Status.INVALID_HANDLE,
  'NTSTATUS WmiTraceMessageVa(u64 logger, ULONG flags, PVOID guid, USHORT number, va_list arguments)': () =>
    Status.INVALID_HANDLE,
  'BOOLEAN EtwProviderEnabled(u64 handle, UCHAR level, u64 keyword)': () => 0,
  'BOOLEAN EtwEventEnabled(u64 handle, PVOID event)': () => 0,
  /** Events of a provider that nobody enabled go nowhere, and that is a success. */
  'NTSTATUS EtwWrite(u64 handle, PVOID event, PVOID activity, ULONG count, PVOID data)': () => Status.SUCCESS,
  'NTSTATUS EtwWriteTransfer(u64 handle, PVOID event, PVOID activity, PVOID related, ULONG count, PVOID data)':
    () => Status.SUCCESS,
  'NTSTATUS EtwSetInformation(u64 handle, ULONG kind, PVOID data, ULONG bytes)': () => Status.SUCCESS,

  /** WPPRECORDER: a log that a debugger reads out of a crash dump; nobody does here, and nothing is kept. */
  'void WppAutoLogStart(PVOID control, PVOID driver, PVOID path)': () => undefined,
  'void WppAutoLogStop(PVOID control, PVOID driver)': () => undefined,
  'NTSTATUS WppAutoLogTrace(PVOID log, UCHAR level, ULONG flags, PVOID guid, USHORT number, ...)': () =>
    Status.SUCCESS,

  /** WMILIB: no consumer of WMI sends requests here; what drivers forward to it is answered as unknown. */
  'NTSTATUS WmiSystemControl(PVOID context, PVOID device, PVOID irp, ULONG *disposition)': (
    k,
    _context,
    _device,
    _irp,
    disposition,
  ) => {
    // IrpNotWmi: the driver passes it on.
    k.memory.set32(disposition, 3);
    return Status.SUCCESS;
  },
  'NTSTATUS WmiCompleteRequest(PVOID device, PVOID irp, NTSTATUS status, ULONG used, CCHAR boost)':
    function* (k, _device, irp, status, used) {
      k.write('IRP.IoStatus.Status', irp, status);
      k.write('IRP.IoStatus.Information', irp, used);
      yield* completeRequest(k, irp);
      return status;
    },
  'NTSTATUS IoWMIOpenBlock(PVOID guid, ULONG access, PVOID *object)': () => GUID_NOT_FOUND,
});

/** There is one volume, and it is C:. */
function dosName(k: Windows, out: Address): number {
  const bytes = encodeUtf16('C:\0');
  const at = k.pool.allocate('paged', bytes.length, 0x64506f49, callerOf(k));
  if (at === 0) return Status.INSUFFICIENT_RESOURCES;
  k.memory.write(at, bytes);
  setCounted(k, out, bytes.length - 2, bytes.length, at);
  return Status.SUCCESS;
}
