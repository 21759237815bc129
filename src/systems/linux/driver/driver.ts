/** Drivers of a bus (drivers/base/driver.c, bus.c): registered, shown in sysfs, offered devices, taken back. */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import { add, addGroups, initialise, put, remove, removeGroups, setName } from '../functions/kobject.ts';
import type { Linux } from '../linux.ts';
import { registeredOnly } from '../registered.ts';
import { sysfs } from '../sysfs.ts';
import { symlink } from '../vfs/node.ts';
import { attachDriver, bindByHand, detachDriver, devicesOf, driverKind, releaseDriver } from './bind.ts';
import { accept, addOwnFile, busDrivers, busPrivate, findByName, written } from './bus.ts';
import { type KobjectType, kobjectType } from './ktype.ts';
import { initKlist, joinKlist, leaveKlist } from './names.ts';

const DRIVER_TYPE: KobjectType = {
  release: 'driver_release',
  show: 'drv_attr_show',
  store: 'drv_attr_store',
};

export const driverKobject = (k: Linux, driver: Address): Address =>
  k.read('device_driver.p', driver) + k.offset('driver_private.kobj');

export function findDriver(k: Linux, bus: Address, name: string): Address {
  return busDrivers(k, bus).find((driver) => k.readString('device_driver.name', driver) === name) ?? 0;
}

/**
 * driver_register: 0 or a negative errno; free devices of the bus that it fits are probed before it returns. A driver of
 * the kernel's own (`own`) waits for devices without being counted as one that was only registered.
 */
export function* registerDriver(k: Linux, driver: Address, own = false): Steps<number> {
  const name = k.readString('device_driver.name', driver);
  const bus = k.read('device_driver.bus', driver);
  const priv = busPrivate(k, bus);
  if (priv === 0) {
    const busName = bus === 0 ? '' : k.readString('bus_type.name', bus);
    const why = 'because the bus was not initialized.';
    k.printk(3, `Driver '${name}' was unable to register with bus_type '${busName}' ${why}`);
    return -Errno.EINVAL;
  }
  if (findDriver(k, bus, name) !== 0) {
    k.printk(3, `Error: Driver '${name}' is already registered, aborting...`);
    return -Errno.EBUSY;
  }
  const error = yield* addToBus(k, driver, name, priv);
  if (error !== 0) return error;
  const groups = yield* addGroups(k, driverKobject(k, driver), k.read('device_driver.groups', driver));
  if (groups !== 0) yield* removeFromBus(k, driver);
  else if (!own && devicesOf(k, driver).length === 0) registeredOnly(k, driverKind(k, driver), name);
  return groups;
}

/** bus_add_driver */
function* addToBus(k: Linux, driver: Address, name: string, bus: Address): Steps<number> {
  const priv = k.heap.allocateZeroed(k.sizeof('driver_private'));
  initKlist(k, priv + k.offset('driver_private.klist_devices'));
  k.write('driver_private.driver', priv, driver);
  k.write('device_driver.p', driver, priv);
  const kobject = driverKobject(k, driver);
  initialise(k, kobject, kobjectType(k, DRIVER_TYPE));
  setName(k, kobject, name);
  k.write('kobject.kset', kobject, k.read('subsys_private.drivers_kset', bus));
  const error = yield* add(k, kobject);
  if (error !== 0) {
    yield* put(k, kobject);
    k.write('device_driver.p', driver, 0);
    return error;
  }
  const list = bus + k.offset('subsys_private.klist_drivers');
  joinKlist(k, list, priv + k.offset('driver_private.knode_bus'));
  const attached = k.read('subsys_private.drivers_autoprobe', bus) === 0 ? 0 : yield* attachDriver(k, driver);
  if (attached !== 0) {
    yield* removeFromBus(k, driver);
    return attached;
  }
  linkModule(k, driver);
  addOwnFile(k, kobject, 'uevent', 0o200, { store: (_k, _page, count) => accept(count) });
  yield* addGroups(k, kobject, k.read('bus_type.drv_groups', k.read('device_driver.bus', driver)));
  if (k.read('device_driver.suppress_bind_attrs', driver) === 0) addBindFiles(k, driver);
  return 0;
}

/** `bind` and `unbind`: writing a device's name there does what they say. */
function addBindFiles(k: Linux, driver: Address): void {
  const kobject = driverKobject(k, driver);
  const named = (kernel: Linux, page: Address, count: number): Address =>
    findByName(kernel, kernel.read('device_driver.bus', driver), written(kernel, page, count));
  addOwnFile(k, kobject, 'unbind', 0o200, {
    *store(kernel, page, count) {
      const device = named(kernel, page, count);
      if (device === 0 || kernel.read('device.driver', device) !== driver) return -Errno.ENODEV;
      yield* releaseDriver(kernel, device);
      return count;
    },
  });
  addOwnFile(k, kobject, 'bind', 0o200, {
    *store(kernel, page, count) {
      const error = yield* bindByHand(kernel, named(kernel, page, count), driver);
      return error === 0 ? count : error;
    },
  });
}

// -- the driver and its module (drivers/base/module.c) ----------------------------------------------------------------

const moduleKobject = (k: Linux, driver: Address): Address => {
  const owner = k.read('device_driver.owner', driver);
  return owner === 0 ? 0 : owner + k.offset('module.mkobj.kobj');
};

/** As it is called in /sys/module/NAME/drivers. */
function nameInModule(k: Linux, driver: Address): string {
  const bus = k.readString('bus_type.name', k.read('device_driver.bus', driver));
  return `${bus}:${k.readString('device_driver.name', driver)}`;
}

function linkModule(k: Linux, driver: Address): void {
  const tree = k.state(sysfs);
  const module = moduleKobject(k, driver);
  const node = module === 0 ? undefined : tree.directoryOf(module);
  const own = tree.directoryOf(driverKobject(k, driver));
  if (node === undefined || own === undefined) return;
  own.add(symlink('module', node.path));
  tree.subdirectory(module, 'drivers')?.add(symlink(nameInModule(k, driver), own.path));
}

function unlinkModule(k: Linux, driver: Address): void {
  const module = moduleKobject(k, driver);
  const node = module === 0 ? undefined : k.state(sysfs).directoryOf(module);
  const drivers = node?.child('drivers');
  drivers?.remove(nameInModule(k, driver));
  if (drivers !== undefined && drivers.list().length === 0) node?.remove('drivers');
}

// -- taking it back --------------------------------------------------------------------------------------------------

/** bus_remove_driver: no device is offered any more, those it has are let go, then it leaves sysfs. */
function* removeFromBus(k: Linux, driver: Address): Steps<void> {
  const bus = k.read('device_driver.bus', driver);
  const kobject = driverKobject(k, driver);
  removeGroups(k, kobject, k.read('bus_type.drv_groups', bus));
  leaveKlist(k, k.read('device_driver.p', driver) + k.offset('driver_private.knode_bus'));
  yield* detachDriver(k, driver);
  unlinkModule(k, driver);
  yield* remove(k, kobject);
  k.write('device_driver.p', driver, 0);
  yield* put(k, kobject);
}

/** driver_unregister; one that is not registered is the caller's mistake, and nothing happens. */
export function* unregisterDriver(k: Linux, driver: Address): Steps<boolean> {
  if (driver === 0 || k.read('device_driver.p', driver) === 0) return false;
  removeGroups(k, driverKobject(k, driver), k.read('device_driver.groups', driver));
  yield* removeFromBus(k, driver);
  return true;
}
