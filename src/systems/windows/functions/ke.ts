/** Dispatcher objects, timers, DPCs, spin locks, IRQL and time. */
import { perKernel } from '../../../kernel/kernel.ts';
import { block, type Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { BugCode, bugCheck } from '../bugcheck.ts';
import {
  cancelTimer,
  initialiseDpc,
  initialiseTimer,
  queueDpc,
  queuedDpcs,
  removeDpc,
  setTimer,
} from '../dpc.ts';
import { RaisedStatus } from '../exceptions.ts';
import { APC_LEVEL, DISPATCH_LEVEL, HIGH_LEVEL } from '../irql.ts';
import { TIME_INCREMENT } from '../processor.ts';
import { Status } from '../status.ts';
import { DispatcherType, deadline, initialiseHeader, refuseAtDispatch, signal, waitFor } from '../wait.ts';
import type { Windows } from '../windows.ts';
import { callerOf, kernelFunctions } from './define.ts';

/** A timeout parameter: NULL waits for ever. */
const timeoutAt = (k: Windows, at: Address): bigint | undefined =>
  at === 0 ? undefined : BigInt.asIntN(64, k.memory.u64(at));

const stateOf = (k: Windows, at: Address): number => k.read('DISPATCHER_HEADER.SignalState', at);

/** Signals and answers what it was. */
function setState(k: Windows, at: Address, state: number): number {
  const old = stateOf(k, at);
  signal(k, at, state);
  return old;
}

export function releaseMutant(k: Windows, mutant: Address): number {
  if (k.read('KMUTANT.OwnerThread', mutant) !== k.processor.currentThread)
    throw new RaisedStatus(Status.MUTANT_NOT_OWNED);
  const old = stateOf(k, mutant);
  if (old + 1 === 1) k.write('KMUTANT.OwnerThread', mutant, 0);
  signal(k, mutant, old + 1);
  return old;
}

function initialiseMutant(k: Windows, mutant: Address, owned: boolean): void {
  initialiseHeader(k, mutant, DispatcherType.MUTANT, k.sizeof('KMUTANT'), owned ? 0 : 1);
  k.write('KMUTANT.OwnerThread', mutant, owned ? k.processor.currentThread : 0);
  k.write('KMUTANT.Abandoned', mutant, 0);
  k.write('KMUTANT.ApcDisable', mutant, 1);
}

/** One processor: a lock that is held when it is asked for would spin for ever. */
function takeLock(k: Windows, lock: Address): void {
  if (k.memory.ptr(lock) !== 0) bugCheck(k, BugCode.DPC_WATCHDOG_VIOLATION, [0, lock, 0, 0], callerOf(k));
  k.memory.setPtr(lock, 1);
}

function giveLock(k: Windows, lock: Address): void {
  if (k.memory.ptr(lock) === 0) bugCheck(k, BugCode.SPIN_LOCK_NOT_OWNED, [lock, 0, 0, 0], callerOf(k));
  k.memory.setPtr(lock, 0);
}

/** EX_SPIN_LOCK: readers are counted, the top bit is a writer. With one processor a lock that is in the way never comes free. */
const EXCLUSIVE = 0x80000000;

function takeShared(k: Windows, lock: Address, by: number): void {
  const held = k.memory.u32(lock);
  if (held >= EXCLUSIVE || (by === EXCLUSIVE && held !== 0))
    bugCheck(k, BugCode.DPC_WATCHDOG_VIOLATION, [0, lock, 0, 0], callerOf(k));
  k.memory.set32(lock, held + by);
}

function raiseTo(k: Windows, level: number): number {
  if (level < k.irql.current)
    bugCheck(k, BugCode.IRQL_NOT_GREATER_OR_EQUAL, [k.irql.current, level, 0, 0], callerOf(k));
  return k.irql.set(level);
}

function lowerTo(k: Windows, level: number): void {
  if (level > k.irql.current)
    bugCheck(k, BugCode.IRQL_NOT_LESS_OR_EQUAL, [k.irql.current, level, 0, 0], callerOf(k));
  k.irql.set(level);
}

function acquire(k: Windows, lock: Address): number {
  const old = raiseTo(k, Math.max(DISPATCH_LEVEL, k.irql.current));
  takeLock(k, lock);
  return old;
}

function release(k: Windows, lock: Address, irql: number): void {
  giveLock(k, lock);
  lowerTo(k, irql);
}

function atDpc(k: Windows, lock: Address): void {
  if (k.irql.current < DISPATCH_LEVEL)
    bugCheck(k, BugCode.IRQL_NOT_GREATER_OR_EQUAL, [k.irql.current, DISPATCH_LEVEL, 0, 0], callerOf(k));
  takeLock(k, lock);
}

function* waitMany(
  k: Windows,
  count: number,
  objects: Address,
  type: number,
  timeout: Address,
): Steps<number> {
  const list = Array.from({ length: Math.min(count, 64) }, (_, i) => k.memory.ptr(objects + i * k.word));
  return yield* waitFor(k, list, type === 0, timeoutAt(k, timeout));
}

/** KeDelayExecutionThread. @param time 100 ns units: negative from now, positive by the clock */
export function* delay(k: Windows, time: bigint, object: Address): Steps<number> {
  refuseAtDispatch(k, object);
  if (time === 0n) yield { kind: 'yield' };
  else yield* block('sleeps', Math.max(deadline(k, time), k.time.now() + 1));
  return Status.SUCCESS;
}

/** System affinities of threads that asked for one; 0: as their process has it. */
const affinities = perKernel(() => new Map<Address, number>());

/** @returns the one before. Which processors a thread may run on makes no difference where there is one. */
function setAffinity(k: Windows, affinity: number): number {
  const all = k.state(affinities);
  const thread = k.processor.currentThread;
  const before = all.get(thread) ?? 0;
  if (affinity === 0) all.delete(thread);
  else all.set(thread, affinity);
  return before;
}

export const keFunctions = kernelFunctions({
  'void KeInitializeEvent(PVOID event, ULONG type, BOOLEAN state)': (k, event, type, state) =>
    initialiseHeader(k, event, type, k.sizeof('KEVENT'), state === 0 ? 0 : 1),
  'LONG KeSetEvent(PVOID event, LONG increment, BOOLEAN wait)': (k, event) => setState(k, event, 1),
  'LONG KeResetEvent(PVOID event)': (k, event) => setState(k, event, 0),
  'void KeClearEvent(PVOID event)': (k, event) => {
    signal(k, event, 0);
  },
  'LONG KePulseEvent(PVOID event, LONG increment, BOOLEAN wait)': (k, event) => {
    const old = setState(k, event, 1);
    if (k.read('DISPATCHER_HEADER.Type', event) === DispatcherType.NOTIFICATION_EVENT) signal(k, event, 0);
    return old;
  },
  'LONG KeReadStateEvent(PVOID event)': (k, event) => stateOf(k, event),
  'void KeInitializeMutex(PVOID mutex, ULONG level)': (k, mutex) => initialiseMutant(k, mutex, false),
  'void KeInitializeMutant(PVOID mutant, BOOLEAN owner)': (k, mutant, owner) =>
    initialiseMutant(k, mutant, owner !== 0),
  'LONG KeReleaseMutex(PVOID mutex, BOOLEAN wait)': (k, mutex) => releaseMutant(k, mutex),
  'LONG KeReleaseMutant(PVOID mutant, LONG increment, BOOLEAN abandoned, BOOLEAN wait)': (k, mutant) =>
    releaseMutant(k, mutant),
  'LONG KeReadStateMutex(PVOID mutex)': (k, mutex) => stateOf(k, mutex),
  'void KeInitializeSemaphore(PVOID semaphore, LONG count, LONG limit)': (k, semaphore, count, limit) => {
    initialiseHeader(k, semaphore, DispatcherType.SEMAPHORE, k.sizeof('KSEMAPHORE'), count);
    k.write('KSEMAPHORE.Limit', semaphore, limit);
  },
  'LONG KeReleaseSemaphore(PVOID semaphore, LONG increment, LONG adjustment, BOOLEAN wait)': (
    k,
    semaphore,
    _i,
    by,
  ) => {
    const old = stateOf(k, semaphore);
    if (old + by > k.read('KSEMAPHORE.Limit', semaphore) || by <= 0)
      throw new RaisedStatus(Status.SEMAPHORE_LIMIT_EXCEEDED);
    signal(k, semaphore, old + by);
    return old;
  },
  'LONG KeReadStateSemaphore(PVOID semaphore)': (k, semaphore) => stateOf(k, semaphore),
  'NTSTATUS KeWaitForSingleObject(PVOID object, ULONG reason, KPROCESSOR_MODE mode, BOOLEAN alertable, PVOID timeout)':
    (k, object, _reason, _mode, _alertable, timeout) => waitFor(k, [object], true, timeoutAt(k, timeout)),
  'NTSTATUS KeWaitForMutexObject(PVOID object, ULONG reason, KPROCESSOR_MODE mode, BOOLEAN alertable, PVOID timeout)':
    (k, object, _reason, _mode, _alertable, timeout) => waitFor(k, [object], true, timeoutAt(k, timeout)),
  'NTSTATUS KeWaitForMultipleObjects(ULONG count, PVOID *objects, ULONG type, ULONG reason, KPROCESSOR_MODE mode, BOOLEAN alertable, PVOID timeout, PVOID blocks)':
    (k, count, objects, type, _reason, _mode, _alertable, timeout) =>
      waitMany(k, count, objects, type, timeout),
  'NTSTATUS KeDelayExecutionThread(KPROCESSOR_MODE mode, BOOLEAN alertable, PVOID interval)': (
    k,
    _mode,
    _alertable,
    interval,
  ) => delay(k, BigInt.asIntN(64, k.memory.u64(interval)), interval),
  'void KeStallExecutionProcessor(ULONG microseconds)': (k, microseconds) => k.time.skip(microseconds * 1000),

  'void KeInitializeTimer(PVOID timer)': (k, timer) => initialiseTimer(k, timer, false),
  'void KeInitializeTimerEx(PVOID timer, ULONG type)': (k, timer, type) =>
    initialiseTimer(k, timer, type === 1),
  'BOOLEAN KeSetTimer(PVOID timer, s64 due, PVOID dpc)': (k, timer, due, dpc) =>
    setTimer(k, timer, due, 0, dpc),
  'BOOLEAN KeSetTimerEx(PVOID timer, s64 due, LONG period, PVOID dpc)': (k, timer, due, period, dpc) =>
    setTimer(k, timer, due, period, dpc),
  'BOOLEAN KeSetCoalescableTimer(PVOID timer, s64 due, ULONG period, ULONG tolerance, PVOID dpc)': (
    k,
    timer,
    due,
    period,
    _t,
    dpc,
  ) => setTimer(k, timer, due, period, dpc),
  'BOOLEAN KeCancelTimer(PVOID timer)': (k, timer) => cancelTimer(k, timer),
  'BOOLEAN KeReadStateTimer(PVOID timer)': (k, timer) => stateOf(k, timer) !== 0,
  'void KeInitializeDpc(PVOID dpc, PVOID routine, PVOID context)': (k, dpc, routine, context) =>
    initialiseDpc(k, dpc, routine, context),
  'void KeInitializeThreadedDpc(PVOID dpc, PVOID routine, PVOID context)': (k, dpc, routine, context) =>
    initialiseDpc(k, dpc, routine, context),
  'BOOLEAN KeInsertQueueDpc(PVOID dpc, PVOID a, PVOID b)': (k, dpc, a, b) => queueDpc(k, dpc, a, b),
  'BOOLEAN KeRemoveQueueDpc(PVOID dpc)': (k, dpc) => removeDpc(k, dpc),
  'void KeSetImportanceDpc(PVOID dpc, ULONG importance)': (k, dpc, importance) =>
    k.write('KDPC.Importance', dpc, importance),
  'void KeSetTargetProcessorDpc(PVOID dpc, CCHAR number)': (k, dpc, number) =>
    k.write('KDPC.Number', dpc, number),
  'NTSTATUS KeSetTargetProcessorDpcEx(PVOID dpc, PVOID number)': (k, dpc) => {
    k.write('KDPC.Number', dpc, 0);
    return Status.SUCCESS;
  },
  'void KeFlushQueuedDpcs(void)': function* (k) {
    while (queuedDpcs(k).size > 0) yield { kind: 'yield' };
  },

  'void KeInitializeSpinLock(PVOID lock)': (k, lock) => k.memory.setPtr(lock, 0),
  'KIRQL FASTCALL KeAcquireSpinLockRaiseToDpc(PVOID lock)': (k, lock) => acquire(k, lock),
  'void KeAcquireSpinLock(PVOID lock, KIRQL *irql)': (k, lock, out) => k.memory.set8(out, acquire(k, lock)),
  'void KeReleaseSpinLock(PVOID lock, KIRQL irql)': (k, lock, irql) => release(k, lock, irql),
  'KIRQL ExAcquireSpinLockExclusive(LONG *lock)': (k, lock) => {
    const old = raiseTo(k, Math.max(DISPATCH_LEVEL, k.irql.current));
    takeShared(k, lock, EXCLUSIVE);
    return old;
  },
  'KIRQL ExAcquireSpinLockShared(LONG *lock)': (k, lock) => {
    const old = raiseTo(k, Math.max(DISPATCH_LEVEL, k.irql.current));
    takeShared(k, lock, 1);
    return old;
  },
  'void ExAcquireSpinLockExclusiveAtDpcLevel(LONG *lock)': (k, lock) => takeShared(k, lock, EXCLUSIVE),
  'void ExAcquireSpinLockSharedAtDpcLevel(LONG *lock)': (k, lock) => takeShared(k, lock, 1),
  'void ExReleaseSpinLockExclusive(LONG *lock, KIRQL irql)': (k, lock, irql) => {
    k.memory.set32(lock, 0);
    lowerTo(k, irql);
  },
  'void ExReleaseSpinLockShared(LONG *lock, KIRQL irql)': (k, lock, irql) => {
    k.memory.set32(lock, k.memory.u32(lock) - 1);
    lowerTo(k, irql);
  },
  'void ExReleaseSpinLockExclusiveFromDpcLevel(LONG *lock)': (k, lock) => k.memory.set32(lock, 0),
  'void ExReleaseSpinLockSharedFromDpcLevel(LONG *lock)': (k, lock) =>
    k.memory.set32(lock, k.memory.u32(lock) - 1),
  'KIRQL FASTCALL KfAcquireSpinLock(PVOID lock)': (k, lock) => acquire(k, lock),
  'void FASTCALL KfReleaseSpinLock(PVOID lock, KIRQL irql)': (k, lock, irql) => release(k, lock, irql),
  'void KeAcquireSpinLockAtDpcLevel(PVOID lock)': (k, lock) => atDpc(k, lock),
  'void KeReleaseSpinLockFromDpcLevel(PVOID lock)': (k, lock) => giveLock(k, lock),
  'void FASTCALL KefAcquireSpinLockAtDpcLevel(PVOID lock)': (k, lock) => atDpc(k, lock),
  'void FASTCALL KefReleaseSpinLockFromDpcLevel(PVOID lock)': (k, lock) => giveLock(k, lock),
  'BOOLEAN FASTCALL KeTryToAcquireSpinLockAtDpcLevel(PVOID lock)': (k, lock) => {
    if (k.memory.ptr(lock) !== 0) return 0;
    k.memory.setPtr(lock, 1);
    return 1;
  },
  'BOOLEAN FASTCALL KeTestSpinLock(PVOID lock)': (k, lock) => (k.memory.ptr(lock) === 0 ? 1 : 0),
  'void FASTCALL KeAcquireInStackQueuedSpinLock(PVOID lock, PVOID handle)': (k, lock, handle) => {
    k.memory.setPtr(handle, 0);
    k.memory.setPtr(handle + k.word, lock);
    k.memory.set8(handle + 2 * k.word, acquire(k, lock));
  },
  'void FASTCALL KeReleaseInStackQueuedSpinLock(PVOID handle)': (k, handle) =>
    release(k, k.memory.ptr(handle + k.word), k.memory.u8(handle + 2 * k.word)),
  'void FASTCALL KeAcquireInStackQueuedSpinLockAtDpcLevel(PVOID lock, PVOID handle)': (k, lock, handle) => {
    k.memory.setPtr(handle + k.word, lock);
    atDpc(k, lock);
  },
  'void FASTCALL KeReleaseInStackQueuedSpinLockFromDpcLevel(PVOID handle)': (k, handle) =>
    giveLock(k, k.memory.ptr(handle + k.word)),

  'KIRQL KeGetCurrentIrql(void)': (k) => k.irql.current,
  'KIRQL FASTCALL KfRaiseIrql(KIRQL level)': (k, level) => raiseTo(k, level),
  'KIRQL FASTCALL KzRaiseIrql(KIRQL level)': (k, level) => raiseTo(k, level),
  'void KeRaiseIrql(KIRQL level, KIRQL *old)': (k, level, out) => k.memory.set8(out, raiseTo(k, level)),
  'KIRQL KeRaiseIrqlToDpcLevel(void)': (k) => raiseTo(k, DISPATCH_LEVEL),
  'KIRQL KeRaiseIrqlToSynchLevel(void)': (k) => raiseTo(k, 12),
  'void KeLowerIrql(KIRQL level)': (k, level) => lowerTo(k, level),
  'void FASTCALL KfLowerIrql(KIRQL level)': (k, level) => lowerTo(k, level),
  'BOOLEAN KeAreApcsDisabled(void)': (k) =>
    k.irql.current >= APC_LEVEL || (k.threads.current?.apcDisable ?? 0) > 0 ? 1 : 0,
  'BOOLEAN KeAreAllApcsDisabled(void)': (k) => (k.irql.current >= APC_LEVEL ? 1 : 0),
  'void KeEnterCriticalRegion(void)': (k) => disableApcs(k, 1),
  'void KeLeaveCriticalRegion(void)': (k) => disableApcs(k, -1),
  'void KeEnterGuardedRegion(void)': (k) => disableApcs(k, 1),
  'void KeLeaveGuardedRegion(void)': (k) => disableApcs(k, -1),
  'void FsRtlEnterFileSystem(void)': (k) => disableApcs(k, 1),
  'void FsRtlExitFileSystem(void)': (k) => disableApcs(k, -1),

  'ULONG KeQueryTimeIncrement(void)': () => TIME_INCREMENT,
  'void KeQuerySystemTime(PVOID time)': (k, at) => k.memory.setU64(at, k.processor.systemTime()),
  'void KeQuerySystemTimePrecise(PVOID time)': (k, at) => k.memory.setU64(at, k.processor.systemTime()),
  'void KeQueryTickCount(PVOID count)': (k, at) => k.memory.setU64(at, k.processor.tickCount()),
  'u64 KeQueryInterruptTime(void)': (k) => k.processor.interruptTime(),
  'u64 KeQueryInterruptTimePrecise(u64 *qpc)': (k, qpc) => {
    if (qpc !== 0) k.memory.setU64(qpc, k.processor.interruptTime());
    return k.processor.interruptTime();
  },
  'u64 KeQueryUnbiasedInterruptTime(void)': (k) => k.processor.interruptTime(),
  'u64 KeQueryPerformanceCounter(u64 *frequency)': (k, frequency) => {
    if (frequency !== 0) k.memory.setU64(frequency, 10_000_000n);
    return k.processor.interruptTime();
  },
  'ULONG ExSetTimerResolution(ULONG desired, BOOLEAN set)': () => TIME_INCREMENT,
  'void KeSetSystemAffinityThread(KAFFINITY affinity)': (k, affinity) => {
    setAffinity(k, affinity);
  },
  'ULONG_PTR KeSetSystemAffinityThreadEx(KAFFINITY affinity)': (k, affinity) => setAffinity(k, affinity),
  'void KeRevertToUserAffinityThread(void)': (k) => {
    setAffinity(k, 0);
  },
  'void KeRevertToUserAffinityThreadEx(KAFFINITY affinity)': (k, affinity) => {
    setAffinity(k, affinity);
  },
  'void KeSetSystemGroupAffinityThread(PVOID affinity, PVOID previous)': (k, _a, previous) => {
    if (previous !== 0) k.memory.fill(previous, 16, 0);
  },
  'void KeRevertToUserGroupAffinityThread(PVOID previous)': () => undefined,
  'ULONG_PTR KeQueryActiveProcessors(void)': () => 1,
  'ULONG KeQueryActiveProcessorCount(KAFFINITY *active)': (k, active) => {
    if (active !== 0) k.memory.setPtr(active, 1);
    return 1;
  },
  'ULONG KeQueryActiveProcessorCountEx(USHORT group)': () => 1,
  'ULONG KeQueryMaximumProcessorCount(void)': () => 1,
  'ULONG KeQueryMaximumProcessorCountEx(USHORT group)': () => 1,
  'USHORT KeQueryActiveGroupCount(void)': () => 1,
  'USHORT KeQueryMaximumGroupCount(void)': () => 1,
  'ULONG_PTR KeQueryGroupAffinity(USHORT group)': (_k, group) => (group === 0 ? 1 : 0),
  'ULONG KeGetCurrentProcessorNumberEx(PVOID number)': (k, number) => {
    if (number !== 0) k.memory.set32(number, 0);
    return 0;
  },
  'ULONG KeGetCurrentProcessorNumber(void)': () => 0,
  'ULONG KeGetProcessorIndexFromNumber(PVOID number)': () => 0,
  'NTSTATUS KeGetProcessorNumberFromIndex(ULONG index, PVOID number)': (k, index, number) => {
    if (index !== 0) return Status.INVALID_PARAMETER;
    k.memory.set32(number, 0);
    return Status.SUCCESS;
  },
  'PVOID KeGetCurrentThread(void)': (k) => k.processor.currentThread,
  'LONG KeSetPriorityThread(PVOID thread, LONG priority)': (k, thread, priority) => {
    const info = k.threads.at(thread);
    const old = info?.priority ?? 8;
    if (info !== undefined) info.priority = priority;
    return old;
  },
  'LONG KeQueryPriorityThread(PVOID thread)': (k, thread) => k.threads.at(thread)?.priority ?? 8,
  'LONG KeSetBasePriorityThread(PVOID thread, LONG increment)': () => 0,
  'ULONG_PTR KeIpiGenericCall(PVOID routine, ULONG_PTR context)': function* (k, routine, context) {
    const old = k.irql.set(HIGH_LEVEL - 1);
    const answer = yield* k.call(routine, context);
    k.irql.set(old);
    return answer;
  },
  'void KeGenericCallDpc(PVOID routine, PVOID context)': function* (k, routine, context) {
    const old = k.irql.set(DISPATCH_LEVEL);
    yield* k.call(routine, 0, context, 1, 1);
    k.irql.set(old);
  },
  'void KeSignalCallDpcDone(PVOID argument)': () => undefined,
  'BOOLEAN KeSignalCallDpcSynchronize(PVOID argument)': () => 1,
  'BOOLEAN KeSynchronizeExecution(PVOID interrupt, PVOID routine, PVOID context)': function* (
    k,
    _interrupt,
    routine,
    context,
  ) {
    const old = k.irql.set(Math.max(k.irql.current, 12));
    const answer = yield* k.callInt(routine, context);
    k.irql.set(old);
    return answer & 0xff;
  },
  'KIRQL KeAcquireInterruptSpinLock(PVOID interrupt)': (k) => raiseTo(k, Math.max(k.irql.current, 12)),
  'void KeReleaseInterruptSpinLock(PVOID interrupt, KIRQL irql)': (k, _interrupt, irql) => lowerTo(k, irql),
  'ULONG KeGetRecommendedSharedDataAlignment(void)': () => 64,
  'NTSTATUS KeExpandKernelStackAndCallout(PVOID callout, PVOID parameter, SIZE_T size)': function* (
    k,
    callout,
    parameter,
  ) {
    yield* k.call(callout, parameter);
    return Status.SUCCESS;
  },
  'NTSTATUS KeExpandKernelStackAndCalloutEx(PVOID callout, PVOID parameter, SIZE_T size, BOOLEAN wait, PVOID context)':
    function* (k, callout, parameter) {
      yield* k.call(callout, parameter);
      return Status.SUCCESS;
    },
  'NTSTATUS KeSaveFloatingPointState(PVOID save)': () => Status.SUCCESS,
  'NTSTATUS KeRestoreFloatingPointState(PVOID save)': () => Status.SUCCESS,
  'NTSTATUS KeSaveExtendedProcessorState(u64 mask, PVOID save)': () => Status.SUCCESS,
  'void KeRestoreExtendedProcessorState(PVOID save)': () => undefined,
  'void KeInvalidateAllCaches(void)': () => undefined,
  'BOOLEAN KeInvalidateRangeAllCaches(PVOID base, ULONG length)': () => 1,
  'void KeFlushIoBuffers(PVOID mdl, BOOLEAN read, BOOLEAN dma)': () => undefined,
  'KPROCESSOR_MODE ExGetPreviousMode(void)': (k) => (k.threads.current?.user ? 1 : 0),
});

function disableApcs(k: Windows, by: number): void {
  const thread = k.threads.current;
  if (thread !== undefined) thread.apcDisable += by;
}
