/** Who is told what happens to network devices (netdev_chain, net/core/dev.c). */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { callChain, register, unregister } from '../functions/notifiers.ts';
import type { Linux } from '../linux.ts';
import { initNet, netDevices } from './namespace.ts';

/** enum netdev_cmd (include/linux/netdevice.h). */
export const EVENT = {
  UP: 1,
  DOWN: 2,
  CHANGE: 4,
  REGISTER: 5,
  UNREGISTER: 6,
  CHANGEMTU: 7,
  CHANGEADDR: 8,
  PRE_CHANGEADDR: 9,
  GOING_DOWN: 10,
  CHANGENAME: 11,
  FEAT_CHANGE: 12,
  PRE_UP: 14,
  POST_INIT: 17,
  PRE_UNINIT: 18,
  NOTIFY_PEERS: 20,
  CHANGEUPPER: 22,
  RESEND_IGMP: 23,
  PRECHANGEMTU: 24,
  BONDING_INFO: 26,
  PRECHANGEUPPER: 27,
  CHANGELOWERSTATE: 28,
  CHANGE_TX_QUEUE_LEN: 29,
} as const;

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
export function notify(k: Linux, event: number, device: Address, ...more: number[]): Steps<number> {
  return withInfo(k, device, more, function* (info): Steps<number> {
    if (k.types.has('net.netdev_chain')) {
      const result = yield* callChain(k, initNet(k) + k.offset('net.netdev_chain'), event, info);
      if ((result & 0x8000) !== 0) return result;
    }
    return yield* callChain(k, k.state(chain), event, info);
  });
}

function* tellOne(k: Linux, block: Address, event: number, device: Address): Steps<number> {
  return yield* withInfo(k, device, [], (info) =>
    k.callInt(k.read('notifier_block.notifier_call', block), block, event, info),
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
