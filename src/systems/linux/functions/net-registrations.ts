/**
 * Networking as far as it is a matter of registration: namespaces' operations run for the one namespace there is;
 * protocols, schedulers, congestion controls and notifiers are kept, since no packet ever comes.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { initialNamespace } from '../net/namespace.ts';
import { register, registeredOnly, unregister } from '../registered.ts';
import { kernelFunctions } from './define.ts';
import { registrationPairs } from './registration.ts';

/** The first index after struct net_generic's own header (net/core/net_namespace.c, MIN_PERNET_OPS_ID). */
const FIRST_ID = 3;

function* addOperations(k: Linux, operations: Address): Steps<number> {
  const space = k.state(initialNamespace);
  const { generic, taken, net, slots } = space;
  const idAt = k.read('pernet_operations.id', operations);
  const size = k.read('pernet_operations.size', operations);
  let id = 0;
  if (idAt !== 0) {
    for (id = FIRST_ID; taken.has(id); id++);
    if (id >= slots) return -Errno.ENOMEM;
    k.memory.set32(idAt, id);
    taken.add(id);
    if (size > 0) {
      const data = k.heap.allocateZeroed(size);
      if (data === 0) return -Errno.ENOMEM;
      k.memory.setPtr(generic + id * k.word, data);
    }
  }
  space.operations.push(operations);
  const init = k.read('pernet_operations.init', operations);
  const error = init === 0 ? 0 : yield* k.callInt(init, net);
  if (error !== 0) release(k, operations);
  return error;
}

function release(k: Linux, operations: Address): void {
  const { generic, taken, operations: all } = k.state(initialNamespace);
  const at = all.indexOf(operations);
  if (at >= 0) all.splice(at, 1);
  const idAt = k.read('pernet_operations.id', operations);
  if (idAt === 0) return;
  const id = k.memory.u32(idAt);
  taken.delete(id);
  k.heap.free(k.memory.ptr(generic + id * k.word));
  k.memory.setPtr(generic + id * k.word, 0);
}

function* removeOperations(k: Linux, operations: Address): Steps<void> {
  const { net, operations: all } = k.state(initialNamespace);
  if (!all.includes(operations)) return;
  const member = (name: string) => k.read(`pernet_operations.${name}`, operations);
  if (member('pre_exit') !== 0) yield* k.call(member('pre_exit'), net);
  if (member('exit') !== 0) yield* k.call(member('exit'), net);
  if (member('exit_batch') !== 0) yield* exitBatch(k, member('exit_batch'), net);
  release(k, operations);
}

/** exit_batch gets a list of namespaces: here of one. */
function* exitBatch(k: Linux, exit: Address, net: Address): Steps<void> {
  const entry = net + k.offset('net.exit_list');
  const head = k.heap.allocateZeroed(2 * k.word);
  for (const at of [head, head + k.word]) k.memory.setPtr(at, entry);
  for (const at of [entry, entry + k.word]) k.memory.setPtr(at, head);
  yield* k.call(exit, head);
  for (const at of [entry, entry + k.word]) k.memory.setPtr(at, entry);
  k.heap.free(head);
}

const pernet = kernelFunctions({
  'int register_pernet_subsys(struct pernet_operations *ops)': addOperations,
  'void unregister_pernet_subsys(struct pernet_operations *ops)': removeOperations,
  'int register_pernet_device(struct pernet_operations *ops)': addOperations,
  'void unregister_pernet_device(struct pernet_operations *ops)': removeOperations,
  'int proto_register(struct proto *prot, int alloc_slab)': (k, protocol, slab) => {
    const name = k.readString('proto.name', protocol);
    if (slab !== 0) {
      const cache = k.heap.createCache({ name, size: k.read('proto.obj_size', protocol) });
      if (cache === undefined) return -Errno.ENOBUFS;
      k.write('proto.slab', protocol, cache.address);
    }
    return register(k, 'socket protocol', protocol, name);
  },
  'void proto_unregister(struct proto *prot)': (k, protocol) => {
    unregister(k, 'socket protocol', protocol);
    const cache = k.heap.cacheAt(k.read('proto.slab', protocol));
    if (cache !== undefined) k.heap.destroyCache(cache);
    k.write('proto.slab', protocol, 0);
  },
  'int sock_register(const struct net_proto_family *ops)': (k, family) => {
    // struct net_proto_family begins with the number; NPROTO is 46.
    const number = k.memory.i32(family);
    const families = k.state(families_);
    if (number < 0 || number >= 46) {
      k.printk(2, `protocol ${number} >= NPROTO(46)`);
      return -Errno.ENOBUFS;
    }
    if (families.has(number)) return -Errno.EEXIST;
    families.add(number);
    registeredOnly(k, 'socket family', String(number));
    k.printk(6, `NET: Registered ${FAMILIES[number] ?? `PF_${number}`} protocol family`);
    return 0;
  },
  'void sock_unregister(int family)': (k, number) => {
    k.state(families_).delete(number);
    k.printk(6, `NET: Unregistered ${FAMILIES[number] ?? `PF_${number}`} protocol family`);
  },
  'void dev_add_pack(struct packet_type *pt)': (k, type) => {
    register(k, 'packet type', type, '');
  },
  'void dev_remove_pack(struct packet_type *pt)': (k, type) => {
    unregister(k, 'packet type', type);
  },
  'void ethtool_set_ethtool_phy_ops(const struct ethtool_phy_ops *ops)': (k, operations) => {
    if (operations !== 0) registeredOnly(k, 'ethtool phy operations', '');
  },
  'void inet_register_protosw(struct inet_protosw *p)': (k, entry) => {
    register(k, 'inet socket type', entry, '');
  },
  'void inet_unregister_protosw(struct inet_protosw *p)': (k, entry) => {
    unregister(k, 'inet socket type', entry);
  },
  'int inet_add_protocol(const struct net_protocol *prot, unsigned char protocol)': (k, _entry, number) =>
    register(k, 'inet protocol', number, String(number), { twice: -1 }),
  'int inet_del_protocol(const struct net_protocol *prot, unsigned char protocol)': (k, _entry, number) =>
    unregister(k, 'inet protocol', number) ? 0 : -1,
  'int tcf_register_action(struct tc_action_ops *act, struct pernet_operations *ops)': function* (
    k,
    action,
    operations,
  ) {
    const error = yield* addOperations(k, operations);
    if (error !== 0) return error;
    const twice = register(k, 'traffic control action', action, nameOfAction(k, action), {
      twice: -Errno.EEXIST,
    });
    if (twice !== 0) yield* removeOperations(k, operations);
    return twice;
  },
  'int tcf_unregister_action(struct tc_action_ops *act, struct pernet_operations *ops)': function* (
    k,
    action,
    operations,
  ) {
    if (!unregister(k, 'traffic control action', action)) return -Errno.ENOENT;
    yield* removeOperations(k, operations);
    return 0;
  },
});

/** GENL_MIN_ID; and NET_DM_GRP_ALERT. */
const FIRST_FAMILY = 16;
const NET_DM_GROUP = 1;

const netlink = kernelFunctions({
  'int genl_register_family(struct genl_family *family)': (k, family) => {
    const name = k.readString('genl_family.name', family);
    const error = register(k, 'netlink family', family, name, { sameName: -Errno.EEXIST });
    if (error !== 0) return error;
    k.write('genl_family.id', family, FIRST_FAMILY + k.state(familyIds).next++);
    // The one family whose group has the same number everywhere (genl_validate_assign_mc_groups), and which looks.
    if (name === 'NET_DM') k.write('genl_family.mcgrp_offset', family, NET_DM_GROUP);
    return 0;
  },
  'int genl_unregister_family(const struct genl_family *family)': (k, family) =>
    unregister(k, 'netlink family', family) ? 0 : -Errno.ENOENT,
  'struct sock *__netlink_kernel_create(struct net *net, int unit, struct module *module, struct netlink_kernel_cfg *cfg)':
    (k, _net, unit) => {
      const socket = k.heap.allocateZeroed(2048);
      if (socket !== 0) register(k, 'netlink socket', socket, String(unit));
      return socket;
    },
  'void netlink_kernel_release(struct sock *sk)': (k, socket) => {
    if (socket !== 0 && unregister(k, 'netlink socket', socket)) k.heap.free(socket);
  },
  'int cn_add_callback(const struct cb_id *id, const char *name, void (*callback)(struct cn_msg *, struct netlink_skb_parms *))':
    (k, id, name) => {
      // struct cb_id: idx and val; one callback for each pair.
      const key = k.memory.u32(id) * 2 ** 20 + (k.memory.u32(id + 4) % 2 ** 20);
      return register(k, 'connector callback', key, k.memory.cstring(name), { twice: -Errno.EINVAL });
    },
  'void cn_del_callback(const struct cb_id *id)': (k, id) => {
    unregister(k, 'connector callback', k.memory.u32(id) * 2 ** 20 + (k.memory.u32(id + 4) % 2 ** 20));
  },
  'int inet6_add_protocol(const struct inet6_protocol *prot, unsigned char protocol)': (k, _entry, number) =>
    register(k, 'inet6 protocol', number, String(number), { twice: -1 }),
  'int inet6_del_protocol(const struct inet6_protocol *prot, unsigned char protocol)': (k, _entry, number) =>
    unregister(k, 'inet6 protocol', number) ? 0 : -1,
  'int inet6_register_protosw(struct inet_protosw *p)': (k, entry) =>
    register(k, 'inet6 socket type', entry, ''),
  'void inet6_unregister_protosw(struct inet_protosw *p)': (k, entry) => {
    unregister(k, 'inet6 socket type', entry);
  },
  'int register_nexthop_notifier(struct net *net, struct notifier_block *nb, struct netlink_ext_ack *extack)':
    (k, _net, block) => register(k, 'nexthop notifier', block, '', { twice: -Errno.EEXIST }),
  'int unregister_nexthop_notifier(struct net *net, struct notifier_block *nb)': (k, _net, block) =>
    unregister(k, 'nexthop notifier', block) ? 0 : -Errno.ENOENT,
});

const familyIds = perKernel(() => ({ next: 0 }));

/** struct tc_action_ops: a list head, then the name (include/net/act_api.h). */
const nameOfAction = (k: Linux, action: Address): string => k.memory.cstring(action + 2 * k.word, 16);

const families_ = perKernel(() => new Set<number>([1, 2, 10, 16]));

/** Address families as the kernel prints them (net/socket.c, pf_family_names). */
const FAMILIES: Readonly<Record<number, string>> = {
  3: 'PF_AX25',
  4: 'PF_IPX',
  5: 'PF_APPLETALK',
  6: 'PF_NETROM',
  8: 'PF_ATMPVC',
  9: 'PF_X25',
  11: 'PF_ROSE',
  15: 'PF_KEY',
  17: 'PF_PACKET',
  20: 'PF_ATMSVC',
  21: 'PF_RDS',
  24: 'PF_PPPOX',
  26: 'PF_LLC',
  27: 'PF_IB',
  28: 'PF_MPLS',
  29: 'PF_CAN',
  30: 'PF_TIPC',
  31: 'PF_BLUETOOTH',
  33: 'PF_RXRPC',
  35: 'PF_PHONET',
  36: 'PF_IEEE802154',
  38: 'PF_ALG',
  39: 'PF_NFC',
  40: 'PF_VSOCK',
  41: 'PF_KCM',
  42: 'PF_QIPCRTR',
  43: 'PF_SMC',
  44: 'PF_XDP',
};

const notifierPair = (name: string, what: string) => ({
  what,
  add: `int register_${name}(struct notifier_block *nb)`,
  remove: `int unregister_${name}(struct notifier_block *nb)`,
  twice: -Errno.EEXIST,
  absent: -Errno.ENOENT,
});

const HOOK = 'netfilter hook';
const addHook = (k: Linux, _net: Address, hook: Address): number =>
  register(k, HOOK, hook, hookName(k, hook));
const removeHook = (k: Linux, _net: Address, hook: Address): void => {
  unregister(k, HOOK, hook);
};

/** The function, and for which protocol it looks where. */
function hookName(k: Linux, hook: Address): string {
  const [family, number] = [k.read('nf_hook_ops.pf', hook), k.read('nf_hook_ops.hooknum', hook)];
  return `${k.describe(k.read('nf_hook_ops.hook', hook))} (family ${family}, hook ${number})`;
}

const hooks = kernelFunctions({
  'int nf_register_net_hook(struct net *net, const struct nf_hook_ops *reg)': addHook,
  'void nf_unregister_net_hook(struct net *net, const struct nf_hook_ops *ops)': removeHook,
  // Arrays of hooks: all of them, or none.
  'int nf_register_net_hooks(struct net *net, const struct nf_hook_ops *reg, unsigned int n)': (
    k,
    net,
    array,
    number,
  ) => {
    const size = k.sizeof('nf_hook_ops');
    for (let i = 0; i < number; i++) {
      const error = addHook(k, net, array + i * size);
      if (error === 0) continue;
      for (let j = 0; j < i; j++) removeHook(k, net, array + j * size);
      return error;
    }
    return 0;
  },
  'void nf_unregister_net_hooks(struct net *net, const struct nf_hook_ops *reg, unsigned int hookcount)': (
    k,
    net,
    array,
    number,
  ) => {
    for (let i = number - 1; i >= 0; i--) removeHook(k, net, array + i * k.sizeof('nf_hook_ops'));
  },
});

const kept = registrationPairs([
  notifierPair('netevent_notifier', 'network event notifier'),
  notifierPair('inetaddr_notifier', 'IPv4 address notifier'),
  notifierPair('switchdev_notifier', 'switch notifier'),
  notifierPair('switchdev_blocking_notifier', 'blocking switch notifier'),
  notifierPair('inetaddr_validator_notifier', 'IPv4 address validator'),
  notifierPair('inet6addr_validator_notifier', 'IPv6 address validator'),
  {
    what: 'tcp upper layer protocol',
    add: 'int tcp_register_ulp(struct tcp_ulp_ops *ulp)',
    remove: 'void tcp_unregister_ulp(struct tcp_ulp_ops *ulp)',
    twice: -Errno.EEXIST,
  },
  {
    what: 'IPv6 transform protocol',
    add: 'int xfrm6_protocol_register(struct xfrm6_protocol *handler, unsigned char protocol)',
    remove: 'int xfrm6_protocol_deregister(struct xfrm6_protocol *handler, unsigned char protocol)',
    absent: -Errno.ENOENT,
  },
  notifierPair('inet6addr_notifier', 'IPv6 address notifier'),
  {
    what: 'queueing discipline',
    add: 'int register_qdisc(struct Qdisc_ops *qops)',
    remove: 'void unregister_qdisc(struct Qdisc_ops *qops)',
    name: 'Qdisc_ops.id',
    twice: -Errno.EEXIST,
  },
  {
    what: 'tcp congestion control',
    add: 'int tcp_register_congestion_control(struct tcp_congestion_ops *ca)',
    remove: 'void tcp_unregister_congestion_control(struct tcp_congestion_ops *ca)',
    name: 'tcp_congestion_ops.name',
    twice: -Errno.EEXIST,
    sameName: -Errno.EEXIST,
  },
  {
    what: 'traffic classifier',
    add: 'int register_tcf_proto_ops(struct tcf_proto_ops *ops)',
    remove: 'void unregister_tcf_proto_ops(struct tcf_proto_ops *ops)',
    twice: -Errno.EEXIST,
  },
  {
    what: 'extended match',
    add: 'int tcf_em_register(struct tcf_ematch_ops *ops)',
    remove: 'void tcf_em_unregister(struct tcf_ematch_ops *ops)',
    twice: -Errno.EEXIST,
  },
  {
    what: 'netfilter socket option',
    add: 'int nf_register_sockopt(struct nf_sockopt_ops *reg)',
    remove: 'void nf_unregister_sockopt(struct nf_sockopt_ops *reg)',
  },
  {
    what: 'socket diagnosis',
    add: 'int sock_diag_register(const struct sock_diag_handler *hndl)',
    remove: 'void sock_diag_unregister(const struct sock_diag_handler *hndl)',
  },
  {
    what: 'IPv4 transform protocol',
    add: 'int xfrm4_protocol_register(struct xfrm4_protocol *handler, unsigned char protocol)',
    remove: 'int xfrm4_protocol_deregister(struct xfrm4_protocol *handler, unsigned char protocol)',
    absent: -Errno.ENOENT,
  },
  {
    what: 'transform type',
    add: 'int xfrm_register_type(const struct xfrm_type *type, unsigned short family)',
    remove: 'void xfrm_unregister_type(const struct xfrm_type *type, unsigned short family)',
    twice: -Errno.EEXIST,
  },
]);

export const netFunctions = new Map([...pernet, ...netlink, ...hooks, ...kept]);
