/** The platform bus's functions (drivers/base/platform.c); the bus itself is driver/platform.ts. */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { devicesOf } from '../driver/bind.ts';
import { unregisterDriver } from '../driver/driver.ts';
import {
  addData,
  addPlatformDevice,
  addResources,
  allocateDevice,
  deletePlatformDevice,
  deviceOf,
  match,
  modalias,
  prepare,
  probe,
  putPlatformDevice,
  registerFull,
  registerPlatformDriver,
  releaseDevice,
  removeMethod,
  resourcesOf,
  resourceType,
} from '../driver/platform.ts';
import { addVariable } from '../driver/uevent.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { kernelFunctions } from './define.ts';
import { devicePrefix } from './printk.ts';

const IORESOURCE_IRQ = 0x400;

const driverIn = (k: Linux, platform: Address): Address => platform + k.offset('platform_driver.driver');

/** The nth resource of a type, or the one of a name. */
function findResource(
  k: Linux,
  platform: Address,
  type: number,
  wanted: (range: Address, nth: number) => boolean,
): Address {
  let nth = 0;
  for (const range of resourcesOf(k, platform)) {
    if (resourceType(k, range) === type && wanted(range, nth++)) return range;
  }
  return 0;
}

function interrupt(k: Linux, platform: Address, index: number): number {
  const range = findResource(k, platform, IORESOURCE_IRQ, (_range, nth) => nth === index);
  return range === 0 ? -Errno.ENXIO : k.read('resource.start', range);
}

/** __platform_driver_probe: the driver stays only if it has a device when this returns. */
function* probeOnce(k: Linux, platform: Address, method: Address, owner: Address): Steps<number> {
  const driver = driverIn(k, platform);
  k.write('platform_driver.prevent_deferred_probe', platform, 1);
  k.write('device_driver.suppress_bind_attrs', driver, 1);
  k.write('platform_driver.probe', platform, method);
  const error = yield* registerPlatformDriver(k, platform, owner);
  if (error !== 0) return error;
  k.write('platform_driver.probe', platform, k.addressOf('platform_probe_fail'));
  if (devicesOf(k, driver).length > 0) return 0;
  yield* unregisterDriver(k, driver);
  return -Errno.ENODEV;
}

const methods = kernelFunctions({
  'int platform_match(struct device *dev, struct device_driver *drv)': (k, device, driver) =>
    match(k, device, driver) ? 1 : 0,
  'int platform_uevent(struct device *dev, struct kobj_uevent_env *env)': (k, device, environment) => {
    addVariable(k, environment, `MODALIAS=${modalias(k, device)}`);
    return 0;
  },
  'int platform_probe(struct device *dev)': probe,
  'int platform_probe_fail(struct platform_device *pdev)': () => -Errno.ENXIO,
  'void platform_remove(struct device *dev)': removeMethod,
  'void platform_device_release(struct device *dev)': releaseDevice,
});

const devices = kernelFunctions({
  'struct platform_device *platform_device_alloc(const char *name, int id)': (k, name, id) =>
    allocateDevice(k, k.memory.cstring(name), id),
  'int platform_device_add_resources(struct platform_device *pdev, const struct resource *res, unsigned int num)':
    addResources,
  'int platform_device_add_data(struct platform_device *pdev, const void *data, size_t size)': addData,
  'int platform_device_add(struct platform_device *pdev)': function* (k, platform) {
    return platform === 0 ? -Errno.EINVAL : yield* addPlatformDevice(k, platform);
  },
  'void platform_device_del(struct platform_device *pdev)': deletePlatformDevice,
  'void platform_device_put(struct platform_device *pdev)': putPlatformDevice,
  'int platform_device_register(struct platform_device *pdev)': function* (k, platform) {
    prepare(k, platform);
    return yield* addPlatformDevice(k, platform);
  },
  'void platform_device_unregister(struct platform_device *pdev)': function* (k, platform) {
    yield* deletePlatformDevice(k, platform);
    yield* putPlatformDevice(k, platform);
  },
  'struct platform_device *platform_device_register_full(const struct platform_device_info *pdevinfo)':
    registerFull,
  'int platform_add_devices(struct platform_device **devs, int num)': function* (k, list, count) {
    for (let i = 0; i < count; i++) {
      const platform = k.memory.ptr(list + k.word * i);
      prepare(k, platform);
      const error = yield* addPlatformDevice(k, platform);
      if (error === 0) continue;
      for (let done = i - 1; done >= 0; done--) {
        const earlier = k.memory.ptr(list + k.word * done);
        yield* deletePlatformDevice(k, earlier);
        yield* putPlatformDevice(k, earlier);
      }
      return error;
    }
    return 0;
  },
  'struct resource *platform_get_resource(struct platform_device *dev, unsigned int type, unsigned int num)':
    (k, platform, type, index) => findResource(k, platform, type, (_range, nth) => nth === index),
  'struct resource *platform_get_resource_byname(struct platform_device *dev, unsigned int type, const char *name)':
    (k, platform, type, name) => {
      const wanted = k.memory.cstring(name);
      return findResource(
        k,
        platform,
        type,
        (range) => k.read('resource.name', range) !== 0 && k.readString('resource.name', range) === wanted,
      );
    },
  'int platform_get_irq_optional(struct platform_device *dev, unsigned int num)': interrupt,
  'int platform_get_irq(struct platform_device *dev, unsigned int num)': (k, platform, index) => {
    const number = interrupt(k, platform, index);
    if (number < 0)
      k.printk(
        3,
        `${devicePrefix(k, deviceOf(k, platform))}error ${-Errno.ENXIO}: IRQ index ${index} not found`,
      );
    return number;
  },
  'int platform_irq_count(struct platform_device *dev)': (k, platform) => {
    let count = 0;
    for (const range of resourcesOf(k, platform)) if (resourceType(k, range) === IORESOURCE_IRQ) count++;
    return count;
  },
});

const drivers = kernelFunctions({
  'int __platform_driver_register(struct platform_driver *drv, struct module *owner)': registerPlatformDriver,
  'void platform_driver_unregister(struct platform_driver *drv)': function* (k, platform) {
    yield* unregisterDriver(k, driverIn(k, platform));
  },
  'int __platform_driver_probe(struct platform_driver *drv, int (*probe)(struct platform_device *), struct module *module)':
    probeOnce,
  'int __platform_register_drivers(struct platform_driver * const *drivers, unsigned int count, struct module *owner)':
    function* (k, list, count, owner) {
      for (let i = 0; i < count; i++) {
        const error = yield* registerPlatformDriver(k, k.memory.ptr(list + k.word * i), owner);
        if (error === 0) continue;
        for (let done = i - 1; done >= 0; done--) {
          yield* unregisterDriver(k, driverIn(k, k.memory.ptr(list + k.word * done)));
        }
        return error;
      }
      return 0;
    },
  'void platform_unregister_drivers(struct platform_driver * const *drivers, unsigned int count)': function* (
    k,
    list,
    count,
  ) {
    for (let i = count - 1; i >= 0; i--)
      yield* unregisterDriver(k, driverIn(k, k.memory.ptr(list + k.word * i)));
  },
});

export const platformBusFunctions = [methods, devices, drivers];
