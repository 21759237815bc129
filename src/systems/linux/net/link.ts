/** A device is switched on and off, its link comes and goes, and its properties change (net/core/dev.c, link_watch.c). */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { addressBytes, setOwnAddress } from './addresses.ts';
import { hasPrivateFlag, transmitQueues } from './device.ts';
import { EVENT, notify, toErrno } from './events.ts';
import { IFF, QUEUE, REG, STATE } from './flags.ts';
import { holdDevice, nameOf, putDevice } from './namespace.ts';
import { underRouting } from './rtnl.ts';

const stateAt = (k: Linux, device: Address): Address => device + k.offset('net_device.state');

export const hasState = (k: Linux, device: Address, bit: number): boolean =>
  (k.memory.u32(stateAt(k, device)) & (1 << bit)) !== 0;

export function setState(k: Linux, device: Address, bit: number, on: boolean): void {
  const state = k.memory.u32(stateAt(k, device));
  k.memory.set32(stateAt(k, device), on ? state | (1 << bit) : state & ~(1 << bit));
}

export const isRunning = (k: Linux, device: Address): boolean => hasState(k, device, STATE.START);
export const hasCarrier = (k: Linux, device: Address): boolean => !hasState(k, device, STATE.NOCARRIER);
export const isPresent = (k: Linux, device: Address): boolean => hasState(k, device, STATE.PRESENT);
export const flagsOf = (k: Linux, device: Address): number => k.read('net_device.flags', device);

/** A method of the driver's net_device_ops; 0 when it has none. */
export function operation(k: Linux, device: Address, field: string): Address {
  const table = k.read('net_device.netdev_ops', device);
  return table === 0 || !k.types.has(field) ? 0 : k.read(field, table);
}

/** IF_OPER_*: what the link is said to be (RFC 2863). */
export const OPERATION = { UNKNOWN: 0, DOWN: 2, LOWERLAYERDOWN: 3, TESTING: 4, DORMANT: 5, UP: 6 } as const;

/** dev_get_iflink: the device below; itself when there is none. */
export function* lowerIndex(k: Linux, device: Address): Steps<number> {
  const method = operation(k, device, 'net_device_ops.ndo_get_iflink');
  return method === 0 ? k.read('net_device.ifindex', device) : yield* k.callInt(method, device);
}

/** rfc2863_policy */
function* settleOperation(k: Linux, device: Address): Steps<void> {
  let value: number = OPERATION.UP;
  if (hasState(k, device, STATE.TESTING)) value = OPERATION.TESTING;
  else if (!hasCarrier(k, device)) {
    const below = yield* lowerIndex(k, device);
    value = below === k.read('net_device.ifindex', device) ? OPERATION.DOWN : OPERATION.LOWERLAYERDOWN;
  } else if (hasState(k, device, STATE.DORMANT)) value = OPERATION.DORMANT;
  const mode = k.read('net_device.link_mode', device);
  // IF_LINK_MODE_DORMANT and _TESTING keep a link back that would be up.
  if (value === OPERATION.UP && mode === 1) value = OPERATION.DORMANT;
  if (value === OPERATION.UP && mode === 2) value = OPERATION.TESTING;
  k.write('net_device.operstate', device, value);
}

/** linkwatch_init_dev */
export function* initOperation(k: Linux, device: Address): Steps<void> {
  if (!hasCarrier(k, device) || hasState(k, device, STATE.DORMANT) || hasState(k, device, STATE.TESTING))
    yield* settleOperation(k, device);
}

/** dev_set_rx_mode: the driver looks at its lists of addresses and its flags. */
export function* setReceiveMode(k: Linux, device: Address): Steps<void> {
  if ((flagsOf(k, device) & IFF.UP) === 0 || !isPresent(k, device)) return;
  if (!hasPrivateFlag(k, device, 'IFF_UNICAST_FLT')) {
    const wanted = k.read('net_device.uc.count', device) > 0;
    if (wanted !== (k.read('net_device.uc_promisc', device) !== 0)) {
      yield* countFlag(k, device, 'net_device.promiscuity', IFF.PROMISC, wanted ? 1 : -1);
      k.write('net_device.uc_promisc', device, Number(wanted));
    }
  }
  const method = operation(k, device, 'net_device_ops.ndo_set_rx_mode');
  if (method !== 0) yield* k.call(method, device);
}

/** dev_set_promiscuity, dev_set_allmulti: counted, and a flag while the count is not zero. */
export function* countFlag(
  k: Linux,
  device: Address,
  field: string,
  flag: number,
  more: number,
): Steps<number> {
  const count = k.read(field, device) + more;
  if (count < 0) {
    const what = flag === IFF.PROMISC ? 'promiscuity' : 'allmulti';
    k.printk(
      4,
      `${nameOf(k, device)}: ${what} touches roof, set ${what} failed. ${what} feature of device might be broken.`,
    );
    return -Errno.EOVERFLOW;
  }
  const before = flagsOf(k, device);
  const after = count > 0 ? before | flag : before & ~flag;
  k.write(field, device, count);
  k.write('net_device.flags', device, after);
  if (before === after) return 0;
  if (flag === IFF.PROMISC)
    k.printk(6, `device ${nameOf(k, device)} ${count > 0 ? 'entered' : 'left'} promiscuous mode`);
  const method = operation(k, device, 'net_device_ops.ndo_change_rx_flags');
  if ((after & IFF.UP) !== 0 && method !== 0) yield* k.call(method, device, flag);
  return 0;
}

/** __dev_open */
function* start(k: Linux, device: Address): Steps<number> {
  if (!isPresent(k, device)) return -Errno.ENODEV;
  const refused = toErrno(yield* notify(k, EVENT.PRE_UP, device));
  if (refused !== 0) return refused;
  setState(k, device, STATE.START, true);
  let error = 0;
  for (const method of ['net_device_ops.ndo_validate_addr', 'net_device_ops.ndo_open']) {
    const at = operation(k, device, method);
    if (error === 0 && at !== 0) error = yield* k.callInt(at, device);
  }
  if (error !== 0) {
    setState(k, device, STATE.START, false);
    return error;
  }
  k.write('net_device.flags', device, flagsOf(k, device) | IFF.UP);
  yield* setReceiveMode(k, device);
  return 0;
}

/** dev_open */
export function* openDevice(k: Linux, device: Address): Steps<number> {
  if ((flagsOf(k, device) & IFF.UP) !== 0) return 0;
  const error = yield* start(k, device);
  if (error < 0) return error;
  yield* notify(k, EVENT.UP, device);
  return error;
}

/** __dev_close */
function* stop(k: Linux, device: Address): Steps<void> {
  yield* notify(k, EVENT.GOING_DOWN, device);
  setState(k, device, STATE.START, false);
  for (const act of k.state(stopping)) yield* act(device);
  const method = operation(k, device, 'net_device_ops.ndo_stop');
  if (method !== 0) yield* k.callInt(method, device);
  k.write('net_device.flags', device, flagsOf(k, device) & ~IFF.UP);
}

/** What else happens when a device stops sending: what waits to be sent is thrown away. */
export const stopping = perKernel<((device: Address) => Steps<void>)[], Linux>(() => []);

/** dev_close_many */
export function* closeDevices(k: Linux, devices: readonly Address[]): Steps<void> {
  const up = devices.filter((device) => (flagsOf(k, device) & IFF.UP) !== 0);
  for (const device of up) yield* stop(k, device);
  for (const device of up) yield* notify(k, EVENT.DOWN, device);
}

/** The flags that a user may set, and those that stay as they are (__dev_change_flags). */
const SETTABLE =
  IFF.DEBUG | IFF.NOTRAILERS | IFF.NOARP | IFF.DYNAMIC | IFF.MULTICAST | IFF.PORTSEL | IFF.AUTOMEDIA;
const KEPT =
  IFF.UP |
  IFF.LOOPBACK |
  IFF.POINTOPOINT |
  IFF.BROADCAST |
  IFF.RUNNING |
  IFF.PROMISC |
  IFF.ALLMULTI |
  IFF.LOWER_UP |
  IFF.DORMANT;

/** dev_change_flags */
export function* changeFlags(k: Linux, device: Address, flags: number): Steps<number> {
  const before = flagsOf(k, device);
  k.write('net_device.flags', device, (flags & SETTABLE) | (before & KEPT));
  yield* setReceiveMode(k, device);
  let error = 0;
  if (((before ^ flags) & IFF.UP) !== 0) {
    if ((before & IFF.UP) !== 0) yield* stop(k, device);
    else error = yield* start(k, device);
  }
  // The user's own wish counts once among those who want everything.
  const wished = k.read('net_device.gflags', device) ^ flags;
  for (const [flag, field] of [
    [IFF.PROMISC, 'net_device.promiscuity'],
    [IFF.ALLMULTI, 'net_device.allmulti'],
  ] as const) {
    if ((wished & flag) === 0) continue;
    k.write('net_device.gflags', device, k.read('net_device.gflags', device) ^ flag);
    yield* countFlag(k, device, field, flag, (flags & flag) !== 0 ? 1 : -1);
  }
  const changed = before ^ flagsOf(k, device);
  const isUp = (flagsOf(k, device) & IFF.UP) !== 0;
  if ((changed & IFF.UP) !== 0) yield* notify(k, isUp ? EVENT.UP : EVENT.DOWN, device);
  if (isUp && (changed & ~(IFF.UP | IFF.PROMISC | IFF.ALLMULTI)) !== 0)
    yield* notify(k, EVENT.CHANGE, device);
  return error;
}

/** dev_set_mtu; why not, where the kernel gives a reason. */
export function* setMtu(k: Linux, device: Address, mtu: number): Steps<number> {
  if (mtu === k.read('net_device.mtu', device)) return 0;
  const [least, most] = [k.read('net_device.min_mtu', device), k.read('net_device.max_mtu', device)];
  const reason =
    mtu < least
      ? 'mtu less than device minimum'
      : most > 0 && mtu > most
        ? 'mtu greater than device maximum'
        : '';
  if (reason !== '') {
    k.printk(3, `${nameOf(k, device)}: ${reason}`);
    return -Errno.EINVAL;
  }
  if (!isPresent(k, device)) return -Errno.ENODEV;
  const refused = toErrno(yield* notify(k, EVENT.PRECHANGEMTU, device, mtu));
  if (refused !== 0) return refused;
  const before = k.read('net_device.mtu', device);
  const error = yield* writeMtu(k, device, mtu);
  if (error !== 0) return error;
  const objection = toErrno(yield* notify(k, EVENT.CHANGEMTU, device, before));
  if (objection !== 0) yield* writeMtu(k, device, before);
  return objection;
}

function* writeMtu(k: Linux, device: Address, mtu: number): Steps<number> {
  const method = operation(k, device, 'net_device_ops.ndo_change_mtu');
  if (method !== 0) return yield* k.callInt(method, device, mtu);
  k.write('net_device.mtu', device, mtu);
  return 0;
}

/** dev_set_mac_address: `address` is a struct sockaddr. */
export function* setAddress(k: Linux, device: Address, address: Address): Steps<number> {
  const method = operation(k, device, 'net_device_ops.ndo_set_mac_address');
  if (method === 0) return -Errno.EOPNOTSUPP;
  if (k.memory.u16(address) !== k.read('net_device.type', device)) return -Errno.EINVAL;
  if (!isPresent(k, device)) return -Errno.ENODEV;
  const refused = toErrno(yield* notify(k, EVENT.PRE_CHANGEADDR, device, address + 2));
  if (refused !== 0) return refused;
  const length = k.read('net_device.addr_len', device);
  const own = addressBytes(k, k.read('net_device.dev_addr', device), length);
  if (!own.every((byte, i) => byte === k.memory.u8(address + 2 + i))) {
    const error = yield* k.callInt(method, device, address);
    if (error !== 0) return error;
  }
  // NET_ADDR_SET
  k.write('net_device.addr_assign_type', device, 3);
  yield* notify(k, EVENT.CHANGEADDR, device);
  return 0;
}

/** dev_addr_set for a part of TypeScript that has the bytes. */
export const giveAddress = (k: Linux, device: Address, bytes: Uint8Array): void =>
  setOwnAddress(k, device, 0, bytes);

// -- carrier: a change is worked off by a thread of its own, as linkwatch's work does ------------------------------------

const pending = perKernel<Set<Address>, Linux>(() => new Set());

/** netif_carrier_on and _off. */
export function setCarrier(k: Linux, device: Address, on: boolean): void {
  if (hasCarrier(k, device) === on) return;
  setState(k, device, STATE.NOCARRIER, !on);
  if (k.read('net_device.reg_state', device) === REG.UNINITIALIZED) return;
  const field = on ? 'net_device.carrier_up_count.counter' : 'net_device.carrier_down_count.counter';
  k.write(field, device, k.read(field, device) + 1);
  linkEvent(k, device);
}

/** linkwatch_fire_event */
export function linkEvent(k: Linux, device: Address): void {
  const waiting = k.state(pending);
  if (waiting.has(device)) return;
  waiting.add(device);
  holdDevice(k, device);
  k.tasks.spawn(
    'kworker/0:1',
    underRouting(k, function* () {
      if (waiting.has(device)) yield* linkChanged(k, device);
    }),
  );
}

/** linkwatch_do_dev */
function* linkChanged(k: Linux, device: Address): Steps<void> {
  k.state(pending).delete(device);
  yield* settleOperation(k, device);
  if ((flagsOf(k, device) & IFF.UP) !== 0) yield* notify(k, EVENT.CHANGE, device);
  putDevice(k, device);
}

/** linkwatch_forget_dev: before a device goes, what is to be told of its link is told. */
export function* flushLinkEvents(k: Linux, device: Address): Steps<void> {
  if (k.state(pending).has(device)) yield* linkChanged(k, device);
}

/** netif_tx_stop_all_queues and netif_tx_wake_all_queues, as far as their bit is concerned. */
export function stopQueues(k: Linux, device: Address, stopped: boolean): void {
  for (const queue of transmitQueues(k, device)) {
    const state = k.read('netdev_queue.state', queue);
    k.write('netdev_queue.state', queue, stopped ? state | QUEUE.DRV_XOFF : state & ~QUEUE.DRV_XOFF);
  }
}
