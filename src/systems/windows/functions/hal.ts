/** The hardware abstraction layer on a machine without hardware, and interrupts. */
import { deregister, register, registrations } from '../registered.ts';
import { Status } from '../status.ts';
import type { Windows } from '../windows.ts';
import { callerOf, kernelFunctions } from './define.ts';

/** An empty bus floats high. */
const floating = (bytes: number): number => (bytes === 4 ? 0xffffffff : bytes === 2 ? 0xffff : 0xff);

/** A KINTERRUPT that never fires: service routine and context are kept where a debugger would look for them. */
function connect(k: Windows, out: number, routine: number, context: number): number {
  const interrupt = k.pool.allocate('nonpaged', 0x100, 0x746e4920, callerOf(k), true);
  if (interrupt === 0) return Status.INSUFFICIENT_RESOURCES;
  k.memory.setPtr(interrupt + 3 * k.word, routine);
  k.memory.setPtr(interrupt + 4 * k.word, context);
  k.memory.setPtr(out, interrupt);
  return Status.SUCCESS;
}

/** A session has no shutdown: who wants to hear of it is counted as registered only. */
const SHUTDOWN = 'the shutdown of the system';

export const halFunctions = kernelFunctions({
  'UCHAR READ_PORT_UCHAR(PVOID port)': () => floating(1),
  'USHORT READ_PORT_USHORT(PVOID port)': () => floating(2),
  'ULONG READ_PORT_ULONG(PVOID port)': () => floating(4),
  'void WRITE_PORT_UCHAR(PVOID port, UCHAR value)': () => undefined,
  'void WRITE_PORT_USHORT(PVOID port, USHORT value)': () => undefined,
  'void WRITE_PORT_ULONG(PVOID port, ULONG value)': () => undefined,
  'UCHAR READ_REGISTER_UCHAR(PVOID at)': (k, at) => k.memory.u8(at),
  'USHORT READ_REGISTER_USHORT(PVOID at)': (k, at) => k.memory.u16(at),
  'ULONG READ_REGISTER_ULONG(PVOID at)': (k, at) => k.memory.u32(at),
  'void WRITE_REGISTER_UCHAR(PVOID at, UCHAR value)': (k, at, value) => k.memory.set8(at, value),
  'void WRITE_REGISTER_USHORT(PVOID at, USHORT value)': (k, at, value) => k.memory.set16(at, value),
  'void WRITE_REGISTER_ULONG(PVOID at, ULONG value)': (k, at, value) => k.memory.set32(at, value),
  'ULONG HalGetBusData(ULONG type, ULONG bus, ULONG slot, PVOID buffer, ULONG length)': () => 0,
  'ULONG HalGetBusDataByOffset(ULONG type, ULONG bus, ULONG slot, PVOID buffer, ULONG offset, ULONG length)':
    () => 0,
  'ULONG HalSetBusDataByOffset(ULONG type, ULONG bus, ULONG slot, PVOID buffer, ULONG offset, ULONG length)':
    () => 0,
  'ULONG HalSetBusData(ULONG type, ULONG bus, ULONG slot, PVOID buffer, ULONG length)': () => 0,
  'BOOLEAN HalTranslateBusAddress(ULONG type, ULONG bus, u64 address, ULONG *space, u64 *translated)': () =>
    0,
  'ULONG HalGetInterruptVector(ULONG type, ULONG bus, ULONG level, ULONG vector, KIRQL *irql, KAFFINITY *affinity)':
    (k, _type, _bus, _level, vector, irql, affinity) => {
      k.memory.set8(irql, 12);
      k.memory.setPtr(affinity, 1);
      return vector + 0x30;
    },
  'NTSTATUS IoConnectInterrupt(PVOID *interrupt, PVOID routine, PVOID context, PVOID lock, ULONG vector, KIRQL irql, KIRQL sync, ULONG mode, BOOLEAN share, KAFFINITY cpus, BOOLEAN floating)':
    (k, out, routine, context) => connect(k, out, routine, context),
  'void IoDisconnectInterrupt(PVOID interrupt)': (k, interrupt) => {
    k.pool.release(interrupt);
  },
  'NTSTATUS IoReportResourceUsage(PVOID name, PVOID driver, PVOID list, ULONG bytes, PVOID device, PVOID deviceList, ULONG deviceBytes, BOOLEAN override, BOOLEAN *conflict)':
    (k, _name, _driver, _list, _bytes, _device, _deviceList, _deviceBytes, _override, conflict) => {
      k.memory.set8(conflict, 0);
      return Status.SUCCESS;
    },
  'NTSTATUS IoReportResourceForDetection(PVOID driver, PVOID list, ULONG bytes, PVOID device, PVOID deviceList, ULONG deviceBytes, BOOLEAN *conflict)':
    (k, _driver, _list, _bytes, _device, _deviceList, _deviceBytes, conflict) => {
      k.memory.set8(conflict, 0);
      return Status.SUCCESS;
    },
  'NTSTATUS IoQueryDeviceDescription(ULONG *bus, ULONG *number, ULONG *controller, ULONG *cn, ULONG *peripheral, ULONG *pn, PVOID routine, PVOID context)':
    () => Status.OBJECT_NAME_NOT_FOUND,
  'void IoInvalidateDeviceRelations(PVOID device, ULONG type)': () => undefined,
  'void IoInvalidateDeviceState(PVOID device)': () => undefined,
  'NTSTATUS IoRegisterShutdownNotification(PVOID device)': (k, device) => register(k, SHUTDOWN, device, 0),
  'NTSTATUS IoRegisterLastChanceShutdownNotification(PVOID device)': (k, device) =>
    register(k, SHUTDOWN, device, 0),
  'void IoUnregisterShutdownNotification(PVOID device)': (k, device) => {
    for (const { what, by, handle } of [...registrations(k)])
      if (what === SHUTDOWN && by === device) deregister(k, handle);
  },
  'NTSTATUS IoWMIRegistrationControl(PVOID device, ULONG action)': () => Status.SUCCESS,
  'PVOID IoAllocateErrorLogEntry(PVOID object, UCHAR bytes)': (k, _object, bytes) =>
    k.pool.allocate('nonpaged', Math.max(bytes, 48), 0x72456f49, 0, true),
  'void IoWriteErrorLogEntry(PVOID entry)': (k, entry) => {
    const code = k.memory.u32(entry + 12);
    k.log.write(3, `error log: code 0x${code.toString(16).toUpperCase().padStart(8, '0')}`);
    k.pool.release(entry);
  },
  'void IoFreeErrorLogEntry(PVOID entry)': (k, entry) => {
    k.pool.release(entry);
  },
  'NTSTATUS ZwQuerySystemInformation(ULONG kind, PVOID out, ULONG room, ULONG *needed)': (
    k,
    kind,
    out,
    room,
    needed,
  ) => systemInformation(k, kind, out, room, needed),
  'NTSTATUS NtQuerySystemInformation(ULONG kind, PVOID out, ULONG room, ULONG *needed)': (
    k,
    kind,
    out,
    room,
    needed,
  ) => systemInformation(k, kind, out, room, needed),
  /** This machine's firmware is a BIOS, which has no variables. */
  'NTSTATUS ExGetFirmwareEnvironmentVariable(PVOID name, PVOID guid, PVOID value, ULONG *bytes, ULONG *attributes)':
    () => Status.NOT_IMPLEMENTED,
  'NTSTATUS ExSetFirmwareEnvironmentVariable(PVOID name, PVOID guid, PVOID value, ULONG bytes, ULONG attributes)':
    () => Status.NOT_IMPLEMENTED,
});

/** SystemBasicInformation (0) and SystemModuleInformation (11); other classes are not there. */
function systemInformation(k: Windows, kind: number, out: number, room: number, needed: number): number {
  const word = k.word;
  const images = [...k.drivers];
  const entry = word === 8 ? 296 : 284;
  const bytes =
    kind === 0
      ? word === 8
        ? 64
        : 44
      : kind === 11
        ? word + (images.length + k.kernelImages.length) * entry
        : 0;
  if (bytes === 0) return Status.INVALID_INFO_CLASS;
  if (needed !== 0) k.memory.set32(needed, bytes);
  if (room < bytes) return Status.INFO_LENGTH_MISMATCH;
  k.memory.fill(out, bytes, 0);
  if (kind === 0) {
    k.memory.set32(out + 4, 156250);
    k.memory.set32(out + 8, 4096);
    k.memory.set32(out + 12, k.memory.frames.total);
    k.memory.set8(out + bytes - (word === 8 ? 8 : 4), 1);
    return Status.SUCCESS;
  }
  k.memory.set32(out, images.length + k.kernelImages.length);
  const rows = [
    ...k.kernelImages.map(({ base, size, name }) => ({
      base,
      size,
      path: `\\SystemRoot\\system32\\${name}`,
    })),
    ...images.map(({ base, pages, path }) => ({ base, size: pages * 4096, path })),
  ];
  rows.forEach(({ base, size, path }, i) => {
    const at = out + word + i * entry;
    k.memory.setPtr(at + 2 * word, base);
    k.memory.set32(at + 3 * word, size);
    k.memory.set16(at + 3 * word + 8, i);
    k.memory.set16(at + 3 * word + 14, path.lastIndexOf('\\') + 1);
    k.memory.write(at + 3 * word + 16, new TextEncoder().encode(path.slice(0, 255)));
  });
  return Status.SUCCESS;
}
