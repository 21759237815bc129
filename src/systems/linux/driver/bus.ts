/**
 * Buses (drivers/base/bus.c): each has a directory in /sys/bus, a list of devices and one of drivers, all in its
 * struct subsys_private.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import { add, addGroups, initialise, put, remove, removeGroups, setName } from '../functions/kobject.ts';
import { callChain } from '../functions/notifiers.ts';
import type { Linux } from '../linux.ts';
import { type AttributeMethods, attributeMethods, kernelDirectory, sysfs } from '../sysfs.ts';
import { regular } from '../vfs/node.ts';
import { type KobjectType, kobjectType } from './ktype.ts';
import { deviceName, initKlist, joinKlist, klistMembers, kobjectOf, leaveKlist } from './names.ts';

const BUS_TYPE: KobjectType = { release: 'bus_release', show: 'bus_attr_show', store: 'bus_attr_store' };

/** From Linux 6.4 on a bus does not point to its private part: the kernel finds it through the set of all buses. */
const privates = perKernel<Map<Address, Address>, Linux>(() => new Map());

/** struct subsys_private of a bus; 0 when it is not registered. */
export function busPrivate(k: Linux, bus: Address): Address {
  if (bus === 0) return 0;
  return k.types.has('bus_type.p') ? k.read('bus_type.p', bus) : (k.state(privates).get(bus) ?? 0);
}

function setPrivate(k: Linux, bus: Address, priv: Address): void {
  if (k.types.has('bus_type.p')) k.write('bus_type.p', bus, priv);
  else if (priv === 0) k.state(privates).delete(bus);
  else k.state(privates).set(bus, priv);
}

const busKobject = (k: Linux, priv: Address): Address => priv + k.offset('subsys_private.subsys.kobj');

/** A file of a directory that belongs to a kobject, with methods of ours. */
export function addOwnFile(
  k: Linux,
  kobject: Address,
  name: string,
  mode: number,
  methods: AttributeMethods,
): void {
  k.state(sysfs)
    .directoryOf(kobject)
    ?.add(regular(name, mode, attributeMethods(methods)));
}

/** Text in the page that a show method was handed. */
export function* showText(k: Linux, page: Address, text: string): Steps<number> {
  k.memory.write(page, new TextEncoder().encode(`${text}\0`));
  return text.length;
}

/** What was written to a file, without the newline that echo puts behind it. */
export function written(k: Linux, page: Address, count: number): string {
  return new TextDecoder().decode(k.memory.bytes(page, count)).replace(/\0.*$/s, '').replace(/\n$/, '');
}

/** bus_register. `reprobe` is what drivers_probe does: it looks for drivers of one device. */
export function* registerBus(k: Linux, bus: Address, reprobe: Reprobe): Steps<number> {
  const priv = k.heap.allocateZeroed(k.sizeof('subsys_private'));
  const kobject = busKobject(k, priv);
  initialise(k, kobject, kobjectType(k, BUS_TYPE));
  setName(k, kobject, k.readString('bus_type.name', bus));
  k.write('kobject.parent', kobject, kernelDirectory(k, 'bus'));
  const error = yield* add(k, kobject);
  if (error !== 0) {
    yield* put(k, kobject);
    return error;
  }
  k.write('subsys_private.bus', priv, bus);
  setPrivate(k, bus, priv);
  k.write('subsys_private.drivers_autoprobe', priv, 1);
  initKlist(k, priv + k.offset('subsys_private.klist_devices'));
  initKlist(k, priv + k.offset('subsys_private.klist_drivers'));
  k.write('subsys_private.devices_kset', priv, yield* subset(k, kobject, 'devices'));
  k.write('subsys_private.drivers_kset', priv, yield* subset(k, kobject, 'drivers'));
  addBusFiles(k, bus, priv, reprobe);
  return yield* addGroups(k, kobject, k.read('bus_type.bus_groups', bus));
}

export type Reprobe = (k: Linux, device: Address) => Steps<number>;

/** A kset that is nothing but a directory below the bus's own. */
function* subset(k: Linux, parent: Address, name: string): Steps<Address> {
  const set = k.heap.allocateZeroed(k.sizeof('kset'));
  const kobject = set + k.offset('kset.kobj');
  initialise(k, kobject, 0);
  setName(k, kobject, name);
  k.write('kobject.parent', kobject, parent);
  yield* add(k, kobject);
  return set;
}

function addBusFiles(k: Linux, bus: Address, priv: Address, reprobe: Reprobe): void {
  const kobject = busKobject(k, priv);
  addOwnFile(k, kobject, 'uevent', 0o200, { store: (_k, _page, count) => accept(count) });
  addOwnFile(k, kobject, 'drivers_autoprobe', 0o644, {
    show: (kernel, page) =>
      showText(kernel, page, `${kernel.read('subsys_private.drivers_autoprobe', priv)}\n`),
    *store(kernel, page, count) {
      kernel.write(
        'subsys_private.drivers_autoprobe',
        priv,
        written(kernel, page, count).startsWith('0') ? 0 : 1,
      );
      return count;
    },
  });
  addOwnFile(k, kobject, 'drivers_probe', 0o200, {
    *store(kernel, page, count) {
      const device = findByName(kernel, bus, written(kernel, page, count));
      if (device === 0) return -Errno.ENODEV;
      const error = yield* reprobe(kernel, device);
      return error < 0 ? error : count;
    },
  });
}

/** A write that is taken and has no effect: there is no udev to hear of it. */
export function* accept(count: number): Steps<number> {
  return count;
}

/** bus_unregister: its directory goes; a bus with devices or drivers left is the module's mistake. */
export function* unregisterBus(k: Linux, bus: Address): Steps<void> {
  const priv = busPrivate(k, bus);
  if (priv === 0) return;
  for (const field of ['drivers_kset', 'devices_kset'] as const) {
    const set = k.read(`subsys_private.${field}`, priv);
    yield* remove(k, set + k.offset('kset.kobj'));
    yield* put(k, set + k.offset('kset.kobj'));
    k.heap.free(set);
  }
  removeGroups(k, busKobject(k, priv), k.read('bus_type.bus_groups', bus));
  yield* remove(k, busKobject(k, priv));
  setPrivate(k, bus, 0);
  yield* put(k, busKobject(k, priv));
}

// -- who is told ----------------------------------------------------------------------------------------------------

/** What bus notifiers hear: enum bus_notifier_event since 6.3, which begins at 0; macros that begin at 1 before. */
export const BUS_NOTIFY = {
  ADD_DEVICE: 0,
  DEL_DEVICE: 1,
  REMOVED_DEVICE: 2,
  BIND_DRIVER: 3,
  BOUND_DRIVER: 4,
  UNBIND_DRIVER: 5,
  UNBOUND_DRIVER: 6,
  DRIVER_NOT_BOUND: 7,
} as const;

/** The head of a bus's notifier chain; 0 when the bus is not registered. */
export function busChain(k: Linux, bus: Address): Address {
  const priv = busPrivate(k, bus);
  const head = 'subsys_private.bus_notifier.head';
  return priv === 0 ? 0 : priv + k.offset(head);
}

export function* notifyBus(k: Linux, device: Address, event: number): Steps<void> {
  const chain = busChain(k, k.read('device.bus', device));
  const first = k.types.hasEnumerator('BUS_NOTIFY_ADD_DEVICE') ? 0 : 1;
  if (chain !== 0) yield* callChain(k, chain, first + event, device);
}

// -- devices of a bus ------------------------------------------------------------------------------------------------

export function busDevices(k: Linux, bus: Address): Address[] {
  const priv = busPrivate(k, bus);
  if (priv === 0) return [];
  const list = priv + k.offset('subsys_private.klist_devices');
  return klistMembers(k, list, 'device_private.knode_bus').map((p) => k.read('device_private.device', p));
}

/** struct device_driver of each driver on the bus, in the order of registration. */
export function busDrivers(k: Linux, bus: Address): Address[] {
  const priv = busPrivate(k, bus);
  if (priv === 0) return [];
  const list = priv + k.offset('subsys_private.klist_drivers');
  return klistMembers(k, list, 'driver_private.knode_bus').map((p) => k.read('driver_private.driver', p));
}

export function findByName(k: Linux, bus: Address, name: string): Address {
  return busDevices(k, bus).find((device) => deviceName(k, device) === name) ?? 0;
}

/** bus_add_device: attributes of the bus, links both ways, a place in its list. */
export function* addToBus(k: Linux, device: Address): Steps<number> {
  const bus = k.read('device.bus', device);
  const priv = busPrivate(k, bus);
  if (priv === 0) return 0;
  const kobject = kobjectOf(k, device);
  const error = yield* addGroups(k, kobject, k.read('bus_type.dev_groups', bus));
  if (error !== 0) return error;
  const tree = k.state(sysfs);
  const set = k.read('subsys_private.devices_kset', priv) + k.offset('kset.kobj');
  tree.link(set, kobject, deviceName(k, device));
  tree.link(kobject, busKobject(k, priv), 'subsystem');
  const node = k.read('device.p', device) + k.offset('device_private.knode_bus');
  joinKlist(k, priv + k.offset('subsys_private.klist_devices'), node);
  return 0;
}

/** bus_remove_device, but for letting go of the driver, which the caller does. */
export function removeFromBus(k: Linux, device: Address): void {
  const bus = k.read('device.bus', device);
  const priv = busPrivate(k, bus);
  if (priv === 0 || k.read('device.p', device) === 0) return;
  const kobject = kobjectOf(k, device);
  const tree = k.state(sysfs);
  tree.directoryOf(kobject)?.remove('subsystem');
  const set = k.read('subsys_private.devices_kset', priv) + k.offset('kset.kobj');
  tree.directoryOf(set)?.remove(deviceName(k, device));
  removeGroups(k, kobject, k.read('bus_type.dev_groups', bus));
  leaveKlist(k, k.read('device.p', device) + k.offset('device_private.knode_bus'));
}
