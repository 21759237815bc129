/**
 * Plug and Play: device nodes that appear and go. A node has a physical device of the root bus; the drivers that its key in
 * the registry names are loaded, asked by AddDevice to put their devices above it, and started (IopInitializeDevice...).
 */
import { perKernel } from '../../kernel/kernel.ts';
import type { Steps } from '../../kernel/steps.ts';
import type { Address } from '../../memory/space.ts';
import { createDevice, DeviceFlag, deleteDevice, setFlags, topOf } from './devices.ts';
import { addDeviceOf, dispatchTo, serviceOf } from './driver-object.ts';
import { Major } from './irp.ts';
import { driverOf, fillDriver, loadDriver } from './load.ts';
import type { SessionPolicy } from './policy.ts';
import type { RegistryKey } from './registry.ts';
import { request } from './requests.ts';
import { Status } from './status.ts';
import { unloadIdle } from './unload.ts';
import type { Windows } from './windows.ts';

/** Minor functions of IRP_MJ_PNP. */
export const Pnp = {
  START: 0,
  QUERY_REMOVE: 1,
  REMOVE: 2,
  CANCEL_REMOVE: 3,
  STOP: 4,
  QUERY_STOP: 5,
  CANCEL_STOP: 6,
  QUERY_RELATIONS: 7,
  QUERY_CAPABILITIES: 9,
  QUERY_ID: 0x13,
  QUERY_STATE: 0x14,
  SURPRISE_REMOVAL: 0x17,
} as const;

const ENUM = '\\Registry\\Machine\\System\\CurrentControlSet\\Enum';
const BUS_ENUMERATED = 0x1000;
const FILE_DEVICE_UNKNOWN = 0x22;
const CAPABILITIES_BYTES = 64;
const TAG = 0x20706e50;

export interface DeviceNode {
  /** ROOT\NAME\0000 */
  readonly instance: string;
  readonly pdo: Address;
  readonly key: RegistryKey;
  started: boolean;
  /** Why it has no working driver. */
  problem: Problem | undefined;
}

interface Problem {
  readonly status: number;
  /** The step that failed. */
  readonly what: string;
  /** In our words: why. */
  readonly why?: string;
}

const pnp = perKernel(() => ({ driver: 0, named: 0, nodes: [] as DeviceNode[] }));

export const deviceNodes = (k: Windows): readonly DeviceNode[] => k.state(pnp).nodes;
export const nodeOf = (k: Windows, pdo: Address): DeviceNode | undefined =>
  k.state(pnp).nodes.find((node) => node.pdo === pdo);

/** \Driver\PnpManager: the driver of the root bus, which is the kernel itself. */
function rootDriver(k: Windows): Address {
  const state = k.state(pnp);
  if (state.driver !== 0) return state.driver;
  const path = '\\Driver\\PnpManager';
  const bytes = k.sizeof('DRIVER_OBJECT') + k.sizeof('DRIVER_EXTENSION') + 16;
  const object = k.objects.create('Driver', bytes, {});
  k.objects.insert(object, path);
  fillDriver(k, object.address, 'PnpManager', path, undefined);
  dispatchTo(k, object.address, 'FxRootDispatch');
  state.driver = object.address;
  return object.address;
}

/** A physical device with its key, whose Service names the driver. */
function newNode(k: Windows, id: string, service: string): DeviceNode | number {
  const parent = k.registry.create(`${ENUM}\\Root\\${id}`);
  let number = 0;
  const free = () => `${number}`.padStart(4, '0');
  while (nodeNamed(k, `ROOT\\${id}\\${free()}`) !== undefined) number++;
  const key = parent.create(free());
  if (key.text('Service') === undefined) key.setText('Service', service);
  if (key.value('HardwareID') === undefined) key.setMulti('HardwareID', [`Root\\${id}`]);
  const state = k.state(pnp);
  const name = `\\Device\\${(++state.named).toString(16).padStart(8, '0')}`;
  const { status, device } = createDevice(k, rootDriver(k), 0, name, FILE_DEVICE_UNKNOWN, 0x80, false);
  if (status < 0) return status;
  setFlags(k, device, BUS_ENUMERATED, DeviceFlag.DEVICE_INITIALIZING);
  const node = {
    instance: `ROOT\\${id.toUpperCase()}\\${free()}`,
    pdo: device,
    key,
    started: false,
    problem: undefined,
  };
  state.nodes.push(node);
  return node;
}

export const nodeNamed = (k: Windows, instance: string): DeviceNode | undefined =>
  k.state(pnp).nodes.find((node) => node.instance.toLowerCase() === instance.toLowerCase());

/** IoReportDetectedDevice: a device that a driver of NT 4's kind found itself, and serves already. */
export function reportNode(k: Windows, driver: Address): DeviceNode | number {
  const service = serviceOf(k, driver);
  const node = newNode(k, service, service);
  if (typeof node !== 'number') node.started = true;
  return node;
}

/** Drivers of a node from the bottom up: filters below, the function driver, filters above. */
function services(k: Windows, { key }: DeviceNode): string[] {
  const guid = key.text('ClassGUID');
  const ofClass = guid === undefined ? undefined : k.registry.control.child('Class')?.child(guid);
  const filters = (name: string) => [...key.multi(name), ...(ofClass?.multi(name) ?? [])];
  const service = key.text('Service');
  return [
    ...filters('LowerFilters'),
    ...(service === undefined ? [] : [service]),
    ...filters('UpperFilters'),
  ];
}

/** The driver object of a service, loaded now when it is not yet. */
function* driverFor(k: Windows, policy: SessionPolicy, service: string): Steps<Address | Problem> {
  const what = `loading ${service}`;
  const key = k.registry.services.child(service);
  if (key === undefined)
    return { status: Status.OBJECT_NAME_NOT_FOUND, what, why: 'There is no service of that name.' };
  const loaded = driverOf(k, key);
  if (loaded !== undefined) return loaded;
  const { status, why, hint } = yield* loadDriver(k, policy, service);
  const driver = driverOf(k, key);
  if (status >= 0 && driver !== undefined) return driver;
  const words = [why, hint].filter((text) => text !== undefined).join(' ');
  return { status: status < 0 ? status : Status.NO_SUCH_DEVICE, what, why: words === '' ? undefined : words };
}

/** A device appears: AddDevice of its drivers, then IRP_MN_START_DEVICE and what the manager asks of a started device. */
export function* addNode(
  k: Windows,
  policy: SessionPolicy,
  id: string,
  service: string,
): Steps<DeviceNode | number> {
  const node = newNode(k, id, service);
  if (typeof node === 'number') return node;
  for (const name of services(k, node)) {
    const problem = yield* addDriver(k, policy, node, name);
    if (problem !== undefined) {
      node.problem = problem;
      // Whoever is above the physical device already hears that it goes.
      yield* removeStack(k, node);
      return node;
    }
  }
  const status = yield* send(k, node, Pnp.START);
  if (status < 0) {
    node.problem = { status, what: 'IRP_MN_START_DEVICE' };
    yield* removeStack(k, node);
    return node;
  }
  node.started = true;
  yield* queryCapabilities(k, node);
  yield* send(k, node, Pnp.QUERY_STATE);
  yield* send(k, node, Pnp.QUERY_RELATIONS);
  return node;
}

function* addDriver(
  k: Windows,
  policy: SessionPolicy,
  node: DeviceNode,
  service: string,
): Steps<Problem | undefined> {
  const driver = yield* driverFor(k, policy, service);
  if (typeof driver !== 'number') return driver;
  const what = `AddDevice of ${service}`;
  const routine = addDeviceOf(k, driver);
  if (routine === 0)
    return { status: Status.NO_SUCH_DEVICE, what, why: 'The driver has none: it is no driver of devices.' };
  const status = yield* k.callInt(routine, driver, node.pdo);
  return status < 0 ? { status, what } : undefined;
}

function* send(
  k: Windows,
  { pdo }: DeviceNode,
  minor: number,
  prepare: (stack: Address) => void = () => undefined,
): Steps<number> {
  const { status } = yield* request(k, 0, pdo, Major.PNP, (irp, stack) => {
    k.write('IRP.RequestorMode', irp, 0);
    k.write('IRP.IoStatus.Status', irp, Status.NOT_SUPPORTED);
    k.write('IO_STACK_LOCATION.MinorFunction', stack, minor);
    prepare(stack);
  });
  return status;
}

/** DEVICE_CAPABILITIES: size and version, then what is not known. */
function* queryCapabilities(k: Windows, node: DeviceNode): Steps<void> {
  const at = k.pool.allocate('nonpaged', CAPABILITIES_BYTES, TAG, 0, true);
  if (at === 0) return;
  k.memory.set16(at, CAPABILITIES_BYTES);
  k.memory.set16(at + 2, 1);
  k.memory.set32(at + 8, 0xffffffff);
  k.memory.set32(at + 12, 0xffffffff);
  yield* send(k, node, Pnp.QUERY_CAPABILITIES, (stack) => {
    k.write('IO_STACK_LOCATION.Parameters.Others.Argument1', stack, at);
  });
  k.pool.release(at);
}

/** Is any device of the stack open? */
function inUse(k: Windows, pdo: Address): boolean {
  for (let device = pdo; device !== 0; device = k.read('DEVICE_OBJECT.AttachedDevice', device))
    if (k.read('DEVICE_OBJECT.ReferenceCount', device) !== 0) return true;
  return false;
}

/** A device is taken away in order: everybody is asked, and a no, or an open handle, keeps it. */
export function* removeNode(k: Windows, node: DeviceNode): Steps<number> {
  if (node.started) {
    const status = yield* send(k, node, Pnp.QUERY_REMOVE);
    if (status < 0 || inUse(k, node.pdo)) {
      yield* send(k, node, Pnp.CANCEL_REMOVE);
      return status < 0 ? status : Status.DEVICE_BUSY;
    }
    yield* removeStack(k, node);
  }
  const state = k.state(pnp);
  state.nodes.splice(state.nodes.indexOf(node), 1);
  yield* deleteDevice(k, node.pdo);
  return Status.SUCCESS;
}

/** Pulled out: nobody is asked. @returns DEVICE_BUSY while handles are open: the removal itself has to wait for them */
export function* surpriseNode(k: Windows, node: DeviceNode): Steps<number> {
  yield* send(k, node, Pnp.SURPRISE_REMOVAL);
  if (inUse(k, node.pdo)) return Status.DEVICE_BUSY;
  yield* removeStack(k, node);
  node.started = false;
  return yield* removeNode(k, node);
}

/** IRP_MN_REMOVE_DEVICE; drivers that have no device any more are unloaded, from the top down. */
function* removeStack(k: Windows, node: DeviceNode): Steps<void> {
  if (topOf(k, node.pdo) !== node.pdo) yield* send(k, node, Pnp.REMOVE);
  node.started = false;
  for (const name of services(k, node).reverse()) {
    const key = k.registry.services.child(name);
    const driver = key === undefined ? undefined : driverOf(k, key);
    if (driver !== undefined) yield* unloadIdle(k, driver);
  }
}
