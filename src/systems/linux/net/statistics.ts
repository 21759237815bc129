/** What a device has counted: dev_get_stats and /proc/net/dev (net/core/dev.c, net/core/net-procfs.c). */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import type { Linux } from '../linux.ts';
import { operation } from './link.ts';
import { nameOf, netDevices } from './namespace.ts';

/** Members of struct net_device_stats; struct rtnl_link_stats64 begins with the same, 64 bits each. */
export const COUNTERS = [
  'rx_packets',
  'tx_packets',
  'rx_bytes',
  'tx_bytes',
  'rx_errors',
  'tx_errors',
  'rx_dropped',
  'tx_dropped',
  'multicast',
  'collisions',
  'rx_length_errors',
  'rx_over_errors',
  'rx_crc_errors',
  'rx_frame_errors',
  'rx_fifo_errors',
  'rx_missed_errors',
  'tx_aborted_errors',
  'tx_carrier_errors',
  'tx_fifo_errors',
  'tx_heartbeat_errors',
  'tx_window_errors',
  'rx_compressed',
  'tx_compressed',
] as const;

/** Those the core itself counts for every device (struct net_device_core_stats), all in rtnl_link_stats64. */
const CORE = ['rx_dropped', 'tx_dropped', 'rx_nohandler', 'rx_otherhost_dropped'] as const;

export type Counter = (typeof COUNTERS)[number] | (typeof CORE)[number];

const at64 = (k: Linux, storage: Address, name: Counter): Address =>
  storage + k.offset(`rtnl_link_stats64.${name}`);

function addTo(k: Linux, storage: Address, name: Counter, more: bigint): void {
  const at = at64(k, storage, name);
  k.memory.setU64(at, BigInt.asUintN(64, k.memory.u64(at) + more));
}

/** netdev_stats_to_stats64: longs of the guest's width to 64 bits. */
export function widen(k: Linux, storage: Address, from: Address): void {
  k.memory.fill(storage, k.sizeof('rtnl_link_stats64'), 0);
  COUNTERS.forEach((_, i) => {
    k.memory.setU64(storage + 8 * i, k.memory.ulong(from + i * k.word));
  });
}

/** dev_fetch_sw_netstats: adds the counters that a driver keeps for each processor. */
export function addSoftware(k: Linux, storage: Address, shares: Address): void {
  const own = k.percpu.addressOf(shares);
  for (const [name, field] of [
    ['rx_packets', 'pcpu_sw_netstats.rx_packets'],
    ['rx_bytes', 'pcpu_sw_netstats.rx_bytes'],
    ['tx_packets', 'pcpu_sw_netstats.tx_packets'],
    ['tx_bytes', 'pcpu_sw_netstats.tx_bytes'],
  ] as const)
    addTo(k, storage, name, k.memory.u64(own + k.offset(field)));
}

/** dev_get_stats */
export function* statisticsInto(k: Linux, device: Address, storage: Address): Steps<void> {
  k.memory.fill(storage, k.sizeof('rtnl_link_stats64'), 0);
  const wide = operation(k, device, 'net_device_ops.ndo_get_stats64');
  const narrow = operation(k, device, 'net_device_ops.ndo_get_stats');
  if (wide !== 0) yield* k.call(wide, device, storage);
  else if (narrow !== 0) widen(k, storage, yield* k.call(narrow, device));
  else {
    widen(k, storage, device + k.offset('net_device.stats'));
    if (statisticsKind(k, device) === 'pcpu_sw_netstats')
      addSoftware(k, storage, k.read('net_device.tstats', device));
  }
  const core = k.types.has('net_device.core_stats') ? k.read('net_device.core_stats', device) : 0;
  if (core === 0) return;
  const own = k.percpu.addressOf(core);
  for (const name of CORE)
    addTo(k, storage, name, k.memory.ulong(own + k.offset(`net_device_core_stats.${name}`)));
}

/** The counters as numbers. */
export function* statistics(k: Linux, device: Address): Steps<(name: Counter) => bigint> {
  const storage = k.heap.allocateZeroed(k.sizeof('rtnl_link_stats64'));
  yield* statisticsInto(k, device, storage);
  const bytes = k.memory.bytes(storage, k.sizeof('rtnl_link_stats64'));
  const copy = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  k.heap.free(storage);
  return (name) => copy.getBigUint64(k.offset(`rtnl_link_stats64.${name}`), true);
}

/** netdev_core_stats_alloc: the counters of the core appear with the first thing there is to count. */
export function coreStatistics(k: Linux, device: Address): Address {
  const known = k.read('net_device.core_stats', device);
  if (known !== 0) return known;
  const shares = k.percpu.allocate(k.sizeof('net_device_core_stats'), k.word);
  k.write('net_device.core_stats', device, shares);
  return shares;
}

/** dev_core_stats_rx_dropped_inc and its like. */
export function countCore(k: Linux, device: Address, name: (typeof CORE)[number]): void {
  const shares = coreStatistics(k, device);
  if (shares === 0) return;
  const at = k.percpu.addressOf(shares) + k.offset(`net_device_core_stats.${name}`);
  k.memory.setPtr(at, k.memory.ptr(at) + 1);
}

/** enum netdev_stat_type: counters that the core makes for drivers that ask for them. */
const KINDS = [undefined, 'pcpu_lstats', 'pcpu_sw_netstats', 'pcpu_dstats'] as const;

function statisticsKind(k: Linux, device: Address): string | undefined {
  return k.types.has('net_device.pcpu_stat_type')
    ? KINDS[k.read('net_device.pcpu_stat_type', device)]
    : undefined;
}

/** netdev_do_alloc_pcpu_stats: false when there is no room. */
export function allocateStatistics(k: Linux, device: Address): boolean {
  const kind = statisticsKind(k, device);
  if (kind === undefined) return true;
  const shares = k.percpu.allocate(k.sizeof(kind), 16);
  k.write('net_device.tstats', device, shares);
  return shares !== 0;
}

export function freeStatistics(k: Linux, device: Address): void {
  if (statisticsKind(k, device) === undefined) return;
  k.percpu.free(k.read('net_device.tstats', device));
  k.write('net_device.tstats', device, 0);
}

/** Buckets of the table that /proc/net/dev was made from before there was a tree of numbers (6.6). */
const BUCKETS = 256;

function inOrder(k: Linux): Address[] {
  const index = (device: Address) => k.read('net_device.ifindex', device);
  const place = (device: Address) =>
    k.types.has('net.dev_by_index')
      ? index(device)
      : (index(device) % BUCKETS) * 2 ** 24 - index(device) / 2 ** 24;
  return [...netDevices(k)].sort((a, b) => place(a) - place(b));
}

/** Columns of /proc/net/dev: what is added up in each, and how wide it is. */
const COLUMNS: readonly (readonly [names: readonly Counter[], width: number])[] = [
  [['rx_bytes'], 7],
  [['rx_packets'], 7],
  [['rx_errors'], 4],
  [['rx_dropped', 'rx_missed_errors'], 4],
  [['rx_fifo_errors'], 4],
  [['rx_length_errors', 'rx_over_errors', 'rx_crc_errors', 'rx_frame_errors'], 5],
  [['rx_compressed'], 10],
  [['multicast'], 9],
  [['tx_bytes'], 8],
  [['tx_packets'], 7],
  [['tx_errors'], 4],
  [['tx_dropped'], 4],
  [['tx_fifo_errors'], 4],
  [['collisions'], 5],
  [['tx_carrier_errors', 'tx_aborted_errors', 'tx_window_errors', 'tx_heartbeat_errors'], 7],
  [['tx_compressed'], 10],
];

const HEADING =
  'Inter-|   Receive                                                |  Transmit\n' +
  ' face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n';

/** The text of /proc/net/dev. */
export function* procNetDev(k: Linux): Steps<string> {
  let text = HEADING;
  for (const device of inOrder(k)) {
    const count = yield* statistics(k, device);
    const cells = COLUMNS.map(([names, width]) =>
      String(names.reduce((sum, name) => sum + count(name), 0n)).padStart(width),
    );
    text += `${nameOf(k, device).padStart(6)}: ${cells.join(' ')}\n`;
  }
  return text;
}
