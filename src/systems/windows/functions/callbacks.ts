/** Registering for what happens: processes, threads, images, handles, the registry, and named callback objects. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import {
  addRoutine,
  handleCallbacks,
  nextCookie,
  type RoutineKind,
  registryCallbacks,
  removeRoutine,
} from '../callbacks.ts';
import { Status } from '../status.ts';
import { unicodeString } from '../strings.ts';
import type { Windows } from '../windows.ts';
import { kernelFunctions } from './define.ts';
import { attributesPath } from './ps.ts';

const FLT_INSTANCE_ALTITUDE_COLLISION = 0xc01c0011 | 0;

const change = (k: Windows, kind: RoutineKind, routine: Address, remove: number): number =>
  remove ? removeRoutine(k, kind, routine) : addRoutine(k, kind, routine);

// -- callbacks on handles: OB_CALLBACK_REGISTRATION ------------------------------------------------------------------------

function registerHandles(k: Windows, registration: Address, out: Address): number {
  const get = (field: string) => k.read(`OB_CALLBACK_REGISTRATION.${field}`, registration);
  const altitude = unicodeString(k, registration + k.offset('OB_CALLBACK_REGISTRATION.Altitude'));
  const [count, list] = [get('OperationRegistrationCount'), get('OperationRegistration')];
  if ((get('Version') & 0xff00) !== 0x100 || count === 0 || count > 16) return Status.INVALID_PARAMETER;
  if (handleCallbacks(k).some((one) => one.altitude === altitude)) return FLT_INSTANCE_ALTITUDE_COLLISION;
  const types = [];
  for (let i = 0; i < count; i++) {
    const at = list + i * k.sizeof('OB_OPERATION_REGISTRATION');
    const one = (field: string) => k.read(`OB_OPERATION_REGISTRATION.${field}`, at);
    const type = k.objects.typeAt(k.memory.ptr(one('ObjectType')));
    if (type !== 'Process' && type !== 'Thread') return Status.NOT_SUPPORTED;
    // Linked without /integritycheck an image may not register; that flag is not asked for here.
    types.push({
      type,
      operations: one('Operations'),
      before: one('PreOperation'),
      after: one('PostOperation'),
    });
  }
  const cookie = k.pool.allocate('nonpaged', 32, 0x6c43624f, 0, true);
  if (cookie === 0) return Status.INSUFFICIENT_RESOURCES;
  handleCallbacks(k).push({ cookie, types, context: get('RegistrationContext'), altitude });
  k.memory.setPtr(out, cookie);
  return Status.SUCCESS;
}

function unregisterHandles(k: Windows, cookie: Address): void {
  const list = handleCallbacks(k);
  const at = list.findIndex((one) => one.cookie === cookie);
  if (at < 0) return;
  list.splice(at, 1);
  k.pool.release(cookie);
}

// -- the registry -------------------------------------------------------------------------------------------------------------

function registerCm(
  k: Windows,
  routine: Address,
  context: Address,
  altitude: string,
  cookie: Address,
): number {
  if (altitude !== '' && registryCallbacks(k).some((one) => one.altitude === altitude))
    return FLT_INSTANCE_ALTITUDE_COLLISION;
  const value = nextCookie(k);
  registryCallbacks(k).push({ cookie: value, routine, context, altitude });
  k.memory.setU64(cookie, value);
  return Status.SUCCESS;
}

function unregisterCm(k: Windows, cookie: bigint): number {
  const list = registryCallbacks(k);
  const at = list.findIndex((one) => one.cookie === BigInt.asUintN(64, cookie));
  if (at < 0) return Status.INVALID_PARAMETER;
  list.splice(at, 1);
  return Status.SUCCESS;
}

// -- callback objects: \Callback\NAME, told by ExNotifyCallback ---------------------------------------------------------------

interface Listener {
  readonly handle: Address;
  readonly object: Address;
  readonly routine: Address;
  readonly context: Address;
}
const listeners = perKernel(() => [] as Listener[]);

function* createCallback(k: Windows, out: Address, attributes: Address, create: number): Steps<number> {
  const path = attributesPath(k, attributes);
  const found = path === '' ? undefined : k.objects.lookUp(path);
  if (found !== undefined && found.rest === '') {
    if (found.object.type !== 'Callback') return Status.OBJECT_TYPE_MISMATCH;
    k.objects.reference(found.object);
    k.memory.setPtr(out, found.object.address);
    return Status.SUCCESS;
  }
  if (create === 0) return Status.OBJECT_NAME_NOT_FOUND;
  const object = k.objects.create('Callback', 64);
  const status = path === '' ? Status.SUCCESS : k.objects.insert(object, path);
  if (status < 0) {
    yield* k.objects.dereference(object);
    return status;
  }
  k.memory.setPtr(out, object.address);
  return Status.SUCCESS;
}

function registerListener(k: Windows, object: Address, routine: Address, context: Address): Address {
  const callback = k.objects.at(object);
  if (callback?.type !== 'Callback') return 0;
  const handle = k.pool.allocate('nonpaged', 64, 0x726c6243, 0, true);
  if (handle === 0) return 0;
  k.objects.reference(callback);
  k.state(listeners).push({ handle, object, routine, context });
  return handle;
}

function* unregisterListener(k: Windows, handle: Address): Steps<void> {
  const list = k.state(listeners);
  const at = list.findIndex((one) => one.handle === handle);
  if (at < 0) return;
  const [{ object }] = list.splice(at, 1);
  k.pool.release(handle);
  const callback = k.objects.at(object);
  if (callback !== undefined) yield* k.objects.dereference(callback);
}

function* notify(k: Windows, object: Address, a: Address, b: Address): Steps<void> {
  for (const one of [...k.state(listeners)])
    if (one.object === object) yield* k.call(one.routine, one.context, a, b);
}

export const callbackFunctions = kernelFunctions({
  'NTSTATUS PsSetCreateProcessNotifyRoutine(PVOID routine, BOOLEAN remove)': (k, routine, remove) =>
    change(k, 'process', routine, remove),
  'NTSTATUS PsSetCreateProcessNotifyRoutineEx(PVOID routine, BOOLEAN remove)': (k, routine, remove) =>
    change(k, 'process-ex', routine, remove),
  'NTSTATUS PsSetCreateProcessNotifyRoutineEx2(ULONG type, PVOID routine, BOOLEAN remove)': (
    k,
    type,
    routine,
    remove,
  ) => (type === 0 ? change(k, 'process-ex', routine, remove) : Status.INVALID_PARAMETER),
  'NTSTATUS PsSetCreateThreadNotifyRoutine(PVOID routine)': (k, routine) => addRoutine(k, 'thread', routine),
  'NTSTATUS PsRemoveCreateThreadNotifyRoutine(PVOID routine)': (k, routine) =>
    removeRoutine(k, 'thread', routine),
  'NTSTATUS PsSetLoadImageNotifyRoutine(PVOID routine)': (k, routine) => addRoutine(k, 'image', routine),
  'NTSTATUS PsSetLoadImageNotifyRoutineEx(PVOID routine, SIZE_T flags)': (k, routine) =>
    addRoutine(k, 'image', routine),
  'NTSTATUS PsRemoveLoadImageNotifyRoutine(PVOID routine)': (k, routine) =>
    removeRoutine(k, 'image', routine),

  'NTSTATUS ObRegisterCallbacks(PVOID registration, PVOID *handle)': (k, registration, handle) =>
    registerHandles(k, registration, handle),
  'void ObUnRegisterCallbacks(PVOID handle)': (k, handle) => unregisterHandles(k, handle),
  'USHORT ObGetFilterVersion(void)': () => 0x100,

  'NTSTATUS CmRegisterCallback(PVOID routine, PVOID context, PVOID cookie)': (k, routine, context, cookie) =>
    registerCm(k, routine, context, '', cookie),
  'NTSTATUS CmRegisterCallbackEx(PVOID routine, PVOID altitude, PVOID driver, PVOID context, PVOID cookie, PVOID reserved)':
    (k, routine, altitude, _driver, context, cookie) =>
      registerCm(k, routine, context, unicodeString(k, altitude), cookie),
  'NTSTATUS CmUnRegisterCallback(u64 cookie)': (k, cookie) => unregisterCm(k, cookie),
  'void CmGetCallbackVersion(ULONG *major, ULONG *minor)': (k, major, minor) => {
    if (major !== 0) k.memory.set32(major, 1);
    if (minor !== 0) k.memory.set32(minor, 2);
  },

  'NTSTATUS ExCreateCallback(PVOID *object, PVOID attributes, BOOLEAN create, BOOLEAN many)': (
    k,
    out,
    attributes,
    create,
  ) => createCallback(k, out, attributes, create),
  'PVOID ExRegisterCallback(PVOID object, PVOID routine, PVOID context)': (k, object, routine, context) =>
    registerListener(k, object, routine, context),
  'void ExUnregisterCallback(PVOID handle)': (k, handle) => unregisterListener(k, handle),
  'void ExNotifyCallback(PVOID object, PVOID a, PVOID b)': (k, object, a, b) => notify(k, object, a, b),
});
