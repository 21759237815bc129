/** Threads, processes, objects and handles. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Thread } from '../../../kernel/thread.ts';
import { BugCode, bugCheck } from '../bugcheck.ts';
import type { KernelObject } from '../objects.ts';
import { Status } from '../status.ts';
import { unicodeString } from '../strings.ts';
import { DispatcherType, initialiseHeader, signal, waitFor } from '../wait.ts';
import type { Windows } from '../windows.ts';
import { kernelFunctions } from './define.ts';

/** OBJECT_ATTRIBUTES: the path, below the root directory's when it has one. */
export function attributesPath(k: Windows, attributes: number): string {
  if (attributes === 0) return '';
  const name = k.read('OBJECT_ATTRIBUTES.ObjectName', attributes);
  const text = unicodeString(k, name);
  const root = k.read('OBJECT_ATTRIBUTES.RootDirectory', attributes);
  if (root === 0) return text;
  return `${k.objects.fromHandle(root)?.name ?? ''}\\${text}`;
}

function* createThread(
  k: Windows,
  handle: number,
  start: number,
  context: number,
  client: number,
): Steps<number> {
  const info = k.threads.create(k.describe(start), start, context);
  k.memory.setPtr(handle, k.objects.open(info.object));
  if (client !== 0) {
    k.memory.setPtr(client, k.threads.systemId);
    k.memory.setPtr(client + k.word, info.id);
  }
  return Status.SUCCESS;
}

function byHandle(k: Windows, handle: number, type: number, out: number): number {
  const object = k.objects.fromHandle(handle);
  if (object === undefined) return Status.INVALID_HANDLE;
  const wanted = type === 0 ? undefined : k.objects.typeAt(k.memory.ptr(type));
  const typed = type === 0 ? undefined : (k.objects.typeAt(type) ?? wanted);
  if (typed !== undefined && typed !== object.type) return Status.OBJECT_TYPE_MISMATCH;
  k.objects.reference(object);
  k.memory.setPtr(out, object.address);
  return Status.SUCCESS;
}

const reference = (k: Windows, at: number): number => {
  const object = k.objects.at(at);
  if (object === undefined) return 0;
  k.objects.reference(object);
  return k.objects.references(object);
};

function* dereference(k: Windows, at: number): Steps<number> {
  const object = k.objects.at(at);
  if (object === undefined) return 0;
  const left = k.objects.references(object) - 1;
  yield* k.objects.dereference(object);
  return left;
}

/** OBJ_PERMANENT: named without a handle, until it is made temporary. OBJ_OPENIF: an object that exists will do. */
const [PERMANENT, OPEN_IF] = [0x10, 0x80];
const permanent = perKernel(() => new Set<KernelObject>());

/** An event, mutant, semaphore, timer or directory object, new or by its name. */
function* openOrCreate(
  k: Windows,
  out: number,
  attributes: number,
  type: 'Event' | 'Mutant' | 'Semaphore' | 'Timer' | 'Directory',
  make: ((object: KernelObject) => void) | undefined,
): Steps<number> {
  const path = attributesPath(k, attributes);
  const flags = attributes === 0 ? 0 : k.read('OBJECT_ATTRIBUTES.Attributes', attributes);
  const found = path === '' ? undefined : k.objects.lookUp(path);
  if (found !== undefined && found.rest === '') {
    if (found.object.type !== type) return Status.OBJECT_TYPE_MISMATCH;
    if (make !== undefined && (flags & OPEN_IF) === 0) return Status.OBJECT_NAME_COLLISION;
    k.memory.setPtr(out, k.objects.open(found.object));
    return make === undefined ? Status.SUCCESS : Status.OBJECT_NAME_EXISTS;
  }
  if (make === undefined) return Status.OBJECT_NAME_NOT_FOUND;
  const object = k.objects.create(type, 64);
  make(object);
  if (path !== '') {
    const status = k.objects.insert(object, path);
    if (status < 0) {
      yield* k.objects.dereference(object);
      return status;
    }
  }
  k.memory.setPtr(out, k.objects.open(object));
  if ((flags & PERMANENT) !== 0) k.state(permanent).add(object);
  else yield* k.objects.dereference(object);
  return Status.SUCCESS;
}

function* makeTemporary(k: Windows, handle: number): Steps<number> {
  const object = k.objects.fromHandle(handle);
  if (object === undefined) return Status.INVALID_HANDLE;
  if (k.state(permanent).delete(object)) yield* k.objects.dereference(object);
  return Status.SUCCESS;
}

function* createNotification(k: Windows, name: number, out: number, type: number): Steps<number> {
  const path = unicodeString(k, name);
  const found = k.objects.lookUp(path);
  let object = found?.object;
  if (object === undefined) {
    object = k.objects.create('Event', 64);
    initialiseHeader(k, object.address, type, k.sizeof('KEVENT'), 1);
    if (k.objects.insert(object, path) < 0) {
      yield* k.objects.dereference(object);
      return 0;
    }
  }
  k.memory.setPtr(out, k.objects.open(object));
  return object.address;
}

const PROCESS_IS_TERMINATING = 0xc000010a | 0;

/** KAPC_STATE.Process, in pointers: two lists of two stand before it. */
const APC_STATE_PROCESS = 4;

export const psFunctions = kernelFunctions({
  'NTSTATUS PsCreateSystemThread(HANDLE *handle, ULONG access, PVOID attributes, HANDLE process, PVOID client, PVOID start, PVOID context)':
    (k, handle, _access, _attributes, _process, client, start, context) =>
      createThread(k, handle, start, context, client),
  'NTSTATUS PsTerminateSystemThread(NTSTATUS status)': function* (k, status) {
    const info = k.threads.current;
    if (info === undefined || info.user) return Status.INVALID_PARAMETER;
    info.exitStatus = status;
    yield { kind: 'exit', code: status };
    return Status.SUCCESS;
  },
  'PVOID IoGetCurrentProcess(void)': (k) => k.threads.currentProcess,
  'PVOID PsGetCurrentProcess(void)': (k) => k.threads.currentProcess,
  'PVOID PsGetCurrentThread(void)': (k) => k.processor.currentThread,
  'HANDLE PsGetCurrentProcessId(void)': (k) =>
    k.threads.processId(k.threads.processOf(k.threads.current).address),
  'HANDLE PsGetCurrentThreadId(void)': (k) => k.threads.current?.id ?? 0,
  'HANDLE PsGetProcessId(PVOID process)': (k, process) => k.threads.processId(process),
  'HANDLE PsGetThreadId(PVOID thread)': (k, thread) => k.threads.at(thread)?.id ?? 0,
  'HANDLE PsGetThreadProcessId(PVOID thread)': (k, thread) =>
    k.threads.processId(k.threads.processOf(k.threads.at(thread)).address),
  'PVOID IoThreadToProcess(PVOID thread)': (k, thread) => k.threads.processOf(k.threads.at(thread)).address,
  'PVOID PsGetThreadProcess(PVOID thread)': (k, thread) => k.threads.processOf(k.threads.at(thread)).address,
  'BOOLEAN PsIsSystemThread(PVOID thread)': (k, thread) => !k.threads.at(thread)?.user,
  'BOOLEAN IoIsSystemThread(PVOID thread)': (k, thread) => !k.threads.at(thread)?.user,
  'BOOLEAN PsIsThreadTerminating(PVOID thread)': (k, thread) => {
    const object = k.objects.at(thread);
    return object === undefined || (object.extra as Thread).state === 'dead';
  },
  'BOOLEAN PsGetVersion(ULONG *major, ULONG *minor, ULONG *build, PVOID csd)': (
    k,
    major,
    minor,
    build,
    csd,
  ) => {
    if (major !== 0) k.memory.set32(major, k.release.major);
    if (minor !== 0) k.memory.set32(minor, k.release.minor);
    if (build !== 0) k.memory.set32(build, k.release.build);
    if (csd !== 0) k.memory.fill(csd, k.sizeof('UNICODE_STRING'), 0);
    return 1;
  },
  'NTSTATUS PsLookupProcessByProcessId(HANDLE id, PVOID *process)': (k, id, out) => {
    const object = k.processes.byId(id)?.object;
    if (object === undefined) return Status.INVALID_PARAMETER;
    k.objects.reference(object);
    k.memory.setPtr(out, object.address);
    return Status.SUCCESS;
  },
  'NTSTATUS PsLookupThreadByThreadId(HANDLE id, PVOID *thread)': (k, id, out) => {
    for (const info of k.threads.live) {
      if (info.id !== id) continue;
      k.objects.reference(info.object);
      k.memory.setPtr(out, info.object.address);
      return Status.SUCCESS;
    }
    return Status.INVALID_PARAMETER;
  },
  'PVOID PsGetProcessImageFileName(PVOID process)': (k, process) => k.processes.imageName(process),
  'BOOLEAN PsIsProtectedProcess(PVOID process)': () => 0,
  'BOOLEAN PsIsProtectedProcessLight(PVOID process)': () => 0,
  'ULONG PsGetProcessSessionId(PVOID process)': (k, process) => (process === k.threads.user.address ? 1 : 0),
  'ULONG PsGetCurrentProcessSessionId(void)': (k) => (k.threads.current?.user ? 1 : 0),
  's64 PsGetProcessCreateTimeQuadPart(PVOID process)': (k, process) =>
    BigInt.asIntN(64, k.processes.at(process)?.created ?? 0n),
  's64 PsGetProcessExitTime(PVOID process)': (k, process) =>
    BigInt.asIntN(64, k.processes.at(process)?.exited ?? 0n),
  'NTSTATUS PsGetProcessExitStatus(PVOID process)': (k, process) =>
    k.processes.at(process)?.exitStatus ?? Status.PENDING,
  'HANDLE PsGetProcessInheritedFromUniqueProcessId(PVOID process)': (k, process) =>
    k.processes.at(process)?.parent ?? 0,
  'NTSTATUS PsAcquireProcessExitSynchronization(PVOID process)': (k, process) =>
    k.processes.at(process)?.exitStatus === undefined ? Status.SUCCESS : PROCESS_IS_TERMINATING,
  'void PsReleaseProcessExitSynchronization(PVOID process)': () => undefined,
  'PVOID PsGetProcessWow64Process(PVOID process)': () => 0,
  'PVOID PsGetCurrentProcessWow64Process(void)': () => 0,
  'PVOID PsGetProcessPeb(PVOID process)': () => 0,
  'void KeStackAttachProcess(PVOID process, PVOID state)': (k, process, state) => {
    const before = k.threads.currentProcess;
    k.memory.fill(state, 6 * k.word, 0);
    // Nothing to go back to is told by 1, as the system does.
    k.memory.setPtr(state + APC_STATE_PROCESS * k.word, before === process ? 1 : before);
    k.threads.currentProcess = process;
  },
  'void KeUnstackDetachProcess(PVOID state)': (k, state) => {
    const before = k.memory.ptr(state + APC_STATE_PROCESS * k.word);
    if (before !== 1) k.threads.currentProcess = before;
  },
  'void KeAttachProcess(PVOID process)': (k, process) => {
    const own = k.threads.processOf(k.threads.current).address;
    const now = k.threads.currentProcess;
    if (process === now) return;
    if (now !== own) bugCheck(k, BugCode.INVALID_PROCESS_ATTACH_ATTEMPT, [process, now, 1, 0]);
    k.threads.currentProcess = process;
  },
  'void KeDetachProcess(void)': (k) => {
    k.threads.currentProcess = k.threads.processOf(k.threads.current).address;
  },

  'NTSTATUS ObReferenceObjectByHandle(HANDLE handle, ACCESS_MASK access, PVOID type, KPROCESSOR_MODE mode, PVOID *object, PVOID info)':
    (k, handle, _access, type, _mode, out, info) => {
      if (info !== 0) k.memory.fill(info, 8, 0);
      return byHandle(k, handle, type, out);
    },
  'NTSTATUS ObReferenceObjectByHandleWithTag(HANDLE handle, ACCESS_MASK access, PVOID type, KPROCESSOR_MODE mode, ULONG tag, PVOID *object, PVOID info)':
    (k, handle, _access, type, _mode, _tag, out) => byHandle(k, handle, type, out),
  'NTSTATUS ObReferenceObjectByPointer(PVOID object, ACCESS_MASK access, PVOID type, KPROCESSOR_MODE mode)': (
    k,
    object,
  ) => {
    reference(k, object);
    return Status.SUCCESS;
  },
  'LONG_PTR FASTCALL ObfReferenceObject(PVOID object)': (k, object) => reference(k, object),
  'LONG_PTR FASTCALL ObfReferenceObjectWithTag(PVOID object, ULONG tag)': (k, object) => reference(k, object),
  'LONG_PTR FASTCALL ObfDereferenceObject(PVOID object)': (k, object) => dereference(k, object),
  'LONG_PTR FASTCALL ObfDereferenceObjectWithTag(PVOID object, ULONG tag)': (k, object) =>
    dereference(k, object),
  'LONG_PTR ObDereferenceObject(PVOID object)': (k, object) => dereference(k, object),
  'void ObDereferenceObjectDeferDelete(PVOID object)': function* (k, object) {
    yield* dereference(k, object);
  },
  'NTSTATUS ObOpenObjectByPointer(PVOID object, ULONG attributes, PVOID state, ACCESS_MASK access, PVOID type, KPROCESSOR_MODE mode, HANDLE *handle)':
    (k, object, _attributes, _state, _access, _type, _mode, out) => {
      const found = k.objects.at(object);
      if (found === undefined) return Status.INVALID_PARAMETER;
      k.memory.setPtr(out, k.objects.open(found));
      return Status.SUCCESS;
    },
  'NTSTATUS ObReferenceObjectByName(PVOID name, ULONG attributes, PVOID state, ACCESS_MASK access, PVOID type, KPROCESSOR_MODE mode, PVOID context, PVOID *object)':
    (k, name, _attributes, _state, _access, _type, _mode, _context, out) => {
      const found = k.objects.lookUp(unicodeString(k, name));
      if (found === undefined || found.rest !== '') return Status.OBJECT_NAME_NOT_FOUND;
      k.objects.reference(found.object);
      k.memory.setPtr(out, found.object.address);
      return Status.SUCCESS;
    },
  'NTSTATUS ObOpenObjectByName(PVOID attributes, PVOID type, KPROCESSOR_MODE mode, PVOID state, ACCESS_MASK access, PVOID context, HANDLE *handle)':
    (k, attributes, _type, _mode, _state, _access, _context, out) => {
      const found = k.objects.lookUp(attributesPath(k, attributes));
      if (found === undefined || found.rest !== '') return Status.OBJECT_NAME_NOT_FOUND;
      k.memory.setPtr(out, k.objects.open(found.object));
      return Status.SUCCESS;
    },
  'void ObMakeTemporaryObject(PVOID object)': (k, object) => {
    const found = k.objects.at(object);
    if (found !== undefined) k.objects.unname(found);
  },
  'NTSTATUS ZwClose(HANDLE handle)': (k, handle) => k.objects.close(handle),
  'NTSTATUS NtClose(HANDLE handle)': (k, handle) => k.objects.close(handle),
  'NTSTATUS ObCloseHandle(HANDLE handle, KPROCESSOR_MODE mode)': (k, handle) => k.objects.close(handle),
  'NTSTATUS ZwCreateEvent(HANDLE *handle, ACCESS_MASK access, PVOID attributes, ULONG type, BOOLEAN state)': (
    k,
    out,
    _access,
    attributes,
    type,
    state,
  ) =>
    openOrCreate(k, out, attributes, 'Event', ({ address }) =>
      initialiseHeader(k, address, type, k.sizeof('KEVENT'), state === 0 ? 0 : 1),
    ),
  'NTSTATUS ZwOpenEvent(HANDLE *handle, ACCESS_MASK access, PVOID attributes)': (
    k,
    out,
    _access,
    attributes,
  ) => openOrCreate(k, out, attributes, 'Event', undefined),
  'NTSTATUS ZwSetEvent(HANDLE handle, LONG *previous)': (k, handle, previous) => {
    const object = k.objects.fromHandle(handle);
    if (object === undefined) return Status.INVALID_HANDLE;
    if (previous !== 0) k.memory.set32(previous, k.read('DISPATCHER_HEADER.SignalState', object.address));
    signal(k, object.address, 1);
    return Status.SUCCESS;
  },
  'NTSTATUS ZwResetEvent(HANDLE handle, LONG *previous)': (k, handle) => {
    const object = k.objects.fromHandle(handle);
    if (object === undefined) return Status.INVALID_HANDLE;
    signal(k, object.address, 0);
    return Status.SUCCESS;
  },
  'NTSTATUS ZwClearEvent(HANDLE handle)': (k, handle) => {
    const object = k.objects.fromHandle(handle);
    if (object === undefined) return Status.INVALID_HANDLE;
    signal(k, object.address, 0);
    return Status.SUCCESS;
  },
  'NTSTATUS ZwWaitForSingleObject(HANDLE handle, BOOLEAN alertable, PVOID timeout)': function* (
    k,
    handle,
    _alertable,
    timeout,
  ) {
    const object = k.objects.fromHandle(handle);
    if (object === undefined) return Status.INVALID_HANDLE;
    const time = timeout === 0 ? undefined : BigInt.asIntN(64, k.memory.u64(timeout));
    return yield* waitFor(k, [object.address], true, time);
  },
  'PVOID IoCreateNotificationEvent(PVOID name, HANDLE *handle)': (k, name, handle) =>
    createNotification(k, name, handle, DispatcherType.NOTIFICATION_EVENT),
  'PVOID IoCreateSynchronizationEvent(PVOID name, HANDLE *handle)': (k, name, handle) =>
    createNotification(k, name, handle, DispatcherType.SYNCHRONIZATION_EVENT),
  'NTSTATUS ZwYieldExecution(void)': function* () {
    yield { kind: 'yield' };
    return Status.SUCCESS;
  },
  'NTSTATUS ZwOpenSymbolicLinkObject(HANDLE *handle, ACCESS_MASK access, PVOID attributes)': (
    k,
    out,
    _access,
    attributes,
  ) => {
    const found = k.objects.lookUp(attributesPath(k, attributes), false);
    if (found === undefined || found.rest !== '') return Status.OBJECT_NAME_NOT_FOUND;
    if (found.object.type !== 'SymbolicLink') return Status.OBJECT_TYPE_MISMATCH;
    k.memory.setPtr(out, k.objects.open(found.object));
    return Status.SUCCESS;
  },
  'NTSTATUS ZwCreateDirectoryObject(HANDLE *handle, ACCESS_MASK access, PVOID attributes)': (
    k,
    out,
    _access,
    attributes,
  ) => openOrCreate(k, out, attributes, 'Directory', () => undefined),
  'NTSTATUS ZwMakeTemporaryObject(HANDLE handle)': (k, handle) => makeTemporary(k, handle),
  'NTSTATUS ZwOpenDirectoryObject(HANDLE *handle, ACCESS_MASK access, PVOID attributes)': (
    k,
    out,
    _access,
    attributes,
  ) => {
    const found = k.objects.lookUp(attributesPath(k, attributes));
    if (found === undefined || found.rest !== '') return Status.OBJECT_NAME_NOT_FOUND;
    if (found.object.type !== 'Directory') return Status.OBJECT_TYPE_MISMATCH;
    k.memory.setPtr(out, k.objects.open(found.object));
    return Status.SUCCESS;
  },
});
