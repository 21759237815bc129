/** Lists of hardware addresses of a device: its own, and those it listens to (net/core/dev_addr_lists.c). */
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { addTail, entries, initList, unlink } from '../lists.ts';

export const MAX_ADDRESS = 32;
/** NETDEV_HW_ADDR_T_LAN, _UNICAST, _MULTICAST. */
export const KIND = { LAN: 1, UNICAST: 3, MULTICAST: 4 } as const;

export function initAddresses(k: Linux, list: Address): void {
  initList(k, list + k.offset('netdev_hw_addr_list.list'));
  k.write('netdev_hw_addr_list.count', list, 0);
}

export function* members(k: Linux, list: Address): Generator<Address> {
  const inner = k.offset('netdev_hw_addr.list');
  for (const entry of entries(k, list + k.offset('netdev_hw_addr_list.list'))) yield entry - inner;
}

const bytesAt = (k: Linux, at: Address): Uint8Array => k.memory.bytes(at, MAX_ADDRESS);
export const addressAt = (k: Linux, entry: Address): Address => entry + k.offset('netdev_hw_addr.addr');

export function find(k: Linux, list: Address, address: Uint8Array): Address {
  for (const entry of members(k, list)) {
    const own = k.memory.bytes(addressAt(k, entry), address.length);
    if (own.every((byte, i) => byte === address[i])) return entry;
  }
  return 0;
}

/** __hw_addr_add_ex: one entry for each address, counted; `global` as dev_uc_add_global asks. */
export function add(k: Linux, list: Address, address: Uint8Array, kind: number, exclusive = false): number {
  if (address.length > MAX_ADDRESS) return -Errno.EINVAL;
  const known = find(k, list, address);
  if (known !== 0) {
    if (exclusive) return -Errno.EEXIST;
    k.write('netdev_hw_addr.refcount', known, k.read('netdev_hw_addr.refcount', known) + 1);
    return 0;
  }
  const entry = k.heap.allocateZeroed(k.sizeof('netdev_hw_addr'));
  if (entry === 0) return -Errno.ENOMEM;
  k.memory.write(addressAt(k, entry), address);
  k.write('netdev_hw_addr.type', entry, kind);
  k.write('netdev_hw_addr.refcount', entry, 1);
  addTail(k, entry + k.offset('netdev_hw_addr.list'), list + k.offset('netdev_hw_addr_list.list'));
  k.write('netdev_hw_addr_list.count', list, k.read('netdev_hw_addr_list.count', list) + 1);
  return 0;
}

function drop(k: Linux, list: Address, entry: Address): void {
  unlink(k, entry + k.offset('netdev_hw_addr.list'));
  k.heap.free(entry);
  k.write('netdev_hw_addr_list.count', list, k.read('netdev_hw_addr_list.count', list) - 1);
}

export function remove(k: Linux, list: Address, address: Uint8Array): number {
  const entry = find(k, list, address);
  if (entry === 0) return -Errno.ENOENT;
  release(k, list, entry);
  return 0;
}

/** One user less of an entry; without any it goes. */
export function release(k: Linux, list: Address, entry: Address): void {
  const count = k.read('netdev_hw_addr.refcount', entry) - 1;
  k.write('netdev_hw_addr.refcount', entry, count);
  if (count === 0) drop(k, list, entry);
}

export function flush(k: Linux, list: Address): void {
  for (const entry of [...members(k, list)]) drop(k, list, entry);
}

/** dev_addr_init: the device's own address is the first of its list, and `dev_addr` points into it. */
export function initOwnAddress(k: Linux, device: Address): void {
  const list = device + k.offset('net_device.dev_addrs');
  initAddresses(k, list);
  add(k, list, new Uint8Array(MAX_ADDRESS), KIND.LAN);
  for (const entry of members(k, list)) k.write('net_device.dev_addr', device, addressAt(k, entry));
}

/** dev_addr_mod: writes bytes of the device's own address. */
export function setOwnAddress(k: Linux, device: Address, offset: number, bytes: Uint8Array): void {
  k.memory.write(k.read('net_device.dev_addr', device) + offset, bytes);
  if (k.types.has('net_device.dev_addr_shadow'))
    k.memory.write(device + k.offset('net_device.dev_addr_shadow') + offset, bytes);
}

/** The first `count` bytes of an address in guest memory. */
export const addressBytes = (k: Linux, at: Address, count: number): Uint8Array =>
  bytesAt(k, at).slice(0, count);
