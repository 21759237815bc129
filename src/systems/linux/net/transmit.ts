/**
 * Packets go out through a device and come in from one (__dev_queue_xmit, __netif_receive_skb_core of net/core/dev.c).
 * A queue that the driver has stopped keeps its packets until it is woken; what came in is handed on by a thread of its
 * own, as a softirq would. No protocol of the kernel's own is there: what nobody took is kept to be looked at.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import { disablePreemption, enablePreemption } from '../functions/sched.ts';
import type { Linux } from '../linux.ts';
import { registered } from '../registered.ts';
import { hasPrivateFlag, transmitQueues } from './device.ts';
import { IFF, QUEUE, REG } from './flags.ts';
import { flagsOf, operation, stopping } from './link.ts';
import { nameOf } from './namespace.ts';
import { advance, copyOut, data, freePacket, head, len } from './skb.ts';
import { countCore } from './statistics.ts';

/** NET_RX_SUCCESS, NET_RX_DROP; NETDEV_TX_BUSY; NET_XMIT_DROP. */
export const RX = { SUCCESS: 0, DROP: 1 } as const;
const BUSY = 0x10;
const DROPPED = 1;
/** RX_HANDLER_CONSUMED, _ANOTHER, _EXACT, _PASS (enum rx_handler_result). */
const HANDLER = { CONSUMED: 0, ANOTHER: 1, EXACT: 2 } as const;
/** netdev_max_backlog */
const BACKLOG = 1000;
/** So many frames that nobody took are kept for each device. */
const KEPT = 64;
/** How often a handler may send a packet round to another device. */
const ROUNDS = 8;
const ETH_P_ALL = 3;

interface Traffic {
  /** Packets that wait for a stopped queue, by queue. */
  readonly waiting: Map<Address, Address[]>;
  readonly incoming: Address[];
  serving: boolean;
  /** What arrived and no module took, by device. */
  readonly arrived: Map<Address, Uint8Array[]>;
}

const traffic = perKernel<Traffic, Linux>((k) => {
  const state: Traffic = { waiting: new Map(), incoming: [], serving: false, arrived: new Map() };
  k.state(stopping).push(function* (device) {
    for (const queue of transmitQueues(k, device)) {
      for (const skb of state.waiting.get(queue) ?? []) yield* freePacket(k, skb);
      state.waiting.delete(queue);
    }
  });
  return state;
});

const isStopped = (k: Linux, queue: Address): boolean =>
  (k.read('netdev_queue.state', queue) & (QUEUE.DRV_XOFF | QUEUE.STACK_XOFF | QUEUE.FROZEN)) !== 0;

/** netdev_core_pick_tx */
function* pickQueue(k: Linux, device: Address, skb: Address, below: Address): Steps<Address> {
  const queues = [...transmitQueues(k, device)];
  const active = k.read('net_device.real_num_tx_queues', device);
  let index = 0;
  if (active > 1) {
    const method = operation(k, device, 'net_device_ops.ndo_select_queue');
    if (method !== 0) index = yield* k.callInt(method, device, skb, below);
    if (index >= active || index < 0) index = 0;
  }
  k.write('sk_buff.queue_mapping', skb, index);
  return queues[index];
}

/** netdev_start_xmit: with softirqs off, as the driver may expect. True when the packet is the driver's now. */
function* hand(k: Linux, device: Address, queue: Address, skb: Address): Steps<boolean> {
  const method = operation(k, device, 'net_device_ops.ndo_start_xmit');
  disablePreemption(k);
  const answer = yield* k.callInt(method, skb, device);
  enablePreemption(k);
  if (answer < BUSY) k.write('netdev_queue.trans_start', queue, 1);
  return answer < BUSY;
}

/** __dev_queue_xmit: 0, a congestion code or a negative errno. */
export function* transmit(k: Linux, skb: Address, below = 0): Steps<number> {
  const device = k.read('sk_buff.dev', skb);
  k.write('sk_buff.mac_header', skb, data(k, skb) - head(k, skb));
  const queue = yield* pickQueue(k, device, skb, below);
  if ((flagsOf(k, device) & IFF.UP) === 0) {
    countCore(k, device, 'tx_dropped');
    yield* freePacket(k, skb);
    return -Errno.ENETDOWN;
  }
  if (!isStopped(k, queue) && (yield* hand(k, device, queue, skb))) return 0;
  const { waiting } = k.state(traffic);
  const line = waiting.get(queue) ?? [];
  if (hasPrivateFlag(k, device, 'IFF_NO_QUEUE')) {
    k.printk(2, `Virtual device ${nameOf(k, device)} asks to queue packet!`);
    countCore(k, device, 'tx_dropped');
    yield* freePacket(k, skb);
    return -Errno.ENETDOWN;
  }
  if (line.length >= k.read('net_device.tx_queue_len', device)) {
    yield* freePacket(k, skb);
    return DROPPED;
  }
  waiting.set(queue, [...line, skb]);
  return 0;
}

/** netif_tx_wake_queue: the bit goes, and what waits is sent while the driver takes it. */
export function* wakeQueue(k: Linux, queue: Address): Steps<void> {
  k.write('netdev_queue.state', queue, k.read('netdev_queue.state', queue) & ~QUEUE.DRV_XOFF);
  yield* runQueue(k, queue);
}

/** __netif_schedule's work, by a thread of its own: the driver that asks for it holds its locks. */
export function* runQueue(k: Linux, queue: Address): Steps<void> {
  const { waiting } = k.state(traffic);
  if ((waiting.get(queue) ?? []).length === 0) return;
  k.tasks.spawn(
    'ksoftirqd/0',
    (function* (): Steps<void> {
      const device = k.read('netdev_queue.dev', queue);
      for (
        let line = waiting.get(queue);
        line !== undefined && !isStopped(k, queue);
        line = waiting.get(queue)
      ) {
        const [skb, ...rest] = line;
        if (skb === undefined || !(yield* hand(k, device, queue, skb))) return;
        waiting.set(queue, rest);
      }
    })(),
  );
}

// -- packets that arrive -----------------------------------------------------------------------------------------------

/** netif_rx: the packet is noted, and handed on soon. */
export function* receiveLater(k: Linux, skb: Address): Steps<number> {
  const state = k.state(traffic);
  if (state.incoming.length >= BACKLOG) {
    countCore(k, k.read('sk_buff.dev', skb), 'rx_dropped');
    yield* freePacket(k, skb);
    return RX.DROP;
  }
  state.incoming.push(skb);
  if (!state.serving) {
    state.serving = true;
    k.tasks.spawn('ksoftirqd/0', serve(k, state));
  }
  return RX.SUCCESS;
}

function* serve(k: Linux, state: Traffic): Steps<void> {
  try {
    for (let skb = state.incoming.shift(); skb !== undefined; skb = state.incoming.shift())
      yield* receive(k, skb);
  } finally {
    state.serving = false;
  }
}

/** packet_type: whose protocol or device it is for. Those for everything come first. */
function takers(k: Linux, device: Address, protocol: number): Address[] {
  const all = [...registered(k, 'packet type').keys()];
  const network = (value: number) => ((value & 0xff) << 8) | (value >> 8);
  const fits = (wanted: number) =>
    all.filter((at) => {
      const only = k.read('packet_type.dev', at);
      return network(k.read('packet_type.type', at)) === wanted && (only === 0 || only === device);
    });
  return [...fits(ETH_P_ALL), ...fits(network(protocol))];
}

/** The device's rx_handler, as bridges and bonds have one: undefined when the packet is the handler's now. */
function* throughHandlers(k: Linux, skb: Address): Steps<Address | undefined> {
  const cell = k.heap.allocateZeroed(k.word);
  try {
    k.memory.setPtr(cell, skb);
    for (let round = 0; round < ROUNDS; round++) {
      const handler = k.read('net_device.rx_handler', k.read('sk_buff.dev', k.memory.ptr(cell)));
      if (handler === 0) break;
      const answer = yield* k.callInt(handler, cell);
      if (answer === HANDLER.CONSUMED) return undefined;
      if (answer !== HANDLER.ANOTHER) break;
    }
    return k.memory.ptr(cell);
  } finally {
    k.heap.free(cell);
  }
}

/** __netif_receive_skb_core */
export function* receive(k: Linux, given: Address): Steps<number> {
  const origin = k.read('sk_buff.dev', given);
  if (k.read('net_device.reg_state', origin) !== REG.REGISTERED) {
    yield* freePacket(k, given);
    return RX.DROP;
  }
  const offset = data(k, given) - head(k, given);
  k.write('sk_buff.network_header', given, offset);
  const mac = k.read('sk_buff.mac_header', given);
  if (mac !== 0xffff) k.write('sk_buff.mac_len', given, offset - mac);
  k.write('sk_buff.skb_iif', given, k.read('net_device.ifindex', origin));
  const skb = yield* throughHandlers(k, given);
  if (skb === undefined) return RX.SUCCESS;
  const device = k.read('sk_buff.dev', skb);
  const to = takers(k, device, k.read('sk_buff.protocol', skb));
  note(k, device, skb);
  for (const [i, type] of to.entries()) {
    // All but the last look at it beside the others.
    if (i + 1 < to.length)
      k.write('sk_buff.users.refs.counter', skb, k.read('sk_buff.users.refs.counter', skb) + 1);
    yield* k.callInt(k.read('packet_type.func', type), skb, device, type, origin);
  }
  if (to.length > 0) return RX.SUCCESS;
  yield* freePacket(k, skb);
  return RX.SUCCESS;
}

/** Keeps a copy of the frame, from its link header on, for those who look from outside. */
function note(k: Linux, device: Address, skb: Address): void {
  const { arrived } = k.state(traffic);
  const frames = arrived.get(device) ?? [];
  const mac = k.read('sk_buff.mac_header', skb);
  const at = mac === 0xffff ? data(k, skb) : head(k, skb) + mac;
  const front = k.memory.bytes(at, Math.max(0, data(k, skb) - at));
  const rest = copyOut(k, skb, 0, len(k, skb)) ?? new Uint8Array(0);
  arrived.set(device, [...frames, Uint8Array.of(...front, ...rest)].slice(-KEPT));
}

/** What has arrived at a device since it was last asked. */
export function takeArrived(k: Linux, device: Address): readonly Uint8Array[] {
  const { arrived } = k.state(traffic);
  const frames = arrived.get(device) ?? [];
  arrived.delete(device);
  return frames;
}

/** eth_type_trans: the link header is done with, and says what protocol this is and for whom. */
export function readEthernet(k: Linux, skb: Address, device: Address): number {
  k.write('sk_buff.dev', skb, device);
  const at = data(k, skb);
  k.write('sk_buff.mac_header', skb, at - head(k, skb));
  const header = k.memory.bytes(at, 14).slice();
  advance(k, skb, 14);
  const own = k.memory.bytes(k.read('net_device.dev_addr', device), 6);
  const everybody = header.subarray(0, 6).every((byte) => byte === 0xff);
  // PACKET_HOST 0, _BROADCAST 1, _MULTICAST 2, _OTHERHOST 3.
  const kind =
    (header[0] & 1) !== 0 ? (everybody ? 1 : 2) : own.every((byte, i) => byte === header[i]) ? 0 : 3;
  k.write('sk_buff.pkt_type', skb, kind);
  const type = (header[12] << 8) | header[13];
  // Below 1536 the field is a length: 802.3 with or without 802.2 behind it.
  const protocol = type >= 0x600 ? type : len(k, skb) >= 2 && k.memory.u16(data(k, skb)) === 0xffff ? 1 : 4;
  return ((protocol & 0xff) << 8) | (protocol >> 8);
}

/** loopback_xmit: what goes out comes in. */
export function* loopBack(k: Linux, skb: Address, device: Address): Steps<number> {
  for (const [field, value] of [
    ['net_device.stats.tx_packets', 1],
    ['net_device.stats.rx_packets', 1],
    ['net_device.stats.tx_bytes', len(k, skb)],
    ['net_device.stats.rx_bytes', len(k, skb)],
  ] as const)
    k.write(field, device, k.read(field, device) + value);
  k.write('sk_buff.protocol', skb, readEthernet(k, skb, device));
  yield* receiveLater(k, skb);
  return 0;
}
