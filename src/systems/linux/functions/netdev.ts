/** Network devices as modules make, register and drive them (include/linux/netdevice.h, rtnetlink.h). */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { addVariable } from '../driver/uevent.ts';
import { Errno } from '../errno.ts';
import type { DataInitialiser, Linux } from '../linux.ts';
import {
  add,
  addressBytes,
  flush,
  initAddresses,
  KIND,
  MAX_ADDRESS,
  remove,
  setOwnAddress,
} from '../net/addresses.ts';
import { renewQueueFolders } from '../net/attributes.ts';
import { allocateDevice, freeDevice, releaseMemory, takeName, transmitQueues } from '../net/device.ts';
import { setupEthernet } from '../net/ethernet.ts';
import { addListener, EVENT, notify, removeListener } from '../net/events.ts';
import { updateFeatures } from '../net/features.ts';
import { IFF, REG, STATE } from '../net/flags.ts';
import {
  changeFlags,
  closeDevices,
  countFlag,
  flagsOf,
  isPresent,
  isRunning,
  linkEvent,
  lowerIndex,
  openDevice,
  setAddress,
  setCarrier,
  setMtu,
  setReceiveMode,
  setState,
  stopQueues,
} from '../net/link.ts';
import { addLinkType, removeLinkType } from '../net/link-types.ts';
import { ensureLoopback } from '../net/loopback.ts';
import { findByIndex, findByName, holdDevice, initialNamespace, nameOf } from '../net/namespace.ts';
import { registerDevice, unregisterDevices, unregisterList, unregisterQueued } from '../net/register.ts';
import { lockRouting, routingIsLocked, tryLockRouting, underRouting, unlockRouting } from '../net/rtnl.ts';
import { addSoftware, coreStatistics, statisticsInto, widen } from '../net/statistics.ts';
import { wakeQueue } from '../net/transmit.ts';
import { register, unregister } from '../registered.ts';
import { callerOf, kernelBug } from './caller.ts';
import { kernelFunctions } from './define.ts';

function* make(
  k: Linux,
  privateBytes: number,
  name: string,
  nameAssignType: number,
  transmit: number,
  receive: number,
  setup: (device: Address) => Steps<unknown>,
): Steps<Address> {
  ensureLoopback(k);
  const counts = { transmitQueues: transmit, receiveQueues: receive };
  return yield* allocateDevice(k, {
    privateBytes,
    name,
    nameAssignType,
    ...counts,
    caller: callerOf(k),
    setup,
  });
}

const ethernet = (k: Linux) =>
  function* (device: Address): Steps<void> {
    setupEthernet(k, device);
  };

export const netDeviceFunctions = kernelFunctions({
  'struct net_device *alloc_netdev_mqs(int sizeof_priv, const char *name, unsigned char name_assign_type, void (*setup)(struct net_device *), unsigned int txqs, unsigned int rxqs)':
    (k, size, name, assigned, setup, transmit, receive) =>
      make(k, size, k.memory.cstring(name), assigned, transmit, receive, (device) => k.call(setup, device)),
  // NET_NAME_ENUM is 1.
  'struct net_device *alloc_etherdev_mqs(int sizeof_priv, unsigned int txqs, unsigned int rxqs)': (
    k,
    size,
    transmit,
    receive,
  ) => make(k, size, 'eth%d', 1, transmit, receive, ethernet(k)),
  'void free_netdev(struct net_device *dev)': freeDevice,
  'void ether_setup(struct net_device *dev)': setupEthernet,
  'int register_netdevice(struct net_device *dev)': registerDevice,
  'int register_netdev(struct net_device *dev)': (k, device) =>
    underRouting(k, () => registerDevice(k, device)),
  'void unregister_netdevice_queue(struct net_device *dev, struct list_head *head)': unregisterQueued,
  'void unregister_netdevice_many(struct list_head *head)': unregisterList,
  'void unregister_netdev(struct net_device *dev)': (k, device) =>
    underRouting(k, () => unregisterDevices(k, [device])),
  'void netdev_release(struct device *d)': (k, inner) => {
    const device = inner - k.offset('net_device.dev');
    if (k.read('net_device.reg_state', device) !== REG.RELEASED) kernelBug(k, 'net/core/net-sysfs.c');
    releaseMemory(k, device);
  },
  'int netdev_uevent(struct device *d, struct kobj_uevent_env *env)': (k, inner, environment) => {
    const device = inner - k.offset('net_device.dev');
    return (
      addVariable(k, environment, `INTERFACE=${nameOf(k, device)}`) ||
      addVariable(k, environment, `IFINDEX=${k.read('net_device.ifindex', device)}`)
    );
  },
  'int dev_alloc_name(struct net_device *dev, const char *name)': (k, device, name) =>
    takeName(k, device, k.memory.cstring(name)),
  'bool dev_valid_name(const char *name)': (k, name) => {
    const text = k.memory.cstring(name, 17);
    return text !== '' && text.length < 16 && text !== '.' && text !== '..' && !/[/:\s]/.test(text);
  },
  'int dev_open(struct net_device *dev, struct netlink_ext_ack *extack)': openDevice,
  'void dev_close(struct net_device *dev)': (k, device) => closeDevices(k, [device]),
  'int dev_change_flags(struct net_device *dev, unsigned int flags, struct netlink_ext_ack *extack)':
    changeFlags,
  'unsigned int dev_get_flags(const struct net_device *dev)': (k, device) => {
    const flags =
      flagsOf(k, device) & ~(IFF.PROMISC | IFF.ALLMULTI | IFF.RUNNING | IFF.LOWER_UP | IFF.DORMANT);
    const wished = k.read('net_device.gflags', device) & (IFF.PROMISC | IFF.ALLMULTI);
    if (!isRunning(k, device)) return flags | wished;
    const state = k.memory.u32(device + k.offset('net_device.state'));
    const operative = [0, 6].includes(k.read('net_device.operstate', device));
    const carrier = (state & (1 << STATE.NOCARRIER)) === 0;
    const dormant = (state & (1 << STATE.DORMANT)) !== 0;
    return (
      flags |
      wished |
      (operative ? IFF.RUNNING : 0) |
      (carrier ? IFF.LOWER_UP : 0) |
      (dormant ? IFF.DORMANT : 0)
    );
  },
  'int dev_set_mtu(struct net_device *dev, int new_mtu)': setMtu,
  'int dev_set_mac_address(struct net_device *dev, struct sockaddr *sa, struct netlink_ext_ack *extack)':
    setAddress,
  'int dev_set_promiscuity(struct net_device *dev, int inc)': function* (k, device, more) {
    const error = yield* countFlag(k, device, 'net_device.promiscuity', IFF.PROMISC, more);
    if (error === 0) yield* setReceiveMode(k, device);
    return error;
  },
  'int dev_set_allmulti(struct net_device *dev, int inc)': function* (k, device, more) {
    const error = yield* countFlag(k, device, 'net_device.allmulti', IFF.ALLMULTI, more);
    if (error === 0) yield* setReceiveMode(k, device);
    return error;
  },
  'int dev_get_iflink(const struct net_device *dev)': lowerIndex,
  'void netif_carrier_on(struct net_device *dev)': (k, device) => setCarrier(k, device, true),
  'void netif_carrier_off(struct net_device *dev)': (k, device) => setCarrier(k, device, false),
  'void linkwatch_fire_event(struct net_device *dev)': linkEvent,
  'void netif_device_detach(struct net_device *dev)': (k, device) => {
    if (!isPresent(k, device)) return;
    setState(k, device, STATE.PRESENT, false);
    if (isRunning(k, device)) stopQueues(k, device, true);
  },
  'void netif_device_attach(struct net_device *dev)': function* (k, device) {
    if (isPresent(k, device)) return;
    setState(k, device, STATE.PRESENT, true);
    if (!isRunning(k, device)) return;
    for (const queue of transmitQueues(k, device)) yield* wakeQueue(k, queue);
  },
  'void netif_tx_stop_all_queues(struct net_device *dev)': (k, device) => stopQueues(k, device, true),
  'void netdev_state_change(struct net_device *dev)': function* (k, device) {
    if ((flagsOf(k, device) & IFF.UP) !== 0) yield* notify(k, EVENT.CHANGE, device);
  },
  'void netdev_features_change(struct net_device *dev)': function* (k, device) {
    yield* notify(k, EVENT.FEAT_CHANGE, device);
  },
  'void netdev_update_features(struct net_device *dev)': function* (k, device) {
    if (yield* updateFeatures(k, device)) yield* notify(k, EVENT.FEAT_CHANGE, device);
  },
  'void netdev_change_features(struct net_device *dev)': function* (k, device) {
    yield* updateFeatures(k, device);
    yield* notify(k, EVENT.FEAT_CHANGE, device);
  },
  'void __netdev_notify_peers(struct net_device *dev)': function* (k, device) {
    yield* notify(k, EVENT.NOTIFY_PEERS, device);
    yield* notify(k, EVENT.RESEND_IGMP, device);
  },
  'void netdev_notify_peers(struct net_device *dev)': (k, device) =>
    underRouting(k, function* () {
      yield* notify(k, EVENT.NOTIFY_PEERS, device);
      yield* notify(k, EVENT.RESEND_IGMP, device);
    }),
  'int netif_set_real_num_tx_queues(struct net_device *dev, unsigned int txq)': (k, device, count) =>
    setActiveQueues(k, device, 'tx', count),
  'int netif_set_real_num_rx_queues(struct net_device *dev, unsigned int rxq)': (k, device, count) =>
    setActiveQueues(k, device, 'rx', count),
});

/** At least one queue, and no more than were made. */
function setActiveQueues(k: Linux, device: Address, kind: 'tx' | 'rx', count: number): number {
  if (count < 1 || count > k.read(`net_device.num_${kind}_queues`, device)) return -Errno.EINVAL;
  k.write(`net_device.real_num_${kind}_queues`, device, count);
  if (k.read('net_device.reg_state', device) === REG.REGISTERED) renewQueueFolders(k, device);
  return 0;
}

const held = (k: Linux, device: Address): Address => holdDevice(k, device);

/** Looking devices up; there is one namespace, so `net` says nothing. */
export const deviceLookups = kernelFunctions({
  'struct net_device *__dev_get_by_name(struct net *net, const char *name)': (k, _net, name) =>
    findByName(k, k.memory.cstring(name)),
  'struct net_device *dev_get_by_name_rcu(struct net *net, const char *name)': (k, _net, name) =>
    findByName(k, k.memory.cstring(name)),
  'struct net_device *dev_get_by_name(struct net *net, const char *name)': (k, _net, name) =>
    held(k, findByName(k, k.memory.cstring(name))),
  'struct net_device *netdev_get_by_name(struct net *net, const char *name, netdevice_tracker *tracker, gfp_t gfp)':
    (k, _net, name) => held(k, findByName(k, k.memory.cstring(name))),
  'struct net_device *__dev_get_by_index(struct net *net, int ifindex)': (k, _net, index) =>
    findByIndex(k, index),
  'struct net_device *dev_get_by_index_rcu(struct net *net, int ifindex)': (k, _net, index) =>
    findByIndex(k, index),
  'struct net_device *dev_get_by_index(struct net *net, int ifindex)': (k, _net, index) =>
    held(k, findByIndex(k, index)),
  'struct net_device *netdev_get_by_index(struct net *net, int ifindex, netdevice_tracker *tracker, gfp_t gfp)':
    (k, _net, index) => held(k, findByIndex(k, index)),
});

/** A new listener hears of all devices there are; `lo` is older than any module. */
function listen(k: Linux, block: Address, own: boolean): Steps<number> {
  ensureLoopback(k);
  return underRouting(k, () => addListener(k, block, own));
}

export const routing = kernelFunctions({
  'void rtnl_lock(void)': lockRouting,
  'int rtnl_lock_killable(void)': function* (k) {
    yield* lockRouting(k);
    return 0;
  },
  'int rtnl_trylock(void)': (k) => Number(tryLockRouting(k)),
  'void rtnl_unlock(void)': unlockRouting,
  'int rtnl_is_locked(void)': (k) => Number(routingIsLocked(k)),
  'int __rtnl_link_register(struct rtnl_link_ops *ops)': addLinkType,
  'void __rtnl_link_unregister(struct rtnl_link_ops *ops)': removeLinkType,
  'int rtnl_link_register(struct rtnl_link_ops *ops)': (k, operations) =>
    underRouting(k, function* () {
      return addLinkType(k, operations);
    }),
  'void rtnl_link_unregister(struct rtnl_link_ops *ops)': (k, operations) =>
    underRouting(k, () => removeLinkType(k, operations)),
  'void rtnl_af_register(struct rtnl_af_ops *ops)': (k, operations) => {
    register(k, 'link address family', operations, String(k.read('rtnl_af_ops.family', operations)));
  },
  'void rtnl_af_unregister(struct rtnl_af_ops *ops)': (k, operations) => {
    unregister(k, 'link address family', operations);
  },
  'int register_netdevice_notifier(struct notifier_block *nb)': (k, block) => listen(k, block, false),
  'int unregister_netdevice_notifier(struct notifier_block *nb)': (k, block) =>
    underRouting(k, () => removeListener(k, block)),
  'int register_netdevice_notifier_net(struct net *net, struct notifier_block *nb)': (k, _net, block) =>
    listen(k, block, true),
  'int unregister_netdevice_notifier_net(struct net *net, struct notifier_block *nb)': (k, _net, block) =>
    underRouting(k, () => removeListener(k, block, true)),
  'int call_netdevice_notifiers(unsigned long val, struct net_device *dev)': (k, event, device) =>
    notify(k, event, device),
});

export const deviceCounters = kernelFunctions({
  'struct rtnl_link_stats64 *dev_get_stats(struct net_device *dev, struct rtnl_link_stats64 *storage)':
    function* (k, device, storage) {
      yield* statisticsInto(k, device, storage);
      return storage;
    },
  'void netdev_stats_to_stats64(struct rtnl_link_stats64 *stats64, const struct net_device_stats *netdev_stats)':
    widen,
  'void dev_fetch_sw_netstats(struct rtnl_link_stats64 *s, const struct pcpu_sw_netstats *netstats)':
    addSoftware,
  'void dev_get_tstats64(struct net_device *dev, struct rtnl_link_stats64 *s)': (k, device, storage) => {
    widen(k, storage, device + k.offset('net_device.stats'));
    addSoftware(k, storage, k.read('net_device.tstats', device));
  },
  'void dev_lstats_read(struct net_device *dev, u64 *packets, u64 *bytes)': (k, device, packets, bytes) => {
    const own = k.percpu.addressOf(k.read('net_device.lstats', device));
    k.memory.setU64(packets, k.memory.u64(own + k.offset('pcpu_lstats.packets')));
    k.memory.setU64(bytes, k.memory.u64(own + k.offset('pcpu_lstats.bytes')));
  },
  'struct net_device_core_stats *netdev_core_stats_alloc(struct net_device *dev)': coreStatistics,
  'void netdev_core_stats_inc(struct net_device *dev, u32 offset)': (k, device, offset) => {
    const at = k.percpu.addressOf(coreStatistics(k, device)) + offset;
    k.memory.setPtr(at, k.memory.ptr(at) + 1);
  },
});

/** An address is as long as the device's own. */
const given = (k: Linux, device: Address, address: Address): Uint8Array =>
  addressBytes(k, address, k.read('net_device.addr_len', device));

function* change(
  k: Linux,
  device: Address,
  address: Address,
  list: 'uc' | 'mc',
  act: (list: Address, bytes: Uint8Array) => number,
): Steps<number> {
  const error = act(device + k.offset(`net_device.${list}`), given(k, device, address));
  if (error === 0) yield* setReceiveMode(k, device);
  return error;
}

const adds = (list: 'uc' | 'mc', exclusive = false) =>
  function* (k: Linux, device: Address, address: Address): Steps<number> {
    const kind = list === 'uc' ? KIND.UNICAST : KIND.MULTICAST;
    return yield* change(k, device, address, list, (at, bytes) => add(k, at, bytes, kind, exclusive));
  };

const removes = (list: 'uc' | 'mc') =>
  function* (k: Linux, device: Address, address: Address): Steps<number> {
    return yield* change(k, device, address, list, (at, bytes) => remove(k, at, bytes));
  };

const flushes =
  (list: 'uc' | 'mc') =>
  (k: Linux, device: Address): void =>
    flush(k, device + k.offset(`net_device.${list}`));

export const deviceAddresses = kernelFunctions({
  'void dev_addr_mod(struct net_device *dev, unsigned int offset, const void *addr, size_t len)': (
    k,
    device,
    offset,
    from,
    length,
  ) => setOwnAddress(k, device, offset, k.memory.bytes(from, Math.min(length, MAX_ADDRESS - offset)).slice()),
  'int dev_uc_add(struct net_device *dev, const unsigned char *addr)': adds('uc'),
  'int dev_uc_add_excl(struct net_device *dev, const unsigned char *addr)': adds('uc', true),
  'int dev_uc_del(struct net_device *dev, const unsigned char *addr)': removes('uc'),
  'int dev_mc_add(struct net_device *dev, const unsigned char *addr)': adds('mc'),
  'int dev_mc_add_excl(struct net_device *dev, const unsigned char *addr)': adds('mc', true),
  'int dev_mc_add_global(struct net_device *dev, const unsigned char *addr)': adds('mc'),
  'int dev_mc_del(struct net_device *dev, const unsigned char *addr)': removes('mc'),
  'int dev_mc_del_global(struct net_device *dev, const unsigned char *addr)': removes('mc'),
  'void dev_uc_flush(struct net_device *dev)': flushes('uc'),
  'void dev_mc_flush(struct net_device *dev)': flushes('mc'),
  'void dev_uc_init(struct net_device *dev)': (k, device) =>
    initAddresses(k, device + k.offset('net_device.uc')),
  'void dev_mc_init(struct net_device *dev)': (k, device) =>
    initAddresses(k, device + k.offset('net_device.mc')),
  'void __hw_addr_init(struct netdev_hw_addr_list *list)': initAddresses,
});

/** The namespace's own fields, and the list of namespaces, are there as soon as a module refers to one of them. */
const withNamespace = (symbol: string): DataInitialiser => ({
  symbol,
  when: 'import',
  fill: (k) => {
    k.state(initialNamespace);
    ensureLoopback(k);
  },
});

export const netDeviceData: readonly DataInitialiser[] = ['init_net', 'net_namespace_list'].map(
  withNamespace,
);
