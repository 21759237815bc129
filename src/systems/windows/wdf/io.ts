/** Devices, queues and requests of the framework: how an IRP becomes a request, waits in a queue, and is presented. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { cancelIrp, completeRequest, locationOf, Major, markPending } from '../irp.ts';
import { mapMdl } from '../mdl.ts';
import { Method } from '../requests.ts';
import { Status } from '../status.ts';
import type { Windows } from '../windows.ts';
import { create, remove, type WdfObject } from './objects.ts';
import { forward, pnpRequest } from './pnp.ts';

/** WDFDEVICE_INIT: what is gathered before the device is made. */
export interface DeviceInit {
  readonly handle: Address;
  readonly driver: WdfObject<WdfDriver>;
  readonly control: boolean;
  /** The device below, for devices of a bus. */
  readonly pdo: Address;
  name: string | undefined;
  type: number;
  characteristics: number;
  exclusive: boolean;
  /** WDF_DEVICE_IO_TYPE. */
  ioType: number;
  filter: boolean;
  file: { create: Address; close: Address; cleanup: Address } | undefined;
  /** Routines by number: PnpEvent. */
  pnpEvents: readonly Address[];
  fileAttributes: Address;
  requestAttributes: Address;
}

export interface WdfDriver {
  readonly object: Address;
  readonly globals: Address;
  readonly deviceAdd: Address;
  readonly unload: Address;
  readonly path: string;
}

export interface WdfDevice {
  readonly wdm: Address;
  readonly driver: WdfObject<WdfDriver>;
  readonly init: DeviceInit;
  readonly attached: Address;
  /** Started, and not removed since. */
  powered: boolean;
  defaultQueue: WdfObject<WdfQueue> | undefined;
  /** By major function: WdfDeviceConfigureRequestDispatching. */
  readonly dispatch: Map<number, WdfObject<WdfQueue>>;
  readonly links: string[];
  readonly files: Map<Address, WdfObject<WdfFile>>;
}

export interface WdfFile {
  readonly device: WdfObject<WdfDevice>;
  readonly file: Address;
}

export interface WdfQueue {
  readonly device: WdfObject<WdfDevice>;
  /** 1 sequential, 2 parallel, 3 manual. */
  readonly dispatchType: number;
  readonly allowZeroLength: boolean;
  readonly events: {
    readonly default: Address;
    readonly read: Address;
    readonly write: Address;
    readonly control: Address;
    readonly internal: Address;
    readonly canceled: Address;
  };
  readonly waiting: WdfObject<WdfRequest>[];
  readonly presented: Set<WdfObject<WdfRequest>>;
  accepting: boolean;
  dispatching: boolean;
  pumping: boolean;
}

export interface WdfRequest {
  readonly device: WdfObject<WdfDevice> | undefined;
  readonly irp: Address;
  queue: WdfObject<WdfQueue> | undefined;
  cancel: Address;
  completed: boolean;
  information: number;
}

export const DispatchType = { SEQUENTIAL: 1, PARALLEL: 2, MANUAL: 3 } as const;

const state = perKernel(() => ({
  devices: new Map<Address, WdfObject<WdfDevice>>(),
  byIrp: new Map<Address, WdfObject<WdfRequest>>(),
}));

export const deviceOf = (k: Windows, wdm: Address): WdfObject<WdfDevice> | undefined =>
  k.state(state).devices.get(wdm);
export function noteDevice(k: Windows, device: WdfObject<WdfDevice>): void {
  k.state(state).devices.set(device.data.wdm, device);
}
export function forgetDevice(k: Windows, wdm: Address): void {
  k.state(state).devices.delete(wdm);
}

// -- requests -----------------------------------------------------------------------------------------------------------------

function newRequest(
  k: Windows,
  device: WdfObject<WdfDevice>,
  irp: Address,
): WdfObject<WdfRequest> | undefined {
  const data: WdfRequest = { device, irp, queue: undefined, cancel: 0, completed: false, information: 0 };
  const request = create(k, 'request', data, device.data.init.requestAttributes, device);
  if (typeof request === 'number') return undefined;
  k.state(state).byIrp.set(irp, request);
  return request;
}

/** WdfRequestComplete and its kin. */
export function* completeWdf(k: Windows, request: WdfObject<WdfRequest>, status: number): Steps<void> {
  const { data } = request;
  if (data.completed) return;
  data.completed = true;
  k.write('IRP.CancelRoutine', data.irp, 0);
  k.write('IRP.IoStatus.Status', data.irp, status);
  k.write('IRP.IoStatus.Information', data.irp, data.information);
  k.state(state).byIrp.delete(data.irp);
  yield* completeRequest(k, data.irp);
  const { queue } = data;
  queue?.data.presented.delete(request);
  yield* remove(k, request);
  if (queue !== undefined) yield* pump(k, queue);
}

export interface Buffer {
  readonly status: number;
  readonly at: Address;
  readonly bytes: number;
}
const none = (status: number): Buffer => ({ status, at: 0, bytes: 0 });

/** The input or output buffer of a request, by what it is and how its device takes buffers. */
export function bufferOf(k: Windows, { data }: WdfObject<WdfRequest>, output: boolean): Buffer {
  const { irp, device } = data;
  const stack = locationOf(k, irp);
  const major = k.read('IO_STACK_LOCATION.MajorFunction', stack);
  const system = k.read('IRP.AssociatedIrp.SystemBuffer', irp);
  const direct = (bytes: number): Buffer => {
    const mdl = k.read('IRP.MdlAddress', irp);
    return mdl === 0 ? none(Status.BUFFER_TOO_SMALL) : { status: Status.SUCCESS, at: mapMdl(k, mdl), bytes };
  };
  if (major === Major.READ || major === Major.WRITE) {
    if (output !== (major === Major.READ)) return none(Status.INVALID_DEVICE_REQUEST);
    const bytes = k.read('IO_STACK_LOCATION.Parameters.Read.Length', stack);
    if (device?.data.init.ioType === 1) return none(Status.INVALID_DEVICE_REQUEST);
    return device?.data.init.ioType === 3 ? direct(bytes) : { status: Status.SUCCESS, at: system, bytes };
  }
  if (major !== Major.DEVICE_CONTROL && major !== Major.INTERNAL_DEVICE_CONTROL)
    return none(Status.INVALID_DEVICE_REQUEST);
  const field = (name: string) => k.read(`IO_STACK_LOCATION.Parameters.DeviceIoControl.${name}`, stack);
  const method = field('IoControlCode') & 3;
  if (method === Method.NEITHER) return none(Status.INVALID_DEVICE_REQUEST);
  const bytes = field(output ? 'OutputBufferLength' : 'InputBufferLength');
  return output && method !== Method.BUFFERED ? direct(bytes) : { status: Status.SUCCESS, at: system, bytes };
}

// -- queues -------------------------------------------------------------------------------------------------------------------

export function* enqueue(
  k: Windows,
  queue: WdfObject<WdfQueue>,
  request: WdfObject<WdfRequest>,
): Steps<void> {
  request.data.queue = queue;
  if (!queue.data.accepting) {
    yield* completeWdf(k, request, Status.CANCELLED);
    return;
  }
  // While it waits the framework itself answers a cancellation.
  k.write('IRP.CancelRoutine', request.data.irp, k.exported('FxCancel') ?? 0);
  queue.data.waiting.push(request);
  yield* pump(k, queue);
}

/** Takes a waiting request out: it is the driver's from now on. */
export function take(
  k: Windows,
  queue: WdfObject<WdfQueue>,
  which?: WdfObject<WdfRequest>,
): WdfObject<WdfRequest> | undefined {
  const at = which === undefined ? 0 : queue.data.waiting.indexOf(which);
  const [request] = at < 0 ? [] : queue.data.waiting.splice(at, 1);
  if (request === undefined) return undefined;
  k.write('IRP.CancelRoutine', request.data.irp, 0);
  queue.data.presented.add(request);
  return request;
}

/** Presents what may be presented: all at once, or one after the other. */
export function* pump(k: Windows, queue: WdfObject<WdfQueue>): Steps<void> {
  const q = queue.data;
  if (q.pumping || q.dispatchType === DispatchType.MANUAL) return;
  q.pumping = true;
  while (
    q.dispatching &&
    q.waiting.length > 0 &&
    (q.dispatchType === DispatchType.PARALLEL || q.presented.size === 0)
  ) {
    const request = take(k, queue);
    if (request !== undefined) yield* present(k, queue, request);
  }
  q.pumping = false;
}

function* present(k: Windows, queue: WdfObject<WdfQueue>, request: WdfObject<WdfRequest>): Steps<void> {
  const { events } = queue.data;
  const stack = locationOf(k, request.data.irp);
  const major = k.read('IO_STACK_LOCATION.MajorFunction', stack);
  const length = k.read('IO_STACK_LOCATION.Parameters.Read.Length', stack);
  const field = (name: string) => k.read(`IO_STACK_LOCATION.Parameters.DeviceIoControl.${name}`, stack);
  const [q, r] = [queue.handle, request.handle];
  if (major === Major.READ && events.read !== 0) yield* k.call(events.read, q, r, length);
  else if (major === Major.WRITE && events.write !== 0) yield* k.call(events.write, q, r, length);
  else {
    const routine =
      major === Major.DEVICE_CONTROL
        ? events.control
        : major === Major.INTERNAL_DEVICE_CONTROL
          ? events.internal
          : 0;
    if (routine !== 0)
      yield* k.call(
        routine,
        q,
        r,
        field('OutputBufferLength'),
        field('InputBufferLength'),
        field('IoControlCode'),
      );
    else if (events.default !== 0) yield* k.call(events.default, q, r);
    else yield* completeWdf(k, request, Status.INVALID_DEVICE_REQUEST);
  }
}

/** The IRP of a waiting or cancellable request was cancelled. Comes with the cancel lock held. */
export function* canceled(k: Windows, irp: Address): Steps<void> {
  k.irql.set(k.read('IRP.CancelIrql', irp));
  const request = k.state(state).byIrp.get(irp);
  if (request === undefined) return;
  const { queue, cancel } = request.data;
  const at = queue?.data.waiting.indexOf(request) ?? -1;
  if (queue !== undefined && at >= 0) {
    queue.data.waiting.splice(at, 1);
    if (queue.data.events.canceled !== 0) {
      queue.data.presented.add(request);
      yield* k.call(queue.data.events.canceled, queue.handle, request.handle);
    } else yield* completeWdf(k, request, Status.CANCELLED);
    return;
  }
  request.data.cancel = 0;
  if (cancel !== 0) yield* k.call(cancel, request.handle);
}

/** Everything that waits is completed as cancelled, and what the driver holds is cancelled. */
export function* purge(k: Windows, queue: WdfObject<WdfQueue>): Steps<void> {
  queue.data.accepting = false;
  for (const request of queue.data.waiting.splice(0)) yield* completeWdf(k, request, Status.CANCELLED);
  for (const request of [...queue.data.presented]) {
    if (request.data.cancel !== 0) yield* cancelIrp(k, request.data.irp);
  }
}

// -- what comes in --------------------------------------------------------------------------------------------------------------

/** The dispatch routine of every driver of the framework. */
export function* dispatch(k: Windows, wdm: Address, irp: Address): Steps<number> {
  const device = deviceOf(k, wdm);
  const stack = locationOf(k, irp);
  const major = k.read('IO_STACK_LOCATION.MajorFunction', stack);
  if (device === undefined) return yield* finish(k, irp, Status.INVALID_DEVICE_REQUEST);
  if (device.data.attached !== 0) {
    if (major === Major.PNP) return yield* pnpRequest(k, device, irp);
    if (major === Major.POWER || major === Major.SYSTEM_CONTROL) return yield* forward(k, device, irp);
  }
  if (major === Major.CREATE || major === Major.CLEANUP || major === Major.CLOSE)
    return yield* fileRequest(k, device, major, irp);
  const queue = device.data.dispatch.get(major) ?? device.data.defaultQueue;
  const transfers =
    major === Major.READ ||
    major === Major.WRITE ||
    major === Major.DEVICE_CONTROL ||
    major === Major.INTERNAL_DEVICE_CONTROL;
  if (!transfers || queue === undefined) return yield* finish(k, irp, Status.INVALID_DEVICE_REQUEST);
  const empty =
    (major === Major.READ || major === Major.WRITE) &&
    k.read('IO_STACK_LOCATION.Parameters.Read.Length', stack) === 0;
  if (empty && !queue.data.allowZeroLength) return yield* finish(k, irp, Status.SUCCESS);
  const request = newRequest(k, device, irp);
  if (request === undefined) return yield* finish(k, irp, Status.INSUFFICIENT_RESOURCES);
  markPending(k, irp);
  yield* enqueue(k, queue, request);
  return Status.PENDING;
}

export function* finish(k: Windows, irp: Address, status: number): Steps<number> {
  k.write('IRP.IoStatus.Status', irp, status);
  k.write('IRP.IoStatus.Information', irp, 0);
  yield* completeRequest(k, irp);
  return status;
}

function* fileRequest(k: Windows, device: WdfObject<WdfDevice>, major: number, irp: Address): Steps<number> {
  const { data } = device;
  const at = k.read('IO_STACK_LOCATION.FileObject', locationOf(k, irp));
  if (major === Major.CREATE) {
    const file = create(k, 'file', { device, file: at } satisfies WdfFile, data.init.fileAttributes, device);
    if (typeof file === 'number') return yield* finish(k, irp, file);
    data.files.set(at, file);
    const routine = data.init.file?.create ?? 0;
    if (routine === 0) return yield* finish(k, irp, Status.SUCCESS);
    const request = newRequest(k, device, irp);
    if (request === undefined) return yield* finish(k, irp, Status.INSUFFICIENT_RESOURCES);
    markPending(k, irp);
    yield* k.call(routine, device.handle, request.handle, file.handle);
    return Status.PENDING;
  }
  const file = data.files.get(at);
  const routine = major === Major.CLEANUP ? (data.init.file?.cleanup ?? 0) : (data.init.file?.close ?? 0);
  if (file !== undefined && routine !== 0) yield* k.call(routine, file.handle);
  if (file !== undefined && major === Major.CLOSE) {
    data.files.delete(at);
    yield* remove(k, file);
  }
  return yield* finish(k, irp, Status.SUCCESS);
}
