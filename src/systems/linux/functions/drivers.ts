/**
 * Drivers of the buses that are built into the kernel (pci, i2c, spi, serio, acpi, pnp). This machine has none of their
 * devices, so a driver is checked, shown in /sys/bus and taken back, but never probed.
 */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { busPrivate } from '../driver/bus.ts';
import { registerDriver, unregisterDriver } from '../driver/driver.ts';
import { ownBus } from '../driver/own-bus.ts';
import { platformBus } from '../driver/platform.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { initList } from '../lists.ts';
import { kernelFunctions } from './define.ts';

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
  cxl: 'cxl_bus_type',
  // Part of the kernel where its library is, as in 7.2.
  mdio_bus: 'mdio_bus_type',
};

/** A bus of the kernel itself, registered when its first driver comes. */
function* builtInBus(k: Linux, name: string): Steps<Address> {
  if (name === 'platform') return yield* platformBus(k);
  return yield* ownBus(k, name, { match: 'bus_without_devices_match' }, BUILT_IN[name]);
}

/** Sees to it that a bus of the kernel's own is there before something is registered with it. */
export function* readyBus(k: Linux, at: Address): Steps<void> {
  if (at === 0 || busPrivate(k, at) !== 0) return;
  const name = Object.keys(BUILT_IN).find((one) => k.file.exports.find(BUILT_IN[one])?.address === at);
  if (name !== undefined) yield* builtInBus(k, name);
}

/** The driver structure inside a bus's own, with the bus and the owner filled in. */
export function* onBus(k: Linux, bus: string, driver: Address, owner: Address, modName = 0): Steps<number> {
  k.write('device_driver.bus', driver, yield* builtInBus(k, bus));
  k.write('device_driver.owner', driver, owner);
  if (modName !== 0) k.write('device_driver.mod_name', driver, modName);
  return yield* registerDriver(k, driver);
}

export function* takeBack(k: Linux, driver: Address): Steps<void> {
  yield* unregisterDriver(k, driver);
}

export function acpiDriver(k: Linux, acpi: Address, owner: Address): Steps<number> {
  const driver = acpi + k.offset('acpi_driver.drv');
  k.write('device_driver.name', driver, acpi + k.offset('acpi_driver.name'));
  return onBus(k, 'acpi', driver, owner);
}

/** __cxl_driver_register: what a driver must have is asked for before the bus sees it. */
function cxlDriver(k: Linux, cxl: Address, owner: Address, modName: Address): Steps<number> | number {
  if (['probe', 'name', 'id'].some((field) => k.read(`cxl_driver.${field}`, cxl) === 0)) return -Errno.EINVAL;
  const driver = cxl + k.offset('cxl_driver.drv');
  k.write('device_driver.name', driver, k.read('cxl_driver.name', cxl));
  return onBus(k, 'cxl', driver, owner, modName);
}

export const driverFunctions = kernelFunctions({
  'int bus_without_devices_match(struct device *dev, struct device_driver *drv)': () => 0,
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
    takeBack(k, pci + k.offset('pci_driver.driver')),
  'int i2c_register_driver(struct module *owner, struct i2c_driver *driver)': (k, owner, i2c) =>
    onBus(k, 'i2c', i2c + k.offset('i2c_driver.driver'), owner),
  'void i2c_del_driver(struct i2c_driver *driver)': (k, i2c) =>
    takeBack(k, i2c + k.offset('i2c_driver.driver')),
  'int __spi_register_driver(struct module *owner, struct spi_driver *sdrv)': (k, owner, spi) =>
    onBus(k, 'spi', spi + k.offset('spi_driver.driver'), owner),
  'int __serio_register_driver(struct serio_driver *drv, struct module *owner, const char *mod_name)': (
    k,
    serio,
    owner,
    modName,
  ) => onBus(k, 'serio', serio + k.offset('serio_driver.driver'), owner, modName),
  'void serio_unregister_driver(struct serio_driver *drv)': (k, serio) =>
    takeBack(k, serio + k.offset('serio_driver.driver')),
  'int acpi_bus_register_driver(struct acpi_driver *driver)': (k, acpi) =>
    acpiDriver(k, acpi, k.types.has('acpi_driver.owner') ? k.read('acpi_driver.owner', acpi) : 0),
  'void acpi_bus_unregister_driver(struct acpi_driver *driver)': (k, acpi) =>
    takeBack(k, acpi + k.offset('acpi_driver.drv')),
  'int pnp_register_driver(struct pnp_driver *drv)': (k, pnp) => {
    const driver = pnp + k.offset('pnp_driver.driver');
    k.write('device_driver.name', driver, k.read('pnp_driver.name', pnp));
    return onBus(k, 'pnp', driver, 0);
  },
  'void pnp_unregister_driver(struct pnp_driver *drv)': (k, pnp) =>
    takeBack(k, pnp + k.offset('pnp_driver.driver')),
  'int __serdev_device_driver_register(struct serdev_device_driver *sdrv, struct module *owner)': (
    k,
    serdev,
    owner,
  ) => onBus(k, 'serial', serdev + k.offset('serdev_device_driver.driver'), owner),
  'int __cxl_driver_register(struct cxl_driver *cxl_drv, struct module *owner, const char *modname)':
    cxlDriver,
  'void cxl_driver_unregister(struct cxl_driver *cxl_drv)': (k, cxl) =>
    takeBack(k, cxl + k.offset('cxl_driver.drv')),
  'int __dax_driver_register(struct dax_device_driver *dax_drv, struct module *module, const char *mod_name)':
    (k, dax, owner, modName) => {
      const driver = dax + k.offset('dax_device_driver.drv');
      if (k.types.has('dax_device_driver.ids')) initList(k, dax + k.offset('dax_device_driver.ids'));
      k.write('device_driver.name', driver, modName);
      return onBus(k, 'dax', driver, owner, modName);
    },
  'void dax_driver_unregister(struct dax_device_driver *dax_drv)': (k, dax) =>
    takeBack(k, dax + k.offset('dax_device_driver.drv')),
  'int i2c_for_each_dev(void *data, int (*fn)(struct device *dev, void *data))': function* (k, data, visit) {
    const bus = yield* builtInBus(k, 'i2c');
    return yield* k.callInt(k.addressOf('bus_for_each_dev'), bus, 0, data, visit);
  },
});
