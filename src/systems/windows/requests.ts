/** Requests as a user's process makes them: buffers in user memory, one IRP each, waited for. */
import { block, type Steps } from '../../kernel/steps.ts';
import { type Address, PAGE_SIZE, Perm } from '../../memory/space.ts';
import { DeviceFlag, topOf } from './devices.ts';
import { allocateIrp, callDriver, cancelIrp, IrpFlag, Major, nextLocation } from './irp.ts';
import { describeBuffer } from './mdl.ts';
import { Status } from './status.ts';
import { DispatcherType, hasWaiters, initialiseHeader } from './wait.ts';
import type { Windows } from './windows.ts';

/** METHOD_BUFFERED, IN_DIRECT, OUT_DIRECT, NEITHER: the low bits of a control code. */
export const Method = { BUFFERED: 0, IN_DIRECT: 1, OUT_DIRECT: 2, NEITHER: 3 } as const;

export interface ControlBuffers {
  readonly input: number;
  readonly inputBytes: number;
  readonly output: number;
  readonly outputBytes: number;
}

/** The buffers of a control code by its method. */
export function setBuffers(k: Windows, irp: number, stack: number, method: number, b: ControlBuffers): void {
  if (method === Method.NEITHER) {
    k.write('IRP.UserBuffer', irp, b.output);
    k.write('IO_STACK_LOCATION.Parameters.DeviceIoControl.Type3InputBuffer', stack, b.input);
    return;
  }
  const bytes = method === Method.BUFFERED ? Math.max(b.inputBytes, b.outputBytes) : b.inputBytes;
  let flags = IrpFlag.SYNCHRONOUS_API;
  if (bytes > 0) {
    const buffer = k.pool.allocate('nonpaged', bytes, 0x20206f49, 0, true);
    if (b.inputBytes > 0) k.memory.copy(buffer, b.input, b.inputBytes);
    k.write('IRP.AssociatedIrp.SystemBuffer', irp, buffer);
    flags |= IrpFlag.BUFFERED_IO | IrpFlag.DEALLOCATE_BUFFER;
    if (method === Method.BUFFERED && b.outputBytes > 0) flags |= IrpFlag.INPUT_OPERATION;
  }
  k.write('IRP.Flags', irp, flags);
  if (method === Method.BUFFERED) k.write('IRP.UserBuffer', irp, b.output);
  else if (b.outputBytes > 0) k.write('IRP.MdlAddress', irp, describeBuffer(k, b.output, b.outputBytes));
}

/** Buffers of a read or write by the device's flags. */
export function transferBuffers(
  k: Windows,
  irp: Address,
  device: Address,
  reading: boolean,
  buffer: Address,
  bytes: number,
): void {
  const flags = k.read('DEVICE_OBJECT.Flags', device);
  if ((flags & DeviceFlag.BUFFERED_IO) !== 0) {
    let irpFlags = IrpFlag.SYNCHRONOUS_API;
    if (bytes > 0) {
      const system = k.pool.allocate('nonpaged', bytes, 0x20206f49, 0, true);
      if (!reading) k.memory.copy(system, buffer, bytes);
      k.write('IRP.AssociatedIrp.SystemBuffer', irp, system);
      irpFlags |= IrpFlag.BUFFERED_IO | IrpFlag.DEALLOCATE_BUFFER | (reading ? IrpFlag.INPUT_OPERATION : 0);
    }
    k.write('IRP.Flags', irp, irpFlags);
    k.write('IRP.UserBuffer', irp, buffer);
  } else if ((flags & DeviceFlag.DIRECT_IO) !== 0) {
    k.write('IRP.Flags', irp, IrpFlag.SYNCHRONOUS_API);
    if (bytes > 0) k.write('IRP.MdlAddress', irp, describeBuffer(k, buffer, bytes));
  } else k.write('IRP.UserBuffer', irp, buffer);
}

export interface Outcome {
  readonly status: number;
  readonly information: number;
}

/** A piece of the user's memory. */
export function userBuffer(k: Windows, bytes: number): Address {
  return k.mapPages(
    k.userArea,
    Math.max(1, Math.ceil(bytes / PAGE_SIZE)),
    Perm.R | Perm.W | Perm.U,
    'user buffer',
  );
}

export function freeUserBuffer(k: Windows, at: Address, bytes: number): void {
  k.unmapPages(k.userArea, at, Math.max(1, Math.ceil(bytes / PAGE_SIZE)));
}

/**
 * Sends one request to the top of the device's stack and waits for its end.
 * @param prepare fills in the stack location and the buffers
 * @param patience virtual ns after which a request that is still pending is cancelled; Infinity: never
 */
export function* request(
  k: Windows,
  file: Address,
  device: Address,
  major: number,
  prepare: (irp: Address, stack: Address) => void,
  patience = Number.POSITIVE_INFINITY,
): Steps<Outcome> {
  const top = topOf(k, device);
  const irp = allocateIrp(k, k.read('DEVICE_OBJECT.StackSize', top), 0);
  if (irp === 0) return { status: Status.INSUFFICIENT_RESOURCES, information: 0 };
  const bytes = k.sizeof('IO_STATUS_BLOCK') + k.sizeof('KEVENT');
  const iosb = k.pool.allocate('nonpaged', bytes, 0x20206f49, 0, true);
  const event = iosb + k.sizeof('IO_STATUS_BLOCK');
  initialiseHeader(k, event, DispatcherType.NOTIFICATION_EVENT, k.sizeof('KEVENT'), 0);
  const stack = nextLocation(k, irp);
  k.write('IO_STACK_LOCATION.MajorFunction', stack, major);
  k.write('IO_STACK_LOCATION.FileObject', stack, file);
  k.write('IRP.UserIosb', irp, iosb);
  k.write('IRP.UserEvent', irp, event);
  k.write('IRP.RequestorMode', irp, 1);
  k.write('IRP.Tail.Overlay.Thread', irp, k.processor.currentThread);
  k.write('IRP.Tail.Overlay.OriginalFileObject', irp, file);
  prepare(irp, stack);
  const status = yield* callDriver(k, top, irp);
  if (status === Status.PENDING) yield* waitForIrp(k, irp, event, patience);
  const outcome = {
    status: k.read('IO_STATUS_BLOCK.Status', iosb),
    information: k.read('IO_STATUS_BLOCK.Information', iosb),
  };
  const completed = k.read('DISPATCHER_HEADER.SignalState', event) > 0;
  k.pool.release(iosb);
  return completed ? outcome : { status, information: 0 };
}

/** Polls by virtual time: nothing but the completion signals the event, and what completes it may be a timer. */
function* waitForIrp(k: Windows, irp: Address, event: Address, patience: number): Steps<void> {
  const until = k.time.now() + patience;
  const signalled = () => k.read('DISPATCHER_HEADER.SignalState', event) > 0;
  const MILLISECOND = 1e6;
  let cancelled = false;
  while (!signalled()) {
    yield* block('waits for a request to complete', Math.min(until, k.time.now() + MILLISECOND));
    if (signalled() || k.time.now() < until) continue;
    if (cancelled) return;
    cancelled = true;
    if (!(yield* cancelIrp(k, irp))) return;
  }
  if (hasWaiters(k, event)) throw new Error('two threads wait for one request');
}

export function* readDevice(
  k: Windows,
  file: Address,
  bytes: number,
  offset = 0,
): Steps<Outcome & { data: Uint8Array }> {
  return yield* transfer(k, file, Major.READ, new Uint8Array(bytes), offset);
}

export function* writeDevice(k: Windows, file: Address, data: Uint8Array, offset = 0): Steps<Outcome> {
  return yield* transfer(k, file, Major.WRITE, data, offset);
}

function* transfer(
  k: Windows,
  file: Address,
  major: number,
  bytes: Uint8Array,
  offset: number,
): Steps<Outcome & { data: Uint8Array }> {
  const device = k.read('FILE_OBJECT.DeviceObject', file);
  const buffer = userBuffer(k, bytes.length);
  if (major === Major.WRITE) k.memory.write(buffer, bytes);
  const outcome = yield* request(k, file, device, major, (irp, stack) => {
    k.write('IO_STACK_LOCATION.Parameters.Read.Length', stack, bytes.length);
    k.write('IO_STACK_LOCATION.Parameters.Read.ByteOffset', stack, offset);
    transferBuffers(k, irp, topOf(k, device), major === Major.READ, buffer, bytes.length);
  });
  const got = outcome.status >= 0 ? Math.max(0, Math.min(outcome.information, bytes.length)) : 0;
  const data = k.memory.bytes(buffer, major === Major.READ ? got : 0);
  freeUserBuffer(k, buffer, bytes.length);
  return { ...outcome, data };
}

/** DeviceIoControl. @param patience as in `request` */
export function* control(
  k: Windows,
  file: Address,
  code: number,
  input: Uint8Array,
  outputBytes: number,
  patience?: number,
): Steps<Outcome & { data: Uint8Array }> {
  const device = k.read('FILE_OBJECT.DeviceObject', file);
  const total = Math.max(1, input.length) + outputBytes + PAGE_SIZE;
  const buffer = userBuffer(k, total);
  const output = buffer + Math.ceil(Math.max(1, input.length) / 16) * 16;
  k.memory.write(buffer, input);
  const outcome = yield* request(
    k,
    file,
    device,
    Major.DEVICE_CONTROL,
    (irp, stack) => {
      k.write('IO_STACK_LOCATION.Parameters.DeviceIoControl.OutputBufferLength', stack, outputBytes);
      k.write('IO_STACK_LOCATION.Parameters.DeviceIoControl.InputBufferLength', stack, input.length);
      k.write('IO_STACK_LOCATION.Parameters.DeviceIoControl.IoControlCode', stack, code);
      setBuffers(k, irp, stack, code & 3, {
        input: input.length === 0 ? 0 : buffer,
        inputBytes: input.length,
        output: outputBytes === 0 ? 0 : output,
        outputBytes,
      });
    },
    patience,
  );
  const got = outcome.status >>> 30 === 3 ? 0 : Math.max(0, Math.min(outcome.information, outputBytes));
  const data = k.memory.bytes(output, got);
  freeUserBuffer(k, buffer, total);
  return { ...outcome, data };
}

/** NtReadFile and NtWriteFile on a device by a driver: the caller's own buffer. */
export function* transferFile(
  k: Windows,
  file: Address,
  writing: boolean,
  buffer: Address,
  bytes: number,
  offset: number,
): Steps<Outcome> {
  const device = k.read('FILE_OBJECT.DeviceObject', file);
  return yield* request(k, file, device, writing ? Major.WRITE : Major.READ, (irp, stack) => {
    k.write('IO_STACK_LOCATION.Parameters.Read.Length', stack, bytes);
    k.write('IO_STACK_LOCATION.Parameters.Read.ByteOffset', stack, offset);
    k.write('IRP.RequestorMode', irp, 0);
    transferBuffers(k, irp, topOf(k, device), !writing, buffer, bytes);
  });
}

/** NtDeviceIoControlFile and NtFsControlFile by a driver. */
export function* controlFile(
  k: Windows,
  file: Address,
  kind: 'device' | 'file-system',
  c: ControlBuffers & { readonly code: number },
): Steps<Outcome> {
  const device = k.read('FILE_OBJECT.DeviceObject', file);
  const major = kind === 'device' ? Major.DEVICE_CONTROL : Major.FILE_SYSTEM_CONTROL;
  return yield* request(k, file, device, major, (irp, stack) => {
    k.write('IO_STACK_LOCATION.Parameters.DeviceIoControl.OutputBufferLength', stack, c.outputBytes);
    k.write('IO_STACK_LOCATION.Parameters.DeviceIoControl.InputBufferLength', stack, c.inputBytes);
    k.write('IO_STACK_LOCATION.Parameters.DeviceIoControl.IoControlCode', stack, c.code);
    k.write('IRP.RequestorMode', irp, 0);
    setBuffers(k, irp, stack, c.code & 3, c);
  });
}
