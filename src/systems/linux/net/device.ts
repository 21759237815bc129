/** net_device structures: made, named, freed (alloc_netdev_mqs, dev_alloc_name, free_netdev of net/core/dev.c). */

import { roundUp } from '../../../bytes/align.ts';
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import { bytesOf } from '../../../kernel/text/sink.ts';
import type { Address } from '../../../memory/space.ts';
import { kobjectOf } from '../driver/names.ts';
import { Errno } from '../errno.ts';
import { kernelBug } from '../functions/caller.ts';
import { HZ } from '../functions/clock.ts';
import { put } from '../functions/kobject.ts';
import type { Linux } from '../linux.ts';
import { entries, initList } from '../lists.ts';
import { flush, initAddresses, initOwnAddress } from './addresses.ts';
import { REG } from './flags.ts';
import { findByName, holdDevice, initNet, nameOf, netDevices } from './namespace.ts';

/** IFNAMSIZ, with the zero. */
export const NAME_BYTES = 16;
/** NETDEV_ALIGN */
const ALIGN = 32;
/** DEFAULT_TX_QUEUE_LEN */
const QUEUE_LENGTH = 1000;
const LARGEST_GSO = 65536;
/** DQL_MAX_LIMIT (include/linux/dynamic_queue_limits.h) */
const MOST_ON_THE_WAY = 1879048192;

/** Where a driver's own part of a device begins (netdev_priv). */
export function privateOffset(k: Linux): number {
  return k.types.has('net_device.priv')
    ? k.offset('net_device.priv')
    : roundUp(k.sizeof('net_device'), ALIGN);
}

export interface DeviceSpec {
  readonly privateBytes: number;
  readonly name: string;
  readonly nameAssignType: number;
  readonly transmitQueues: number;
  readonly receiveQueues: number;
  /** Whose allocation it is; 0 for the kernel's own. */
  readonly caller: Address;
  readonly setup: (device: Address) => Steps<unknown>;
}

/** alloc_netdev_mqs: 0 when it cannot be. */
export function* allocateDevice(k: Linux, spec: DeviceSpec): Steps<Address> {
  if (bytesOf(spec.name).length >= NAME_BYTES) kernelBug(k, 'net/core/dev.c');
  if (spec.transmitQueues < 1) {
    k.printk(3, 'alloc_netdev: Unable to allocate device with zero queues');
    return 0;
  }
  if (spec.receiveQueues < 1) {
    k.printk(3, 'alloc_netdev: Unable to allocate device with zero RX queues');
    return 0;
  }
  const own = spec.privateBytes > 0 ? privateOffset(k) + spec.privateBytes : k.sizeof('net_device');
  const start = k.heap.allocateZeroed(own + ALIGN - 1, undefined, spec.caller);
  if (start === 0) return 0;
  const device = start + ((ALIGN - (start % ALIGN)) % ALIGN);
  fill(k, device, device - start, spec);
  yield* spec.setup(device);
  if (k.read('net_device.tx_queue_len', device) === 0) {
    addPrivateFlags(k, device, 'IFF_NO_QUEUE');
    k.write('net_device.tx_queue_len', device, QUEUE_LENGTH);
  }
  makeQueues(k, device, spec.transmitQueues, spec.receiveQueues);
  k.memory.write(device + k.offset('net_device.name'), bytesOf(`${spec.name}\0`));
  k.write('net_device.name_assign_type', device, spec.nameAssignType);
  if (k.read('net_device.ethtool_ops', device) === 0)
    k.write('net_device.ethtool_ops', device, k.state(noEthtool));
  return device;
}

/** default_ethtool_ops: a table without methods. */
const noEthtool = perKernel<Address, Linux>((k) => k.heap.allocateZeroed(k.sizeof('ethtool_ops')));

/** Bits of net_device.priv_flags go by name (enum netdev_priv_flags): they moved between releases. */
export function hasPrivateFlag(k: Linux, device: Address, name: string): boolean {
  return Math.floor(k.read('net_device.priv_flags', device) / k.types.enumerator(name)) % 2 === 1;
}

export function addPrivateFlags(k: Linux, device: Address, ...names: string[]): void {
  for (const name of names) {
    if (hasPrivateFlag(k, device, name)) continue;
    const set = k.read('net_device.priv_flags', device);
    k.write('net_device.priv_flags', device, set + k.types.enumerator(name));
  }
}

/** What every device starts with, whatever kind it becomes. */
function fill(k: Linux, device: Address, padding: number, spec: DeviceSpec): void {
  // 6.12 has the driver's part in the structure itself, and no padding.
  if (k.types.has('net_device.padded')) k.write('net_device.padded', device, padding);
  if (k.types.has('net_device.priv_len')) k.write('net_device.priv_len', device, spec.privateBytes);
  k.write('net_device.pcpu_refcnt', device, k.percpu.allocate(4, 4));
  holdDevice(k, device);
  initOwnAddress(k, device);
  for (const list of ['net_device.uc', 'net_device.mc']) initAddresses(k, device + k.offset(list));
  k.write('net_device.nd_net', device, initNet(k));
  for (const [field, value] of [
    ['net_device.gso_max_size', LARGEST_GSO],
    ['net_device.gso_max_segs', 65535],
    ['net_device.gro_max_size', LARGEST_GSO],
    ['net_device.gso_ipv4_max_size', LARGEST_GSO],
    ['net_device.gro_ipv4_max_size', LARGEST_GSO],
    ['net_device.tso_max_size', LARGEST_GSO],
    ['net_device.tso_max_segs', 65535],
    ['net_device.upper_level', 1],
    ['net_device.lower_level', 1],
  ] as const)
    if (k.types.has(field)) k.write(field, device, value);
  addPrivateFlags(k, device, 'IFF_XMIT_DST_RELEASE', 'IFF_XMIT_DST_RELEASE_PERM');
  for (const list of [
    'net_device.napi_list',
    'net_device.unreg_list',
    'net_device.close_list',
    'net_device.link_watch_list',
    'net_device.adj_list.upper',
    'net_device.adj_list.lower',
    'net_device.ptype_all',
    'net_device.ptype_specific',
    'net_device.net_notifier_list',
    'net_device.todo_list',
    'net_device.lock.wait_list',
  ])
    if (k.types.has(list)) initList(k, device + k.offset(list));
  for (const [field, type] of [
    ['net_device.ethtool', 'ethtool_netdev_state'],
    ['net_device.cfg', 'netdev_config'],
  ] as const)
    if (k.types.has(field)) k.write(field, device, k.heap.allocateZeroed(k.sizeof(type)));
  if (k.types.has('net_device.cfg') && k.types.has('net_device.cfg_pending'))
    k.write('net_device.cfg_pending', device, k.read('net_device.cfg', device));
}

function makeQueues(k: Linux, device: Address, transmit: number, receive: number): void {
  for (const [field, count] of [
    ['net_device.num_tx_queues', transmit],
    ['net_device.real_num_tx_queues', transmit],
    ['net_device.num_rx_queues', receive],
    ['net_device.real_num_rx_queues', receive],
  ] as const)
    k.write(field, device, count);
  k.write('net_device._tx', device, k.heap.allocateZeroed(transmit * k.sizeof('netdev_queue')));
  for (const queue of transmitQueues(k, device)) {
    k.write('netdev_queue.dev', queue, device);
    k.write('netdev_queue.xmit_lock_owner', queue, -1);
    if (k.types.has('netdev_queue.numa_node')) k.write('netdev_queue.numa_node', queue, -1);
    const limits = queue + k.offset('netdev_queue.dql');
    k.write('dql.max_limit', limits, MOST_ON_THE_WAY);
    k.write('dql.slack_hold_time', limits, HZ);
  }
  const first = k.heap.allocateZeroed(receive * k.sizeof('netdev_rx_queue'));
  k.write('net_device._rx', device, first);
  for (let i = 0; i < receive; i++) {
    const queue = first + i * k.sizeof('netdev_rx_queue');
    k.write('netdev_rx_queue.dev', queue, device);
    const info = queue + k.offset('netdev_rx_queue.xdp_rxq');
    k.write('xdp_rxq_info.dev', info, device);
    k.write('xdp_rxq_info.queue_index', info, i);
    // REG_STATE_REGISTERED
    k.write('xdp_rxq_info.reg_state', info, 1);
  }
}

export function* transmitQueues(k: Linux, device: Address): Generator<Address> {
  const first = k.read('net_device._tx', device);
  const count = k.read('net_device.num_tx_queues', device);
  for (let i = 0; i < count; i++) yield first + i * k.sizeof('netdev_queue');
}

/** free_netdev: at once when it was never registered; one that is being unregistered is freed at the end of that. */
export function* freeDevice(k: Linux, device: Address): Steps<void> {
  const state = k.read('net_device.reg_state', device);
  if (state === REG.UNREGISTERING) {
    k.write('net_device.needs_free_netdev', device, 1);
    return;
  }
  k.heap.free(k.read('net_device._tx', device));
  k.heap.free(k.read('net_device._rx', device));
  flush(k, device + k.offset('net_device.dev_addrs'));
  const inner = k.offset('napi_struct.dev_list');
  for (const entry of [...entries(k, device + k.offset('net_device.napi_list'))])
    yield* k.call(k.addressOf('__netif_napi_del'), entry - inner);
  for (const field of ['net_device.pcpu_refcnt', 'net_device.core_stats']) {
    const shares = k.types.has(field) ? k.read(field, device) : 0;
    if (shares !== 0) k.percpu.free(shares);
    if (shares !== 0) k.write(field, device, 0);
  }
  if (state === REG.UNINITIALIZED || state === REG.DUMMY) return releaseMemory(k, device);
  if (state !== REG.UNREGISTERED) kernelBug(k, 'net/core/dev.c');
  k.write('net_device.reg_state', device, REG.RELEASED);
  yield* put(k, kobjectOf(k, device + k.offset('net_device.dev')));
}

/** The last reference to the device's kobject is gone. */
export function releaseMemory(k: Linux, device: Address): void {
  for (const field of ['net_device.ethtool', 'net_device.cfg', 'net_device.ifalias']) {
    const at = k.types.has(field) ? k.read(field, device) : 0;
    if (at !== 0) k.heap.free(at);
  }
  k.heap.free(device - (k.types.has('net_device.padded') ? k.read('net_device.padded', device) : 0));
}

// -- names -----------------------------------------------------------------------------------------------------------

/** dev_valid_name */
export function isValidName(name: string): boolean {
  return (
    name !== '' && bytesOf(name).length < NAME_BYTES && name !== '.' && name !== '..' && !/[/:\s]/.test(name)
  );
}

/** dev_get_valid_name: gives the device the name, with the first free number for %d. The number, 0, or an errno. */
export function takeName(k: Linux, device: Address, wanted: string): number {
  if (!isValidName(wanted)) return -Errno.EINVAL;
  const place = wanted.indexOf('%');
  let name = wanted;
  let number = 0;
  if (place >= 0) {
    if (wanted[place + 1] !== 'd' || wanted.includes('%', place + 2)) return -Errno.EINVAL;
    const taken = new Set([...netDevices(k)].map((at) => nameOf(k, at)));
    const numbered = (n: number) => wanted.replace('%d', String(n)).slice(0, NAME_BYTES - 1);
    while (taken.has(numbered(number))) number++;
    name = numbered(number);
  } else {
    const owner = findByName(k, name);
    if (owner !== 0 && owner !== device) return -Errno.EEXIST;
  }
  const bytes = new Uint8Array(NAME_BYTES);
  bytes.set(bytesOf(name));
  k.memory.write(device + k.offset('net_device.name'), bytes);
  return number;
}

/** netdev_name_node_head_alloc: what the tables of names would hold. */
export function makeNameNode(k: Linux, device: Address): void {
  const node = k.heap.allocateZeroed(k.sizeof('netdev_name_node'));
  initList(k, node + k.offset('netdev_name_node.list'));
  k.write('netdev_name_node.dev', node, device);
  k.write('netdev_name_node.name', node, device + k.offset('net_device.name'));
  k.write('net_device.name_node', device, node);
}

export function freeNameNode(k: Linux, device: Address): void {
  const node = k.read('net_device.name_node', device);
  if (node !== 0) k.heap.free(node);
  k.write('net_device.name_node', device, 0);
}
