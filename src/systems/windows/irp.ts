/** I/O request packets: making, sending and completing them (IofCallDriver, IofCompleteRequest), all in guest memory. */
import type { Steps } from '../../kernel/steps.ts';
import type { Address } from '../../memory/space.ts';
import { BugCode, bugCheck } from './bugcheck.ts';
import { dispatchTable } from './driver-object.ts';
import { Status } from './status.ts';
import { initialiseList, signal } from './wait.ts';
import type { Windows } from './windows.ts';

export const Major = {
  CREATE: 0,
  CREATE_NAMED_PIPE: 1,
  CLOSE: 2,
  READ: 3,
  WRITE: 4,
  QUERY_INFORMATION: 5,
  SET_INFORMATION: 6,
  QUERY_EA: 7,
  SET_EA: 8,
  FLUSH_BUFFERS: 9,
  DIRECTORY_CONTROL: 0xc,
  FILE_SYSTEM_CONTROL: 0xd,
  DEVICE_CONTROL: 0xe,
  INTERNAL_DEVICE_CONTROL: 0xf,
  SHUTDOWN: 0x10,
  CLEANUP: 0x12,
  POWER: 0x16,
  SYSTEM_CONTROL: 0x17,
  PNP: 0x1b,
} as const;

/** IO_STACK_LOCATION.Control. */
export const StackControl = { PENDING: 1, ON_CANCEL: 0x20, ON_SUCCESS: 0x40, ON_ERROR: 0x80 } as const;
/** IRP.Flags. */
export const IrpFlag = {
  BUFFERED_IO: 0x10,
  DEALLOCATE_BUFFER: 0x20,
  INPUT_OPERATION: 0x40,
  SYNCHRONOUS_API: 4,
} as const;
export const IRP_TYPE = 6;
const TAG_IRP = 0x20707249;

export function allocateIrp(k: Windows, stackSize: number, caller: Address): Address {
  const bytes = irpBytes(k, stackSize);
  const irp = k.pool.allocate('nonpaged', bytes, TAG_IRP, caller, true);
  if (irp !== 0) initialiseIrp(k, irp, bytes, stackSize);
  return irp;
}

export const irpBytes = (k: Windows, stackSize: number): number =>
  k.sizeof('IRP') + stackSize * k.sizeof('IO_STACK_LOCATION');

export function initialiseIrp(k: Windows, irp: Address, bytes: number, stackSize: number): void {
  k.memory.fill(irp, bytes, 0);
  k.write('IRP.Type', irp, IRP_TYPE);
  k.write('IRP.Size', irp, bytes);
  k.write('IRP.StackCount', irp, stackSize);
  k.write('IRP.CurrentLocation', irp, stackSize + 1);
  initialiseList(k, irp + k.offset('IRP.ThreadListEntry'));
  setLocation(k, irp, irp + bytes);
}

export const locationOf = (k: Windows, irp: Address): Address =>
  k.read('IRP.Tail.Overlay.CurrentStackLocation', irp);

function setLocation(k: Windows, irp: Address, at: Address): void {
  k.write('IRP.Tail.Overlay.CurrentStackLocation', irp, at);
}

/** The stack location that the driver called next will see. */
export const nextLocation = (k: Windows, irp: Address): Address =>
  locationOf(k, irp) - k.sizeof('IO_STACK_LOCATION');

/** IofCallDriver: one stack location further down, into the driver's dispatch routine. */
export function* callDriver(k: Windows, device: Address, irp: Address): Steps<number> {
  const location = k.read('IRP.CurrentLocation', irp) - 1;
  if (location <= 0) bugCheck(k, BugCode.NO_MORE_IRP_STACK_LOCATIONS, [irp, 0, 0, 0]);
  k.write('IRP.CurrentLocation', irp, location);
  const stack = nextLocation(k, irp);
  setLocation(k, irp, stack);
  k.write('IO_STACK_LOCATION.DeviceObject', stack, device);
  const driver = k.read('DEVICE_OBJECT.DriverObject', device);
  const major = k.read('IO_STACK_LOCATION.MajorFunction', stack);
  const routine = k.memory.ptr(dispatchTable(k, driver) + major * k.word);
  return yield* k.callInt(routine, device, irp);
}

/** IofCompleteRequest: completion routines from the bottom up, then what the I/O manager does for the caller. */
export function* completeRequest(k: Windows, irp: Address): Steps<void> {
  const count = k.read('IRP.StackCount', irp);
  if (k.read('IRP.Type', irp) !== IRP_TYPE || k.read('IRP.CurrentLocation', irp) > count + 1)
    bugCheck(k, BugCode.MULTIPLE_IRP_COMPLETE_REQUESTS, [irp, 0, 0, 0]);
  if (k.read('IRP.CancelRoutine', irp) !== 0)
    bugCheck(k, BugCode.CANCEL_STATE_IN_COMPLETED_IRP, [irp, 0, 0, 0]);
  const bytes = k.sizeof('IO_STACK_LOCATION');
  for (let location = k.read('IRP.CurrentLocation', irp); location <= count; location++) {
    const stack = locationOf(k, irp);
    const control = k.read('IO_STACK_LOCATION.Control', stack);
    const routine = k.read('IO_STACK_LOCATION.CompletionRoutine', stack);
    const context = k.read('IO_STACK_LOCATION.Context', stack);
    k.write('IRP.PendingReturned', irp, control & StackControl.PENDING);
    k.write('IRP.CurrentLocation', irp, location + 1);
    setLocation(k, irp, stack + bytes);
    k.memory.fill(stack, 4, 0);
    if (!wantsCall(k, irp, control)) {
      if ((control & StackControl.PENDING) !== 0 && location < count) markPending(k, irp);
      continue;
    }
    // The routine belongs to the driver above, whose device is in its own location.
    const device = location < count ? k.read('IO_STACK_LOCATION.DeviceObject', stack + bytes) : 0;
    const answer = yield* k.callInt(routine, device, irp, context);
    if (answer === Status.MORE_PROCESSING_REQUIRED) return;
  }
  yield* finishRequest(k, irp);
}

export function markPending(k: Windows, irp: Address): void {
  const stack = locationOf(k, irp);
  k.write(
    'IO_STACK_LOCATION.Control',
    stack,
    k.read('IO_STACK_LOCATION.Control', stack) | StackControl.PENDING,
  );
}

function wantsCall(k: Windows, irp: Address, control: number): boolean {
  const status = k.read('IRP.IoStatus.Status', irp);
  if (status >= 0 && (control & StackControl.ON_SUCCESS) !== 0) return true;
  if (status < 0 && (control & StackControl.ON_ERROR) !== 0) return true;
  return k.read('IRP.Cancel', irp) !== 0 && (control & StackControl.ON_CANCEL) !== 0;
}

/** The part that runs in the caller's thread on the real system: copying out, status block, event, freeing. */
function* finishRequest(k: Windows, irp: Address): Steps<void> {
  const flags = k.read('IRP.Flags', irp);
  const status = k.read('IRP.IoStatus.Status', irp);
  const information = k.read('IRP.IoStatus.Information', irp);
  const buffer = k.read('IRP.AssociatedIrp.SystemBuffer', irp);
  if ((flags & IrpFlag.BUFFERED_IO) !== 0 && buffer !== 0) {
    const block = k.pool.block(buffer);
    const user = k.read('IRP.UserBuffer', irp);
    // Errors copy nothing; warnings do.
    if (
      (flags & IrpFlag.INPUT_OPERATION) !== 0 &&
      !(status < 0 && status >>> 30 === 3) &&
      user !== 0 &&
      information > 0
    )
      k.memory.copy(user, buffer, Math.min(information, block?.bytes ?? information));
    if ((flags & IrpFlag.DEALLOCATE_BUFFER) !== 0) k.pool.release(buffer);
  }
  for (let mdl = k.read('IRP.MdlAddress', irp); mdl !== 0; ) {
    const next = k.read('MDL.Next', mdl);
    if ((flags & IrpFlag.SYNCHRONOUS_API) !== 0) k.pool.release(mdl);
    mdl = next;
  }
  const block = k.read('IRP.UserIosb', irp);
  if (block !== 0) {
    k.write('IO_STATUS_BLOCK.Status', block, status);
    k.write('IO_STATUS_BLOCK.Information', block, information);
  }
  const event = k.read('IRP.UserEvent', irp);
  if (event !== 0) signal(k, event, 1);
  k.write('IRP.Type', irp, 0);
  k.pool.release(irp);
}

/** IoCancelIrp: takes the cancel routine out and calls it with the cancel lock held. */
export function* cancelIrp(k: Windows, irp: Address): Steps<boolean> {
  const old = k.irql.set(Math.max(2, k.irql.current));
  k.write('IRP.Cancel', irp, 1);
  k.write('IRP.CancelIrql', irp, old);
  const routine = k.read('IRP.CancelRoutine', irp);
  k.write('IRP.CancelRoutine', irp, 0);
  if (routine === 0) {
    k.irql.set(old);
    return false;
  }
  const stack = locationOf(k, irp);
  yield* k.call(routine, k.read('IO_STACK_LOCATION.DeviceObject', stack), irp);
  return true;
}
