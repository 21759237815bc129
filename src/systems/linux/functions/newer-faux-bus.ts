/**
 * The faux bus (drivers/base/faux.c, since 6.14): devices that stand for nothing but the module that makes them. One
 * driver of the kernel's own takes each and calls the maker's probe.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { registerDriver } from '../driver/driver.ts';
import { kobjectOf } from '../driver/names.ts';
import { ownBus } from '../driver/own-bus.ts';
import type { Linux } from '../linux.ts';
import { keepAll } from '../sysfs.ts';
import { kernelFunctions } from './define.ts';
import { addDevice, deleteDevice, initialise } from './device.ts';
import { writeText } from './format/printf.ts';
import { addGroups, put, removeGroups, setName } from './kobject.ts';

const DRIVER = 'faux_driver';

/** The bus and /sys/devices/faux; 0 until the first device is made. */
const made = perKernel<{ bus: Address; root: Address }, Linux>(() => ({ bus: 0, root: 0 }));

function* fauxBus(k: Linux): Steps<{ bus: Address; root: Address }> {
  const state = k.state(made);
  if (state.bus !== 0) return state;
  state.root = k.heap.allocateZeroed(k.sizeof('device'));
  initialise(k, state.root);
  setName(k, kobjectOf(k, state.root), 'faux');
  yield* addDevice(k, state.root);
  const methods = { match: 'faux_match', probe: 'faux_probe', remove: 'faux_remove' };
  state.bus = yield* ownBus(k, 'faux', methods, undefined);
  const driver = k.heap.allocateZeroed(k.sizeof('device_driver'));
  const name = k.heap.allocate(DRIVER.length + 1);
  writeText(k, name, DRIVER);
  k.write('device_driver.name', driver, name);
  k.write('device_driver.bus', driver, state.bus);
  k.write('device_driver.suppress_bind_attrs', driver, 1);
  yield* registerDriver(k, driver, true);
  keepAll(k, 'bus/faux');
  keepAll(k, 'devices/faux');
  return state;
}

/** struct faux_object: the device, its maker's operations, the groups. */
const objectOf = (k: Linux, device: Address): Address => device - k.offset('faux_object.faux_dev.dev');

/** A member of the maker's operations; 0 when there is none. */
function operation(k: Linux, object: Address, member: 'probe' | 'remove'): Address {
  const operations = k.read('faux_object.faux_ops', object);
  return operations === 0 ? 0 : k.read(`faux_device_ops.${member}`, operations);
}

const methods = kernelFunctions({
  'int faux_match(struct device *dev, const struct device_driver *drv)': () => 1,
  'int faux_probe(struct device *dev)': function* (k, device) {
    const object = objectOf(k, device);
    const probe = operation(k, object, 'probe');
    const error = probe === 0 ? 0 : yield* k.callInt(probe, object);
    if (error !== 0) return error;
    const groups = yield* addGroups(k, kobjectOf(k, device), k.read('faux_object.groups', object));
    const remove = operation(k, object, 'remove');
    if (groups !== 0 && remove !== 0) yield* k.call(remove, object);
    return groups;
  },
  'void faux_remove(struct device *dev)': function* (k, device) {
    const object = objectOf(k, device);
    removeGroups(k, kobjectOf(k, device), k.read('faux_object.groups', object));
    const remove = operation(k, object, 'remove');
    if (remove !== 0) yield* k.call(remove, object);
  },
  'void faux_device_release(struct device *dev)': (k, device) => k.heap.free(objectOf(k, device)),
});

/** The device when its probe took it, else 0. */
function* create(
  k: Linux,
  name: Address,
  parent: Address,
  operations: Address,
  groups: Address,
): Steps<Address> {
  const { bus, root } = yield* fauxBus(k);
  const object = k.heap.allocateZeroed(k.sizeof('faux_object'));
  if (object === 0) return 0;
  k.write('faux_object.faux_ops', object, operations);
  k.write('faux_object.groups', object, groups);
  const device = object + k.offset('faux_object.faux_dev.dev');
  initialise(k, device);
  k.write('device.release', device, k.addressOf('faux_device_release'));
  k.write('device.parent', device, parent || root);
  k.write('device.bus', device, bus);
  const text = k.memory.cstring(name);
  setName(k, kobjectOf(k, device), text);
  const error = yield* addDevice(k, device);
  if (error !== 0) {
    k.printk(3, `faux_device_create_with_groups: device_add for faux device '${text}' failed with ${error}`);
    yield* put(k, kobjectOf(k, device));
    return 0;
  }
  if (k.read('device.driver', device) !== 0) return object;
  yield* destroy(k, object);
  return 0;
}

function* destroy(k: Linux, object: Address): Steps<void> {
  if (object === 0) return;
  const device = object + k.offset('faux_object.faux_dev.dev');
  yield* deleteDevice(k, device);
  yield* put(k, kobjectOf(k, device));
}

const devices = kernelFunctions({
  'struct faux_device *faux_device_create(const char *name, struct device *parent, const struct faux_device_ops *faux_ops)':
    (k, name, parent, operations) => create(k, name, parent, operations, 0),
  'struct faux_device *faux_device_create_with_groups(const char *name, struct device *parent, const struct faux_device_ops *faux_ops, const struct attribute_group **groups)':
    create,
  'void faux_device_destroy(struct faux_device *faux_dev)': destroy,
});

export const fauxBusFunctions = [methods, devices];
