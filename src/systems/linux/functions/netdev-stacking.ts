/** Devices on top of others: links between them, handlers that take what arrives, addresses and limits handed down. */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { add, addressAt, addressBytes, members, release, remove } from '../net/addresses.ts';
import {
  adjacent,
  deviceOf,
  entryFor,
  linkUpper,
  listOf,
  masterOf,
  reachable,
  type Side,
  unlinkUpper,
} from '../net/adjacency.ts';
import { hasPrivateFlag } from '../net/device.ts';
import { EVENT, notify } from '../net/events.ts';
import { incrementFeatures } from '../net/features.ts';
import { REG, STATE } from '../net/flags.ts';
import {
  changeFlags,
  closeDevices,
  hasCarrier,
  setCarrier,
  setMtu,
  setReceiveMode,
  setState,
} from '../net/link.ts';
import { findByName, initNet } from '../net/namespace.ts';
import { makeLinkDevice } from '../net/user.ts';
import { callerOf } from './caller.ts';
import { kernelFunctions } from './define.ts';

/** The next entry of a list that a loop walks: before it moves the pointer it starts behind (`next`) or at (`here`) it. */
function step(k: Linux, device: Address, side: Side, iterator: Address, from: 'next' | 'here'): Address {
  const at = k.memory.ptr(iterator);
  const node = from === 'next' ? k.memory.ptr(at) : at;
  if (node === listOf(k, device, side)) return 0;
  k.memory.setPtr(iterator, from === 'next' ? node : k.memory.ptr(node));
  return node - k.offset('netdev_adjacent.list');
}

const deviceAt = (k: Linux, entry: Address): Address => (entry === 0 ? 0 : deviceOf(k, entry));
const privateAt = (k: Linux, entry: Address): Address =>
  entry === 0 ? 0 : k.read('netdev_adjacent.private', entry);

function* walk(k: Linux, device: Address, side: Side, visit: Address, data: Address): Steps<number> {
  // struct netdev_nested_priv: flags, then the pointer that callbacks know.
  for (const other of [...reachable(k, device, side)]) {
    const answer = yield* k.callInt(visit, other, data);
    if (answer !== 0) return answer;
  }
  return 0;
}

export const deviceLinks = kernelFunctions({
  'int netdev_upper_dev_link(struct net_device *dev, struct net_device *upper_dev, struct netlink_ext_ack *extack)':
    (k, device, upper) => linkUpper(k, device, upper, false, 0, 0),
  'int netdev_master_upper_dev_link(struct net_device *dev, struct net_device *upper_dev, void *upper_priv, void *upper_info, struct netlink_ext_ack *extack)':
    (k, device, upper, data, more) => linkUpper(k, device, upper, true, data, more),
  'void netdev_upper_dev_unlink(struct net_device *dev, struct net_device *upper_dev)': unlinkUpper,
  'bool netdev_has_upper_dev(struct net_device *dev, struct net_device *upper_dev)': (k, device, upper) =>
    Number([...reachable(k, device, 'upper')].includes(upper)),
  'bool netdev_has_any_upper_dev(struct net_device *dev)': (k, device) =>
    Number(!adjacent(k, device, 'upper').next().done),
  'struct net_device *netdev_master_upper_dev_get(struct net_device *dev)': masterOf,
  'struct net_device *netdev_master_upper_dev_get_rcu(struct net_device *dev)': masterOf,
  'struct net_device *netdev_upper_get_next_dev_rcu(struct net_device *dev, struct list_head **iter)': (
    k,
    device,
    iterator,
  ) => deviceAt(k, step(k, device, 'upper', iterator, 'next')),
  'void *netdev_lower_get_next(struct net_device *dev, struct list_head **iter)': (k, device, iterator) =>
    deviceAt(k, step(k, device, 'lower', iterator, 'here')),
  'struct net_device *netdev_next_lower_dev_rcu(struct net_device *dev, struct list_head **iter)': (
    k,
    device,
    iterator,
  ) => deviceAt(k, step(k, device, 'lower', iterator, 'next')),
  'void *netdev_lower_get_next_private(struct net_device *dev, struct list_head **iter)': (
    k,
    device,
    iterator,
  ) => privateAt(k, step(k, device, 'lower', iterator, 'here')),
  'void *netdev_lower_get_next_private_rcu(struct net_device *dev, struct list_head **iter)': (
    k,
    device,
    iterator,
  ) => privateAt(k, step(k, device, 'lower', iterator, 'next')),
  'void *netdev_lower_get_first_private_rcu(struct net_device *dev)': (k, device) =>
    privateAt(k, [...adjacent(k, device, 'lower')][0] ?? 0),
  'void *netdev_lower_dev_get_private(struct net_device *dev, struct net_device *lower_dev)': (
    k,
    device,
    lower,
  ) => privateAt(k, entryFor(k, device, 'lower', lower)),
  'void *netdev_adjacent_get_private(struct list_head *adj_list)': (k, node) =>
    privateAt(k, node - k.offset('netdev_adjacent.list')),
  'int netdev_walk_all_upper_dev_rcu(struct net_device *dev, int (*fn)(struct net_device *upper_dev, struct netdev_nested_priv *priv), struct netdev_nested_priv *priv)':
    (k, device, visit, data) => walk(k, device, 'upper', visit, data),
  'int netdev_walk_all_lower_dev(struct net_device *dev, int (*fn)(struct net_device *lower_dev, struct netdev_nested_priv *priv), struct netdev_nested_priv *priv)':
    (k, device, visit, data) => walk(k, device, 'lower', visit, data),
  'int netdev_walk_all_lower_dev_rcu(struct net_device *dev, int (*fn)(struct net_device *lower_dev, struct netdev_nested_priv *priv), struct netdev_nested_priv *priv)':
    (k, device, visit, data) => walk(k, device, 'lower', visit, data),
  'void netdev_lower_state_changed(struct net_device *lower_dev, void *lower_state_info)': function* (
    k,
    device,
    info,
  ) {
    yield* notify(k, EVENT.CHANGELOWERSTATE, device, info);
  },
  'void xdp_set_features_flag(struct net_device *dev, u32 val)': function* (k, device, value) {
    if (k.types.has('net_device.xdp_features') && k.read('net_device.xdp_features', device) !== value) {
      k.write('net_device.xdp_features', device, value);
      if (k.read('net_device.reg_state', device) === REG.REGISTERED)
        yield* notify(k, EVENT.XDP_FEAT_CHANGE, device);
    }
  },
  'int netdev_rx_handler_register(struct net_device *dev, rx_handler_func_t *rx_handler, void *rx_handler_data)':
    (k, device, handler, data) => {
      if (k.read('net_device.rx_handler', device) !== 0) return -Errno.EBUSY;
      if (hasPrivateFlag(k, device, 'IFF_NO_RX_HANDLER')) return -Errno.EINVAL;
      k.write('net_device.rx_handler_data', device, data);
      k.write('net_device.rx_handler', device, handler);
      return 0;
    },
  'void netdev_rx_handler_unregister(struct net_device *dev)': (k, device) => {
    k.write('net_device.rx_handler', device, 0);
    k.write('net_device.rx_handler_data', device, 0);
  },
  'bool netdev_is_rx_handler_busy(struct net_device *dev)': (k, device) =>
    Number(k.read('net_device.rx_handler', device) !== 0),
});

// -- addresses that the device below is to listen to, too ----------------------------------------------------------------

const SYNCS = 'netdev_hw_addr.sync_cnt';
const USES = 'netdev_hw_addr.refcount';

function* synchronise(k: Linux, to: Address, from: Address, list: 'uc' | 'mc', undo: boolean): Steps<number> {
  const [target, source] = [to, from].map((device) => device + k.offset(`net_device.${list}`));
  const size = k.read('net_device.addr_len', to);
  let error = 0;
  for (const entry of [...members(k, source)]) {
    const address = addressBytes(k, addressAt(k, entry), size);
    const synced = k.read(SYNCS, entry) !== 0;
    if (synced && (undo || k.read(USES, entry) === 1)) {
      if (remove(k, target, address) !== 0) continue;
      k.write(SYNCS, entry, k.read(SYNCS, entry) - 1);
      release(k, source, entry);
    } else if (!synced && !undo) {
      error = add(k, target, address, k.read('netdev_hw_addr.type', entry));
      if (error !== 0) break;
      for (const field of [SYNCS, USES]) k.write(field, entry, k.read(field, entry) + 1);
    }
  }
  yield* setReceiveMode(k, to);
  return error;
}

const sync = (list: 'uc' | 'mc') => (k: Linux, to: Address, from: Address) =>
  synchronise(k, to, from, list, false);
const unsync = (list: 'uc' | 'mc') =>
  function* (k: Linux, to: Address, from: Address): Steps<void> {
    yield* synchronise(k, to, from, list, true);
  };

const limitSize = (k: Linux, device: Address, size: number): void => {
  k.write('net_device.tso_max_size', device, Math.min(size >>> 0, 524280));
  if (size < k.read('net_device.gso_max_size', device)) k.write('net_device.gso_max_size', device, size);
};
const limitSegments = (k: Linux, device: Address, count: number): void => {
  k.write('net_device.tso_max_segs', device, count);
  if (count < k.read('net_device.gso_max_segs', device)) k.write('net_device.gso_max_segs', device, count);
};

export const stackedDevices = kernelFunctions({
  'int dev_uc_sync(struct net_device *to, struct net_device *from)': sync('uc'),
  'int dev_mc_sync(struct net_device *to, struct net_device *from)': sync('mc'),
  'void dev_uc_unsync(struct net_device *to, struct net_device *from)': unsync('uc'),
  'void dev_mc_unsync(struct net_device *to, struct net_device *from)': unsync('mc'),
  'void netif_set_tso_max_size(struct net_device *dev, unsigned int size)': limitSize,
  'void netif_set_tso_max_segs(struct net_device *dev, unsigned int segs)': limitSegments,
  'void netif_inherit_tso_max(struct net_device *to, const struct net_device *from)': (k, to, from) => {
    limitSize(k, to, k.read('net_device.tso_max_size', from));
    limitSegments(k, to, k.read('net_device.tso_max_segs', from));
  },
  'void netif_stacked_transfer_operstate(const struct net_device *rootdev, struct net_device *dev)': (
    k,
    root,
    device,
  ) => {
    // IF_OPER_DORMANT and IF_OPER_TESTING.
    setState(k, device, STATE.DORMANT, k.read('net_device.operstate', root) === 5);
    setState(k, device, STATE.TESTING, k.read('net_device.operstate', root) === 4);
    setCarrier(k, device, hasCarrier(k, root));
  },
  'netdev_features_t passthru_features_check(struct sk_buff *skb, struct net_device *dev, netdev_features_t features)':
    (_k, _skb, _device, given) => given,
  'netdev_features_t netdev_increment_features(netdev_features_t all, netdev_features_t one, netdev_features_t mask)':
    (k, all, one, mask) => incrementFeatures(k, all, one, mask),
});

/** The attributes of a new device that the core itself looks at: IFLA_ADDRESS, IFLA_MTU, IFLA_TXQLEN. */
function* makeFromRequest(k: Linux, name: Address, assigned: number, operations: Address): Steps<Address> {
  const device = yield* makeLinkDevice(k, operations, k.memory.cstring(name), assigned, callerOf(k));
  return device === 0 ? -Errno.ENOMEM : device;
}

export const linkRequests = kernelFunctions({
  'struct net_device *rtnl_create_link(struct net *net, const char *ifname, unsigned char name_assign_type, const struct rtnl_link_ops *ops, struct nlattr **tb, struct netlink_ext_ack *extack)':
    (k, _net, name, assigned, operations) => makeFromRequest(k, name, assigned, operations),
  'int rtnl_configure_link(struct net_device *dev, struct ifinfomsg *ifm, u32 portid, struct nlmsghdr *nlh)':
    function* (k, device, message) {
      // struct ifinfomsg: family, type and index in eight bytes, then the flags and which of them are meant.
      const [flags, mask] = message === 0 ? [0, 0] : [k.memory.u32(message + 8), k.memory.u32(message + 12)];
      if (flags !== 0 || mask !== 0) {
        const own = k.read('net_device.flags', device);
        const error = yield* changeFlags(k, device, mask === 0 ? flags : (own & ~mask) | (flags & mask));
        if (error < 0) return error;
      }
      k.write('net_device.rtnl_link_state', device, 0);
      return 0;
    },
  'struct net *rtnl_link_get_net(struct net *src_net, struct nlattr **tb)': (k) => {
    const net = initNet(k);
    const count = 'net.ns.count.refs.counter';
    if (k.types.has('net.ns.count')) k.write(count, net, k.read(count, net) + 1);
    return net;
  },
  'int __ethtool_get_link_ksettings(struct net_device *dev, struct ethtool_link_ksettings *link_ksettings)':
    function* (k, device, settings) {
      const method = k.read('ethtool_ops.get_link_ksettings', k.read('net_device.ethtool_ops', device));
      if (method === 0) return -Errno.EOPNOTSUPP;
      k.memory.fill(settings, k.sizeof('ethtool_link_ksettings'), 0);
      return yield* k.callInt(method, device, settings);
    },
  'int __dev_set_mtu(struct net_device *dev, int new_mtu)': setMtu,
  'bool netdev_name_in_use(struct net *net, const char *name)': (k, _net, name) =>
    Number(findByName(k, k.memory.cstring(name)) !== 0),
  'void dev_close_many(struct list_head *head, bool unlink)': function* (k, head, unlinking) {
    const inner = k.offset('net_device.close_list');
    for (let at = k.memory.ptr(head); at !== head; ) {
      const next = k.memory.ptr(at);
      yield* closeDevices(k, [at - inner]);
      if (unlinking) {
        k.memory.setPtr(k.memory.ptr(at + k.word), next);
        k.memory.setPtr(next + k.word, k.memory.ptr(at + k.word));
        k.memory.setPtr(at, at);
        k.memory.setPtr(at + k.word, at);
      }
      at = next;
    }
  },
  'int netlink_add_tap(struct netlink_tap *nt)': function* (k, tap) {
    // struct netlink_tap: the device, its module, the list. ARPHRD_NETLINK is 824.
    if (k.read('net_device.type', k.memory.ptr(tap)) !== 824) return -Errno.EINVAL;
    yield* k.call(k.addressOf('__module_get'), k.memory.ptr(tap + k.word));
    return 0;
  },
  'int netlink_remove_tap(struct netlink_tap *nt)': function* (k, tap) {
    yield* k.call(k.addressOf('module_put'), k.memory.ptr(tap + k.word));
    return 0;
  },
});
