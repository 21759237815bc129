/** Devices above and below one another: bonds, bridges, VLANs (struct netdev_adjacent, net/core/dev.c). */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { kobjectOf } from '../driver/names.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { addHead, addTail, entries, unlink } from '../lists.ts';
import { addLink, sysfs } from '../sysfs.ts';
import { EVENT, notify, toErrno } from './events.ts';
import { holdDevice, nameOf, putDevice } from './namespace.ts';

export type Side = 'upper' | 'lower';

export const listOf = (k: Linux, device: Address, side: Side): Address =>
  device + k.offset(side === 'upper' ? 'net_device.adj_list.upper' : 'net_device.adj_list.lower');

/** The entries of a list: struct netdev_adjacent each. */
export function* adjacent(k: Linux, device: Address, side: Side): Generator<Address> {
  const inner = k.offset('netdev_adjacent.list');
  for (const entry of entries(k, listOf(k, device, side))) yield entry - inner;
}

export const deviceOf = (k: Linux, entry: Address): Address => k.read('netdev_adjacent.dev', entry);

/** The entry for that very device; 0 when they are no neighbours. */
export function entryFor(k: Linux, device: Address, side: Side, other: Address): Address {
  for (const entry of adjacent(k, device, side)) if (deviceOf(k, entry) === other) return entry;
  return 0;
}

/** Every device above, or below, through all levels. */
export function* reachable(
  k: Linux,
  device: Address,
  side: Side,
  seen = new Set<Address>(),
): Generator<Address> {
  for (const entry of [...adjacent(k, device, side)]) {
    const other = deviceOf(k, entry);
    if (seen.has(other)) continue;
    seen.add(other);
    yield other;
    yield* reachable(k, other, side, seen);
  }
}

/** netdev_master_upper_dev_get: the one device that owns this one; masters come first. */
export function masterOf(k: Linux, device: Address): Address {
  for (const entry of adjacent(k, device, 'upper')) {
    if (k.read('netdev_adjacent.master', entry) !== 0) return deviceOf(k, entry);
  }
  return 0;
}

const kobject = (k: Linux, device: Address): Address => kobjectOf(k, device + k.offset('net_device.dev'));

function insert(k: Linux, device: Address, side: Side, other: Address, data: Address, master: boolean): void {
  const entry = k.heap.allocateZeroed(k.sizeof('netdev_adjacent'));
  k.write('netdev_adjacent.dev', entry, other);
  k.write('netdev_adjacent.master', entry, Number(master));
  k.write('netdev_adjacent.ref_nr', entry, 1);
  k.write('netdev_adjacent.private', entry, data);
  holdDevice(k, other);
  const node = entry + k.offset('netdev_adjacent.list');
  if (master) addHead(k, node, listOf(k, device, side));
  else addTail(k, node, listOf(k, device, side));
  addLink(k, kobject(k, device), kobject(k, other), `${side}_${nameOf(k, other)}`);
  if (master) addLink(k, kobject(k, device), kobject(k, other), 'master');
}

function drop(k: Linux, device: Address, side: Side, other: Address): void {
  const entry = entryFor(k, device, side, other);
  if (entry === 0) return;
  const node = k.state(sysfs).directoryOf(kobject(k, device));
  node?.remove(`${side}_${nameOf(k, other)}`);
  if (k.read('netdev_adjacent.master', entry) !== 0) node?.remove('master');
  unlink(k, entry + k.offset('netdev_adjacent.list'));
  k.heap.free(entry);
  putDevice(k, other);
}

/** How deep the stack of devices is on either side, which locks and checks go by. */
function levels(k: Linux, device: Address): void {
  for (const [side, field] of [
    ['upper', 'net_device.upper_level'],
    ['lower', 'net_device.lower_level'],
  ] as const) {
    const above = [...adjacent(k, device, side)].map((entry) => k.read(field, deviceOf(k, entry)));
    k.write(field, device, 1 + Math.max(0, ...above));
  }
}

/** struct netdev_notifier_changeupper_info behind its head: the device, master and linking, what the driver adds. */
const about = (upper: Address, master: boolean, linking: boolean, more: Address): number[] => [
  upper,
  Number(master) + 256 * Number(linking),
  more,
];

/** netdev_upper_dev_link, netdev_master_upper_dev_link. */
export function* linkUpper(
  k: Linux,
  device: Address,
  upper: Address,
  master: boolean,
  data: Address,
  more: Address,
): Steps<number> {
  if (device === upper || [...reachable(k, upper, 'upper')].includes(device)) return -Errno.EBUSY;
  if (!master && [...reachable(k, device, 'upper')].includes(upper)) return -Errno.EEXIST;
  const owner = masterOf(k, device);
  if (master && owner !== 0) return owner === upper ? -Errno.EEXIST : -Errno.EBUSY;
  const told = about(upper, master, true, more);
  const refused = toErrno(yield* notify(k, EVENT.PRECHANGEUPPER, device, ...told));
  if (refused !== 0) return refused;
  insert(k, device, 'upper', upper, data, master);
  insert(k, upper, 'lower', device, data, false);
  const objected = toErrno(yield* notify(k, EVENT.CHANGEUPPER, device, ...told));
  if (objected !== 0) {
    drop(k, device, 'upper', upper);
    drop(k, upper, 'lower', device);
  }
  for (const each of [device, upper]) levels(k, each);
  return objected;
}

/** netdev_upper_dev_unlink */
export function* unlinkUpper(k: Linux, device: Address, upper: Address): Steps<void> {
  const told = about(upper, masterOf(k, device) === upper, false, 0);
  yield* notify(k, EVENT.PRECHANGEUPPER, device, ...told);
  drop(k, device, 'upper', upper);
  drop(k, upper, 'lower', device);
  yield* notify(k, EVENT.CHANGEUPPER, device, ...told);
  for (const each of [device, upper]) levels(k, each);
}
