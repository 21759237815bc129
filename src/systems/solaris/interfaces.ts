/**
 * Network interfaces: what drivers register with misc/mac (GLDv3) and misc/gld (GLDv2), and what is done with one: it is
 * started, sends frames, and keeps what comes up for whoever looks. There is no IP above.
 */
import { perKernel } from '../../kernel/kernel.ts';
import type { Steps } from '../../kernel/steps.ts';
import type { Address } from '../../memory/space.ts';
import { Errno } from './errno.ts';
import type { Solaris } from './solaris.ts';
import { freeMessage, M, messageBytes, messageOf } from './streams.ts';

export interface NetworkInterface {
  /** Driver and instance: `e1000g0`. */
  readonly name: string;
  readonly dip: Address;
  readonly kind: 'mac' | 'gld';
  /** For the driver a mac_handle_t or the gld_mac_info_t it filled in. */
  readonly handle: Address;
  /** What the driver's functions get first. */
  readonly driver: Address;
  readonly address: Uint8Array;
  readonly maximum: number;
  readonly operations: Operations;
  link: 'up' | 'down' | 'unknown';
  started: boolean;
  /** Frames that came up; the oldest go when there are too many. */
  readonly received: Uint8Array[];
}

/** Entry points by what they do; 0 where the driver has none. */
export interface Operations {
  readonly open: Address;
  readonly close: Address;
  readonly start: Address;
  readonly stop: Address;
  readonly setAddress: Address;
  readonly setMulticast: Address;
  readonly send: Address;
  readonly statistic: Address;
}

const MAX_RECEIVED = 64;

const all = perKernel(() => [] as NetworkInterface[]);

export const interfaces = (k: Solaris): readonly NetworkInterface[] => k.state(all);

export const interfaceAt = (k: Solaris, handle: Address): NetworkInterface | undefined =>
  k.state(all).find((one) => one.handle === handle);

/** False when the name is taken. */
export function addInterface(k: Solaris, one: NetworkInterface): boolean {
  const list = k.state(all);
  if (list.some(({ name }) => name === one.name)) return false;
  list.push(one);
  return true;
}

/** False while it is in use. */
export function removeInterface(k: Solaris, one: NetworkInterface): boolean {
  if (one.started) return false;
  const list = k.state(all);
  list.splice(list.indexOf(one), 1);
  return true;
}

const BROADCAST = Uint8Array.of(255, 255, 255, 255, 255, 255);

/** A function of the driver that gets an address of the link. */
function* withAddress(
  k: Solaris,
  func: Address,
  bytes: Uint8Array,
  call: (at: Address) => number[],
): Steps<number> {
  if (func === 0) return 0;
  const at = k.heap.take(bytes.length);
  k.memory.write(at, bytes);
  const status = yield* k.callInt(func, ...call(at));
  k.heap.free(at);
  return status;
}

/** The first one who uses an interface starts it: the broadcast address is among those it listens to. */
export function* startInterface(k: Solaris, one: NetworkInterface): Steps<number> {
  if (one.started) return 0;
  const { operations: at, driver, kind } = one;
  const opened = at.open === 0 ? 0 : yield* k.callInt(at.open, driver);
  if (opened !== 0) return opened;
  if (kind === 'gld') yield* withAddress(k, at.setAddress, one.address, (address) => [driver, address]);
  const status = at.start === 0 ? 0 : yield* k.callInt(at.start, driver);
  if (status !== 0) {
    if (at.close !== 0) yield* k.call(at.close, driver);
    return kind === 'gld' ? Errno.EIO : status;
  }
  one.started = true;
  if (kind === 'mac') yield* withAddress(k, at.setMulticast, BROADCAST, (address) => [driver, 1, address]);
  return 0;
}

export function* stopInterface(k: Solaris, one: NetworkInterface): Steps<void> {
  if (!one.started) return;
  const { operations: at, driver, kind } = one;
  if (kind === 'mac') yield* withAddress(k, at.setMulticast, BROADCAST, (address) => [driver, 0, address]);
  if (at.stop !== 0) yield* k.callInt(at.stop, driver);
  if (at.close !== 0) yield* k.call(at.close, driver);
  one.started = false;
}

/** Sends one frame: 0, or an errno. A driver of GLDv3 gives back what it has no room for; one of GLDv2 says so. */
export function* sendFrame(k: Solaris, one: NetworkInterface, frame: Uint8Array): Steps<number> {
  if (!one.started) return Errno.ENETDOWN;
  if (one.operations.send === 0) return Errno.ENOTSUP;
  const message = messageOf(k, frame, M.DATA);
  if (message === 0) return Errno.ENOMEM;
  if (one.kind === 'gld') {
    if ((yield* k.callInt(one.operations.send, one.driver, message)) === 0) return 0;
    freeMessage(k, message);
    return Errno.EAGAIN;
  }
  const left = yield* k.call(one.operations.send, one.driver, message);
  if (left === 0) return 0;
  freeMessage(k, left);
  return Errno.EAGAIN;
}

/** Frames that came up, linked by b_next. */
export function receiveFrames(k: Solaris, one: NetworkInterface | undefined, first: Address): void {
  for (let at = first; at !== 0; ) {
    const next = k.read('msgb.b_next', at);
    k.write('msgb.b_next', at, 0);
    one?.received.push(messageBytes(k, at));
    freeMessage(k, at);
    at = next;
  }
  one?.received.splice(0, one.received.length - MAX_RECEIVED);
}
