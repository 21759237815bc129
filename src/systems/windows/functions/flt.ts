/**
 * The filter manager as far as registering goes: a minifilter is known by name and altitude, starts, and goes again. No
 * volume here has a file system stack, so no instance is attached and no operation reaches a filter: its callbacks are
 * counted as registered only.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { serviceOf } from '../driver-object.ts';
import type { KernelObject } from '../objects.ts';
import { AceType, absoluteHead, addAce, createAcl, DescriptorFlag, setPart, sidBytes } from '../security.ts';
import { Status } from '../status.ts';
import type { Windows } from '../windows.ts';
import { callerOf, kernelFunctions } from './define.ts';
import { attributesPath } from './ps.ts';

export interface MiniFilter {
  readonly handle: Address;
  readonly driver: Address;
  readonly name: string;
  readonly altitude: string;
  readonly unload: Address;
  /** Major functions it has callbacks for. */
  readonly operations: number;
  started: boolean;
}

const filters = perKernel(() => [] as MiniFilter[]);
export const miniFilters = (k: Windows): readonly MiniFilter[] => k.state(filters);

const TAG = 0x6c664d46;
/** FLT_REGISTRATION.Version: 2.00 to 2.03. */
const VERSIONS = [0x200, 0x201, 0x202, 0x203];
const OPERATION_END = 0x80;
const INVALID_CONTEXT_REGISTRATION = 0xc01c0013 | 0;

/** The altitude of the default instance, which the service's key must name. */
function altitudeOf(k: Windows, service: string): string | undefined {
  const key = k.registry.services.child(service)?.child('Instances');
  const instance = key?.text('DefaultInstance');
  return instance === undefined ? undefined : key?.child(instance)?.text('Altitude');
}

function countOperations(k: Windows, list: Address): number {
  if (list === 0) return 0;
  const bytes = k.sizeof('FLT_OPERATION_REGISTRATION');
  let count = 0;
  while (count < 64 && k.memory.u8(list + count * bytes) !== OPERATION_END) count++;
  return count;
}

function register(k: Windows, driver: Address, registration: Address, out: Address): number {
  const get = (field: string) => k.read(`FLT_REGISTRATION.${field}`, registration);
  if (!VERSIONS.includes(get('Version'))) return INVALID_CONTEXT_REGISTRATION;
  const name = serviceOf(k, driver);
  const altitude = altitudeOf(k, name);
  if (altitude === undefined) return Status.OBJECT_NAME_NOT_FOUND;
  const handle = k.pool.allocate('nonpaged', 64, TAG, 0, true);
  if (handle === 0) return Status.INSUFFICIENT_RESOURCES;
  const operations = countOperations(k, get('OperationRegistration'));
  const unload = get('FilterUnloadCallback');
  k.state(filters).push({ handle, driver, name, altitude, unload, operations, started: false });
  // The filter manager's own unload asks the filter's routine.
  k.write('DRIVER_OBJECT.DriverUnload', driver, unload === 0 ? 0 : (k.exported('FxFilterUnload') ?? 0));
  k.memory.setPtr(out, handle);
  return Status.SUCCESS;
}

function unregister(k: Windows, handle: Address): void {
  const list = k.state(filters);
  const at = list.findIndex((one) => one.handle === handle);
  if (at < 0) return;
  list.splice(at, 1);
  k.pool.release(handle);
}

/** What has not unregistered itself in its routine is taken out behind it. */
function* unload(k: Windows, driver: Address): Steps<void> {
  const filter = k.state(filters).find((one) => one.driver === driver);
  if (filter === undefined) return;
  yield* k.callInt(filter.unload, 0);
  unregister(k, filter.handle);
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
  'NTSTATUS FltStartFiltering(PVOID filter)': (k, handle) => {
    const filter = k.state(filters).find((one) => one.handle === handle);
    if (filter === undefined) return Status.INVALID_PARAMETER;
    filter.started = true;
    return Status.SUCCESS;
  },
  'void FltUnregisterFilter(PVOID filter)': (k, handle) => unregister(k, handle),
  'void FxFilterUnload(PVOID driver)': (k, driver) => unload(k, driver),
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
