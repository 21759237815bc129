/** The files of a device below /sys/class/net/NAME (net/core/net-sysfs.c). */
import { hexOf } from '../../../bytes/hex.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { addOwnFile } from '../driver/bus.ts';
import { kobjectOf } from '../driver/names.ts';
import { Errno } from '../errno.ts';
import { HZ } from '../functions/clock.ts';
import type { Linux } from '../linux.ts';
import { type AttributeMethods, attributeMethods, sysfs } from '../sysfs.ts';
import { directory, type Node, regular, symlink } from '../vfs/node.ts';
import { MAX_ADDRESS } from './addresses.ts';
import { transmitQueues } from './device.ts';
import { EVENT, notify, toErrno } from './events.ts';
import { REG, STATE } from './flags.ts';
import {
  changeFlags,
  hasCarrier,
  hasState,
  isRunning,
  lowerIndex,
  OPERATION,
  operation,
  setMtu,
} from './link.ts';
import { underRouting } from './rtnl.ts';
import { COUNTERS, type Counter, statistics } from './statistics.ts';

/** A text without its line end, or a negative errno. */
type Shown = string | number;
type Show = (k: Linux, device: Address) => Shown | Steps<Shown>;
type Store = (k: Linux, device: Address, value: number) => Steps<number>;

interface File {
  readonly show?: Show;
  /** Takes a number in any of C's notations. */
  readonly store?: Store;
}

const field =
  (name: string): Show =>
  (k, device) =>
    String(k.read(`net_device.${name}`, device));

const hex =
  (name: string): Show =>
  (k, device) =>
    `0x${(k.read(`net_device.${name}`, device) >>> 0).toString(16)}`;

/** A question that only a device which runs can answer. */
const whenRunning =
  (answer: (k: Linux, device: Address) => Shown): Show =>
  (k, device) =>
    isRunning(k, device) ? answer(k, device) : -Errno.EINVAL;

const bitWhenRunning = (bit: number): Show =>
  whenRunning((k, device) => String(Number(hasState(k, device, bit))));

function addressOf(k: Linux, at: Address, device: Address): string {
  return hexOf(k.memory.bytes(at, k.read('net_device.addr_len', device)), ':');
}

const counter = (name: string): Show => field(`${name}.counter`);

const OPERATIONS: Readonly<Record<number, string>> = {
  [OPERATION.UNKNOWN]: 'unknown',
  1: 'notpresent',
  [OPERATION.DOWN]: 'down',
  [OPERATION.LOWERLAYERDOWN]: 'lowerlayerdown',
  [OPERATION.TESTING]: 'testing',
  [OPERATION.DORMANT]: 'dormant',
  [OPERATION.UP]: 'up',
};

/** What the driver tells ethtool of its link: speed (SPEED_UNKNOWN is -1) and duplex (0, 1, 255). */
function* linkSettings(k: Linux, device: Address): Steps<{ speed: number; duplex: number } | undefined> {
  const method = k.read('ethtool_ops.get_link_ksettings', k.read('net_device.ethtool_ops', device));
  if (method === 0 || !isRunning(k, device) || !hasState(k, device, STATE.PRESENT)) return undefined;
  const settings = k.heap.allocateZeroed(k.sizeof('ethtool_link_ksettings'));
  const error = yield* k.callInt(method, device, settings);
  const found = {
    speed: k.read('ethtool_link_ksettings.base.speed', settings) | 0,
    duplex: k.read('ethtool_link_ksettings.base.duplex', settings),
  };
  k.heap.free(settings);
  return error === 0 ? found : undefined;
}

/** The name of a port or switch, in hexadecimal, as the driver knows it (struct netdev_phys_item_id). */
const itemId = (method: string): Show =>
  function* (k, device) {
    const at = operation(k, device, method);
    if (at === 0) return -Errno.EOPNOTSUPP;
    const item = k.heap.allocateZeroed(MAX_ADDRESS + 1);
    const error = yield* k.callInt(at, device, item);
    const text = hexOf(k.memory.bytes(item, k.memory.u8(item + MAX_ADDRESS)), '');
    k.heap.free(item);
    return error === 0 ? text : error;
  };

const portName: Show = function* (k, device) {
  const method = operation(k, device, 'net_device_ops.ndo_get_phys_port_name');
  if (method === 0) return -Errno.EOPNOTSUPP;
  const name = k.heap.allocateZeroed(16);
  const error = yield* k.callInt(method, device, name, 16);
  const text = k.memory.cstring(name, 16);
  k.heap.free(name);
  return error === 0 ? text : error;
};

const into = (name: string): Store =>
  function* (k, device, value) {
    k.write(`net_device.${name}`, device, value);
    return 0;
  };

/** dev_change_tx_queue_len */
const storeQueueLength: Store = function* (k, device, value) {
  const before = k.read('net_device.tx_queue_len', device);
  if (value > 0xffffffff) return -Errno.ERANGE;
  if (value === before) return 0;
  k.write('net_device.tx_queue_len', device, value);
  const refused = toErrno(yield* notify(k, EVENT.CHANGE_TX_QUEUE_LEN, device));
  if (refused !== 0) k.write('net_device.tx_queue_len', device, before);
  return refused;
};

const storeCarrier: Store = function* (k, device, value) {
  const method = operation(k, device, 'net_device_ops.ndo_change_carrier');
  if (!isRunning(k, device)) return -Errno.EINVAL;
  return method === 0 ? -Errno.EOPNOTSUPP : yield* k.callInt(method, device, value !== 0);
};

const FILES: Readonly<Record<string, File>> = {
  addr_assign_type: { show: field('addr_assign_type') },
  addr_len: { show: field('addr_len') },
  address: { show: (k, device) => addressOf(k, k.read('net_device.dev_addr', device), device) },
  broadcast: { show: (k, device) => addressOf(k, device + k.offset('net_device.broadcast'), device) },
  carrier: {
    show: whenRunning((k, device) => String(Number(hasCarrier(k, device)))),
    store: storeCarrier,
  },
  carrier_changes: {
    show: (k, device) =>
      String(
        k.read('net_device.carrier_up_count.counter', device) +
          k.read('net_device.carrier_down_count.counter', device),
      ),
  },
  carrier_down_count: { show: counter('carrier_down_count') },
  carrier_up_count: { show: counter('carrier_up_count') },
  dev_id: { show: hex('dev_id') },
  dev_port: { show: field('dev_port') },
  dormant: { show: bitWhenRunning(STATE.DORMANT) },
  duplex: {
    show: function* (k, device) {
      const settings = yield* linkSettings(k, device);
      if (settings === undefined) return -Errno.EINVAL;
      return { 0: 'half', 1: 'full' }[settings.duplex] ?? 'unknown';
    },
  },
  flags: { show: hex('flags'), store: changeFlags },
  gro_flush_timeout: { show: field('gro_flush_timeout'), store: into('gro_flush_timeout') },
  ifalias: {
    // struct dev_ifalias: an rcu head of two words, then the text. Without one, nothing at all is shown.
    show: (k, device) => {
      const at = k.read('net_device.ifalias', device);
      return at === 0 ? '' : k.memory.cstring(at + 2 * k.word);
    },
  },
  ifindex: { show: field('ifindex') },
  iflink: {
    show: function* (k, device) {
      return String(yield* lowerIndex(k, device));
    },
  },
  link_mode: { show: field('link_mode') },
  mtu: { show: field('mtu'), store: setMtu },
  name_assign_type: {
    show: (k, device) =>
      k.read('net_device.name_assign_type', device) === 0
        ? -Errno.EINVAL
        : String(k.read('net_device.name_assign_type', device)),
  },
  napi_defer_hard_irqs: { show: field('napi_defer_hard_irqs'), store: into('napi_defer_hard_irqs') },
  netdev_group: { show: field('group'), store: into('group') },
  operstate: {
    show: (k, device) =>
      OPERATIONS[isRunning(k, device) ? k.read('net_device.operstate', device) : OPERATION.DOWN] ??
      -Errno.EINVAL,
  },
  phys_port_id: { show: itemId('net_device_ops.ndo_get_phys_port_id') },
  phys_port_name: { show: portName },
  phys_switch_id: { show: itemId('net_device_ops.ndo_get_port_parent_id') },
  proto_down: { show: field('proto_down') },
  speed: {
    show: function* (k, device) {
      const settings = yield* linkSettings(k, device);
      return settings === undefined ? -Errno.EINVAL : String(settings.speed);
    },
  },
  testing: { show: bitWhenRunning(STATE.TESTING) },
  threaded: { show: field('threaded') },
  tx_queue_len: { show: field('tx_queue_len'), store: storeQueueLength },
  type: { show: field('type') },
};

function* shown(k: Linux, device: Address, show: Show, page: Address): Steps<number> {
  // dev_isalive
  if (k.read('net_device.reg_state', device) > REG.REGISTERED) return -Errno.EINVAL;
  const made = show(k, device);
  const text = typeof made === 'object' ? yield* made : made;
  if (typeof text === 'number') return text;
  const bytes = new TextEncoder().encode(text === '' ? '' : `${text}\n`);
  k.memory.write(page, bytes);
  return bytes.length;
}

/** kstrtoul with base 0, of what was written: undefined for anything else. */
function numberIn(k: Linux, page: Address, count: number): number | undefined {
  const text = new TextDecoder().decode(k.memory.bytes(page, count)).replace(/[\n\0].*$/s, '');
  if (/^\+?(0x[0-9a-f]+|[1-9]\d*)$/i.test(text)) return Number(text.replace('+', ''));
  return /^\+?0[0-7]*$/.test(text) ? Number.parseInt(text, 8) : undefined;
}

function methodsOf(device: Address, { show, store }: File): AttributeMethods {
  return {
    ...(show && { show: (k, page) => shown(k, device, show, page) }),
    ...(store && {
      *store(k, page, count) {
        const value = numberIn(k, page, count);
        if (value === undefined) return -Errno.EINVAL;
        const error = yield* underRouting(k, () => store(k, device, value));
        return error < 0 ? error : count;
      },
    }),
  };
}

/** Files that show what they are asked, each with its mode. */
function fileNode(name: string, device: Address, file: File): Node {
  return regular(name, file.store ? 0o644 : 0o444, attributeMethods(methodsOf(device, file)));
}

const statistic = (name: Counter): File => ({
  show: function* (k, device) {
    const count = yield* statistics(k, device);
    return String(count(name));
  },
});

/** Files of a queue that only mean something where there are several: which processors and traffic use which. */
const multiqueue =
  (answer: string): Show =>
  (k, device) =>
    k.read('net_device.num_tx_queues', device) > 1 ? answer : -Errno.ENOENT;

const limit =
  (queue: Address, name: string): Show =>
  (k) =>
    String(k.read(`dql.${name}`, queue + k.offset('netdev_queue.dql')));

/** The queue's limits of bytes on the way (struct dql). */
function limitFiles(queue: Address): Readonly<Record<string, Show>> {
  return {
    hold_time: (k) =>
      String((k.read('dql.slack_hold_time', queue + k.offset('netdev_queue.dql')) * 1000) / HZ),
    inflight: (k) => {
      const at = queue + k.offset('netdev_queue.dql');
      return String((k.read('dql.num_queued', at) - k.read('dql.num_completed', at)) >>> 0);
    },
    limit: limit(queue, 'limit'),
    limit_max: limit(queue, 'max_limit'),
    limit_min: limit(queue, 'min_limit'),
  };
}

function transmitFiles(queue: Address): Readonly<Record<string, Show>> {
  return {
    traffic_class: multiqueue('0'),
    tx_maxrate: (k) => String(k.read('netdev_queue.tx_maxrate', queue)),
    tx_timeout: (k) => String(k.memory.ptr(queue + k.offset('netdev_queue.trans_timeout'))),
    // One processor, and no map of them.
    xps_cpus: multiqueue('0'),
    xps_rxqs: multiqueue('0'),
  };
}

const RECEIVE_FILES: Readonly<Record<string, Show>> = { rps_cpus: () => '0', rps_flow_cnt: () => '0' };

function filled(name: string, device: Address, files: Readonly<Record<string, Show>>): Node {
  const node = directory(name);
  for (const [file, show] of Object.entries(files)) node.add(fileNode(file, device, { show }));
  return node;
}

function queueFolders(k: Linux, device: Address): Node {
  const folder = directory('queues');
  for (let i = 0; i < k.read('net_device.real_num_rx_queues', device); i++)
    folder.add(filled(`rx-${i}`, device, RECEIVE_FILES));
  const active = k.read('net_device.real_num_tx_queues', device);
  for (const [i, queue] of [...transmitQueues(k, device)].slice(0, active).entries())
    folder
      .add(filled(`tx-${i}`, device, transmitFiles(queue)))
      .add(filled('byte_queue_limits', device, limitFiles(queue)));
  return folder;
}

/** After the number of queues in use has changed. */
export function renewQueueFolders(k: Linux, device: Address): void {
  const node = k.state(sysfs).directoryOf(kobjectOf(k, device + k.offset('net_device.dev')));
  if (node?.child('queues') !== undefined) node.add(queueFolders(k, device));
}

/** netdev_register_kobject's own part: the files of the class, statistics and queues. */
export function addOwnFiles(k: Linux, device: Address): void {
  const kobject = kobjectOf(k, device + k.offset('net_device.dev'));
  for (const [name, file] of Object.entries(FILES))
    addOwnFile(k, kobject, name, file.store ? 0o644 : 0o444, methodsOf(device, file));
  const node = k.state(sysfs).directoryOf(kobject);
  if (node === undefined) return;
  node.add(symlink('subsystem', '/sys/class/net'));
  // Of power management there is the folder alone.
  node.add(directory('power'));
  const counters = node.add(directory('statistics'));
  for (const name of [...COUNTERS, 'rx_nohandler'] as const)
    counters.add(fileNode(name, device, statistic(name)));
  node.add(queueFolders(k, device));
}
