/** Deferred procedure calls and timers: what runs at DISPATCH_LEVEL between instructions. */
import { perKernel } from '../../kernel/kernel.ts';
import type { Steps } from '../../kernel/steps.ts';
import type { Deadline } from '../../kernel/time.ts';
import type { Address } from '../../memory/space.ts';
import { BugCode, stop } from './bugcheck.ts';
import { DISPATCH_LEVEL } from './irql.ts';
import { DispatcherType, deadline, initialiseHeader, initialiseList, signal } from './wait.ts';
import type { Windows } from './windows.ts';

const DPC_OBJECT = 19;

const timers = perKernel(() => new Map<Address, Deadline>());
const queued = perKernel(() => new Set<Address>());

export function initialiseDpc(k: Windows, dpc: Address, routine: Address, context: Address): void {
  k.memory.fill(dpc, k.sizeof('KDPC'), 0);
  k.write('KDPC.Type', dpc, DPC_OBJECT);
  k.write('KDPC.Importance', dpc, 1);
  k.write('KDPC.DeferredRoutine', dpc, routine);
  k.write('KDPC.DeferredContext', dpc, context);
}

/** False when it is queued already. */
export function queueDpc(k: Windows, dpc: Address, a: Address, b: Address): boolean {
  const waiting = k.state(queued);
  if (waiting.has(dpc)) return false;
  waiting.add(dpc);
  k.write('KDPC.SystemArgument1', dpc, a);
  k.write('KDPC.SystemArgument2', dpc, b);
  k.write('KDPC.DpcData', dpc, k.processor.prcb);
  k.scheduler.interrupt('DPC', () => runDpc(k, dpc));
  return true;
}

export function removeDpc(k: Windows, dpc: Address): boolean {
  if (!k.state(queued).delete(dpc)) return false;
  k.write('KDPC.DpcData', dpc, 0);
  return true;
}

function* runDpc(k: Windows, dpc: Address): Steps<void> {
  if (!k.state(queued).delete(dpc)) return;
  const routine = k.read('KDPC.DeferredRoutine', dpc);
  const context = k.read('KDPC.DeferredContext', dpc);
  const [a, b] = [k.read('KDPC.SystemArgument1', dpc), k.read('KDPC.SystemArgument2', dpc)];
  k.write('KDPC.DpcData', dpc, 0);
  const old = k.irql.set(DISPATCH_LEVEL);
  yield* k.call(routine, dpc, context, a, b);
  k.irql.set(old);
}

export const queuedDpcs = (k: Windows): ReadonlySet<Address> => k.state(queued);

export function initialiseTimer(k: Windows, timer: Address, synchronisation: boolean): void {
  const type = synchronisation ? DispatcherType.SYNCHRONIZATION_TIMER : DispatcherType.NOTIFICATION_TIMER;
  k.memory.fill(timer, k.sizeof('KTIMER'), 0);
  initialiseHeader(k, timer, type, k.sizeof('KTIMER'), 0);
  initialiseList(k, timer + k.offset('KTIMER.TimerListEntry'));
}

/** KeSetTimerEx. @param period milliseconds, 0 for once @returns whether it was set before */
export function setTimer(k: Windows, timer: Address, due: bigint, period: number, dpc: Address): boolean {
  const was = cancelTimer(k, timer);
  k.write('DISPATCHER_HEADER.SignalState', timer, 0);
  k.write('DISPATCHER_HEADER.Inserted', timer, 1);
  k.write('KTIMER.Dpc', timer, dpc);
  k.write('KTIMER.Period', timer, period);
  arm(k, timer, deadline(k, due));
  return was;
}

function arm(k: Windows, timer: Address, at: number): void {
  const due = BigInt(Math.floor(at / 100));
  k.memory.setU64(timer + k.offset('KTIMER.DueTime'), BigInt.asUintN(64, due));
  const table = k.state(timers);
  table.set(
    timer,
    k.time.at(at, () => {
      table.delete(timer);
      expire(k, timer, at);
    }),
  );
}

function expire(k: Windows, timer: Address, at: number): void {
  if (k.stopped !== undefined) return;
  // In the memory of a driver that has gone: the kernel meets it at DISPATCH_LEVEL.
  if (k.memory.permOf(timer) === undefined) {
    stop(k, BugCode.IRQL_NOT_LESS_OR_EQUAL, [timer, DISPATCH_LEVEL, 0, timer], timer);
    return;
  }
  const period = k.read('KTIMER.Period', timer);
  if (period > 0) arm(k, timer, at + period * 1e6);
  else k.write('DISPATCHER_HEADER.Inserted', timer, 0);
  const dpc = k.read('KTIMER.Dpc', timer);
  if (dpc !== 0)
    queueDpc(
      k,
      dpc,
      Number(BigInt.asIntN(32, k.processor.systemTime())),
      Number(k.processor.systemTime() >> 32n),
    );
  signal(k, timer, 1);
}

export function cancelTimer(k: Windows, timer: Address): boolean {
  const table = k.state(timers);
  const set = table.get(timer);
  if (set === undefined) return false;
  k.time.cancel(set);
  table.delete(timer);
  k.write('DISPATCHER_HEADER.Inserted', timer, 0);
  return true;
}

/** Timers that are set, by their addresses: one inside a driver that goes is a mistake. */
export const armedTimers = (k: Windows): Iterable<Address> => k.state(timers).keys();
