/** Binding a driver to the framework, making its driver object, and undoing both. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { attachDevice, createDevice, DeviceFlag, deleteDevice, setFlags, topOf } from '../devices.ts';
import { addDeviceBy, dispatchTo } from '../driver-object.ts';
import { Status } from '../status.ts';
import { unicodeString, wideText } from '../strings.ts';
import type { Windows } from '../windows.ts';
import { type DeviceInit, forgetDevice, noteDevice, type WdfDevice, type WdfDriver } from './io.ts';
import { create, need, remove, type WdfObject } from './objects.ts';
import { LAST_COPIED_COUNT, WDF_FUNCTIONS } from './table.ts';

const TAG = 0x4678_7246;
/** The newest version here: KMDF 1.33. Older drivers find all that theirs had. */
const NEWEST_MINOR = 33;

const state = perKernel(() => ({
  table: 0,
  /** Globals of a driver -> its framework driver object. */
  drivers: new Map<Address, WdfObject<WdfDriver>>(),
  byDriver: new Map<Address, WdfObject<WdfDriver>>(),
  inits: new Map<Address, DeviceInit>(),
}));

export const driverOfGlobals = (k: Windows, globals: Address): WdfObject<WdfDriver> | undefined =>
  k.state(state).drivers.get(globals);
export const wdfDriverOf = (k: Windows, driver: Address): WdfObject<WdfDriver> | undefined =>
  k.state(state).byDriver.get(driver);

/** Entries of the table that all drivers share: a gate for each function, also for those that nobody wrote. */
function tableAt(k: Windows): Address {
  const known = k.state(state);
  if (known.table === 0) {
    known.table = k.kernelData(WDF_FUNCTIONS.length * k.word, 'the framework function table');
    WDF_FUNCTIONS.forEach((name, i) => {
      k.memory.setPtr(known.table + i * k.word, k.exported(name) ?? k.gatesByName.missing(name));
    });
  }
  return known.table;
}

const NOT_FOUND_VERSION = Status.NOT_FOUND;

/** WdfVersionBind: gives the driver its function table and its globals. */
export function bind(k: Windows, driver: Address, info: Address, out: Address): number {
  const get = (field: string) => k.read(`WDF_BIND_INFO.${field}`, info);
  if (wideText(k, get('Component')).toLowerCase() !== 'kmdflibrary') return Status.INVALID_PARAMETER;
  const count = get('FuncCount');
  if (get('Major') !== 1 || get('Minor') > NEWEST_MINOR || count > WDF_FUNCTIONS.length)
    return NOT_FOUND_VERSION;
  const table = tableAt(k);
  if (count <= LAST_COPIED_COUNT) k.memory.copy(get('FuncTable'), table, count * k.word);
  else k.memory.setPtr(get('FuncTable'), table);
  const globals = k.pool.allocate('nonpaged', k.sizeof('WDF_DRIVER_GLOBALS'), TAG, 0, true);
  if (globals === 0) return Status.INSUFFICIENT_RESOURCES;
  const name = unicodeString(k, driver + k.offset('DRIVER_OBJECT.DriverName')).replace(/^.*\\/, '');
  k.memory.write(
    globals + k.offset('WDF_DRIVER_GLOBALS.DriverName'),
    new TextEncoder().encode(name.slice(0, 31)),
  );
  k.write('WDF_DRIVER_GLOBALS.DriverTag', globals, TAG);
  k.write('WDF_DRIVER_GLOBALS.DisplaceDriverUnload', globals, 1);
  k.memory.setPtr(out, globals);
  return Status.SUCCESS;
}

/** WdfVersionUnbind: what is left of the driver's objects goes. */
export function* unbind(k: Windows, globals: Address): Steps<number> {
  yield* forget(k, globals);
  k.pool.release(globals);
  return Status.SUCCESS;
}

function* forget(k: Windows, globals: Address): Steps<void> {
  const object = driverOfGlobals(k, globals);
  if (object === undefined) return;
  yield* remove(k, object);
  k.state(state).drivers.delete(globals);
  k.state(state).byDriver.delete(object.data.object);
}

/** WDF_DRIVER_INIT_FLAGS. */
const InitFlag = { NON_PNP: 1, NO_DISPATCH_OVERRIDE: 2 } as const;

interface DriverRequest {
  readonly globals: Address;
  readonly driver: Address;
  readonly path: Address;
  readonly attributes: Address;
  readonly config: Address;
  readonly out: Address;
}

/** WdfDriverCreate: dispatch routines, AddDevice and unload of the driver become the framework's. */
export function createDriver(k: Windows, r: DriverRequest): number {
  if (driverOfGlobals(k, r.globals) !== undefined) return 0xc0000720 | 0;
  const get = (field: string) => k.read(`WDF_DRIVER_CONFIG.${field}`, r.config);
  const flags = get('DriverInitFlags');
  const nonPnp = (flags & InitFlag.NON_PNP) !== 0;
  // A miniport's dispatch routines belong to its port driver, which also hears of its devices.
  const miniport = (flags & InitFlag.NO_DISPATCH_OVERRIDE) !== 0;
  if (!nonPnp && !miniport && get('EvtDriverDeviceAdd') === 0) return Status.INVALID_PARAMETER;
  if (nonPnp && get('EvtDriverDeviceAdd') !== 0) return Status.INVALID_PARAMETER;
  const data: WdfDriver = {
    object: r.driver,
    globals: r.globals,
    deviceAdd: get('EvtDriverDeviceAdd'),
    unload: get('EvtDriverUnload'),
    path: unicodeString(k, r.path),
  };
  const object = create(k, 'driver', data, r.attributes, undefined);
  if (typeof object === 'number') return object;
  k.state(state).drivers.set(r.globals, object);
  k.state(state).byDriver.set(r.driver, object);
  k.write('WDF_DRIVER_GLOBALS.Driver', r.globals, object.handle);
  k.write('WDF_DRIVER_GLOBALS.DriverFlags', r.globals, flags);
  if (!miniport) overrideRoutines(k, r, nonPnp, data.unload !== 0);
  if (r.out !== 0) k.memory.setPtr(r.out, object.handle);
  return Status.SUCCESS;
}

/** Dispatch routines, AddDevice and DriverUnload of the driver object become the framework's. */
function overrideRoutines(k: Windows, r: DriverRequest, nonPnp: boolean, unloads: boolean): void {
  dispatchTo(k, r.driver, 'FxDispatch');
  if (!nonPnp) addDeviceBy(k, r.driver, 'FxAddDevice');
  // A driver that is not of a bus and has no unload event stays for ever.
  if (!nonPnp || unloads) k.write('DRIVER_OBJECT.DriverUnload', r.driver, k.exported('FxUnload') ?? 0);
  else k.write('WDF_DRIVER_GLOBALS.DisplaceDriverUnload', r.globals, 0);
}

/** The framework's DriverUnload: the driver's event, then its objects. */
export function* unload(k: Windows, driver: Address): Steps<void> {
  const object = wdfDriverOf(k, driver);
  if (object === undefined) return;
  if (object.data.unload !== 0) yield* k.call(object.data.unload, object.handle);
  yield* forget(k, object.data.globals);
}

/** The service key below which a driver's parameters are. */
export const parametersPath = ({ path }: WdfDriver): string => `${path}\\Parameters`;

// -- devices --------------------------------------------------------------------------------------------------------------------

export function newInit(
  k: Windows,
  driver: WdfObject<WdfDriver>,
  control: boolean,
  pdo: Address,
): DeviceInit | undefined {
  const handle = k.pool.allocate('nonpaged', 64, TAG, 0, true);
  if (handle === 0) return undefined;
  const init: DeviceInit = {
    handle,
    driver,
    control,
    pdo,
    name: undefined,
    type: 0x22,
    characteristics: 0x100,
    exclusive: false,
    ioType: 2,
    filter: false,
    file: undefined,
    pnpEvents: [],
    fileAttributes: 0,
    requestAttributes: 0,
  };
  k.state(state).inits.set(handle, init);
  return init;
}

export function initOf(k: Windows, handle: Address): DeviceInit | undefined {
  return k.state(state).inits.get(handle);
}

export function freeInit(k: Windows, { handle, fileAttributes, requestAttributes }: DeviceInit): void {
  for (const at of [fileAttributes, requestAttributes]) if (at !== 0) k.pool.release(at);
  k.state(state).inits.delete(handle);
  k.pool.release(handle);
}

const IO_TYPES: Readonly<Record<number, number>> = { 2: DeviceFlag.BUFFERED_IO, 3: DeviceFlag.DIRECT_IO };

/** WdfDeviceCreate. The pointer to the init becomes NULL when it is used up. */
export function* createWdfDevice(
  k: Windows,
  initAt: Address,
  attributes: Address,
  out: Address,
): Steps<number> {
  const init = initOf(k, k.memory.ptr(initAt));
  if (init === undefined) return Status.INVALID_PARAMETER;
  const driver = init.driver.data.object;
  const { status, device } = createDevice(
    k,
    driver,
    0,
    init.name,
    init.type,
    init.characteristics,
    init.exclusive,
  );
  if (status < 0) return status;
  const attached = init.pdo === 0 ? 0 : attachDevice(k, device, init.pdo);
  const lower = attached === 0 ? 0 : k.read('DEVICE_OBJECT.Flags', attached);
  const buffers = init.filter
    ? lower & (DeviceFlag.BUFFERED_IO | DeviceFlag.DIRECT_IO)
    : (IO_TYPES[init.ioType] ?? 0);
  setFlags(k, device, buffers, init.pdo === 0 ? 0 : DeviceFlag.DEVICE_INITIALIZING);
  const data: WdfDevice = {
    wdm: device,
    driver: init.driver,
    init,
    attached,
    powered: false,
    defaultQueue: undefined,
    dispatch: new Map(),
    links: [],
    files: new Map(),
  };
  const object = create(k, 'device', data, attributes, init.driver);
  if (typeof object === 'number') {
    yield* deleteDevice(k, device);
    return object;
  }
  object.dispose = () => disposeDevice(k, object);
  noteDevice(k, object);
  k.memory.setPtr(initAt, 0);
  k.memory.setPtr(out, object.handle);
  return Status.SUCCESS;
}

function* disposeDevice(k: Windows, { data }: WdfObject<WdfDevice>): Steps<void> {
  for (const link of data.links) {
    const object = k.objects.linkAt(link);
    if (object !== undefined) yield* k.objects.dereference(object);
  }
  forgetDevice(k, data.wdm);
  if (data.attached !== 0) k.write('DEVICE_OBJECT.AttachedDevice', data.attached, 0);
  yield* deleteDevice(k, data.wdm);
  freeInit(k, data.init);
}

/** AddDevice: the driver gets an init for the device below and makes its own above it. */
export function* addDevice(k: Windows, driver: Address, pdo: Address): Steps<number> {
  const object = wdfDriverOf(k, driver);
  if (object === undefined) return Status.NO_SUCH_DEVICE;
  const init = newInit(k, object, false, pdo);
  if (init === undefined) return Status.INSUFFICIENT_RESOURCES;
  const status = yield* k.callInt(object.data.deviceAdd, object.handle, init.handle);
  if (status < 0 && initOf(k, init.handle) !== undefined && topOf(k, pdo) === pdo) freeInit(k, init);
  return status;
}

export const device = (k: Windows, handle: Address): WdfObject<WdfDevice> =>
  need<WdfDevice>(k, handle, 'device');
