/** Registrations that kernels after 6.1 have in another form: drivers of buses that became part of the kernel, shrinkers. */
import { Errno } from '../errno.ts';
import { register, unregister } from '../registered.ts';
import { kernelFunctions } from './define.ts';
import { acpiDriver, onBus, takeBack } from './drivers.ts';

/** Flags and weight of a struct shrinker (include/linux/shrinker.h, since 6.7). */
const SHRINKER_REGISTERED = 1;
const SHRINKER_ALLOCATED = 2;
const DEFAULT_SEEKS = 2;

export const newerRegistrations = kernelFunctions({
  'int __acpi_bus_register_driver(struct acpi_driver *driver, struct module *owner)': acpiDriver,
  // Where the virtio core is built in; in 6.1 it is a module.
  'int __register_virtio_driver(struct virtio_driver *driver, struct module *owner)': (k, virtio, owner) =>
    onBus(k, 'virtio', virtio + k.offset('virtio_driver.driver'), owner),
  'void unregister_virtio_driver(struct virtio_driver *driver)': (k, virtio) =>
    takeBack(k, virtio + k.offset('virtio_driver.driver')),
  // hv_vmbus is built in since 6.18; there is no Hyper-V below this machine.
  'int __vmbus_driver_register(struct hv_driver *hv_driver, struct module *owner, const char *mod_name)': (
    k,
    driver,
  ) => {
    k.printk(6, `hv_vmbus: registering driver ${k.readString('hv_driver.name', driver)}`);
    return -Errno.ENODEV;
  },
  'struct shrinker *shrinker_alloc(unsigned int flags, const char *fmt, ...)': (k, flags) => {
    const shrinker = k.heap.allocateZeroed(k.sizeof('shrinker'));
    const waiting = k.heap.allocateZeroed(k.word);
    if (shrinker === 0 || waiting === 0) {
      for (const at of [shrinker, waiting]) k.heap.free(at);
      return 0;
    }
    k.write('shrinker.flags', shrinker, flags | SHRINKER_ALLOCATED);
    k.write('shrinker.seeks', shrinker, DEFAULT_SEEKS);
    k.write('shrinker.nr_deferred', shrinker, waiting);
    return shrinker;
  },
  'void shrinker_register(struct shrinker *shrinker)': (k, shrinker) => {
    const flags = k.read('shrinker.flags', shrinker);
    if ((flags & SHRINKER_ALLOCATED) === 0) {
      k.printk(4, 'Must use shrinker_alloc() to dynamically allocate the shrinker');
      return;
    }
    register(k, 'shrinker', shrinker, '');
    k.write('shrinker.flags', shrinker, flags | SHRINKER_REGISTERED);
    k.write('shrinker.refcount.refs.counter', shrinker, 1);
  },
  'void shrinker_free(struct shrinker *shrinker)': (k, shrinker) => {
    if (shrinker === 0) return;
    unregister(k, 'shrinker', shrinker);
    k.heap.free(k.read('shrinker.nr_deferred', shrinker));
    k.heap.free(shrinker);
  },
});
