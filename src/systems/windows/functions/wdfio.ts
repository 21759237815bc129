/** Queues and requests of the driver framework. */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { locationOf } from '../irp.ts';
import { Status } from '../status.ts';
import { device } from '../wdf/driver.ts';
import {
  bufferOf,
  completeWdf,
  enqueue,
  pump,
  purge,
  take,
  type WdfQueue,
  type WdfRequest,
} from '../wdf/io.ts';
import { create, need, type WdfObject } from '../wdf/objects.ts';
import type { Windows } from '../windows.ts';
import { kernelFunctions } from './define.ts';
import { wrapMemory } from './wdfmisc.ts';

const queue = (k: Windows, handle: Address): WdfObject<WdfQueue> => need<WdfQueue>(k, handle, 'queue');
const request = (k: Windows, handle: Address): WdfObject<WdfRequest> =>
  need<WdfRequest>(k, handle, 'request');
const NO_MORE_ENTRIES = Status.NO_MORE_ENTRIES;

function createQueue(
  k: Windows,
  deviceHandle: Address,
  config: Address,
  attributes: Address,
  out: Address,
): number {
  const owner = device(k, deviceHandle);
  const get = (field: string) => k.read(`WDF_IO_QUEUE_CONFIG.${field}`, config);
  const dispatchType = get('DispatchType');
  const isDefault = get('DefaultQueue') !== 0;
  if (dispatchType < 1 || dispatchType > 3) return Status.INVALID_PARAMETER;
  // One default queue a device (STATUS_UNSUCCESSFUL, as the framework answers).
  if (isDefault && owner.data.defaultQueue !== undefined) return Status.UNSUCCESSFUL;
  const data: WdfQueue = {
    device: owner,
    dispatchType,
    allowZeroLength: get('AllowZeroLengthRequests') !== 0,
    events: {
      default: get('EvtIoDefault'),
      read: get('EvtIoRead'),
      write: get('EvtIoWrite'),
      control: get('EvtIoDeviceControl'),
      internal: get('EvtIoInternalDeviceControl'),
      canceled: get('EvtIoCanceledOnQueue'),
    },
    waiting: [],
    presented: new Set(),
    accepting: true,
    dispatching: true,
    pumping: false,
  };
  const object = create(k, 'queue', data, attributes, owner);
  if (typeof object === 'number') return object;
  object.dispose = () => purge(k, object);
  if (isDefault) owner.data.defaultQueue = object;
  if (out !== 0) k.memory.setPtr(out, object.handle);
  return Status.SUCCESS;
}

function giveBuffer(
  k: Windows,
  handle: Address,
  output: boolean,
  least: number,
  out: Address,
  lengthOut: Address,
): number {
  const { status, at, bytes } = bufferOf(k, request(k, handle), output);
  if (status < 0) return status;
  if (at === 0 || bytes === 0 || bytes < least) return Status.BUFFER_TOO_SMALL;
  k.memory.setPtr(out, at);
  if (lengthOut !== 0) k.memory.setPtr(lengthOut, bytes);
  return Status.SUCCESS;
}

function giveMemory(k: Windows, handle: Address, output: boolean, out: Address): number {
  const owner = request(k, handle);
  const { status, at, bytes } = bufferOf(k, owner, output);
  if (status < 0) return status;
  return bytes === 0 ? Status.BUFFER_TOO_SMALL : wrapMemory(k, owner, at, bytes, out);
}

/** WDF_REQUEST_PARAMETERS: what the stack location says, each value a word wide. */
function giveParameters(k: Windows, handle: Address, out: Address): void {
  const stack = locationOf(k, request(k, handle).data.irp);
  const major = k.read('IO_STACK_LOCATION.MajorFunction', stack);
  k.memory.set8(out + 2, k.read('IO_STACK_LOCATION.MinorFunction', stack));
  k.memory.set32(out + 4, major);
  const own = stack + k.offset('IO_STACK_LOCATION.Parameters');
  k.memory.copy(out + 8, own, 4 * k.word);
}

function markCancelable(k: Windows, handle: Address, routine: Address): number {
  const { data } = request(k, handle);
  if (k.read('IRP.Cancel', data.irp) !== 0) return Status.CANCELLED;
  data.cancel = routine;
  k.write('IRP.CancelRoutine', data.irp, k.exported('FxCancel') ?? 0);
  return Status.SUCCESS;
}

function* complete(k: Windows, handle: Address, status: number, information: number): Steps<void> {
  const object = request(k, handle);
  object.data.information = information;
  yield* completeWdf(k, object, status);
}

function* forward(k: Windows, handle: Address, to: Address): Steps<number> {
  const object = request(k, handle);
  const target = queue(k, to);
  if (!target.data.accepting) return Status.DEVICE_NOT_READY;
  const from = object.data.queue;
  from?.data.presented.delete(object);
  yield* enqueue(k, target, object);
  if (from !== undefined) yield* pump(k, from);
  return Status.SUCCESS;
}

export const wdfIoFunctions = kernelFunctions({
  'NTSTATUS WdfIoQueueCreate(PVOID g, PVOID device, PVOID config, PVOID attributes, PVOID *queue)': (
    k,
    _g,
    owner,
    config,
    attributes,
    out,
  ) => createQueue(k, owner, config, attributes, out),
  'NTSTATUS WdfDeviceConfigureRequestDispatching(PVOID g, PVOID device, PVOID queue, ULONG type)': (
    k,
    _g,
    owner,
    handle,
    type,
  ) => {
    device(k, owner).data.dispatch.set(type, queue(k, handle));
    return Status.SUCCESS;
  },
  'PVOID WdfIoQueueGetDevice(PVOID g, PVOID queue)': (k, _g, handle) => queue(k, handle).data.device.handle,
  /** WDF_IO_QUEUE_STATE: accepts 1, dispatches 2, no request waits 4, the driver has none 8. */
  'ULONG WdfIoQueueGetState(PVOID g, PVOID queue, ULONG *waiting, ULONG *presented)': (
    k,
    _g,
    handle,
    waiting,
    presented,
  ) => {
    const { data } = queue(k, handle);
    if (waiting !== 0) k.memory.set32(waiting, data.waiting.length);
    if (presented !== 0) k.memory.set32(presented, data.presented.size);
    return (
      (data.accepting ? 1 : 0) |
      (data.dispatching ? 2 : 0) |
      (data.waiting.length === 0 ? 4 : 0) |
      (data.presented.size === 0 ? 8 : 0)
    );
  },
  'void WdfIoQueueStart(PVOID g, PVOID queue)': function* (k, _g, handle) {
    const object = queue(k, handle);
    object.data.accepting = true;
    object.data.dispatching = true;
    yield* pump(k, object);
  },
  'void WdfIoQueueStop(PVOID g, PVOID queue, PVOID routine, PVOID context)': function* (
    k,
    _g,
    handle,
    routine,
    context,
  ) {
    queue(k, handle).data.dispatching = false;
    if (routine !== 0) yield* k.call(routine, handle, context);
  },
  'void WdfIoQueueStopSynchronously(PVOID g, PVOID queue)': (k, _g, handle) => {
    queue(k, handle).data.dispatching = false;
  },
  'void WdfIoQueuePurge(PVOID g, PVOID queue, PVOID routine, PVOID context)': function* (
    k,
    _g,
    handle,
    routine,
    context,
  ) {
    yield* purge(k, queue(k, handle));
    if (routine !== 0) yield* k.call(routine, handle, context);
  },
  'void WdfIoQueuePurgeSynchronously(PVOID g, PVOID queue)': (k, _g, handle) => purge(k, queue(k, handle)),
  'NTSTATUS WdfIoQueueRetrieveNextRequest(PVOID g, PVOID queue, PVOID *request)': (k, _g, handle, out) => {
    const found = take(k, queue(k, handle));
    if (found === undefined) return NO_MORE_ENTRIES;
    k.memory.setPtr(out, found.handle);
    return Status.SUCCESS;
  },
  'NTSTATUS WdfIoQueueRetrieveRequestByFileObject(PVOID g, PVOID queue, PVOID file, PVOID *request)': (
    k,
    _g,
    handle,
    file,
    out,
  ) => {
    const object = queue(k, handle);
    const files = object.data.device.data.files;
    const found = object.data.waiting.find(
      ({ data }) =>
        files.get(k.read('IO_STACK_LOCATION.FileObject', locationOf(k, data.irp)))?.handle === file,
    );
    if (found === undefined || take(k, object, found) === undefined) return NO_MORE_ENTRIES;
    k.memory.setPtr(out, found.handle);
    return Status.SUCCESS;
  },

  'void WdfRequestComplete(PVOID g, PVOID request, NTSTATUS status)': function* (k, _g, handle, status) {
    yield* complete(k, handle, status, request(k, handle).data.information);
  },
  'void WdfRequestCompleteWithInformation(PVOID g, PVOID request, NTSTATUS status, ULONG_PTR information)': (
    k,
    _g,
    handle,
    status,
    information,
  ) => complete(k, handle, status, information),
  'void WdfRequestCompleteWithPriorityBoost(PVOID g, PVOID request, NTSTATUS status, CCHAR boost)':
    function* (k, _g, handle, status) {
      yield* complete(k, handle, status, request(k, handle).data.information);
    },
  'void WdfRequestSetInformation(PVOID g, PVOID request, ULONG_PTR information)': (
    k,
    _g,
    handle,
    information,
  ) => {
    request(k, handle).data.information = information;
  },
  'ULONG_PTR WdfRequestGetInformation(PVOID g, PVOID request)': (k, _g, handle) =>
    request(k, handle).data.information,
  'NTSTATUS WdfRequestGetStatus(PVOID g, PVOID request)': (k, _g, handle) =>
    k.read('IRP.IoStatus.Status', request(k, handle).data.irp),
  'void WdfRequestGetParameters(PVOID g, PVOID request, PVOID parameters)': (k, _g, handle, out) =>
    giveParameters(k, handle, out),
  'NTSTATUS WdfRequestRetrieveInputBuffer(PVOID g, PVOID request, SIZE_T least, PVOID *buffer, SIZE_T *bytes)':
    (k, _g, handle, least, out, bytes) => giveBuffer(k, handle, false, least, out, bytes),
  'NTSTATUS WdfRequestRetrieveOutputBuffer(PVOID g, PVOID request, SIZE_T least, PVOID *buffer, SIZE_T *bytes)':
    (k, _g, handle, least, out, bytes) => giveBuffer(k, handle, true, least, out, bytes),
  'NTSTATUS WdfRequestRetrieveInputMemory(PVOID g, PVOID request, PVOID *memory)': (k, _g, handle, out) =>
    giveMemory(k, handle, false, out),
  'NTSTATUS WdfRequestRetrieveOutputMemory(PVOID g, PVOID request, PVOID *memory)': (k, _g, handle, out) =>
    giveMemory(k, handle, true, out),
  'NTSTATUS WdfRequestRetrieveUnsafeUserInputBuffer(PVOID g, PVOID request, SIZE_T least, PVOID *buffer, SIZE_T *bytes)':
    (k, _g, handle, least, out, bytes) => giveUnsafe(k, handle, false, least, out, bytes),
  'NTSTATUS WdfRequestRetrieveUnsafeUserOutputBuffer(PVOID g, PVOID request, SIZE_T least, PVOID *buffer, SIZE_T *bytes)':
    (k, _g, handle, least, out, bytes) => giveUnsafe(k, handle, true, least, out, bytes),
  'PVOID WdfRequestWdmGetIrp(PVOID g, PVOID request)': (k, _g, handle) => request(k, handle).data.irp,
  'PVOID WdfRequestGetFileObject(PVOID g, PVOID request)': (k, _g, handle) => {
    const { data } = request(k, handle);
    const file = k.read('IO_STACK_LOCATION.FileObject', locationOf(k, data.irp));
    return data.device?.data.files.get(file)?.handle ?? 0;
  },
  'PVOID WdfRequestGetIoQueue(PVOID g, PVOID request)': (k, _g, handle) =>
    request(k, handle).data.queue?.handle ?? 0,
  'CCHAR WdfRequestGetRequestorMode(PVOID g, PVOID request)': (k, _g, handle) =>
    k.read('IRP.RequestorMode', request(k, handle).data.irp),
  'BOOLEAN WdfRequestIsCanceled(PVOID g, PVOID request)': (k, _g, handle) =>
    k.read('IRP.Cancel', request(k, handle).data.irp) !== 0,
  'BOOLEAN WdfRequestIsFrom32BitProcess(PVOID g, PVOID request)': (k) => k.word === 4,
  'void WdfRequestMarkCancelable(PVOID g, PVOID request, PVOID routine)': function* (k, _g, handle, routine) {
    // Cancelled already: the routine is called at once.
    if (markCancelable(k, handle, routine) < 0) yield* k.call(routine, handle);
  },
  'NTSTATUS WdfRequestMarkCancelableEx(PVOID g, PVOID request, PVOID routine)': (k, _g, handle, routine) =>
    markCancelable(k, handle, routine),
  'NTSTATUS WdfRequestUnmarkCancelable(PVOID g, PVOID request)': (k, _g, handle) => {
    const { data } = request(k, handle);
    if (data.cancel === 0) return Status.CANCELLED;
    data.cancel = 0;
    k.write('IRP.CancelRoutine', data.irp, 0);
    return Status.SUCCESS;
  },
  'NTSTATUS WdfRequestForwardToIoQueue(PVOID g, PVOID request, PVOID queue)': (k, _g, handle, to) =>
    forward(k, handle, to),
  'NTSTATUS WdfRequestRequeue(PVOID g, PVOID request)': (k, _g, handle) => {
    const object = request(k, handle);
    const home = object.data.queue;
    if (home === undefined) return Status.INVALID_DEVICE_REQUEST;
    home.data.presented.delete(object);
    home.data.waiting.unshift(object);
    k.write('IRP.CancelRoutine', object.data.irp, k.exported('FxCancel') ?? 0);
    return Status.SUCCESS;
  },
});

/** For METHOD_NEITHER and for devices that take buffers as they are. */
function giveUnsafe(
  k: Windows,
  handle: Address,
  output: boolean,
  least: number,
  out: Address,
  lengthOut: Address,
): number {
  const { irp } = request(k, handle).data;
  const stack = locationOf(k, irp);
  const field = (name: string) => k.read(`IO_STACK_LOCATION.Parameters.DeviceIoControl.${name}`, stack);
  const transfer = k.read('IO_STACK_LOCATION.MajorFunction', stack) < 5;
  const bytes = transfer
    ? k.read('IO_STACK_LOCATION.Parameters.Read.Length', stack)
    : field(output ? 'OutputBufferLength' : 'InputBufferLength');
  const at = transfer || output ? k.read('IRP.UserBuffer', irp) : field('Type3InputBuffer');
  if (bytes < least || bytes === 0) return Status.BUFFER_TOO_SMALL;
  k.memory.setPtr(out, at);
  if (lengthOut !== 0) k.memory.setPtr(lengthOut, bytes);
  return Status.SUCCESS;
}
