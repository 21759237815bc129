/**
 * NDIS as far as drivers use it without an adapter: registering miniports, protocols and filters, memory, strings, locks,
 * events, timers, time and processors. There is no network adapter, so no handler of a miniport is ever called.
 */
import type { Address } from '../../../memory/space.ts';
import { cancelTimer, initialiseDpc, initialiseTimer, setTimer } from '../dpc.ts';
import { DISPATCH_LEVEL } from '../irql.ts';
import { deregister, ofDevices, register, registrationAt } from '../registered.ts';
import { Status } from '../status.ts';
import {
  ansiString,
  encodeLatin1,
  encodeUtf16,
  setCounted,
  unicodeString,
  upcase,
  wideText,
} from '../strings.ts';
import { DispatcherType, initialiseHeader, signal, waitFor } from '../wait.ts';
import type { Windows } from '../windows.ts';
import { callerOf, kernelFunctions } from './define.ts';
import { delay } from './ke.ts';
import { give } from './rtl.ts';

const TAG = 0x5344444e;
const BAD_CHARACTERISTICS = 0xc0010005 | 0;

/** The driver behind a handle of NdisInitializeWrapper or of a registration. */
export const driverOfHandle = (k: Windows, handle: Address): Address | undefined =>
  registrationAt(k, handle)?.by;

function registerMiniport(k: Windows, what: string, wrapper: Address, out: Address): number {
  const driver = driverOfHandle(k, wrapper);
  if (driver === undefined) return BAD_CHARACTERISTICS;
  ofDevices(k, driver);
  return register(k, what, driver, out);
}

/** NDIS_SPIN_LOCK: the lock, then the IRQL to go back to. */
const oldIrql = (k: Windows, lock: Address): Address => lock + k.word;

/** LOCK_STATE and LOCK_STATE_EX: two bytes of state (or the old IRQL first, in the later one). */
function raise(k: Windows, at: Address): void {
  k.memory.set8(at, k.irql.set(Math.max(DISPATCH_LEVEL, k.irql.current)));
}

/** NDIS_RW_LOCK: one processor, so raising the IRQL keeps everybody else out; readers and the writer are counted in it. */
const RW_LOCK_BYTES = 0x210;
const readers = (k: Windows, lock: Address): Address => lock + 2 * k.word;
const READING = 1;
const WRITING = 2;

function acquireLock(k: Windows, lock: Address, write: boolean): number {
  if (write) k.memory.setPtr(lock, 1);
  else k.memory.set32(readers(k, lock), k.memory.u32(readers(k, lock)) + 1);
  return write ? WRITING : READING;
}

function releaseLock(k: Windows, lock: Address, state: number): void {
  if (state === WRITING) k.memory.setPtr(lock, 0);
  else k.memory.set32(readers(k, lock), k.memory.u32(readers(k, lock)) - 1);
}

/** NDIS_TIMER and NDIS_MINIPORT_TIMER: a KTIMER and the KDPC whose routine is the driver's own. */
const timerDpc = (k: Windows, timer: Address): Address => timer + k.sizeof('KTIMER');

function initialise(k: Windows, timer: Address, routine: Address, context: Address): void {
  initialiseTimer(k, timer, false);
  initialiseDpc(k, timerDpc(k, timer), routine, context);
}

const inMilliseconds = (milliseconds: number): bigint => -BigInt(milliseconds) * 10_000n;

export const ndisFunctions = kernelFunctions({
  'void NdisInitializeWrapper(PVOID *handle, PVOID driver, PVOID path, PVOID reserved)': (k, out, driver) => {
    register(k, 'NDIS wrapper', driver, out);
  },
  'void NdisTerminateWrapper(PVOID handle, PVOID reserved)': (k, handle) => {
    deregister(k, handle);
  },
  'NTSTATUS NdisMRegisterMiniport(PVOID handle, PVOID characteristics, ULONG bytes)': (k, handle) =>
    registerMiniport(k, 'NDIS miniport', handle, 0),
  'NTSTATUS NdisIMRegisterLayeredMiniport(PVOID handle, PVOID characteristics, ULONG bytes, PVOID *out)': (
    k,
    handle,
    _characteristics,
    _bytes,
    out,
  ) => registerMiniport(k, 'NDIS intermediate miniport', handle, out),
  'void NdisIMDeregisterLayeredMiniport(PVOID handle)': (k, handle) => {
    deregister(k, handle);
  },
  /** What the two halves of an intermediate driver are to each other matters when an adapter is bound: none is. */
  'void NdisIMAssociateMiniport(PVOID miniport, PVOID protocol)': () => undefined,
  'NTSTATUS NdisMRegisterMiniportDriver(PVOID driver, PVOID path, PVOID context, PVOID characteristics, PVOID *handle)':
    (k, driver, _path, _context, _characteristics, out) => {
      ofDevices(k, driver);
      return register(k, 'NDIS miniport', driver, out);
    },
  'void NdisMDeregisterMiniportDriver(PVOID handle)': (k, handle) => {
    deregister(k, handle);
  },
  'void NdisMRegisterUnloadHandler(PVOID handle, PVOID routine)': (k, handle, routine) => {
    const driver = driverOfHandle(k, handle);
    if (driver !== undefined) k.write('DRIVER_OBJECT.DriverUnload', driver, routine);
  },
  /** Handlers of a driver without adapters are never called, so nothing is kept of them. */
  'NTSTATUS NdisSetOptionalHandlers(PVOID handle, PVOID characteristics)': (k, handle) =>
    driverOfHandle(k, handle) === undefined ? Status.INVALID_PARAMETER : Status.SUCCESS,
  'void NdisRegisterProtocol(NTSTATUS *status, PVOID *handle, PVOID characteristics, ULONG bytes)': (
    k,
    status,
    out,
  ) => k.memory.set32(status, register(k, 'NDIS protocol', callerOf(k), out)),
  'void NdisDeregisterProtocol(NTSTATUS *status, PVOID handle)': (k, status, handle) => {
    k.memory.set32(status, deregister(k, handle) ? Status.SUCCESS : Status.UNSUCCESSFUL);
  },
  'NTSTATUS NdisRegisterProtocolDriver(PVOID context, PVOID characteristics, PVOID *handle)': (
    k,
    _c,
    _chars,
    out,
  ) => register(k, 'NDIS protocol', callerOf(k), out),
  'void NdisDeregisterProtocolDriver(PVOID handle)': (k, handle) => {
    deregister(k, handle);
  },
  'NTSTATUS NdisFRegisterFilterDriver(PVOID driver, PVOID context, PVOID characteristics, PVOID *handle)': (
    k,
    driver,
    _context,
    _characteristics,
    out,
  ) => register(k, 'NDIS filter', driver, out),
  'void NdisFDeregisterFilterDriver(PVOID handle)': (k, handle) => {
    deregister(k, handle);
  },
  /** A name that this NDIS has not is asked for as one of a later release; one of ours that is unwritten says so when called. */
  'PVOID NdisGetRoutineAddress(PVOID name)': (k, name) => {
    const wanted = unicodeString(k, name);
    if (!wanted.startsWith('Ndis')) return 0;
    return k.exported(wanted) ?? (k.missingPolicy === 'refuse' ? 0 : k.gatesByName.missing(wanted));
  },
  'ULONG NdisGetVersion(void)': (k) =>
    k.release.major >= 10 ? 0x60032 : k.release.major === 6 ? 0x60014 : 0x50001,

  'NTSTATUS NdisAllocateMemoryWithTag(PVOID *out, ULONG bytes, ULONG tag)': (k, out, bytes, tag) =>
    allocate(k, out, bytes, tag),
  'NTSTATUS NdisAllocateMemory(PVOID *out, ULONG bytes, ULONG flags, s64 highest)': (k, out, bytes) =>
    allocate(k, out, bytes, TAG),
  'PVOID NdisAllocateMemoryWithTagPriority(PVOID handle, ULONG bytes, ULONG tag, ULONG priority)': (
    k,
    _handle,
    bytes,
    tag,
  ) => k.pool.allocate('nonpaged', bytes, tag, callerOf(k)),
  'void NdisFreeMemory(PVOID at, ULONG bytes, ULONG flags)': (k, at) => {
    k.pool.release(at);
  },
  'void NdisFreeMemoryWithTagPriority(PVOID handle, PVOID at, ULONG tag)': (k, _handle, at) => {
    k.pool.release(at);
  },

  'void NdisInitUnicodeString(PVOID string, PCWSTR source)': (k, string, source) => {
    const bytes = source === 0 ? 0 : wideText(k, source).length * 2;
    setCounted(k, string, bytes, source === 0 ? 0 : bytes + 2, source);
  },
  'void NdisInitializeString(PVOID string, PCSTR source)': (k, string, source) => {
    const bytes = encodeUtf16(`${k.memory.cstring(source)}\0`);
    const at = k.pool.allocate('nonpaged', bytes.length, TAG, callerOf(k));
    k.memory.write(at, bytes);
    setCounted(k, string, bytes.length - 2, bytes.length, at);
  },
  'NTSTATUS NdisUnicodeStringToAnsiString(PVOID target, PVOID source)': (k, target, source) =>
    give(k, target, encodeLatin1(unicodeString(k, source)), 1, false),
  'NTSTATUS NdisAnsiStringToUnicodeString(PVOID target, PVOID source)': (k, target, source) =>
    give(k, target, encodeUtf16(ansiString(k, source)), 2, false),
  'NTSTATUS NdisUpcaseUnicodeString(PVOID target, PVOID source)': (k, target, source) =>
    give(k, target, encodeUtf16(upcase(unicodeString(k, source))), 2, false),
  'void NdisFreeString(PVOID string)': (k, string) => {
    k.pool.release(k.read('UNICODE_STRING.Buffer', string));
  },

  'void NdisAllocateSpinLock(PVOID lock)': (k, lock) => k.memory.setPtr(lock, 0),
  'void NdisFreeSpinLock(PVOID lock)': () => undefined,
  'void NdisAcquireSpinLock(PVOID lock)': (k, lock) => raise(k, oldIrql(k, lock)),
  'void NdisReleaseSpinLock(PVOID lock)': (k, lock) => {
    k.irql.set(k.memory.u8(oldIrql(k, lock)));
  },
  /** Both are called at DISPATCH_LEVEL, where one processor has nobody to keep out. */
  'void NdisDprAcquireSpinLock(PVOID lock)': () => undefined,
  'void NdisDprReleaseSpinLock(PVOID lock)': () => undefined,
  'void NdisInitializeReadWriteLock(PVOID lock)': (k, lock) => {
    k.memory.fill(lock, 2 * k.word + 4, 0);
  },
  'void NdisAcquireReadWriteLock(PVOID lock, BOOLEAN write, PVOID state)': (k, lock, write, state) => {
    raise(k, state + 2);
    k.memory.set16(state, acquireLock(k, lock, write !== 0));
  },
  'void NdisReleaseReadWriteLock(PVOID lock, PVOID state)': (k, lock, state) => {
    releaseLock(k, lock, k.memory.u16(state));
    k.irql.set(k.memory.u8(state + 2));
  },
  'PVOID NdisAllocateRWLock(PVOID handle)': (k) =>
    k.pool.allocate('nonpaged', RW_LOCK_BYTES, TAG, callerOf(k), true),
  'void NdisFreeRWLock(PVOID lock)': (k, lock) => {
    k.pool.release(lock);
  },
  'void NdisAcquireRWLockRead(PVOID lock, PVOID state, UCHAR flags)': (k, lock, state) => {
    raise(k, state);
    k.memory.set8(state + 1, acquireLock(k, lock, false));
  },
  'void NdisAcquireRWLockWrite(PVOID lock, PVOID state, UCHAR flags)': (k, lock, state) => {
    raise(k, state);
    k.memory.set8(state + 1, acquireLock(k, lock, true));
  },
  'void NdisReleaseRWLock(PVOID lock, PVOID state)': (k, lock, state) => {
    releaseLock(k, lock, k.memory.u8(state + 1));
    k.irql.set(k.memory.u8(state));
  },

  'void NdisInitializeEvent(PVOID event)': (k, event) =>
    initialiseHeader(k, event, DispatcherType.NOTIFICATION_EVENT, k.sizeof('KEVENT'), 0),
  'void NdisSetEvent(PVOID event)': (k, event) => signal(k, event, 1),
  'void NdisResetEvent(PVOID event)': (k, event) => signal(k, event, 0),
  'BOOLEAN NdisWaitEvent(PVOID event, ULONG milliseconds)': function* (k, event, milliseconds) {
    const time = milliseconds === 0 ? undefined : inMilliseconds(milliseconds);
    return (yield* waitFor(k, [event], true, time)) === Status.SUCCESS;
  },
  'void NdisMSleep(ULONG microseconds)': function* (k, microseconds) {
    yield* delay(k, -BigInt(microseconds) * 10n, 0);
  },

  'void NdisInitializeTimer(PVOID timer, PVOID routine, PVOID context)': (k, timer, routine, context) =>
    initialise(k, timer, routine, context),
  'void NdisMInitializeTimer(PVOID timer, PVOID adapter, PVOID routine, PVOID context)': (
    k,
    timer,
    _adapter,
    routine,
    context,
  ) => initialise(k, timer, routine, context),
  'void NdisSetTimer(PVOID timer, ULONG milliseconds)': (k, timer, milliseconds) => {
    setTimer(k, timer, inMilliseconds(milliseconds), 0, timerDpc(k, timer));
  },
  'void NdisMSetPeriodicTimer(PVOID timer, ULONG milliseconds)': (k, timer, milliseconds) => {
    setTimer(k, timer, inMilliseconds(milliseconds), milliseconds, timerDpc(k, timer));
  },
  'void NdisCancelTimer(PVOID timer, BOOLEAN *cancelled)': (k, timer, out) =>
    k.memory.set8(out, cancelTimer(k, timer) ? 1 : 0),
  'void NdisMCancelTimer(PVOID timer, BOOLEAN *cancelled)': (k, timer, out) =>
    k.memory.set8(out, cancelTimer(k, timer) ? 1 : 0),
  'void NdisGetCurrentSystemTime(u64 *time)': (k, out) => k.memory.setU64(out, k.processor.systemTime()),
  'void NdisGetSystemUpTime(ULONG *milliseconds)': (k, out) =>
    k.memory.set32(out, Math.floor(k.time.now() / 1e6) >>> 0),
  'void NdisGetSystemUpTimeEx(u64 *milliseconds)': (k, out) =>
    k.memory.setU64(out, BigInt(Math.floor(k.time.now() / 1e6))),

  'LONG NdisInterlockedIncrement(LONG *at)': (k, at) => add(k, at, 1),
  'LONG NdisInterlockedDecrement(LONG *at)': (k, at) => add(k, at, -1),

  'CCHAR NdisSystemProcessorCount(void)': () => 1,
  'ULONG NdisGroupActiveProcessorCount(USHORT group)': (_k, group) =>
    group === 0 || group === 0xffff ? 1 : 0,
  'ULONG NdisGroupMaxProcessorCount(USHORT group)': (_k, group) => (group === 0 || group === 0xffff ? 1 : 0),
  'USHORT NdisMaxGroupCount(void)': () => 1,
  'USHORT NdisActiveGroupCount(void)': () => 1,
  'ULONG NdisCurrentProcessorIndex(void)': () => 0,
  'CCHAR NdisSystemActiveProcessorCount(PVOID mask)': (k, mask) => {
    if (mask !== 0) k.memory.setPtr(mask, 1);
    return 1;
  },
  'KAFFINITY NdisGroupActiveProcessorMask(USHORT group)': (_k, group) => (group === 0 ? 1 : 0),
});

function allocate(k: Windows, out: Address, bytes: number, tag: number): number {
  const at = k.pool.allocate('nonpaged', bytes, tag, callerOf(k));
  k.memory.setPtr(out, at);
  return at === 0 ? Status.UNSUCCESSFUL : Status.SUCCESS;
}

function add(k: Windows, at: Address, by: number): number {
  const value = (k.memory.u32(at) + by) | 0;
  k.memory.set32(at, value);
  return value;
}
