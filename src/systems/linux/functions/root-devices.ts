/** Devices right below /sys/devices that hold others together (drivers/base/core.c, struct root_device). */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { assignBit } from '../bits.ts';
import { kobjectOf } from '../driver/names.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { addLink, sysfs } from '../sysfs.ts';
import { kernelFunctions } from './define.ts';
import { addDevice, deleteDevice, initialise } from './device.ts';
import { put, setName } from './kobject.ts';

function* unregister(k: Linux, device: Address): Steps<void> {
  yield* deleteDevice(k, device);
  yield* put(k, kobjectOf(k, device));
}

function* register(k: Linux, name: Address, owner: Address): Steps<Address> {
  // struct root_device: the device, and the module whose link its folder has.
  const device = k.heap.allocateZeroed(k.sizeof('device') + k.word);
  if (device === 0) return -Errno.ENOMEM;
  setName(k, kobjectOf(k, device), k.memory.cstring(name));
  k.write('device.release', device, k.addressOf('root_device_release'));
  initialise(k, device);
  const error = yield* addDevice(k, device);
  if (error !== 0) {
    yield* put(k, kobjectOf(k, device));
    return error;
  }
  if (owner === 0) return device;
  const linked = addLink(k, kobjectOf(k, device), owner + k.offset('module.mkobj.kobj'), 'module');
  if (linked !== 0) {
    yield* unregister(k, device);
    return linked;
  }
  k.memory.setPtr(device + k.sizeof('device'), owner);
  return device;
}

export const rootDevices = kernelFunctions({
  'struct device *__root_device_register(const char *name, struct module *owner)': register,
  'void root_device_unregister(struct device *dev)': function* (k, device) {
    if (k.memory.ptr(device + k.sizeof('device')) !== 0)
      k.state(sysfs).directoryOf(kobjectOf(k, device))?.remove('module');
    yield* unregister(k, device);
  },
  'void root_device_release(struct device *dev)': (k, device) => k.heap.free(device),
  'void device_set_of_node_from_dev(struct device *dev, const struct device *dev2)': (k, device, other) => {
    k.write('device.of_node', device, k.read('device.of_node', other));
    if (k.types.has('device.of_node_reused')) k.write('device.of_node_reused', device, 1);
    else if (k.types.hasEnumerator('DEV_FLAG_OF_NODE_REUSED'))
      assignBit(k, device + k.offset('device.flags'), k.types.enumerator('DEV_FLAG_OF_NODE_REUSED'), true);
  },
});
