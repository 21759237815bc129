/** The auxiliary bus (drivers/base/auxiliary.c): parts of one device that drivers of different modules have. */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { registerDriver, unregisterDriver } from '../driver/driver.ts';
import { deviceName, kobjectOf } from '../driver/names.ts';
import { ownBus } from '../driver/own-bus.ts';
import { addVariable } from '../driver/uevent.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { kernelWarning } from './caller.ts';
import { kernelFunctions } from './define.ts';
import { addDevice, initialise } from './device.ts';
import { writeText } from './format/printf.ts';
import { setName } from './kobject.ts';

const METHODS = {
  match: 'auxiliary_match',
  uevent: 'auxiliary_uevent',
  probe: 'auxiliary_bus_probe',
  remove: 'auxiliary_bus_remove',
};

const auxiliaryBus = (k: Linux): Steps<Address> => ownBus(k, 'auxiliary', METHODS, undefined);

const deviceOf = (k: Linux, auxiliary: Address): Address => auxiliary + k.offset('auxiliary_device.dev');
const auxiliaryOf = (k: Linux, device: Address): Address => device - k.offset('auxiliary_device.dev');
const driverIn = (k: Linux, auxiliary: Address): Address => auxiliary + k.offset('auxiliary_driver.driver');

/** The device's name without the number behind the last dot: what tables of drivers say. */
const kind = (k: Linux, device: Address): string => deviceName(k, device).replace(/\.[^.]*$/, '');

/** auxiliary_match_id: the entry for a device; 0 when the driver has none. */
function matchId(k: Linux, driver: Address, device: Address): Address {
  const size = k.sizeof('auxiliary_device_id');
  const wanted = kind(k, device);
  const table = k.read('auxiliary_driver.id_table', driver - k.offset('auxiliary_driver.driver'));
  for (let id = table; k.memory.u8(id) !== 0; id += size) {
    if (k.readString('auxiliary_device_id.name', id) === wanted) return id;
  }
  return 0;
}

const methods = kernelFunctions({
  'int auxiliary_match(struct device *dev, struct device_driver *drv)': (k, device, driver) =>
    matchId(k, driver, device) === 0 ? 0 : 1,
  'int auxiliary_uevent(struct device *dev, struct kobj_uevent_env *env)': (k, device, environment) => {
    addVariable(k, environment, `MODALIAS=auxiliary:${kind(k, device)}`);
    return 0;
  },
  'int auxiliary_bus_probe(struct device *dev)': function* (k, device) {
    const driver = k.read('device.driver', device);
    const probe = k.read('auxiliary_driver.probe', driver - k.offset('auxiliary_driver.driver'));
    return yield* k.callInt(probe, auxiliaryOf(k, device), matchId(k, driver, device));
  },
  'void auxiliary_bus_remove(struct device *dev)': function* (k, device) {
    const driver = k.read('device.driver', device) - k.offset('auxiliary_driver.driver');
    const remove = k.read('auxiliary_driver.remove', driver);
    if (remove !== 0) yield* k.call(remove, auxiliaryOf(k, device));
  },
});

/** __auxiliary_driver_register: the driver is called after its module, and after itself when it has a name. */
function* register(k: Linux, auxiliary: Address, owner: Address, module: Address): Steps<number> {
  for (const field of ['probe', 'id_table'] as const) {
    if (k.read(`auxiliary_driver.${field}`, auxiliary) !== 0) continue;
    kernelWarning(k, 'drivers/base/auxiliary.c', '');
    return -Errno.EINVAL;
  }
  const own = k.read('auxiliary_driver.name', auxiliary);
  const name = [module, own]
    .filter((at) => at !== 0)
    .map((at) => k.memory.cstring(at))
    .join('.');
  const text = k.heap.allocate(name.length + 1);
  writeText(k, text, name);
  const driver = driverIn(k, auxiliary);
  k.write('device_driver.name', driver, text);
  k.write('device_driver.owner', driver, owner);
  k.write('device_driver.bus', driver, yield* auxiliaryBus(k));
  k.write('device_driver.mod_name', driver, module);
  const error = yield* registerDriver(k, driver);
  if (error !== 0) k.heap.free(text);
  return error;
}

const registrations = kernelFunctions({
  'int __auxiliary_driver_register(struct auxiliary_driver *auxdrv, struct module *owner, const char *modname)':
    register,
  'void auxiliary_driver_unregister(struct auxiliary_driver *auxdrv)': function* (k, auxiliary) {
    const driver = driverIn(k, auxiliary);
    yield* unregisterDriver(k, driver);
    k.heap.free(k.read('device_driver.name', driver));
  },
  'int auxiliary_device_init(struct auxiliary_device *auxdev)': function* (k, auxiliary) {
    const device = deviceOf(k, auxiliary);
    if (k.read('device.parent', device) === 0) {
      k.printk(3, 'auxiliary: auxiliary_device has a NULL dev->parent');
      return -Errno.EINVAL;
    }
    if (k.read('auxiliary_device.name', auxiliary) === 0) {
      k.printk(3, 'auxiliary: auxiliary_device has a NULL name');
      return -Errno.EINVAL;
    }
    k.write('device.bus', device, yield* auxiliaryBus(k));
    initialise(k, device);
    return 0;
  },
  'int __auxiliary_device_add(struct auxiliary_device *auxdev, const char *modname)': function* (
    k,
    auxiliary,
    module,
  ) {
    const device = deviceOf(k, auxiliary);
    if (module === 0) return -Errno.EINVAL;
    const name = k.readString('auxiliary_device.name', auxiliary);
    const number = k.read('auxiliary_device.id', auxiliary);
    setName(k, kobjectOf(k, device), `${k.memory.cstring(module)}.${name}.${number}`);
    return yield* addDevice(k, device);
  },
});

export const auxiliaryBusFunctions = [methods, registrations];
