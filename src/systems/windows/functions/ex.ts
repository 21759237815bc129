/** Fast mutexes, resources, interlocked lists, work items, run-down protection and callbacks. */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { APC_LEVEL } from '../irql.ts';
import { Status } from '../status.ts';
import { DispatcherType, initialiseHeader, initialiseList, signal, waitFor } from '../wait.ts';
import type { Windows } from '../windows.ts';
import { callerOf, kernelFunctions } from './define.ts';

// -- fast mutexes: Count is 1 when free; the event lets the next one in -------------------------------------------

function* acquireFast(k: Windows, mutex: Address, raise: boolean): Steps<void> {
  const old = raise ? k.irql.set(APC_LEVEL) : k.irql.current;
  const count = k.read('FAST_MUTEX.Count', mutex) | 0;
  k.write('FAST_MUTEX.Count', mutex, count - 1);
  if (count < 1) {
    k.write('FAST_MUTEX.Contention', mutex, k.read('FAST_MUTEX.Contention', mutex) + 1);
    yield* waitFor(k, [mutex + k.offset('FAST_MUTEX.Event')], true, undefined);
  }
  k.write('FAST_MUTEX.Owner', mutex, k.processor.currentThread);
  k.write('FAST_MUTEX.OldIrql', mutex, old);
}

function releaseFast(k: Windows, mutex: Address, lower: boolean): void {
  const irql = k.read('FAST_MUTEX.OldIrql', mutex);
  k.write('FAST_MUTEX.Owner', mutex, 0);
  const count = (k.read('FAST_MUTEX.Count', mutex) | 0) + 1;
  k.write('FAST_MUTEX.Count', mutex, count);
  if (count < 1) signal(k, mutex + k.offset('FAST_MUTEX.Event'), 1);
  if (lower) k.irql.set(irql);
}

function tryFast(k: Windows, mutex: Address): number {
  if ((k.read('FAST_MUTEX.Count', mutex) | 0) !== 1) return 0;
  k.write('FAST_MUTEX.Count', mutex, 0);
  k.write('FAST_MUTEX.Owner', mutex, k.processor.currentThread);
  k.write('FAST_MUTEX.OldIrql', mutex, k.irql.set(APC_LEVEL));
  return 1;
}

// -- resources: ActiveCount owners; Flag 0x80 exclusive; the owner's thread and depth in OwnerEntry ----------------

const OWNED_EXCLUSIVE = 0x80;

function initialiseResource(k: Windows, resource: Address): number {
  k.memory.fill(resource, k.sizeof('ERESOURCE'), 0);
  initialiseList(k, resource + k.offset('ERESOURCE.SystemResourcesList'));
  return Status.SUCCESS;
}

const ownedExclusive = (k: Windows, resource: Address): boolean =>
  (k.read('ERESOURCE.Flag', resource) & OWNED_EXCLUSIVE) !== 0;
const owner = (k: Windows, resource: Address): Address =>
  k.read('ERESOURCE.OwnerEntry.OwnerThread', resource);

function setOwners(k: Windows, resource: Address, count: number, exclusive: boolean): void {
  k.write('ERESOURCE.ActiveEntries', resource, count);
  k.write('ERESOURCE.ActiveCount', resource, count === 0 ? 0 : 1);
  const flag = k.read('ERESOURCE.Flag', resource);
  k.write(
    'ERESOURCE.Flag',
    resource,
    exclusive && count > 0 ? flag | OWNED_EXCLUSIVE : flag & ~OWNED_EXCLUSIVE,
  );
  if (count === 0) k.write('ERESOURCE.OwnerEntry.OwnerThread', resource, 0);
}

function* acquireResource(k: Windows, resource: Address, exclusive: boolean, wait: boolean): Steps<boolean> {
  const thread = k.processor.currentThread;
  for (;;) {
    const count = k.read('ERESOURCE.ActiveEntries', resource);
    const mine = ownedExclusive(k, resource) && owner(k, resource) === thread;
    const free = count === 0 || mine || (!exclusive && !ownedExclusive(k, resource));
    if (free) {
      setOwners(k, resource, count + 1, count === 0 ? exclusive : ownedExclusive(k, resource));
      k.write('ERESOURCE.OwnerEntry.OwnerThread', resource, thread);
      return true;
    }
    if (!wait) return false;
    k.write('ERESOURCE.ContentionCount', resource, k.read('ERESOURCE.ContentionCount', resource) + 1);
    yield { kind: 'yield' };
  }
}

function releaseResource(k: Windows, resource: Address): void {
  const count = k.read('ERESOURCE.ActiveEntries', resource);
  setOwners(k, resource, Math.max(0, count - 1), ownedExclusive(k, resource));
}

// -- singly and doubly linked lists under a lock -------------------------------------------------------------------

function insertHead(k: Windows, list: Address, entry: Address): Address {
  const first = k.memory.ptr(list);
  k.memory.setPtr(entry, first);
  k.memory.setPtr(entry + k.word, list);
  k.memory.setPtr(first + k.word, entry);
  k.memory.setPtr(list, entry);
  return first === list ? 0 : first;
}

function insertTail(k: Windows, list: Address, entry: Address): Address {
  const last = k.memory.ptr(list + k.word);
  k.memory.setPtr(entry, list);
  k.memory.setPtr(entry + k.word, last);
  k.memory.setPtr(last, entry);
  k.memory.setPtr(list + k.word, entry);
  return last === list ? 0 : last;
}

function removeHead(k: Windows, list: Address): Address {
  const first = k.memory.ptr(list);
  if (first === list) return 0;
  const next = k.memory.ptr(first);
  k.memory.setPtr(list, next);
  k.memory.setPtr(next + k.word, list);
  return first;
}

/** SLIST_HEADER on x64: depth in the low 16 bits of the first word, the first entry in bits 4.. of the second. */
function slist(k: Windows, head: Address): { depth: number; first: Address } {
  if (k.word === 4) return { depth: k.memory.u16(head + 4), first: k.memory.ptr(head) };
  return {
    depth: k.memory.u16(head),
    first: k.memory.ptr(head + 8) - (((k.memory.ptr(head + 8) % 16) + 16) % 16),
  };
}

function setSlist(k: Windows, head: Address, depth: number, first: Address): void {
  if (k.word === 4) {
    k.memory.setPtr(head, first);
    k.memory.set16(head + 4, depth);
  } else {
    k.memory.set16(head, depth);
    // Bit 0 of the second word: HeaderType, always one in the 16-byte form.
    k.memory.setPtr(head + 8, first + 1);
  }
}

function pushEntry(k: Windows, head: Address, entry: Address): Address {
  const { depth, first } = slist(k, head);
  k.memory.setPtr(entry, first);
  setSlist(k, head, depth + 1, entry);
  return first;
}

export function popEntry(k: Windows, head: Address): Address {
  const { depth, first } = slist(k, head);
  if (first === 0) return 0;
  setSlist(k, head, depth - 1, k.memory.ptr(first));
  return first;
}

// -- work items -----------------------------------------------------------------------------------------------------

/** An IO_WORKITEM of ours: device, routine, context, whether the routine also gets the item. */
const IoItem = { DEVICE: 0, ROUTINE: 1, CONTEXT: 2, EXTENDED: 3 } as const;

function queueIoItem(k: Windows, item: Address, routine: Address, context: Address, extended: boolean): void {
  const set = (field: number, value: number) => k.memory.setPtr(item + field * k.word, value);
  set(IoItem.ROUTINE, routine);
  set(IoItem.CONTEXT, context);
  set(IoItem.EXTENDED, extended ? 1 : 0);
  const device = k.memory.ptr(item);
  k.threads.run('System worker', runIoItem(k, item, device, routine, context, extended));
}

function* runIoItem(
  k: Windows,
  item: Address,
  device: Address,
  routine: Address,
  context: Address,
  extended: boolean,
): Steps<void> {
  if (extended) yield* k.call(routine, device, context, item);
  else yield* k.call(routine, device, context);
}

function* runExItem(k: Windows, routine: Address, parameter: Address): Steps<void> {
  yield* k.call(routine, parameter);
}

// -- run-down protection: count in bits 1.., bit 0 says that it has begun ---------------------------------------------

function acquireRundown(k: Windows, at: Address): number {
  const value = k.memory.ptr(at);
  if (value % 2 !== 0) return 0;
  k.memory.setPtr(at, value + 2);
  return 1;
}

export const exFunctions = kernelFunctions({
  'void ExInitializeFastMutex(PVOID mutex)': (k, mutex) => {
    k.write('FAST_MUTEX.Count', mutex, 1);
    k.write('FAST_MUTEX.Owner', mutex, 0);
    k.write('FAST_MUTEX.Contention', mutex, 0);
    const event = mutex + k.offset('FAST_MUTEX.Event');
    initialiseHeader(k, event, DispatcherType.SYNCHRONIZATION_EVENT, k.sizeof('KEVENT'), 0);
  },
  'void FASTCALL ExAcquireFastMutex(PVOID mutex)': (k, mutex) => acquireFast(k, mutex, true),
  'void FASTCALL ExReleaseFastMutex(PVOID mutex)': (k, mutex) => releaseFast(k, mutex, true),
  'void FASTCALL ExAcquireFastMutexUnsafe(PVOID mutex)': (k, mutex) => acquireFast(k, mutex, false),
  'void FASTCALL ExReleaseFastMutexUnsafe(PVOID mutex)': (k, mutex) => releaseFast(k, mutex, false),
  'void FASTCALL KeAcquireGuardedMutex(PVOID mutex)': (k, mutex) => acquireFast(k, mutex, false),
  'void FASTCALL KeReleaseGuardedMutex(PVOID mutex)': (k, mutex) => releaseFast(k, mutex, false),
  'void FASTCALL KeInitializeGuardedMutex(PVOID mutex)': (k, mutex) => {
    k.memory.fill(mutex, k.sizeof('FAST_MUTEX'), 0);
    k.write('FAST_MUTEX.Count', mutex, 1);
    const event = mutex + k.offset('FAST_MUTEX.Event');
    initialiseHeader(k, event, DispatcherType.SYNCHRONIZATION_EVENT, k.sizeof('KEVENT'), 0);
  },
  'BOOLEAN FASTCALL KeTryToAcquireGuardedMutex(PVOID mutex)': (k, mutex) => tryFast(k, mutex),
  'BOOLEAN FASTCALL ExTryToAcquireFastMutex(PVOID mutex)': (k, mutex) => tryFast(k, mutex),

  'NTSTATUS ExInitializeResourceLite(PVOID resource)': (k, resource) => initialiseResource(k, resource),
  'NTSTATUS ExReinitializeResourceLite(PVOID resource)': (k, resource) => initialiseResource(k, resource),
  'NTSTATUS ExDeleteResourceLite(PVOID resource)': () => Status.SUCCESS,
  'BOOLEAN ExAcquireResourceExclusiveLite(PVOID resource, BOOLEAN wait)': (k, resource, wait) =>
    acquireResource(k, resource, true, wait !== 0),
  'BOOLEAN ExAcquireResourceSharedLite(PVOID resource, BOOLEAN wait)': (k, resource, wait) =>
    acquireResource(k, resource, false, wait !== 0),
  'BOOLEAN ExAcquireSharedStarveExclusive(PVOID resource, BOOLEAN wait)': (k, resource, wait) =>
    acquireResource(k, resource, false, wait !== 0),
  'BOOLEAN ExAcquireSharedWaitForExclusive(PVOID resource, BOOLEAN wait)': (k, resource, wait) =>
    acquireResource(k, resource, false, wait !== 0),
  'PVOID ExEnterCriticalRegionAndAcquireResourceExclusive(PVOID resource)': function* (k, resource) {
    yield* acquireResource(k, resource, true, true);
    return 0;
  },
  'PVOID ExEnterCriticalRegionAndAcquireResourceShared(PVOID resource)': function* (k, resource) {
    yield* acquireResource(k, resource, false, true);
    return 0;
  },
  'void FASTCALL ExReleaseResourceAndLeaveCriticalRegion(PVOID resource)': (k, resource) =>
    releaseResource(k, resource),
  'void FASTCALL ExReleaseResourceLite(PVOID resource)': (k, resource) => releaseResource(k, resource),
  'void ExReleaseResourceForThreadLite(PVOID resource, ERESOURCE_THREAD thread)': (k, resource) =>
    releaseResource(k, resource),
  'void ExSetResourceOwnerPointer(PVOID resource, PVOID pointer)': (k, resource, pointer) =>
    k.write('ERESOURCE.OwnerEntry.OwnerThread', resource, pointer),
  'void ExConvertExclusiveToSharedLite(PVOID resource)': (k, resource) =>
    setOwners(k, resource, k.read('ERESOURCE.ActiveEntries', resource), false),
  'BOOLEAN ExIsResourceAcquiredExclusiveLite(PVOID resource)': (k, resource) =>
    ownedExclusive(k, resource) && owner(k, resource) === k.processor.currentThread,
  'ULONG ExIsResourceAcquiredSharedLite(PVOID resource)': (k, resource) =>
    owner(k, resource) === k.processor.currentThread ? k.read('ERESOURCE.ActiveEntries', resource) : 0,
  'ULONG ExGetExclusiveWaiterCount(PVOID resource)': (k, resource) =>
    k.read('ERESOURCE.NumberOfExclusiveWaiters', resource),
  'ULONG ExGetSharedWaiterCount(PVOID resource)': (k, resource) =>
    k.read('ERESOURCE.NumberOfSharedWaiters', resource),

  'PVOID FASTCALL ExfInterlockedInsertHeadList(PVOID list, PVOID entry, PVOID lock)': (k, list, entry) =>
    insertHead(k, list, entry),
  'PVOID FASTCALL ExfInterlockedInsertTailList(PVOID list, PVOID entry, PVOID lock)': (k, list, entry) =>
    insertTail(k, list, entry),
  'PVOID FASTCALL ExfInterlockedRemoveHeadList(PVOID list, PVOID lock)': (k, list) => removeHead(k, list),
  'PVOID ExInterlockedInsertHeadList(PVOID list, PVOID entry, PVOID lock)': (k, list, entry) =>
    insertHead(k, list, entry),
  'PVOID ExInterlockedInsertTailList(PVOID list, PVOID entry, PVOID lock)': (k, list, entry) =>
    insertTail(k, list, entry),
  'PVOID ExInterlockedRemoveHeadList(PVOID list, PVOID lock)': (k, list) => removeHead(k, list),
  'PVOID ExInterlockedPushEntryList(PVOID list, PVOID entry, PVOID lock)': (k, list, entry) => {
    const first = k.memory.ptr(list);
    k.memory.setPtr(entry, first);
    k.memory.setPtr(list, entry);
    return first;
  },
  'PVOID ExInterlockedPopEntryList(PVOID list, PVOID lock)': (k, list) => {
    const first = k.memory.ptr(list);
    if (first !== 0) k.memory.setPtr(list, k.memory.ptr(first));
    return first;
  },
  'void InitializeSListHead(PVOID head)': (k, head) => setSlist(k, head, 0, 0),
  'void ExInitializeSListHead(PVOID head)': (k, head) => setSlist(k, head, 0, 0),
  'PVOID ExpInterlockedPushEntrySList(PVOID head, PVOID entry)': (k, head, entry) =>
    pushEntry(k, head, entry),
  'PVOID ExpInterlockedPopEntrySList(PVOID head)': (k, head) => popEntry(k, head),
  'PVOID FASTCALL InterlockedPushEntrySList(PVOID head, PVOID entry)': (k, head, entry) =>
    pushEntry(k, head, entry),
  'PVOID FASTCALL InterlockedPopEntrySList(PVOID head)': (k, head) => popEntry(k, head),
  'PVOID FASTCALL ExInterlockedPushEntrySList(PVOID head, PVOID entry, PVOID lock)': (k, head, entry) =>
    pushEntry(k, head, entry),
  'PVOID FASTCALL ExInterlockedPopEntrySList(PVOID head, PVOID lock)': (k, head) => popEntry(k, head),
  'PVOID ExpInterlockedFlushSList(PVOID head)': (k, head) => {
    const { first } = slist(k, head);
    setSlist(k, head, 0, 0);
    return first;
  },
  'USHORT ExQueryDepthSList(PVOID head)': (k, head) => slist(k, head).depth,
  'ULONG ExInterlockedAddUlong(PVOID addend, ULONG increment, PVOID lock)': (k, at, by) =>
    addUlong(k, at, by),
  'ULONG FASTCALL ExfInterlockedAddUlong(PVOID addend, ULONG increment, PVOID lock)': (k, at, by) =>
    addUlong(k, at, by),
  's64 ExInterlockedAddLargeInteger(PVOID addend, s64 increment, PVOID lock)': (k, at, by) => {
    const old = BigInt.asIntN(64, k.memory.u64(at));
    k.memory.setU64(at, BigInt.asUintN(64, old + by));
    return old;
  },
  'LONG FASTCALL InterlockedIncrement(PVOID at)': (k, at) => addLong(k, at, 1) + 1,
  'LONG FASTCALL InterlockedDecrement(PVOID at)': (k, at) => addLong(k, at, -1) - 1,
  'LONG FASTCALL InterlockedExchangeAdd(PVOID at, LONG by)': (k, at, by) => addLong(k, at, by),
  'LONG FASTCALL InterlockedExchange(PVOID at, LONG value)': (k, at, value) => {
    const old = k.memory.i32(at);
    k.memory.set32(at, value);
    return old;
  },
  'LONG FASTCALL InterlockedCompareExchange(PVOID at, LONG value, LONG comparand)': (
    k,
    at,
    value,
    comparand,
  ) => {
    const old = k.memory.i32(at);
    if (old === comparand) k.memory.set32(at, value);
    return old;
  },

  'void ExQueueWorkItem(PVOID item, ULONG queue)': (k, item) => {
    const routine = k.read('WORK_QUEUE_ITEM.WorkerRoutine', item);
    k.threads.run('System worker', runExItem(k, routine, k.read('WORK_QUEUE_ITEM.Parameter', item)));
  },
  'PVOID IoAllocateWorkItem(PVOID device)': (k, device) => {
    const item = k.pool.allocate('nonpaged', 8 * k.word, 0x69576f49, callerOf(k), true);
    if (item !== 0) k.memory.setPtr(item, device);
    return item;
  },
  'void IoFreeWorkItem(PVOID item)': (k, item) => {
    k.pool.release(item);
  },
  'void IoInitializeWorkItem(PVOID device, PVOID item)': (k, device, item) => k.memory.setPtr(item, device),
  'void IoUninitializeWorkItem(PVOID item)': () => undefined,
  'void IoQueueWorkItem(PVOID item, PVOID routine, ULONG queue, PVOID context)': (
    k,
    item,
    routine,
    _queue,
    context,
  ) => queueIoItem(k, item, routine, context, false),
  'void IoQueueWorkItemEx(PVOID item, PVOID routine, ULONG queue, PVOID context)': (
    k,
    item,
    routine,
    _queue,
    context,
  ) => queueIoItem(k, item, routine, context, true),

  'void FASTCALL ExInitializeRundownProtection(PVOID reference)': (k, at) => k.memory.setPtr(at, 0),
  'void FASTCALL ExReInitializeRundownProtection(PVOID reference)': (k, at) => k.memory.setPtr(at, 0),
  'BOOLEAN FASTCALL ExAcquireRundownProtection(PVOID reference)': (k, at) => acquireRundown(k, at),
  'BOOLEAN FASTCALL ExAcquireRundownProtectionEx(PVOID reference, ULONG count)': (k, at, count) => {
    const value = k.memory.ptr(at);
    if (value % 2 !== 0) return 0;
    k.memory.setPtr(at, value + 2 * count);
    return 1;
  },
  'void FASTCALL ExReleaseRundownProtection(PVOID reference)': (k, at) =>
    k.memory.setPtr(at, k.memory.ptr(at) - 2),
  'void FASTCALL ExReleaseRundownProtectionEx(PVOID reference, ULONG count)': (k, at, count) =>
    k.memory.setPtr(at, k.memory.ptr(at) - 2 * count),
  'void FASTCALL ExWaitForRundownProtectionRelease(PVOID reference)': function* (k, at) {
    const value = k.memory.ptr(at);
    if (value % 2 === 0) k.memory.setPtr(at, value + 1);
    while (k.memory.ptr(at) > 1) yield { kind: 'yield' };
  },
  'void FASTCALL ExRundownCompleted(PVOID reference)': (k, at) => k.memory.setPtr(at, 1),
  'BOOLEAN ExIsProcessorFeaturePresent(ULONG feature)': (k, feature) =>
    feature < 64 ? k.memory.u8(k.map.sharedData + 0x274 + feature) : 0,
  'NTSTATUS ExUuidCreate(PVOID uuid)': (k, uuid) => {
    for (let i = 0; i < 4; i++) k.memory.set32(uuid + i * 4, k.random32());
    // Version 4, variant 1 (RFC 4122, section 4.4).
    k.memory.set8(uuid + 7, (k.memory.u8(uuid + 7) & 0x0f) | 0x40);
    k.memory.set8(uuid + 8, (k.memory.u8(uuid + 8) & 0x3f) | 0x80);
    return Status.SUCCESS;
  },
  'void ExLocalTimeToSystemTime(PVOID local, PVOID system)': (k, local, system) =>
    k.memory.setU64(system, BigInt.asUintN(64, k.memory.u64(local) + k.processor.zoneBias)),
  'void ExSystemTimeToLocalTime(PVOID system, PVOID local)': (k, system, local) =>
    k.memory.setU64(local, BigInt.asUintN(64, k.memory.u64(system) - k.processor.zoneBias)),
});

function addLong(k: Windows, at: Address, by: number): number {
  const old = k.memory.i32(at);
  k.memory.set32(at, old + by);
  return old;
}

const addUlong = (k: Windows, at: Address, by: number): number => addLong(k, at, by | 0) >>> 0;
