/**
 * Libraries beside the kernel whose drivers wait for hardware that is not there: the video, SCSI, storage and IDE ports, HID,
 * disks and CDs, sound and streaming, networks over USB. Registering works and is counted as registered only; what would need a device is a missing function.
 */
import { MissingFunctionReached } from '../../../kernel/missing.ts';
import type { Address } from '../../../memory/space.ts';
import { setAddDevice } from '../driver-object.ts';
import { ofDevices, register } from '../registered.ts';
import { Status } from '../status.ts';
import type { Windows } from '../windows.ts';
import { callerOf, kernelFunctions } from './define.ts';

/** SCSI_NOTIFICATION_TYPE. */
const TRACE_NOTIFICATION = 14;
/** STATUS_REVISION_MISMATCH: the port knows no structure of that size. */
const REVISION_MISMATCH = 0xc0000059 | 0;

/** HW_INITIALIZATION_DATA: its size, then the bus that its adapters sit on. */
function miniport(k: Windows, what: string, driver: Address, data: Address): number {
  const bytes = k.memory.u32(data);
  if (bytes < 16 * k.word || bytes > 0x400) return REVISION_MISMATCH;
  ofDevices(k, driver);
  return register(k, what, driver, 0);
}

/**
 * ScsiPortInitialize looks for adapters at once. The buses of PCI, EISA and MCA are empty or not there, and ports of ISA
 * cards read as all ones, in which no miniport finds a card of its own: HwFindAdapter is not called to say so.
 */
function scsiPort(k: Windows, driver: Address, data: Address): number {
  const status = miniport(k, 'SCSI miniport', driver, data);
  return status < 0 ? status : Status.NO_SUCH_DEVICE;
}

/** A driver of devices that registers with its class, which makes its DriverUnload too. */
function classDriver(k: Windows, what: string, driver: Address): number {
  ofDevices(k, driver);
  if (k.read('DRIVER_OBJECT.DriverUnload', driver) === 0)
    k.write('DRIVER_OBJECT.DriverUnload', driver, k.exported('KsNullDriverUnload') ?? 0);
  return register(k, what, driver, 0);
}

/**
 * Notifications are about adapters, of which there are none; only a driver that offers its tracing does so before it has
 * one. A port that knows no tracing leaves the answer as the driver set it: not supported.
 */
function storageNotification(k: Windows, type: number): void {
  if (type !== TRACE_NOTIFICATION)
    throw new MissingFunctionReached(
      k.scheduler.current?.name ?? 'a miniport',
      `StorPortNotification (type ${type})`,
      k.describe(callerOf(k)),
    );
}

export const otherLibraryFunctions = kernelFunctions({
  'NTSTATUS FxAddDeviceLater(PVOID driver, PVOID pdo)': () => Status.NO_SUCH_DEVICE,

  'void VideoPortZeroMemory(PVOID at, ULONG bytes)': (k, at, bytes) => k.memory.fill(at, bytes, 0),
  'void VideoPortMoveMemory(PVOID to, PVOID from, ULONG bytes)': (k, to, from, bytes) =>
    k.memory.copy(to, from, bytes),
  'ULONG VideoPortInitialize(PVOID driver, PVOID path, PVOID data, PVOID context)': (k, driver) => {
    ofDevices(k, driver);
    return register(k, 'video miniport', driver, 0);
  },
  'ULONG StorPortInitialize(PVOID driver, PVOID path, PVOID data, PVOID context)': (k, driver, _path, data) =>
    miniport(k, 'storage miniport', driver, data),
  'void StorPortNotification(ULONG type, PVOID extension, ...)': (k, type) => storageNotification(k, type),
  'ULONG ScsiPortInitialize(PVOID driver, PVOID path, PVOID data, PVOID context)': (k, driver, _path, data) =>
    scsiPort(k, driver, data),

  /** HID_MINIDRIVER_REGISTRATION: revision, then the driver object. */
  'NTSTATUS HidRegisterMinidriver(PVOID registration)': (k, registration) => {
    const driver = k.memory.ptr(registration + k.word);
    ofDevices(k, driver);
    return register(k, 'HID minidriver', driver, 0);
  },

  'void KsNullDriverUnload(PVOID driver)': () => undefined,
  /** The adapter's own AddDevice hears of devices; what it needs of the class then is not here. */
  'NTSTATUS PcInitializeAdapterDriver(PVOID driver, PVOID path, PVOID addDevice)': (
    k,
    driver,
    _path,
    addDevice,
  ) => {
    const status = classDriver(k, 'audio adapter', driver);
    setAddDevice(k, driver, addDevice);
    return status;
  },
  'NTSTATUS KsInitializeDriver(PVOID driver, PVOID path, PVOID descriptor)': (k, driver) =>
    classDriver(k, 'streaming driver', driver),
  'NTSTATUS StreamClassRegisterAdapter(PVOID driver, PVOID path, PVOID data)': (k, driver) =>
    classDriver(k, 'streaming minidriver', driver),
  'ULONG ClassInitialize(PVOID driver, PVOID path, PVOID data)': (k, driver) =>
    classDriver(k, 'storage class driver', driver),
  'NTSTATUS PciIdeXInitialize(PVOID driver, PVOID path, PVOID properties, ULONG bytes)': (k, driver) =>
    classDriver(k, 'IDE controller driver', driver),
  'NTSTATUS RndisMInitializeWrapper(PVOID *handle, PVOID context, PVOID driver, PVOID path, PVOID characteristics)':
    (k, handle, _context, driver) => {
      ofDevices(k, driver);
      return register(k, 'network microport over USB', driver, handle);
    },
  /** Levels of its own messages, which only a checked library writes. */
  'ULONG SmartcardGetDebugLevel(void)': () => 0,
  'void SmartcardSetDebugLevel(ULONG level)': () => undefined,
});
