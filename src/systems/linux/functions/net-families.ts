/**
 * What families of protocols and their helpers register besides sockets: handlers of rtnetlink messages, offloads,
 * encapsulations, key managers, loggers. Kept and taken back by the kernel's rules; no packet or message reaches them.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { initList } from '../lists.ts';
import { register, registered, registeredOnly, unregister } from '../registered.ts';
import { kernelFunctions } from './define.ts';
import { initMutex } from './locks.ts';
import { registrationPairs } from './registration.ts';

const MESSAGE = 'rtnetlink message';
/** Message types per family: RTM_NR_MSGTYPES is below this (net/core/rtnetlink.c, rtm_msgindex). */
const TYPES = 1024;

const messageKey = (family: number, type: number): number => family * TYPES + type;

/** rtnl_register_internal: what a family has for a type is replaced, as its handlers are added one by one. */
function registerMessage(k: Linux, family: number, type: number): number {
  const key = messageKey(family, type);
  if (!registered(k, MESSAGE).has(key)) register(k, MESSAGE, key, `${type} of family ${family}`);
  return 0;
}

function unregisterFamily(k: Linux, family: number): void {
  for (const key of [...registered(k, MESSAGE).keys()])
    if (Math.floor(key / TYPES) === family) unregister(k, MESSAGE, key);
}

/** Family and type of each of `count` handlers in a table. */
function* handlers(k: Linux, first: Address, count: number): Generator<[family: number, type: number]> {
  const size = k.sizeof('rtnl_msg_handler');
  for (let at = first; at < first + count * size; at += size)
    yield [k.read('rtnl_msg_handler.protocol', at), k.read('rtnl_msg_handler.msgtype', at)];
}

/** genl_mutex, in guest memory: holders may sleep. */
const familyMutex = perKernel<Address, Linux>((k) => {
  const at = k.heap.allocateZeroed(k.sizeof('mutex'));
  initMutex(k, at);
  return at;
});

const locking = kernelFunctions({
  'void genl_lock(void)': function* (k) {
    yield* k.call(k.addressOf('mutex_lock'), k.state(familyMutex));
  },
  'void genl_unlock(void)': function* (k) {
    yield* k.call(k.addressOf('mutex_unlock'), k.state(familyMutex));
  },
});

const messages = kernelFunctions({
  'int rtnl_register_module(struct module *owner, int protocol, int msgtype, rtnl_doit_func doit, rtnl_dumpit_func dumpit, unsigned int flags)':
    (k, _owner, family, type) => registerMessage(k, family, type),
  'int __rtnl_register_many(const struct rtnl_msg_handler *handlers, int n)': (k, first, count) => {
    for (const [family, type] of handlers(k, first, count)) registerMessage(k, family, type);
    return 0;
  },
  'void __rtnl_unregister_many(const struct rtnl_msg_handler *handlers, int n)': (k, first, count) => {
    for (const [family, type] of handlers(k, first, count)) unregister(k, MESSAGE, messageKey(family, type));
  },
  'int rtnl_unregister(int protocol, int msgtype)': (k, family, type) => {
    if (![...registered(k, MESSAGE).keys()].some((key) => Math.floor(key / TYPES) === family))
      return -Errno.ENOENT;
    unregister(k, MESSAGE, messageKey(family, type));
    return 0;
  },
  'void rtnl_unregister_all(int protocol)': unregisterFamily,
  // No process listens to a group: the message is used up.
  'void rtnl_notify(struct sk_buff *skb, struct net *net, u32 pid, u32 group, const struct nlmsghdr *nlh, gfp_t flags)':
    function* (k, skb) {
      yield* k.call(k.addressOf('consume_skb'), skb);
    },
  'void rtnl_set_sk_err(struct net *net, u32 group, int error)': () => undefined,
  // There are no states of transforms to flush, and none waiting to be freed.
  'int xfrm_state_flush(struct net *net, u8 proto, bool task_valid)': () => -Errno.ESRCH,
  'void xfrm_flush_gc(void)': () => undefined,
  // Namespaces end at once here: there is never a removal that goes on behind the caller's back.
  'void net_ns_barrier(void)': () => undefined,
});

/** Tables of one pointer for each protocol number: the first comer has it (cmpxchg). */
const byNumber = (what: string) => ({
  add: (k: Linux, _entry: Address, number: number): number =>
    register(k, what, number, String(number), { twice: -1 }),
  remove: (k: Linux, _entry: Address, number: number): number => (unregister(k, what, number) ? 0 : -1),
});
const offloads = byNumber('inet offload');
const offloads6 = byNumber('inet6 offload');
const tunnels = byNumber('light-weight tunnel');
/** LWTUNNEL_ENCAP_MAX (include/uapi/linux/lwtunnel.h). */
const LAST_TUNNEL = 10;

const numbered = kernelFunctions({
  'int inet_add_offload(const struct net_offload *prot, unsigned char num)': offloads.add,
  'int inet_del_offload(const struct net_offload *prot, unsigned char num)': offloads.remove,
  'int inet6_add_offload(const struct net_offload *prot, unsigned char num)': offloads6.add,
  'int inet6_del_offload(const struct net_offload *prot, unsigned char num)': offloads6.remove,
  'int lwtunnel_encap_add_ops(const struct lwtunnel_encap_ops *op, unsigned int num)': (k, entry, number) =>
    number > LAST_TUNNEL ? -Errno.ERANGE : tunnels.add(k, entry, number),
  'int lwtunnel_encap_del_ops(const struct lwtunnel_encap_ops *op, unsigned int num)': (k, entry, number) =>
    number > LAST_TUNNEL ? -Errno.EINVAL : tunnels.remove(k, entry, number),
  'void sock_diag_register_inet_compat(const struct sock_diag_inet_compat *ptr)': (k, entry) => {
    registeredOnly(k, 'socket diagnosis', `0x${BigInt.asUintN(64, BigInt(entry)).toString(16)}`);
  },
  'void sock_diag_unregister_inet_compat(const struct sock_diag_inet_compat *ptr)': () => undefined,
});

/** Buckets of listening sockets: INET_LHTABLE_SIZE, LISTENING_NULLS_BASE (include/net/inet_hashtables.h). */
const BUCKETS = 32;
const NULLS_BASE = 2 ** 29;

const tables = kernelFunctions({
  'int inet_hashinfo2_init_mod(struct inet_hashinfo *h)': (k, info) => {
    const size = k.sizeof('inet_listen_hashbucket');
    const at = k.heap.allocateZeroed(size * BUCKETS);
    if (at === 0) return -Errno.ENOMEM;
    // An empty list ends in an odd number that says which one it is (include/linux/list_nulls.h).
    const head = k.offset('inet_listen_hashbucket.nulls_head');
    for (let n = 0; n < BUCKETS; n++) k.memory.setPtr(at + n * size + head, 2 * (n + NULLS_BASE) + 1);
    k.write('inet_hashinfo.lhash2', info, at);
    k.write('inet_hashinfo.lhash2_mask', info, BUCKETS - 1);
    return 0;
  },
});

/** NAPI_POLL_WEIGHT */
const WEIGHT = 64;

const cellOf = (k: Linux, cells: Address): Address => k.percpu.addressOf(k.read('gro_cells.cells', cells));

/** Queues of a tunnel that put packets together (net/core/gro_cells.c): one for the only processor. */
const cells = kernelFunctions({
  'int gro_cells_init(struct gro_cells *gcells, struct net_device *dev)': function* (k, cells, device) {
    const size = k.sizeof('gro_cell');
    const at = yield* k.call(k.addressOf('__alloc_percpu'), size, k.word);
    k.write('gro_cells.cells', cells, at);
    if (at === 0) return -Errno.ENOMEM;
    const cell = cellOf(k, cells);
    initList(k, cell + k.offset('gro_cell.napi_skbs'));
    const napi = cell + k.offset('gro_cell.napi');
    const add = k.addressOf('netif_napi_add_weight');
    yield* k.call(add, device, napi, k.addressOf('gro_cell_poll'), WEIGHT);
    yield* k.call(k.addressOf('napi_enable'), napi);
    return 0;
  },
  'void gro_cells_destroy(struct gro_cells *gcells)': function* (k, cells) {
    const at = k.read('gro_cells.cells', cells);
    if (at === 0) return;
    const napi = cellOf(k, cells) + k.offset('gro_cell.napi');
    yield* k.call(k.addressOf('napi_disable'), napi);
    yield* k.call(k.addressOf('__netif_napi_del'), napi);
    yield* k.call(k.addressOf('free_percpu'), at);
    k.write('gro_cells.cells', cells, 0);
  },
  // Packets that come in are handed on one by one: nothing here puts several together.
  'int gro_cells_receive(struct gro_cells *gcells, struct sk_buff *skb)': (k, _cells, skb) =>
    k.call(k.addressOf('netif_rx'), skb),
  // So its queue is always empty.
  'int gro_cell_poll(struct napi_struct *napi, int budget)': function* (k, napi) {
    yield* k.call(k.addressOf('napi_complete_done'), napi, 0);
    return 0;
  },
});

const pairs = registrationPairs([
  {
    what: 'packet offload',
    add: 'void dev_add_offload(struct packet_offload *po)',
    remove: 'void dev_remove_offload(struct packet_offload *po)',
  },
  {
    what: 'key manager',
    add: 'int xfrm_register_km(struct xfrm_mgr *km)',
    remove: 'int xfrm_unregister_km(struct xfrm_mgr *km)',
  },
  {
    what: 'transform offload',
    add: 'int xfrm_register_type_offload(const struct xfrm_type_offload *type, unsigned short family)',
    remove: 'void xfrm_unregister_type_offload(const struct xfrm_type_offload *type, unsigned short family)',
    twice: -Errno.EEXIST,
  },
  {
    what: 'DCB event notifier',
    add: 'int register_dcbevent_notifier(struct notifier_block *nb)',
    remove: 'int unregister_dcbevent_notifier(struct notifier_block *nb)',
    twice: -Errno.EEXIST,
    absent: -Errno.ENOENT,
  },
  {
    what: 'quota format',
    add: 'int register_quota_format(struct quota_format_type *fmt)',
    remove: 'void unregister_quota_format(struct quota_format_type *fmt)',
  },
]);

export const familyFunctions = new Map([...messages, ...locking, ...numbered, ...tables, ...cells, ...pairs]);
