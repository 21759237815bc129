/** The filter manager's functions for registering, instances, volumes, and what a callback asks of its operation. */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { serviceOf } from '../driver-object.ts';
import {
  addFilter,
  attach,
  FltStatus,
  filterAt,
  filterInstances,
  instanceAt,
  type MiniFilter,
  miniFilters,
  type Registration,
  removeFilter,
  SetupFlag,
  VOLUME_DEVICE,
  volumeHandle,
} from '../minifilter.ts';
import type { KernelObject } from '../objects.ts';
import { openFileOf } from '../open-files.ts';
import { AceType, absoluteHead, addAce, createAcl, DescriptorFlag, setPart, sidBytes } from '../security.ts';
import { Status } from '../status.ts';
import { encodeUtf16, unicodeString } from '../strings.ts';
import type { Windows } from '../windows.ts';
import { callerOf, kernelFunctions } from './define.ts';
import { attributesPath } from './ps.ts';

const TAG = 0x6c664d46;
/** FLT_REGISTRATION.Version: 2.00 to 2.03. */
const VERSIONS = [0x200, 0x201, 0x202, 0x203];
const LIST_END = { operations: 0x80, contexts: 0xffff } as const;
const MAX_LISTED = 64;
const INVALID_CONTEXT_REGISTRATION = 0xc01c0013 | 0;
const DIRTY = 0x80000000;

/** The default instance that the service's key must name, and its altitude. */
function instanceOf(k: Windows, service: string): { instance: string; altitude: string } | undefined {
  const key = k.registry.services.child(service)?.child('Instances');
  const instance = key?.text('DefaultInstance');
  const altitude = instance === undefined ? undefined : key?.child(instance)?.text('Altitude');
  return instance === undefined || altitude === undefined ? undefined : { instance, altitude };
}

function readRegistration(k: Windows, at: Address): Registration {
  const get = (field: string) => k.read(`FLT_REGISTRATION.${field}`, at);
  const operations = new Map<number, { before: Address; after: Address }>();
  const [list, contextList] = [get('OperationRegistration'), get('ContextRegistration')];
  for (let n = 0; list !== 0 && n < MAX_LISTED; n++) {
    const entry = list + n * k.sizeof('FLT_OPERATION_REGISTRATION');
    const major = k.read('FLT_OPERATION_REGISTRATION.MajorFunction', entry);
    if (major === LIST_END.operations) break;
    operations.set(major, {
      before: k.read('FLT_OPERATION_REGISTRATION.PreOperation', entry),
      after: k.read('FLT_OPERATION_REGISTRATION.PostOperation', entry),
    });
  }
  const contexts = new Map<number, Address>();
  for (let n = 0; contextList !== 0 && n < MAX_LISTED; n++) {
    const entry = contextList + n * k.sizeof('FLT_CONTEXT_REGISTRATION');
    const type = k.read('FLT_CONTEXT_REGISTRATION.ContextType', entry);
    if (type === LIST_END.contexts) break;
    contexts.set(type, k.read('FLT_CONTEXT_REGISTRATION.ContextCleanupCallback', entry));
  }
  return {
    unload: get('FilterUnloadCallback'),
    setup: get('InstanceSetupCallback'),
    queryTeardown: get('InstanceQueryTeardownCallback'),
    teardownStart: get('InstanceTeardownStartCallback'),
    teardownComplete: get('InstanceTeardownCompleteCallback'),
    operations,
    contexts,
  };
}

function register(k: Windows, driver: Address, at: Address, out: Address): number {
  if (!VERSIONS.includes(k.read('FLT_REGISTRATION.Version', at))) return INVALID_CONTEXT_REGISTRATION;
  const name = serviceOf(k, driver);
  const where = instanceOf(k, name);
  if (where === undefined) return Status.OBJECT_NAME_NOT_FOUND;
  const registration = readRegistration(k, at);
  const handle = addFilter(k, { driver, name, ...where, registration });
  if (handle === 0) return Status.INSUFFICIENT_RESOURCES;
  // The filter manager's own unload asks the filter's routine.
  const { unload } = registration;
  k.write('DRIVER_OBJECT.DriverUnload', driver, unload === 0 ? 0 : (k.exported('FxFilterUnload') ?? 0));
  k.memory.setPtr(out, handle);
  return Status.SUCCESS;
}

/** Instances on the volumes there are; a filter that wants none filters nothing. */
function* startFiltering(k: Windows, filter: MiniFilter | undefined): Steps<number> {
  if (filter === undefined) return Status.INVALID_PARAMETER;
  filter.started = true;
  yield* attach(k, filter, SetupFlag.AUTOMATIC);
  return Status.SUCCESS;
}

/** What has not unregistered itself in its routine is taken out behind it; it may refuse. */
function* unload(k: Windows, driver: Address): Steps<void> {
  const filter = miniFilters(k).find((one) => one.driver === driver);
  if (filter === undefined) return;
  yield* k.callInt(filter.registration.unload, 0);
  if (miniFilters(k).includes(filter)) yield* removeFilter(k, filter);
}

/** The process that a thread of an operation belongs to. */
function requestor(k: Windows, data: Address): KernelObject {
  return k.threads.processOf(k.threads.at(k.read('FLT_CALLBACK_DATA.Thread', data)));
}

const setFlags = (k: Windows, data: Address, flags: number): void =>
  k.write('FLT_CALLBACK_DATA.Flags', data, flags >>> 0);

/** Writes a counted string that the caller has room for; the length it needs. */
function giveName(k: Windows, name: string, out: Address, needed: Address): number {
  const bytes = encodeUtf16(name);
  if (needed !== 0) k.memory.set32(needed, bytes.length);
  if (out === 0 || k.read('UNICODE_STRING.MaximumLength', out) < bytes.length) return Status.BUFFER_TOO_SMALL;
  k.memory.write(k.read('UNICODE_STRING.Buffer', out), bytes);
  k.write('UNICODE_STRING.Length', out, bytes.length);
  return Status.SUCCESS;
}

/** Administrators and the system may connect. */
function defaultDescriptor(k: Windows, out: Address, access: number): number {
  const sids = ['S-1-5-32-544', 'S-1-5-18'].map(sidBytes);
  const head = absoluteHead(k);
  const aclBytes = 8 + sids.reduce((sum, sid) => sum + 8 + sid.length, 0);
  const total = head + aclBytes + Math.max(...sids.map(({ length }) => length));
  const sd = k.pool.allocate('paged', total, TAG, callerOf(k), true);
  if (sd === 0) return Status.INSUFFICIENT_RESOURCES;
  k.memory.set8(sd, 1);
  createAcl(k, sd + head, aclBytes, 2);
  for (const sid of sids) {
    k.memory.write(sd + head + aclBytes, sid);
    addAce(k, sd + head, AceType.ALLOWED, 0, access, sd + head + aclBytes);
  }
  setPart(k, sd, 'dacl', sd + head, DescriptorFlag.DACL_PRESENT, 0);
  k.memory.setPtr(out, sd);
  return Status.SUCCESS;
}

function* createPort(k: Windows, out: Address, attributes: Address): Steps<number> {
  const object: KernelObject = k.objects.create('FilterConnectionPort', 64);
  const status = k.objects.insert(object, attributesPath(k, attributes));
  if (status < 0) yield* k.objects.dereference(object);
  else k.memory.setPtr(out, object.address);
  return status;
}

export const fltFunctions = kernelFunctions({
  'NTSTATUS FltRegisterFilter(PVOID driver, PVOID registration, PVOID *filter)': (
    k,
    driver,
    registration,
    out,
  ) => register(k, driver, registration, out),
  'NTSTATUS FltStartFiltering(PVOID filter)': (k, handle) => startFiltering(k, filterAt(k, handle)),
  'void FltUnregisterFilter(PVOID filter)': function* (k, handle) {
    const filter = filterAt(k, handle);
    if (filter !== undefined) yield* removeFilter(k, filter);
  },
  'void FxFilterUnload(PVOID driver)': (k, driver) => unload(k, driver),

  'PVOID FltGetRequestorProcess(PVOID data)': (k, data) => requestor(k, data).address,
  'ULONG FltGetRequestorProcessId(PVOID data)': (k, data) => k.threads.processId(requestor(k, data).address),
  'PVOID FltGetRequestorProcessIdEx(PVOID data)': (k, data) =>
    k.threads.processId(requestor(k, data).address),
  'void FltSetCallbackDataDirty(PVOID data)': (k, data) =>
    setFlags(k, data, k.read('FLT_CALLBACK_DATA.Flags', data) | DIRTY),
  'void FltClearCallbackDataDirty(PVOID data)': (k, data) =>
    setFlags(k, data, k.read('FLT_CALLBACK_DATA.Flags', data) & ~DIRTY),
  'BOOLEAN FltIsCallbackDataDirty(PVOID data)': (k, data) =>
    (k.read('FLT_CALLBACK_DATA.Flags', data) & DIRTY) !== 0,
  // Every operation here ends before the call that makes it returns.
  'BOOLEAN FltIsOperationSynchronous(PVOID data)': () => true,
  'NTSTATUS FltIsDirectory(PVOID file, PVOID instance, BOOLEAN *directory)': (k, file, _instance, out) => {
    const object = k.objects.at(file);
    const open = object === undefined ? undefined : openFileOf(k, object);
    if (open === undefined) return Status.INVALID_PARAMETER;
    k.memory.set8(out, open.node.data === undefined ? 1 : 0);
    return Status.SUCCESS;
  },

  'NTSTATUS FltGetVolumeName(PVOID volume, PVOID name, ULONG *needed)': (k, volume, out, needed) =>
    volume === volumeHandle(k) ? giveName(k, VOLUME_DEVICE, out, needed) : Status.INVALID_PARAMETER,
  'NTSTATUS FltGetVolumeFromInstance(PVOID instance, PVOID *volume)': (k, instance, out) => {
    if (instanceAt(k, instance) === undefined) return FltStatus.INSTANCE_NOT_FOUND;
    k.memory.setPtr(out, volumeHandle(k));
    return Status.SUCCESS;
  },
  'NTSTATUS FltGetFilterFromInstance(PVOID instance, PVOID *filter)': (k, handle, out) => {
    const instance = instanceAt(k, handle);
    if (instance === undefined) return FltStatus.INSTANCE_NOT_FOUND;
    k.memory.setPtr(out, instance.filter.handle);
    return Status.SUCCESS;
  },
  'NTSTATUS FltGetFilterFromName(PVOID name, PVOID *filter)': (k, name, out) => {
    const wanted = unicodeString(k, name).toLowerCase();
    const filter = miniFilters(k).find((one) => one.name.toLowerCase() === wanted);
    if (filter === undefined) return FltStatus.FILTER_NOT_FOUND;
    k.memory.setPtr(out, filter.handle);
    return Status.SUCCESS;
  },
  'NTSTATUS FltEnumerateVolumes(PVOID filter, PVOID *list, ULONG room, ULONG *count)': (
    k,
    _filter,
    list,
    room,
    count,
  ) => {
    k.memory.set32(count, 1);
    if (room < 1) return Status.BUFFER_TOO_SMALL;
    k.memory.setPtr(list, volumeHandle(k));
    return Status.SUCCESS;
  },
  'NTSTATUS FltAttachVolume(PVOID filter, PVOID volume, PVOID name, PVOID *instance)': function* (
    k,
    handle,
    _volume,
    name,
    out,
  ) {
    const filter = filterAt(k, handle);
    if (filter === undefined) return Status.INVALID_PARAMETER;
    const given = name === 0 ? undefined : unicodeString(k, name);
    const status = yield* attach(k, filter, SetupFlag.MANUAL, given);
    if (status >= 0 && out !== 0) {
      const made = filterInstances(k).find(
        (one) => one.filter === filter && one.name === (given ?? filter.instance),
      );
      k.memory.setPtr(out, made?.handle ?? 0);
    }
    return status;
  },
  // Filters, volumes and instances live as long as they are attached; references are not counted.
  'NTSTATUS FltObjectReference(PVOID object)': () => Status.SUCCESS,
  'void FltObjectDereference(PVOID object)': () => undefined,
  'NTSTATUS FltBuildDefaultSecurityDescriptor(PVOID *sd, ACCESS_MASK access)': (k, out, access) =>
    defaultDescriptor(k, out, access),
  'void FltFreeSecurityDescriptor(PVOID sd)': (k, sd) => {
    k.pool.release(sd);
  },
  'NTSTATUS FltCreateCommunicationPort(PVOID filter, PVOID *port, PVOID attributes, PVOID cookie, PVOID connect, PVOID disconnect, PVOID message, LONG most)':
    (k, _filter, out, attributes) => createPort(k, out, attributes),
  'void FltCloseCommunicationPort(PVOID port)': function* (k, port) {
    const object = k.objects.at(port);
    if (object !== undefined) yield* k.objects.dereference(object);
  },
  'PVOID FltGetRoutineAddress(PCSTR name)': (k, name) => k.exported(k.memory.cstring(name)) ?? 0,
});
