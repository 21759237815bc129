/**
 * Devices and drivers find each other (drivers/base/dd.c): the bus says who fits, the driver's probe takes the device
 * or refuses it. A probe that asks to be called again later (-EPROBE_DEFER) is called when the next driver has bound.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import { releaseAll } from '../functions/devm.ts';
import { addGroups, removeGroups } from '../functions/kobject.ts';
import { devicePrefix } from '../functions/printk.ts';
import type { Linux } from '../linux.ts';
import { addTail, entries, initList, listEmpty, removeInit } from '../lists.ts';
import { putToUse } from '../registered.ts';
import { sysfs } from '../sysfs.ts';
import { BUS_NOTIFY, busDevices, busDrivers, busPrivate, notifyBus } from './bus.ts';
import { deviceName, joinKlist, klistMembers, kobjectOf, leaveKlist } from './names.ts';

/** include/linux/errno.h: the device is not ready to be probed. */
const EPROBE_DEFER = 517;

/** deferred_probe_pending_list, which the kernel does not export: devices whose probe was put off, in order. */
const pendingList = perKernel<Address, Linux>((k) => {
  const head = k.heap.allocateZeroed(k.sizeof('list_head'));
  initList(k, head);
  return head;
});

const deferredLink = (k: Linux, device: Address): Address =>
  k.read('device.p', device) + k.offset('device_private.deferred_probe');

function defer(k: Linux, device: Address): void {
  const link = deferredLink(k, device);
  if (listEmpty(k, link)) addTail(k, link, k.state(pendingList));
}

/** driver_match_device: 1 fits, 0 does not, negative is an error; a bus without an opinion takes everything. */
function* matches(k: Linux, device: Address, driver: Address): Steps<number> {
  const bus = k.read('device_driver.bus', driver);
  const match = bus === 0 ? 0 : k.read('bus_type.match', bus);
  return match === 0 ? 1 : yield* k.callInt(match, device, driver);
}

const driverKobject = (k: Linux, driver: Address): Address =>
  k.read('device_driver.p', driver) + k.offset('driver_private.kobj');

function* showBinding(k: Linux, device: Address, driver: Address): Steps<void> {
  yield* notifyBus(k, device, BUS_NOTIFY.BIND_DRIVER);
  const tree = k.state(sysfs);
  tree.link(driverKobject(k, driver), kobjectOf(k, device), deviceName(k, device));
  tree.link(kobjectOf(k, device), driverKobject(k, driver), 'driver');
}

function hideBinding(k: Linux, device: Address, driver: Address): void {
  const tree = k.state(sysfs);
  tree.directoryOf(driverKobject(k, driver))?.remove(deviceName(k, device));
  tree.directoryOf(kobjectOf(k, device))?.remove('driver');
}

/** really_probe: 0 when the driver has the device, else a negative errno with everything taken back. */
export function* probeDevice(k: Linux, device: Address, driver: Address): Steps<number> {
  if (k.read('device_private.dead', k.read('device.p', device)) !== 0) return -Errno.ENODEV;
  if (k.read('device.driver', device) !== 0) return -Errno.EBUSY;
  if (!listEmpty(k, device + k.offset('device.devres_head'))) {
    k.printk(2, `${devicePrefix(k, device)}Resources present before probing`);
    return -Errno.EBUSY;
  }
  k.write('device.driver', device, driver);
  const bus = k.read('device.bus', device);
  const configure = bus === 0 ? 0 : k.read('bus_type.dma_configure', bus);
  let error = configure === 0 ? 0 : yield* k.callInt(configure, device);
  if (error === 0) error = yield* probeConfigured(k, device, driver);
  if (error !== 0) {
    yield* notifyBus(k, device, BUS_NOTIFY.DRIVER_NOT_BOUND);
    yield* unbindCleanup(k, device);
    if (error === -EPROBE_DEFER) defer(k, device);
    return error;
  }
  joinKlist(
    k,
    k.read('device_driver.p', driver) + k.offset('driver_private.klist_devices'),
    k.read('device.p', device) + k.offset('device_private.knode_driver'),
  );
  removeInit(k, deferredLink(k, device));
  yield* notifyBus(k, device, BUS_NOTIFY.BOUND_DRIVER);
  putToUse(k, driverKind(k, driver), k.readString('device_driver.name', driver));
  yield* probeDeferred(k);
  return 0;
}

/** How reports call a driver: `platform driver`, `pci driver`... */
export function driverKind(k: Linux, driver: Address): string {
  return `${k.readString('bus_type.name', k.read('device_driver.bus', driver))} driver`;
}

/** The device leaves: nobody waits to probe it any more, and nobody will. */
export function* forgetDevice(k: Linux, device: Address): Steps<void> {
  removeInit(k, deferredLink(k, device));
  k.write('device_private.dead', k.read('device.p', device), 1);
  yield* releaseDriver(k, device);
}

function* probeConfigured(k: Linux, device: Address, driver: Address): Steps<number> {
  const bus = k.read('device.bus', device);
  yield* showBinding(k, device, driver);
  const ofBus = bus === 0 ? 0 : k.read('bus_type.probe', bus);
  const own = k.read('device_driver.probe', driver);
  const error = ofBus !== 0 ? yield* k.callInt(ofBus, device) : own === 0 ? 0 : yield* k.callInt(own, device);
  if (error === 0) {
    const groups = yield* addGroups(k, kobjectOf(k, device), k.read('device_driver.dev_groups', driver));
    if (groups === 0) return 0;
    k.printk(3, `${devicePrefix(k, device)}device_add_groups() failed`);
    yield* callRemove(k, device, driver);
    hideBinding(k, device, driver);
    return groups;
  }
  hideBinding(k, device, driver);
  reportProbe(k, device, driver, error);
  // A positive result counts as a failure, and is made an errno (call_driver_probe).
  return error > 0 ? -error : error;
}

/** "Not mine" and "not yet" are no errors. */
function reportProbe(k: Linux, device: Address, driver: Address, error: number): void {
  if (error === -Errno.ENODEV || error === -Errno.ENXIO || error === -EPROBE_DEFER) return;
  const name = k.readString('device_driver.name', driver);
  k.printk(4, `${name}: probe of ${deviceName(k, device)} failed with error ${error}`);
}

function* callRemove(k: Linux, device: Address, driver: Address): Steps<void> {
  const bus = k.read('device.bus', device);
  const ofBus = bus === 0 ? 0 : k.read('bus_type.remove', bus);
  const own = k.read('device_driver.remove', driver);
  if (ofBus !== 0) yield* k.call(ofBus, device);
  else if (own !== 0) yield* k.call(own, device);
}

function* unbindCleanup(k: Linux, device: Address): Steps<void> {
  yield* releaseAll(k, device);
  const bus = k.read('device.bus', device);
  const cleanup = bus === 0 ? 0 : k.read('bus_type.dma_cleanup', bus);
  if (cleanup !== 0) yield* k.call(cleanup, device);
  k.write('device.driver', device, 0);
  k.write('device.driver_data', device, 0);
}

/** Those that were put off are tried again once; the real kernel does this from a work queue. */
function* probeDeferred(k: Linux): Steps<void> {
  const inner = k.offset('device_private.deferred_probe');
  for (const link of [...entries(k, k.state(pendingList))]) {
    removeInit(k, link);
    yield* attachDevice(k, k.read('device_private.device', link - inner));
  }
}

/** device_release_driver: remove, managed resources freed last first, and the device is free again. */
export function* releaseDriver(k: Linux, device: Address): Steps<void> {
  const driver = k.read('device.driver', device);
  if (driver === 0) return;
  hideBinding(k, device, driver);
  yield* notifyBus(k, device, BUS_NOTIFY.UNBIND_DRIVER);
  removeGroups(k, kobjectOf(k, device), k.read('device_driver.dev_groups', driver));
  yield* callRemove(k, device, driver);
  yield* unbindCleanup(k, device);
  leaveKlist(k, k.read('device.p', device) + k.offset('device_private.knode_driver'));
  yield* notifyBus(k, device, BUS_NOTIFY.UNBOUND_DRIVER);
}

/** device_attach: 1 a driver took the device, 0 none did, negative an error. */
export function* attachDevice(k: Linux, device: Address): Steps<number> {
  if (k.read('device.driver', device) !== 0) return 1;
  for (const driver of busDrivers(k, k.read('device.bus', device))) {
    const fits = yield* matches(k, device, driver);
    if (fits < 0) return fits;
    if (fits > 0 && (yield* probeDevice(k, device, driver)) === 0) return 1;
  }
  return 0;
}

/** bus_probe_device: what device_add does last. */
export function* probeNewDevice(k: Linux, device: Address): Steps<void> {
  const priv = busPrivate(k, k.read('device.bus', device));
  if (priv !== 0 && k.read('subsys_private.drivers_autoprobe', priv) !== 0) yield* attachDevice(k, device);
}

/** driver_attach: offers every free device of the bus to a driver. */
export function* attachDriver(k: Linux, driver: Address): Steps<number> {
  for (const device of busDevices(k, k.read('device_driver.bus', driver))) {
    const fits = yield* matches(k, device, driver);
    if (fits < 0 && fits !== -EPROBE_DEFER) return fits;
    if (fits === -EPROBE_DEFER) defer(k, device);
    else if (fits > 0 && k.read('device.driver', device) === 0) yield* probeDevice(k, device, driver);
  }
  return 0;
}

/** The devices a driver has. */
export function devicesOf(k: Linux, driver: Address): Address[] {
  const list = k.read('device_driver.p', driver) + k.offset('driver_private.klist_devices');
  const members = klistMembers(k, list, 'device_private.knode_driver');
  return members.map((p) => k.read('device_private.device', p));
}

/** driver_detach: the last bound is let go first. */
export function* detachDriver(k: Linux, driver: Address): Steps<void> {
  for (const device of devicesOf(k, driver).reverse()) yield* releaseDriver(k, device);
}

/** Writing a device's name to the driver's `bind`. */
export function* bindByHand(k: Linux, device: Address, driver: Address): Steps<number> {
  if (device === 0 || (yield* matches(k, device, driver)) <= 0) return -Errno.ENODEV;
  return yield* probeDevice(k, device, driver);
}
