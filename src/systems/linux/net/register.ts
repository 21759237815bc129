/** Devices are made known and taken away (register_netdevice, unregister_netdevice_many of net/core/dev.c). */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { kobjectOf } from '../driver/names.ts';
import { Errno } from '../errno.ts';
import { kernelBug, kernelWarning } from '../functions/caller.ts';
import { addDevice, deleteDevice, initialise, registerClass } from '../functions/device.ts';
import { hold, put, setName } from '../functions/kobject.ts';
import type { Linux } from '../linux.ts';
import { addTail, entries, initList, unlink } from '../lists.ts';
import { flush } from './addresses.ts';
import { addOwnFiles } from './attributes.ts';
import { freeDevice, freeNameNode, makeNameNode, takeName } from './device.ts';
import { EVENT, notify, toErrno } from './events.ts';
import { completeFeatures, updateFeatures } from './features.ts';
import { IFF, REG, STATE } from './flags.ts';
import { closeDevices, flagsOf, flushLinkEvents, initOperation, operation, setState } from './link.ts';
import { findByIndex, holdDevice, initNet, nameOf, newIndex, putDevice } from './namespace.ts';
import { finishLater } from './rtnl.ts';
import { allocateStatistics, freeStatistics } from './statistics.ts';

/** The class `net`, whose devices these are. */
const netClass = perKernel<Address, Linux>((k) => {
  const at = k.heap.allocateZeroed(k.sizeof('class'));
  const name = k.heap.allocateZeroed(8);
  k.memory.write(name, new TextEncoder().encode('net\0'));
  k.write('class.name', at, name);
  k.write('class.dev_release', at, k.addressOf('netdev_release'));
  k.write('class.dev_uevent', at, k.addressOf('netdev_uevent'));
  registerClass(k, at, 'net');
  return at;
});

/** netdev_register_kobject: /sys/class/net/NAME. */
function* addToSysfs(k: Linux, device: Address): Steps<number> {
  const inner = device + k.offset('net_device.dev');
  initialise(k, inner);
  k.write('device.class', inner, k.state(netClass));
  k.write('device.platform_data', inner, device);
  k.write('device.groups', inner, device + k.offset('net_device.sysfs_groups'));
  setName(k, kobjectOf(k, inner), nameOf(k, device));
  const error = yield* addDevice(k, inner);
  if (error === 0) addOwnFiles(k, device);
  return error;
}

/** device_rename: the directory and all in it move. */
export function* renameInSysfs(k: Linux, device: Address): Steps<number> {
  const inner = device + k.offset('net_device.dev');
  yield* deleteDevice(k, inner);
  setName(k, kobjectOf(k, inner), nameOf(k, device));
  const error = yield* addDevice(k, inner);
  if (error === 0) addOwnFiles(k, device);
  return error;
}

/** netdev_unregister_kobject: out of sysfs; the structure is held until the end of its unregistering. */
function* dropFromSysfs(k: Linux, device: Address): Steps<void> {
  const inner = device + k.offset('net_device.dev');
  hold(k, kobjectOf(k, inner));
  yield* deleteDevice(k, inner);
}

/** The driver's ndo_init may refuse; it says so with a negative number, and any other is an error, too. */
function* initialiseDriver(k: Linux, device: Address): Steps<number> {
  const method = operation(k, device, 'net_device_ops.ndo_init');
  const error = method === 0 ? 0 : yield* k.callInt(method, device);
  return error > 0 ? -Errno.EIO : error;
}

function* uninitialise(k: Linux, device: Address): Steps<void> {
  const method = operation(k, device, 'net_device_ops.ndo_uninit');
  if (method !== 0) yield* k.call(method, device);
}

function* destroyPrivate(k: Linux, device: Address): Steps<void> {
  const method = k.read('net_device.priv_destructor', device);
  if (method !== 0) yield* k.call(method, device);
}

/** register_netdevice: 0, or an error after which nothing of the device is left but its memory. */
export function* registerDevice(k: Linux, device: Address): Steps<number> {
  if (k.read('net_device.reg_state', device) !== REG.UNINITIALIZED) kernelBug(k, 'net/core/dev.c');
  const named = takeName(k, device, nameOf(k, device));
  if (named < 0) return named;
  makeNameNode(k, device);
  const started = yield* initialiseDriver(k, device);
  if (started !== 0) {
    freeNameNode(k, device);
    return started;
  }
  // The driver's init says which counters it wants.
  const error = allocateStatistics(k, device) ? yield* complete(k, device) : -Errno.ENOMEM;
  if (error === 0) return yield* announce(k, device);
  yield* uninitialise(k, device);
  yield* destroyPrivate(k, device);
  freeStatistics(k, device);
  freeNameNode(k, device);
  return error;
}

/** Number, features, listeners that may object, sysfs. */
function* complete(k: Linux, device: Address): Steps<number> {
  const wanted = k.read('net_device.ifindex', device);
  if (wanted === 0) k.write('net_device.ifindex', device, newIndex(k));
  else if (findByIndex(k, wanted) !== 0) return -Errno.EBUSY;
  completeFeatures(k, device, (flagsOf(k, device) & IFF.LOOPBACK) !== 0);
  const refused = toErrno(yield* notify(k, EVENT.POST_INIT, device));
  if (refused !== 0) return refused;
  const error = yield* addToSysfs(k, device);
  k.write('net_device.reg_state', device, error === 0 ? REG.REGISTERED : REG.UNREGISTERED);
  if (error !== 0) yield* notify(k, EVENT.PRE_UNINIT, device);
  return error;
}

/** The device is there: it joins the list, and everybody is told. One who objects has it unregistered again. */
function* announce(k: Linux, device: Address): Steps<number> {
  yield* updateFeatures(k, device);
  setState(k, device, STATE.PRESENT, true);
  yield* initOperation(k, device);
  holdDevice(k, device);
  addTail(k, device + k.offset('net_device.dev_list'), initNet(k) + k.offset('net.dev_base_head'));
  // NET_ADDR_PERM: the address is the hardware's own.
  if (k.read('net_device.addr_assign_type', device) === 0) {
    const length = k.read('net_device.addr_len', device);
    k.memory.copy(device + k.offset('net_device.perm_addr'), k.read('net_device.dev_addr', device), length);
  }
  const refused = toErrno(yield* notify(k, EVENT.REGISTER, device));
  if (refused === 0) return 0;
  k.write('net_device.needs_free_netdev', device, 0);
  yield* unregisterDevices(k, [device]);
  return refused;
}

/** Devices on a list_head of the caller's, linked by `unreg_list`. */
export function listed(k: Linux, head: Address): Address[] {
  return [...entries(k, head)].map((entry) => entry - k.offset('net_device.unreg_list'));
}

/** unregister_netdevice_queue: now, or with the others of a list. */
export function* unregisterQueued(k: Linux, device: Address, head: Address): Steps<void> {
  if (head === 0) return yield* unregisterDevices(k, [device]);
  const entry = device + k.offset('net_device.unreg_list');
  unlink(k, entry);
  addTail(k, entry, head);
}

/** unregister_netdevice_many on a guest's list, which is empty afterwards. */
export function* unregisterList(k: Linux, head: Address): Steps<void> {
  const devices = listed(k, head);
  if (devices.length === 0) return;
  yield* unregisterDevices(k, devices);
  initList(k, head);
}

export function* unregisterDevices(k: Linux, all: readonly Address[]): Steps<void> {
  const devices: Address[] = [];
  for (const device of all) {
    if (k.read('net_device.reg_state', device) === REG.UNINITIALIZED) {
      kernelWarning(k, 'net/core/dev.c');
      continue;
    }
    if (k.read('net_device.reg_state', device) !== REG.REGISTERED) kernelBug(k, 'net/core/dev.c');
    k.write('net_device.dismantle', device, 1);
    devices.push(device);
  }
  yield* closeDevices(k, devices);
  for (const device of devices) {
    unlink(k, device + k.offset('net_device.dev_list'));
    k.write('net_device.reg_state', device, REG.UNREGISTERING);
  }
  for (const device of devices) {
    yield* notify(k, EVENT.UNREGISTER, device);
    for (const list of ['net_device.uc', 'net_device.mc']) flush(k, device + k.offset(list));
    freeNameNode(k, device);
    yield* notify(k, EVENT.PRE_UNINIT, device);
    yield* uninitialise(k, device);
    yield* dropFromSysfs(k, device);
  }
  for (const device of devices) {
    yield* flushLinkEvents(k, device);
    putDevice(k, device);
    initList(k, device + k.offset('net_device.unreg_list'));
    finishLater(k, device, () => finish(k, device));
  }
}

/** The end of netdev_run_todo for one device that nobody refers to any more. */
function* finish(k: Linux, device: Address): Steps<void> {
  k.write('net_device.reg_state', device, REG.UNREGISTERED);
  freeStatistics(k, device);
  yield* destroyPrivate(k, device);
  const inner = kobjectOf(k, device + k.offset('net_device.dev'));
  if (k.read('net_device.needs_free_netdev', device) !== 0) yield* freeDevice(k, device);
  yield* put(k, inner);
}
