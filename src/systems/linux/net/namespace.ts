/**
 * The one network namespace there is (`init_net`): what modules keep in it by number, and its list of devices
 * (net/core/net_namespace.c). The list is the guest's own, `net->dev_base_head`.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Address } from '../../../memory/space.ts';
import { directoryEntry } from '../functions/procfs.ts';
import type { Linux } from '../linux.ts';
import { addTail, entries, initList } from '../lists.ts';
import { namespace } from '../vfs/namespace.ts';
import { makePath } from '../vfs/node.ts';

const GENERIC_SLOTS = 512;

interface Namespace {
  readonly net: Address;
  /** struct net_generic: pointers by index. */
  readonly generic: Address;
  readonly slots: number;
  readonly taken: Set<number>;
  readonly operations: Address[];
}

export const initialNamespace = perKernel<Namespace, Linux>((k) => {
  // A kernel without networks has no init_net; what asks for one then gets a zeroed piece of its own.
  const net = k.file.exports.find('init_net')?.address ?? k.heap.allocateZeroed(k.sizeof('net'));
  const generic = k.heap.allocateZeroed(GENERIC_SLOTS * k.word);
  k.write('net.gen', net, generic);
  for (const list of ['net.list', 'net.exit_list', 'net.dev_base_head']) {
    if (k.types.has(list)) initList(k, net + k.offset(list));
  }
  // for_each_net walks all namespaces: the list has this one.
  const all = k.file.exports.find('net_namespace_list')?.address;
  if (all !== undefined) {
    initList(k, all);
    addTail(k, net + k.offset('net.list'), all);
  }
  if (k.types.has('net.ns.count')) k.write('net.ns.count.refs.counter', net, 1);
  const users = k.file.exports.find('init_user_ns');
  if (users !== undefined && k.types.has('net.user_ns')) k.write('net.user_ns', net, users.address);
  const folder = makePath(k.state(namespace).proc, 'self/net');
  k.write('net.proc_net', net, directoryEntry(k, folder));
  k.write('net.proc_net_stat', net, directoryEntry(k, makePath(folder, 'stat')));
  return { net, generic, slots: GENERIC_SLOTS, taken: new Set(), operations: [] };
});

export const initNet = (k: Linux): Address => k.state(initialNamespace).net;

/** Every registered device, in the order of registration. */
export function* netDevices(k: Linux): Generator<Address> {
  const inner = k.offset('net_device.dev_list');
  for (const entry of entries(k, initNet(k) + k.offset('net.dev_base_head'))) yield entry - inner;
}

export const nameOf = (k: Linux, device: Address): string => k.readString('net_device.name', device);

/** __dev_get_by_name: by its name or another it was given; 0 when there is none. */
export function findByName(k: Linux, name: string): Address {
  for (const device of netDevices(k)) if (nameOf(k, device) === name) return device;
  return 0;
}

/** __dev_get_by_index */
export function findByIndex(k: Linux, index: number): Address {
  for (const device of netDevices(k)) if (k.read('net_device.ifindex', device) === index) return device;
  return 0;
}

/** dev_new_index: numbers go on from the last one given. */
export function newIndex(k: Linux): number {
  const net = initNet(k);
  let index = k.read('net.ifindex', net);
  do index = index >= 0x7fffffff ? 1 : index + 1;
  while (findByIndex(k, index) !== 0);
  k.write('net.ifindex', net, index);
  return index;
}

// -- references: a counter for each processor, which inline code counts up and down ----------------------------------

const counterOf = (k: Linux, device: Address): Address =>
  k.percpu.addressOf(k.read('net_device.pcpu_refcnt', device));

export const references = (k: Linux, device: Address): number => k.memory.i32(counterOf(k, device));

export function holdDevice(k: Linux, device: Address): Address {
  if (device !== 0) k.memory.set32(counterOf(k, device), references(k, device) + 1);
  return device;
}

export function putDevice(k: Linux, device: Address): void {
  if (device !== 0) k.memory.set32(counterOf(k, device), references(k, device) - 1);
}
