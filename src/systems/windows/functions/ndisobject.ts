/** NDIS 6: timer objects and generic objects, which drivers make before they have a device. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Address } from '../../../memory/space.ts';
import { cancelTimer, initialiseDpc, initialiseTimer, setTimer } from '../dpc.ts';
import { Status } from '../status.ts';
import type { Windows } from '../windows.ts';
import { callerOf, kernelFunctions } from './define.ts';

const RESOURCES = 0xc000009a | 0;
/** NDIS_TIMER_CHARACTERISTICS: header and tag, then the routine and its context. */
const ROUTINE_AT = 8;

const cancelIds = perKernel(() => ({ next: 0 }));

const dpcOf = (k: Windows, timer: Address): Address => timer + k.sizeof('KTIMER');

function allocateTimer(k: Windows, characteristics: Address, out: Address): number {
  const tag = k.memory.u32(characteristics + 4);
  const bytes = k.sizeof('KTIMER') + k.sizeof('KDPC');
  const timer = k.pool.allocate('nonpaged', bytes, tag, callerOf(k), true);
  if (timer === 0) return RESOURCES;
  const routine = k.memory.ptr(characteristics + ROUTINE_AT);
  initialiseTimer(k, timer, false);
  initialiseDpc(k, dpcOf(k, timer), routine, k.memory.ptr(characteristics + ROUTINE_AT + k.word));
  k.memory.setPtr(out, timer);
  return Status.SUCCESS;
}

/** A context that is given replaces the one the timer was made with. */
function startTimer(k: Windows, timer: Address, due: bigint, period: number, context: Address): boolean {
  if (context !== 0) k.write('KDPC.DeferredContext', dpcOf(k, timer), context);
  return setTimer(k, timer, BigInt.asIntN(64, due), period, dpcOf(k, timer));
}

export const ndisObjectFunctions = kernelFunctions({
  'NTSTATUS NdisAllocateTimerObject(PVOID handle, PVOID characteristics, PVOID *timer)': (
    k,
    _handle,
    characteristics,
    out,
  ) => allocateTimer(k, characteristics, out),
  'BOOLEAN NdisSetTimerObject(PVOID timer, u64 due, ULONG period, PVOID context)': (
    k,
    timer,
    due,
    period,
    context,
  ) => (startTimer(k, timer, due, period, context) ? 1 : 0),
  'BOOLEAN NdisCancelTimerObject(PVOID timer)': (k, timer) => (cancelTimer(k, timer) ? 1 : 0),
  'void NdisFreeTimerObject(PVOID timer)': (k, timer) => {
    cancelTimer(k, timer);
    k.pool.release(timer);
  },

  'PVOID NdisAllocateGenericObject(PVOID driver, ULONG tag, USHORT size)': (k, _driver, tag) =>
    k.pool.allocate('nonpaged', 64, tag, callerOf(k), true),
  'void NdisFreeGenericObject(PVOID object)': (k, object) => {
    k.pool.release(object);
  },
  /** The highest byte of the ids by which this driver's packets are cancelled. */
  'UCHAR NdisGeneratePartialCancelId(void)': (k) => ++k.state(cancelIds).next & 0xff,
});
