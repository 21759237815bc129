/** Who is told what happens to network devices (netdev_chain, net/core/dev.c). */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { callChain, register, unregister } from '../functions/notifiers.ts';
import type { Linux } from '../linux.ts';
import { initNet, netDevices } from './namespace.ts';

/** enum netdev_cmd (include/linux/netdevice.h) by name: later kernels put new ones between the old. */
export const EVENT = {
  UP: 'NETDEV_UP',
  DOWN: 'NETDEV_DOWN',
  CHANGE: 'NETDEV_CHANGE',
  REGISTER: 'NETDEV_REGISTER',
  UNREGISTER: 'NETDEV_UNREGISTER',
  CHANGEMTU: 'NETDEV_CHANGEMTU',
  CHANGEADDR: 'NETDEV_CHANGEADDR',
  PRE_CHANGEADDR: 'NETDEV_PRE_CHANGEADDR',
  GOING_DOWN: 'NETDEV_GOING_DOWN',
  CHANGENAME: 'NETDEV_CHANGENAME',
  FEAT_CHANGE: 'NETDEV_FEAT_CHANGE',
  PRE_UP: 'NETDEV_PRE_UP',
  POST_INIT: 'NETDEV_POST_INIT',
  PRE_UNINIT: 'NETDEV_PRE_UNINIT',
  NOTIFY_PEERS: 'NETDEV_NOTIFY_PEERS',
  CHANGEUPPER: 'NETDEV_CHANGEUPPER',
  RESEND_IGMP: 'NETDEV_RESEND_IGMP',
  PRECHANGEMTU: 'NETDEV_PRECHANGEMTU',
  BONDING_INFO: 'NETDEV_BONDING_INFO',
  PRECHANGEUPPER: 'NETDEV_PRECHANGEUPPER',
  CHANGELOWERSTATE: 'NETDEV_CHANGELOWERSTATE',
  CHANGE_TX_QUEUE_LEN: 'NETDEV_CHANGE_TX_QUEUE_LEN',
  XDP_FEAT_CHANGE: 'NETDEV_XDP_FEAT_CHANGE',
} as const;

type Event = (typeof EVENT)[keyof typeof EVENT];

/** The number of an event; undefined in a kernel that does not have it. */
const numberOf = (k: Linux, event: Event | number): number | undefined =>
  typeof event === 'number' ? event : k.types.hasEnumerator(event) ? k.types.enumerator(event) : undefined;

/** IFF_UP (include/uapi/linux/if.h). */
const UP = 1;

const chain = perKernel<Address, Linux>((k) => k.heap.allocateZeroed(8));

/** Makes what callbacks are given, and takes it away again; `more` is what the event adds to it. */
function* withInfo<T>(
  k: Linux,
  device: Address,
  more: readonly number[],
  act: (info: Address) => Steps<T>,
): Steps<T> {
  const size = k.sizeof('netdev_notifier_info');
  const info = k.heap.allocateZeroed(size + 4 * k.word);
  k.write('netdev_notifier_info.dev', info, device);
  for (const [i, value] of more.entries()) k.memory.setPtr(info + size + i * k.word, value);
  try {
    return yield* act(info);
  } finally {
    k.heap.free(info);
  }
}

/** notifier_to_errno: 0 or a negative errno. */
export function toErrno(result: number): number {
  const code = result & ~0x8000;
  return code > 1 ? 1 - code : 0;
}

/** call_netdevice_notifiers: those of the namespace first, then everybody's. The last answer as it came. */
export function* notify(k: Linux, event: Event | number, device: Address, ...more: number[]): Steps<number> {
  const number = numberOf(k, event);
  return number === undefined ? 0 : yield* tellAll(k, number, device, more);
}

function tellAll(k: Linux, event: number, device: Address, more: readonly number[]): Steps<number> {
  return withInfo(k, device, more, function* (info): Steps<number> {
    if (k.types.has('net.netdev_chain')) {
      const result = yield* callChain(k, initNet(k) + k.offset('net.netdev_chain'), event, info);
      if ((result & 0x8000) !== 0) return result;
    }
    return yield* callChain(k, k.state(chain), event, info);
  });
}

function* tellOne(k: Linux, block: Address, event: Event, device: Address): Steps<number> {
  const number = numberOf(k, event);
  if (number === undefined) return 0;
  return yield* withInfo(k, device, [], (info) =>
    k.callInt(k.read('notifier_block.notifier_call', block), block, number, info),
  );
}

function* farewell(k: Linux, block: Address, device: Address): Steps<void> {
  if ((k.read('net_device.flags', device) & UP) !== 0) {
    yield* tellOne(k, block, EVENT.GOING_DOWN, device);
    yield* tellOne(k, block, EVENT.DOWN, device);
  }
  yield* tellOne(k, block, EVENT.UNREGISTER, device);
}

/** A new listener is told of the devices there are; when it objects to one, it is told of the end of those before. */
function* greet(k: Linux, block: Address): Steps<number> {
  const told: Address[] = [];
  for (const device of [...netDevices(k)]) {
    const error = toErrno(yield* tellOne(k, block, EVENT.REGISTER, device));
    if (error !== 0) {
      for (const earlier of told.reverse()) yield* farewell(k, block, earlier);
      return error;
    }
    told.push(device);
    if ((k.read('net_device.flags', device) & UP) !== 0) yield* tellOne(k, block, EVENT.UP, device);
  }
  return 0;
}

/** Of one namespace there is a chain of its own; which of the two is meant `own` says. */
const headOf = (k: Linux, own: boolean): Address =>
  own ? initNet(k) + k.offset('net.netdev_chain') : k.state(chain);

export function* addListener(k: Linux, block: Address, own = false): Steps<number> {
  const error = register(k, headOf(k, own), block);
  if (error !== 0) return error;
  const refused = yield* greet(k, block);
  if (refused !== 0) unregister(k, headOf(k, own), block);
  return refused;
}

export function* removeListener(k: Linux, block: Address, own = false): Steps<number> {
  const error = unregister(k, headOf(k, own), block);
  if (error !== 0) return error;
  for (const device of [...netDevices(k)]) yield* farewell(k, block, device);
  return 0;
}
