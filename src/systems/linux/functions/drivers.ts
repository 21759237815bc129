/**
 * Buses and their drivers (drivers/base/bus.c, driver.c). No bus of this machine has devices, so a driver is checked,
 * shown in /sys/bus and taken back, but never probed.
 */

import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { registeredOnly } from '../registered.ts';
import { attributeMethods, sysDirectory } from '../sysfs.ts';
import { directory, type Node, regular } from '../vfs/node.ts';
import { kernelFunctions } from './define.ts';

interface Bus {
  readonly name: string;
  readonly node: Node;
  /** struct device_driver by address. */
  readonly drivers: Map<Address, { name: string; node: Node }>;
}

/** By the address of struct bus_type; the kernel's own buses come when their first driver does. */
const buses = perKernel<Map<Address, Bus>, Linux>(() => new Map());

function addBus(k: Linux, at: Address, name: string): Bus | undefined {
  const root = sysDirectory(k, 'bus');
  if (root.child(name) !== undefined) return undefined;
  const node = root.add(directory(name));
  node.add(directory('devices'));
  node.add(directory('drivers'));
  const bus: Bus = { name, node, drivers: new Map() };
  k.state(buses).set(at, bus);
  return bus;
}

/** The buses that Debian's kernel has built in, with the symbols of their types. */
const BUILT_IN: Readonly<Record<string, string>> = {
  pci: 'pci_bus_type',
  platform: 'platform_bus_type',
  i2c: 'i2c_bus_type',
  spi: 'spi_bus_type',
  serio: 'serio_bus',
  acpi: 'acpi_bus_type',
  pnp: 'pnp_bus_type',
  virtio: 'virtio_bus',
  xen: 'xenbus_type',
  cpu: 'cpu_subsys',
};

/** A bus of the kernel itself. One whose type is not exported is known by its name alone. */
function builtInBus(k: Linux, name: string): { at: Address; bus: Bus } {
  for (const [at, bus] of k.state(buses)) if (bus.name === name) return { at, bus };
  const at =
    k.file.exports.find(BUILT_IN[name] ?? '')?.address ?? k.heap.allocateZeroed(k.sizeof('bus_type'));
  const bus = addBus(k, at, name);
  if (bus === undefined) throw new Error(`/sys/bus/${name} is there without its bus`);
  return { at, bus };
}

function findBus(k: Linux, at: Address): Bus | undefined {
  const known = k.state(buses).get(at);
  if (known !== undefined) return known;
  const name = Object.keys(BUILT_IN).find((one) => k.file.exports.find(BUILT_IN[one])?.address === at);
  return name === undefined ? undefined : builtInBus(k, name).bus;
}

/** driver_register. `what` is the kind of driver for reports. */
function addDriver(k: Linux, driver: Address, what?: string): number {
  const name = k.readString('device_driver.name', driver);
  const bus = findBus(k, k.read('device_driver.bus', driver));
  if (bus === undefined) {
    const why = `because the bus was not initialized.`;
    k.printk(3, `Driver '${name}' was unable to register with bus_type '${busName(k, driver)}' ${why}`);
    return -Errno.EINVAL;
  }
  if ([...bus.drivers.values()].some((known) => known.name === name)) {
    k.printk(3, `Error: Driver '${name}' is already registered, aborting...`);
    return -Errno.EBUSY;
  }
  const drivers = bus.node.child('drivers') ?? bus.node.add(directory('drivers'));
  bus.drivers.set(driver, { name, node: drivers.add(directory(name)) });
  registeredOnly(k, what ?? `${bus.name} driver`, name);
  return 0;
}

function busName(k: Linux, driver: Address): string {
  const bus = k.read('device_driver.bus', driver);
  return bus === 0 ? '' : k.readString('bus_type.name', bus);
}

function removeDriver(k: Linux, driver: Address): void {
  const bus = k.state(buses).get(k.read('device_driver.bus', driver));
  const known = bus?.drivers.get(driver);
  if (bus === undefined || known === undefined) return;
  bus.node.child('drivers')?.remove(known.name);
  bus.drivers.delete(driver);
}

/** The driver structure inside a bus's own, with the bus and the owner filled in. */
function onBus(k: Linux, bus: string, driver: Address, owner: Address, modName = 0): number {
  k.write('device_driver.bus', driver, builtInBus(k, bus).at);
  k.write('device_driver.owner', driver, owner);
  if (modName !== 0) k.write('device_driver.mod_name', driver, modName);
  return addDriver(k, driver);
}

function ownAttribute(show: Address, store: Address, owner: Address, name: string, mode: number): Node {
  const methods = attributeMethods({
    show: show === 0 ? undefined : (k, page) => k.call(show, owner, page),
    store: store === 0 ? undefined : (k, page, count) => k.call(store, owner, page, count),
  });
  return regular(name, mode & 0o7777, methods);
}

/** Files of a driver or a bus: show and store get the structure itself. */
function addFile(
  k: Linux,
  node: Node | undefined,
  owner: Address,
  attribute: Address,
  struct: string,
): number {
  if (node === undefined) return -Errno.EINVAL;
  const name = k.readString('attribute.name', attribute);
  if (node.child(name) !== undefined) return -Errno.EEXIST;
  const show = k.read(`${struct}.show`, attribute);
  const store = k.read(`${struct}.store`, attribute);
  node.add(ownAttribute(show, store, owner, name, k.read('attribute.mode', attribute)));
  return 0;
}

const driverNode = (k: Linux, driver: Address): Node | undefined =>
  findBus(k, k.read('device_driver.bus', driver))?.drivers.get(driver)?.node;

export const driverFunctions = kernelFunctions({
  'int bus_register(struct bus_type *bus)': (k, at) => {
    const name = k.readString('bus_type.name', at);
    if (k.state(buses).has(at) || addBus(k, at, name) === undefined) return -Errno.EEXIST;
    registeredOnly(k, 'bus', name);
    return 0;
  },
  'void bus_unregister(struct bus_type *bus)': (k, at) => {
    const bus = k.state(buses).get(at);
    bus?.node.parent?.remove(bus.name);
    k.state(buses).delete(at);
  },
  'int bus_for_each_dev(struct bus_type *bus, struct device *start, void *data, int (*fn)(struct device *, void *))':
    () => 0,
  'int bus_for_each_drv(struct bus_type *bus, struct device_driver *start, void *data, int (*fn)(struct device_driver *, void *))':
    function* (k, at, start, data, visit): Steps<number> {
      const drivers = [...(findBus(k, at)?.drivers.keys() ?? [])];
      for (const driver of drivers.slice(start === 0 ? 0 : drivers.indexOf(start))) {
        const stop = yield* k.callInt(visit, driver, data);
        if (stop !== 0) return stop;
      }
      return 0;
    },
  'struct device *bus_find_device(struct bus_type *bus, struct device *start, const void *data, int (*match)(struct device *dev, const void *data))':
    () => 0,
  'int bus_rescan_devices(struct bus_type *bus)': () => 0,
  'int bus_create_file(struct bus_type *bus, struct bus_attribute *attr)': (k, at, attribute) =>
    addFile(k, findBus(k, at)?.node, at, attribute, 'bus_attribute'),
  'void bus_remove_file(struct bus_type *bus, struct bus_attribute *attr)': (k, at, attribute) => {
    findBus(k, at)?.node.remove(k.readString('attribute.name', attribute));
  },
  'int driver_register(struct device_driver *drv)': (k, driver) => addDriver(k, driver),
  'void driver_unregister(struct device_driver *drv)': removeDriver,
  'struct device_driver *driver_find(const char *name, struct bus_type *bus)': (k, name, at) => {
    const wanted = k.memory.cstring(name);
    for (const [driver, known] of findBus(k, at)?.drivers ?? []) if (known.name === wanted) return driver;
    return 0;
  },
  'int driver_for_each_device(struct device_driver *drv, struct device *start, void *data, int (*fn)(struct device *, void *))':
    () => 0,
  'int driver_create_file(struct device_driver *drv, const struct driver_attribute *attr)': (
    k,
    driver,
    attribute,
  ) => addFile(k, driverNode(k, driver), driver, attribute, 'driver_attribute'),
  'void driver_remove_file(struct device_driver *drv, const struct driver_attribute *attr)': (
    k,
    driver,
    attribute,
  ) => {
    driverNode(k, driver)?.remove(k.readString('attribute.name', attribute));
  },
  'int __pci_register_driver(struct pci_driver *drv, struct module *owner, const char *mod_name)': (
    k,
    pci,
    owner,
    modName,
  ) => {
    const driver = pci + k.offset('pci_driver.driver');
    k.write('device_driver.name', driver, k.read('pci_driver.name', pci));
    return onBus(k, 'pci', driver, owner, modName);
  },
  'void pci_unregister_driver(struct pci_driver *drv)': (k, pci) =>
    removeDriver(k, pci + k.offset('pci_driver.driver')),
  'int i2c_register_driver(struct module *owner, struct i2c_driver *driver)': (k, owner, i2c) =>
    onBus(k, 'i2c', i2c + k.offset('i2c_driver.driver'), owner),
  'void i2c_del_driver(struct i2c_driver *driver)': (k, i2c) =>
    removeDriver(k, i2c + k.offset('i2c_driver.driver')),
  'int __platform_driver_register(struct platform_driver *drv, struct module *owner)': (k, platform, owner) =>
    onBus(k, 'platform', platform + k.offset('platform_driver.driver'), owner),
  'void platform_driver_unregister(struct platform_driver *drv)': (k, platform) =>
    removeDriver(k, platform + k.offset('platform_driver.driver')),
  // It stays registered only if it finds its device at once, and there is none.
  'int __platform_driver_probe(struct platform_driver *drv, int (*probe)(struct platform_device *), struct module *module)':
    () => -Errno.ENODEV,
  'int __spi_register_driver(struct module *owner, struct spi_driver *sdrv)': (k, owner, spi) =>
    onBus(k, 'spi', spi + k.offset('spi_driver.driver'), owner),
  'int __serio_register_driver(struct serio_driver *drv, struct module *owner, const char *mod_name)': (
    k,
    serio,
    owner,
    modName,
  ) => onBus(k, 'serio', serio + k.offset('serio_driver.driver'), owner, modName),
  'void serio_unregister_driver(struct serio_driver *drv)': (k, serio) =>
    removeDriver(k, serio + k.offset('serio_driver.driver')),
  'int acpi_bus_register_driver(struct acpi_driver *driver)': (k, acpi) => {
    const driver = acpi + k.offset('acpi_driver.drv');
    k.write('device_driver.name', driver, acpi + k.offset('acpi_driver.name'));
    return onBus(k, 'acpi', driver, k.read('acpi_driver.owner', acpi));
  },
  'void acpi_bus_unregister_driver(struct acpi_driver *driver)': (k, acpi) =>
    removeDriver(k, acpi + k.offset('acpi_driver.drv')),
  'int pnp_register_driver(struct pnp_driver *drv)': (k, pnp) => {
    const driver = pnp + k.offset('pnp_driver.driver');
    k.write('device_driver.name', driver, k.read('pnp_driver.name', pnp));
    return onBus(k, 'pnp', driver, 0);
  },
  'void pnp_unregister_driver(struct pnp_driver *drv)': (k, pnp) =>
    removeDriver(k, pnp + k.offset('pnp_driver.driver')),
});
