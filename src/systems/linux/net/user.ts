/**
 * What a program asks of network devices through netlink (rtnl_newlink, do_setlink and rtnl_dellink of
 * net/core/rtnetlink.c), and frames that it sends through one. Callers hold the routing lock.
 */
import type { Steps } from '../../../kernel/steps.ts';
import { bytesOf } from '../../../kernel/text/sink.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { addressBytes } from './addresses.ts';
import { allocateDevice, freeDevice, isValidName, takeName } from './device.ts';
import { EVENT, notify } from './events.ts';
import { IFF } from './flags.ts';
import { flagsOf, setAddress } from './link.ts';
import { deleteLinks, findLinkType } from './link-types.ts';
import { findByName, initNet, nameOf } from './namespace.ts';
import { registerDevice, renameInSysfs } from './register.ts';
import { allocatePacket, append, data, head } from './skb.ts';
import { transmit } from './transmit.ts';

/** Attributes of a request (IFLA_*), and how many there may be. */
const IFLA = { IFNAME: 3, LINK: 5 } as const;
const MOST_ATTRIBUTES = 128;
/** NET_NAME_ENUM, NET_NAME_USER */
const NAMED = { BY_KERNEL: 1, BY_USER: 3 } as const;

/** What a kind of device is told about one: numbers of its own attributes, and bytes (little-endian unless it says so). */
export type LinkData = ReadonlyMap<number, Uint8Array>;

export interface NewLink {
  readonly kind: string;
  /** The kernel numbers the kind's name when none is given. */
  readonly name?: string;
  /** The device below. */
  readonly lower?: Address;
  readonly data?: LinkData;
}

/** An error, and what the kernel adds to it in words (netlink_ext_ack). */
export interface Answer {
  readonly error: number;
  readonly words: string;
}

const plain = (error: number): Answer => ({ error, words: '' });

/** An array of pointers to struct nlattr, by number; freed by who made it. */
class Attributes {
  readonly table: Address;
  private readonly blocks: Address[] = [];
  private readonly k: Linux;

  constructor(k: Linux, count: number) {
    this.k = k;
    this.table = k.heap.allocateZeroed(count * k.word);
    this.blocks.push(this.table);
  }

  set(type: number, value: Uint8Array): void {
    // struct nlattr: 16 bits of length with this header, 16 bits of type, the value.
    const at = this.k.heap.allocateZeroed(4 + value.length + 4);
    this.k.memory.set16(at, 4 + value.length);
    this.k.memory.set16(at + 2, type);
    this.k.memory.write(at + 4, value);
    this.k.memory.setPtr(this.table + type * this.k.word, at);
    this.blocks.push(at);
  }

  free(): void {
    for (const at of this.blocks) this.k.heap.free(at);
  }
}

const u32 = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer);

interface Request {
  readonly own: Attributes;
  readonly data: Attributes | undefined;
  readonly extack: Address;
}

/** rtnl_newlink for a device that is to be made. */
export function* createLink(k: Linux, link: NewLink): Steps<Answer> {
  const operations = findLinkType(k, link.kind);
  if (link.name !== undefined && findByName(k, link.name) !== 0) return plain(-Errno.EEXIST);
  if (operations === 0) return { error: -Errno.EOPNOTSUPP, words: 'Unknown device type' };
  if (link.name !== undefined && !isValidName(link.name)) return plain(-Errno.EINVAL);
  const own = new Attributes(k, MOST_ATTRIBUTES);
  if (link.name !== undefined) own.set(IFLA.IFNAME, bytesOf(`${link.name}\0`));
  if (link.lower !== undefined) own.set(IFLA.LINK, u32(k.read('net_device.ifindex', link.lower)));
  const most = k.read('rtnl_link_ops.maxtype', operations);
  const detail = link.data === undefined ? undefined : new Attributes(k, most + 1);
  for (const [type, value] of link.data ?? []) if (type <= most) detail?.set(type, value);
  const extack = k.heap.allocateZeroed(k.sizeof('netlink_ext_ack'));
  const error = yield* make(k, link, operations, { own, data: detail, extack });
  const words = k.readString('netlink_ext_ack._msg', extack);
  for (const each of [own, detail]) each?.free();
  k.heap.free(extack);
  return { error, words: error < 0 ? words : '' };
}

function* make(k: Linux, link: NewLink, operations: Address, request: Request): Steps<number> {
  const data = request.data?.table ?? 0;
  const validate = k.read('rtnl_link_ops.validate', operations);
  const wrong = validate === 0 ? 0 : yield* k.callInt(validate, request.own.table, data, request.extack);
  if (wrong < 0) return wrong;
  const name = link.name ?? `${link.kind}%d`;
  const assigned = link.name === undefined ? NAMED.BY_KERNEL : NAMED.BY_USER;
  if (k.read('rtnl_link_ops.setup', operations) === 0) return -Errno.EOPNOTSUPP;
  const device = yield* makeLinkDevice(k, operations, name, assigned, 0);
  if (device === 0) return -Errno.ENOMEM;
  const error = yield* join(k, device, operations, request);
  if (error < 0) yield* freeDevice(k, device);
  else k.write('net_device.rtnl_link_state', device, 0);
  return error;
}

/** rtnl_create_link: a device of the kind, not registered yet. */
export function* makeLinkDevice(
  k: Linux,
  operations: Address,
  name: string,
  nameAssignType: number,
  caller: Address,
): Steps<Address> {
  const queues = function* (field: string): Steps<number> {
    const method = k.read(field, operations);
    return method === 0 ? 1 : yield* k.callInt(method);
  };
  const device = yield* allocateDevice(k, {
    privateBytes: k.read('rtnl_link_ops.priv_size', operations),
    name,
    nameAssignType,
    transmitQueues: yield* queues('rtnl_link_ops.get_num_tx_queues'),
    receiveQueues: yield* queues('rtnl_link_ops.get_num_rx_queues'),
    caller,
    setup: (at) => k.call(k.read('rtnl_link_ops.setup', operations), at),
  });
  if (device === 0) return 0;
  k.write('net_device.rtnl_link_ops', device, operations);
  // RTNL_LINK_INITIALIZING, until it is configured.
  k.write('net_device.rtnl_link_state', device, 1);
  return device;
}

/** The kind's newlink, whose arguments became a structure with 6.15. */
function* join(k: Linux, device: Address, operations: Address, request: Request): Steps<number> {
  const method = k.read('rtnl_link_ops.newlink', operations);
  const [net, own, data] = [initNet(k), request.own.table, request.data?.table ?? 0];
  if (method === 0) return yield* registerDevice(k, device);
  if (!k.types.has('rtnl_newlink_params.src_net'))
    return yield* k.callInt(method, net, device, own, data, request.extack);
  // No more than its five pointers.
  const all = k.heap.allocateZeroed(8 * k.word);
  k.write('rtnl_newlink_params.src_net', all, net);
  for (const [field, value] of [
    ['rtnl_newlink_params.tb', own],
    ['rtnl_newlink_params.data', data],
  ] as const)
    k.write(field, all, value);
  const error = yield* k.callInt(method, device, all, request.extack);
  k.heap.free(all);
  return error;
}

/** rtnl_dellink: only kinds that users can ask for can be taken away by them. */
export function* deleteLink(k: Linux, device: Address): Steps<number> {
  const operations = k.read('net_device.rtnl_link_ops', device);
  if (operations === 0 || k.read('rtnl_link_ops.dellink', operations) === 0) return -Errno.EOPNOTSUPP;
  yield* deleteLinks(k, [device]);
  return 0;
}

/** dev_change_name: not while it is up, unless its driver allows that. */
export function* renameDevice(k: Linux, device: Address, name: string): Steps<number> {
  const before = nameOf(k, device);
  if (before === name) return 0;
  if (name.includes('%')) return -Errno.EINVAL;
  const error = takeName(k, device, name);
  if (error < 0) return error;
  k.write('net_device.name_assign_type', device, 4);
  const lost = yield* renameInSysfs(k, device);
  if (lost !== 0) return lost;
  k.printk(6, `${name}: renamed from ${before}`);
  yield* notify(k, EVENT.CHANGENAME, device);
  return 0;
}

/** The address as `ip link set address` gives it: as long as the device's own. */
export function* changeAddress(k: Linux, device: Address, address: Uint8Array): Steps<number> {
  if (address.length !== k.read('net_device.addr_len', device)) return -Errno.EINVAL;
  const socket = k.heap.allocateZeroed(64);
  k.memory.set16(socket, k.read('net_device.type', device));
  k.memory.write(socket + 2, address);
  const error = yield* setAddress(k, device, socket);
  k.heap.free(socket);
  return error;
}

/** The address as it is. */
export const ownAddress = (k: Linux, device: Address): Uint8Array =>
  addressBytes(k, k.read('net_device.dev_addr', device), k.read('net_device.addr_len', device));

/** Sends a frame with its link header, as a packet socket does. */
export function* sendFrame(k: Linux, device: Address, frame: Uint8Array): Steps<number> {
  if ((flagsOf(k, device) & IFF.UP) === 0) return -Errno.ENETDOWN;
  const header = k.read('net_device.hard_header_len', device);
  if (frame.length > k.read('net_device.mtu', device) + header) return -Errno.EMSGSIZE;
  const front = header + k.read('net_device.needed_headroom', device);
  const skb = allocatePacket(k, front + frame.length + k.read('net_device.needed_tailroom', device), 0);
  if (skb === 0) return -Errno.ENOBUFS;
  k.write('sk_buff.data', skb, data(k, skb) + front);
  k.write('sk_buff.tail', skb, k.read('sk_buff.tail', skb) + front);
  k.memory.write(append(k, skb, frame.length, 0), frame);
  k.write('sk_buff.dev', skb, device);
  if (header >= 14 && frame.length >= 14) {
    const type = (frame[12] << 8) | frame[13];
    k.write('sk_buff.protocol', skb, ((type & 0xff) << 8) | (type >> 8));
    k.write('sk_buff.network_header', skb, data(k, skb) + header - head(k, skb));
  } else k.write('sk_buff.network_header', skb, data(k, skb) - head(k, skb));
  const answer = yield* transmit(k, skb);
  return answer > 0 ? -Errno.ENOBUFS : answer;
}
