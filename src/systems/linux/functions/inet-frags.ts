/**
 * What puts fragments of IP packets together again (net/ipv4/inet_fragment.c), as far as it is made and taken away: the cache,
 * the counts and a namespace's limits. Looking for a packet's other fragments is not written: no fragment ever comes.
 */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { commandLineOptions } from '../rules/judge.ts';
import { kernelFunctions } from './define.ts';

const USERS = 'inet_frags.refcnt.refs.counter';

function* drop(k: Linux, frags: Address): Steps<void> {
  const users = k.read(USERS, frags) - 1;
  k.write(USERS, frags, users);
  if (users === 0) yield* k.call(k.addressOf('complete'), frags + k.offset('inet_frags.completion'));
}

export const fragmentFunctions = kernelFunctions({
  'int inet_frags_init(struct inet_frags *f)': function* (k, frags) {
    const name = k.readString('inet_frags.frags_cache_name', frags);
    const cache = k.heap.createCache({ name, size: k.read('inet_frags.qsize', frags) });
    if (cache === undefined) return -Errno.ENOMEM;
    k.write('inet_frags.frags_cachep', frags, cache.address);
    k.write(USERS, frags, 1);
    const completion = frags + k.offset('inet_frags.completion');
    k.write('completion.done', completion, 0);
    const queue = k.offset('completion.wait') + k.offset('swait_queue_head.task_list');
    for (const at of [completion + queue, completion + queue + k.word])
      k.memory.setPtr(at, completion + queue);
    return 0;
  },
  'void inet_frags_fini(struct inet_frags *f)': function* (k, frags) {
    yield* drop(k, frags);
    yield* k.call(k.addressOf('wait_for_completion'), frags + k.offset('inet_frags.completion'));
    const cache = k.heap.cacheAt(k.read('inet_frags.frags_cachep', frags));
    if (cache !== undefined) k.heap.destroyCache(cache);
    k.write('inet_frags.frags_cachep', frags, 0);
  },
  'int fqdir_init(struct fqdir **fqdirp, struct inet_frags *f, struct net *net)': (k, to, frags, net) => {
    const at = k.heap.allocateZeroed(k.sizeof('fqdir'));
    if (at === 0) return -Errno.ENOMEM;
    k.write('fqdir.f', at, frags);
    k.write('fqdir.net', at, net);
    k.write(USERS, frags, k.read(USERS, frags) + 1);
    k.memory.setPtr(to, at);
    return 0;
  },
  'void fqdir_exit(struct fqdir *fqdir)': function* (k, at) {
    const frags = k.read('fqdir.f', at);
    k.heap.free(at);
    yield* drop(k, frags);
  },
  'bool ipv6_mod_enabled(void)': (k) =>
    Number(!commandLineOptions(k.commandLine, 'ipv6.disable').includes('1')),
  'void tcf_idrinfo_destroy(const struct tc_action_ops *ops, struct tcf_idrinfo *idrinfo)': function* (
    k,
    _operations,
    info,
  ) {
    // Actions themselves are not made here: the table of them is empty.
    yield* k.call(k.addressOf('idr_destroy'), info + k.offset('tcf_idrinfo.action_idr'));
  },
  // No device carries out transforms: there are none to flush.
  'int xfrm_dev_state_flush(struct net *net, struct net_device *dev, bool task_valid)': () => -Errno.ESRCH,
  // Waits for a switch that is turned back late; nothing has turned it on.
  'void clean_acked_data_flush(void)': () => undefined,
  'bool vlan_uses_dev(const struct net_device *dev)': (k, device) =>
    Number(k.read('net_device.vlan_info', device) !== 0),
  // Without VLANs of its own a device has none to hand on.
  'int vlan_vids_add_by_dev(struct net_device *dev, const struct net_device *by_dev)': (k, _device, from) =>
    k.read('net_device.vlan_info', from) === 0 ? 0 : -Errno.ENODEV,
  'void vlan_vids_del_by_dev(struct net_device *dev, const struct net_device *by_dev)': () => undefined,
});
