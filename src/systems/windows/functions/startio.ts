/** Device queues and StartIo, timers of devices, remove locks, push locks, ports and registers in rows, images in memory. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Deadline } from '../../../kernel/time.ts';
import type { Address } from '../../../memory/space.ts';
import { DISPATCH_LEVEL } from '../irql.ts';
import { Status } from '../status.ts';
import { DispatcherType, initialiseHeader, initialiseList, signal, waitFor } from '../wait.ts';
import type { Windows } from '../windows.ts';
import { kernelFunctions } from './define.ts';

// -- device queues ----------------------------------------------------------------------------------------------------------

const queueBusy = (k: Windows, queue: Address): boolean => (k.read('KDEVICE_QUEUE.Busy', queue) & 1) !== 0;
const setBusy = (k: Windows, queue: Address, busy: boolean): void =>
  k.write('KDEVICE_QUEUE.Busy', queue, busy ? 1 : 0);

/** False: the queue was not busy, and is now; the entry is the caller's to start. */
function insertEntry(k: Windows, queue: Address, entry: Address, key: number | undefined): boolean {
  if (!queueBusy(k, queue)) {
    setBusy(k, queue, true);
    k.write('KDEVICE_QUEUE_ENTRY.Inserted', entry, 0);
    return false;
  }
  const list = queue + k.offset('KDEVICE_QUEUE.DeviceListHead');
  let before = list;
  if (key !== undefined) {
    k.write('KDEVICE_QUEUE_ENTRY.SortKey', entry, key);
    for (let at = k.memory.ptr(list); at !== list; at = k.memory.ptr(at)) {
      before = at;
      if (k.read('KDEVICE_QUEUE_ENTRY.SortKey', at) > key) break;
      before = list;
    }
  }
  const previous = k.memory.ptr(before + k.word);
  k.memory.setPtr(entry, before);
  k.memory.setPtr(entry + k.word, previous);
  k.memory.setPtr(previous, entry);
  k.memory.setPtr(before + k.word, entry);
  k.write('KDEVICE_QUEUE_ENTRY.Inserted', entry, 1);
  return true;
}

function unlinkEntry(k: Windows, entry: Address): void {
  const [next, previous] = [k.memory.ptr(entry), k.memory.ptr(entry + k.word)];
  k.memory.setPtr(previous, next);
  k.memory.setPtr(next + k.word, previous);
  k.write('KDEVICE_QUEUE_ENTRY.Inserted', entry, 0);
}

/** The first entry; 0 when there is none, and then the queue is no longer busy. */
function removeFirst(k: Windows, queue: Address): Address {
  const list = queue + k.offset('KDEVICE_QUEUE.DeviceListHead');
  const first = k.memory.ptr(list);
  if (first === list) {
    setBusy(k, queue, false);
    return 0;
  }
  unlinkEntry(k, first);
  return first;
}

const entryOf = (k: Windows, irp: Address): Address => irp + k.offset('IRP.Tail.Overlay.DeviceQueueEntry');

function* start(k: Windows, device: Address, irp: Address): Steps<void> {
  k.write('DEVICE_OBJECT.CurrentIrp', device, irp);
  const driver = k.read('DEVICE_OBJECT.DriverObject', device);
  const old = k.irql.set(Math.max(DISPATCH_LEVEL, k.irql.current));
  yield* k.call(k.read('DRIVER_OBJECT.DriverStartIo', driver), device, irp);
  k.irql.set(old);
}

function* startPacket(
  k: Windows,
  device: Address,
  irp: Address,
  keyAt: Address,
  cancel: Address,
): Steps<void> {
  if (cancel !== 0) k.write('IRP.CancelRoutine', irp, cancel);
  const queue = device + k.offset('DEVICE_OBJECT.DeviceQueue');
  const key = keyAt === 0 ? undefined : k.memory.u32(keyAt);
  if (!insertEntry(k, queue, entryOf(k, irp), key)) yield* start(k, device, irp);
}

function* startNext(k: Windows, device: Address): Steps<void> {
  k.write('DEVICE_OBJECT.CurrentIrp', device, 0);
  const entry = removeFirst(k, device + k.offset('DEVICE_OBJECT.DeviceQueue'));
  if (entry !== 0) yield* start(k, device, entry - entryOf(k, 0));
}

// -- a timer a second for each device ---------------------------------------------------------------------------------------

interface DeviceTimer {
  readonly routine: Address;
  readonly context: Address;
  next: Deadline | undefined;
}
const timers = perKernel(() => new Map<Address, DeviceTimer>());
const SECOND = 1e9;

function armTimer(k: Windows, device: Address): void {
  const timer = k.state(timers).get(device);
  if (timer === undefined) return;
  timer.next = k.time.at(k.time.now() + SECOND, () => {
    timer.next = undefined;
    if (k.stopped !== undefined || !k.objects.has(device)) return;
    armTimer(k, device);
    k.scheduler.interrupt('I/O timer', function* () {
      const old = k.irql.set(DISPATCH_LEVEL);
      yield* k.call(timer.routine, device, timer.context);
      k.irql.set(old);
    });
  });
}

function stopTimer(k: Windows, device: Address): void {
  const timer = k.state(timers).get(device);
  if (timer?.next !== undefined) k.time.cancel(timer.next);
  if (timer !== undefined) timer.next = undefined;
}

// -- remove locks -------------------------------------------------------------------------------------------------------------

const DELETE_PENDING = Status.DELETE_PENDING;

function releaseLock(k: Windows, lock: Address): number {
  const left = k.read('IO_REMOVE_LOCK.IoCount', lock) - 1;
  k.write('IO_REMOVE_LOCK.IoCount', lock, left);
  if (left === 0) signal(k, lock + k.offset('IO_REMOVE_LOCK.RemoveEvent'), 1);
  return left;
}

// -- push locks: bit 0 held; above it how many share it -------------------------------------------------------------------------

function* takePush(k: Windows, lock: Address, shared: boolean): Steps<void> {
  for (;;) {
    const value = k.memory.ptr(lock);
    if (value === 0) {
      k.memory.setPtr(lock, shared ? 0x11 : 1);
      return;
    }
    if (shared && value > 1) {
      k.memory.setPtr(lock, value + 0x10);
      return;
    }
    yield { kind: 'yield' };
  }
}

function givePush(k: Windows, lock: Address): void {
  const value = k.memory.ptr(lock);
  k.memory.setPtr(lock, value > 0x11 ? value - 0x10 : 0);
}

// -- rows -----------------------------------------------------------------------------------------------------------------------

const floating = { 1: 0xff, 2: 0xffff, 4: 0xffffffff } as const;
type Width = 1 | 2 | 4;

function move(
  k: Windows,
  to: Address,
  toStep: number,
  from: Address,
  fromStep: number,
  count: number,
  width: Width,
): void {
  for (let i = 0; i < count; i++) {
    const [a, b] = [from + i * fromStep, to + i * toStep];
    if (width === 1) k.memory.set8(b, k.memory.u8(a));
    else if (width === 2) k.memory.set16(b, k.memory.u16(a));
    else k.memory.set32(b, k.memory.u32(a));
  }
}

function fillHigh(k: Windows, to: Address, count: number, width: Width): void {
  for (let i = 0; i < count; i++) {
    if (width === 1) k.memory.set8(to + i, floating[1]);
    else if (width === 2) k.memory.set16(to + i * 2, floating[2]);
    else k.memory.set32(to + i * 4, floating[4]);
  }
}

// -- images in memory -----------------------------------------------------------------------------------------------------------

/** The NT headers behind the MZ header; 0 when there are none. */
function ntHeader(k: Windows, base: Address): Address {
  if (base === 0 || k.memory.u16(base) !== 0x5a4d) return 0;
  const at = base + k.memory.u32(base + 0x3c);
  return k.memory.permOf(at) !== undefined && k.memory.u32(at) === 0x4550 ? at : 0;
}

function directory(k: Windows, base: Address, index: number, size: Address): Address {
  const header = ntHeader(k, base);
  if (header === 0 || index >= 16) return 0;
  const at = header + 24 + (k.memory.u16(header + 24) === 0x20b ? 112 : 96) + index * 8;
  k.memory.set32(size, k.memory.u32(at + 4));
  const rva = k.memory.u32(at);
  return rva === 0 ? 0 : base + rva;
}

function exportedRoutine(k: Windows, base: Address, name: string): Address {
  const own = k.kernelImages.find((image) => image.base === base);
  if (own !== undefined) return k.exported(name) ?? 0;
  const image = k.drivers.at(base);
  const found = image?.exports?.entries.find((entry) => entry.name === name && entry.forwarder === undefined);
  return image === undefined || found === undefined ? 0 : image.base + found.address;
}

export const startIoFunctions = kernelFunctions({
  'void KeInitializeDeviceQueue(PVOID queue)': (k, queue) => {
    k.memory.fill(queue, k.sizeof('KDEVICE_QUEUE'), 0);
    k.write('KDEVICE_QUEUE.Type', queue, 20);
    k.write('KDEVICE_QUEUE.Size', queue, k.sizeof('KDEVICE_QUEUE'));
    initialiseList(k, queue + k.offset('KDEVICE_QUEUE.DeviceListHead'));
  },
  'BOOLEAN KeInsertDeviceQueue(PVOID queue, PVOID entry)': (k, queue, entry) =>
    insertEntry(k, queue, entry, undefined),
  'BOOLEAN KeInsertByKeyDeviceQueue(PVOID queue, PVOID entry, ULONG key)': (k, queue, entry, key) =>
    insertEntry(k, queue, entry, key),
  'PVOID KeRemoveDeviceQueue(PVOID queue)': (k, queue) => removeFirst(k, queue),
  'BOOLEAN KeRemoveEntryDeviceQueue(PVOID queue, PVOID entry)': (k, _queue, entry) => {
    if (k.read('KDEVICE_QUEUE_ENTRY.Inserted', entry) === 0) return 0;
    unlinkEntry(k, entry);
    return 1;
  },
  'void IoStartPacket(PVOID device, PVOID irp, ULONG *key, PVOID cancel)': (k, device, irp, key, cancel) =>
    startPacket(k, device, irp, key, cancel),
  'void IoStartNextPacket(PVOID device, BOOLEAN cancelable)': (k, device) => startNext(k, device),

  'NTSTATUS IoInitializeTimer(PVOID device, PVOID routine, PVOID context)': (k, device, routine, context) => {
    k.state(timers).set(device, { routine, context, next: undefined });
    return Status.SUCCESS;
  },
  'void IoStartTimer(PVOID device)': (k, device) => {
    stopTimer(k, device);
    armTimer(k, device);
  },
  'void IoStopTimer(PVOID device)': (k, device) => stopTimer(k, device),

  'void IoInitializeRemoveLockEx(PVOID lock, ULONG tag, ULONG minutes, ULONG high, ULONG bytes)': (
    k,
    lock,
  ) => {
    k.memory.fill(lock, k.sizeof('IO_REMOVE_LOCK'), 0);
    k.write('IO_REMOVE_LOCK.IoCount', lock, 1);
    const event = lock + k.offset('IO_REMOVE_LOCK.RemoveEvent');
    initialiseHeader(k, event, DispatcherType.SYNCHRONIZATION_EVENT, k.sizeof('KEVENT'), 0);
  },
  'NTSTATUS IoAcquireRemoveLockEx(PVOID lock, PVOID tag, PVOID file, ULONG line, ULONG bytes)': (k, lock) => {
    if (k.read('IO_REMOVE_LOCK.Removed', lock) !== 0) return DELETE_PENDING;
    k.write('IO_REMOVE_LOCK.IoCount', lock, k.read('IO_REMOVE_LOCK.IoCount', lock) + 1);
    return Status.SUCCESS;
  },
  'void IoReleaseRemoveLockEx(PVOID lock, PVOID tag, ULONG bytes)': (k, lock) => {
    releaseLock(k, lock);
  },
  'void IoReleaseRemoveLockAndWaitEx(PVOID lock, PVOID tag, ULONG bytes)': function* (k, lock) {
    k.write('IO_REMOVE_LOCK.Removed', lock, 1);
    // The caller's own, and the one that the lock began with.
    releaseLock(k, lock);
    if (releaseLock(k, lock) > 0)
      yield* waitFor(k, [lock + k.offset('IO_REMOVE_LOCK.RemoveEvent')], true, undefined);
  },

  'void ExInitializePushLock(PVOID lock)': (k, lock) => k.memory.setPtr(lock, 0),
  'void FASTCALL ExfAcquirePushLockExclusive(PVOID lock)': (k, lock) => takePush(k, lock, false),
  'void FASTCALL ExfAcquirePushLockShared(PVOID lock)': (k, lock) => takePush(k, lock, true),
  'void FASTCALL ExfReleasePushLock(PVOID lock)': (k, lock) => givePush(k, lock),
  'void FASTCALL ExfReleasePushLockExclusive(PVOID lock)': (k, lock) => givePush(k, lock),
  'void FASTCALL ExfReleasePushLockShared(PVOID lock)': (k, lock) => givePush(k, lock),
  'void FASTCALL ExAcquirePushLockExclusiveEx(PVOID lock, ULONG flags)': (k, lock) =>
    takePush(k, lock, false),
  'void FASTCALL ExAcquirePushLockSharedEx(PVOID lock, ULONG flags)': (k, lock) => takePush(k, lock, true),
  'void FASTCALL ExReleasePushLockExclusiveEx(PVOID lock, ULONG flags)': (k, lock) => givePush(k, lock),
  'void FASTCALL ExReleasePushLockSharedEx(PVOID lock, ULONG flags)': (k, lock) => givePush(k, lock),
  'void FASTCALL ExReleasePushLockEx(PVOID lock, ULONG flags)': (k, lock) => givePush(k, lock),
  'void FltInitializePushLock(PVOID lock)': (k, lock) => k.memory.setPtr(lock, 0),
  'void FltDeletePushLock(PVOID lock)': () => undefined,
  'void FltAcquirePushLockExclusive(PVOID lock)': (k, lock) => takePush(k, lock, false),
  'void FltAcquirePushLockShared(PVOID lock)': (k, lock) => takePush(k, lock, true),
  'void FltReleasePushLock(PVOID lock)': (k, lock) => givePush(k, lock),
  'void FltAcquirePushLockExclusiveEx(PVOID lock, ULONG flags)': (k, lock) => takePush(k, lock, false),
  'void FltAcquirePushLockSharedEx(PVOID lock, ULONG flags)': (k, lock) => takePush(k, lock, true),
  'void FltReleasePushLockEx(PVOID lock, ULONG flags)': (k, lock) => givePush(k, lock),

  'void READ_REGISTER_BUFFER_UCHAR(PVOID at, PVOID out, ULONG count)': (k, at, out, n) =>
    move(k, out, 1, at, 1, n, 1),
  'void READ_REGISTER_BUFFER_USHORT(PVOID at, PVOID out, ULONG count)': (k, at, out, n) =>
    move(k, out, 2, at, 2, n, 2),
  'void READ_REGISTER_BUFFER_ULONG(PVOID at, PVOID out, ULONG count)': (k, at, out, n) =>
    move(k, out, 4, at, 4, n, 4),
  'void WRITE_REGISTER_BUFFER_UCHAR(PVOID at, PVOID data, ULONG count)': (k, at, data, n) =>
    move(k, at, 1, data, 1, n, 1),
  'void WRITE_REGISTER_BUFFER_USHORT(PVOID at, PVOID data, ULONG count)': (k, at, data, n) =>
    move(k, at, 2, data, 2, n, 2),
  'void WRITE_REGISTER_BUFFER_ULONG(PVOID at, PVOID data, ULONG count)': (k, at, data, n) =>
    move(k, at, 4, data, 4, n, 4),
  'void READ_PORT_BUFFER_UCHAR(PVOID port, PVOID out, ULONG count)': (k, _port, out, n) =>
    fillHigh(k, out, n, 1),
  'void READ_PORT_BUFFER_USHORT(PVOID port, PVOID out, ULONG count)': (k, _port, out, n) =>
    fillHigh(k, out, n, 2),
  'void READ_PORT_BUFFER_ULONG(PVOID port, PVOID out, ULONG count)': (k, _port, out, n) =>
    fillHigh(k, out, n, 4),
  'void WRITE_PORT_BUFFER_UCHAR(PVOID port, PVOID data, ULONG count)': () => undefined,
  'void WRITE_PORT_BUFFER_USHORT(PVOID port, PVOID data, ULONG count)': () => undefined,
  'void WRITE_PORT_BUFFER_ULONG(PVOID port, PVOID data, ULONG count)': () => undefined,

  'PVOID RtlImageNtHeader(PVOID base)': (k, base) => ntHeader(k, base),
  'PVOID RtlImageDirectoryEntryToData(PVOID base, BOOLEAN mapped, USHORT index, ULONG *size)': (
    k,
    base,
    _mapped,
    index,
    size,
  ) => directory(k, base, index, size),
  'PVOID RtlFindExportedRoutineByName(PVOID base, PCSTR name)': (k, base, name) =>
    exportedRoutine(k, base, k.memory.cstring(name)),
});
