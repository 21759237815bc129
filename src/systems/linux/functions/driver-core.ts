/** Buses, drivers and devices as modules register them (drivers/base/bus.c, driver.c, dd.c, core.c). */
import type { Steps } from '../../../kernel/steps.ts';
import { readable } from '../../../kernel/text/sink.ts';
import type { Address } from '../../../memory/space.ts';
import { attachDevice, attachDriver, devicesOf, probeDevice, releaseDriver } from '../driver/bind.ts';
import { busChain, busDevices, busDrivers, busPrivate, registerBus, unregisterBus } from '../driver/bus.ts';
import { driverKobject, findDriver, registerDriver, unregisterDriver } from '../driver/driver.ts';
import { childrenOf, deviceName } from '../driver/names.ts';
import { addVariable } from '../driver/uevent.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { registeredOnly } from '../registered.ts';
import { addAttribute, kobjectAttribute, sysfs } from '../sysfs.ts';
import { kernelWarning } from './caller.ts';
import { kernelFunctions } from './define.ts';
import { readyBus } from './drivers.ts';
import { format } from './format/printf.ts';
import { register, unregister } from './notifiers.ts';

const VARIABLE_BYTES = 2048;

/** Calls `visit(member, data)` for each until one says other than 0, from the one after `start`. */
function* each(
  k: Linux,
  members: readonly Address[],
  start: Address,
  data: Address,
  visit: Address,
): Steps<number> {
  for (const member of members.slice(start === 0 ? 0 : members.indexOf(start) + 1)) {
    const stop = yield* k.callInt(visit, member, data);
    if (stop !== 0) return stop;
  }
  return 0;
}

/** The first member for which `match(member, data)` is true, with a reference taken; 0 when there is none. */
function* find(
  k: Linux,
  members: readonly Address[],
  start: Address,
  data: Address,
  match: Address,
): Steps<Address> {
  for (const member of members.slice(start === 0 ? 0 : members.indexOf(start) + 1)) {
    if ((yield* k.callInt(match, member, data)) === 0) continue;
    yield* k.call(k.addressOf('get_device'), member);
    return member;
  }
  return 0;
}

const busKobject = (k: Linux, bus: Address): Address =>
  busPrivate(k, bus) + k.offset('subsys_private.subsys.kobj');

/** Attributes go through the type's methods, which find the structure by its kobject. */
function* showThrough(
  k: Linux,
  field: string,
  owner: Address,
  attribute: Address,
  page: Address,
): Steps<number> {
  const show = k.read(field, attribute);
  return show === 0 ? -Errno.EIO : yield* k.call(show, owner, page);
}

const privateOf = (k: Linux, kobject: Address, field: string): Address => kobject - k.offset(field);
const busOf = (k: Linux, kobject: Address): Address =>
  k.read('subsys_private.bus', privateOf(k, kobject, 'subsys_private.subsys.kobj'));
const driverOf = (k: Linux, kobject: Address): Address =>
  k.read('driver_private.driver', privateOf(k, kobject, 'driver_private.kobj'));

function* storeThrough(
  k: Linux,
  store: Address,
  owner: Address,
  page: Address,
  count: number,
): Steps<number> {
  return store === 0 ? -Errno.EIO : yield* k.call(store, owner, page, count);
}

/** The methods of our kobj_types, which the kernel has under these names. */
const typeMethods = kernelFunctions({
  'void bus_release(struct kobject *kobj)': (k, kobject) =>
    k.heap.free(privateOf(k, kobject, 'subsys_private.subsys.kobj')),
  'void driver_release(struct kobject *kobj)': (k, kobject) =>
    k.heap.free(privateOf(k, kobject, 'driver_private.kobj')),
  'ssize_t bus_attr_show(struct kobject *kobj, struct attribute *attr, char *buf)': (
    k,
    kobject,
    attr,
    page,
  ) => showThrough(k, 'bus_attribute.show', busOf(k, kobject), attr, page),
  'ssize_t bus_attr_store(struct kobject *kobj, struct attribute *attr, const char *buf, size_t count)': (
    k,
    kobject,
    attr,
    page,
    count,
  ) => storeThrough(k, k.read('bus_attribute.store', attr), busOf(k, kobject), page, count),
  'ssize_t drv_attr_show(struct kobject *kobj, struct attribute *attr, char *buf)': (
    k,
    kobject,
    attr,
    page,
  ) => showThrough(k, 'driver_attribute.show', driverOf(k, kobject), attr, page),
  'ssize_t drv_attr_store(struct kobject *kobj, struct attribute *attr, const char *buf, size_t count)': (
    k,
    kobject,
    attr,
    page,
    count,
  ) => storeThrough(k, k.read('driver_attribute.store', attr), driverOf(k, kobject), page, count),
});

const buses = kernelFunctions({
  'int bus_register(struct bus_type *bus)': function* (k, bus) {
    const error = yield* registerBus(k, bus, attachDevice);
    if (error === 0) registeredOnly(k, 'bus', k.readString('bus_type.name', bus));
    return error;
  },
  'void bus_unregister(struct bus_type *bus)': unregisterBus,
  'int bus_register_notifier(struct bus_type *bus, struct notifier_block *nb)': function* (k, bus, block) {
    yield* readyBus(k, bus);
    const chain = busChain(k, bus);
    return chain === 0 ? -Errno.EINVAL : register(k, chain, block);
  },
  'int bus_unregister_notifier(struct bus_type *bus, struct notifier_block *nb)': (k, bus, block) => {
    const chain = busChain(k, bus);
    return chain === 0 ? -Errno.EINVAL : unregister(k, chain, block);
  },
  'int bus_for_each_dev(struct bus_type *bus, struct device *start, void *data, int (*fn)(struct device *, void *))':
    (k, bus, start, data, visit) => each(k, busDevices(k, bus), start, data, visit),
  'int bus_for_each_drv(struct bus_type *bus, struct device_driver *start, void *data, int (*fn)(struct device_driver *, void *))':
    (k, bus, start, data, visit) => each(k, busDrivers(k, bus), start, data, visit),
  'struct device *bus_find_device(struct bus_type *bus, struct device *start, const void *data, int (*match)(struct device *dev, const void *data))':
    (k, bus, start, data, match) => find(k, busDevices(k, bus), start, data, match),
  'int bus_rescan_devices(struct bus_type *bus)': function* (k, bus) {
    for (const device of busDevices(k, bus)) {
      const error = yield* attachDevice(k, device);
      if (error < 0) return error;
    }
    return 0;
  },
  'int bus_create_file(struct bus_type *bus, struct bus_attribute *attr)': function* (k, bus, attribute) {
    yield* readyBus(k, bus);
    if (busPrivate(k, bus) === 0) return -Errno.EINVAL;
    return addAttribute(k, busKobject(k, bus), kobjectAttribute(k, busKobject(k, bus), attribute));
  },
  'void bus_remove_file(struct bus_type *bus, struct bus_attribute *attr)': (k, bus, attribute) => {
    if (busPrivate(k, bus) === 0) return;
    k.state(sysfs).directoryOf(busKobject(k, bus))?.remove(k.readString('attribute.name', attribute));
  },
});

const drivers = kernelFunctions({
  'int driver_register(struct device_driver *drv)': function* (k, driver) {
    yield* readyBus(k, k.read('device_driver.bus', driver));
    return yield* registerDriver(k, driver);
  },
  'void driver_unregister(struct device_driver *drv)': function* (k, driver) {
    if (!(yield* unregisterDriver(k, driver)))
      kernelWarning(k, 'drivers/base/driver.c:270', 'Unexpected driver unregister!');
  },
  'struct device_driver *driver_find(const char *name, struct bus_type *bus)': (k, name, bus) =>
    findDriver(k, bus, k.memory.cstring(name)),
  'int driver_attach(struct device_driver *drv)': attachDriver,
  'int driver_for_each_device(struct device_driver *drv, struct device *start, void *data, int (*fn)(struct device *, void *))':
    (k, driver, start, data, visit) => each(k, devicesOf(k, driver), start, data, visit),
  'struct device *driver_find_device(struct device_driver *drv, struct device *start, const void *data, int (*match)(struct device *dev, const void *data))':
    (k, driver, start, data, match) => find(k, devicesOf(k, driver), start, data, match),
  'int driver_create_file(struct device_driver *drv, const struct driver_attribute *attr)': (
    k,
    driver,
    attribute,
  ) => {
    const kobject = driverKobject(k, driver);
    return addAttribute(k, kobject, kobjectAttribute(k, kobject, attribute));
  },
  'void driver_remove_file(struct device_driver *drv, const struct driver_attribute *attr)': (
    k,
    driver,
    attribute,
  ) => {
    k.state(sysfs).directoryOf(driverKobject(k, driver))?.remove(k.readString('attribute.name', attribute));
  },
});

const devices = kernelFunctions({
  'int device_attach(struct device *dev)': attachDevice,
  'int device_driver_attach(struct device_driver *drv, struct device *dev)': (k, driver, device) =>
    probeDevice(k, device, driver),
  'void device_release_driver(struct device *dev)': releaseDriver,
  'int device_reprobe(struct device *dev)': function* (k, device) {
    yield* releaseDriver(k, device);
    const result = yield* attachDevice(k, device);
    return result < 0 ? result : 0;
  },
  'int device_for_each_child(struct device *parent, void *data, int (*fn)(struct device *dev, void *data))': (
    k,
    parent,
    data,
    visit,
  ) => each(k, childrenOf(k, parent), 0, data, visit),
  'int device_for_each_child_reverse(struct device *parent, void *data, int (*fn)(struct device *dev, void *data))':
    (k, parent, data, visit) => each(k, childrenOf(k, parent).reverse(), 0, data, visit),
  'struct device *device_find_child(struct device *parent, void *data, int (*match)(struct device *dev, void *data))':
    (k, parent, data, match) => find(k, childrenOf(k, parent), 0, data, match),
  'struct device *device_find_child_by_name(struct device *parent, const char *name)': function* (
    k,
    parent,
    name,
  ) {
    const wanted = k.memory.cstring(name);
    const child = childrenOf(k, parent).find((one) => deviceName(k, one) === wanted) ?? 0;
    if (child !== 0) yield* k.call(k.addressOf('get_device'), child);
    return child;
  },
  'int add_uevent_var(struct kobj_uevent_env *env, const char *format, ...)': (
    k,
    environment,
    text,
    args,
  ) => {
    const error = addVariable(k, environment, readable(format(k, text, args, VARIABLE_BYTES).text));
    if (error !== 0) kernelWarning(k, 'lib/kobject_uevent.c:688', 'add_uevent_var: too many keys');
    return error;
  },
});

export const driverCoreFunctions = [typeMethods, buses, drivers, devices];
