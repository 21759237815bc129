/** Waiting on dispatcher objects: the state is in their headers, who waits is known here. */
import { perKernel } from '../../kernel/kernel.ts';
import { block, type Steps } from '../../kernel/steps.ts';
import type { Thread } from '../../kernel/thread.ts';
import type { Address } from '../../memory/space.ts';
import { BugCode, bugCheck } from './bugcheck.ts';
import { DISPATCH_LEVEL } from './irql.ts';
import { Status } from './status.ts';
import type { Windows } from './windows.ts';

/** DISPATCHER_HEADER.Type. */
export const DispatcherType = {
  NOTIFICATION_EVENT: 0,
  SYNCHRONIZATION_EVENT: 1,
  MUTANT: 2,
  PROCESS: 3,
  QUEUE: 4,
  SEMAPHORE: 5,
  THREAD: 6,
  NOTIFICATION_TIMER: 8,
  SYNCHRONIZATION_TIMER: 9,
} as const;

const waiters = perKernel(() => new Map<Address, Set<Thread>>());

export function initialiseHeader(k: Windows, at: Address, type: number, bytes: number, state: number): void {
  k.write('DISPATCHER_HEADER.Type', at, type);
  k.write('DISPATCHER_HEADER.Absolute', at, 0);
  k.write('DISPATCHER_HEADER.Size', at, bytes / 4);
  k.write('DISPATCHER_HEADER.Inserted', at, 0);
  k.write('DISPATCHER_HEADER.SignalState', at, state);
  initialiseList(k, at + k.offset('DISPATCHER_HEADER.WaitListHead'));
}

export function initialiseList(k: Windows, at: Address): void {
  k.memory.setPtr(at, at);
  k.memory.setPtr(at + k.word, at);
}

/** Sets the state and lets whoever waits look at it again. */
export function signal(k: Windows, at: Address, state: number): void {
  k.write('DISPATCHER_HEADER.SignalState', at, state);
  if (state <= 0) return;
  const waiting = k.state(waiters).get(at);
  if (waiting === undefined) return;
  for (const thread of [...waiting]) k.scheduler.wake(thread);
}

export function hasWaiters(k: Windows, at: Address): boolean {
  return (k.state(waiters).get(at)?.size ?? 0) > 0;
}

/** Could a wait on it end now? */
function isSignalled(k: Windows, at: Address, thread: Address): boolean {
  const state = k.read('DISPATCHER_HEADER.SignalState', at);
  if (k.read('DISPATCHER_HEADER.Type', at) !== DispatcherType.MUTANT) return state > 0;
  return state > 0 || k.read('KMUTANT.OwnerThread', at) === thread;
}

/** What a satisfied wait does to the object. @returns the status of a wait on it alone */
function take(k: Windows, at: Address, thread: Address): number {
  const state = k.read('DISPATCHER_HEADER.SignalState', at);
  switch (k.read('DISPATCHER_HEADER.Type', at)) {
    case DispatcherType.SYNCHRONIZATION_EVENT:
    case DispatcherType.SYNCHRONIZATION_TIMER:
      k.write('DISPATCHER_HEADER.SignalState', at, 0);
      return Status.SUCCESS;
    case DispatcherType.SEMAPHORE:
      k.write('DISPATCHER_HEADER.SignalState', at, state - 1);
      return Status.SUCCESS;
    case DispatcherType.MUTANT: {
      k.write('DISPATCHER_HEADER.SignalState', at, state - 1);
      k.write('KMUTANT.OwnerThread', at, thread);
      const abandoned = k.read('KMUTANT.Abandoned', at) !== 0;
      k.write('KMUTANT.Abandoned', at, 0);
      return abandoned ? Status.ABANDONED : Status.SUCCESS;
    }
    default:
      return Status.SUCCESS;
  }
}

/** Virtual ns at which a timeout in 100 ns units ends: negative from now, positive by the clock. */
export function deadline(k: Windows, timeout: bigint): number {
  const ticks = timeout <= 0n ? -timeout : timeout - k.processor.systemTime();
  return k.time.now() + Math.max(0, Number(ticks)) * 100;
}

/** `timeout` undefined: for ever. */
export function* waitFor(
  k: Windows,
  objects: readonly Address[],
  all: boolean,
  timeout: bigint | undefined,
): Steps<number> {
  const thread = k.processor.currentThread;
  const until = timeout === undefined ? Number.POSITIVE_INFINITY : deadline(k, timeout);
  for (;;) {
    const done = tryTake(k, objects, all, thread);
    if (done !== undefined) return done;
    if (timeout === 0n) return Status.TIMEOUT;
    refuseAtDispatch(k, objects[0]);
    const current = k.scheduler.current;
    if (current === undefined) throw new Error('a wait outside of any thread');
    const table = k.state(waiters);
    for (const at of objects) {
      const set = table.get(at) ?? new Set<Thread>();
      table.set(at, set.add(current));
    }
    const woken = yield* block(
      `waits for ${objects.length === 1 ? 'an object' : `${objects.length} objects`}`,
      until,
    );
    for (const at of objects) {
      const set = table.get(at);
      set?.delete(current);
      if (set?.size === 0) table.delete(at);
    }
    if (!woken) return tryTake(k, objects, all, thread) ?? Status.TIMEOUT;
  }
}

function tryTake(k: Windows, objects: readonly Address[], all: boolean, thread: Address): number | undefined {
  if (all) {
    if (!objects.every((at) => isSignalled(k, at, thread))) return undefined;
    for (const at of objects) take(k, at, thread);
    return Status.SUCCESS;
  }
  const index = objects.findIndex((at) => isSignalled(k, at, thread));
  return index < 0 ? undefined : index + take(k, objects[index], thread);
}

/** A wait that would not end at once needs a scheduler, which needs IRQL below DISPATCH_LEVEL. */
export function refuseAtDispatch(k: Windows, object: Address): void {
  const irql = k.irql.current;
  if (irql < DISPATCH_LEVEL) return;
  if (k.scheduler.interrupting)
    bugCheck(k, BugCode.ATTEMPTED_SWITCH_FROM_DPC, [object, k.processor.currentThread, 0, 0]);
  bugCheck(k, BugCode.IRQL_NOT_LESS_OR_EQUAL, [object, irql, 0, k.convention.returnAddress(k.cpu)]);
}
