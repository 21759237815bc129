/**
 * Plug and Play of the framework's devices: the requests of the manager become the driver's events (WDF documentation,
 * "PnP and power management scenarios"): hardware prepared, into D0, and the same backwards.
 */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { callDriver, completeRequest, locationOf, nextLocation, StackControl } from '../irp.ts';
import { Pnp } from '../pnp.ts';
import { Status } from '../status.ts';
import { DispatcherType, initialiseHeader, waitFor } from '../wait.ts';
import type { Windows } from '../windows.ts';
import type { WdfDevice } from './io.ts';
import { create, remove, type WdfObject } from './objects.ts';

/** WDF_PNPPOWER_EVENT_CALLBACKS: pointers behind the size, by number. */
export const PnpEvent = {
  D0_ENTRY: 1,
  D0_ENTRY_POST: 2,
  D0_EXIT: 3,
  D0_EXIT_PRE: 4,
  PREPARE_HARDWARE: 5,
  RELEASE_HARDWARE: 6,
  SELF_CLEANUP: 7,
  SELF_FLUSH: 8,
  SELF_INIT: 9,
  SELF_SUSPEND: 10,
  SURPRISE_REMOVAL: 12,
  QUERY_REMOVE: 13,
} as const;

/** WDF_POWER_DEVICE_STATE: D3 for good, as it was before the first start and is after the removal. */
const D3_FINAL = 5;
const TAG = 0x20776446;

type Device = WdfObject<WdfDevice>;

function* event(k: Windows, device: Device, number: number, ...args: number[]): Steps<number> {
  const routine = device.data.init.pnpEvents[number] ?? 0;
  return routine === 0 ? Status.SUCCESS : yield* k.callInt(routine, device.handle, ...args);
}

/** The request goes on to the device below, in the stack location that was this device's. */
export function* forward(k: Windows, { data }: Device, irp: Address): Steps<number> {
  k.write('IRP.CurrentLocation', irp, k.read('IRP.CurrentLocation', irp) + 1);
  k.write('IRP.Tail.Overlay.CurrentStackLocation', irp, locationOf(k, irp) + k.sizeof('IO_STACK_LOCATION'));
  return yield* callDriver(k, data.attached, irp);
}

/** The devices below first: the request comes back before it is complete. */
function* belowFirst(k: Windows, { data }: Device, irp: Address): Steps<number> {
  const done = k.pool.allocate('nonpaged', k.sizeof('KEVENT'), TAG, 0, true);
  if (done === 0) return Status.INSUFFICIENT_RESOURCES;
  initialiseHeader(k, done, DispatcherType.NOTIFICATION_EVENT, k.sizeof('KEVENT'), 0);
  const next = nextLocation(k, irp);
  k.memory.copy(next, locationOf(k, irp), k.sizeof('IO_STACK_LOCATION'));
  k.write('IO_STACK_LOCATION.CompletionRoutine', next, k.exported('FxBelowDone') ?? 0);
  k.write('IO_STACK_LOCATION.Context', next, done);
  const { ON_SUCCESS, ON_ERROR, ON_CANCEL } = StackControl;
  k.write('IO_STACK_LOCATION.Control', next, ON_SUCCESS | ON_ERROR | ON_CANCEL);
  yield* callDriver(k, data.attached, irp);
  yield* waitFor(k, [done], true, undefined);
  k.pool.release(done);
  return k.read('IRP.IoStatus.Status', irp);
}

function* complete(k: Windows, irp: Address, status: number): Steps<number> {
  k.write('IRP.IoStatus.Status', irp, status);
  yield* completeRequest(k, irp);
  return status;
}

/** A list without resources: nothing on the root bus has any. */
function resources(k: Windows, device: Device): Address {
  const list = create(k, 'resources', {}, 0, device);
  return typeof list === 'number' ? 0 : list.handle;
}

function* start(k: Windows, device: Device, irp: Address): Steps<number> {
  const below = yield* belowFirst(k, device, irp);
  if (below < 0) return yield* complete(k, irp, below);
  const [raw, translated] = [resources(k, device), resources(k, device)];
  const steps: readonly (readonly number[])[] = [
    [PnpEvent.PREPARE_HARDWARE, raw, translated],
    [PnpEvent.D0_ENTRY, D3_FINAL],
    [PnpEvent.D0_ENTRY_POST, D3_FINAL],
    [PnpEvent.SELF_INIT],
  ];
  for (const [number, ...args] of steps) {
    const status = yield* event(k, device, number, ...args);
    if (status < 0) return yield* complete(k, irp, status);
  }
  device.data.powered = true;
  return yield* complete(k, irp, Status.SUCCESS);
}

/** Out of D0 and away; the framework's device goes with the request. */
function* removed(k: Windows, device: Device, irp: Address): Steps<number> {
  if (device.data.powered) {
    device.data.powered = false;
    yield* event(k, device, PnpEvent.SELF_SUSPEND);
    yield* event(k, device, PnpEvent.D0_EXIT_PRE, D3_FINAL);
    yield* event(k, device, PnpEvent.D0_EXIT, D3_FINAL);
    yield* event(k, device, PnpEvent.RELEASE_HARDWARE, resources(k, device));
    yield* event(k, device, PnpEvent.SELF_FLUSH);
    yield* event(k, device, PnpEvent.SELF_CLEANUP);
  }
  k.write('IRP.IoStatus.Status', irp, Status.SUCCESS);
  const status = yield* forward(k, device, irp);
  yield* remove(k, device);
  return status;
}

/** IRP_MJ_PNP of a device that stands above another one. */
export function* pnpRequest(k: Windows, device: Device, irp: Address): Steps<number> {
  const minor = k.read('IO_STACK_LOCATION.MinorFunction', locationOf(k, irp));
  if (minor === Pnp.START) return yield* start(k, device, irp);
  if (minor === Pnp.REMOVE) return yield* removed(k, device, irp);
  if (minor === Pnp.QUERY_REMOVE) {
    const status = yield* event(k, device, PnpEvent.QUERY_REMOVE);
    if (status < 0) return yield* complete(k, irp, status);
    k.write('IRP.IoStatus.Status', irp, Status.SUCCESS);
  }
  if (minor === Pnp.SURPRISE_REMOVAL) yield* event(k, device, PnpEvent.SURPRISE_REMOVAL);
  if (minor === Pnp.CANCEL_REMOVE || minor === Pnp.SURPRISE_REMOVAL)
    k.write('IRP.IoStatus.Status', irp, Status.SUCCESS);
  return yield* forward(k, device, irp);
}
