/** Packets as modules make, fill, send and free them (include/linux/skbuff.h, net/ethernet/eth.c). */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { isValidAddress, mayChangeAddress, takeAddress } from '../net/ethernet.ts';
import { STATE } from '../net/flags.ts';
import { hasState } from '../net/link.ts';
import {
  addFragment,
  advance,
  allocatePacket,
  append,
  clonePacket,
  copyIn,
  copyOut,
  copyPacket,
  data,
  dismantle,
  end,
  freePacket,
  growHead,
  head,
  len,
  linear,
  PAD,
  prepend,
  shorten,
  tail,
  wrapBlock,
} from '../net/skb.ts';
import { countCore } from '../net/statistics.ts';
import {
  loopBack,
  readEthernet,
  receive,
  receiveLater,
  runQueue,
  transmit,
  wakeQueue,
} from '../net/transmit.ts';
import { callerOf } from './caller.ts';
import { kernelFunctions } from './define.ts';

/** A packet for a device's receiving side: with room in front. */
function forDevice(k: Linux, device: Address, size: number, front: number): Address {
  const skb = allocatePacket(k, size + front, callerOf(k));
  if (skb === 0) return 0;
  k.write('sk_buff.data', skb, data(k, skb) + front);
  k.write('sk_buff.tail', skb, k.read('sk_buff.tail', skb) + front);
  k.write('sk_buff.dev', skb, device);
  return skb;
}

const free = (k: Linux, skb: Address): Steps<void> => freePacket(k, skb);
const headroom = (k: Linux, skb: Address): number => data(k, skb) - head(k, skb);

export const packetFunctions = kernelFunctions({
  'struct sk_buff *__alloc_skb(unsigned int size, gfp_t gfp_mask, int flags, int node)': (k, size) =>
    allocatePacket(k, size, callerOf(k)),
  'struct sk_buff *__netdev_alloc_skb(struct net_device *dev, unsigned int len, gfp_t gfp_mask)': (
    k,
    device,
    size,
  ) => forDevice(k, device, size, PAD),
  // NET_IP_ALIGN is 0 on x86.
  'struct sk_buff *__napi_alloc_skb(struct napi_struct *napi, unsigned int len, gfp_t gfp_mask)': (
    k,
    napi,
    size,
  ) => forDevice(k, k.read('napi_struct.dev', napi), size, PAD),
  'struct sk_buff *napi_alloc_skb(struct napi_struct *napi, unsigned int len)': (k, napi, size) =>
    forDevice(k, k.read('napi_struct.dev', napi), size, PAD),
  'struct sk_buff *build_skb(void *data, unsigned int frag_size)': (k, block, size) =>
    wrapBlock(k, block, size, callerOf(k)),
  'void *skb_put(struct sk_buff *skb, unsigned int len)': (k, skb, size) => append(k, skb, size, callerOf(k)),
  'void *skb_push(struct sk_buff *skb, unsigned int len)': (k, skb, size) =>
    prepend(k, skb, size, callerOf(k)),
  'void *skb_pull(struct sk_buff *skb, unsigned int len)': advance,
  'void *skb_pull_data(struct sk_buff *skb, size_t len)': (k, skb, size) => {
    const at = data(k, skb);
    return len(k, skb) < size || advance(k, skb, size) === 0 ? 0 : at;
  },
  'void skb_trim(struct sk_buff *skb, unsigned int len)': shorten,
  'int ___pskb_trim(struct sk_buff *skb, unsigned int len)': function* (k, skb, size) {
    yield* shorten(k, skb, size);
    return 0;
  },
  'void kfree_skb_reason(struct sk_buff *skb, enum skb_drop_reason reason)': free,
  'void sk_skb_reason_drop(struct sock *sk, struct sk_buff *skb, enum skb_drop_reason reason)': (
    k,
    _sk,
    skb,
  ) => free(k, skb),
  'void consume_skb(struct sk_buff *skb)': free,
  'void __kfree_skb(struct sk_buff *skb)': dismantle,
  'void __dev_kfree_skb_any(struct sk_buff *skb, enum skb_free_reason reason)': free,
  'void __dev_kfree_skb_irq(struct sk_buff *skb, enum skb_free_reason reason)': free,
  'void dev_kfree_skb_any_reason(struct sk_buff *skb, enum skb_drop_reason reason)': free,
  'void dev_kfree_skb_irq_reason(struct sk_buff *skb, enum skb_drop_reason reason)': free,
  'void napi_consume_skb(struct sk_buff *skb, int budget)': free,
  'void kfree_skb_list_reason(struct sk_buff *segs, enum skb_drop_reason reason)': function* (k, first) {
    for (let skb = first; skb !== 0; ) {
      const next = k.read('sk_buff.next', skb);
      yield* freePacket(k, skb);
      skb = next;
    }
  },
  'struct sk_buff *skb_clone(struct sk_buff *skb, gfp_t gfp_mask)': (k, skb) =>
    clonePacket(k, skb, callerOf(k)),
  'struct sk_buff *skb_copy(const struct sk_buff *skb, gfp_t gfp_mask)': (k, skb) =>
    copyPacket(k, skb, headroom(k, skb), end(k, skb) - tail(k, skb), callerOf(k)),
  'struct sk_buff *skb_copy_expand(const struct sk_buff *skb, int newheadroom, int newtailroom, gfp_t gfp_mask)':
    (k, skb, front, behind) => copyPacket(k, skb, front, behind, callerOf(k)),
  'struct sk_buff *__pskb_copy_fclone(struct sk_buff *skb, int headroom, gfp_t gfp_mask, bool fclone)': (
    k,
    skb,
    front,
  ) => copyPacket(k, skb, front, 0, callerOf(k)),
  'int pskb_expand_head(struct sk_buff *skb, int nhead, int ntail, gfp_t gfp_mask)': function* (
    k,
    skb,
    front,
    behind,
  ) {
    return (yield* growHead(k, skb, front, behind, callerOf(k))) ? 0 : -Errno.ENOMEM;
  },
  'struct sk_buff *skb_realloc_headroom(struct sk_buff *skb, unsigned int headroom)': function* (
    k,
    skb,
    room,
  ) {
    const copy = clonePacket(k, skb, callerOf(k));
    if (copy === 0) return 0;
    const more = room - headroom(k, skb);
    if (yield* growHead(k, copy, Math.max(0, more), 0, callerOf(k))) return copy;
    yield* freePacket(k, copy);
    return 0;
  },
  'int __skb_pad(struct sk_buff *skb, int pad, bool free_on_error)': function* (k, skb, pad, freeing) {
    const room = end(k, skb) - tail(k, skb);
    const enough = room >= pad || (yield* growHead(k, skb, 0, pad - room, callerOf(k)));
    if (enough) k.memory.fill(tail(k, skb), pad, 0);
    else if (freeing) yield* freePacket(k, skb);
    return enough ? 0 : -Errno.ENOMEM;
  },
  'void *__pskb_pull_tail(struct sk_buff *skb, int delta)': pullTail,
  'int skb_copy_bits(const struct sk_buff *skb, int offset, void *to, int len)': (
    k,
    skb,
    offset,
    to,
    size,
  ) => {
    const bytes = copyOut(k, skb, offset, size);
    if (bytes === undefined) return -Errno.EFAULT;
    k.memory.write(to, bytes);
    return 0;
  },
  'int skb_store_bits(struct sk_buff *skb, int offset, const void *from, int len)': (
    k,
    skb,
    offset,
    from,
    size,
  ) => (copyIn(k, skb, offset, k.memory.bytes(from, size).slice()) ? 0 : -Errno.EFAULT),
  'void skb_add_rx_frag(struct sk_buff *skb, int i, struct page *page, int off, int size, unsigned int truesize)':
    addFragment,
});

/** What is read next is to lie in the block: `delta` bytes of the pieces move there. */
function* pullTail(k: Linux, skb: Address, delta: number): Steps<Address> {
  const bytes = copyOut(k, skb, linear(k, skb), delta);
  const room = end(k, skb) - tail(k, skb);
  const whole = copyOut(k, skb, linear(k, skb), k.read('sk_buff.data_len', skb));
  if (bytes === undefined || whole === undefined) return 0;
  // The whole rest moves: what stands in the block need not stand in pages, too.
  const grown = room >= whole.length || (yield* growHead(k, skb, 0, whole.length - room, callerOf(k)));
  if (!grown) return 0;
  const at = tail(k, skb);
  yield* shorten(k, skb, linear(k, skb));
  k.memory.write(append(k, skb, whole.length, callerOf(k)), whole);
  return at + delta;
}

/** __dev_forward_skb: the packet changes over to another device, as one that arrives there; dropped when that is off. */
function* forward(k: Linux, device: Address, skb: Address): Steps<number> {
  const most = k.read('net_device.mtu', device) + k.read('net_device.hard_header_len', device) + 4;
  if (!hasState(k, device, STATE.START) || len(k, skb) > most) {
    countCore(k, device, 'rx_dropped');
    yield* freePacket(k, skb);
    return 1;
  }
  k.write('sk_buff.protocol', skb, readEthernet(k, skb, device));
  return 0;
}

export const trafficFunctions = kernelFunctions({
  'int __dev_queue_xmit(struct sk_buff *skb, struct net_device *sb_dev)': transmit,
  'int __dev_direct_xmit(struct sk_buff *skb, u16 queue_id)': (k, skb) => transmit(k, skb),
  'int netif_rx(struct sk_buff *skb)': receiveLater,
  'int __netif_rx(struct sk_buff *skb)': receiveLater,
  'int netif_receive_skb(struct sk_buff *skb)': receive,
  'int netif_receive_skb_core(struct sk_buff *skb)': receive,
  'gro_result_t napi_gro_receive(struct napi_struct *napi, struct sk_buff *skb)': function* (k, _napi, skb) {
    yield* receive(k, skb);
    return 3;
  },
  'int __dev_forward_skb(struct net_device *dev, struct sk_buff *skb)': forward,
  'int dev_forward_skb(struct net_device *dev, struct sk_buff *skb)': function* (k, device, skb) {
    const dropped = yield* forward(k, device, skb);
    return dropped !== 0 ? dropped : yield* receiveLater(k, skb);
  },
  'netdev_tx_t loopback_xmit(struct sk_buff *skb, struct net_device *dev)': loopBack,
  'void netif_tx_wake_queue(struct netdev_queue *dev_queue)': wakeQueue,
  // Only a packet of a socket has somebody who waits for its time, and there are no sockets.
  'void skb_clone_tx_timestamp(struct sk_buff *skb)': () => undefined,
  'void skb_tstamp_tx(struct sk_buff *orig_skb, struct skb_shared_hwtstamps *hwtstamps)': () => undefined,
  'void skb_flow_dissector_init(struct flow_dissector *flow_dissector, const struct flow_dissector_key *key, unsigned int key_count)':
    (k, dissector, keys, count) => {
      // struct flow_dissector_key: which part of a packet, and where it goes.
      k.memory.fill(dissector, k.sizeof('flow_dissector'), 0);
      let used = 0;
      for (let i = 0; i < count; i++) {
        const key = keys + i * 2 * k.word;
        const id = k.memory.u32(key);
        used += 2 ** id;
        k.memory.set16(dissector + k.offset('flow_dissector.offset') + 2 * id, k.memory.ptr(key + k.word));
      }
      k.write('flow_dissector.used_keys', dissector, used);
    },
  'void netif_schedule_queue(struct netdev_queue *txq)': runQueue,
});

export const ethernetFunctions = kernelFunctions({
  '__be16 eth_type_trans(struct sk_buff *skb, struct net_device *dev)': readEthernet,
  'int eth_header(struct sk_buff *skb, struct net_device *dev, unsigned short type, const void *daddr, const void *saddr, unsigned int len)':
    (k, skb, device, type, to, from, size) => {
      const at = prepend(k, skb, 14, callerOf(k));
      // ETH_P_802_3 and ETH_P_802_2 stand for a length.
      const field = type === 1 || type === 4 ? size : type;
      k.memory.write(at + 12, Uint8Array.of((field >> 8) & 0xff, field & 0xff));
      k.memory.copy(at + 6, from !== 0 ? from : k.read('net_device.dev_addr', device), 6);
      if (to !== 0) {
        k.memory.copy(at, to, 6);
        return 14;
      }
      // Without an address: nobody's, where none is needed.
      if ((k.read('net_device.flags', device) & 0x88) === 0) return -14;
      k.memory.fill(at, 6, 0);
      return 14;
    },
  'int eth_header_parse(const struct sk_buff *skb, unsigned char *haddr)': (k, skb, to) => {
    k.memory.copy(to, head(k, skb) + k.read('sk_buff.mac_header', skb) + 6, 6);
    return 6;
  },
  '__be16 eth_header_parse_protocol(const struct sk_buff *skb)': (k, skb) =>
    k.memory.u16(head(k, skb) + k.read('sk_buff.mac_header', skb) + 12),
  'int eth_validate_addr(struct net_device *dev)': (k, device) =>
    isValidAddress(k.memory.bytes(k.read('net_device.dev_addr', device), 6)) ? 0 : -Errno.EADDRNOTAVAIL,
  'int eth_prepare_mac_addr_change(struct net_device *dev, void *p)': mayChangeAddress,
  'void eth_commit_mac_addr_change(struct net_device *dev, void *p)': takeAddress,
  'int eth_mac_addr(struct net_device *dev, void *p)': (k, device, address) => {
    const error = mayChangeAddress(k, device, address);
    if (error >= 0) takeAddress(k, device, address);
    return error;
  },
  // The link itself says whether it is there.
  'u32 ethtool_op_get_link(struct net_device *dev)': (k, device) =>
    Number(!hasState(k, device, STATE.NOCARRIER)),
});
