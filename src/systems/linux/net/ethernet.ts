/** What all Ethernet devices have in common (net/ethernet/eth.c). */

import { perKernel } from '../../../kernel/kernel.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { setOwnAddress } from './addresses.ts';
import { addPrivateFlags, hasPrivateFlag } from './device.ts';
import { IFF } from './flags.ts';
import { isRunning } from './link.ts';

export const ADDRESS_BYTES = 6;
export const HEADER_BYTES = 14;
const QUEUE_LENGTH = 1000;

/** eth_header_ops: the functions are exported, the table is not. */
const headerOperations = perKernel<Address, Linux>((k) => {
  const at = k.heap.allocateZeroed(k.sizeof('header_ops'));
  for (const [field, name] of [
    ['header_ops.create', 'eth_header'],
    ['header_ops.parse', 'eth_header_parse'],
    ['header_ops.cache', 'eth_header_cache'],
    ['header_ops.cache_update', 'eth_header_cache_update'],
    ['header_ops.parse_protocol', 'eth_header_parse_protocol'],
  ] as const)
    k.write(field, at, k.addressOf(name));
  return at;
});

/** ether_setup */
export function setupEthernet(k: Linux, device: Address): void {
  for (const [field, value] of [
    ['net_device.header_ops', k.state(headerOperations)],
    ['net_device.type', 1],
    ['net_device.hard_header_len', HEADER_BYTES],
    ['net_device.min_header_len', HEADER_BYTES],
    ['net_device.mtu', 1500],
    ['net_device.min_mtu', 68],
    ['net_device.max_mtu', 1500],
    ['net_device.addr_len', ADDRESS_BYTES],
    ['net_device.tx_queue_len', QUEUE_LENGTH],
    ['net_device.flags', IFF.BROADCAST | IFF.MULTICAST],
  ] as const)
    k.write(field, device, value);
  addPrivateFlags(k, device, 'IFF_TX_SKB_SHARING');
  k.memory.fill(device + k.offset('net_device.broadcast'), ADDRESS_BYTES, 0xff);
}

/** is_valid_ether_addr: neither a group's nor all zero. */
export function isValidAddress(bytes: Uint8Array): boolean {
  return (bytes[0] & 1) === 0 && bytes.some((byte) => byte !== 0);
}

/** eth_prepare_mac_addr_change: `address` is a struct sockaddr. */
export function mayChangeAddress(k: Linux, device: Address, address: Address): number {
  if (!hasPrivateFlag(k, device, 'IFF_LIVE_ADDR_CHANGE') && isRunning(k, device)) return -Errno.EBUSY;
  return isValidAddress(k.memory.bytes(address + 2, ADDRESS_BYTES)) ? 0 : -Errno.EADDRNOTAVAIL;
}

export function takeAddress(k: Linux, device: Address, address: Address): void {
  setOwnAddress(k, device, 0, k.memory.bytes(address + 2, ADDRESS_BYTES).slice());
}
