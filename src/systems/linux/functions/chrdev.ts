/** Character device numbers and cdevs (fs/char_dev.c). */
import type { Address } from '../../../memory/space.ts';
import { kobjectOf } from '../driver/names.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { initList } from '../lists.ts';
import { characterDevices, dropCdev, majorOf, makeDevice, minorOf } from '../vfs/chrdev.ts';
import { kernelFunctions } from './define.ts';
import { addDevice, deleteDevice } from './device.ts';

function initialise(k: Linux, cdev: Address, operations: Address): void {
  k.memory.fill(cdev, k.sizeof('cdev'), 0);
  initList(k, cdev + k.offset('cdev.list'));
  k.write('cdev.kobj.kref.refcount.refs.counter', cdev, 1);
  k.write('cdev.ops', cdev, operations);
}

function add(k: Linux, cdev: Address, device: number, count: number): number {
  k.write('cdev.dev', cdev, device);
  k.write('cdev.count', cdev, count);
  k.state(characterDevices).add(cdev, device, count);
  return 0;
}

function remove(k: Linux, cdev: Address): void {
  k.state(characterDevices).remove(cdev);
  dropCdev(k, cdev);
}

export const chrdevFunctions = kernelFunctions({
  'int alloc_chrdev_region(dev_t *dev, unsigned baseminor, unsigned count, const char *name)': (
    k,
    device,
    first,
    count,
    name,
  ) => {
    const region = k.state(characterDevices).reserve(0, first, count, k.memory.cstring(name));
    if (typeof region === 'number') return region;
    k.memory.set32(device, makeDevice(region.major, first));
    return 0;
  },
  'int register_chrdev_region(dev_t from, unsigned count, const char *name)': (k, from, count, name) => {
    const region = k
      .state(characterDevices)
      .reserve(majorOf(from), minorOf(from), count, k.memory.cstring(name));
    return typeof region === 'number' ? region : 0;
  },
  'void unregister_chrdev_region(dev_t from, unsigned count)': (k, from, count) => {
    k.state(characterDevices).release(majorOf(from), minorOf(from), count);
  },
  'int __register_chrdev(unsigned int major, unsigned int baseminor, unsigned int count, const char *name, const struct file_operations *fops)':
    (k, major, first, count, name, operations) => {
      const devices = k.state(characterDevices);
      const region = devices.reserve(major, first, count, k.memory.cstring(name));
      if (typeof region === 'number') return region;
      const cdev = k.heap.allocateZeroed(k.sizeof('cdev'));
      initialise(k, cdev, operations);
      devices.allocated.add(cdev);
      k.write('cdev.owner', cdev, k.read('file_operations.owner', operations));
      add(k, cdev, makeDevice(region.major, first), count);
      return major === 0 ? region.major : 0;
    },
  'void __unregister_chrdev(unsigned int major, unsigned int baseminor, unsigned int count, const char *name)':
    (k, major, first, count) => {
      const devices = k.state(characterDevices);
      const cdev = devices.find(makeDevice(major, first));
      if (!devices.release(major, first, count) || cdev === 0) return;
      devices.remove(cdev);
      k.heap.free(cdev);
    },
  'void cdev_init(struct cdev *cdev, const struct file_operations *fops)': initialise,
  'struct cdev *cdev_alloc(void)': (k) => {
    const cdev = k.heap.allocateZeroed(k.sizeof('cdev'));
    initialise(k, cdev, 0);
    k.state(characterDevices).allocated.add(cdev);
    return cdev;
  },
  'int cdev_add(struct cdev *p, dev_t dev, unsigned count)': (k, cdev, device, count) =>
    device === 0 && count === 0 ? -Errno.EBUSY : add(k, cdev, device, count),
  'void cdev_del(struct cdev *p)': remove,
  'void cdev_set_parent(struct cdev *p, struct kobject *kobj)': (k, cdev, parent) => {
    k.write('cdev.kobj.parent', cdev, parent);
  },
  'int cdev_device_add(struct cdev *cdev, struct device *dev)': function* (k, cdev, device) {
    const number = k.read('device.devt', device);
    if (number !== 0) {
      k.write('cdev.kobj.parent', cdev, kobjectOf(k, device));
      add(k, cdev, number, 1);
    }
    const error = yield* addDevice(k, device);
    if (error !== 0 && number !== 0) remove(k, cdev);
    return error;
  },
  'void cdev_device_del(struct cdev *cdev, struct device *dev)': function* (k, cdev, device) {
    yield* deleteDevice(k, device);
    if (k.read('device.devt', device) !== 0) remove(k, cdev);
  },
});
